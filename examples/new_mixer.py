"""A new algorithm in one file: tanh mixing holds the OR game, which QMIX's convex ELU cannot."""

import torch
from torch import nn

from vdtoolkit import ALGORITHMS, QMIXAgents, ValueAgents, igm, train
from vdtoolkit.envs import matrix_game_v0

torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings


class TanhMixer(nn.Module):  # Q_tot = |w2(s)| tanh(|w1(s)| Q + b1(s)) + v(s)
    def __init__(self, n_agents, state_dim, width=32):
        super().__init__()
        sizes = (n_agents * width, width, width, 1)
        self.w1, self.b1, self.w2, self.v = (nn.Linear(state_dim, size) for size in sizes)

    def forward(self, agent_qs, state):  # [..., N], [..., S] -> [...]
        w1 = self.w1(state).abs().unflatten(-1, (agent_qs.shape[-1], -1))
        hidden = torch.tanh(torch.einsum("...n,...nd->...d", agent_qs, w1) + self.b1(state))
        return (hidden * self.w2(state).abs()).sum(-1) + self.v(state).squeeze(-1)


class TanhAgents(ValueAgents):
    name, label, function_class = "tanh", "tanh mixing", "monotone"

    def build_mixer(self, spec):
        return TanhMixer(spec.n_agents, spec.state_dim)

    def q_tot(self, nets, utilities, actions, view):
        return nets.mixer(self.agent_qs(utilities, actions, view), view.state)


ALGORITHMS[TanhAgents.name] = TanhAgents  # so that load() finds it; commands need no such line


def main(moves=12_000):
    audits = {}
    for algorithm in (QMIXAgents, TanhAgents):
        env = matrix_game_v0.parallel_env("or")
        agents = algorithm(env, recurrent=False, lr=3e-3, epsilon_end=1.0)
        train(agents, lambda: matrix_game_v0.parallel_env("or"), moves, 32, updates_per_episode=0.1)
        audits[agents.name] = igm.audit(agents, env)
        print(audits[agents.name])
    return audits


if __name__ == "__main__":
    main()
