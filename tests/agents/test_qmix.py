"""QMIX: the mixer by hand, and the shape of what it can represent."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vdtoolkit import MonotonicMixer, QMIXAgents

from .helpers import SMALL, small_team

seeds = st.integers(0, 2**31)
few = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def by_hand():
    """Two agents, one state feature, two hidden units, one unit in each hypernetwork.

    W1 = |[2 relu(s) - 3, -2; 3, 4]|, b1 = (-10 - s, 1), W2 = |(-2, 0.5)|, V = 7 + relu(s).
    """
    mixer = MonotonicMixer(n_agents=2, state_dim=1, embed_dim=2, hyper_dim=1).double()
    values = {
        "w1.0.weight": [[1.0]],
        "w1.2.weight": [[2.0], [0], [0], [0]],
        "w1.2.bias": [-3.0, -2, 3, 4],
        "b1.weight": [[-1.0], [0]],
        "b1.bias": [-10.0, 1],
        "w2.2.bias": [-2.0, 0.5],
        "v.0.weight": [[1.0], [0]],
        "v.2.weight": [[1.0, 0]],
        "v.2.bias": [7.0],
    }
    state = {name: torch.zeros_like(value) for name, value in mixer.state_dict().items()}
    state.update({name: torch.tensor(value).double() for name, value in values.items()})
    mixer.load_state_dict(state)
    return mixer


def elu(x):
    return x if x > 0 else math.exp(x) - 1


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        # s = 0: W1 = [3 2; 3 4]
        (0.0, 2 * elu(3 * 0.5 + 3 * 1 - 10) + 0.5 * elu(2 * 0.5 + 4 * 1 + 1) + 7),
        # s = 2: W1 = [1 2; 3 4], b1 = (-12, 1), V = 9
        (2.0, 2 * elu(1 * 0.5 + 3 * 1 - 12) + 0.5 * elu(2 * 0.5 + 4 * 1 + 1) + 9),
        # s = -1: the ReLUs are off, b1 = (-9, 1)
        (-1.0, 2 * elu(3 * 0.5 + 3 * 1 - 9) + 0.5 * elu(2 * 0.5 + 4 * 1 + 1) + 7),
    ],
)
def test_forward_by_hand_with_the_bias_inside_the_elu(state, wanted):
    q = by_hand()(torch.tensor([0.5, 1.0]).double(), torch.tensor([state]).double())
    assert q.item() == pytest.approx(wanted, abs=1e-12)
    outside = 2 * (elu(4.5) - 10) + 0.5 * (elu(5) + 1) + 7  # the QTRAN repository's baseline
    assert abs(q.item() - outside) > 1


def test_leading_axes_are_free():
    mixer = MonotonicMixer(n_agents=3, state_dim=7, embed_dim=5, hyper_dim=6)
    qs, state = torch.randn(2, 4, 3), torch.randn(2, 4, 7)
    told = mixer(qs, state)
    assert told.shape == (2, 4)
    for b in range(2):
        for t in range(4):
            torch.testing.assert_close(mixer(qs[b, t], state[b, t]), told[b, t])
    assert mixer(qs.expand(9, 2, 4, 3), state.expand(9, 2, 4, 7)).shape == (9, 2, 4)


def a_mixer(seed):
    """At one state, in utilities alone: weights far from those at birth."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    mixer = MonotonicMixer(n_agents=3, state_dim=4, embed_dim=5, hyper_dim=6).double()
    with torch.no_grad():
        for p in mixer.parameters():
            p.copy_(rand(*p.shape))
    state = rand(4)
    return lambda q: mixer(q, state.expand(*q.shape[:-1], 4)).detach(), rand


@few
@given(seeds)
def test_it_is_supermodular_in_every_pair_of_utilities(seed):
    f, rand = a_mixer(seed)
    q, steps = 2 * rand(50, 3), rand(50, 3).abs()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        a, b = torch.zeros_like(q), torch.zeros_like(q)
        a[:, i], b[:, j] = steps[:, i], steps[:, j]
        mixed = f(q + a + b) - f(q + a) - f(q + b) + f(q)
        assert mixed.min() >= -1e-9


@few
@given(seeds)
def test_it_is_convex_along_lines(seed):
    f, rand = a_mixer(seed)
    p, q = 2 * rand(50, 3), 2 * rand(50, 3)
    share = torch.linspace(0.1, 0.9, 5).double()[:, None, None]
    between = f(share * p + (1 - share) * q)
    chord = share[..., 0] * f(p) + (1 - share[..., 0]) * f(q)
    assert (chord - between).min() >= -1e-9


def test_the_shape_is_not_trivial():
    f, rand = a_mixer(0)
    p, q = 2 * rand(50, 3), 2 * rand(50, 3)
    assert (f(p) / 2 + f(q) / 2 - f((p + q) / 2)).max() > 0.1, "it is not just linear"


def test_it_tells_the_agents_apart():
    mixer = MonotonicMixer(n_agents=3, state_dim=2)
    q, state = torch.tensor([1.0, 2.0, 3.0]), torch.ones(2)
    assert abs(mixer(q, state) - mixer(q.flip(0), state)) > 1e-3


def test_the_parameters_by_name():
    agents = QMIXAgents(small_team(), embed_dim=5, hyper_dim=3, **SMALL)
    shapes = {n: tuple(p.shape) for n, p in agents.online.mixer.named_parameters()}
    assert shapes == {
        "w1.0.weight": (3, 7),
        "w1.0.bias": (3,),
        "w1.2.weight": (15, 3),
        "w1.2.bias": (15,),
        "b1.weight": (5, 7),
        "b1.bias": (5,),
        "w2.0.weight": (3, 7),
        "w2.0.bias": (3,),
        "w2.2.weight": (5, 3),
        "w2.2.bias": (5,),
        "v.0.weight": (5, 7),
        "v.0.bias": (5,),
        "v.2.weight": (1, 5),
        "v.2.bias": (1,),
    }


def test_what_is_claimed():
    assert (QMIXAgents.claim, QMIXAgents.function_class) == ("exact", "elu_qmix")
