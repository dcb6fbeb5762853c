"""The floor's arithmetic, beside the counts by hand and by torch."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.floor import flops
from benchmarks.reference import HyperMixer
from benchmarks.works import W1, W3, Work


def total(algorithm, work):
    return sum(flops(algorithm, work).values())


def test_w1_and_w3_cost_what_was_published():
    assert [round(total("qmix", w) / 1e6) for w in (W1, W3)] == [618, 5802]
    assert round(total("qatten", W3) / 1e6) == 6430
    assert round(total("vdn", W1) / 1e6) == 514
    of = {name: round(count / 1e6) for name, count in flops("qmix", W1).items()}
    assert of["agent forward"] == of["agent target"] == 130
    assert (of["agent backward"], of["mixer forward"], of["mixer backward"]) == (254, 30, 43)


def test_torch_counts_the_same_for_a_mixer():
    w = Work("tiny", B=2, T=3, N=4, O=5, S=8, A=6)
    mixer = HyperMixer(w)
    qs = torch.randn(w.B, w.T, w.N, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        q_tot = mixer(qs, torch.randn(w.B, w.T, w.S))
    assert forward.get_total_flops() == flops("qmix", w)["mixer forward"]
    with FlopCounterMode(display=False) as backward:
        q_tot.sum().backward()
    assert backward.get_total_flops() == flops("qmix", w)["mixer backward"]


@pytest.mark.parametrize("algorithm", ["qmix", "qatten"])
def test_twice_the_episodes_is_twice_the_work(algorithm):
    twice = Work("twice", 2 * W1.B, W1.T, W1.N, W1.O, W1.S, W1.A)
    assert total(algorithm, twice) == 2 * total(algorithm, W1)
