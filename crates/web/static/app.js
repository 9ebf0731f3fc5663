// Makes the pages live. Every page is complete without this file; here it is fetched again when the board changes, and
// what differs is altered in place: a node that says the same stays the very same node, with its focus and selection.

const root = document.documentElement;
const base = root.dataset.base ?? "";
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/* How numbers and spans of time read: the rules of src/pages/format.rs; tests/browser/format.json holds both to them. */

const MINUTE = 60, HOUR = 3600, DAY = 86400, YEAR = 365 * DAY;
const two = (n) => String(n).padStart(2, "0");
export const number = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
export function duration(seconds) {
  const s = Math.floor(seconds);
  if (s <= 0) return seconds > 0 ? "< 1 s" : "0 s";
  if (s < MINUTE) return `${s} s`;
  if (s < HOUR) return `${Math.floor(s / MINUTE)} m ${two(s % MINUTE)} s`;
  if (s < DAY) return `${Math.floor(s / HOUR)} h ${two(Math.floor((s % HOUR) / MINUTE))} min`;
  const hours = Math.floor((s % DAY) / HOUR);
  return hours === 0 || s >= 10 * DAY ? `${Math.floor(s / DAY)} d` : `${Math.floor(s / DAY)} d ${hours} h`;
}
export function lasting(seconds) {
  if (seconds < MINUTE) return "under 1 min";
  return seconds < HOUR ? `${Math.floor(seconds / MINUTE)} min` : duration(seconds);
}
export function words(seconds) {
  if (seconds < MINUTE) return "less than a minute";
  const [n, unit] = seconds < HOUR ? [seconds / MINUTE, "minute"] : seconds < 2 * DAY ? [seconds / HOUR, "hour"] : [seconds / DAY, "day"];
  return `${Math.floor(n)} ${unit}${Math.floor(n) === 1 ? "" : "s"}`;
}
export function ago(seconds) {
  if (seconds < MINUTE) return "now";
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  return seconds < YEAR ? `${Math.floor(seconds / DAY)} d ago` : `${Math.floor(seconds / YEAR)} y ago`;
}
export function until(seconds) {
  if (seconds < 1) return "now";
  if (seconds < MINUTE) return `in ${Math.floor(seconds)} s`;
  return seconds < HOUR ? `in ${Math.ceil(seconds / MINUTE)} min` : `in ${Math.ceil(seconds / HOUR)} h`;
}
export function left(elapsed, expected, overdue = Infinity) {
  const rest = expected - elapsed;
  if (rest >= 0) {
    if (rest < MINUTE) return "less than 1 min left";
    return rest < 90 * MINUTE ? `about ${Math.floor((rest + 30) / MINUTE)} min left` : `about ${Math.floor((rest + 1800) / HOUR)} h left`;
  }
  const late = elapsed > overdue;
  if (-rest < MINUTE) return late ? "overdue" : "about to end";
  return `${late ? "overdue, " : ""}${lasting(-rest)} longer than usual`;
}

/** A moment in the reader's own time zone: `14:02`, with its day when that is another one. */
function clock(at, now) {
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (at.toDateString() === now.toDateString()) return time;
  const day = `${at.getDate()} ${at.toLocaleString("en", { month: "short" })}`;
  return at.getFullYear() === now.getFullYear() ? `${day} ${time}` : `${day} ${at.getFullYear()} ${time}`;
}
const exact = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts().find((p) => p.type === "timeZoneName")?.value ?? "";

/* Times tick */

/** How far this computer's clock is ahead of the server's, in milliseconds; small differences are none. */
let ahead = 0;
const SKEW_WORTH_CORRECTING = 30_000;

function learnSkew(response) {
  const at = Date.parse(response.headers.get("date") ?? "");
  const skew = Number.isNaN(at) ? 0 : Date.now() - at;
  ahead = Math.abs(skew) > SKEW_WORTH_CORRECTING ? skew : 0;
}

