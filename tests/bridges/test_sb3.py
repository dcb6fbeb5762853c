"""Stable-Baselines3 beyond the page: its own checker, and what MultiDiscrete settles for."""

from functools import partial

import pytest
from bridges.tools import needs
from teams import Rooms

from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.team_env import TeamEnv

pytestmark = needs("sb3")


@pytest.mark.parametrize(
    "make",
    [partial(matrix_game_v0.parallel_env, "climbing"), partial(Rooms, illegal_action="replace")],
)
def test_a_team_passes_sb3s_checker(make):
    from stable_baselines3.common.env_checker import check_env

    check_env(TeamEnv(make()), warn=False)


def test_ppo_draws_the_parts_of_a_joint_action_apart_and_settles_for_the_0():
    from stable_baselines3 import PPO
    from stable_baselines3.common.evaluation import evaluate_policy

    env = TeamEnv(matrix_game_v0.parallel_env("nonmonotonic"))
    learner = PPO("MultiInputPolicy", env, n_steps=256, batch_size=256, learning_rate=1e-2, seed=0)
    returned, _ = evaluate_policy(learner.learn(2_048), env, n_eval_episodes=5, warn=False)
    assert returned == 0


def test_the_vector_bridge_has_no_seed_for_ppo():
    import supersuit
    from stable_baselines3 import PPO

    rows = supersuit.pettingzoo_env_to_vec_env_v1(matrix_game_v0.parallel_env("monotonic"))
    envs = supersuit.concat_vec_envs_v1(rows, 2, base_class="stable_baselines3")
    with pytest.raises(AttributeError, match="'ConcatVecEnv' object has no attribute 'seed'"):
        PPO("MlpPolicy", envs, seed=0)
