"""The audit says what brute force says: violations, ties, gaps, regrets, bounds."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from vdtoolkit import ALGORITHMS, QTRANBaseAgents, Team, VDNAgents, igm
from vdtoolkit.agents.value import ValueAgents
from vdtoolkit.envs import hidden_payoff_v0, matrix_game_v0, two_step_v0
from vdtoolkit.igm.audit import Belief, paths

SMALL = {"recurrent": False, "hidden_dim": 6, "batch_size": 2, "buffer_size": 4}


class TableAgents(ValueAgents):
    """Utilities and Q_tot set by hand: what the audit must find is then known."""

    name = "table"
    label = "Table"
    utilities: tuple = ()
    table = None

    def build_mixer(self, spec):
        return nn.Identity()

    def q_tot(self, nets, utilities, actions, view):
        table = torch.as_tensor(self.table, dtype=torch.float32)
        return table[tuple(actions.unbind(-1))]


def believing(utilities, table, payoff=None):
    """Agents on a matrix game whose utilities and Q_tot are these."""
    env = matrix_game_v0.parallel_env(np.zeros_like(table) if payoff is None else payoff)
    agents = TableAgents(env, **SMALL)
    agents.table = np.asarray(table, dtype=float)
    width = max(map(len, utilities))
    rows = [np.pad(np.asarray(u, float), (0, width - len(u))) for u in utilities]
    body = agents.online.agent.bodies[0]
    with torch.no_grad():
        for p in body.parameters():
            p.zero_()
        # the agent's id picks its row of the head
        n, h = len(rows), agents.config.hidden_dim
        body.encode.weight[:n, -n:] = torch.eye(n)
        body.memory.weight[:h, :h] = torch.eye(h)
        body.head.weight[:, :n] = torch.as_tensor(np.stack(rows, 1), dtype=torch.float32)
    return agents, env


def test_the_hand_made_utilities_are_what_the_audit_shows():
    agents, env = believing([[1, 3, 2], [5, 4]], np.zeros((3, 2)))
    (state,) = igm.audit(agents, env).states
    np.testing.assert_allclose(state.utilities[0], [1, 3, 2], atol=1e-6)
    np.testing.assert_allclose(state.utilities[1], [5, 4], atol=1e-6)
    assert state.greedy == (1, 0)


def test_a_violation_its_gap_and_its_regret():
    table = [[0, 1], [2, 7], [3, 4.5]]
    payoff = [[9, 1], [2, 3], [4, 5]]
    agents, env = believing([[0, 0, 1], [1, 0]], table, payoff)
    audit = igm.audit(agents, env)
    (state,) = audit.states
    assert state.greedy == (2, 0)
    assert state.best == (1, 1)
    assert state.optimum == (0, 0)
    assert state.violation and not state.tie
    assert state.gap == pytest.approx(4.0)
    assert state.regret == pytest.approx(5.0)
    assert audit.violation_rate == 1.0
    error = np.array(table) - np.array(payoff)
    assert audit.rmse == pytest.approx(np.sqrt((error**2).mean()))
    assert audit.max_error == pytest.approx(9.0)
    assert audit.exact


def test_igm_holds_and_then_best_is_the_greedy_joint_action():
    agents, env = believing([[0, 1], [0, 1]], [[0, 1], [1, 2]])
    (state,) = igm.audit(agents, env).states
    assert not state.violation
    assert state.gap == 0.0
    assert state.best == state.greedy == (1, 1)


def test_equal_maxima_of_q_tot_are_no_violation():
    agents, env = believing([[0, 1], [0, 1]], [[2, 1], [1, 2]])
    (state,) = igm.audit(agents, env).states
    assert not state.violation and not state.tie
    assert state.best == state.greedy


def test_tied_utilities_of_which_some_are_best_are_a_tie_and_no_violation():
    agents, env = believing([[1, 1], [1, 1]], [[0, 1], [1, 5]])
    audit = igm.audit(agents, env)
    (state,) = audit.states
    assert state.greedy == (0, 0)
    assert state.tie and not state.violation
    assert state.gap == pytest.approx(5.0)
    assert audit.violation_rate == 0.0


def test_tied_utilities_of_which_none_is_best_are_a_violation():
    agents, env = believing([[1, 1, 0], [1, 1]], [[0, 1], [1, 3], [4, 9]])
    (state,) = igm.audit(agents, env).states
    assert state.violation and not state.tie


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_table_is_q_tot_of_every_joint_action(name):
    payoff = np.arange(24.0).reshape(2, 3, 4)
    env = matrix_game_v0.parallel_env(payoff)
    agents = ALGORITHMS[name](env, seed=1, **SMALL)
    audit = igm.audit(agents, env)
    (state,) = audit.states
    assert state.q_tot.shape == (2, 3, 4)
    np.testing.assert_allclose(state.payoff, payoff)
    belief = Belief(agents, paths(agents, env.unwrapped)[0])
    for u in itertools.product(range(2), range(3), range(4)):
        assert belief.q_tot(np.array([u]))[0] == pytest.approx(state.q_tot[u], abs=1e-6)
    assert state.greedy == tuple(int(q.argmax()) for q in state.utilities)
    assert audit.claim == agents.claim


def test_vdn_slopes_are_one_and_q_jt_has_none():
    env = matrix_game_v0.parallel_env("climbing")
    assert igm.audit(VDNAgents(env, **SMALL), env).least_slope == 1.0
    assert igm.audit(QTRANBaseAgents(env, **SMALL), env).least_slope is None


def test_every_state_of_a_finite_game_with_its_optimal_values_and_own_backups():
    env = two_step_v0.parallel_env()
    agents = VDNAgents(env, gamma=0.9, **SMALL)
    audit = igm.audit(agents, env)
    state = {s.state: s for s in audit.states}
    assert list(state) == ["1", "2A", "2B"]
    np.testing.assert_allclose(state["1"].payoff, [[6.3, 6.3], [7.2, 7.2]])
    np.testing.assert_allclose(state["2B"].payoff, [[0, 1], [1, 8]])
    own = {k: s.q_tot[s.greedy] for k, s in state.items()}
    np.testing.assert_allclose(state["1"].backup[0], 0.9 * own["2A"])
    np.testing.assert_allclose(state["1"].backup[1], 0.9 * own["2B"])
    np.testing.assert_allclose(state["2A"].backup, 7.0)


def test_recurrent_agents_are_audited_with_the_history_that_leads_to_a_state():
    env = two_step_v0.parallel_env()
    agents = VDNAgents(env, recurrent=True, hidden_dim=6, batch_size=2, buffer_size=4)
    found = {s.state: s for s in igm.audit(agents, env).states}
    actor = agents.actor()
    observations, _ = env.reset(seed=0)
    obs = agents.team.encode_obs(observations)
    net, x = agents.online.agent, torch.as_tensor(obs)[None, None]
    none = torch.full((1, 1, 2), -1)
    first, carry = net(x, none, net.empty(1, x))
    np.testing.assert_allclose(found["1"].utilities[0], first.qs[0, 0, 0].detach(), atol=1e-6)
    observations, *_ = env.step({"agent_0": 1, "agent_1": 0})
    x = torch.as_tensor(agents.team.encode_obs(observations))[None, None]
    second, _ = net(x, torch.tensor([[[1, 0]]]), carry)
    np.testing.assert_allclose(found["2B"].utilities[1], second.qs[0, 0, 1].detach(), atol=1e-6)
    assert actor.act(observations)  # and an actor is undisturbed


def test_a_hidden_coin_has_two_states_with_the_same_utilities():
    env = hidden_payoff_v0.parallel_env()
    one, two = igm.audit(VDNAgents(env, **SMALL), env).states
    np.testing.assert_allclose(one.payoff, [[10, 8, 5], [8, 6, 3], [5, 3, 0]])
    np.testing.assert_allclose(two.payoff, [[0, 3, 5], [3, 6, 8], [5, 8, 10]])
    for a, b in zip(one.utilities, two.utilities, strict=True):
        np.testing.assert_array_equal(a, b)


def test_beyond_the_limit_it_searches_and_says_lower_bound():
    payoff = np.zeros((5, 5, 5, 5))
    env = matrix_game_v0.parallel_env(payoff)
    agents = QTRANBaseAgents(env, seed=2, **SMALL)
    exact = igm.audit(agents, env)
    bound = igm.audit(agents, env, limit=60)
    assert exact.exact and not bound.exact
    (full,), (part,) = exact.states, bound.states
    assert part.q_tot is None
    assert part.greedy == full.greedy
    assert 0.0 <= part.gap <= full.gap + 1e-6
    assert part.regret == 0.0  # the payoff of a one-shot game is known whatever its size
    # coordinate ascent reaches a joint action that no single agent can better
    belief = Belief(agents, paths(agents, env.unwrapped)[0])
    top = np.array(part.best)
    value = belief.q_tot(top[None])[0]
    for i in range(4):
        others = np.repeat(top[None], 5, 0)
        others[:, i] = np.arange(5)
        assert belief.q_tot(others).max() <= value + 1e-6


def test_masked_joint_actions_are_left_out():
    from envs_with_masks import MaskedGame

    env = MaskedGame()
    agents = VDNAgents(env, **SMALL)
    (state,) = igm.audit(agents, env).states
    legal = np.isfinite(state.q_tot)
    np.testing.assert_array_equal(legal, np.outer([True, False, True], [True, True]))
    np.testing.assert_array_equal(np.isfinite(state.payoff), legal)
    assert np.isnan(state.utilities[0][1])
    assert state.greedy[0] != 1


def test_other_envs_are_audited_where_greedy_play_goes():
    simple_spread_v3 = pytest.importorskip("mpe2.simple_spread_v3")
    env = simple_spread_v3.parallel_env(N=2, max_cycles=4)
    agents = VDNAgents(env, **SMALL)
    audit = igm.audit(agents, env, episodes=3)
    assert len(audit.states) == 12
    assert audit.regret is None and audit.rmse is None
    assert audit.violation_rate == 0.0
    assert audit.states[0].q_tot.shape == (5, 5)


def test_auditing_changes_nothing():
    env = matrix_game_v0.parallel_env("climbing")
    agents = VDNAgents(env, **SMALL)
    before = [p.clone() for p in agents.online.parameters()]
    dice = str(agents._explore_rng.bit_generator.state)
    torch_state = torch.random.get_rng_state()
    igm.audit(agents, env)
    assert all(torch.equal(a, b) for a, b in zip(before, agents.online.parameters(), strict=True))
    assert all(p.grad is None for p in agents.online.parameters())
    assert str(agents._explore_rng.bit_generator.state) == dice
    assert torch.equal(torch_state, torch.random.get_rng_state())


def test_qtran_and_qatten_bring_their_own_evidence():
    env = matrix_game_v0.parallel_env(np.arange(12.0).reshape(2, 3, 2))
    shapes = {}
    for name in ("qtran_base", "qtran_alt", "qatten"):
        (state,) = igm.audit(ALGORITHMS[name](env, **SMALL), env).states
        shapes[name] = {k: np.shape(v) for k, v in state.evidence.items()}
    assert shapes["qtran_base"] == {
        "Q'_jt": (2, 3, 2),
        "V_jt": (),
        "D = Q'_jt - Q_jt + V_jt": (2, 3, 2),
        "residual (4a)": (),
        "residual (4b)": (2, 3, 2),
    }
    assert shapes["qtran_alt"]["residual (7), agent_1"] == (2, 3, 2)
    assert shapes["qatten"] == {"attention": (4, 3), "head weights": (4,), "c(s)": ()}


def test_a_wrapped_game_is_audited_as_it_is_seen_and_not_by_the_model_within():
    import supersuit

    env = supersuit.frame_stack_v1(matrix_game_v0.parallel_env("climbing", max_cycles=3), 2)
    audit = igm.audit(VDNAgents(env, **SMALL), env, episodes=2)
    assert [s.state for s in audit.states] == [f"visited {k}" for k in range(6)]
    assert audit.regret is None


def test_backups_pay_a_summing_team_what_its_payoff_does():
    env = two_step_v0.parallel_env()
    agents = VDNAgents(Team.from_env(env, reward="sum"), **SMALL)
    state = {s.state: s for s in igm.audit(agents, env).states}
    np.testing.assert_allclose(state["2B"].payoff, [[0, 2], [2, 16]])
    np.testing.assert_allclose(state["2B"].backup, state["2B"].payoff)


def test_networks_that_have_diverged_are_told_of():
    env = matrix_game_v0.parallel_env("climbing")
    agents = VDNAgents(env, **SMALL)
    with torch.no_grad():
        agents.online.agent.bodies[0].head.bias[0] = float("nan")
    with pytest.raises(ValueError, match="VDN: the networks give nan: training has diverged"):
        igm.audit(agents, env)
