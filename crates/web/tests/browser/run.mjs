// Every drawn state in a real browser: accessible, without overflow, without errors; and what the script does to them.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { open, pages, serve, text } from "./kit.mjs";

const rules = JSON.parse(await readFile(new URL("./format.json", import.meta.url), "utf8"));
const NOW = new Date("2026-11-24T14:10:00Z");
const DESK = { width: 1280, height: 900 };
const SLOW = 10_000;
const AT_A_TIME = 3;

const server = await serve();
const browser = await open();
let failed = 0, passed = 0;

/** `node run.mjs WORDS` runs only what has them in its name. */
const wanted = process.argv.slice(2).join(" ");

async function test(name, run) {
  if (!name.includes(wanted)) return;
  const begun = Date.now();
  try {
    await run();
    passed += 1;
    console.log(`ok    ${name} (${Date.now() - begun} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n${error.stack ?? error}\n`);
  }
}

/** A page whose errors fail the test; closed at its end. */
async function withPage(options, run) {
  const context = await browser.newContext({ viewport: DESK, timezoneId: "UTC", ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(`${error}`));
  page.on("console", (message) => { if (message.type() === "error" && !message.text().includes("Failed to load resource")) errors.push(message.text()); });
  try {
    await run(page, context);
    assert.deepEqual(errors, [], "errors in the page");
  } finally {
    await context.close();
  }
}

/** `/` showing one state, its script listening. */
async function at(page, name, path = "/") {
  server.show(name);
  await page.goto(`${server.url}${path}`);
  await page.waitForFunction(() => document.querySelector("#main"));
  await listening();
}

async function listening(n = 1) {
  const until = Date.now() + SLOW;
  while (server.streams() < n) {
    assert(Date.now() < until, "the page never listened to events");
    await new Promise((r) => setTimeout(r, 10));
  }
}

/** The board moves on: the page is to show `name` after it. */
async function moves(page, name, expected) {
  server.show(name);
  server.send("board", { version: "3.18", changes: [] }, "3.18");
  await page.waitForFunction(expected, null, { timeout: SLOW });
}

/** What pages cannot be made to fail by: rows that browsers have not laid out yet. */
const lay = (page) => page.evaluate(() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(".row { content-visibility: visible !important; }");
  document.adoptedStyleSheets = [sheet];
});

/** Runs `job` for every item, so many at a time. */
async function each(items, job) {
  const rest = [...items];
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await job(item);
  }));
}

/** The rules of accessibility that the page breaks, in words. More rows of the same kind tell nothing new and take long. */
async function accessible(page) {
  await page.evaluate(() => { for (const row of document.querySelectorAll(".row:nth-child(n + 9)")) row.remove(); });
  await page.addScriptTag({ url: "/axe.js" });
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  const told = found.violations.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 200)} — ${n.any[0]?.message ?? n.all[0]?.message ?? ""}`).join("\n  ")}`);
  assert.deepEqual(told, []);
}

