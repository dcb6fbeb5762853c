"""The folder of a run: what is in it, that nothing is ever half, and what a full disk does."""

import io
import itertools
import json
import os
import signal
from functools import partial

import pytest
import torch
from killed import Picture
from teams import Relay
from test_resume import FEW, SELDOM, bits, end_after, flags, resume, send, train

from vdtoolkit import cli, files, sealed
from vdtoolkit.commands import train as command
from vdtoolkit.files import Lines, SavingError, read_json, write_json, write_whole
from vdtoolkit.passport import differences
from vdtoolkit.rundir import RunFolder, Window
from vdtoolkit.training import Report

FULL = OSError(28, "No space left on device")
READ_ONLY = OSError(30, "Read-only file system")


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(command, "plot_learning", lambda result: Picture())
    yield
    torch.set_num_threads(before)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# -- what is in it --------------------------------------------------------------------------


def test_the_folder_holds_what_was_asked_what_it_depends_on_and_how_it_went(tmp_path):
    out = tmp_path / "run"
    given = [*flags(), "--seed", "7", "--env-arg", "end='mixed'"]
    assert train(out, given) == 0
    config, passport = read_json(out / "config.json"), read_json(out / "passport.json")
    assert config["format"] == 1 and config["algorithm"] == "qmix" and config["seed"] == 7
    assert config["env"]["env"] == "teams:Relay" and config["env"]["arguments"] == {"end": "mixed"}
    assert config["settings"]["moves"] == 90 and config["config"]["hidden_dim"] == 5
    assert passport["format"] == 1 and passport["versions"]["torch"] == torch.__version__
    assert passport["env"]["id"] == "teams:Relay" and len(passport["env"]["spaces"]) == 64
    assert (passport["n_envs"], passport["workers"], passport["seed"]) == (3, 0, 7)
    evaluation = {"mode": "greedy", "every": 40, "episodes": 2, "final_episodes": 3}
    assert passport["evaluation"] == evaluation
    assert {"machine", "cpu", "cores", "device", "gpu"} == set(passport["hardware"])
    assert {"commit", "platform", "threads", "updates_per_episode"} <= set(passport)
    status = read_json(out / "status.json")
    assert (status["status"], status["moves"], status["of"]) == ("finished", 92, 90)
    assert not (out / "checkpoint").exists()  # a finished run needs none


def test_metrics_are_lines_without_a_clock_and_timing_says_where_it_went(tmp_path):
    assert train(tmp_path, flags()) == 0
    metrics, timing = lines(tmp_path / "metrics.jsonl"), lines(tmp_path / "timing.jsonl")
    points = [line for line in metrics if line["kind"] == "evaluation"]
    assert [point["moves"] for point in points] == [0, 42, 80, 90]
    assert [point.get("final", False) for point in points] == [False, False, False, True]
    assert metrics[-1]["final"] and points[0]["episodes"] == 2 and points[-1]["episodes"] == 3
    training = [line for line in metrics if line["kind"] == "training"]
    assert len(training) > 20 and training[-1]["moves"] == 90
    assert {"return", "length", "win_rate", "loss", "epsilon", "updates"} <= set(training[-1])
    assert not any("second" in key or "time" in key for line in metrics for key in line)
    stages = timing[-1]["stages"]
    assert {"env", "act", "store", "learn", "evaluate"} <= set(stages)
    assert all(seconds > 0 for seconds in stages.values())
    for one, other in itertools.pairwise(timing):
        assert one["moves"] <= other["moves"] and one["seconds"] <= other["seconds"]


def test_returns_in_the_lines_are_those_of_the_episodes_between_them():
    window = Window()

    def report(moves, returns, lengths, won):
        import numpy as np

        arrays = (np.array(x, float) for x in (returns, lengths, won))
        return Report(moves, *arrays, 1, 0, {"loss": 0.5, "bad": float("nan")})

    nan = float("nan")
    window.take(report(4, [1.0, 4.0], [2, 3], [1.0, nan]))
    window.take(report(6, [], [], []))
    window.take(report(8, [7.0], [4], [0.0]))
    again = Window(json.loads(json.dumps(window.to_json())))
    expected = {"return": 4.0, "length": 3.0, "win_rate": 0.5, "loss": 0.5, "bad": None, "moves": 8}
    for one in (window, again):
        line = one.line(8, 3, 2, 0.9, report(8, [], [], []))
        assert expected.items() <= line.items()
        assert (one.moves, one.episodes) == (8, 0)
    assert window.line(9, 3, 2, 0.9, report(9, [], [], []))["return"] is None


