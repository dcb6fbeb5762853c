"""Folders of runs are read as they are, and what is wrong with one is said by its name."""

import numpy as np
import pytest

from vdtoolkit.compare.records import read_runs

from .folders import dump, old, run, several


def only(path):
    (record,) = read_runs([path])
    return record


def refused(paths):
    with pytest.raises(ValueError) as told:
        read_runs(paths)
    return str(told.value)


def test_a_run_is_what_its_files_say(tmp_path):
    record = only(run(tmp_path / "a", "vdn", 3, (0.5, 1.0, 2.5), wins=(0, 0.5, 1), random=-1.5))
    assert (record.algorithm, record.seed, record.status, record.of) == ("vdn", 3, "finished", 100)
    assert record.env == {"env": "pack.game_v0", "arguments": {}, "wrappers": []}
    assert record.moves.tolist() == [0, 50, 100]
    assert record.returns.tolist() == [0.5, 1.0, 2.5]
    assert record.wins.tolist() == [0, 0.5, 1]
    assert record.random == -1.5
    told = record.passport
    assert told["versions.torch"] == "2.13.0" and told["env.spaces"] == "5f1e"
    assert told["n_envs"] == 8  # what was played, not the flag's "auto"
    assert (told["reward"], told["moves"], told["evaluation.mode"]) == ("mean", 100, "greedy")
    assert "seed" not in told and "algorithm" not in told


def test_the_final_evaluation_stands_for_one_at_the_same_moves(tmp_path):
    record = only(run(tmp_path, returns=(0, 1, 2, 9), moves=[0, 50, 100, 100]))
    assert record.moves.tolist() == [0, 50, 100] and record.returns.tolist() == [0, 1, 9]


def test_runs_are_found_below_and_summaries_are_none(tmp_path):
    several(tmp_path / "all", {"qmix": 4, "vdn": 3})
    dump(tmp_path / "all" / "pack.game_v0-qmix" / "result.json", {"runs": []})  # of all seeds
    (tmp_path / "all" / "empty").mkdir()
    assert len(read_runs([tmp_path / "all"])) == 6


def test_a_run_that_goes_on_is_read_so_far(tmp_path):
    folder = run(tmp_path, status="running", of=500)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "evaluation", "mov')  # being written
    record = only(folder)
    assert not record.finished and record.of == 500
    assert record.moves.tolist() == [0, 50, 100]
    assert record.random is None


def test_evaluations_without_a_return_are_left_out_and_told(tmp_path):
    record = only(run(tmp_path, returns=(0.0, float("nan"), 3.0, None)))
    assert record.moves.tolist() == [0, 100] and record.returns.tolist() == [0, 3]
    assert record.notes == ("2 evaluations have no return (NaN) and are left out",)


def test_a_run_that_was_resumed_says_what_had_changed(tmp_path):
    changed = ["versions.torch was '2.12.0', is '2.13.0'"]
    resumed = [{"date": "2026-11-20", "changed": []}, {"date": "2026-11-21", "changed": changed}]
    record = only(run(tmp_path, changes={"resumed": resumed}))
    assert record.notes == (f"it was resumed on another footing: {changed[0]}",)
    assert "resumed" not in record.passport


def test_old_folders_have_result_json_alone(tmp_path):
    first, second = read_runs([old(tmp_path)])
    assert (first.seed, second.seed) == (0, 1)
    assert second.returns.tolist() == [0, 1, 3] and second.moves.tolist() == [0, 50, 100]
    assert first.random == -1.0 and first.finished
    assert first.passport["n_envs"] == 4 and first.passport.get("env.spaces") is None
    assert not read_runs([old(tmp_path / "b", interrupted=True)])[0].finished


def test_numbers_between_evaluations_are_on_a_line_and_none_are_beyond(tmp_path):
    record = only(run(tmp_path, returns=(0, 2, 4), moves=[10, 50, 100]))
    assert record.at(75, record.returns) == 3.0
    assert np.isnan(record.at(5, record.returns)) and np.isnan(record.at(101, record.returns))


def test_no_such_folder(tmp_path):
    assert refused([tmp_path / "x"]) == f"{tmp_path}/x: there is no such folder"


def test_a_folder_without_runs(tmp_path):
    assert "no run of vdtoolkit train in it or below it" in refused([tmp_path])


def test_runs_of_the_lab_are_left_out_of_a_sweeps_folder(tmp_path):
    lab = tmp_path / "nonmonotonic" / "qmix"
    lab.mkdir(parents=True)
    dump(lab / "config.json", {"format": 1, "kind": "igm"})
    (lab / "metrics.jsonl").write_text('{"kind": "audit", "algorithm": "qmix", "seed": 0}\n')
    dump(lab / "result.json", {"methods": []})
    assert "no run of vdtoolkit train in it or below it" in refused([tmp_path])
    run(tmp_path / "spread" / "qmix" / "seed-0")
    assert only(tmp_path).name == str(tmp_path / "spread" / "qmix" / "seed-0")


def test_the_same_folder_twice(tmp_path):
    folder = run(tmp_path / "a")
    again = tmp_path / "b"
    again.symlink_to(folder)
    assert "is given twice" in refused([folder, folder])
    assert f"{again} is given twice, as {folder} too" in refused([folder, again])
    assert "is given twice" in refused([tmp_path, folder])


@pytest.mark.parametrize("name", ["config.json", "passport.json", "status.json"])
def test_a_file_that_is_missing_or_broken(tmp_path, name):
    path = run(tmp_path) / name
    path.write_text("{")
    assert f"{path} is not JSON" in refused([tmp_path])
    path.write_text("[]")
    assert f"{path} is not a JSON object" in refused([tmp_path])
    path.unlink()
    assert f"{path} cannot be read: No such file" in refused([tmp_path])


def test_a_field_that_is_missing(tmp_path):
    dump(run(tmp_path) / "config.json", {"algorithm": "qmix"})
    assert refused([tmp_path]) == f"{tmp_path}: its files do not tell 'settings': is it a run's?"


def test_a_broken_line_that_is_not_the_last(tmp_path):
    path = run(tmp_path) / "metrics.jsonl"
    path.write_text("oops\n" + path.read_text())
    assert f"{path}, line 1 is not JSON" in refused([tmp_path])


def test_no_evaluation(tmp_path):
    (run(tmp_path) / "metrics.jsonl").write_text("")
    assert f"{tmp_path}: no evaluation; there is nothing to compare" in refused([tmp_path])
    run(tmp_path, returns=(float("nan"), None))
    assert "no evaluation with a return: all are NaN" in refused([tmp_path])


def test_a_result_of_something_else(tmp_path):
    dump(tmp_path / "result.json", {"game": "xor"})
    assert "its result.json is not of vdtoolkit train" in refused([tmp_path])
