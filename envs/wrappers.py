"""Wrappers for any PettingZoo `ParallelEnv`: masks in observations, dead agents still reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import flatdim
from pettingzoo.utils import BaseParallelWrapper

MASK = "action_mask"


class ActionMaskToObservation(BaseParallelWrapper):
    """Masks from `infos[agent]["action_mask"]` as a part of the observation.

    Observations become {"observation": what it was, "action_mask": int8 [A]}, as in PettingZoo's
    classic games; an agent without a mask in its info may do everything.  For tools that read
    masks there; ours read both.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._spaces: dict[str, spaces.Dict] = {}
        for agent in env.possible_agents:
            seen, acts = env.observation_space(agent), env.action_space(agent)
            if not isinstance(acts, spaces.Discrete):
                raise ValueError(f"agent {agent!r} has action space {acts}: masks need Discrete")
            if isinstance(seen, spaces.Dict) and MASK in seen.spaces:
                raise ValueError(f"agent {agent!r} has its action_mask in the observation already")
            mask = spaces.Box(0, 1, (int(acts.n),), np.int8)
            self._spaces[agent] = spaces.Dict({"observation": seen, MASK: mask})

    def observation_space(self, agent: str) -> spaces.Dict:
        """The observation and the mask."""
        return self._spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new episode."""
        return self._moved(*self.env.reset(seed=seed, options=options))

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """One move."""
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        observations, infos = self._moved(observations, infos)
        return observations, rewards, terminations, truncations, infos

    def _moved(
        self, observations: Mapping[str, Any], infos: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        seen = {
            agent: {"observation": value, MASK: self._mask(agent, infos.get(agent) or {})}
            for agent, value in observations.items()
        }
        rest = {a: {k: v for k, v in info.items() if k != MASK} for a, info in infos.items()}
        return seen, rest

    def _mask(self, agent: str, info: Mapping[str, Any]) -> np.ndarray:
        shape = (int(self.action_space(agent).n),)
        mask = np.array(info.get(MASK, np.ones(shape)), np.int8)
        if mask.shape != shape:
            raise ValueError(
                f"agent {agent!r}: action_mask has shape {mask.shape}, its actions need {shape}"
            )
        return mask


class BlackDeath(BaseParallelWrapper):
    """All agents stay to the end of the episode; those that are dead see nothing and get nothing.

    Some tools want the same agents at every move.  An agent that has ended, or has not come yet,
    is reported with zeros for its observation, reward 0 and `infos[agent]["alive"] = False`; where
    the env uses masks, action 0 is its only one.  What it does is not sent to the env.  Nobody
    terminates or is truncated before the env's episode is over, which has the env's own length;
    then those who were there have the env's own flags, and all others count as terminated.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._spaces = {a: with_zero(env.observation_space(a)) for a in env.possible_agents}
        self._masks = False  # in infos

    def observation_space(self, agent: str) -> spaces.Space:
        """The env's own, made large enough for zeros."""
        return self._spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new episode of all agents."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self.agents = list(self.env.possible_agents)
        return self._all(observations, infos, self.env.agents)

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """One move of those who are there."""
        sent = {agent: actions[agent] for agent in self.env.agents if agent in actions}
        observations, rewards, terminations, truncations, infos = self.env.step(sent)
        over = not self.env.agents
        # who is there to see: the living, and at the end those who lived to see it
        seeing = list(observations) if over else self.env.agents
        seen, told = self._all(observations, infos, seeing)
        paid = {agent: rewards.get(agent, 0.0) for agent in self.agents}
        cut = {a: over and bool(truncations.get(a, False)) for a in self.agents}
        ended = {a: over and bool(terminations.get(a, not cut[a])) for a in self.agents}
        if over:
            self.agents = []
        return seen, paid, ended, cut, told

    def _all(
        self, observations: Mapping[str, Any], infos: Mapping[str, Any], seeing: list[str]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Observations and infos of everybody; of those who do not see, nothing."""
        self._masks = self._masks or any(MASK in (info or {}) for info in infos.values())
        seen, told = {}, {}
        for agent in self.env.possible_agents:
            info = dict(infos.get(agent) or {})
            if agent in seeing:
                seen[agent] = observations[agent]
                info.setdefault("alive", True)
            else:
                seen[agent] = nothing(self._spaces[agent])
                info["alive"] = False
                if self._masks:
                    info[MASK] = only_first(int(self.env.action_space(agent).n))
            told[agent] = info
        return seen, told


def only_first(n: int) -> np.ndarray:
    """The mask of n actions of which the first alone is available."""
    return np.eye(1, n, dtype=np.int8)[0]


def with_zero(space: spaces.Space) -> spaces.Space:
    """The space itself where it holds zeros, else one whose bounds are moved to zero."""
    if isinstance(space, spaces.Box):
        if (space.low <= 0).all() and (space.high >= 0).all():
            return space
        low, high = np.minimum(space.low, 0), np.maximum(space.high, 0)
        return spaces.Box(low, high, space.shape, space.dtype)  # type: ignore[arg-type]
    if isinstance(space, spaces.Dict):
        parts = {key: with_zero(part) for key, part in space.spaces.items()}
        return space if all(parts[k] is space[k] for k in parts) else spaces.Dict(parts)
    if isinstance(space, spaces.Tuple):
        every = [with_zero(part) for part in space.spaces]
        same = all(new is old for new, old in zip(every, space.spaces, strict=True))
        return space if same else spaces.Tuple(every)
    if isinstance(space, spaces.Discrete | spaces.MultiBinary | spaces.MultiDiscrete):
        return space
    raise TypeError(f"BlackDeath has no zeros for {space}: Box, Discrete, Multi*, Dict, Tuple")


def nothing(space: spaces.Space) -> Any:
    """Zeros of a space, the first of a choice; of an action mask its first action."""
    if isinstance(space, spaces.Dict):
        return {
            key: only_first(flatdim(part)).astype(part.dtype) if key == MASK else nothing(part)
            for key, part in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple):
        return tuple(nothing(part) for part in space.spaces)
    if isinstance(space, spaces.Discrete):
        return space.start
    if isinstance(space, spaces.MultiDiscrete):
        return space.start.copy()
    return np.zeros(space.shape or (), space.dtype)  # Box, MultiBinary