def test_what_a_second_passport_says_otherwise_is_told():
    then = {"versions": {"torch": "2.1", "numpy": "2"}, "workers": 0, "seed": 1}
    now = {"versions": {"torch": "2.2", "numpy": "2"}, "workers": 2, "seed": 1, "resumed": []}
    assert differences(then, now) == ["versions.torch was '2.1', is '2.2'"]


def test_events_for_tensorboard_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install .[log]")
    assert train(tmp_path, flags()) == 0
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_seeds_have_a_run_each_and_resume_finishes_all(tmp_path, monkeypatch):
    given = [*flags(moves=40), "--seeds", "3"]
    assert train(tmp_path / "whole", [*given, *SELDOM]) == 0
    with monkeypatch.context() as patch:
        end_after(patch, 20, partial(send, signal.SIGINT))
        assert train(tmp_path / "ended", given) == 130
    out = tmp_path / "ended"
    assert RunFolder(out).status()["status"] == "interrupted" and not (out / "seed-2").exists()
    assert RunFolder(out / "seed-0").status()["status"] == "finished"
    assert resume(out) == 0
    for seed in range(3):
        assert bits(out / f"seed-{seed}") == bits(tmp_path / "whole" / f"seed-{seed}")
    for name in ("curve.csv",):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    told, whole = (read_json(path / "result.json") for path in (out, tmp_path / "whole"))
    assert told["final"] == whole["final"] and told["baseline"] == whole["baseline"]


def test_a_finished_run_says_so_and_a_new_one_does_not_go_over_it(tmp_path, capsys):
    assert train(tmp_path / "run", flags(moves=20)) == 0
    before = bits(tmp_path / "run")
    assert resume(tmp_path / "run") == 0
    assert "is finished: 20 moves; nothing is left to do" in capsys.readouterr().out
    assert train(tmp_path / "run", flags(moves=20)) == 2
    said = capsys.readouterr().err
    assert "holds a run already: go on with it by vdtoolkit resume" in said
    assert bits(tmp_path / "run") == before


