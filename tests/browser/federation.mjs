// A federation of real programs on this machine, one shop of which serves its owner's page: `souk-sim demo --page`.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const START_MS = 120_000;

export class Federation {
  /** Starts it; resolves when the page is served. It ends when `end` is called, and when this process is gone. */
  static async start(souk, customers) {
    const home = mkdtempSync(join(tmpdir(), "souk-browser-"));
    const args = ["sim", "demo", "--page=127.0.0.1:0", "--customers", String(customers), "--keep", join(home, "fed")];
    // Its children find their own programs in the same file; it stays up until its input ends.
    const child = spawn(souk, args, { env: { ...process.env, SOUK_DEMO_PREFIX: "sim" }, stdio: ["pipe", "pipe", "inherit"] });
    const federation = new Federation(souk, home, child);
    await federation.line(/the page of (\S+)'s owner, for customers such as (\S+): (http:\S+)/, START_MS).then((found) => {
      [, federation.shop, federation.customer, federation.link] = found;
    });
    federation.origin = new URL(federation.link).origin;
    federation.dir = join(home, "fed", "shops", federation.shop);
    return federation;
  }

  constructor(souk, home, child) {
    Object.assign(this, { souk, home, child, said: [], waiting: [] });
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.said.push(line);
      this.waiting = this.waiting.filter((wait) => !wait(line));
    });
    this.ended = new Promise((resolve) => child.on("exit", (...how) => resolve(how)));
    // Nothing of it may outlive the walk, however that ends.
    process.on("exit", () => { child.kill(); rmSync(home, { recursive: true, force: true }); });
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
  }

  /** The first line that it has said or will say that matches. */
  line(pattern, mostMs) {
    const before = this.said.map((line) => line.match(pattern)).find(Boolean);
    if (before) return Promise.resolve(before);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the demo did not say ${pattern} within ${mostMs} ms, but:\n${this.said.join("\n")}`)), mostMs);
      this.waiting.push((line) => {
        const found = line.match(pattern);
        if (found) { clearTimeout(late); resolve(found); }
        return found;
      });
      this.ended.then(([code]) => { clearTimeout(late); reject(new Error(`the demo ended with ${code}:\n${this.said.join("\n")}`)); });
    });
  }

  /** What a command of the shop's program prints. */
  client(...args) {
    return new Promise((resolve, reject) => {
      const child = spawn(this.souk, ["client", ...args, "--dir", this.dir], { stdio: ["ignore", "pipe", "inherit"] });
      let said = "";
      child.stdout.on("data", (bytes) => { said += bytes; });
      child.on("exit", (code) => (code === 0 ? resolve(said.trim()) : reject(new Error(`souk client ${args.join(" ")} ended with ${code}`))));
    });
  }

  async end() {
    // Its children see that it is gone, and end too.
    this.child.kill();
    await this.ended;
  }
}
