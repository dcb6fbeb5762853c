"""`TeamEpisode`: the bookkeeping of one episode: who lives, who is paid, how it ends."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from teams import NoState, Relay, plain_team, says, told

from vdtoolkit.episode import TeamEpisode
from vdtoolkit.step import Step
from vdtoolkit.team import Team


def seen(names, value=1.0):
    return {a: np.full(2, value, np.float32) for a in names}


def started(names="abcd", **kwargs):
    """An episode of the plain team in which these agents are there at first."""
    episode = TeamEpisode(plain_team(**kwargs))
    episode.start(seen(names), None, None)
    return episode


def advance(episode, names, *, value=1.0, out="", cut="", rewards=None, infos=None):
    """What step() says of these agents; out and cut: who terminated, who was truncated."""
    return episode.advance(
        seen(names, value),
        told(names, 0.0) if rewards is None else rewards,
        {a: a in out for a in names},
        {a: a in cut for a in names},
        infos,
        None,
    )


def the(array):
    """The one row of an E = 1 array, as lists."""
    assert len(array) == 1
    return array[0].tolist()


def play(env, seed=0):
    """The steps of an episode, and beside them what the env returned."""
    episode, rng = TeamEpisode(Team.from_env(env)), np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed)
    state = env.state() if episode.team.has_state else None
    steps, said = [episode.start(observations, infos, state)], [None]
    while env.agents:
        assert episode.acting == env.agents
        weights = rng.random(steps[-1].available[0].shape) * steps[-1].available[0]
        said.append(env.step(episode.team.decode(weights.argmax(-1), episode.acting)))
        state = env.state() if episode.team.has_state else None
        steps.append(episode.advance(*said[-1], state))
    return steps, said


# -- the first moment -----------------------------------------------------------------------


def test_the_first_moment_has_no_reward_and_all_who_are_observed_are_alive():
    step = TeamEpisode(plain_team()).start(seen("acd", 2.0), None, None)
    assert the(step.obs) == [[2, 2], [0, 0], [2, 2], [2, 2]]
    assert the(step.state) == [2, 2, 0, 0, 2, 2, 2, 2]
    assert the(step.alive) == [True, False, True, True]
    assert the(step.available) == [[True] * 5, [True] + [False] * 4, [True] * 5, [True] * 5]
    assert the(step.reward) == 0
    assert the(step.first)
    assert not the(step.terminated)
    assert not the(step.truncated)
    assert not the(step.lost)
    assert step.n_envs == 1


def test_a_step_has_the_shapes_and_dtypes_it_promises():
    steps, _ = play(Relay())
    N, A, O, S = 3, 5, 4, 7
    for step in steps:
        assert step.obs.shape == (1, N, O)
        assert step.state.shape == (1, S)
        assert step.available.shape == (1, N, A)
        assert step.alive.shape == (1, N)
        for name in ("reward", "first", "terminated", "truncated", "lost"):
            assert getattr(step, name).shape == (1,)
        for name in ("available", "alive", "first", "terminated", "truncated", "lost"):
            assert getattr(step, name).dtype == bool
        for name in ("obs", "state", "reward"):
            assert getattr(step, name).dtype == np.float32
        assert step.available.any(-1).all()


def test_a_second_episode_starts_anew():
    episode = started()
    advance(episode, "abcd", out="ab")
    step = episode.start(seen("abcd"), None, None)
    assert episode.moves == 0
    assert the(step.alive) == [True] * 4
    assert the(advance(episode, "abcd").alive) == [True] * 4


# -- who lives ------------------------------------------------------------------------------


def test_an_agent_that_terminated_is_dead_and_observes_zeros():
    episode = started()
    step = advance(episode, "abcd", value=3.0, out="b")
    assert the(step.alive) == [True, False, True, True]
    assert the(step.obs) == [[3, 3], [0, 0], [3, 3], [3, 3]]
    assert the(step.available)[1] == [True, False, False, False, False]
    assert not the(step.last)
    assert episode.acting == ["a", "c", "d"]


def test_an_agent_that_was_truncated_before_the_end_has_left_too():
    episode = started()
    assert the(advance(episode, "abcd", cut="c").alive) == [True, True, False, True]
    assert the(advance(episode, "abd").alive) == [True, True, False, True]


def test_an_agent_that_is_no_longer_told_of_has_left():
    episode = started()
    step = advance(episode, "bcd")
    assert the(step.alive) == [False, True, True, True]
    assert episode.acting == ["b", "c", "d"]


def test_the_dead_may_be_reported_on_as_terminated():
    episode = started()
    advance(episode, "abcd", out="a")
    for _ in range(2):
        assert the(advance(episode, "abcd", out="a").alive) == [False, True, True, True]
        assert episode.acting == ["b", "c", "d"]


def test_late_comers_are_alive_from_the_moment_they_are_observed():
    episode = started("bd")
    assert the(advance(episode, "bd").alive) == [False, True, False, True]
    assert the(advance(episode, "abd").alive) == [True, True, False, True]
    assert episode.acting == ["a", "b", "d"]


def test_an_agent_that_is_there_only_in_the_middle_acts_only_then():
    episode, acting = started("ab"), []
    for names, ends in (("ab", {}), ("abc", {}), ("abc", {}), ("abc", {"cut": "c"}), ("ab", {})):
        step = advance(episode, names, **ends)
        acting.append("".join(episode.acting))
        assert the(step.alive) == [True, True, "c" in acting[-1], False]
        assert not the(step.last)
    assert acting == ["ab", "abc", "abc", "ab", "ab"]
    assert the(advance(episode, "ab", out="ab").terminated)


def test_infos_tell_of_the_dead_who_stay_listed_and_act():
    episode = TeamEpisode(plain_team())
    dead = {"c": {"alive": False, "action_mask": [1, 0, 0, 0, 0]}}
    step = episode.start(seen("abcd"), dead, None)
    assert the(step.alive) == [True, True, False, True]
    step = advance(episode, "abcd", infos=dead)
    assert the(step.alive) == [True, True, False, True]
    assert the(step.available)[2] == [True, False, False, False, False]
    assert episode.acting == ["a", "b", "c", "d"]


def test_who_is_out_for_a_while_by_its_info_comes_back():
    episode = started()
    assert the(advance(episode, "abcd", infos={"a": {"alive": False}}).alive)[0] is False
    assert the(advance(episode, "abcd", infos={"a": {"alive": True}}).alive)[0] is True


def test_a_living_agent_that_plays_action_0_is_alive():
    episode = started()
    only_first = told("abcd", {"action_mask": [1, 0, 0, 0, 0]})
    assert the(advance(episode, "abcd", infos=only_first).alive) == [True] * 4


# -- reward ---------------------------------------------------------------------------------


def test_the_reward_is_the_mean_so_that_a_shared_one_stays_itself():
    assert the(advance(started(), "abcd", rewards=told("abcd", 7.0)).reward) == 7
    unlike = dict(zip("abcd", (1.0, 2.0, 3.0, 6.0), strict=True))
    assert the(advance(started(), "abcd", rewards=unlike).reward) == 3


def test_the_mean_is_over_those_that_took_part_in_the_move():
    episode = started("abc")
    unlike = {"a": 1.0, "b": 2.0, "c": 6.0, "d": 100.0}  # d comes only now
    assert the(advance(episode, "abcd", out="a", rewards=unlike).reward) == 3
    # a is dead: what is said of it counts no more
    assert (
        the(advance(episode, "abcd", out="a", rewards=told("abcd", 4.0) | {"a": 0.0}).reward) == 4
    )


def test_who_dies_in_a_move_is_paid_for_it():
    episode = started("ab")
    assert the(advance(episode, "ab", out="b", rewards={"a": 2.0, "b": 4.0}).reward) == 3


def test_the_sum_of_rewards_is_the_other_way():
    unlike = dict(zip("abcd", (1.0, 2.0, 3.0, 6.0), strict=True))
    assert the(advance(started(reward="sum"), "abcd", rewards=unlike).reward) == 12


def test_a_late_comers_reward_may_be_missing():
    rewards = {"a": 1.0, "b": 3.0}
    assert the(advance(started("ab"), "abc", rewards=rewards).reward) == 2
    assert the(advance(started("ab", reward="sum"), "abc", rewards=rewards).reward) == 4


# -- the end --------------------------------------------------------------------------------


def test_the_last_reward_and_observation_are_kept_although_nobody_is_left():
    """EPyMARL's wrapper walks env.agents after the step and loses both."""
    step = advance(started(), "abcd", value=5.0, out="abcd", rewards=told("abcd", 8.0))
    assert the(step.reward) == 8
    assert the(step.obs) == [[5, 5]] * 4
    assert the(step.state) == [5] * 8
    assert the(step.terminated)
    assert not the(step.truncated)
    assert the(step.alive) == [False] * 4


