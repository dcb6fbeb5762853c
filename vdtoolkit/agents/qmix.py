"""QMIX: monotone mixing by hypernetworks (Rashid et al. 2018, arXiv 1803.11485; JMLR 2020).

mixer_activation="split" is an addition: the paper speaks of all monotone functions, its mixer holds
the convex and supermodular ones among them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
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


class UniversalMixer(nn.Module):
    """Q_tot = |W4(s)| x3 + V(s), x_k = split(|W_k(s)| x_(k-1) + b_k(s)), x_0 = Q.

    split is ELU(x) in the first half of a layer's units and -ELU(-x) in the second.  On finitely
    many points Q this holds every non-decreasing function f, with large weights k:

    - layer 1: -ELU(-k (Q_i - p_i)) tends to 1 where Q_i > p_i and far down elsewhere
    - layer 2: ELU of their sum over i, less N, tends to 0 where Q > p in all parts, else to -1
    - layer 3: -ELU(-k (...)) of the sum over all points p with f(p) >= l tends to 1 where any
      holds, and is one low number where none does: the level set f >= l
    - f is a non-negative sum of its level sets, plus a constant

    One layer of such units is too few: on Q in {0, 1, 2}^2 it cannot be 0 at (0, 0), (0, 2) and
    (2, 0) and 1 at (1, 1), as each unit is at (1, 1) no higher than at the larger of the two.
    """

    def __init__(
        self, n_agents: int, state_dim: int, embed_dim: int = 32, hyper_dim: int = 64
    ) -> None:
        super().__init__()
        self.sizes = list(itertools.pairwise([n_agents, embed_dim, embed_dim, embed_dim, 1]))
        self.w = nn.ModuleList(mlp(state_dim, hyper_dim, i * o) for i, o in self.sizes)
        self.b = nn.ModuleList(nn.Linear(state_dim, o) for _, o in self.sizes[:-1])
        self.v = mlp(state_dim, embed_dim, 1)

    def forward(self, agent_qs: Tensor, state: Tensor) -> Tensor:
        """agent_qs [..., N], state [..., S] -> Q_tot [...]."""
        x = agent_qs
        pairs = zip(self.w, self.sizes, strict=True)
        *inner, last = (w(state).abs().unflatten(-1, size) for w, size in pairs)
        for weights, b in zip(inner, self.b, strict=True):
            x = split_elu((x.unsqueeze(-1) * weights).sum(-2) + b(state))
        return (x * last.squeeze(-1)).sum(-1) + self.v(state).squeeze(-1)


def split_elu(x: Tensor) -> Tensor:
    """ELU(x) in the first half of the last axis, -ELU(-x) in the second."""
    half = x.shape[-1] // 2
    return torch.cat([F.elu(x[..., :half]), -F.elu(-x[..., half:])], -1)


MIXERS = {"elu": (MonotonicMixer, "elu_qmix"), "split": (UniversalMixer, "monotone")}


@dataclass(frozen=True)
class QMIXConfig(Config):
    """Sizes of the SMAC and JMLR papers (hypernetworks of two layers)."""

    sizes: ClassVar[tuple[str, ...]] = ("embed_dim", "hyper_dim")
    embed_dim: int = 32
    """Hidden units of the mixer."""
    hyper_dim: int = 64
    """Hidden units of the hypernetworks."""
    mixer_activation: str = "elu"
    """'elu': the papers' mixer, convex and supermodular; 'split': three layers of ELU(x) and
    -ELU(-x), which can be any monotone function."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        super().__post_init__()
        if self.mixer_activation not in MIXERS:
            known = " or ".join(map(repr, MIXERS))
            raise ValueError(f"mixer_activation={self.mixer_activation!r}: it must be {known}")


class QMIXAgents(ValueAgents):
    """Q_tot is monotone in every utility: IGM at any weights."""

    name = "qmix"
    label = "QMIX"
    Config = QMIXConfig
    function_class = "elu_qmix"

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The monotone mixer."""
        c = self.config
        mixer, self.function_class = MIXERS[c.mixer_activation]
        return mixer(spec.n_agents, spec.state_dim, c.embed_dim, c.hyper_dim)

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """The living agents' utilities, mixed under the state."""
        return nets.mixer(self.agent_qs(utilities, actions, view), view.state)
