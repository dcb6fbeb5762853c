"""A lab run over training: its measures as curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from vdtoolkit.igm.report.heat import FAINT, FONT, INK, write
from vdtoolkit.igm.report.strip import history
from vdtoolkit.igm.report.summary import one_step
from vdtoolkit.igm.results import Audit, LabResult, MethodResult

LINE, BAND, OTHERS = "#0072b2", "#56b4e9", "#c9ced6"

Measure = Callable[[Audit], float]


def plot_curves(lab: LabResult) -> Figure:
    """What a method earns (or its regret), violations, gap and error over training moves.

    A row a method, a column a measure: the line is the mean over seeds, the band runs from the
    least to the largest, the grey lines behind are the other methods' means.
    """
    measures = _measures(lab)
    rows = len(lab.methods)
    figure = Figure(figsize=(11.5, 1.25 * rows + 1.0), facecolor="white")
    axes = figure.subplots(rows, len(measures), sharex=True, sharey="col", squeeze=False)
    inches = figure.get_figheight()
    figure.subplots_adjust(0.14, 0.55 / inches, 0.985, 1 - 0.5 / inches, 0.2, 0.2)
    for column, (title, measure) in enumerate(measures):
        series = [over_seeds(method, measure, lab.moves) for method in lab.methods]
        for row, method in enumerate(lab.methods):
            _panel(axes[row, column], series, row)
            if column == 0:
                _row_title(axes[row, 0], method.label)
        _scale_axis(axes[0, column], title, series)
        write(
            axes[0, column], 0, 1.1, title, 10, transform=axes[0, column].transAxes, weight="bold"
        )
    if one_step(lab) and lab.optimal_return is not None:
        for ax in axes[:, 0]:
            ax.axhline(lab.optimal_return, color="#009e73", lw=1, ls=(0, (4, 2)), zorder=1)
    for ax in axes[-1]:
        ax.set_xlabel("moves", fontsize=8, family=FONT, color=INK)
    return figure


def _measures(lab: LabResult) -> list[tuple[str, Measure]]:
    first: tuple[str, Measure] = ("regret", lambda audit: _known(audit.regret))
    if one_step(lab) and lab.payoffs[0] is not None:
        first = ("earns (optimum dashed)", _earns)
    return [
        first,
        ("IGM violation rate", lambda audit: audit.violation_rate),
        ("IGM gap", lambda audit: audit.gap),
        ("RMSE", lambda audit: _known(audit.rmse)),
    ]


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def _earns(audit: Audit) -> float:
    state = audit.states[0]
    return float("nan") if state.payoff is None else float(state.payoff[state.greedy])


def over_seeds(method: MethodResult, measure: Measure, moves: int) -> np.ndarray:
    """[4, T]: moves, mean, least and largest over the seeds that have a value at that moment."""
    moments: dict[int, list[float]] = {}
    for seed in method.seeds:
        for snapshot in history(seed, moves):
            moments.setdefault(snapshot.moves, []).append(measure(snapshot.audit))
    known = {
        at: [x for x in moments[at] if np.isfinite(x)] or [float("nan")] for at in sorted(moments)
    }
    rows = [(at, float(np.mean(x)), min(x), max(x)) for at, x in known.items()]
    return np.array(rows, dtype=float).reshape(-1, 4).T


def _panel(ax: Axes, series: list[np.ndarray], own: int) -> None:
    for k, (moves, mean, _, _) in enumerate(series):
        if k != own:
            ax.plot(moves, mean, color=OTHERS, lw=0.8, zorder=2)
    moves, mean, low, high = series[own]
    ax.fill_between(moves, low, high, color=BAND, alpha=0.4, lw=0, zorder=3)
    single = "o" if len(moves) == 1 else ""
    ax.plot(moves, mean, color=LINE, lw=1.8, marker=single, zorder=4)
    ax.grid(axis="y", color="#8892a0", alpha=0.25, lw=0.6)
    ax.patch.set_alpha(0)
    for side, spine in ax.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(FAINT)
    ax.tick_params(labelsize=7.5, labelfontfamily=FONT, labelcolor=INK, color=FAINT, length=2)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))


def _row_title(ax: Axes, label: str) -> None:
    style = {"ha": "right", "va": "center", "weight": "bold", "transform": ax.transAxes}
    write(ax, -0.22, 0.5, label, 9.5, **style)


def _scale_axis(ax: Axes, title: str, series: list[np.ndarray]) -> None:
    """Shares from 0 to 1; measures that differ by orders of magnitude on a symlog axis."""
    if "rate" in title:
        ax.set_ylim(-0.06, 1.06)
        ax.set_yticks([0, 0.5, 1])
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        return
    ends = np.concatenate([np.abs(values[1:]).ravel() for values in series])
    ends = ends[np.isfinite(ends)]
    if ends.size and ends.max() > 200 * max(1.0, float(np.median(ends))):
        ax.set_yscale("symlog", linthresh=1.0)