const still = { bypassCSP: true, reducedMotion: "reduce", viewport: { width: 390, height: 900 } };
await each(await pages(), (name) => test(`${name}: axe finds nothing, nothing is wider than the window, ids are unique, links are sound`, () => withPage(still, async (page) => {
  await page.clock.setFixedTime(NOW);
  await page.goto(`${server.url}/as/${name}`);
  await lay(page);
  for (const width of [390, 768, 1280, 1920]) {
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert(wide <= 0, `${wide} px too wide at ${width}`);
  }
  const odd = await page.evaluate(() => {
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    const twice = ids.filter((id, i) => ids.indexOf(id) !== i);
    const links = [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href")).filter((h) => !/^(https?:\/\/|\/|#)/.test(h));
    return { twice, links, h1: document.querySelectorAll("h1").length };
  });
  assert.deepEqual(odd, { twice: [], links: [], h1: 1 });
  await accessible(page);
})));

const inTheDark = ["overview-3", "project", "pipeline", "source-away-red", "odd-names", "first-start", "empty-filter", "merge-requests", "merge-requests-source-away", "merge-requests-odd", "issues", "sources", "sources-down", "sources-odd", "sign-in", "sign-in-again", "sign-in-insecure", "refused", "overview-signed-in", "overview-wide-open", "insights", "insights-project", "insights-year", "insights-few", "insights-off", "insights-away", "insights-runs"];
await each([...inTheDark.map((name) => [name, "dark", 1280]), ...inTheDark.map((name) => [name, "light", 390])], ([name, colorScheme, width]) =>
  test(`${name}, ${colorScheme}, ${width} px: axe finds nothing`, () => withPage({ ...still, colorScheme, viewport: { width, height: 900 } }, async (page) => {
    await page.clock.setFixedTime(NOW);
    await page.goto(`${server.url}/as/${name}`);
    await accessible(page);
  })));

await test("numbers and times read the same in the browser as on the server", () => withPage({}, async (page) => {
  await page.goto(`${server.url}/as/overview-3`);
  {
    const got = await page.evaluate(async (rules) => {
      const app = await import(document.querySelector("script[type=module]").src);
      return Object.entries(rules).flatMap(([rule, cases]) =>
        cases.map(([input, want]) => [rule, input, want, Array.isArray(input) ? app[rule](...input) : app[rule](input)]));
    }, rules);
    for (const [rule, input, want, is] of got) assert.equal(is, want, `${rule} of ${input}`);
    assert(got.length > 40);
  }
  {
    const got = await page.evaluate(async () => {
      const { longestRising } = await import(document.querySelector("script[type=module]").src);
      return [[0, 1, 2], [2, 0, 1], [3, 2, 1], [-1, 0, -1, 1], []].map((p) => [...longestRising(p)].length);
    });
    assert.deepEqual(got, [3, 2, 1, 2, 0], "longest rising runs");
  }
}));

await test("a change alters its own row only, and the others stay the same nodes", () => withPage({}, async (page) => {
  await at(page, "overview-60");
  await page.evaluate(() => {
    window.kept = new Map([...document.querySelectorAll(".row")].map((row) => [row.id, row]));
    window.watched = [];
    new MutationObserver((all) => window.watched.push(...all.map((m) => m.target)))
      .observe(document.querySelector("#rows"), { subtree: true, childList: true, characterData: true, attributes: true });
  });
  await moves(page, "overview-60-next", () => document.querySelector("#headline").textContent.includes("47 minutes") || document.querySelector("#rows-broken")?.textContent.includes("mkdocs"));
  const seen = await page.evaluate(() => {
    const rows = [...document.querySelectorAll(".row")];
    // The minutes of a relative time may turn while one looks, and the bar of what runs grows: that is no change of the row.
    const elements = window.watched.map((n) => (n.nodeType === 1 ? n : n.parentElement)).filter((e) => e && !e.closest("time, .now, progress"));
    const touched = new Set(elements.map((e) => e.closest(".row")?.id).filter(Boolean));
    return { same: rows.every((row) => window.kept.get(row.id) === row), touched: [...touched], n: rows.length, version: document.documentElement.dataset.version };
  });
  assert.equal(seen.n, 60);
  assert(seen.same, "rows were made anew");
  assert.equal(seen.version, "3.18");
  const names = seen.touched.map((id) => decodeURIComponent(id));
  assert(names.length <= 3, `rows were touched that did not change: ${names}`);
}));

await test("focus, selection, typed text, open menus and the scroll position survive a change", () => withPage({}, async (page) => {
  await at(page, "overview-60");
  const ledger = page.locator(".row", { hasText: "ledger-api" }).first().locator(".main");
  await page.evaluate(() => { document.querySelector("#menu-sort").open = true; });
  await page.evaluate(() => {
    const node = document.querySelectorAll(".row .leaf")[8].firstChild;
    getSelection().setBaseAndExtent(node, 1, node, 5);
  });
  const selected = await page.evaluate(() => `${getSelection()}`);
  await page.evaluate(() => scrollTo(0, 700));
  const before = await page.evaluate(() => {
    const row = [...document.querySelectorAll(".row")].find((r) => r.getBoundingClientRect().top >= 0);
    return { id: row.id, top: row.getBoundingClientRect().top };
  });
  await ledger.evaluate((e) => e.focus({ preventScroll: true }));
  await moves(page, "overview-60-next", () => document.querySelector("#rows-broken")?.textContent.includes("mkdocs"));
  const after = await page.evaluate((id) => ({
    focus: document.activeElement?.textContent, selected: `${getSelection()}`, open: document.querySelector("#menu-sort").open,
    top: document.getElementById(id).getBoundingClientRect().top,
  }), before.id);
  assert.match(after.focus ?? "", /ledger-api/, "the focus is lost");
  assert.equal(after.selected, selected);
  assert.equal(after.open, true);
  assert(Math.abs(after.top - before.top) < 2, `the row in view jumped by ${after.top - before.top} px`);
}));

await test("typed text stays while the page changes under it", () => withPage({}, async (page) => {
  await at(page, "project", "/projects/gitlab-main/x");
  await page.locator("#q").fill("half a word");
  await moves(page, "project-loading", () => "loading" in document.documentElement.dataset);
  assert.equal(await page.locator("#q").inputValue(), "half a word");
  assert.equal(await page.evaluate(() => document.activeElement.id), "q");
}));

await test("an update shifts nothing", () => withPage({}, async (page) => {
  await page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => { for (const e of list.getEntries()) window.shifts.push({ value: e.value, recent: e.hadRecentInput, what: e.sources.map((s) => `${s.node?.nodeName}.${s.node?.className ?? s.node?.parentElement?.className} ${s.previousRect.y}→${s.currentRect.y} ${s.previousRect.x}→${s.currentRect.x}`) }); })
      .observe({ type: "layout-shift", buffered: true });
  });
  await page.clock.setFixedTime(NOW);
  await at(page, "overview-60");
  await page.waitForTimeout(300);
  const loaded = await page.evaluate(() => window.shifts.splice(0));
  assert.deepEqual(loaded.map((s) => s.what), [], "the page shifts while it loads");
  await moves(page, "overview-60-next", () => document.querySelector("#rows-broken")?.textContent.includes("mkdocs"));
  await page.waitForTimeout(700);
  const shifts = await page.evaluate(() => window.shifts);
  const sum = shifts.reduce((a, s) => a + s.value, 0);
  assert(sum < 0.001, `layout shift ${sum}: ${JSON.stringify(shifts, null, 1).slice(0, 1500)}`);
}));

