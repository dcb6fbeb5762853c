"""The contests with peers: what is run, in which order, and what the table says."""

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import side_by_side
from benchmarks.peers import setup

PEERS = Path(side_by_side.__file__).parent / "peers"


@pytest.fixture
def played(monkeypatch):
    """Runs that take no time: ours at 300, 330, 360 steps/s, XuanCe at 100, no BenchMARL."""
    runs = []

    def run(name, flags, venvs, clones):
        runs.append(name)
        if name == "BenchMARL":
            return None
        speed = {"XuanCe": 100, "vdtoolkit, fast": 400}.get(name)
        speed = speed or 300 + 30 * (runs.count("vdtoolkit") - 1)
        return {"peer": name, "version": "v1.2", "steps_per_second": speed}

    monkeypatch.setattr(side_by_side, "run", run)
    return runs


def test_everyone_plays_in_turn_and_the_ratios_are_of_medians(played):
    entries = [*side_by_side.both({}), ("XuanCe", {"threads": 2}), ("BenchMARL", {})]
    ours, fast, xuance, benchmarl = side_by_side.contest(entries, 3, Path(), {})
    assert played == ["vdtoolkit", "vdtoolkit, fast", "XuanCe", "BenchMARL"] * 3
    assert (ours["rate"], ours["lowest to highest"]) == ("330 steps/s", "300 to 360")
    assert fast["rate"] == "400 steps/s"
    assert (xuance["who"], xuance["how"]) == ("XuanCe 1.2", "threads 2")
    assert xuance["vdtoolkit / this"] == "3.30"
    assert xuance["vdtoolkit, fast / this"] == "4.00"
    assert benchmarl["rate"] == "not installed"


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"steps_per_second": 7.0, "seconds": 9.0}, ("steps/s", 7.0)),
        ({"updates_per_second": 8.0, "seconds": 9.0}, ("updates/s", 8.0)),
        ({"seconds": 10.0}, ("steps/s, start and all", 2500.0)),
    ],
)
def test_what_is_compared_is_told_with_its_unit(told, wanted):
    assert side_by_side.rate(told) == wanted


def test_ours_runs_with_the_extra_and_without(monkeypatch, tmp_path):
    asked = []

    def process(command, env, **how):
        asked.append((command[1:], env["VDTOOLKIT_FAST"]))
        return SimpleNamespace(returncode=0, stdout='{"version": "1"}\n')

    monkeypatch.setattr(side_by_side.subprocess, "run", process)
    monkeypatch.setattr(side_by_side, "find_spec", lambda name: object())
    for name, flags in side_by_side.both({"once": True, "threads": 2}):
        assert side_by_side.run(name, flags, tmp_path, {})["seconds"] >= 0
    words = ["-m", "benchmarks.ours", "--once", "--threads", "2"]
    assert asked == [(words, "0"), (words, "1")]
    monkeypatch.setattr(side_by_side, "find_spec", lambda name: None)
    assert side_by_side.run("vdtoolkit, fast", {}, tmp_path, {}) is None


def test_a_peer_without_its_environment_is_left_out(tmp_path):
    assert side_by_side.run("XuanCe", {}, tmp_path, {}) is None


def test_a_run_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"vdtoolkit failed:(.|\n)*--colour"):
        side_by_side.run("vdtoolkit", {"colour": "red"}, tmp_path, {})


def test_every_peer_has_a_script_and_an_environment():
    for script, venv, _ in side_by_side.SCRIPTS.values():
        assert (PEERS / script).exists() and venv in setup.PEERS


def test_torch_is_installed_first_and_pinned(monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(setup.subprocess, "run", lambda c, check: commands.append(c))
    setup.make(tmp_path / "xuance", setup.PEERS["xuance"])
    assert commands[0][1:3] == ["-m", "venv"]
    assert commands[1][-1] == "torch==2.13.0"
    assert "xuance==1.4.4" in commands[2] and "torch==2.13.0" in commands[2]


@pytest.mark.parametrize("path", sorted(PEERS.glob("*.py")), ids=lambda p: p.stem)
def test_a_script_for_a_peer_does_not_need_vdtoolkit(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith(("vdtoolkit", "benchmarks"))
