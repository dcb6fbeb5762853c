"""QTRAN-base and QTRAN-alt (Son et al. 2019, arXiv 1905.05408).

An unrestricted Q_jt is learned by TD; the utilities are fitted to it so that Q'_jt = sum_i Q_i,
corrected by V_jt, meets conditions under which IGM holds: (4a) Q' - Q_jt + V = 0 at the greedy
joint action, (4b) >= 0 elsewhere (base), or (7) the least of it over each agent's own actions
= 0 (alt).  IGM holds where these are met, so after training, not at any weights.

The defaults are the paper's form.  `QTRANConfig.pymarl()` is PyMARL's: the state is fed to Q_jt,
V_jt sees the state alone, double Q, and L_nopt counts 0.1.

The joint networks start from the authors' weights, N(0, 0.1), and zero biases: with PyTorch's
default biases the ReLUs of Q_jt can all stay on one side for every joint action, and Q_jt is then
additive for good (seen on QTRAN's game in 2 of 8 seeds).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.value import ValueAgents, before
from vdtoolkit.batch import EpisodeBatch, View, chosen, greedy, masked_mean
from vdtoolkit.config import Config
from vdtoolkit.networks import Utilities, mlp
from vdtoolkit.step import TeamSpec


@dataclass(frozen=True)
class QTRANConfig(Config):
    """The paper's form; bootstraps at the target network's greedy actions."""

    sizes = ("joint_dim",)
    double_q: bool = False
    joint_dim: int = 64
    """Hidden units of the joint networks."""
    lambda_opt: float = 1.0
    """Weight of L_opt."""
    lambda_nopt: float = 1.0
    """Weight of L_nopt."""
    joint_state: bool = False
    """Feed the state to Q_jt (PyMARL)."""
    value_of: str = "agents"
    """What V_jt sees: the sum of the 'agents'' features (paper) or the 'state' (PyMARL)."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        super().__post_init__()
        if self.value_of not in ("agents", "state"):
            raise ValueError(f"value_of={self.value_of!r}: V_jt sees the 'agents' or the 'state'")

    @classmethod
    def pymarl(cls, **overrides: Any) -> QTRANConfig:
        """PyMARL's form of QTRAN-base."""
        preset: dict[str, Any] = {
            "double_q": True,
            "lambda_nopt": 0.1,
            "joint_state": True,
            "value_of": "state",
        }
        return cls(**{**preset, **overrides})


def authors_weights(module: nn.Module) -> None:
    """N(0, 0.1) weights and zero biases in all linear layers, as in the authors' code."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.1)
            nn.init.zeros_(layer.bias)


class JointValue(nn.Module):
    """V_jt: an MLP on the sum of the living agents' encoded memories, or on the state."""

    def __init__(self, hidden_dim: int, state_dim: int, joint_dim: int, value_of: str) -> None:
        super().__init__()
        self.of_state = value_of == "state"
        self.encode = None if self.of_state else mlp(hidden_dim, hidden_dim, hidden_dim)
        in_dim = state_dim if self.of_state else hidden_dim
        self.out = mlp(in_dim, joint_dim, joint_dim, 1)

    def forward(self, hidden: Tensor, state: Tensor, alive: Tensor) -> Tensor:
        """hidden [..., N, H], state [..., S], alive [..., N] -> V_jt [...]."""
        if self.encode is None:
            return self.out(state).squeeze(-1)
        return self.out((self.encode(hidden) * alive.unsqueeze(-1)).sum(-2)).squeeze(-1)


class JointNet(nn.Module):
    """Q_jt(tau, u): an MLP on the sum over living agents of enc([h_i; onehot u_i]) (and s)."""

    def __init__(
        self,
        hidden_dim: int,
        n_actions: int,
        state_dim: int,
        joint_dim: int = 64,
        *,
        joint_state: bool = False,
        value_of: str = "agents",
    ) -> None:
        super().__init__()
        pair = hidden_dim + n_actions
        self.n_actions, self.joint_state = n_actions, joint_state
        self.encode = mlp(pair, pair, pair)
        self.out = mlp(pair + state_dim * joint_state, joint_dim, joint_dim, 1)
        self.value = JointValue(hidden_dim, state_dim, joint_dim, value_of)
        authors_weights(self)

    def forward(self, hidden: Tensor, actions: Tensor, state: Tensor, alive: Tensor) -> Tensor:
        """hidden [..., N, H], actions [..., N], state [..., S], alive [..., N] -> Q_jt [...]."""
        onehot = F.one_hot(actions, self.n_actions).to(hidden.dtype)
        each = self.encode(torch.cat([hidden, onehot], -1)) * alive.unsqueeze(-1)
        team = each.sum(-2)
        return self.out(torch.cat([team, state], -1) if self.joint_state else team).squeeze(-1)


