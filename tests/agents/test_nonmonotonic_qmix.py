"""Non-monotonic QMIX: the mixer by hand, what it bootstraps from, and what play makes of it."""

import math
from dataclasses import replace

import pytest
import torch

from vdtoolkit import NonMonotonicQMIXAgents, NonMonotonicQMIXConfig, UnconstrainedMixer
from vdtoolkit.batch import EpisodeBatch, View, greedy
from vdtoolkit.igm import lab
from vdtoolkit.igm.game import named_game
from vdtoolkit.networks import Utilities

from .helpers import (
    SMALL,
    Given,
    give,
    moment,
    q_table,
    random_batch,
    randomised,
    small_team,
    team_of,
)


def by_hand():
    """Two agents, one state feature, two hidden units, one unit in each hypernetwork.

    W1 = [2 relu(s) - 3, -2; 3, 4], b1 = (-1 - s, 1), W2 = (-2, 0.5), V = 7 + relu(s).
    """
    mixer = UnconstrainedMixer(n_agents=2, state_dim=1, embed_dim=2, hyper_dim=1).double()
    values = {
        "w1.0.weight": [[1.0]],
        "w1.2.weight": [[2.0], [0], [0], [0]],
        "w1.2.bias": [-3.0, -2, 3, 4],
        "b1.weight": [[-1.0], [0]],
        "b1.bias": [-1.0, 1],
        "w2.2.bias": [-2.0, 0.5],
        "v.0.weight": [[1.0], [0]],
        "v.2.weight": [[1.0, 0]],
        "v.2.bias": [7.0],
    }
    state = {name: torch.zeros_like(value) for name, value in mixer.state_dict().items()}
    state.update({name: torch.tensor(value).double() for name, value in values.items()})
    mixer.load_state_dict(state)
    return mixer


@pytest.mark.parametrize(
    ("qs", "state", "wanted"),
    [
        # W1 Q + b1 = (-1.5 + 3 - 1, -1 + 4 + 1) = (0.5, 4): -2 * 0.5 + 0.5 * 4 + 7
        ((0.5, 1.0), 0.0, 8.0),
        # W1[0, 0] = 1, b1 = (-3, 1), V = 9: (0.5 + 3 - 3, 4)
        ((0.5, 1.0), 2.0, 10.0),
        # the ReLUs are off, b1 = (0, 1): (1.5, 4)
        ((0.5, 1.0), -1.0, 6.0),
        # (-6 - 3 - 1, -4 - 4 + 1) = (-10, -7), both bent
        ((2.0, -1.0), 0.0, -2 * (math.exp(-10) - 1) + 0.5 * (math.exp(-7) - 1) + 7),
    ],
)
def test_forward_by_hand(qs, state, wanted):
    q = by_hand()(torch.tensor(qs).double(), torch.tensor([state]).double())
    assert q.item() == pytest.approx(wanted, abs=1e-12)


def test_leading_axes_are_free():
    mixer = UnconstrainedMixer(n_agents=3, state_dim=7, embed_dim=5, hyper_dim=6)
    qs, state = torch.randn(2, 4, 3), torch.randn(2, 4, 7)
    told = mixer(qs, state)
    assert told.shape == (2, 4)
    for b, t in ((0, 3), (1, 2)):
        torch.testing.assert_close(mixer(qs[b, t], state[b, t]), told[b, t])


def test_slopes_have_both_signs():
    """At birth as well: nothing of the constraint is left."""
    mixer = UnconstrainedMixer(n_agents=3, state_dim=7)
    qs = torch.randn(50, 3, requires_grad=True)
    (slopes,) = torch.autograd.grad(mixer(qs, torch.randn(50, 7)).sum(), qs)
    assert (slopes < 0).any() and (slopes > 0).any()


@pytest.mark.parametrize("dead", ["zero", "noop"])
def test_what_the_dead_would_say_is_not_in_q_tot_unless_asked_for(dead):
    agents = randomised(
        NonMonotonicQMIXAgents(small_team(), dead=dead, **SMALL), torch.Generator().manual_seed(0)
    )
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(1), deaths=False)
    view.alive[1] = False
    before, actions = q_table(agents, qs, hidden, view)
    qs[1] += 5.0
    after, _ = q_table(agents, qs, hidden, view)
    assert torch.equal(before, after) == (dead == "zero")
    if dead == "zero":
        for u in range(1, 4):
            assert torch.equal(before[actions[:, 1] == u], before[actions[:, 1] == 0])


