"""Runs that are killed again and again: `python killed.py JSON`.  torch is imported once.

Each run is a fork of this process, ended by SIGKILL after a random time, and then resumed; the
last one is let go to its end.  Prints JSON: how many were killed at work, and the exit status.
"""

import json
import os
import signal
import sys
import time

import numpy as np


class Picture:
    """In the place of one that takes a second to draw."""

    def savefig(self, path, **how):
        path.write_bytes(b"")


def run(arguments):
    """The child: one command, silent."""
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(silent, stream)
    from vdtoolkit import cli

    os._exit(cli.main(arguments))


def main(asked):
    """Kill so many runs; forks see the modules that are imported here."""
    import torch

    import vdtoolkit.commands.resume
    from vdtoolkit.envs import two_step_v0

    torch.set_num_threads(1)
    vdtoolkit.VDNAgents(two_step_v0.parallel_env())  # its optimiser imports half of torch
    vdtoolkit.commands.run.LINES = 10
    vdtoolkit.commands.train.plot_learning = lambda result: Picture()
    if not asked.get("fsync"):  # what a process wrote survives its own end without
        os.fsync = lambda handle: None
    rng, kills, tries = np.random.default_rng(asked["seed"]), 0, 0
    command = ["train", *asked["flags"], "--out", asked["out"]]
    while kills < asked["kills"]:
        child = os.fork()
        if not child:
            run(command)
        time.sleep(rng.uniform(*asked["after"]))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        tries += 1
        if os.WIFSIGNALED(status):
            kills += 1
        else:
            break  # it was faster: nothing is left to kill
        if os.path.exists(os.path.join(asked["out"], "config.json")):
            command = ["resume", asked["out"]]
    child = os.fork()
    if not child:
        run(command)
    _, status = os.waitpid(child, 0)
    print(json.dumps({"kills": kills, "tries": tries, "status": os.waitstatus_to_exitcode(status)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
