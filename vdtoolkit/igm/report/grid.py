"""Blocks of aligned numbers for the terminal, set side by side as far as the width goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.text import Text

from vdtoolkit.igm.report.slices import Slice, with_gaps
from vdtoolkit.igm.report.text import MARKS, SYMBOLS, number

STYLES = {"optimum": "bold green", "best": "bold yellow", "greedy": "bold magenta"}
MARGIN = "cyan"
GAP, BAR = "…", "│"


Cell = tuple[str, str]  # text, style


@dataclass(frozen=True)
class Block:
    """One two-agent table: numbers, marks, and utilities along the margins where it has them."""

    title: str
    values: np.ndarray  # [R, C], the whole table
    part: Slice
    marks: dict[tuple[int, int], tuple[str, ...]]
    digits: int
    row_margin: np.ndarray | None = None  # utilities of the row agent
    column_margin: np.ndarray | None = None
    alarm: float | None = None  # errors from this size on are red
    headroom: bool = False  # keep the margin's line free, to stand level with a block that has it


def block_lines(block: Block) -> list[Text]:
    """The block as lines of equal width."""
    left = _left(block)
    columns = [_column(block, j) for j in with_gaps(*_across(block))]
    bar = ["", *[f" {BAR}"] * (len(left[0]) - 1)]
    parts = [*left, [(text, "dim") for text in bar], *columns]
    lines = [_join([part[i] for part in parts]) for i in range(len(left[0]))]
    title = Text(block.title, style="bold")
    width = max(line.cell_len for line in [*lines, title])
    for line in [title, *lines]:
        line.pad_right(width - line.cell_len)
    return [title, *lines]


def _across(block: Block) -> tuple[list[int], int]:
    return block.part.columns, block.part.shape[1]


def _down(block: Block) -> list[int | None]:
    return with_gaps(block.part.rows, block.part.shape[0])


def _join(cells: list[Cell]) -> Text:
    line = Text(no_wrap=True)
    for text, style in cells:
        line.append(text, style)
    for name in MARKS:
        line.highlight_words([SYMBOLS[name]], STYLES[name])
    return line


def _align(cells: list[Cell], before: str = "") -> list[Cell]:
    width = max(len(text) for text, _ in cells)
    return [(before + text.rjust(width), style) for text, style in cells]


def _left(block: Block) -> list[list[Cell]]:
    """The columns left of the bar: the row agent's actions, and its utilities."""
    down, gap = _down(block), (GAP, "dim")
    top: list[Cell] = [("", "")] * _head_height(block)
    names: list[Cell] = [(str(i), "bold") if i is not None else gap for i in down]
    left = [_align([*top, *names])]
    if block.row_margin is not None:
        q = block.row_margin
        cells = [gap if i is None else (_n(block, q[i]), MARGIN) for i in down]
        left.append(_align([*top[1:], ("Q_i", MARGIN), *cells], " "))
    elif block.column_margin is not None:
        left.append(_align([("", ""), ("Q_i", MARGIN), *[("", "")] * len(down)], " "))
    return left


def _head_height(block: Block) -> int:
    return 2 if block.column_margin is not None or block.headroom else 1


def _n(block: Block, value: float) -> str:
    return number(float(value), block.digits)


def _column(block: Block, j: int | None) -> list[Cell]:
    """One column: the action, its utility, the numbers with their marks."""
    down, q = _down(block), block.column_margin
    if j is None:
        return [(f" {GAP}", "dim")] * (_head_height(block) + len(down))
    under = ("", "") if q is None else (_n(block, q[j]), MARGIN)
    head = [(str(j), "bold"), under][: _head_height(block)]
    cells = [_number(block, i, j) for i in down]
    aligned = _align([*head, *cells], "  ")
    marks = [block.marks.get((i, j), ()) if i is not None else () for i in down]
    slots = [name for name in MARKS if any(name in found for found in marks)]
    tails = [""] * len(head) + ["".join(_slot(n, m) for n in slots) for m in marks]
    return [
        (text + tail.ljust(len(slots)), style)
        for (text, style), tail in zip(aligned, tails, strict=True)
    ]


def _slot(name: str, found: tuple[str, ...]) -> str:
    return SYMBOLS[name] if name in found else " "


def _number(block: Block, i: int | None, j: int) -> Cell:
    if i is None:
        return (GAP, "dim")
    value, found = float(block.values[i, j]), block.marks.get((i, j), ())
    text = number(value, block.digits)
    if block.alarm is not None or np.isnan(value):
        return (text, _error_style(block, value))
    first = next((name for name in ("optimum", "greedy", "best") if name in found), None)
    return (text, STYLES[first] if first else "")


def _error_style(block: Block, value: float) -> str:
    if np.isnan(value) or abs(value) < 0.5 * 10.0**-block.digits:
        return "dim"
    return "red" if block.alarm is not None and abs(value) >= block.alarm else ""


def flow(blocks: list[list[Text]], width: int, between: int = 4) -> list[Text]:
    """Blocks side by side, as many to a row as fit; rows parted by an empty line."""
    rows: list[list[list[Text]]] = []
    for block in blocks:
        used = sum(lines[0].cell_len + between for lines in rows[-1]) if rows else width
        if used + block[0].cell_len > width:
            rows.append([])
        rows[-1].append(block)
    lines: list[Text] = []
    for row in rows:
        lines += [Text()] if lines else []
        lines += _beside(row, between)
    return lines


def _beside(row: list[list[Text]], between: int) -> list[Text]:
    lines = []
    for i in range(max(len(block) for block in row)):
        line = Text(no_wrap=True)
        for block in row:
            part = block[i] if i < len(block) else Text(" " * block[0].cell_len)
            line.append_text(part).append(" " * between)
        line.rstrip()
        lines.append(line)
    return lines
