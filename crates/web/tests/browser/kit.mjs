// What the browser tests stand on: the drawn pages, a server for them, a browser.
import { readFile, readdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const crate = path.resolve(here, "../..");
const folder = process.env.CI_DASHBOARD_SCREENS ?? path.resolve(crate, "../../target/tmp/screens");
const executablePath = process.env.CI_DASHBOARD_CHROMIUM ?? "/usr/bin/chromium";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const TYPES = { ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8", ".png": "image/png" };

/** The content security policy of the real server: what the pages do must do under it. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** Names of all drawn pages. */
export async function pages() {
  const files = await readdir(folder);
  return files.filter((f) => f.endsWith(".html")).map((f) => f.slice(0, -5)).sort();
}

/** The text of a drawn page. */
export const text = (name) => readFile(path.join(folder, `${name}.html`), "utf8");

/**
 * Serves the drawn pages at `/as/NAME`, and `/` as whatever `show(name)` says, with live events that `send` makes.
 */
export async function serve() {
  let shown = "overview-60";
  let answer = null;
  const streams = new Set();
  const asked = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    asked.push(`${url.pathname}${url.search}`);
    const html = (body) => {
      response.writeHead(200, { "content-type": TYPES[".html"], "content-security-policy": POLICY, "cache-control": "no-cache" });
      response.end(body);
    };
    try {
      if (url.pathname === "/axe.js") {
        response.writeHead(200, { "content-type": TYPES[".js"], "cache-control": "max-age=3600" });
        return response.end(axe);
      }
      const asset = url.pathname.match(/^(?:\/ci)?\/static\/[^/]+\/([\w.-]+)$/) ?? url.pathname.match(/^(?:\/ci)?\/static\/([\w.-]+)$/);
      if (asset) {
        const body = await readFile(path.join(crate, "static", asset[1]));
        response.writeHead(200, { "content-type": TYPES[path.extname(asset[1])] ?? "application/octet-stream" });
        return response.end(body);
      }
      if (url.pathname.endsWith("/api/v1/events/stream")) {
        response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
        response.write("retry: 200\n\n");
        streams.add(response);
        return request.on("close", () => streams.delete(response));
      }
      const named = url.pathname.match(/^\/as\/([\w-]+)$/);
      if (named) return html(await text(named[1]));
      if (answer) return html(await answer(url));
      return html(await text(shown));
    } catch (error) {
      if (error.redirect) return response.writeHead(303, { location: error.redirect }).end();
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** What `/` and every address that is not drawn answers from now on. */
    show: (name) => { shown = name; answer = null; },
    /** The same, made from the address. */
    answer: (f) => { answer = f; },
    /** Every address that was asked for. */
    asked,
    streams: () => streams.size,
    send: (event, data, id) => {
      for (const s of streams) s.write(`${id ? `id: ${id}\n` : ""}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    },
    /** Ends all streams, as a server that goes away does. */
    cut: () => streams.forEach((s) => s.destroy()),
    close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }),
  };
}

/** A browser, or nothing when there is none and none is required. */
export async function open() {
  if (!existsSync(executablePath)) {
    if (process.env.CI_DASHBOARD_REQUIRE_CHROMIUM === "1") throw new Error(`no browser at ${executablePath}`);
    console.log(`skipped: no browser at ${executablePath} (CI_DASHBOARD_CHROMIUM names another)`);
    process.exit(0);
  }
  return chromium.launch({
    executablePath,
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}
