"""Both forms of predator-prey: every rule by a board set up by hand."""

from collections import Counter

import numpy as np
import pytest

from vdtoolkit.envs import predator_prey_v0

STAY, UP, DOWN, LEFT, RIGHT, CATCH = range(6)


def board(form, predators, prey, *, size=5, still=True, seed=0, **kwargs):
    """An env that has begun, everybody put on these cells.

    still: prey do what lots of 0 mean: they stay (punished), or take the first free cell of up,
    down, left, right (stag hunt); those who act in turn act by index.
    """
    env = predator_prey_v0.parallel_env(
        form, size=size, predators=len(predators), prey=len(prey), **kwargs
    )
    env.reset(seed=seed)
    env.place(predators, prey)
    if still:
        env._world.lots[:] = 0.0
        env._world.draw = lambda rngs: None
    return env


def act(env, *actions):
    """One step; (reward of the team, terminated, truncated) by agent row."""
    told = env.step(dict(zip(env.agents, actions, strict=True)))
    assert len(set(told[1].values())) == 1
    return next(iter(told[1].values())), told


def places(env):
    """Row and column of predators, then prey; None of those removed."""
    world = env._world
    return [
        tuple(place) if cell else None
        for place, cell in zip(world.places()[0].tolist(), world.cells[0], strict=True)
    ]


# QTRAN's form.


def test_two_beside_a_prey_are_paid_and_it_returns_on_a_free_cell():
    env = board("punished", [(0, 1), (1, 0)], [(0, 0)])
    reward, _ = act(env, STAY, STAY)
    assert reward == 1.0
    assert places(env) == [(0, 1), (1, 0), (0, 2)]  # a lot of 0 is the first free cell


@pytest.mark.parametrize("penalty", [0, 0.5, 1, 1.5])
def test_one_alone_pays_the_penalty_and_the_prey_stays(penalty):
    env = board("punished", [(0, 1), (4, 4)], [(0, 0)], penalty=penalty)
    assert act(env, STAY, STAY)[0] == -penalty
    assert places(env) == [(0, 1), (4, 4), (0, 0)]
    assert act(env, STAY, STAY)[0] == -penalty  # each move again


def test_the_penalty_is_half_by_default():
    env = board("punished", [(0, 1), (4, 4)], [(0, 0)])
    assert act(env, STAY, STAY)[0] == -0.5


@pytest.mark.parametrize(
    ("predators", "reward"),
    [
        ([(1, 1), (3, 3)], 0.0),  # diagonal
        ([(2, 4), (0, 2)], 0.0),  # two cells away
        ([(1, 2), (4, 4)], -0.5),
        ([(3, 2), (4, 4)], -0.5),
        ([(2, 1), (4, 4)], -0.5),
        ([(2, 3), (4, 4)], -0.5),
        ([(1, 2), (3, 2)], 1.0),
        ([(2, 1), (2, 3)], 1.0),
        ([(1, 2), (2, 3)], 1.0),
        ([(1, 2), (2, 1), (2, 3)], 1.0),  # a third changes nothing
        ([(1, 2), (2, 1), (2, 3), (3, 2)], 1.0),
    ],
)
def test_beside_is_up_down_left_and_right(predators, reward):
    env = board("punished", predators, [(2, 2)])
    assert act(env, *[STAY] * len(predators))[0] == reward


def test_the_end_of_a_row_is_not_beside_the_start_of_the_next():
    env = board("punished", [(1, 4), (3, 0)], [(2, 0)])
    assert act(env, STAY, STAY)[0] == -0.5  # (3, 0) alone


def test_each_prey_pays_for_itself():
    two = [(0, 1), (1, 0)]
    env = board("punished", [*two, (6, 5), (5, 6)], [(0, 0), (6, 6)], size=7)
    assert act(env, *[STAY] * 4)[0] == 2.0
    env = board("punished", [*two, (6, 5), (3, 3)], [(0, 0), (6, 6)], size=7, penalty=1.5)
    assert act(env, *[STAY] * 4)[0] == 1.0 - 1.5


