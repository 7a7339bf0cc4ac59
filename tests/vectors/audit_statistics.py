"""Bounds on epsilon from scores, by jax-privacy: what simulator/src/audit/statistics is held against.

    python3 -m venv v && v/bin/pip install numpy==2.4.6 scipy==1.17.1 dp-accounting==0.6.0
    v/bin/pip download --no-deps jax-privacy==2.0.0 && unzip -j jax_privacy-*.whl jax_privacy/auditing.py
    PYTHONPATH=. v/bin/python tests/vectors/audit_statistics.py

Only the one file auditing.py of jax-privacy is used; it needs neither jax nor the rest of the package. Scores are kept as counts of
hundredths: "present" and "absent" map a score in hundredths to how many trials had it.
"""

import json
import pathlib
from collections import Counter

import numpy as np
import scipy.optimize
import scipy.stats

import auditing

# The root finder's tolerance in auditing.py is 1e-6; what is compared is the bound, not where the search stopped.
brentq = scipy.optimize.brentq
scipy.optimize.brentq = lambda f, low, high, xtol: brentq(f, low, high, xtol=1e-12)

DELTA = 1e-5


def case(name, present, absent, significance, threshold, f_dp=True):
    present, absent = np.round(present, 2), np.round(absent, 2)
    auditor = auditing.CanaryScoreAuditor(present, absent)
    at = auditing.Explicit(threshold)
    bounds = {
        "gdp_best": auditor.epsilon_from_gdp(significance, DELTA, eps_tol=1e-12),
        "clopper_pearson_best": auditor.epsilon_clopper_pearson(significance, DELTA),
        "clopper_pearson_at": auditor.epsilon_clopper_pearson(significance, DELTA, threshold_strategy=at),
        "one_run_at": auditor.epsilon_one_run(significance, DELTA, threshold_strategy=at),
        "f_dp_at": auditor.epsilon_one_run_fdp(significance, DELTA, threshold_strategy=at),
    }
    if f_dp:
        bounds["one_run_best"] = auditor.epsilon_one_run(significance, DELTA)
        bounds["f_dp_best"] = auditor.epsilon_one_run_fdp(significance, DELTA)
    count = lambda scores: {str(k): v for k, v in sorted(Counter(np.rint(scores * 100).astype(int).tolist()).items())}
    return {
        "name": name,
        "significance": significance,
        "threshold": threshold,
        "thresholds": len(auditor._thresholds),
        "present": count(present),
        "absent": count(absent),
        "bounds": {k: float(v) for k, v in bounds.items()},
    }


def one_shot(mean, stddev, coordinates, delta):
    """By brute force over a grid: the hockey-stick divergence of two normal distributions, both ways."""
    x = np.linspace(-40, 40, 4_000_001)
    p = scipy.stats.norm.pdf(x, mean * np.sqrt(coordinates), stddev * np.sqrt(coordinates))
    q = scipy.stats.norm.pdf(x)
    gap = lambda e: max(
        np.trapezoid(np.maximum(p - np.exp(e) * q, 0), x), np.trapezoid(np.maximum(q - np.exp(e) * p, 0), x)
    )
    return brentq(lambda e: gap(e) - delta, 0, 60, xtol=1e-10)


rng = np.random.default_rng(19)
shifted = lambda n, mu: (rng.normal(mu, 1, n), rng.normal(0, 1, n))
vectors = {
    "made_by": "tests/vectors/audit_statistics.py with jax-privacy 2.0.0",
    "delta": DELTA,
    "cases": [
        case("gaussian at z = 1, 10,000 + 10,000", *shifted(10_000, 1), 0.05, 2.5, f_dp=False),
        case("gaussian at z = 0.5", *shifted(1_000, 2), 0.05, 2.0),
        case("gaussian at z = 1, 2,500 + 2,500", *shifted(2_500, 1), 0.05, 2.0),
        case("nothing to be told", *shifted(500, 0), 0.05, 1.0),
        case("told for certain", *shifted(300, 12), 0.01, 6.0),
        case("the wrong way round", *shifted(400, -1), 0.05, 1.0),
    ],
    "one_run": [
        {
            "canaries": m,
            "guesses": r,
            "right": c,
            "significance": s,
            "plain": float(auditing._epsilon_one_run(0, m, r, c, s, DELTA)),
            "f_dp": float(auditing._epsilon_one_run_fdp(0, m, r, c, s, DELTA)),
        }
        for m, r, c, s in [
            (100, 100, 100, 0.05),
            (1000, 1000, 1000, 0.05),
            (5000, 500, 470, 0.05),
            (5000, 60, 60, 0.05),
            (5000, 1500, 1300, 0.001),
            (2000, 100, 52, 0.05),
        ]
    ],
    "one_shot": [
        {"mean": m, "stddev": s, "coordinates": d, "epsilon": float(one_shot(m, s, d, DELTA))}
        for m, s, d in [(0.01, 0.01, 10_000), (0.02, 0.012, 10_000), (0.03, 0.009, 10_000), (0.001, 0.01, 10_000)]
    ],
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(vectors, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
