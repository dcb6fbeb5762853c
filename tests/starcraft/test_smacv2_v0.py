"""smacv2_v0: what differs from smac_v0: battles that are drawn, by the seed alone."""

import random

import numpy as np
import pytest
import starcraft_stub
from pettingzoo.test import parallel_api_test
from starcraft_play import episode, random_move

from tests.envs.whole_episode import assert_seeds_decide
from vdtoolkit.envs import smacv2_v0
from vdtoolkit.envs._starcraft.capability import Dice

# observation, state, actions of oxwhirl's class, at the published arguments
SIZES = {
    "5v5": ((82, 120, 11), (92, 130, 11)),
    "10v10": ((162, 290, 16), (182, 310, 16)),
    "10v11": ((170, 306, 17), (191, 327, 17)),
    "20v20": ((322, 780, 26), (362, 820, 26)),
    "20v23": ((346, 858, 29), (389, 901, 29)),
}


def drawn(env, episodes=3):
    """What teams and places a seed brings: unit types and states at the start of each battle."""
    told = []
    for number in range(episodes):
        _, infos = env.reset(seed=4 if number == 0 else None)
        told.append(([i["unit_type"] for i in infos.values()], env.state().round(4).tolist()))
        env.step({a: int(np.flatnonzero(i["action_mask"])[0]) for a, i in infos.items()})
    return told


@pytest.fixture
def make(smacv2):
    """Makes an env, and closes it after the test."""
    made = []

    def making(*args, **kwargs):
        made.append(smacv2_v0.parallel_env(*args, **{"timeout": 20, **kwargs}))
        return made[-1]

    yield making
    for env in made:
        env.close()


def test_pettingzoos_own_test_passes(make):
    parallel_api_test(make("terran_5v5"), num_cycles=60)


@pytest.mark.parametrize("task", smacv2_v0.TASKS)
def test_sizes_are_those_of_smacv2(make, smacv2, task):
    env = make(task)
    race, _, size = task.partition("_")
    n, m = map(int, size.split("v"))
    assert len(env.possible_agents) == n
    assert env.action_space("agent_0").n == 6 + m
    assert (env.limit, env.game.launches) == (200, 0)
    if smacv2.name == "real":
        obs, state, actions = SIZES[size][race == "protoss"]
        assert env.observation_space("agent_0").shape == (obs,)
        assert (env.state_space.shape, env.action_space("agent_0").n) == ((state,), actions)


@pytest.mark.parametrize("task", ["terran_5v5", "protoss_10v11", "zerg_5v5"])
def test_episodes_are_played(make, task):
    env, rng = make(task), np.random.default_rng(0)
    for _ in range(2):
        _, moves, told = episode(env, env.reset()[1], lambda infos: random_move(infos, rng))
        assert 0 < moves <= 200
        assert told[4]["agent_0"]["lost_game"] is False
        assert env.state_space.contains(env.state())
    assert env.game.launches == 1


def test_a_seed_decides_teams_places_and_observations(smacv2):
    def make():
        return smacv2_v0.parallel_env("terran_5v5", prob_obs_enemy=0.5)

    assert_seeds_decide(make, episodes=2)


def test_battles_differ_and_seeds_do(make):
    env, other = make("zerg_5v5"), make("zerg_5v5")
    first = drawn(env)
    assert first == drawn(other)
    assert first[0] != first[1] != first[2]
    assert drawn(env) == first
    env.reset(seed=5)
    assert env.state().round(4).tolist() != first[0][1]


def test_attacks_that_may_fail_follow_the_seed_too(smacv2):
    if smacv2.name == "stub":
        pytest.skip("the stub's attacks do not fail")
    config = smacv2_v0.published("terran_5v5")
    config["attack"] = {
        "dist_type": "fixed",
        "test_mode": False,
        "items": [[0.2, 0.3, 0.4, 0.5, 0.6], [0.4, 0.5, 0.6, 0.7, 0.8]],
        "observe": True,
    }
    assert_seeds_decide(
        lambda: smacv2_v0.parallel_env("terran_5v5", capability_config=config), episodes=2
    )


def test_dice_go_on_however_often_they_are_asked_for():
    dice = Dice(3)
    with dice.rolled(), dice.rolled():
        first = random.random()
    with dice.rolled():
        assert random.random() != first


def test_global_generators_are_left_alone(make):
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), np.random.default_rng
    env, rng = make("terran_5v5"), np.random.default_rng(0)
    episode(env, env.reset()[1], lambda infos: random_move(infos, rng))
    env.reset()
    assert (random.getstate(), np.random.get_state()[1].tolist(), np.random.default_rng) == before


def test_the_configuration_is_not_written_into(make):
    config = smacv2_v0.published("terran_5v5")
    env = make("terran_5v5", capability_config=config)
    env.reset()
    assert config == smacv2_v0.published("terran_5v5")
    assert "env_key" not in config["team_gen"]


@pytest.mark.parametrize("kind", ["crash", "error", "garbage", "few"])
@pytest.mark.parametrize("moment", ["step=30", "obs=20", "battle=2", "create=1"])
def test_after_a_fault_episodes_go_on(make, smacv2, kind, moment):
    smacv2.set(fault=f"{kind}@{moment}", fault_launches="1")
    env, rng = make("terran_5v5", timeout=6), np.random.default_rng(0)
    whole = lost = 0
    env.reset()
    reward = None
    while whole < 2:
        _, infos = env.reset()
        assert reward in (None, env.game.inner.max_reward)
        reward = env.game.inner.max_reward  # the first battle's, for good
        assert all(info["alive"] for info in infos.values())
        *_, told = episode(env, infos, lambda infos: random_move(infos, rng))
        if told[4]["agent_0"]["lost_game"]:
            lost += 1
            assert set(told[1].values()) == {0.0} and all(told[3].values())
        else:
            whole += 1
    assert lost <= 1 and env.game.launches <= 2


def test_units_that_cannot_be_placed_are_drawn_again(make, smacv2, monkeypatch):
    if smacv2.name == "real":
        pytest.skip("the stand-in for the game places everybody")
    env = make("terran_5v5")
    env.reset()
    monkeypatch.setattr(starcraft_stub.StarCraft2EnvV2, "refusals", 2)
    env.reset()
    assert env.game.launches == 1
    monkeypatch.setattr(starcraft_stub.StarCraft2EnvV2, "refusals", 3)
    env.reset()
    assert env.game.launches == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"task": "terran_5v6"}, "knows no task 'terran_5v6': did you mean 'terran_5v5'"),
        ({"map_name": "3m"}, "play them in smac_v0"),
        ({"seed": 3}, "give it to reset"),
        ({"conic_fow": True}, "has no argument 'conic_fow'"),
    ],
)
def test_what_cannot_be_is_refused(smacv2, arguments, said):
    with pytest.raises((TypeError, ValueError), match=said):
        smacv2_v0.parallel_env(**arguments)


def test_two_kinds_in_one_process_are_refused(smacv2, monkeypatch):
    from vdtoolkit.envs import smac_v0

    smacv2_v0.parallel_env()
    with pytest.raises(ImportError, match="smacv2 is loaded in this process, which cannot play"):
        smac_v0.parallel_env()
