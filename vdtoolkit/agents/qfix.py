"""QFIX: a thin layer on VDN or QMIX that can hold every function that meets IGM (Baisero et al.
2025, arXiv 2505.10484).

As in the authors' code w and b are networks of the state, and in the additive form advantages enter
without gradient: utilities learn through F alone, w learns what is left.  Departures: V_i is the
best *available* utility; the dead have advantage 0 and no action in w's input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.qmix import MonotonicMixer
from vdtoolkit.agents.value import ValueAgents
from vdtoolkit.batch import View, only_available
from vdtoolkit.config import Config
from vdtoolkit.networks import Utilities, mlp
from vdtoolkit.step import TeamSpec

ABOVE_ZERO = 1e-10  # keeps weights positive, as in the authors' code
Fixee = Literal["sum", "mono", "lin"]
FIXEES = get_args(Fixee)


class QFIXMixer(nn.Module):
    """Q_tot = F(Q) + (w(s, u) - 1) A + b(s), w > 0, A = F(Q) - F(V) <= 0 and V_i = max_a Q_i(a).

    Q_tot is F(V) + b at the greedy joint action and F(V) + b + w A elsewhere, no more, at any
    weights.  F is what is fixed: "sum", VDN's sum; "mono", QMIX's mixer; "lin", VDN's sum with a
    weight for each agent, sum_i (w_i(s, u) - 1) A_i.  The paper writes w for our w - 1 here.

    additive=False: Q_tot = w(s, u) A + b(s), the same functions.
    """

    def __init__(
        self,
        n_agents: int,
        n_actions: int,
        state_dim: int,
        fixee: Fixee = "sum",
        additive: bool = True,
        embed_dim: int = 32,
        hyper_dim: int = 64,
    ) -> None:
        super().__init__()
        self.fixee, self.additive = fixee, additive
        if fixee == "mono":
            self.mono = MonotonicMixer(n_agents, state_dim, embed_dim, hyper_dim)
        terms = n_agents if fixee == "lin" else 1
        self.w = mlp(state_dim + n_agents * n_actions, hyper_dim, terms)
        self.b = mlp(state_dim, hyper_dim, 1)

    def forward(self, agent_qs: Tensor, best_qs: Tensor, taken: Tensor, state: Tensor) -> Tensor:
        """Q_tot [...]; agent_qs, best_qs [..., N]: Q_i(u_i) and V_i; see `weights` for the rest."""
        q, w = self.terms(agent_qs, state), self.weights(taken, state)
        advantages = q - self.terms(best_qs, state)
        fixed = q + (w - 1.0) * advantages.detach() if self.additive else w * advantages
        return fixed.sum(-1) + self.b(state).squeeze(-1)

    def terms(self, qs: Tensor, state: Tensor) -> Tensor:
        """What F of utilities [..., N] is the sum of: [..., 1], or for "lin" [..., N]."""
        if self.fixee == "mono":
            return self.mono(qs, state).unsqueeze(-1)
        return qs if self.fixee == "lin" else qs.sum(-1, keepdim=True)

    def weights(self, taken: Tensor, state: Tensor) -> Tensor:
        """w(s, u) > 0 of each term; taken [..., N, A]: u_i as one-hot, state [..., S].

        It is near 1 at birth: the additive form begins as what it fixes.
        """
        both = torch.cat([state, taken.flatten(-2)], -1)
        return (1.0 + self.w(both)).abs() + ABOVE_ZERO


@dataclass(frozen=True)
class QFIXConfig(Config):
    """Q+FIX-sum with the authors' sizes; their SMACv2 runs take lr=1e-3, td_lambda=0.6."""

    sizes: ClassVar[tuple[str, ...]] = ("embed_dim", "hyper_dim")
    fixee: Fixee = "sum"
    """What is fixed. 'sum': VDN; 'mono': QMIX; 'lin': VDN, with a weight for each agent."""
    additive: bool = True
    """Q+FIX, which adds to what is fixed, as in all of the paper's runs; off: QFIX."""
    embed_dim: int = 32
    """Hidden units of QMIX's mixer, where it is fixed."""
    hyper_dim: int = 64
    """Hidden units of every other network in the mixer."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        super().__post_init__()
        if self.fixee not in FIXEES:
            known = ", ".join(map(repr, FIXEES))
            raise ValueError(f"fixee={self.fixee!r}: it must be one of {known}")


class QFIXAgents(ValueAgents):
    """Q_tot is any function whose maximum the utilities find: IGM at any weights."""

    name = "qfix"
    label = "QFIX"
    Config = QFIXConfig
    function_class = "unrestricted"

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The fixing layer on what it fixes."""
        c, sizes = self.config, (spec.n_agents, spec.n_actions, spec.state_dim)
        return QFIXMixer(*sizes, c.fixee, c.additive, c.embed_dim, c.hyper_dim)

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """The living agents' utilities and best utilities, fixed."""
        return nets.mixer(*self._parts(utilities, actions, view), view.state)

    def _parts(
        self, utilities: Utilities, actions: Tensor, view: View
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Q_i(u_i) [..., N], V_i [..., N], u as one-hot [..., N, A]; of the dead nothing but 0."""
        alive = self.mixing_alive(view)
        best = only_available(utilities.qs, view.available).amax(-1)
        taken = F.one_hot(actions, utilities.qs.shape[-1]) * alive.unsqueeze(-1)
        return (
            self.agent_qs(utilities, actions, view),
            torch.where(alive, best, 0.0),
            taken.to(utilities.qs.dtype),
        )

    def evidence(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> dict[str, Tensor]:
        """w(s, u) and A, [...] each; with "lin" w_i and A_i, [..., N]."""
        own, best, taken = self._parts(utilities, actions, view)
        mixer, state = nets.mixer, view.state
        told = {
            "w(s, u)": mixer.weights(taken, state),
            "A": mixer.terms(own, state) - mixer.terms(best, state),
        }
        return told if mixer.fixee == "lin" else {k: x.squeeze(-1) for k, x in told.items()}
