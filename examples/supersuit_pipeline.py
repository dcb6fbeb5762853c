"""An env through SuperSuit's wrappers, then our agents: an unlike team, trained as any other."""

import supersuit
import torch
from mpe2 import simple_speaker_listener_v4

from vdtoolkit import Evaluation, QMIXAgents, evaluate, train

torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings


def make():
    """The env, wrapped."""
    env = simple_speaker_listener_v4.parallel_env(max_cycles=25)
    env = supersuit.clip_reward_v0(env, -5.0, 0.0)
    env = supersuit.dtype_v0(env, "float32")
    # the last two observations in one: motion is seen, so the agents need no memory of their own.
    # Nothing is padded: the speaker sees 3 numbers a frame and has 3 actions, the listener 11 and 5
    return supersuit.frame_stack_v1(env, 2)


def main(moves: int = 15_000, episodes: int = 100) -> tuple[Evaluation, Evaluation]:
    """Greedy returns before and after training."""
    agents = QMIXAgents(make(), seed=0, recurrent=False, lr=1e-3, epsilon_steps=moves // 3)
    before = evaluate(agents, make, episodes)
    train(agents, make, moves, n_envs=8)
    after = evaluate(agents, make, episodes)
    for when, team in (("untrained", before), ("trained", after)):
        low, high = team.interval
        print(f"{when:<9} return {team.mean:.1f}, 95 % interval [{low:.1f}, {high:.1f}]")
    return before, after


if __name__ == "__main__":
    main()
