"""A payoff of one's own: three agents with 2, 3 and 4 actions, audited beside the limits."""

import numpy as np
import torch

from vdtoolkit import QMIXAgents, igm, train
from vdtoolkit.envs import matrix_game_v0

torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings

PAYOFF = np.zeros((2, 3, 4))  # one axis an agent
PAYOFF[1, 2, 3] = 10.0  # if all play their last action
PAYOFF[1, 2, :3] = PAYOFF[1, :2, 3] = PAYOFF[0, 2, 3] = -6.0  # if exactly one does not
PAYOFF[0, 0, 0] = 4.0  # a safe alternative


def make() -> matrix_game_v0.raw_env:
    """The one-shot game of this payoff."""
    return matrix_game_v0.parallel_env(PAYOFF)


def main(moves: int = 12_000) -> tuple[igm.Audit, dict[str, igm.Limit]]:
    """Train QMIX; its audit and what each class of functions can do."""
    limits = igm.limits(PAYOFF)
    for name, limit in limits.items():
        best = "not computed" if limit.greedy is None else f"plays {limit.greedy}"
        print(f"{name:<12} {best}  {limit.note}")

    agents = QMIXAgents(make(), seed=0, recurrent=False, lr=3e-3, epsilon_end=1.0)
    train(agents, make, moves, n_envs=32, updates_per_episode=0.1)
    audit = igm.audit(agents, make())
    print(audit)
    return audit, limits


if __name__ == "__main__":
    main()
