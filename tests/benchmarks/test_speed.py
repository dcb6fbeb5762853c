"""Ratios that hold on any machine, and every part of the command on tiny sizes."""

import json

import numpy as np
import pytest
import torch

from benchmarks import loops, memory, speed, updates
from benchmarks.reference import ReferenceLearner
from benchmarks.timing import in_turn, threads
from benchmarks.works import W1, Work
from vdtoolkit.agents.qmix import MonotonicMixer

TINY = Work("tiny", B=2, T=3, N=2, O=5, S=6, A=4, H=8)


def test_an_update_is_faster_than_the_plain_reference_learner():
    agents = W1.trained()
    batch = agents.replay.sample(W1.B, np.random.default_rng(0), agents.device)
    calls = {"ours": lambda: agents.learn_from(batch), "reference": ReferenceLearner(W1).learn}
    with threads(1):
        times = in_turn(calls, seconds=1.0, least=9)
    ratio = np.median(times["reference"].seconds) / np.median(times["ours"].seconds)
    assert ratio > 1.15, f"our W1 update is only {ratio:.2f} times as fast as the reference's"


def test_the_reference_learns_what_our_mixer_can_express():
    reference = ReferenceLearner(TINY)
    ours = MonotonicMixer(TINY.N, TINY.S)
    ours.load_state_dict(reference.online[1].state_dict())
    qs, state = torch.randn(7, TINY.N), torch.randn(7, TINY.S)
    torch.testing.assert_close(reference.online[1](qs, state), ours(qs, state))
    losses = [reference.learn() for _ in range(200)]
    assert losses[-1] < losses[0] / 2


@pytest.fixture
def _tiny(monkeypatch):
    monkeypatch.setattr(updates, "WORKS", (TINY,))
    monkeypatch.setattr(loops, "rounds", lambda runs, seconds: _once(runs))


def _once(runs):
    """Each kind of run, very short, once."""
    return {key: loops.Times([run(100)]) for key, run in list(runs.items())[:1]}


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize("part", ["floor", "update", "act", "loop", "shares", "scaling", "busy"])
def test_every_part_prints_a_table_and_keeps_its_numbers(part, tmp_path, capsys):
    out = tmp_path / "speed.json"
    asked = ["--only", part, "--seconds", "0.01", "--threads", "1", "--json", str(out)]
    speed.main(asked)
    told = capsys.readouterr().out
    assert f"{part}: " in told and "threads" in told
    rows = json.loads(out.read_text())["tables"][part]
    assert rows and all(row["threads"] == 1 for row in rows)


def test_the_arrays_of_an_episode_are_counted_in_their_final_types():
    # 61 moments of 10 x 120 + 250 numbers, 10 x 16 masks, 10 alive; 60 moves of 10 + 6 bytes
    assert memory.array_bytes(1) == 61 * (4 * 1450 + 160 + 10) + 60 * 16


@pytest.mark.slow
def test_a_replay_of_a_thousand_episodes_takes_a_tenth_more_than_its_arrays_at_most(monkeypatch):
    monkeypatch.setattr(memory, "EPISODES", 1000)
    assert memory.fill()["grew / arrays"] < 1.1
