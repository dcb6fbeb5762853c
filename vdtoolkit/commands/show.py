"""What `vdtoolkit train` shows while it runs, and at the end."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from vdtoolkit.runs import Score, TrainResult
from vdtoolkit.training import Report

RECENT = 100  # episodes of training over which return and wins are averaged


class Display:
    """Plain lines on standard error, one an evaluation: for files and pipes."""

    def __init__(self, title: str, moves: int, seeds: int) -> None:
        self.title, self.moves, self.seeds = title, moves, seeds
        self.seed = 0

    def say(self, what: str) -> None:
        """What is done now."""

    def baseline(self, score: Score) -> None:
        """The random team's score."""
        self.line(f"{self.title}: random team {described(score)}")

    def begin(self, seed: int) -> None:
        """A new team."""
        self.seed = seed

    def progress(self, report: Report, epsilon: float) -> None:
        """One more step of all environments; epsilon: the share of random moves now."""

    def scored(self, score: Score, speed: float) -> None:
        """A point of the curve."""
        name = f"seed {self.seed}: " if self.seeds > 1 else ""
        rate = f", {speed:,.0f} moves/s" if speed > 0 else ""
        self.line(f"{name}{score.moves:,} of {self.moves:,} moves: {described(score)}{rate}")

    def line(self, text: str) -> None:
        """A line that stays."""
        print(text, file=sys.stderr, flush=True)


class Bar(Display):
    """A progress bar in the terminal, and a text under it for what is known so far."""

    def __init__(self, title: str, moves: int, seeds: int, bar: TwoLines) -> None:
        super().__init__(title, moves, seeds)
        self.bar = bar
        self.task = bar.add_task(title, total=moves)
        self._random = self._score = ""
        self._due = 0.0
        self._returns: deque[float] = deque(maxlen=RECENT)
        self._won: deque[float] = deque(maxlen=RECENT)

    def say(self, what: str) -> None:
        """What is done now."""
        self.bar.note = what

    def baseline(self, score: Score) -> None:
        """The random team's score."""
        self._random = f"random team {number(score.mean)}"
        self.bar.remove_task(self.task)

    def begin(self, seed: int) -> None:
        """A new team, a bar of its own."""
        self.seed = seed
        name = self.title if self.seeds == 1 else f"{self.title}, seed {seed}"
        self.task = self.bar.add_task(name, total=self.moves)
        self._score = self.bar.note = self._random
        self._returns.clear()
        self._won.clear()

    def progress(self, report: Report, epsilon: float) -> None:
        """One more step of all environments; epsilon: the share of random moves now."""
        self._returns.extend(report.returns)
        self._won.extend(report.won[~np.isnan(report.won)])
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + 0.1
        self.bar.update(self.task, completed=report.moves)
        self.bar.note = " · ".join(self._known(report, epsilon))

    def _known(self, report: Report, epsilon: float) -> Iterator[str]:
        yield self._score
        if self._returns:
            yield f"training {number(float(np.mean(self._returns)))}"
        if self._won:
            yield f"wins {np.mean(self._won):.0%}"
        if "loss" in report.metrics:
            yield f"loss {number(report.metrics['loss'])}"
        yield f"exploring {epsilon:.0%}"
        if report.lost:
            yield f"lost {report.lost}"

    def scored(self, score: Score, speed: float) -> None:
        """A point of the curve."""
        wins = "" if score.win_rate is None else f", wins {score.win_rate:.0%}"
        self._score = f"greedy team {number(score.mean)}{wins} · {self._random}"
        self.bar.update(self.task, completed=score.moves)
        self.bar.note = self._score


