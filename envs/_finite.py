"""What finite games share: a PettingZoo environment made from a few definitions.

A subclass says where play starts, what a move does and what is seen; `reset`, `step`, `state`,
the masks and the pictures follow.  Play is drawn from `model`, so the two can never disagree.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from . import _tables
from ._team_game import Dicts, JointAction, TeamGame, aec, one_hot, unit_box

__all__ = ["FiniteGame", "JointAction", "Outcomes", "State", "View", "aec", "one_hot", "unit_box"]

State = Hashable
Outcomes = list[tuple[float, float, "State | None"]]  # (probability, reward, next state)
View = tuple[dict[str, np.ndarray], dict[str, dict[str, Any]], np.ndarray]


class Move(NamedTuple):
    """One move of play: where, what, the reward, and the state after it (None: the end)."""

    state: State
    joint_action: JointAction
    reward: float
    after: State | None


class FiniteGame(TeamGame):
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

    metadata: dict[str, Any] = {**TeamGame.metadata, "name": "finite_game_v0"}  # noqa: RUF012
    enumerable = True  # whether `states` can be listed in reasonable time

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
        TeamGame.__init__(
            self,
            n_actions,
            observation_spaces,
            state_space,
            illegal_action=illegal_action,
            render_mode=render_mode,
        )
        self.max_cycles = max_cycles
        self._one_shot = one_shot
        self._all = [np.ones(n, bool) for n in self.n_actions]
        self._state: State | None = None  # None before the first reset
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

    # What a team game asks for.

    def _begin(self) -> None:
        self._state, self._last = self._start(), None

    def _start(self) -> State:
        """The state in which an episode starts, drawn from `initial_states`."""
        starts = self.initial_states()
        return starts[self._draw([p for p, _ in starts])][1]

    def _play(self, played: JointAction) -> tuple[list[float], list[bool], bool]:
        """A move drawn from the model; after the last one the state stays what it was."""
        outcomes = self.model(self._state, played)
        _, reward, after = outcomes[self._draw([p for p, _, _ in outcomes])]
        self._last = Move(self._state, played, reward, after)
        terminated = after is None
        limit = self.time_limit
        self._state = self._state if terminated else after
        n = len(self.possible_agents)
        truncated = not terminated and limit is not None and self._moves >= limit
        return [reward] * n, [terminated] * n, truncated

    def _masks(self) -> list[np.ndarray]:
        return self.available(self._state)

    def _observations(self) -> list[np.ndarray]:
        return self.observations(self._state)

    def _global_state(self) -> np.ndarray:
        return self.global_state(self._state)

    def _where(self) -> str:
        return f"in state {self._state}"

    def _text(self) -> str:
        """The table of rewards in the state of the last move, with that move marked."""
        state, played = self._shown()
        heading = f"{self.title}: {state}"
        return _tables.text(self.rewards(state), played, heading, self._caption())

    def _image(self) -> np.ndarray:
        """The same as a picture."""
        state, played = self._shown()
        heading = f"{self.title}: {state}"
        return _tables.image(self.rewards(state), played, heading, self._caption())

    # Inside.

    def _seen(self, state: State) -> Dicts:
        """What the agents are told in a state: (observations, infos)."""
        agents = self.possible_agents
        infos: dict[str, dict[str, Any]] = {
            agent: {"action_mask": mask.astype(np.int8)}
            for agent, mask in zip(agents, self.available(state), strict=True)
        }
        return dict(zip(agents, self.observations(state), strict=True)), infos

    def _shown(self) -> tuple[State, JointAction | None]:
        """The state and joint action of the last move; at the start the state alone."""
        return (self._state, None) if self._last is None else self._last[:2]

    def _draw(self, probabilities: list[float]) -> int:
        """Index drawn with these probabilities; uses no randomness where there is no choice."""
        if len(probabilities) == 1:
            return 0
        level = self.np_random.random() * sum(probabilities)
        for i, total in enumerate(itertools.accumulate(probabilities)):
            if level < total:
                return i
        return int(np.flatnonzero(probabilities)[-1])  # rounding: level reached the sum

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
