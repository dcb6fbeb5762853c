"""`vdtoolkit check-env`: exit status, JSON, the list, and what it refuses."""

import json
from pathlib import Path

import pytest

from vdtoolkit.checks import CHECKS
from vdtoolkit.cli import main

ENVS = Path(__file__).parents[1] / "envs_broken.py"


def check(capsys, *words):
    status = main(["check-env", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_right_env_exits_0_and_says_so(capsys):
    status, out, _ = check(capsys, f"{ENVS}:Watch", "--env-arg", "max_cycles=5")
    assert status == 0
    assert out.startswith("watch_v0: nothing found; ")


def test_a_note_still_exits_0_and_a_fault_1(capsys):
    status, out, _ = check(capsys, f"{ENVS}:Own")
    assert status == 0 and "reward-shared" in out
    status, out, _ = check(capsys, f"{ENVS}:NaN", "--episodes", "2")
    assert status == 1
    assert "observation-finite" in out and "observation at move 2 has nan at (1,)" in out


def test_json_is_the_report(capsys):
    status, out, _ = check(capsys, f"{ENVS}:Strict", "--json", "--seed", "3")
    report = json.loads(out)
    assert status == 0 and report["ok"]
    assert [f["check"] for f in report["findings"]] == ["mask-tolerant"]


def test_wrappers_are_checked_with_the_env(capsys):
    wrap = 'supersuit.dtype_v0(dtype="float64")'
    status, out, _ = check(capsys, f"{ENVS}:Watch", "--wrap", wrap, "--json")
    assert "observation-dtype" not in [f["check"] for f in json.loads(out)["findings"]]
    assert status in (0, 1)


def test_list_names_every_check(capsys):
    status, out, _ = check(capsys, "--list")
    assert status == 0
    assert all(name in out for name in CHECKS)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "name an environment, for example mpe2.simple_spread_v3"),
        (("no_such_package.env_v0",), "no_such_package"),
        ((f"{ENVS}:Watch", "--episodes", "0"), "--episodes 0: it must be at least 1"),
        ((f"{ENVS}:Watch", "--env-arg", "lives=3"), "lives=3"),
        ((f"{ENVS}:Watch", "--env-arg", "lives"), "it must be NAME=VALUE"),
        ((f"{ENVS}:Watch", "--nope"), "--nope"),
    ],
)
def test_bad_input_exits_2_with_one_line(capsys, words, why):
    status, out, err = check(capsys, *words)
    assert status == 2 and out == ""
    assert err.startswith("vdtoolkit check-env: error: ") and why in err
    assert err.count("\n") == 1


def test_an_env_that_cannot_be_made_is_refused_with_its_error(capsys, tmp_path):
    (tmp_path / "bad.py").write_text("def make():\n    raise KeyError('map')\n")
    status, _, err = check(capsys, f"{tmp_path / 'bad.py'}:make")
    assert status == 2 and "KeyError: 'map'" in err
