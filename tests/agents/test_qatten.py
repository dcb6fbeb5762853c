"""Qatten: attention by loops, its identities, unit features, the regulariser, nonlinear keys."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vdtoolkit import QattenAgents, QattenConfig, QattenMixer
from vdtoolkit.batch import View
from vdtoolkit.networks import Utilities

from .helpers import SMALL, Unlike, moment, q_table, random_batch, randomised, small_team, team_of

seeds = st.integers(0, 2**31)
few = settings(max_examples=25, deadline=None, derandomize=True, database=None)
N, S, U, H = 3, 7, 5, 4


def a_mixer(seed, **kwargs):
    """A mixer with weights far from those at birth, and what it is asked about."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    mixer = QattenMixer(S, U, n_heads=H, embed_dim=6, hyper_dim=9, **kwargs).double()
    with torch.no_grad():
        for p in mixer.parameters():
            p.copy_(0.5 * rand(*p.shape))
    alive = torch.rand(N, generator=generator) < 0.7
    return mixer, (3 * rand(N), rand(S), rand(N, U), alive)


def by_loops(mixer, q, state, units, alive):
    p = dict(mixer.named_parameters())

    def hyper(name, x):
        return (
            p[f"{name}.2.weight"] @ (p[f"{name}.0.weight"] @ x + p[f"{name}.0.bias"]).relu()
            + (p[f"{name}.2.bias"])
        )

    total = hyper("c", state).squeeze()
    head_weights = hyper("head_weights", state).abs() if mixer.head_weights is not None else None
    for h in range(H):
        rows = slice(9 * h, 9 * (h + 1))
        inner = (p["query.0.weight"][rows] @ state + p["query.0.bias"][rows]).relu()
        query = p["query.3.weight"][h] @ inner + p["query.3.bias"][h]
        out = slice(6 * h, 6 * (h + 1))
        logits = [
            (p["key.weight"][out] @ units[i] + p["key.bias"][out]) @ query / math.sqrt(6)
            for i in range(N)
        ]
        among = [i for i in range(N) if alive[i]]
        powers = {i: torch.exp(logits[i]) for i in among}
        head = sum(powers[i] * q[i] for i in among) / sum(powers.values())
        total = total + (1 if head_weights is None else head_weights[h]) * head
    return total


@few
@given(seeds, st.booleans())
def test_forward_is_what_loops_over_heads_and_agents_give(seed, weighted):
    mixer, (q, state, units, alive) = a_mixer(seed, weighted=weighted)
    q = torch.where(alive, q, 0.0)
    alive[seed % N] = True  # nobody alive is another test's
    torch.testing.assert_close(
        mixer(q, state, units, alive), by_loops(mixer, q, state, units, alive)
    )


@few
@given(seeds, st.booleans())
def test_the_slopes_add_up_to_the_sum_of_the_head_weights(seed, weighted):
    mixer, (q, state, units, alive) = a_mixer(seed, weighted=weighted)
    q.requires_grad_()
    mixer(q, state, units, alive).backward()
    assert (q.grad >= 0).all()
    if alive.any():
        assert (q.grad[alive] > 0).all()
        assert (q.grad[~alive] == 0).all()
    wanted = mixer.weights(state).sum() if weighted else torch.tensor(float(H)).double()
    torch.testing.assert_close(q.grad.sum(), wanted)


@few
@given(seeds, st.booleans())
def test_without_queries_it_is_vdn_scaled_and_shifted(seed, weighted):
    mixer, (q, state, units, _) = a_mixer(seed, weighted=weighted)
    with torch.no_grad():
        for p in mixer.query.parameters():
            p.zero_()
    everyone = torch.ones(N, dtype=torch.bool)
    share = mixer.weights(state).sum() / N
    torch.testing.assert_close(
        mixer(q, state, units, everyone), mixer.c(state).squeeze() + share * q.sum()
    )


