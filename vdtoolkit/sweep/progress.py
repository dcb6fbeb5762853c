"""What a sweep shows: bars in a terminal, plain lines elsewhere, and what came of it at the end."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vdtoolkit.commands.show import number
from vdtoolkit.sweep.attempt import FAILED, FINISHED, STOPPED, Ended
from vdtoolkit.sweep.folder import LOG, Far, far, last_score
from vdtoolkit.sweep.loop import State
from vdtoolkit.sweep.rows import Row

OFTEN = 1.0  # seconds between two looks into folders
SELDOM = 300.0  # between two lines about all where there is no terminal
SHOWN = 24  # rows at work that a terminal shows at most


class Lines:
    """Plain lines on standard error, one a row that ended: for files and pipes.

    moves: of each row, all its seeds together.
    """

    every = SELDOM

    def __init__(self, title: str, moves: Mapping[int, int]) -> None:
        self.title, self.moves = title, moves
        self.total = sum(moves.values())
        self.far: dict[int, Far] = {}  # of rows at work
        self._due = time.monotonic() + self.every

    def begin(self, state: State) -> None:
        """All that is known at the start."""
        self.state = state
        self._begun, self._before = time.monotonic(), self.done()
        known = f"; finished already: {len(state.finished)}" if state.finished else ""
        self.say(f"{self.title}{known}")

    def ended(self, ended: Ended, again: bool) -> None:
        """An attempt at a row ended; again: it is tried once more."""
        if text := told(ended, again, self.state):
            self.say(text)

    def tick(self, at_work: Callable[[], list[Row]]) -> None:
        """Some time has gone by; now and then folders are looked into."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self.every
            rows = at_work()
            self.far = {row.index: far(row.folder) for row in rows}
            self.shown(rows)

    def shown(self, at_work: list[Row]) -> None:
        """How far all is, now that it is known."""
        self.say(self.summary(at_work))

    def say(self, text: str) -> None:
        """A line that stays."""
        print(text, file=sys.stderr, flush=True)

    def done(self) -> int:
        """Moves of all rows so far."""
        over = {row.index for row in self.state.finished}
        now = sum(far.moves for index, far in self.far.items() if index not in over)
        return sum(self.moves[index] for index in over) + now

    def summary(self, at_work: list[Row]) -> str:
        """How far all is, in a line."""
        state = self.state
        counts = [
            f"{len(state.finished)} of {len(state.rows)} runs finished",
            f"{len(at_work)} at work",
            f"{len(state.failed)} failed" if state.failed else "",
            f"{len(state.busy)} in use elsewhere" if state.busy else "",
            f"{max(0, state.left - len(at_work) - len(state.busy))} to come",
            self.left(),
        ]
        return " · ".join(filter(None, counts))

    def left(self) -> str:
        """The time that remains, from the moves of this sweep so far; "" while that is unknown."""
        done, spent = self.done(), time.monotonic() - self._begun
        to_do = self.total - done - sum(self.moves[index] for index in self.state.failed)
        gained = done - self._before
        if self.state.stopped or gained <= 0 or to_do <= 0:
            return ""
        return f"{duration(to_do * spent / gained)} left"


class Screen(Lines):
    """In a terminal: a bar for all, and one for each row at work."""

    every = OFTEN

    def __init__(self, title: str, moves: Mapping[int, int], live: Live) -> None:
        super().__init__(title, moves)
        self.live = live

    def ended(self, ended: Ended, again: bool) -> None:
        """Rows that are finished are counted; what went wrong stays to be read."""
        if ended.how == FAILED or ended.how == STOPPED:
            super().ended(ended, again)

    def shown(self, at_work: list[Row]) -> None:
        """The bars anew."""
        self.live.update(self.picture(at_work), refresh=True)

    def picture(self, at_work: list[Row]) -> RenderableType:
        """All rows, then those at work."""
        done = self.done()
        whole = Table.grid(padding=(0, 2), expand=True)
        whole.add_column(ratio=1)
        whole.add_column(justify="right", no_wrap=True)
        share = f"{done / max(1, self.total):.0%} of all moves"
        whole.add_row(ProgressBar(total=max(1, self.total), completed=done), share)
        rows = Table.grid(padding=(0, 2), expand=True)
        rows.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        rows.add_column(ratio=2)
        for _ in range(2):
            rows.add_column(justify="right", no_wrap=True)
        for row in at_work[:SHOWN]:
            rows.add_row(*self.line(row))
        more = len(at_work) - SHOWN
        also = [Text(f"and {more} more at work", style="dim")] if more > 0 else []
        return Group(Text(self.summary(at_work), style="bold"), whole, rows, *also)

    def line(self, row: Row) -> list[RenderableType]:
        """A row at work: its name, a bar, moves, speed."""
        now, of = self.far.get(row.index, Far("")), self.moves[row.index]
        if not now.moves:
            told = "training" if now.status == "running" else "starting"
            return [row.name, ProgressBar(total=of, completed=0), Text(told, style="dim"), ""]
        speed = "" if now.speed is None else f"{now.speed:,.0f} moves/s"
        bar = ProgressBar(total=of, completed=now.moves)
        return [row.name, bar, f"{now.moves:,} of {of:,}", Text(speed, style="dim")]

    def say(self, text: str) -> None:
        """A line that stays, above the bars."""
        self.live.console.print(Text(text), soft_wrap=True)


@contextmanager
def watcher(title: str, moves: Mapping[int, int]) -> Iterator[Lines]:
    """Bars where standard error is a terminal, else plain lines."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield Lines(title, moves)
        return
    with Live(console=console, auto_refresh=False) as live:
        screen = Screen(title, moves, live)
        yield screen
        if hasattr(screen, "state"):
            live.update(Text(screen.summary([]), style="bold"), refresh=True)


def told(ended: Ended, again: bool, state: State) -> str:
    """A line about an attempt that ended; "" where there is nothing to tell."""
    row = ended.row
    if ended.how == FINISHED:
        score = last_score(row.folder)
        mean = "" if score is None else f", return {number(score)}"
        return f"{row.name}: finished{mean} ({len(state.finished)} of {len(state.rows)})"
    if ended.how == STOPPED:
        return f"{row.name}: {ended.said or 'interrupted'}{', goes on' if again else ''}"
    if ended.how == FAILED:
        more = "it is tried again from its checkpoint" if again else f"see {row.folder / LOG}"
        return f"{row.name}: failed: {ended.said}; {more}"
    return ""


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def at_the_end(state: State, out: Path, again: str) -> list[str]:
    """What came of it, and what to do next; again: the command."""
    lines = [f"{len(state.finished)} of {len(state.rows)} runs are finished, in {out}"]
    for ended in state.failed.values():
        lines += [f"failed: {ended.row.name}: {ended.said}", f"  {ended.row.folder / LOG}"]
    if state.failed:
        lines.append(f"To try them once more: {again}")
    elif state.left:
        lines.append(f"To go on: {again}")
    trained = [row.kind for row in state.finished].count("train")
    if trained:
        some = trained < [row.kind for row in state.rows].count("train")
        skip = " --skip-unfinished" if some else ""
        lines.append(f"To compare them: vdtoolkit compare {shlex.quote(str(out))}{skip}")
    pages = [row for row in state.finished if row.kind == "igm"]
    if pages:
        more = f", and {len(pages) - 1} more" if len(pages) > 1 else ""
        lines.append(f"Pages of the lab: {pages[0].folder / 'index.html'}{more}")
    return lines
