"""Milliseconds of one update, beside the floor and the plain reference, in one run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from benchmarks.floor import MIXERS, flops, matmuls
from benchmarks.reference import ReferenceLearner
from benchmarks.report import Row
from benchmarks.timing import Times, in_turn, threads
from benchmarks.works import W1, W3, Work

ALGORITHMS = ("vdn", "qmix", "qatten", "qtran_base")
WORKS = (W1, W3)


def floors(seconds: float, n_threads: Sequence[int]) -> list[Row]:
    """The rate of matrix products here, and what it makes of each update's arithmetic."""
    rows = []
    for n in n_threads:
        for w in WORKS:
            with threads(n):
                rate = _rate(w, in_turn({k: v[1] for k, v in matmuls(w).items()}, seconds / 4))
            for algorithm in MIXERS:
                parts = flops(algorithm, w)
                rows.append(
                    {
                        "work": w.name,
                        "algorithm": algorithm,
                        "threads": n,
                        "agent MFLOP": _million(parts, "agent"),
                        "mixer MFLOP": _million(parts, "mixer"),
                        "MFLOP": round(sum(parts.values()) / 1e6),
                        "GFLOP/s": rate / 1e9,
                        "floor ms": sum(parts.values()) / rate * 1e3,
                    }
                )
    return rows


def updates(seconds: float, n_threads: Sequence[int]) -> list[Row]:
    """One update of each algorithm, `learn_from(batch)` and with sampling, `learn()`."""
    rows = []
    for n in n_threads:
        for w in WORKS:
            with threads(n):
                rows += _updates(w, n, seconds)
    return rows


def busy(seconds: float, n_threads: Sequence[int]) -> list[Row]:
    """How much slower an update is while another process keeps one core busy."""
    rows = []
    for n in n_threads:
        for w in WORKS:
            agents, reference = w.trained(), ReferenceLearner(w)
            calls = {"ours": agents.learn, "reference": reference.learn}
            alone, beside = (dict.fromkeys(calls, Times()) for _ in range(2))
            with threads(n):
                for _ in range(3):
                    alone = _more(alone, in_turn(calls, seconds / 6, least=3))
                    with neighbour():
                        beside = _more(beside, in_turn(calls, seconds / 6, least=3))
            for name in calls:
                rows.append(
                    {
                        "work": w.name,
                        "learner": name,
                        "threads": n,
                        "alone ms": alone[name].told(1e-3),
                        "beside a busy process ms": beside[name].told(1e-3),
                        "slower": beside[name].median / alone[name].median,
                    }
                )
    return rows


@contextmanager
def neighbour() -> Iterator[None]:
    """A process that does nothing but work."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _updates(w: Work, n: int, seconds: float) -> list[Row]:
    agents = {name: w.trained(name) for name in ALGORITHMS}
    rng = np.random.default_rng(0)
    products = matmuls(w)
    calls = {"reference": ReferenceLearner(w).learn, **{k: v[1] for k, v in products.items()}}
    for name, own in agents.items():
        assert own.replay is not None
        batch = own.replay.sample(w.B, rng, own.device)
        calls[f"{name} learn_from"] = partial(own.learn_from, batch)
        calls[f"{name} learn"] = own.learn
    times = in_turn(calls, seconds)
    rate = _rate(w, times)
    rows = []
    for name in ["reference", *agents]:
        update = times[name if name == "reference" else f"{name} learn_from"]
        whole = None if name == "reference" else times[f"{name} learn"]
        like = "qmix" if name == "reference" else name
        floor = sum(flops(like, w).values()) / rate if like in MIXERS else None
        rows.append(
            {
                "work": w.name,
                "algorithm": name,
                "threads": n,
                "learn_from ms": update.told(1e-3),
                "learn() ms": whole.told(1e-3) if whole else None,
                "floor ms": floor and floor * 1e3,
                "over the floor": floor and update.median / floor,
                "x reference": times["reference"].median / update.median,
            }
        )
    return rows


def _rate(w: Work, times: dict[str, Times]) -> float:
    """FLOP/s: the best of the shapes it was measured at."""
    return max(count / times[name].median for name, (count, _) in matmuls(w).items())


def _more(before: dict[str, Times], after: dict[str, Times]) -> dict[str, Times]:
    return {name: Times(before[name].seconds + after[name].seconds) for name in after}


def _million(parts: dict[str, int], of: str) -> int:
    return round(sum(count for name, count in parts.items() if name.startswith(of)) / 1e6)
