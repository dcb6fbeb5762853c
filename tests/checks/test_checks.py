"""One broken environment for each check, caught by name; a right one without any finding."""

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
from envs_broken import BROKEN, Crashes, InObservation, Lazarus, NaN, Own, Watch

from vdtoolkit import check_env
from vdtoolkit.checks import CHECKS, subject
from vdtoolkit.checks.check import SEVERITIES


@pytest.mark.parametrize("make", [Watch, InObservation])
def test_a_right_environment_has_no_finding_at_all(make):
    report = check_env(make)
    assert [str(f) for f in report.findings] == []
    assert report.ok and set(report.passed) | set(report.skipped) == set(CHECKS)
    assert not report.skipped or set(report.skipped) <= {"mask-tolerant"}


def test_every_check_has_a_broken_environment():
    assert list(CHECKS) == [name for name in CHECKS if name in BROKEN]
    assert set(BROKEN) == set(CHECKS)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_environment_is_caught_by_name(name, monkeypatch):
    make, also = BROKEN[name]
    monkeypatch.setattr(subject, "MOVES", 200)
    if name == "episodes-seen":
        monkeypatch.setattr(subject, "SECONDS", 0.4)
        monkeypatch.setattr(subject, "REPLAY_SECONDS", 0.1)
    report = check_env(make)
    found = {f.check: f for f in report.findings}
    assert name in found, f"{sorted(found)}"
    assert found[name].severity == CHECKS[name].severity
    assert {n for n in found if not n.startswith("pettingzoo")} - {name} == also
    assert report.ok == (not any(f.severity == "fault" for f in report.findings))


def test_findings_say_fact_value_and_way_out_once_and_count_the_rest():
    (finding,) = [f for f in check_env(NaN).findings if f.check == "observation-finite"]
    assert finding.fact == "agent 'guard_0': observation at move 2 has nan at (1,)"
    assert finding.way_out == CHECKS["observation-finite"].way_out
    assert finding.times >= 4  # one an episode


def test_a_crash_in_the_env_leaves_the_other_checks_at_work():
    report = check_env(Crashes)
    (finding,) = [f for f in report.faults if f.check == "plays"]
    assert "at move 3 raised KeyError: 'guard_7' (episode of seed 0)" in finding.fact
    assert "seed-repeats" in report.passed and "observation-dtype" in report.passed


def test_a_crash_of_a_check_is_told_and_stops_nothing(monkeypatch):
    def crash(subject):
        raise LookupError("lost")
        yield

    broken = dataclasses.replace(CHECKS["agents-known"], find=crash)
    monkeypatch.setitem(CHECKS, "agents-known", broken)
    (finding,) = check_env(Watch).findings
    assert (finding.check, finding.severity) == ("agents-known", "warning")
    assert finding.fact == "could not be carried out, LookupError: lost"


def test_an_env_that_cannot_be_made_is_one_fault():
    def make():
        raise OSError("no such map")

    report = check_env(make)
    assert [(f.check, f.fact) for f in report.findings] == [("makes-env", "OSError: no such map")]
    assert not report.passed and set(report.skipped.values()) == {"no env was made"}


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="check_env takes a function that makes the env, not a Wat"):
        check_env(Watch())
    with pytest.raises(ValueError, match="episodes=0: at least one must be recorded"):
        check_env(Watch, episodes=0)


def test_global_random_state_is_left_as_it_was(capsys):
    random.seed(3), np.random.seed(3)
    kept = random.getstate(), np.random.get_state()[1].tobytes()
    check_env(BROKEN["global-dice-untouched"][0])
    assert kept == (random.getstate(), np.random.get_state()[1].tobytes())
    assert capsys.readouterr().out == ""  # PettingZoo's tests print


def test_a_report_is_plain_data_and_text():
    report = check_env(Lazarus)
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert data["env"] == "watch_v0" and data["ok"] is False and data["episodes"] == 4
    assert data["findings"][0]["check"] == "no-revival"
    text = str(report)
    assert "no-revival" in text and "-> keep the agent in env.agents throughout" in text
    assert text.startswith("watch_v0: ")


def test_numpy_bools_are_bools():
    class NumpyFlags(Watch):
        def step(self, actions):
            told = super().step(actions)
            flags = ({a: np.bool_(f) for a, f in told[i].items()} for i in (2, 3))
            return (*told[:2], *flags, told[4])

    assert [str(f) for f in check_env(NumpyFlags).findings] == []


def test_what_pettingzoos_parallel_seed_test_misses_is_found():
    report = check_env(BROKEN["seed-repeats"][0])
    assert "pettingzoo-parallel-seed-test" in report.passed
    (finding,) = [f for f in report.findings if f.check == "seed-repeats"]
    assert finding.fact == ("two instances with seed 0 differ in observations of guard_0 at move 3")


def test_faults_come_before_warnings_and_notes():
    order = [SEVERITIES.index(f.severity) for f in check_env(BROKEN["max-cycles"][0]).findings]
    assert order == sorted(order)
    notes = check_env(Own)
    assert notes.ok and [f.check for f in notes.notes] == ["reward-shared"]


def test_the_page_of_checks_is_made_from_their_list():
    from vdtoolkit.checks.page import page

    docs = Path(__file__).parents[2] / "docs" / "checks.md"
    fresh = "python -m vdtoolkit.checks.page > docs/checks.md"
    assert docs.read_text(encoding="utf-8") == page(), fresh
