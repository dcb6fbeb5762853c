"""Climbing: three methods, what each learned, and the best that its class of functions can do."""

from functools import partial

import torch

from vdtoolkit import QattenAgents, QMIXAgents, VDNAgents, igm, train
from vdtoolkit.envs import matrix_game_v0

torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings


def main(moves: int = 12_000) -> dict[str, igm.StateAudit]:
    """Train VDN, QMIX and Qatten; what each learned."""
    make = partial(matrix_game_v0.parallel_env, "climbing")
    limits = igm.limits(matrix_game_v0.payoff("climbing"))
    learned = {}
    for algorithm in (VDNAgents, QMIXAgents, QattenAgents):
        agents = algorithm(
            make(), seed=0, recurrent=False, lr=3e-3, batch_size=256, epsilon_end=1.0
        )
        train(agents, make, moves, n_envs=32, updates_per_episode=0.1)
        (state,) = igm.audit(agents, make()).states
        learned[agents.label] = state
        print(f"\n{agents.label} learned\n{state.q_tot.round(1)}")
        print(f"its class can, by least squares\n{limits[agents.function_class].table.round(1)}")
        print(f"the team plays {state.greedy}: {state.regret:g} less than {state.optimum} pays")
    return learned


if __name__ == "__main__":
    main()
