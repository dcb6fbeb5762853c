"""What a replay of 5,000 episodes takes of the machine's memory, beside the bytes of its arrays."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Row
from benchmarks.works import W3, Noise
from vdtoolkit.training import play

EPISODES, N_ENVS = 5000, 50


def memory(seconds: float, n_threads: Sequence[int]) -> list[Row]:
    """Growth of a fresh process: resident after filling, and the most it ever had."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory"], check=True, capture_output=True, text=True
    )
    return [json.loads(told.stdout)]


def array_bytes(episodes: int) -> int:
    """So many episodes of W3's team in float32, bool and one byte an action."""
    w = W3
    moment = 4 * (w.N * w.O + w.S) + w.N * w.A + w.N
    move = w.N + 4 + 1 + 1  # actions, reward, terminated, valid
    return episodes * ((w.T + 1) * moment + w.T * move)


def fill() -> Row:
    """Fill the replay and look at this very process."""
    agents = W3.agents(buffer_size=EPISODES)
    play(agents, Noise(W3, N_ENVS), N_ENVS * W3.T, updates_per_episode=0)
    replay = agents.replay
    assert replay is not None
    before, first = _resident(), len(replay)
    play(agents, Noise(W3, N_ENVS), EPISODES * W3.T, updates_per_episode=0)
    grew, peak = _resident() - before, _peak() - before
    if len(replay) != EPISODES:
        raise RuntimeError(f"the replay holds {len(replay)} of {EPISODES} episodes")
    arrays = array_bytes(EPISODES - first)
    return {
        "episodes": EPISODES - first,
        "arrays GB": arrays / 1e9,
        "grew GB": grew / 1e9,
        "grew / arrays": grew / arrays,
        "peak GB": peak / 1e9,
        "peak / arrays": peak / arrays,
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmRSS: the memory part needs Linux")


if __name__ == "__main__":
    print(json.dumps(fill()))