await test("rows do not move under a pointer that moves", () => withPage({}, async (page) => {
  await at(page, "overview-60");
  const order = () => page.evaluate(() => [...document.querySelectorAll(".row")].map((r) => r.id).join());
  const before = await order();
  await page.mouse.move(400, 500);
  await page.mouse.move(420, 520);
  server.show("overview-60-next");
  const asked = server.asked.length;
  server.send("board", { version: "3.18", changes: [] }, "3.18");
  for (let i = 0; i < 5; i += 1) { await page.waitForTimeout(80); await page.mouse.move(420 + i, 520); }
  assert(server.asked.length > asked, "the page did not ask");
  assert.equal(await order(), before);
  await page.waitForFunction(() => document.querySelector("#rows-broken")?.textContent.includes("mkdocs"), null, { timeout: SLOW });
}));

await test("a version that the page has already is not fetched again", () => withPage({}, async (page) => {
  await at(page, "overview-60");
  const asked = server.asked.length;
  server.send("board", { version: "3.17", changes: [] }, "3.17");
  server.send("board", { version: "3.18", changes: [] }, "3.18");
  await page.waitForTimeout(300);
  assert.equal(server.asked.slice(asked).filter((a) => a === "/").length, 1);
}));

await test("a project's page leaves other projects' changes alone", () => withPage({}, async (page) => {
  await at(page, "project", "/projects/gitlab-main/payments%2Fledger-api");
  const asked = server.asked.length;
  server.send("board", { changes: [{ source: "gitlab-main", id: "other" }] }, "3.19");
  await page.waitForTimeout(150);
  assert.equal(server.asked.length, asked);
  server.send("board", { changes: [{ source: "gitlab-main", id: "payments/ledger-api" }] }, "3.20");
  await page.waitForTimeout(300);
  assert.equal(server.asked.length, asked + 1);
}));