def test_rewards_are_of_where_all_are_after_the_move():
    env = board("punished", [(0, 2), (2, 0)], [(0, 0)])
    assert act(env, LEFT, UP)[0] == 1.0
    env = board("punished", [(0, 1), (1, 0)], [(0, 0)])
    assert act(env, RIGHT, DOWN)[0] == 0.0


def test_other_rewards_may_be_paid():
    env = board("punished", [(0, 1), (1, 0)], [(0, 0)], reward=10)
    assert act(env, STAY, STAY)[0] == 10.0


@pytest.mark.parametrize(
    ("action", "there"),
    [(STAY, (2, 2)), (UP, (1, 2)), (DOWN, (3, 2)), (LEFT, (2, 1)), (RIGHT, (2, 3))],
)
def test_actions_are_steps(action, there):
    env = board("punished", [(2, 2), (4, 4)], [(0, 0)])
    act(env, action, STAY)
    assert places(env)[0] == there


def test_walls_others_and_prey_are_in_the_way():
    env = board("punished", [(0, 0), (0, 1)], [(1, 0)], penalty=0)
    act(env, UP, UP)
    act(env, LEFT, LEFT)
    assert places(env)[:2] == [(0, 0), (0, 1)]
    act(env, DOWN, STAY)  # the prey is there
    assert places(env)[0] == (0, 0)


def test_who_steps_first_is_drawn():
    """One that follows another gets its cell if the other steps first: half of the time."""
    followed = 0
    for seed in range(400):
        env = board("punished", [(2, 0), (2, 1)], [(4, 4)], still=False, seed=seed)
        act(env, RIGHT, RIGHT)
        assert places(env)[1] == (2, 2)
        followed += places(env)[0] == (2, 1)
    assert abs(followed - 200) < 5 * 10


def test_prey_go_to_five_places_alike():
    seen = Counter()
    for seed in range(1000):
        env = board("punished", [(0, 0), (4, 4)], [(2, 2)], still=False, seed=seed)
        act(env, STAY, STAY)
        seen[places(env)[2]] += 1
    assert set(seen) == {(2, 2), (1, 2), (3, 2), (2, 1), (2, 3)}
    assert all(abs(n - 200) < 5 * np.sqrt(1000 * 0.2 * 0.8) for n in seen.values())


def test_the_caught_return_on_every_free_cell_alike():
    seen = Counter()
    for seed in range(900):
        env = board("punished", [(0, 1), (1, 0)], [(0, 0)], size=4, still=False, seed=seed)
        act(env, STAY, STAY)  # (0, 0) has no way out
        seen[places(env)[2]] += 1
    cells = {(r, c) for r in range(4) for c in range(4)} - {(0, 0), (0, 1), (1, 0)}
    assert set(seen) == cells
    assert all(abs(n - 900 / 13) < 5 * np.sqrt(900 / 13) for n in seen.values())


def test_everybody_starts_on_a_cell_of_its_own_and_all_cells_alike():
    env = predator_prey_v0.parallel_env(size=3, predators=4, prey=4)
    seen = Counter()
    for seed in range(900):
        env.reset(seed=seed)
        assert len(set(places(env))) == 8
        seen[places(env)[5]] += 1
    assert len(seen) == 9
    assert all(abs(n - 100) < 5 * np.sqrt(100) for n in seen.values())


def test_punished_observations_are_own_place_others_from_there_and_number():
    env = board("punished", [(1, 2), (4, 0)], [(3, 3)])
    observations, _ = env._told(env.agents)
    np.testing.assert_allclose(
        observations["agent_0"], [0.25, 0.5, 0.75, -0.5, 0.5, 0.25, 1, 0], rtol=1e-6
    )
    np.testing.assert_allclose(
        observations["agent_1"], [1, 0, -0.75, 0.5, -0.25, 0.75, 0, 1], rtol=1e-6
    )
    np.testing.assert_allclose(env.state(), [0.25, 0.5, 1, 0, 0.75, 0.75], rtol=1e-6)


