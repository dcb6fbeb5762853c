"""QFIX: the mixer by hand, its maximum at any weights, and which way gradients go."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vdtoolkit import MonotonicMixer, QFIXAgents, QFIXConfig, QFIXMixer, igm
from vdtoolkit.agents.qfix import FIXEES
from vdtoolkit.batch import chosen, greedy
from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.igm import lab
from vdtoolkit.igm.game import named_game
from vdtoolkit.igm.verdict import AT_CLASS
from vdtoolkit.networks import Utilities

from .helpers import (
    SMALL,
    expand,
    give,
    moment,
    q_table,
    random_batch,
    randomised,
    small_team,
    team_of,
)

seeds = st.integers(0, 2**31)
few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
FORMS = [(fixee, additive) for fixee in FIXEES for additive in (True, False)]
forms = pytest.mark.parametrize(("fixee", "additive"), FORMS)


def set_to(module, **values):
    """All parameters 0 but those named, by their dotted names with _ for a dot."""
    named = {name.replace(".", "_"): p for name, p in module.named_parameters()}
    with torch.no_grad():
        for p in named.values():
            p.zero_()
        for name, value in values.items():
            named[name].copy_(torch.as_tensor(value, dtype=named[name].dtype))


def by_hand(fixee, additive):
    """Two agents, two actions, s = 1; Q = (1, -2), V = (1.5, 0), both take action 1.

    w = |1 + net|, net = 2 relu(s + 2 [u_1 = 1]) - 9 = -3: w = 2; for "lin" (2, 1 + 0.5 * 3 + 1).
    b = 0.25 - 2 relu(s) = -1.75.
    """
    mixer = QFIXMixer(2, 2, 1, fixee, additive, embed_dim=1, hyper_dim=1).double()
    values = {
        "w_0_weight": [[1.0, 0, 0, 0, 2]],  # s, then u_0 and u_1 as one-hot
        "w_2_weight": [[2.0], [0.5]] if fixee == "lin" else [[2.0]],
        "w_2_bias": [-9.0, 1.0] if fixee == "lin" else [-9.0],
        "b_0_weight": [[1.0]],
        "b_2_weight": [[-2.0]],
        "b_2_bias": [0.25],
    }
    if fixee == "mono":  # F = 3 ELU(Q_0 + 2 Q_1 + 0.5) + 7
        values |= {"mono_w1_2_bias": [-1.0, 2], "mono_b1_bias": [0.5]}
        values |= {"mono_w2_2_bias": [-3.0], "mono_v_2_bias": [7.0]}
    set_to(mixer, **values)
    return mixer


@pytest.mark.parametrize(
    ("fixee", "additive", "wanted"),
    [
        # F(Q) = -1, F(V) = 1.5, A = -2.5
        ("sum", True, -1 + (2 - 1) * -2.5 - 1.75),
        ("sum", False, 2 * -2.5 - 1.75),
        # A = (-0.5, -2), w = (2, 3.5)
        ("lin", True, -1 + 1 * -0.5 + 2.5 * -2 - 1.75),
        ("lin", False, 2 * -0.5 + 3.5 * -2 - 1.75),
        # F(Q) = 3 ELU(-2.5) + 7, F(V) = 3 * 2 + 7 = 13
        ("mono", True, 13 + 2 * (3 * (math.exp(-2.5) - 1) + 7 - 13) - 1.75),
        ("mono", False, 2 * (3 * (math.exp(-2.5) - 1) + 7 - 13) - 1.75),
    ],
)
def test_forward_by_hand(fixee, additive, wanted):
    mixer, state = by_hand(fixee, additive), torch.ones(1).double()
    taken = torch.tensor([[0.0, 1], [0, 1]]).double()
    w = mixer.weights(taken, state).tolist()
    assert w == pytest.approx([2.0, 3.5] if fixee == "lin" else [2.0])
    q = mixer(torch.tensor([1.0, -2]).double(), torch.tensor([1.5, 0]).double(), taken, state)
    assert q.item() == pytest.approx(wanted, abs=1e-8)


@forms
def test_leading_axes_are_free(fixee, additive):
    mixer = QFIXMixer(3, 4, 7, fixee, additive, embed_dim=5, hyper_dim=6)
    qs, best, state = torch.randn(2, 5, 3), torch.randn(2, 5, 3), torch.randn(2, 5, 7)
    taken = torch.eye(4)[torch.randint(4, (2, 5, 3))]
    told = mixer(qs, best, taken, state)
    assert told.shape == (2, 5)
    for b, t in ((0, 3), (1, 4)):
        one = mixer(qs[b, t], best[b, t], taken[b, t], state[b, t])
        torch.testing.assert_close(one, told[b, t])


def test_the_additive_form_begins_as_what_it_fixes_but_for_b():
    """w is 1 where its network says nothing."""
    mixer = QFIXMixer(3, 4, 7, "mono").double()
    with torch.no_grad():
        for p in mixer.w.parameters():
            p.zero_()
    qs, state = torch.randn(9, 3).double(), torch.randn(9, 7).double()
    told = mixer(qs, qs + torch.rand(9, 3), torch.zeros(9, 3, 4).double(), state)
    plain = mixer.mono(qs, state) + mixer.b(state).squeeze(-1)
    torch.testing.assert_close(told, plain)
    assert isinstance(mixer.mono, MonotonicMixer)


def test_weights_stay_above_zero_where_networks_say_minus_one():
    mixer = QFIXMixer(2, 2, 1)
    set_to(mixer, w_2_bias=[-1.0])
    assert mixer.weights(torch.eye(2), torch.ones(1)).item() == pytest.approx(1e-10)


@few
@given(seeds)
@forms
def test_the_maximum_is_what_the_best_utilities_make(fixee, additive, seed):
    """Q_tot(greedy) = F(V) + b (QFIX: b), no available joint action has more: masks, deaths."""
    told = {"fixee": fixee, "additive": additive, "embed_dim": 5, "hyper_dim": 6}
    agents = QFIXAgents(small_team(), **told, **SMALL)
    generator = torch.Generator().manual_seed(seed)
    randomised(agents, generator)
    qs, hidden, view = moment(agents.team.spec, generator)
    table, actions = (x.detach() for x in q_table(agents, qs, hidden, view))
    possible = view.available[torch.arange(3), actions].all(-1)
    at_greedy = table[(actions == greedy(qs, view.available)).all(-1)]
    mixer = agents.online.mixer
    v = torch.where(view.alive, qs.masked_fill(~view.available, -torch.inf).amax(-1), 0.0)
    top = mixer.b(view.state) + (mixer.terms(v, view.state).sum() if additive else 0)
    torch.testing.assert_close(at_greedy, top.detach())
    assert (table[possible] <= at_greedy + 1e-9 * (1 + at_greedy.abs())).all()


@few
@given(seeds)
@pytest.mark.parametrize("fixee", FIXEES)
def test_evidence_is_the_weights_and_advantages(fixee, seed):
    """Q_tot = Q_tot(greedy) + sum of w A; A is not above 0, 0 at greedy and of the dead."""
    agents = QFIXAgents(small_team(), fixee=fixee, **SMALL)
    generator = torch.Generator().manual_seed(seed)
    randomised(agents, generator)
    qs, hidden, view = moment(agents.team.spec, generator)
    table, actions = q_table(agents, qs, hidden, view)
    asked = Utilities(qs.expand(64, 3, 4), hidden.expand(64, 3, 8)), actions, expand(view, 64)
    told = agents.evidence(agents.online, *asked)
    possible = view.available[torch.arange(3), actions].all(-1)
    is_greedy = (actions == greedy(qs, view.available)).all(-1)
    assert (told["w(s, u)"] > 0).all()
    assert (told["A"][possible] <= 0).all()
    assert (told["A"][is_greedy] == 0).all()
    fixed = told["w(s, u)"] * told["A"]
    if fixee == "lin":
        assert (told["A"][:, ~view.alive] == 0).all()
        fixed = fixed.sum(-1)
    torch.testing.assert_close(table, table[is_greedy] + fixed)


@pytest.mark.parametrize("dead", ["zero", "noop"])
def test_the_best_utility_is_the_best_available(dead):
    """An action out of reach that looks better must not become V_i."""
    agents = QFIXAgents(team_of(2, 3), dead=dead, **SMALL)
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(3), deaths=False)
    agents.online.double()
    view.available[:] = torch.tensor([[True, True, False], [False, True, True]])
    actions = torch.tensor([0, 1])
    before = agents.q_tot(agents.online, Utilities(qs, hidden), actions, view)
    qs[0, 2], qs[1, 0] = 50.0, 60.0
    after = agents.q_tot(agents.online, Utilities(qs, hidden), actions, view)
    assert torch.equal(before, after)


@forms
def test_of_the_dead_nothing_is_felt(fixee, additive):
    """Neither a utility nor an action, nor how many of them there are."""
    agents = QFIXAgents(small_team(), fixee=fixee, additive=additive, **SMALL)
    randomised(agents, torch.Generator().manual_seed(0))
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(1), deaths=False)
    view.alive[1] = False
    before, actions = q_table(agents, qs, hidden, view)
    qs[1] = 50.0
    view.available[1] = True
    after, _ = q_table(agents, qs, hidden, view)
    assert torch.equal(before, after)
    for u in range(1, 4):
        assert torch.equal(before[actions[:, 1] == u], before[actions[:, 1] == 0])


@pytest.mark.parametrize("additive", [True, False])
@pytest.mark.parametrize("fixee", ["sum", "lin"])
def test_what_holds_qtrans_game(fixee, additive):
    """Q_i = (0, -1, -1), w = (8 - R(u)) / deviators (20, 4), b = 8: the payoff itself."""

    class Told(QFIXMixer):
        def weights(self, taken, state):
            a = taken[..., 0]  # [..., N]: who takes A
            w = torch.where(a.sum(-1, keepdim=True) == 1, 20.0, 4.0).double()
            return w.expand(a.shape) if fixee == "lin" else w

    env = matrix_game_v0.parallel_env("nonmonotonic")
    agents = QFIXAgents(env, **SMALL)
    agents.online.mixer = Told(2, 3, 1, fixee, additive)
    set_to(agents.online.double().mixer, b_2_bias=[8.0])
    view = moment(agents.team.spec, torch.Generator(), deaths=False)[2]
    view.available[:] = True
    qs = torch.tensor([[0.0, -1, -1], [0, -1, -1]]).double()
    table, _ = q_table(agents, qs, torch.zeros(2, 8), view)
    assert table.tolist() == [8.0, -12, -12, -12, 0, 0, -12, 0, 0]


# -- gradients ----------------------------------------------------------------------------


def gradients(agents, actions, qs, hidden, view):
    """Of Q_tot of one joint action: by utilities [N, A], and the largest by parameter."""
    agents.online.zero_grad()
    qs = qs.clone().requires_grad_()
    agents.q_tot(agents.online, Utilities(qs, hidden), actions, view).backward()
    named = agents.online.mixer.named_parameters()
    return qs.grad, {n: 0.0 if p.grad is None else float(p.grad.abs().max()) for n, p in named}


def a_moment(**told):
    agents = QFIXAgents(team_of(3, 4), seed=1, **told, **SMALL)
    agents.online.double()
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(4), deaths=False)
    view.available[:] = True
    return agents, (qs, hidden, view), greedy(qs, view.available)


@pytest.mark.parametrize("fixee", ["sum", "lin"])
def test_utilities_learn_through_what_is_fixed_alone(fixee):
    """Q+FIX: dQ_tot/dQ_i(u_i) = 1, and nothing for the best utilities."""
    agents, here, best = a_moment(fixee=fixee)
    slopes, _ = gradients(agents, (best + 1) % 4, *here)
    wanted = torch.zeros(3, 4).double().scatter(-1, ((best + 1) % 4)[:, None], 1.0)
    assert torch.equal(slopes, wanted)


def test_qmix_learns_through_what_it_says_alone():
    agents, (qs, hidden, view), best = a_moment(fixee="mono")
    actions = (best + 1) % 4
    slopes, _ = gradients(agents, actions, qs, hidden, view)
    own = chosen(qs, actions).requires_grad_()
    (wanted,) = torch.autograd.grad(agents.online.mixer.mono(own, view.state), own)
    torch.testing.assert_close(chosen(slopes, actions), wanted)
    torch.testing.assert_close(slopes.sum(), wanted.sum())


def test_qfix_itself_teaches_advantages():
    """Off the greedy action w goes to Q_i(u_i) and -w to V_i's action; at it nothing."""
    agents, (qs, hidden, view), best = a_moment(additive=False)
    actions = (best + 1) % 4
    slopes, _ = gradients(agents, actions, qs, hidden, view)
    taken = torch.nn.functional.one_hot(actions, 4).double()
    w = agents.online.mixer.weights(taken, view.state).detach()
    wanted = w * (taken - torch.nn.functional.one_hot(best, 4))
    torch.testing.assert_close(slopes, wanted)
    assert (gradients(agents, best, qs, hidden, view)[0] == 0).all()


