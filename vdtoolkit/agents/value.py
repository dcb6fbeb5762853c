"""`ValueAgents`: epsilon-greedy on utilities, one TD loss on `q_tot`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vdtoolkit.agents.base import Agents
from vdtoolkit.batch import EpisodeBatch, View, chosen, greedy, masked_mean
from vdtoolkit.networks import Utilities
from vdtoolkit.returns import td_lambda_targets


class ValueAgents(Agents):
    """Learns Q_tot(tau, s, u) by regression on r + gamma Q_tot at the greedy joint action.

    An algorithm that fits this frame gives `build_mixer` and `q_tot`, nothing else.
    """

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over valid moves of (Q_tot(taken) - target)^2."""
        online, target, next_actions = self.unrolled(batch)
        now, after = batch.view[:, :-1], batch.view[:, 1:]
        q_tot = self.q_tot(self.online, _at(online, slice(None, -1)), batch.actions, now)
        with torch.no_grad():
            bootstrap = self.q_tot(self.target, _at(target, slice(1, None)), next_actions, after)
        targets = self.targets(batch, bootstrap)
        error = q_tot - targets
        loss = masked_mean(error.square(), batch.valid)
        return loss, {
            "q_tot": masked_mean(q_tot, batch.valid),
            "target": masked_mean(targets, batch.valid),
            "td_error": masked_mean(error.abs(), batch.valid),
        }

    def unrolled(self, batch: EpisodeBatch) -> tuple[Utilities, Utilities, Tensor]:
        """Online and target utilities at all T+1 moments, and the bootstrap's joint actions.

        The actions [B, T, N] are greedy in the online utilities (double Q) or the target's.
        """
        online = self.online.agent.unroll(batch.view.obs, batch.actions)
        with torch.no_grad():
            target = self.target.agent.unroll(batch.view.obs, batch.actions)
        picker = online.qs.detach() if self.config.double_q else target.qs
        return online, target, greedy(picker, batch.view.available)[:, 1:]

    def targets(self, batch: EpisodeBatch, bootstrap: Tensor, **which: Any) -> Tensor:
        """TD(lambda) targets, detached; bootstrap [B, T, ...]; `which` replaces batch's masks."""
        masks = {"terminated": batch.terminated, "valid": batch.valid, **which}
        with torch.no_grad():
            return td_lambda_targets(
                batch.reward,
                masks["terminated"],
                masks["valid"],
                bootstrap,
                self.config.gamma,
                self.config.td_lambda,
            )

    def agent_qs(self, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """Q_i(u_i) as they enter the mixer, [..., N]: a dead agent's is 0, without gradient."""
        return torch.where(self.mixing_alive(view), chosen(utilities.qs, actions), 0.0)


def _at(utilities: Utilities, moments: slice) -> Utilities:
    return Utilities(utilities.qs[:, moments], utilities.hidden[:, moments])