def test_punished_allows_everything_and_lasts_100_moves():
    env = predator_prey_v0.parallel_env()
    _, infos = env.reset(seed=0)
    assert [info["action_mask"].tolist() for info in infos.values()] == [[1] * 5] * 2
    moves = 0
    while env.agents:
        _, _, terminations, truncations, _ = env.step({"agent_0": UP, "agent_1": UP})
        moves += 1
    assert moves == 100
    assert set(truncations.values()) == {True}
    assert set(terminations.values()) == {False}


# The stag hunt.


def test_two_that_catch_are_paid_and_leave_with_the_stag():
    env = board("stag_hunt", [(0, 1), (1, 0), (4, 4)], [(0, 0), (4, 0)])
    reward, (observations, _, terminations, truncations, infos) = act(env, CATCH, CATCH, STAY)
    assert reward == 10.0
    assert terminations == {"agent_0": True, "agent_1": True, "agent_2": False}
    assert not any(truncations.values())
    assert env.agents == ["agent_2"]
    assert places(env) == [None, None, (4, 4), None, (3, 0)]
    assert not observations["agent_0"].any()
    assert infos["agent_0"]["action_mask"].tolist() == [1, 0, 0, 0, 0, 0]
    assert observations["agent_2"].any()


@pytest.mark.parametrize("penalty", [0, 2, 5])
def test_one_that_catches_alone_pays_the_penalty_and_stays(penalty):
    env = board("stag_hunt", [(0, 1), (4, 4)], [(0, 0)], penalty=penalty)
    reward, (_, _, terminations, _, _) = act(env, CATCH, STAY)
    assert reward == -penalty
    assert not any(terminations.values())
    assert places(env) == [(0, 1), (4, 4), (1, 0)]  # the stag steps on


def test_who_is_beside_and_does_not_catch_does_not_count():
    env = board("stag_hunt", [(0, 1), (1, 0)], [(0, 0)])
    assert act(env, CATCH, STAY)[0] == -2.0
    env = board("stag_hunt", [(0, 1), (1, 0)], [(0, 0)])
    assert act(env, STAY, STAY)[0] == 0.0
    assert places(env)[2] == (0, 0)  # it cannot move


def test_all_who_catch_a_stag_leave_with_it():
    env = board("stag_hunt", [(1, 2), (2, 1), (2, 3), (4, 4)], [(2, 2), (0, 0)])
    reward, _ = act(env, CATCH, CATCH, CATCH, STAY)
    assert reward == 10.0
    assert places(env)[:4] == [None, None, None, (4, 4)]


def test_one_alone_between_two_stags_pays_twice():
    env = board("stag_hunt", [(2, 2), (4, 4)], [(1, 2), (3, 2)])
    assert act(env, CATCH, STAY)[0] == -4.0


def test_two_between_two_stags_catch_only_one_of_them():
    for seed in range(6):
        env = board("stag_hunt", [(0, 0), (1, 1), (4, 4)], [(0, 1), (1, 0)], still=False, seed=seed)
        reward, _ = act(env, CATCH, CATCH, STAY)
        assert reward == 10.0
        assert sum(place is not None for place in places(env)[3:]) == 1


def test_a_stag_is_looked_at_in_turn():
    """Predators 0 and 1 catch stag A; 1 is beside stag B as well: alone, if B comes first."""
    rewards = Counter()
    for seed in range(60):
        env = board("stag_hunt", [(0, 1), (1, 0), (4, 4)], [(0, 0), (2, 0)], still=False, seed=seed)
        rewards[act(env, CATCH, CATCH, STAY)[0]] += 1
    assert set(rewards) == {10.0, 8.0}
    assert 15 < rewards[8.0] < 45


