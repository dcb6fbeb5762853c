"""A relay whose game crashes, as often as a file says."""

import os
import time
from pathlib import Path

from teams import Relay


class Crashing(Relay):
    """Raises in its `at`-th move, by whichever process, the first `times` times.

    count: a file with a letter for each time.
    """

    def __init__(self, count, times, at=14):
        super().__init__()
        self.count, self.times, self.at, self.moves = Path(count), times, at, 0

    def step(self, actions):
        self.moves += 1
        if self.moves == self.at:
            told = self.count.read_text() if self.count.exists() else ""
            if len(told) < self.times:
                self.count.write_text(told + "x")
                raise RuntimeError("the game crashed")
        return super().step(actions)


class Gated(Relay):
    """Waits in its `at`-th move until the file gate is there, so that it can be killed at work.

    Who waits leaves a file gate-PID.
    """

    def __init__(self, gate, at=30):
        super().__init__()
        self.gate, self.at, self.moves = Path(gate), at, 0

    def step(self, actions):
        self.moves += 1
        if self.moves == self.at and not self.gate.exists():
            self.gate.with_name(f"{self.gate.name}-{os.getpid()}").touch()
            while not self.gate.exists():
                time.sleep(0.01)
        return super().step(actions)
