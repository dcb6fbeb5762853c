"""Many environments at once: whatever an `env_fn` makes, as one stream of `Step`s."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from vdtoolkit.finite import FiniteStream, is_finite
from vdtoolkit.step import Step
from vdtoolkit.team import Team
from vdtoolkit.team_env import CannotComeBackError, Place, TeamEnv, team_space
from vdtoolkit.workers import WorkerStream, usable_cores

EnvFn = Callable[[], Any]
OTHERS = "a vector environment of others keeps no account of its episodes"
WORTH_A_MESSAGE = 0.5e-3  # seconds of play for which a vector step is sent to other processes


class Stream(Protocol):
    """E environments as a stream of `Step`s; a row that is `last` is followed by a `first`.

    `send` and `receive` are the two halves of a step: between them the caller may do something
    else while worker processes play.
    """

    n_envs: int
    team: Team
    n_restarts: int  # of worker processes, so far

    def reset(self, seed: int = 0) -> Step:
        """E new episodes."""

    def send(self, actions: np.ndarray) -> None:
        """Play on; actions [E, N], ignored in rows that were `last`."""

    def receive(self) -> Step:
        """The moment that the actions sent led to."""

    def step(self, actions: np.ndarray) -> Step:
        """The next moment of every episode: `send`, then `receive`."""

    def bookmark(self) -> dict[str, Any]:
        """Where it is, between two steps, as plain data; beside it actions of open episodes."""

    def resume(self, bookmark: dict[str, Any], actions: Sequence[np.ndarray | None]) -> Step | None:
        """Go on from there: the present moment again, of rows whose episode is not over.

        actions: each env's in its open episode, [t, N], None where it is over.  Returns None
        where all are; CannotComeBackError where envs cannot: `reset` then begins new episodes.
        """

    def close(self) -> None:
        """Close the envs."""


class Begun:
    """Which episode each of E envs is at: its seed and how many it has begun from that."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = [int(seed) for seed in seeds]  # [E]
        self.episodes = [-1] * len(self.seeds)  # [E], the number of the present one

    def count(self, step: Step) -> None:
        """Rows that are `first` are at their next episode."""
        for e in np.flatnonzero(step.first & ~step.last).tolist():
            self.episodes[e] += 1

    def places(self, actions: Sequence[np.ndarray | None]) -> list[Place]:
        """Where `TeamEnv`s take up play."""
        return list(zip(self.seeds, self.episodes, actions, strict=True))

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"seeds": list(self.seeds), "episodes": list(self.episodes)}

    @classmethod
    def at(cls, places: Sequence[Place]) -> Begun:
        """What `places` came from."""
        made = cls([seed for seed, _, _ in places])
        made.episodes = [episode for _, episode, _ in places]
        return made

    @classmethod
    def from_json(cls, told: dict[str, Any], n_envs: int) -> Begun:
        """What `to_json` wrote; ValueError where that is not so many envs."""
        made = cls(told["seeds"])
        made.episodes = [int(n) for n in told["episodes"]]
        if not len(made.seeds) == len(made.episodes) == n_envs:
            raise ValueError(f"{len(made.seeds)} environments were saved, here are {n_envs}")
        return made


