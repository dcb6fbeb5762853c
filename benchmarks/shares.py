"""Where the time of the whole loop goes: update, sampling, acting, environment, recording."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.loops import EQUAL, NATIVE
from benchmarks.report import Row
from benchmarks.spread import SpreadVectorEnv, spread_team
from benchmarks.timing import threads
from vdtoolkit import QMIXAgents
from vdtoolkit.stream import stream
from vdtoolkit.training import play

WARM = 1000


def shares(seconds: float, n_threads: Sequence[int]) -> list[Row]:
    """Shares of the loop's time, in % (8 envs of 3 agents, recurrent QMIX)."""
    rows = []
    for n in n_threads:
        for env, make in _makers().items():
            for told, updates in (("1 an episode", EQUAL), ("1 per 8 episodes", NATIVE)):
                with threads(n):
                    shared = _shares(make, updates, seconds)
                rows.append({"threads": n, "env": env, "updates": told, **shared})
    return rows


def _shares(make: Callable[[], Any], updates: float, seconds: float) -> Row:
    agents = QMIXAgents(spread_team(3), seed=0)
    envs = stream(make, 8, agents.team)
    play(agents, envs, WARM, updates_per_episode=updates)
    spent: dict[str, float] = defaultdict(float)
    _clock(agents.replay, "sample", "sampling", spent)
    _clock(agents, "learn_from", "update", spent)
    _clock(agents, "act_steps", "acting", spent)
    _clock(agents, "observe_steps", "recording", spent)
    _clock(envs, "send", "environment", spent)
    _clock(envs, "receive", "environment", spent)
    begun, moves = time.perf_counter(), agents.moves
    while time.perf_counter() - begun < seconds:
        play(agents, envs, 1000, updates_per_episode=updates)
    whole = time.perf_counter() - begun
    envs.close()
    rest = whole - sum(spent.values())
    told = {name: f"{100 * taken / whole:.1f}" for name, taken in {**spent, "rest": rest}.items()}
    columns = ("update", "sampling", "acting", "environment", "recording", "rest")
    return {
        "env steps/s": (agents.moves - moves) / whole,
        "us a vector step without learning": 8e6
        * (whole - spent["update"] - spent["sampling"])
        / (agents.moves - moves),
        **{name: told.get(name) for name in columns},
    }


def _clock(thing: Any, method: str, name: str, spent: dict[str, float]) -> None:
    """Have every call of a method counted."""
    call = getattr(thing, method)

    def clocked(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        told = call(*args, **kwargs)
        spent[name] += time.perf_counter() - begun
        return told

    setattr(thing, method, clocked)


def _makers() -> dict[str, Callable[[], Any]]:
    from mpe2 import simple_spread_v3

    return {
        "mpe2": partial(simple_spread_v3.parallel_env, local_ratio=0.0),
        "twin": partial(SpreadVectorEnv, 8, 3, 0.0),
    }
