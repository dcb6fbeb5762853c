"""A lab run that was ended goes on with what is not finished, and ends the same."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vdtoolkit import cli
from vdtoolkit.files import FolderError
from vdtoolkit.igm import command, lab
from vdtoolkit.igm.game import named_game
from vdtoolkit.igm.kept import Kept, from_plain, plain
from vdtoolkit.rundir import RunFolder

WORDS = ["--algorithms", "vdn,qmix", "--seeds", "2", "--moves", "160", "--jobs", "1"]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    picture = SimpleNamespace(savefig=lambda path, **how: path.write_bytes(b""))
    for module, name in (("curves", "curves"), ("figures", "overview"), ("strip", "strip")):
        path = f"vdtoolkit.igm.report.{module}.plot_{name}"
        monkeypatch.setattr(path, lambda found: picture)
    monkeypatch.setattr("vdtoolkit.igm.results.LabResult.to_html", lambda found: "")
    yield
    torch.set_num_threads(before)


def same(one, other):
    """Equal to the bit, field by field, whatever they are made of."""
    if dataclasses.is_dataclass(one):
        assert type(one) is type(other)
        for field in dataclasses.fields(one):
            if field.name not in ("seconds", "stages"):
                same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, list | tuple):
        assert type(one) is type(other) and len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        same(list(one.values()), list(other.values()))
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert one.tobytes() == other.tobytes()
    else:
        assert one == other or (one != one and other != other)


@pytest.mark.parametrize("game", ["nonmonotonic", "two_step"])
def test_results_come_back_to_the_bit(game, tmp_path):
    jobs = [lab.Job(named_game(game), "qmix", lab.lab_config("qmix"), seed, 96) for seed in (0, 1)]
    results = [lab.run_one(job) for job in jobs]
    same(from_plain(json.loads(json.dumps(plain(results)))), results)
    kept = Kept(tmp_path)
    assert kept.get("qmix", [0, 1]) is None
    kept.put("qmix", [0, 1], results)
    same(kept.get("qmix", [0, 1]), results)


def test_a_lab_run_that_was_ended_trains_only_what_is_left_and_ends_the_same(
    tmp_path, monkeypatch, capsys
):
    assert cli.main(["igm", *WORDS, "--out", str(tmp_path / "whole")]) == 0
    trained, run_seeds = [], lab.run_seeds

    def stopping(jobs, *args):
        if len(trained) == 3:
            trained.append(None)
            raise KeyboardInterrupt
        trained.append((jobs[0].algorithm, [job.seed for job in jobs]))
        return run_seeds(jobs, *args)

    monkeypatch.setattr(lab, "run_seeds", stopping)
    out = tmp_path / "ended"
    assert cli.main(["igm", *WORDS, "--out", str(out)]) == 130
    assert f"To go on: vdtoolkit resume {out}" in capsys.readouterr().err
    assert RunFolder(out).status()["status"] == "interrupted"
    assert cli.main(["igm", *WORDS, "--out", str(out)]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert cli.main(["resume", str(out)]) == 0
    assert trained[4:] == [("qmix", [1])]
    for name in ("metrics.jsonl",):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert RunFolder(out).status()["status"] == "finished"
    assert not (out / "checkpoint").exists()
    assert cli.main(["resume", str(out)]) == 0
    assert "nothing is left to do" in capsys.readouterr().out


def began(out):
    """Two worker processes train a lab run that would take long: the command and they."""
    words = ["igm", "--algorithms", "vdn", "qmix", "--seeds", "2", "--moves", "100000000"]
    main = [sys.executable, "-m", "vdtoolkit", *words, "--jobs", "2", "--out", str(out)]
    process = subprocess.Popen(main, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_for(lambda: len(working(children)) >= 2)
    return process, working(children)


def working(children):
    """Those children that have taken some seconds of a core: they have begun to train."""
    pids = children.read_text().split()
    return [pid for pid in pids if seconds_of(pid) > 2.5]


def seconds_of(pid):
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(done, seconds=120):
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_end_it_and_its_workers(number, tmp_path):
    process, workers = began(tmp_path / "out")
    process.send_signal(number)
    assert process.wait(60) == (130 if number == signal.SIGTERM else -number)
    wait_for(lambda: not any(map(alive, workers)), 20)
    said = {signal.SIGTERM: "interrupted", signal.SIGKILL: "running"}[number]
    assert RunFolder(tmp_path / "out").status()["status"] == said


@pytest.mark.parametrize("batch", ["50", "1"])
def test_timing_says_where_the_time_of_each_team_went(batch, tmp_path):
    words = [*WORDS, "--seeds", "4", "--batch", batch, "--out", str(tmp_path / "out")]
    assert cli.main(["igm", *words]) == 0
    lines = (tmp_path / "out" / "timing.jsonl").read_text().splitlines()
    assert len(lines) == 8
    for line in map(json.loads, lines):
        stages = line["stages"]
        assert {"env", "learn", "audit", "judge"} <= set(stages)
        assert all(seconds > 0 for seconds in stages.values())
        if batch == "1":  # nobody else's audits in between
            assert 0.5 * line["seconds"] < sum(stages.values()) <= line["seconds"]


def test_audits_are_events_for_tensorboard_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install .[log]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert cli.main(["igm", *WORDS, "--out", str(tmp_path)]) == 0
    told = EventAccumulator(str(tmp_path))
    told.Reload()
    lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    audits = [line for line in lines if line["algorithm"] == "qmix" and line["seed"] == 1]
    seen = told.Scalars("qmix/seed-1/regret")
    assert [event.step for event in seen] == [line["moves"] for line in audits]
    np.testing.assert_allclose([e.value for e in seen], [line["regret"] for line in audits])


def test_the_folder_says_what_was_asked_and_what_it_depends_on(tmp_path):
    np.save(tmp_path / "mine.npy", np.arange(4.0).reshape(2, 2))
    words = ["--payoff", str(tmp_path / "mine.npy"), *WORDS]
    assert cli.main(["igm", *words, "--out", str(tmp_path / "out")]) == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["kind"] == "igm" and config["algorithms"] == ["vdn", "qmix"]
    assert config["config"]["vdn"]["lr"] == 3e-3 and config["seeds"] == [0, 1]
    passport = json.loads((tmp_path / "out" / "passport.json").read_text())
    assert passport["env"]["id"] == "vdtoolkit.envs.matrix_game_v0"
    assert passport["env"]["arguments"] == {"argument 0": [[0.0, 1.0], [2.0, 3.0]]}
    assert passport["evaluation"]["mode"] == "audit" and len(passport["env"]["spaces"]) == 64
    lines = [json.loads(x) for x in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert {line["algorithm"] for line in lines} == {"vdn", "qmix"}
    finals = [line for line in lines if line.get("final")]
    assert len(finals) == 4 and all(line["moves"] == 160 for line in finals)
    assert command.PROGRAM in config["command"]


def test_kept_files_that_are_broken_or_hostile_are_refused(tmp_path):
    job = lab.Job(named_game("nonmonotonic"), "vdn", lab.lab_config("vdn"), 0, 64)
    kept, rng = Kept(tmp_path), random.Random(0)
    kept.put("vdn", [0], [lab.run_one(job)])
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for _ in range(200):
        path.write_bytes(content[: rng.randrange(len(content))])
        with pytest.raises(FolderError, match=path.name):
            kept.get("vdn", [0])
    path.write_bytes(content.replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(FolderError, match="format 2"):
        kept.get("vdn", [0])
    for hostile in (
        {"is": "system", "fields": {}},
        {"array": "AAAA", "dtype": "O", "shape": [1]},
        {"array": "AAAA", "dtype": "f4", "shape": [10**9]},
        [{"is": "Limit", "fields": {"seed": 0}}],
        [],
    ):
        told = {"format": 1, "seeds": [0], "results": hostile}
        path.write_text(json.dumps(told))
        with pytest.raises(FolderError, match=path.name):
            kept.get("vdn", [0])
