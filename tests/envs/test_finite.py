"""The base of finite games, on a game with masks, chance, a clock and unlike agents."""

import pickle

import numpy as np
import pytest
from gymnasium.utils import EzPickle
from pettingzoo.test import api_test, parallel_api_test
from pettingzoo.utils.conversions import parallel_to_aec

from vdtoolkit.envs._finite import FiniteGame, aec, one_hot, unit_box

from .whole_episode import assert_chance_matters, assert_seeds_decide


class Doors(FiniteGame):
    """Two rooms.  In "hall" all may move; in "cell" agent_0 has only action 1, agent_1 not 0.

    Hall: the sum of the actions is paid; play goes on in the cell with probability 1/4, else in
    the hall.  Cell: agent_1's 2 pays 10 and ends, its 1 pays 1 and leads to the hall.
    """

    metadata = {**FiniteGame.metadata, "name": "doors_v0"}  # noqa: RUF012
    title = "doors"
    ROOMS = ("hall", "cell")

    def __init__(self, max_cycles=5, illegal_action="replace", render_mode=None):
        EzPickle.__init__(self, max_cycles, illegal_action, render_mode)
        FiniteGame.__init__(
            self,
            (2, 3),
            [unit_box(2), unit_box(3)],
            unit_box(2),
            max_cycles=max_cycles,
            illegal_action=illegal_action,
            render_mode=render_mode,
        )

    def initial_states(self):
        return [(0.5, "hall"), (0.5, "cell")]

    def model(self, state, joint_action):
        if state == "hall":
            pay = float(sum(joint_action))
            return [(0.25, pay, "cell"), (0.75, pay, "hall")]
        assert joint_action in [(1, 1), (1, 2)], "the model was asked for a masked action"
        return [(1.0, 10.0, None)] if joint_action[1] == 2 else [(1.0, 1.0, "hall")]

    def available(self, state):
        if state == "hall":
            return super().available(state)
        return [np.array([False, True]), np.array([False, True, True])]

    def observations(self, state):
        return [self.global_state(state), one_hot(self.ROOMS.index(state), 3)]

    def global_state(self, state):
        return one_hot(self.ROOMS.index(state), 2)


def in_the_cell(**kwargs):
    env = Doors(**kwargs)
    for seed in range(20):
        env.reset(seed=seed)
        if env.state()[1] == 1:
            return env
    raise AssertionError("no start in the cell")


@pytest.mark.filterwarnings("ignore:Observations are different shapes:UserWarning")
@pytest.mark.filterwarnings("ignore:Agents have different observation space sizes:UserWarning")
def test_a_masked_game_of_unlike_agents_passes_pettingzoos_tests():
    parallel_api_test(Doors(), num_cycles=80)
    api_test(parallel_to_aec(Doors()), num_cycles=80)
    api_test(parallel_to_aec(Doors(illegal_action="raise")), num_cycles=80)


def test_a_masked_game_obeys_its_seed():
    assert_seeds_decide(Doors, episodes=8)
    assert_chance_matters(Doors)


def test_masks_are_told_as_int8_in_infos():
    env = in_the_cell()
    _, infos, _ = env.view("cell")
    assert infos["agent_0"]["action_mask"].tolist() == [0, 1]
    assert infos["agent_1"]["action_mask"].tolist() == [0, 1, 1]
    assert infos["agent_1"]["action_mask"].dtype == np.int8
    *_, infos = env.step({"agent_0": 1, "agent_1": 1})
    assert infos["agent_1"].keys() == {"action_mask"}
    assert infos["agent_1"]["action_mask"].tolist() == [1, 1, 1]


def test_an_illegal_action_is_replaced_by_the_first_available_and_noted():
    env = in_the_cell()
    _, rewards, terminations, _, infos = env.step({"agent_0": 0, "agent_1": 0})
    assert rewards == {"agent_0": 1.0, "agent_1": 1.0}  # (1, 1) was played
    assert not any(terminations.values())
    assert infos["agent_0"]["illegal_action"] == 0
    assert infos["agent_1"]["illegal_action"] == 0
    env = in_the_cell()
    *_, infos = env.step({"agent_0": 0, "agent_1": 2})
    assert "illegal_action" in infos["agent_0"]
    assert "illegal_action" not in infos["agent_1"]


