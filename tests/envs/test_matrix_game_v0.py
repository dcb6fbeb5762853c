import numpy as np
import pytest

from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.envs.matrix_game_v0 import parallel_env


def actions(*joint):
    return {f"agent_{i}": action for i, action in enumerate(joint)}


def test_the_default_is_qtrans_game_played_once():
    env = parallel_env()
    np.testing.assert_array_equal(env.rewards("start"), [[8, -12, -12], [-12, 0, 0], [-12, 0, 0]])
    assert env.title == "QTRAN's non-monotonic game"
    assert env.states() == ["start"]
    assert env.one_shot
    assert env.model("start", (0, 2)) == [(1.0, -12.0, None)]
    observations, infos = env.reset(seed=0)
    assert observations["agent_1"].tolist() == [1.0]
    assert observations["agent_1"].dtype == np.float32
    assert infos["agent_1"]["action_mask"].tolist() == [1, 1, 1]
    _, rewards, terminations, truncations, _ = env.step(actions(0, 2))
    assert rewards == {"agent_0": -12.0, "agent_1": -12.0}
    assert terminations == {"agent_0": True, "agent_1": True}
    assert truncations == {"agent_0": False, "agent_1": False}
    assert env.agents == []


def test_rows_are_the_first_agents_actions():
    env = parallel_env([[1, 2, 3], [4, 5, 6]])
    assert [env.action_space(a).n for a in env.possible_agents] == [2, 3]
    assert env.model("start", (1, 0)) == [(1.0, 4.0, None)]
    env.reset()
    assert env.step(actions(0, 2))[1]["agent_0"] == 3.0
    assert env.title == "matrix game 2x3"


def test_any_number_of_agents_with_unlike_action_counts():
    table = np.random.default_rng(0).normal(size=(2, 3, 1, 4))
    env = parallel_env(table)
    assert env.possible_agents == ["agent_0", "agent_1", "agent_2", "agent_3"]
    np.testing.assert_array_equal(env.rewards("start"), table)
    env.reset()
    assert env.step(actions(1, 2, 0, 3))[1]["agent_2"] == table[1, 2, 0, 3]
    env = parallel_env([3.0, 1.0])
    env.reset()
    assert env.step(actions(0))[1] == {"agent_0": 3.0}


def test_a_repeated_game_is_cut_off_and_never_terminates():
    env = parallel_env("climbing", max_cycles=25)
    assert not env.one_shot
    assert env.time_limit == 25
    assert env.states() == ["start"]
    assert env.model("start", (0, 0)) == [(1.0, 11.0, "start")]
    env.reset()
    ends = []
    while env.agents:
        _, rewards, terminations, truncations, _ = env.step(actions(1, 2))
        assert rewards["agent_0"] == 6.0
        assert not terminations["agent_0"]
        ends.append(truncations["agent_0"])
    assert ends == [False] * 24 + [True]


def test_the_last_joint_action_can_be_observed():
    env = parallel_env([[1, 2, 3], [4, 5, 6]], max_cycles=2, observation="last")
    assert env.states() == ["start", (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert env.model((0, 1), (1, 2)) == [(1.0, 6.0, (1, 2))]
    assert str(env.states()[6]) == "(1, 2)"
    observations, _ = env.reset()
    assert observations["agent_0"].tolist() == env.state().tolist() == [0, 0, 0, 0, 0]
    observations, *_ = env.step(actions(1, 2))
    assert observations["agent_1"].tolist() == env.state().tolist() == [0, 1, 0, 0, 1]
    observations, _, _, truncations, _ = env.step(actions(0, 1))
    assert truncations["agent_0"]
    assert observations["agent_0"].tolist() == [1, 0, 0, 1, 0]  # what a learner bootstraps from
    assert parallel_env("xor", observation="last").states() == ["start"]


def test_outcomes_are_drawn_jointly_or_per_joint_action():
    outcomes = [[[10, 12], [5, -65]], [[5, -65], [14, 0]]]
    env = parallel_env(outcomes, probabilities=[0.5, 0.5])
    assert [env.action_space(a).n for a in env.possible_agents] == [2, 2]
    assert env.rewards("start").tolist() == [[11, -30], [-30, 7]]
    assert env.model("start", (1, 1)) == [(0.5, 14.0, None), (0.5, 0.0, None)]
    odds = np.full((2, 2, 2), 0.5)
    odds[1, 1] = [1, 0]
    env = parallel_env(outcomes, probabilities=odds)
    assert env.model("start", (1, 1)) == [(1.0, 14.0, None)]  # the impossible is left out
    assert env.rewards("start").tolist() == [[11, -30], [-30, 14]]


def test_stochastic_climbing_pays_one_of_its_two_rewards():
    env = parallel_env("climbing_stochastic", max_cycles=200)
    env.reset(seed=0)
    paid = [env.step(actions(0, 0))[1]["agent_0"] for _ in range(200)]
    assert set(paid) == {10.0, 12.0}
    assert abs(np.mean(paid) - 11) < 5 / np.sqrt(200)


def test_named_games_take_their_arguments():
    assert parallel_env("nonmonotonic", agents=3, actions=4).rewards("start").shape == (4, 4, 4)
    assert parallel_env("penalty", k=-7).rewards("start")[0, 2] == -7
    np.testing.assert_array_equal(
        parallel_env("random", seed=3).rewards("start"), matrix_game_v0.payoff("random", seed=3)
    )
    assert matrix_game_v0.env("xor", max_cycles=3).unwrapped.time_limit == 3


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "text"),
    [
        (["xor"], {"observation": "all"}, ValueError, "observation='all': choose 'constant' or "),
        (["xor"], {"max_cycles": 0}, ValueError, "max_cycles=0: an episode has at least one move"),
        (["xor"], {"probabilities": [1.0]}, TypeError, "game 'xor' has its own probabilities"),
        ([[[1, 2]]], {"agents": 3}, TypeError, r"\['agents'\] are no arguments of a game given by"),
        ([[[1, 2], [3]]], {}, ValueError, "payoff is not an array of numbers"),
        (["xxor"], {}, ValueError, "no game is called 'xxor': did you mean 'xor'"),
    ],
)
def test_wrong_arguments_are_clear_errors(args, kwargs, error, text):
    with pytest.raises(error, match=text):
        parallel_env(*args, **kwargs)


def test_the_users_payoff_is_neither_kept_nor_changed():
    table = np.eye(3)
    env = parallel_env(table)
    table[0, 0] = 50.0
    assert env.rewards("start")[0, 0] == 1.0


def test_the_text_shows_the_payoff_and_the_move():
    env = parallel_env(render_mode="ansi")
    env.reset()
    env.step(actions(0, 1))
    assert env.render().split("\n") == [
        "QTRAN's non-monotonic game: start",
        "rows agent_0, columns agent_1",
        "        0     1     2",
        "   0    8  [-12]  -12",
        "   1  -12     0     0",
        "   2  -12     0     0",
        "move 1: (0, 1) gave -12, end of the episode",
    ]


def test_all_names_are_exported():
    assert matrix_game_v0.__all__ == [
        "GAMES",
        "env",
        "game",
        "parallel_env",
        "payoff",
        "raw_env",
    ]
    for name in matrix_game_v0.GAMES:
        assert f"`{name}`" in matrix_game_v0.__doc__ or name.startswith("penalty-")
        assert parallel_env(name).title
