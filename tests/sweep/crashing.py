"""A relay whose game crashes, as often as a file says."""

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


class Slow(Relay):
    """Takes its time, so that it can be killed at work.  pause: seconds a move."""

    def __init__(self, pause=0.003):
        super().__init__()
        self.pause = pause

    def step(self, actions):
        time.sleep(self.pause)
        return super().step(actions)
