"""QMIX: the mixer by hand, and the shape of what it can represent."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vdtoolkit import MonotonicMixer, QMIXAgents, UniversalMixer
from vdtoolkit.agents.qmix import split_elu
from vdtoolkit.batch import greedy

from .helpers import SMALL, joint_actions, moment, q_table, random_batch, randomised, small_team

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


# -- mixer_activation="split": any monotone function --------------------------------------


def constant(net, values):
    """The hypernetwork gives these, whatever the state."""
    last = net if isinstance(net, torch.nn.Linear) else net[-1]
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        last.bias.copy_(torch.as_tensor(values).flatten())


def construction(payoff, k=40.0):
    """A mixer that is `payoff` [A, .., A], non-decreasing, at Q_i = u_i: its docstring's proof."""
    n, a = payoff.dim(), payoff.shape[0]
    points = joint_actions(n, a)
    values = payoff.flatten()
    levels = values.unique().sort().values
    half = max(n * a, len(points), len(levels))
    mixer = UniversalMixer(n, 1, embed_dim=2 * half, hyper_dim=1).double()
    w1, b1 = torch.zeros(n, 2 * half), torch.zeros(2 * half)
    w2, b2 = torch.zeros(2 * half, 2 * half), torch.zeros(2 * half)
    w3, b3, w4 = torch.zeros(2 * half, 2 * half), torch.zeros(2 * half), torch.zeros(2 * half)
    for i in range(n):
        for u in range(a):  # a unit of the second half: is Q_i >= u?
            w1[i, half + i * a + u], b1[half + i * a + u] = k, k * (0.5 - u)
    for p, point in enumerate(points):  # of the first half: is Q >= point, in all parts?
        for i in range(n):
            w2[half + i * a + point[i], p] = 1.0
        b2[p] = 1.0 - n
    for at, level in enumerate(levels[1:]):  # of the second half: is any of these?
        inside = (values >= level).nonzero().flatten()
        w3[inside, half + at], b3[half + at] = k, k * (len(inside) - 1.0)
        w4[half + at] = (level - levels[at]) / (1 + k)
    for net, value in zip([*mixer.w, *mixer.b], [w1, w2, w3, w4, b1, b2, b3], strict=True):
        constant(net, value.double())
    constant(mixer.v, [levels[0] + k * w4.sum()])
    return mixer


@few
@given(seeds)
@pytest.mark.parametrize(("n", "a"), [(1, 6), (2, 5), (3, 3), (4, 2)])
def test_split_units_in_three_layers_can_be_any_monotone_table(n, a, seed):
    rising = torch.randint(0, 4, (a,) * n, generator=torch.Generator().manual_seed(seed)).double()
    for axis in range(n):
        rising = rising.cummax(axis).values
    mixer = construction(rising)
    q = joint_actions(n, a).double()
    told = mixer(q, torch.ones(len(q), 1, dtype=torch.float64)).reshape(rising.shape)
    torch.testing.assert_close(told, rising, rtol=0, atol=1e-6)


@few
@given(seeds)
def test_one_layer_of_split_units_would_be_too_few(seed):
    generator = torch.Generator().manual_seed(seed)
    w1, w2 = (torch.randn(s, generator=generator).double().abs() for s in ((2, 20), (20,)))
    b1 = 3 * torch.randn(20, generator=generator).double()
    points = torch.tensor([[0.0, 0], [0, 2], [2, 0], [1, 1]]).double()
    low, right, down, middle = split_elu(points @ w1 + b1) @ w2
    assert middle - low <= (right - low) + (down - low) + 1e-9
    corner = torch.tensor([[0.0, 0, 0], [0, 1, 1], [0, 1, 1]])
    low, right, down, middle = construction(corner)(points, torch.ones(4, 1).double())
    assert middle - low > (right - low) + (down - low) + 0.99


def test_split_by_hand():
    told = split_elu(torch.tensor([[-1.0, 2.0, -3.0, 4.0, -5.0]])).flatten().tolist()
    assert told == pytest.approx([elu(-1), 2, -elu(3), -elu(-4), -elu(5)], abs=1e-6)
    assert split_elu(torch.tensor([-2.0])).item() == -2.0


@few
@given(seeds)
def test_igm_and_monotonicity_hold_with_split_units_at_any_weights(seed):
    agents = QMIXAgents(small_team(), mixer_activation="split", embed_dim=6, **SMALL)
    generator = torch.Generator().manual_seed(seed)
    randomised(agents, generator)
    qs, hidden, view = moment(agents.team.spec, generator)
    table, actions = q_table(agents, qs, hidden, view)
    possible = view.available[torch.arange(3), actions].all(-1)
    at_greedy = table[(actions == greedy(qs, view.available)).all(-1)]
    best = table[possible].max()
    assert at_greedy >= best - 1e-9 * (1 + best.abs())
    higher = qs + torch.rand(qs.shape, generator=generator, dtype=torch.float64)
    raised, _ = q_table(agents, higher, hidden, view)
    assert (raised >= table - 1e-9 * (1 + table.abs())).all()


def test_split_is_neither_convex_nor_supermodular():
    state = torch.ones(1).double()
    low, right, down, both = (
        construction(torch.tensor([[0.0, 1], [1, 1]]))(torch.tensor(q).double(), state)
        for q in ([0.0, 0], [0, 1], [1, 0], [1, 1])
    )
    assert both - right - down + low < -0.99


def test_split_mixers_leading_axes_are_free():
    mixer = UniversalMixer(n_agents=3, state_dim=7, embed_dim=5, hyper_dim=6)
    qs, state = torch.randn(2, 4, 3), torch.randn(2, 4, 7)
    told = mixer(qs, state)
    assert told.shape == (2, 4)
    torch.testing.assert_close(mixer(qs[1, 2], state[1, 2]), told[1, 2])


def test_every_parameter_of_the_split_mixer_is_trained():
    agents = QMIXAgents(small_team(), mixer_activation="split", embed_dim=6, **SMALL)
    agents.loss(random_batch(agents.team.spec))[0].backward()
    for name, p in agents.online.mixer.named_parameters():
        assert p.grad.abs().max() > 1e-9, name


def test_the_class_is_told_by_the_activation():
    assert QMIXAgents(small_team(), **SMALL).function_class == "elu_qmix"
    split = QMIXAgents(small_team(), mixer_activation="split", **SMALL)
    assert (split.claim, split.function_class) == ("exact", "monotone")
    assert type(QMIXAgents(small_team(), **SMALL).online.mixer) is MonotonicMixer


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match=r"^mixer_activation='relu': it must be 'elu' or 'split'$"):
        QMIXAgents(small_team(), mixer_activation="relu")
