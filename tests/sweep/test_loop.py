"""The loop of a sweep, with an executor that does as it is told: no process, no time."""

import os
import signal
from dataclasses import dataclass, field

import pytest
from sweeping import write

from vdtoolkit.sweep import loop
from vdtoolkit.sweep.attempt import BUSY, FAILED, FINISHED, STOPPED, UNSEEN, Ended
from vdtoolkit.sweep.file import read_file
from vdtoolkit.sweep.loop import Loop, UnseenError
from vdtoolkit.sweep.on_ray import train_row
from vdtoolkit.sweep.rows import rows_of


@dataclass
class Scripted:
    """Ends each row as the script says, first come first served; afterwards it is finished."""

    script: dict[str, list[str]]
    slots: int = 1
    begun: list[str] = field(default_factory=list)
    rows: list = field(default_factory=list)
    stopped: bool = False

    def free(self):
        return len(self.rows) < self.slots

    def start(self, row):
        assert self.free() and not self.stopped
        self.begun.append(row.name[0])
        self.rows.append(row)

    def under_way(self):
        return list(self.rows)

    at_work = under_way

    def wait(self, seconds):
        row = self.rows.pop(0)
        left = self.script.get(row.name[0], [])
        how = STOPPED if self.stopped else left.pop(0) if left else FINISHED
        if how == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
            self.rows.append(row)
            return []
        return [Ended(row, how, f"{row.name[0]} {how}", 3)]

    def stop(self):
        self.stopped = True


class Silent:
    """Who is told nothing."""

    def __init__(self):
        self.said = []

    def begin(self, state):
        pass

    def ended(self, ended, again):
        self.said.append((ended.row.name[0], ended.how, again))

    def tick(self, at_work):
        pass

    def say(self, text):
        self.said.append(text)


@pytest.fixture
def rows(tmp_path):
    """Three of them: a, b, c."""
    envs = [{"env": "teams:Relay", "name": name} for name in "abc"]
    out = str(tmp_path / "out")
    return rows_of(read_file(tmp_path / write(tmp_path, env=envs, seeds=1, out=out)))


def ran(rows, script, retries=2, **more):
    executor, silent = Scripted(script, **more), Silent()
    return Loop(rows, executor, silent, retries=retries).run(), executor, silent


def names(rows):
    return "".join(row.name[0] for row in rows)


def test_what_failed_is_tried_again_after_the_others_and_given_up_at_last(rows):
    state, executor, silent = ran(rows, {"a": [FAILED] * 9, "b": [FAILED]})
    assert "".join(executor.begun) == "abcaba"
    assert names(state.finished) == "cb" and list(state.failed) == [0] and not state.left
    assert [told for told in silent.said if told[0] == "a"] == [
        ("a", FAILED, True),
        ("a", FAILED, True),
        ("a", FAILED, False),
    ]


def test_a_run_that_somebody_else_interrupted_goes_on_as_one_that_failed(rows):
    state, executor, _ = ran(rows, {"a": [STOPPED]})
    assert "".join(executor.begun) == "abca" and not state.stopped and len(state.finished) == 3


def test_a_folder_in_use_is_looked_at_again_and_is_no_failure(rows, monkeypatch):
    monkeypatch.setattr(loop, "LOOK_AGAIN", 0.0)
    state, executor, _ = ran(rows, {"a": [BUSY] * 5}, retries=0)
    assert executor.begun.count("a") == 6 and len(state.finished) == 3 and not state.busy


def test_a_signal_begins_nothing_more_and_waits_for_what_was_begun(rows):
    before = signal.getsignal(signal.SIGTERM)
    state, executor, _ = ran(rows, {"b": ["signal"]}, slots=2)
    assert state.stopped and names(state.finished) == "a" and state.left == 2
    assert executor.stopped and "".join(executor.begun) == "abc" and not state.failed
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_machine_that_does_not_see_the_folder_stops_all(rows):
    executor = Scripted({"b": [UNSEEN]}, slots=2)
    with pytest.raises(UnseenError, match="b unseen"):
        Loop(rows, executor, Silent(), retries=2).run()
    assert executor.stopped


def test_a_task_looks_for_the_sweeps_own_folder_first(rows, tmp_path):
    here = os.getcwd()
    out = tmp_path / "out"
    out.mkdir()
    ended = train_row(rows[0], str(tmp_path / "nowhere"), str(out), "1")
    assert ended.how == UNSEEN and f"has no folder {tmp_path / 'nowhere'}, in which" in ended.said
    for text in ("", '{"id": "2"}'):
        if text:
            (out / "sweep.json").write_text(text)
        ended = train_row(rows[0], str(tmp_path), str(out), "1")
        assert ended.how == UNSEEN
        assert f"does not see {out} as the sweep does: all nodes need the same" in ended.said
    assert os.getcwd() == here and not rows[0].folder.exists()
