"""One process that trains a row, or goes on with it.  No torch: Ray's tasks import this."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from vdtoolkit.files import IN_USE
from vdtoolkit.sweep.elsewhere import BEAT, at_work_elsewhere, beat, ended, headline
from vdtoolkit.sweep.folder import LOG, begun, finished, in_use, last_words
from vdtoolkit.sweep.rows import Row

PROGRAM = (sys.executable, "-m", "vdtoolkit.sweep.child")
# a process a core: libraries that start a thread for each core would be in each other's way
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
INTERRUPTED = 130
# how an attempt ended: no more to do; saved and ended as asked; a folder that another process
# trains in; a machine that does not see the sweep's folder; anything else
FINISHED, STOPPED, BUSY, UNSEEN, FAILED = "finished", "stopped", "busy", "unseen", "failed"


@dataclass(frozen=True)
class Ended:
    """How an attempt ended; said: why it failed, in a line.  status: of the process."""

    row: Row
    how: str
    said: str = ""
    status: int = 0


def attempt(row: Row) -> Attempt | Ended:
    """A process for the row; `Ended` at once where none is needed or another is at it."""
    if finished(row.folder):
        return Ended(row, FINISHED)
    if in_use(row.folder):
        return Ended(row, BUSY, f"{row.folder} {IN_USE}")
    if there := at_work_elsewhere(row.folder):
        return Ended(row, BUSY, f"{row.folder} is in use: it was begun on {there}")
    try:
        return Attempt(row)
    except OSError as error:
        return Ended(row, FAILED, f"{row.folder}: {error.strerror or error}", 1)


class Attempt:
    """A process at work on a row; what it says is in the folder's log."""

    def __init__(self, row: Row) -> None:
        self.row = row
        again = begun(row.folder)
        words = ["resume", os.fspath(row.folder)] if again else [row.kind, *row.words]
        row.folder.mkdir(parents=True, exist_ok=True)
        self._log, self._due = row.folder / LOG, time.monotonic() + BEAT
        with open(self._log, "ab") as log:
            log.write(headline(shlex.join(["vdtoolkit", *words])))
            log.flush()
            self._offset = log.tell()
            self._process = subprocess.Popen(
                [*PROGRAM, *words],
                stdin=subprocess.PIPE,  # its end is what ends the run: see child.py
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**dict.fromkeys(ONE_THREAD, "1"), **os.environ},
                start_new_session=True,  # Ctrl-C is for the sweep, which passes it on
            )

    def poll(self) -> Ended | None:
        """How it ended; None while it goes on, which other machines are told now and then."""
        status = self._process.poll()
        if status is None:
            if time.monotonic() >= self._due:
                beat(self._log)
                self._due = time.monotonic() + BEAT
            return None
        self.stop()
        row, said = self.row, last_words(self._log, self._offset)
        ended(self._log, status)
        if status == 0 and finished(row.folder):
            return Ended(row, FINISHED)
        if status == 2 and said.endswith(IN_USE):
            return Ended(row, BUSY, said)
        if status in (INTERRUPTED, -signal.SIGTERM):
            return Ended(row, STOPPED, "it was interrupted", INTERRUPTED)
        if status < 0:
            said = f"it was ended by {_signal(-status)}"
        return Ended(row, FAILED, said or f"it ended with exit status {status}", status)

    def stop(self) -> None:
        """Ask it to save and end."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


def _signal(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
