"""Did a learner reach what its class of functions can reach?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vdtoolkit.igm.additive import checked, independent, marginals
from vdtoolkit.igm.limits import limits as class_limits
from vdtoolkit.igm.limits import own_ordering, project_ordering
from vdtoolkit.igm.orderings import squared_error
from vdtoolkit.igm.projection import FITS
from vdtoolkit.igm.results import Limit

AT_CLASS = "at its class's optimum"
AT_ORDERING = "at the optimum of its own ordering"
NOT_CONVERGED = "not converged"
UNKNOWN = "limit not computed"

TOLERANCE = 0.02  # of the target's range: how far, RMS, a table may lie from its limit

CLASSES = ("additive", "elu_qmix", "monotone", "unrestricted", "independent")


def verdict(
    function_class: str,
    target: ArrayLike,
    learned: ArrayLike,
    utilities: Sequence[ArrayLike],
    weights: ArrayLike | None = None,
    limits: dict[str, Limit] | None = None,
    tolerance: float = TOLERANCE,
) -> str:
    """Where a learned table stands: AT_CLASS, AT_ORDERING, NOT_CONVERGED or UNKNOWN.

    target: the table it was trained on [A_1..A_N], NaN where not available; learned: its own
    table; utilities: one [A_i] an agent.  limits: those of (target, weights), computed if None.

    A table is at a limit where it lies within `tolerance` of the target's range of the limit's
    table (weighted RMS), or where its mean squared error is no more than that squared above the
    limit's: optima need not be unique.  "independent" learners are compared by their utilities.
    In its own ordering a learner may also be stuck between two actions of one utility, as on XOR:
    see `_tied_optimum`.

    Where a limit is not `exact` this means the bound, or the best ordering found.  The bound of
    "elu_qmix" can lie below what the class reaches, so there NOT_CONVERGED says only that no
    bound was met.
    """
    if function_class not in CLASSES:
        raise ValueError(f"no class {function_class!r}: use one of {', '.join(CLASSES)}")
    target, weights = checked(target, weights)
    step = tolerance * _span(target)
    if function_class == "independent":
        return AT_CLASS if _at_fixed_point(target, weights, utilities, step) else NOT_CONVERGED
    learned = np.asarray(learned, dtype=float)
    if learned.shape != target.shape:
        raise ValueError(
            f"learned has shape {learned.shape}, the target {target.shape}: give one value a joint"
            " action"
        )
    data = weights > 0
    w, y, x = weights[data], target[data], learned[data]
    if not np.isfinite(x).all():
        return NOT_CONVERGED
    slack = w.sum() * step**2
    error = squared_error(x, y, w)

    def at(table: np.ndarray | None) -> bool:
        return table is not None and (
            error <= squared_error(table[data], y, w) + slack
            or squared_error(x, table[data], w) <= slack
        )

    if error <= slack:  # no class does better than no error
        return AT_CLASS
    limit = (class_limits(target, weights) if limits is None else limits)[function_class]
    if limit.table is None:
        return UNKNOWN
    if at(limit.table):
        return AT_CLASS
    if function_class in FITS and target.ndim == 2:
        kind = function_class
        own = own_ordering(target, utilities, kind, weights).table
        if at(own) or at(_tied_optimum(target, weights, learned, utilities, kind, step)):
            return AT_ORDERING
    return NOT_CONVERGED


def _span(target: np.ndarray) -> float:
    """Largest minus smallest entry; of a constant target its size, at least 1."""
    low, high = np.nanmin(target), np.nanmax(target)
    size = max(abs(low), abs(high))
    return float(high - low if high - low > 1e-9 * size else max(size, 1.0))


def _at_fixed_point(
    target: np.ndarray, weights: np.ndarray, utilities: Sequence[ArrayLike], step: float
) -> bool:
    """Utilities within `step` (weighted RMS over all agents' actions) of IQL's fixed point."""
    fixed = independent(target, weights)
    given = [np.asarray(u, dtype=float) for u in utilities]
    if [u.shape for u in given] != [u.shape for u in fixed]:
        raise ValueError(
            f"utilities have shapes {[u.shape for u in given]}, the target {target.shape}: give one"
            " [A_i] an agent"
        )
    mass = np.concatenate(marginals(target, weights)[0])
    data = mass > 0
    error = np.concatenate(given)[data] - np.concatenate(fixed)[data]
    return bool((mass[data] * error**2).sum() <= mass[data].sum() * step**2)


def _tied_optimum(
    target: np.ndarray,
    weights: np.ndarray,
    learned: np.ndarray,
    utilities: Sequence[ArrayLike],
    kind: str,
    step: float,
) -> np.ndarray | None:
    """Best table [A, B] where actions that the learned table does not tell apart stay tied.

    Gradient descent rests there only if tied actions earn the same on average against each group
    of the partner's tied actions (to within `step`); None where they do not: those would part.
    """
    learned = np.where(weights > 0, learned, 0.0)
    rows = _tie_groups(learned, weights, utilities[0], step)
    columns = _tie_groups(learned.T, weights.T, utilities[1], step)
    into_rows = np.eye(rows.max() + 1)[rows]  # [A, G] one-hot
    into_columns = np.eye(columns.max() + 1)[columns]  # [B, H]
    total = weights * np.where(weights > 0, target, 0.0)
    payoff = _mean(into_rows.T @ total @ into_columns, into_rows.T @ weights @ into_columns)
    one_row = _mean(total @ into_columns, weights @ into_columns)  # [A, H]
    one_column = _mean(into_rows.T @ total, into_rows.T @ weights)  # [G, B]
    apart = [np.abs(one_row - payoff[rows]), np.abs(one_column - payoff[:, columns])]
    if any((a > step).any() for a in apart):
        return None
    orders = [np.arange(n) for n in payoff.shape]  # the groups are numbered by utility
    pooled = project_ordering(payoff, orders, kind, into_rows.T @ weights @ into_columns).table
    return None if pooled is None else pooled[np.ix_(rows, columns)]


def _tie_groups(
    learned: np.ndarray, weights: np.ndarray, utilities: ArrayLike, step: float
) -> np.ndarray:
    """Group of each row [A], numbered by rising utility: rows within `step` (RMS) of the first."""
    order = np.argsort(np.asarray(utilities, dtype=float), kind="stable")
    groups = np.zeros(len(order), dtype=int)
    first = order[0]
    for place, action in enumerate(order):
        both = weights[first] * weights[action]
        if (both * (learned[action] - learned[first]) ** 2).sum() > both.sum() * step**2:
            groups[order[place:]] += 1
            first = action
    return groups


def _mean(total: np.ndarray, mass: np.ndarray) -> np.ndarray:
    return np.divide(total, mass, out=np.full(mass.shape, np.nan), where=mass > 0)
