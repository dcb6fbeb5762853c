"""QTRAN: conditions (4a), (4b), (7) on tables set by hand, the joint nets, gradient routing."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from vdtoolkit import CounterfactualNet, JointNet, QTRANAltAgents, QTRANBaseAgents, QTRANConfig
from vdtoolkit.batch import EpisodeBatch, View, chosen, greedy
from vdtoolkit.networks import Utilities

from .helpers import (
    SMALL,
    joint_actions,
    moment,
    q_table,
    random_batch,
    randomised,
    small_team,
    team_of,
)
from .test_value import drifted, moment_by_moment

R = torch.tensor([[8.0, -12, -12], [-12, 0, 0], [-12, 0, 0]])
CELLS = joint_actions(2, 3)  # the nine joint actions, (A, A) first
BOTH = (QTRANBaseAgents, QTRANAltAgents)


class Table(nn.Module):
    """In the place of the joint net: Q_jt is the payoff table, V_jt a constant."""

    def __init__(self, v=0.0):
        super().__init__()
        self.v = v

    def forward(self, hidden, actions, state, alive):
        return R[actions[..., 0], actions[..., 1]]

    def value(self, hidden, state, alive):
        return torch.full(alive.shape[:-1], self.v)


class CounterfactualTable(Table):
    def forward(self, hidden, actions, state, alive):
        return torch.stack([R.T[actions[..., 1]], R[actions[..., 0]]], -2)


def game(cls, q1, q2, v=0.0):
    """Agents with these tables; the nine joint actions as a batch of nine one-move episodes."""
    agents = cls(team_of(2, 3), **SMALL)
    agents.online.mixer = Table(v) if cls is QTRANBaseAgents else CounterfactualTable(v)
    qs = torch.tensor([q1, q2]).expand(9, 1, 2, 3)
    view = View(
        torch.zeros(9, 1, 2, 2),
        torch.zeros(9, 1, 1),
        torch.ones(9, 1, 2, 3, dtype=torch.bool),
        torch.ones(9, 1, 2, dtype=torch.bool),
    )
    return agents, Utilities(qs, torch.zeros(9, 1, 2, 8)), CELLS.unsqueeze(1), view


def conditions(asked, valid=None):
    agents, here, actions, view = asked
    base = type(agents) is QTRANBaseAgents
    if base:
        q_jt = agents.q_tot(agents.online, here, actions, view)
    else:
        q_jt = agents.counterfactual(agents.online, here, actions, view)
    if valid is None:
        valid = torch.ones((9, 1) if base else (9, 1, 2), dtype=torch.bool)
    opt, nopt = agents.condition_losses(here, actions, view, q_jt, valid)
    return opt.item(), nopt.item()


def one_cell(cell):
    valid = torch.zeros(9, 1, dtype=torch.bool)
    valid[cell] = True
    return valid


# -- (4a) and (4b), base ------------------------------------------------------------------


@pytest.mark.parametrize("delta", [0.5, 2.0, 4.0])
def test_base_loses_nothing_on_its_symmetric_solutions(delta):
    q = [4.0, 4 - delta, 4 - delta]
    assert conditions(game(QTRANBaseAgents, q, q)) == (0.0, 0.0)


def test_base_loses_nothing_on_the_published_tables_if_rounding_is_forgiven():
    asked = game(QTRANBaseAgents, [4.16, 2.29, 2.29], [3.84, -2.06, -2.25])
    opt, nopt = conditions(asked)
    assert opt < 1e-10
    assert nopt < 1e-10


def test_v_jt_shifts_the_condition():
    asked = game(QTRANBaseAgents, [4.0, 3, 3], [3.0, 2, 2], v=1.0)
    assert conditions(asked) == (0.0, 0.0)
    without = conditions(game(QTRANBaseAgents, [4.0, 3, 3], [3.0, 2, 2]))
    assert without == pytest.approx((1.0, 1 / 9)), "Q' = 7 at (A, A) is below 8"


@pytest.mark.parametrize("e", [0.5, 3.0])
def test_violating_4b_in_one_cell_by_e_costs_e_squared_there_and_only_there(e):
    # Q'(B, C) = -e < 0 = R(B, C); elsewhere Q' >= R, with equality at the greedy (A, A)
    asked = game(QTRANBaseAgents, [4.0, -e / 2, e / 2], [4.0, e / 2, -e / 2])
    cell = 3 * 1 + 2
    assert CELLS[cell].tolist() == [1, 2]
    for k in range(9):
        opt, nopt = conditions(asked, one_cell(k))
        assert opt == 0.0
        assert nopt == (e**2 if k == cell else 0.0), CELLS[k]
    assert conditions(asked)[1] == pytest.approx(e**2 / 9)


@pytest.mark.parametrize("e", [0.5, -0.5])
def test_4a_is_asked_at_the_greedy_joint_action_whatever_was_taken(e):
    asked = game(QTRANBaseAgents, [4 + e, 3.0, 3.0], [4.0, 3, 3])
    for k in range(9):
        assert conditions(asked, one_cell(k))[0] == e**2
    # above the table (4b) is content, below it is not: at (A, A) alone
    assert conditions(asked, one_cell(0))[1] == (0.0 if e > 0 else e**2)
    assert conditions(asked, one_cell(4))[1] == 0.0


def test_the_greedy_joint_action_of_4a_is_among_the_available():
    agents, here, actions, view = game(QTRANBaseAgents, [4.0, 3, 2], [4.0, 3, 2])
    view.available[:, :, 0, 0] = False  # greedy is (B, A): Q' = 7, R = -12
    opt, _ = conditions((agents, here, actions, view))
    assert opt == (7 + 12) ** 2


def test_the_dead_are_not_in_the_sum():
    agents, here, actions, view = game(QTRANBaseAgents, [8.0, 0, 0], [5.0, 1, 1])
    view.alive[..., 1] = False
    assert agents.transformed(here, actions, view).flatten().tolist() == [8.0] * 3 + [0.0] * 6


# -- (7), alt -----------------------------------------------------------------------------


def alt_solution(x, z, e=0.0, v=0.0):
    """Section 4.7: Q_1 = (x + z, z, z), Q_2 = (8 - x - z, -z, -z); e is added to Q_1(A)."""
    q1 = [x + z + e - v / 2, z - v / 2, z - v / 2]
    q2 = [8 - x - z - v / 2, -z - v / 2, -z - v / 2]
    return game(QTRANAltAgents, q1, q2, v)


@pytest.mark.parametrize(("x", "z", "v"), [(4.0, 0.0, 0.0), (4.75, -0.125, 0.0), (3.0, 2.0, 5.0)])
def test_alt_loses_nothing_on_its_solution_set(x, z, v):
    assert conditions(alt_solution(x, z, v=v)) == (0.0, 0.0)


def test_alt_is_not_content_with_what_base_accepts():
    q = [4.0, 3.0, 3.0]
    assert conditions(game(QTRANBaseAgents, q, q)) == (0.0, 0.0)
    # rows of others' B and C: the least is Q'(B, B) - 0 = 6; of others' A: 0 at (A, A)
    assert conditions(game(QTRANAltAgents, q, q)) == (0.0, 6.0**2 * 12 / 18)


@pytest.mark.parametrize("e", [0.5, -0.5])
def test_the_residual_of_7_is_penalised_on_both_sides_and_in_its_rows_alone(e):
    asked = alt_solution(4.0, 0.0, e)
    opt, nopt = conditions(asked)
    assert opt == e**2
    # the least is at (A, A) where the other plays A: three of the nine cells for each agent
    assert nopt == pytest.approx(e**2 * 6 / 18)
    for k in range(9):
        for i in range(2):
            valid = one_cell(k).unsqueeze(-1) & (torch.arange(2) == i)
            wanted = e**2 if CELLS[k, 1 - i] == 0 else 0.0
            assert conditions(asked, valid)[1] == wanted, (CELLS[k], i)


def test_actions_that_are_not_available_are_kept_out_of_the_minimum():
    x = 4.0
    agents, here, actions, view = alt_solution(x, 0.0)
    view.available[:, :, 0, 0] = False
    for k in range(9):
        valid = one_cell(k).unsqueeze(-1) & (torch.arange(2) == 0)
        _, nopt = conditions((agents, here, actions, view), valid)
        # where the other plays A only (B, A) and (C, A) are left: Q' - R = 8 - x + 12
        assert nopt == ((20 - x) ** 2 if CELLS[k, 1] == 0 else 0.0)


def test_differences_hold_the_others_to_what_they_did():
    agents, here, actions, view = game(QTRANAltAgents, [1.0, 2, 3], [10.0, 20, 30])
    table = agents.counterfactual(agents.online, here, actions, view)
    told = agents.differences(here, actions, view, table)
    for k, (u1, u2) in enumerate(CELLS.tolist()):
        for a in range(3):
            assert told[k, 0, 0, a] == (1 + a) + 10 * (1 + u2) - R[a, u2]
            assert told[k, 0, 1, a] == (1 + u1) + 10 * (1 + a) - R[u1, a]


# -- the joint nets -----------------------------------------------------------------------

N, A, S, HIDDEN = 3, 4, 7, 8


def rand(*shape):
    return torch.randn(shape, dtype=torch.float64)


def everyone(*lead):
    return torch.ones(*lead, N, dtype=torch.bool)


def a_joint_net(**kwargs):
    torch.manual_seed(0)
    return JointNet(HIDDEN, A, S, joint_dim=9, **kwargs).double()


def a_counterfactual_net(**kwargs):
    torch.manual_seed(0)
    return CounterfactualNet(N, HIDDEN, A, S, joint_dim=9, **kwargs).double()


def test_the_joint_net_sums_over_the_living_whatever_their_order():
    net, hidden, state = a_joint_net(), rand(2, 5, N, HIDDEN), rand(2, 5, S)
    actions = torch.randint(A, (2, 5, N))
    told = net(hidden, actions, state, everyone(2, 5))
    order = torch.tensor([2, 0, 1])
    again = net(hidden[:, :, order], actions[..., order], state, everyone(2, 5))
    assert told.shape == (2, 5)
    torch.testing.assert_close(told, again)
    split = net(hidden[:, :, order], actions, state, everyone(2, 5))
    assert not torch.allclose(told, split), "memories and actions belong together"

    alive = torch.tensor([True, False, True])
    without = net(hidden, actions, state, alive.expand(2, 5, N))
    left = net(hidden[:, :, alive], actions[..., alive], state, everyone(2, 5)[..., alive])
    torch.testing.assert_close(without, left)
    for b in range(2):
        for t in range(5):  # no moment sees another
            one = net(hidden[b, t], actions[b, t], state[b, t], everyone())
            torch.testing.assert_close(one, told[b, t])


@pytest.mark.parametrize("net", [a_joint_net, a_counterfactual_net])
def test_the_state_is_fed_where_asked_for(net):
    hidden, actions = rand(N, HIDDEN), torch.tensor([0, 3, 1])
    s, other = rand(S), rand(S)
    plain, fed = net(), net(joint_state=True)
    args = everyone()
    assert torch.equal(plain(hidden, actions, s, args), plain(hidden, actions, other, args))
    assert not torch.equal(fed(hidden, actions, s, args), fed(hidden, actions, other, args))


@pytest.mark.parametrize("net", [a_joint_net, a_counterfactual_net])
def test_v_jt_sees_the_living_agents_or_the_state(net):
    hidden, s, other = rand(N, HIDDEN), rand(S), rand(S)
    alive = torch.tensor([True, False, True])
    moved, dead_moved = hidden.clone(), hidden.clone()
    moved[0] += 1
    dead_moved[1] += 1
    of_agents, of_state = net().value, net(value_of="state").value
    assert of_agents(hidden, s, alive).shape == ()
    assert of_agents(hidden, s, alive) == of_agents(dead_moved, other, alive)
    assert of_agents(hidden, s, alive) != of_agents(moved, s, alive)
    assert of_state(hidden, s, alive) == of_state(moved, s, alive)
    assert of_state(hidden, s, alive) != of_state(hidden, other, alive)


def test_the_counterfactual_table_sees_the_others_actions_and_not_its_own():
    net, hidden, state = a_counterfactual_net(), rand(N, HIDDEN), rand(S)
    actions = torch.tensor([0, 3, 1])
    told = net(hidden, actions, state, everyone())
    assert told.shape == (N, A)
    for j in range(N):
        moved = actions.clone()
        moved[j] = (moved[j] + 1) % A
        change = (net(hidden, moved, state, everyone()) - told).abs().amax(-1)
        for i in range(N):
            if i == j:
                assert change[i] < 1e-12, "its own action is what the columns stand for"
            else:
                assert change[i] > 1e-6


def test_the_counterfactual_table_by_loops():
    net, hidden, state = a_counterfactual_net(joint_state=True), rand(2, N, HIDDEN), rand(2, S)
    actions = torch.tensor([[0, 3, 1], [2, 2, 0]])
    alive = torch.tensor([[True, True, True], [True, True, False]])
    told = net(hidden, actions, state, alive)
    hot = torch.eye(A).double()
    for b in range(2):
        for i in range(N):
            feature = net.own(hidden[b, i])
            for j in range(N):
                if j != i and alive[b, j]:
                    feature = feature + net.other(torch.cat([hidden[b, j], hot[actions[b, j]]]))
            wanted = net.out(torch.cat([feature, torch.eye(N).double()[i], state[b]]))
            torch.testing.assert_close(told[b, i], wanted)


# -- the losses on real networks ----------------------------------------------------------


def test_base_by_loops_over_single_moments():
    torch.manual_seed(0)
    agents = drifted(QTRANBaseAgents, small_team(), lambda_opt=0.5, lambda_nopt=0.25)
    batch = random_batch(agents.team.spec, seed=3)
    opts, nopts = [], []
    for b in range(2):
        said = moment_by_moment(agents.online.agent, batch, b)
        for t in range(int(batch.valid[b].sum())):
            asked, view = said[t], batch.view[b, t]
            best = greedy(asked.qs, view.available)
            v = agents.v_jt(agents.online, asked, view)
            d = [
                (chosen(asked.qs, u) * view.alive).sum()
                - agents.q_tot(agents.online, asked, u, view)
                + v
                for u in (best, batch.actions[b, t])
            ]
            opts.append(d[0] ** 2)
            nopts.append(min(d[1], torch.zeros(())) ** 2)
    loss, metrics = agents.loss(batch)
    l_opt, l_nopt = torch.stack(opts).mean(), torch.stack(nopts).mean()
    torch.testing.assert_close(metrics["l_opt"], l_opt, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(metrics["l_nopt"], l_nopt, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss, metrics["l_td"] + 0.5 * l_opt + 0.25 * l_nopt)


@pytest.mark.parametrize("double_q", [True, False])
def test_alt_by_loops_over_single_moments_and_agents(double_q):
    torch.manual_seed(0)
    agents = drifted(
        QTRANAltAgents, small_team(), lambda_opt=0.5, lambda_nopt=0.25, double_q=double_q
    )
    batch = random_batch(agents.team.spec, seed=3)
    tds, opts, nopts = [], [], []
    for b in range(2):
        online = moment_by_moment(agents.online.agent, batch, b)
        target = moment_by_moment(agents.target.agent, batch, b)
        for t in range(int(batch.valid[b].sum())):
            view, u, qs = batch.view[b, t], batch.actions[b, t], online[t].qs
            table = agents.counterfactual(agents.online, online[t], u, view)
            best = greedy(qs, view.available)
            at_best = agents.counterfactual(agents.online, online[t], best, view)
            v = agents.v_jt(agents.online, online[t], view)
            if batch.terminated[b, t]:
                ahead = torch.zeros(3)
            else:
                after = batch.view[b, t + 1]
                picked = greedy((online if double_q else target)[t + 1].qs, after.available)
                each = agents.counterfactual(agents.target, target[t + 1], picked, after)
                ahead = chosen(each, picked)
                ahead[~after.alive] = ahead[after.alive].mean()
            for i in range(3):
                if not view.alive[i]:
                    continue
                y = batch.reward[b, t] + 0.99 * ahead[i]
                tds.append((table[i, u[i]] - y) ** 2)
                living = [j for j in range(3) if view.alive[j]]
                opts.append((sum(qs[j, best[j]] for j in living) - at_best[i, best[i]] + v) ** 2)
                others = sum(qs[j, u[j]] for j in living if j != i)
                d = [qs[i, a] + others - table[i, a] for a in range(4) if view.available[i, a]]
                nopts.append((min(d) + v) ** 2)
    loss, metrics = agents.loss(batch)
    wanted = [torch.stack(x).mean() for x in (tds, opts, nopts)]
    for name, value in zip(("l_td", "l_opt", "l_nopt"), wanted, strict=True):
        torch.testing.assert_close(metrics[name], value, rtol=1e-5, atol=1e-6, msg=name)
    torch.testing.assert_close(loss, wanted[0] + 0.5 * wanted[1] + 0.25 * wanted[2])


def gradients(agents, batch):
    agents.online.zero_grad(set_to_none=True)
    agents.loss(batch)[0].backward()
    return {
        n: None if p.grad is None else p.grad.clone() for n, p in agents.online.named_parameters()
    }


@pytest.mark.parametrize("cls", BOTH)
def test_the_conditions_train_utilities_and_v_and_leave_q_jts_own_net_alone(cls):
    team = small_team()
    batch = random_batch(team.spec)
    with_them = gradients(cls(team, seed=0, **SMALL), batch)
    td = gradients(cls(team, seed=0, lambda_opt=0, lambda_nopt=0, **SMALL), batch)
    for name, grad in with_them.items():
        if name.startswith("mixer.value"):
            assert td[name] is None or not td[name].any(), name
            assert grad.any(), name
        elif name.startswith("mixer"):
            assert torch.equal(grad, td[name]), name
            assert grad.any(), name
        else:
            assert not torch.equal(grad, td[name]), name
    head = "agent.bodies.0.head.weight"
    assert td[head] is None or not td[head].any(), "Q_jt is fed memories, not utilities"
    assert td["agent.bodies.0.memory.weight_hh_l0"].any(), "TD trains the shared memory as well"


@pytest.mark.parametrize("which", ["lambda_opt", "lambda_nopt"])
@pytest.mark.parametrize("cls", BOTH)
def test_each_condition_alone_reaches_utilities_and_v(cls, which):
    other = {"lambda_opt": "lambda_nopt", "lambda_nopt": "lambda_opt"}[which]
    agents = cls(small_team(), seed=0, **{which: 1.0, other: 0.0}, **SMALL)
    with torch.no_grad():
        agents.online.mixer.out[-1].bias += 1.0  # Q_jt above Q': (4b) is violated
    said = gradients(agents, random_batch(agents.team.spec))
    for name in (
        "agent.bodies.0.head.weight",
        "mixer.value.encode.0.weight",
        "mixer.value.out.4.bias",
    ):
        assert said[name].abs().max() > 1e-7, name


def test_q_tot_of_alt_is_the_mean_of_the_living_agents_q_jt():
    agents = QTRANAltAgents(small_team(), seed=0, **SMALL)
    agents.online.double()
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(0), deaths=False)
    view.alive[1] = False
    u = torch.tensor([1, 0, 2])
    asked = agents.online, Utilities(qs, hidden), u, view
    table = agents.counterfactual(*asked)
    torch.testing.assert_close(agents.q_tot(*asked), (table[0, 1] + table[2, 2]) / 2)
    view.alive[:] = False
    assert agents.q_tot(*asked) == 0


@pytest.mark.parametrize("cls", BOTH)
def test_untrained_weights_violate_igm(cls):
    """So the audit has something to find: at random weights QTRAN promises nothing."""
    team = small_team()
    agents = cls(team, **SMALL)
    violations = 0
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        randomised(agents, generator)
        qs, hidden, view = moment(team.spec, generator, deaths=False)
        view.available[:] = True
        table, actions = q_table(agents, qs, hidden, view)
        violations += bool(table[(actions == qs.argmax(-1)).all(-1)] < table.max() - 1e-3)
    assert violations >= 5


# -- evidence and settings ----------------------------------------------------------------


def test_evidence_shows_the_conditions():
    asked = game(QTRANBaseAgents, [4.5, 3.0, 3.0], [4.0, -4, 3])
    agents, here, actions, view = asked
    told = {
        name: value.flatten() for name, value in
        agents.evidence(agents.online, here, actions, view).items()
    }  # fmt: skip
    transformed = torch.tensor([8.5, 0.5, 7.5, 7.0, -1.0, 6.0, 7.0, -1.0, 6.0])
    assert torch.equal(told["Q'_jt"], transformed)
    assert torch.equal(told["V_jt"], torch.zeros(9))
    difference = transformed - R.flatten()
    assert torch.equal(told["D = Q'_jt - Q_jt + V_jt"], difference)
    assert torch.equal(told["residual (4a)"], torch.full((9,), 0.5))
    assert torch.equal(told["residual (4b)"], difference.clamp(max=0))
    assert told["residual (4b)"].tolist() == [0, 0, 0, 0, -1, 0, 0, -1, 0]


def test_evidence_of_alt_shows_the_least_of_each_agents_row():
    agents, here, actions, view = alt_solution(4.0, 0.0, 0.5)
    told = agents.evidence(agents.online, here, actions, view)
    assert "residual (4b)" not in told
    rows = [[0.5 * (u2 == 0), 0.5 * (u1 == 0)] for u1, u2 in CELLS.tolist()]
    assert told["residual (7)"].squeeze(1).tolist() == rows


def test_the_paper_is_the_default_and_pymarl_is_a_preset():
    def settings(config):
        names = ("double_q", "lambda_opt", "lambda_nopt", "joint_state", "value_of")
        return [getattr(config, name) for name in names]

    assert settings(QTRANConfig()) == [False, 1.0, 1.0, False, "agents"]
    assert settings(QTRANConfig.pymarl()) == [True, 1.0, 0.1, True, "state"]
    assert settings(QTRANConfig.pymarl(lambda_nopt=0.5, gamma=0.9))[2] == 0.5
    agents = QTRANBaseAgents(small_team(), QTRANConfig.pymarl(), **SMALL)
    assert agents.online.mixer.joint_state
    assert agents.online.mixer.value.of_state
    with torch.no_grad():
        agents.online.mixer.out[-1].bias += 1.0  # Q_jt above Q': (4b) is violated
    assert agents.learn_from(random_batch(agents.team.spec))["l_nopt"] > 0


def test_v_jt_of_something_else_is_refused():
    with pytest.raises(
        ValueError, match=r"^value_of='obs': V_jt sees the 'agents' or the 'state'$"
    ):
        QTRANConfig(value_of="obs")


def named(**shapes):
    return {
        f"{name}.{2 * k}.{part}": shape
        for name, sizes in shapes.items()
        for k, (i, o) in enumerate(pairwise(sizes))
        for part, shape in (("weight", (o, i)), ("bias", (o,)))
    }


def test_the_parameters_by_name():
    value = {"value.encode": (8, 8, 8), "value.out": (8, 5, 5, 1)}
    wanted = {
        QTRANBaseAgents: named(**{"encode": (12, 12, 12), "out": (12, 5, 5, 1), **value}),
        QTRANAltAgents: named(
            **{"own": (8, 5, 5), "other": (12, 5, 5), "out": (8, 5, 5, 4), **value}
        ),
    }
    for cls in BOTH:
        agents = cls(small_team(), joint_dim=5, **SMALL)
        shapes = {n: tuple(p.shape) for n, p in agents.online.mixer.named_parameters()}
        assert shapes == wanted[cls]


@pytest.mark.parametrize("cls", BOTH)
def test_what_is_claimed(cls):
    assert (cls.claim, cls.function_class, cls.q_tot_label) == ("trained", "unrestricted", "Q_jt")


def test_a_batch_in_which_nobody_is_alive_teaches_nothing_and_breaks_nothing():
    for cls in BOTH:
        agents = cls(small_team(), seed=0, **SMALL)
        batch = random_batch(agents.team.spec, lengths=(1, 2), ended=(True, True), deaths=())
        batch.view.alive[:] = False
        batch.view.available[:] = torch.arange(4) == 0
        actions = torch.zeros_like(batch.actions)
        batch = EpisodeBatch(batch.view, actions, batch.reward, batch.terminated, batch.valid)
        assert torch.isfinite(torch.tensor(list(agents.learn_from(batch).values()))).all()