@few
@given(seeds)
def test_agents_permuted_together_with_their_features_give_the_same_q_tot(seed):
    mixer, (q, state, units, alive) = a_mixer(seed)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        mixer(q, state, units, alive), mixer(q[order], state, units[order], alive[order])
    )
    away = mixer(q[order], state, units, torch.ones_like(alive))
    assert abs(away - mixer(q, state, units, torch.ones_like(alive))) > 1e-9


@few
@given(seeds)
def test_the_dead_get_no_attention_and_the_living_all_of_it(seed):
    mixer, (q, state, units, alive) = a_mixer(seed)
    alive[:2] = torch.tensor([True, False])
    attention, _ = mixer.attention(q, state, units, alive)
    assert attention.shape == (H, N)
    assert (attention[:, ~alive] == 0).all()
    assert (attention[:, alive] > 0).all()
    torch.testing.assert_close(attention.sum(-1), torch.ones(H).double())


def test_the_living_share_attention_as_if_the_dead_were_not_there():
    mixer, (q, state, units, _) = a_mixer(5)
    alive = torch.tensor([True, False, True])
    attention, _ = mixer.attention(q, state, units, alive)
    alone, _ = mixer.attention(q[alive], state, units[alive], alive[alive])
    torch.testing.assert_close(attention[:, alive], alone)


def test_nobody_alive_gives_a_finite_answer_without_gradient_trouble():
    mixer, (q, state, units, _) = a_mixer(5)
    nobody = torch.zeros(N, dtype=torch.bool)
    attention, _ = mixer.attention(q, state, units, nobody)
    torch.testing.assert_close(attention, torch.full((H, N), 1 / N).double())
    q = torch.zeros(N, dtype=torch.float64, requires_grad=True)
    mixer(q, state, units, nobody).backward()
    assert q.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in mixer.parameters())


def test_plain_heads_count_one_each():
    mixer, (_, state, _, _) = a_mixer(0, weighted=False)
    assert mixer.weights(state.expand(2, 3, S)).tolist() == [[[1.0] * H] * 3] * 2
    assert not any(name.startswith("head_weights") for name, _ in mixer.named_parameters())


def test_leading_axes_are_free():
    mixer = QattenMixer(S, U, n_heads=H)
    qs, state, units = torch.randn(2, 6, N), torch.randn(2, 6, S), torch.randn(2, 6, N, U)
    alive = torch.rand(2, 6, N) < 0.8
    told = mixer(qs, state, units, alive)
    assert told.shape == (2, 6)
    for b in range(2):
        for t in range(6):
            one = mixer(qs[b, t], state[b, t], units[b, t], alive[b, t])
            torch.testing.assert_close(one, told[b, t])


# -- unit features ------------------------------------------------------------------------


def views():
    spec = small_team().spec
    return random_batch(spec).view


def test_unit_features_are_the_observation():
    agents = QattenAgents(small_team(), **SMALL)
    assert agents.online.mixer.key.in_features == 6
    assert torch.equal(agents.units(views()), views().obs)


@pytest.mark.parametrize("source", ["1:7", "allies"])
def test_unit_features_are_blocks_of_the_state(source):
    agents = QattenAgents(
        small_team(state_slices={"allies": (1, 7)}), unit_features=source, **SMALL
    )
    assert agents.online.mixer.key.in_features == 2
    view, units = views(), agents.units(views())
    assert units.shape == (2, 6, 3, 2)
    for i in range(3):
        assert torch.equal(units[..., i, :], view.state[..., 1 + 2 * i : 3 + 2 * i])


