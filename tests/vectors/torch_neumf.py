#!/usr/bin/env python3
"""Writes torch_neumf.json: PyTorch's logits, loss and gradients for small mf, mlp and neumf models.

Run with a Python that has PyTorch (Debian: python3-torch), from any folder:
    python3 tests/vectors/torch_neumf.py
The test `model::torch` of souk-common reads the file. Parameters are stored, so the numbers do not depend on PyTorch's
random generator.
"""
import json
import pathlib

import torch

ITEMS, CATEGORIES = 7, 3
# Each item's row in the category table; row 0 is "unknown".
CATEGORY_OF = [1, 2, 1, 2, 1, 2, 1]
# One user's samples, items repeated on purpose: (item, label).
SAMPLES = [(0, 1), (3, 1), (5, 1), (1, 0), (2, 0), (2, 0), (6, 0), (2, 0), (1, 0), (4, 0)]
CASES = [
    ("mf", 5, 0, [], "relu"),
    ("mlp", 0, 3, [6, 4], "relu"),
    ("mlp", 0, 4, [5], "tanh"),
    ("neumf", 5, 3, [6, 4], "relu"),
    ("neumf", 8, 8, [16, 8], "sigmoid"),
    ("neumf", 32, 32, [32, 16, 8], "relu"),
]
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def parameters(kind, gmf, mlp, tower):
    width = gmf + mlp
    shapes = {"item.embedding": [ITEMS, width], "category.embedding": [CATEGORIES, width], "item.bias": [ITEMS]}
    if kind != "mf":
        inputs = 2 * mlp
        for layer, outputs in enumerate(tower):
            shapes[f"tower.{layer}.weight"] = [outputs, inputs]
            shapes[f"tower.{layer}.bias"] = [outputs]
            inputs = outputs
        shapes["head.weight"] = [inputs]
    if kind == "neumf":
        shapes["gmf.weight"] = [gmf]
    shapes["head.bias"] = [1]
    # Rounded to f32, so that both sides begin with the same numbers.
    return {name: (0.7 * torch.randn(shape)).double().requires_grad_() for name, shape in shapes.items()}


def logits(kind, gmf, tower, activation, p, user, items):
    q = p["item.embedding"][items] + p["category.embedding"][torch.tensor(CATEGORY_OF)[items]]
    out = p["head.bias"] + p["item.bias"][items]
    if kind != "mlp":
        products = user[:gmf] * q[:, :gmf]
        out = out + (products * p["gmf.weight"] if kind == "neumf" else products).sum(1)
    if kind != "mf":
        x = torch.cat([user[gmf:].expand(len(items), -1), q[:, gmf:]], dim=1)
        for layer in range(len(tower)):
            x = ACTIVATIONS[activation](torch.nn.functional.linear(x, p[f"tower.{layer}.weight"], p[f"tower.{layer}.bias"]))
        out = out + x @ p["head.weight"]
    return out


def case(kind, gmf, mlp, tower, activation):
    p = parameters(kind, gmf, mlp, tower)
    user = (0.7 * torch.randn(gmf + mlp)).double().requires_grad_()
    items = torch.tensor([item for item, _ in SAMPLES])
    labels = torch.tensor([float(label) for _, label in SAMPLES], dtype=torch.float64)
    out = logits(kind, gmf, tower, activation, p, user, items)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(out, labels, reduction="sum")
    loss.backward()
    flat = lambda tensor: tensor.detach().reshape(-1).tolist()
    return {
        "kind": kind, "gmf_dim": gmf, "mlp_dim": mlp, "tower": tower, "activation": activation,
        "parameters": {name: flat(value) for name, value in p.items()},
        "user": flat(user), "logits": flat(out), "loss": loss.item(),
        "gradients": {name: flat(value.grad) for name, value in p.items()}, "user_gradient": flat(user.grad),
    }


torch.manual_seed(2026)
vectors = {
    "made_by": f"tests/vectors/torch_neumf.py with PyTorch {torch.__version__}",
    "categories": CATEGORY_OF, "samples": SAMPLES, "cases": [case(*settings) for settings in CASES],
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(vectors, separators=(",", ":")).replace('{"kind"', '\n{"kind"') + "\n")
print(path, path.stat().st_size, "bytes")
