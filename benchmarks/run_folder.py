"""What the folder of a run costs: CPU time of training with logging, checkpoints and passport on.

    python -m benchmarks.run_folder [PAIRS] [SECONDS] [TIMES] [TASK]

Pairs of the same training, with the folder and without, in two threads that take turns, a few moves
each: whatever else the machine does slows down both alike.  Told is the median over pairs of the
ratio of their threads' CPU time (and that of git, which is asked for the commit).
SECONDS: between checkpoints; less than the default of 30, as runs here are short.  TIMES as many
moves as below.  TASK: one alone.
"""

import os
import resource
import sys
import tempfile
import threading
import time
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

TASKS = {  # environment -> moves, for five seconds or so
    "vdtoolkit.envs.two_step_v0": 1_500,
    "vdtoolkit.envs.predator_prey_v0": 9_000,
    "vdtoolkit.envs.switch_v0": 3_500,
}
N_ENVS = 8
TURN = 5  # vector steps


class Silent(Display):
    """Nothing is shown."""

    def line(self, text):
        pass


class Turns:
    """Two threads, of which one works at a time."""

    def __init__(self):
        self.free = [threading.Semaphore(1), threading.Semaphore(0)]
        self.over = [False, False]
        self.steps = [0, 0]

    def step(self, who):
        """After so many vector steps it is the other's turn."""
        self.steps[who] += 1
        if self.steps[who] % TURN == 0 and not self.over[1 - who]:
            self.free[1 - who].release()
            self.free[who].acquire()

    def run(self, who, work, spent):
        """The work of one thread, and the CPU time it took."""
        self.free[who].acquire()
        try:
            began = time.thread_time()
            work()
            spent[who] = time.thread_time() - began
        finally:
            self.over[who] = True
            self.free[1 - who].release()


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


def without(maker, agents, told, step):
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
        monitor=lambda report: (show.progress(report, agents.epsilon()), step()),
    )
    runs.score(agents, maker, told.final_episodes, runs.FINAL_SEEDS)


def with_folder(maker, agents, told, out, step):
    """All of it: configuration, passport, metrics, timing, checkpoints, status."""
    asked = Asked(
        "", agents.name, agents.config, maker, told, "cpu", "mean", "env", (agents.seed,), 0
    )
    command, folder = Training(asked, out), RunFolder(out)
    folder.begin(asked.one(agents.seed))
    show = Silent("", told.moves, 1)
    team = runs.TeamTraining(Run(agents.seed), agents, maker, told, show, folder, runs.Interrupts())
    watch = team.watch
    team.watch = lambda report: (watch(report), step())
    runs.train_run(team, lambda envs: command.write_passport(folder, agents.seed, envs))


def pair(name, moves, seconds, seed):
    """CPU seconds (without, with)."""
    maker, spent, turns, told = EnvMaker(name), [0.0, 0.0], Turns(), settings(moves, seconds)
    first, second = (QMIXAgents(maker(), seed=seed) for _ in range(2))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory(dir=os.environ.get("RUN_FOLDER_DIR")) as folder:
        works = (
            lambda: without(maker, first, told, lambda: turns.step(0)),
            lambda: with_folder(maker, second, told, Path(folder) / "run", lambda: turns.step(1)),
        )
        threads = [threading.Thread(target=turns.run, args=(k, works[k], spent)) for k in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent[1] += after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    return spent


def main(pairs=5, seconds=3.0, times=1.0, task=""):
    torch.set_num_threads(1)
    for name, moves in ((k, int(times * n)) for k, n in TASKS.items() if task in k):
        pair(name, moves // 20, seconds, 0)  # imports and compilers are not counted
        ratios = []
        for seed in range(pairs):
            bare, folder = pair(name, moves, seconds, seed)
            ratios.append(100 * (folder / bare - 1))
            print(f"{name}: {bare:.2f} s without, {folder:.2f} s with", flush=True)
        print(f"{name}: {median(ratios):+.2f} % CPU, the median of {pairs} pairs", flush=True)


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, float, float, str), sys.argv[1:], strict=False)))
