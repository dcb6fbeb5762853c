"""From PettingZoo's dicts to arrays and back: the one place where agents differ.

Unlike sizes, missing actions, masks, team reward: everything is settled here, and death, late
comers and time limits in `TeamEpisode`, so that networks, replay and algorithms see only `Step`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv

from vdtoolkit.flat import Flat, all_finite, refuse_infinity, seen_space
from vdtoolkit.step import FLOAT, TeamSpec

WRAPPERS = ("pettingzoo.utils.", "supersuit.")  # their state() is that of the env inside
Dicts = Mapping[str, Any]


class Team:
    """Who is in the team and what they see: names, spaces, sizes.

    observation_spaces, action_spaces: dicts from agent to its gymnasium space; actions must be
    `Discrete`.  A `Dict` observation with an `action_mask` entry is PettingZoo's custom for masks:
    the mask is taken out and the rest is flattened.  Observations stay in their own dtype where
    all agents share one of at most four bytes; else they are float32.  Where all are images they
    are laid out as one of (H, W, C), smaller ones padded.
    state_space: of the env's `state()`; None where it has none (the joint observation takes its
    place).  has_state: the env has a `state()` although no space says so.
    reward: "mean" (of the agents that took part in the move and got one: a shared reward stays
    itself) or "sum".
    state_slices: names for parts of the state, name -> (start, stop), for Qatten's unit features.
    """

    def __init__(
        self,
        observation_spaces: Mapping[str, gymnasium.Space],
        action_spaces: Mapping[str, gymnasium.Space],
        state_space: gymnasium.Space | None = None,
        *,
        has_state: bool | None = None,
        reward: str = "mean",
        state_slices: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        if not action_spaces:
            raise ValueError("the team has no agents: possible_agents is empty")
        if reward not in ("mean", "sum"):
            raise ValueError(f"reward={reward!r}: the team's reward is the 'mean' or the 'sum'")
        self.agents = tuple(action_spaces)
        if set(observation_spaces) != set(self.agents):
            raise ValueError(
                f"observation spaces are of {sorted(observation_spaces)}, "
                f"action spaces of {sorted(self.agents)}: they must be of the same agents"
            )
        self.observation_spaces = {a: observation_spaces[a] for a in self.agents}
        self.action_spaces = {a: _discrete(a, action_spaces[a]) for a in self.agents}
        self.state_space = state_space
        self.has_state = state_space is not None if has_state is None else has_state
        self.reward = reward
        self.state_slices = dict(state_slices or {})

        self.n_actions = np.array([int(s.n) for s in self.action_spaces.values()])
        self._start = [int(s.start) for s in self.action_spaces.values()]
        self._index = {agent: i for i, agent in enumerate(self.agents)}
        # [N, A]: the actions an agent has at all
        self.owned = np.arange(self.n_actions.max()) < self.n_actions[:, None]

        self._sees = [_flat(agent, space) for agent, space in self.observation_spaces.items()]
        self.obs_dims = [flat.dim for flat in self._sees]
        alike = {flat.dtype for flat in self._sees}
        self.obs_dtype = alike.pop() if len(alike) == 1 else FLOAT
        self.obs_scale = 1 / 255 if all(flat.is_byte for flat in self._sees) else 1.0
        self.obs_shape: tuple[int, int, int] | None = None
        images = [flat.image for flat in self._sees if flat.image is not None]
        if len(images) == len(self.agents):
            h, w, c = np.max(images, 0).tolist()
            self.obs_shape = (h, w, c)
        self.obs_dim = math.prod(self.obs_shape or (max(self.obs_dims),))
        # the shape of float vectors that all agents share: those are stacked at once
        boxes = list(self.observation_spaces.values())
        same = all(isinstance(box, spaces.Box) and box == boxes[0] for box in boxes)
        plain = same and np.dtype(boxes[0].dtype).kind == "f" and self.obs_shape is None
        self._alike = boxes[0].shape if plain else None
        self._state = None if state_space is None else Flat(state_space, "state()")

    @classmethod
    def from_env(cls, env: Any, *, reward: str = "mean", state: str = "env") -> Team:
        """The team of a PettingZoo `ParallelEnv`.  Neither resets nor changes the env.

        state: "env" (its `state()`, where it has one) or "joint": the joint observation all the
        same, where the env's own is too large to learn from; `act` and `observe` take none then.
        """
        _check_parallel(env)
        if state not in ("env", "joint"):
            raise ValueError(f"state={state!r}: it is the 'env' one or the 'joint' observation")
        agents = list(env.possible_agents)
        own = state == "env" and _has_state(env)
        return cls(
            {a: env.observation_space(a) for a in agents},
            {a: env.action_space(a) for a in agents},
            getattr(env, "state_space", None) if own else None,
            has_state=own,
            reward=reward,
            state_slices=getattr(_unwrapped(env), "state_slices", None) if own else None,
        )

    def refuse_other(self, env: Any) -> None:
        """Refuse an env whose agents or actions are not this team's."""
        agents = getattr(env, "possible_agents", self.agents)
        if set(agents) != set(self.agents):
            raise ValueError(
                f"the env's agents are {', '.join(map(str, agents))}, the team's "
                f"{', '.join(self.agents)}: they must be the same"
            )
        for agent in self.agents:
            has, expected = env.action_space(agent), self.action_spaces[agent]
            if has != expected:
                raise ValueError(
                    f"agent {agent!r}: its action space is {has}, the team's is {expected}: "
                    "make the agents for this env"
                )

    @property
    def state_dim(self) -> int | None:
        """Features of the state; None before the first one where no space tells."""
        if not self.has_state:
            return len(self.agents) * self.obs_dim
        return None if self._state is None else self._state.dim

    @property
    def seen_state_space(self) -> gymnasium.Space | None:
        """The space of the env's state, told or guessed from its first value."""
        return None if self._state is None else self._state.space

    def expect_state(self, space: gymnasium.Space) -> None:
        """Tell the state's space where the env does not."""
        self._state = Flat(space, "state()")

    @property
    def spec(self) -> TeamSpec:
        """The sizes; needs the state's, which an env without `state_space` shows at first use."""
        if self.state_dim is None:
            raise ValueError("the size of the state is not known before the first state is seen")
        own = self._state
        return TeamSpec(
            len(self.agents),
            int(self.n_actions.max()),
            self.obs_dim,
            self.state_dim,
            obs_dtype=self.obs_dtype,
            state_dtype=self.obs_dtype if own is None else own.dtype,
            obs_scale=self.obs_scale,
            state_scale=self.obs_scale if own is None else (1 / 255 if own.is_byte else 1.0),
            obs_shape=self.obs_shape,
            state_shape=None if own is None else own.image,
        )

    def index(self, agent: str) -> int:
        """The row of an agent, by name."""
        if agent not in self._index:
            raise ValueError(f"unknown agent {agent!r}: the team is {', '.join(self.agents)}")
        return self._index[agent]

    def decode(self, actions: np.ndarray, acting: list[str]) -> dict[str, int]:
        """Row indices [N] as actions in each agent's own space, for the agents that act."""
        return {a: int(actions[self._index[a]]) + self._start[self._index[a]] for a in acting}

    def team_reward(self, rewards: Dicts, acting: Iterable[str]) -> float:
        """One move's reward: the sum of all, or the mean over those that acted and got one."""
        for agent, reward in rewards.items():
            self.index(agent)
            if not isinstance(reward, float) and np.ndim(reward):
                raise ValueError(
                    f"agent {agent!r}: reward is a vector, {reward}: a team learns from one "
                    "number; wrap the env in one that weighs the parts, such as momaland's "
                    "LinearizeReward"
                )
            if not isinstance(reward, float) and np.asarray(reward).dtype.kind not in "biuf":
                raise ValueError(f"agent {agent!r}: reward is not a number: {reward!r}")
            if not math.isfinite(reward):
                raise ValueError(f"agent {agent!r}: reward is not finite: {reward}")
        if self.reward == "sum":
            return sum(map(float, rewards.values()))
        got = [float(rewards[a]) for a in acting if a in rewards]
        return sum(got) / len(got) if got else 0.0

    def encode_obs(self, observations: Dicts) -> np.ndarray:
        """[N, O] of the team's dtype, zeros for agents that are not observed."""
        with np.errstate(over="ignore"):  # a float64 beyond float32 is found just below
            obs = self._stacked(observations)
            if obs is None:
                obs = self._one_by_one(observations)
        if not all_finite(obs):
            for agent, value in observations.items():
                refuse_infinity(value, f"agent {agent!r}: observation")
        return obs.reshape(len(self.agents), -1)

    def _stacked(self, observations: Dicts) -> np.ndarray | None:
        """The observations of a team of equal vectors that are all there and right; else None."""
        if self._alike is None or tuple(observations) != self.agents:
            return None
        values = list(observations.values())
        if any(type(v) is not np.ndarray or v.dtype.kind not in "fiu" for v in values):
            return None
        try:
            obs = np.array(values, self.obs_dtype)
        except ValueError:  # of unlike shapes: the other way says which
            return None
        return obs if obs.shape[1:] == self._alike else None

    def _one_by_one(self, observations: Dicts) -> np.ndarray:
        shape = self.obs_shape or (self.obs_dim,)
        obs = np.zeros((len(self.agents), *shape), self.obs_dtype)
        for agent, value in observations.items():
            i = self.index(agent)
            part = self._sees[i](self._unmasked(agent, value))
            if self._sees[i].is_byte and self.obs_dtype == FLOAT:
                part = part * np.float32(1 / 255)  # beside others' floats
            if self.obs_shape is None:
                obs[i, : part.size] = part.reshape(-1)
            else:
                h, w, c = part.shape
                obs[i, :h, :w, :c] = part
        return obs

    def _unmasked(self, agent: str, value: Any) -> Any:
        """The observation without its mask."""
        if isinstance(value, np.ndarray) or not isinstance(value, Mapping):
            space = self.observation_spaces[agent]
            if isinstance(space, spaces.Dict):
                raise ValueError(
                    f"agent {agent!r}: observation is a {type(value).__name__}, its space has the "
                    f"keys {sorted(space.spaces)}"
                )
            return value
        if "action_mask" not in value:
            return value
        rest = {key: part for key, part in value.items() if key != "action_mask"}
        return next(iter(rest.values())) if len(rest) == 1 else rest

    def encode_available(self, observations: Dicts, infos: Dicts | None) -> np.ndarray:
        """[N, A] bool; masks from the observation, else from the info, else all of one's own.

        An agent that is not observed has action 0 alone.
        """
        all_there = self._alike is not None and len(observations) == len(self.agents)
        if all_there and not infos and dict not in map(type, observations.values()):
            return self.owned.copy()
        available = np.zeros_like(self.owned)
        available[:, 0] = True
        for agent, observation in observations.items():
            i = self.index(agent)
            mask = _mask(observation, infos, agent)
            if mask is None:
                available[i] = self.owned[i]
                continue
            mask = np.asarray(mask)
            if mask.shape != (self.n_actions[i],):
                raise ValueError(
                    f"agent {agent!r}: action_mask has shape {mask.shape}, "
                    f"its {self.n_actions[i]} actions need ({self.n_actions[i]},)"
                )
            if mask.dtype != bool and (bad := np.flatnonzero((mask != 0) & (mask != 1))).size:
                raise ValueError(
                    f"agent {agent!r}: action_mask is {mask[bad[0]]} at action {bad[0]}: "
                    "it is made of 0 and 1"
                )
            available[i] = False
            available[i, : mask.size] = mask.astype(bool)
        return available

    def encode_state(self, state: Any, obs: np.ndarray) -> np.ndarray:
        """[S] of the state's dtype: the env's state, or the joint observation where it has none."""
        if not self.has_state:
            if state is not None:
                raise ValueError("this env has no state(): leave the argument `state` out")
            return obs.reshape(-1)
        if state is None:
            raise ValueError(
                "this env has a state() that mixers learn from: pass state=env.state() "
                "to act() and observe()"
            )
        if self._state is None:
            self.expect_state(seen_space(state))
        assert self._state is not None
        before = self._state.space.shape
        if self.state_space is None and np.shape(state) != before:
            raise ValueError(
                f"state() has shape {np.shape(state)}, before it had {before}: it must not change"
            )
        # a copy: some envs change theirs in place
        flat = self._state(state).flatten()
        if flat.dtype != self._state.dtype:
            with np.errstate(over="ignore"):
                flat = flat.astype(self._state.dtype)
        if not all_finite(flat):
            refuse_infinity(state, "state()")
        return flat


