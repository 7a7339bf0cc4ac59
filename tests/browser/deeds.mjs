// What an owner does on the page.

function ensure(holds, said) {
  if (!holds) throw new Error(said);
}

/** Signs in by a link, which works once; the session to go on with. */
export async function signIn(open, link) {
  const { context, page } = await open({});
  await page.goto(link);
  ensure(new URL(page.url()).pathname === "/", `the link leads to ${page.url()}`);
  const session = await context.storageState();
  await context.close();
  const second = await open({});
  const answer = await second.page.goto(link);
  ensure(answer.status() === 403, `used again, the link gives ${answer.status()}`);
  await second.page.locator("#trouble").waitFor();
  await second.context.close();
  return session;
}

/** Signs in by the token, and out again. */
export async function signOut(open, token) {
  const { context, page, troubles } = await open({});
  await page.goto("/privacy");
  await page.fill("#token", "wrong");
  await page.click("#signin button");
  await page.locator("#trouble").waitFor();
  // A browser's console has the refusal's status.
  troubles();
  await page.fill("#token", token);
  await page.click("#signin button");
  await page.locator("#sentence").waitFor();
  await page.click("#signout button");
  await page.locator("#signin").waitFor();
  await page.goto("/");
  ensure(new URL(page.url()).pathname === "/signin", "after signing out, pages still open");
  const found = troubles();
  ensure(found.length === 0, found.join("; "));
  await context.close();
}

/** A customer's list, with a reason for each item and the scores as a picture. */
export async function lookUp(visit, customer) {
  const { context, page, troubles } = await visit();
  await page.goto("/customer");
  await page.fill("#user", customer);
  await page.click("#look-up button");
  const rows = page.locator("#recommended tbody tr");
  await rows.first().waitFor();
  const count = await rows.count();
  const reasons = await page.locator("#recommended tbody tr:has(td ul li)").count();
  ensure(reasons === count, `${reasons} of ${count} items have a reason`);
  ensure((await page.locator("svg#scores title").textContent()).length > 20, "the picture does not say what it shows");
  const found = troubles();
  ensure(found.length === 0, found.join("; "));
  await context.close();
  return `${count} items`;
}

/** Updates have left under masks, and the bytes of one are what the page says they are. */
export async function updates(visit) {
  const { context, page } = await visit();
  const link = page.locator("#uploads a[download]").first();
  // The bytes of the last rounds are kept, and what the page lists is read every half minute.
  for (let tries = 0; tries < 60; tries += 1) {
    await page.goto("/left");
    if (await link.count()) break;
    await page.waitForTimeout(2_000);
  }
  const rows = await page.locator("#uploads tbody tr").count();
  ensure(await link.count(), `of ${rows} updates none can be had`);
  const said = Number((await link.textContent()).replace(/\D/g, ""));
  const answer = await context.request.get(await link.getAttribute("href"));
  const bytes = (await answer.body()).length;
  ensure(bytes === said, `the page says ${said} bytes, the file has ${bytes}`);
  await context.close();
  return `${rows} updates, one of ${bytes} bytes`;
}

/** Rules: an error is said at its field, a preview changes nothing, and what is saved is in force in the next list. */
export async function rules(visit, federation) {
  const { context, page, troubles } = await visit();
  const listed = async () => {
    await page.goto(`/customer?user=${federation.customer}`);
    return page.locator("#recommended tbody th code").allTextContents();
  };
  const send = async (text, button) => {
    await page.fill("#text", text);
    await page.fill("#user", federation.customer);
    await page.click(`#rules button[value=${button}]`);
  };
  const trouble = page.locator("#rules-trouble");
  // While lists are made from new data, the page says that nothing can be tried.
  for (let tries = 0; tries < 60; tries += 1) {
    await page.goto("/rules");
    await send("[[filter]]\nkeep = 'prise < 5'", "preview");
    if (!(await trouble.textContent()).includes("lists are being made")) break;
    await page.waitForTimeout(2_000);
  }
  ensure(/line 2.*column 1/s.test(await trouble.textContent()), `the error is said as ${await trouble.textContent()}`);
  ensure((await page.getAttribute("#text", "aria-describedby")).includes("rules-trouble"), "the field does not name its error");
  // A browser's console has the refusal's status.
  troubles();
  const [best] = await listed();
  await page.goto("/rules");
  const text = `never = [${JSON.stringify(best)}]\n`;
  await send(text, "preview");
  ensure((await page.locator("#left-out").textContent()).includes(best), `the preview does not leave out ${best}`);
  ensure((await listed()).includes(best), "a preview has changed a list");
  await page.goto("/rules");
  await send(text, "save");
  await page.locator("#saved").waitFor();
  ensure(!(await listed()).includes(best), `${best} is listed although it is saved under never`);
  await page.goto("/rules");
  ensure((await page.inputValue("#text")) === text, "the page does not show what was saved");
  await send("", "save");
  await page.locator("#saved").waitFor();
  ensure((await listed()).includes(best), "without rules the list is another");
  const found = troubles();
  ensure(found.length === 0, found.join("; "));
  await context.close();
  return `${best} taken out and let in again`;
}
