"""rliable's statistics on arrays: aggregates over runs and environments, and their intervals.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
arXiv 2108.13264.  A method's scores are **strata**: one array an environment, [..., R_e], the last
axis its runs.  Environments may have unlike numbers of runs; each counts the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

Strata = Sequence[np.ndarray]
Statistic = Callable[[Strata], np.ndarray]

LEVEL = 0.95


def iqm(strata: Strata) -> np.ndarray:
    """Interquartile mean of all scores: what is left when a quarter is cut off at each end.

    A run weighs 1 / (E R_e), and a run at the edge is cut in part.  Where all environments have
    the same number of runs, whole runs are cut, as many as a quarter holds: that is SciPy's
    trim_mean(scores, 0.25), which rliable takes (Agarwal et al. 2021, section 4.3).
    """
    scores, sizes = np.concatenate(strata, axis=-1), [x.shape[-1] for x in strata]
    order = np.argsort(scores, axis=-1)
    weight = np.concatenate([np.full(n, 1 / (n * len(sizes))) for n in sizes])[order]
    below = np.cumsum(weight, axis=-1)
    cut = sum(sizes) // 4 / sum(sizes) if len(set(sizes)) == 1 else 0.25
    kept = np.clip(np.minimum(below, 1 - cut) - np.maximum(below - weight, cut), 0, None)
    return (kept * np.take_along_axis(scores, order, -1)).sum(-1) / kept.sum(-1)


def mean(strata: Strata) -> np.ndarray:
    """The mean over environments of their runs' means."""
    return np.mean([x.mean(-1) for x in strata], axis=0)


def median(strata: Strata) -> np.ndarray:
    """The median over environments of their runs' means, as Atari papers report it."""
    return np.median([x.mean(-1) for x in strata], axis=0)


def optimality_gap(strata: Strata) -> np.ndarray:
    """What is missing to a score of 1, scores above 1 counted as 1: 1 - mean(min(x, 1))."""
    return 1 - mean([np.minimum(x, 1.0) for x in strata])


def probability_of_improvement(ones: Strata, others: Strata) -> np.ndarray:
    """P(X > Y) of a run of each in one environment, ties half; the mean over environments.

    In each environment it is the Mann-Whitney U statistic over R_X R_Y (Agarwal et al. 2021,
    section 4.3).
    """
    return np.mean([_above(x, y) for x, y in zip(ones, others, strict=True)], axis=0)


def _above(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    first, second = x[..., :, None], y[..., None, :]
    return ((first > second) + 0.5 * (first == second)).mean((-2, -1))


def performance_profile(strata: Strata, taus: np.ndarray) -> np.ndarray:
    """[..., taus]: the share of runs that score above tau (Agarwal et al. 2021, section 4.2)."""
    return np.mean([(x[..., None] > taus).mean(-2) for x in strata], axis=0)


def resample(strata: Strata, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """n bootstrap samples, [n, R_e] each: an environment's runs, drawn with replacement."""
    return [x[rng.integers(len(x), size=(n, len(x)))] for x in strata]


def bootstrap(
    statistic: Callable[..., np.ndarray],
    *methods: Strata,
    resamples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """[resamples, ...]: the statistic of stratified bootstrap samples, methods independent."""
    return statistic(*(resample(strata, resamples, rng) for strata in methods))


def percentile_interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bootstrap's 95 % percentile interval, over the first axis of draws."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


def t_interval(x: np.ndarray) -> tuple[float, float]:
    """Student's 95 % interval of the mean of few runs; NaN of fewer than two."""
    n = len(x)
    if n < 2:
        return float("nan"), float("nan")
    half = quantile(n - 1, (1 + LEVEL) / 2) * x.std(ddof=1) / n**0.5
    return float(x.mean() - half), float(x.mean() + half)


def quantile(freedom: float, share: float) -> float:
    """Student's t below which this share lies."""
    from scipy import special  # scipy.stats takes a second to import

    return float(special.stdtrit(freedom, share))


def fewest(strata: Iterable[np.ndarray]) -> int:
    """The least number of runs in an environment."""
    return min(x.shape[-1] for x in strata)