def test_a_truncated_team_lives_on_in_its_last_moment_to_bootstrap_from():
    mask = {"b": {"action_mask": [0, 1, 0, 1, 0]}}
    step = advance(started(), "abcd", value=5.0, cut="abcd", infos=mask)
    assert the(step.truncated)
    assert not the(step.terminated)
    assert the(step.last)
    assert the(step.obs) == [[5, 5]] * 4
    assert the(step.alive) == [True] * 4
    assert the(step.available)[1] == [False, True, False, True, False]


def test_both_flags_at_once_are_a_truncation():
    step = advance(started(), "abcd", out="abcd", cut="abcd")
    assert the(step.truncated)
    assert not the(step.terminated)


def test_the_team_is_truncated_if_anybody_is_at_the_end_and_the_terminated_are_dead():
    step = advance(started(), "abcd", value=5.0, out="ad", cut="bc")
    assert the(step.truncated)
    assert the(step.alive) == [False, True, True, False]
    assert the(step.obs) == [[0, 0], [5, 5], [5, 5], [0, 0]]


def test_a_truncation_before_the_end_does_not_make_the_end_one():
    episode = started()
    advance(episode, "abcd", cut="a")
    step = advance(episode, "bcd", out="bcd")
    assert the(step.terminated)
    assert not the(step.truncated)


