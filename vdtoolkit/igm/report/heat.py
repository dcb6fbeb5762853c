"""One table as a heat map in a matplotlib Axes: numbers, utilities along the margins, marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vdtoolkit.igm.report.slices import LARGEST, Slice
from vdtoolkit.igm.report.text import COLOURS, MARKS, number

INK = "#1c2430"  # the page turns this into its own ink, light or dark
FAINT = "#7a8594"
FONT = "DejaVu Sans"
DIVERGING = colormaps["RdBu"]
SHAPES = {"optimum": "*", "best": "^", "greedy": "o"}
SIZE = {"optimum": 1.5, "best": 1.0, "greedy": 1.0}  # a star looks smaller than it is
Scale = tuple[float, float]  # the values, below and above zero, that get the full colours
MARGIN = 1.25  # cells of room for utilities, left and above


@dataclass(frozen=True)
class Heat:
    """What one heat map shows."""

    values: np.ndarray  # [R, C]
    scale: Scale
    digits: int
    marks: Mapping[tuple[int, int], tuple[str, ...]]
    row_margin: np.ndarray | None = None
    column_margin: np.ndarray | None = None
    labels: tuple[list[str], list[str]] | None = None  # of rows and columns, else 0, 1, 2, ...
    numbers: bool = True
    room: float = MARGIN


def whole(fixed: tuple[int, ...], table: np.ndarray) -> Slice:
    """The slice with these actions fixed, not cropped."""
    shape = (1, *table.shape)[-2:]
    return Slice(fixed, list(range(shape[0])), list(range(shape[1])), (shape[0], shape[1]))


def scale_of(*tables: np.ndarray | None) -> Scale:
    """The least and the largest value of the tables that are known, around zero.

    Each side of zero has its own colours in full, but a side never less than a quarter of the
    other's length: a payoff of -0.1 beside 12 stays pale.
    """
    known = [table[np.isfinite(table)] for table in tables if table is not None]
    values = np.concatenate([np.zeros(1), *known])
    low, high = -float(values.min()), float(values.max())
    longest = max(low, high) or 1.0
    return -max(low, longest / 4), max(high, longest / 4)


def write(ax: Axes, x: float, y: float, text: str, size: float, **style: object) -> None:
    """Text in our font and ink."""
    style.setdefault("color", INK)
    ax.text(x, y, text, fontsize=size, family=FONT, **style)  # type: ignore[arg-type]


def draw(ax: Axes, heat: Heat) -> None:
    """The table, cell by cell, square cells, the first row on top."""
    rows, columns = heat.values.shape
    room = heat.room
    ax.set_xlim(-room - 0.45, columns + 0.05)
    ax.set_ylim(rows + 0.05, -room - 0.45)
    ax.set_aspect("equal", anchor="NW")
    ax.set_axis_off()
    cell = _cell_points(ax)
    numbers = heat.numbers and max(rows, columns) <= LARGEST
    _cells(ax, heat, cell, numbers)
    _labels(ax, heat, cell)
    _margins(ax, heat, cell, numbers)
    _marks(ax, heat, cell, numbers)


def _cell_points(ax: Axes) -> float:
    """A cell's side in points, from the size of the axes on paper."""
    figure = ax.figure
    width, height = figure.get_figwidth(), figure.get_figheight()  # type: ignore[union-attr]
    box, (left, right), (low, high) = ax.get_position(), ax.get_xlim(), ax.get_ylim()
    return 72 * min(box.width * width / (right - left), box.height * height / (low - high))


def colour(value: float, scale: Scale) -> tuple[float, float, float]:
    """A value's colour: red below zero, white at zero, blue above; full at the scale's ends."""
    share = value / (scale[1] if value > 0 else -scale[0])
    red, green, blue, _ = DIVERGING(0.5 + 0.43 * min(1.0, max(-1.0, share)))
    return red, green, blue


