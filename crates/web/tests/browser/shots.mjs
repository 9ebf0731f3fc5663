// Takes pictures of the drawn states, to be looked at: node shots.mjs OUT [name…]
import { mkdir } from "node:fs/promises";
import { open, pages, serve } from "./kit.mjs";

const [out, ...wanted] = process.argv.slice(2);
if (!out) {
  console.error("usage: node shots.mjs OUT [name…]");
  process.exit(2);
}
await mkdir(out, { recursive: true });
const server = await serve();
const browser = await open();
const looks = [
  ["light", { width: 1440, height: 960 }, "light"],
  ["dark", { width: 1440, height: 960 }, "dark"],
  ["phone", { width: 390, height: 860 }, "light"],
];
for (const name of (await pages()).filter((n) => wanted.length === 0 || wanted.includes(n))) {
  for (const [look, viewport, colorScheme] of looks) {
    const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: 1, reducedMotion: "reduce", timezoneId: "UTC" });
    const page = await context.newPage();
    await page.clock.setFixedTime(new Date("2026-11-24T14:10:00Z"));
    await page.goto(`${server.url}/as/${name}`);
    // A picture of the whole page needs all of its rows laid out.
    await page.evaluate(() => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(".row { content-visibility: visible !important; }");
      document.adoptedStyleSheets = [sheet];
    });
    await page.screenshot({ path: `${out}/${name}-${look}.png`, fullPage: name !== "overview-100-rows" });
    await context.close();
  }
}
await browser.close();
await server.close();
