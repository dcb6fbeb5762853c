"""Payoffs and the numbers that follow from them by hand."""

import numpy as np
import pytest

from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.envs._games import GAMES, from_array, game, payoff

TABLES = {
    "nonmonotonic": [[8, -12, -12], [-12, 0, 0], [-12, 0, 0]],
    "nearly_monotonic": [[12, -0.1, -0.1], [-0.1, 0, 0], [-0.1, 0, 0]],
    "monotonic": [[8, 3, 2], [-12, -13, -14], [-12, -13, -14]],
    "qtran_state_1": [[10, 8, 5], [8, 6, 3], [5, 3, 0]],
    "qtran_state_2": [[0, 3, 5], [3, 6, 8], [5, 8, 10]],
    "climbing": [[11, -30, 0], [-30, 7, 6], [0, 0, 5]],
    "climbing_stochastic": [[11, -30, 0], [-30, 7, 6], [0, 0, 5]],
    "climbing_partially_stochastic": [[11, -30, 0], [-30, 7, 6], [0, 0, 5]],
    "penalty": [[10, 0, -100], [0, 2, 0], [-100, 0, 10]],
    "penalty-0": [[10, 0, 0], [0, 2, 0], [0, 0, 10]],
    "penalty-25": [[10, 0, -25], [0, 2, 0], [-25, 0, 10]],
    "penalty-50": [[10, 0, -50], [0, 2, 0], [-50, 0, 10]],
    "penalty-75": [[10, 0, -75], [0, 2, 0], [-75, 0, 10]],
    "penalty-100": [[10, 0, -100], [0, 2, 0], [-100, 0, 10]],
    "xor": [[1, 0], [0, 1]],
    "and": [[0, 0], [0, 1]],
    "or": [[0, 1], [1, 1]],
    "two_step_2b": [[0, 1], [1, 8]],
}


def additive_fit(table):
    """Best sum of utilities under uniform play: sum_i E[R | u_i] - (N - 1) E[R]."""
    n = table.ndim
    means = (table.mean(tuple(set(range(n)) - {i}), keepdims=True) for i in range(n))
    return sum(means) - (n - 1) * table.mean()


def test_every_game_has_its_table():
    assert set(TABLES) | {"qtran_21", "random", "gaussian_squeeze"} == set(GAMES)


@pytest.mark.parametrize("name", TABLES)
def test_a_named_game_pays_its_table(name):
    np.testing.assert_allclose(payoff(name), TABLES[name], atol=1e-12)
    assert game(name).title


@pytest.mark.parametrize(
    ("name", "sse"),
    [
        ("nonmonotonic", 455.1111),
        ("climbing", 1575.7778),
        ("penalty", 12921.7778),
        ("penalty-0", 121.7778),
        ("two_step_2b", 9.0),
        ("xor", 1.0),
        ("or", 0.25),
        ("and", 0.25),
        ("nearly_monotonic", 66.1511),
        ("qtran_state_1", 0.0),
        ("qtran_state_2", 0.0),
    ],
)
def test_the_best_sum_of_utilities_misses_by_the_known_amount(name, sse):
    table = payoff(name)
    assert ((table - additive_fit(table)) ** 2).sum() == pytest.approx(sse, abs=1e-4)


@pytest.mark.parametrize(
    ("agents", "actions", "all_first", "none_first"),
    [(3, 3, -13.9259, -4.5926), (4, 3, -16.8889, -5.6296), (3, 2, -5.0, -11.0)],
)
def test_nonmonotonic_takes_agents_and_actions(agents, actions, all_first, none_first):
    table = payoff("nonmonotonic", agents=agents, actions=actions)
    assert table.shape == (actions,) * agents
    for joint, reward in np.ndenumerate(table):
        first = joint.count(0)
        assert reward == (8 if first == agents else 0 if first == 0 else -12)
    fit = additive_fit(table)
    assert fit.flat[0] == pytest.approx(all_first, abs=1e-4)
    assert fit.flat[-1] == pytest.approx(none_first, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "agents", "actions"),
    [("-5-actions", 2, 5), ("-3-agents", 3, 3), ("-3-agents-4-actions", 3, 4)],
)
def test_nonmonotonic_takes_them_in_its_name(name, agents, actions):
    expected = payoff("nonmonotonic", agents=agents, actions=actions)
    assert (payoff(f"nonmonotonic{name}") == expected).all()
    with pytest.raises(ValueError, match="did you mean 'nonmonotonic'"):
        game("nonmonotonic-3")


def test_the_table_of_gaussian_squeeze_is_that_of_scales_1():
    table = payoff("gaussian_squeeze")
    assert table.shape == (11, 11)
    assert table[5, 5] == pytest.approx(5 + 5 * np.exp(-9 / 0.25))  # x = 5
    assert table[7, 8] == pytest.approx(7.5 * (np.exp(-1) + np.exp(-6.25)))  # x = 7.5
    best = np.argwhere(table > table.max() - 1e-9)
    assert best.tolist() == [[6, 10], [7, 9], [8, 8], [9, 7], [10, 6]]
    assert payoff("gaussian_squeeze", agents=3, domains=1)[8, 8, 8] == 8


