// What every page is held to, in whatever browser it is looked at.
import axe from "axe-core";

const RULES = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"];

/** Collects what goes wrong in the background of every page of a browser's context. */
export function watch(context, origin) {
  const troubles = [];
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) troubles.push(`console: ${message.text()}`);
  });
  context.on("weberror", (error) => troubles.push(`script: ${error.error()}`));
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`)) troubles.push(`asked elsewhere: ${url}`);
  });
  context.on("requestfailed", (request) => {
    // A page that is left takes its stream along.
    const why = request.failure()?.errorText;
    if (why !== "net::ERR_ABORTED") troubles.push(`${request.url()}: ${why}`);
  });
  return () => troubles.splice(0);
}

/** Accessibility, by axe-core; needs scripts. */
export async function accessibility(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async (values) => {
    const { violations, passes } = await globalThis.axe.run(document, { runOnly: { type: "tag", values } });
    return {
      passes: passes.length,
      violations: violations.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" ")}`),
    };
  }, RULES);
  return { passes: found.passes, troubles: found.violations.map((violation) => `axe: ${violation}`) };
}

/** One heading, a title, the right language, and nothing wider than the screen. */
export async function layout(page, lang) {
  const found = await page.evaluate(() => ({
    lang: document.documentElement.lang,
    headings: document.querySelectorAll("h1").length,
    title: document.title,
    over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  }));
  const troubles = [];
  if (!found.lang.startsWith(lang)) troubles.push(`the language is ${found.lang}, not ${lang}`);
  if (found.headings !== 1) troubles.push(`${found.headings} headings of the first rank`);
  if (!found.title) troubles.push("no title");
  if (found.over > 0) troubles.push(`${found.over} px wider than the screen`);
  return troubles;
}

/** The skip link comes first and leads to the content; then everything that can be used is reached, and is seen to be. */
export async function keyboard(page) {
  const troubles = [];
  const focused = () => page.evaluate(() => {
    const on = document.activeElement;
    const style = getComputedStyle(on);
    const box = on.getBoundingClientRect();
    return {
      id: on.id, tag: on.tagName, text: on.textContent.trim().slice(0, 30), skips: on.classList.contains("skip"),
      marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
      seen: box.width > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
      stop: on === document.body ? -1 : [...document.querySelectorAll("*")].indexOf(on),
    };
  });
  await page.keyboard.press("Tab");
  const first = await focused();
  if (!first.skips || !first.seen) troubles.push("the first Tab does not show the link to the content");
  await page.keyboard.press("Enter");
  if ((await focused()).id !== "main") troubles.push("the link to the content does not lead there");
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await page.keyboard.press("Escape");
  // From the top again: focus begins where the last one was.
  await page.reload();
  const expected = await page.evaluate(() => {
    const usable = "a[href],button,input:not([type=hidden]),textarea,select,summary,[tabindex='0']";
    return [...document.querySelectorAll(usable)].filter((one) => one.getClientRects().length > 0).length;
  });
  const reached = new Set();
  for (let press = 0; press < expected + 5; press += 1) {
    await page.keyboard.press("Tab");
    const on = await focused();
    if (on.stop < 0 || reached.has(on.stop)) break;
    reached.add(on.stop);
    if (!on.marked || !on.seen) troubles.push(`focus is not seen on ${on.tag} "${on.text}"`);
  }
  if (reached.size < expected) troubles.push(`Tab reaches ${reached.size} of ${expected}`);
  return { reached: reached.size, troubles };
}