@forms
def test_w_learns_from_advantages_alone(fixee, additive):
    agents, here, best = a_moment(fixee=fixee, additive=additive)
    at_best = gradients(agents, best, *here)[1]
    elsewhere = gradients(agents, (best + 1) % 4, *here)[1]
    for name in at_best:
        if name.startswith("w."):
            assert at_best[name] == 0, name
            assert elsewhere[name] > 0, name
        if name.startswith("b."):
            assert at_best[name] > 0, name


def test_the_bootstrap_takes_value_and_choice_from_the_target_network():
    """Chosen by the online argmax (double Q), V_i the target's own maximum: A^- <= 0."""
    agents = QFIXAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec, seed=7)
    generator = torch.Generator().manual_seed(0)
    online, target = (torch.randn(2, 6, 3, 4, generator=generator) for _ in range(2))
    give(agents, online, target)
    asked = []

    class Watched(QFIXMixer):
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
    assert (own < best)[alive].any()


# -- names and what is claimed ------------------------------------------------------------


@forms
def test_every_form_trains_on_a_batch_with_masks_deaths_and_padding(fixee, additive):
    told = {"fixee": fixee, "additive": additive, "td_lambda": 0.6, "double_q": False}
    agents = QFIXAgents(small_team(), **told, **SMALL)
    batch = random_batch(agents.team.spec)
    first, *_, last = [agents.learn_from(batch)["loss"] for _ in range(20)]
    assert math.isfinite(last) and last < first