class CounterfactualNet(nn.Module):
    """Q_jt(., u_-i) of every agent i in one pass (alt).

    Input: own(h_i) + sum over living j != i of other([h_j; onehot u_j]) [; s] ; onehot i.
    """

    def __init__(
        self,
        n_agents: int,
        hidden_dim: int,
        n_actions: int,
        state_dim: int,
        joint_dim: int = 64,
        *,
        joint_state: bool = False,
        value_of: str = "agents",
    ) -> None:
        super().__init__()
        self.n_agents, self.n_actions, self.joint_state = n_agents, n_actions, joint_state
        self.own = mlp(hidden_dim, joint_dim, joint_dim)
        self.other = mlp(hidden_dim + n_actions, joint_dim, joint_dim)
        in_dim = joint_dim + n_agents + state_dim * joint_state
        self.out = mlp(in_dim, joint_dim, joint_dim, n_actions)
        self.value = JointValue(hidden_dim, state_dim, joint_dim, value_of)
        authors_weights(self)

    def forward(self, hidden: Tensor, actions: Tensor, state: Tensor, alive: Tensor) -> Tensor:
        """hidden [..., N, H], actions [..., N], state [..., S], alive [..., N] -> [..., N, A].

        Row i, column a: Q_jt(a, u_-i), as agent i's copy of the net has it.
        """
        onehot = F.one_hot(actions, self.n_actions).to(hidden.dtype)
        each = self.other(torch.cat([hidden, onehot], -1)) * alive.unsqueeze(-1)
        others = each.sum(-2, keepdim=True) - each  # the team without agent i
        parts = [
            self.own(hidden) + others,
            torch.eye(self.n_agents, dtype=hidden.dtype, device=hidden.device).expand(
                *hidden.shape[:-1], self.n_agents
            ),
        ]
        if self.joint_state:
            parts.append(state.unsqueeze(-2).expand(*hidden.shape[:-1], state.shape[-1]))
        return self.out(torch.cat(parts, -1))


