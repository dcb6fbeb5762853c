"""Independent Q-learning (Tan 1993): every agent regresses the team's reward on its own action.

There is no Q_tot.  What stands for it in audits is the sum of the utilities, labelled implicit;
no IGM is claimed for it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.value import ValueAgents
from vdtoolkit.batch import EpisodeBatch, View, chosen, masked_mean
from vdtoolkit.networks import Utilities
from vdtoolkit.step import TeamSpec


class IQLAgents(ValueAgents):
    """Independent Q-learners; at uniform partners Q_i(u_i) tends to E[R | u_i]."""

    name = "iql"
    label = "IQL"
    claim = "none"
    function_class = "independent"
    reads_state = False
    symmetric = True
    q_tot_label = "sum of Q_i (implicit)"

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """Nothing to mix."""
        return nn.Identity()

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """The sum of utilities: implicit, never learned as such."""
        return self.agent_qs(utilities, actions, view).sum(-1)

    def own_q(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """Q_i(u_i) of every agent: [..., N]."""
        return chosen(utilities.qs, actions)

    def weights(self, batch: EpisodeBatch, error: Tensor) -> Tensor:
        """What the squares count; error: Q_i - y_i, detached, [B, T, N].  Here all alike."""
        return torch.ones_like(error)

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over valid moves of living agents of `weights` (Q_i(taken) - y_i)^2.

        y_i = r + gamma Q_i(next, own greedy); an agent that is dead afterwards has no next.
        """
        online = self.unroll(batch)
        alive = self.mixing_alive(batch.view)
        learns = batch.valid.unsqueeze(-1) * alive[:, :-1]  # [B, T, N]
        q = chosen(online.qs[:, :-1], batch.actions)
        targets = self.targets(
            batch,
            self.bootstrap(batch, online, self.own_q, q),
            terminated=batch.terminated.unsqueeze(-1) | ~alive[:, 1:],
            valid=learns,
        )
        error = q - targets
        weights = self.weights(batch, error.detach())
        return masked_mean(weights * error.square(), learns), {
            "q": masked_mean(q, learns),
            "target": masked_mean(targets, learns),
            "td_error": masked_mean(error.abs(), learns),
        }
