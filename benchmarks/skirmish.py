"""skirmish_v0's vector env: battles' moves a second in NumPy, compiled, and SMAX's beside them.

python -m benchmarks.skirmish
python -m benchmarks.skirmish --smax PYTHON          # of an environment with jaxmarl
python -m benchmarks.skirmish --maps 3m 8m --envs 1 1024 --seconds 10
python -m benchmarks.skirmish --players 1000         # what scripted players win on every map

All run on one core, in turn, so that a machine whose speed drifts is the same for all.  Play is
random, among available actions; what is timed is the step, with observations, states, masks and
the resets of the battles that are over.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from vdtoolkit.envs import skirmish_v0

CHILD = Path(__file__).parent / "peers" / "smax_speed.py"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


class Ours:
    """Our vector env under random play."""

    def __init__(self, name: str, n_envs: int, fast: bool) -> None:
        os.environ["VDTOOLKIT_FAST"] = str(int(fast))
        self.env, self.rng = skirmish_v0.SkirmishVectorEnv(n_envs, name), np.random.default_rng(0)
        self.seen, _ = self.env.reset(seed=0)

    def play(self, steps: int) -> list[float]:
        """So many vector steps: what they took, in seconds."""
        taken = 0.0
        for _ in range(steps):
            available = self.seen["available"]
            lots = self.rng.random(available.shape, np.float32)
            actions = np.where(available, lots, -1.0).argmax(-1)
            begun = time.perf_counter()
            self.seen, *_ = self.env.step(actions)
            taken += time.perf_counter() - begun
        return [taken]


class Smax:
    """JaxMARL's in a process of its own: step by step, and many in one scan."""

    def __init__(self, python: str, name: str, n_envs: int) -> None:
        self.process = subprocess.Popen(
            [python, str(CHILD), name, str(n_envs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )

    def play(self, steps: int) -> list[float]:
        """So many vector steps: what they took, in seconds, either way."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        while line := self.process.stdout.readline():
            try:
                return [float(part) for part in line.split()]
            except ValueError:  # what a package prints when it is imported
                continue
        raise RuntimeError("SMAX's process ended: is jaxmarl installed in that environment?")

    def close(self) -> None:
        """End the process."""
        self.process.kill()


def rates(
    name: str, n_envs: int, python: str | None, seconds: float
) -> dict[str, tuple[float, float, float]]:
    """Moves a second of all envs together, each: median and quartiles over the rounds."""
    players: dict[tuple[str, ...], Ours | Smax] = {
        ("NumPy",): Ours(name, n_envs, False),
        ("compiled",): Ours(name, n_envs, True),
    }
    if python:
        players["SMAX", "SMAX, one scan"] = Smax(python, name, n_envs)
    steps = max(20, 4000 // n_envs)
    for player in players.values():
        player.play(3)  # compiles, twice in SMAX's case
        player.play(steps)
        player.play(steps)
    told: dict[str, list[float]] = {}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(told.get("NumPy", ())) < 5:
        for names, player in players.items():
            for what, taken in zip(names, player.play(steps), strict=True):
                told.setdefault(what, []).append(n_envs * steps / taken)
    for player in players.values():
        if isinstance(player, Smax):
            player.close()
    quartiles = {}
    for what, found in told.items():
        low, median, high = np.percentile(found, [25, 50, 75])
        quartiles[what] = float(median), float(low), float(high)
    return quartiles


def players(maps: list[str], episodes: int) -> None:
    """The table of what scripted players win."""
    names = list(skirmish_v0.PLAYERS)
    print(f"Battles won of {episodes:,}, in %\n")
    print(f"| map | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for name in maps:
        won = [100 * skirmish_v0.win_rate(player, name, episodes) for player in names]
        print(f"| {name} | {' | '.join(f'{rate:.0f}' for rate in won)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", nargs="+")
    parser.add_argument("--envs", type=int, nargs="+", default=[64, 1024])
    parser.add_argument("--smax", help="a Python that has jaxmarl")
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="for each map and number of envs"
    )
    parser.add_argument("--players", type=int, metavar="EPISODES", help="win rates, no times")
    options = parser.parse_args()
    if options.players:
        return players(options.maps or list(skirmish_v0.MAPS), options.players)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    columns = ["NumPy", "compiled", *(["SMAX", "SMAX, one scan"] if options.smax else [])]
    print(f"Moves a second, median [quartiles]; {sys.version.split()[0]}, numpy {np.__version__}\n")
    print(f"| map | envs | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
    for name in options.maps or ["3m", "2s3z"]:
        for n_envs in options.envs:
            found = rates(name, n_envs, options.smax, options.seconds)
            cells = [f"{m:,.0f} [{a:,.0f}, {b:,.0f}]" for m, a, b in (found[c] for c in columns)]
            print(f"| {name} | {n_envs:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
