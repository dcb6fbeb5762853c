"""Gymnasium environments of several agents as PettingZoo's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class TupleTeam(ParallelEnv):
    """A Gymnasium env whose spaces are Tuples, one part an agent, as a PettingZoo `ParallelEnv`.

        TupleTeam(gymnasium.make("lbforaging:Foraging-8x8-2p-1f-coop-v3", disable_env_checker=True))

    (Gymnasium's checker warns of rewards that are lists.)  The agents are agent_0, agent_1, ...;
    they share the end of the episode, and the reward where it is one number.  An info that is a
    list has one part an agent, any other is everybody's.  `state()` is there where the env
    itself has one.
    """

    def __new__(cls, env: Any) -> TupleTeam:
        """A team with `state()` only where the env has one."""
        if cls is TupleTeam and callable(getattr(getattr(env, "unwrapped", env), "state", None)):
            return super().__new__(_TeamWithState)
        return super().__new__(cls)

    def __init__(self, env: gymnasium.Env) -> None:
        _check(env)
        self.env = env
        seen, done = env.observation_space, env.action_space
        self.possible_agents = [f"agent_{i}" for i in range(len(seen))]  # type: ignore[arg-type]
        self.agents: list[str] = []
        self._observation_spaces = dict(zip(self.possible_agents, seen, strict=True))  # type: ignore[call-overload]
        self._action_spaces = dict(zip(self.possible_agents, done, strict=True))  # type: ignore[call-overload]
        name = env.spec.id if env.spec else type(env.unwrapped).__name__
        self.metadata = {**env.metadata, "name": name, "is_parallelizable": True}
        self.render_mode = env.render_mode

    def __getnewargs__(self) -> tuple[gymnasium.Env]:
        return (self.env,)

    def observation_space(self, agent: str) -> spaces.Space:
        """The agent's part of the Tuple."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        """The agent's part of the Tuple."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new episode of the whole team."""
        observations, info = self.env.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        return self._each("observations", observations), self._infos(info)

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """Everybody's action at once."""
        told = self.env.step(tuple(actions[a] for a in self.agents))
        observations, rewards, terminated, truncated, info = told
        if np.ndim(rewards) == 0:  # type: ignore[arg-type]
            rewards = [rewards] * len(self.agents)  # type: ignore[assignment]
        out = (
            self._each("observations", observations),
            {a: float(r) for a, r in self._each("rewards", rewards).items()},
            dict.fromkeys(self.agents, bool(np.all(terminated))),
            dict.fromkeys(self.agents, bool(np.all(truncated))),
            self._infos(info),
        )
        if np.all(terminated) or np.all(truncated):
            self.agents = []
        return out

    def render(self) -> Any:
        """The env's own picture."""
        return self.env.render()

    def close(self) -> None:
        """Close the env."""
        self.env.close()

    def _each(self, what: str, values: Any) -> dict[str, Any]:
        if len(values) != len(self.possible_agents):
            raise ValueError(
                f"{self.metadata['name']}: {len(values)} {what} of {len(self.possible_agents)} "
                "agents: one part an agent is needed"
            )
        return dict(zip(self.possible_agents, values, strict=True))

    def _infos(self, info: Any) -> dict[str, Any]:
        if isinstance(info, Mapping):
            return {agent: dict(info) for agent in self.possible_agents}
        return {agent: dict(own) for agent, own in self._each("infos", info).items()}


class _TeamWithState(TupleTeam):
    """`TupleTeam` of an env that has a `state()`."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        space = getattr(env.unwrapped, "state_space", None)
        if space is not None:
            self.state_space = space

    def state(self) -> Any:
        """The env's own state."""
        return self.env.unwrapped.state()  # type: ignore[attr-defined]


def _check(env: Any) -> None:
    """Refuse what is not one Tuple of observations and one of actions, of the same agents."""
    if not isinstance(env, gymnasium.Env):
        raise TypeError(f"TupleTeam takes a gymnasium.Env, not a {type(env).__name__}")
    parts: dict[str, Sequence[Any]] = {}
    for what in ("observation_space", "action_space"):
        space = getattr(env, what)
        if not isinstance(space, spaces.Tuple):
            raise TypeError(
                f"{env} has {what} {space}: a team needs gymnasium.spaces.Tuple, one part an agent"
            )
        parts[what] = space.spaces
    n_seen, n_done = map(len, parts.values())
    if n_seen != n_done or not n_seen:
        raise TypeError(
            f"{env} has observations of {n_seen} agents and actions of {n_done}: "
            "a team needs one of each an agent"
        )
