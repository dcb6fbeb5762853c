"""Lenient IQL: leniency noted with each move, temperatures that cool; numbers as in test_value."""

from functools import partial
from math import exp

import numpy as np
import pytest
import torch
from results.whole_games import trained

from vdtoolkit import IQLAgents, LenientIQLAgents, evaluate, igm, load, train
from vdtoolkit.agents.lenient_iql import Temperatures
from vdtoolkit.batch import EpisodeBatch
from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.igm import lab

from .helpers import SMALL, Bandit, Unlike, give, play, random_batch, small_team, team_of
from .test_hysteretic_iql import CLOSED, counted, expectile
from .test_value import ONLINE, TARGET, two_moves


def lenient(**kwargs):
    agents = LenientIQLAgents(team_of(2, 3), gamma=0.5, **{**SMALL, **kwargs})
    give(agents, ONLINE[None], TARGET[None])
    return agents


def noted(batch, *leniency):
    """The batch as if collected with this leniency, one number a move and agent."""
    note = torch.tensor(leniency).reshape(batch.actions.shape)
    return EpisodeBatch(**{**vars(batch), "note": note})


# -- the loss -----------------------------------------------------------------------------


@pytest.mark.parametrize("double_q", [True, False])
def test_what_lies_above_its_target_counts_what_is_not_forgiven(double_q):
    batch = noted(two_moves(True), 0.9, 0.8, 0.75, 0.5)
    loss, _ = lenient(double_q=double_q).loss(batch)
    up = [3 - 21, 4 - 6.5] if double_q else [3 - 51, 4 - 50.5]
    wanted = (up[0] ** 2 + up[1] ** 2 + 0.25 * 22**2 + 0.5 * 4**2) / 4
    assert float(loss) == pytest.approx(wanted)


def test_a_batch_that_was_not_collected_here_takes_the_temperatures_of_now():
    errors = [3 - 21, 4 - 6.5, 20 + 2, 2 + 2]
    for heat, beta in ((0.0, 1.0), (0.7, exp(-2 * 0.7))):
        loss, _ = lenient(temperature=heat).loss(two_moves(True))
        assert float(loss) == pytest.approx(counted(errors, beta))


def test_a_cold_agent_is_iql():
    batch = random_batch(small_team().spec, seed=5)
    cold = LenientIQLAgents(small_team(), seed=1, temperature=0.0, **SMALL)
    iql = IQLAgents(small_team(), seed=1, **SMALL)
    assert cold.learn_from(batch) == iql.learn_from(batch)
    warm = LenientIQLAgents(small_team(), seed=1, **SMALL)
    assert warm.learn_from(batch)["loss"] < iql.learn_from(batch)["loss"]


def test_the_weight_carries_no_gradient():
    agents = lenient()
    qs = ONLINE[None].clone().requires_grad_()
    give(agents, qs, TARGET[None])
    agents.loss(noted(two_moves(True), 0.9, 0.9, 0.75, 0.5))[0].backward()
    wanted = torch.zeros_like(qs)
    wanted[0, 0, 0, 2], wanted[0, 0, 1, 0] = 2 * -18 / 4, 2 * -2.5 / 4
    wanted[0, 1, 0, 1], wanted[0, 1, 1, 2] = 2 * 0.25 * 22 / 4, 2 * 0.5 * 4 / 4
    torch.testing.assert_close(qs.grad, wanted)


# -- temperatures -------------------------------------------------------------------------


def test_an_episode_cools_its_last_move_most():
    known = Temperatures(2, 3, 4, bits=5)
    codes = torch.tensor([[7, 1], [7, 2], [9, 1]])
    actions = torch.tensor([[0, 2], [0, 2], [1, 2]])
    before_end = torch.tensor([[2.0], [1.0], [0.0]])
    known.cool(codes, actions, 0.3 * 0.5 ** before_end.expand(3, 2))
    said = known(codes, actions)
    both = exp(-0.3 * (0.25 + 0.5))  # visited twice, 2 moves and 1 before the end
    wanted = [[both, exp(-0.3 * (0.25 + 1))], [both, exp(-0.3 * 0.5)], [exp(-0.3), 0]]
    wanted[2][1] = wanted[0][1]  # agent 1 was at 1 with action 2 twice
    torch.testing.assert_close(said, torch.tensor(wanted))
    assert (known.cooled > 0).sum() == 4, "nothing else has cooled"