class QTRANBaseAgents(ValueAgents):
    """Q_jt, with utilities held to (4a) and (4b)."""

    name = "qtran_base"
    label = "QTRAN-base"
    Config = QTRANConfig
    claim = "trained"
    function_class = "unrestricted"
    q_tot_label = "Q_jt"
    symmetric = True

    @property
    def reads_state(self) -> bool:  # type: ignore[override]
        """Whether Q_jt or V_jt is one of the state."""
        return self.config.joint_state or self.config.value_of != "agents"

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """Q_jt and V_jt."""
        c = self.config
        return JointNet(
            c.hidden_dim,
            spec.n_actions,
            spec.state_dim,
            c.joint_dim,
            joint_state=c.joint_state,
            value_of=c.value_of,
        )

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """Q_jt(tau, u)."""
        return nets.mixer(utilities.hidden, actions, view.state, self.mixing_alive(view))

    def transformed(self, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """Q'_jt = sum over living agents of Q_i(u_i): [...]."""
        return self.agent_qs(utilities, actions, view).sum(-1)

    def v_jt(self, nets: Networks, utilities: Utilities, view: View) -> Tensor:
        """V_jt(tau): [...]."""
        return nets.mixer.value(utilities.hidden, view.state, self.mixing_alive(view))

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """L_td + lambda_opt L_opt + lambda_nopt L_nopt (eqs. 8 to 11 of the paper)."""
        online = self.unroll(batch)
        here, now = before(online), self.see(self.online, batch.view[:, :-1])
        q_jt = self.q_tot(self.online, here, batch.actions, now)
        targets = self.targets(batch, self.bootstrap(batch, online, self.q_tot, q_jt))
        l_td = masked_mean((q_jt - targets).square(), batch.valid)
        l_opt, l_nopt = self.condition_losses(here, batch.actions, now, q_jt.detach(), batch.valid)
        c = self.config
        return l_td + c.lambda_opt * l_opt + c.lambda_nopt * l_nopt, {
            "q_tot": masked_mean(q_jt, batch.valid),
            "target": masked_mean(targets, batch.valid),
            "l_td": l_td,
            "l_opt": l_opt,
            "l_nopt": l_nopt,
        }

    def condition_losses(
        self, here: Utilities, actions: Tensor, now: View, q_jt: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """L_opt of (4a) at the greedy joint action and L_nopt of (4b) at the one taken.

        q_jt, detached: [B, T], at the actions taken.  Q_jt's own net gets no gradient.
        """
        best = greedy(here.qs.detach(), now.available)
        v = self.v_jt(self.online, here, now)
        with torch.no_grad():
            q_jt_best = self.q_tot(self.online, here, best, now)
        opt = self.transformed(here, best, now) - q_jt_best + v
        nopt = (self.transformed(here, actions, now) - q_jt + v).clamp(max=0.0)
        return masked_mean(opt.square(), valid), masked_mean(nopt.square(), valid)

    def evidence(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> dict[str, Tensor]:
        """Q'_jt, V_jt and D = Q' - Q_jt + V: (4a) wants 0 at the greedy action, (4b) >= 0."""
        transformed = self.transformed(utilities, actions, view)
        v = self.v_jt(nets, utilities, view)
        difference = transformed - self.q_tot(nets, utilities, actions, view) + v
        best = greedy(utilities.qs, view.available)
        at_best = self.transformed(utilities, best, view) + v
        return {
            "Q'_jt": transformed,
            "V_jt": v,
            "D = Q'_jt - Q_jt + V_jt": difference,
            "residual (4a)": at_best - self.q_tot(nets, utilities, best, view),
            "residual (4b)": difference.clamp(max=0.0),
        }


class QTRANAltAgents(QTRANBaseAgents):
    """Q_jt by counterfactual nets, with utilities held to (4a) and (7)."""

    name = "qtran_alt"
    label = "QTRAN-alt"
    symmetric = False  # its net is told whose Q_jt it is

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """Every agent's counterfactual Q_jt, and V_jt."""
        c = self.config
        return CounterfactualNet(
            spec.n_agents,
            c.hidden_dim,
            spec.n_actions,
            spec.state_dim,
            c.joint_dim,
            joint_state=c.joint_state,
            value_of=c.value_of,
        )

    def counterfactual(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> Tensor:
        """Q_jt(., u_-i) of every agent: [..., N, A]."""
        return nets.mixer(utilities.hidden, actions, view.state, self.mixing_alive(view))

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """The mean over living agents of their Q_jt(u)."""
        each = chosen(self.counterfactual(nets, utilities, actions, view), actions)
        return self._mean_of_living(each, view)

    def own_q_jt(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """Every agent's Q_jt(u), [..., N]; where one is dead the living answer for it."""
        each = chosen(self.counterfactual(nets, utilities, actions, view), actions)
        team = self._mean_of_living(each, view).unsqueeze(-1)
        return torch.where(self.mixing_alive(view), each, team)

    def _mean_of_living(self, each: Tensor, view: View) -> Tensor:
        alive = self.mixing_alive(view).to(each.dtype)
        return (each * alive).sum(-1) / alive.sum(-1).clamp(min=1.0)

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """L_td + lambda_opt L_opt + lambda_nopt L_nopt-min (eqs. 8, 9, 12), over living agents."""
        online = self.unroll(batch)
        here, now = before(online), self.see(self.online, batch.view[:, :-1])
        alive = self.mixing_alive(now)
        learns = batch.valid.unsqueeze(-1) * alive  # [B, T, N]
        table = self.counterfactual(self.online, here, batch.actions, now)  # [B, T, N, A]
        q_jt = chosen(table, batch.actions)
        targets = self.targets(batch, self.bootstrap(batch, online, self.own_q_jt, q_jt))
        l_td = masked_mean((q_jt - targets).square(), learns)
        l_opt, l_nopt = self.condition_losses(here, batch.actions, now, table.detach(), learns)
        c = self.config
        return l_td + c.lambda_opt * l_opt + c.lambda_nopt * l_nopt, {
            "q_tot": masked_mean(q_jt, learns),
            "target": masked_mean(targets, learns),
            "l_td": l_td,
            "l_opt": l_opt,
            "l_nopt": l_nopt,
        }

    def condition_losses(
        self, here: Utilities, actions: Tensor, now: View, q_jt: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """L_opt of (4a) at the greedy joint action and L_nopt-min of (7).

        q_jt, detached: every agent's Q_jt(., u_-i) at the actions taken, [B, T, N, A];
        valid: [B, T, N].
        """
        best = greedy(here.qs.detach(), now.available)
        v = self.v_jt(self.online, here, now).unsqueeze(-1)
        with torch.no_grad():
            at_best = chosen(self.counterfactual(self.online, here, best, now), best)
        opt = self.transformed(here, best, now).unsqueeze(-1) - at_best + v
        least = self.differences(here, actions, now, q_jt).amin(-1) + v
        return masked_mean(opt.square(), valid), masked_mean(least.square(), valid)

    def differences(self, here: Utilities, actions: Tensor, now: View, table: Tensor) -> Tensor:
        """Q'_jt(a, u_-i) - Q_jt(a, u_-i) for every own action a, [..., N, A]; inf if not available.

        table: Q_jt(., u_-i), [..., N, A].
        """
        own = self.agent_qs(here, actions, now)
        others = own.sum(-1, keepdim=True) - own  # [..., N]
        alive = self.mixing_alive(now).unsqueeze(-1)
        transformed = torch.where(alive, here.qs, 0.0) + others.unsqueeze(-1)
        return (transformed - table).masked_fill(~now.available, torch.inf)

    def evidence(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> dict[str, Tensor]:
        """As base, and the residual of (7): the least D over each agent's own actions."""
        told = super().evidence(nets, utilities, actions, view)
        table = self.counterfactual(nets, utilities, actions, view)
        least = self.differences(utilities, actions, view, table).amin(-1)
        told.pop("residual (4b)")
        return {**told, "residual (7)": least + told["V_jt"].unsqueeze(-1)}
