"""The TD loss: targets by hand, and every loss against loops that take one moment at a time."""

import pytest
import torch

from vdtoolkit import QattenAgents, QMIXAgents, QTRANBaseAgents, VDNAgents
from vdtoolkit.batch import EpisodeBatch, View, chosen, greedy
from vdtoolkit.networks import Utilities

from .helpers import SMALL, give, leaves, random_batch, small_team, team_of

# two agents, three actions, one episode of two moves; moments 0, 1, 2
ONLINE = torch.tensor([[[1.0, 2, 3], [4, 5, 6]], [[10, 20, 30], [7, 1, 2]], [[0, 5, 1], [3, 2, 9]]])
TARGET = torch.tensor(
    [[[-1e3] * 3] * 2, [[100, 40, 900], [11, 12, 99]], [[60, 70, 80], [13, 14, 500]]]
)


def two_moves(terminated, dead=()):
    """Actions (2, 0), (1, 2); rewards 1, -2.  Masked: agent 0's 2 at moment 1, agent 1's at 2."""
    available = torch.ones(1, 3, 2, 3, dtype=torch.bool)
    available[0, 1, 0, 2] = available[0, 2, 1, 2] = False
    alive = torch.ones(1, 3, 2, dtype=torch.bool)
    for t, i in dead:
        alive[0, t, i] = False
    view = View(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 1), available, alive)
    return EpisodeBatch(
        view,
        torch.tensor([[[2, 0], [1, 2]]]),
        torch.tensor([[1.0, -2.0]]),
        torch.tensor([[False, terminated]]),
        torch.tensor([[True, True]]),
    )


def vdn(**kwargs):
    agents = VDNAgents(team_of(2, 3), gamma=0.5, **{**SMALL, **kwargs})
    give(agents, ONLINE[None], TARGET[None])
    return agents


def targets_of(agents, batch):
    online = agents.unroll(batch)
    return agents.targets(batch, agents.bootstrap(batch, online, agents.q_tot, batch.reward))


@pytest.mark.parametrize(
    ("terminated", "double_q", "lam", "wanted"),
    [
        (False, True, 0.0, [1 + 0.5 * (40 + 11), -2 + 0.5 * (70 + 13)]),
        (True, True, 0.0, [1 + 0.5 * (40 + 11), -2]),
        (False, False, 0.0, [1 + 0.5 * (100 + 99), -2 + 0.5 * (80 + 14)]),
        (True, False, 0.0, [1 + 0.5 * (100 + 99), -2]),
        (False, True, 0.5, [1 + 0.5 * (0.5 * 51 + 0.5 * 39.5), 39.5]),
        (True, True, 0.5, [1 + 0.5 * (0.5 * 51 + 0.5 * -2), -2]),
    ],
)
def test_targets_by_hand(terminated, double_q, lam, wanted):
    agents = vdn(double_q=double_q, td_lambda=lam)
    assert targets_of(agents, two_moves(terminated)).tolist() == [wanted]


@pytest.mark.parametrize(
    ("terminated", "double_q", "wanted"),
    [
        (False, True, ((7 - 26.5) ** 2 + (22 - 39.5) ** 2) / 2),
        (True, True, ((7 - 26.5) ** 2 + (22 + 2) ** 2) / 2),
        (False, False, ((7 - 100.5) ** 2 + (22 - 45) ** 2) / 2),
    ],
)
def test_the_td_loss_by_hand(terminated, double_q, wanted):
    agents = vdn(double_q=double_q)
    loss, metrics = agents.loss(two_moves(terminated))
    assert float(loss) == wanted
    assert float(metrics["q_tot"]) == (7 + 22) / 2
    assert float(metrics["target"]) == targets_of(agents, two_moves(terminated)).mean()


def test_dead_agents_count_zero_in_the_estimate_and_in_the_bootstrap():
    batch = two_moves(False, dead=((1, 1), (2, 1)))
    loss, _ = vdn().loss(batch)
    assert float(loss) == ((7 - (1 + 0.5 * 40)) ** 2 + (20 - (-2 + 0.5 * 70)) ** 2) / 2
    loss, _ = vdn(dead="noop").loss(batch)
    assert float(loss) == ((7 - 26.5) ** 2 + (22 - 39.5) ** 2) / 2


@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_only_valid_moves_are_averaged_and_bootstrapped(lam):
    batch = two_moves(False)
    batch.valid[0, 1] = False  # cut short after one move: TD(lambda) has nothing to mix with
    loss, _ = vdn(td_lambda=lam).loss(batch)
    assert float(loss) == (7 - 26.5) ** 2


LEARNERS = {
    "vdn": (VDNAgents, {}),
    "qmix": (QMIXAgents, {}),
    "qatten": (QattenAgents, {}),
    "qatten_slice": (QattenAgents, {"unit_features": "1:7"}),
    "qtran": (QTRANBaseAgents, {}),
    "qtran_pymarl": (QTRANBaseAgents, {"joint_state": True, "value_of": "state"}),
}