def test_attention_reads_the_slice_and_not_the_observation():
    agents = QattenAgents(small_team(), unit_features="1:7", seed=0, **SMALL)
    view = views()[0, 0]
    asked = Utilities(torch.randn(3, 4), torch.zeros(3, 8)), torch.tensor([0, 1, 2])
    blind = View(view.obs + 5, view.state, view.available, view.alive)
    before = agents.evidence(agents.online, *asked, view)["attention"]
    assert torch.equal(agents.evidence(agents.online, *asked, blind)["attention"], before)
    watching = QattenAgents(small_team(), seed=0, **SMALL)
    before = watching.evidence(watching.online, *asked, view)["attention"]
    blind.obs[0] += 5
    assert not torch.equal(watching.evidence(watching.online, *asked, blind)["attention"], before)


def test_an_env_names_slices_of_its_state():
    env = Unlike()
    env.state_slices = {"bodies": (0, 6), "half": (3, 6)}
    for name, dim in (("bodies", 2), ("half", 1)):
        agents = QattenAgents(env, unit_features=name, **SMALL)
        assert agents.online.mixer.key.in_features == dim


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("bodies", r"^unit_features='bodies': give 'obs', a slice of the state that this env names "
                   r"\('allies'\), or 'start:stop'$"),
        ("1:2:3", "give 'obs', a slice of the state"),
        ("0:5", r"^unit_features='0:5' is \[0:5\] of a state of 7: it must lie inside and hold "
                r"3 blocks of equal size, one an agent$"),
        ("3:9", r"\[3:9\] of a state of 7"),
        ("3:3", r"\[3:3\]"),
    ],
)  # fmt: skip
def test_unit_features_that_are_not_there(source, text):
    with pytest.raises(ValueError, match=text):
        QattenAgents(small_team(state_slices={"allies": (1, 7)}), unit_features=source)


# -- the regulariser ----------------------------------------------------------------------


def obs_as_logits(agents):
    """Two heads whose raw logits are 1 and -2 times the unit's first feature."""
    mixer = agents.online.mixer
    with torch.no_grad():
        for p in (*mixer.query.parameters(), *mixer.key.parameters()):
            p.zero_()
        mixer.query[-1].bias.copy_(torch.tensor([[1.0, 0], [0, 2]]))
        mixer.key.weight[0, 0], mixer.key.weight[3, 0] = 1.0, -1.0


def test_the_regulariser_by_hand():
    agents = QattenAgents(small_team(), n_heads=2, embed_dim=2, attention_reg=0.25, **SMALL)
    obs_as_logits(agents)
    batch = random_batch(agents.team.spec)
    counted = [
        float(batch.view.obs[b, t, i, 0]) ** 2
        for b, length in ((0, 5), (1, 2))
        for t in range(length)
        for i in range(3)
        if not (b == 0 and i == 1 and t >= 2)  # dead by then
    ]
    assert len(counted) == 7 * 3 - 3
    wanted = (1 + 4) * sum(counted) / len(counted)
    loss, metrics = agents.loss(batch)
    assert float(metrics["attention_reg"].detach()) == pytest.approx(wanted, rel=1e-5)
    free = super(QattenAgents, agents).loss(batch)[0]
    assert float((loss - free).detach()) == pytest.approx(0.25 * wanted, rel=1e-5)


def test_the_regulariser_ignores_padding():
    agents = QattenAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec)
    before = agents.loss(batch)[1]["attention_reg"]
    batch.view.obs[1, 3:] = 1e3
    batch.view.state[1, 3:] = -1e3
    batch.view.alive[1, 3:] = True
    assert torch.equal(agents.loss(batch)[1]["attention_reg"], before)
    batch.view.obs[1, 1] += 1
    assert not torch.equal(agents.loss(batch)[1]["attention_reg"], before)


# -- nonlinear keys -----------------------------------------------------------------------


