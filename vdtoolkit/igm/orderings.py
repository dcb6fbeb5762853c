"""The orderings of two agents' actions whose cone comes nearest to a payoff.

An ordering lists an agent's actions from lowest to highest utility.  Up to `EVERY` actions a side
each pair of orderings is fitted; beyond that a search tries a bounded number of them.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np

from vdtoolkit.igm.projection import FITS

EVERY = 5  # actions a side up to which every ordering is fitted: 5! x 5! = 14400 at most
LARGEST = 1024  # joint actions beyond which even one fit takes too long
EFFORT = 3_000_000  # the search fits EFFORT / cells^1.5 tables: 323 of size 21 x 21
RESTARTS = 4  # random orderings that the search also starts from
TIE = 1e-12  # squared errors that differ by less, relative to the payoff's spread, are equal

Orders = tuple[np.ndarray, np.ndarray]


class Fitted(NamedTuple):
    """The table fitted at an ordering, both agents' actions in their own order again."""

    orders: Orders
    table: np.ndarray  # [A, B]
    sse: float


def fit_ordered(payoff: np.ndarray, weights: np.ndarray, kind: str, orders: Orders) -> Fitted:
    """Project the payoff [A, B] on the cone of `kind` where the actions rank as in `orders`."""
    cells = np.ix_(*orders)
    table = np.empty_like(payoff)
    table[cells] = FITS[kind](payoff[cells][None], weights[cells][None])[0]
    return Fitted(orders, table, squared_error(table, payoff, weights))


def squared_error(table: np.ndarray, payoff: np.ndarray, weights: np.ndarray) -> float:
    """sum of weights * (table - payoff)^2."""
    return float((weights * (table - payoff) ** 2).sum())


def tie_tolerance(payoff: np.ndarray, weights: np.ndarray) -> float:
    """How far two sums of squared errors may lie apart and still count as equal."""
    mean = (weights * payoff).sum() / weights.sum()
    return TIE * squared_error(np.full_like(payoff, mean), payoff, weights)


def best_of_every_ordering(payoff: np.ndarray, weights: np.ndarray, kind: str) -> Fitted:
    """Fit every ordering that gives a different table; among equals, low actions rank high."""
    A, B = payoff.shape
    rows = np.array([order[::-1] for order in permutations(range(A))])
    columns = np.array([order[::-1] for order in permutations(range(B))])
    cells = rows[:, None, :, None], columns[None, :, None, :]
    tables = payoff[cells].reshape(-1, A, B)
    masses = weights[cells].reshape(-1, A, B)
    both = np.concatenate([tables, masses], axis=1).reshape(len(tables), -1)
    first = np.sort(np.unique(both, axis=0, return_index=True)[1])
    tables, masses = tables[first], masses[first]
    errors = (masses * (FITS[kind](tables, masses) - tables) ** 2).sum(axis=(1, 2))
    winner = int((errors <= errors.min() + tie_tolerance(payoff, weights)).argmax())
    row, column = divmod(int(first[winner]), len(columns))
    return fit_ordered(payoff, weights, kind, (rows[row], columns[column]))


def best_of_search(
    payoff: np.ndarray, weights: np.ndarray, kind: str, starts: list[Orders]
) -> Fitted:
    """Descend by swaps of neighbours in the order, from the best of `starts` first.

    Deterministic: `starts`, then `RESTARTS` seeded random orderings, and a number of fits that
    depends on the size alone.
    """
    A, B = payoff.shape
    rng = np.random.default_rng(0)
    starts = starts + [(rng.permutation(A), rng.permutation(B)) for _ in range(RESTARTS)]
    tolerance = tie_tolerance(payoff, weights)
    left = search_fits(payoff.size) - len(starts)
    found = sorted(
        (fit_ordered(payoff, weights, kind, start) for start in starts), key=lambda fit: fit.sse
    )
    best = found[0]
    for fit in found:
        fit, left = _descend(payoff, weights, kind, fit, left)
        if fit.sse < best.sse - tolerance:
            best = fit
    return best


def search_fits(cells: int) -> int:
    """How many tables the search fits at most."""
    return int(EFFORT / cells**1.5)


def _descend(
    payoff: np.ndarray, weights: np.ndarray, kind: str, fit: Fitted, left: int
) -> tuple[Fitted, int]:
    """Take every swap that lowers the error until none does, or no fits are left."""
    tolerance = tie_tolerance(payoff, weights)
    swaps = [(agent, k) for agent in (0, 1) for k in range(payoff.shape[agent] - 1)]
    since = 0  # swaps tried since the last that helped
    while since < len(swaps) and left > 0 and fit.sse > tolerance:
        for agent, k in swaps:
            if since == len(swaps) or left <= 0:
                break
            orders = (fit.orders[0].copy(), fit.orders[1].copy())
            orders[agent][[k, k + 1]] = orders[agent][[k + 1, k]]
            candidate = fit_ordered(payoff, weights, kind, orders)
            left, since = left - 1, since + 1
            if candidate.sse < fit.sse - tolerance:
                fit, since = candidate, 0
    return fit, left