class VectorStream:
    """A `gymnasium.vector.VectorEnv` as a stream of `Step`s.

    envs: Gymnasium's `SyncVectorEnv` or `AsyncVectorEnv` of `TeamEnv`s, or one that is born
    batched: its single observation space and action space are those of the team's `TeamEnv`,
    `infos["lost"]` and `infos["won"]`, of rows that are over, are optional, and it resets itself
    in NEXT_STEP mode.  It gets one seed, or one an env if it says `seeds_each = True`.
    """

    n_restarts = 0  # no worker of ours, nothing to restart

    def __init__(self, envs: VectorEnv, team: Team) -> None:
        self.envs, self.team, self.n_envs = envs, team, envs.num_envs
        _refuse_other_vectors(envs, team)
        self._over = np.ones(self.n_envs, bool)

    def reset(self, seed: int = 0) -> Step:
        """E new episodes; env e is seeded from (seed, e)."""
        return self.begin(np.random.SeedSequence(seed).generate_state(self.n_envs).tolist())

    def begin(self, seeds: list[int]) -> Step:
        """E new episodes from these seeds; of envs that take one seed for all, the first."""
        each = isinstance(self.envs, SyncVectorEnv | AsyncVectorEnv)
        each = each or getattr(self.envs, "seeds_each", False)
        self._begun = Begun(seeds)
        seen, info = self.envs.reset(seed=seeds if each else seeds[0])  # type: ignore[arg-type]
        zeros = np.zeros(self.n_envs, bool)
        self._over = ~zeros
        return self._step(seen, zeros.astype(np.float32), zeros, zeros, info)

    def send(self, actions: np.ndarray) -> None:
        """Play on; actions [E, N], ignored where the last was `last`."""
        if isinstance(self.envs, AsyncVectorEnv):
            self.envs.step_async(actions)
        else:
            self._played = self.envs.step(actions)

    def receive(self) -> Step:
        """The moment that the actions sent led to."""
        if isinstance(self.envs, AsyncVectorEnv):
            return self._step(*self.envs.step_wait())
        return self._step(*self._played)

    def step(self, actions: np.ndarray) -> Step:
        """The next moment of every episode: `send`, then `receive`."""
        self.send(actions)
        return self.receive()

    def bookmark(self) -> dict[str, Any]:
        """Each env's seed, and which of its episodes it plays."""
        return self._begun.to_json()

    def resume(self, bookmark: dict[str, Any], actions: Sequence[np.ndarray | None]) -> Step | None:
        """Play open episodes up to where they were."""
        return self.play_up(Begun.from_json(bookmark, self.n_envs).places(actions))

    def play_up(self, places: list[Place]) -> Step:
        """The moment at these places, one an env."""
        zeros, over = np.zeros(self.n_envs, bool), np.array([p[2] is None for p in places])
        if isinstance(self.envs, SyncVectorEnv | AsyncVectorEnv):
            try:
                self.envs.get_attr("resume_at")
            except AttributeError:
                raise CannotComeBackError(OTHERS) from None
            self.envs.set_attr("resume_at", places)
            try:
                seen, info = self.envs.reset(seed=[seed for seed, *_ in places])
            except CannotComeBackError:
                self.envs.set_attr("resume_at", [None] * self.n_envs)
                raise
        elif hasattr(self.envs, "play_up"):
            seen, info = self.envs.play_up(places), {}
        else:
            raise CannotComeBackError(OTHERS)
        self._begun, self._over = Begun.at(places), zeros
        return self._step(seen, zeros.astype(np.float32), over, zeros, info)

    def close(self) -> None:
        """Close the envs."""
        self.envs.close()

    def _step(self, seen: Any, reward: Any, terminated: Any, truncated: Any, info: Any) -> Step:
        terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
        first, self._over = self._over, terminated | truncated
        lost, won = info.get("lost"), info.get("won")
        if won is not None:
            told = info.get("_won", self._over) & self._over
            won = np.where(told, won, np.nan).astype(np.float32)
        step = Step(
            obs=seen["obs"].copy(),
            state=seen["state"].copy(),
            available=seen["available"].astype(bool),
            alive=seen["alive"].astype(bool),
            reward=np.array(reward, np.float32),
            first=first,
            terminated=terminated,
            truncated=truncated,
            lost=np.zeros(self.n_envs, bool) if lost is None else np.array(lost, bool),
            won=won,
        )
        self._begun.count(step)
        return step


