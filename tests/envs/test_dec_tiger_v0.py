import itertools

import numpy as np
import pytest

from vdtoolkit.envs import dec_tiger_v0
from vdtoolkit.envs.dec_tiger_v0 import Moment
from vdtoolkit.finite import optimal_q
from vdtoolkit.team import Team

LISTEN, OPEN_LEFT, OPEN_RIGHT = range(3)
LEFT, RIGHT, NOTHING = 0, 1, -1
START = Moment(0, LEFT, (NOTHING, NOTHING))


@pytest.mark.parametrize(
    ("joint", "reward"),
    [
        ((LISTEN, LISTEN), -2),
        ((OPEN_RIGHT, OPEN_RIGHT), 20),
        ((OPEN_LEFT, OPEN_LEFT), -50),
        ((OPEN_LEFT, OPEN_RIGHT), -100),
        ((OPEN_RIGHT, OPEN_LEFT), -100),
        ((LISTEN, OPEN_RIGHT), 9),
        ((OPEN_RIGHT, LISTEN), 9),
        ((LISTEN, OPEN_LEFT), -101),
        ((OPEN_LEFT, LISTEN), -101),
    ],
)
def test_rewards_of_every_case(joint, reward):
    env = dec_tiger_v0.parallel_env()
    assert env.rewards(START)[joint] == pytest.approx(reward)
    other = {LISTEN: LISTEN, OPEN_LEFT: OPEN_RIGHT, OPEN_RIGHT: OPEN_LEFT}
    flipped = tuple(other[u] for u in joint)
    assert env.rewards(Moment(0, RIGHT, (NOTHING, NOTHING)))[flipped] == pytest.approx(reward)


def test_both_that_listen_hear_the_truth_with_85_percent_each():
    outcomes = dec_tiger_v0.parallel_env().model(START, (LISTEN, LISTEN))
    chances = {after.heard: p for p, _, after in outcomes}
    assert chances == pytest.approx(
        {
            (LEFT, LEFT): 0.7225,
            (LEFT, RIGHT): 0.1275,
            (RIGHT, LEFT): 0.1275,
            (RIGHT, RIGHT): 0.0225,
        }
    )
    assert {after.tiger for _, _, after in outcomes} == {LEFT}


@pytest.mark.parametrize("joint", [(LISTEN, OPEN_LEFT), (OPEN_RIGHT, OPEN_RIGHT)])
def test_an_opened_door_puts_the_tiger_anew_and_nothing_heard_means_anything(joint):
    outcomes = dec_tiger_v0.parallel_env().model(START, joint)
    assert len({(after.tiger, after.heard) for _, _, after in outcomes}) == 8
    assert {p for p, _, _ in outcomes} == {1 / 8}


@pytest.mark.parametrize("horizon", [1, 2, 4])
def test_the_episode_terminates_at_the_horizon(horizon):
    env = dec_tiger_v0.parallel_env(horizon=horizon)
    env.reset(seed=0)
    moves = 0
    while env.agents:
        _, _, terminations, truncations, _ = env.step({"agent_0": LISTEN, "agent_1": LISTEN})
        moves += 1
    assert moves == horizon
    assert set(terminations.values()) == {True} and set(truncations.values()) == {False}
    assert len(env.states()) == 2 + 8 * (horizon - 1)


def test_agents_see_what_they_heard_and_the_state_the_tiger():
    env = dec_tiger_v0.parallel_env(horizon=4)
    moment = Moment(1, RIGHT, (LEFT, RIGHT))
    assert [o.tolist() for o in env.observations(moment)] == [[1, 0], [0, 1]]
    assert env.global_state(moment).tolist() == [0, 1, 1, 0, 0, 1, 0.25]
    assert [o.tolist() for o in env.observations(START)] == [[0, 0], [0, 0]]


def best_reply(env, policy):
    """The value of agent_1's best reply to agent_0's policy {heard so far: action}.

    Backwards over what agent_1 has heard; a belief is {(state, what agent_0 heard): weight}.
    """

    def value(belief):
        best = -np.inf
        for action in range(3):
            total, after = 0.0, {}
            for (state, told), weight in belief.items():
                for p, reward, new in env.model(state, (policy[told], action)):
                    total += weight * p * reward
                    if new is not None:
                        branch = after.setdefault(new.heard[1], {})
                        key = new, (*told, new.heard[0])
                        branch[key] = branch.get(key, 0.0) + weight * p
            best = max(best, total + sum(value(branch) for branch in after.values()))
        return best

    return value({(state, ()): p for p, state in env.initial_states()})


def best_value(horizon):
    """The best joint policy's value: every policy of agent_0 with the best reply to it."""
    env = dec_tiger_v0.parallel_env(horizon=horizon)
    histories = [
        told for length in range(horizon) for told in itertools.product(range(2), repeat=length)
    ]
    return max(
        best_reply(env, dict(zip(histories, actions, strict=True)))
        for actions in itertools.product(range(3), repeat=len(histories))
    )


@pytest.mark.parametrize(("horizon", "value"), [(1, -2.0), (2, -4.0)])
def test_known_values_of_short_horizons(horizon, value):
    assert best_value(horizon) == pytest.approx(value)


@pytest.mark.slow
def test_the_known_value_of_three_moves():
    assert best_value(3) == pytest.approx(5.1908125)


def test_the_known_policy_of_three_moves_has_the_known_value():
    """Listen twice; open the other door if both times the same was heard (Nair et al. 2003)."""
    env = dec_tiger_v0.parallel_env()
    decide = {(LEFT, LEFT): OPEN_RIGHT, (RIGHT, RIGHT): OPEN_LEFT}

    def value(state, told):
        if state is None:
            return 0.0
        total = 0.0
        for p, reward, new in env.model(state, tuple(decide.get(own, LISTEN) for own in told)):
            heard = () if new is None else zip(told, new.heard, strict=True)
            total += p * (reward + value(new, [(*before, now) for before, now in heard]))
        return total

    total = sum(p * value(state, [(), ()]) for p, state in env.initial_states())
    assert total == pytest.approx(5.1908125)
    assert best_reply(
        env,
        {
            told: decide.get(told, LISTEN)
            for length in range(3)
            for told in itertools.product(range(2), repeat=length)
        },
    ) == pytest.approx(5.1908125)


def test_who_sees_the_tiger_has_20_a_move():
    env = dec_tiger_v0.parallel_env(horizon=4)
    q = optimal_q(env, 1.0, Team.from_env(env))
    assert q[START].max() == pytest.approx(80.0)
    assert q[Moment(3, RIGHT, (LEFT, LEFT))].max() == 20.0


def test_a_horizon_has_moves():
    with pytest.raises(ValueError, match="horizon=0: give a whole number from 1 on"):
        dec_tiger_v0.parallel_env(horizon=0)


def test_the_text_tells_the_story():
    env = dec_tiger_v0.parallel_env(horizon=2, render_mode="ansi")
    env.reset(seed=0)
    env._state = Moment(0, RIGHT, (NOTHING, NOTHING))
    env.step({"agent_0": LISTEN, "agent_1": OPEN_LEFT})
    assert env.render().splitlines() == [
        "Dec-Tiger",
        "[left: treasure]  [right: tiger]",
        "agent_0: heard nothing, listens",
        "agent_1: heard nothing, opens left",
        "move 1 of 2 gave 9",
    ]
