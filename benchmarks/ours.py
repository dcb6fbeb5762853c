"""Our QMIX with a GRU on simple_spread: env steps a second, as the peers' scripts tell it.

python -m benchmarks.ours --env mpe2 --envs 8 --workers 1
python -m benchmarks.ours --env twin --envs 8 --updates 0.125
python -m benchmarks.ours --update W3 --algorithm qatten
"""

from __future__ import annotations

from benchmarks.peers.told import asked, tell

if __name__ == "__main__":
    flags = asked(
        __doc__,
        env={"choices": ("mpe2", "twin"), "default": "mpe2"},
        workers={"type": int, "default": 0},
        update={"choices": ("W1", "W3"), "help": "one update alone, at these sizes"},
        algorithm={"choices": ("qmix", "qatten"), "default": "qmix"},
        once={"action": "store_true", "help": "on the twin: run, end, for the time of the process"},
    )

import time

import numpy as np
import torch

from benchmarks import works
from benchmarks.loops import mpe2_loop, twin_loop
from vdtoolkit import __version__


def main() -> None:
    torch.set_num_threads(flags.threads)
    if flags.once:
        import benchmarks.from_start  # noqa: F401  which runs it

        tell("vdtoolkit", __version__, flags)
        return
    if flags.update:
        rate = 1 / seconds_an_update()
        tell("vdtoolkit", __version__, flags, updates_per_second=rate)
        return
    how = {"updates": flags.updates, "warm": flags.warm}
    if flags.env == "twin":
        seconds = twin_loop(flags.moves, flags.envs, **how)
    else:
        workers = {"workers": flags.workers} if flags.workers else {}
        seconds = mpe2_loop(flags.moves, flags.envs, **how, **workers)
    told = {"env": flags.env, "workers": flags.workers}
    tell("vdtoolkit", __version__, flags, **told, steps_per_second=1 / seconds)


def seconds_an_update() -> float:
    """The median of some; the batch is always the same."""
    agents = getattr(works, flags.update).trained(flags.algorithm)
    assert agents.replay is not None
    batch, taken = agents.replay.sample(32, np.random.default_rng(0)), []
    for _ in range(35):
        begun = time.perf_counter()
        agents.learn_from(batch)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken[5:]))


if __name__ == "__main__":
    main()