def test_the_removed_see_nothing_wherever_they_were():
    env = board("stag_hunt", [(4, 3), (3, 4), (0, 0), (1, 1)], [(4, 4), (0, 1)])
    _, (observations, _, terminations, _, _) = act(env, CATCH, CATCH, STAY, STAY)
    assert terminations["agent_0"]
    assert not observations["agent_0"].any() and not observations["agent_1"].any()


def test_the_hunt_ends_when_the_stags_or_the_hunters_are_gone():
    env = board("stag_hunt", [(0, 1), (1, 0), (4, 4)], [(0, 0)])
    _, (observations, _, terminations, truncations, _) = act(env, CATCH, CATCH, STAY)
    assert set(terminations.values()) == {True}
    assert not any(truncations.values())
    assert env.agents == []
    assert observations["agent_2"].any()
    assert env.state().sum() == 1  # one predator is left

    env = board("stag_hunt", [(0, 1), (1, 0)], [(0, 0), (4, 4)])
    _, (_, _, terminations, _, _) = act(env, CATCH, CATCH)
    assert set(terminations.values()) == {True}


def test_time_truncates_the_hunt_and_an_end_at_the_limit_terminates():
    env = board("stag_hunt", [(0, 1), (1, 0), (4, 4)], [(0, 0), (4, 0)], max_cycles=1)
    _, (_, _, terminations, truncations, _) = act(env, CATCH, CATCH, STAY)
    assert terminations == {"agent_0": True, "agent_1": True, "agent_2": False}
    assert truncations == {"agent_0": False, "agent_1": False, "agent_2": True}
    env = board("stag_hunt", [(0, 1), (1, 0)], [(0, 0)], max_cycles=1)
    _, (_, _, terminations, truncations, _) = act(env, CATCH, CATCH)
    assert set(terminations.values()) == {True}
    assert set(truncations.values()) == {False}


def test_the_published_hunt_pays_40_at_most():
    env = predator_prey_v0.parallel_env("stag_hunt")
    assert (len(env.possible_agents), env.max_cycles) == (8, 200)
    env.reset(seed=0)
    corners = [(0, 0), (0, 9), (9, 0), (9, 9)]
    around = [(0, 1), (1, 0), (0, 8), (1, 9), (8, 0), (9, 1), (8, 9), (9, 8)]
    env.place(around, [*corners, (4, 4), (4, 6), (6, 4), (6, 6)])
    reward, (_, _, terminations, _, _) = act(env, *[CATCH] * 8)
    assert reward == 40.0
    assert all(terminations.values())


def test_masks_keep_from_walls_and_from_catching_nothing():
    env = board("stag_hunt", [(0, 0), (2, 4), (4, 2)], [(4, 1)])
    masks = [info["action_mask"].tolist() for info in env._told(env.agents)[1].values()]
    assert masks == [
        [1, 0, 1, 0, 1, 0],  # corner: down, right
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 1, 1, 1],  # left is the prey: in the way, but no wall; it may be caught
    ]


def test_what_is_masked_out_is_played_as_stay_or_refused():
    env = board("stag_hunt", [(0, 0), (4, 4)], [(2, 2)])
    reward, (*_, infos) = act(env, CATCH, DOWN)
    assert reward == 0.0
    assert infos["agent_0"]["illegal_action"] == CATCH
    assert infos["agent_1"]["illegal_action"] == DOWN
    assert places(env)[:2] == [(0, 0), (4, 4)]
    env = board("stag_hunt", [(0, 0), (4, 4)], [(2, 2)], illegal_action="raise")
    with pytest.raises(ValueError, match=r"'agent_0' played 5, which is masked out now, after 0"):
        act(env, CATCH, STAY)


