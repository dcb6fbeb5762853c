import numpy as np
import pytest

from vdtoolkit.envs import hidden_payoff_v0
from vdtoolkit.envs.hidden_payoff_v0 import parallel_env

FIRST = [[10, 8, 5], [8, 6, 3], [5, 3, 0]]
SECOND = [[0, 3, 5], [3, 6, 8], [5, 8, 10]]


def test_a_fair_coin_picks_one_of_qtrans_two_payoffs():
    env = parallel_env()
    assert env.states() == ["payoff 1", "payoff 2"]
    assert env.initial_states() == [(0.5, "payoff 1"), (0.5, "payoff 2")]
    np.testing.assert_array_equal(env.rewards("payoff 1"), FIRST)
    np.testing.assert_array_equal(env.rewards("payoff 2"), SECOND)
    env.reset(seed=0)
    heads = sum(env.state()[0] for _ in range(400) if env.reset())
    assert abs(heads - 200) < 5 * 10


@pytest.mark.parametrize(
    ("payoff", "utilities"), [("payoff 1", [5, 3, 0]), ("payoff 2", [0, 3, 5])]
)
def test_each_payoff_is_a_sum_of_utilities(payoff, utilities):
    np.testing.assert_array_equal(
        parallel_env().rewards(payoff), np.add.outer(utilities, utilities)
    )


@pytest.mark.parametrize(
    ("sighted", "seeing"),
    [
        ((), [False, False]),
        (["agent_1"], [False, True]),
        ([0], [True, False]),
        ([1, "agent_0"], [True, True]),
        ("agent_0", [True, False]),
        (1, [False, True]),
    ],
)
def test_the_sighted_see_the_coin_and_the_others_zeros(sighted, seeing):
    env = parallel_env(sighted)
    shown = set()
    for seed in range(20):
        observations, _ = env.reset(seed=seed)
        coin = env.state().tolist()
        shown.add(tuple(coin))
        for agent, sees in zip(env.possible_agents, seeing, strict=True):
            assert observations[agent].tolist() == (coin if sees else [0, 0])
    assert shown == {(1, 0), (0, 1)}


def test_the_move_is_paid_by_the_coins_payoff_and_terminates():
    env = parallel_env()
    seen = set()
    for seed in range(20):
        env.reset(seed=seed)
        table = FIRST if env.state()[0] else SECOND
        _, rewards, terminations, truncations, _ = env.step({"agent_0": 0, "agent_1": 1})
        assert rewards == {"agent_0": float(table[0][1]), "agent_1": float(table[0][1])}
        assert terminations == {"agent_0": True, "agent_1": True}
        assert truncations == {"agent_0": False, "agent_1": False}
        seen.add(rewards["agent_0"])
    assert seen == {8.0, 3.0}
    assert env.one_shot
    assert env.time_limit is None


def test_other_payoffs_may_be_given():
    env = parallel_env(payoffs=[np.zeros((2, 3, 4)), np.ones((2, 3, 4)), np.full((2, 3, 4), 5)])
    assert env.possible_agents == ["agent_0", "agent_1", "agent_2"]
    assert env.n_actions == (2, 3, 4)
    assert env.states() == ["payoff 1", "payoff 2", "payoff 3"]
    assert sum(p for p, _ in env.initial_states()) == pytest.approx(1.0)
    env.reset(seed=0)
    assert env.state().shape == (3,)
    assert env.model("payoff 3", (1, 2, 3)) == [(1.0, 5.0, None)]


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"sighted": ["agent_2"]}, r"no agents are called \['agent_2'\], only \['agent_0', 'age"),
        ({"sighted": [2]}, r"sighted=\[2\]: no agents are called \[2\]"),
        ({"payoffs": [[[1]], [[1, 2]]]}, r"payoffs of shapes \[\(1, 1\), \(1, 2\)\]: give one or "),
        ({"payoffs": []}, r"payoffs of shapes \[\]: give one or more arrays"),
        ({"payoffs": [[[1, 2], [3]]]}, "payoff is not an array of numbers"),
    ],
)
def test_wrong_arguments_are_clear_errors(kwargs, text):
    with pytest.raises(ValueError, match=text):
        hidden_payoff_v0.env(**kwargs)
