"""VDN: the sum."""

import torch

from vdtoolkit import SumMixer, VDNAgents

from .helpers import SMALL, small_team


def test_the_mixer_is_the_sum_over_the_last_axis():
    qs = torch.arange(24.0).reshape(2, 3, 4)
    assert SumMixer()(qs).tolist() == [[6, 22, 38], [54, 70, 86]]
    assert SumMixer()(qs[0, 0]).tolist() == 6


def test_every_slope_is_one():
    qs = torch.randn(2, 5, 3, requires_grad=True)
    SumMixer()(qs).sum().backward()
    assert (qs.grad == 1).all()


def test_nothing_is_learned_but_the_utilities():
    agents = VDNAgents(small_team(), **SMALL)
    assert {name.split(".")[0] for name, _ in agents.online.named_parameters()} == {"agent"}


def test_what_is_claimed():
    assert (VDNAgents.claim, VDNAgents.function_class) == ("exact", "additive")
