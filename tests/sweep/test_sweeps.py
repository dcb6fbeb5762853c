"""Sweeps on one machine: what is trained once, tried again, waited for, and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from sweeping import (
    CRASHING,
    TRAIN,
    begun,
    bits,
    environment,
    gated,
    holds,
    moves,
    pids,
    runs_of,
    said,
    status,
    until,
    waiting,
    write,
)

from vdtoolkit.interrupts import AS_ONE
from vdtoolkit.rundir import RunFolder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

RELAY = "teams:Relay"
TWO_STEP = "vdtoolkit.envs.two_step_v0"


def test_it_trains_all_runs_once_each_as_the_plain_command_does(forks, tmp_path):
    file = write(tmp_path, env=[RELAY, TWO_STEP], method=["vdn", "qmix"], seeds=2)
    status, said = forks.run(tmp_path, "sweep", file, "--jobs", 2)
    assert status == 0, said
    assert "2 environments x 2 methods x 2 seeds: 8 runs, 2 at a time" in said
    assert "8 of 8 runs are finished, in out" in said and "vdtoolkit compare out" in said
    names = [
        f"{e}/{m}/seed-{k}"
        for k in (0, 1)
        for e in ("Relay", "two_step_v0")
        for m in ("vdn", "qmix")
    ]
    told = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert [row["name"] for row in told["rows"]] == names
    folders = [tmp_path / "out" / name for name in names]
    assert all(RunFolder(folder).status()["status"] == "finished" for folder in folders)
    assert not list((tmp_path / "out").rglob("checkpoint"))
    for row in told["rows"][1::4]:  # qmix on Relay, seed 0; on two_step, seed 0 and 1
        flags = [f"--{name}={value}" for name, value in TRAIN.items()]
        env = TWO_STEP if "two_step" in row["name"] else RELAY
        plain = ["--env", env, "--algorithm", "qmix", "--seed", row["name"][-1], "--workers", 0]
        assert (
            forks.run(tmp_path, "train", *flags, *plain, "--out", f"plain-{row['index']}")[0] == 0
        )
        assert bits(tmp_path / f"plain-{row['index']}") == bits(tmp_path / row["folder"])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    status, said = forks.run(tmp_path, "sweep", file, "--jobs", 2)
    assert status == 0 and "; finished already: 8" in said
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    assert all(len(begun(folder)) == 1 for folder in folders)


@pytest.fixture(scope="module")
def whole(forks, tmp_path_factory):
    """The bits of the gated runs, which nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "gate").touch()
    assert forks.run(folder, "sweep", gated(folder), "--jobs", 3)[0] == 0
    return [bits(run) for run in runs_of(folder)]


