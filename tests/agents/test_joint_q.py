"""JointQ: the table by hand, the best joint action under masks and deaths, who is refused."""

import itertools

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from vdtoolkit import JointQAgents, JointTable, Team, igm
from vdtoolkit.agents import joint_q
from vdtoolkit.batch import greedy
from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.networks import Utilities

from .helpers import (
    SMALL,
    Unlike,
    moment,
    q_table,
    random_batch,
    randomised,
    small_team,
    team_of,
)

seeds = st.integers(0, 2**31)
few = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def test_forward_by_hand():
    table = JointTable([2, 3], hidden_dim=1, joint_dim=2).double()
    values = {
        "inside.0.weight": [[1.0, -1.0], [0.0, 1.0]],
        "inside.2.weight": [[1.0, 0.0], [0.0, 1.0]],
        "inside.2.bias": [0.0, -1.0],
        "out.weight": [[k, 10.0 * k] for k in range(6)],
        "out.bias": [0.0, 0, 0, 0, 0.5, 0],
    }
    with torch.no_grad():
        for name, p in table.named_parameters():
            p.copy_(torch.tensor(values[name]) if name in values else 0 * p)
    hidden = torch.tensor([[5.0], [3.0]]).double()  # relu(2) = 2, relu(3 - 1) = 2
    q = table(torch.tensor([0.25, -4.0]).double(), hidden, torch.tensor([1, 1]))
    assert q.item() == pytest.approx(0.25 - 4.0 + 4 * (2 + 20) + 0.5)


@pytest.mark.parametrize("counts", [(3,), (2, 3), (2, 4, 3)])
def test_the_table_is_q_of_every_joint_action(counts):
    table, n, a = JointTable(counts, 5, 7), len(counts), max(counts)
    qs, hidden = torch.randn(6, n, a), torch.randn(6, n, 5)
    whole = table.table(qs, hidden)
    assert whole.shape == (6, *counts)
    for u in itertools.product(*map(range, counts)):
        actions = torch.tensor(u).expand(6, n)
        own = qs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(table(own, hidden, actions), whole[(slice(None), *u)])


def best_by_looking(agents, qs, hidden, view):
    table, actions = q_table(agents, qs, hidden, view)
    possible = view.available[torch.arange(3), actions].all(-1)
    return table.masked_fill(~possible, -torch.inf), actions


@few
@given(seeds)
def test_each_agents_preference_is_the_best_joint_action_with_its_own(seed):
    """By brute force over joint actions masked by the product of masks."""
    agents = JointQAgents(small_team(), joint_dim=6, **SMALL)
    generator = torch.Generator().manual_seed(seed)
    randomised(agents, generator)
    qs, hidden, view = moment(agents.team.spec, generator)
    table, actions = best_by_looking(agents, qs, hidden, view)
    told = agents.preferences(agents.online, Utilities(qs, hidden), view)
    for i in range(3):
        for u in range(4):
            if view.available[i, u]:
                wanted = table[actions[:, i] == u].max()
                torch.testing.assert_close(told[i, u], wanted)
            else:
                assert told[i, u] == 0.0
    assert torch.equal(greedy(told, view.available), actions[table.argmax()])


def test_of_several_best_joint_actions_all_agents_take_part_in_one():
    agents = JointQAgents(team_of(2, 2), joint_dim=6, **SMALL)
    for best in ([0, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 1], [0, 1, 1, 1]):
        with torch.no_grad():
            for p in agents.online.mixer.parameters():
                p.zero_()
            agents.online.mixer.out.bias.copy_(torch.tensor(best))
        view = moment(agents.team.spec, torch.Generator(), deaths=False)[2]
        view.available[:] = True
        zero = Utilities(torch.zeros(2, 2), torch.zeros(2, 8))
        told = agents.preferences(agents.online, zero, view)
        u = greedy(told, view.available)
        assert best[int(2 * u[0] + u[1])] == 1
        torch.testing.assert_close(told.amax(-1), torch.ones(2))


def test_large_tables_are_looked_through_in_parts(monkeypatch):
    agents = JointQAgents(small_team(), joint_dim=6, **SMALL)
    qs, hidden = torch.randn(7, 3, 4), torch.randn(7, 3, 8)
    available = torch.rand(7, 3, 4) < 0.7
    available[..., 0] = True
    whole = agents.online.mixer.preferences(qs, hidden, available)
    monkeypatch.setattr(joint_q, "AT_ONCE", 2 * 64)
    parts = agents.online.mixer.preferences(qs, hidden, available)
    torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize("double_q", [True, False])