function say(element, now) {
  const kind = element.dataset.t;
  const at = Date.parse(kind === "left" ? element.dataset.from : element.dateTime);
  const seconds = (now - at) / 1000;
  switch (kind) {
    case "ago": return ago(seconds);
    case "lasting": return lasting(Math.max(0, seconds));
    case "words": return words(Math.max(0, seconds));
    case "until": return until(-seconds);
    case "clock": return clock(new Date(at), new Date(now));
    case "left": return left(Math.max(0, seconds), Number(element.dataset.expected), Number(element.dataset.overdue ?? Infinity));
  }
  return element.textContent;
}

function setText(element, text) {
  if (element.textContent === text) return;
  const selection = getSelection();
  if (selection && !selection.isCollapsed && selection.containsNode(element, true)) return;
  if (element.firstChild?.nodeType === Node.TEXT_NODE && element.childNodes.length === 1) element.firstChild.data = text;
  else element.textContent = text;
}

function tick(within = document) {
  const now = Date.now() - ahead;
  for (const element of $$("[data-t]", within)) {
    const text = say(element, now);
    if (!text.includes("NaN")) setText(element, text);
  }
  for (const bar of $$("progress[data-from]", within)) {
    const elapsed = Math.floor((now - Date.parse(bar.dataset.from)) / 1000);
    const value = String(Math.max(0, Math.min(bar.max, elapsed)));
    if (bar.getAttribute("value") !== value) bar.setAttribute("value", value);
    bar.classList.toggle("overdue", elapsed > Number(bar.dataset.overdue ?? Infinity));
  }
}

/** Exact times in the reader's zone; once for each element, ticking leaves them alone. */
function localise(within = document) {
  for (const time of $$("time[datetime]", within)) {
    const at = Date.parse(time.dateTime);
    if (!Number.isNaN(at)) time.title = `${exact.format(at)} ${zone}`;
  }
}

/* Altering a page in place */

const KEPT_BY_THE_READER = new Set(["open", "popover-open"]);
const kind = (node) => (node.nodeType === Node.ELEMENT_NODE ? `${node.nodeName}.${node.classList[0] ?? ""}` : node.nodeName);

function syncAttributes(old, next) {
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value && !KEPT_BY_THE_READER.has(name)) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name) && !KEPT_BY_THE_READER.has(name)) old.removeAttribute(name);
  }
  if (old instanceof HTMLInputElement && old !== document.activeElement && old.value !== (next.getAttribute("value") ?? "")) {
    old.value = next.getAttribute("value") ?? "";
  }
}

/** Positions of a longest rising run among `places`; -1 is no place. */
export function longestRising(places) {
  const tails = [], before = new Array(places.length).fill(-1);
  places.forEach((place, i) => {
    if (place < 0) return;
    let [low, high] = [0, tails.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places[tails[middle]] < place) low = middle + 1;
      else high = middle;
    }
    if (low > 0) before[i] = tails[low - 1];
    tails[low] = i;
  });
  const stay = new Set();
  for (let i = tails.at(-1) ?? -1; i >= 0; i = before[i]) stay.add(i);
  return stay;
}

class Morph {
  constructor(old, next) {
    this.ids = new Map($$("[id]", old).map((node) => [node.id, node]));
    this.wanted = new Set($$("[id]", next).map((node) => node.id));
    /** Nodes that changed their place among their siblings. */
    this.moved = new Set();
    this.limbo = document.createElement("div");
    this.limbo.hidden = true;
    document.body.append(this.limbo);
    this.node(old, next);
    this.limbo.remove();
  }

