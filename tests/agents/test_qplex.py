"""QPLEX: the mixer by hand, its maximum at any weights, and which way gradients go."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vdtoolkit import QPLEXAgents, QPLEXConfig, QPLEXMixer, igm
from vdtoolkit.agents.qplex import kernels
from vdtoolkit.batch import chosen, greedy
from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.networks import Utilities

from .helpers import (
    SMALL,
    expand,
    give,
    joint_actions,
    leaves,
    moment,
    q_table,
    random_batch,
    randomised,
    small_team,
    team_of,
)

seeds = st.integers(0, 2**31)
few = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def set_to(module, **values):
    """All parameters 0 but those named, by their dotted names with _ for a dot."""
    named = {name.replace(".", "_"): p for name, p in module.named_parameters()}
    with torch.no_grad():
        for p in named.values():
            p.zero_()
        for name, value in values.items():
            named[name].copy_(torch.as_tensor(value, dtype=named[name].dtype))


def by_hand():
    """Two agents, two actions, two kernels of one layer; at s = 1:

    w = |(-2, 3)|, b = (0.5, -1), key = |(-4, 1)|, agents = sigmoid of [0 1; 2 0],
    actions = sigmoid of (s, u) times weights: 1 for agent 0's action 1 in kernel 0's second row.
    """
    mixer = QPLEXMixer(2, 2, 1, n_kernels=2, hyper_dim=1, adv_layers=1).double()
    into = torch.zeros(4, 5)
    into[1, 2], into[2, 4] = 1.0, -3.0  # (kernel 0, agent 1) by u_0 = 1; (1, 0) by u_1 = 1
    set_to(
        mixer,
        w_2_bias=[-2.0, 3.0],
        b_2_bias=[0.5, -1.0],
        key_0_bias=[-4.0, 1.0],
        agents_0_bias=[0.0, 1.0, 2.0, 0.0],
        actions_0_weight=into,
    )
    return mixer


def sigmoid(x):
    return 1 / (1 + torch.tensor(-x).double().exp().item())


def test_forward_by_hand():
    mixer, state = by_hand(), torch.ones(1).double()
    taken = torch.tensor([[0.0, 1], [0, 1]]).double()  # both take action 1
    lam0 = 4 * 0.5 * 0.5 + 1 * sigmoid(2.0) * sigmoid(-3.0)
    lam1 = 4 * sigmoid(1.0) * sigmoid(1.0) + 1 * 0.5 * 0.5
    assert mixer.lambdas(taken, state).tolist() == pytest.approx([lam0, lam1], abs=1e-9)
    # Q = (1, -2), V = (1.5, 0): A' = (2 * -0.5, 3 * -2)
    q = mixer(torch.tensor([1.0, -2]).double(), torch.tensor([1.5, 0]).double(), taken, state)
    v = (2 * 1.5 + 0.5) + (3 * 0 - 1)
    assert q.item() == pytest.approx(v + lam0 * -1.0 + lam1 * -6.0, abs=1e-8)


def test_leading_axes_are_free():
    mixer = QPLEXMixer(3, 4, 7, n_kernels=2, hyper_dim=6, adv_layers=2)
    qs, best, state = torch.randn(2, 5, 3), torch.randn(2, 5, 3), torch.randn(2, 5, 7)
    taken = torch.eye(4)[torch.randint(4, (2, 5, 3))]
    told = mixer(qs, best, taken, state)
    assert told.shape == (2, 5)
    for b, t in ((0, 3), (1, 4)):
        one = mixer(qs[b, t], best[b, t], taken[b, t], state[b, t])
        torch.testing.assert_close(one, told[b, t])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_kernels_are_independent_mlps(layers):
    net = kernels(3, 5, *[4] * (layers - 1), 2)
    x = torch.randn(6, 5)
    told = net(x)
    assert told.shape == (6, 3, 2)
    for k in range(3):
        first = net[0].out_features // 3
        h = x @ net[0].weight[k * first : (k + 1) * first].T
        h = h + net[0].bias[k * first : (k + 1) * first]
        for layer in net[3::2]:
            h = torch.relu(h) @ layer.weight[k].T + layer.bias[k]
        torch.testing.assert_close(h, told[:, k])
    assert sum(isinstance(m, torch.nn.ReLU) for m in net) == layers - 1


@few
@given(seeds)
def test_the_maximum_is_the_sum_of_values_at_the_greedy_joint_action(seed):
    """Q_tot(greedy) = sum_i V'_i and no available joint action has more."""
    agents = QPLEXAgents(small_team(), n_kernels=3, **SMALL)
    generator = torch.Generator().manual_seed(seed)
    randomised(agents, generator)
    qs, hidden, view = moment(agents.team.spec, generator)
    table, actions = q_table(agents, qs, hidden, view)
    possible = view.available[torch.arange(3), actions].all(-1)
    at_greedy = table[(actions == greedy(qs, view.available)).all(-1)].detach()
    mixer = agents.online.mixer
    v = torch.where(view.alive, qs.masked_fill(~view.available, -torch.inf).amax(-1), 0.0)
    values = (mixer.weights(view.state) * v + mixer.b(view.state)).sum()
    torch.testing.assert_close(at_greedy, values.detach().expand(1))
    assert (table[possible] <= at_greedy + 1e-9 * (1 + at_greedy.abs())).all()


