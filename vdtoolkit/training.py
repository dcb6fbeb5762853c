"""Training as one loop, and greedy evaluation beside it."""

from __future__ import annotations

import math
import time
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
from vdtoolkit.team_env import CannotComeBackError, TeamEnv, seeds_once

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
    loop = Loop(
        agents,
        envs,
        moves,
        updates_per_episode=updates_per_episode,
        seed=seed,
        callback=callback,
        every=every,
        monitor=monitor,
    )
    metrics = loop.run()
    agents.reset()
    return metrics


LONGEST = 100_000  # moves of an episode; what is longer is taken for one that never ends


class Loop:
    """`play` as an object: what it knows between two vector steps can be written down.

    keeper(loop) is called there, before a callback that is due.
    """

    def __init__(
        self,
        agents: Agents,
        envs: Stream,
        moves: int,
        *,
        updates_per_episode: float = 1.0,
        seed: int = 0,
        callback: Callback | None = None,
        every: int = 1000,
        monitor: Monitor | None = None,
        keeper: Callable[[Loop], None] | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"every={every}: the callback needs at least one move between calls")
        if not updates_per_episode >= 0:
            raise ValueError(f"updates_per_episode={updates_per_episode}: it must be at least 0")
        self.agents, self.envs, self.seed = agents, envs, seed
        self.callback, self.every, self.monitor = callback, every, monitor
        self.keeper = keeper
        self.updates_per_episode = updates_per_episode
        self.at_once = math.ceil(updates_per_episode)
        self.may_wait = int(updates_per_episode * (envs.n_envs - 1))
        self.start, self.end, self.told = agents.moves, agents.moves + moves, agents.moves
        self.begun, self.updates = agents.episodes, 0  # updates: owed and taken, by this loop
        self.metrics: dict[str, float] = {}
        self.tally: Tally | None = None  # None before the first moment
        self.spent = dict.fromkeys(STAGES, 0.0)  # seconds
        self.between = True  # two steps: only then it can be written down

    def run(self) -> dict[str, float]:
        """Play and learn to the end, from the start or from where `resume` left it."""
        agents = self.agents
        if self.tally is None:
            if self.callback is not None:
                self.callback(agents)
            step = self.envs.reset(self.seed)
            self.tally = Tally(step)
            agents.begin_steps(step)
        else:
            self._call_back()
        while agents.moves < self.end:
            self._step()
            if self.keeper is not None:
                self.keeper(self)
            self._call_back()
        return self.metrics

    def _step(self) -> None:
        """One move of every env, and the gradient steps that are due."""
        agents, envs, spent, clock = self.agents, self.envs, self.spent, time.perf_counter
        assert self.tally is not None
        self.between = False
        began = clock()
        actions = agents.act_steps()
        acted = clock()
        envs.send(actions)
        sent = clock()
        self._learn(min(self._owed(), self.at_once))
        learned = clock()
        step = envs.receive()
        received = clock()
        agents.observe_steps(step)
        stored = clock()
        self._learn(self._owed() - (self.may_wait if agents.moves < self.end else 0))
        done = self.tally.add(step)
        if self.monitor is not None:
            moves = agents.moves - self.start
            self.monitor(self.tally.report(done, moves, envs.n_restarts, self.metrics))
        self.between = True
        spent["act"] += acted - began
        spent["env"] += sent - acted + received - learned
        spent["store"] += stored - received
        spent["learn"] += learned - sent + clock() - stored

    def _owed(self) -> int:
        return int(self.updates_per_episode * (self.agents.episodes - self.begun)) - self.updates

    def _learn(self, n: int) -> None:
        for _ in range(n):
            self.metrics = self.agents.learn() or self.metrics
            self.updates += 1

    def _call_back(self) -> None:
        agents = self.agents
        if self.callback is not None and agents.moves - self.told >= self.every:
            self.callback(agents)
            self.told += (agents.moves - self.told) // self.every * self.every

    # -- written down and taken up again ----------------------------------------------------

    def bookmark(self) -> dict[str, Any]:
        """Where it is, as plain data; what agents know is not part of it."""
        assert self.tally is not None
        names = ("start", "end", "told", "begun", "updates", "metrics")
        plain = {name: getattr(self, name) for name in names}
        return {**plain, "tally": self.tally.to_json(), "envs": self.envs.bookmark()}

    def resume(self, bookmark: dict[str, Any], *, anew: bool = False) -> str:
        """Go on from there with agents that are as they were then.

        Open episodes are played up to where they were.  anew: they are given up instead and new
        ones begin, as where envs cannot come back to where they were; the text returned says why,
        and is empty where nothing was given up.
        """
        agents = self.agents
        for name in ("start", "end", "told", "begun", "updates"):
            setattr(self, name, int(bookmark[name]))
        self.metrics = {str(k): float(v) for k, v in bookmark["metrics"].items()}
        assert agents.replay is not None and agents._moment is not None
        moment = agents._moment
        self.tally = Tally.from_json(bookmark["tally"], moment)
        if anew:
            return self._begin_anew("as was asked for")
        try:
            here = self.envs.resume(bookmark["envs"], agents.replay.actions_so_far())
        except CannotComeBackError as error:
            return self._begin_anew(str(error))
        if here is not None:
            refuse_elsewhere(here, moment)
        return ""

    def _begin_anew(self, why: str) -> str:
        """New episodes in the place of the open ones, from seeds that were not used before."""
        agents = self.agents
        assert self.tally is not None
        fresh = np.random.SeedSequence([self.seed, agents.moves]).generate_state(1)[0]
        step = self.envs.reset(int(fresh))
        self.tally.add(step)
        agents.begin_steps(step)
        return why


