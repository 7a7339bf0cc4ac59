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
  await page.goto("/left");
  const rows = await page.locator("#uploads tbody tr").count();
  ensure(rows > 0, "nothing has left");
  const link = page.locator("#uploads a[download]").first();
  const said = Number((await link.textContent()).replace(/\D/g, ""));
  const answer = await context.request.get(await link.getAttribute("href"));
  const bytes = (await answer.body()).length;
  ensure(bytes === said, `the page says ${said} bytes, the file has ${bytes}`);
  await context.close();
  return `${rows} updates, one of ${bytes} bytes`;
}

/** Not there yet. */
export async function rules(visit) {
  const { context } = await visit();
  await context.close();
}