await test("a list changes its own rows only, and the others stay the same nodes", () => withPage({}, async (page) => {
  await at(page, "merge-requests", "/merge-requests");
  await page.evaluate(() => {
    window.kept = new Map([...document.querySelectorAll(".row")].map((row) => [row.id, row]));
    window.watched = [];
    new MutationObserver((all) => window.watched.push(...all.map((m) => m.target)))
      .observe(document.querySelector("#rows"), { subtree: true, childList: true, characterData: true, attributes: true });
  });
  server.show("merge-requests-next");
  server.send("board", { version: "3.18", changes: [], work: [{ source: "gitlab-main", id: "payments/ledger-api" }] }, "3.18");
  await page.waitForFunction(() => document.querySelectorAll(".row").length === 23, null, { timeout: SLOW });
  const seen = await page.evaluate(() => ({
    same: [...document.querySelectorAll(".row")].every((row) => window.kept.get(row.id) === row),
    touched: new Set(window.watched.map((n) => (n.nodeType === 1 ? n : n.parentElement)?.closest(".row")?.id).filter(Boolean)).size,
  }));
  assert(seen.same, "rows were made anew");
  assert(seen.touched <= 2, `${seen.touched} rows were touched`);
}));

await test("a page asks again only when what it shows may have changed", () => withPage({}, async (page) => {
  const board = { changes: [{ source: "a", id: "1" }] }, lists = { changes: [], work: [{ source: "a", id: "1" }] };
  const both = { ...board, ...lists, changes: board.changes };
  const id = "payments/ledger-api";
  const here = { changes: [], work: [{ source: "gitlab-main", id }] };
  let version = 100;
  for (const [name, path, counts] of [
    ["overview-60", "/", [1, 0, 1, 1, 0]],
    ["merge-requests", "/merge-requests", [1, 1, 1, 1, 1]],
    ["issues", "/issues", [0, 1, 1, 1, 1]],
    ["project", `/projects/gitlab-main/${encodeURIComponent(id)}`, [0, 0, 0, 1, 1]],
  ]) {
    await at(page, name, path);
    await page.waitForTimeout(100);
    for (const [i, news] of [board, lists, both, { changes: [] }, here].entries()) {
      const asked = server.asked.length;
      server.send("board", news, `4.${version++}`);
      await page.waitForTimeout(200);
      assert.equal(server.asked.slice(asked).filter((a) => !a.includes("stream")).length, counts[i], `${name}: ${JSON.stringify(news)}`);
    }
  }
}));

await test("lists are reached and walked by keyboard, and searched where one is", () => withPage({}, async (page) => {
  await at(page, "overview-60");
  await page.keyboard.press("g");
  await Promise.all([page.waitForURL(/\/merge-requests$/), page.keyboard.press("m")]);
  await at(page, "merge-requests", "/merge-requests");
  const focus = () => page.evaluate(() => document.activeElement.closest(".row")?.querySelector(".main").textContent ?? document.activeElement.id);
  await page.keyboard.press("j");
  assert.match(await focus(), /Round half even/);
  await page.keyboard.press("j");
  assert.match(await focus(), /Lazy-load/);
  await page.keyboard.press("/");
  await page.keyboard.type("led");
  await page.waitForURL(/\/merge-requests\?q=led$/);
  await page.keyboard.press("Escape");
  await page.waitForURL(/\/merge-requests$/);
  await page.locator("#chip-mine").click();
  await page.waitForURL(/\/merge-requests\?mine=1$/);
}));

