"""Makes release.json: the formulas of souk-common's `release` on a small catalogue, in numpy.

    python3 -m venv venv && venv/bin/pip install numpy && venv/bin/python release.py > release.json

With a file, on the histories and features that it has, as a check at full size (the result is not for the repository):

    venv/bin/python release.py SET.npz > large.json
    SOUK_RELEASE_VECTORS=$PWD/large.json cargo test -p souk-common --lib numpys

SET.npz: M; ptr, it (items of user u, oldest first: it[ptr[u]:ptr[u+1]]), last (the item that is left out); fr, fc, fv (row,
column and value of each feature).
"""
import json
import sys
import numpy as np

RNG = np.random.default_rng(7)
M, D, N = 14, 6, 30

# Features: two groups that nearly partition the items, and numbers; the last column is the same for all.
F = np.zeros((M, D))
F[:, 0] = np.arange(M) % 2
F[:, 1] = np.arange(M) % 3 == 0
F[:, 2] = np.arange(M) > 8
F[:, 3] = np.round(RNG.random(M), 3) * (RNG.random(M) < .7)
F[:, 4] = np.round(RNG.random(M), 3)
F[:, 5] = 1.

def history(u):
    weight = 1. + 3. * F[:, u % 2] + (np.arange(M) < 4)
    return [int(i) for i in RNG.choice(M, RNG.integers(1, 7), replace=False, p=weight / weight.sum())]

HISTORIES = [history(u) for u in range(N)]          # oldest first; the last item is left out
FEATURE_COLUMNS, RANDOM_COLUMNS, Z1, Z2, QUIET = 3, 3, .8, .15, .4

if len(sys.argv) > 1:
    data = np.load(sys.argv[1])
    M, ptr, it = int(data['M']), data['ptr'], data['it']
    F = np.zeros((M, data['fc'].max() + 1))
    F[data['fr'], data['fc']] = data['fv']
    D, N = F.shape[1], len(ptr) - 1
    HISTORIES = [it[ptr[u]:ptr[u + 1]].tolist() + [int(data['last'][u])] for u in range(N)]
    FEATURE_COLUMNS, RANDOM_COLUMNS, Z1, Z2, QUIET = 32, 16, 1.13, .93, 3.

def past(h):
    return h[:-1][::-1]                             # latest first

def r(h, g):
    out = np.zeros(M)
    for k, i in enumerate(past(h), 1):
        out[i] = k ** -g
    return out

def a(h):
    x = r(h, .5)
    return x / max(np.linalg.norm(x), 1e-12)

def denoise(p, nv, features):
    p, nv = p.astype(float), np.broadcast_to(nv, p.shape)
    z2 = nv.mean()
    if features is None:
        m = np.full(M, max(p.mean(), 1e-6))
        v = max(((p - m) ** 2).mean() - z2, .01 * z2 + 1e-9)
        return np.maximum(0, m + v / (v + nv) * (p - m))
    A = np.concatenate([np.ones((M, 1)), features], 1)
    lam = max(z2 / max(p.var() - z2, .05 * z2 + 1e-12), .05) * 5
    C = A.T @ A + lam * np.diag(np.r_[1e-6, np.ones(A.shape[1] - 1)])
    m = np.maximum(A @ np.linalg.solve(C, A.T @ p), 0)
    v = max(((p - m) ** 2).mean() - z2, .01 * z2 + 1e-9)
    tau2 = .5 * v + .5 * v * m ** 2 / max((m ** 2).mean(), 1e-12)
    return np.maximum(0, m + tau2 / (tau2 + nv) * (p - m))

def sign(U):
    """The entry of largest magnitude of each column is positive."""
    return U * np.sign(U[np.abs(U).argmax(0), np.arange(U.shape[1])])

def feature_map(p, k):
    q = p + .05 * p.mean() + 1e-6
    q = q / q.sum()
    X = F[:, F.std(0) > 0]                          # a column that is the same for all says nothing
    mu = X.T @ q
    C = X.T @ (q[:, None] * X) - np.outer(mu, mu)
    dg = np.sqrt(np.maximum(np.diag(C), 1e-12)) + 1e-6
    w, U = np.linalg.eigh(C / dg[:, None] / dg)
    o = np.argsort(-w)[:k]
    w, U = w[o], sign(U[:, o])
    B = U / np.sqrt(w + .3 * w.mean()) / dg[:, None]
    return X @ B - mu @ B

