"""Does it hurt when the game crashes?  The same trainings with and without crashes injected.

python -m benchmarks.starcraft --seeds 3 --moves 50000 --every 400
FAKE_SC2_ENEMY_HP=0.5 FAKE_SC2_JITTER=0.7 python -m benchmarks.starcraft  # over the stand-in

Crashes are real ones: the game's process is killed before a move, at random, once every `--every`
moves on average.  A wrapper that told a crash as a loss, or paid for it, would show here.  Win
rates are of the exploring team in the last fifth of its training, and of the greedy one after it.
Without jitter the stand-in's battles are all alike, and a greedy team wins all of them or none.
"""

from __future__ import annotations

import argparse
import os
import signal
from functools import partial

import numpy as np
from scipy import stats

from vdtoolkit import ALGORITHMS, Team, evaluate, train
from vdtoolkit.envs import smac_v0
from vdtoolkit.training import Report


class Crashing(smac_v0.raw_env):
    """SMAC whose game is killed before a move, every so many moves on average."""

    def __init__(self, map_name: str, every: float, seed: int) -> None:
        super().__init__(map_name)
        self.every, self.luck = every, np.random.default_rng(seed)

    def _play(self, played):
        if self.game.pid is not None and self.luck.random() < 1 / self.every:
            os.kill(self.game.pid, signal.SIGKILL)
        return super()._play(played)


def run(options: argparse.Namespace, seed: int, crashes: bool) -> tuple[float, float, int]:
    """(win rate late in training, greedy win rate after it, lost episodes) of one training."""
    make = partial(smac_v0.parallel_env, options.map)
    played = partial(Crashing, options.map, options.every, seed) if crashes else make
    env = make()
    team = Team.from_env(env)
    env.close()
    settings = {"epsilon_steps": options.moves // 3, "target_interval": 100}
    settings |= {"lr": 1e-3, "td_lambda": 0.6}
    agents = ALGORITHMS[options.algorithm](team, seed=seed, **settings)
    late: list[float] = []

    def told_of(report: Report) -> None:
        if report.moves > 0.8 * options.moves:
            late.extend(report.won.tolist())

    train(agents, played, options.moves, n_envs=options.envs, seed=seed, monitor=told_of)
    told = evaluate(agents, make, options.episodes, seed=seed + 1000, n_envs=2)
    assert agents.replay is not None
    greedy = float("nan") if told.win_rate is None else told.win_rate
    return float(np.mean(late)), greedy, agents.replay.n_lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--map", default="3m")
    parser.add_argument("--algorithm", default="vdn", choices=list(ALGORITHMS))
    parser.add_argument("--moves", type=int, default=50_000)
    parser.add_argument("--every", type=float, default=400, help="moves between crashes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--envs", type=int, default=1)
    parser.add_argument("--episodes", type=int, default=50, help="of the evaluation")
    options = parser.parse_args()
    print("| seed | crashes | wins, last fifth | wins, greedy | episodes lost |")
    print("|---|---|---|---|---|")
    rates: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(options.seeds):
        for crashes in (False, True):
            wins, greedy, lost = run(options, seed, crashes)
            rates[crashes].append(wins)
            name = "yes" if crashes else "no"
            print(f"| {seed} | {name} | {wins:.0%} | {greedy:.0%} | {lost} |", flush=True)
    without, with_ = (np.array(rates[crashes]) for crashes in (False, True))
    print(
        f"\nwins in the last fifth: {without.mean():.1%} without crashes, {with_.mean():.1%} with",
        end="",
    )
    if options.seeds > 1:
        half = stats.t.ppf(0.975, options.seeds - 1) * stats.sem(with_ - without)
        low, high = (with_ - without).mean() + np.array([-half, half])
        spread = f"{without.min():.0%} to {without.max():.0%}"
        print(f" (seeds spread {spread}); difference [{low:+.1%}, {high:+.1%}], 95 %")
    print()


if __name__ == "__main__":
    main()
