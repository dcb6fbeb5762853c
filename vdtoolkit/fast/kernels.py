"""The recurrent agent over an episode, compiled by Numba.

A block of rows runs through all moments of the episode while it and the weights stay in the cache;
blocks need nothing of each other, so threads take their own.  Sums stand in registers, tile by tile
of rows x vectors, and the GRU's gates are squashed before they leave them.  The formulas are those
of `vdtoolkit.unroll`.

Arrays are addresses (bytes) and row-major; H and A are padded to whole vectors, with zeros in all
weights, which keeps what is added zero and out of every result.  Numba keeps what it compiled in a
folder beside this file, and sees at this file alone whether that still holds: touch it after a
change in vectors.py.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from vdtoolkit.fast.vectors import (
    ADDRESS,
    FLOATS,
    REGISTERS,
    SIZE,
    VECTOR,
    V,
    load,
    sigmoid,
    spread,
    store,
    tanh,
)

LANES = VECTOR // SIZE  # floats in a vector
BLOCK = 48  # rows that run through the episode together
TILE = 6  # rows of a product's tile; with WIDE vectors a row it fills the registers
WIDE = 4 if REGISTERS == 32 else 2
GATES = TILE if REGISTERS == 32 else 3  # rows of a tile of gates, which are four vectors a row


def compiled(f: Callable[..., None]) -> Any:
    """By Numba, without the interpreter's lock; kept on disk if there is a place to write."""
    try:
        return njit(nogil=True, cache=True)(f)
    except RuntimeError:  # no folder to keep it in: compile in every process
        return njit(nogil=True)(f)


def emitted(emit: Callable[..., None]) -> Any:
    """A function whose code `emit(builder, *addresses and sizes)` writes."""

    def typed(_: Any, *given: Any) -> Any:
        def code(context: Any, builder: Any, _: Any, args: Any) -> Any:
            emit(builder, *args)
            return context.get_dummy_value()

        return types.void(*[types.int64] * len(given)), code

    typed.__name__ = typed.__qualname__ = emit.__name__
    typed.__signature__ = signature(emit)  # type: ignore[attr-defined]  # Numba wants names
    return intrinsic(typed)


# -- pieces of tiles ------------------------------------------------------------------------


def along(b: Any, address: Any, n: int, step: Any = VECTOR) -> list[Any]:
    """Addresses of n vectors that are `step` bytes apart."""
    step = step if isinstance(step, ir.Value) else ADDRESS(step)
    return [b.add(address, b.mul(step, ADDRESS(i))) for i in range(n)]


def rows(b: Any, address: Any, step: Any, left: Any, n: int) -> list[Any]:
    """Addresses of n rows; where fewer are left, the last again: it is computed twice."""
    last = b.sub(left, ADDRESS(1))
    picks = [b.select(b.icmp_signed("<", ADDRESS(i), last), ADDRESS(i), last) for i in range(n)]
    return [b.add(address, b.mul(step, i)) for i in picks]


def sums(start: Iterable[V]) -> list[Any]:
    """Running sums, which LLVM keeps in registers."""
    slots = []
    for v in start:
        slots.append(cgutils.alloca_once(v.builder, FLOATS))
        v.builder.store(v.value, slots[-1])
    return slots


def value(b: Any, slot: Any) -> V:
    """Where a running sum stands."""
    return V(b, b.load(slot))


def contract(
    b: Any, into: list[list[Any]], a: list[Any], a_k: Any, w: Any, w_k: Any, k: Any
) -> None:
    """Add to the sum of row i and vector v: sum over k of A[i, k] W[k, v]."""
    with cgutils.for_range(b, k, intp=ADDRESS) as loop:
        at = b.mul(loop.index, a_k)
        vectors = [load(b, p) for p in along(b, b.add(w, b.mul(loop.index, w_k)), len(into[0]))]
        for slots, row in zip(into, a, strict=True):
            one = spread(b, b.add(row, at))
            for slot, v in zip(slots, vectors, strict=True):
                b.store(one.times(v, value(b, slot)).value, slot)


# -- products -------------------------------------------------------------------------------


def product(vectors: int, adds: bool, finish: Callable[[V, V], V]) -> Any:
    """A tile of C = finish(A W, other), or finish(other + A W, other) where it `adds`."""

    def tile(b, a, a_row, a_k, w, w_k, c, c_row, other, other_row, left, k):
        others = [
            [load(b, p) for p in along(b, row, vectors)]
            for row in rows(b, other, other_row, left, TILE)
        ]
        into = [sums(v if adds else v.of(0.0) for v in row) for row in others]
        contract(b, into, rows(b, a, a_row, left, TILE), a_k, w, w_k, k)
        for row, slots, extra in zip(rows(b, c, c_row, left, TILE), into, others, strict=True):
            for p, slot, o in zip(along(b, row, vectors), slots, extra, strict=True):
                store(finish(value(b, slot), o), p)

    return emitted(tile)