  node(old, next) {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = next.data;
      return;
    }
    syncAttributes(old, next);
    this.children(old, next);
  }

  children(old, next) {
    const olds = [...old.childNodes], news = [...next.childNodes];
    const used = new Set();
    let from = 0;
    const partners = news.map((node) => {
      let partner = null;
      if (node.id) {
        partner = this.ids.get(node.id) ?? null;
        if (partner?.nodeName !== node.nodeName || partner?.contains(old)) partner = null;
      } else {
        for (let i = from; i < olds.length; i += 1) {
          if (used.has(olds[i]) || olds[i].id || kind(olds[i]) !== kind(node)) continue;
          [partner, from] = [olds[i], i + 1];
          break;
        }
      }
      if (partner) used.add(partner);
      return partner;
    });
    for (const node of olds) if (!used.has(node)) this.remove(node);
    const places = new Map(olds.map((node, i) => [node, i]));
    const stay = longestRising(partners.map((partner) => (partner?.parentNode === old ? (places.get(partner) ?? -1) : -1)));
    let after = null;
    for (let i = news.length - 1; i >= 0; i -= 1) {
      let node = partners[i];
      if (!node) {
        node = old.insertBefore(document.importNode(news[i], true), after);
        this.rescue(node);
      } else {
        if (!stay.has(i)) this.move(node, old, after);
        this.node(node, news[i]);
      }
      after = node;
    }
  }

  /** What a new node brings along may be here already: the old one takes its place. */
  rescue(fresh) {
    if (fresh.nodeType !== Node.ELEMENT_NODE) return;
    for (const copy of $$("[id]", fresh)) {
      const known = this.ids.get(copy.id);
      if (!known || !fresh.contains(copy) || known.nodeName !== copy.nodeName || known.contains(fresh)) continue;
      this.move(known, copy.parentNode, copy);
      copy.remove();
      this.node(known, copy);
    }
  }

  move(node, parent, before) {
    this.moved.add(node);
    try {
      if (parent.moveBefore && node.isConnected && parent.isConnected) return parent.moveBefore(node, before);
    } catch { /* not every move can keep state: the plain one always works */ }
    return parent.insertBefore(node, before);
  }

  remove(node) {
    if (node.nodeType === Node.ELEMENT_NODE) {
      if (node.id && this.wanted.has(node.id)) return this.move(node, this.limbo, null);
      for (const inner of $$("[id]", node)) {
        if (this.wanted.has(inner.id) && node.contains(inner)) this.move(inner, this.limbo, null);
      }
    }
    node.remove();
  }
}

/** What slides to its new place: leaves and the boxes around them, outer ones first. */
const SLIDING = "#banners, #news, #filters, .card, .card-head, .row, #folded, #paging, .foot";
const SLIDE = { duration: 260, easing: "cubic-bezier(.2, .7, .2, 1)" };
const onScreen = (box) => box.bottom > 0 && box.top < innerHeight;

function boxes() {
  return new Map($$(SLIDING).map((element) => [element, element.getBoundingClientRect()]));
}

/** Lets everything that is elsewhere now slide there, each relative to the box around it. */
function slide(before) {
  if (calm.matches) return;
  const shifts = new Map();
  const after = boxes();
  for (const [element, box] of after) {
    const was = before.get(element);
    if (!was) continue;
    const around = shifts.get(element.parentElement?.closest(SLIDING)) ?? 0;
    const shift = was.top - box.top;
    shifts.set(element, shift);
    const own = shift - around;
    if (Math.abs(own) < 1 || !(onScreen(was) || onScreen(box))) continue;
    element.animate([{ transform: `translateY(${own}px)` }, { transform: "none" }], SLIDE);
  }
}

function glow(shapes) {
  if (calm.matches) return;
  for (const row of $$(".row[data-shape]")) {
    const [was, is] = [shapes.get(row), row.dataset.shape];
    if (!was || was === is) continue;
    const name = is === "failed" ? "glow-bad" : is === "success" && was === "failed" ? "glow-good" : null;
    if (!name) continue;
    row.classList.add(name);
    const colour = getComputedStyle(row).getPropertyValue("--glow");
    row.classList.remove(name);
    row.animate([{ backgroundColor: colour }, {}], { duration: 2400, easing: "ease-out" });
  }
}

