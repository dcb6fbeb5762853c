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


def least_bytes() -> int:
    """5,000 episodes of W3's team in float32, bool and one byte an action."""
    w = W3
    moment = 4 * (w.N * w.O + w.S) + w.N * w.A + w.N
    move = w.N + 4 + 1 + 1  # actions, reward, terminated, valid
    return EPISODES * ((w.T + 1) * moment + w.T * move)


def fill() -> Row:
    """Fill the replay and look at this very process."""
    agents = W3.agents(buffer_size=EPISODES)
    play(agents, Noise(W3, N_ENVS), N_ENVS * W3.T, updates_per_episode=0)
    before, had = _resident(), _stored(agents)
    play(agents, Noise(W3, N_ENVS), EPISODES * W3.T, updates_per_episode=0)
    stored, resident = _stored(agents), _resident()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert len(agents.replay) == EPISODES
    return {
        "episodes": EPISODES,
        "arrays GB": stored / 1e9,
        "least GB": least_bytes() / 1e9,
        "grew GB": (resident - before + had) / 1e9,
        "grew / arrays": (resident - before + had) / stored,
        "peak GB": (peak - before + had) / 1e9,
        "peak / arrays": (peak - before + had) / stored,
    }


def _stored(agents: object) -> int:
    return sum(values.nbytes for values in agents.replay.stored.values())


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmRSS: the memory part needs Linux")


if __name__ == "__main__":
    print(json.dumps(fill()))
