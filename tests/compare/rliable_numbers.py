"""rliable's own numbers on the arrays of a file, as JSON: run by a Python that has rliable.

    python rliable_numbers.py scores.npz

scores.npz: one array [runs, environments] a method.  rliable 1.2 wants pandas < 3, so it lives in
an environment of its own; VDTOOLKIT_RLIABLE_PYTHON names its interpreter for the tests.
"""

import json
import sys

import numpy as np
from rliable import library, metrics

REPS = 2000
TAUS = np.linspace(-0.2, 1.2, 29)


def main(path):
    scores = dict(np.load(path))
    np.random.seed(0)  # rliable draws from numpy's global generator
    functions = {
        "iqm": metrics.aggregate_iqm,
        "mean": metrics.aggregate_mean,
        "median": metrics.aggregate_median,
        "optimality_gap": metrics.aggregate_optimality_gap,
    }
    every = lambda x: np.array([f(x) for f in functions.values()])  # noqa: E731
    points, intervals = library.get_interval_estimates(scores, every, reps=REPS)
    told = {"aggregates": {}, "improvement": {}, "profiles": {}}
    for name in scores:
        told["aggregates"][name] = {
            key: [points[name][k], *intervals[name][:, k]] for k, key in enumerate(functions)
        }
    first, *others = scores
    pairs = {f"{first},{other}": (scores[first], scores[other]) for other in others}
    better = lambda x, y: np.array([metrics.probability_of_improvement(x, y)])  # noqa: E731
    points, intervals = library.get_interval_estimates(pairs, better, reps=REPS)
    for pair in pairs:
        told["improvement"][pair] = [points[pair][0], *intervals[pair][:, 0]]
    profiles, bands = library.create_performance_profile(scores, TAUS, reps=REPS // 2)
    for name in scores:
        told["profiles"][name] = [profiles[name].tolist(), *np.array(bands[name]).tolist()]
    json.dump(told, sys.stdout, default=float)


if __name__ == "__main__":
    main(sys.argv[1])
