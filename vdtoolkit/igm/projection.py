"""Least squares on two cones of two-agent tables, actions sorted from lowest to highest utility.

`monotone`: non-decreasing in both actions.  `elu_qmix`: non-decreasing, and with increasing
differences (supermodular); what a QMIX mixer of one ELU layer reaches lies inside this cone, since
such a mixer is a non-negative sum of convex non-decreasing functions of a non-negative sum of the
utilities.  Every fit takes and gives a batch of tables [K, A, B], K orderings at once; a cell of
weight 0 does not count.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import nnls

Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]


def monotone_fit(tables: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Nearest tables that are non-decreasing in both actions; [K, A, B] like `tables`.

    Exact, by isotonic recursive partitioning (Luss, Rosset & Shahar 2012): a block of equal values
    is split by the upper set that gains most, until no split gains.  A cell of weight 0 takes the
    value of the block it lies in.
    """
    centre = np.average(tables, axis=(1, 2), weights=weights, keepdims=True)
    tables = tables - centre
    fitted = np.empty_like(tables)
    owner = np.arange(len(tables))  # [M] the table that a block belongs to
    blocks = np.ones(tables.shape, dtype=bool)  # [M, A, B]
    tolerance = 1e-12 * (weights * np.abs(tables)).sum(axis=(1, 2))
    while len(owner):
        mass = np.where(blocks, weights[owner], 0.0)  # [M, A, B]
        mean = (mass * tables[owner]).sum(axis=(1, 2)) / mass.sum(axis=(1, 2))
        gains = mass * (tables[owner] - mean[:, None, None])
        upper, gain = _best_upper_set(gains)
        split = gain > tolerance[owner]
        for table, block, value in zip(owner[~split], blocks[~split], mean[~split], strict=True):
            fitted[table][block] = value
        blocks, upper, owner = blocks[split], upper[split], owner[split]
        blocks = np.concatenate([blocks & upper, blocks & ~upper])
        owner = np.concatenate([owner, owner])
    return fitted + centre


def _best_upper_set(gains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper sets [M, A, B] with the largest sum of gains [M, A, B], and those sums [M].

    An upper set holds the columns from c_i on in row i, where c_i does not increase with i:
    dynamic programming over the rows.  Among equals the smallest set.
    """
    M, A, B = gains.shape
    tails = np.zeros((M, A, B + 1))  # tails[..., c]: gain of the columns from c on
    tails[..., :B] = gains[..., ::-1].cumsum(axis=-1)[..., ::-1]
    best = tails  # best[:, i, c]: of the rows up to i, where row i starts at column c
    for i in range(1, A):
        best[:, i] += np.maximum.accumulate(best[:, i - 1, ::-1], axis=-1)[:, ::-1]
    columns = np.arange(B + 1)
    start = np.zeros(M, dtype=int)
    upper = np.empty(gains.shape, dtype=bool)
    for i in reversed(range(A)):
        allowed = np.where(columns >= start[:, None], best[:, i], -np.inf)
        start = B - allowed[:, ::-1].argmax(axis=-1)
        upper[:, i] = columns[:B] >= start[:, None]
    return upper, best[:, -1].max(axis=-1)


def elu_qmix_fit(tables: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Nearest tables of the cone {row steps, column steps, row x column steps} + a constant.

    [K, A, B] like `tables`; non-negative least squares on the cone's generators (Lawson & Hanson).
    Where cells of weight 0 leave several solutions, one of them.
    """
    K, A, B = tables.shape
    generators = _steps(A, B)
    fitted = np.empty_like(tables)
    for k in range(K):
        y, w = tables[k].ravel(), weights[k].ravel()
        w = w / w.sum()
        centre = w @ y  # the free constant: fit what is left around the means
        spread = np.sqrt(w @ (y - centre) ** 2) or 1.0
        columns = generators - w @ generators
        if columns.shape[1]:
            root = np.sqrt(w)
            target = root * (y - centre) / spread
            steps, _ = nnls(root[:, None] * columns, target, maxiter=100 * A * B)
            fitted[k] = (centre + spread * (columns @ steps)).reshape(A, B)
        else:
            fitted[k] = centre
    return fitted


def _steps(A: int, B: int) -> np.ndarray:
    """The generators [A * B, A * B - 1]: rows from i on, columns from j on, and both at once."""
    rows = np.tri(A)  # [A, A] rows[a, i] = 1 where a >= i; i = 0 is the constant
    columns = np.tri(B)
    return np.einsum("ai,bj->abij", rows, columns).reshape(A * B, A * B)[:, 1:]


FITS: dict[str, Fit] = {"monotone": monotone_fit, "elu_qmix": elu_qmix_fit}
