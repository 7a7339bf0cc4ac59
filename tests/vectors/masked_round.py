#!/usr/bin/env python3
"""Writes masked_round.json: two complete masked attempts with dropouts, from docs/protocol-masking.md alone.

    python3 -m venv env && env/bin/pip install blake3==1.0.11 cryptography==50.0.2
    env/bin/python tests/vectors/masked_round.py

The test `secagg::vectors` of souk-common reads the file and has to come to every value in it. The script ends with an
error if the unmasked sum is not the plain one.
"""
import hashlib
import hmac
import json
import pathlib

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


# Primitives

def keyed(name, data):
    return blake3(data, derive_key_context=name).digest()


def le(number, size):
    return number.to_bytes(size, "little")


def hkdf(secret, info):
    """RFC 5869 with SHA-256, no salt, one block of output."""
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


def x25519(secret, public=None):
    key = X25519PrivateKey.from_private_bytes(secret)
    return key.public_key().public_bytes_raw() if public is None else key.exchange(X25519PublicKey.from_public_bytes(public))


def chacha20(key, size):
    # 16 bytes: the block counter (8 or 4 bytes, little-endian) and the nonce, all zero.
    return Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor().update(bytes(size))


def aes128_ctr(key, size):
    """The second half of the key is where the counter begins, a little-endian number of 128 bits."""
    first = int.from_bytes(key[16:], "little")
    blocks = b"".join(le((first + block) % 2**128, 16) for block in range(-(-size // 16)))
    return Cipher(algorithms.AES128(key[:16]), modes.ECB()).encryptor().update(blocks)[:size]


class Draws:
    """The random numbers of one shop in these vectors: each byte the first of four of a ChaCha20 keystream."""

    def __init__(self, seed):
        self.bytes, self.at = chacha20(seed, 1 << 16)[::4], 0

    def secret(self):
        self.at += 32
        return self.bytes[self.at - 32:self.at]


# Shamir over GF(2^8) by tables of powers of 3

EXP = [1]
while len(EXP) < 255:
    three_times = EXP[-1] ^ (EXP[-1] << 1)
    EXP.append(three_times ^ 0x11B if three_times > 255 else three_times)
LOG = {value: power for power, value in enumerate(EXP)}


def times(a, b):
    return EXP[(LOG[a] + LOG[b]) % 255] if a and b else 0


def over(a, b):
    return EXP[(LOG[a] - LOG[b]) % 255] if a else 0


def split(secret, threshold, holders, draws):
    """Coefficients are drawn in ascending order of their powers, from the first."""
    polynomial = [secret] + [draws.secret() for _ in range(threshold - 1)]

    def at(point, byte):
        value, power = 0, 1
        for coefficient in polynomial:
            value ^= times(coefficient[byte], power)
            power = times(power, point)
        return value
    return [bytes(at(point, byte) for byte in range(32)) for point in range(1, holders + 1)]


def rebuild(shares):
    """`shares`: point to value."""
    def at_zero(byte):
        total = 0
        for point, value in shares.items():
            weight = 1
            for other in shares:
                if other != point:
                    weight = times(weight, over(other, other ^ point))
            total ^= times(value[byte], weight)
        return total
    return bytes(map(at_zero, range(32)))


# What a maker signs: a tree over its holders' leaves

def share_hashes(both):
    return [keyed("souk 2026 masking seed share v1", both[:32]), keyed("souk 2026 masking key share v1", both[32:])]


def tree(leaves):
    """All levels, the leaves first; a node without a neighbour moves up as it is."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = [below[at:at + 2] for at in range(0, len(below), 2)]
        levels.append([keyed("souk 2026 masking share node v1", b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs])
    return levels


def path(levels, at):
    """What stands beside the way from leaf `at` up to the root."""
    return [level[(at >> height) ^ 1] for height, level in enumerate(levels) if (at >> height) ^ 1 < len(level)]


# The protocol

class Attempt:
    def __init__(self, case):
        self.case, self.terms = case, case["terms"]
        self.plan, self.model = (blake3(case[key].encode()).digest() for key in ("plan", "model"))
        self.context = le(case["round"], 8) + le(case["attempt"], 4) + self.plan + self.model
        self.width = self.terms["bits"] // 8

    def sign(self, identity, domain, body):
        digest = keyed(domain, json.dumps(body, separators=(",", ":")).encode())
        return digest, Ed25519PrivateKey.from_private_bytes(identity).sign(digest)

    def id(self):
        return {"round": self.case["round"], "attempt": self.case["attempt"]}

    def advertise(self, shop):
        draws = shop["draws"] = Draws(bytes.fromhex(shop["random_seed"]))
        shop["mask"], shop["sealing"], shop["self"] = (draws.secret() for _ in range(3))
        identity = bytes.fromhex(shop["identity_secret"])
        shop["advertisement"] = {
            "context": {"id": self.id(), "plan": self.plan.hex(), "model": self.model.hex()},
            "shop": shop["name"],
            "identity": Ed25519PrivateKey.from_private_bytes(identity).public_key().public_bytes_raw().hex(),
            "mask_key": x25519(shop["mask"]).hex(),
            "sealing_key": x25519(shop["sealing"]).hex(),
            "commitment": keyed("souk 2026 self mask commitment v1", shop["self"]).hex(),
        }
        shop["word"], shop["signature"] = self.sign(identity, "souk 2026 masking keys v1", shop["advertisement"])

    def graph(self):
        """Neighbours of each place of R1, ascending."""
        count, degree = len(self.roster), self.terms["neighbours"]
        if degree is None or degree + 1 >= count:
            return [[other for other in range(count) if other != place] for place in range(count)]
        circle = sorted(range(count), key=lambda place: keyed("souk 2026 masking circle v1", self.h1 + le(place, 4)))
        where = {place: at for at, place in enumerate(circle)}
        return [sorted(circle[(where[place] + step) % count]
                       for step in range(-degree // 2, degree // 2 + 1) if step) for place in range(count)]

    def fix_roster(self, shops):
        self.roster = sorted(shops, key=lambda shop: shop["name"])
        self.h1 = keyed("souk 2026 masking roster v1", b"".join(shop["word"] for shop in self.roster))
        self.neighbours = self.graph()
        self.holders = [sorted(others + [place]) for place, others in enumerate(self.neighbours)]
        for place, shop in enumerate(self.roster):
            shop["place"] = place

    def sealing_key(self, own, peer, maker, holder):
        agreed = x25519(own["sealing"], bytes.fromhex(peer["advertisement"]["sealing_key"]))
        return hkdf(agreed, b"souk sealed share v1" + self.context + self.h1 + le(maker, 4) + le(holder, 4))

    def share(self, shop):
        holders, place = self.holders[shop["place"]], shop["place"]
        # Every shop is known to every owner: u = 0.
        distrusted = self.terms["colluding"]
        shop["threshold"] = (len(holders) + distrusted) // 2 + 1
        if len(holders) < len(self.roster):
            shop["threshold"] = max(shop["threshold"], (len(holders) - 1) // 2 + distrusted + 1)
        seeds = split(shop["self"], shop["threshold"], len(holders), shop["draws"])
        masks = split(shop["mask"], shop["threshold"], len(holders), shop["draws"])
        shop["sealed"], shop["hashes"], leaves = {}, {}, []
        for holder, both in zip(holders, map(bytes.__add__, seeds, masks)):
            hashes = shop["hashes"][holder] = share_hashes(both)
            sealed = bytes(32)
            if holder == place:
                shop["held"] = {place: both}
            else:
                key = self.sealing_key(shop, self.roster[holder], place, holder)
                shop["sealed"][holder] = ChaCha20Poly1305(key).encrypt(bytes(12), both, None)
                sealed = keyed("souk 2026 masking sealed share v1", shop["sealed"][holder])
            leaves.append(keyed("souk 2026 masking share leaf v1", le(holder, 4) + sealed + b"".join(hashes)))
        shop["levels"] = tree(leaves)
        body = {"id": self.id(), "roster": self.h1.hex(), "threshold": shop["threshold"], "root": shop["levels"][-1][0].hex()}
        identity = bytes.fromhex(shop["identity_secret"])
        shop["shares_signature"] = self.sign(identity, "souk 2026 masking shares v1", body)[1]

    def fix_sharers(self, shops):
        self.sharers = sorted(shop["place"] for shop in shops)
        self.h2 = keyed("souk 2026 masking sharers v1", self.h1 + b"".join(le(place, 4) for place in self.sharers))

    def keystream(self, key):
        cipher = {"chacha20": chacha20, "aes128_ctr": aes128_ctr}[self.terms["cipher"]]
        stream = cipher(key, self.width * self.case["coordinates"])
        return [int.from_bytes(stream[at:at + self.width], "little") for at in range(0, len(stream), self.width)]

    def add(self, values, key, sign):
        modulus = 2 ** self.terms["bits"]
        return [(value + sign * word) % modulus for value, word in zip(values, self.keystream(key))]

    def self_key(self, seed):
        return hkdf(seed, b"souk self mask v1" + self.context + self.h2)

    def pair_key(self, own, secret, peer):
        agreed = x25519(secret, bytes.fromhex(peer["advertisement"]["mask_key"]))
        lower, higher = sorted([own["place"], peer["place"]])
        return hkdf(agreed, b"souk pair mask v1" + self.context + self.h2 + le(lower, 4) + le(higher, 4))

    def upload(self, shop):
        place = shop["place"]
        shop["mask_keys"] = [(self.self_key(shop["self"]), 1)]
        for other in self.neighbours[place]:
            if other not in self.sharers:
                continue
            peer = self.roster[other]
            shop["mask_keys"].append((self.pair_key(shop, shop["mask"], peer), 1 if place < other else -1))
            key = self.sealing_key(shop, peer, other, place)
            shop["held"][other] = ChaCha20Poly1305(key).decrypt(bytes(12), peer["sealed"][place], None)
            assert share_hashes(shop["held"][other]) == peer["hashes"][place]
        shop["masked"] = shop["update"]
        for key, sign in shop["mask_keys"]:
            shop["masked"] = self.add(shop["masked"], key, sign)
        body = {"id": self.id(), "sharers": self.h2.hex()}
        identity = bytes.fromhex(shop["identity_secret"])
        shop["binding"] = self.sign(identity, "souk 2026 masking upload v1", body)[1]

    def fix_survivors(self, shops):
        self.survivors = sorted(shop["place"] for shop in shops)
        self.h3 = keyed("souk 2026 masking survivors v1", self.h2 + b"".join(le(place, 4) for place in self.survivors))

    def confirm(self, shop):
        identity = bytes.fromhex(shop["identity_secret"])
        body = {"id": self.id(), "survivors": self.h3.hex()}
        shop["confirmation"] = self.sign(identity, "souk 2026 masking survivors confirmed v1", body)[1]

    def reveal(self, shop):
        shop["revealed"] = {of: both[:32] if of in self.survivors else both[32:] for of, both in shop["held"].items()}

    def unmask(self, revealing):
        total = [sum(column) % 2 ** self.terms["bits"]
                 for column in zip(*(self.roster[place]["masked"] for place in self.survivors))]
        self.masked_sum, self.rebuilt = total, {}
        for of in self.sharers:
            keys = self.roster[of]
            shares = {self.holders[of].index(by["place"]) + 1: by["revealed"][of]
                      for by in revealing if of in by["revealed"]}
            assert len(shares) >= keys["threshold"], f"{len(shares)} shares of {keys['name']}"
            secret = self.rebuilt[of] = rebuild(dict(sorted(shares.items())[:keys["threshold"]]))
            if of in self.survivors:
                assert keyed("souk 2026 self mask commitment v1", secret).hex() == keys["advertisement"]["commitment"]
                total = self.add(total, self.self_key(secret), -1)
                continue
            assert x25519(secret).hex() == keys["advertisement"]["mask_key"]
            for other in self.neighbours[of]:
                if other in self.survivors:
                    total = self.add(total, self.pair_key(keys, secret, self.roster[other]), -1 if other < of else 1)
        self.sum = total


def run(case):
    attempt, shops = Attempt(case), case["shops"]

    def at_least(step):
        return [shop for shop in shops if shop["steps"] >= step]
    for shop in at_least(1):
        attempt.advertise(shop)
    attempt.fix_roster(at_least(1))
    for shop in at_least(2):
        attempt.share(shop)
    attempt.fix_sharers(at_least(2))
    for shop in at_least(3):
        attempt.upload(shop)
    attempt.fix_survivors(at_least(3))
    for shop in at_least(4):
        attempt.confirm(shop)
    confirmations = (len(attempt.roster) + attempt.terms["colluding"]) // 2 + 1
    assert len(at_least(4)) >= confirmations
    for shop in at_least(5):
        attempt.reveal(shop)
    attempt.unmask(at_least(5))
    plain = [sum(column) % 2 ** attempt.terms["bits"] for column in zip(*(shop["update"] for shop in at_least(3)))]
    assert attempt.sum == plain, "what is unmasked is not the sum"
    return {
        **{key: case[key] for key in ("round", "attempt", "plan", "model", "terms", "coordinates")},
        "shops": [report(shop) for shop in shops],
        "neighbours": attempt.neighbours,
        "roster_digest": attempt.h1.hex(),
        "sharers": attempt.sharers,
        "sharers_digest": attempt.h2.hex(),
        "survivors": attempt.survivors,
        "survivors_digest": attempt.h3.hex(),
        "confirmations": confirmations,
        "masked_sum": attempt.masked_sum,
        "rebuilt": {of: secret.hex() for of, secret in attempt.rebuilt.items()},
        "sum": attempt.sum,
    }


def report(shop):
    """What a shop is given, and what it comes to; places as keys."""
    given = {key: shop[key] for key in ("name", "identity_secret", "random_seed", "steps", "update")}
    said = {}
    if shop["steps"] >= 1:
        said |= {key: shop[key] for key in ("advertisement", "place")}
        said |= {key: shop[key].hex() for key in ("word", "signature")}
    if shop["steps"] >= 2:
        said["threshold"] = shop["threshold"]
        said["sealed"] = {holder: sealed.hex() for holder, sealed in shop["sealed"].items()}
        said["hashes"] = {holder: [one.hex() for one in hashes] for holder, hashes in shop["hashes"].items()}
        # By holder, the maker itself included.
        said["paths"] = {holder: [one.hex() for one in path(shop["levels"], at)] for at, holder in enumerate(shop["hashes"])}
        said["shares_signature"] = shop["shares_signature"].hex()
    if shop["steps"] >= 3:
        said["mask_keys"] = [{"key": key.hex(), "sign": sign} for key, sign in shop["mask_keys"]]
        said["masked"] = shop["masked"]
        said["binding"] = shop["binding"].hex()
        said["held"] = {of: both.hex() for of, both in sorted(shop["held"].items())}
    if shop["steps"] >= 4:
        said["confirmation"] = shop["confirmation"].hex()
    if shop["steps"] >= 5:
        said["revealed"] = {of: share.hex() for of, share in sorted(shop["revealed"].items())}
    return given | said


def case(title, number, terms, coordinates, steps):
    def word(*parts):
        return blake3(" ".join(map(str, (title, *parts))).encode()).digest()
    shops = [{
        "name": f"shop-{place:02}",
        "identity_secret": word("identity", place).hex(),
        "random_seed": word("random", place).hex(),
        # 0: does not take part, 1: advertises, 2: shares and checks, 3: uploads, 4: confirms, 5: reveals.
        "steps": last,
        "update": [int.from_bytes(word("update", place, at)[:terms["bits"] // 8], "little") for at in range(coordinates)],
    } for place, last in enumerate(steps)]
    return {"round": number, "attempt": 2, "plan": f"plan of {title}", "model": f"model of {title}", "terms": terms,
            "coordinates": coordinates, "shops": shops}


def main():
    complete = {"min_shops": 6, "colluding": 1, "neighbours": None, "cipher": "chacha20", "bits": 32}
    regular = {"min_shops": 7, "colluding": 1, "neighbours": 6, "cipher": "aes128_ctr", "bits": 64}
    cases = {
        # Nine shops: one is lost before and one at every step but the last.
        "complete_graph_chacha20_32": case("complete", 7, complete, 20, [5, 5, 1, 0, 5, 2, 5, 4, 5]),
        "regular_graph_aes128_64": case("regular", 2**40 + 1, regular, 9, [5, 5, 5, 5, 2, 5, 5, 5, 5, 5]),
    }
    written = {name: run(given) for name, given in cases.items()}
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(written, indent=1) + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
