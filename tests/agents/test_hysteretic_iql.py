"""Hysteretic IQL: IQL whose downward errors count beta; numbers as in test_value."""

from functools import partial

import numpy as np
import pytest
import torch
from results.whole_games import trained, whole_game

from vdtoolkit import HystereticIQLAgents, IQLAgents, evaluate, igm, train
from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.igm import lab

from .helpers import SMALL, give, random_batch, small_team, team_of
from .test_value import ONLINE, TARGET, two_moves


def hysteretic(**kwargs):
    agents = HystereticIQLAgents(team_of(2, 3), gamma=0.5, **{**SMALL, **kwargs})
    give(agents, ONLINE[None], TARGET[None])
    return agents


def counted(errors, beta):
    """The mean of squares in which an estimate above its target counts beta."""
    return sum((beta if e > 0 else 1.0) * e * e for e in errors) / len(errors)


@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(
    ("terminated", "double_q", "errors"),
    [
        (False, True, [3 - 21, 4 - 6.5, 20 - 33, 2 - 4.5]),
        (True, True, [3 - 21, 4 - 6.5, 20 + 2, 2 + 2]),
        (False, False, [3 - 51, 4 - 50.5, 20 - 38, 2 - 5]),
        (True, False, [3 - 51, 4 - 50.5, 20 + 2, 2 + 2]),
    ],
)
def test_what_lies_above_its_target_counts_beta(beta, terminated, double_q, errors):
    loss, metrics = hysteretic(beta=beta, double_q=double_q).loss(two_moves(terminated))
    assert float(loss) == pytest.approx(counted(errors, beta))
    assert float(metrics["td_error"]) == pytest.approx(sum(map(abs, errors)) / 4)


def test_td_lambda_decides_what_counts():
    batch = two_moves(True)
    loss, _ = hysteretic(td_lambda=1.0, beta=0.25).loss(batch)
    errors = [3 - (1 - 0.5 * 2), 4 - (1 - 0.5 * 2), 20 + 2, 2 + 2]  # G_0 = 1 + 0.5 * -2
    assert float(loss) == pytest.approx(counted(errors, 0.25))


def test_the_dead_are_left_out_of_the_mean():
    batch = two_moves(True, dead=((1, 1), (2, 1)))
    loss, _ = hysteretic(beta=0.25).loss(batch)
    assert float(loss) == pytest.approx(counted([3 - 21, 4 - 1, 20 + 2], 0.25))


def test_beta_1_is_iql_and_less_is_not():
    batch = random_batch(small_team().spec, seed=5)
    iql = IQLAgents(small_team(), seed=1, **SMALL)
    alike = HystereticIQLAgents(small_team(), seed=1, beta=1.0, **SMALL)
    other = HystereticIQLAgents(small_team(), seed=1, beta=0.4, **SMALL)
    assert alike.learn_from(batch) == iql.learn_from(batch)
    assert other.learn_from(batch)["loss"] < iql.learn_from(batch)["loss"]


def test_the_weight_carries_no_gradient():
    """d loss / d Q_i is 2 w (Q_i - y_i) / count, as if w were a number."""
    agents = hysteretic(beta=0.25)
    qs = ONLINE[None].clone().requires_grad_()
    give(agents, qs, TARGET[None])
    agents.loss(two_moves(True))[0].backward()
    wanted = torch.zeros_like(qs)
    wanted[0, 0, 0, 2], wanted[0, 0, 1, 0] = 2 * -18 / 4, 2 * -2.5 / 4
    wanted[0, 1, 0, 1], wanted[0, 1, 1, 2] = 2 * 0.25 * 22 / 4, 2 * 0.25 * 4 / 4
    torch.testing.assert_close(qs.grad, wanted)


@pytest.mark.parametrize("beta", [-0.1, 1.5, float("nan")])
def test_a_beta_that_is_no_share_is_refused(beta):
    with pytest.raises(ValueError, match=r"^beta=.*: it must be in \[0, 1\]$"):
        HystereticIQLAgents(small_team(), beta=beta)


def test_no_igm_is_claimed():
    assert (HystereticIQLAgents.claim, HystereticIQLAgents.function_class) == ("none", "unknown")


# -- fixed points -------------------------------------------------------------------------


