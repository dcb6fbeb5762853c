"""A new algorithm in one file: a mixer that holds the OR game, which QMIX's mixer cannot.

QMIX's ELU is convex, OR is not; tanh is monotone and neither, so IGM holds here as well.
"""

from functools import partial

import torch
from torch import nn

from vdtoolkit import ALGORITHMS, QMIXAgents, ValueAgents, igm, train
from vdtoolkit.envs import matrix_game_v0

torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings


class TanhMixer(nn.Module):
    """Q_tot = |w2(s)| tanh(|w1(s)| Q + b1(s)) + v(s)."""

    def __init__(self, n_agents, state_dim, embed_dim=32):
        super().__init__()
        self.w1 = nn.Linear(state_dim, n_agents * embed_dim)
        self.b1 = nn.Linear(state_dim, embed_dim)
        self.w2 = nn.Linear(state_dim, embed_dim)
        self.v = nn.Linear(state_dim, 1)

    def forward(self, agent_qs, state):
        """agent_qs [..., N], state [..., S] -> Q_tot [...]."""
        w1 = self.w1(state).abs().unflatten(-1, (agent_qs.shape[-1], -1))
        hidden = torch.tanh(torch.einsum("...n,...nd->...d", agent_qs, w1) + self.b1(state))
        return (hidden * self.w2(state).abs()).sum(-1) + self.v(state).squeeze(-1)


class TanhAgents(ValueAgents):
    """The rest of the algorithm: networks, replay, targets and exploration are inherited."""

    name, label, function_class = "tanh", "tanh mixing", "monotone"

    def build_mixer(self, spec):
        """The mixer for a team of these sizes."""
        return TanhMixer(spec.n_agents, spec.state_dim)

    def q_tot(self, nets, utilities, actions, view):
        """Q_tot of joint actions: how the mixer is fed."""
        return nets.mixer(self.agent_qs(utilities, actions, view), view.state)


ALGORITHMS[TanhAgents.name] = TanhAgents  # so that load() finds it by name, too


def main(moves: int = 12_000) -> dict[str, igm.Audit]:
    """Train QMIX and the new one on OR; the audit of each."""
    make, audits = partial(matrix_game_v0.parallel_env, "or"), {}
    for algorithm in (QMIXAgents, ALGORITHMS["tanh"]):
        agents = algorithm(make(), seed=0, recurrent=False, lr=3e-3, epsilon_end=1.0)
        train(agents, make, moves, n_envs=32, updates_per_episode=0.1)
        audits[agents.name] = igm.audit(agents, make())
        print(audits[agents.name])
    return audits


if __name__ == "__main__":
    main()
