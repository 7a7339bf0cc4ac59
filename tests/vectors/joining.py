"""Vectors for the channels and the stack: every formula once more, in dense numpy.

    pip install numpy scipy
    python tests/vectors/joining.py > tests/vectors/joining.json
"""

import json
import re
from collections import Counter

import numpy as np
from scipy.stats import binom, hypergeom

ITEMS, CUSTOMERS = 14, 11
WORDS = ["green", "tea", "pot", "cup", "blue"]
rng = np.random.default_rng(7)


def catalogue():
    items = []
    for at in range(ITEMS):
        title = " ".join(w for w in WORDS if rng.random() < 0.5)
        tags = [t for t in ("new", "gift", "eco") if rng.random() < 0.4]
        item = {"id": f"i{at}", "title": title, "category": "abc"[at % 3], "tags": tags}
        if at % 4:
            item["numbers"] = {"code": float(rng.integers(100, 112))}
        items.append(item)
    return items


def feature_matrix(items):
    rows = []
    for item in items:
        row = {"c:" + item["category"]} | {"t:" + t for t in item["tags"]}
        rows.append(row | {"w:" + w for w in re.findall("[a-z]{3,}", item["title"])})
    counts = Counter(name for row in rows for name in row)
    names = sorted(name for name in counts if counts[name] >= 3)
    return names, np.array([[float(name in row) for name in names] for row in rows])


def recency(histories, decay):
    matrix = np.zeros((len(histories), ITEMS))
    for user, history in enumerate(histories):
        for rank, item in enumerate(reversed(history), 1):
            matrix[user, item] = rank**-decay
    return matrix


def rows_to_one(matrix):
    return matrix / matrix.sum(1, keepdims=True)


def unit(matrix):
    return matrix / np.maximum(np.sqrt((matrix**2).sum(1, keepdims=True)), 1e-9)


def compressed(scores):
    centred = scores - scores.mean(1, keepdims=True)
    deviation = scores.std(1, keepdims=True)
    return 3 * np.arcsinh(np.where(deviation > 1e-7, centred / (deviation + 1e-6), 0) / 3)


def cosine(names, features, start, power):
    wanted = [at for at, name in enumerate(names) if name.startswith(start)]
    block = features[:, wanted]
    block = block * np.log(ITEMS / (block > 0).sum(0)) ** power
    block = block / np.maximum(np.sqrt((block**2).sum(1, keepdims=True)), 1e-6)
    kernel = block @ block.T
    np.fill_diagonal(kernel, 0)
    return kernel


def code_kernel(items):
    codes = np.array([item.get("numbers", {}).get("code", 0) for item in items])
    kernel = np.exp(-abs(codes[:, None] - codes) / 3) * (codes[:, None] > 0) * (codes > 0)
    np.fill_diagonal(kernel, 0)
    return kernel


def shrink(sums, noise, features):
    z2 = noise.mean()
    if features is None:
        prior = np.full(len(sums), max(sums.mean(), 1e-6))
        v = max(((sums - prior) ** 2).mean() - z2, 0.01 * z2 + 1e-9)
        return np.maximum(0, prior + v / (v + noise) * (sums - prior))
    design = np.concatenate([np.ones((len(sums), 1)), features], 1)
    penalty = 5 * max(z2 / max(sums.var() - z2, 0.05 * z2 + 1e-12), 0.05)
    gram = design.T @ design + penalty * np.diag(np.r_[1e-6 / penalty, np.ones(features.shape[1])])
    prior = np.maximum(design @ np.linalg.solve(gram, design.T @ sums), 0)
    v = max(((sums - prior) ** 2).mean() - z2, 0.01 * z2 + 1e-9)
    tau = 0.5 * v + 0.5 * v * prior**2 / max((prior**2).mean(), 1e-12)
    return np.maximum(0, prior + tau / (tau + noise) * (sums - prior))


def lda(sums, features):
    q = (sums + 1e-3) / (sums + 1e-3).sum()
    mean = features.T @ q
    cov = features.T @ np.diag(q) @ features - np.outer(mean, mean)
    inverse = np.linalg.inv(cov + 0.5 * np.diag(np.diag(cov)) + 1e-4 * np.eye(len(cov)))
    return (features - mean) @ inverse @ (features - mean).T


def ease(owned):
    x = unit(owned)
    p = np.linalg.inv(x.T @ x + np.eye(ITEMS))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    return b


def knn(owned):
    scale = np.diag((owned.sum(0) + 1) ** -0.5)
    return scale @ unit(owned).T @ unit(owned) @ scale