def expectile(values, beta):
    """x with sum over the values of g (v - x) = 0, g = beta where v < x, by bisection."""
    low, high = min(values), max(values)
    for _ in range(200):
        x = (low + high) / 2
        slope = sum((beta if v < x else 1.0) * (v - x) for v in values)
        low, high = (x, high) if slope > 0 else (low, x)
    return x


B = 0.1
CLOSED = {  # (8 - 24 b) / (1 + 2 b), -12 b / (2 + b), and so on, by hand
    "nonmonotonic": ([4.6667, -0.5714, -0.5714], [4.6667, -0.5714, -0.5714]),
    "climbing": ([6.6667, 4.7619, 4.1667], [6.6667, 3.3333, 5.4167]),
    "penalty-100": ([0, 1.6667, 0], [0, 1.6667, 0]),
}


def test_the_closed_forms_are_expectiles():
    for game, (first, second) in CLOSED.items():
        payoff = matrix_game_v0.payoff(game)
        np.testing.assert_allclose([expectile(row, B) for row in payoff], first, atol=1e-4)
        np.testing.assert_allclose([expectile(c, B) for c in payoff.T], second, atol=1e-4)


@pytest.mark.parametrize("game", CLOSED)
def test_utilities_reach_the_expectile_of_each_row(game):
    env = matrix_game_v0.parallel_env(game)
    scale = 3 if game == "penalty-100" else 1
    agents = trained("hysteretic_iql", env, 900, lr=1e-2 * scale, hidden_dim=32, beta=B)
    (state,) = igm.audit(agents, env).states
    for learned, wanted in zip(state.utilities, CLOSED[game], strict=True):
        np.testing.assert_allclose(learned, wanted, atol=0.02 * scale)


@pytest.mark.parametrize(("beta", "greedy"), [(0.1, (0, 0)), (0.2, (0, 2)), (0.4, (2, 2))])
def test_climbing_asks_for_a_beta_below_a_seventh(beta, greedy):
    """Agent 0 finds its part below 1/5, agent 1 below 1/7."""
    payoff = matrix_game_v0.payoff("climbing")
    best = [int(np.argmax([expectile(row, beta) for row in table])) for table in (payoff, payoff.T)]
    if beta != 0.2:  # there agent 0's A and another action are alike
        assert tuple(best) == greedy
    for limit, table in ((1 / 5, payoff), (1 / 7, payoff.T)):
        for b, wins in ((limit - 0.002, True), (limit + 0.002, False)):
            found = [expectile(row, b) for row in table]
            assert (int(np.argmax(found)) == 0) == wins


def test_a_fixed_point_is_where_the_expected_step_is_nothing():
    """The gradient over the whole game at the closed form is 0, and IQL's is not."""
    env = matrix_game_v0.parallel_env("nonmonotonic")
    settings = {**SMALL, "recurrent": False, "last_action": False}
    for cls, at_rest in ((HystereticIQLAgents, True), (IQLAgents, False)):
        beta = {"beta": B} if cls is HystereticIQLAgents else {}
        agents = cls(env, **settings, **beta)
        batch = whole_game(agents, env.unwrapped)
        row = torch.tensor([5.6 / 1.2, -1.2 / 2.1, -1.2 / 2.1])
        qs = row.expand(9, 2, 2, 3).clone().requires_grad_()
        give(agents, qs)
        agents.loss(batch)[0].backward()
        assert (qs.grad.sum(0).abs().max() < 1e-6) == at_rest


# -- learning -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_optimists_find_the_peak_of_climbing_where_iql_does_not(seed):
    make = partial(matrix_game_v0.parallel_env, "climbing")
    settings = {"recurrent": False, "lr": 1e-2, "epsilon_end": 1.0, "hidden_dim": 32}
    for cls, beta, earned in ((HystereticIQLAgents, {"beta": B}, 11.0), (IQLAgents, {}, 5.0)):
        agents = cls(make(), seed=seed, **settings, **beta)
        train(agents, make, 6000, 16, updates_per_episode=0.1, seed=seed)
        assert evaluate(agents, make, 2).mean == earned


def test_the_lab_trains_it_with_the_beta_that_matrix_games_want():
    assert lab.lab_config("hysteretic_iql").beta == B