await test("without JavaScript lists are filtered by links and one form", () => withPage({ javaScriptEnabled: false }, async (page) => {
  server.show("merge-requests-many");
  for (const [selector, search] of [["#chip-failed", "?status=failed"], ["#chip-drafts", "?draft=1"], ["#chip-mine", "?mine=1"], ["#paging a[rel=prev]", ""]]) {
    await page.goto(`${server.url}/merge-requests?page=2`);
    await page.locator(selector).click();
    assert.equal(new URL(page.url()).pathname + new URL(page.url()).search, `/merge-requests${search}`);
  }
  server.show("merge-requests-mine");
  await page.goto(`${server.url}/merge-requests?mine=1&sort=status`);
  await page.locator("#q").fill("fees");
  await page.locator("#q").press("Enter");
  assert.equal(new URL(page.url()).search, "?q=fees&mine=1&sort=status");
}));

await test("one signs in with the keyboard alone, and without JavaScript", () => withPage({ javaScriptEnabled: false }, async (page) => {
  server.show("sign-in");
  await page.goto(`${server.url}/sign-in?next=/x`);
  assert.equal(await page.locator("*:focus").getAttribute("id"), "user");
  await page.keyboard.type("ada");
  await page.keyboard.press("Tab");
  await page.keyboard.type("correct horse");
  const [sent] = await Promise.all([page.waitForRequest((r) => r.method() === "POST"), page.keyboard.press("Enter")]);
  assert.equal(new URL(sent.url()).pathname, "/sign-in");
  assert.equal(sent.postData(), "user=ada&password=correct+horse&next=%2Fprojects%2Fgitlab-main%2F123%3Fbranch%3Da%2520b");
  server.show("sign-in-again");
  await page.goto(`${server.url}/sign-in`);
  assert.equal(await page.locator("*:focus").getAttribute("id"), "password", "the name is kept: the password is what is typed anew");
  assert.equal(await page.locator("#user").inputValue(), "ada");
}));

await test("a page whose session is over leads to the form", () => withPage({}, async (page) => {
  await at(page, "overview-signed-in");
  const form = await text("sign-in");
  server.answer((url) => { if (url.pathname === "/sign-in") return form; throw Object.assign(new Error(), { redirect: "/sign-in?next=/" }); });
  server.send("board", { version: "3.18", changes: [] }, "3.18");
  await page.waitForURL(/\/sign-in\?next=\/$/, { timeout: SLOW });
  await page.waitForSelector("#password", { timeout: SLOW });
}));

await test("one can sign out, on a phone from the menu", () => withPage({ viewport: { width: 390, height: 800 }, hasTouch: true }, async (page) => {
  await at(page, "overview-signed-in");
  assert.equal(await page.locator("#sign-out button").isVisible(), false);
  await page.locator("#menu-button").click();
  const [sent] = await Promise.all([page.waitForRequest((r) => r.method() === "POST"), page.locator("#sign-out button").click()]);
  assert.equal(new URL(sent.url()).pathname, "/sign-out");
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(`${server.url}/as/overview-signed-in`);
  assert.equal(await page.locator("#sign-out button").isVisible(), true);
}));

await test("when the server is away the page says from when it is, and recovers by itself", () => withPage({}, async (page) => {
  await at(page, "overview-60");
  server.answer(() => { throw new Error("away"); });
  const html = await text("overview-60");
  let away = true;
  await page.route("**/*", (route) => (away ? route.abort() : route.continue()));
  server.cut();
  await page.waitForSelector("#b-cut", { timeout: SLOW });
  assert.match(await page.locator("#live").innerText(), /^as of \d\d:\d\d$/);
  away = false;
  server.answer(() => html);
  await page.waitForSelector("#b-cut", { state: "detached", timeout: SLOW });
  assert.match(await page.locator("#live").innerText(), /live/);
}));

