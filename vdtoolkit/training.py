"""Training as one loop, and greedy evaluation beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv

from vdtoolkit.agents.base import Agents
from vdtoolkit.step import Step
from vdtoolkit.stream import EnvFn, Stream, VectorStream, born_batched, stream
from vdtoolkit.team import Team
from vdtoolkit.team_env import TeamEnv

Callback = Callable[[Agents], None]


@dataclass(frozen=True)
class Report:
    """What one vector step of training brought; arrays hold the episodes completed in it."""

    moves: int  # made by this call so far
    returns: np.ndarray  # [K] undiscounted team returns
    lengths: np.ndarray  # [K] moves
    won: np.ndarray  # [K] 1 or 0, NaN where no env says so
    lost: int  # episodes dropped so far because their environment broke
    restarts: int  # of worker processes so far
    metrics: dict[str, float]  # of the last gradient step


Monitor = Callable[[Report], None]


def train(
    agents: Agents,
    env_fn: EnvFn,
    moves: int,
    n_envs: int | str = 1,
    *,
    workers: int | str = 0,
    updates_per_episode: float = 1.0,
    seed: int = 0,
    callback: Callback | None = None,
    every: int = 1000,
    monitor: Monitor | None = None,
) -> dict[str, float]:
    """Play and learn until the team has made so many more moves; the last metrics.

    env_fn makes one env; n_envs of them are played side by side, in so many worker processes or
    (0) in this one, with the same result; "auto" is for either (see `stream`).  A worker that is
    silent for ten minutes is started again; for another timeout give `play` a `stream`.
    updates_per_episode: gradient steps for each completed episode, fractions allowed.
    callback(agents) is called at the start and each time another `every` moves have been made,
    monitor(report) after each vector step.  Moves of episodes that broke count as well.
    """
    envs = stream(env_fn, n_envs, agents.team, workers)
    try:
        return play(
            agents,
            envs,
            moves,
            updates_per_episode=updates_per_episode,
            seed=seed,
            callback=callback,
            every=every,
            monitor=monitor,
        )
    finally:
        envs.close()


def play(
    agents: Agents,
    envs: Stream,
    moves: int,
    *,
    updates_per_episode: float = 1.0,
    seed: int = 0,
    callback: Callback | None = None,
    every: int = 1000,
    monitor: Monitor | None = None,
) -> dict[str, float]:
    """`train` on envs that are there already.

    Gradient steps are owed once an episode is complete.  With one env they are taken before the
    next begins; with E envs those of E - 1 episodes may wait, and so many as an episode owes are
    taken in each vector step, while worker processes play.
    """
    if every < 1:
        raise ValueError(f"every={every}: the callback needs at least one move between calls")
    if not updates_per_episode >= 0:
        raise ValueError(f"updates_per_episode={updates_per_episode}: it must be at least 0")
    start, end, told = agents.moves, agents.moves + moves, agents.moves
    begun, updates = agents.episodes, 0
    at_once, may_wait = math.ceil(updates_per_episode), int(updates_per_episode * (envs.n_envs - 1))
    metrics: dict[str, float] = {}

    def owed() -> int:
        return int(updates_per_episode * (agents.episodes - begun)) - updates

    def learn(n: int) -> None:
        nonlocal metrics, updates
        for _ in range(n):
            metrics, updates = agents.learn() or metrics, updates + 1

    if callback is not None:
        callback(agents)
    step = envs.reset(seed)
    tally = Tally(step)
    agents.begin_steps(step)
    while agents.moves < end:
        envs.send(agents.act_steps())
        learn(min(owed(), at_once))
        step = envs.receive()
        agents.observe_steps(step)
        learn(owed() - (may_wait if agents.moves < end else 0))
        done = tally.add(step)
        if monitor is not None:
            monitor(tally.report(done, agents.moves - start, envs.n_restarts, metrics))
        if callback is not None and agents.moves - told >= every:
            told += (agents.moves - told) // every * every
            callback(agents)
    agents.reset()
    return metrics


class Tally:
    """Team return and length of the E episodes in progress, and how many were lost."""

    def __init__(self, step: Step) -> None:
        self.returns = np.zeros(step.n_envs)
        self.lengths = np.zeros(step.n_envs, np.int64)
        self.won = np.full(step.n_envs, np.nan)
        self.lost = 0

    def add(self, step: Step) -> np.ndarray:
        """Count one more moment; the rows whose episode is complete now."""
        self.returns = np.where(step.first, 0.0, self.returns + step.reward)
        self.lengths = np.where(step.first, 0, self.lengths + 1)
        self.won = np.full(step.n_envs, np.nan) if step.won is None else step.won
        over = step.last & ~step.first
        self.lost += int((over & step.lost).sum())
        return np.flatnonzero(over & ~step.lost)

    def report(
        self, done: np.ndarray, moves: int, restarts: int, metrics: dict[str, float]
    ) -> Report:
        """What to tell of these rows."""
        told = (self.returns[done], self.lengths[done], self.won[done])
        return Report(moves, *told, self.lost, restarts, metrics)


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted team returns of episodes played greedily."""

    returns: np.ndarray  # [episodes]
    lengths: np.ndarray  # [episodes], moves
    lost: int = 0  # episodes left out because their environment broke
    won: np.ndarray = field(default_factory=lambda: np.zeros(0))  # 1 or 0, NaN where not told

    @property
    def mean(self) -> float:
        """Mean return; NaN of no episode."""
        return float(self.returns.mean()) if len(self.returns) else float("nan")

    @property
    def win_rate(self) -> float | None:
        """The share of episodes won of those whose env says so; None where none does."""
        told = self.won[~np.isnan(self.won)]
        return float(told.mean()) if len(told) else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the mean (Student's t over episodes)."""
        from scipy import stats  # half a second that acting and learning need not pay

        n = len(self.returns)
        half = float(stats.t.ppf(0.975, n - 1) * self.returns.std(ddof=1) / n**0.5) if n > 1 else 0
        return self.mean - half, self.mean + half


def evaluate(
    agents: Agents,
    env_fn: EnvFn,
    episodes: int = 100,
    *,
    seed: int = 0,
    explore: bool = False,
    n_envs: int = 1,
) -> Evaluation:
    """The team's own greedy actions, played in envs of its own; disturbs no training.

    Episode k is seeded from (seed, k) and is the k-th to begin, whichever of the n_envs plays it:
    long episodes count as short ones do, and n_envs decides nothing but the speed.  (An env that
    is born batched takes one seed for all, one that `seeds_once` that of its first episode.)  An
    episode whose environment broke is left out.
    explore: with as many random moves as in training now; all of them are random before any
    training, where epsilon_start is 1.  The dice are the team's, not an env's: which moves are
    random then depends on n_envs.
    """
    if episodes < 1:
        raise ValueError(f"episodes={episodes}: at least one is to be played")
    actor = agents.actor(explore)
    returns, won = np.full(episodes, np.nan), np.full(episodes, np.nan)
    lengths, lost = np.zeros(episodes, np.int64), np.zeros(episodes, bool)
    envs = _in_order(env_fn, agents.team, seed, episodes, min(n_envs, episodes))
    try:
        step = envs.reset(seed)
        tally, number, begun, left = Tally(step), np.zeros(envs.n_envs, np.int64), 0, episodes
        while left:
            new = np.flatnonzero(step.first)
            number[new] = begun + np.arange(len(new))
            begun += len(new)
            step = envs.step(actor.act_steps(step))
            tally.add(step)
            for e in np.flatnonzero(step.last & ~step.first & (number < episodes)):
                k, left = number[e], left - 1
                returns[k], lengths[k], lost[k] = tally.returns[e], tally.lengths[e], step.lost[e]
                won[k] = tally.won[e]
    finally:
        envs.close()
    return Evaluation(returns[~lost], lengths[~lost], int(lost.sum()), won[~lost])


class _InOrder(TeamEnv):
    """A team whose episodes take the next seed from a row that several share, and then rests."""

    def __init__(self, env: Any, team: Team, seeds: Iterator[int]) -> None:
        super().__init__(env, team)
        self.seeds, self.rests = seeds, False
        self._seen: Any = None

    def reset(self, **_: Any) -> Any:
        own = next(self.seeds, None)
        self.rests = own is None
        if not self.rests:
            self._seen = super().reset(seed=own)
        return self._seen

    def step(self, action: np.ndarray) -> Any:
        return (self._seen[0], 0.0, False, False, {}) if self.rests else super().step(action)

    def _next_seed(self, seed: int | None) -> int | None:
        if self.seeds_once and self._seen is not None:
            return None
        return seed  # as it is: it belongs to this one episode


def _in_order(env_fn: EnvFn, team: Team, seed: int, episodes: int, n_envs: int) -> Stream:
    """A stream whose k-th episode to begin, in the order of rows, is seeded from (seed, k)."""
    env = env_fn()
    if isinstance(env, VectorEnv):
        return VectorStream(env, team)
    seeds = iter(np.random.SeedSequence(seed).generate_state(episodes).tolist())
    many = born_batched(env, team)
    if many is not None:
        envs: Any = many(n_envs)
        envs.episodes = seeds
        return VectorStream(envs, team)
    make = partial(_InOrder, team=team, seeds=seeds)
    return VectorStream(
        SyncVectorEnv([partial(make, env), *[lambda: make(env_fn())] * (n_envs - 1)], copy=False),
        team,
    )
