"""Runs that are killed again and again: `python killed.py JSON`.  torch is imported once.

Each run is a fork of this process, ended by SIGKILL and then resumed; the last one is let go to its
end.  One in four is killed at a random time from its start, the others at a random time from a
random one of their vector steps: however fast the machine is, they are killed at work.  Prints
JSON: how many were killed, how many of them after a first step, and the exit status of the last.
"""

import itertools
import json
import os
import signal
import sys
import tempfile
import threading
import time

import numpy as np


class Picture:
    """In the place of one that takes a second to draw."""

    def savefig(self, path, **how):
        path.write_bytes(b"")


def die(seconds):
    """This process is killed so much later; what it does meanwhile goes on."""

    def wait():
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def run(arguments, steps=None, seconds=0.0):
    """The child: one command; killed so many vector steps and seconds from its start."""
    from vdtoolkit import cli
    from vdtoolkit.commands.run import TeamTraining

    keep, calls = TeamTraining.keep, itertools.count(1)

    def keeping(training, loop):
        if next(calls) == steps:
            die(seconds)
        keep(training, loop)

    if steps:
        TeamTraining.keep = keeping
    elif steps == 0:
        die(seconds)
    os._exit(cli.main(arguments))


def main(asked):
    """Kill so many runs; forks see the modules that are imported here."""
    import torch

    import vdtoolkit.commands.resume

    torch.set_num_threads(1)
    vdtoolkit.commands.run.LINES = 10
    vdtoolkit.commands.train.plot_learning = lambda result: Picture()
    os.fsync = lambda handle: None  # what a process wrote survives its own end without
    out = os.dup(1)
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(silent, stream)
    with tempfile.TemporaryDirectory() as folder:  # what is imported late is imported once
        vdtoolkit.cli.main(["train", *asked["flags"], "--moves", "60", "--out", folder])
    rng, kills = np.random.default_rng(asked["seed"]), []
    command = ["train", *asked["flags"], "--out", asked["out"]]
    while len(kills) < asked["kills"]:
        if len(kills) % 4:
            how = int(rng.integers(1, asked["steps"] + 1)), rng.uniform(0.0, asked["after_step"])
        else:
            how = 0, rng.uniform(0.0, asked["after_start"])
        if os.WIFSIGNALED(forked(command, *how)):
            kills.append(how[0] > 0)
        else:
            break  # it was faster, or it failed: the status of the last tells
        if os.path.exists(os.path.join(asked["out"], "config.json")):
            command = ["resume", asked["out"]]
    status = os.waitstatus_to_exitcode(forked(command))
    told = {"kills": len(kills), "at_work": sum(kills), "status": status}
    os.write(out, json.dumps(told).encode())


def forked(command, *how):
    """How a child ended that runs the command."""
    child = os.fork()
    if not child:
        run(command, *how)
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
