"""The process of one run: `python -m vdtoolkit.sweep.child train ...`, told to end by its input.

Standard input is a pipe whose other end is with who started it.  When that is closed, on purpose or
because its owner is gone, even by kill -9, the run saves and ends, as after SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType

PATIENCE = 300.0  # seconds for a run to save and end; then it is ended
STDIN = 0


def main() -> int:
    """The command, on this leash."""
    signal.signal(signal.SIGTERM, _interrupt)  # until the command has a handler of its own
    threading.Thread(target=_watch, daemon=True).start()
    from vdtoolkit.cli import main as command

    return command(sys.argv[1:])


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch() -> None:
    """Wait for the end of the input."""
    while os.read(STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
