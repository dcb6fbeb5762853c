"""What the scripts here share: their flags, their clock and the line they end with.

They run in the peers' own environments: nothing here needs anything but Python.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any


def asked(description: str, **more: Any) -> argparse.Namespace:
    """The flags; sets the number of threads before anything heavy is imported."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--envs", type=int, default=8)
    parser.add_argument("--updates", type=float, default=1.0, help="for each episode collected")
    parser.add_argument("--moves", type=int, default=5000, help="timed, after the warm-up")
    parser.add_argument("--warm", type=int, default=2000, help="moves before the clock starts")
    parser.add_argument("--threads", type=int, default=1)
    for name, options in more.items():
        parser.add_argument(f"--{name}", **options)
    flags = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(flags.threads)
    return flags


def tell(peer: str, version: str, flags: argparse.Namespace, **numbers: Any) -> None:
    """One line of JSON, the last that the script prints."""
    told = {"peer": peer, "version": version, "envs": flags.envs, "updates": flags.updates}
    print(json.dumps({**told, "threads": flags.threads, **numbers}), flush=True)


class Clock:
    """Notes how many moves had been made when; the rate after the warm-up."""

    def __init__(self, warm: int) -> None:
        self.warm = warm
        self.ticks: list[tuple[int, float]] = []

    def __call__(self, moves: int) -> None:
        if moves >= self.warm:
            self.ticks.append((moves, time.perf_counter()))

    @property
    def rate(self) -> float:
        (first, begun), (last, ended) = self.ticks[0], self.ticks[-1]
        return (last - first) / (ended - begun)
