"""QMIX's two-step game: a sum of utilities settles for 7, monotone mixing finds the 8."""

import torch

from vdtoolkit import QMIXAgents, VDNAgents, evaluate, train
from vdtoolkit.envs import two_step_v0

torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings


def main(moves: int = 10_000, seed: int = 0) -> dict[str, float]:
    """What the greedy team of each method earns."""
    returns = {}
    for algorithm in (VDNAgents, QMIXAgents):
        agents = algorithm(
            two_step_v0.parallel_env(),
            seed=seed,
            recurrent=False,  # the state is seen: there is nothing to remember
            last_action=False,
            lr=2e-3,
            target_interval=50,
            epsilon_end=1.0,  # random moves throughout, as in the paper
        )
        train(agents, two_step_v0.parallel_env, moves, n_envs=32, updates_per_episode=0.2)
        returns[agents.label] = evaluate(agents, two_step_v0.parallel_env, episodes=1).mean
        print(f"{agents.label} returns {returns[agents.label]:g}; the best is 8")
    return returns


if __name__ == "__main__":
    main()