def test_an_illegal_action_can_be_refused():
    env = in_the_cell(illegal_action="raise")
    with pytest.raises(
        ValueError,
        match=r"agent 'agent_1' played 0, which is masked out in state cell: available are "
        r"\[1, 2\] \(illegal_action=\"replace\" plays the first of them\)",
    ):
        env.step({"agent_0": 1, "agent_1": 0})
    _, rewards, *_ = env.step({"agent_0": 1, "agent_1": 2})  # nothing had happened
    assert rewards["agent_0"] == 10.0


def test_states_are_found_by_walking_the_model():
    assert Doors().states() == ["hall", "cell"]
    assert list(Doors().joint_actions("cell")) == [(1, 1), (1, 2)]
    assert len(list(Doors().joint_actions("hall"))) == 6


def test_rewards_are_nan_where_an_action_is_masked():
    np.testing.assert_array_equal(Doors().rewards("hall"), [[0, 1, 2], [1, 2, 3]])
    nan = np.nan
    np.testing.assert_array_equal(Doors().rewards("cell"), [[nan, nan, nan], [nan, 1, 10]])


def test_time_truncates_and_shows_the_state_reached_and_the_end_terminates():
    env = in_the_cell(max_cycles=2)
    observations, _, terminations, truncations, _ = env.step({"agent_0": 1, "agent_1": 1})
    assert not any([*terminations.values(), *truncations.values()])
    assert observations["agent_1"].tolist() == [1, 0, 0]  # the hall
    *_, terminations, truncations, _ = env.step({"agent_0": 1, "agent_1": 1})
    assert env.agents == []
    assert set(truncations.values()) == {True}
    assert set(terminations.values()) == {False}

    env = in_the_cell(max_cycles=1)  # the end and the limit at once: a true end
    observations, _, terminations, truncations, _ = env.step({"agent_0": 1, "agent_1": 2})
    assert set(terminations.values()) == {True}
    assert set(truncations.values()) == {False}
    assert env.state().tolist() == [0, 1]  # the state of the last move


def test_the_clock_starts_again_with_every_episode():
    env = Doors(max_cycles=3)
    for episode in range(30):
        env.reset(seed=episode)
        rooms = []
        while env.agents:
            rooms.append(env.state()[0])
            _, _, terminations, _, _ = env.step({"agent_0": 1, "agent_1": 2})
        assert len(rooms) == 3 or terminations["agent_0"]
    assert env.time_limit == 3
    assert Doors(max_cycles=None).time_limit is None


def test_calls_out_of_order_are_clear_errors():
    env = Doors()
    with pytest.raises(RuntimeError, match=r"step\(\) before reset\(\): call reset\(\) to start"):
        env.step({"agent_0": 0, "agent_1": 0})
    with pytest.raises(RuntimeError, match=r"state\(\) before reset\(\)"):
        env.state()
    env = in_the_cell(render_mode="ansi")
    env.step({"agent_0": 1, "agent_1": 2})
    with pytest.raises(RuntimeError, match=r"step\(\) after the end of the episode: call reset"):
        env.step({"agent_0": 1, "agent_1": 2})
    with pytest.raises(RuntimeError, match=r"render\(\) before reset\(\)"):
        Doors(render_mode="ansi").render()


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ({"agent_0": 0}, r"for each of \['agent_0', 'agent_1'\]: missing \['agent_1'\], unknown"),
        (
            {"agent_0": 0, "agent_1": 0, "walker_2": 0},
            r"missing \[\], unknown \['walker_2'\]",
        ),
        ({"agent_0": 2, "agent_1": 0}, "'agent_0' played 2: its actions are the ints 0 to 1"),
        ({"agent_0": 0, "agent_1": -1}, "'agent_1' played -1: its actions are the ints 0 to 2"),
        ({"agent_0": 0, "agent_1": 1.0}, "'agent_1' played 1.0: its actions are the ints 0 to 2"),
        ({"agent_0": None, "agent_1": 0}, "'agent_0' played None"),
    ],
)
def test_actions_that_cannot_be_played_are_clear_errors(actions, text):
    env = Doors()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=text):
        env.step(actions)


