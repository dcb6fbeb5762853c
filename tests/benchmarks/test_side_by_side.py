"""The contests with peers: what is run, in which order, and what the table says."""

import ast
from pathlib import Path

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
        speed = 100 if name == "XuanCe" else 300 + 30 * (runs.count("vdtoolkit") - 1)
        return {"peer": name, "version": "v1.2", "steps_per_second": speed}

    monkeypatch.setattr(side_by_side, "run", run)
    return runs


def test_everyone_plays_in_turn_and_the_ratio_is_of_medians(played):
    entries = [("vdtoolkit", {}), ("XuanCe", {"threads": 2}), ("BenchMARL", {})]
    ours, xuance, benchmarl = side_by_side.contest(entries, 3, Path(), {})
    assert played == ["vdtoolkit", "XuanCe", "BenchMARL"] * 3
    assert (ours["env steps/s"], ours["min-max"]) == (330, "300-360")
    assert (xuance["who"], xuance["how"]) == ("XuanCe 1.2", "threads 2")
    assert xuance["our best is faster by"] == 3.3
    assert benchmarl["env steps/s"] == "not installed"


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
