import itertools
from collections import Counter
from math import comb

import numpy as np
import pytest

from vdtoolkit.envs import lever_v0
from vdtoolkit.finite import is_finite, optimal_q
from vdtoolkit.stream import stream
from vdtoolkit.team import Team


def shared_out(n, m):
    """What the docs say the best players without words can have."""
    sizes = [n // m + (k < n % m) for k in range(m)]
    return float(np.mean([1 - comb(n - size, m) / comb(n, m) for size in sizes]))


@pytest.mark.parametrize(
    ("joint", "reward"),
    [((0, 1, 2), 1.0), ((2, 0, 1), 1.0), ((0, 0, 2), 2 / 3), ((1, 1, 1), 1 / 3)],
)
def test_different_levers_are_paid(joint, reward):
    env = lever_v0.parallel_env(3, pool=7)
    env.reset(seed=0)
    _, rewards, terminations, _, _ = env.step(dict(zip(env.agents, joint, strict=True)))
    assert set(rewards.values()) == {reward}
    assert set(terminations.values()) == {True}


def test_random_pulls_pay_the_published_share():
    env = lever_v0.parallel_env(5, pool=5)
    table = env.rewards(tuple(range(5)))
    assert table.mean() == pytest.approx(1 - (1 - 1 / 5) ** 5)
    assert table.mean() == pytest.approx(0.6723, abs=5e-5)
    assert table.max() == 1.0


@pytest.mark.parametrize(("n", "m"), [(2, 2), (4, 2), (5, 2), (3, 3), (5, 3)])
def test_the_best_without_words_is_to_share_out_the_pool(n, m):
    """All ways to give each player of the pool a lever."""
    env = lever_v0.parallel_env(m, pool=n)
    draws = env.initial_states()
    best = max(
        sum(p * env.model(who, tuple(levers[w] for w in who))[0][1] for p, who in draws)
        for levers in itertools.product(range(m), repeat=n)
    )
    assert best == pytest.approx(shared_out(n, m))


def test_the_best_of_the_published_sizes():
    assert shared_out(500, 5) == pytest.approx(0.6740, abs=5e-5)
    assert shared_out(5, 5) == 1.0


def test_who_sees_the_seats_can_have_everything():
    env = lever_v0.parallel_env(2, pool=3)
    for table in optimal_q(env, 0.99, Team.from_env(env)).values():
        assert table.tolist() == [[0.5, 1.0], [1.0, 0.5]]


def test_players_see_who_they_are_or_nothing():
    env = lever_v0.parallel_env(2, pool=4)
    observations, _ = env.reset(seed=0)
    who = [int(np.argmax(observations[a])) for a in env.agents]
    assert all(observations[a].sum() == 1 and observations[a].shape == (4,) for a in env.agents)
    assert np.argwhere(env.state().reshape(2, 4)).tolist() == [[0, who[0]], [1, who[1]]]
    blind = lever_v0.parallel_env(2, pool=4, show_id=False)
    observations, _ = blind.reset(seed=0)
    assert [o.tolist() for o in observations.values()] == [[1.0], [1.0]]
    assert blind.state().sum() == 2


@pytest.mark.parametrize("pool", [4, 300])
def test_players_are_drawn_alike_each_at_most_once(pool):
    env = lever_v0.parallel_env(2, pool=pool)
    drawn = Counter()
    for episode in range(1200):
        observations, _ = env.reset(seed=0 if episode == 0 else None)
        who = tuple(int(np.argmax(o)) for o in observations.values())
        assert who[0] != who[1]
        drawn[who] += 1
    if pool == 4:
        assert len(drawn) == 12
        assert all(abs(n - 100) < 5 * np.sqrt(100) for n in drawn.values())
    else:
        assert len(drawn) > 1100


def test_small_pools_are_finite_games_and_large_ones_are_played():
    small, large = lever_v0.parallel_env(3, pool=20), lever_v0.parallel_env()
    assert is_finite(small) and not is_finite(large)
    assert len(small.states()) == 6840
    with pytest.raises(ValueError, match=r"ways to draw 5 of 500 are too many to list: take fewer"):
        large.states()
    envs = stream(lever_v0.parallel_env, 2)
    step = envs.reset(0)
    assert step.obs.shape == (2, 5, 500)
    step = envs.step(np.tile(np.arange(5), (2, 1)))
    assert step.reward.tolist() == [1.0, 1.0]
    assert step.terminated.all()


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"agents": 0}, "agents=0: give a whole number from 1 on"),
        ({"agents": 5, "pool": 4}, "pool=4: give a whole number from 5 on"),
    ],
)
def test_wrong_arguments_are_clear_errors(kwargs, text):
    with pytest.raises(ValueError, match=text):
        lever_v0.parallel_env(**kwargs)


def test_the_text_says_who_pulls_what():
    env = lever_v0.parallel_env(3, pool=3, render_mode="ansi")
    env.reset(seed=0)
    a, b, c = env._state
    env.step({"agent_0": 1, "agent_1": 1, "agent_2": 0})
    assert env.render().splitlines() == [
        "Lever game, 3 of 3",
        f"lever 0: player {c}",
        f"lever 1: player {a}, player {b}",
        "lever 2: -",
        "2 of 3 levers pulled: 0.6667",
    ]
