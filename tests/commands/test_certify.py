"""`vdtoolkit certify`: what it prints, its exit status, bad input."""

import json
from pathlib import Path

import pytest

from vdtoolkit.certify import CHECKS
from vdtoolkit.cli import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "new_mixer.py"
LONG = ("least-squares", "central", "igm-trained", "fixed-point")  # train for seconds

MINE = """
from vdtoolkit.agents import VDNAgents

class Mine(VDNAgents):
    name = "mine"
    label = "Mine"

class Bad(VDNAgents):
    def q_tot(self, nets, utilities, actions, view):
        return -super().q_tot(nets, utilities, actions, view)

def no_class():
    pass
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_a_method_by_name(capsys):
    assert main(["certify", "vdn", "--draws", "3", "--only", "igm", "--only", "monotone"]) == 0
    told = capsys.readouterr().out
    assert "VDN (vdn): 2 kept" in told and "monotone" in told


def test_a_class_of_a_file_and_what_is_written(mine, tmp_path, capsys):
    out = tmp_path / "found.json"
    given = ["--draws", "3", "--only", "igm", "--out", str(out), "--page", str(tmp_path / "p.md")]
    assert main(["certify", f"{mine}:Mine", *given]) == 0
    (data,) = json.loads(out.read_text())
    assert data["ok"] and data["label"] == "Mine"
    assert f"vdtoolkit certify {mine}:Mine --draws 3" in (tmp_path / "p.md").read_text()


def test_the_example_of_a_new_mixer_keeps_its_promises(algorithms_as_they_were, capsys):
    checks = [c for c in CHECKS if c not in LONG and not CHECKS[c].learns]
    given = [word for c in checks for word in ("--only", c)]
    assert main(["certify", f"{EXAMPLE}:TanhAgents", "--draws", "6", "--json", *given]) == 0
    (data,) = json.loads(capsys.readouterr().out)
    status = {e["check"]: e["status"] for e in data["entries"]}
    assert list(status) == checks
    for name in ("igm", "monotone", "loss", "td-lambda", "target-detached", "masks", "saves"):
        assert status[name] == "kept", name
    assert status["symmetric"] == status["qmix-mixing"] == "not promised"


def test_the_example_without_abs_is_caught(algorithms_as_they_were, tmp_path, capsys):
    path = tmp_path / "own_mixer.py"
    path.write_text(
        EXAMPLE.read_text(encoding="utf-8").replace("self.w2(state).abs()", "self.w2(state)")
    )
    given = ["--draws", "20", "--only", "igm", "--only", "monotone", "--json"]
    assert main(["certify", f"{path}:TanhAgents", *given]) == 1
    (data,) = json.loads(capsys.readouterr().out)
    assert [e["status"] for e in data["entries"]] == ["broken", "broken"]
    assert "Q_tot" in data["entries"][0]["facts"][0]


def test_a_broken_promise_is_status_1(mine, capsys):
    assert main(["certify", f"{mine}:Bad", "--draws", "3", "--only", "igm", "--json"]) == 1
    (data,) = json.loads(capsys.readouterr().out)
    assert not data["ok"] and data["entries"][0]["status"] == "broken"


def test_hyperparameters(capsys):
    given = ["qmix", "--set", "mixer_activation=split", "--only", "class", "--draws", "2"]
    assert main(["certify", *given]) == 0
    assert "its class is 'monotone'" in " ".join(capsys.readouterr().out.split())


def test_the_list(capsys):
    assert main(["certify", "--list"]) == 0
    assert "target-detached" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["qmx"], "did you mean 'qmix'?"),
        (["vdn", "--only", "igmm"], "--only igmm: checks are igm"),
        (["vdn", "--set", "lrr=1"], "--set lrr=1: it must be NAME=VALUE"),
        (["vdn", "--set", "gamma=2"], "gamma=2: it must be in [0, 1]"),
        (["qatten", "--set", "unit_features=enemies"], "unit_features='enemies'"),
        (["vdn", "--draws", "0"], "--draws 0"),
        (["vdtoolkit.agents:Nothing"], "vdtoolkit.agents has no 'Nothing'"),
        (["vdtoolkit.agents:ALGORITHMS"], "it must be a class"),
        (["vdn", "--out", "nowhere/at/all.json"], "there is no folder"),
    ],
)
def test_bad_input_is_status_2(arguments, said, capsys):
    assert main(["certify", *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
