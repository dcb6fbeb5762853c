"""Times of things run in turn, so that a machine whose speed drifts is the same for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass
class Times:
    """Seconds of one call, from many."""

    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = np.percentile(self.seconds, [25, 75])
        return float(low), float(high)

    def told(self, unit: float) -> str:
        """Median and interquartile range, in units of so many seconds."""
        low, high = self.quartiles
        return f"{self.median / unit:.3g} [{low / unit:.3g}, {high / unit:.3g}]"


def in_turn(
    calls: Mapping[str, Callable[[], object]], seconds: float = 5.0, least: int = 7
) -> dict[str, Times]:
    """Times of each call: A B C A B C ... for so many seconds in all, `least` rounds at least.

    What takes less than a millisecond is called many times at once and divided.
    """
    repeats = {name: _repeats(call) for name, call in calls.items()}
    times = {name: Times() for name in calls}
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < least or time.perf_counter() < end:
        for name, call in calls.items():
            begun = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            times[name].seconds.append((time.perf_counter() - begun) / repeats[name])
        rounds += 1
    return times


def _repeats(call: Callable[[], object]) -> int:
    for _ in range(3):  # the first calls allocate and compile
        begun = time.perf_counter()
        call()
        taken = time.perf_counter() - begun
    return max(1, min(200, int(2e-3 / max(taken, 1e-7))))


@contextmanager
def threads(n: int) -> Iterator[None]:
    """torch with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
