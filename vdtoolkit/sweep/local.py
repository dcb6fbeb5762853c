"""Rows as processes of this machine."""

from __future__ import annotations

import time

from vdtoolkit.sweep.attempt import Attempt, Ended, attempt
from vdtoolkit.sweep.rows import Row

STEP = 0.05  # seconds between two looks at processes


class Local:
    """So many rows at a time."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._at_work: list[Attempt] = []
        self._ended: list[Ended] = []

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.jobs} at a time"

    def free(self) -> bool:
        """Whether one more may begin."""
        return len(self._at_work) < self.jobs

    def start(self, row: Row) -> None:
        """Begin a row, or go on with it."""
        begun = attempt(row)
        if isinstance(begun, Ended):
            self._ended.append(begun)
        else:
            self._at_work.append(begun)

    def under_way(self) -> list[Row]:
        """Rows that were begun and have not ended."""
        return [one.row for one in self._at_work]

    def at_work(self) -> list[Row]:
        """All of them."""
        return self.under_way()

    def wait(self, seconds: float) -> list[Ended]:
        """Rows that ended; as soon as there is one, else after so many seconds."""
        until = time.monotonic() + seconds
        while True:
            for one in list(self._at_work):
                if (ended := one.poll()) is not None:
                    self._at_work.remove(one)
                    self._ended.append(ended)
            if self._ended or time.monotonic() >= until:
                told, self._ended = self._ended, []
                return told
            time.sleep(STEP)

    def stop(self) -> None:
        """Ask all to save and end."""
        for one in self._at_work:
            one.stop()

    def close(self) -> None:
        """No more is begun."""
