"""predator_prey_v0 born batched beside the same envs one after the other: moves a second.

python -m benchmarks.batched
python -m benchmarks.batched --envs 16 --seconds 10
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv

from benchmarks.timing import in_turn
from vdtoolkit.envs import predator_prey_v0
from vdtoolkit.stream import VectorStream
from vdtoolkit.team import Team
from vdtoolkit.team_env import TeamEnv


def player(envs: VectorEnv, team: Team) -> Callable[[], object]:
    """One vector step of random available actions a call."""
    stream, rng = VectorStream(envs, team), np.random.default_rng(0)
    state = {"step": stream.reset(0)}

    def play() -> None:
        available = state["step"].available
        lots = np.where(available, rng.random(available.shape), -1.0)
        state["step"] = stream.step(lots.argmax(-1))

    return play


def rates(form: str, n_envs: int, seconds: float) -> tuple[float, float]:
    """Moves a second of n envs one after the other, and of as many at once; played in turn."""
    make = lambda: predator_prey_v0.parallel_env(form)  # noqa: E731
    team = Team.from_env(make())
    times = in_turn(
        {
            "single": player(SyncVectorEnv([lambda: TeamEnv(make(), team)] * n_envs), team),
            "batched": player(make().vector_env(n_envs), team),
        },
        seconds,
    )
    return n_envs / times["single"].median, n_envs / times["batched"].median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", type=int, nargs="+", default=[1, 8, 16, 64])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each pair")
    options = parser.parse_args()
    print("| form | envs | one after the other | born batched | times as fast |")
    print("|---|---|---|---|---|")
    for form in predator_prey_v0.DEFAULTS:
        for n_envs in options.envs:
            single, batched = rates(form, n_envs, options.seconds)
            print(
                f"| {form} | {n_envs} | {single:,.0f} | {batched:,.0f} | {batched / single:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
