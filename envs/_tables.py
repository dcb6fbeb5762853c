"""Payoff tables as text and as pictures.

A table of two agents is shown as it is, one of a single agent as one row.  Of more agents, the
slice of the first two is shown, with the others' actions as last played (0 at the start).  Of
long axes, the part around the last move is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LONGEST = 24  # actions shown of one agent


class Slice(NamedTuple):
    """The visible part of a payoff table."""

    values: np.ndarray  # [rows, columns]
    rows: list[int]  # actions of agent_0 (of a single agent: one unnamed row)
    columns: list[int]
    marked: tuple[int, int] | None  # position of the last move in `values`
    note: str  # what is not shown


def visible(payoff: np.ndarray, played: Sequence[int] | None) -> Slice:
    """The part of `payoff` [A_1, ..., A_N] that is shown after the joint action `played`."""
    notes = []
    at = tuple(played) if played is not None else (0,) * payoff.ndim
    if payoff.ndim > 2:
        others = at[2:]
        payoff = payoff.reshape(*payoff.shape[:2], -1)[
            :, :, np.ravel_multi_index(others, payoff.shape[2:])
        ]
        notes.append("with " + ", ".join(f"agent_{i + 2}: {u}" for i, u in enumerate(others)))
    elif payoff.ndim == 1:
        payoff, at = payoff[None], (0, *at)
    rows, columns = (_window(n, u) for n, u in zip(payoff.shape, at, strict=False))
    if (len(rows), len(columns)) != payoff.shape:
        notes.append(f"part of {payoff.shape[0]} x {payoff.shape[1]} actions")
    marked = None if played is None else (rows.index(at[0]), columns.index(at[1]))
    return Slice(payoff[np.ix_(rows, columns)], rows, columns, marked, "; ".join(notes))


def _window(n: int, centre: int) -> list[int]:
    """At most LONGEST of n actions, around one of them."""
    start = max(0, min(centre - LONGEST // 2, n - LONGEST))
    return list(range(start, min(n, start + LONGEST)))


def text(payoff: np.ndarray, played: Sequence[int] | None, title: str, caption: str) -> str:
    """The table as lines of text, the joint action just played in brackets."""
    values, rows, columns, marked, note = visible(payoff, played)
    single = payoff.ndim == 1
    cells = [[f" {x:.4g} " for x in row] for row in values]
    if marked is not None:
        cells[marked[0]][marked[1]] = f"[{values[marked]:.4g}]"
    width = max(len(cell) for row in cells for cell in row) + 1
    axes = "columns agent_0" if single else "rows agent_0, columns agent_1"
    head = "".join(f"{u} ".rjust(width) for u in columns)
    lines = [title, f"{axes}; {note}" if note else axes, " " * 4 + head]
    for u, row in zip(rows, cells, strict=True):
        lines.append(("" if single else str(u)).rjust(4) + "".join(c.rjust(width) for c in row))
    return "\n".join(line.rstrip() for line in [*lines, caption])


def image(payoff: np.ndarray, played: Sequence[int] | None, title: str, caption: str) -> np.ndarray:
    """The table as a picture, uint8 [height, width, 3], the joint action just played framed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    values, rows, columns, marked, note = visible(payoff, played)
    side = 0.8 if max(values.shape) <= 8 else 0.42  # inches a cell
    size = (max(4.8, side * len(columns) + 1.4), max(2.2, side * len(rows) + 1.8))
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(values, cmap="Blues", alpha=0.75)
    axes.set_title(title + (f"\n({note})" if note else ""), fontsize=10, wrap=True)
    axes.set_xticks(range(len(columns)), [str(u) for u in columns])
    axes.set_yticks(range(len(rows)), [""] if payoff.ndim == 1 else [str(u) for u in rows])
    axes.set_xlabel(f"agent_{0 if payoff.ndim == 1 else 1}\n{caption}")
    axes.set_ylabel("" if payoff.ndim == 1 else "agent_0")
    axes.tick_params(length=0)
    bright = 0.3 * np.nanmin(values) + 0.7 * np.nanmax(values)  # black on pale, white on dark
    for (row, column), value in np.ndenumerate(values):
        axes.text(
            column,
            row,
            f"{value:.4g}" if side > 0.5 else f"{value:.3g}",
            ha="center",
            va="center",
            fontsize=12 if side > 0.5 else 7,
            color="white" if value > bright + 1e-9 else "black",
            in_layout=False,  # seconds faster on large tables
        )
    if marked is not None:
        corner = (marked[1] - 0.5, marked[0] - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="crimson", linewidth=3))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
