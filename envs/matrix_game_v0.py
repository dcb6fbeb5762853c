"""
# Matrix Game

One common payoff for a joint action: the smallest test of a value decomposition.

| Creation           | `make("parallel", "vdtoolkit/matrix_game-v0")`             |
|--------------------|------------------------------------------------------------|
| Actions            | Discrete                                                   |
| Parallel API       | Yes                                                        |
| Manual Control     | No                                                         |
| Agents             | `agents= ['agent_0', 'agent_1', ...]`                      |
| Agents             | 1 or more: one for each axis of the payoff                 |
| Action Shape       | Discrete(A_i)                                              |
| Action Values      | [0, A_i - 1]                                               |
| Observation Shape  | (1,), or (A_1 + ... + A_N,) with `observation="last"`      |
| Observation Values | 1, or [0, 1] with `observation="last"`                     |
| State Shape        | as the observation                                         |
| State Values       | as the observation                                         |

All agents move at once and all get the entry of the payoff at their joint action. In the default
one-shot game the move ends the episode. With `max_cycles` above 1 the game is repeated and the
episode is cut off (truncated) after so many moves.

### Games by name

Rows are agent_0's actions, columns agent_1's.

| name | payoff | source |
|---|---|---|
| `nonmonotonic` | 8 if all play 0, -12 if only some, else 0; `agents=2, actions=3` | QTRAN (2019) |
| `nonmonotonic-5-actions` | the same with `actions=5`: the k-action form | |
| `nonmonotonic-3-agents` | the same with `agents=3`: the n-agent form | |
| `nearly_monotonic` | [12 -.1 -.1; -.1 0 0; -.1 0 0] | PyMARL2 |
| `monotonic` | [8 3 2; -12 -13 -14; -12 -13 -14] | a control |
| `qtran_state_1` | [10 8 5; 8 6 3; 5 3 0] | QTRAN |
| `qtran_state_2` | [0 3 5; 3 6 8; 5 8 10] | QTRAN |
| `qtran_21` | 21 actions; a narrow hill of 10 at (5, 15), a wide one of 5 at (15, 5) | QTRAN |
| `climbing` | [11 -30 0; -30 7 6; 0 0 5] | Claus & Boutilier 1998 |
| `climbing_stochastic` | the same mean of two equally likely rewards | Kapetanakis & Kudenko 2002 |
| `climbing_partially_stochastic` | the same, but (1, 1) pays 14 or 0 | Kapetanakis & Kudenko 2002 |
| `penalty` | [10 0 k; 0 2 0; k 0 10]; `k=-100`; also `penalty-50` | Claus & Boutilier 1998 |
| `xor` | [1 0; 0 1] | WQMIX (Rashid et al. 2020) |
| `and`, `or` | [0 0; 0 1], [0 1; 1 1] | controls |
| `two_step_2b` | [0 1; 1 8] | QMIX (Rashid et al. 2018) |
| `random` | uniform in 0..10, one entry 10; `agents=2, actions=3, seed=0` | QMIX (JMLR 2020) |
| `gaussian_squeeze` | that of `gaussian_squeeze_v0` at scales 1; `agents=2, actions=11` | QTRAN |

### Arguments

```python
matrix_game_v0.parallel_env("nonmonotonic")
matrix_game_v0.parallel_env("nonmonotonic", agents=3, actions=5)
matrix_game_v0.parallel_env([[3, 0], [0, 2]], max_cycles=25, observation="last")
matrix_game_v0.parallel_env([[[1, 0], [0, 0]], [[0, 0], [4, -1]]], probabilities=[0.5, 0.5])
```

`payoff`: the name of a game, or an array [A_1, ..., A_N] (nested lists do), one axis an agent, at
most 10^7 entries.

`probabilities`: makes the payoff stochastic. The payoff's last axis then counts K outcomes, one of
which is drawn at every move with these probabilities: [K], or [A_1, ..., A_N, K] where they depend
on the joint action.

`max_cycles`: moves in an episode; 1 is the one-shot game, which terminates.

`observation`: what agents and state show: `"constant"`, a 1, or `"last"`, the last joint action,
one-hot for each agent, zeros at the start.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

Further keywords are the arguments of the named game.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from gymnasium.utils import EzPickle
from numpy.typing import ArrayLike

from ._finite import FiniteGame, JointAction, Outcomes, State, aec, one_hot, unit_box
from ._games import GAMES, Game, from_array, game, payoff

__all__ = ["GAMES", "env", "game", "parallel_env", "payoff", "raw_env"]

START = "start"
ONE = np.ones(1, np.float32)


class raw_env(FiniteGame):
    """A common-payoff game of one state, one-shot or repeated (see the module)."""

    metadata = {**FiniteGame.metadata, "name": "matrix_game_v0"}  # noqa: RUF012

    def __init__(
        self,
        payoff: str | ArrayLike = "nonmonotonic",
        *,
        probabilities: ArrayLike | None = None,
        max_cycles: int = 1,
        observation: str = "constant",
        render_mode: str | None = None,
        **game_arguments: Any,
    ) -> None:
        EzPickle.__init__(
            self,
            payoff,
            probabilities=probabilities,
            max_cycles=max_cycles,
            observation=observation,
            render_mode=render_mode,
            **game_arguments,
        )
        if observation not in ("constant", "last"):
            raise ValueError(f"observation={observation!r}: choose 'constant' or 'last'")
        self.title, self._outcomes, self._probabilities = _game(
            payoff, probabilities, game_arguments
        )
        n_actions = self._outcomes.shape[:-1]
        self._shows_last = observation == "last"
        size = sum(n_actions) if self._shows_last else 1
        FiniteGame.__init__(
            self,
            n_actions,
            [unit_box(size) for _ in n_actions],
            unit_box(size),
            one_shot=max_cycles == 1,
            max_cycles=max_cycles,
            render_mode=render_mode,
        )

    def initial_states(self) -> list[tuple[float, State]]:
        """The start, before anyone has moved."""
        return [(1.0, START)]

    def states(self) -> list[State]:
        """The start; where the last move is observed and another follows, every joint action."""
        if self.one_shot or not self._shows_last:
            return [START]
        return [START, *itertools.product(*map(range, self.n_actions))]

    def model(self, state: State, joint_action: JointAction) -> Outcomes:
        """The outcomes of the joint action, the same in every state."""
        after = None if self.one_shot else joint_action if self._shows_last else START
        odds = self._probabilities
        odds = odds if odds.ndim == 1 else odds[joint_action]
        rewards = self._outcomes[joint_action]
        return [
            (p, r, after) for p, r in zip(odds.tolist(), rewards.tolist(), strict=True) if p > 0
        ]

    def rewards(self, state: State) -> np.ndarray:
        """Expected reward of every joint action [A_1, ..., A_N], the same in every state."""
        return Game(self.title, self._outcomes, self._probabilities).payoff

    def observations(self, state: State) -> list[np.ndarray]:
        """A 1, or the last joint action; the same for all agents."""
        return [self.global_state(state) for _ in self.n_actions]

    def global_state(self, state: State) -> np.ndarray:
        """[1.0], or the last joint action [A_1 + ... + A_N], one-hot for each agent."""
        if not self._shows_last:
            return ONE.copy()
        if state == START:
            return np.zeros(sum(self.n_actions), np.float32)
        return np.concatenate([one_hot(u, n) for u, n in zip(state, self.n_actions, strict=True)])  # type: ignore[call-overload]


def _game(payoff: str | ArrayLike, probabilities: Any, arguments: dict[str, Any]) -> Game:
    """The game that the arguments of an environment mean."""
    if not isinstance(payoff, str):
        if arguments:
            raise TypeError(
                f"{list(arguments)} are no arguments of a game given by its payoff array: "
                "only named games take more arguments"
            )
        return from_array(payoff, probabilities)
    if probabilities is not None:
        raise TypeError(f"game {payoff!r} has its own probabilities: give them with an array")
    return game(payoff, **arguments)


def parallel_env(
    payoff: str | ArrayLike = "nonmonotonic",
    *,
    probabilities: ArrayLike | None = None,
    max_cycles: int = 1,
    observation: str = "constant",
    render_mode: str | None = None,
    **game_arguments: Any,
) -> raw_env:
    """The game as a ParallelEnv; the module describes the arguments."""
    return raw_env(
        payoff,
        probabilities=probabilities,
        max_cycles=max_cycles,
        observation=observation,
        render_mode=render_mode,
        **game_arguments,
    )


env = aec(parallel_env)
