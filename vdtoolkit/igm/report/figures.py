"""Heat maps of an audit and of a lab run, as matplotlib Figures (no pyplot, no global state)."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from vdtoolkit.igm.report.heat import (
    FAINT,
    FONT,
    INK,
    MARGIN,
    Heat,
    Scale,
    colour,
    draw,
    mark,
    scale_of,
    whole,
    write,
)
from vdtoolkit.igm.report.slices import (
    Slice,
    caption,
    margins,
    marks,
    plane,
    sizes,
    slice_count,
    slices,
)
from vdtoolkit.igm.report.summary import Row, earned, representative, summary
from vdtoolkit.igm.report.text import MARKS, MEANING, decimals, measure, number
from vdtoolkit.igm.results import Audit, LabResult, StateAudit

PANEL = 2.75  # inches, the side of a heat map
TITLE = 0.85  # above it
GUTTER = 0.3
Margins = tuple[np.ndarray | None, np.ndarray | None]
MOST_STATES = 4


class Sheet:
    """Panels on a grid, placed by inches, so that all are of one size on paper."""

    def __init__(self, columns: int, rows: int, title: str, states: list[StateAudit]) -> None:
        self.panel = PANEL * (1.6 if _largest(states) > 6 else 1.0)
        self.tall = self.panel * tallness(states)  # tables wider than high need less
        self.width = columns * (self.panel + GUTTER) + GUTTER
        self.height = rows * (self.tall + TITLE + GUTTER) + 0.45
        self.figure = Figure(figsize=(self.width, self.height), facecolor="white")
        x, y = GUTTER / self.width, 1 - 0.18 / self.height
        self.figure.text(x, y, title, fontsize=13, weight="bold", family=FONT, color=INK, va="top")

    def axes(self, column: int, row: int) -> Axes:
        """The axes of one panel; its title goes into the room above."""
        left = GUTTER + column * (self.panel + GUTTER)
        top = 0.45 + row * (self.tall + TITLE + GUTTER) + TITLE
        bottom = self.height - top - self.tall
        sizes = (self.panel / self.width, self.tall / self.height)
        return self.figure.add_axes((left / self.width, bottom / self.height, *sizes))


def _largest(states: list[StateAudit]) -> int:
    """The most actions a side of the heat maps has."""
    return max(max((1, *sizes(state))[-2:]) for state in states)


def tallness(states: list[StateAudit]) -> float:
    """Height over width of the highest table, margins included, at most 1."""
    shapes = [(1, 1, *sizes(state))[-2:] for state in states if state.q_tot is not None]
    ratios = [(r + MARGIN + 0.5) / (c + MARGIN + 0.5) for r, c in shapes]
    return max(0.55, min(1.0, max(ratios, default=1.0)))


def entitle(ax: Axes, title: str, lines: str = "") -> None:
    """A bold first line and small ones below it, in the room above the panel."""
    wrapped = [part for line in lines.split("\n") for part in textwrap.wrap(line, 46)][:3]
    top = 72 * TITLE - 6
    style: dict[str, Any] = {
        "family": FONT,
        "color": INK,
        "va": "top",
        "textcoords": "offset points",
    }
    room = "axes fraction"
    text = "\n".join(wrapped)
    ax.annotate(title, (0, 1), (0, top), room, fontsize=10.5, weight="bold", **style)
    ax.annotate(text, (0, 1), (0, top - 16), room, fontsize=7.5, linespacing=1.25, **style)


def plot_overview(lab: LabResult, state: int = 0) -> Figure:
    """The payoff and what every method's median seed believes of it, on one colour scale."""
    rows, audits = summary(lab), [representative(method).audit for method in lab.methods]
    states = [audit.states[state] for audit in audits]
    scale = _scale([lab.payoffs[state]], [s.q_tot for s in states])
    columns = min(4, len(states) + 2)
    where = "" if len(lab.states) == 1 else f", state {lab.states[state]}"
    height = -(-(len(states) + 2) // columns)
    title = f"{lab.game}{where}: the payoff, and what each method believes"
    sheet = Sheet(columns, height, title, states)
    _payoff_panel(sheet.axes(0, 0), lab, states[0], scale)
    for k, (audit, row) in enumerate(zip(audits, rows, strict=True), start=1):
        ax = sheet.axes(k % columns, k // columns)
        learned_panel(ax, audit, audit.states[state], scale)
        entitle(ax, row.method, _subtitle(lab, row, audit, audit.states[state]))
    last = len(states) + 1
    key(sheet.axes(last % columns, last // columns), scale, decimals(lab.payoffs[state]))
    return sheet.figure


def _scale(payoffs: list[np.ndarray | None], learned: list[np.ndarray | None]) -> Scale:
    """The payoff's own, so that a diverging table cannot wash the truth out."""
    known = [payoff for payoff in payoffs if payoff is not None]
    return scale_of(*(known or learned))


def _payoff_panel(ax: Axes, lab: LabResult, state: StateAudit, scale: Scale) -> None:
    if state.payoff is None:
        entitle(ax, "Payoff", _axes_note(lab.agents))
        ax.set_axis_off()
        write(ax, 0, 0.9, "not known", 9)
        return
    fixed = (state.optimum or state.greedy)[:-2]
    part = whole(fixed, state.payoff)
    found: dict[tuple[int, int], tuple[str, ...]] = {
        k: ("optimum",) for k, v in marks(state, part).items() if "optimum" in v
    }
    draw(ax, Heat(plane(state.payoff, part), scale, decimals(state.payoff), found))
    entitle(ax, "Payoff", _axes_note(lab.agents) + "\n" + caption(lab.agents, part))


def _axes_note(agents: tuple[str, ...]) -> str:
    return f"rows {agents[-2][:16]}, columns {agents[-1][:16]}" if len(agents) > 1 else ""


def _subtitle(lab: LabResult, row: Row, audit: Audit, state: StateAudit) -> str:
    words = f"earns {earned(lab, row.earns.mean)}"
    if row.igm != "no claim":
        words += f"; IGM {row.igm}"
    else:
        words += "; no IGM claimed"
    lines = [words, "; ".join(row.verdicts)]
    fixed = state.greedy[:-2]
    if fixed:
        pairs = zip(audit.agents, fixed, strict=False)
        lines.append("with " + ", ".join(f"{agent} = {u}" for agent, u in pairs))
    return "\n".join(lines)


def learned_panel(ax: Axes, audit: Audit, state: StateAudit, scale: Scale) -> None:
    """Q_tot with utilities and marks, in the slice the team plays in; utilities where searched."""
    if state.q_tot is None:
        _utilities_panel(ax, audit, state)
        return
    part = whole(state.greedy[:-2], state.q_tot)
    digits = decimals(state.payoff, state.q_tot)
    draw(ax, Heat(plane(state.q_tot, part), scale, digits, marks(state, part), *margins(state)))


def _utilities_panel(ax: Axes, audit: Audit, state: StateAudit) -> None:
    """Where no table can be listed: every agent's utilities, a row an agent."""
    most = max(len(q) for q in state.utilities)
    values = np.full((len(state.utilities), most), np.nan)
    for i, q in enumerate(state.utilities):
        values[i, : len(q)] = q
    found = {(i, u): ("greedy",) for i, u in enumerate(state.greedy)}
    labels = ([str(i) for i in range(len(values))], [str(j) for j in range(most)])
    draw(ax, Heat(values, scale_of(values), 2, found, labels=labels, room=0.0))


def key(ax: Axes, scale: Scale, digits: int) -> None:
    """What marks, margins and colours mean."""
    ax.set_axis_off()
    ax.set_xlim(0, 1)
    ax.set_ylim(1, 0)
    for k, name in enumerate(MARKS):
        mark(ax, 0.05, 0.06 + 0.12 * k, name, 8)
        text = MEANING[name] + (" (framed)" if name == "greedy" else "")
        write(ax, 0.12, 0.06 + 0.12 * k, text, 8.5, va="center")
    notes = (
        "grey margins: utilities Q_i, each agent's own;\ndarker is larger. Hatched: not available."
    )
    write(ax, 0, 0.5, notes, 7.5, va="center", color=FAINT, linespacing=1.4)
    bar = ax.inset_axes((0.0, 0.2, 0.92, 0.07))
    map_ = LinearSegmentedColormap.from_list(
        "payoff", [colour(x, (-1.0, 1.0)) for x in np.linspace(-1, 1, 65)]
    )
    mappable = ScalarMappable(Normalize(-1, 1), map_)
    colorbar = ax.figure.colorbar(mappable, cax=bar, orientation="horizontal", extend="both")
    ends = [number(x, digits) for x in (scale[0], 0.0, scale[1])]
    colorbar.set_ticks([-1, 0, 1], labels=ends)
    colorbar.outline.set_visible(False)
    bar.tick_params(labelsize=7.5, labelfontfamily=FONT, labelcolor=INK, color=INK, length=2)
    write(ax, 0, 0.68, "value of payoff and Q_tot", 7.5, va="center")


def plot_audit(audit: Audit) -> Figure:
    """Payoff, Q_tot and error of every state (the first few), slice by slice."""
    shown = [(state, part.fixed) for state in audit.states[:MOST_STATES] for part in _parts(state)]
    payoffs, learned = [s.payoff for s, _ in shown], [s.q_tot for s, _ in shown]
    scale = _scale(payoffs, learned)
    if all(table is None for table in [*payoffs, *learned]):
        scale = scale_of(*shown[0][0].utilities)
    three = any(payoff is not None for payoff in payoffs)
    title = f"{audit.algorithm}: {_measures(audit)}"
    sheet = Sheet(4 if three else 2, len(shown), title, audit.states)
    for row, (state, fixed) in enumerate(shown):
        _audit_row(sheet, row, audit, state, fixed, scale)
    key(sheet.axes(3 if three else 1, 0), scale, decimals(*payoffs, *learned))
    return sheet.figure


def _parts(state: StateAudit) -> list[Slice]:
    if state.q_tot is None and state.payoff is None:
        return slices(state)[:1]
    return slices(state)


def _measures(audit: Audit) -> str:
    digits = decimals(*[state.payoff for state in audit.states])
    gap = measure(audit.gap, digits, bound=not audit.exact)
    words = f"IGM gap {gap}, regret {measure(audit.regret, digits)}"
    return f"{words}, RMSE {measure(audit.rmse, digits)}"


def _audit_row(
    sheet: Sheet, row: int, audit: Audit, state: StateAudit, fixed: tuple[int, ...], scale: Scale
) -> None:
    where = [] if len(audit.states) == 1 else [f"state {state.state}"]
    table = state.q_tot if state.q_tot is not None else state.payoff
    if table is None:
        ax = sheet.axes(0, row)
        _utilities_panel(ax, audit, state)
        entitle(ax, "Utilities", "rows: agents; joint actions were searched, not listed")
        return
    part = whole(fixed, table)
    if slice_count(state) > 1:
        where.append(caption(audit.agents, part))
    digits, found = decimals(state.payoff, state.q_tot), marks(state, part)
    note = "\n".join([*where, _axes_note(audit.agents)])
    panels: list[tuple[str, np.ndarray, Margins]] = []
    if state.payoff is not None:
        panels.append(("Payoff", state.payoff, (None, None)))
    if state.q_tot is not None:
        panels.append((f"Learned {audit.q_tot_label}", state.q_tot, margins(state)))
    if state.payoff is not None and state.q_tot is not None:
        panels.append(("Error", state.q_tot - state.payoff, (None, None)))
    for column, (title, values, sides) in enumerate(panels):
        ax = sheet.axes(column, row)
        if title == "Error":
            span = max(-scale[0], scale[1])
            draw(ax, Heat(plane(values, part), (-span, span), digits, {}))
            entitle(ax, title, f"full colours at ±{number(span, digits)}")
        else:
            draw(ax, Heat(plane(values, part), scale, digits, found, *sides))
            entitle(ax, title, note if column == 0 else "")
