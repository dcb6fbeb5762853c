"""Whether two methods are told apart, and how many seeds would do it.

The difference of two methods' IQM is held against its standard error, that of the stratified
bootstrap made larger by n / (n - 1) in variance, as a bootstrap of n runs knows their spread about
their own mean.  Degrees of freedom are Welch's (1947), over methods and environments.  Such
an interval holds about what it says with few seeds too, where the bootstrap's percentiles are too
narrow (docs/compare.md has both, measured).

The advice assumes that more seeds would show the same difference and the same spread, that each
environment gets as many, and that means of runs are about normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vdtoolkit.compare.statistics import LEVEL, Strata, fewest, quantile

POWER = 0.8  # how often the difference should be seen
MOST = 1000  # seeds beyond which the advice is to give up


@dataclass(frozen=True)
class Spread:
    """How uncertain a difference is at `seeds` runs an environment of each method.

    error: its standard error.  variances: [strata], each stratum's share in its square, up to a
    factor, as the means' would be.  runs: [strata].
    """

    error: float
    variances: np.ndarray
    runs: np.ndarray
    seeds: int

    @classmethod
    def of(cls, draws: np.ndarray, *methods: Strata) -> Spread:
        """From bootstrap draws of the difference and the scores they were drawn from."""
        strata = [x for strata in methods for x in strata]
        runs = np.array([len(x) for x in strata])
        seeds = min(fewest(strata) for strata in methods)
        if seeds < 2:
            return cls(math.nan, np.full(len(strata), math.nan), runs, seeds)
        grown = seeds / (seeds - 1)
        variances = np.array([x.var(ddof=1) / len(x) for x in strata])
        error = float(draws.std() * grown**0.5) if variances.any() else 0.0  # not rounding
        return cls(error, variances, runs, seeds)

    def freedom(self, seeds: int) -> float:
        """Welch's degrees of freedom at so many seeds: (sum v)^2 / sum(v^2 / (n - 1))."""
        n = self.runs * seeds / self.seeds
        return float(self.variances.sum() ** 2 / (self.variances**2 / (n - 1)).sum())

    def half(self) -> float:
        """Half the 95 % interval of the difference."""
        if not self.error > 0:
            return self.error  # 0 without any spread, NaN of one seed
        return quantile(self.freedom(self.seeds), (1 + LEVEL) / 2) * self.error

    def power(self, difference: float, seeds: int) -> float:
        """How often such a difference would be told from 0 with so many seeds.

        The noncentral t distribution beyond its critical value (Cohen 1988, chapter 2).
        """
        from scipy import special

        free = self.freedom(seeds)
        shift = abs(difference) / (self.error * (self.seeds / seeds) ** 0.5)
        limit = quantile(free, (1 + LEVEL) / 2)
        return 1.0 if shift > 4 * limit else float(1 - special.nctdtr(free, shift, limit))

    def seeds_for(self, difference: float) -> int | None:
        """The least number of seeds that tells the difference from 0 with `POWER`.

        None where more than `MOST` would be needed, or nothing can be said.
        """
        if difference == 0 or not self.error > 0:
            return None
        low, high = 2, MOST
        if self.power(difference, high) < POWER:
            return None
        while low < high:
            middle = (low + high) // 2
            if self.power(difference, middle) >= POWER:
                high = middle
            else:
                low = middle + 1
        return low

    def smallest(self) -> float:
        """The least difference that the present seeds tell from 0 with `POWER`."""
        if not self.error > 0:
            return self.error
        free = self.freedom(self.seeds)
        return (quantile(free, (1 + LEVEL) / 2) + quantile(free, POWER)) * self.error


def reshuffles(ones: Strata, others: Strata) -> int:
    """In how many ways runs could be dealt to two methods, environment by environment.

    Where no method's runs differ among themselves, a permutation test's p is 2 over it at best.
    """
    return math.prod(math.comb(len(x) + len(y), len(x)) for x, y in zip(ones, others, strict=True))


def apart(difference: float, spread: Spread, ones: Strata, others: Strata) -> bool | None:
    """Whether the interval leaves out 0; None where there are too few runs to say.

    Without any spread, where even runs that never meet could be so by chance.
    """
    if spread.seeds < 2:
        return None
    if spread.error > 0:
        return abs(difference) > spread.half()
    if difference == 0:
        return False
    return True if 2 / reshuffles(ones, others) < 1 - LEVEL else None