/** Puts a fetched page in the place of this one. */
export function apply(next) {
  tick(next);
  localise(next);
  const [main, newMain] = [$("#main"), $("#main", next)];
  if (!main || !newMain) return location.reload();
  const focused = document.activeElement;
  const rowIndex = links().indexOf(focused);
  const before = boxes();
  const shapes = new Map($$(".row[data-shape]").map((row) => [row, row.dataset.shape]));
  const headline = $("#headline")?.textContent;

  for (const name of ["version", "loading", "refresh"]) {
    if (name in next.documentElement.dataset) root.dataset[name] = next.documentElement.dataset[name];
    else delete root.dataset[name];
  }
  if (document.title !== next.title) document.title = next.title;
  const [icon, newIcon] = [$("#favicon"), $("#favicon", next)];
  if (icon && newIcon && icon.getAttribute("href") !== newIcon.getAttribute("href")) icon.setAttribute("href", newIcon.getAttribute("href"));
  new Morph($("#top"), $("#top", next));
  const { moved } = new Morph(main, newMain);

  // Keep in place what is looked at: the row that has the focus or is pointed at, else the first that is seen.
  if (scrollY > 0) {
    const still = [...before.keys()].filter((e) => e.isConnected && e.matches(".row, .log-line, #filters") && !moved.has(e) && onScreen(before.get(e)));
    const looked = still.find((e) => e.contains(focused)) ?? still.find((e) => e.matches(":hover")) ?? still.find((e) => before.get(e).top >= 0);
    if (looked) {
      const by = looked.getBoundingClientRect().top - before.get(looked).top;
      if (by) scrollBy({ top: by, behavior: "instant" });
    }
  }
  slide(before);
  glow(shapes);
  if (document.activeElement !== focused) {
    if (focused.isConnected) focused.focus({ preventScroll: true });
    else if (rowIndex >= 0) links()[Math.min(rowIndex, links().length - 1)]?.focus({ preventScroll: true });
  }
  const said = $("#headline")?.textContent;
  if (said && said !== headline) $("#say").textContent = said;
  afterPage();
}

/* Asking again */

/** Rows do not change places under a pointer that moved so shortly ago (ms). */
const POINTER_REST = 1000;
let pointed = -Infinity, pressed = false;
addEventListener("pointermove", (event) => { if (event.target.closest?.("#rows")) pointed = performance.now(); }, { passive: true });
addEventListener("pointerdown", () => { pressed = true; }, { passive: true });
for (const name of ["pointerup", "pointercancel", "blur"]) addEventListener(name, () => { pressed = false; }, { passive: true });

function reorders(next) {
  const order = (within) => $$("#rows .row[id]", within).map((row) => row.id);
  const [old, fresh] = [order(document), order(next)];
  return old.length !== fresh.length || old.some((id, i) => id !== fresh[i]);
}

let asking = null, again = false, waiting = null, loadingTries = 0, awaySince = null;

/** Fetches this address and applies it. `now`: because the reader asked, so nothing is put off. */
async function refresh({ now = false } = {}) {
  if (document.hidden && !now) { again = true; return; }
  if (asking) {
    if (!now) { again = true; return; }
    asking.abort();
  }
  again = false;
  clearTimeout(waiting);
  const mine = (asking = new AbortController());
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-cache", signal: mine.signal });
    learnSkew(response);
    const body = await response.text();
    if (mine.signal.aborted) return;
    if (response.status >= 500) throw new Error(`status ${response.status}`);
    const next = new DOMParser().parseFromString(body, "text/html");
    // The session is over: what came is the way in, which is another kind of page.
    if (!$("#top", next)) return location.assign(response.url);
    if (response.redirected) history.replaceState(history.state, "", response.url);
    connected();
    settle(next, now);
  } catch (error) {
    if (error.name !== "AbortError") cut();
  } finally {
    if (asking === mine) {
      asking = null;
      if (again) refresh();
    }
  }
}

