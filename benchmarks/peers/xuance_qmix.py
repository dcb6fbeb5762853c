"""XuanCe's QMIX with a GRU on simple_spread: env steps a second.

Its own MPE environment imports `pettingzoo.mpe`, which has moved to mpe2: the module is put where
XuanCe looks for it.  It feeds no last action (less work than ours); the rest is W1.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import types
from argparse import Namespace
from functools import partial
from pathlib import Path

from told import Clock, asked, tell

if __name__ == "__main__":
    flags = asked(__doc__)

import torch
import xuance
import yaml
from xuance.environment import make_envs
from xuance.torch.agents import QMIX_Agents, VDN_Agents

AGENTS = {"qmix": QMIX_Agents, "vdn": VDN_Agents}
T = 25


def provide_spread(local_ratio: float = 0.0) -> None:
    """mpe2's simple_spread where XuanCe imports it from."""
    from mpe2 import simple_spread_v3

    make = partial(simple_spread_v3.parallel_env, local_ratio=local_ratio, max_cycles=T)
    sys.modules["pettingzoo.mpe.simple_spread_v3"] = types.SimpleNamespace(parallel_env=make)  # type: ignore[assignment]


def config(algorithm: str, **changes: object) -> Namespace:
    """XuanCe's own configuration for simple_spread, with changes."""
    folder = Path(xuance.__file__).parent / "configs"
    settings = yaml.safe_load((folder / "basic.yaml").read_text())
    settings |= yaml.safe_load((folder / algorithm / "mpe" / "simple_spread_v3.yaml").read_text())
    logs = tempfile.mkdtemp(prefix="xuance")
    settings |= {"render": False, "render_mode": None, "log_dir": logs, "model_dir": logs}
    return Namespace(**settings | changes)


RECURRENT = {
    "representation": "Basic_RNN",
    "use_rnn": True,
    "use_parameter_sharing": True,
    "fc_hidden_sizes": [64],
    "recurrent_hidden_size": 64,
    "q_hidden_size": [],
    "hidden_dim_mixing_net": 32,
    "hidden_dim_hyper_net": 64,
    "buffer_size": 5000,
    "batch_size": 32,
    "learning_rate": 5e-4,
    "sync_frequency": 200,
    "use_grad_clip": True,
    "grad_clip_norm": 10.0,
    "decay_step_greedy": 50_000,
}


def main() -> None:
    torch.set_num_threads(flags.threads)
    provide_spread()
    epochs = flags.envs * flags.updates
    every = max(1, round(1 / epochs))  # below one update a round: learn in some rounds only
    settings = config("qmix", **RECURRENT, parallels=flags.envs, n_epochs=max(1, int(epochs)))
    agents = QMIX_Agents(settings, make_envs(settings))
    clock, rounds, learn = Clock(flags.warm), 0, agents.train_epochs

    def train_epochs(n_epochs: int = 1) -> dict:
        nonlocal rounds
        rounds += 1
        told = learn(n_epochs) if rounds % every == 0 else {}
        clock(agents.current_step)
        return told

    agents.train_epochs = train_epochs
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        agents.train((flags.warm + flags.moves) // flags.envs)
    tell("XuanCe", xuance.__version__, flags, steps_per_second=clock.rate)


if __name__ == "__main__":
    main()
