"""
# Dec-Tiger

Two agents before two doors (Nair et al. 2003): a tiger behind one, a treasure behind the other, and
each hears only for itself where the tiger is.

| Creation           | `make("parallel", "vdtoolkit/dec_tiger-v0")` |
|--------------------|----------------------------------------------|
| Actions            | Discrete                                     |
| Parallel API       | Yes                                          |
| Manual Control     | No                                           |
| Agents             | `agents= ['agent_0', 'agent_1']`             |
| Agents             | 2                                            |
| Action Shape       | Discrete(3)                                  |
| Action Values      | 0 listen, 1 open left, 2 open right          |
| Observation Shape  | (2,): heard left, heard right                |
| Observation Values | [0, 1]                                       |
| State Shape        | (7,)                                         |
| State Values       | [0, 1]                                       |

The tiger is behind either door with equal chances. What a move pays, to both:

| | |
|---|---|
| both listen | -2 |
| both open the treasure's door | +20 |
| both open the tiger's door | -50 |
| they open different doors | -100 |
| one opens the treasure's door, one listens | +9 |
| one opens the tiger's door, one listens | -101 |

When both listened, the tiger stays, and each hears the right side with probability 0.85,
independently. When a door was opened, the tiger is put behind either door anew, and what is heard
means nothing: either side with equal chances. The episode terminates after `horizon` moves: the
end is part of the problem, whose best decentralised values are -2, -4 and 5.1908 for horizons of
1, 2 and 3 (4.8028 and 7.0265 for 4 and 5 in the literature).

An agent observes what it heard after the last move, one-hot, zeros at the start; it does not see
the clock, which a recurrent learner can count. The state shows the tiger's door one-hot, what
agent_0 and agent_1 heard, and the share of the horizon that has passed. Values that a solver finds
from the state are of a team that sees the tiger: 20 a move.

### Arguments

`horizon`: moves of an episode, 3 by default.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from gymnasium.utils import EzPickle

from ._drawing import Canvas
from ._finite import FiniteGame, JointAction, Outcomes, State, aec, unit_box
from ._team_game import at_least

__all__ = ["env", "parallel_env", "raw_env"]

SIDES = ("left", "right")
ACTIONS = ("listens", "opens left", "opens right")
TRUTH = 0.85  # chance to hear the right side when both listen
NOTHING = -1


class Moment(NamedTuple):
    """A state: the moves made, the tiger's side and the side that each agent heard (-1: none)."""

    moves: int
    tiger: int
    heard: tuple[int, int]

    def __str__(self) -> str:
        told = ", ".join("nothing" if h == NOTHING else SIDES[h] for h in self.heard)
        return f"tiger {SIDES[self.tiger]}, heard {told}, after {self.moves} moves"


