"""CW-QMIX and OW-QMIX: weights by hand, targets of Q* alone, and what each part is taught."""

import numpy as np
import pytest
import torch

from vdtoolkit import CentralQ, CWQMIXAgents, MonotonicMixer, OWQMIXAgents, UniversalMixer, igm
from vdtoolkit import WeightedQMIXConfig as Config
from vdtoolkit.agents.value import after, before
from vdtoolkit.batch import chosen, greedy, masked_mean
from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.networks import AgentNet
from vdtoolkit.returns import td_lambda_targets

from .helpers import SMALL, leaves, random_batch, small_team, team_of

BOTH = pytest.mark.parametrize("cls", [CWQMIXAgents, OWQMIXAgents])
TINY = {**SMALL, "central_dim": 9}


def made(cls, seed=0, **settings):
    """Agents whose target is another network, and a batch with deaths, masks and padding."""
    agents = cls(small_team(), seed=seed, **{**TINY, **settings})
    agents.target.load_state_dict(
        cls(small_team(), seed=seed + 1, **{**TINY, **settings}).online.state_dict()
    )
    return agents, random_batch(agents.team.spec, seed=5)


def tell(*values):
    return torch.tensor(values)


# -- weights ------------------------------------------------------------------------------


def test_ow_gives_weight_1_to_what_is_underestimated_and_alpha_to_the_rest():
    agents = OWQMIXAgents(small_team(), alpha=0.3, **TINY)
    w = agents.weights(tell(1.0, 2.0, 3.0), tell(2.0, 2.0, 2.0), tell(True, True, False), None)
    assert w.tolist() == pytest.approx([1.0, 0.3, 0.3])


def test_cw_gives_weight_1_to_the_greedy_and_to_what_beats_it_and_alpha_to_the_rest():
    agents = CWQMIXAgents(small_team(), alpha=0.3, **TINY)
    y, at_greedy = tell(1.0, 5.1, 5.0, 1.0), torch.full((4,), 5.0)
    is_greedy = tell(True, False, False, False)
    w = agents.weights(tell(9.0, -9.0, -9.0, -9.0), y, is_greedy, lambda: at_greedy)
    assert w.tolist() == pytest.approx([1.0, 1.0, 0.3, 0.3])


def test_a_joint_action_is_greedy_when_every_living_agents_action_is():
    agents = CWQMIXAgents(small_team(), **TINY)
    view = random_batch(agents.team.spec).view[0, 0]
    view.alive[:] = tell(True, True, False)
    best = tell(1, 2, 3)
    assert agents.alike(tell(1, 2, 0), best, view)
    assert not agents.alike(tell(1, 0, 3), best, view)
    noop = CWQMIXAgents(small_team(), dead="noop", **TINY)
    assert not noop.alike(tell(1, 2, 0), best, view)


@pytest.mark.parametrize("double_q", [True, False])
@pytest.mark.parametrize("lam", [0.0, 0.6])
@BOTH
def test_the_loss_from_its_parts(cls, lam, double_q):
    """y from Q*^- at the joint action greedy in QMIX's utilities; both nets at the one taken."""
    agents, batch = made(cls, td_lambda=lam, double_q=double_q, alpha=0.2)
    view, actions = batch.view, batch.actions

    def central(nets, utilities, joint, at):
        own = torch.where(at.alive, chosen(utilities.qs, joint), 0.0)
        mixer = nets.mixer.central
        return (mixer.out(torch.cat([at.state, own], -1)) + mixer.v(at.state)).squeeze(-1)

    with torch.no_grad():
        main, star, main_t, star_t = (
            net.unroll(view.obs, actions)
            for nets in (agents.online, agents.target)
            for net in (nets.agent, nets.mixer.central.agent)
        )
        picker = main if double_q else main_t
        best = greedy(picker.qs, view.available)[:, 1:]
        ahead = central(agents.target, after(star_t), best, view[:, 1:])
        y = td_lambda_targets(batch.reward, batch.terminated, batch.valid, ahead, 0.99, lam)
        now = view[:, :-1]
        q_star = central(agents.online, before(star), actions, now)
        own = torch.where(now.alive, chosen(main.qs[:, :-1], actions), 0.0)
        q_tot = agents.online.mixer.monotonic(own, now.state)
        if cls is OWQMIXAgents:
            w = torch.where(q_tot < y, 1.0, 0.2)
        else:
            here = greedy(main.qs[:, :-1], now.available)
            top = central(agents.target, before(star_t), here, now)
            w = torch.where(((actions == here) | ~now.alive).all(-1) | (y > top), 1.0, 0.2)
        assert len(w[batch.valid].unique()) == 2, "both weights occur"
        wanted = masked_mean((q_star - y) ** 2, batch.valid)
        wanted += masked_mean(w * (q_tot - y) ** 2, batch.valid)
    loss, metrics = agents.loss(batch)
    torch.testing.assert_close(loss.detach(), wanted)
    torch.testing.assert_close(metrics["weight"], masked_mean(w, batch.valid))
    torch.testing.assert_close(metrics["target"], masked_mean(y, batch.valid))