STAGES = ("env", "act", "store", "learn")


def refuse_elsewhere(here: Step, moment: Step) -> None:
    """ValueError where envs that were played up show another moment than the one written down."""
    going_on = np.flatnonzero(~moment.last)
    for name in ("obs", "state", "available", "alive"):
        seen, saved = (getattr(step, name)[going_on] for step in (here, moment))
        unlike = seen.shape != saved.shape or not np.array_equal(
            seen, saved, equal_nan=saved.dtype.kind == "f"
        )
        if unlike:
            raise ValueError(
                f"the environment did not come back to where it was: its {name} after the same "
                "seeds and actions is another one now.  Either it has changed, or not all of its "
                "chance comes from reset(seed=...); give up the open episodes with --new-episodes"
            )


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

    def to_json(self) -> dict[str, Any]:
        """The numbers of the episodes in progress, as plain data."""
        returns, lengths = self.returns.tolist(), self.lengths.tolist()
        return {"returns": returns, "lengths": lengths, "lost": self.lost}

    @classmethod
    def from_json(cls, told: dict[str, Any], step: Step) -> Tally:
        """What `to_json` wrote at this moment."""
        made = cls(step)
        made.returns = np.array(told["returns"], np.float64)
        made.lengths, made.lost = np.array(told["lengths"], np.int64), int(told["lost"])
        if not len(made.returns) == len(made.lengths) == step.n_envs:
            raise ValueError(f"{len(made.returns)} returns of {step.n_envs} environments")
        return made

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
    long episodes count as short ones do, and n_envs decides nothing but the speed.  (A VectorEnv
    takes one seed for all; an env that `seeds_once` that of its first episode, and is played
    alone.)  An episode whose environment broke is left out.
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
            _refuse_endless(tally.lengths[number < episodes], env_fn)
            for e in np.flatnonzero(step.last & ~step.first & (number < episodes)):
                k, left = number[e], left - 1
                returns[k], lengths[k], lost[k] = tally.returns[e], tally.lengths[e], step.lost[e]
                won[k] = tally.won[e]
    finally:
        envs.close()
    return Evaluation(returns[~lost], lengths[~lost], int(lost.sum()), won[~lost])


def _refuse_endless(lengths: np.ndarray, env_fn: EnvFn) -> None:
    """An env that never ends is told, not waited for."""
    if lengths.max(initial=0) > LONGEST:
        name = getattr(env_fn, "name", None) or getattr(env_fn, "__name__", "the environment")
        raise ValueError(
            f"an episode of {name} has not ended after {LONGEST:,} moves: teams learn from whole "
            "episodes; give it a limit (often max_cycles=...), at which agents are truncated"
        )


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
    if seeds_once(env):  # each costs a launch, and here they play one after the other anyway
        n_envs = 1
    make = partial(_InOrder, team=team, seeds=seeds)
    return VectorStream(
        SyncVectorEnv([partial(make, env), *[lambda: make(env_fn())] * (n_envs - 1)], copy=False),
        team,
    )
