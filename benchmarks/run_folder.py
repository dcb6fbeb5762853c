"""What the folder of a run costs: CPU time of training with logging, checkpoints and passport on.

    python -m benchmarks.run_folder [PAIRS] [SECONDS]

Pairs of the same training, once with the folder and once without, one after the other; the order
changes from pair to pair.  Told is the median of the ratios of CPU time, children included.
SECONDS: between checkpoints; less than the default of 30, as runs here are short.
"""

import os
import resource
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch

from vdtoolkit import QMIXAgents
from vdtoolkit.commands import run as runs
from vdtoolkit.commands.show import Display
from vdtoolkit.commands.train import Asked, Training
from vdtoolkit.making import EnvMaker
from vdtoolkit.rundir import RunFolder
from vdtoolkit.runs import Run
from vdtoolkit.stream import stream
from vdtoolkit.training import play

TASKS = {  # environment -> moves, for ten seconds or so
    "vdtoolkit.envs.two_step_v0": 24_000,
    "vdtoolkit.envs.predator_prey_v0": 24_000,
    "vdtoolkit.envs.switch_v0": 24_000,
}
N_ENVS = 8


class Silent(Display):
    """Nothing is shown."""

    def line(self, text):
        pass


def cpu():
    """CPU seconds of this process and of those that it has waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def settings(moves, seconds):
    return runs.Settings(
        moves=moves,
        n_envs=N_ENVS,
        workers=0,
        threads=1,
        updates_per_episode=1.0,
        eval_every=moves // 4,
        eval_episodes=8,
        final_episodes=8,
        checkpoint_seconds=seconds,
    )


def without(maker, agents, told):
    """As it was before there was a folder."""
    show = Silent("", told.moves, 1)
    envs = stream(maker, N_ENVS, agents.team)
    play(
        agents,
        envs,
        told.moves,
        seed=agents.seed,
        callback=lambda agents: runs.score(agents, maker, told.eval_episodes, runs.CURVE_SEEDS),
        every=told.eval_every,
        monitor=lambda report: show.progress(report, agents.epsilon()),
    )
    runs.score(agents, maker, told.final_episodes, runs.FINAL_SEEDS)


def with_folder(maker, agents, told, out):
    """All of it: configuration, passport, metrics, timing, checkpoints, status."""
    asked = Asked(
        "", agents.name, agents.config, maker, told, "cpu", "mean", "env", (agents.seed,), 0
    )
    command, folder = Training(asked, out), RunFolder(out)
    folder.begin(asked.one(agents.seed))
    with runs.Interrupts() as interrupts:
        show = Silent("", told.moves, 1)
        team = runs.TeamTraining(Run(agents.seed), agents, maker, told, show, folder, interrupts)
        runs.train_run(team, lambda envs: command.write_passport(folder, agents.seed, envs))


def pair(name, moves, seconds, first):
    """CPU seconds (without, with)."""
    maker, spent = EnvMaker(name), [0.0, 0.0]
    for which in (first, 1 - first):
        agents = QMIXAgents(maker(), seed=1)
        told = settings(moves, seconds)
        with tempfile.TemporaryDirectory(dir=os.environ.get("RUN_FOLDER_DIR")) as folder:
            began = cpu()
            if which:
                with_folder(maker, agents, told, Path(folder) / "run")
            else:
                without(maker, agents, told)
            spent[which] = cpu() - began
    return spent


def main(pairs=5, seconds=4.0):
    torch.set_num_threads(1)
    for name, moves in TASKS.items():
        pair(name, moves // 20, seconds, 0)  # imports and compilers are not counted
        told = [pair(name, moves, seconds, k % 2) for k in range(pairs)]
        ratios = [round(100 * (b / a - 1), 2) for a, b in told]
        print(f"{name}: {median(ratios):+.2f} % CPU (pairs: {ratios}), {told[0][0]:.1f} s without")


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, float), sys.argv[1:], strict=False)))
