"""Non-monotonic QMIX: QMIX with weights of either sign, taught by SARSA ("Beyond Monotonicity",
Hu et al. 2026, AAAI, arXiv 2511.09792).

Nothing makes IGM hold.  The paper argues that play near the greedy actions leads there;
docs/methods.md has what speaks against it.  Left out: the intrinsic reward of its battles (random
network distillation), whose weight it does not give.  Departure: where a time limit leaves no next
move, the greedy one answers for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.value import Value, ValueAgents
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.config import Config
from vdtoolkit.networks import Utilities, mlp
from vdtoolkit.step import TeamSpec


class UnconstrainedMixer(nn.Module):
    """Q_tot = W2(s) ELU(W1(s) Q + b1(s)) + V(s): QMIX's mixer with W1, W2 of either sign."""

    def __init__(
        self, n_agents: int, state_dim: int, embed_dim: int = 32, hyper_dim: int = 64
    ) -> None:
        super().__init__()
        self.n_agents, self.embed_dim = n_agents, embed_dim
        self.w1 = mlp(state_dim, hyper_dim, n_agents * embed_dim)
        self.b1 = nn.Linear(state_dim, embed_dim)
        self.w2 = mlp(state_dim, hyper_dim, embed_dim)
        self.v = mlp(state_dim, embed_dim, 1)

    def forward(self, agent_qs: Tensor, state: Tensor) -> Tensor:
        """agent_qs [..., N], state [..., S] -> Q_tot [...]."""
        w1 = self.w1(state).unflatten(-1, (self.n_agents, self.embed_dim))
        hidden = F.elu((agent_qs.unsqueeze(-1) * w1).sum(-2) + self.b1(state))
        return (hidden * self.w2(state)).sum(-1) + self.v(state).squeeze(-1)


@dataclass(frozen=True)
class NonMonotonicQMIXConfig(Config):
    """QMIX's sizes: without the constraint the paper's mixer is QMIX's."""

    sizes: ClassVar[tuple[str, ...]] = ("embed_dim", "hyper_dim")
    embed_dim: int = 32
    """Hidden units of the mixer."""
    hyper_dim: int = 64
    """Hidden units of the hypernetworks."""
    sarsa: bool = True
    """Bootstrap at the joint action that was made next, not at the greedy one."""


class NonMonotonicQMIXAgents(ValueAgents):
    """Q_tot is any function of the utilities: no IGM is promised.

    With SARSA it is the value of the team's own play: no limit of a class is its target.
    """

    name = "nonmonotonic_qmix"
    label = "Non-monotonic QMIX"
    Config = NonMonotonicQMIXConfig
    claim = "none"
    function_class = "unknown"

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The unconstrained mixer."""
        c = self.config
        self.function_class = "unknown" if c.sarsa else "unrestricted"
        return UnconstrainedMixer(spec.n_agents, spec.state_dim, c.embed_dim, c.hyper_dim)

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """The living agents' utilities, mixed under the state."""
        return nets.mixer(self.agent_qs(utilities, actions, view), view.state)

    def bootstrap(
        self, batch: EpisodeBatch, online: Utilities, value: Value, like: Tensor
    ) -> Tensor:
        """Q_tot^-(s', u') at the u' made next; greedy where none was, or with sarsa=False."""
        made = batch.valid[:, 1:].bool().unsqueeze(-1)  # [B, T-1, 1]

        def at_next(nets: Networks, utilities: Utilities, best: Tensor, then: View) -> Tensor:
            followed = torch.where(made, batch.actions[:, 1:], best[:, :-1])
            return value(nets, utilities, torch.cat([followed, best[:, -1:]], 1), then)

        return super().bootstrap(batch, online, at_next if self.config.sarsa else value, like)