@pytest.mark.parametrize("fixee", FIXEES)
def test_the_parameters_by_name(fixee):
    agents = QFIXAgents(small_team(), fixee=fixee, embed_dim=2, hyper_dim=5, **SMALL)
    shapes = {n: tuple(p.shape) for n, p in agents.online.mixer.named_parameters()}
    own = {n: s for n, s in shapes.items() if not n.startswith("mono.")}
    out = 3 if fixee == "lin" else 1
    assert own == {
        "w.0.weight": (5, 7 + 3 * 4),
        "w.0.bias": (5,),
        "w.2.weight": (out, 5),
        "w.2.bias": (out,),
        "b.0.weight": (5, 7),
        "b.0.bias": (5,),
        "b.2.weight": (1, 5),
        "b.2.bias": (1,),
    }
    assert (len(shapes) > len(own)) == (fixee == "mono")


@pytest.mark.parametrize("name", ["embed_dim", "hyper_dim"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"^{name}=0: it must be at least 1$"):
        QFIXConfig(**{name: 0})


def test_what_cannot_be_fixed_is_refused():
    with pytest.raises(ValueError, match=r"^fixee='vdn': it must be one of 'sum', 'mono', 'lin'$"):
        QFIXConfig(fixee="vdn")


def test_what_is_claimed():
    assert (QFIXAgents.claim, QFIXAgents.function_class) == ("exact", "unrestricted")


@pytest.mark.parametrize("fixee", ["sum", "lin"])
def test_the_audit_shows_the_weight_of_every_joint_action(fixee):
    env = matrix_game_v0.parallel_env("climbing")
    (state,) = igm.audit(QFIXAgents(env, seed=0, fixee=fixee, **SMALL), env).states
    whose = [", agent_0", ", agent_1"] if fixee == "lin" else [""]
    assert all(state.evidence[f"w(s, u){who}"].shape == (3, 3) for who in whose)
    parts = sum(state.evidence[f"w(s, u){who}"] * state.evidence[f"A{who}"] for who in whose)
    assert state.q_tot == pytest.approx(state.q_tot[state.greedy] + parts, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("game", ["nonmonotonic", "climbing"])
def test_it_finds_the_best_joint_action_in_the_lab(game, seed):
    """20,000 moves of uniform play with the lab's settings: the payoff itself, regret 0."""
    job = lab.Job(named_game(game), "qfix", lab.lab_config("qfix"), seed, 20_000)
    result = lab.run_one(job)
    assert (result.audit.regret, result.audit.violation_rate) == (0.0, 0.0)
    assert result.verdict == AT_CLASS
