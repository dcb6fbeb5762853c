"""A run that is ended anywhere and resumed is the run that never was, bit for bit."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from killed import Picture

from vdtoolkit import ALGORITHMS, cli, load
from vdtoolkit.commands import run as runs
from vdtoolkit.commands import train as command
from vdtoolkit.rundir import RunFolder

TWO_STEP = "vdtoolkit.envs.two_step_v0"
PREY = "vdtoolkit.envs.predator_prey_v0"
SMALL = ["--batch-size", "4", "--hidden-dim", "5", "--buffer-size", "9", "--eval-episodes", "2"]
SMALL += ["--epsilon-steps", "20"]  # soon greedy, so that what actors remember counts
FEW = [
    *SMALL,
    "--eval-every",
    "40",
    "--final-episodes",
    "3",
    "--checkpoint-seconds",
    "0",
    "--save-replay",
]
SELDOM = ["--checkpoint-seconds", "1000"]  # no checkpoint but those of signals and of the end
SAME = ("metrics.jsonl", "team.safetensors", "curve.csv")
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    """What a process wrote survives its own end without waiting for the disk; no pictures."""
    before = torch.get_num_threads()
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(command, "plot_learning", lambda result: Picture())
    monkeypatch.setattr(runs, "LINES", 10)  # so that a window is open at most checkpoints
    yield
    torch.set_num_threads(before)


def flags(env="teams:Relay", algorithm="qmix", n_envs=3, workers=0, moves=90, more=FEW):
    numbers = {"--moves": moves, "--n-envs": n_envs, "--workers": workers}
    words = [str(word) for pair in numbers.items() for word in pair]
    return ["--env", env, "--algorithm", algorithm, *words, *more]


def train(out, given):
    return cli.main(["train", *given, "--out", str(out)])


def resume(out, *more):
    return cli.main(["resume", str(out), *more])


def bits(out):
    """What must not depend on how often a run was ended."""
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in SAME}


def parameters(out):
    team = load(out / "team.safetensors")
    return torch.cat([p.detach().flatten() for p in team.online.parameters()])


class Ended(BaseException):
    """Ends a run as nothing else does."""


def end_after(monkeypatch, steps, end):
    """After each so many vector steps `end(training)` is called, once the checkpoint is taken."""
    keep, count = runs.TeamTraining.keep, [0]

    def keeping(training, loop):
        keep(training, loop)
        count[0] += 1
        if count[0] % steps == 0:
            end(training)

    monkeypatch.setattr(runs.TeamTraining, "keep", keeping)


def to_the_end(out, given):
    """Train and resume until it is finished; how often it was ended."""
    go_on, ended = partial(train, out, given), 0
    while True:
        try:
            status = go_on()
        except Ended:
            status = -1
        if not status:
            return ended
        assert status in (-1, 130), f"it does not go on: status {status}"
        ended, go_on = ended + 1, partial(resume, out)


def raise_ended(training):
    raise Ended


def send(number, training):
    os.kill(os.getpid(), number)


CASES = {
    "one": {"n_envs": 1, "moves": 60},
    "finite": {"env": TWO_STEP, "n_envs": 4},
    "skirmish": {
        "env": "vdtoolkit.envs.skirmish_v0",
        "n_envs": 4,
        "more": [*FEW, "--env-arg", "max_cycles=9"],
    },
    "born batched": {"env": PREY, "n_envs": 4, "more": [*FEW, "--env-arg", "max_cycles=7"]},
    "coma": {"algorithm": "coma"},
    "lenient_iql": {"algorithm": "lenient_iql"},
    "joint_q": {"algorithm": "joint_q"},
}


@pytest.mark.parametrize("case", CASES)
def test_in_one_process_ended_and_resumed_is_the_same_bit_for_bit(case, tmp_path, monkeypatch):
    given = flags(**CASES[case])
    assert train(tmp_path / "whole", [*given, *SELDOM]) == 0
    end_after(monkeypatch, 23 if case == "one" else 7, raise_ended)
    assert to_the_end(tmp_path / "ended", given) >= 2
    assert bits(tmp_path / "ended") == bits(tmp_path / "whole")
    assert torch.equal(parameters(tmp_path / "ended"), parameters(tmp_path / "whole"))


@pytest.mark.parametrize("name", sorted({*ALGORITHMS} - {"coma", "lenient_iql", "joint_q", "qmix"}))
def test_every_algorithm_goes_on_to_the_same_bits(name, tmp_path, monkeypatch):
    given = flags(algorithm=name, moves=50)
    assert train(tmp_path / "whole", [*given, *SELDOM]) == 0
    end_after(monkeypatch, 11, raise_ended)
    assert to_the_end(tmp_path / "ended", given) >= 1
    assert bits(tmp_path / "ended") == bits(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_between_two_steps_with_a_checkpoint_and_status_130(
    number, tmp_path, monkeypatch, capsys
):
    given = [*flags(), *SELDOM]
    assert train(tmp_path / "whole", given) == 0
    end_after(monkeypatch, 9, partial(send, number))
    statuses = [train(tmp_path / "ended", given)]
    told = RunFolder(tmp_path / "ended").status()
    assert (told["status"], told["error"]) == ("interrupted", None) and 0 < told["moves"] < 90
    assert f"vdtoolkit resume {tmp_path / 'ended'}" in capsys.readouterr().out
    while statuses[-1] == 130:
        statuses.append(resume(tmp_path / "ended"))
    assert statuses[:-1] == [130] * (len(statuses) - 1) and len(statuses) > 2
    assert bits(tmp_path / "ended") == bits(tmp_path / "whole")


def test_an_interrupted_evaluation_is_made_again(tmp_path, monkeypatch):
    given = [*flags(), *SELDOM]
    assert train(tmp_path / "whole", given) == 0
    played = runs.evaluate
    done = []

    def stopped(agents, *args, **kwargs):
        found = played(agents, *args, **kwargs)
        if agents.moves not in done:
            done.append(agents.moves)
            if agents.moves:
                raise KeyboardInterrupt
        return found

    monkeypatch.setattr(runs, "evaluate", stopped)
    assert to_the_end(tmp_path / "ended", given) == 3  # 40, 80 and the last
    assert bits(tmp_path / "ended") == bits(tmp_path / "whole")


def killed(tmp_path, given, kills, **when):
    """Runs killed by SIGKILL beside one that never was: what tests/killed.py tells."""
    asked = {"seed": 5, "flags": given, "out": str(tmp_path / "ended"), "kills": kills, **when}
    words = [sys.executable, str(HERE / "killed.py"), json.dumps(asked)]
    path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert train(tmp_path / "whole", [*given, *SELDOM]) == 0
    return json.loads(done.stdout)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@needs_fork
def test_fifty_kills_at_random_moments_change_no_bit(tmp_path):
    when = {"steps": 3, "after_step": 0.05, "after_start": 0.35}
    told = killed(tmp_path, flags(moves=900), 50, **when)
    assert told == {"kills": 50, "at_work": 37, "status": 0}
    assert bits(tmp_path / "ended") == bits(tmp_path / "whole")


def test_worker_processes_go_on_to_the_bits_of_a_run_without_them(tmp_path, monkeypatch):
    assert train(tmp_path / "whole", [*flags(n_envs=5), *SELDOM]) == 0
    end_after(monkeypatch, 13, raise_ended)
    assert to_the_end(tmp_path / "ended", flags(n_envs=5, workers=2)) >= 1
    assert bits(tmp_path / "ended") == bits(tmp_path / "whole")


@needs_fork
def test_kills_with_worker_processes_change_no_bit(tmp_path):
    when = {"steps": 9, "after_step": 0.1, "after_start": 2.0}
    told = killed(tmp_path, flags(workers=2, moves=300), 5, **when)
    assert told == {"kills": 5, "at_work": 3, "status": 0}
    assert bits(tmp_path / "ended") == bits(tmp_path / "whole")
