"""QTRAN's game: the best joint action (8) lies beside the worst ones (-12).  Is it found?"""

import torch

from vdtoolkit import QTRANBaseAgents, igm
from vdtoolkit.envs import matrix_game_v0

torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings


def main(episodes: int = 3000) -> igm.Audit:
    """Train QTRAN-base in the plain loop; its audit."""
    env = matrix_game_v0.parallel_env("nonmonotonic")
    # the game is seen whole, so no memory; random moves throughout, so that all are tried alike
    agents = QTRANBaseAgents(env, seed=0, recurrent=False, lr=2e-3, epsilon_end=1.0)

    for _ in range(episodes):
        observations, infos = env.reset()
        while env.agents:
            actions = agents.act(observations, infos, state=env.state())
            observations, rewards, terminations, truncations, infos = env.step(actions)
            agents.observe(
                observations, rewards, terminations, truncations, infos, state=env.state()
            )
            agents.learn()

    audit = igm.audit(agents, env)
    print(audit)
    return audit


if __name__ == "__main__":
    main()