def test_qtran_21_has_a_narrow_optimum_and_a_broad_lesser_one():
    table = payoff("qtran_21")
    assert table.shape == (21, 21)
    assert table.max() == table[5, 15] == 10
    assert table[15, 5] == 5
    assert table.min() == -40
    assert table[15, 5] > max(table[14, 5], table[16, 5], table[15, 4], table[15, 6])
    fit = additive_fit(table)
    assert np.unravel_index(fit.argmax(), fit.shape) == (15, 5)


def test_stochastic_climbing_tosses_a_coin_in_every_cell_or_in_one():
    fully, partially = game("climbing_stochastic"), game("climbing_partially_stochastic")
    assert fully.outcomes[1, 1].tolist() == partially.outcomes[1, 1].tolist() == [14, 0]
    assert fully.outcomes[0, 1].tolist() == [5, -65]
    assert (fully.outcomes[..., 0] != fully.outcomes[..., 1]).all()
    assert (partially.outcomes[..., 0] != partially.outcomes[..., 1]).sum() == 1


def test_penalty_takes_any_k_up_to_zero_by_argument_or_name():
    assert payoff("penalty", k=-3)[0, 2] == payoff("penalty-3")[2, 0] == -3
    assert payoff("penalty-2.5")[0, 2] == -2.5
    with pytest.raises(ValueError, match=r"penalty game with k=1: the penalty is at most 0"):
        payoff("penalty", k=1)


def test_random_games_hang_on_their_seed():
    table = payoff("random", agents=3, actions=4, seed=7)
    assert table.shape == (4, 4, 4)
    assert (table == 10).sum() == 1
    assert table.min() >= 0
    assert table.max() == 10
    np.testing.assert_array_equal(table, payoff("random", agents=3, actions=4, seed=7))
    assert (table != payoff("random", agents=3, actions=4, seed=8)).any()


def test_an_unknown_name_is_answered_with_the_closest_and_all():
    with pytest.raises(ValueError, match=r"no game is called 'climbin': did you mean 'climbing'\?"):
        game("climbin")
    every = r"nonmonotonic, nearly_monotonic, .*, random, gaussian_squeeze$"
    with pytest.raises(ValueError, match=every):
        matrix_game_v0.parallel_env("chess, blitz")


def test_an_argument_that_a_game_does_not_take_is_an_error():
    with pytest.raises(TypeError, match=r"game 'nonmonotonic' takes \['agents', 'actions'\], not "):
        game("nonmonotonic", k=3)
    with pytest.raises(TypeError, match=r"game 'xor' takes no arguments, not \['agents'\]"):
        game("xor", agents=3)
    with pytest.raises(TypeError, match=r"'penalty-30' takes no arguments, not \['k'\]"):
        game("penalty-30", k=-3)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ([[1, 2], [3]], "payoff is not an array of numbers .*: give nested lists of equal lengths"),
        ([["a", "b"]], "payoff is not an array of numbers"),
        ([[1, 2], [3, None]], r"payoff\[1, 1\] is nan: every entry must be finite"),
        ([[1, float("nan")]], r"payoff\[0, 1\] is nan: every entry must be finite"),
        ([[1, 2], [float("-inf"), 0]], r"payoff\[1, 0\] is -inf"),
        (3.0, r"payoff has shape \(\): it needs one axis of at least one action"),
        ([], r"payoff has shape \(0,\): it needs one axis"),
        (np.zeros((2, 0, 3)), r"payoff has shape \(2, 0, 3\)"),
    ],
)
def test_what_is_no_payoff_is_refused(bad, text):
    with pytest.raises(ValueError, match=text):
        from_array(bad)


def test_a_table_above_ten_million_entries_is_refused_before_it_is_made():
    with pytest.raises(
        ValueError, match=r"15 agents with 3 actions have 14348907 joint actions, abo"
    ):
        payoff("nonmonotonic", agents=15)
    with pytest.raises(ValueError, match="above the limit of 10000000: take fewer"):
        from_array(np.broadcast_to(0.0, (101, 100, 1000)))
    assert payoff("nonmonotonic", agents=14).size == 3**14
    with pytest.raises(ValueError, match="agents=40: a payoff array has at most 32 axes"):
        payoff("nonmonotonic", agents=40, actions=1)
    with pytest.raises(ValueError, match="agents=0, actions=3: a game needs at least one of each"):
        payoff("random", agents=0)


@pytest.mark.parametrize(
    ("odds", "text"),
    [
        ([0.5, 0.5], r"probabilities have shape \(2,\): payoff \(2, 2, 3\) counts 3 outcomes"),
        ([0.5, 0.75, -0.25], "least entry -0.25 and sums 1 to 1: they must not be negative"),
        ([0.5, 0.25, 0.5], "sums 1.25 to 1.25: .* add up to 1"),
        ([0.5, float("nan"), 0.5], r"probabilities\[1\] is nan"),
    ],
)
def test_what_are_no_probabilities_is_refused(odds, text):
    with pytest.raises(ValueError, match=text):
        from_array(np.zeros((2, 2, 3)), odds)


def test_probabilities_may_hang_on_the_joint_action():
    made = from_array([[10, 20], [30, 40]], [[1, 0], [0.25, 0.75]])
    assert made.payoff.tolist() == [10, 37.5]
    with pytest.raises(ValueError, match=r"shape \(2,\): .* each of one or more agents and a last"):
        from_array([1, 2], [0.5, 0.5])


def test_from_array_does_not_keep_the_users_array():
    table = np.ones((2, 3))
    made = from_array(table)
    table[:] = 5
    assert (made.payoff == 1).all()
