"""Sample efficiency: the interquartile mean over training, of runs that may end anywhere.

A run is read by linear interpolation between its evaluations and never beyond them, so a point of
a curve may rest on fewer runs than its neighbour: each says on how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vdtoolkit.compare.statistics import bootstrap, iqm, percentile_interval

MOST_POINTS = 101
SHARES = np.linspace(0, 1, 51)


@dataclass(frozen=True)
class Curve:
    """A method's interquartile mean of scores over training.

    x: [T], moves, or the share of an environment's moves.  low, high: the stratified bootstrap's
    95 % interval, NaN of fewer than two runs.  runs: [T], how many each point rests on.
    """

    x: np.ndarray
    iqm: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: np.ndarray


def grid(moves: Sequence[np.ndarray]) -> np.ndarray:
    """[T]: the moves of all evaluations; evenly spread where they are too many."""
    every = np.unique(np.concatenate(moves))
    if len(every) > MOST_POINTS:
        return np.linspace(every[0], every[-1], MOST_POINTS)
    return every


def interpolated(x: np.ndarray, moves: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[T]: a run's scores at x; NaN outside its own range."""
    return np.interp(x, moves, scores, left=np.nan, right=np.nan)


def curve(
    x: np.ndarray, strata: Sequence[np.ndarray], resamples: int, rng: np.random.Generator
) -> Curve:
    """The curve of one method from its runs, [R_e, T] an environment, NaN where a run is not.

    A point is NaN where an environment has no run there: an aggregate over fewer environments
    would be another quantity.
    """
    points = [
        _point([runs[~np.isnan(runs[:, t]), t] for runs in strata], resamples, rng)
        for t in range(len(x))
    ]
    values, low, high, runs = np.array(points).T
    return Curve(x, values, low, high, runs.astype(int))


def _point(
    strata: list[np.ndarray], resamples: int, rng: np.random.Generator
) -> tuple[float, float, float, int]:
    n = sum(map(len, strata))
    if min(map(len, strata)) == 0:
        return np.nan, np.nan, np.nan, n
    value = float(iqm(strata))
    if min(map(len, strata)) == 1:
        return value, np.nan, np.nan, n
    low, high = percentile_interval(bootstrap(iqm, strata, resamples=resamples, rng=rng))
    return value, float(low), float(high), n