def test_nonlinear_keys_lose_monotonicity_as_in_the_published_counter_example():
    mixer = QattenMixer(
        1, 1, n_heads=1, embed_dim=1, hyper_dim=1, weighted=False, nonlinear=True
    ).double()
    with torch.no_grad():
        for p in mixer.parameters():
            p.zero_()
        mixer.key.weight[0, 1] = 1.0  # logit_i = Q_i
        mixer.query[-1].bias.fill_(1.0)
    q = torch.tensor([0.0, 2.0], dtype=torch.float64, requires_grad=True)
    q_tot = mixer(q, torch.ones(1).double(), torch.zeros(2, 1).double(), torch.tensor([True] * 2))
    q_tot.backward()
    share = 1 / (1 + math.exp(2))
    assert q_tot.item() == pytest.approx(2 * (1 - share))
    assert q.grad[0].item() == pytest.approx(share * (1 - q_tot.item()))
    assert q.grad[0].item() == pytest.approx(-0.0908, abs=5e-5)


def test_nonlinear_keys_lose_igm_and_warn():
    team = small_team()
    with pytest.warns(UserWarning, match="Q_tot is no longer monotone in Q_i and IGM no longer"):
        agents = QattenAgents(team, nonlinear=True, **SMALL)
    assert agents.online.mixer.key.in_features == 6 + 1
    violations = 0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        randomised(agents, generator, 0.5)
        qs, hidden, view = moment(team.spec, generator, deaths=False)
        view.available[:] = True
        table, actions = q_table(agents, qs, hidden, view)
        at_greedy = table[(actions == qs.argmax(-1)).all(-1)]
        violations += bool(at_greedy < table.max() - 1e-6)
    assert violations > 0


def test_the_default_keys_are_linear_and_do_not_warn():
    assert not QattenConfig().nonlinear


# -- names and evidence -------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [True, False])
def test_the_parameters_by_name(weighted):
    agents = QattenAgents(
        small_team(), n_heads=2, embed_dim=5, hyper_dim=9, weighted=weighted, **SMALL
    )
    shapes = {n: tuple(p.shape) for n, p in agents.online.mixer.named_parameters()}
    heads = {
        "head_weights.0.weight": (9, 7),
        "head_weights.0.bias": (9,),
        "head_weights.2.weight": (2, 9),
        "head_weights.2.bias": (2,),
    }
    assert shapes == {
        "query.0.weight": (18, 7),
        "query.0.bias": (18,),
        "query.3.weight": (2, 5, 9),
        "query.3.bias": (2, 5),
        "key.weight": (10, 6),
        "key.bias": (10,),
        "c.0.weight": (5, 7),
        "c.0.bias": (5,),
        "c.2.weight": (1, 5),
        "c.2.bias": (1,),
        **(heads if weighted else {}),
    }


def test_the_attention_is_learned_by_the_td_loss_alone():
    agents = QattenAgents(small_team(), seed=0, attention_reg=0.0, **SMALL)
    agents.loss(random_batch(agents.team.spec))[0].backward()
    for name in ("query.0.weight", "query.0.bias", "query.3.weight", "query.3.bias", "key.weight"):
        grad = agents.online.mixer.get_parameter(name).grad
        assert grad.abs().max() > 1e-6, name


def test_evidence_puts_q_tot_together():
    agents = QattenAgents(team_of(3, 4), seed=0, **SMALL)
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(1))
    agents.online.double()
    asked = agents.online, Utilities(qs, hidden), torch.tensor([3, 0, 1]), view
    told = agents.evidence(*asked)
    own = torch.where(view.alive, qs[torch.arange(3), torch.tensor([3, 0, 1])], 0.0)
    again = (told["head weights"] @ told["attention"]) @ own + told["c(s)"]
    torch.testing.assert_close(agents.q_tot(*asked), again)


def test_what_is_claimed():
    assert (QattenAgents.claim, QattenAgents.function_class) == ("exact", "additive")


def test_nonlinear_keys_claim_nothing_and_plain_ones_claim_igm():
    with pytest.warns(UserWarning, match="IGM no longer holds"):
        agents = QattenAgents(small_team(), nonlinear=True, **SMALL)
    assert (agents.claim, agents.function_class) == ("none", "unknown")
    assert (QattenAgents.claim, QattenAgents.function_class) == ("exact", "additive")