class raw_env(FiniteGame):
    """Dec-Tiger with a horizon (see the module)."""

    metadata = {**FiniteGame.metadata, "name": "dec_tiger_v0"}  # noqa: RUF012
    title = "Dec-Tiger"

    def __init__(self, *, horizon: int = 3, render_mode: str | None = None) -> None:
        EzPickle.__init__(self, horizon=horizon, render_mode=render_mode)
        at_least(1, horizon=horizon)
        self.horizon = horizon
        spaces = [unit_box(2) for _ in range(2)]
        FiniteGame.__init__(
            self, (3, 3), spaces, unit_box(7), one_shot=horizon == 1, render_mode=render_mode
        )

    def initial_states(self) -> list[tuple[float, State]]:
        """The tiger behind either door, nothing heard."""
        return [(0.5, Moment(0, tiger, (NOTHING, NOTHING))) for tiger in range(2)]

    def model(self, state: State, joint_action: JointAction) -> Outcomes:
        """What is paid, where the tiger is then and what each hears; the end at the horizon."""
        moves, tiger, _ = Moment(*state)  # type: ignore[misc]
        reward = _reward(tiger, joint_action)
        if moves + 1 == self.horizon:
            return [(1.0, reward, None)]
        outcomes: Outcomes = []
        for heard in itertools.product(range(2), range(2)):
            if joint_action == (0, 0):
                p = float(np.prod([TRUTH if h == tiger else 1 - TRUTH for h in heard]))
                outcomes.append((p, reward, Moment(moves + 1, tiger, heard)))
            else:
                outcomes += [(1 / 8, reward, Moment(moves + 1, new, heard)) for new in range(2)]
        return outcomes

    def observations(self, state: State) -> list[np.ndarray]:
        """The side that each heard, one-hot; zeros at the start."""
        return [_side(heard) for heard in Moment(*state).heard]  # type: ignore[misc]

    def global_state(self, state: State) -> np.ndarray:
        """The tiger's side, what each heard, the share of the horizon that has passed [7]."""
        moves, tiger, heard = Moment(*state)  # type: ignore[misc]
        clock = np.array([moves / self.horizon], np.float32)
        return np.concatenate([_side(tiger), _side(heard[0]), _side(heard[1]), clock])

    def _lines(self) -> tuple[Moment, list[str]]:
        """The state of the last move, and what each agent heard before it and did."""
        state, played = self._shown()
        moment = Moment(*state)  # type: ignore[misc]
        lines = []
        for i, heard in enumerate(moment.heard):
            told = "heard nothing" if heard == NOTHING else f"heard the tiger {SIDES[heard]}"
            does = "" if played is None else f", {ACTIONS[played[i]]}"
            lines.append(f"agent_{i}: {told}{does}")
        return moment, lines

    def _paid(self) -> str:
        if self._last is None:
            return "start of the episode"
        end = ", end of the episode" if self._last.after is None else ""
        return f"move {self._moves} of {self.horizon} gave {self._last.reward:g}{end}"

    def _text(self) -> str:
        moment, lines = self._lines()
        behind = ["treasure", "treasure"]
        behind[moment.tiger] = "tiger"
        doors = "  ".join(f"[{side}: {what}]" for side, what in zip(SIDES, behind, strict=True))
        return "\n".join([self.title, doors, *lines, self._paid()])

    def _image(self) -> np.ndarray:
        moment, lines = self._lines()
        played = self._shown()[1]
        opened = set() if played is None else {u - 1 for u in played if u}
        canvas = Canvas(5.2, 3.6, (0, 10), (0, 6.6), f"{self.title} (agents do not see behind)")
        for side, name in enumerate(SIDES):
            x = 1.2 + 4.4 * side
            what, colour = ("tiger", "darkorange") if side == moment.tiger else ("treasure", "gold")
            canvas.rectangle(x, 2.6, 3.2, 3.4, "sienna" if side not in opened else "white")
            canvas.rectangle(x + 0.5, 3.7, 2.2, 1.1, colour)
            canvas.text(x + 1.6, 4.25, what, size=11)
            canvas.text(x + 1.6, 5.5, name + (", opened" if side in opened else ""), size=9)
        for i, line in enumerate(lines):
            canvas.text(5, 1.8 - 0.7 * i, line, size=10)
        canvas.text(5, 0.2, self._paid(), size=9)
        return canvas.pixels()


def _reward(tiger: int, joint_action: JointAction) -> float:
    """What both are paid."""
    doors = [u - 1 for u in joint_action if u]
    if not doors:
        return -2.0
    if len(doors) == 1:
        return -101.0 if doors[0] == tiger else 9.0
    if doors[0] != doors[1]:
        return -100.0
    return -50.0 if doors[0] == tiger else 20.0


def _side(side: int) -> np.ndarray:
    """float32 [2]: one-hot, zeros for no side."""
    return (np.arange(2) == side).astype(np.float32)


def parallel_env(*, horizon: int = 3, render_mode: str | None = None) -> raw_env:
    """The game as a ParallelEnv; the module describes the arguments."""
    return raw_env(horizon=horizon, render_mode=render_mode)


env = aec(parallel_env)