def sequence(histories):
    t = np.zeros((ITEMS, ITEMS))
    for history in histories:
        for at, item in enumerate(history):
            for distance, later in enumerate(history[at + 1 : at + 9], 1):
                t[item, later] += 1 / distance
    return t / np.sqrt(t.sum(1, keepdims=True) + 1) / np.sqrt(t.sum(0) + 1)


def channels(items, names, features, histories):
    out = {}

    def kernel(name, matrix, decays=(0.3, 1)):
        for decay in decays:
            r = rows_to_one(recency(histories, decay))
            out[f"{name}:{decay:g}"] = compressed(r @ matrix)

    kernel("content", cosine(names, features, "", 0.5))
    kernel("content cubed", cosine(names, features, "", 0.5) ** 3)
    kernel("words", cosine(names, features, "w:", 1))
    kernel("category", cosine(names, features, "c:", 0))
    kernel("code", code_kernel(items))
    a = unit(recency(histories, 0.5))
    noise = (a**2).sum(0)
    p = shrink(a.sum(0), noise + 0.3 * noise.mean(), features)
    out["popularity"] = compressed(np.tile(np.log(p + 0.3), (len(histories), 1)))
    out["lda"] = compressed(rows_to_one(recency(histories, 0.5)) @ lda(p, features))
    owned = recency(histories, 0)
    kernel("ease", ease(owned))
    kernel("knn", knn(owned))
    kernel("sequence", sequence(histories), (1,))
    bare = shrink(a.sum(0), noise + 0.3 * noise.mean(), None)
    return out, {"sums": a.sum(0), "noise": noise + 0.3 * noise.mean(), "shrunk": p, "bare": bare}


def objective(cases, w, prior):
    total = 33.0 * ((w - prior) ** 2).sum()
    gradient, hessian = -66.0 * (w - prior), 66.0 * np.eye(len(w))
    for values, masked in cases:
        for first in range(1, values.shape[1], 10):
            rows = [0, *range(first, min(first + 10, values.shape[1]))]
            x = values[:, rows]
            s = np.where(masked[:, rows], -1e9, x @ w)
            s = s - s.max(1, keepdims=True)
            e = np.exp(s) / np.exp(s).sum(1, keepdims=True)
            total -= np.log(e[:, 0]).sum()
            mean = np.einsum("un,unc->uc", e, x)
            gradient = gradient + (x[:, 0] - mean).sum(0)
            hessian = hessian + np.einsum("un,unc,und->cd", e, x, x) - mean.T @ mean
    return total, gradient, hessian


def weights(cases, prior):
    w = prior.copy()
    for _ in range(100):
        _, gradient, hessian = objective(cases, w, prior)
        w = w + np.linalg.solve(hessian, gradient)
    return w


def fit_vectors():
    def case(count, others):
        values = rng.standard_normal((count, others + 1, 3)) + [0.5, 0, 0.1]
        values[:, 0] += 0.7
        masked = rng.random((count, others + 1)) < 0.2
        masked[:, 0] = False
        return np.round(values, 3), masked

    cases = [case(30, 24), case(40, 10)]
    prior = np.array([1.0, 0.3, 0.3])
    w = weights(cases, prior)
    plain = lambda c: {"width": c[0].shape[1], "values": c[0].ravel().tolist(), "masked": c[1].ravel().tolist()}
    return {"validation": plain(cases[0]), "tails": plain(cases[1]), "prior": prior.tolist(), "weights": w.tolist()}


def main():
    items = catalogue()
    names, features = feature_matrix(items)
    histories = [rng.permutation(ITEMS)[: rng.integers(1, 9)].tolist() for _ in range(CUSTOMERS)]
    scores, popularity = channels(items, names, features, histories)
    expected = [[90, 5, 9], [200, 0, 99], [500, 499, 99], [1000, 60, 99], [120, 40, 99], [1000, 150, 99]]
    binomial = [0.0, 0.02, 0.1, 0.2, 0.7, 1.0]
    rounded = lambda array: [float(f"{x:.9g}") for x in np.ravel(array)]
    print(json.dumps({
        "items": items,
        "histories": histories,
        "channels": {name: rounded(matrix) for name, matrix in scores.items()},
        "popularity": {name: rounded(array) for name, array in popularity.items()},
        "fit": fit_vectors(),
        "hypergeometric": [e + [float(hypergeom.cdf(9, e[0], e[1], e[2]))] for e in expected],
        "binomial": [[p, float(binom.cdf(9, 99, p))] for p in binomial],
    }))


main()
