"""A run that another machine is at is left alone until that machine is dead."""

import os
import socket

import pytest
from sweeping import write

from vdtoolkit.sweep import attempt as attempts
from vdtoolkit.sweep import elsewhere
from vdtoolkit.sweep.attempt import BUSY, Attempt, attempt
from vdtoolkit.sweep.file import read_file
from vdtoolkit.sweep.rows import rows_of


class Process:
    """One that goes on for ever."""

    stdin = None

    def __init__(self, words, **how):
        pass

    def poll(self):
        return None


@pytest.fixture
def now(monkeypatch):
    """The clock, and no real process."""
    clock = [1000.0]
    monkeypatch.setattr(elsewhere.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(attempts.subprocess, "Popen", Process)
    return clock


@pytest.fixture
def row(tmp_path):
    (made,) = rows_of(read_file(tmp_path / write(tmp_path, env="a.b", seeds=1, out=str(tmp_path))))
    return made


def elsewhere_begun(row, monkeypatch):
    """Another machine has it."""
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "node-7")
        return attempt(row)


def touched(row):
    return (row.folder / "log.txt").stat().st_mtime_ns


def test_it_is_left_alone_while_the_other_machine_has_it(row, now, monkeypatch):
    there = elsewhere_begun(row, monkeypatch)
    for _ in range(30):
        now[0] += 4.0
        os.utime(row.folder / "log.txt", ns=(0, 0))
        there.poll()
        here = attempt(row)
        assert here.how == BUSY
        assert here.said == f"{row.folder} is in use: it was begun on node-7"
    assert (row.folder / "log.txt").read_text().count("== ") == 1


def test_it_is_gone_on_with_once_the_other_machine_is_dead(row, now, monkeypatch):
    elsewhere_begun(row, monkeypatch)
    for _ in range(10):
        assert attempt(row).how == BUSY
        now[0] += 2.9
    now[0] += 1.0 + elsewhere.WATCH - 29.0
    assert isinstance(attempt(row), Attempt)
    lines = (row.folder / "log.txt").read_text().splitlines()
    assert [line.split()[3] for line in lines] == ["node-7:", f"{socket.gethostname()}:"]


def test_one_whose_process_has_ended_there_needs_no_waiting(row, now, monkeypatch):
    there = elsewhere_begun(row, monkeypatch)
    assert attempt(row).how == BUSY
    monkeypatch.setattr(Process, "poll", lambda self: -9)
    assert there.poll().said == "it was ended by SIGKILL"
    assert (row.folder / "log.txt").read_text().endswith("\n-- exit status -9\n")
    assert isinstance(attempt(row), Attempt)


def test_on_the_same_machine_the_lock_tells(row, now):
    attempt(row)
    assert isinstance(attempt(row), Attempt)


def test_a_process_at_work_touches_its_log_every_few_seconds(row, now):
    one = attempt(row)
    os.utime(row.folder / "log.txt", ns=(0, 0))
    now[0] += elsewhere.BEAT - 0.1
    assert one.poll() is None and touched(row) == 0
    now[0] += 0.2
    assert one.poll() is None and touched(row) > 0
