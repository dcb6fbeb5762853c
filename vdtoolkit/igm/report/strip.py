"""A lab run over training: the learned tables as a strip in time."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vdtoolkit.igm.report.heat import FAINT, FONT, INK, Heat, Scale, draw, scale_of, whole, write
from vdtoolkit.igm.report.slices import marks, plane
from vdtoolkit.igm.report.summary import one_step, representative
from vdtoolkit.igm.report.text import decimals, joint_action
from vdtoolkit.igm.results import LabResult, SeedResult, Snapshot, StateAudit

MOMENTS = 6
NUMBERS = 4  # actions a side up to which the small tables hold numbers
SIDE, GUTTER, LEFT, TOP, LINE = 1.3, 0.12, 1.25, 0.8, 0.28  # inches


def history(seed: SeedResult, moves: int) -> list[Snapshot]:
    """The seed's snapshots; where none were taken, its end."""
    return seed.history or [Snapshot(moves, seed.audit)]


def plot_strip(lab: LabResult, state: int = 0) -> Figure:
    """The learned tables in time: a row a method, a column a moment, the truth at the end."""
    shown = [_moments(history(representative(method), lab.moves)) for method in lab.methods]
    columns = max((len(moments) for moments in shown), default=0) + 1
    scale = _scale(lab, state, shown)
    figure = _sheet(lab, state, len(shown), columns)
    for row, (method, moments) in enumerate(zip(lab.methods, shown, strict=True)):
        first = _axes(figure, row, 0)
        _label(first, method.label)
        for column, moment in enumerate(moments):
            ax = first if column == 0 else _axes(figure, row, column)
            _title(ax, f"{moment.moves} moves")
            _learned(ax, moment.audit.states[state], _fixed(moments, state), scale)
        ax = _axes(figure, row, columns - 1)
        _title(ax, "payoff")
        _payoff(ax, moments[-1].audit.states[state], _fixed(moments, state), scale)
    return figure


def _moments(snapshots: list[Snapshot]) -> list[Snapshot]:
    """At most MOMENTS of them, evenly spread, the first and the last among them."""
    count = min(MOMENTS, len(snapshots))
    return [snapshots[i] for i in np.linspace(0, len(snapshots) - 1, count).round().astype(int)]


def _scale(lab: LabResult, state: int, shown: list[list[Snapshot]]) -> Scale:
    if lab.payoffs[state] is not None:
        return scale_of(lab.payoffs[state])
    return scale_of(*[moments[-1].audit.states[state].q_tot for moments in shown])


def _sheet(lab: LabResult, state: int, rows: int, columns: int) -> Figure:
    width = LEFT + columns * (SIDE + GUTTER) + GUTTER
    height = TOP + rows * (SIDE + LINE)
    figure = Figure(figsize=(width, height), facecolor="white")
    where = "" if one_step(lab) else f" of state {lab.states[state]}"
    title = f"The learned table{where} over training, by the median seed"
    style: dict[str, Any] = {"weight": "bold", "family": FONT, "color": INK, "va": "top"}
    figure.text(GUTTER / width, 1 - 0.15 / height, title, fontsize=12, **style)
    return figure


def _axes(figure: Figure, row: int, column: int) -> Axes:
    width, height = figure.get_figwidth(), figure.get_figheight()
    x = LEFT + column * (SIDE + GUTTER)
    y = height - TOP - row * (SIDE + LINE) - SIDE
    return figure.add_axes((x / width, y / height, SIDE / width, SIDE / height))


def _title(ax: Axes, text: str) -> None:
    write(ax, 0.02, 1.03, text, 7.5, transform=ax.transAxes, color=FAINT)


def _label(ax: Axes, text: str) -> None:
    style = {"ha": "right", "va": "center", "weight": "bold", "transform": ax.transAxes}
    write(ax, -0.08, 0.5, text, 9.5, **style)


def _fixed(moments: list[Snapshot], state: int) -> tuple[int, ...]:
    """The slice of a row: where the team ends up, so that a row shows one slice throughout."""
    return moments[-1].audit.states[state].greedy[:-2]


def _learned(ax: Axes, state: StateAudit, fixed: tuple[int, ...], scale: Scale) -> None:
    if state.q_tot is None:
        ax.set_axis_off()
        note = f"searched\nplays {joint_action(state.greedy[:4])}"
        write(ax, 0.05, 0.5, note, 7, transform=ax.transAxes, va="center")
        return
    _small(ax, state, state.q_tot, fixed, scale)


def _payoff(ax: Axes, state: StateAudit, fixed: tuple[int, ...], scale: Scale) -> None:
    if state.payoff is None:
        ax.set_axis_off()
        write(ax, 0.05, 0.5, "not known", 7, transform=ax.transAxes, va="center")
        return
    _small(ax, state, state.payoff, fixed, scale)


def _small(
    ax: Axes, state: StateAudit, table: np.ndarray, fixed: tuple[int, ...], scale: Scale
) -> None:
    part = whole(fixed, table)
    digits = min(1, decimals(state.payoff, table))
    numbers = max(part.shape) <= NUMBERS
    found = marks(state, part)
    unnamed = ([""] * part.shape[0], [""] * part.shape[1])
    heat = Heat(plane(table, part), scale, digits, found, None, None, unnamed, numbers, -0.4)
    draw(ax, heat)
