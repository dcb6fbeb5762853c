"""Fits of one number an action: the additive table (VDN) and independent learners (IQL).

Any number of agents.  Tables are arrays [A_1, ..., A_N]; NaN where a joint action is not available.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import ArrayLike

from vdtoolkit.igm.results import JointAction


def additive_table(payoff: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sum_i Q_i(u_i) by least squares, [A_1..A_N].

    Of uniform data sum_i E[R|u_i] - (N-1) E[R]; of any other the normal equations, sum_i A_i
    unknowns, solved for the least norm around the mean where several solutions are equal.
    """
    data = filled(payoff, weights)
    mean = float(np.average(data, weights=weights))
    mass, total = marginals(data - mean, weights)
    if (weights == weights.flat[0]).all():
        utilities = [t / m for t, m in zip(total, mass, strict=True)]
    else:
        utilities = _solve_additive(weights, mass, np.concatenate(total))
    return mean + reduce(np.add.outer, utilities)


def independent(payoff: ArrayLike, weights: ArrayLike | None = None) -> list[np.ndarray]:
    """IQL's fixed point: E[R | u_i], one array [A_i] an agent; NaN where an action has no data."""
    payoff, weights = checked(payoff, weights)
    mass, total = marginals(payoff, weights)
    return [
        np.divide(t, m, out=np.full(m.shape, np.nan), where=m > 0)
        for m, t in zip(mass, total, strict=True)
    ]


def checked(payoff: ArrayLike, weights: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Both as new float arrays, weight 0 where the payoff is NaN."""
    payoff = np.array(payoff, dtype=float)
    if payoff.ndim == 0 or payoff.size == 0:
        raise ValueError(
            f"payoff has shape {payoff.shape}: give one axis an agent, at least one action each"
        )
    if np.isinf(payoff).any():
        where = _first(np.isinf(payoff))
        raise ValueError(
            f"payoff is {payoff[where]} at {where}: entries must be finite, or NaN where the joint"
            " action is not available"
        )
    available = ~np.isnan(payoff)
    if not available.any():
        raise ValueError("payoff is NaN everywhere: at least one joint action must be available")
    if weights is None:
        return payoff, available.astype(float)
    weights = np.array(weights, dtype=float)
    if weights.shape != payoff.shape:
        raise ValueError(
            f"weights have shape {weights.shape}, the payoff {payoff.shape}: give one weight a"
            " joint action"
        )
    if not (np.isfinite(weights) & (weights >= 0)).all():
        where = _first(~(np.isfinite(weights) & (weights >= 0)))
        raise ValueError(
            f"weight {weights[where]} at {where}: weights must be finite and >= 0, such as visit"
            " counts"
        )
    weights[~available] = 0.0
    if not weights.any():
        raise ValueError(
            "weights are 0 at every available joint action: give data, or None for uniform weights"
        )
    return payoff, weights


def filled(payoff: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The payoff with 0 in place of what has weight 0, NaN or not: it must not enter."""
    return np.where(weights > 0, payoff, 0.0)


def marginals(payoff: np.ndarray, weights: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weight, and weight x payoff, of every action of every agent: two lists of [A_i]."""
    weighted = weights * filled(payoff, weights)
    others = [tuple(j for j in range(payoff.ndim) if j != i) for i in range(payoff.ndim)]
    return [weights.sum(axis=o) for o in others], [weighted.sum(axis=o) for o in others]


def _solve_additive(
    weights: np.ndarray, mass: list[np.ndarray], total: np.ndarray
) -> list[np.ndarray]:
    """Utilities, one [A_i] an agent, of the normal equations of the additive fit."""
    N = weights.ndim
    blocks = [[np.diag(m) for m in mass] for _ in range(N)]
    for i in range(N):
        for j in range(i + 1, N):
            both = weights.sum(axis=tuple(k for k in range(N) if k not in (i, j)))  # [A_i, A_j]
            blocks[i][j], blocks[j][i] = both, both.T
    gram: np.ndarray = np.block(blocks)
    scale = np.sqrt(np.diag(gram))
    scale = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    scaled = scale[:, None] * gram * scale
    solution = scale * np.linalg.lstsq(scaled, scale * total, rcond=1e-12)[0]
    return np.split(solution, np.cumsum([len(m) for m in mass])[:-1])


def _first(where: np.ndarray) -> JointAction:
    return tuple(int(u) for u in np.argwhere(where)[0])
