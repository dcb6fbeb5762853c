"""Whether a run is at work on another machine, of whose locks this one knows nothing.

The log says on which machine a run's process was begun, and that it ended; meanwhile whoever began
it touches the log every few seconds.  A run of which another machine does so is left alone; once
it has not for a while, that machine is taken for dead.
"""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path

from vdtoolkit.sweep.folder import LOG

BEAT = 5.0  # seconds between two touches
WATCH = 30.0  # seconds without any, as seen from here: no clock of another machine is asked

BEGUN = re.compile(r"== [\d-]+ [\d:]+ (\S+): vdtoolkit .*")  # the lines in a log that are ours
ENDED = re.compile(r"-- exit status -?\d+")

_seen: dict[Path, tuple[int, float]] = {}  # of a log: when it was touched, and since when we know


def headline(command: str) -> bytes:
    """The line in a log with which a process begins."""
    date = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"== {date} {socket.gethostname()}: {command}\n".encode()


def ended(log: Path, status: int) -> None:
    """Say that its process is no more."""
    with suppress(OSError), open(log, "ab") as file:
        file.write(f"-- exit status {status}\n".encode())


def beat(log: Path) -> None:
    """Say that its process is still there."""
    with suppress(OSError):  # it is said again soon
        os.utime(log)


def at_work_elsewhere(folder: Path) -> str:
    """The machine on which a run is at work, or was until a moment ago; "" where none is.

    It takes `WATCH` seconds of asking to find out that a machine is dead.
    """
    log = folder / LOG
    host = _host(log)
    if host in ("", socket.gethostname()):
        return ""
    with open(log, "rb") as file:  # opened, so that a shared file system asks its server
        touched = os.fstat(file.fileno()).st_mtime_ns
    now = time.monotonic()
    before, since = _seen.get(log, (touched, now))
    if touched != before:
        since = now
    _seen[log] = touched, since
    if now - since < WATCH:
        return host
    del _seen[log]
    return ""


def _host(log: Path) -> str:
    """Where its last process was begun; "" where none was, or where it is known to have ended."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        if ENDED.fullmatch(line):
            return ""
        if found := BEGUN.fullmatch(line):
            return found[1]
    return ""
