"""The loop of a sweep: what is begun, tried again, waited for and given up."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from vdtoolkit.interrupts import Interrupts
from vdtoolkit.sweep.attempt import BUSY, FINISHED, STOPPED, UNSEEN, Ended
from vdtoolkit.sweep.folder import finished
from vdtoolkit.sweep.rows import Row

TICK = 0.5  # seconds between two looks at how far rows are
LOOK_AGAIN = 2.0  # seconds until a folder that is in use is looked at again


class Executor(Protocol):
    """Where rows are trained: on this machine, or on a cluster."""

    @property
    def where(self) -> str:
        """For people: where, and how many at a time."""

    def free(self) -> bool:
        """Whether one more may begin."""

    def start(self, row: Row) -> None:
        """Begin a row, or go on with it."""

    def under_way(self) -> list[Row]:
        """Rows that were begun and have not ended, those that still wait for a core too."""

    def at_work(self) -> list[Row]:
        """Those of them that are trained now."""

    def wait(self, seconds: float) -> list[Ended]:
        """Rows that ended; as soon as there is one, else after so many seconds."""

    def stop(self) -> None:
        """Ask all to save and end."""

    def close(self) -> None:
        """No more is begun."""


class Watcher(Protocol):
    """Who is told of it."""

    def begin(self, state: State) -> None:
        """All that is known at the start."""

    def ended(self, ended: Ended, again: bool) -> None:
        """An attempt at a row ended; again: it is tried once more."""

    def tick(self, at_work: Callable[[], list[Row]]) -> None:
        """Some time has gone by."""

    def say(self, text: str) -> None:
        """A line that stays."""


@dataclass
class State:
    """How far a sweep is.  failed: why, by row; busy: rows whose folders others train in."""

    rows: list[Row]
    finished: list[Row]
    failed: dict[int, Ended]
    busy: list[Row]
    stopped: bool = False

    @property
    def left(self) -> int:
        """Rows that are neither finished nor given up."""
        return len(self.rows) - len(self.finished) - len(self.failed)


class UnseenError(RuntimeError):
    """A machine that does not see the sweep's folder."""


class Loop:
    """Trains all rows, wherever the executor has them trained.

    retries: how often a row that failed is begun again, from its checkpoint and after the others.
    """

    def __init__(
        self, rows: Iterable[Row], executor: Executor, watcher: Watcher, *, retries: int
    ) -> None:
        self.executor, self.watcher, self.retries = executor, watcher, retries
        every = list(rows)
        done = [row for row in every if finished(row.folder)]
        self.state = State(every, done, {}, [])
        known = {row.index for row in done}
        self._queue = deque(row for row in every if row.index not in known)
        self._tries: Counter[int] = Counter()
        self._look_again: dict[int, float] = {}  # when, by row
        self._unseen: Ended | None = None

    def run(self) -> State:
        """What became of them.

        Asked to stop, it waits until all have saved; asked twice it is a KeyboardInterrupt.
        UnseenError where a machine does not see the folder: all others save first.
        """
        state, executor, watcher = self.state, self.executor, self.watcher
        with Interrupts() as signals:
            signals.wait = True
            watcher.begin(state)
            while not self._over():
                if (signals.asked or self._unseen) and not state.stopped:
                    state.stopped = True
                    watcher.say("stopping: every run saves and ends; a second Ctrl-C does not wait")
                    executor.stop()
                self._start()
                for ended in executor.wait(TICK):
                    self._take(ended)
                watcher.tick(executor.at_work)
        if self._unseen is not None:
            raise UnseenError(self._unseen.said)
        return state

    def _over(self) -> bool:
        waiting = not self.state.stopped and (self._queue or self.state.busy)
        return not waiting and not self.executor.under_way()

    def _start(self) -> None:
        """Begin what may begin."""
        state, now = self.state, time.monotonic()
        for row in [row for row in state.busy if self._look_again[row.index] <= now]:
            state.busy.remove(row)
            self._queue.append(row)
        while self._queue and not state.stopped and self.executor.free():
            self.executor.start(self._queue.popleft())

    def _take(self, ended: Ended) -> None:
        """A row's attempt ended."""
        row, state = ended.row, self.state
        if ended.how == FINISHED:
            state.finished.append(row)
        elif ended.how == UNSEEN:
            self._unseen = ended
        elif ended.how == BUSY:
            if row.index not in self._look_again:
                self.watcher.say(f"{ended.said}: it is waited for")
            self._look_again[row.index] = time.monotonic() + LOOK_AGAIN
            state.busy.append(row)
        elif not (state.stopped and ended.how == STOPPED):
            self._tries[row.index] += 1
            again = self._tries[row.index] <= self.retries and not state.stopped
            if again:
                self._queue.append(row)
            elif not state.stopped:
                state.failed[row.index] = ended
            self.watcher.ended(ended, again)
            return
        self.watcher.ended(ended, False)