function settle(next, now) {
  const rest = POINTER_REST - (performance.now() - pointed);
  if (!now && (pressed || (rest > 0 && reorders(next)))) {
    waiting = setTimeout(() => settle(next, false), Math.max(rest, 100));
    return;
  }
  apply(next);
}

/** The server cannot be reached: the page says from when it is. */
function cut() {
  if (!awaySince) awaySince = new Date();
  if ($("#b-cut") || !$("#banners")) return;
  const banner = document.importNode($("#t-cut").content, true);
  $("time", banner).dateTime = awaySince.toISOString();
  $("#banners").append(banner);
  tick($("#banners"));
  const pill = $("#live");
  pill.className = "pill live-away";
  pill.lastElementChild.textContent = `as of ${clock(awaySince, new Date())}`;
}

function connected() {
  awaySince = null;
}

/* Live events */

/** A hidden tab gives its connection back after so long (ms): browsers allow only a few to one server. */
const HIDDEN_FOR = 10_000;
const LOST_AFTER = 1500, RECONNECT_AFTER = 5000;
let stream = null, polling = null, hiding = null, losing = null;

function listen() {
  if (stream || !("EventSource" in window)) return poll(!stream);
  stream = new EventSource(`${base}/api/v1/events/stream`);
  stream.addEventListener("open", () => { clearTimeout(losing); losing = null; poll(false); if (awaySince) refresh(); });
  stream.addEventListener("error", () => {
    // A server that was only started again is back before anybody has to know.
    losing ??= setTimeout(() => refresh(), LOST_AFTER);
    poll(true);
    // The browser itself tries again after a broken connection, but not after a refusal.
    if (stream?.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(() => { if (!document.hidden) listen(); }, RECONNECT_AFTER);
    }
  });
  stream.addEventListener("link", () => refresh());
  stream.addEventListener("board", (event) => {
    let news = {};
    try { news = JSON.parse(event.data); } catch { /* any event means that something is new */ }
    const version = event.lastEventId || news.version;
    if (version && version === root.dataset.version) return;
    if (news.resync || news.sources || concerns(news)) refresh();
  });
}

/** Whether a page says anything of what changed: `changes` are projects, `work` those whose merge requests or issues did. */
function concerns({ changes = [], work }) {
  if (!changes.length && !work) return true;
  const { source, id } = $("#news")?.dataset ?? {};
  if (id) return [...changes, ...(work ?? [])].some((change) => change.source === source && change.id === id);
  const feeds = root.dataset.feeds ?? "board";
  // Figures go with no change: they are asked for by the clock.
  if (feeds === "figures") return false;
  return feeds === "both" || (feeds === "work" ? Boolean(work) : changes.length > 0);
}

/** Lists and projects are read more often while somebody looks at them: an open page says so this often (ms). */
const LOOKING = 60_000;
/** Figures change all the time: a page of them is asked for this often (ms). */
const FIGURES = 10_000;

const lookEvery = () => (root.dataset.feeds === "figures" ? FIGURES : LOOKING);

/** Asks again by the clock, while the page is seen. */
function lookAgain() {
  if (!document.hidden && ("feeds" in root.dataset || $("#news")?.dataset.id)) refresh();
  setTimeout(lookAgain, lookEvery());
}

/** Asks every `data-refresh` ms, where live events cannot get through. */
function poll(on) {
  if (on && polling) return;
  clearInterval(polling);
  polling = on ? setInterval(() => refresh(), Math.max(1000, Number(root.dataset.refresh) || 5000)) : null;
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => { stream?.close(); stream = null; poll(false); again = true; }, HIDDEN_FOR);
  } else {
    tick();
    if (!stream) listen();
    if (again) refresh();
  }
});