def matmul(adds: bool, finish: Callable[[V, V], V]) -> Any:
    """The product over whole matrices: C [n, width] from A [n, k] and W [k, width]."""
    wide, narrow = product(WIDE, adds, finish), product(1, adds, finish)

    @njit(nogil=True)
    def whole(a, a_row, a_k, w, w_k, c, c_row, other, other_row, n, k):
        j = 0
        while j + WIDE * VECTOR <= c_row:
            for i in range(0, n, TILE):
                o = other + i * other_row + j
                p = c + i * c_row + j
                wide(a + i * a_row, a_row, a_k, w + j, w_k, p, c_row, o, other_row, n - i, k)
            j += WIDE * VECTOR
        while j < c_row:
            for i in range(0, n, TILE):
                o = other + i * other_row + j
                p = c + i * c_row + j
                narrow(a + i * a_row, a_row, a_k, w + j, w_k, p, c_row, o, other_row, n - i, k)
            j += VECTOR

    return whole


plus = matmul(True, lambda y, other: y)
rectified = matmul(True, lambda y, other: y.where(">", 0.0, 0.0))
gated = matmul(False, lambda y, other: y.only(other))


# -- the GRU --------------------------------------------------------------------------------


@emitted
def gru(b, e, h, h_next, row, j, w, bias, gates, left, size):
    """The vector j bytes from the left of r, z, n, W_hn h + b_hn and h', for a tile of rows."""
    start = [load(b, p) for p in along(b, b.add(bias, j), 4, row)]
    into = [sums(start) for _ in range(GATES)]
    olds = rows(b, h, row, left, GATES)
    step = ADDRESS(3 * VECTOR)
    for_h = b.add(w, b.mul(size, step))
    contract(b, [s[:3] for s in into], rows(b, e, row, left, GATES), ADDRESS(SIZE), w, step, size)
    contract(b, [[*s[:2], s[3]] for s in into], olds, ADDRESS(SIZE), for_h, step, size)
    four = b.mul(row, ADDRESS(4))
    kept = rows(b, b.add(gates, j), four, left, GATES)
    news = rows(b, b.add(h_next, j), row, left, GATES)
    for slots, old, gate, new in zip(into, olds, kept, news, strict=True):
        r, z, n, hn = (value(b, s) for s in slots)
        r, z = sigmoid(r), sigmoid(z)
        n = tanh(r.times(hn, n))
        for v, p in zip((r, z, n, hn), along(b, gate, 4, row), strict=True):
            store(v, p)
        store(z.times(load(b, b.add(old, j)) - n, n), new)


@emitted
def slopes(b, d_h, row, gates, h, g, totals, n_rows):
    """One vector of the loss's slopes in what enters r, z, n and in W_hn h + b_hn, for all rows.

    d_h is the slope in h' and becomes what z passes on of it; totals: [4, H], summed over rows.
    """
    four = b.mul(row, ADDRESS(4))
    added = along(b, totals, 4, row)
    slots = sums(load(b, p) for p in added)
    with cgutils.for_range(b, n_rows, intp=ADDRESS) as loop:
        at, at4 = b.mul(loop.index, row), b.mul(loop.index, four)
        r, z, n, hn = (load(b, p) for p in along(b, b.add(gates, at4), 4, row))
        d = load(b, b.add(d_h, at))
        passed = d * z
        d_n = (d - passed) * (n.of(1.0) - n * n)
        d_r = d_n * hn * r * (r.of(1.0) - r)
        d_z = (load(b, b.add(h, at)) - n) * passed * (z.of(1.0) - z)
        store(passed, b.add(d_h, at))
        into = along(b, b.add(g, at4), 4, row)
        for v, p, slot in zip((d_r, d_z, d_n, d_n * r), into, slots, strict=True):
            store(v, p)
            b.store((value(b, slot) + v).value, slot)
    for slot, p in zip(slots, added, strict=True):
        store(value(b, slot), p)


@emitted
def increase(b, x, x_row, y, y_row, n_rows):
    """x += y for the vectors of all rows; with x_row = 0 the sum of y's rows is added to x."""
    with cgutils.for_range(b, n_rows, intp=ADDRESS) as loop:
        at = b.add(x, b.mul(loop.index, x_row))
        store(load(b, at) + load(b, b.add(y, b.mul(loop.index, y_row))), at)


@emitted
def clear(b, x, n):
    """N vectors of zeros from x on."""
    with cgutils.for_range(b, n, intp=ADDRESS) as loop:
        store(V(b, FLOATS([0.0] * LANES)), b.add(x, b.mul(loop.index, ADDRESS(VECTOR))))


# -- episodes -------------------------------------------------------------------------------


