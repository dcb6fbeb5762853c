"""CW-QMIX and OW-QMIX: QMIX with weighted errors (Rashid et al. 2020, arXiv 2006.10800).

Beside QMIX stands an unrestricted Q* with utilities of its own.  Both are regressed on

    y = r + gamma (1 - terminated) Q*^-(s', u*),   u* greedy in QMIX's utilities

Q* with weight 1, Q_tot with a weight that is `alpha` where a joint action is not worth the fit:

    CW (centrally)       w = 1 where u is greedy or y > Q*^-(s, greedy), else alpha
    OW (optimistically)  w = 1 where Q_tot(u) < y, else alpha

Sizes as in the authors' code; there the attention form of Q* is an option, here it is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.qmix import QMIXAgents, QMIXConfig
from vdtoolkit.agents.value import before
from vdtoolkit.batch import EpisodeBatch, View, greedy, masked_mean
from vdtoolkit.networks import AgentNet, Utilities, mlp
from vdtoolkit.step import TeamSpec


class CentralQ(nn.Module):
    """Q*(tau, s, u) = MLP([s; Qc_1 .. Qc_N]) + V(s), unrestricted; Qc from utilities of its own."""

    def __init__(
        self, agent: AgentNet, n_agents: int, state_dim: int, central_dim: int = 256
    ) -> None:
        super().__init__()
        self.agent = agent
        wide = [central_dim] * 3
        self.out = mlp(state_dim + n_agents, *wide, 1)
        self.v = mlp(state_dim, central_dim, 1)

    def forward(self, agent_qs: Tensor, state: Tensor) -> Tensor:
        """agent_qs [..., N], those of the central utility net; state [..., S] -> Q* [...]."""
        mixed = self.out(torch.cat([state, agent_qs], -1)) + self.v(state)
        return mixed.squeeze(-1)


class WeightedMixer(nn.Module):
    """QMIX's mixer and, for learning, Q* beside it."""

    def __init__(self, monotonic: nn.Module, central: CentralQ) -> None:
        super().__init__()
        self.monotonic, self.central = monotonic, central

    def forward(self, agent_qs: Tensor, state: Tensor) -> Tensor:
        """Q_tot [...], of the monotone mixer alone."""
        return self.monotonic(agent_qs, state)


@dataclass(frozen=True)
class WeightedQMIXConfig(QMIXConfig):
    """QMIX's sizes; alpha as in the authors' predator-prey (on SMAC 0.75 for CW, 0.5 for OW)."""

    sizes = (*QMIXConfig.sizes, "central_dim")
    alpha: float = 0.1
    """Weight of joint actions that need no fit, in [0, 1]; 1 is QMIX on targets of Q*."""
    central_dim: int = 256
    """Hidden units of Q*."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha!r}: it must be in [0, 1]")


class OWQMIXAgents(QMIXAgents):
    """Optimistically weighted: what Q_tot overestimates counts alpha."""

    name = "ow_qmix"
    label = "OW-QMIX"
    Config = WeightedQMIXConfig
    evidence_of_targets = "Q*"
    evidence_of_weights = "w"

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """QMIX's mixer, and Q* with a utility net that reads what agents read."""
        c = self.config
        agent = AgentNet(
            self.team.spec,
            c.hidden_dim,
            recurrent=c.recurrent,
            last_action=c.last_action,
            agent_id=c.agent_id,
            share_parameters=c.share_parameters,
        )
        central = CentralQ(agent, spec.n_agents, spec.state_dim, c.central_dim)
        return WeightedMixer(super().build_mixer(spec), central)

    def utilities_of(self, nets: Networks, obs: Tensor, actions: Tensor) -> Utilities:
        """The agents' utilities as qs, those of the central net as hidden: [B, T+1, N, A] each."""
        own = nets.agent.unroll(obs, actions)
        return Utilities(own.qs, nets.mixer.central.agent.unroll(obs, actions).qs)

    def q_star(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """Q* of joint actions [..., N] -> [...]."""
        central = Utilities(utilities.hidden, utilities.hidden)
        return nets.mixer.central(self.agent_qs(central, actions, view), view.state)

    def weights(
        self, q_tot: Tensor, y: Tensor, is_greedy: Tensor, at_greedy: Callable[[], Tensor]
    ) -> Tensor:
        """w [...] of joint actions with these Q_tot [...] and targets y [...].

        is_greedy: [...] bool; at_greedy(): Q* [...] at the greedy joint action.
        """
        return torch.where(q_tot < y, 1.0, self.config.alpha)

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over valid moves of (Q* - y)^2 + w (Q_tot - y)^2, w without gradient."""
        online, now = self.unroll(batch), self.see(self.online, batch.view[:, :-1])
        here = before(online)
        q_tot = self.q_tot(self.online, here, batch.actions, now)
        q_star = self.q_star(self.online, here, batch.actions, now)
        y = self.targets(batch, self.bootstrap(batch, online, self.q_star, q_star))
        best = greedy(here.qs, now.available)

        def at_greedy() -> Tensor:
            target = before(self.utilities_of(self.target, batch.view.obs, batch.actions))
            seen = self.see(self.target, batch.view[:, :-1])
            return self.q_star(self.target, target, best, seen)

        with torch.no_grad():
            w = self.weights(q_tot, y, self.alike(batch.actions, best, now), at_greedy)
        l_central = masked_mean((q_star - y).square(), batch.valid)
        l_mono = masked_mean(w * (q_tot - y).square(), batch.valid)
        return l_central + l_mono, {
            "q_tot": masked_mean(q_tot, batch.valid),
            "q_star": masked_mean(q_star, batch.valid),
            "target": masked_mean(y, batch.valid),
            "td_error": masked_mean((q_tot - y).abs(), batch.valid),
            "l_central": l_central,
            "weight": masked_mean(w, batch.valid),
        }

    def alike(self, actions: Tensor, others: Tensor, view: View) -> Tensor:
        """Whether two joint actions [..., N] are the same for all who live: [...] bool."""
        return ((actions == others) | ~self.mixing_alive(view)).all(-1)

    def evidence(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> dict[str, Tensor]:
        """Q*, and w as it is where Q* meets its targets: [...] each."""
        q_star = self.q_star(nets, utilities, actions, view)
        q_tot = self.q_tot(nets, utilities, actions, view)
        best = greedy(utilities.qs, view.available)
        is_greedy = self.alike(actions, best, view)
        w = self.weights(q_tot, q_star, is_greedy, lambda: self.q_star(nets, utilities, best, view))
        return {"Q*": q_star, "w": w}


class CWQMIXAgents(OWQMIXAgents):
    """Centrally weighted: what is neither greedy nor better than greedy counts alpha."""

    name = "cw_qmix"
    label = "CW-QMIX"

    def weights(
        self, q_tot: Tensor, y: Tensor, is_greedy: Tensor, at_greedy: Callable[[], Tensor]
    ) -> Tensor:
        """w [...]: 1 where u is greedy or y > Q*(s, greedy), else alpha."""
        return torch.where(is_greedy | (y > at_greedy()), 1.0, self.config.alpha)