/** What is on its way is asked for again, ever less often. */
let loadingTimer = null;
function afterPage() {
  clearTimeout(loadingTimer);
  loadingTries = "loading" in root.dataset ? loadingTries + 1 : 0;
  if (loadingTries) loadingTimer = setTimeout(() => refresh(), Math.min(5000, 500 * 2 ** Math.min(loadingTries, 4)));
}

/* Search and filters: the same address that a plain link or form would open */

const SEARCH_REST = 180;
const form = () => $("#search");
const onOverview = () => new URL(form().action).pathname === location.pathname;
let typing = null;

function searched() {
  const url = new URL(form().action);
  for (const [key, value] of new FormData(form())) if (value.trim()) url.searchParams.append(key, value.trim());
  return url.href;
}

function go(href, how) {
  if (href === location.href) return;
  history[how](null, "", href);
  refresh({ now: true });
}

document.addEventListener("input", (event) => {
  if (event.target.id !== "q" || !onOverview()) return;
  clearTimeout(typing);
  typing = setTimeout(() => go(searched(), "replaceState"), SEARCH_REST);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "search" || !onOverview()) return;
  event.preventDefault();
  clearTimeout(typing);
  go(searched(), "replaceState");
  const first = links()[0];
  if (first && event.submitter === null) first.focus();
});
addEventListener("popstate", () => refresh({ now: true }));

document.addEventListener("click", (event) => {
  for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  const link = event.target.closest("a[href]");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey && !event.defaultPrevented;
  if (plain && link?.matches("#filters a, #folded a, #paging a, #empty a") && new URL(link.href).pathname === location.pathname) {
    event.preventDefault();
    link.closest("details")?.removeAttribute("open");
    go(link.href, "pushState");
    if (link.closest("#paging")) scrollTo({ top: 0, behavior: "instant" });
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) copied(copy);
  if (event.target.closest("#theme")) switchTheme();
  if (event.target.closest("#help-button")) $("#help").showModal();
});

async function copied(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it by hand";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function switchTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* for this page only, then */ }
}

/* Keys */

const links = () => $$(".row .main, .run-link, .job-link, .source-link");
let leader = 0;

function step(by) {
  const all = links();
  if (!all.length) return;
  const here = all.indexOf(document.activeElement);
  const there = here < 0 ? all.findIndex((link) => onScreen(link.getBoundingClientRect())) : here + by;
  const target = all[Math.max(0, Math.min(all.length - 1, there))];
  target?.focus({ preventScroll: true });
  target?.closest(".row, tr, .source")?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typingIn = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Escape") {
    const menu = $("details.menu[open]");
    if (menu) { menu.open = false; $("summary", menu).focus(); return; }
    if (typingIn?.id === "q") {
      if (typingIn.value) { typingIn.value = ""; typingIn.dispatchEvent(new Event("input", { bubbles: true })); }
      else typingIn.blur();
      event.preventDefault();
    }
    return;
  }
  if (typingIn || $("dialog[open]")) return;
  const inRow = links().includes(document.activeElement);
  const keys = {
    "/": () => { const menu = $("#menu"); if (!$("#q").checkVisibility()) menu.showPopover(); $("#q").focus(); $("#q").select(); },
    "?": () => $("#help").showModal(),
    j: () => step(1),
    k: () => step(-1),
    t: switchTheme,
    g: () => { leader = performance.now(); },
    ...(inRow && { ArrowDown: () => step(1), ArrowUp: () => step(-1) }),
  };
  const page = performance.now() - leader < 1000 && $$("#menu nav a").find((link) => link.dataset.key === event.key);
  if (page) keys[event.key] = () => location.assign(page.href);
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

/* Begin */

if ($("#main")) {
  tick();
  localise();
  setInterval(() => { if (!document.hidden) tick(); }, 1000);
  setTimeout(lookAgain, lookEvery());
  // One that was opened in the background begins when it is looked at.
  if (document.hidden) again = true;
  else listen();
  afterPage();
}