# -- SARSA --------------------------------------------------------------------------------


class Sums(NonMonotonicQMIXAgents):
    """Q_tot = Q_0 + Q_1, so that targets can be worked out by hand."""

    def q_tot(self, nets, utilities, actions, view):
        return self.agent_qs(utilities, actions, view).sum(-1)


def three_moves(terminated=False):
    """Rewards 1, 2, 3; moves (0, 1), (2, 0), (1, 1); Q_tot^-(t, u) = 20 t + u_0 + 4 u_1.

    The online networks' greedy joint actions are (2, 2), (1, 2), (2, 0), (0, 2).
    """
    true = torch.ones(1, 4, 2, dtype=torch.bool)
    ended = torch.tensor([[False, False, terminated]])
    view = View(
        torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 1), true[..., None].expand(-1, -1, -1, 3), true
    )
    moves = torch.tensor([[[0, 1], [2, 0], [1, 1]]])
    batch = EpisodeBatch(view, moves, torch.tensor([[1.0, 2, 3]]), ended, true[:, :3, 0])
    t, a = 10.0 * torch.arange(4)[:, None], torch.arange(3.0)
    target = torch.stack([t + a, t + 4 * a], 1)[None]  # [1, 4, 2, 3]
    best = torch.tensor([[2, 2], [1, 2], [2, 0], [0, 2]])
    return batch, torch.nn.functional.one_hot(best, 3)[None].float(), target


@pytest.mark.parametrize(
    ("settings", "terminated", "wanted"),
    [
        # Q_tot^- at (2, 0), (1, 1) and, where no move followed, at the greedy (0, 2): 22, 45, 68
        ({}, False, [1 + 11, 2 + 22.5, 3 + 34]),
        ({}, True, [12, 24.5, 3]),
        # without double Q the target's own greedy (2, 2) at the end: 70
        ({"double_q": False}, False, [12, 24.5, 3 + 35]),
        # 37, then 2 + (45 + 37) / 4, then 1 + (22 + 22.5) / 4
        ({"td_lambda": 0.5}, False, [12.125, 22.5, 37]),
        # greedy throughout, (1, 2), (2, 0), (0, 2): 29, 42, 68
        ({"sarsa": False}, False, [1 + 14.5, 2 + 21, 37]),
    ],
)
def test_targets_by_hand(settings, terminated, wanted):
    agents = Sums(team_of(2, 3), gamma=0.5, **SMALL, **settings)
    batch, online, target = three_moves(terminated)
    give(agents, online, target)
    like = torch.zeros(1, 3)
    behind = agents.bootstrap(batch, agents.unroll(batch), agents.q_tot, like)
    assert agents.targets(batch, behind)[0].tolist() == pytest.approx(wanted)
    assert agents.loss(batch)[1]["target"].item() == pytest.approx(sum(wanted) / 3)


def test_each_episode_of_a_batch_has_an_end_of_its_own():
    """Asked of the target: the next move of all but the last valid one, there the greedy one."""
    agents = NonMonotonicQMIXAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec, lengths=(5, 2), ended=(False, False), seed=7)
    qs = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    asked = []

    def watched(nets, utilities, actions, view):
        asked.append(actions)
        return actions.sum(-1).float()

    agents.bootstrap(batch, Utilities(qs, qs), watched, torch.zeros(2, 5))
    best = greedy(qs[:, 1:], batch.view.available[:, 1:])
    assert torch.equal(asked[0][0, :4], batch.actions[0, 1:])
    assert torch.equal(asked[0][0, 4], best[0, 4])
    assert torch.equal(asked[0][1, 0], batch.actions[1, 1])
    assert torch.equal(asked[0][1, 1], best[1, 1])
    assert not torch.equal(asked[0][0, :4], best[0, :4])


