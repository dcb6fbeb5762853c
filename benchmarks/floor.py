"""The floor under an update: the arithmetic that must be done, at the rate matrices multiply here.

Counted are the matrix products of Linear-ReLU-GRU-Linear over B episodes of T + 1 moments and of
the mixer over T, 2 m n k each: forward, backward (every weight; every input but observations and
states, which need no gradient), and forward again for the target.  Not counted: last action and
id, which are one-hot (look-ups), and everything elementwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch

from benchmarks.works import Work

EMBED, HYPER, HEADS = 32, 64, 4


class Product(NamedTuple):
    """One matrix product for each row: multiply-adds, and whether its input needs a gradient."""

    size: int
    inner: bool = True


def agent(w: Work) -> list[Product]:
    """The utility network."""
    return [Product(w.O * w.H, False), Product(2 * w.H * 3 * w.H), Product(w.H * w.A)]


def qmix(w: Work) -> list[Product]:
    """Hypernetworks of two layers, and the mixing itself."""
    of_state = [HYPER, EMBED, HYPER, EMBED]  # w1, b1, w2, V
    inner = [HYPER * w.N * EMBED, HYPER * EMBED, EMBED, w.N * EMBED, EMBED]
    return [Product(w.S * n, False) for n in of_state] + [Product(n) for n in inner]


def qatten(w: Work) -> list[Product]:
    """Queries and keys of four heads; the unit features are N slices of the state."""
    units = w.S // w.N
    of_state = [HEADS * HYPER, HYPER, EMBED]  # query, head weights, c
    inner = [HEADS * HYPER * EMBED, HYPER * HEADS, EMBED]
    inner += [HEADS * w.N * EMBED, HEADS * w.N]  # query by key; attention by utility
    seen = [Product(w.S * n, False) for n in of_state]
    return [*seen, Product(w.N * units * HEADS * EMBED, False), *(Product(n) for n in inner)]


MIXERS: dict[str, Callable[[Work], list[Product]]] = {
    "vdn": lambda w: [],
    "qmix": qmix,
    "qatten": qatten,
}


def flops(algorithm: str, w: Work) -> dict[str, int]:
    """The parts of one update: forward, backward and target, of agent and mixer."""
    told = {}
    for part, products, rows in (
        ("agent", agent(w), w.B * (w.T + 1) * w.N),
        ("mixer", MIXERS[algorithm](w), w.B * w.T),
    ):
        forward = 2 * rows * sum(p.size for p in products)
        inputs = 2 * rows * sum(p.size for p in products if p.inner)
        told[f"{part} forward"] = forward
        told[f"{part} backward"] = forward + inputs
        told[f"{part} target"] = forward
    return told


def matmuls(w: Work) -> dict[str, tuple[int, Callable[[], object]]]:
    """What the rate is measured at: name -> (flops, one call)."""
    told: dict[str, tuple[int, Callable[[], object]]] = {}
    for name, (m, k, n) in {
        "GRU step": (w.B * w.N, w.H, 3 * w.H),
        "1024^3": (1024, 1024, 1024),
    }.items():
        a, b, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
        told[name] = (2 * m * k * n, partial(torch.mm, a, b, out=out))
    return told