def B(h, A, v0):
    x, rr = r(h, 0.), r(h, .3)
    if (x > 0).sum() < 2:
        return np.zeros_like(A)
    e = x - (x @ v0) * v0
    e /= np.sqrt(max(e @ e, 1e-9))
    W = np.outer(e, A.T @ rr) - (e * rr)[:, None] * A
    return W / np.linalg.norm(W)

def svd(W):
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    T = sign(Vt.T)
    return (W @ T) / s, s, T

def eb(Wl, v, Fx):
    wt = 1 / v
    wt = wt / wt.sum()
    tot = np.maximum((wt[:, None] * (Wl ** 2 - v[:, None])).sum(0), 1e-8)
    m, t2 = np.zeros_like(Wl), tot.copy()
    if Fx is not None:
        for _ in range(3):
            for j in range(Wl.shape[1]):
                g = 1 / (t2[j] + v)
                G = (Fx * g[:, None]).T @ Fx + np.eye(Fx.shape[1]) / tot[j] * Fx.shape[1] * .1
                m[:, j] = Fx @ np.linalg.solve(G, (Fx * g[:, None]).T @ Wl[:, j])
            e = Wl - m
            t2 = np.maximum((wt[:, None] * (e ** 2 - v[:, None])).sum(0), .02 * tot)
    s = t2[None, :] / (t2[None, :] + v[:, None])
    return m + s * (Wl - m)

def views(W, A, p, zp, z, k, Fx):
    U, s, T = svd(W)
    pb = np.maximum(p, max(.5 * zp, .3))
    wt = np.where(s[:k] / (z * np.sqrt(M) + 1e-12) > 1 + np.sqrt(W.shape[1] / M), 1., .02) if z > 0 else np.ones(k)
    V = U[:, :k] * np.sqrt(wt)
    Wr = (W @ T[:, :k]) / pb[:, None]
    v = (z / pb) ** 2 + 1e-6 * np.mean(Wr ** 2) + 1e-12
    return dict(s=s[:k], weights=wt, V_left=V, V_right=V * (pb ** -.25)[:, None],
                E_left=A @ T[:, :k], E_right=eb(Wr, v, Fx)), V, s[:k] * np.sqrt(wt)

def second_map(V, s, q):
    x = np.maximum(s, s.max() * .05)
    A = V / np.sqrt(x / x.max())
    A = A - q @ A
    return A / np.sqrt((q @ (A * A)).mean())

def lda(p):
    q = p + 1e-3
    q = q / q.sum()
    mu = F.T @ q
    C = F.T @ (q[:, None] * F) - np.outer(mu, mu)
    inverse = np.linalg.inv(C + .5 * np.diag(np.diag(C)) + 1e-4 * np.eye(D))
    return (F - mu), (F - mu) @ inverse

def plain(x):
    return {k: plain(v) for k, v in x.items()} if isinstance(x, dict) else np.asarray(x).ravel().tolist()

sums = sum(a(h) for h in HISTORIES)
noised = sums + RNG.normal(0, Z1, M)
variances = np.round(.1 + RNG.random(M), 3)
p = denoise(noised, Z1 ** 2, F)
pd = np.maximum(p, max(.5 * Z1, .3))
v0 = pd / np.linalg.norm(pd)
q = p / p.sum()
A = np.concatenate([feature_map(p, FEATURE_COLUMNS), RNG.normal(size=(M, RANDOM_COLUMNS))], 1)
A = A - q @ A
W0 = sum(B(h, A, v0) for h in HISTORIES)
W = W0 + RNG.normal(0, Z2, W0.shape)
Fx = feature_map(p, 40)
Fx = Fx - q @ Fx
view, V, s = views(W, A, p, Z1, Z2, 4, Fx)
bare, _, _ = views(W, A, p, Z1, Z2, 4, None)
noisier, _, _ = views(W, A, p, Z1, QUIET, 4, Fx)
left, right = lda(p)
print(json.dumps(dict(
    items=M, columns=D, features=plain(F), histories=HISTORIES, z1=Z1, z2=Z2, quiet=QUIET,
    popularity=plain(dict(sum=sums, noised=noised, variances=variances, p=p, direction=v0,
                          without_features=denoise(noised, Z1 ** 2, None), of_variances=denoise(noised, variances, F))),
    feature_columns=plain(feature_map(p, FEATURE_COLUMNS)), map=plain(A), sum=plain(W0), noised=plain(W), contributions=plain(
        {str(u): B(HISTORIES[u], A, v0) for u in range(3)}),
    views=plain(view), without_features=plain(bare), noisier=plain(noisier), second_map=plain(second_map(V, s, q)),
    lda=plain(dict(left=left, right=right))), separators=(',', ':')))
