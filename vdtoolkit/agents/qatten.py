"""Qatten: multi-head attention over the agents (Yang et al. 2020, arXiv 2002.03939).

Departures from the authors' code: all parameters are registered (theirs kept the attention in
plain dicts, untrained); the dead are masked by `alive`, never by `action == 0`; the regulariser
leaves padding out; unit features are the observation unless the state has a slice for them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.value import ValueAgents, before
from vdtoolkit.batch import EpisodeBatch, View, masked_mean
from vdtoolkit.config import Config
from vdtoolkit.networks import GroupedLinear, Utilities, mlp
from vdtoolkit.step import TeamSpec


class QattenMixer(nn.Module):
    """Q_tot = c(s) + sum_h w_h(s) sum_i lambda_{i,h} Q_i, all coefficients non-negative.

    lambda_{.,h} = softmax over living agents of (W_k u_i)^T (W_q s) / sqrt(d), u_i the unit
    features of agent i.  weighted=False sets w_h = 1 (the paper's plain heads).
    nonlinear=True appends Q_i to the key's input as in some published configs: IGM is lost.
    """

    def __init__(
        self,
        state_dim: int,
        unit_dim: int,
        n_heads: int = 4,
        embed_dim: int = 32,
        hyper_dim: int = 64,
        *,
        weighted: bool = True,
        nonlinear: bool = False,
    ) -> None:
        super().__init__()
        self.n_heads, self.embed_dim, self.nonlinear = n_heads, embed_dim, nonlinear
        self.query = nn.Sequential(
            nn.Linear(state_dim, n_heads * hyper_dim),
            nn.ReLU(),
            nn.Unflatten(-1, (n_heads, hyper_dim)),
            GroupedLinear(n_heads, hyper_dim, embed_dim),
        )
        self.key = nn.Linear(unit_dim + nonlinear, n_heads * embed_dim)
        self.head_weights = mlp(state_dim, hyper_dim, n_heads) if weighted else None
        self.c = mlp(state_dim, embed_dim, 1)

    def forward(self, agent_qs: Tensor, state: Tensor, units: Tensor, alive: Tensor) -> Tensor:
        """agent_qs [..., N], state [..., S], units [..., N, U], alive [..., N] -> [...]."""
        attention, _ = self.attention(agent_qs, state, units, alive)
        return self.mix(attention, agent_qs, state)

    def mix(self, attention: Tensor, agent_qs: Tensor, state: Tensor) -> Tensor:
        """Q_tot [...] of utilities [..., N] under given attention [..., H, N]."""
        heads = (attention * agent_qs.unsqueeze(-2)).sum(-1)
        return (heads * self.weights(state)).sum(-1) + self.c(state).squeeze(-1)

    def attention(
        self, agent_qs: Tensor, state: Tensor, units: Tensor, alive: Tensor
    ) -> tuple[Tensor, Tensor]:
        """lambda [..., H, N], and the raw logits before scale and mask [..., H, N].

        The dead get 0; where nobody is alive attention is uniform.
        """
        if self.nonlinear:
            units = torch.cat([units, agent_qs.unsqueeze(-1)], -1)
        logits = self.logits(state, units)  # [N, ..., H]
        dead = ~alive.movedim(-1, 0).unsqueeze(-1)
        scaled = (logits / self.embed_dim**0.5).masked_fill(dead, -torch.inf)
        attention = scaled.masked_fill(dead.all(0), 0.0).softmax(0)
        return attention.movedim(0, -1), logits.movedim(0, -1)

    def logits(self, state: Tensor, units: Tensor) -> Tensor:
        """(W_k u_i)^T (W_q s), agents first: [N, ..., H].

        The keys are folded into the query, (W_k^T W_q s)^T u_i: the work no longer grows with
        agents times embed_dim.  Agents come first because softmax is fast over a leading axis.
        """
        query = self.query(state).reshape(-1, self.n_heads, self.embed_dim)  # M the leading axes
        query = query.transpose(0, 1)  # [H, M, D]
        weight = self.key.weight.unflatten(0, (self.n_heads, self.embed_dim))  # [H, D, U]
        bias = self.key.bias.unflatten(0, (self.n_heads, self.embed_dim))
        folded = torch.bmm(query, weight).transpose(0, 1)  # [M, H, U]
        constant = torch.bmm(query, bias.unsqueeze(-1)).squeeze(-1).t()  # [M, H]
        rows = units.reshape(-1, *units.shape[-2:])  # [M, N, U]
        logits = torch.bmm(rows, folded.transpose(1, 2)) + constant.unsqueeze(1)  # [M, N, H]
        agents_first = logits.transpose(0, 1).contiguous()
        return agents_first.reshape(-1, *state.shape[:-1], self.n_heads)

    def weights(self, state: Tensor) -> Tensor:
        """w_h(s) >= 0: [..., H]."""
        if self.head_weights is None:
            return state.new_ones(*state.shape[:-1], self.n_heads)
        return self.head_weights(state).abs()


@dataclass(frozen=True)
class QattenConfig(Config):
    """Sizes of the authors' code."""

    sizes = ("n_heads", "embed_dim", "hyper_dim")
    n_heads: int = 4
    """Attention heads."""
    embed_dim: int = 32
    """Width of queries and keys, and of c(s)."""
    hyper_dim: int = 64
    """Hidden units of the query network and of the head weights."""
    weighted: bool = True
    """Weighted Head Q-values: w_h(s) from the state; else every head counts 1."""
    unit_features: str = "obs"
    """What keys are made of: 'obs', a name in the env's state_slices, or 'start:stop' of the
    state, N blocks of equal size."""
    attention_reg: float = 1e-3
    """Weight of the mean squared attention logits in the loss."""
    nonlinear: bool = False
    """Q_i enters the key as well: IGM no longer holds (warned about)."""

    def __post_init__(self) -> None:
        """Warn of what gives up the guarantee."""
        super().__post_init__()
        if self.nonlinear:
            warnings.warn(
                "nonlinear=True feeds Q_i into the attention's keys: Q_tot is no longer monotone "
                "in Q_i and IGM no longer holds",
                stacklevel=4,
            )


class QattenAgents(ValueAgents):
    """Q_tot is a non-negative combination of utilities at every state: IGM at any weights."""

    name = "qatten"
    label = "Qatten"
    Config = QattenConfig
    function_class = "additive"

    @property
    def reads_obs(self) -> bool:  # type: ignore[override]
        """Whether keys are made of observations."""
        return self.config.unit_features == "obs"

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """Whether all that is an agent's own moves with it; a slice of the state does not."""
        return self.config.unit_features == "obs"

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The attention mixer, its keys as wide as one agent's unit features."""
        c = self.config
        if c.nonlinear:
            self.claim, self.function_class = "none", "unknown"
        self._units = unit_slice(c.unit_features, self.team.state_slices, spec)
        self._refuse_units_of_an_image()
        unit_dim = spec.obs_dim
        if self._units is not None:
            unit_dim = (self._units[1] - self._units[0]) // spec.n_agents
        return QattenMixer(
            spec.state_dim,
            unit_dim,
            c.n_heads,
            c.embed_dim,
            c.hyper_dim,
            weighted=c.weighted,
            nonlinear=c.nonlinear,
        )

    def _refuse_units_of_an_image(self) -> None:
        """Mixers see features in an image's place: a slice of them is nobody's."""
        whole = self.team.spec
        image = whole.state_shape if self.team.has_state else whole.obs_shape
        if self._units is not None and image is not None:
            raise ValueError(
                f"unit_features={self.config.unit_features!r}: the state is made of images "
                f"{image}, which have no part for each agent: use 'obs'"
            )

    def units(self, view: View) -> Tensor:
        """Unit features [..., N, U]."""
        if self._units is None:
            return view.obs
        return view.state[..., slice(*self._units)].unflatten(-1, (view.obs.shape[-2], -1))

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """The living agents' utilities under attention."""
        qs = self.agent_qs(utilities, actions, view)
        return nets.mixer(qs, view.state, self.units(view), self.mixing_alive(view))

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """TD loss + attention_reg * sum_h mean over moves and living agents of logit^2."""
        online = self.unroll(batch)
        mixer, view = self.online.mixer, self.see(self.online, batch.view[:, :-1])
        alive, units = self.mixing_alive(view), self.units(view)
        qs = self.agent_qs(before(online), batch.actions, view)
        attention, logits = mixer.attention(qs, view.state, units, alive)  # once for both terms
        loss, metrics = self.td_loss(batch, online, mixer.mix(attention, qs, view.state))
        if self.config.nonlinear:  # Q_i is in those logits; the regulariser is of the units alone
            _, logits = mixer.attention(torch.zeros_like(qs), view.state, units, alive)
        counts = (batch.valid.unsqueeze(-1) * alive).unsqueeze(-2).expand_as(logits)
        reg = self.config.n_heads * masked_mean(logits.square(), counts)
        return loss + self.config.attention_reg * reg, {**metrics, "attention_reg": reg}

    def evidence(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> dict[str, Tensor]:
        """Attention lambda [..., H, N], head weights [..., H] and c(s)."""
        qs = self.agent_qs(utilities, actions, view)
        attention, _ = nets.mixer.attention(
            qs, view.state, self.units(view), self.mixing_alive(view)
        )
        return {
            "attention": attention,
            "head weights": nets.mixer.weights(view.state),
            "c(s)": nets.mixer.c(view.state).squeeze(-1),
        }


def unit_slice(source: str, named: dict[str, Any], spec: TeamSpec) -> tuple[int, int] | None:
    """Where in the state the unit features lie, (start, stop); None for the observation."""
    if source == "obs":
        return None
    try:
        start, stop = named[source] if source in named else map(int, source.split(":"))
    except ValueError:
        known = ", ".join(repr(name) for name in named) or "none"
        raise ValueError(
            f"unit_features={source!r}: give 'obs', a slice of the state that this env names "
            f"({known}), or 'start:stop'"
        ) from None
    if not 0 <= start < stop <= spec.state_dim or (stop - start) % spec.n_agents:
        raise ValueError(
            f"unit_features={source!r} is [{start}:{stop}] of a state of {spec.state_dim}: it must "
            f"lie inside and hold {spec.n_agents} blocks of equal size, one an agent"
        )
    return start, stop