@compiled
def forward(first, last, size, T, R, I, H, A, kept, x, we, be, w, b, wq, bq, e, gates, h, q):
    """Tasks [first, last) of `size` rows each: h[1:] and q from x and h[0].

    x [T, R, I]; we [I, H]; w [H / lanes, 2, H, 3, lanes], what weighs e and h in r, z, n; b [4, H];
    wq [H, A]; e [T, R, H] and gates [T, R, 4, H], of all moments where `kept`; h [T + 1, R, H];
    q [T, R, A].
    """
    row, row4, x_row, q_row = H * SIZE, 4 * H * SIZE, I * SIZE, A * SIZE
    end = min(R, last * size)
    for start in range(first * size, end, BLOCK):
        n = min(BLOCK, end - start)
        for t in range(T):
            at = t * R + start
            keep = at if kept else start
            e_t, g_t, h_t, h_next = (
                e + keep * row,
                gates + keep * row4,
                h + at * row,
                h + (at + R) * row,
            )
            rectified(x + at * x_row, x_row, SIZE, we, row, e_t, row, be, 0, n, I)
            for j in range(0, row, VECTOR):
                for i in range(0, n, GATES):
                    o, left = i * row, n - i
                    gru(
                        e_t + o, h_t + o, h_next + o, row, j, w + j * 6 * H, b, g_t + 4 * o, left, H
                    )
            plus(h_next, row, SIZE, wq, q_row, q + at * q_row, q_row, bq, 0, n, H)


@compiled
def backward(
    first,
    last,
    size,
    T,
    R,
    I,
    H,
    A,
    kept,
    x,
    wi,
    wh,
    wq,
    e,
    gates,
    h,
    dq,
    d_hidden,
    d_h,
    d_e,
    totals,
    scratch,
):
    """Tasks [first, last) of `size` rows each: the loss's slopes in weights and h[0], by its dq.

    dq [T, R, A]; d_hidden [T, R, H] or 0; wi, wh [3, H, H] and wq [A, H] as PyTorch has them; d_h
    [R, H] ends as the slope in h[0]; d_e [T, R, H], the slope in what enters the first
    relu, of all moments where `kept`; totals for each task: of we [I, H], wq [A, H],
    wi, wh [3, H, H], be [H], b [4, H].
    """
    row, row4, x_row, q_row = H * SIZE, 4 * H * SIZE, I * SIZE, A * SIZE
    each = (I + A + 6 * H + 5) * row
    for task in range(first, last):
        d_we = totals + task * each
        clear(d_we, each // VECTOR)
        d_wq = d_we + I * row
        d_wi = d_wq + A * row
        d_wh = d_wi + 3 * H * row
        d_hn = d_wh + 2 * H * row
        d_be = d_hn + H * row
        d_b = d_be + row
        g = scratch + task * BLOCK * row4  # slopes in what enters r, z, n, and in W_hn h + b_hn
        g_hn, end = g + 3 * row, min(R, (task + 1) * size)
        for start in range(task * size, end, BLOCK):
            n = min(BLOCK, end - start)
            d = d_h + start * row
            clear(d, n * row // VECTOR)
            for back in range(T):
                at = (T - 1 - back) * R + start
                x_t, e_t, g_t, h_t = x + at * x_row, e + at * row, gates + at * row4, h + at * row
                dq_t, d_e_t = dq + at * q_row, d_e + (at if kept else start) * row
                plus(dq_t, q_row, SIZE, wq, row, d, row, d, row, n, A)
                plus(dq_t, SIZE, q_row, h_t + R * row, row, d_wq, row, d_wq, row, A, n)
                for j in range(0, row, VECTOR):
                    if d_hidden:
                        increase(d + j, row, d_hidden + at * row + j, row, n)
                    slopes(d + j, row, g_t + j, h_t + j, g + j, d_b + j, n)
                plus(g, row4, SIZE, wh, row, d, row, d, row, n, 2 * H)
                plus(g_hn, row4, SIZE, wh + 2 * H * row, row, d, row, d, row, n, H)
                gated(g, row4, SIZE, wi, row, d_e_t, row, e_t, row, n, 3 * H)
                plus(g, SIZE, row4, e_t, row, d_wi, row, d_wi, row, 3 * H, n)
                plus(g, SIZE, row4, h_t, row, d_wh, row, d_wh, row, 2 * H, n)
                plus(g_hn, SIZE, row4, h_t, row, d_hn, row, d_hn, row, H, n)
                plus(x_t, SIZE, x_row, d_e_t, row, d_we, row, d_we, row, I, n)
                for j in range(0, row, VECTOR):
                    increase(d_be + j, 0, d_e_t + j, row, n)


@compiled
def gather(totals, tasks, each):
    """The first task's totals, `each` vectors, become those of all tasks."""
    for task in range(1, tasks):
        increase(totals, VECTOR, totals + task * each * VECTOR, VECTOR, each)
