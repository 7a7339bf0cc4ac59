"""Makes accountant.csv and calibration.csv: epsilon and noise multipliers by Google's dp-accounting.

    python3 -m venv env && env/bin/pip install dp-accounting scipy && env/bin/python accountant.py [--only-rdp] OUT_DIR

Poisson-sampled Gaussian, add or remove one user. eps_rdp: RDP accountant, default orders. eps_pld_pess: pessimistic PLD
with value discretisation 1e-4. eps_gauss_exact: q = 1, closed form (Balle and Wang 2018). sigma_pld_or_exact in
calibration.csv: closed form at q = 1, else PLD. About an hour on two cores; --only-rdp leaves the PLD columns empty and
takes minutes.
"""

import csv
import math
import sys

import dp_accounting as dp
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from scipy.optimize import brentq
from scipy.stats import norm

SIGMAS, RATES = [0.5, 0.7, 1, 1.5, 2, 4], [0.001, 0.01, 0.05, 0.1, 0.5, 1]
ROUNDS, DELTAS = [1, 10, 100, 1000, 10000], [1e-5, 1e-6, 1e-8]
CALIBRATIONS = [(1, 1), (1, 10), (1, 100), (1, 1000), (0.01, 1000), (0.01, 10000), (0.05, 200), (0.05, 1000), (0.1, 100),
                (0.1, 1000)]


def composed(accountant, sigma, rate, rounds):
    event = dp.PoissonSampledDpEvent(rate, dp.GaussianDpEvent(sigma))
    return accountant.compose(event, rounds)


def rdp(sigma, rate, rounds):
    return composed(RdpAccountant(), sigma, rate, rounds)


def pld(sigma, rate, rounds, interval=1e-4):
    return composed(PLDAccountant(value_discretization_interval=interval), sigma, rate, rounds)


def exact(sigma, rounds, delta):
    mu = math.sqrt(rounds) / sigma

    def excess(eps):
        tail = norm.logcdf(-eps / mu - mu / 2) + eps
        return norm.cdf(mu / 2 - eps / mu) - (math.exp(tail) if tail < 700 else 0.0) - delta

    return brentq(excess, 0, mu * mu / 2 + 40 * mu + 40, xtol=1e-9) if excess(0) > 0 else 0.0


def accountant_rows(only_rdp):
    for sigma in SIGMAS:
        for rate in RATES:
            for rounds in ROUNDS:
                moments = rdp(sigma, rate, rounds)
                losses = None if only_rdp else pld(sigma, rate, rounds)
                for delta in DELTAS:
                    yield [
                        sigma, rate, rounds, delta,
                        moments.get_epsilon(delta),
                        "" if losses is None else losses.get_epsilon(delta),
                        exact(sigma, rounds, delta) if rate == 1 else "",
                    ]


def calibration_rows(only_rdp):
    delta = 1e-6
    for rate, rounds in CALIBRATIONS:
        for target in [0.5, 1, 2, 4, 8]:
            def solve(epsilon):
                return round(brentq(lambda s: epsilon(s) - target, 0.3, 300, xtol=1e-5), 4)
            by_rdp = solve(lambda s: rdp(s, rate, rounds).get_epsilon(delta))
            if rate == 1:
                best = solve(lambda s: exact(s, rounds, delta))
            else:
                best = "" if only_rdp else solve(lambda s: pld(s, rate, rounds, 1e-3).get_epsilon(delta))
            yield [rate, rounds, delta, target, by_rdp, best]


def main():
    only_rdp = "--only-rdp" in sys.argv
    out = sys.argv[-1]
    tables = [
        ("accountant", "sigma,q,T,delta,eps_rdp,eps_pld_pess,eps_gauss_exact", accountant_rows),
        ("calibration", "q,T,delta,target_eps,sigma_rdp,sigma_pld_or_exact", calibration_rows),
    ]
    for name, header, rows in tables:
        with open(f"{out}/{name}.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header.split(","))
            writer.writerows(rows(only_rdp))


if __name__ == "__main__":
    main()
