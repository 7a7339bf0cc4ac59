#!/usr/bin/env python3
"""Writes gan.json: a customer's step of kind `gan`, by complex steps through the losses.

Run with a Python that has numpy, from any folder:
    python3 tests/vectors/gan.py
The tests `model::gan` of souk-common read the file. A derivative is Im f(x + ih) / h, exact to rounding; the losses are written
down here a second time, with the log-probabilities in full, so that what has no gradient at an item that was not drawn is seen to have none.
"""
import json
import pathlib

import numpy as np

ITEMS, GMF, MLP, DIM, TOWER = 7, 2, 2, 3, [4, 3]
WIDTH = GMF + MLP + DIM
OWN, DRAWN, UNIFORM = [5, 0, 3], [3, 1, 1, 4, 0, 6], [1, 2, 2, 4]
T, OWN_SHARE, REWARD, LIKELIHOOD, HARD = 0.8, 0.3, 0.7, 1.3, 0.5


def shapes(kind):
    gmf, mlp = (0 if kind == "mlp" else GMF), (0 if kind == "mf" else MLP)
    found = {"item.embedding": (ITEMS, gmf + mlp + DIM), "item.bias": (ITEMS,)}
    inputs = 2 * mlp
    for layer, outputs in enumerate(TOWER if mlp else []):
        found[f"tower.{layer}.weight"], found[f"tower.{layer}.bias"] = (outputs, inputs), (outputs,)
        inputs = outputs
    if mlp:
        found["head.weight"] = (inputs,)
    if kind == "neumf":
        found["gmf.weight"] = (gmf,)
    found["head.bias"] = (1,)
    return found, gmf, mlp


def logits(p, user, gmf, mlp):
    q = p["item.embedding"]
    out = p["head.bias"][0] + p["item.bias"]
    if gmf:
        out = out + (q[:, :gmf] * user[:gmf] * p.get("gmf.weight", 1.0)).sum(1)
    if mlp:
        x = np.concatenate([np.tile(user[gmf:gmf + mlp], (ITEMS, 1)), q[:, gmf:gmf + mlp]], axis=1)
        for layer in range(len(TOWER)):
            x = np.tanh(x @ p[f"tower.{layer}.weight"].T + p[f"tower.{layer}.bias"])
        out = out + x @ p["head.weight"]
    return out


def log_g(p, user):
    z = p["item.embedding"][:, -DIM:] @ user[-DIM:] / T
    return z - np.log(np.exp(z).sum()), z


def case(kind, rng):
    found, gmf, mlp = shapes(kind)
    # Rounded to f32, so that both sides begin with the same numbers.
    p = {name: rng.normal(0, 0.7, shape).astype(np.float32).astype(complex) for name, shape in found.items()}
    user = rng.normal(0, 0.7, gmf + mlp + DIM).astype(np.float32).astype(complex)
    n, count = len(OWN), len(DRAWN)
    g = np.exp(log_g(p, user)[0]).real
    mixture = (1 - OWN_SHARE) * g + OWN_SHARE / n * np.isin(np.arange(ITEMS), OWN)
    w = np.array([g[i] / mixture[i] for i in DRAWN])
    f = logits(p, user, gmf, mlp).real
    r = np.array([2 / (1 + np.exp(-f[i])) - 1 for i in DRAWN])
    c = w * w.sum() * (r - (w * r).sum() / w.sum()) / (count * (count - 1))
    hard = [i for i in DRAWN if i not in OWN]
    negative = np.zeros(ITEMS)
    for i in UNIFORM:
        negative[i] += 1 - HARD
    for i in hard:
        negative[i] += HARD * len(UNIFORM) / len(hard)

    def loss(p, user, is_users):
        f = logits(p, user, gmf, mlp)
        own = sum(np.log(1 + np.exp(-f[i])) for i in OWN)
        bce = own + (negative * np.log(1 + np.exp(f))).sum()
        log, z = log_g(p, user)
        policy = sum(c[k] * log[i] for k, i in enumerate(DRAWN))
        # The user's side is exact; the items' stands on what was drawn.
        drawn = n / count * sum(w[k] * z[i] for k, i in enumerate(DRAWN))
        likelihood = sum(log[i] for i in OWN) if is_users else sum(z[i] for i in OWN) - drawn
        return bce - REWARD * n * policy - LIKELIHOOD * likelihood

    def slope(values, is_users):
        out = np.zeros(values.shape)
        for at in np.ndindex(values.shape):
            old = values[at]
            values[at] = old + 1e-30j
            out[at] = loss(p, user, is_users).imag / 1e-30
            values[at] = old
        return out.reshape(-1).tolist()

    flat = lambda values: values.real.reshape(-1).tolist()
    return {
        "discriminator": kind, "parameters": {name: flat(values) for name, values in p.items()}, "user": flat(user),
        "probabilities": g.tolist(), "weights": w.tolist(), "policy": c.tolist(), "negative": negative.tolist(),
        "gradients": {name: slope(values, False) for name, values in p.items()}, "user_gradient": slope(user, True),
    }


rng = np.random.default_rng(2026)
vectors = {
    "made_by": f"tests/vectors/gan.py with numpy {np.__version__}",
    "gmf_dim": GMF, "mlp_dim": MLP, "dim": DIM, "tower": TOWER, "own": OWN, "drawn": DRAWN, "uniform": UNIFORM,
    "temperature": T, "own_share": OWN_SHARE, "reward": REWARD, "likelihood": LIKELIHOOD, "hard": HARD,
    "cases": [case(kind, rng) for kind in ("mf", "mlp", "neumf")],
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(vectors, separators=(",", ":")).replace('{"discriminator"', '\n{"discriminator"') + "\n")
print(path, path.stat().st_size, "bytes")
