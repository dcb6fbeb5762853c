"""RLlib's parallel wrapper over our environments: spaces, a policy for each unlike agent."""

from functools import partial

import pytest
from bridges.tools import needs
from bridges.watch import Watch
from teams import Rooms

from vdtoolkit.envs import hidden_payoff_v0, matrix_game_v0, two_step_v0

pytestmark = needs("rllib")

TEAMS = {
    "matrix_game": partial(matrix_game_v0.parallel_env, "climbing", max_cycles=5),
    "two_step": two_step_v0.parallel_env,
    "hidden_payoff": hidden_payoff_v0.parallel_env,
    "unlike agents": partial(Rooms, illegal_action="replace"),
    "agents that die": Watch,
}


@pytest.mark.parametrize("team", TEAMS)
def test_the_wrapper_plays_a_whole_episode(team):
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv

    env, plain = ParallelPettingZooEnv(TEAMS[team]()), TEAMS[team]()
    seen, _ = env.reset(seed=4)
    assert set(seen) == set(plain.possible_agents)
    for _ in range(6):
        actions = {agent: 1 for agent in env.par_env.agents}
        seen, rewards, terminated, truncated, _ = env.step(actions)
        assert set(rewards) == set(actions)
        if terminated["__all__"] or truncated["__all__"]:
            return
    raise AssertionError("the episode did not end")


@pytest.mark.parametrize("team", ["unlike agents", "agents that die"])
def test_ppo_trains_a_policy_for_each_agent(team):
    import ray
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
    from ray.tune.registry import register_env

    register_env("team", lambda config: ParallelPettingZooEnv(TEAMS[team]()))
    names = set(TEAMS[team]().possible_agents)
    config = PPOConfig().environment("team").env_runners(num_env_runners=0)
    config.multi_agent(policies=names, policy_mapping_fn=lambda agent, *_, **__: agent)
    config.training(train_batch_size_per_learner=64, minibatch_size=32, num_epochs=1)
    ray.init(num_cpus=1, include_dashboard=False)
    try:
        algorithm = config.build_algo()
        told = algorithm.train()
        algorithm.stop()
    finally:
        ray.shutdown()
    assert told["env_runners"]["num_env_steps_sampled_lifetime"] >= 64
    assert names <= set(told["learners"])