def test_no_temperature_is_above_the_ceiling_and_it_cools_from_there():
    known = Temperatures(1, 2, 3, bits=2)
    known.ceiling.mul_(0.5)
    code, action = torch.tensor([[1]]), torch.tensor([[0]])
    assert known(code, action) == 0.5
    known.cool(code, action, torch.tensor([[0.1]]))
    torch.testing.assert_close(known(code, action), torch.tensor([[0.5 * exp(-0.1)]]))


def test_like_observations_share_a_temperature_and_unlike_ones_do_not():
    torch.manual_seed(0)
    known = Temperatures(1, 2, 6, bits=12)
    x = torch.randn(50, 1, 6)
    codes = known.codes(x)
    assert codes.dtype == torch.int64
    assert ((codes >= 0) & (codes < 2**12)).all()
    assert torch.equal(known.codes(x + 1e-7), codes)
    assert len(codes.unique()) > 40
    assert len(known.codes(torch.eye(6)[:, None]).unique()) == 6
    steps = torch.tensor([0.1, 1.0, 10.0])[:, None, None]
    assert len(known.codes(steps * x[:1]).unique()) > 1, "size counts as well"


def test_bytes_are_hashed_as_the_numbers_they_stand_for():
    torch.manual_seed(0)
    plain = Temperatures(1, 2, 6)
    torch.manual_seed(0)
    scaled = Temperatures(1, 2, 6, scale=1 / 255)
    pixels = torch.randint(256, (20, 1, 6), dtype=torch.uint8)
    assert torch.equal(scaled.codes(pixels), plain.codes(pixels / 255))


# -- what is noted ------------------------------------------------------------------------


def test_leniency_is_that_of_the_moment_of_the_move():
    agents = LenientIQLAgents(Bandit(), seed=0, cooling=0.2, ceiling_decay=1.0, **SMALL)
    told = play(agents, Bandit(), 30)
    visits = np.zeros(3)
    batch = agents.replay.batch(np.arange(30))
    for k, move in enumerate(told):
        u = move["gambler"]
        heat = exp(-0.2 * visits[u])
        assert float(batch.note[k, 0, 0]) == pytest.approx(1 - exp(-2 * heat), rel=1e-5)
        visits[u] += 1
    assert (visits > 3).all()


def test_the_ceiling_falls_with_every_episode():
    agents = LenientIQLAgents(Bandit(), seed=0, cooling=0.0, ceiling_decay=0.9, **SMALL)
    play(agents, Bandit(), 5, learn=False)
    note = agents.replay.batch(np.arange(5)).note.flatten()
    wanted = [1 - exp(-2 * 0.9**k) for k in range(5)]
    torch.testing.assert_close(note, torch.tensor(wanted))


class Same(Unlike):
    """`Unlike` with one observation throughout, so that all moves meet in one temperature."""

    def _seen(self, agents):
        _, infos = super()._seen(agents)
        seen = {a: np.zeros(self.SIZES[a][0], np.float32) for a in agents if a != "mole"}
        return seen | ({"mole": 0} if "mole" in agents else {}), infos


def cooled(agents):
    """All the cooling there was, by agent."""
    return agents.online.mixer.cooled.sum((1, 2)).tolist()


def test_an_episode_cools_by_its_moves_and_the_dead_do_not_cool():
    agents = LenientIQLAgents(Same(), seed=0, cooling=0.1, trace=0.5, **SMALL)
    play(agents, Same(lengths=(4,)), 1, learn=False)
    whole = 0.1 * (1 + 0.5 + 0.25 + 0.125)
    alive = 0.1 * (0.125 + 0.25)  # the mole dies in move 2 of 4
    assert cooled(agents) == pytest.approx([whole, whole, alive])
    assert float(agents.online.mixer.ceiling) == pytest.approx(0.9998)


def test_an_episode_cut_off_or_lost_does_not_cool():
    agents, env = LenientIQLAgents(Same(), ceiling_decay=1.0, **SMALL), Same(lengths=(4,))
    observations, infos = env.reset()
    for last in (False, True):
        actions = agents.act(observations, infos, env.state())
        told = list(env.step(actions))
        if last:
            told[4] = {a: {"lost_game": True} for a in told[0]}
            told[2] = dict.fromkeys(told[0], True)
        agents.observe(*told, state=env.state())
        observations, infos = told[0], told[4]
    assert agents.replay.n_lost == 1
    play(agents, env, 1, learn=False)
    agents.act(*env.reset(), env.state())
    agents.reset()
    before = cooled(agents)
    play(agents, env, 1, learn=False)
    assert cooled(agents) == pytest.approx([2 * x for x in before])