def test_one_death_does_not_end_the_team():
    """BenchMARL's QMIX takes `terminated.any()` over agents: it stops bootstrapping there."""
    assert not the(advance(started(), "abcd", out="abc").last)


def test_those_who_left_are_told_apart_from_those_who_were_truncated_at_the_end():
    episode = started()
    advance(episode, "abcd", out="a")
    assert the(advance(episode, "bcd", cut="bcd").alive) == [False, True, True, True]


def test_the_infos_word_on_death_holds_at_a_truncated_end():
    step = advance(started(), "abcd", cut="abcd", infos={"d": {"alive": False}})
    assert the(step.alive) == [True, True, True, False]


def test_masks_of_zeros_at_the_end_are_harmless():
    nothing = told("abcd", {"action_mask": [0] * 5})
    for ends in ({"out": "abcd"}, {"cut": "abcd"}):
        step = advance(started(), "abcd", infos=nothing, **ends)
        assert the(step.available) == [[True] * 5] * 4


def test_an_unlike_agents_mask_of_zeros_at_the_end_becomes_its_own_actions():
    box = Box(-9, 9, (2,), np.float32)
    team = Team({"a": box, "b": box}, {"a": Discrete(2), "b": Discrete(3)})
    episode = TeamEpisode(team)
    episode.start(seen("ab"), None, None)
    step = advance(episode, "ab", cut="ab", infos={"a": {"action_mask": [0, 0]}})
    assert the(step.available) == [[True, True, False], [True, True, True]]


def test_a_broken_environment_marks_the_episode_lost():
    assert not the(advance(started(), "abcd", out="abcd", infos=told("abcd", {})).lost)
    step = advance(started(), "abcd", out="abcd", infos={"c": {"lost_game": True}})
    assert the(step.lost)


def test_a_lost_game_is_heard_from_whoever_tells_it():
    episode = started()
    advance(episode, "abcd", out="a")
    step = advance(episode, "abcd", out="a", cut="bcd", infos={"a": {"lost_game": True}})
    assert the(step.truncated)
    assert the(step.lost)


def test_a_broken_environment_need_not_give_a_last_observation():
    yes = told("abcd", True)
    lost = told("abcd", {"lost_game": True})
    step = started().advance({}, {}, told("abcd", False), yes, lost, None)
    assert the(step.lost)
    assert the(step.last)
    assert not step.obs.any()


# -- a whole episode of an env ---------------------------------------------------------------


