"""What our environments share: a team of discrete actions as a PettingZoo environment.

A subclass says how an episode begins, what a move does and what is seen; the order of calls, the
checks of actions, the masks and the choice between text and picture follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import EzPickle, seeding
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import parallel_to_aec

JointAction = tuple[int, ...]
Dicts = tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]  # observations, infos


class TeamGame(ParallelEnv[str, np.ndarray, int], EzPickle):
    """A cooperative game with discrete actions, played by agents named agent_0, agent_1, ...

    A subclass defines `_begin`, `_play`, `_masks`, `_observations`, `_global_state`, `_text` and
    `_image`; it calls both base constructors.

    n_actions: number of actions of each agent.  observation_spaces: one an agent.
    illegal_action: what happens to an action that is masked out: "replace" plays the agent's
    first available one instead and leaves the refused action in infos[a]["illegal_action"];
    "raise" is a ValueError.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (PettingZoo's attribute)
        "name": "team_game_v0",
        "render_modes": ["human", "ansi", "rgb_array"],
        "is_parallelizable": True,
        "render_fps": 2,
    }
    title: str

    def __init__(
        self,
        n_actions: Sequence[int],
        observation_spaces: Sequence[gymnasium.Space[np.ndarray]],
        state_space: gymnasium.Space[np.ndarray],
        *,
        illegal_action: str = "replace",
        render_mode: str | None = None,
    ) -> None:
        if illegal_action not in ("replace", "raise"):
            raise ValueError(f"illegal_action={illegal_action!r}: choose 'replace' or 'raise'")
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode={render_mode!r}: choose None or one of {modes}")
        self.possible_agents = [f"agent_{i}" for i in range(len(n_actions))]
        self.agents: list[str] = []
        self.n_actions = tuple(int(n) for n in n_actions)
        self.state_space = state_space
        self.illegal_action = illegal_action
        self.render_mode = render_mode
        self._action_spaces = {
            a: Discrete(n) for a, n in zip(self.possible_agents, self.n_actions, strict=True)
        }
        self._observation_spaces = dict(zip(self.possible_agents, observation_spaces, strict=True))
        self._rng: np.random.Generator | None = None
        self._started = False
        self._moves = 0

    # What a game is: the subclass's part.

    def _begin(self) -> None:
        """Begin an episode."""
        raise NotImplementedError

    def _play(self, played: JointAction) -> tuple[list[float], list[bool], bool]:
        """One move of all agents, 0 for those that have left: (rewards, terminated, truncated).

        Rewards and ends are one an agent; truncation is of all that have not ended.  `_moves`
        counts this move already.
        """
        raise NotImplementedError

    def _masks(self) -> list[np.ndarray]:
        """Which actions each agent has now: one bool array [A_i] an agent."""
        raise NotImplementedError

    def _observations(self) -> list[np.ndarray]:
        """What each agent sees now: fresh arrays in the agents' spaces."""
        raise NotImplementedError

    def _global_state(self) -> np.ndarray:
        """What `state()` shows now: a fresh array in `state_space`."""
        raise NotImplementedError

    def _text(self) -> str:
        """The moment as lines of text."""
        raise NotImplementedError

    def _image(self) -> np.ndarray:
        """The moment as a picture, uint8 [height, width, 3]."""
        raise NotImplementedError

    def _where(self) -> str:
        """The present state in a few words, for errors."""
        return f"now, after {self._moves} moves"

    # PettingZoo's part.

    @property
    def np_random(self) -> np.random.Generator:
        """The generator of all that is left to chance; `reset(seed=...)` seeds it."""
        if self._rng is None:
            self._rng, _ = seeding.np_random()
        return self._rng

    def observation_space(self, agent: str) -> gymnasium.Space[np.ndarray]:
        """The space of one agent's observations (always the same object)."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:  # type: ignore[override]
        """The space of one agent's actions (always the same object)."""
        return self._action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Dicts:
        """Start an episode: (observations, infos).  A seed restarts the randomness."""
        if seed is not None:
            self._rng, _ = seeding.np_random(seed)
        self._moves, self._started = 0, True
        self._begin()
        self.agents = self.possible_agents[:]
        return self._told(self.agents)

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        dict[str, np.ndarray],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Play one move of the agents that are left.

        The last observations of a terminated episode are those of the state of its last move
        where nothing comes after it; those of a truncated one show the state that was reached.
        """
        if not self.agents:
            fact = "after the end of the episode" if self._started else "before reset()"
            raise RuntimeError(f"step() {fact}: call reset() to start an episode")
        acting = self.agents
        asked = self._asked(actions)
        played = self._legal(asked)
        self._moves += 1
        rewards, ended, truncated = self._play(played)
        observations, infos = self._told(acting)
        terminations, truncations = {}, {}
        for i in map(self._row, acting):
            agent = self.possible_agents[i]
            terminations[agent], truncations[agent] = ended[i], truncated and not ended[i]
            if asked[i] != played[i]:
                infos[agent]["illegal_action"] = asked[i]
        self.agents = [a for a in acting if not (terminations[a] or truncations[a])]
        if self.render_mode == "human":
            self.render()
        return (
            observations,
            {a: float(rewards[self._row(a)]) for a in acting},
            terminations,
            truncations,
            infos,
        )

    def state(self) -> np.ndarray:
        """The global state, of the moment that the agents last observed."""
        if not self._started:
            raise RuntimeError("state() before reset(): call reset() to start an episode")
        return self._global_state()

    def render(self) -> np.ndarray | str | None:  # type: ignore[override]
        """The present moment, the last move marked.

        "ansi": a str; "human": prints it; "rgb_array": uint8 [height, width, 3].
        """
        if self.render_mode is None:
            gymnasium.logger.warn("render() without a render_mode: pass one when making the env")
            return None
        if not self._started:
            raise RuntimeError("render() before reset(): call reset() to start an episode")
        if self.render_mode == "rgb_array":
            return self._image()
        text = self._text()
        if self.render_mode == "ansi":
            return text
        print(text)
        return None

    def close(self) -> None:
        """Nothing to release."""

    # Inside.

    def _row(self, agent: str) -> int:
        return int(agent.rsplit("_", 1)[1])

    def _told(self, agents: Sequence[str]) -> Dicts:
        """What these agents are told now: (observations, infos)."""
        seen, masks = self._observations(), self._masks()
        rows = {agent: self._row(agent) for agent in agents}
        return (
            {agent: seen[i] for agent, i in rows.items()},
            {agent: {"action_mask": masks[i].astype(np.int8)} for agent, i in rows.items()},
        )

    def _asked(self, actions: dict[str, int]) -> JointAction:
        """The agents' actions as a tuple, or an error about what is wrong with them."""
        if set(actions) != set(self.agents):
            missing = [a for a in self.agents if a not in actions]
            unknown = [a for a in actions if a not in self.agents]
            raise ValueError(
                f"step() needs one action for each of {self.agents}: "
                f"missing {missing}, unknown {unknown}"
            )
        joint = []
        for agent, n in zip(self.possible_agents, self.n_actions, strict=True):
            try:
                action = index(actions.get(agent, 0))
            except TypeError:
                action = -1
            if not 0 <= action < n:
                raise ValueError(
                    f"agent {agent!r} played {actions[agent]!r}: "
                    f"its actions are the ints 0 to {n - 1}"
                )
            joint.append(action)
        return tuple(joint)

    def _legal(self, asked: JointAction) -> JointAction:
        """The joint action that is played: masked-out ones replaced, or refused with an error."""
        masks = self._masks()
        if self.illegal_action == "raise":
            for agent, action, mask in zip(self.possible_agents, asked, masks, strict=True):
                if not mask[action]:
                    raise ValueError(
                        f"agent {agent!r} played {action}, which is masked out {self._where()}: "
                        f"available are {np.flatnonzero(mask).tolist()} "
                        '(illegal_action="replace" plays the first of them)'
                    )
        # argmax of a bool array is its first True.
        return tuple([a if m[a] else int(m.argmax()) for a, m in zip(asked, masks, strict=True)])


def box(low: float, high: float, size: int) -> Box:
    """The space of `size` float32 features between two bounds."""
    return Box(low, high, (size,), np.float32)


def unit_box(size: int) -> Box:
    """The space of `size` float32 features between 0 and 1."""
    return box(0.0, 1.0, size)


def one_hot(position: int, size: int) -> np.ndarray:
    """float32 [size]: 1 at `position`, else 0."""
    vector = np.zeros(size, np.float32)
    vector[position] = 1.0
    return vector


def at_least(least: int, **values: int) -> None:
    """ValueError for the first value that is no whole number from `least` on."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name}={value!r}: give a whole number from {least} on")


def aec(parallel_env: Callable[..., ParallelEnv]) -> Callable[..., AECEnv]:
    """The AEC constructor beside a parallel one (pettingzoo's takes no positional arguments)."""

    def env(*args: Any, **kwargs: Any) -> AECEnv:
        return parallel_to_aec(parallel_env(*args, **kwargs))

    env.__doc__ = "The game as an AEC environment: same arguments as `parallel_env`."
    return env
