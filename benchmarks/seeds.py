"""100 seeds of QTRAN's game as one batch beside as many one after another, on the same two cores.

python -m benchmarks.seeds
python -m benchmarks.seeds --methods vdn qmix --moves 4000 --alone 6

Both ways are the lab's, audits and all, in two processes that are warm.  One after another is timed
on a few seeds and scaled to 100, in turn with the batch: some of them before it, some after.  With
fewer moves than the lab's 20,000, audits weigh more, on both sides.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import torch

from vdtoolkit.igm import lab
from vdtoolkit.igm.game import named_game

GAME = "nonmonotonic"
PROCESSES = 2
METHODS = ["vdn", "qmix", "qtran_base", "qtran_alt", "qplex", "ow_qmix", "joint_q"]
METHODS += ["lenient_iql", "nonmonotonic_qmix"]


def _ready() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def jobs(name: str, seeds: range, moves: int) -> list[lab.Job]:
    return [lab.Job(named_game(GAME), name, lab.lab_config(name), seed, moves) for seed in seeds]


def one_after_another(todo: list[lab.Job]) -> int:
    return len([lab.run_one(job) for job in todo])


def as_one(todo: list[lab.Job]) -> int:
    return len(lab.run_seeds(todo))


def seconds(pool: ProcessPoolExecutor, work, parts: list[list[lab.Job]]) -> float:
    """Until all parts are done; part k begins in process k."""
    began = time.perf_counter()
    for future in [pool.submit(work, part) for part in parts]:
        future.result()
    return time.perf_counter() - began


def compared(
    pool: ProcessPoolExecutor, name: str, moves: int, seeds: int, alone: int
) -> tuple[float, float]:
    """Seconds for all seeds one after another, scaled from `alone` of them, and as one."""
    seconds(pool, as_one, [jobs(name, range(2), 100)] * PROCESSES)  # whatever is slow at first
    share = range(alone // 2 // PROCESSES)
    half = [jobs(name, share, moves)] * PROCESSES
    before = seconds(pool, one_after_another, half)
    parts = lab.in_batches(jobs(name, range(seeds), moves), lab.BATCH)
    together = seconds(pool, as_one, parts)
    after = seconds(pool, one_after_another, half)
    return (before + after) * seeds / (2 * len(share) * PROCESSES), together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--moves", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--alone", type=int, default=8, help="seeds timed one after another")
    options = parser.parse_args()
    if options.alone < 2 * PROCESSES:
        parser.error(f"--alone {options.alone}: at least {2 * PROCESSES}")
    print(f"{options.seeds} seeds of {options.moves} moves each, two processes, seconds:\n")
    print("| method | one after another | as one batch | times as fast |")
    print("|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, _ready) as pool:
        for name in options.methods:
            alone, together = compared(pool, name, options.moves, options.seeds, options.alone)
            print(f"| {name} | {alone:.1f} | {together:.1f} | {alone / together:.1f} |", flush=True)


if __name__ == "__main__":
    main()