@few
@given(seeds)
def test_advantages_are_not_above_zero_and_zero_at_the_greedy_action(seed):
    agents = QPLEXAgents(small_team(), n_kernels=3, **SMALL)
    generator = torch.Generator().manual_seed(seed)
    randomised(agents, generator)
    qs, hidden, view = moment(agents.team.spec, generator)
    actions = joint_actions(3, 4)
    asked = Utilities(qs.expand(64, 3, 4), hidden.expand(64, 3, 8)), actions, expand(view, 64)
    told = agents.evidence(agents.online, *asked)
    possible = view.available[torch.arange(3), actions]
    assert (told["A'"][possible] <= 0).all()
    assert (told["A'"][actions == greedy(qs, view.available)] == 0).all()
    assert (told["A'"][:, ~view.alive] == 0).all()
    assert (told["lambda"] > 0).all()
    assert (told["w(s)"] > 0).all()


def test_weights_stay_above_zero_where_networks_say_zero():
    mixer = QPLEXMixer(2, 2, 1, n_kernels=3)
    set_to(mixer)
    assert (mixer.weights(torch.ones(1)) == 1e-10).all()
    assert (mixer.lambdas(torch.eye(2), torch.ones(1)) > 0).all()


@pytest.mark.parametrize("dead", ["zero", "noop"])
def test_the_best_utility_is_the_best_available(dead):
    """An action out of reach that looks better must not become V_i."""
    agents = QPLEXAgents(team_of(2, 3), dead=dead, **SMALL)
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(3), deaths=False)
    agents.online.double()
    view.available[:] = torch.tensor([[True, True, False], [False, True, True]])
    here = view.state, torch.tensor([0, 1])
    before = agents.q_tot(agents.online, Utilities(qs, hidden), here[1], view)
    qs[0, 2], qs[1, 0] = 50.0, 60.0
    after = agents.q_tot(agents.online, Utilities(qs, hidden), here[1], view)
    assert torch.equal(before, after)


def test_what_holds_qtrans_game():
    """Q_i(A) = R_max / N, others 1 less, lambda = (R_max - R(u)) / deviators, from the paper."""

    class Given(QPLEXMixer):
        def weights(self, state):
            return torch.ones(2).expand(*state.shape[:-1], 2)

        def lambdas(self, taken, state):
            a = taken[..., 0]  # [..., N]: who takes A
            return torch.where(a.sum(-1, keepdim=True) == 1, 20.0, 4.0).expand(a.shape)

    env = matrix_game_v0.parallel_env("nonmonotonic")
    agents = QPLEXAgents(env, **SMALL)
    agents.online.mixer = Given(2, 3, 1)
    set_to(agents.online.double().mixer)
    view = moment(agents.team.spec, torch.Generator(), deaths=False)[2]
    view.available[:] = True
    qs = torch.tensor([[4.0, 3, 3], [4, 3, 3]]).double()
    table, _ = q_table(agents, qs, torch.zeros(2, 8), view)
    assert table.tolist() == [8.0, -12, -12, -12, 0, 0, -12, 0, 0]


# -- gradients ----------------------------------------------------------------------------


def test_utilities_learn_through_the_sum_alone():
    """dQ_tot/dQ_i(u_i) = w_i, and nothing for the best utilities; w and b none of the advantage."""
    agents = QPLEXAgents(team_of(3, 4), n_kernels=3, seed=1, **SMALL)
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(4), deaths=False)
    agents.online.double()
    qs.requires_grad_()
    actions = torch.tensor([3, 0, 1])
    q = agents.q_tot(agents.online, Utilities(qs, hidden), actions, view)
    (slopes,) = torch.autograd.grad(q, qs, retain_graph=True)
    w = agents.online.mixer.weights(view.state).detach()
    wanted = torch.zeros_like(slopes).scatter(-1, actions[:, None], w[:, None])
    assert torch.equal(slopes, wanted)
    into_w = torch.autograd.grad(q, agents.online.mixer.w[2].bias, retain_graph=True)[0]
    sign = agents.online.mixer.w(view.state).sign()
    torch.testing.assert_close(into_w, (sign * chosen(qs, actions)).detach())