class TwoLines(Progress):
    """Bars, and a text under them, in two lines where the terminal is narrow."""

    note = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bars and the text."""
        yield from super().get_renderables()
        yield Text(self.note, style="dim")


class Speed(ProgressColumn):
    """Moves a second, over the last half minute."""

    def render(self, task: Task) -> Text:
        """The speed, once it is known."""
        return Text("" if task.speed is None else f"{task.speed:,.0f} moves/s")


@contextmanager
def display(title: str, moves: int, seeds: int) -> Iterator[Display]:
    """A bar where standard error is a terminal, else plain lines."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield Display(title, moves, seeds)
        return
    bar = TwoLines(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        Speed(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        expand=True,
    )
    with bar:
        yield Bar(title, moves, seeds, bar)
        bar.note = ""


def number(value: float) -> str:
    """Four digits that say something, never 1e+03."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def described(score: Score) -> str:
    """A score in half a line."""
    wins = "" if score.win_rate is None else f", wins {score.win_rate:.0%}"
    return f"return {number(score.mean)} [{number(score.low)}, {number(score.high)}]{wins}"


WRITTEN = {
    "team.safetensors": "the team; vdtoolkit evaluate plays it, vdtoolkit.load reads it",
    "result.json": "all numbers, versions and settings",
    "curve.csv": "the learning curve",
    "curve.png": "the learning curve beside the random team",
    "metrics.jsonl": "evaluations and training, a line each; timing.jsonl: where the time went",
    "passport.json": "what results depend on: versions, seeds, hardware, commit",
}
OF_EACH_SEED = ("team.safetensors", "metrics.jsonl", "passport.json")
VERDICTS = {
    "above": "The trained team is above the random one: the 95 % intervals are apart.",
    "below": "The trained team is below the random one: the 95 % intervals are apart.",
    "unknown": "Too few whole episodes to tell the trained team from the random one.",
    "not apart": "The 95 % intervals overlap: not told apart from the random team.",
}


def show_result(result: TrainResult, out: Path, seeds: int) -> None:
    """Random beside trained, whether they are apart, and where everything is."""
    console = Console(markup=False)
    if not console.is_terminal:  # in a file or a pipe tables may have their full width
        console = Console(markup=False, width=100)
    console.print(table(result))
    if any(run.interrupted for run in result.runs):
        run = result.runs[-1]
        console.print(f"Interrupted after {run.moves:,} moves; the team so far is saved.")
        console.print(f"To go on: vdtoolkit resume {out}", highlight=False, soft_wrap=True)
    if result.final is not None:
        console.print(VERDICTS[result.final.beside(result.baseline)])
    for run in result.runs:
        console.print(
            f"{_name(run.seed, seeds)}{run.moves:,} moves, {run.episodes:,} episodes, "
            f"{run.updates:,} updates in {run.seconds:,.1f} s: "
            f"{run.steps_per_second:,.0f} moves/s"
            + (f"; {run.lost} episodes lost" if run.lost else ""),
            highlight=False,
        )
    console.print(f"\nTeam and results are in {out}{os.sep}", highlight=False, soft_wrap=True)
    for name, what in WRITTEN.items():
        folder = "seed-*/" if name in OF_EACH_SEED and seeds > 1 else ""
        console.print(f"  {folder + name:<24} {what}", highlight=False)
    if find_spec("tensorboard") is None:
        console.print("For TensorBoard's events: pip install 'vdtoolkit[log]'", highlight=False)


def table(result: TrainResult) -> Table:
    """One row a team: return, interval, wins, length."""
    scores = [("random team", result.baseline)]
    if len(result.runs) > 1:
        scores += [(f"trained, seed {r.seed}", r.last) for r in result.runs if r.last]
    if result.final is not None:
        over = f", {len(result.runs)} seeds" if len(result.runs) > 1 else ""
        scores.append((f"trained{over}", result.final))
    wins = any(score.win_rate is not None for _, score in scores)
    made = Table(title=result.title, title_justify="left", title_style="bold")
    made.add_column("")
    for column in ["return", "95 % interval", *(["wins"] if wins else []), "moves", "over"]:
        made.add_column(column, justify="right")
    for name, score in scores:
        row = [name, number(score.mean), f"[{number(score.low)}, {number(score.high)}]"]
        if wins:
            row.append("" if score.win_rate is None else f"{score.win_rate:.0%}")
        row += [f"{score.length:.1f}", f"{score.n} {score.of}"]
        made.add_row(*row)
    return made


def _name(seed: int, seeds: int) -> str:
    return f"seed {seed}: " if seeds > 1 else ""
