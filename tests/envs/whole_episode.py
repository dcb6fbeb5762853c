"""Seed tests over whole episodes: PettingZoo 1.27's parallel_seed_test stops after one move."""

import numpy as np
from gymnasium.utils.env_checker import data_equivalence


def play(env, seed, episodes=4, actions_seed=1000):
    """Everything that an env says during some episodes of random play; only the first is seeded."""
    rng = np.random.default_rng(actions_seed)
    said = []
    for episode in range(episodes):
        said.append((*env.reset(seed=seed if episode == 0 else None), state_of(env)))
        while env.agents:
            actions = {}
            for agent in env.agents:
                mask = said[-1][-2][agent].get("action_mask", np.ones(env.action_space(agent).n))
                actions[agent] = int(rng.choice(np.flatnonzero(mask)))
            said.append((*env.step(actions), state_of(env)))
    env.close()
    return said


def state_of(env):
    return env.state() if hasattr(env, "state_space") else None


def assert_seeds_decide(make, seed=3, episodes=4):
    """Equal seeds give equal observations, rewards, ends, infos and states, and so again."""
    env = make()
    first, again = play(env, seed, episodes), play(env, seed, episodes)
    second = play(make(), seed, episodes)
    assert len(first) >= 2 * episodes
    assert data_equivalence(first, second), "two envs with one seed differ"
    assert data_equivalence(first, again), "one env, seeded again, differs"


def assert_chance_matters(make, episodes=12):
    """Different seeds give different play under the same actions."""
    assert not data_equivalence(play(make(), 0, episodes), play(make(), 1, episodes))
