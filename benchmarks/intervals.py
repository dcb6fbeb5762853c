"""How often 95 % intervals of few runs miss, on scores whose truth is known: docs/compare.md.

    python -m benchmarks.intervals                two or three minutes
    python -m benchmarks.intervals --trials 2000

Scores of two methods that do not differ are drawn anew in each trial.  Counted is how often the
percentile interval of the interquartile mean leaves out the true one, how often that of the
probability of improvement leaves out 1/2, and how often `vdtoolkit compare` tells the two apart.
All three should be 5 %.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from vdtoolkit.compare.power import Spread, apart
from vdtoolkit.compare.statistics import (
    bootstrap,
    iqm,
    percentile_interval,
    probability_of_improvement,
)

RESAMPLES = 500
KINDS = ("normal", "lucky or not")


def main() -> int:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    print("| scores | environments | seeds | IQM misses | P(better) misses | told apart |")
    print("|---|---|---|---|---|---|")
    for kind in KINDS:
        for environments in (1, 3):
            for seeds in (3, 5, 10, 20):
                shares = missed(kind, environments, seeds, trials)
                told = " | ".join(f"{share:.1%}" for share in shares)
                print(f"| {kind} | {environments} | {seeds} | {told} |", flush=True)
    return 0


def missed(kind: str, environments: int, seeds: int, trials: int) -> np.ndarray:
    """[3]: shares of trials in which each of the three is wrong."""
    rng = np.random.default_rng([KINDS.index(kind), environments, seeds])
    wrong = [trial(kind, environments, seeds, rng) for _ in range(trials)]
    return np.mean(wrong, axis=0)


def trial(
    kind: str, environments: int, seeds: int, rng: np.random.Generator
) -> tuple[bool, bool, bool]:
    """Two methods of the same truth, judged once."""
    x, y = ([drawn(kind, seeds, rng) for _ in range(environments)] for _ in range(2))
    level = bootstrap(iqm, x, resamples=RESAMPLES, rng=rng)
    other = bootstrap(iqm, y, resamples=RESAMPLES, rng=rng)
    better = bootstrap(probability_of_improvement, x, y, resamples=RESAMPLES, rng=rng)
    spread = Spread.of(level - other, x, y)
    return (
        outside(0.5, level),
        outside(0.5, better),
        bool(apart(float(iqm(x) - iqm(y)), spread, x, y)),
    )


def drawn(kind: str, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Scores around 1/2: bell-shaped, or near 0 or 1 by the luck of the seed."""
    if kind == "normal":
        return rng.normal(0.5, 0.2, seeds)
    return (rng.random(seeds) < 0.5) + rng.normal(0, 0.05, seeds)


def outside(value: float, draws: np.ndarray) -> bool:
    """Whether the percentile interval leaves this out."""
    low, high = percentile_interval(draws)
    return not low <= value <= high


if __name__ == "__main__":
    sys.exit(main())
