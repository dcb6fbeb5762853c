"""Ctrl-C and SIGTERM, at a moment that can be saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Ctrl-C and SIGTERM: a KeyboardInterrupt at once, or, while `wait` is set, once asked for it.

    A second one does not wait.  In another thread than the main one signals are others' matter.
    """

    def __init__(self) -> None:
        self.wait = self.asked = False

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
        if not self.wait or self.asked:
            raise KeyboardInterrupt
        self.asked = True
