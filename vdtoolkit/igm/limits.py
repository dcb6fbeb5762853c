"""The best table that each class of functions reaches by (weighted) least squares.

    additive      Q_tot = sum_i Q_i: VDN, and Qatten in a single state
    elu_qmix      QMIX with one ELU layer: non-decreasing, convex and supermodular
    monotone      any non-decreasing function of the utilities
    unrestricted  any table: QTRAN's Q_jt, QPLEX, a joint Q

Tables are arrays [A_1, ..., A_N]; NaN where a joint action is not available.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vdtoolkit.igm.additive import additive_table, checked, filled, independent
from vdtoolkit.igm.orderings import (
    EVERY,
    LARGEST,
    Orders,
    best_of_every_ordering,
    best_of_search,
    fit_ordered,
    search_fits,
    squared_error,
    tie_tolerance,
)
from vdtoolkit.igm.projection import FITS
from vdtoolkit.igm.results import JointAction, Limit

__all__ = ["greedy_of", "independent", "limits", "own_ordering", "project_ordering"]

NO_DATA = (
    "{n} available joint actions have weight 0: no data fixes their values, the table's are one of"
    " many"
)
BOUND = (
    "a lower bound on the error: the class lies inside this cone (monotone and supermodular) and"
    " usually meets it"
)
SEARCHED = (
    "a search: the best of at most {fits} orderings of the {A} x {B} actions; a better one may"
    " exist, every ordering is tried up to {every} a side"
)
TWO_AGENTS = "not computed: the projection is for two agents, this payoff has {n}"
TOO_LARGE = "not computed: {A} x {B} actions are {n} joint actions, above {largest}"


def limits(payoff: ArrayLike, weights: ArrayLike | None = None) -> dict[str, Limit]:
    """Best table of each class: `additive`, `elu_qmix`, `monotone` and `unrestricted`.

    payoff: [A_1..A_N], NaN where not available.  weights: the same shape, >= 0, visit counts for
    instance; None weighs every available joint action 1.  What has weight 0 is not fitted.
    """
    payoff, weights = checked(payoff, weights)
    additive = additive_table(payoff, weights)
    starts = _starts(payoff, additive)
    elu_qmix, orders = _best_ordering(payoff, weights, "elu_qmix", starts)
    monotone, _ = _best_ordering(payoff, weights, "monotone", [*orders, *starts])
    return {
        "additive": _limit(payoff, weights, additive),
        "elu_qmix": elu_qmix,
        "monotone": monotone,
        "unrestricted": _limit(payoff, weights, payoff),
    }


def project_ordering(
    payoff: ArrayLike,
    orders: Sequence[ArrayLike],
    kind: str,
    weights: ArrayLike | None = None,
) -> Limit:
    """Best table of the class where each agent's actions rank as given, two agents.

    orders: one permutation of the actions an agent, from the lowest utility to the highest.
    kind: "monotone" or "elu_qmix".
    """
    payoff, weights = checked(payoff, weights)
    if kind not in FITS:
        raise ValueError(f"kind {kind!r} has no projection: use one of {', '.join(sorted(FITS))}")
    if payoff.ndim != 2:
        raise ValueError(f"payoff has {payoff.ndim} agents: the projection is for two")
    if payoff.size > LARGEST:
        A, B = payoff.shape
        raise ValueError(
            f"{A} x {B} actions are {payoff.size} joint actions, above {LARGEST}: the projection"
            " takes too long"
        )
    fit = fit_ordered(filled(payoff, weights), weights, kind, _checked_orders(orders, payoff.shape))
    note = BOUND if kind == "elu_qmix" else ""
    return _limit(payoff, weights, fit.table, exact=kind == "monotone", note=note)


def own_ordering(
    payoff: ArrayLike,
    utilities: Sequence[ArrayLike],
    kind: str,
    weights: ArrayLike | None = None,
) -> Limit:
    """`project_ordering` at the ranks of learned utilities, one [A_i] an agent.

    What gradient descent can still reach without two utilities crossing: 320 on QTRAN's game where
    QMIX ranks action A last, not 288.
    """
    orders = [np.argsort(np.asarray(u, dtype=float), kind="stable") for u in utilities]
    return project_ordering(payoff, orders, kind, weights)


def greedy_of(table: np.ndarray) -> JointAction:
    """Argmax of a table, NaN left out; the first of those equal to within 1e-9."""
    top = np.nanmax(table)
    near = table >= top - 1e-9 * np.nanmax(np.abs(table))
    return tuple(int(u) for u in np.unravel_index(int(near.argmax()), table.shape))


def _checked_orders(orders: Sequence[ArrayLike], shape: tuple[int, ...]) -> Orders:
    arrays = [np.asarray(order) for order in orders]
    if [sorted(a.tolist()) for a in arrays] != [list(range(n)) for n in shape]:
        given = [a.tolist() for a in arrays]
        raise ValueError(
            f"orders {given} do not rank {shape[0]} x {shape[1]} actions: give each agent's actions"
            " once, from the lowest utility to the highest"
        )
    return arrays[0].astype(int), arrays[1].astype(int)


def _limit(
    payoff: np.ndarray,
    weights: np.ndarray,
    table: np.ndarray,
    exact: bool = True,
    note: str = "",
) -> Limit:
    """The limit that a table [A_1..A_N] is; NaN where the payoff is."""
    available = ~np.isnan(payoff)
    table = np.where(available, table, np.nan)
    greedy = greedy_of(table)
    no_data = int((available & (weights == 0)).sum())
    if no_data:
        note = "; ".join(filter(None, [note, NO_DATA.format(n=no_data)]))
    return Limit(
        table=table,
        sse=squared_error(table[available], payoff[available], weights[available]),
        greedy=greedy,
        regret=float(np.nanmax(payoff) - payoff[greedy]),
        exact=exact,
        note=note,
    )


def _best_ordering(
    payoff: np.ndarray, weights: np.ndarray, kind: str, starts: list[Orders]
) -> tuple[Limit, list[Orders]]:
    """The limit over orderings, and the ordering it was found at (none where not computed)."""
    if payoff.ndim == 1:  # one agent's utilities can be the payoff itself
        return _limit(payoff, weights, payoff), []
    if payoff.ndim > 2:
        return _not_computed(TWO_AGENTS.format(n=payoff.ndim)), []
    A, B = payoff.shape
    if payoff.size > LARGEST:
        return _not_computed(TOO_LARGE.format(A=A, B=B, n=payoff.size, largest=LARGEST)), []
    data = filled(payoff, weights)
    bound = BOUND if kind == "elu_qmix" else ""
    if max(A, B) <= EVERY:
        fit = best_of_every_ordering(data, weights, kind)
        limit = _limit(payoff, weights, fit.table, exact=not bound, note=bound)
        return limit, [fit.orders]
    fit = best_of_search(data, weights, kind, starts)
    if not bound and fit.sse <= tie_tolerance(data, weights):  # nothing is better than no error
        return _limit(payoff, weights, fit.table), [fit.orders]
    note = SEARCHED.format(fits=search_fits(payoff.size), A=A, B=B, every=EVERY)
    note = f"{note}; at each ordering {bound}" if bound else note
    return _limit(payoff, weights, fit.table, exact=False, note=note), [fit.orders]


def _not_computed(note: str) -> Limit:
    return Limit(table=None, sse=None, greedy=None, regret=None, exact=False, note=note)


def _starts(payoff: np.ndarray, additive: np.ndarray) -> list[Orders]:
    """Orderings to search from: by the additive solution, by best and by worst payoffs."""
    if payoff.ndim != 2:
        return []
    fold = [(additive, np.add), (payoff, np.fmax), (payoff, np.fmin)]
    return [
        (
            np.argsort(f.reduce(t, axis=1), kind="stable"),
            np.argsort(f.reduce(t, axis=0), kind="stable"),
        )
        for t, f in fold
    ]