def test_the_bootstrap_is_the_target_table_at_the_best_available_joint_action(double_q):
    agents = JointQAgents(small_team(), seed=0, double_q=double_q, **SMALL)
    agents.target.load_state_dict(JointQAgents(small_team(), seed=1, **SMALL).online.state_dict())
    batch = random_batch(agents.team.spec, seed=5)
    asked = []

    def value(nets, utilities, actions, view):
        asked.append((nets, utilities, actions))
        return agents.q_tot(nets, utilities, actions, view)

    online = agents.unroll(batch)
    told = agents.bootstrap(batch, online, value, batch.reward)
    ((nets, utilities, actions),) = asked
    assert nets is agents.target
    picker, chooses = (online, agents.online) if double_q else (None, agents.target)
    with torch.no_grad():
        for b, t in ((0, 0), (0, 3), (1, 1)):
            target = Utilities(utilities.qs[b, t], utilities.hidden[b, t])
            here = target if picker is None else Utilities(*(x[b, t + 1] for x in picker))
            view = batch.view[b, t + 1]
            agents_at = type("At", (), {"q_tot": agents.q_tot, "online": chooses})
            table, all_actions = best_by_looking(agents_at, here.qs, here.hidden, view)
            best = all_actions[table.argmax()]
            assert torch.equal(actions[b, t][view.alive], best[view.alive])
            torch.testing.assert_close(told[b, t], agents.q_tot(agents.target, target, best, view))


def test_it_acts_by_the_best_joint_action_and_not_by_the_utilities():
    env = matrix_game_v0.parallel_env("nonmonotonic")
    agents = JointQAgents(env, seed=0, epsilon_start=0, epsilon_end=0, **SMALL)
    with torch.no_grad():
        agents.online.mixer.out.bias.copy_(torch.tensor([0.0, 0, 0, 0, 0, 99, 0, 0, 0]))
        for body in agents.online.agent.bodies:
            body.head.bias.copy_(torch.tensor([9.0, 0, 0]))
    observations, infos = env.reset(seed=0)
    assert list(agents.actor().act(observations, infos).values()) == [1, 2]
    assert list(agents.act(observations, infos, env.state()).values()) == [1, 2]
    (state,) = igm.audit(agents, env).states
    assert state.greedy == state.best == (1, 2)


def test_who_is_not_observed_counts_as_dead_for_the_team():
    """The actor's preferences are those of learning, where alive says who is there."""
    agents, env = JointQAgents(Unlike(masks=False), seed=0, **SMALL), Unlike(masks=False)
    observations, infos = env.reset(seed=0)
    seen = []
    actor = agents.actor()
    actor._policy = lambda qs, available, *rest: seen.append(qs) or available.argmax(-1)
    actor.act(observations, infos)
    actor.reset()
    actor.act({a: observations[a] for a in ("walker", "flyer")}, infos)
    actor.reset()
    infos["mole"]["alive"] = False
    actor.act(observations, infos)
    together, without, out = (np.array(qs[0]) for qs in seen)
    assert not np.allclose(together[:2], without[:2])
    np.testing.assert_allclose(out[:2], without[:2], atol=1e-6)
    assert (without[2, 1:] == 0).all(), "a dead agent has action 0 alone"


def test_only_the_output_of_the_joint_action_taken_is_taught():
    agents = JointQAgents(small_team(), seed=0, gamma=0.0, **SMALL)
    batch = random_batch(agents.team.spec)
    agents.loss(batch)[0].backward()
    grad = agents.online.mixer.out.bias.grad
    live = torch.where(batch.view.alive[:, :-1], batch.actions, 0)
    taken = (live * torch.tensor([16, 4, 1])).sum(-1)[batch.valid].unique()
    assert set(grad.nonzero().flatten().tolist()) == set(taken.tolist())


# -- who is refused -----------------------------------------------------------------------


def test_too_many_joint_actions_are_refused():
    with pytest.raises(
        ValueError,
        match=r"^JointQAgents enumerates joint actions: 8 agents with 14 actions have 1475789056, "
        r"above the limit of 100000; use QPLEXAgents$",
    ):
        JointQAgents(team_of(8, 14))


def test_unlike_counts_are_named_one_by_one():
    counts = {"ann": 50, "bob": 60, "cat": 34}
    team = Team(
        {a: spaces.Box(-1, 1, (2,)) for a in counts},
        {a: spaces.Discrete(n) for a, n in counts.items()},
        spaces.Box(-1, 1, (1,)),
    )
    with pytest.raises(ValueError, match="3 agents with 50 x 60 x 34 actions have 102000, above"):
        JointQAgents(team)


def test_only_actions_that_agents_have_are_counted():
    assert JointQAgents(Unlike(), **SMALL).online.mixer.out.out_features == 3 * 2 * 4
    assert JointQAgents(team_of(5, 10), joint_dim=2, **SMALL).online.mixer.out.out_features == 10**5


# -- what is claimed and shown ------------------------------------------------------------


def test_what_is_claimed():
    assert (JointQAgents.claim, JointQAgents.function_class) == ("exact", "unrestricted")
    assert not JointQAgents.reads_state


def test_the_audit_shows_preferences_and_no_slope():
    """dQ/dQ_i of the additive part would say nothing: agents do not act by Q_i."""
    env = matrix_game_v0.parallel_env(np.arange(24.0).reshape(2, 3, 4))
    agents = JointQAgents(env, seed=1, **SMALL)
    audit = igm.audit(agents, env)
    (state,) = audit.states
    assert audit.least_slope is None
    for i in range(3):
        others = tuple(j for j in range(3) if j != i)
        np.testing.assert_allclose(state.utilities[i], state.q_tot.max(others), atol=1e-5)
    assert not state.violation