def test_stag_hunt_observations_are_squares_and_the_state_is_the_board():
    env = board("stag_hunt", [(0, 0), (1, 2), (4, 4)], [(2, 1), (0, 1)], sight=2)
    observations, _ = env._told(env.agents)
    predators, prey = observations["agent_1"].reshape(2, 5, 5)
    # agent_1 at (1, 2): its square has rows -1 to 3 and columns 0 to 4
    assert np.argwhere(predators).tolist() == [[1, 0], [2, 2]]
    assert np.argwhere(prey).tolist() == [[1, 1], [3, 1]]
    predators, prey = observations["agent_2"].reshape(2, 5, 5)
    assert np.argwhere(predators).tolist() == [[2, 2]]
    assert not prey.any()
    predators, prey = env.state().reshape(2, 5, 5)
    assert np.argwhere(predators).tolist() == [[0, 0], [1, 2], [4, 4]]
    assert np.argwhere(prey).tolist() == [[0, 1], [2, 1]]


@pytest.mark.parametrize("sight", [0, 1, 3])
def test_sight_is_the_half_width_of_the_square(sight):
    env = board("stag_hunt", [(0, 0), (4, 4)], [(2, 2)], sight=sight)
    side = 2 * sight + 1
    predators, _ = env._told(env.agents)[0]["agent_1"].reshape(2, side, side)
    assert np.argwhere(predators).tolist() == [[sight, sight]]


def test_stags_step_to_the_free_cells_alike_and_never_stay_if_they_can_go():
    seen = Counter()
    for seed in range(900):
        env = board("stag_hunt", [(1, 2), (4, 4)], [(2, 2)], still=False, seed=seed)
        act(env, STAY, STAY)
        seen[places(env)[2]] += 1
    assert set(seen) == {(3, 2), (2, 1), (2, 3)}
    assert all(abs(n - 300) < 5 * np.sqrt(900 * 2 / 9) for n in seen.values())


def test_the_removed_are_no_longer_in_the_way():
    env = board("stag_hunt", [(0, 1), (1, 0), (0, 2)], [(0, 0), (4, 4)])
    act(env, CATCH, CATCH, STAY)
    env.step({"agent_2": LEFT})
    env.step({"agent_2": LEFT})
    assert places(env)[2] == (0, 0)


# Arguments.


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"form": "tag"}, r"form='tag': choose one of \['punished', 'stag_hunt'\]"),
        ({"penalty": -2}, "penalty=-2: it is taken off the reward, give 2"),
        ({"sight": 2}, "form 'punished' has no sight: leave it out"),
        ({"predators": 0}, "predators=0: give a whole number from 1 on"),
        ({"size": 1}, "size=1: give a whole number from 2 on"),
        ({"size": 2, "predators": 3}, "4 predators and prey need more than the 4 cells of size=2"),
        ({"max_cycles": 0}, "max_cycles=0: give a whole number from 1 on"),
        ({"illegal_action": "noop"}, "illegal_action='noop': choose 'replace' or 'raise'"),
    ],
)
def test_wrong_arguments_are_clear_errors(kwargs, text):
    with pytest.raises(ValueError, match=text):
        predator_prey_v0.parallel_env(**kwargs)


def test_who_has_left_cannot_act():
    env = board("stag_hunt", [(0, 1), (1, 0), (4, 4)], [(0, 0), (4, 0)])
    act(env, CATCH, CATCH, STAY)
    with pytest.raises(ValueError, match=r"of \['agent_2'\]: missing \[\], unknown \['agent_0'\]"):
        env.step({"agent_0": STAY, "agent_2": STAY})


def test_the_text_shows_who_is_where_and_what_was_done():
    env = board("stag_hunt", [(0, 1), (1, 0), (4, 4)], [(0, 0), (4, 0)], render_mode="ansi")
    assert env.render().splitlines()[3:9] == [
        "* 0 . . .",
        "1 . . . .",
        ". . . . .",
        ". . . . .",
        "* . . . 2",
        "start of the episode",
    ]
    act(env, CATCH, STAY, LEFT)
    lines = env.render().splitlines()
    assert lines[1] == "3 predators and 2 prey left"
    assert lines[3] == "* 0!. . ."
    assert lines[8:] == ["move 1 gave -2", "0:catch  1:stay  2:left"]
