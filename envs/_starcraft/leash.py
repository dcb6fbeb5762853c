"""A game does not outlive the Python that started it, not even one that is killed by kill -9."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

# waits for a line; where there is none, the other end of the pipe is gone, and so is Python
WATCH = 'read _ || kill -9 "$0"'


class Leash:
    """A small shell that ends a process once this Python is gone (POSIX; elsewhere nothing)."""

    def __init__(self, pid: int) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        if os.name == "posix":
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", WATCH, str(pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us, not for who watches us
            )

    def let_go(self) -> None:
        """The process has ended or is somebody else's now."""
        shell, self._shell = self._shell, None
        if shell is None or shell.stdin is None:
            return
        with suppress(OSError):
            shell.stdin.write(b"\n")
            shell.stdin.close()
        shell.wait()

    def disown(self) -> None:
        """In a fork: close our copy of the pipe without a word, so that the parent's end counts."""
        shell, self._shell = self._shell, None
        if shell is not None and shell.stdin is not None:
            with suppress(OSError):
                shell.stdin.close()
            shell.returncode = 0  # it is not our child
