"""`ValueAgents`: epsilon-greedy on utilities, one TD loss on `q_tot`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vdtoolkit.agents.base import Agents, Networks
from vdtoolkit.batch import EpisodeBatch, View, chosen, greedy, masked_mean
from vdtoolkit.networks import Utilities
from vdtoolkit.returns import td_lambda_targets

# (networks, utilities, joint actions [..., N], view) -> [...] or [..., N]
Value = Callable[[Networks, Utilities, Tensor, View], Tensor]


class ValueAgents(Agents):
    """Learns Q_tot(tau, s, u) by regression on r + gamma Q_tot at the greedy joint action.

    An algorithm that fits this frame gives `build_mixer` and `q_tot`, nothing else.
    """

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over valid moves of (Q_tot(taken) - target)^2."""
        online = self.unroll(batch)
        now = self.see(self.online, batch.view[:, :-1])
        q_tot = self.q_tot(self.online, before(online), batch.actions, now)
        return self.td_loss(batch, online, q_tot)

    def td_loss(
        self, batch: EpisodeBatch, online: Utilities, q_tot: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`loss` for a q_tot at the actions taken, [B, T], that is there already."""
        targets = self.targets(batch, self.bootstrap(batch, online, self.q_tot, q_tot))
        error = q_tot - targets
        return masked_mean(error.square(), batch.valid), {
            "q_tot": masked_mean(q_tot, batch.valid),
            "target": masked_mean(targets, batch.valid),
            "td_error": masked_mean(error.abs(), batch.valid),
        }

    def unroll(self, batch: EpisodeBatch) -> Utilities:
        """Online utilities at all T+1 moments, qs [B, T+1, N, A]."""
        return self.utilities_of(self.online, batch.view.obs, batch.actions)

    @torch.no_grad()
    def bootstrap(
        self, batch: EpisodeBatch, online: Utilities, value: Value, like: Tensor
    ) -> Tensor:
        """What the target networks say of the moments that moves led to, [B, T, ...].

        value: `q_tot` or another of its kind, asked at the joint actions that are greedy for the
        online networks (double Q) or the target's own.  Zeros like `like` where nothing is
        bootstrapped, as in one-shot games.
        """
        if not batch.bootstraps:
            return torch.zeros_like(like)
        target = after(self.utilities_of(self.target, batch.view.obs, batch.actions))
        nets, picker = (
            (self.online, after(online)) if self.config.double_q else (self.target, target)
        )
        then = batch.view[:, 1:]
        actions = greedy(self.preferences(nets, picker, then), then.available)
        return value(self.target, target, actions, self.see(self.target, then))

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


def before(utilities: Utilities) -> Utilities:
    """The moments at which moves were made: all but the last."""
    return Utilities(utilities.qs[:, :-1], utilities.hidden[:, :-1])


def after(utilities: Utilities) -> Utilities:
    """The moments that moves led to: all but the first."""
    return Utilities(utilities.qs[:, 1:], utilities.hidden[:, 1:])