def test_two_processes_do_not_train_in_one_folder(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        end_after(patch, 9, partial(send, signal.SIGINT))
        train(tmp_path, flags())
    with RunFolder(tmp_path).locked():
        assert resume(tmp_path) == 2
    assert "is in use: another process trains in it" in capsys.readouterr().err
    assert resume(tmp_path) == 0


# -- environments that do not come back -----------------------------------------------------


class Forgetful(Relay):
    """Its dice are not those of reset(seed=...)."""

    lots = 0

    def reset(self, seed=None, options=None):
        Forgetful.lots += 1
        return super().reset(seed=Forgetful.lots, options=options)


class Unseedable(Forgetful):
    metadata = {"name": "unseedable_v0", "seedable": False}  # noqa: RUF012


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    def run(env, workers=0):
        with monkeypatch.context() as patch:
            end_after(patch, 11, partial(send, signal.SIGTERM))
            assert train(tmp_path, flags(env, workers=workers)) == 130
        return tmp_path

    return run


def test_an_environment_that_does_not_come_back_is_a_clear_error_and_a_way_out(interrupted, capsys):
    out = interrupted("test_rundir:Forgetful")
    team = (out / "team.safetensors").read_bytes()
    assert resume(out) == 2
    said = capsys.readouterr().err
    assert "the environment did not come back to where it was: its " in said
    assert "give up the open episodes with --new-episodes" in said
    assert (out / "team.safetensors").read_bytes() == team
    assert RunFolder(out).status()["status"] == "failed"
    assert resume(out, "--new-episodes") == 0
    assert "open episodes are given up and new ones begin: as was asked" in capsys.readouterr().err
    assert lines(out / "metrics.jsonl")[-1]["final"]


@pytest.mark.parametrize("workers", [0, 2])
def test_one_that_says_it_cannot_be_seeded_goes_on_with_new_episodes(workers, interrupted, capsys):
    out = interrupted("test_rundir:Unseedable", workers)
    assert resume(out) == 0
    said = capsys.readouterr().err
    assert "new ones begin: the environment says that it cannot be seeded" in said


# -- disks ----------------------------------------------------------------------------------


def failing(call, error, at):
    """The call, which fails from its at-th time on."""
    count = [0]

    def made(*args, **kwargs):
        count[0] += 1
        if count[0] >= at:
            raise error
        return call(*args, **kwargs)

    return made


PLACES = {
    "rename": (os, "replace"),
    "flush": (os, "fsync"),
    "tensors": (sealed, "save_file"),
}


@pytest.mark.parametrize("at", [1, 2, 12, 30])
@pytest.mark.parametrize("error", [FULL, READ_ONLY], ids=["full", "read-only"])
@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_is_full_or_read_only_is_one_clear_line_and_loses_nothing(
    place, error, at, tmp_path, monkeypatch, capsys, whole_run
):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        module, name = PLACES[place]
        patch.setattr(module, name, failing(getattr(module, name), error, at))
        assert train(out, flags(moves=60)) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("vdtoolkit train: error: cannot write ") and error.strerror in said
    assert "all that was saved before is whole" in said
    if not (out / "config.json").exists():
        return  # it had not begun
    assert f"then go on: vdtoolkit resume {out}" in said
    for path in out.rglob("*"):
        assert not path.name.startswith("."), "a file was left half-written"
    assert resume(out) == 0
    assert bits(out) == whole_run


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    assert train(out, [*flags(moves=60), *SELDOM]) == 0
    return bits(out)


class Small(io.FileIO):
    """A file on a disk with room for so many bytes."""

    room = 3000

    def write(self, content):
        left = self.room - self.seek(0, 2)
        if left < len(content):
            if left > 0:
                return super().write(content[:left])
            raise FULL
        return super().write(content)


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(
    tmp_path, monkeypatch, capsys, whole_run
):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(files, "open", lambda path, mode, **_: Small(path, mode), raising=False)
        assert train(out, flags(moves=60)) == 2
    assert "No space left on device" in capsys.readouterr().err
    content = (out / "metrics.jsonl").read_bytes()
    assert 2000 < len(content) <= 3000 and content.endswith(b"\n")
    assert resume(out) == 0 and bits(out) == whole_run


def test_a_power_cut_leaves_torn_tails_and_half_files_that_do_not_count(
    tmp_path, monkeypatch, whole_run
):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        end_after(patch, 9, partial(send, signal.SIGINT))
        assert train(out, flags(moves=60)) == 130
    with open(out / "metrics.jsonl", "ab") as file:
        file.write(b'{"kind": "training", "moves": 99}\n{"kind": "tra')
    (out / "checkpoint" / ".state.safetensors.123").write_bytes(b"half")
    (out / "checkpoint" / "episodes-000000000999.safetensors").write_bytes(b"half")
    assert len(RunFolder(out).lines("metrics.jsonl")) > 5  # a torn line is not read
    assert resume(out) == 0 and bits(out) == whole_run


def test_the_replay_on_the_disk_stays_as_large_as_the_buffer(tmp_path, monkeypatch):
    sizes, checkpoint = [], tmp_path / "checkpoint"

    def look(training):
        segments = list(checkpoint.glob("episodes-*"))
        sizes.append((len(segments), len(training.agents.replay), training.agents.replay.serial))

    end_after(monkeypatch, 1, look)
    assert train(tmp_path, flags(moves=240)) == 0
    assert sizes[-1][2] > 40  # episodes were stored
    assert max(held for _, held, _ in sizes) == 9
    assert all(segments <= held for segments, held, _ in sizes)


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def broken(temporary):
        temporary.write_text("half")
        raise FULL

    with pytest.raises(SavingError, match=r"cannot write .*a\.json: No space left on device; all"):
        write_whole(path, broken)
    assert read_json(path) == {"a": 1} and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_lines_go_on_at_an_offset_and_refuse_a_file_that_was_cut(tmp_path):
    path = tmp_path / "a.jsonl"
    first = Lines(path)
    first.add({"a": 1})
    kept = first.flush()
    first.add({"a": 2})
    first.close()
    second = Lines(path, kept)
    second.add({"a": 3})
    second.close()
    assert lines(path) == [{"a": 1}, {"a": 3}]
    with pytest.raises(ValueError, match=r"a\.jsonl has 18 bytes, 100 were written: it was cut"):
        Lines(path, 100)


def test_a_folder_without_the_right_to_write_is_one_clear_line(tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    out.chmod(0o500)
    if os.access(out, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert train(out, flags()) == 2
    assert "cannot write to" in capsys.readouterr().err


def test_help_of_resume(capsys):
    assert cli.main(["resume", "--help"]) == 0
    assert "--new-episodes" in capsys.readouterr().out and FEW
