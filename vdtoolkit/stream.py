"""Many environments at once: a team as one `gymnasium.Env`, Gymnasium's vector envs over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv, VectorEnv

from vdtoolkit.finite import FiniteStream, is_finite
from vdtoolkit.step import Step
from vdtoolkit.team import Team, TeamEpisode

EnvFn = Callable[[], Any]


class Stream(Protocol):
    """E environments as a stream of `Step`s; a row that is `last` is followed by a `first`."""

    n_envs: int
    team: Team

    def reset(self, seed: int = 0) -> Step:
        """E new episodes."""

    def step(self, actions: np.ndarray) -> Step:
        """The next moment; actions [E, N], ignored in rows that were `last`."""

    def close(self) -> None:
        """Close the envs."""


class TeamEnv(gymnasium.Env):
    """A PettingZoo team as one Gymnasium env: Dict observation, `MultiDiscrete` joint action.

    The reward is the team's.  `reset(seed=s)` fixes every later episode as well: episode k is
    seeded from (s, k), so that a run's episodes do not depend on how long earlier ones were.
    """

    def __init__(self, env: Any, team: Team | None = None) -> None:
        self.env = env
        self.team = team or Team.from_env(env)
        if self.team.state_dim is None:
            observations, infos = env.reset()
            TeamEpisode(self.team).start(observations, infos, env.state())
        spec = self.team.spec
        n, a = spec.n_agents, spec.n_actions
        self.observation_space = spaces.Dict(
            {
                "obs": spaces.Box(-np.inf, np.inf, (n, spec.obs_dim), np.float32),
                "state": spaces.Box(-np.inf, np.inf, (spec.state_dim,), np.float32),
                "available": spaces.MultiBinary((n, a)),
                "alive": spaces.MultiBinary(n),
            }
        )
        self.action_space = spaces.MultiDiscrete(np.full(n, a))
        self._episode = TeamEpisode(self.team)
        self._seeds: np.random.SeedSequence | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A new episode of the team."""
        super().reset(seed=seed)
        if seed is not None:
            self._seeds = np.random.SeedSequence(seed)
        own = None
        if self._seeds is not None:
            own = int(self._seeds.spawn(1)[0].generate_state(1)[0])
        observations, infos = self.env.reset(seed=own, options=options)
        return _told(self._episode.start(observations, infos, self._state()))

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """One joint action: row indices [N]; those of agents that do not act are ignored."""
        actions = self.team.decode(np.asarray(action), self._episode.acting)
        told = self.env.step(actions)
        step = self._episode.advance(told[0], told[1], told[2], told[3], told[4], self._state())
        seen, info = _told(step)
        return seen, float(step.reward[0]), bool(step.terminated[0]), bool(step.truncated[0]), info

    def close(self) -> None:
        """Close the team's env."""
        self.env.close()

    def _state(self) -> Any:
        return self.env.state() if self.team.has_state else None


class VectorStream:
    """Gymnasium's vector env of `TeamEnv`s (NEXT_STEP autoreset) as a stream of `Step`s."""

    def __init__(self, envs: VectorEnv, team: Team) -> None:
        self.envs, self.team, self.n_envs = envs, team, envs.num_envs
        self._over = np.ones(self.n_envs, bool)

    def reset(self, seed: int = 0) -> Step:
        """E new episodes; env e is seeded from (seed, e)."""
        seeds = np.random.SeedSequence(seed).generate_state(self.n_envs)
        seen, info = self.envs.reset(seed=[int(s) for s in seeds])  # type: ignore[arg-type]
        zeros = np.zeros(self.n_envs, bool)
        self._over = ~zeros
        return self._step(seen, zeros.astype(np.float32), zeros, zeros, info)

    def step(self, actions: np.ndarray) -> Step:
        """The next moment of every episode; actions [E, N], ignored where the last was `last`."""
        return self._step(*self.envs.step(actions))

    def close(self) -> None:
        """Close the envs."""
        self.envs.close()

    def _step(self, seen: Any, reward: Any, terminated: Any, truncated: Any, info: Any) -> Step:
        first, self._over = self._over, terminated | truncated
        lost = np.asarray(info.get("lost", np.zeros(self.n_envs)), bool)
        return Step(
            obs=seen["obs"].copy(),
            state=seen["state"].copy(),
            available=seen["available"].astype(bool),
            alive=seen["alive"].astype(bool),
            reward=np.asarray(reward, np.float32),
            first=first,
            terminated=np.asarray(terminated, bool),
            truncated=np.asarray(truncated, bool),
            lost=lost,
        )


def stream(env_fn: EnvFn, n_envs: int, team: Team | None = None) -> Stream:
    """E environments as a stream of `Step`s: finite games from their model, others in a row.

    A wrapper may change what a finite game shows or pays, so a wrapped one is played as it is.
    """
    env = env_fn()
    if is_finite(env) and getattr(env, "unwrapped", env) is env:
        return FiniteStream(env, n_envs, team)
    team = team or Team.from_env(env)
    made = [TeamEnv(env, team)]

    def make() -> TeamEnv:
        return made.pop() if made else TeamEnv(env_fn(), team)

    return VectorStream(SyncVectorEnv([make] * n_envs), team)


def _told(step: Step) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    seen = {
        "obs": step.obs[0],
        "state": step.state[0],
        "available": step.available[0].astype(np.int8),
        "alive": step.alive[0].astype(np.int8),
    }
    return seen, {"lost": bool(step.lost[0])}