def _check_parallel(env: Any) -> None:
    if isinstance(env, AECEnv):
        raise TypeError(
            f"{env} is an AEC environment (one agent at a time): convert it with "
            "pettingzoo.utils.conversions.aec_to_parallel(env)"
        )
    if not isinstance(env, ParallelEnv):
        missing = [name for name in ("possible_agents", "action_space") if not hasattr(env, name)]
        if missing or isinstance(env, gymnasium.Env):
            raise TypeError(
                f"{type(env).__name__} is not a PettingZoo ParallelEnv: give an instance of one, "
                "or a vdtoolkit.Team"
            )
    if not hasattr(env, "possible_agents"):
        raise TypeError(
            f"{type(env).__name__} has no possible_agents: networks need to know the whole team "
            "beforehand; set it in the env's constructor"
        )


def _has_state(env: Any) -> bool:
    """Whether the env has a `state()` of its own; wrappers are looked through.

    One that raises NotImplementedError is none.
    """
    state = getattr(type(env), "state", None)
    if state in (ParallelEnv.state, AECEnv.state):
        return False
    if getattr(state, "__module__", "").startswith(WRAPPERS):
        inner = [vars(env)[name] for name in ("env", "aec_env") if name in vars(env)]
        return bool(inner) and _has_state(inner[0])
    if state is None:
        return getattr(env, "state_space", None) is not None
    try:
        env.state()
    except NotImplementedError:
        return False
    except Exception:  # before reset() a state may fail in any way
        return True
    return True


def _unwrapped(env: Any) -> Any:
    return getattr(env, "unwrapped", env)


def _discrete(agent: str, space: gymnasium.Space) -> spaces.Discrete:
    if not isinstance(space, spaces.Discrete):
        raise ValueError(
            f"agent {agent!r} has action space {space}: value decomposition needs Discrete actions"
        )
    return space


def _flat(agent: str, space: gymnasium.Space) -> Flat:
    """How an agent's observation is laid out, its mask taken out."""
    whose = f"agent {agent!r}: observation"
    if not isinstance(space, spaces.Dict) or "action_mask" not in space.spaces:
        return Flat(space, whose)
    rest = {key: value for key, value in space.spaces.items() if key != "action_mask"}
    if len(rest) != 1:
        return Flat(spaces.Dict(rest), whose)
    ((key, only),) = rest.items()
    return Flat(only, f"{whose}[{key!r}]")


def _mask(observation: Any, infos: Dicts | None, agent: str) -> Any:
    if isinstance(observation, Mapping) and "action_mask" in observation:
        return observation["action_mask"]
    return ((infos or {}).get(agent) or {}).get("action_mask")