def test_many_environments_cool_as_one_after_another():
    make = partial(matrix_game_v0.parallel_env, "climbing")
    for n_envs in (1, 4):
        agents = LenientIQLAgents(make(), seed=0, cooling=0.1, ceiling_decay=1.0, **SMALL)
        train(agents, make, 12, n_envs)
        assert agents.episodes == 12
        assert cooled(agents) == pytest.approx([1.2, 1.2])


def test_temperatures_and_notes_are_saved(tmp_path):
    agents = LenientIQLAgents(Unlike(), seed=0, **SMALL)
    play(agents, Unlike(), 5)
    agents.sync_target()
    agents.save(tmp_path / "a")
    again = load(tmp_path / "a")
    assert agents.online.mixer.cooled.any()
    for name, buffer in agents.online.mixer.named_buffers():
        assert torch.equal(again.online.mixer.get_buffer(name), buffer), name
    one, other = (x.replay.batch(np.arange(5)).note for x in (agents, again))
    assert torch.equal(one, other)
    assert len(one[one > 0].unique()) > 1


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"temperature": -1.0}, "temperature=-1.0: it must be at least 0"),
        ({"moderation": float("inf")}, "moderation=inf: it must be at least 0"),
        ({"cooling": -0.1}, "cooling=-0.1: it must be at least 0"),
        ({"trace": 1.1}, r"trace=1.1: it must be in \[0, 1\]"),
        ({"ceiling_decay": -0.5}, r"ceiling_decay=-0.5: it must be in \[0, 1\]"),
        ({"hash_bits": 30}, "hash_bits=30: it must be from 1 to 20"),
    ],
)
def test_what_cannot_work_is_refused(bad, text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        LenientIQLAgents(small_team(), **bad)


def test_no_igm_is_claimed():
    assert (LenientIQLAgents.claim, LenientIQLAgents.function_class) == ("none", "unknown")


# -- fixed points and learning ------------------------------------------------------------


@pytest.mark.parametrize("game", ["nonmonotonic", pytest.param("climbing", marks=pytest.mark.slow)])
def test_frozen_hot_it_reaches_the_best_case_and_cold_the_mean(game):
    env, payoff = matrix_game_v0.parallel_env(game), matrix_game_v0.payoff(game)
    learned = {}
    for heat, steps in ((2.5, 1500), (0.0, 800)):
        agents = trained("lenient_iql", env, steps, lr=5e-3, hidden_dim=32, temperature=heat)
        learned[heat] = igm.audit(agents, env).states[0].utilities[0]
    near = [expectile(row, exp(-2 * 2.5)) for row in payoff]
    np.testing.assert_allclose(learned[2.5], near, atol=0.02)
    np.testing.assert_allclose(learned[2.5], payoff.max(1), atol=0.4)
    np.testing.assert_allclose(learned[0.0], payoff.mean(1), atol=0.02)


def test_frozen_in_between_it_is_hysteretic():
    env = matrix_game_v0.parallel_env("climbing")
    heat = -np.log(0.1) / 2  # exp(-K T) = 0.1
    agents = trained("lenient_iql", env, 900, lr=1e-2, hidden_dim=32, temperature=heat)
    (state,) = igm.audit(agents, env).states
    for learned, wanted in zip(state.utilities, CLOSED["climbing"], strict=True):
        np.testing.assert_allclose(learned, wanted, atol=0.02)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_leniency_finds_the_peak_of_climbing_and_loses_it_where_it_cools_under_random_play(seed):
    make = partial(matrix_game_v0.parallel_env, "climbing")
    settings = {"recurrent": False, "lr": 1e-2, "epsilon_end": 1.0, "hidden_dim": 32}
    frozen = {"cooling": 0.0, "ceiling_decay": 1.0, "moderation": 3.0}
    for schedule, earned in ((frozen, 11.0), ({"cooling": 0.1, "buffer_size": 1000}, 5.0)):
        agents = LenientIQLAgents(make(), seed=seed, **settings, **schedule)
        train(agents, make, 5000, 16, updates_per_episode=0.1, seed=seed)
        assert evaluate(agents, make, 2).mean == earned


def test_the_lab_keeps_it_lenient():
    config = lab.lab_config("lenient_iql")
    assert (config.cooling, config.ceiling_decay) == (0.0, 1.0)
