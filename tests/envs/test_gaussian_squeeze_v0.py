import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from vdtoolkit.envs import gaussian_squeeze_v0
from vdtoolkit.envs.gaussian_squeeze_v0 import payoff


def played(scales, actions, **kwargs):
    """What step returns when agents with these scales play these actions."""
    env = gaussian_squeeze_v0.parallel_env(len(scales), **kwargs)
    env.reset(seed=0)
    env.scales = np.array(scales)
    return env.step(dict(zip(env.agents, actions, strict=True)))


def peak(domains, low, high):
    """(x, payoff) of the greatest payoff between two bounds."""
    found = minimize_scalar(
        lambda x: -payoff(x, domains), bounds=(low, high), method="bounded", options={"xatol": 1e-9}
    )
    return found.x, -found.fun


def test_the_hills_are_where_the_literature_has_them():
    assert peak(1, 7, 9) == pytest.approx((8.016, 8.0078), abs=1e-3)
    assert peak(2, 7, 9)[1] == pytest.approx(8.0087, abs=1e-4)
    assert peak(2, 4, 6) == pytest.approx((5.098, 5.049), abs=1e-3)


def test_payoffs_by_hand():
    assert payoff(8.0, 1) == 8.0
    assert payoff(7.5, 1) == pytest.approx(7.5 * math.exp(-1))  # 0.25 / 0.25
    assert payoff(5.0, 2) == pytest.approx(5.0 + 5.0 * math.exp(-36))
    assert payoff(6.0, 2) == pytest.approx(6.0 * math.exp(-1) + 6.0 * math.exp(-16))
    assert payoff(0.0, 2) == 0.0


@pytest.mark.parametrize(
    ("domains", "reward"),
    [(1, 4 * math.exp(-64)), (2, 4 * math.exp(-64) + 4 * math.exp(-1))],
)
def test_x_is_the_mean_of_scale_times_action(domains, reward):
    # (1 * 4 + 0.5 * 10 + 1.5 * 2) / 3 = 4
    _, rewards, terminations, truncations, _ = played([1, 0.5, 1.5], [4, 10, 2], domains=domains)
    assert rewards == pytest.approx(dict.fromkeys(rewards, reward), rel=1e-9)
    assert set(terminations.values()) == {True}
    assert set(truncations.values()) == {False}


def test_agents_see_their_own_scale_and_all():
    env = gaussian_squeeze_v0.parallel_env(3)
    observations, infos = env.reset(seed=4)
    for i, agent in enumerate(env.agents):
        np.testing.assert_allclose(observations[agent], [env.scales[i], *env.scales], rtol=1e-6)
        assert infos[agent]["action_mask"].tolist() == [1] * 11
    np.testing.assert_allclose(env.state(), env.scales, rtol=1e-6)


def test_scales_are_uniform_up_to_2_and_new_in_every_episode():
    env = gaussian_squeeze_v0.parallel_env()
    scales = []
    for episode in range(400):
        env.reset(seed=0 if episode == 0 else None)
        scales += env.scales.tolist()
    assert 0 <= min(scales) < 0.02 and 1.98 < max(scales) <= 2
    assert abs(np.mean(scales) - 1) < 5 * (2 / 12**0.5) / 4000**0.5
    assert len(set(scales)) == 4000


def test_the_published_sizes():
    env = gaussian_squeeze_v0.parallel_env()
    assert env.n_actions == (11,) * 10
    assert gaussian_squeeze_v0.parallel_env(actions=10).n_actions == (10,) * 10


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"agents": 0}, "agents=0: give a whole number from 1 on"),
        ({"actions": 1}, "actions=1: give a whole number from 2 on"),
        ({"domains": 3}, "domains=3: choose 1 or 2"),
    ],
)
def test_wrong_arguments_are_clear_errors(kwargs, text):
    with pytest.raises(ValueError, match=text):
        gaussian_squeeze_v0.parallel_env(**kwargs)


def test_the_text_adds_up():
    env = gaussian_squeeze_v0.parallel_env(2, domains=1, render_mode="ansi")
    env.reset(seed=0)
    env.scales = np.array([1.0, 2.0])
    assert env.render().endswith("start of the episode: x can be 0 to 15.000")
    env.step({"agent_0": 10, "agent_1": 3})
    assert env.render().splitlines()[1:] == [
        "agent_0: scale 1.000, plays 10, adds 5.000",
        "agent_1: scale 2.000, plays 3, adds 3.000",
        "x = 8.000 pays 8.0000",
    ]