def ink_on(rgb: tuple[float, float, float]) -> str:
    """Black or white, whichever reads better on a colour (WCAG relative luminance)."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def _cells(ax: Axes, heat: Heat, cell: float, numbers: bool) -> None:
    edge = 1.0 if numbers else 0.0
    digits = heat.digits if max(heat.values.shape) <= 6 else min(1, heat.digits)
    text_size = _fit(heat.values, digits, cell)
    for (i, j), value in np.ndenumerate(heat.values):
        if np.isnan(value):
            ax.add_patch(Rectangle((j, i), 1, 1, fc="#e3e6ea", ec="#9aa3ad", hatch="////", lw=0))
            continue
        rgb = colour(float(value), heat.scale)
        ax.add_patch(Rectangle((j, i), 1, 1, fc=rgb, ec="white" if edge else rgb, lw=edge or 0.3))
        if numbers:
            text = number(float(value), digits)
            y = i + (0.4 if heat.marks.get((i, j)) else 0.5)
            write(ax, j + 0.5, y, text, text_size, ha="center", va="center", color=ink_on(rgb))


def _fit(values: np.ndarray, digits: int, cell: float) -> float:
    """The largest font size at which every number fits its cell."""
    longest = max((len(number(float(v), digits)) for v in values.flat), default=1)
    return float(min(12.0, 0.9 * cell / (0.62 * longest), 0.4 * cell))


def _labels(ax: Axes, heat: Heat, cell: float) -> None:
    rows, columns = heat.values.shape
    names = heat.labels or ([str(i) for i in range(rows)], [str(j) for j in range(columns)])
    every = 1 if max(rows, columns) <= LARGEST else 5
    size = min(8.0, max(5.0, 0.3 * cell)) if every == 1 else 6.0
    left = -0.12 - (heat.room if heat.row_margin is not None else 0)
    top = -0.1 - (heat.room if heat.column_margin is not None else 0)
    for i in range(0, rows, every):
        write(ax, left, i + 0.5, names[0][i], size, ha="right", va="center")
    for j in range(0, columns, every):
        write(ax, j + 0.5, top, names[1][j], size, ha="center", va="bottom")
    if heat.column_margin is not None and every == 1:
        corner = 0.5 - heat.room
        write(ax, corner, corner, "$Q_i$", size, ha="center", va="center", color=FAINT)


def _margins(ax: Axes, heat: Heat, cell: float, numbers: bool) -> None:
    start, shades = -heat.room, colormaps["Greys"]
    for utility, down in ((heat.row_margin, True), (heat.column_margin, False)):
        if utility is None:
            continue
        low, high = np.nanmin(utility), np.nanmax(utility)
        size = _fit(np.asarray(utility)[None], heat.digits, cell * 0.98)
        for k, q in enumerate(utility):
            corner, sides = ((start, k), (1, 1)) if down else ((k, start), (1, 1))
            share = 0.0 if np.isnan(q) or high == low else float((q - low) / (high - low))
            shade = shades(0.1 + 0.25 * share if numbers else 0.1 + 0.6 * share)
            ax.add_patch(Rectangle(corner, *sides, fc=shade, ec="white", lw=1.0 if numbers else 0))
            if numbers:
                x, y = corner[0] + 0.5, corner[1] + 0.5
                text = number(float(q), heat.digits)
                write(ax, x, y, text, size, ha="center", va="center", color="#000000")


def _marks(ax: Axes, heat: Heat, cell: float, numbers: bool) -> None:
    size = max(4.0, 0.2 * cell) if numbers else max(6.0, 0.8 * cell)
    height, apart = (0.78, 0.28) if numbers else (0.5, 1.2 * size / cell)
    if not heat.numbers and max(heat.values.shape) <= LARGEST:
        size, height, apart = 0.26 * cell, 0.5, 0.3
    for (i, j), found in heat.marks.items():
        if "greedy" in found:
            frame = Rectangle((j, i), 1, 1, fill=False, ec="#000000", lw=max(0.8, 0.045 * cell))
            ax.add_patch(frame)
        shown = [name for name in MARKS if name in found]
        for k, name in enumerate(shown):
            x = j + 0.5 + apart * (k - (len(shown) - 1) / 2)
            mark(ax, x, i + height, name, size)


def mark(ax: Axes, x: float, y: float, name: str, size: float) -> None:
    """One mark: colour and shape, edged in white to stand out on any cell."""
    ax.plot(
        [x],
        [y],
        SHAPES[name],
        ms=size * SIZE[name],
        mfc=COLOURS[name],
        mec="white",
        mew=max(0.5, 0.08 * size),
        zorder=5,
        clip_on=False,
    )
