"""IQL: every agent for itself; numbers as in test_value."""

import pytest
import torch

from vdtoolkit import IQLAgents
from vdtoolkit.networks import Utilities

from .helpers import SMALL, give, leaves, moment, random_batch, small_team, team_of
from .test_value import ONLINE, TARGET, two_moves


def iql(**kwargs):
    agents = IQLAgents(team_of(2, 3), gamma=0.5, **{**SMALL, **kwargs})
    give(agents, ONLINE[None], TARGET[None])
    return agents


@pytest.mark.parametrize(
    ("terminated", "double_q", "errors"),
    [
        (False, True, [3 - 21, 4 - 6.5, 20 - 33, 2 - 4.5]),
        (True, True, [3 - 21, 4 - 6.5, 20 + 2, 2 + 2]),
        (False, False, [3 - 51, 4 - 50.5, 20 - 38, 2 - 5]),
    ],
)
def test_every_agent_regresses_on_its_own_target(terminated, double_q, errors):
    loss, metrics = iql(double_q=double_q).loss(two_moves(terminated))
    assert float(loss) == pytest.approx(sum(e * e for e in errors) / 4)
    assert float(metrics["q"]) == (3 + 4 + 20 + 2) / 4
    assert float(metrics["td_error"]) == sum(map(abs, errors)) / 4


def test_td_lambda_runs_over_each_agents_own_values():
    loss, _ = iql(td_lambda=0.5).loss(two_moves(False))
    # G_1 = 33 and 4.5 as above; G_0 = 1 + 0.5 (0.5 V_1 + 0.5 G_1)
    first = [1 + 0.5 * (20 + 16.5), 1 + 0.5 * (5.5 + 2.25)]
    errors = [3 - first[0], 4 - first[1], 20 - 33, 2 - 4.5]
    assert float(loss) == sum(e * e for e in errors) / 4


@pytest.mark.parametrize("lam", [0.0, 0.7])
def test_an_agent_that_dies_has_no_next_value_and_learns_no_more(lam):
    batch = two_moves(False, dead=((1, 1), (2, 1)))
    loss, metrics = iql(td_lambda=lam).loss(batch)
    ahead = (1 - lam) * 40 + lam * 33
    errors = [3 - (1 + 0.5 * ahead), 4 - 1, 20 - 33]
    assert float(loss) == pytest.approx(sum(e * e for e in errors) / 3)
    assert float(metrics["q"]) == 9


def test_the_dead_go_on_learning_under_noop():
    batch = two_moves(False, dead=((1, 1), (2, 1)))
    assert float(iql(dead="noop").loss(batch)[0]) == float(iql().loss(two_moves(False))[0])


def test_no_agents_error_touches_another_agents_utilities():
    agents = IQLAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec)
    _, before, _ = leaves(agents, batch)
    unroll = agents.online.agent.unroll
    said = unroll(batch.view.obs, batch.actions)
    moved = said.qs.detach().clone()
    moved[:, :-1, 0] += 1.0  # what agent 0 believes of its own actions
    moved.requires_grad_()
    agents.online.agent.unroll = lambda obs, actions: Utilities(moved, said.hidden.detach())
    agents.loss(batch)[0].backward()
    assert torch.equal(moved.grad[:, :, 1:], before.grad[:, :, 1:])
    assert not torch.equal(moved.grad[:, :, 0], before.grad[:, :, 0])


def test_what_stands_for_q_tot_is_the_sum_over_the_living():
    agents = IQLAgents(small_team(), **SMALL)
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(3), deaths=False)
    view.alive[1] = False
    told = agents.q_tot(agents.online, Utilities(qs, hidden), torch.tensor([1, 2, 3]), view)
    assert told == qs[0, 1] + qs[2, 3]


def test_no_igm_is_claimed():
    assert (IQLAgents.claim, IQLAgents.function_class) == ("none", "independent")
    assert IQLAgents.q_tot_label == "sum of Q_i (implicit)"