def test_a_one_step_game_asks_for_nothing_behind_it():
    agents = NonMonotonicQMIXAgents(team_of(2, 3), **SMALL)
    batch = random_batch(agents.team.spec, lengths=(1, 1), ended=(True, True), deaths=())

    class Silent(Given):
        def unroll(self, obs, actions):
            raise AssertionError("nobody should ask")

    agents.target.agent = Silent(torch.zeros(1))
    agents.loss(batch)


# -- what is claimed ----------------------------------------------------------------------


def test_what_is_claimed():
    """Values of its own play have no limit to be held against; greedy targets do."""
    agents = NonMonotonicQMIXAgents(small_team(), **SMALL)
    assert (agents.claim, agents.function_class) == ("none", "unknown")
    agents = NonMonotonicQMIXAgents(small_team(), sarsa=False, **SMALL)
    assert (agents.claim, agents.function_class) == ("none", "unrestricted")
    assert NonMonotonicQMIXAgents.function_class == "unknown"


@pytest.mark.parametrize("name", ["embed_dim", "hyper_dim"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"^{name}=0: it must be at least 1$"):
        NonMonotonicQMIXConfig(**{name: 0})


def test_igm_does_not_hold_at_any_weights():
    agents = NonMonotonicQMIXAgents(small_team(), **SMALL)
    broken = 0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        randomised(agents, generator)
        qs, hidden, view = moment(agents.team.spec, generator, deaths=False)
        view.available[:] = True
        table, actions = q_table(agents, qs, hidden, view)
        at_greedy = table[(actions == greedy(qs, view.available)).all(-1)]
        broken += bool(at_greedy < table.max() - 1e-6)
    assert broken > 10


# -- what play makes of it ----------------------------------------------------------------

QTRAN = torch.tensor([[8.0, -12, -12], [-12, 0, 0], [-12, 0, 0]]).double()


@pytest.mark.parametrize("tau", [1.0, 0.1, 0.05])
def test_a_solution_that_violates_igm_is_no_saddle_of_the_papers_loss(tau):
    """L = sum_u mu(u) (y - Q_tot)^2 is 0 there and nowhere below: no curvature is negative.

    Its theorem 3 has v H v = -(2 / tau) (8 - 0) in the direction v from the greedy action to the
    best one.  Here f_mix is the polynomial of degree 2 in each utility through the nine payoffs.
    """
    q = torch.tensor([-1.0, 0.3, 1.2, -0.8, 0.1, 1.0]).double()  # both find their C best: 0, not 8

    def powers(x):
        return torch.stack([x**0, x, x**2], -1)

    inverse = torch.linalg.inv
    f = inverse(powers(q[:3])) @ QTRAN @ inverse(powers(q[3:])).T

    def loss(q):
        own, other = torch.softmax(q[:3] / tau, 0), torch.softmax(q[3:] / tau, 0)
        error = QTRAN - powers(q[:3]) @ f @ powers(q[3:]).T
        return (own[:, None] * other * error.square()).sum()

    assert loss(q) < 1e-20
    hessian = torch.autograd.functional.hessian(loss, q)
    assert torch.linalg.eigvalsh(hessian).min() > -1e-9
    v = torch.tensor([1.0, 0, -1, 0, 0, 0]).double()
    assert v @ hessian @ v > 10


@pytest.mark.slow
@pytest.mark.parametrize("exploration", [{}, {"epsilon_start": 1.0, "epsilon_end": 1.0}], ids=str)
def test_it_learns_qtrans_game_and_its_teams_may_miss_the_best_of_it(exploration):
    """20,000 moves in the lab: the payoff itself in every seed, IGM in some (docs/methods.md)."""
    config = replace(lab.lab_config("nonmonotonic_qmix"), **exploration)
    found = [
        lab.run_one(lab.Job(named_game("nonmonotonic"), "nonmonotonic_qmix", config, seed, 20_000))
        for seed in range(3)
    ]
    assert all(one.audit.rmse < 0.05 for one in found)
    assert any(one.audit.regret > 0 for one in found)
    assert all((one.audit.regret > 0) == (one.audit.violation_rate > 0) for one in found)