def moment_by_moment(net, batch, b):
    """Utilities of episode b, one moment at a time as an actor would: T + 1 of [N, A], [N, H]."""
    said, carry = [], net.empty(1, batch.view.obs)
    last = torch.full((1, 1, batch.view.obs.shape[2]), -1)
    for t in range(batch.view.obs.shape[1]):
        utilities, carry = net(batch.view.obs[b, t][None, None], last, carry)
        said.append(Utilities(utilities.qs[0, 0], utilities.hidden[0, 0]))
        if t < batch.actions.shape[1]:
            last = batch.actions[b, t][None, None]
    return said


def td_by_loops(agents, batch):
    errors = []
    for b in range(len(batch.valid)):
        online = moment_by_moment(agents.online.agent, batch, b)
        target = moment_by_moment(agents.target.agent, batch, b)
        for t in range(int(batch.valid[b].sum())):
            q = agents.q_tot(agents.online, online[t], batch.actions[b, t], batch.view[b, t])
            y = batch.reward[b, t].clone()
            if not batch.terminated[b, t]:
                view = batch.view[b, t + 1]
                picker = online if agents.config.double_q else target
                best = greedy(picker[t + 1].qs, view.available)
                y += agents.config.gamma * agents.q_tot(agents.target, target[t + 1], best, view)
            errors.append(q - y)
    return torch.stack(errors).square().mean()


def drifted(cls, team, **kwargs):
    """Agents whose target differs from their networks."""
    agents = cls(team, seed=1, **{**SMALL, **kwargs})
    with torch.no_grad():
        for p in agents.target.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return agents


@pytest.mark.parametrize("double_q", [True, False])
@pytest.mark.parametrize("name", LEARNERS)
def test_the_td_loss_is_what_loops_over_single_moments_give(name, double_q):
    torch.manual_seed(0)
    cls, kwargs = LEARNERS[name]
    agents = drifted(cls, small_team(), double_q=double_q, **kwargs)
    batch = random_batch(agents.team.spec, seed=3)
    loss, metrics = agents.loss(batch)
    if "l_td" in metrics:
        loss = metrics["l_td"]
    if "attention_reg" in metrics:
        loss = loss - agents.config.attention_reg * metrics["attention_reg"]
    torch.testing.assert_close(loss, td_by_loops(agents, batch), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["vdn", "qatten", "qtran"])
def test_the_order_of_the_agents_does_not_matter_without_ids(name):
    torch.manual_seed(0)
    cls, kwargs = LEARNERS[name]
    agents = drifted(cls, small_team(), agent_id=False, **kwargs)
    batch = random_batch(agents.team.spec, seed=3)
    order = torch.tensor([2, 0, 1])
    view = batch.view
    view = View(
        view.obs[:, :, order], view.state, view.available[:, :, order], view.alive[..., order]
    )
    other = EpisodeBatch(
        view, batch.actions[..., order], batch.reward, batch.terminated, batch.valid
    )
    assert not torch.equal(view.obs, batch.view.obs)
    torch.testing.assert_close(agents.loss(other)[0], agents.loss(batch)[0], rtol=1e-5, atol=1e-6)


def test_td_lambda_is_read_from_the_config():
    agents = VDNAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec)
    one_step = agents.loss(batch)[0]
    agents.config = VDNAgents.Config(td_lambda=0.8)
    assert abs(agents.loss(batch)[0] - one_step) > 1e-4


@pytest.mark.parametrize("name", LEARNERS)
def test_targets_carry_no_gradient_even_if_the_target_network_could(name):
    cls, kwargs = LEARNERS[name]
    agents = cls(small_team(), seed=0, **SMALL, **kwargs)
    agents.target.requires_grad_(True)
    batch = random_batch(agents.team.spec)
    agents.loss(batch)[0].backward()
    assert all(p.grad is None for p in agents.target.parameters())


def test_the_last_moment_of_an_episode_gets_no_gradient():
    agents = VDNAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec)
    _, qs, _ = leaves(agents, batch)
    assert (qs.grad[0, 5] == 0).all(), "bootstrapped from, so a target"
    assert (qs.grad[1, 2:] == 0).all()


def test_the_gradient_reaches_the_utilities_of_the_actions_taken_and_no_others():
    agents = VDNAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec)
    _, qs, _ = leaves(agents, batch)
    taken = torch.zeros_like(qs[:, :-1], dtype=torch.bool)
    taken.scatter_(-1, batch.actions.unsqueeze(-1), True)
    taken &= (batch.valid[..., None] & batch.view.alive[:, :-1])[..., None]
    assert (qs.grad[:, :-1][taken] != 0).all()
    assert (qs.grad[:, :-1][~taken] == 0).all()


def test_agent_qs_are_those_of_the_actions_and_zero_for_the_dead():
    agents = vdn()
    batch = two_moves(False, dead=((1, 0),))
    utilities = Utilities(ONLINE[None, :2], torch.zeros(1, 2, 2, 8))
    told = agents.agent_qs(utilities, batch.actions, batch.view[:, :2])
    assert told.tolist() == [[[3, 4], [0, 2]]]
    assert chosen(utilities.qs, batch.actions).tolist() == [[[3, 4], [20, 2]]]