await test("where events cannot get through the page polls", () => withPage({}, async (page) => {
  server.show("overview-60");
  await page.addInitScript(() => { delete window.EventSource; });
  const html = (await text("overview-60-next")).replace(/data-refresh="\d+"/, 'data-refresh="1000"');
  server.answer(async (url) => ((await text("overview-60")).replace(/data-refresh="\d+"/, 'data-refresh="1000"')));
  await page.goto(`${server.url}/`);
  server.answer(() => html);
  await page.waitForFunction(() => document.querySelector("#rows-broken")?.textContent.includes("mkdocs"), null, { timeout: SLOW });
}));

await test("the keyboard reaches everything", () => withPage({}, async (page) => {
  await at(page, "overview-60");
  const focus = () => page.evaluate(() => document.activeElement.closest(".row")?.querySelector(".main").textContent ?? document.activeElement.id);
  await page.keyboard.press("j");
  assert.match(await focus(), /firmware-nightly/);
  await page.keyboard.press("j");
  await page.keyboard.press("ArrowDown");
  assert.match(await focus(), /checkout/);
  await page.keyboard.press("k");
  assert.match(await focus(), /ledger-api/);
  await page.keyboard.press("/");
  assert.equal(await focus(), "q");
  await page.keyboard.press("Escape");
  assert.notEqual(await focus(), "q");
  await page.keyboard.press("?");
  assert.equal(await page.evaluate(() => document.querySelector("#help").open), true);
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.querySelector("#help").open), false);
  const theme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  assert.equal(await theme(), "light dark");
  await page.keyboard.press("t");
  assert.equal(await theme(), "dark");
  await page.reload();
  assert.equal(await theme(), "dark", "the theme is forgotten");
  await page.locator(".main").first().focus();
  await Promise.all([page.waitForURL(/\/projects\/jenkins-prod\//), page.keyboard.press("Enter")]);
}));

await test("search narrows while one types, in the URL and without losing the text", () => withPage({}, async (page) => {
  await at(page, "overview-60");
  server.answer(async (url) => (url.searchParams.get("q") ? (await text("overview-3")).replace('value=""', `value="${url.searchParams.get("q")}"`) : text("overview-60")));
  await page.keyboard.press("/");
  await page.keyboard.type("led");
  await page.waitForURL(/\?q=led$/);
  await page.waitForFunction(() => document.querySelectorAll(".row").length === 3, null, { timeout: SLOW });
  assert.equal(await page.locator("#q").inputValue(), "led");
  assert.equal(await page.evaluate(() => document.activeElement.id), "q");
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.querySelectorAll(".row").length === 60, null, { timeout: SLOW });
  await page.locator("#chip-broken").click();
  await page.waitForURL(/\?status=broken$/);
  await page.goBack();
  await page.waitForURL((url) => !url.search);
}));

await test("without JavaScript filters, sorting, search and paging are plain links and one form", () => withPage({ javaScriptEnabled: false }, async (page) => {
  server.show("overview-1200");
  await page.goto(`${server.url}/`);
  await page.locator("#chip-broken").click();
  assert.equal(new URL(page.url()).search, "?status=broken");
  await page.goto(`${server.url}/`);
  await page.locator("#menu-sort summary").click();
  await page.locator("#menu-sort a", { hasText: "slowest" }).click();
  assert.equal(new URL(page.url()).search, "?sort=duration");
  await page.goto(`${server.url}/`);
  await page.locator("#paging a[rel=next]").click();
  assert.equal(new URL(page.url()).search, "?page=2");
  await page.locator("#q").fill("a b");
  await page.locator("#q").press("Enter");
  assert.equal(new URL(page.url()).search, "?q=a+b");
  assert.equal(await page.locator(".js:visible").count(), 0, "buttons that do nothing are shown");
}));

await test("on a phone pages, search and live state are behind one button", () => withPage({ viewport: { width: 390, height: 800 }, hasTouch: true }, async (page) => {
  await at(page, "overview-60");
  assert.equal(await page.locator("#q").isVisible(), false);
  await page.locator("#menu-button").click();
  for (const what of ["#q", "#live", "#menu nav a[aria-current]", "#menu nav a[data-key=m]"]) assert.equal(await page.locator(what).isVisible(), true, what);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#q").isVisible(), false);
}));