def test_numpy_integers_are_actions():
    env = Doors()
    env.reset(seed=0)
    env.step({"agent_0": np.int64(1), "agent_1": np.array(2)})


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"max_cycles": 0}, "max_cycles=0: an episode has at least one move"),
        ({"illegal_action": "noop"}, "illegal_action='noop': choose 'replace' or 'raise'"),
        ({"render_mode": "rgb"}, r"render_mode='rgb': choose None or one of \['human', 'ansi', "),
    ],
)
def test_wrong_arguments_are_clear_errors(kwargs, text):
    with pytest.raises(ValueError, match=text):
        Doors(**kwargs)


def test_every_outcome_is_drawn_as_often_as_it_should_be():
    env = Doors()
    env.reset(seed=0)
    drawn = np.bincount([env._draw([0.0, 0.2, 0.0, 0.8]) for _ in range(4000)], minlength=4)
    assert drawn[0] == drawn[2] == 0
    assert abs(drawn[1] - 800) < 5 * np.sqrt(4000 * 0.2 * 0.8)
    before = env.np_random.bit_generator.state
    assert env._draw([1.0]) == 0
    assert env.np_random.bit_generator.state == before  # no chance, no draw


def test_unseeded_environments_differ_and_an_unseeded_reset_goes_on():
    assert Doors().np_random.random() != Doors().np_random.random()
    env = Doors()
    env.reset(seed=4)
    starts = [env.reset()[0]["agent_0"][0] for _ in range(40)]
    assert {0.0, 1.0} == set(starts)  # reset() without a seed does not start over


def test_arguments_survive_a_pickle():
    twin = pickle.loads(pickle.dumps(Doors(7, "raise", "ansi")))
    assert (twin.max_cycles, twin.illegal_action, twin.render_mode) == (7, "raise", "ansi")


def test_human_rendering_prints_after_every_move_and_ansi_returns(capsys):
    env = in_the_cell(render_mode="human")
    assert capsys.readouterr().out == ""
    env.step({"agent_0": 1, "agent_1": 1})
    printed = capsys.readouterr().out
    assert env.render() is None
    assert capsys.readouterr().out == printed
    env.render_mode = "ansi"
    assert env.render() + "\n" == printed
    assert "move 1: (1, 1) gave 1, then hall" in printed
    assert printed.startswith("doors: cell\n")


def test_rendering_without_a_mode_warns():
    env = Doors()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match=r"render\(\) without a render_mode"):
        assert env.render() is None


def test_the_caption_tells_how_the_episode_ended():
    env = in_the_cell(render_mode="ansi", max_cycles=1)
    assert env.render().endswith("\nstart of the episode")
    env.step({"agent_0": 1, "agent_1": 1})
    assert env.render().endswith("move 1: (1, 1) gave 1, then hall, time is up")
    env = in_the_cell(render_mode="ansi")
    env.step({"agent_0": 1, "agent_1": 2})
    assert env.render().endswith("move 1: (1, 2) gave 10, end of the episode")
    env.reset()
    assert env.render().endswith("\nstart of the episode")


def test_the_aec_constructor_takes_positional_arguments():
    assert aec(Doors)(9, illegal_action="raise").unwrapped.max_cycles == 9


def test_a_game_must_say_what_it_is():
    bare = FiniteGame((2,), [unit_box(1)], unit_box(1))
    for call in (bare.initial_states, bare.states):
        with pytest.raises(NotImplementedError):
            call()
    for call in (bare.observations, bare.global_state):
        with pytest.raises(NotImplementedError):
            call("state")
    with pytest.raises(NotImplementedError):
        bare.model("state", (0,))
