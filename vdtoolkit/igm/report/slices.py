"""What part of a table [A_1, ..., A_N] a page can show: two agents, the others fixed, cropped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vdtoolkit.igm.report.text import MARKS
from vdtoolkit.igm.results import JointAction, StateAudit

LARGEST = 10  # actions a side that a table of numbers shows in full
MOST_SLICES = 3


@dataclass(frozen=True)
class Slice:
    """The last two agents' table with the others' actions fixed, and the actions shown of it."""

    fixed: JointAction  # the actions of all agents but the last two
    rows: list[int]
    columns: list[int]
    shape: tuple[int, int]  # of the whole table

    @property
    def cropped(self) -> bool:
        """Some actions are not shown."""
        return (len(self.rows), len(self.columns)) != self.shape


def sizes(state: StateAudit) -> tuple[int, ...]:
    """Number of actions of each agent."""
    for table in (state.q_tot, state.payoff):
        if table is not None:
            return table.shape
    return tuple(len(utility) for utility in state.utilities)


def slices(state: StateAudit, largest: int = LARGEST, most: int = MOST_SLICES) -> list[Slice]:
    """The slices to show: all where they are at most two, else those that hold a mark."""
    shape = sizes(state)
    outer, inner = shape[:-2], (1, *shape)[-2:]
    holding = list(dict.fromkeys(action[:-2] for _, action in _marked(state)))
    if np.prod(outer, dtype=int) <= 2:
        holding = list(np.ndindex(*outer))
    return [_slice(state, fixed, (inner[0], inner[1]), largest) for fixed in holding[:most]]


def slice_count(state: StateAudit) -> int:
    """How many slices the whole table has."""
    return int(np.prod(sizes(state)[:-2], dtype=int))


def _slice(state: StateAudit, fixed: JointAction, shape: tuple[int, int], largest: int) -> Slice:
    cells = [_cell(action) for _, action in _marked(state) if action[:-2] == fixed]
    rows = crop(shape[0], [row for row, _ in cells], largest)
    columns = crop(shape[1], [column for _, column in cells], largest)
    return Slice(fixed, rows, columns, shape)


def slice_at(table: np.ndarray, action: JointAction, largest: int = LARGEST) -> Slice:
    """The slice of a table that holds a joint action, cropped around it."""
    rows, columns = (1, *table.shape)[-2:]
    row, column = _cell(action)
    shown = crop(rows, [row], largest), crop(columns, [column], largest)
    return Slice(tuple(action[:-2]), *shown, (rows, columns))


def crop(size: int, around: list[int], largest: int) -> list[int]:
    """At most `largest` of the indices 0..size-1: the marked ones and their neighbours first."""
    if size <= largest:
        return list(range(size))
    centres = sorted(set(around)) or [0]
    nearest = sorted(range(size), key=lambda i: (min(abs(i - c) for c in centres), i))
    reach = min(2, max(1, largest // (2 * len(centres)) - 1))
    near = [i for i in nearest if min(abs(i - c) for c in centres) <= reach]
    return sorted(near[:largest])


def with_gaps(shown: list[int], size: int) -> list[int | None]:
    """The indices shown, with None wherever some are left out."""
    result: list[int | None] = []
    previous = -1
    for index in shown:
        if index != previous + 1:
            result.append(None)
        result.append(index)
        previous = index
    return result if previous == size - 1 else [*result, None]


def plane(table: np.ndarray, part: Slice) -> np.ndarray:
    """The whole two-agent table of a slice, [R, C]."""
    return np.atleast_2d(np.asarray(table, dtype=float)[part.fixed])


def marks(state: StateAudit, part: Slice) -> dict[tuple[int, int], tuple[str, ...]]:
    """Which marks stand in which cell of the slice."""
    found: dict[tuple[int, int], tuple[str, ...]] = {}
    for name, action in _marked(state):
        if action[:-2] == part.fixed:
            found[_cell(action)] = (*found.get(_cell(action), ()), name)
    return found


def margins(state: StateAudit) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Utilities of the row agent and of the column agent; None where there is none."""
    rows = state.utilities[-2] if len(state.utilities) > 1 else None
    columns = state.utilities[-1] if state.utilities else None
    return rows, columns


def caption(agents: tuple[str, ...], part: Slice) -> str:
    """What is fixed and what is left out, in words; empty where nothing is."""
    words = [f"{agent} = {action}" for agent, action in zip(agents, part.fixed, strict=False)]
    text = "with " + ", ".join(words) if words else ""
    if part.cropped:
        shown, total = len(part.rows) * len(part.columns), part.shape[0] * part.shape[1]
        text += f"{', ' if text else ''}cropped around the marks: {shown} of {total} cells"
    return text


def _marked(state: StateAudit) -> list[tuple[str, JointAction]]:
    actions = {"optimum": state.optimum, "best": state.best, "greedy": state.greedy}
    return [(name, tuple(action)) for name in MARKS if (action := actions[name]) is not None]


def _cell(action: JointAction) -> tuple[int, int]:
    return (action[-2] if len(action) > 1 else 0, action[-1])


def news(state: StateAudit) -> np.ndarray | None:
    """What a state was trained on, where that is not simply the payoff."""
    backup, payoff = state.backup, state.payoff
    if backup is None or payoff is None or backup.shape != payoff.shape:
        return backup
    same = np.allclose(backup, payoff, rtol=0.01, atol=0.005, equal_nan=True)
    return None if same else backup