@BOTH
def test_alpha_1_weighs_all_alike_and_alpha_0_forgets(cls):
    plain, batch = made(cls, alpha=1.0)
    metrics = plain.loss(batch)[1]
    assert metrics["weight"] == 1.0
    forgetful, _ = made(cls, alpha=0.0)
    assert forgetful.loss(batch)[0] < plain.loss(batch)[0]
    assert torch.equal(forgetful.loss(batch)[1]["l_central"], metrics["l_central"])


# -- who teaches whom ---------------------------------------------------------------------


@BOTH
def test_q_star_learns_as_if_q_tot_were_not_there(cls):
    """No gradient from the monotone error to Q*, and none back, weights and targets included."""
    agents, batch = made(cls)
    agents.loss(batch)[0].backward()
    grads = {n: p.grad.clone() for n, p in agents.online.named_parameters()}
    agents.online.zero_grad()
    agents.loss(batch)[1]["l_central"].backward()
    reached = {
        n for n, p in agents.online.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert reached == {n for n in grads if n.startswith("mixer.central.")}
    for name in reached:
        assert torch.equal(agents.online.get_parameter(name).grad, grads[name]), name


@BOTH
def test_targets_are_of_the_central_target_net_and_not_of_the_monotone_one(cls):
    agents, batch = made(cls)
    before_, told = agents.loss(batch)[1]["target"], {}
    for part in ("monotonic", "central.out", "central.agent"):
        with torch.no_grad():
            for p in agents.target.mixer.get_submodule(part).parameters():
                p.add_(0.3)
        told[part] = agents.loss(batch)[1]["target"]
    assert torch.equal(told["monotonic"], before_)
    assert not torch.equal(told["central.out"], before_)
    assert not torch.equal(told["central.agent"], told["central.out"])


def test_central_utilities_are_of_the_same_joint_action():
    """Q* is regressed at the joint action taken, never at the greedy one."""
    agents, batch = made(OWQMIXAgents)
    other = random_batch(agents.team.spec, seed=5)
    live = batch.valid.unsqueeze(-1) & batch.view.alive[:, :-1]
    other.actions[live] = (other.actions[live] + 1) % 4
    one, two = (agents.loss(b)[1]["q_star"] for b in (batch, other))
    assert not torch.equal(one, two)


def test_only_utilities_of_actions_taken_are_taught():
    agents, batch = made(CWQMIXAgents)
    _, qs, _ = leaves(agents, batch)
    taken = torch.zeros(2, 6, 3, 4, dtype=torch.bool)
    taken[:, :-1].scatter_(-1, batch.actions.unsqueeze(-1), True)
    taken[:, :-1] &= (batch.valid.unsqueeze(-1) & batch.view.alive[:, :-1]).unsqueeze(-1)
    assert (qs.grad[~taken] == 0).all()
    assert (qs.grad[taken] != 0).any()


@pytest.mark.parametrize(
    "settings",
    [{}, {"recurrent": False}, {"share_parameters": False}, {"agent_id": False}],
    ids=str,
)
def test_the_central_utility_net_is_built_as_the_agents_own(settings):
    agents, _ = made(OWQMIXAgents, **settings)
    own, central = agents.online.agent, agents.online.mixer.central.agent
    assert [p.shape for p in own.parameters()] == [p.shape for p in central.parameters()]
    assert not any(
        torch.equal(a, b)
        for a, b in zip(own.parameters(), central.parameters(), strict=True)
        if a.abs().max() > 0
    )


# -- the nets -----------------------------------------------------------------------------


def test_q_star_by_hand():
    spec = team_of(2, 3, s=1).spec
    net = CentralQ(AgentNet(spec, 4), n_agents=2, state_dim=1, central_dim=1).double()
    values = {
        "out.0.weight": [[1.0, 2, -3]],
        "out.2.weight": [[2.0]],
        "out.4.weight": [[1.0]],
        "out.4.bias": [5.0],
        "out.6.weight": [[-3.0]],
        "v.0.weight": [[1.0]],
        "v.2.weight": [[10.0]],
        "v.2.bias": [1.0],
    }
    with torch.no_grad():
        for name, p in net.named_parameters():
            if not name.startswith("agent"):
                p.copy_(torch.tensor(values[name]).double() if name in values else 0 * p)
    q = net(torch.tensor([[4.0, 1], [0, 9]]).double(), torch.tensor([[2.0], [-1]]).double())
    # relu(2 + 8 - 3) = 7, twice 7 and 5 more = 19; V = 21.  Then all is off but the bias: 5
    assert q.tolist() == pytest.approx([-3 * 19 + 21, -3 * 5 + 1])


def test_q_star_is_not_monotone_and_q_tot_is():
    agents, _ = made(OWQMIXAgents, seed=3)
    qs = torch.randn(50, 3, requires_grad=True)
    state = torch.randn(50, 7)
    star = torch.autograd.grad(agents.online.mixer.central(qs, state).sum(), qs)[0]
    tot = torch.autograd.grad(agents.online.mixer(qs, state).sum(), qs)[0]
    assert star.min() < 0 < star.max()
    assert tot.min() >= 0


@pytest.mark.parametrize(
    ("settings", "mixer", "function_class"),
    [
        ({}, MonotonicMixer, "elu_qmix"),
        ({"mixer_activation": "split"}, UniversalMixer, "monotone"),
    ],
)
@BOTH
def test_the_mixer_is_qmixs_with_its_options(cls, settings, mixer, function_class):
    agents, _ = made(cls, **settings)
    assert type(agents.online.mixer.monotonic) is mixer
    assert (agents.claim, agents.function_class) == ("exact", function_class)


@pytest.mark.parametrize("alpha", [-0.1, 1.5])
def test_alpha_is_a_weight(alpha):
    with pytest.raises(ValueError, match=rf"^alpha={alpha}: it must be in \[0, 1\]$"):
        Config(alpha=alpha)


def test_sizes_below_one_are_refused():
    for name in ("central_dim", "embed_dim", "hyper_dim"):
        with pytest.raises(ValueError, match=f"^{name}=0: it must be at least 1$"):
            Config(**{name: 0})


# -- what is shown ------------------------------------------------------------------------


@BOTH
def test_evidence_is_q_star_and_the_weights_it_asks_for(cls):
    env = matrix_game_v0.parallel_env("climbing")
    agents = cls(env, seed=0, alpha=0.25, **TINY)
    (state,) = igm.audit(agents, env).states
    star = np.broadcast_to(state.evidence["Q*"], (3, 3))
    w = np.broadcast_to(state.evidence["w"], (3, 3))
    if cls is OWQMIXAgents:
        wanted = state.q_tot < star
    else:
        wanted = star > star[state.greedy]
        wanted[state.greedy] = True
    assert (w == wanted + 0.25 * ~wanted).all()
    assert np.ptp(star) > 0