class OneStream:
    """One `TeamEnv` as a stream: what `VectorStream` over it gives, without putting together."""

    n_envs, n_restarts = 1, 0

    def __init__(self, env: TeamEnv) -> None:
        self.env, self.team = env, env.team

    def reset(self, seed: int = 0) -> Step:
        """A new episode, seeded from (seed, 0)."""
        own = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._begun, self._over = Begun([own]), False
        return self._told(self.env.begin(own))

    def send(self, actions: np.ndarray) -> None:
        """Play on; actions [1, N], ignored where the last was `last`."""
        self._told(self.env.begin() if self._over else self.env.play(actions[0]))

    def receive(self) -> Step:
        """The moment that the actions sent led to."""
        return self._step

    def step(self, actions: np.ndarray) -> Step:
        """The next moment of the episode: `send`, then `receive`."""
        self.send(actions)
        return self._step

    def bookmark(self) -> dict[str, Any]:
        """The env's seed, and which of its episodes it plays."""
        return self._begun.to_json()

    def resume(self, bookmark: dict[str, Any], actions: Sequence[np.ndarray | None]) -> Step | None:
        """Play the open episode up to where it was."""
        self._begun = Begun.from_json(bookmark, 1)
        step = self.env.play_up(*self._begun.places(actions)[0])
        self._over = step is None
        return step

    def _told(self, step: Step) -> Step:
        self._step, self._over = step, bool(step.last[0])
        self._begun.count(step)
        return step

    def close(self) -> None:
        """Close the env."""
        self.env.close()


def stream(
    env_fn: EnvFn,
    n_envs: int | str,
    team: Team | None = None,
    workers: int | str = 0,
    timeout: float = 600.0,
    *,
    resumes: bool = False,
) -> Stream:
    """E environments as a stream of `Step`s.

    env_fn makes one env; which stream it becomes depends on what it makes:
    - a finite game is played from its model, in this process, faster than any worker could
      (a wrapper may change what a game shows or pays, so a wrapped one is played as it is);
    - a `gymnasium.vector.VectorEnv` that is born batched (see `VectorStream`) is its own stream:
      one is made, its `num_envs` must be n_envs, and it plays in this process;
    - any other PettingZoo env, AEC envs converted, is played n_envs times side by side: in this
      process (workers=0), or spread over so many worker processes, never more than there are
      cores.  Both give the same steps.  timeout: seconds a worker may take for one step;
    - the same of an env with a method `vector_env(n)`, which makes so many of it as one VectorEnv
      (see `born_batched`): that plays in the place of n envs one after the other.

    n_envs="auto": 4 for each core, 8 to 32.  workers="auto": one for each core where a vector
    step costs more than a message to a worker does, else 0.  resumes: it must be able to
    `resume`, which not every env that is born batched can: such a one is played as others are.
    """
    _refuse_no_count("n_envs", n_envs, 1)
    _refuse_no_count("workers", workers, 0)
    env = env_fn()
    if isinstance(env, VectorEnv):
        return _batched(env, n_envs, team, workers)
    if n_envs == "auto":
        n_envs = min(max(4 * usable_cores(), 8), 32)
    n = int(n_envs)
    if is_finite(env) and getattr(env, "unwrapped", env) is env:
        return FiniteStream(env, n, team)
    first = TeamEnv(env, team)
    if workers == "auto":
        alone = n == 1 or born_batched(env, first.team) is not None
        workers = 0 if alone or n * _cost(first) <= WORTH_A_MESSAGE else usable_cores()
    if not workers:
        if n == 1:
            return OneStream(first)
        return _in_a_row(env_fn, first.team, n, first, resumes=resumes)
    first.close()
    make = partial(_in_a_row, env_fn, first.team, resumes=resumes)
    return WorkerStream(make, n, min(int(workers), usable_cores()), first.team, timeout)


def _refuse_no_count(name: str, value: Any, least: int) -> None:
    if value != "auto" and not (isinstance(value, int | np.integer) and value >= least):
        raise ValueError(f"{name}={value!r}: give a whole number from {least} on, or 'auto'")


