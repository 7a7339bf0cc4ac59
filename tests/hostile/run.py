"""A federation of honest shops that runs rounds, and beside it an independent client that breaks every rule it can.

    python run.py --souk target/debug/souk --frames 2000

prints one JSON object; exit code 1 if the coordinator did not serve its honest shops throughout, took more memory than
its bound, or let somebody in whom it should not.
"""

import argparse
import asyncio
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

from peer import (
    CLOSES, ERRORS, PUSH, PUSHES, REPLIES, REPLY, become_member, blob, dial, foreign_identity, members, subscribe,
    take_frame,
)
from throw import Thrower, asks_nothing, holds_a_download, knock_and_run, never_reads

HONEST = ["north", "south", "west"]
PLAN = """name = "hostile"
rounds = 1000000
[model]
kind = "mf"
gmf_dim = 4
features = ["category"]
[train]
solver = "ials"
alpha = 0.1
lambda = 1.0
[privacy]
clip_norm = 1.0
noise_multiplier = 200.0
sampling_rate = 0.1
[cohort]
quorum = 3
deadline = "50s"
[server]
optimiser = "adam"
learning_rate = 0.05
"""


class Federation:
    """Real processes in a temporary folder; all end with it."""

    def __init__(self, souk, folder):
        self.souk, self.folder, self.processes = souk, pathlib.Path(folder), []
        self.home = self.folder / "coordinator"
        plan = PLAN + "".join(f'[[shops]]\nname = "{shop}"\ndeclared_users = 100\n' for shop in HONEST)
        (self.folder / "plan.toml").write_text(plan)
        items = "".join(f"i{i},Thing {i},c{i % 4},b{i % 3},{1 + i}\n" for i in range(40))
        (self.folder / "items.csv").write_text("item_id,title,category,brand,price\n" + items)
        self.run("coordinator", "init", self.home, "--name", "test", "--address", "127.0.0.1:0")
        # All at its defaults but this, so that who never reads comes up against it.
        configuration = self.home / "coordinator.toml"
        text = configuration.read_text().replace("[limits]", "[limits]\npush_bytes = 4096")
        configuration.write_text(text)
        self.run("coordinator", "catalogue", "import", self.folder / "items.csv", "--dir", self.home)

    def run(self, program, *args):
        done = subprocess.run([self.souk, program, *map(str, args)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{program} {args}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, log, *args):
        out = open(self.folder / log, "w")
        process = subprocess.Popen([self.souk, *map(str, args)], stdout=out, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def serve(self):
        self.coordinator = self.start(
            "serve.log", "coordinator", "serve", "--dir", self.home, "--plan", self.folder / "plan.toml",
            "--listen", "127.0.0.1:0",
        )
        until(lambda: "listening on " in self.log("serve.log"), "the coordinator listens")

    def log(self, name):
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def status(self):
        return json.loads(self.run("coordinator", "status", "--json", "--dir", self.home))

    def invite(self, shop):
        return json.loads(self.run("coordinator", "invite", shop, "--json", "--dir", self.home))["code"]

    def join(self, shop):
        data = self.folder / "data" / shop
        data.mkdir(parents=True)
        lines = [
            f"{shop}-{user},i{(user % 4 + 4 * ((user * 7 + step * 3) % 10)) % 40},{1_700_000_000 + 86_400 * step}\n"
            for user in range(20) for step in range(6)
        ]
        (data / "orders.csv").write_text("user_id,item_id,timestamp\n" + "".join(lines))
        self.run("client", "join", self.invite(shop), "--dir", self.folder / shop, "--data", data)

    def start_shop(self, shop):
        return self.start(f"{shop}.log", "client", "run", "--dir", self.folder / shop)

    def end(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(holds, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds} seconds")
        time.sleep(0.05)


def memory(process, key):
    for line in open(f"/proc/{process}/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc has no {key}")


class Watch:
    """Sees how the honest rounds go on."""

    def __init__(self, federation):
        self.federation, self.seen, self.longest = federation, [], 0.0

    async def run(self):
        loop = asyncio.get_running_loop()
        last = time.monotonic()
        while True:
            status = await loop.run_in_executor(None, self.federation.status)
            now = time.monotonic()
            published = status["rounds_published"]
            if not self.seen or published > self.seen[-1]:
                last = now
            self.longest = max(self.longest, now - last)
            self.seen.append(published)
            await asyncio.sleep(0.2)


async def at_the_door(address, member):
    """Who is let in, and with which words the others are not."""
    said = {}
    peer = await dial(address, member)
    stream = peer.open()
    peer.say(stream, subscribe(7))
    peer.transmit()
    await peer.until(lambda: take_frame(peer.data.get(stream, b"")))
    kind, number, body, _ = take_frame(peer.data[stream])
    said["valid"] = PUSHES[number] if kind == PUSH else f"{kind} {number}"
    kind, number, _, _ = await peer.ask(members())
    said["valid_members"] = REPLIES[number] if kind == REPLY else f"{kind} {number}"
    peer.leave()
    # Round, attempt, model digest.
    digest = body[12:44]
    peer = await dial(address, member)
    answer = await peer.ask(blob(digest))
    said["valid_model"] = REPLIES[answer[1]]
    peer.leave()
    peer = await dial(address, None)
    _, number, body, _ = await peer.ask(members())
    said["none"] = f"{REPLIES[number]}: {ERRORS[struct.unpack('<I', body[:4])[0]]}"
    peer.leave()
    peer = await dial(address, foreign_identity("north"))
    said["foreign"] = await peer.closed()
    peer.vanish()
    peer = await dial(address, member, alpn="h3")
    said["other_protocol"] = await peer.closed()
    peer.vanish()
    return said, digest


async def attack(federation, options):
    dice = random.Random(options.seed)
    codes = [federation.invite(f"mallory-{number}") for number in range(options.shops)]
    joined = [await become_member(code) for code in codes]
    identities, address = [identity for identity, _ in joined], joined[0][1]
    door, digest = await at_the_door(address, identities[-1])
    watch = Watch(federation)
    watching = asyncio.ensure_future(watch.run())
    idle = memory(federation.coordinator.pid, "VmRSS")
    stalled = [
        asyncio.ensure_future(never_reads(address, identities[0], "127.21.0.1")),
        asyncio.ensure_future(asks_nothing(address, identities[1], "127.22.0.1")),
    ]
    holding = [
        asyncio.ensure_future(holds_a_download(address, identities[2 + number], f"127.23.0.{1 + number}", digest))
        for number in range(5)
    ]
    began = time.monotonic()
    thrower = Thrower(address, identities[7:] + [foreign_identity("north")], dice, options.frames)

    async def half_handshakes():
        while True:
            await knock_and_run(address, "127.24.0.1")
            await asyncio.sleep(0.5)

    holding.append(asyncio.ensure_future(half_handshakes()))
    sources = ["127.0.0.1"] + [f"127.{30 + number}.0.1" for number in range(options.parallel - 1)]
    await asyncio.gather(*(thrower.run(source) for source in sources))
    seconds = time.monotonic() - began
    stalled = await asyncio.gather(*stalled)
    for task in holding + [watching]:
        task.cancel()
    await asyncio.gather(*holding, watching, return_exceptions=True)
    return {
        "at_the_door": door,
        "frames": thrower.thrown(),
        "frames_by_kind": dict(sorted(thrower.frames.items())),
        "breaches_of_quic": thrower.breaches,
        "connections": thrower.dialled,
        "turned_away": thrower.turned_away,
        "closed_with": dict(sorted(thrower.closes.items())),
        "seconds": round(seconds, 1),
        "never_reads": stalled[0],
        "asks_nothing": stalled[1],
        "rounds_before": watch.seen[0],
        "rounds_after": watch.seen[-1],
        "longest_time_without_a_round": round(watch.longest, 1),
        "idle_bytes": idle,
    }


def faults(report, federation, options):
    """What went wrong."""
    door = report["at_the_door"]
    checks = {
        "the valid certificate was not welcome": door["valid"] == "welcome",
        "it was not told the members": door["valid_members"] == "members",
        "it was not given the model": door["valid_model"] == "blob",
        "no certificate was not refused": door["none"] == "error: no_certificate",
        "a foreign certificate got in": door["foreign"] is not None and door["foreign"] not in CLOSES,
        "another protocol got in": door["other_protocol"] is not None and door["other_protocol"] not in CLOSES,
        "too few frames": report["frames"] >= options.frames,
        "who never reads was not closed": report["never_reads"][0] == "too_slow",
        "its queue was not bounded": report["never_reads"][1] < 25 or report["rounds_after"] < 30,
        "who asks nothing was not closed": report["asks_nothing"][0] == "too_slow",
        "the rounds did not go on": report["rounds_after"] > report["rounds_before"] + 5,
        "the honest shops waited too long": report["longest_time_without_a_round"] < 30,
        "the memory is over its bound": report["high_water_bytes"] <= report["memory_bound_bytes"],
        "a process ended": all(process.poll() is None for process in federation.processes),
        "something panicked": "panicked" not in federation.log("serve.log"),
    }
    return [fault for fault, holds in checks.items() if not holds]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--souk", required=True, help="the three programs in one, target/debug/souk")
    parser.add_argument("--frames", type=int, default=2000, help="malformed frames to throw")
    parser.add_argument("--shops", type=int, default=24, help="hostile members")
    parser.add_argument("--parallel", type=int, default=8, help="connections at once that throw")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        federation = Federation(os.path.abspath(options.souk), folder)
        try:
            federation.serve()
            for shop in HONEST:
                federation.join(shop)
                federation.start_shop(shop)
            until(lambda: federation.status()["rounds_published"] > 2, "the first rounds")
            report = asyncio.run(attack(federation, options))
            after = federation.status()
            report["high_water_bytes"] = memory(federation.coordinator.pid, "VmHWM")
            report["memory_bound_bytes"] = after["memory_bound"]["total_bytes"]
            report["faults"] = faults(report, federation, options)
            if report["faults"]:
                print(federation.log("serve.log")[-3000:], file=sys.stderr)
        finally:
            federation.end()
    print(json.dumps(report, indent=1))
    sys.exit(1 if report["faults"] else 0)


if __name__ == "__main__":
    main()
