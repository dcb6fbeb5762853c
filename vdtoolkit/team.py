"""From PettingZoo's dicts to arrays and back: the one place where agents differ.

Unlike sizes, missing actions, masks, death, late comers, team reward, time limits: everything is
settled here, so that networks, replay and algorithms see only `Step`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv

from vdtoolkit.flat import Flat, refuse_infinity, seen_space
from vdtoolkit.step import FLOAT, Step, TeamSpec

WRAPPERS = ("pettingzoo.utils.", "supersuit.")  # their state() is that of the env inside
Dicts = Mapping[str, Any]

WON = ("battle_won", "won", "is_success")  # keys of infos by which environments report a win


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
        if self.obs_dtype.kind == "f" and not np.isfinite(obs).all():
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
        if flat.dtype.kind == "f" and not np.isfinite(flat).all():
            refuse_infinity(state, "state()")
        return flat


class TeamEpisode:
    """The bookkeeping of one episode of a PettingZoo env: dicts in, `Step`s of E = 1 out.

    Alive is who is observed and has not terminated, and what `infos[a]["alive"]` says where an
    env gives it.  The last step of a team counts the truncated as alive: their observation is
    what the learner bootstraps from.  Who is both terminated and truncated then counts as
    truncated: environments that say both mostly mean their time limit.
    """

    def __init__(self, team: Team) -> None:
        self.team = team
        self.moves = 0
        self.acting: list[str] = []  # who is to act now, in the order observed
        self._living: list[str] = []  # of them, those that are not reported as out
        self._ended: set[str] = set()
        self._lost = False  # once broken, an episode stays so

    def start(self, observations: Dicts, infos: Dicts | None, state: Any) -> Step:
        """Moment 0, from what `env.reset` returned."""
        if not observations:
            raise ValueError("reset() returned no observations: the team has nobody to act")
        self.moves = 0
        self._ended, self._lost = set(), False
        self.acting = list(observations)
        return self._step(observations, infos, state, first=True)

    def advance(
        self,
        observations: Dicts,
        rewards: Dicts,
        terminations: Dicts,
        truncations: Dicts,
        infos: Dicts | None,
        state: Any,
    ) -> Step:
        """The next moment, from what `env.step` returned."""
        self.moves += 1
        infos = {agent: info for agent, info in infos.items() if info} if infos else None
        reward = self.team.team_reward(rewards, self._living)
        self._refuse_revival(observations, terminations, truncations)
        agents = observations.keys()
        alike = agents == rewards.keys() == terminations.keys() == truncations.keys()
        if observations and not alike and not is_lost(infos):
            self._refuse_gaps(observations, rewards, terminations, truncations)

        going_on = not (any(terminations.values()) or any(truncations.values()) or self._ended)
        if going_on and list(observations) == self.acting:  # as in most moves
            return self._step(observations, infos, state, reward=reward)
        over = {a for a in terminations if terminations[a]} | {
            a for a in truncations if truncations[a]
        }
        # who acted and is no longer told of has left: PettingZoo drops the dead from the dicts
        self._ended |= over | (set(self.acting) - set(observations) - set(terminations))
        self.acting = [a for a in observations if a not in self._ended]
        if self.acting:
            seen = {a: observations[a] for a in self.acting}
            return self._step(seen, infos, state, reward=reward)
        cut = {a for a in truncations if truncations[a]}
        seen = {a: observations[a] for a in observations if a in cut or not cut}
        if not seen and not is_lost(infos):
            raise ValueError(
                f"the episode ended at move {self.moves} by "
                f"{'truncation' if cut else 'termination'} and step() returned no last "
                f"observation of {', '.join(sorted(cut or over)) or 'any agent'}: PettingZoo's "
                "step() reports an agent once more in the step in which it ends"
            )
        return self._step(
            seen, infos, state, reward=reward, terminated=not cut, truncated=bool(cut)
        )

    def _step(
        self,
        seen: Dicts,
        infos: Dicts | None,
        state: Any,
        *,
        reward: float = 0.0,
        first: bool = False,
        terminated: bool = False,
        truncated: bool = False,
    ) -> Step:
        self._lost = self._lost or is_lost(infos)
        obs = self.team.encode_obs(seen)
        available = self.team.encode_available(seen, infos)
        self._repair_or_refuse(available, terminated or truncated)
        self._living = list(seen)
        alive = np.zeros(len(self.team.agents), bool)
        if not terminated:
            alive[[self.team.index(agent) for agent in seen]] = True
            for agent, info in (infos or {}).items():
                if agent in seen and info and not info.get("alive", True):
                    alive[self.team.index(agent)] = False
                    self._living.remove(agent)
        return Step(
            obs=obs[None],
            state=self.team.encode_state(state, obs)[None],
            available=available[None],
            alive=alive[None],
            reward=np.array([reward], np.float32),
            first=np.array([first]),
            terminated=np.array([terminated]),
            truncated=np.array([truncated]),
            lost=np.array([self._lost]),
            won=won(infos) if terminated or truncated else None,
        )

    def _repair_or_refuse(self, available: np.ndarray, over: bool) -> None:
        """Nobody acts after the end, so a mask of zeros there is harmless; before it is not."""
        something = available.any(-1)
        if something.all():
            return
        nothing = ~something
        if over:
            available[nothing] = self.team.owned[nothing]
        else:
            agent = self.team.agents[int(np.argmax(nothing))]
            raise ValueError(
                f"agent {agent!r}: action_mask is all zeros at move {self.moves}: "
                "an agent that is to act needs one available action"
            )

    def _refuse_revival(self, observations: Dicts, terminations: Dicts, truncations: Dicts) -> None:
        if not self._ended:
            return
        for agent in self._ended.intersection(observations, terminations, truncations):
            if not terminations[agent] and not truncations[agent]:
                raise ValueError(
                    f"agent {agent!r} had ended and is back at move {self.moves}: "
                    "PettingZoo's agents cannot revive; report it alive throughout and give "
                    'infos[agent]["alive"] = False while it is out'
                )

    def _refuse_gaps(
        self, observations: Dicts, rewards: Dicts, terminations: Dicts, truncations: Dicts
    ) -> None:
        """An agent that step() tells of is told of in all its dicts."""
        parts = {"reward": rewards, "termination": terminations, "truncation": truncations}
        told = set(observations).union(*parts.values())
        for agent in sorted(told, key=self.team.index):
            acted, seen = agent in self.acting, agent in observations
            for name, part in parts.items():
                if agent not in part and (acted or (seen and name != "reward")):
                    raise ValueError(
                        f"agent {agent!r}: step() gave no {name} of it at move {self.moves}, "
                        f"although it {'acted' if acted else 'is observed'}"
                    )
            if acted and not seen and not terminations[agent] and not truncations[agent]:
                raise ValueError(
                    f"agent {agent!r}: step() gave no observation of it at move {self.moves}, "
                    "although it is neither terminated nor truncated"
                )


def is_lost(infos: Dicts | None) -> bool:
    """Whether anybody, living or not, is told that the environment broke."""
    told = (infos or {}).values()
    return any(bool(info.get("lost_game", False)) for info in told if isinstance(info, Mapping))


def won(infos: Dicts | None) -> np.ndarray | None:
    """[1] float32: whether anybody's info says that the team won; None where none tells."""
    told = [
        bool(info[key])
        for info in (infos or {}).values()
        if isinstance(info, Mapping)
        for key in WON
        if key in info
    ]
    return np.array([any(told)], np.float32) if told else None


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
