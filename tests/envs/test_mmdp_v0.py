import numpy as np
import pytest

from vdtoolkit.envs import mmdp_v0
from vdtoolkit.finite import optimal_q
from vdtoolkit.team import Team


def test_the_model_of_both_states():
    env = mmdp_v0.parallel_env()
    assert env.states() == ["good", "absorbing"]
    assert env.initial_states() == [(1.0, "good")]
    np.testing.assert_array_equal(env.rewards("good"), [[1, 0], [0, 0]])
    np.testing.assert_array_equal(env.rewards("absorbing"), np.zeros((2, 2)))
    for joint in ((0, 0), (0, 1), (1, 0)):
        assert [after for _, _, after in env.model("good", joint)] == ["good"]
    assert [after for _, _, after in env.model("good", (1, 1))] == ["absorbing"]
    for joint in np.ndindex(2, 2):
        assert env.model("absorbing", joint) == [(1.0, 0.0, "absorbing")]


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_the_good_state_is_worth_one_over_one_minus_gamma(gamma):
    env = mmdp_v0.parallel_env()
    q = optimal_q(env, gamma, Team.from_env(env))
    best = 1 / (1 - gamma)
    np.testing.assert_allclose(q["good"], [[best, gamma * best], [gamma * best, 0]], rtol=1e-6)
    np.testing.assert_allclose(q["absorbing"], np.zeros((2, 2)))


def test_a_sum_of_utilities_diverges_above_four_fifths():
    """The recursion of the docs, by least squares on the targets: V <- .75 + 1.25 g V."""
    env = mmdp_v0.parallel_env()

    def sweep(value, gamma):
        after = {"good": value, "absorbing": 0.0}
        targets = np.array(
            [
                [
                    sum(p * (r + gamma * after[s]) for p, r, s in env.model("good", (i, j)))
                    for j in range(2)
                ]
                for i in range(2)
            ]
        )
        rows, columns = targets.mean(1), targets.mean(0)
        return (rows[:, None] + columns - targets.mean()).max()

    values = {0.5: 0.0, 0.7: 0.0, 0.99: 0.0}
    for _ in range(200):
        values = {gamma: sweep(value, gamma) for gamma, value in values.items()}
    assert values[0.5] == pytest.approx(2.0)
    assert values[0.7] == pytest.approx(6.0, rel=1e-6)
    assert values[0.99] > 1e15
    assert sweep(4.0, 0.9) == pytest.approx(0.75 + 1.25 * 0.9 * 4.0)


def test_an_episode_is_cut_off_and_pays_100_at_most():
    env = mmdp_v0.parallel_env()
    env.reset()
    total = 0.0
    while env.agents:
        observations, rewards, terminations, truncations, _ = env.step({"agent_0": 0, "agent_1": 0})
        total += rewards["agent_0"]
    assert total == 100.0
    assert set(truncations.values()) == {True} and set(terminations.values()) == {False}
    assert observations["agent_1"].tolist() == [1, 0]


def test_nothing_leads_back():
    env = mmdp_v0.parallel_env(max_cycles=4)
    env.reset()
    env.step({"agent_0": 1, "agent_1": 1})
    while env.agents:
        observations, rewards, *_ = env.step({"agent_0": 0, "agent_1": 0})
        assert rewards == {"agent_0": 0.0, "agent_1": 0.0}
        assert observations["agent_0"].tolist() == [0, 1]
        assert env.state().tolist() == [0, 1]
