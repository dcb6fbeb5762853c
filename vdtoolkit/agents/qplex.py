"""QPLEX: duplex dueling, which can hold every function that meets IGM (Wang et al. 2021, arXiv
2008.01062).

As in the authors' code the advantages enter without gradient: utilities learn through sum_i Q'_i
alone and lambda learns what is left.  Departures: V_i is the best *available* utility; the dead
have advantage 0 and no action in lambda's input.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.value import ValueAgents
from vdtoolkit.batch import View, only_available
from vdtoolkit.config import Config
from vdtoolkit.networks import GroupedLinear, Utilities, mlp
from vdtoolkit.step import TeamSpec

ABOVE_ZERO = 1e-10  # keeps weights positive, as in the authors' code


def kernels(n: int, *sizes: int) -> nn.Sequential:
    """n independent MLPs of these sizes on one input: [..., sizes[0]] -> [..., n, sizes[-1]]."""
    first, second, *rest = sizes
    layers: list[nn.Module] = [nn.Linear(first, n * second), nn.Unflatten(-1, (n, second))]
    for i, o in itertools.pairwise([second, *rest]):
        layers += [nn.ReLU(), GroupedLinear(n, i, o)]
    return nn.Sequential(*layers)


class QPLEXMixer(nn.Module):
    """Q_tot = sum_i Q'_i + sum_i (lambda_i(s, u) - 1) A'_i, lambda_i > 0, A'_i <= 0.

    Q'_i = w_i(s) Q_i + b_i(s), w_i > 0, and A'_i = w_i(s) (Q_i - V_i) with V_i = max_a Q_i(a):
    Q_tot is sum_i V'_i at the greedy joint action and no more elsewhere, at any weights.

    lambda_i = sum_k (|key_k(s)| + 1e-10) sigmoid(agents_k(s))_i sigmoid(actions_k(s, u))_i
    """

    def __init__(
        self,
        n_agents: int,
        n_actions: int,
        state_dim: int,
        n_kernels: int = 10,
        hyper_dim: int = 64,
        adv_layers: int = 3,
    ) -> None:
        super().__init__()
        self.w = mlp(state_dim, hyper_dim, n_agents)
        self.b = mlp(state_dim, hyper_dim, n_agents)
        inside = [hyper_dim] * (adv_layers - 1)
        self.key = kernels(n_kernels, state_dim, *inside, 1)
        self.agents = kernels(n_kernels, state_dim, *inside, n_agents)
        self.actions = kernels(n_kernels, state_dim + n_agents * n_actions, *inside, n_agents)

    def forward(self, agent_qs: Tensor, best_qs: Tensor, taken: Tensor, state: Tensor) -> Tensor:
        """Q_tot [...]; agent_qs, best_qs [..., N]: Q_i(u_i) and V_i; see `lambdas` for the rest."""
        w = self.weights(state)
        advantages = (w * (agent_qs - best_qs)).detach()
        mixed = w * agent_qs + self.b(state) + (self.lambdas(taken, state) - 1.0) * advantages
        return mixed.sum(-1)

    def weights(self, state: Tensor) -> Tensor:
        """w_i(s) > 0: [..., N]."""
        return self.w(state).abs() + ABOVE_ZERO

    def lambdas(self, taken: Tensor, state: Tensor) -> Tensor:
        """lambda_i(s, u) > 0: [..., N]; taken [..., N, A]: u_i as one-hot, state [..., S]."""
        both = torch.cat([state, taken.flatten(-2)], -1)
        parts = torch.sigmoid(self.agents(state)) * torch.sigmoid(self.actions(both))
        return ((self.key(state).abs() + ABOVE_ZERO) * parts).sum(-2)


@dataclass(frozen=True)
class QPLEXConfig(Config):
    """Sizes of the authors' matrix games; their SMAC runs take n_kernels=4, adv_layers=1."""

    sizes = ("n_kernels", "hyper_dim", "adv_layers")
    n_kernels: int = 10
    """Kernels that lambda is a sum of."""
    hyper_dim: int = 64
    """Hidden units of every network in the mixer."""
    adv_layers: int = 3
    """Linear layers of each of lambda's networks."""


class QPLEXAgents(ValueAgents):
    """Q_tot is any function whose maximum the utilities find: IGM at any weights."""

    name = "qplex"
    label = "QPLEX"
    Config = QPLEXConfig
    function_class = "unrestricted"

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The duplex dueling mixer."""
        c = self.config
        return QPLEXMixer(
            spec.n_agents, spec.n_actions, spec.state_dim, c.n_kernels, c.hyper_dim, c.adv_layers
        )

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """The living agents' utilities and best utilities under the duplex mixer."""
        return nets.mixer(*self._parts(utilities, actions, view), view.state)

    def _parts(
        self, utilities: Utilities, actions: Tensor, view: View
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Q_i(u_i) [..., N], V_i [..., N] without gradient, u as one-hot [..., N, A]."""
        alive = self.mixing_alive(view)
        best = only_available(utilities.qs.detach(), view.available).amax(-1)
        taken = F.one_hot(actions, utilities.qs.shape[-1]) * alive.unsqueeze(-1)
        return (
            self.agent_qs(utilities, actions, view),
            torch.where(alive, best, 0.0),
            taken.to(utilities.qs.dtype),
        )

    def evidence(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> dict[str, Tensor]:
        """lambda_i, A'_i and w_i(s), each [..., N]."""
        own, best, taken = self._parts(utilities, actions, view)
        w = nets.mixer.weights(view.state)
        return {
            "lambda": nets.mixer.lambdas(taken, view.state),
            "A'": w * (own - best),
            "w(s)": w,
        }
