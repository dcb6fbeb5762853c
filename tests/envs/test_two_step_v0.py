import itertools

import numpy as np
import pytest

from vdtoolkit.envs import two_step_v0


def played(*moves):
    """(return, states shown) of an episode of two_step_v0."""
    env = two_step_v0.parallel_env()
    env.reset()
    total, shown = 0.0, [env.state().tolist()]
    for u0, u1 in moves:
        _, rewards, terminations, truncations, _ = env.step({"agent_0": u0, "agent_1": u1})
        assert rewards["agent_0"] == rewards["agent_1"]
        total += rewards["agent_0"]
        shown.append(env.state().tolist())
    assert terminations == {"agent_0": True, "agent_1": True}
    assert truncations == {"agent_0": False, "agent_1": False}
    return total, shown


def test_the_states_and_their_payoffs():
    env = two_step_v0.parallel_env()
    assert env.states() == ["1", "2A", "2B"]
    assert env.initial_states() == [(1.0, "1")]
    np.testing.assert_array_equal(env.rewards("1"), np.zeros((2, 2)))
    np.testing.assert_array_equal(env.rewards("2A"), np.full((2, 2), 7.0))
    np.testing.assert_array_equal(env.rewards("2B"), [[0, 1], [1, 8]])
    assert not env.one_shot
    assert env.time_limit is None


def test_the_first_agent_alone_chooses_what_comes_next():
    env = two_step_v0.parallel_env()
    for u0, u1 in itertools.product(range(2), repeat=2):
        assert env.model("1", (u0, u1)) == [(1.0, 0.0, "2B" if u0 else "2A")]


@pytest.mark.parametrize(
    ("moves", "total", "second"),
    [
        ([(0, 1), (1, 0)], 7.0, [0, 1, 0]),
        ([(1, 0), (0, 0)], 0.0, [0, 0, 1]),
        ([(1, 0), (0, 1)], 1.0, [0, 0, 1]),
        ([(1, 1), (1, 1)], 8.0, [0, 0, 1]),
    ],
)
def test_two_moves_are_an_episode(moves, total, second):
    assert played(*moves) == (total, [[1, 0, 0], second, second])


def test_both_agents_see_the_state():
    env = two_step_v0.parallel_env()
    observations, _ = env.reset()
    for agent in env.possible_agents:
        assert observations[agent].tolist() == [1, 0, 0]
        assert observations[agent].dtype == np.float32
    observations, *_ = env.step({"agent_0": 1, "agent_1": 0})
    assert {tuple(o.tolist()) for o in observations.values()} == {(0, 0, 1)}


@pytest.mark.parametrize("gamma", [1.0, 0.99])
def test_the_optimum_is_8_and_a_sum_of_utilities_settles_for_7(gamma):
    env = two_step_v0.parallel_env()
    best = {s: env.rewards(s).max() for s in ("2A", "2B")}
    assert gamma * best["2B"] == pytest.approx(8 * gamma)
    table = env.rewards("2B")
    fit = table.mean(0, keepdims=True) + table.mean(1, keepdims=True) - table.mean()
    np.testing.assert_allclose(fit, [[-1.5, 2.5], [2.5, 6.5]])  # VDN's 2B
    assert fit.max() < best["2A"] < best["2B"]


def test_the_text_shows_the_state_of_the_last_move():
    env = two_step_v0.parallel_env(render_mode="ansi")
    env.reset()
    env.step({"agent_0": 1, "agent_1": 0})
    assert env.render().startswith("QMIX's two-step game: 1\n")
    assert env.render().endswith("move 1: (1, 0) gave 0, then 2B")
    env.step({"agent_0": 1, "agent_1": 1})
    assert env.render().startswith("QMIX's two-step game: 2B\n")
    assert "[8]" in env.render()
