"""Boards of cells as text and as pictures: walls, goals, and numbered agents and others on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Piece(NamedTuple):
    """Something on a cell: one character, the number of the agent that it is, or None.

    ringed: shown with a ring, in text with an exclamation mark.
    """

    row: int
    column: int
    mark: str
    agent: int | None = None
    ringed: bool = False


@dataclass(frozen=True)
class Board:
    """A board at one moment.

    walls: cells (row, column).  goals: cells, the k-th of agent k.  title, note: above the board;
    key: what the characters of the text mean; caption: lines below the board.
    """

    rows: int
    columns: int
    pieces: Sequence[Piece]
    title: str
    caption: str
    note: str = ""
    key: str = ""
    walls: Sequence[tuple[int, int]] = field(default=())
    goals: Sequence[tuple[int, int]] = field(default=())


def text(board: Board) -> str:
    """The board as lines of text: `.` free, `#` wall, `a` the goal of agent 0, and the pieces."""
    cells = [[". "] * board.columns for _ in range(board.rows)]
    for k, (row, column) in enumerate(board.goals):
        cells[row][column] = "abcdefgh"[k] + " "
    for row, column in board.walls:
        cells[row][column] = "# "
    for piece in board.pieces:
        cells[piece.row][piece.column] = piece.mark + ("!" if piece.ringed else " ")
    lines = ["".join(row).rstrip() for row in cells]
    heading = [line for line in (board.title, board.note, board.key) if line]
    return "\n".join([*heading, *lines, board.caption])


def image(board: Board) -> np.ndarray:
    """The board as a picture, uint8 [height, width, 3]: agents are numbered discs."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Rectangle

    side = 0.62 if max(board.rows, board.columns) <= 8 else 0.5  # inches a cell
    size = (max(4.4, side * board.columns + 0.6), side * board.rows + 1.6)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlim(-0.5, board.columns - 0.5)
    axes.set_ylim(board.rows - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(board.columns))
    axes.set_yticks(range(board.rows))
    axes.tick_params(length=0, labelsize=7, colors="gray")
    for place in range(board.columns + 1):
        axes.axvline(place - 0.5, color="lightgray", linewidth=0.8, zorder=0)
    for place in range(board.rows + 1):
        axes.axhline(place - 0.5, color="lightgray", linewidth=0.8, zorder=0)
    colours = [*colormaps["tab10"].colors]  # type: ignore[attr-defined]
    for row, column in board.walls:
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color="dimgray"))
    for k, (row, column) in enumerate(board.goals):
        corner = (column - 0.42, row - 0.42)
        axes.add_patch(Rectangle(corner, 0.84, 0.84, fill=False, edgecolor=colours[k], linewidth=3))
        axes.text(column - 0.38, row - 0.3, f"goal {k}", fontsize=6, color=colours[k], zorder=3)
    for row, column, mark, agent, ringed in board.pieces:
        if agent is None:
            axes.add_patch(
                Rectangle((column - 0.28, row - 0.28), 0.56, 0.56, facecolor="goldenrod")
            )
            continue
        edge = "black" if ringed else colours[agent % 10]
        axes.add_patch(
            Circle((column, row), 0.29, facecolor=colours[agent % 10], edgecolor=edge, linewidth=3)
        )
        axes.text(
            column, row, mark, ha="center", va="center", color="white", fontsize=11, weight="bold"
        )
    heading = board.title + (f"\n{board.note}" if board.note else "")
    axes.set_title(heading, fontsize=9)
    axes.set_xlabel(board.caption, fontsize=8, wrap=True)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
