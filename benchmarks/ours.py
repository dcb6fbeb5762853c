"""Our QMIX with a GRU on simple_spread: env steps a second, as the peers' scripts tell it.

python -m benchmarks.ours --env mpe2 --envs 8 --workers 1
python -m benchmarks.ours --env twin --envs 8 --updates 0.125
"""

from __future__ import annotations

from benchmarks.peers.told import asked, tell

if __name__ == "__main__":
    flags = asked(
        __doc__,
        env={"choices": ("mpe2", "twin"), "default": "mpe2"},
        workers={"type": int, "default": 0},
    )

import torch

from benchmarks.loops import mpe2_loop, twin_loop
from vdtoolkit import __version__


def main() -> None:
    torch.set_num_threads(flags.threads)
    how = {"updates": flags.updates, "warm": flags.warm}
    if flags.env == "twin":
        seconds = twin_loop(flags.moves, flags.envs, **how)
    else:
        workers = {"workers": flags.workers} if flags.workers else {}
        seconds = mpe2_loop(flags.moves, flags.envs, **how, **workers)
    told = {"env": flags.env, "workers": flags.workers}
    tell("vdtoolkit", __version__, flags, **told, steps_per_second=1 / seconds)


if __name__ == "__main__":
    main()
