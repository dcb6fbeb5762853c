"""
# Switch

Two rooms and a corridor one cell wide between them, which agents must pass one way at a time
(ma-gym's; a small relative of the Switch of VDN's paper).

| Creation           | `make("parallel", "vdtoolkit/switch-v0")`           |
|--------------------|-----------------------------------------------------|
| Actions            | Discrete                                            |
| Parallel API       | Yes                                                 |
| Manual Control     | No                                                  |
| Agents             | `agents= ['agent_0', 'agent_1', ...]`               |
| Agents             | 2 to 4                                              |
| Action Shape       | Discrete(5)                                         |
| Action Values      | 0 stay, 1 up, 2 down, 3 left, 4 right               |
| Observation Shape  | (3,), or (2,) with `clock=False`                    |
| Observation Values | [0, 1]                                              |
| State Shape        | (2N + 1,)                                           |
| State Values       | [0, 1]                                              |

```text
. 0 # # # 1 .      agent 0 starts at (0, 1) and must reach (0, 6); agent 1 from (0, 5) to (0, 0);
. . . . . . .      agent 2 from (2, 1) to (2, 6); agent 3 from (2, 5) to (2, 0)
. 2 # # # 3 .
```

Agents step in order of index; who finds a wall or another agent in the way stays. Each is paid on
its own: `step_cost` a move, 5 for the move that arrives, and nothing afterwards, when it stays
where it is, in others' way, with stay for its only action. The episode terminates when all have
arrived and is truncated after `max_cycles` moves. (In ma-gym an agent that has arrived is done;
here it is reported to the end, so that a mean over agents is always one over all of them.)

With two agents the best sum of returns is 10 - 17 x 0.1 = 8.3: agent 0 arrives with its 7th move,
agent 1 with its 12th.

An agent sees its own row and column, divided by the largest, and the share of `max_cycles` that has
passed. The state shows the places of all and the clock.

### Arguments

`agents`: 2, 3 or 4 (the default).

`step_cost`: paid for a move that does not arrive, -0.1 by default.

`max_cycles`: moves after which an episode is truncated; by default 50 with four agents, else 100.

`clock`: whether agents see how much time has passed.

`illegal_action`: `"replace"` plays a masked-out action as stay and leaves it in
`infos[agent]["illegal_action"]`; `"raise"` is a ValueError.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

import numpy as np
from gymnasium.utils import EzPickle

from . import _boards
from ._team_game import JointAction, TeamGame, aec, at_least, unit_box

__all__ = ["env", "parallel_env", "raw_env"]

Place = tuple[int, int]  # row, column

ROWS, COLUMNS = 3, 7
WALLS = tuple((row, column) for row in (0, 2) for column in (2, 3, 4))
STARTS: tuple[Place, ...] = ((0, 1), (0, 5), (2, 1), (2, 5))
GOALS: tuple[Place, ...] = ((0, 6), (0, 0), (2, 6), (2, 0))
STEPS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
ACTIONS = ("stay", "up", "down", "left", "right")
ARRIVED = 5.0


def move(places: tuple[Place, ...], joint_action: JointAction) -> tuple[Place, ...]:
    """Where the agents are after a move; who is at its goal stays."""
    now = list(places)
    for i, action in enumerate(joint_action):
        if now[i] == GOALS[i]:
            continue
        row, column = now[i][0] + STEPS[action][0], now[i][1] + STEPS[action][1]
        inside = 0 <= row < ROWS and 0 <= column < COLUMNS and (row, column) not in WALLS
        if inside and (row, column) not in now:
            now[i] = row, column
    return tuple(now)


class raw_env(TeamGame):
    """ma-gym's Switch with one corridor (see the module)."""

    metadata = {**TeamGame.metadata, "name": "switch_v0"}  # noqa: RUF012
    title = "Switch"

    def __init__(
        self,
        agents: int = 4,
        *,
        step_cost: float = -0.1,
        max_cycles: int | None = None,
        clock: bool = True,
        illegal_action: str = "replace",
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(
            self,
            agents,
            step_cost=step_cost,
            max_cycles=max_cycles,
            clock=clock,
            illegal_action=illegal_action,
            render_mode=render_mode,
        )
        if agents not in (2, 3, 4):
            raise ValueError(f"agents={agents!r}: choose 2, 3 or 4")
        self.max_cycles = (50 if agents == 4 else 100) if max_cycles is None else max_cycles
        at_least(1, max_cycles=self.max_cycles)
        self.step_cost, self.clock = float(step_cost), clock
        TeamGame.__init__(
            self,
            [len(STEPS)] * agents,
            [unit_box(3 if clock else 2) for _ in range(agents)],
            unit_box(2 * agents + 1),
            illegal_action=illegal_action,
            render_mode=render_mode,
        )
        self.places = STARTS[:agents]
        self._limit = self.max_cycles
        self._last: tuple[JointAction, list[float]] | None = None

    def _begin(self) -> None:
        self.places, self._last = STARTS[: len(self.n_actions)], None
        self._limit = self.max_cycles  # of this episode, whatever becomes of the attribute

    def _arrived(self) -> list[bool]:
        return [place == goal for place, goal in zip(self.places, GOALS, strict=False)]

    def _play(self, played: JointAction) -> tuple[list[float], list[bool], bool]:
        before = self._arrived()
        self.places = move(self.places, played)
        after = self._arrived()
        rewards = [
            0.0 if was else ARRIVED if now else self.step_cost
            for was, now in zip(before, after, strict=True)
        ]
        self._last = played, rewards
        return rewards, [all(after)] * len(after), self._moves >= self._limit

    def _masks(self) -> list[np.ndarray]:
        every, stay = np.ones(len(STEPS), bool), np.eye(1, len(STEPS), dtype=bool)[0]
        return [(stay if arrived else every).copy() for arrived in self._arrived()]

    def _passed(self) -> float:
        return min(self._moves / self._limit, 1.0)

    def _scaled(self) -> np.ndarray:
        """Rows and columns of all [N, 2], from 0 to 1."""
        return np.array(self.places, np.float32) / np.array([ROWS - 1, COLUMNS - 1], np.float32)

    def _observations(self) -> list[np.ndarray]:
        clock = [self._passed()] if self.clock else []
        return [np.array([*place, *clock], np.float32) for place in self._scaled()]

    def _global_state(self) -> np.ndarray:
        return np.append(self._scaled().ravel(), np.float32(self._passed()))

    def _board(self) -> _boards.Board:
        """What is where, for people."""
        agents = range(len(self.places))
        return _boards.Board(
            ROWS,
            COLUMNS,
            [_boards.Piece(*self.places[i], str(i), i) for i in agents],
            title=self.title,
            key="goals: " + " ".join(f"{'abcd'[i]} of {i}" for i in agents),
            walls=WALLS,
            goals=GOALS[: len(self.places)],
            caption=self._caption(),
        )

    def _caption(self) -> str:
        if self._last is None:
            return "start of the episode"
        played, rewards = self._last
        told = "  ".join(
            f"{i}:{ACTIONS[u]} {r:+g}" for i, (u, r) in enumerate(zip(played, rewards, strict=True))
        )
        end = "" if self.agents else ", end of the episode"
        if end and not all(self._arrived()):
            end = ", time is up"
        return f"move {self._moves}{end}\n{told}"

    def _text(self) -> str:
        return _boards.text(self._board())

    def _image(self) -> np.ndarray:
        return _boards.image(self._board())


def parallel_env(
    agents: int = 4,
    *,
    step_cost: float = -0.1,
    max_cycles: int | None = None,
    clock: bool = True,
    illegal_action: str = "replace",
    render_mode: str | None = None,
) -> raw_env:
    """The game as a ParallelEnv; the module describes the arguments."""
    return raw_env(
        agents,
        step_cost=step_cost,
        max_cycles=max_cycles,
        clock=clock,
        illegal_action=illegal_action,
        render_mode=render_mode,
    )


env = aec(parallel_env)
