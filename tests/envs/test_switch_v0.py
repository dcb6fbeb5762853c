import itertools
from collections import deque

import numpy as np
import pytest

from vdtoolkit.envs import switch_v0
from vdtoolkit.envs.switch_v0 import ARRIVED, GOALS, STARTS, move

STAY, UP, DOWN, LEFT, RIGHT = range(5)


def begun(agents=2, **kwargs):
    env = switch_v0.parallel_env(agents, **kwargs)
    env.reset()
    return env


def act(env, *actions):
    return env.step(dict(zip(env.agents, actions, strict=True)))


def best_sum(agents, step_cost=-0.1):
    """The greatest sum of returns, by Dijkstra's way through all places (costs are by level)."""
    start, goal = STARTS[:agents], GOALS[:agents]
    best, queue = {start: 0.0}, deque([start])
    while queue:
        here = queue.popleft()
        for joint in itertools.product(range(5), repeat=agents):
            there = move(here, joint)
            paid = sum(
                0.0 if was == g else ARRIVED if now == g else step_cost
                for was, now, g in zip(here, there, goal, strict=True)
            )
            if best[here] + paid > best.get(there, -np.inf) + 1e-9:
                best[there] = best[here] + paid
                if there != goal:
                    queue.append(there)
    return best[goal]


def test_two_agents_can_have_10_less_17_steps():
    assert best_sum(2) == pytest.approx(10 - 17 * 0.1)


def test_the_best_way_is_7_moves_and_12():
    env, total = begun(), np.zeros(2)
    first = [DOWN, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, UP]
    second = [RIGHT, DOWN, DOWN, LEFT, STAY, UP, LEFT, LEFT, LEFT, LEFT, LEFT, UP]
    both = itertools.zip_longest(first, second, fillvalue=STAY)
    for moves, (a, b) in enumerate(both, start=1):
        _, rewards, terminations, truncations, infos = act(env, a, b)
        total += list(rewards.values())
        assert set(terminations.values()) == {moves == 12}
        assert set(truncations.values()) == {False}
        if moves == 7:
            assert rewards == {"agent_0": ARRIVED, "agent_1": -0.1}
            assert infos["agent_0"]["action_mask"].tolist() == [1, 0, 0, 0, 0]
        if moves > 7:
            assert rewards["agent_0"] == 0.0
    assert env.agents == []
    np.testing.assert_allclose(total, [5 - 6 * 0.1, 5 - 11 * 0.1])


@pytest.mark.parametrize(
    ("action", "there"),
    [(STAY, (0, 1)), (UP, (0, 1)), (DOWN, (1, 1)), (LEFT, (0, 0)), (RIGHT, (0, 1))],
)
def test_walls_and_edges_are_in_the_way(action, there):
    env = begun()
    act(env, action, STAY)
    assert env.places[0] == there  # right of (0, 1) is a wall, above it the edge


def test_agents_step_by_index_and_are_in_each_others_way():
    assert move(((1, 3), (1, 4)), (RIGHT, LEFT)) == ((1, 3), (1, 4))  # no swap
    assert move(((1, 4), (1, 3)), (RIGHT, RIGHT)) == ((1, 5), (1, 4))  # 1 follows 0
    assert move(((1, 3), (1, 4)), (RIGHT, RIGHT)) == ((1, 3), (1, 5))  # 0 comes too early
    assert move(((1, 2), (1, 4)), (RIGHT, LEFT)) == ((1, 3), (1, 4))  # the first gets the cell


def test_who_has_arrived_stays_in_the_way():
    assert move(((0, 6), (0, 5)), (LEFT, RIGHT)) == ((0, 6), (0, 5))
    env = begun()
    env.places = ((0, 6), (0, 5))
    *_, infos = act(env, DOWN, RIGHT)
    assert env.places == ((0, 6), (0, 5))
    assert infos["agent_0"]["illegal_action"] == DOWN
    env = begun(illegal_action="raise")
    env.places = ((0, 6), (0, 5))
    with pytest.raises(ValueError, match="agent 'agent_0' played 2, which is masked out"):
        act(env, DOWN, RIGHT)


def test_time_truncates():
    for agents, limit in ((2, 100), (3, 100), (4, 50)):
        env, moves = begun(agents), 0
        while env.agents:
            observations, _, terminations, truncations, _ = act(env, *[STAY] * agents)
            moves += 1
        assert moves == limit
        assert set(truncations.values()) == {True} and set(terminations.values()) == {False}
        assert observations["agent_0"][2] == 1.0


def test_an_end_at_the_limit_terminates():
    env = begun(max_cycles=1)
    env.places = ((0, 6), (1, 0))
    _, rewards, terminations, truncations, _ = act(env, STAY, UP)
    assert rewards == {"agent_0": 0.0, "agent_1": ARRIVED}
    assert set(terminations.values()) == {True} and set(truncations.values()) == {False}


def test_agents_see_their_place_and_the_clock():
    env = begun(4, max_cycles=10)
    observations, *_ = act(env, DOWN, STAY, STAY, STAY)
    np.testing.assert_allclose(observations["agent_0"], [1 / 2, 1 / 6, 0.1], rtol=1e-6)
    np.testing.assert_allclose(observations["agent_3"], [1, 5 / 6, 0.1], rtol=1e-6)
    np.testing.assert_allclose(
        env.state(), [1 / 2, 1 / 6, 0, 5 / 6, 1, 1 / 6, 1, 5 / 6, 0.1], rtol=1e-6
    )
    blind = begun(2, clock=False)
    observations, *_ = act(blind, STAY, STAY)
    np.testing.assert_allclose(observations["agent_1"], [0, 5 / 6], rtol=1e-6)


def test_the_step_cost_may_be_another():
    _, rewards, *_ = act(begun(step_cost=0), STAY, STAY)
    assert rewards == {"agent_0": 0.0, "agent_1": 0.0}


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"agents": 5}, "agents=5: choose 2, 3 or 4"),
        ({"max_cycles": 0}, "max_cycles=0: give a whole number from 1 on"),
    ],
)
def test_wrong_arguments_are_clear_errors(kwargs, text):
    with pytest.raises(ValueError, match=text):
        switch_v0.parallel_env(**kwargs)


def test_the_text_is_the_map():
    env = begun(4, render_mode="ansi")
    act(env, DOWN, STAY, STAY, UP)
    assert env.render().splitlines() == [
        "Switch",
        "goals: a of 0 b of 1 c of 2 d of 3",
        "b . # # # 1 a",
        ". 0 . . . 3 .",
        "d 2 # # # . c",
        "move 1",
        "0:down -0.1  1:stay -0.1  2:stay -0.1  3:up -0.1",
    ]