def test_lambda_learns_from_advantages_alone():
    agents = QPLEXAgents(team_of(3, 4), n_kernels=3, seed=1, **SMALL)
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(4), deaths=False)
    agents.online.double()
    view.available[:] = True

    def gradient(actions):
        agents.online.zero_grad()
        agents.q_tot(agents.online, Utilities(qs, hidden), actions, view).backward()
        return {n: p.grad.abs().max() for n, p in agents.online.mixer.named_parameters()}

    best = greedy(qs, view.available)
    at_best = gradient(best)
    elsewhere = gradient((best + 1) % 4)
    for name in at_best:
        if name.split(".")[0] in ("key", "agents", "actions"):
            assert at_best[name] == 0, name
            assert elsewhere[name] > 0, name


def test_the_bootstrap_takes_value_and_choice_from_the_target_network():
    """Chosen by the online argmax (double Q), V_i the target's own maximum: A^- <= 0."""
    agents = QPLEXAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec, seed=7)
    generator = torch.Generator().manual_seed(0)
    online, target = (torch.randn(2, 6, 3, 4, generator=generator) for _ in range(2))
    give(agents, online, target)
    asked = []

    class Watched(QPLEXMixer):
        def forward(self, agent_qs, best_qs, taken, state):
            asked.append((agent_qs, best_qs, taken))
            return super().forward(agent_qs, best_qs, taken, state)

    agents.target.mixer.__class__ = Watched
    agents.loss(batch)
    ((own, best, taken),) = asked
    then = batch.view[:, 1:]
    picked = greedy(online[:, 1:], then.available)
    alive = then.alive
    assert torch.equal(own, torch.where(alive, chosen(target[:, 1:], picked), 0.0))
    top = target[:, 1:].masked_fill(~then.available, -torch.inf).amax(-1)
    assert torch.equal(best, torch.where(alive, top, 0.0))
    assert torch.equal(taken.argmax(-1)[alive], picked[alive])
    assert (taken[~alive] == 0).all()
    assert (own <= best).all()
    assert (own < best)[alive].any()


def test_only_the_utilities_of_actions_taken_are_taught():
    agents = QPLEXAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec)
    _, qs, _ = leaves(agents, batch)
    taken = torch.zeros(2, 6, 3, 4, dtype=torch.bool)
    taken[:, :-1].scatter_(-1, batch.actions.unsqueeze(-1), True)
    taken[:, :-1] &= (batch.valid.unsqueeze(-1) & batch.view.alive[:, :-1]).unsqueeze(-1)
    assert (qs.grad[taken] != 0).all()
    assert (qs.grad[~taken] == 0).all()


# -- names and what is claimed ------------------------------------------------------------


def test_the_parameters_by_name():
    agents = QPLEXAgents(small_team(), n_kernels=2, hyper_dim=5, adv_layers=2, **SMALL)
    shapes = {n: tuple(p.shape) for n, p in agents.online.mixer.named_parameters()}

    def pair(name, i, o):
        return {f"{name}.weight": (*o, i), f"{name}.bias": o}

    wanted = {}
    for name in ("w", "b"):
        wanted |= pair(f"{name}.0", 7, (5,)) | pair(f"{name}.2", 5, (3,))
    for name, i, o in (("key", 7, 1), ("agents", 7, 3), ("actions", 7 + 3 * 4, 3)):
        wanted |= pair(f"{name}.0", i, (2 * 5,)) | pair(f"{name}.3", 5, (2, o))
    assert shapes == wanted


@pytest.mark.parametrize("name", ["n_kernels", "hyper_dim", "adv_layers"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"^{name}=0: it must be at least 1$"):
        QPLEXConfig(**{name: 0})


def test_what_is_claimed():
    assert (QPLEXAgents.claim, QPLEXAgents.function_class) == ("exact", "unrestricted")


def test_the_audit_shows_lambda_of_every_joint_action():
    env = matrix_game_v0.parallel_env("climbing")
    (state,) = igm.audit(QPLEXAgents(env, seed=0, **SMALL), env).states
    assert state.evidence["lambda, agent_1"].shape == (3, 3)
    assert state.evidence["w(s)"].shape == (2,)
    parts = sum(
        (state.evidence[f"lambda, agent_{i}"]) * state.evidence[f"A', agent_{i}"] for i in (0, 1)
    )
    top = state.q_tot[state.greedy]
    assert state.q_tot == pytest.approx(top + parts, abs=1e-5)