@pytest.mark.parametrize("masks", ["infos", "observations"])
@pytest.mark.parametrize("end", ["terminated", "truncated", "mixed"])
def test_death_late_comers_and_masks_of_a_real_env_arrive_in_the_steps(masks, end):
    steps, said = play(Relay(masks=masks, end=end), seed=3)
    moves = len(steps) - 1
    at_end = {"terminated": "", "truncated": "bob cyd", "mixed": "bob"}[end]
    alive = ["ann bob", "ann bob cyd"] + ["bob cyd"] * (moves - 2) + [at_end]
    agents = ("ann", "bob", "cyd")
    for t, step in enumerate(steps):
        assert the(step.first) == (t == 0)
        assert the(step.terminated) == (t == moves and end == "terminated")
        assert the(step.truncated) == (t == moves and end != "terminated")
        assert the(step.alive) == [a in alive[t] for a in agents]
        assert the(step.available)[1] == [u != t % 5 for u in range(5)]
        assert the(step.obs)[1][0] == t
        if t > 0:
            paid = [said[t][1][a] for a in alive[t - 1].split()]
            assert the(step.reward) == np.float32(np.mean(paid))


def test_an_env_without_a_state_gives_the_joint_observation():
    for step in play(NoState())[0]:
        assert np.array_equal(step.state, step.obs.reshape(1, -1))


def test_a_step_does_not_change_with_the_users_arrays():
    episode = TeamEpisode(Team.from_env(Relay()))
    observations, infos = Relay().reset(seed=1)
    state = np.ones(7, np.float32)
    step = episode.start(observations, infos, state)
    before = [step.obs.copy(), step.available.copy()]
    observations["ann"][:], infos["bob"]["action_mask"][:], state[:] = 9, 0, 9
    assert np.array_equal(step.obs, before[0])
    assert np.array_equal(step.available, before[1])
    assert step.state.tolist() == [[1] * 7]


def test_some_rows_of_a_step_are_the_same_moment_of_fewer_episodes():
    E = 3
    parts = [TeamEpisode(plain_team()).start(seen("abcd", e), None, None) for e in range(E)]
    names = [k for k in vars(parts[0]) if k != "won"]
    both = Step(**{k: np.concatenate([getattr(p, k) for p in parts]) for k in names})
    assert both.n_envs == E
    assert both.rows(np.array([2, 0])).obs[:, 0, 0].tolist() == [2, 0]
    assert both.rows(np.array([False, True, False])).state.tolist() == [[1] * 8]


# -- refusals -------------------------------------------------------------------------------


def test_a_reset_without_observations_is_refused():
    with says(ValueError, "reset() returned no observations: the team has nobody to act"):
        TeamEpisode(plain_team()).start({}, {}, None)


def test_the_dead_do_not_come_back():
    text = (
        "agent 'b' had ended and is back at move 2: PettingZoo's agents cannot revive; report it "
        'alive throughout and give infos[agent]["alive"] = False while it is out'
    )
    died = started()
    advance(died, "abcd", out="b")
    with says(ValueError, text):
        advance(died, "abcd")
    left = started()
    advance(left, "acd")
    with says(ValueError, text):
        advance(left, "abcd")


def test_an_agent_that_is_to_act_needs_an_available_action():
    nothing = {"c": {"action_mask": [0] * 5}}
    with says(
        ValueError,
        "agent 'c': action_mask is all zeros at move 0: "
        "an agent that is to act needs one available action",
    ):
        TeamEpisode(plain_team()).start(seen("abcd"), nothing, None)
    episode = started()
    advance(episode, "abcd")
    with says(
        ValueError,
        "agent 'c': action_mask is all zeros at move 2: "
        "an agent that is to act needs one available action",
    ):
        advance(episode, "abcd", infos=nothing)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("reward", ["mean", "sum"])
def test_a_reward_that_is_not_finite_is_refused(bad, reward):
    with says(ValueError, f"agent 'd': reward is not finite: {bad}"):
        advance(started(reward=reward), "abcd", rewards={"a": 0.0, "d": bad})


@pytest.mark.parametrize("bad", [None, "much", np.array("much")])
def test_a_reward_that_is_no_number_is_refused(bad):
    with says(ValueError, f"agent 'd': reward is not a number: {bad!r}"):
        advance(started(), "abcd", rewards={"a": 0, "b": np.int8(1), "c": True, "d": bad})


@pytest.mark.parametrize("reward", ["mean", "sum"])
def test_a_vector_reward_is_refused_with_a_way_out(reward):
    with says(
        ValueError,
        "agent 'd': reward is a vector, [1. 2.]: a team learns from one number; wrap the env in "
        "one that weighs the parts, such as momaland's LinearizeReward",
    ):
        advance(started(reward=reward), "abcd", rewards={"a": 0.0, "d": np.array([1.0, 2.0])})