def _in_a_row(
    env_fn: EnvFn,
    team: Team,
    n_envs: int,
    first: TeamEnv | None = None,
    *,
    resumes: bool = False,
) -> VectorStream:
    """So many envs played one after the other, `first` among them if it is there already.

    Where the env knows how to be many at once, that.
    """
    first = first or TeamEnv(env_fn(), team)
    many = born_batched(first.env, team)
    batch = None if many is None else many(n_envs)
    if batch is not None and (hasattr(batch, "play_up") or not resumes):
        return VectorStream(batch, team)
    made = [first]

    def make() -> TeamEnv:
        return made.pop() if made else TeamEnv(env_fn(), team)

    return VectorStream(SyncVectorEnv([make] * n_envs, copy=False), team)


def born_batched(env: Any, team: Team) -> Callable[[int], VectorEnv] | None:
    """The env's own `vector_env`, where it has one that tells what this team is told; else None.

    `env.vector_env(n)` makes a `gymnasium.vector.VectorEnv` of n envs with the env's arguments, as
    `VectorStream` wants it.  It has `seeds_each = True` and, seeded alike, plays what n `TeamEnv`s
    would play.  Its attribute `episodes` may be set to an iterator of seeds, of which each episode
    that begins takes the next, in order of rows.  `play_up(places)`, a `team_env.Place` an env, if
    it has that, brings it back to where it was when a run is resumed.  It knows nothing of
    wrappers around the env, nor of a team that sums its rewards or takes the joint observation for
    its state.
    """
    bare = getattr(env, "unwrapped", env) is env
    plain = bare and team.reward == "mean" and team.has_state
    return getattr(env, "vector_env", None) if plain else None


def _batched(envs: VectorEnv, n_envs: int | str, team: Team | None, workers: int | str) -> Stream:
    if team is None:
        raise ValueError(f"{type(envs).__name__} has no agents' names: give stream() a team")
    if n_envs not in ("auto", envs.num_envs):
        raise ValueError(
            f"env_fn made a {type(envs).__name__} of num_envs={envs.num_envs}, n_envs={n_envs}: "
            "they must be the same"
        )
    if workers not in (0, "auto"):
        raise ValueError(
            f"workers={workers}: a {type(envs).__name__} plays all its environments itself"
        )
    return VectorStream(envs, team)


def _refuse_other_vectors(envs: VectorEnv, team: Team) -> None:
    """Whether a vector env speaks as `TeamEnv` does, and resets when `Step` expects it."""
    name = type(envs).__name__
    mode = AutoresetMode(envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
    if mode != AutoresetMode.NEXT_STEP:
        raise ValueError(
            f"{name} has autoreset mode {mode.name}: the last moment of an episode and the first "
            "of the next must be two steps, make it with autoreset_mode=AutoresetMode.NEXT_STEP"
        )
    seen, expected = envs.single_observation_space, team_space(team)
    if not isinstance(seen, spaces.Dict):
        raise ValueError(f"{name} has observation space {seen}: a Dict as TeamEnv's is needed")
    for key, space in expected.items():
        has = seen.spaces.get(key)
        if has is None or has.shape != space.shape:
            raise ValueError(f"{name}: observation {key!r} is {has}, the team's is {space}")
    actions = spaces.MultiDiscrete(team.n_actions)
    if getattr(envs.single_action_space, "shape", None) != actions.shape:
        raise ValueError(
            f"{name}: action space is {envs.single_action_space}, the team's is {actions}"
        )


def _cost(env: TeamEnv) -> float:
    """Seconds that a random step of this env takes, by 50 ms of play."""
    rng, moves, begun = np.random.default_rng(0), 0, time.perf_counter()
    over = True
    while time.perf_counter() - begun < 0.05:
        if over:
            seen, _ = env.reset(seed=0)
        lots = np.where(seen["available"], rng.random(seen["available"].shape), -1).argmax(-1)
        seen, _, terminated, truncated, _ = env.step(lots)
        over, moves = terminated or truncated, moves + 1
    return (time.perf_counter() - begun) / moves
