"""Sweeps that tests make, disturb and look at."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAME = ("metrics.jsonl", "team.safetensors", "curve.csv")
TRAIN = {
    "moves": 60,
    "n-envs": 2,
    "batch-size": 4,
    "hidden-dim": 5,
    "buffer-size": 9,
    "eval-episodes": 2,
    "eval-every": 40,
    "final-episodes": 3,
    "checkpoint-seconds": 0,
}
CRASHING, GATED = (f"{HERE / 'sweep' / 'crashing.py'}:{name}" for name in ("Crashing", "Gated"))


def environment():
    """What processes of tests find modules by; one thread each."""
    path = os.pathsep.join(map(str, (HERE, HERE.parent)))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


class Forks:
    """Commands as forks of one process (tests/forks.py)."""

    def __init__(self):
        words, pipe = [sys.executable, str(HERE / "forks.py")], subprocess.PIPE
        self.process = subprocess.Popen(
            words, env=environment(), stdin=pipe, stdout=pipe, text=True
        )
        assert json.loads(self.process.stdout.readline()) == {"ready": True}

    def ask(self, told):
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def begin(self, folder, *words):
        """A command in this folder; its pid.  What it says goes to said.txt."""
        (folder / "said.txt").touch()
        words = list(map(str, words))
        asked = {"words": words, "cwd": str(folder), "log": str(folder / "said.txt")}
        return self.ask(asked)["pid"]

    def wait(self, pid, seconds=90):
        """Its exit status."""
        end = time.monotonic() + seconds
        while (status := self.ask({"wait": pid})["status"]) is None:
            assert time.monotonic() < end, "it does not end"
            time.sleep(0.02)
        return status

    def run(self, folder, *words):
        """Its exit status, and what it said."""
        (folder / "said.txt").unlink(missing_ok=True)
        status = self.wait(self.begin(folder, *words))
        return status, said(folder)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def write(folder, name="s.json", **sections):
    """A sweep's file; train: what differs from TRAIN."""
    told = {"out": "out", "method": ["vdn"], **sections, "train": TRAIN | sections.get("train", {})}
    (folder / name).write_text(json.dumps(told))
    return name


def gated(folder, **sections):
    """A sweep of three seeds that wait in the middle until the file `gate` is there."""
    env = {"env": GATED, "name": "gated", "env-arg": {"gate": str(folder / "gate")}}
    train = {"moves": 100, **sections.pop("train", {})}
    return write(folder, **{"env": env, "seeds": 3, "train": train, **sections})


def runs_of(folder):
    """The folders of its runs."""
    return [folder / "out" / "gated" / "vdn" / f"seed-{seed}" for seed in range(3)]


def waiting(folder):
    """Processes that are at the gate."""
    return {int(path.name.partition("-")[2]) for path in folder.glob("gate-*")}


def bits(folder):
    """What must not depend on how often a run was ended."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SAME}


def begun(folder):
    """The commands of the processes that were started for a run."""
    return [line for line in (folder / "log.txt").read_text().splitlines() if line[:3] == "== "]


def until(true, seconds=90):
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)


def told(folder):
    """What status.json says; nothing where it is not there."""
    path = folder / "status.json"
    return json.loads(path.read_text()) if path.exists() else {"status": None, "moves": 0}


def moves(folder):
    """Those of a run's last checkpoint."""
    return told(folder)["moves"]


def status(folder):
    """How a run is."""
    return told(folder)["status"]


def pids(folder):
    """Processes that work in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "cwd") == str(folder):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def holds(pid):
    """Which file a process writes what it says to; "" where it has none."""
    try:
        return os.readlink(f"/proc/{pid}/fd/1")
    except OSError:
        return ""


def said(folder):
    """What a command said."""
    return (folder / "said.txt").read_text()