def test_kill_9_of_the_sweep_and_of_a_run_costs_nothing_but_time(forks, whole, tmp_path):
    file, runs = gated(tmp_path), runs_of(tmp_path)
    pid = forks.begin(tmp_path, "sweep", file, "--jobs", 2)
    until(lambda: len(waiting(tmp_path)) == 2)
    os.kill(pid, signal.SIGKILL)
    assert forks.wait(pid) == -signal.SIGKILL
    pid = forks.begin(tmp_path, "sweep", file, "--jobs", 2)  # while others are in their move
    until(lambda: len(waiting(tmp_path)) == 3)
    (one,) = (p for p in pids(tmp_path) if holds(p) == str(runs[2] / "log.txt"))
    os.kill(one, signal.SIGKILL)
    (tmp_path / "gate").touch()
    assert forks.wait(pid) == 0
    assert "seed-2: failed: it was ended by SIGKILL; it is tried again" in said(tmp_path)
    assert said(tmp_path).count("is in use: another process trains in it") == 2
    assert [bits(run) for run in runs] == whole
    for run in runs:
        assert ["resume" in line for line in begun(run)] == [False, True]
    assert pids(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_all_runs_save_and_the_same_command_goes_on(number, forks, whole, tmp_path):
    file, runs = gated(tmp_path, train={"checkpoint-seconds": 1000}), runs_of(tmp_path)
    pid = forks.begin(tmp_path, "sweep", file, "--jobs", 2)
    until(lambda: len(waiting(tmp_path)) == 2)
    os.kill(pid, number)
    until(lambda: "stopping" in said(tmp_path))
    (tmp_path / "gate").touch()
    assert forks.wait(pid) == 130
    assert pids(tmp_path) == []
    assert [status(run) for run in runs] == ["interrupted", "interrupted", None]
    assert 40 < moves(runs[0]) < 80 and 40 < moves(runs[1]) < 80
    assert "0 of 3 runs are finished" in said(tmp_path)
    assert f"To go on: vdtoolkit sweep {file} --jobs 2" in said(tmp_path)
    assert forks.run(tmp_path, "sweep", file, "--jobs", 3)[0] == 0
    assert [bits(run) for run in runs] == whole


def test_a_second_ctrl_c_does_not_wait(forks, tmp_path):
    file, (run, *_) = gated(tmp_path, seeds=1), runs_of(tmp_path)
    pid = forks.begin(tmp_path, "sweep", file)
    until(lambda: waiting(tmp_path))
    for number in (signal.SIGINT, signal.SIGTERM):  # at once: one, as a job's manager may send it
        os.kill(pid, number)
    until(lambda: "stopping" in said(tmp_path))
    time.sleep(AS_ONE + 0.1)
    assert forks.ask({"wait": pid})["status"] is None
    os.kill(pid, signal.SIGINT)
    assert forks.wait(pid, 20) == 130
    assert f"interrupted; to go on: vdtoolkit sweep {file}" in said(tmp_path)
    (tmp_path / "gate").touch()
    until(lambda: not pids(tmp_path))
    assert status(run) == "interrupted"


def test_a_run_that_fails_is_tried_again_from_its_checkpoint_and_given_up_at_last(forks, tmp_path):
    often = [("soon", 2, "a"), ("never", 9, "b"), ("always", 0, "c")]
    envs = [
        {"env": CRASHING, "name": name, "env-arg": {"count": str(tmp_path / file), "times": n}}
        for name, n, file in often
    ]
    train = {"n-envs": 1}
    file = write(tmp_path, env=envs, seeds=1, train=train)
    code, told = forks.run(tmp_path, "sweep", file, "--jobs", 1)
    assert code == 1, told
    runs = {name: tmp_path / "out" / name / "vdn" / "seed-0" for name, *_ in often}
    assert (tmp_path / "a").read_text() == "xx" and (tmp_path / "b").read_text() == "xxx"
    assert [status(run) for run in runs.values()] == ["finished", "failed", "finished"]
    assert bits(runs["soon"]) == bits(runs["always"])
    assert ["resume" in line for line in begun(runs["soon"])] == [False, True, True]
    assert moves(runs["never"]) > 24  # each try came further
    again = "failed: RuntimeError: the game crashed; it is tried again from its checkpoint"
    assert told.count(again) == 4 and "2 of 3 runs are finished" in told
    assert "failed: never/vdn/seed-0: RuntimeError: the game crashed" in told
    assert "vdtoolkit compare out --skip-unfinished" in told
    # the same command tries it once more
    code, told = forks.run(tmp_path, "sweep", file, "--retries", 0)
    assert code == 1 and (tmp_path / "b").read_text() == "xxxx"


def test_a_folder_that_another_process_trains_in_is_waited_for(forks, tmp_path):
    file, run = write(tmp_path, env=RELAY, seeds=1), tmp_path / "out" / "Relay" / "vdn" / "seed-0"
    run.mkdir(parents=True)
    with RunFolder(run).locked():
        pid = forks.begin(tmp_path, "sweep", file, "--retries", 0)
        until(lambda: (tmp_path / "said.txt").exists() and "in use" in said(tmp_path))
        assert "is in use: another process trains in it: it is waited for" in said(tmp_path)
        assert not (run / "log.txt").exists()
    assert forks.wait(pid) == 0
    assert status(run) == "finished"


def test_two_sweeps_of_one_file_share_its_runs(forks, whole, tmp_path):
    file, runs = gated(tmp_path), runs_of(tmp_path)
    both = [forks.begin(tmp_path, "sweep", file, "--jobs", 2) for _ in range(2)]
    until(lambda: len(waiting(tmp_path)) == 3)
    (tmp_path / "gate").touch()
    assert [forks.wait(pid) for pid in both] == [0, 0]
    assert [bits(run) for run in runs] == whole
    assert all(status(run) == "finished" for run in runs)
    trained = [line for run in runs for line in begun(run)]
    assert len(trained) <= 6  # one that came too late ended at once


def test_one_row_by_its_index_ends_with_its_own_status(forks, tmp_path):
    broken = {"env": CRASHING, "env-arg": {"count": str(tmp_path / "count"), "times": 99}}
    file = write(tmp_path, env=[RELAY, broken], seeds=1, train={"n-envs": 1})
    code, told = forks.run(tmp_path, "sweep", file, "--index", 0)
    assert code == 0 and "run 0, Relay/vdn/seed-0" in told
    assert not (tmp_path / "out" / "Crashing").exists()
    assert len(json.loads((tmp_path / "out" / "sweep.json").read_text())["rows"]) == 2
    code, told = forks.run(tmp_path, "sweep", file, "--index", 1, "--retries", 0)
    assert code == 1 and "the game crashed" in told
    code, told = forks.run(tmp_path, "sweep", file, "--index", 2)
    assert code == 2
    assert told == "vdtoolkit sweep: error: --index 2: s.json asks for 2 runs, 0 to 1\n"
    code, told = forks.run(tmp_path, "sweep", file, "--list")
    first, second = (line.split("\t") for line in told.splitlines())
    assert code == 0 and first[:3] == ["0", "Relay/vdn/seed-0", "finished"]
    assert second[1:3] == ["Crashing/vdn/seed-0", "failed, 14 of 60 moves"]
    assert second[3].startswith(f"vdtoolkit train --env {CRASHING} --algorithm vdn")


def test_a_folder_of_something_else_is_refused_before_anything_is_run(forks, tmp_path):
    assert forks.run(tmp_path, "sweep", write(tmp_path, env=RELAY, seeds=1))[0] == 0
    before = bits(tmp_path / "out" / "Relay" / "vdn" / "seed-0")
    file = write(tmp_path, env=RELAY, seeds=2, train={"lr": 0.25, "moves": 70})
    code, told = forks.run(tmp_path, "sweep", file)
    assert code == 2
    assert told == (
        "vdtoolkit sweep: error: s.json: row Relay/vdn/seed-0: out/Relay/vdn/seed-0 holds a run of "
        "something else: config.lr was 0.0005, is 0.25; settings.moves was 60, is 70; give another "
        "`out` or another name, or move that folder away\n"
    )
    assert not (tmp_path / "out" / "Relay" / "vdn" / "seed-1").exists()
    assert bits(tmp_path / "out" / "Relay" / "vdn" / "seed-0") == before
    # results do not depend on these
    file = write(tmp_path, env=RELAY, seeds=1, train={"workers": 2, "checkpoint-seconds": 9})
    assert forks.run(tmp_path, "sweep", file)[0] == 0
    # nor is a lab run a training
    assert forks.run(tmp_path, "sweep", write(tmp_path, game="xor", **LAB))[0] == 0
    (tmp_path / "out" / "xor").rename(tmp_path / "out" / "moved")
    file = write(tmp_path, env={"env": RELAY, "name": "moved"}, seeds=1)
    (tmp_path / "out" / "moved" / "vdn").rename(tmp_path / "vdn")
    (tmp_path / "out" / "moved" / "vdn").mkdir()
    (tmp_path / "vdn").rename(tmp_path / "out" / "moved" / "vdn" / "seed-0")
    code, told = forks.run(tmp_path, "sweep", file)
    assert code == 2 and "holds a run of vdtoolkit igm, not of vdtoolkit train" in told


LAB = {"seeds": 5, "igm": {"moves": 320}}


def test_a_games_seeds_are_one_batch_and_are_never_trained_twice(forks, tmp_path):
    file = write(tmp_path, game=["xor", "nonmonotonic"], method=["vdn", "qmix"], **LAB)
    code, told = forks.run(tmp_path, "sweep", file, "--jobs", 2)
    assert code == 0, told
    assert "2 games x 2 methods x 5 seeds: 4 runs" in told and "index.html, and 3 more" in told
    names = ["xor/vdn", "xor/qmix", "nonmonotonic/vdn", "nonmonotonic/qmix"]
    runs = [tmp_path / "out" / name for name in names]
    for run in runs:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        assert {json.loads(line)["seed"] for line in lines} == {0, 1, 2, 3, 4}
        assert len(begun(run)) == 1
    words = ["igm", "--game", "xor", "--algorithms", "qmix", "--seeds", 5, "--moves", 320]
    assert forks.run(tmp_path, *words, "--jobs", 1, "--out", "plain")[0] == 0
    plain, swept = ((run / "metrics.jsonl").read_bytes() for run in (tmp_path / "plain", runs[1]))
    assert plain == swept
    assert forks.run(tmp_path, "sweep", file)[0] == 0
    assert all(len(begun(run)) == 1 for run in runs)
    file = write(tmp_path, game=["xor"], seeds=5, igm={"moves": 640})
    code, told = forks.run(tmp_path, "sweep", file)
    assert code == 2 and "out/xor/vdn holds a run of something else: moves was 320, is 640" in told


def test_processes_as_they_are_save_and_end_when_the_sweep_is_killed(forks, whole, tmp_path):
    file, (run, *_) = gated(tmp_path, seeds=1), runs_of(tmp_path)
    words = [sys.executable, "-m", "vdtoolkit", "sweep", file]
    with open(tmp_path / "said.txt", "wb") as log:
        process = subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=log, stderr=log)
    until(lambda: waiting(tmp_path) or process.poll() is not None)
    process.kill()
    process.wait()
    (tmp_path / "gate").touch()
    until(lambda: not pids(tmp_path))
    assert status(run) == "interrupted", (run / "log.txt").read_text()
    assert forks.run(tmp_path, "sweep", file)[0] == 0
    assert bits(run) == whole[0]
