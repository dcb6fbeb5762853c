"""QMIX: monotone mixing by hypernetworks (Rashid et al. 2018, arXiv 1803.11485; JMLR 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.value import ValueAgents
from vdtoolkit.batch import View
from vdtoolkit.config import Config
from vdtoolkit.networks import Utilities, first_layers, mlp
from vdtoolkit.step import TeamSpec


class MonotonicMixer(nn.Module):
    """Q_tot = |W2(s)| ELU(|W1(s)| Q + b1(s)) + V(s), so that dQ_tot/dQ_i >= 0.

    With ELU and one hidden layer the class is monotone, convex and supermodular in the
    utilities: narrower than "monotone" (it cannot hold the OR game), see igm.limits.
    """

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
        in1, b1, in2, in_v = first_layers(state, self.w1, self.b1, self.w2, self.v)
        w1 = self.w1[2](in1).abs().unflatten(-1, (self.n_agents, self.embed_dim))
        # a sum over few agents: many times faster than a batch of tiny matrix products
        hidden = F.elu((agent_qs.unsqueeze(-1) * w1).sum(-2) + b1)
        return (hidden * self.w2[2](in2).abs()).sum(-1) + self.v[2](in_v).squeeze(-1)


@dataclass(frozen=True)
class QMIXConfig(Config):
    """Sizes of the SMAC and JMLR papers (hypernetworks of two layers)."""

    sizes = ("embed_dim", "hyper_dim")
    embed_dim: int = 32
    """Hidden units of the mixer."""
    hyper_dim: int = 64
    """Hidden units of the hypernetworks."""


class QMIXAgents(ValueAgents):
    """Q_tot is monotone in every utility: IGM at any weights."""

    name = "qmix"
    label = "QMIX"
    Config = QMIXConfig
    function_class = "elu_qmix"

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The monotone mixer."""
        c = self.config
        return MonotonicMixer(spec.n_agents, spec.state_dim, c.embed_dim, c.hyper_dim)

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """The living agents' utilities, mixed under the state."""
        return nets.mixer(self.agent_qs(utilities, actions, view), view.state)