await test("text from outside is text", () => withPage({}, async (page) => {
  await page.goto(`${server.url}/as/odd-names`);
  const made = await page.evaluate(() => document.querySelectorAll("main script, main img, main b > b").length);
  assert.equal(made, 0);
}));

await test("of many rows only those in view are laid out", () => withPage({}, async (page) => {
  await at(page, "overview-100-rows");
  const seen = () => page.evaluate(() => [...document.querySelectorAll(".row .name")].filter((e) => e.checkVisibility({ contentVisibilityAuto: true })).length);
  assert(await seen() < 60, `${await seen()} rows are laid out`);
  await page.evaluate(() => document.querySelectorAll(".row")[99].scrollIntoView());
  await page.waitForFunction(() => document.querySelectorAll(".row .name")[99].checkVisibility({ contentVisibilityAuto: true }), null, { timeout: SLOW });
}));

/** Makes the tab hidden, or seen again, as far as the page can tell. */
const hide = (page, hidden) => page.evaluate((hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}, hidden);

/** How often the page itself was asked for. */
const fetches = () => server.asked.filter((address) => !address.includes("/static/") && !address.includes("/api/")).length;

for (const name of ["overview-3", "project", "sources", "merge-requests", "sources-reading"]) {
  await test(`${name}: a hidden tab costs nothing, and catches up when it is seen`, () => withPage({}, async (page) => {
    await page.addInitScript(() => {
      window.EventSource = class extends EventSource {
        constructor(address) {
          super(address);
          this.addEventListener("board", () => { window.heard = true; });
        }
      };
    });
    await page.clock.install({ time: NOW });
    await at(page, name);
    await hide(page, true);
    // What was on its way when it was hidden may still come.
    await page.waitForLoadState("networkidle");
    const before = fetches();
    server.send("board", { version: "3.18", changes: [], resync: true, sources: true }, "3.18");
    await page.waitForFunction(() => window.heard, null, { timeout: SLOW });
    await page.clock.runFor(10 * 60_000);
    const until = Date.now() + SLOW;
    while (server.streams() > 0) {
      assert(Date.now() < until, "a hidden tab keeps its connection");
      await new Promise((r) => setTimeout(r, 10));
    }
    assert.equal(fetches(), before, "a hidden tab asked");
    const asked = page.waitForRequest((request) => request.resourceType() === "fetch" && !request.url().includes("/api/"), { timeout: SLOW });
    await hide(page, false);
    await asked;
    await listening();
  }));
}

await test("a tab that was opened in the background begins when it is seen", () => withPage({}, async (page) => {
  await page.addInitScript(() => Object.defineProperty(document, "hidden", { value: true, configurable: true }));
  server.show("overview-3");
  await page.goto(`${server.url}/`, { waitUntil: "networkidle" });
  assert.equal(server.streams(), 0, "it listens already");
  await hide(page, false);
  await listening();
}));

await test("figures are asked for by the clock, not with every change of the board", () => withPage({}, async (page) => {
  await page.clock.install({ time: NOW });
  await at(page, "sources");
  const before = fetches();
  server.send("board", { version: "3.18", changes: [{ source: "gitlab-main", id: "1" }] }, "3.18");
  server.send("board", { version: "3.19", changes: [], work: [{ source: "gitlab-main", id: "1" }] }, "3.19");
  await page.waitForLoadState("networkidle");
  assert.equal(fetches(), before, "a run that ended is no news here");
  server.show("sources-down");
  await page.clock.runFor(10_000);
  await page.waitForFunction(() => document.querySelector("#headline").textContent.includes("do not answer"), null, { timeout: SLOW });
  server.show("sources");
  server.send("board", { version: "3.20", changes: [], sources: true }, "3.20");
  await page.waitForFunction(() => document.querySelector("#headline").textContent.includes("All 4"), null, { timeout: SLOW });
}));

await browser.close();
await server.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
