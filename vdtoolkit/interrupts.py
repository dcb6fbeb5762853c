"""Ctrl-C and SIGTERM, at a moment that can be saved."""

from __future__ import annotations

import math
import signal
import threading
import time
from types import FrameType
from typing import Any

AS_ONE = 1.0  # seconds within which signals count as one


class Interrupts:
    """Ctrl-C and SIGTERM: a KeyboardInterrupt at once, or, while `wait` is set, once asked for it.

    A second one does not wait, where it is none that a job's manager sent to the whole group with
    the first.  In another thread than the main one signals are others' matter.
    """

    def __init__(self) -> None:
        self.wait = self.asked = False
        self._at = -math.inf  # when the last came

    def __enter__(self) -> Interrupts:
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._told)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _told(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._at <= AS_ONE:
            return
        self._at = now
        if not self.wait or self.asked:
            raise KeyboardInterrupt
        self.asked = True
