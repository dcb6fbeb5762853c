"""One team's training: what is counted."""

import signal

import pytest

from vdtoolkit import interrupts
from vdtoolkit.commands import run as runs


def test_the_clock_stands_still_while_teams_are_evaluated(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(runs.time, "perf_counter", lambda: now[0])
    clock = runs.Clock()
    now[0] = 103.0
    assert clock.seconds() == 3.0
    with clock.stopped():
        now[0] = 110.0
        assert clock.seconds() == 3.0
    assert clock.seconds() == 3.0

    def interrupted():
        with clock.stopped():
            now[0] = 120.0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    now[0] = 121.0
    assert clock.seconds() == 4.0
    clock.start()
    assert clock.seconds() == 0.0


def ends_at_once(number):
    """Whether a signal is a KeyboardInterrupt there and then."""
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        return True
    return False


def test_signals_within_a_second_are_one_and_a_later_one_does_not_wait(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: now[0])
    with interrupts.Interrupts() as told_of:
        told_of.wait = True
        told = [ends_at_once(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM)]
        assert told == [False, False, False] and told_of.asked
        now[0] += 1.5
        assert ends_at_once(signal.SIGTERM)
    with (
        interrupts.Interrupts()
    ):  # where nothing is waited for the first ends it, and then it saves
        assert [ends_at_once(signal.SIGTERM) for _ in range(2)] == [True, False]
