"""`vdtoolkit compare`: what it writes and prints, and what it refuses."""

import csv
import json
import re

import pytest
from compare import folders

from vdtoolkit import cli

ENVS = ("pack.game_v0", "pack.other_v0")
FILES = {
    "aggregates.csv",
    "aggregates.png",
    "curves.csv",
    "efficiency.png",
    "improvement.png",
    "index.html",
    "marl-eval.json",
    "pairs.csv",
    "profiles.png",
    "result.json",
    "runs.csv",
}


def compare(*arguments):
    return cli.main(["compare", *map(str, arguments), "--resamples", "200"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three methods on two environments, three seeds."""
    root = tmp_path_factory.mktemp("runs")
    return folders.several(root, {"qmix": 8, "vdn": 5, "iql": 4.8}, ENVS)


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    assert compare(runs, "--out", out) == 0
    return out


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_it_prints_tables_and_says_where_the_files_are(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compare(runs) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"compare-[\d-]+", folder.name)
    assert {path.name for path in folder.iterdir()} == FILES
    said = capsys.readouterr().out
    for word in (
        "3 methods, 2 environments, 3 seeds each",
        "IQM",
        "P(first > second)",
        "game_v0",
        "QMIX has the highest interquartile mean",
        "more seeds an environment",
        f"runs/{folder.name}/",
    ):
        assert word in said
    assert "differ" not in said.replace("difference", "").replace("do not differ", "")


def test_the_page_needs_nothing_else(page):
    text = (page / "index.html").read_text()
    assert text.count("<svg") == 4
    assert not re.search(r'(src|href)="(?!#)', text)
    assert "<script" not in text and "@import" not in text
    for word in ("QMIX", "game_v0", "other_v0", "interquartile mean", "differ in nothing"):
        assert word in text
    assert 'class="banner"' not in text


def test_pictures_are_png(page):
    for path in page.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_tables_hold_every_run_and_every_point(page):
    told = rows(page / "runs.csv")
    assert len(told) == 18
    assert {row["method"] for row in told} == {"QMIX", "VDN", "IQL"}
    first = next(r for r in told if (r["method"], r["seed"]) == ("QMIX", "0"))
    assert float(first["measured"]) == 7.4 and int(first["moves"]) == 100
    assert len(rows(page / "pairs.csv")) == 3
    assert len(rows(page / "aggregates.csv")) == 12
    curve = [r for r in rows(page / "curves.csv") if r["environment"] == "game_v0"]
    assert [r["x"] for r in curve if r["method"] == "VDN"] == ["0.0", "50.0", "100.0"]
    assert {r["runs"] for r in curve} == {"3"}


def test_the_json_is_what_is_printed(runs, page, tmp_path, capsys):
    assert compare(runs, "--out", tmp_path, "--json") == 0
    said = capsys.readouterr()
    printed = json.loads(said.out)
    kept = json.loads((page / "result.json").read_text())
    assert printed.pop("command") != kept.pop("command")
    assert printed == kept
    assert kept["methods"][0] == "QMIX" and kept["comparable"] is True
    assert str(tmp_path) in said.err


def test_marl_evals_layout(page):
    told = json.loads((page / "marl-eval.json").read_text())
    tasks = told["vdtoolkit"]
    assert list(tasks) == ["game_v0", "other_v0"]
    assert set(tasks["game_v0"]) == {"QMIX", "VDN", "IQL"}
    runs = tasks["game_v0"]["QMIX"]
    assert list(runs) == ["run_0", "run_1", "run_2"]
    assert runs["run_0"] == {
        "step_0": {"step_count": 0, "return": [0.0]},
        "step_1": {"step_count": 50, "return": [3.7]},
        "step_2": {"step_count": 100, "return": [7.4]},
        "absolute_metrics": {"return": [7.4]},
    }


def test_marl_eval_gets_as_many_steps_of_every_run(tmp_path):
    folders.run(tmp_path / "r" / "a", "qmix", 0, (0, 1, 2, 3, 4), wins=(0, 0, 0, 1, 1))
    folders.run(tmp_path / "r" / "b", "vdn", 0, (0, 1, 2), wins=(0, 0.5, 1))
    assert compare(tmp_path / "r", "--out", tmp_path, "--suite", "Mine") == 0
    told = json.loads((tmp_path / "marl-eval.json").read_text())["mine"]["game_v0"]
    for method in ("QMIX", "VDN"):
        run = told[method]["run_0"]
        steps = {name: step.pop("step_count", None) for name, step in run.items()}
        assert steps == {"step_0": 0, "step_1": 50, "step_2": 100, "absolute_metrics": None}
        assert run["step_1"]["return"] == [1.0] and run["absolute_metrics"]["return"] == [2.0]
        assert "win_rate" in run["absolute_metrics"]


def test_runs_that_differ_are_refused_with_a_table(tmp_path, capsys):
    folders.run(tmp_path / "r" / "a", "qmix", 0)
    folders.run(tmp_path / "r" / "b", "vdn", 0, changes={"n_envs": 32, "versions.torch": "1.0"})
    assert compare(tmp_path / "r", "--out", tmp_path / "page") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith(
        "vdtoolkit compare: error: these runs differ in versions.torch, n_envs: leave out those"
    )
    for word in ("n_envs", "other data for each gradient step", "32:", "versions.torch", "1.0:"):
        assert word in said.err
    assert not (tmp_path / "page").exists()


def test_anyway_is_loud(tmp_path, capsys):
    folders.run(tmp_path / "r" / "a", "qmix", 0)
    folders.run(tmp_path / "r" / "b", "vdn", 0, changes={"n_envs": 32})
    assert compare(tmp_path / "r", "--out", tmp_path, "--anyway") == 0
    banner = "These runs differ in what matters."
    assert banner in capsys.readouterr().out
    text = (tmp_path / "index.html").read_text()
    assert 'class="banner" role="alert"' in text and banner in text
    assert text.index(banner) < text.index("Findings")
    assert json.loads((tmp_path / "result.json").read_text())["comparable"] is False


def test_unfinished_runs_can_be_left_out(tmp_path, capsys):
    folders.several(tmp_path / "r", {"qmix": 8, "vdn": 5})
    folders.run(tmp_path / "r" / "x", "qmix", 7, (0, 0), of=100, status="failed")
    (folders.run(tmp_path / "y", "qmix", 8, status="running") / "metrics.jsonl").write_text("")
    assert compare(tmp_path / "r", "--out", tmp_path / "all") == 0
    assert "not finished" in capsys.readouterr().out
    both = [tmp_path / "r", tmp_path / "y"]
    assert compare(*both, "--out", tmp_path / "done") == 2
    assert "no evaluation; there is nothing to compare" in capsys.readouterr().err
    assert compare(*both, "--out", tmp_path / "done", "--skip-unfinished") == 0
    assert "not finished" not in capsys.readouterr().out
    assert compare(tmp_path / "y", "--skip-unfinished") == 2
    assert "none of the runs has finished" in capsys.readouterr().err
    assert len(rows(tmp_path / "all" / "runs.csv")) == 7
    assert len(rows(tmp_path / "done" / "runs.csv")) == 6


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "no runs given: name the folders that vdtoolkit train wrote"),
        (["nowhere"], "nowhere: there is no such folder"),
        (["RUNS", "--best", "game_v0"], "--best game_v0: it must be ENVIRONMENT=VALUE, a number"),
        (["RUNS", "--random", "game_v0=x"], "--random game_v0=x: it must be ENVIRONMENT=VALUE"),
        (["RUNS", "--best", "x=1"], "--best x: there is no such environment"),
        (["RUNS", "--seed", "-1"], "--seed -1: it must be at least 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(runs, arguments, why, capsys):
    words = [str(runs) if word == "RUNS" else word for word in arguments]
    assert compare(*words) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"vdtoolkit compare: error: {why}")
    assert said.err.count("\n") == 1


def test_too_few_resamples(runs, capsys):
    assert cli.main(["compare", str(runs), "--resamples", "10"]) == 2
    assert "--resamples 10: it must be at least 100" in capsys.readouterr().err


def test_a_file_in_the_way_of_the_folder(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert compare(runs, "--out", tmp_path / "file") == 2
    assert "cannot write to" in capsys.readouterr().err


def test_many_methods_fit_the_figures(tmp_path):
    methods = {f"method_{k}": 3 + k / 4 for k in range(12)}
    envs = tuple(f"pack.game_{k}_v0" for k in range(5))
    folders.several(tmp_path / "r", methods, envs, seeds=2)
    assert compare(tmp_path / "r", "--out", tmp_path) == 0
    assert len(rows(tmp_path / "pairs.csv")) == 66


def test_marl_eval_reads_it(page):
    """marl-eval's own check and matrices, where it is installed."""
    tools = pytest.importorskip("marl_eval.utils.data_processing_utils")
    raw = json.loads((page / "marl-eval.json").read_text())
    data = tools.data_process_pipeline(raw_data=raw, metrics_to_normalize=["return"])
    final, _ = tools.create_matrices_for_rliable(data, "vdtoolkit", ["return"])
    assert final["mean_norm_return"]["qmix"].shape == (3, 2)