def test_who_is_reported_as_out_takes_no_part_in_the_mean():
    episode, pay = started(), {"a": 4.0, "b": 2.0, "c": 0.0, "d": 0.0}
    infos = {"c": {"alive": False}, "d": {"alive": False}}
    assert the(advance(episode, "abcd", rewards=pay, infos=infos).reward) == 1.5  # all took part
    assert the(advance(episode, "abcd", rewards=pay, infos=infos).reward) == 3.0
    assert the(advance(episode, "abcd", rewards=pay).reward) == 3.0
    assert the(advance(episode, "abcd", rewards=pay).reward) == 1.5  # back again


ALL = dict(zip("orlt", ("abcd",) * 4, strict=True))  # of whom step() tells in which dict


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"r": "abd"}, "'c': step() gave no reward of it at move 1, although it acted"),
        ({"l": "bcd"}, "'a': step() gave no termination of it at move 1, although it acted"),
        ({"t": "abc"}, "'d': step() gave no truncation of it at move 1, although it acted"),
        (
            {"r": "ac", "t": "b"},
            "'a': step() gave no truncation of it at move 1, although it acted",
        ),
        (
            {"o": "acd"},
            "'b': step() gave no observation of it at move 1, although it is neither terminated "
            "nor truncated",
        ),
    ],
)
def test_dicts_that_do_not_match_are_refused(told, text):
    names = {**ALL, **told}
    with says(ValueError, f"agent {text}"):
        started().advance(
            seen(names["o"]),
            dict.fromkeys(names["r"], 0.0),
            dict.fromkeys(names["l"], False),
            dict.fromkeys(names["t"], False),
            None,
            None,
        )


def test_a_late_comer_needs_its_ends_and_a_stranger_is_no_late_comer():
    ends = dict.fromkeys("ab", False)
    with says(
        ValueError,
        "agent 'c': step() gave no termination of it at move 1, although it is observed",
    ):
        started("ab").advance(seen("abc"), told("ab", 0.0), ends, ends, None, None)
    for place in range(3):
        parts = [seen("ab"), ends, dict(ends)]
        parts[place] = {**parts[place], "eve": parts[place]["a"]}
        with says(ValueError, "unknown agent 'eve': the team is a, b, c, d"):
            started("ab").advance(parts[0], told("ab", 0.0), *parts[1:], None, None)


def test_a_broken_environments_dicts_need_not_match():
    lost = {"a": {"lost_game": True}}
    step = started("ab").advance(seen("a"), {}, told("ab", True), {}, lost, None)
    assert the(step.lost)


def test_a_reward_of_a_stranger_is_refused():
    with says(ValueError, "unknown agent 'eve': the team is a, b, c, d"):
        advance(started(), "abcd", rewards={"eve": 0.0})


def test_an_end_without_a_last_observation_is_refused():
    def end(terminations, truncations):
        started("ab").advance({}, {}, terminations, truncations, None, None)

    yes, no = told("ab", True), told("ab", False)
    rest = "PettingZoo's step() reports an agent once more in the step in which it ends"
    what = "and step() returned no last observation of"
    with says(ValueError, f"the episode ended at move 1 by termination {what} a, b: {rest}"):
        end(yes, no)
    with says(ValueError, f"the episode ended at move 1 by truncation {what} a, b: {rest}"):
        end(no, yes)
    with says(ValueError, f"the episode ended at move 1 by termination {what} any agent: {rest}"):
        end({}, {})


def test_an_observation_at_the_end_must_be_finite_too():
    with says(ValueError, "agent 'a': observation[0] is not finite: nan"):
        advance(started(), "abcd", value=np.nan, out="abcd")


def test_an_episode_that_broke_on_the_way_is_lost_at_its_end():
    box, actions = Box(-1, 1, (1,)), Discrete(2)
    episode = TeamEpisode(Team({"a": box}, {"a": actions}))
    one, over = {"a": np.zeros(1)}, {"a": True}
    assert not episode.start(one, {}, None).lost[0]
    broken = {"a": {"lost_game": True}}
    assert episode.advance(one, {"a": 0.0}, {"a": False}, {"a": False}, broken, None).lost[0]
    assert episode.advance(one, {"a": 0.0}, {"a": False}, over, {}, None).lost[0]
    assert not episode.start(one, {}, None).lost[0]
