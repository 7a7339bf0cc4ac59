// Walks the page of a shop's owner in a real browser while a federation of real programs runs. See README.md.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

import { accessibility, keyboard, layout, watch } from "./checks.mjs";
import { Federation } from "./federation.mjs";
import { lookUp, rules, signIn, signOut, updates } from "./deeds.mjs";

const { values: options } = parseArgs({
  options: {
    souk: { type: "string" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    customers: { type: "string", default: "1000" },
    screenshots: { type: "string" },
    pictures: { type: "string" },
  },
});
if (!options.souk) {
  console.error("usage: node walk.mjs --souk target/debug/souk [--chromium PROGRAM] [--customers N] [--screenshots DIR] [--pictures DIR]");
  process.exit(64);
}

const PLACES = ["/", "/left", "/privacy", "/gain", "/data", "/rounds", "/customer", "/rules", "/experiment", "/unmatched", "/keys"];
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const LOCALES = { en: "en-GB", zh: "zh-CN" };
const STEP_MS = 60_000;

let failures = 0;

/** One line for what was looked at. */
function report(what, troubles, detail = "") {
  console.log(`${troubles.length ? "FAIL" : "ok  "} ${what}${detail && `  ${detail}`}`);
  for (const trouble of troubles) console.log(`       ${trouble}`);
  failures += troubles.length ? 1 : 0;
}

/** The same for something that either works or throws. */
async function attempt(what, deed) {
  try {
    report(what, [], await deed());
  } catch (error) {
    report(what, [error.message ?? String(error)]);
  }
}

const federation = await Federation.start(options.souk, options.customers);
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});

async function open(settings, storageState) {
  const context = await browser.newContext({ baseURL: federation.origin, storageState, ...settings });
  context.setDefaultTimeout(STEP_MS);
  const troubles = watch(context, federation.origin);
  return { context, page: await context.newPage(), troubles };
}

/** A change is seen on an open page without its being loaded again, while rounds run. */
async function live(storageState) {
  const { context, page, troubles } = await open(DESKTOP, storageState);
  // So that what changes the page is the stream, and not the look once a minute.
  await page.addInitScript(() => { globalThis.setInterval = () => 0; });
  await page.goto("/rounds");
  await page.evaluate(() => { globalThis.loadedOnce = true; });
  const heard = () => page.locator("#heard tbody tr").count();
  const before = await heard();
  await page.waitForFunction((rows) => document.querySelectorAll("#heard tbody tr").length > rows, before, { timeout: 150_000 });
  const after = await heard();
  if (!(await page.evaluate(() => globalThis.loadedOnce))) throw new Error("the page was loaded again");
  const background = troubles();
  if (background.length) throw new Error(background.join("; "));
  await context.close();
  return `${before} rows, then ${after}`;
}

async function walk(name, lang, settings, storageState, places) {
  const { context, page, troubles } = await open({ ...settings, locale: LOCALES[lang] }, storageState);
  for (const place of places) {
    const found = [];
    let detail = "";
    const answer = await page.goto(place);
    if (answer.status() !== 200) found.push(`status ${answer.status()}`);
    found.push(...(await layout(page, lang)));
    if (settings.javaScriptEnabled !== false) {
      const { passes, troubles: violations } = await accessibility(page);
      found.push(...violations);
      detail = `${passes} rules of axe`;
    }
    found.push(...troubles());
    report(`${name} ${place}`, found, detail);
    if (options.screenshots) {
      const file = `${name} ${place === "/" ? "today" : place}`.replace(/[^a-z0-9]+/gi, "-");
      await page.screenshot({ path: join(options.screenshots, `${file}.png`), fullPage: true });
    }
  }
  await context.close();
}

/** Until all rounds are over, and lists were made from what they taught: what is looked at then changes no more by itself. */
async function settle(storageState) {
  const { context, page } = await open(DESKTOP, storageState);
  for (let tries = 0; tries < 150; tries += 1) {
    await page.goto("/rounds");
    const goesOn = await page.locator("#next p.good, #next p.bad").count();
    await page.goto("/");
    const isFresh = (await page.locator("#card-lists").textContent()).includes("from round");
    if (!goesOn && isFresh) {
      await context.close();
      return `after ${tries} looks`;
    }
    await page.waitForTimeout(2_000);
  }
  throw new Error("the federation's rounds were not over, and lists not made from them, within five minutes");
}

/** The pictures of the docs: small, and without what a phone's screen does not show at once. */
async function pictures(storageState) {
  for (const [file, place, size, part] of [
    ["today", "/", DESKTOP],
    ["today-phone", "/", PHONE],
    ["customer", `/customer?user=${federation.customer}`, DESKTOP, "#list"],
    ["privacy", "/privacy", DESKTOP],
  ]) {
    const { context, page } = await open({ ...size, locale: LOCALES.en }, storageState);
    await page.goto(place);
    await (part ? page.locator(part) : page).screenshot({ path: join(options.pictures, `${file}.png`) });
    await context.close();
  }
  console.log(await federation.client("recommend", federation.customer, "-k", "3", "--explain"));
  return options.pictures;
}

try {
  if (options.screenshots) mkdirSync(options.screenshots, { recursive: true });
  const token = readFileSync(join(federation.dir, "http", "token"), "utf8").trim();
  let session;
  await attempt("sign in by a link, once", async () => { session = await signIn(open, federation.link); });
  await attempt("a change is seen while rounds run", () => live(session));
  const looked = `/customer?user=${federation.customer}`;
  for (const lang of Object.keys(LOCALES)) {
    for (const [device, size] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      for (const colorScheme of ["light", "dark"]) {
        await walk(`${lang} ${device} ${colorScheme}`, lang, { ...size, colorScheme }, session, [...PLACES, looked]);
      }
      await walk(`${lang} ${device} without scripts`, lang, { ...size, javaScriptEnabled: false }, session, [...PLACES, looked]);
    }
    await walk(`${lang} signed out`, lang, DESKTOP, undefined, ["/signin"]);
  }
  for (const place of [...PLACES, looked]) {
    const { context, page } = await open(DESKTOP, session);
    await page.goto(place);
    const { reached, troubles } = await keyboard(page);
    report(`keyboard ${place}`, troubles, `${reached} stops`);
    await context.close();
  }
  await attempt("all rounds are over", () => settle(session));
  for (const javaScriptEnabled of [true, false]) {
    const how = javaScriptEnabled ? "" : " without scripts";
    const visit = () => open({ ...DESKTOP, javaScriptEnabled }, session);
    await attempt(`a customer is looked up${how}`, () => lookUp(visit, federation.customer));
    await attempt(`rules: an error, a preview, saved${how}`, () => rules(visit, federation));
    await attempt(`sign in by the token, sign out${how}`, () => signOut((settings) => open({ ...settings, javaScriptEnabled }), token));
  }
  await attempt("what left can be had byte for byte", () => updates(() => open(DESKTOP, session)));
  if (options.pictures) await attempt("pictures", () => pictures(session));
} finally {
  await browser.close();
  await federation.end();
}
console.log(failures ? `${failures} of the above failed` : "all is well");
process.exit(failures ? 1 : 0);
