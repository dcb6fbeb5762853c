"""Acting, and the whole loop: env steps a second of `train` on mpe2 and on its NumPy twin."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.report import Row
from benchmarks.spread import SpreadVectorEnv, spread_team
from benchmarks.timing import Times, in_turn, threads
from vdtoolkit import QMIXAgents
from vdtoolkit.agents.base import Agents
from vdtoolkit.stream import VectorStream
from vdtoolkit.training import train

EQUAL, NATIVE = 1.0, 1 / 8  # updates of 32 episodes for each episode collected


class Clock:
    """A callback that notes when how many moves had been made."""

    def __init__(self, warm: int) -> None:
        self.warm = warm
        self.ticks: list[tuple[int, float]] = []

    def __call__(self, agents: Agents, *more: Any) -> None:
        if agents.moves >= self.warm:
            self.ticks.append((agents.moves, time.perf_counter()))

    @property
    def seconds_a_move(self) -> float:
        (first, begun), (last, ended) = self.ticks[0], self.ticks[-1]
        return (ended - begun) / (last - first)


def mpe2_loop(
    moves: int,
    n_envs: int,
    *,
    N: int = 3,
    T: int = 25,
    updates: float = EQUAL,
    warm: int = 1000,
    **how: Any,
) -> float:
    """Seconds a move of `train` on mpe2, once `warm` moves have been made; how: `workers`."""
    from mpe2 import simple_spread_v3

    make = partial(simple_spread_v3.parallel_env, N=N, local_ratio=0.0, max_cycles=T)
    return _loop(make, warm, moves, n_envs, N=N, T=T, updates=updates, **how)


def twin_loop(
    moves: int,
    n_envs: int = 8,
    *,
    N: int = 3,
    T: int = 25,
    updates: float = EQUAL,
    warm: int = 1000,
) -> float:
    """The same on the NumPy twin."""
    make = partial(SpreadVectorEnv, n_envs, N, 0.0, T)
    return _loop(make, warm, moves, n_envs, N=N, T=T, updates=updates)


def _loop(
    make: Callable[[], Any],
    warm: int,
    moves: int,
    n_envs: int,
    *,
    N: int,
    T: int,
    updates: float,
    **how: Any,
) -> float:
    agents, clock = QMIXAgents(spread_team(N), seed=0), Clock(warm)
    options = {"updates_per_episode": updates, "callback": clock, "every": T, **how}
    train(agents, make, warm + moves, n_envs, **options)
    return clock.seconds_a_move


def acting(seconds: float, n_threads: Sequence[int]) -> list[Row]:
    """Microseconds of one act of 3 agents in E environments: while training, and greedily."""
    calls: dict[str, Callable[[], object]] = {}
    for n_envs in (1, 8, 32, 128):
        agents = QMIXAgents(spread_team(3), seed=0, epsilon_start=0.05)
        envs = VectorStream(SpreadVectorEnv(n_envs, 3, 0.0), agents.team)
        agents.begin_steps(envs.reset(0))
        calls[f"train {n_envs}"] = agents.act_steps
        step = envs.step(agents.act_steps())
        calls[f"greedy {n_envs}"] = partial(agents.actor().act_steps, step)
    rows = []
    for n in n_threads:
        with threads(n):
            times = in_turn(calls, seconds)
        for n_envs in (1, 8, 32, 128):
            rows.append(
                {
                    "envs": n_envs,
                    "threads": n,
                    "agents.act_steps us": times[f"train {n_envs}"].told(1e-6),
                    "Actor.act_steps us": times[f"greedy {n_envs}"].told(1e-6),
                }
            )
    return rows


def whole(seconds: float, n_threads: Sequence[int]) -> list[Row]:
    """Env steps a second on mpe2 (1 env; 8 envs with 0, 1, 2 workers) and on the twin (8)."""
    runs: dict[Any, Callable[[int], float]] = {}
    for n in n_threads:
        for told, updates in (("1 an episode", EQUAL), ("1 per 8 episodes", NATIVE)):
            runs[n, told, "mpe2", 1, 0] = partial(mpe2_loop, n_envs=1, updates=updates)
            for k in (0, 1, 2):
                how = {"workers": k} if k else {}
                runs[n, told, "mpe2", 8, k] = partial(mpe2_loop, n_envs=8, updates=updates, **how)
            runs[n, told, "twin", 8, 0] = partial(twin_loop, n_envs=8, updates=updates)
    return _rates(rounds(runs, seconds), ("threads", "updates", "env", "envs", "workers"))


def scaling(seconds: float, n_threads: Sequence[int]) -> list[Row]:
    """Env steps a second on the twin over agents, length and environments; equal work."""
    sizes = [(3, 25, 8), (5, 25, 8), (10, 25, 8), (3, 50, 8), (3, 100, 8), (3, 25, 1), (3, 25, 32)]
    runs = {
        (n, *size): partial(twin_loop, N=size[0], T=size[1], n_envs=size[2], warm=40 * size[1])
        for n in n_threads
        for size in sizes
    }
    return _rates(rounds(runs, seconds), ("threads", "agents", "moves", "envs"))


def rounds(
    runs: Mapping[Any, Callable[[int], float]], seconds: float, n: int = 3
) -> dict[Any, Times]:
    """Seconds a move of each run, n rounds in turn, each about seconds / n long.

    A key begins with the number of torch's threads.
    """
    times: dict[Any, Times] = {key: Times() for key in runs}
    moves = dict.fromkeys(runs, 0)
    for _ in range(n):
        for key, run in runs.items():
            with threads(key[0]):
                if not moves[key]:  # a short run tells how long a round may be
                    moves[key] = max(1000, int(seconds / n / run(1000)))
                times[key].seconds.append(run(moves[key]))
    return times


def first_25000(seconds: float, n_threads: Sequence[int]) -> list[Row]:
    """Seconds from the start of a process to 25,000 moves on the twin, imports and all."""
    rows = []
    for n in n_threads:
        taken = Times()
        for _ in range(3):
            begun = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "benchmarks.from_start"],
                check=True,
                env={**os.environ, "OMP_NUM_THREADS": str(n), "OPENBLAS_NUM_THREADS": "1"},
            )
            taken.seconds.append(time.perf_counter() - begun)
        rows.append({"threads": n, "seconds to 25,000 moves": taken.told(1.0)})
    return rows


def _rates(times: Mapping[Any, Times], columns: Sequence[str]) -> list[Row]:
    rows = []
    for key, taken in times.items():
        rates = 1 / np.array(taken.seconds)
        rows.append(
            {
                **dict(zip(columns, key, strict=True)),
                "env steps/s": float(np.median(rates)),
                "lowest": float(rates.min()),
                "highest": float(rates.max()),
            }
        )
    return rows
