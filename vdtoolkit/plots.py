"""The learning curve of a training, beside the random team."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from vdtoolkit.runs import Run, Score, TrainResult

INK, FAINT, RULE = "#1c2430", "#66717f", "#dfe3e8"
TRAINED, RANDOM = "#0072b2", "#d55e00"
FONT = "DejaVu Sans"


def plot_learning(result: TrainResult) -> Figure:
    """Return of the greedy team over training moves, with the random team's as a level.

    One seed: the line is the mean over episodes, its band the 95 % interval.  Several: thin lines
    are the seeds, the thick one their mean, the band runs from the least to the largest.  A second
    panel shows the win rate where the environment reports one.
    """
    runs = [run for run in result.runs if run.curve]
    wins = any(s.win_rate is not None for run in runs for s in run.curve)
    figure = Figure(figsize=(7.5, 5.6 if wins else 4.0), facecolor="white", layout="constrained")
    axes = figure.subplots(2 if wins else 1, sharex=True, squeeze=False)[:, 0]
    axes[0].set_title(result.title, fontsize=11, family=FONT, color=INK, loc="left", weight="bold")
    _returns(axes[0], runs, result.baseline)
    if wins:
        _wins(axes[1], runs, result.baseline)
    for ax in axes:
        _dress(ax)
    axes[-1].set_xlabel("moves of the team in training", fontsize=9, family=FONT, color=INK)
    return figure


def _returns(ax: Axes, runs: list[Run], baseline: Score) -> None:
    ax.axhspan(baseline.low, baseline.high, color=RANDOM, alpha=0.18, lw=0)
    ax.axhline(baseline.mean, color=RANDOM, lw=1.4, ls=(0, (5, 2)), label="random team")
    if len(runs) == 1:
        curve = runs[0].curve
        moves = [s.moves for s in curve]
        low, high = [s.low for s in curve], [s.high for s in curve]
        ax.fill_between(moves, low, high, color=TRAINED, alpha=0.2, lw=0)
        label = f"greedy team, 95 % interval over {curve[0].n} episodes"
        ax.plot(moves, [s.mean for s in curve], color=TRAINED, lw=1.8, label=label)
    elif runs:
        _seeds(ax, [(r.curve, [s.mean for s in r.curve]) for r in runs])
    ax.set_ylabel("return", fontsize=9, family=FONT, color=INK)
    legend = ax.legend(fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    for text in legend.get_texts():
        text.set(family=FONT, color=INK)


def _wins(ax: Axes, runs: list[Run], baseline: Score) -> None:
    if baseline.win_rate is not None:
        ax.axhline(baseline.win_rate, color=RANDOM, lw=1.4, ls=(0, (5, 2)))
    lines = [
        (r.curve, [np.nan if s.win_rate is None else s.win_rate for s in r.curve]) for r in runs
    ]
    if len(lines) == 1:
        ax.plot([s.moves for s in lines[0][0]], lines[0][1], color=TRAINED, lw=1.8)
    else:
        _seeds(ax, lines)
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel("win rate", fontsize=9, family=FONT, color=INK)


def _seeds(ax: Axes, lines: list[tuple[list[Score], list[float]]]) -> None:
    """Seeds that were measured at the same moves; one that was cut short ends earlier."""
    for curve, values in lines:
        ax.plot([s.moves for s in curve], values, color=TRAINED, lw=0.7, alpha=0.6)
    points = min(len(values) for _, values in lines)
    table = np.array([values[:points] for _, values in lines])  # [seeds, points]
    moves = np.mean([[s.moves for s in curve[:points]] for curve, _ in lines], axis=0)
    ax.fill_between(moves, table.min(0), table.max(0), color=TRAINED, alpha=0.15, lw=0)
    label = f"greedy team, mean and range of {len(lines)} seeds"
    ax.plot(moves, table.mean(0), color=TRAINED, lw=2, label=label)


def _dress(ax: Axes) -> None:
    ax.grid(axis="y", color=RULE, lw=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(FAINT)
    ax.tick_params(labelsize=8, color=FAINT, labelcolor=INK)
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.margins(x=0.01)
