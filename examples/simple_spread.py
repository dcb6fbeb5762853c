"""QMIX and Qatten on MPE's simple_spread, three seeds each; an argument sets the episodes."""

import sys
from functools import partial

import torch
from mpe2 import simple_spread_v3

from vdtoolkit import Evaluation, QattenAgents, QMIXAgents, evaluate

torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings

make = partial(simple_spread_v3.parallel_env, N=3, local_ratio=0, max_cycles=25)  # shared reward


def play(agents, env, episodes: int, seed: int) -> None:
    """Play and learn, once an episode."""
    for episode in range(episodes):
        observations, infos = env.reset(seed=1000 * seed + episode)
        while env.agents:
            actions = agents.act(observations, infos, state=env.state())
            observations, rewards, terminations, truncations, infos = env.step(actions)
            agents.observe(observations, rewards, terminations, truncations, infos, env.state())
        agents.learn()


def main(episodes: int = 500, seeds: int = 3, test_episodes: int = 100) -> dict[str, Evaluation]:
    """Greedy returns of the random, the untrained and the trained teams."""
    # velocities are seen: no memory needed; a fast target and large steps suit a short training
    config = {"recurrent": False, "lr": 1e-3, "target_interval": 50, "epsilon_steps": 10 * episodes}
    # before training every move is random where a team explores (epsilon_start is 1)
    teams = {"random": evaluate(QMIXAgents(make()), make, test_episodes, explore=True)}
    for algorithm in (QMIXAgents, QattenAgents):
        for seed in range(seeds):
            agents = algorithm(make(), seed=seed, **config)
            name = f"{agents.label}, seed {seed}"
            teams[f"{name}, untrained"] = evaluate(agents, make, test_episodes)
            play(agents, make(), episodes, seed)
            teams[name] = evaluate(agents, make, test_episodes)
    for name, team in teams.items():
        low, high = team.interval
        print(f"{name:<26} return {team.mean:5.1f}, 95 % interval [{low:5.1f}, {high:5.1f}]")
    return teams


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
