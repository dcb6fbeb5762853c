"""What finite games share: a PettingZoo environment made from a few definitions.

A subclass says where play starts, what a move does and what is seen; `reset`, `step`, `state`,
the masks and the pictures follow.  Play is drawn from `model`, so the two can never disagree.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from operator import index
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import EzPickle, seeding
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import parallel_to_aec

from . import _tables

State = Hashable
JointAction = tuple[int, ...]
Outcomes = list[tuple[float, float, "State | None"]]  # (probability, reward, next state)
View = tuple[dict[str, np.ndarray], dict[str, dict[str, Any]], np.ndarray]


class Move(NamedTuple):
    """One move of play: where, what, the reward, and the state after it (None: the end)."""

    state: State
    joint_action: JointAction
    reward: float
    after: State | None


class FiniteGame(ParallelEnv[str, np.ndarray, int], EzPickle):
    """A cooperative game with finitely many states, played by agents named agent_0, agent_1, ...

    A subclass defines `title`, `initial_states`, `model`, `observations` and `global_state`, and
    `available` where some actions are not; it calls both base constructors.  Joint actions are
    tuples of 0-based ints in the order of `possible_agents`.  A state is hashable, its `str` is
    read by people, and it holds everything that play needs, except the clock.

    n_actions: number of actions of each agent.  observation_spaces: one an agent.  one_shot:
    every move terminates.  max_cycles: moves after which an episode is truncated, or None.
    illegal_action: what happens to an action that is masked out: "replace" plays the agent's
    first available one instead and leaves the refused action in infos[a]["illegal_action"];
    "raise" is a ValueError.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (PettingZoo's attribute)
        "name": "finite_game_v0",
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
        one_shot: bool = False,
        max_cycles: int | None = None,
        illegal_action: str = "replace",
        render_mode: str | None = None,
    ) -> None:
        if max_cycles is not None and max_cycles < 1:
            raise ValueError(f"max_cycles={max_cycles}: an episode has at least one move")
        if illegal_action not in ("replace", "raise"):
            raise ValueError(f"illegal_action={illegal_action!r}: choose 'replace' or 'raise'")
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode={render_mode!r}: choose None or one of {modes}")
        self.possible_agents = [f"agent_{i}" for i in range(len(n_actions))]
        self.agents: list[str] = []
        self.n_actions = tuple(int(n) for n in n_actions)
        self.state_space = state_space
        self.max_cycles = max_cycles
        self.illegal_action = illegal_action
        self.render_mode = render_mode
        self._one_shot = one_shot
        self._all = [np.ones(n, bool) for n in self.n_actions]
        self._action_spaces = {
            a: Discrete(n) for a, n in zip(self.possible_agents, self.n_actions, strict=True)
        }
        self._observation_spaces = dict(zip(self.possible_agents, observation_spaces, strict=True))
        self._rng: np.random.Generator | None = None
        self._state: State | None = None  # None before the first reset
        self._moves = 0
        self._last: Move | None = None

    # What a game is: the subclass's part.

    def initial_states(self) -> list[tuple[float, State]]:
        """The states in which an episode may start: (probability, state)."""
        raise NotImplementedError

    def model(self, state: State, joint_action: JointAction) -> Outcomes:
        """What a move may do: (probability, reward, next state); None ends the episode.

        Time limits are not part of the model.  Masked-out joint actions have no model.
        """
        raise NotImplementedError

    def observations(self, state: State) -> list[np.ndarray]:
        """What each agent sees in a state: fresh arrays in the agents' spaces."""
        raise NotImplementedError

    def global_state(self, state: State) -> np.ndarray:
        """What `env.state()` shows in a state: a fresh array in `state_space`."""
        raise NotImplementedError

    def available(self, state: State) -> list[np.ndarray]:
        """Which actions each agent has in a state: one bool array [A_i] an agent (here: all)."""
        return [mask.copy() for mask in self._all]

    # What follows from it.

    @property
    def one_shot(self) -> bool:
        """Whether every move terminates the episode."""
        return self._one_shot

    @property
    def time_limit(self) -> int | None:
        """Moves after which an episode is truncated; None where it always terminates."""
        return None if self._one_shot else self.max_cycles

    @property
    def np_random(self) -> np.random.Generator:
        """The generator that draws start and moves; `reset(seed=...)` seeds it."""
        if self._rng is None:
            self._rng, _ = seeding.np_random()
        return self._rng

    def states(self) -> list[State]:
        """Every non-terminal state that play can reach, initial ones first."""
        found = dict.fromkeys(state for _, state in self.initial_states())
        queue = list(found)
        for state in queue:  # grows while we walk it
            for joint_action in self.joint_actions(state):
                for _, _, after in self.model(state, joint_action):
                    if after is not None and after not in found:
                        found[after] = None
                        queue.append(after)
        return queue

    def joint_actions(self, state: State) -> Iterator[JointAction]:
        """The joint actions that are available in a state, the last agent's changing fastest."""
        choices = (np.flatnonzero(mask).tolist() for mask in self.available(state))
        return itertools.product(*choices)

    def rewards(self, state: State) -> np.ndarray:
        """Expected immediate reward of every joint action [A_1, ..., A_N]; nan where masked."""
        table = np.full(self.n_actions, np.nan)
        for joint_action in self.joint_actions(state):
            table[joint_action] = sum(p * r for p, r, _ in self.model(state, joint_action))
        return table

    def view(self, state: State) -> View:
        """What `reset` or `step` returns in a state: (observations, infos, global state)."""
        return *self._seen(state), self.global_state(state)

    # PettingZoo's part.

    def observation_space(self, agent: str) -> gymnasium.Space[np.ndarray]:
        """The space of one agent's observations (always the same object)."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:  # type: ignore[override]
        """The space of one agent's actions (always the same object)."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Start an episode: (observations, infos).  A seed restarts the randomness."""
        if seed is not None:
            self._rng, _ = seeding.np_random(seed)
        starts = self.initial_states()
        self._state = starts[self._draw([p for p, _ in starts])][1]
        self._moves, self._last = 0, None
        self.agents = self.possible_agents[:]
        return self._seen(self._state)

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        dict[str, np.ndarray],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Play one joint action; every agent gets the team's reward.

        The last observations of a terminated episode are those of the state of its last move;
        those of a truncated one show the state that was reached.
        """
        if not self.agents:
            fact = "before reset()" if self._state is None else "after the end of the episode"
            raise RuntimeError(f"step() {fact}: call reset() to start an episode")
        asked = self._joint_action(actions)
        played = self._legal(asked)
        outcomes = self.model(self._state, played)
        _, reward, after = outcomes[self._draw([p for p, _, _ in outcomes])]
        self._last = Move(self._state, played, reward, after)
        self._moves += 1
        terminated = after is None
        truncated = not terminated and self.time_limit is not None
        truncated = truncated and self._moves >= self.time_limit  # type: ignore[operator]
        self._state = self._state if terminated else after
        observations, infos = self._seen(self._state)
        for agent, action, instead in zip(self.possible_agents, asked, played, strict=True):
            if action != instead:
                infos[agent]["illegal_action"] = action
        everyone = self.possible_agents
        if terminated or truncated:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return (
            observations,
            dict.fromkeys(everyone, float(reward)),
            dict.fromkeys(everyone, terminated),
            dict.fromkeys(everyone, truncated),
            infos,
        )

    def state(self) -> np.ndarray:
        """The global state, of the moment that the agents last observed."""
        if self._state is None:
            raise RuntimeError("state() before reset(): call reset() to start an episode")
        return self.global_state(self._state)

    def render(self) -> np.ndarray | str | None:  # type: ignore[override]
        """The table of rewards in the state of the last move, with that move marked.

        "ansi": a str; "human": prints it; "rgb_array": uint8 [height, width, 3].
        """
        if self.render_mode is None:
            gymnasium.logger.warn("render() without a render_mode: pass one when making the env")
            return None
        if self._state is None:
            raise RuntimeError("render() before reset(): call reset() to start an episode")
        state = self._state if self._last is None else self._last.state
        played = None if self._last is None else self._last.joint_action
        title, caption = f"{self.title}: {state}", self._caption()
        if self.render_mode == "rgb_array":
            return _tables.image(self.rewards(state), played, title, caption)
        text = _tables.text(self.rewards(state), played, title, caption)
        if self.render_mode == "ansi":
            return text
        print(text)
        return None

    def close(self) -> None:
        """Nothing to release."""

    # Inside.

    def _seen(self, state: State) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """What the agents are told in a state: (observations, infos)."""
        agents = self.possible_agents
        infos: dict[str, dict[str, Any]] = {
            agent: {"action_mask": mask.astype(np.int8)}
            for agent, mask in zip(agents, self.available(state), strict=True)
        }
        return dict(zip(agents, self.observations(state), strict=True)), infos

    def _draw(self, probabilities: list[float]) -> int:
        """Index drawn with these probabilities; uses no randomness where there is no choice."""
        if len(probabilities) == 1:
            return 0
        level = self.np_random.random() * sum(probabilities)
        for i, total in enumerate(itertools.accumulate(probabilities)):
            if level < total:
                return i
        return int(np.flatnonzero(probabilities)[-1])  # rounding: level reached the sum

    def _joint_action(self, actions: dict[str, int]) -> JointAction:
        """The agents' actions as a tuple, or an error about what is wrong with them."""
        if actions.keys() != self._action_spaces.keys():
            missing = [a for a in self.possible_agents if a not in actions]
            unknown = [a for a in actions if a not in self._action_spaces]
            raise ValueError(
                f"step() needs one action for each of {self.possible_agents}: "
                f"missing {missing}, unknown {unknown}"
            )
        joint = []
        for agent, n in zip(self.possible_agents, self.n_actions, strict=True):
            try:
                action = index(actions[agent])
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
        masks = self.available(self._state)
        if self.illegal_action == "raise":
            for agent, action, mask in zip(self.possible_agents, asked, masks, strict=True):
                if not mask[action]:
                    raise ValueError(
                        f"agent {agent!r} played {action}, which is masked out in state "
                        f"{self._state}: available are {np.flatnonzero(mask).tolist()} "
                        '(illegal_action="replace" plays the first of them)'
                    )
        # argmax of a bool array is its first True.
        return tuple([a if m[a] else int(m.argmax()) for a, m in zip(asked, masks, strict=True)])

    def _caption(self) -> str:
        """One line about the last move, or about the start."""
        if self._last is None:
            return "start of the episode"
        _, played, reward, after = self._last
        then = "end of the episode" if after is None else f"then {after}"
        if after is not None and not self.agents:
            then += ", time is up"
        shown = ", ".join(map(str, played))
        return f"move {self._moves}: ({shown}) gave {reward:.4g}, {then}"


def unit_box(size: int) -> Box:
    """The space of `size` float32 features between 0 and 1."""
    return Box(0.0, 1.0, (size,), np.float32)


def one_hot(position: int, size: int) -> np.ndarray:
    """float32 [size]: 1 at `position`, else 0."""
    vector = np.zeros(size, np.float32)
    vector[position] = 1.0
    return vector


def aec(parallel_env: Callable[..., ParallelEnv]) -> Callable[..., AECEnv]:
    """The AEC constructor beside a parallel one (pettingzoo's takes no positional arguments)."""

    def env(*args: Any, **kwargs: Any) -> AECEnv:
        return parallel_to_aec(parallel_env(*args, **kwargs))

    env.__doc__ = "The game as an AEC environment: same arguments as `parallel_env`."
    return env
