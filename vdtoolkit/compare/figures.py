"""The comparison's figures: aggregates, probability of improvement, profiles, sample efficiency."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from vdtoolkit.compare.comparison import Comparison, Pair
from vdtoolkit.compare.curves import Curve
from vdtoolkit.igm.report.heat import FAINT, FONT, INK, ink_on, write

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
DASHES: tuple[object, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
BETTER = colormaps["RdBu"]
TITLES = {
    "iqm": "interquartile mean",
    "mean": "mean",
    "median": "median",
    "optimality_gap": "optimality gap (less is better)",
}
WIDTH = 11.0
COLUMNS = 3


def plot_aggregates(told: Comparison) -> Figure:
    """Each aggregate with its stratified bootstrap interval, a row a method."""
    rows = len(told.methods)
    figure = Figure(figsize=(WIDTH, 0.36 * rows + 0.9), facecolor="white", layout="constrained")
    axes = figure.subplots(1, len(TITLES), sharey=True)
    for ax, (name, title) in zip(axes, TITLES.items(), strict=True):
        for row, method in enumerate(told.methods):
            found, colour = told.aggregates[method][name], style(told, method)[0]
            if not math.isnan(found.low):
                width = found.high - found.low
                ax.add_patch(Rectangle((found.low, row - 0.28), width, 0.56, fc=colour, alpha=0.4))
            ax.plot([found.value] * 2, [row - 0.34, row + 0.34], color=colour, lw=2.4)
        ax.autoscale_view()
        _dress(ax, title)
        ax.margins(x=0.08)
        ax.set_ylim(rows - 0.4, -0.6)
        ax.set_yticks(range(rows), told.methods)
        ax.grid(axis="x", color="#8892a0", alpha=0.25, lw=0.6)
        ax.tick_params(axis="y", length=0, labelsize=9.5)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    return figure


def plot_improvement(told: Comparison) -> Figure:
    """P(row's run scores above column's), a cell each pair; framed where the two are told apart."""
    n = len(told.methods)
    side = min(1.15, 9.0 / n)
    longest = max(map(len, told.methods))
    slanted = n > 6 or longest > 12
    left = max(1.4, 0.09 * longest + 0.2)  # inches
    tilted = 0.068 * longest * slanted
    width, height = left + side * n + max(0.4, tilted), 0.62 * side * n + 0.4 + tilted
    figure = Figure(figsize=(width, height), facecolor="white")
    ax = figure.add_axes((left / width, 0.1 / height, side * n / width, 0.62 * side * n / height))
    ax.set_xlim(-0.02, n + 0.02)
    ax.set_ylim(n + 0.02, -0.02)
    ax.set_axis_off()
    for pair in told.pairs:
        i, j = told.methods.index(pair.first), told.methods.index(pair.second)
        value, low, high = pair.better.value, pair.better.low, pair.better.high
        _cell(ax, i, j, (value, low, high), pair, n)
        _cell(ax, j, i, (1 - value, 1 - high, 1 - low), pair, n)
    size = 9.5 if n <= 8 else 7.5
    for k, method in enumerate(told.methods):
        ax.add_patch(Rectangle((k, k), 1, 1, fc=FAINT, alpha=0.15, lw=0))
        write(ax, -0.08, k + 0.5, method, size, ha="right", va="center")
        turned = {"ha": "left", "rotation": 40} if slanted else {"ha": "center"}
        write(ax, k + 0.5, -0.12, method, size, va="bottom", **turned)
    write(ax, -0.08, -0.12, "P(row > column)", 8, ha="right", va="bottom", color=FAINT)
    return figure


def _cell(ax: Axes, i: int, j: int, told: tuple[float, float, float], pair: Pair, n: int) -> None:
    value, low, high = told
    rgb = BETTER(0.5 + 0.8 * (value - 0.5))[:3]
    edge = {"ec": "#000000", "lw": 1.6, "zorder": 3} if pair.apart else {"ec": "white", "lw": 1.0}
    inset = 0.02 if pair.apart else 0.0
    box = Rectangle((j + inset, i + inset), 1 - 2 * inset, 1 - 2 * inset, fc=rgb)
    box.set(**edge)  # type: ignore[arg-type]
    ax.add_patch(box)
    small = n <= 8 and not math.isnan(low)
    middle = {"ha": "center", "va": "center", "zorder": 4}
    middle["color"] = ink_on((rgb[0], rgb[1], rgb[2]))
    x, y = j + 0.5, i + (0.4 if small else 0.5)
    weight = "bold" if pair.apart else "normal"
    write(ax, x, y, f"{value:.2f}", 11 if n <= 8 else 8, weight=weight, **middle)
    if small:
        write(ax, x, i + 0.74, f"{low:.2f}..{high:.2f}", 7 if n <= 6 else 5.5, **middle)


def plot_profiles(told: Comparison) -> Figure:
    """The share of runs that score above tau, with pointwise bootstrap bands."""
    figure = Figure(figsize=(7.6, 4.0), facecolor="white", layout="constrained")
    ax = figure.subplots()
    for method in told.methods:
        value, low, high = told.profiles[method]
        colour, dash = style(told, method)
        ax.fill_between(told.taus, low, high, color=colour, alpha=0.15, lw=0, step="post")
        ax.step(told.taus, value, where="post", color=colour, ls=dash, lw=1.8, label=method)
    _dress(ax, "")
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("score τ", fontsize=9, family=FONT, color=INK)
    ax.set_ylabel("runs with a score above τ", fontsize=9, family=FONT, color=INK)
    ax.grid(color="#8892a0", alpha=0.25, lw=0.6)
    _legend(ax)
    return figure


def plot_efficiency(told: Comparison) -> Figure:
    """Interquartile means over training: all environments together, then each by itself.

    Dotted where a point rests on fewer runs than the method has.
    """
    panels = 1 + len(told.environments)
    rows = math.ceil(panels / COLUMNS) if panels > 4 else 1
    columns = min(panels, COLUMNS) if panels > 4 else panels
    figure = Figure(figsize=(WIDTH, 2.5 * rows + 0.5), facecolor="white", layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    _panel(axes[0], told, told.overall.__getitem__, "all environments")
    axes[0].xaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0].set_xlabel("share of moves", fontsize=8.5, family=FONT, color=INK)
    for ax, environment in zip(axes[1:], told.environments, strict=False):
        _panel(ax, told, told.curves[environment.name].__getitem__, environment.name)
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.set_xlabel("moves", fontsize=8.5, family=FONT, color=INK)
        if environment.moves is not None:
            ax.axvline(environment.moves, color=FAINT, lw=1, ls=(0, (2, 2)))
    for ax in axes[panels:]:
        ax.set_axis_off()
    axes[0].set_ylabel("score (IQM)", fontsize=9, family=FONT, color=INK)
    handles, labels = axes[0].get_legend_handles_labels()
    made = figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=min(len(labels), 6),
        frameon=False,
        fontsize=9,
    )
    for text in made.get_texts():
        text.set(family=FONT, color=INK)
    return figure


def _panel(ax: Axes, told: Comparison, curve_of: Callable[[str], Curve], title: str) -> None:
    for method in told.methods:
        curve, (colour, dash) = curve_of(method), style(told, method)
        full = curve.runs == curve.runs.max()
        ax.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
        ax.plot(
            curve.x,
            np.where(_joined(full), curve.iqm, np.nan),
            color=colour,
            ls=dash,
            lw=1.7,
            label=method,
        )
        if not full.all():
            some = np.where(_joined(~full), curve.iqm, np.nan)
            ax.plot(curve.x, some, color=colour, ls=(0, (1, 2)), lw=1.2)
    _dress(ax, title)
    ax.grid(axis="y", color="#8892a0", alpha=0.25, lw=0.6)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.margins(x=0.02)


def _joined(mask: np.ndarray) -> np.ndarray:
    """With the point before each stretch, so that its first segment is drawn."""
    return mask | np.append(mask[1:], False)


def style(told: Comparison, method: str) -> tuple[str, object]:
    """A method's colour and dashes, by its name's place among all, whatever its rank."""
    k = sorted(told.methods).index(method)
    return COLOURS[k % len(COLOURS)], DASHES[(k // len(COLOURS)) % len(DASHES)]


def _dress(ax: Axes, title: str) -> None:
    if title:
        ax.set_title(title, fontsize=9.5, family=FONT, color=INK, loc="left", weight="bold")
    ax.patch.set_alpha(0)
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(FAINT)
    ax.tick_params(labelsize=8, labelfontfamily=FONT, labelcolor=INK, color=FAINT, length=2)


def _legend(ax: Axes) -> None:
    made = ax.legend(fontsize=8.5, frameon=False, loc="lower left")
    for text in made.get_texts():
        text.set(family=FONT, color=INK)
