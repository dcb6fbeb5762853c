"""What a team has learned after so many env steps, ours beside XuanCe's, on the same environment.

    python -m benchmarks.returns --env spread --moves 50000 --seeds 0 1 2 --out spread.md
    python -m benchmarks.returns --env Foraging-5x5-2p-1f-v3 --moves 40000 --out foraging.md

Each cell is the mean team return of 100 greedy episodes after training; the team's reward is the
mean over the agents for both.  Intervals are Student's t over seeds.  Our settings are those of
`peers/tuned.py`: the defaults, but for what is listed there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from benchmarks import report
from benchmarks.peers import tuned
from benchmarks.peers.setup import VENVS
from vdtoolkit import ALGORITHMS, evaluate, train
from vdtoolkit.making import EnvMaker

HERE = Path(__file__).parent
Play = Callable[[str, str, int, int], list[float]]  # env, algorithm, moves, seed -> returns


def maker(env: str) -> EnvMaker:
    """mpe2's simple_spread as it comes, or an id of lbforaging."""
    return EnvMaker("mpe2.simple_spread_v3" if env == "spread" else f"gymnasium:lbforaging:{env}")


def ours(env: str, algorithm: str, moves: int, seed: int) -> list[float]:
    """Ours with our settings."""
    make, told = maker(env), tuned.settings(env, algorithm)
    agents = ALGORITHMS[algorithm](make(), seed=seed, **told.of_agents(algorithm))
    train(agents, make, moves, seed=seed, **told.of_training())
    return evaluate(agents, make, 100, seed=seed + 1000).returns.tolist()


def untrained(env: str, algorithm: str, moves: int, seed: int) -> list[float]:
    """The team that moves at random."""
    make = maker(env)
    agents = ALGORITHMS[algorithm](make(), seed=seed, epsilon_start=1.0)
    return evaluate(agents, make, 100, seed=seed + 1000, explore=True).returns.tolist()


def xuance(
    venvs: Path, settings: str, env: str, algorithm: str, moves: int, seed: int
) -> list[float]:
    """XuanCe's, in its own environment; an error where "equal" did not reach its learner."""
    command = [venvs / "xuance" / "bin" / "python", HERE / "peers" / "xuance_returns.py"]
    words = ["--env", env, "--algorithm", algorithm, "--moves", moves, "--seed", seed]
    words += ["--settings", settings]
    done = subprocess.run(
        [str(word) for word in [*command, *words]], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"XuanCe failed:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.strip().splitlines()[-1])
    print({name: value for name, value in told.items() if name != "returns"}, flush=True)
    if settings == "equal":
        check(told["used"], tuned.settings(env, algorithm))
    return told["returns"]


def check(used: dict, wanted: tuned.Settings) -> None:
    """What XuanCe says that its learner used must be what it was to use."""
    wrong = {k: v for k, v in used.items() if v != getattr(wanted, k)}
    if wrong:
        raise RuntimeError(f"XuanCe learned with {wrong}, not with {wanted}")


def row(who: str, algorithm: str, play: Play, env: str, moves: int, seeds: Sequence[int]) -> dict:
    """One line of the table: each seed's mean, and the mean over seeds with its interval."""
    begun = time.perf_counter()
    means = [float(np.mean(play(env, algorithm, moves, seed))) for seed in seeds]
    taken = (time.perf_counter() - begun) / len(seeds)
    mean, n = float(np.mean(means)), len(means)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(means, ddof=1) / n**0.5) if n > 1 else np.nan
    return {
        "env": env,
        "moves": moves,
        "algorithm": algorithm,
        "who": who,
        "mean return": f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]",
        "by seed": ", ".join(f"{m:.2f}" for m in means),
        "seconds a seed": round(taken),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.returns", description=__doc__)
    parser.add_argument("--env", default="spread", help="spread, or an id of lbforaging")
    parser.add_argument("--moves", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--algorithms", nargs="+", default=["qmix", "vdn"])
    parser.add_argument("--who", nargs="+", default=["random", "vdtoolkit", "own", "equal"])
    parser.add_argument("--venvs", type=Path, default=VENVS)
    parser.add_argument("--out", type=Path, help="Markdown")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    players: dict[str, tuple[str, Play]] = {
        "random": ("random", untrained),
        "vdtoolkit": ("vdtoolkit, our settings", ours),
        "own": ("XuanCe, its configuration", partial(xuance, asked.venvs, "own")),
        "equal": ("XuanCe, our settings", partial(xuance, asked.venvs, "equal")),
    }
    rows = []
    for algorithm in asked.algorithms:
        for name in asked.who:
            who, play = players[name]
            rows.append(row(who, algorithm, play, asked.env, asked.moves, asked.seeds))
            print(rows[-1], flush=True)
            if asked.out:
                asked.out.write_text(report.markdown(rows) + "\n", "utf-8")
    print(report.markdown(rows))


if __name__ == "__main__":
    main()
