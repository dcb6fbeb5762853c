"""The utility network Q_i(tau_i, .) and the small pieces that mixers are made of."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.step import TeamSpec


class Utilities(NamedTuple):
    """What the agents' own networks say at some moments."""

    qs: Tensor  # [..., N, A]
    hidden: Tensor  # [..., N, H], what QTRAN's joint nets are fed


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between them."""
    layers: list[nn.Module] = []
    for i, o in itertools.pairwise(sizes):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class GroupedLinear(nn.Module):
    """G independent linear layers as one: [..., G, I] -> [..., G, O], `nn.Linear`'s init."""

    def __init__(self, groups: int, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = in_features**-0.5
        self.weight = nn.Parameter(
            torch.empty(groups, out_features, in_features).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(groups, out_features).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., G, I], or [..., 1, I] for the same input to all groups."""
        groups, _, i = self.weight.shape
        rows = x.expand(*x.shape[:-2], groups, i).reshape(-1, groups, i).transpose(0, 1)
        out = torch.baddbmm(self.bias.unsqueeze(1), rows, self.weight.transpose(1, 2))
        return out.transpose(0, 1).reshape(*x.shape[:-2], groups, -1)


class AgentNet(nn.Module):
    """Q_i(tau_i, .) of all agents: Linear-ReLU-GRU-Linear, parameters shared over agents.

    The input is the observation, and where asked for the last action (one-hot, zeros at first)
    and the agent's id (one-hot).  recurrent=False puts a Linear-ReLU in the GRU's place.
    share_parameters=False gives every agent a network of its own.
    """

    def __init__(
        self,
        spec: TeamSpec,
        hidden_dim: int = 64,
        *,
        recurrent: bool = True,
        last_action: bool = True,
        agent_id: bool = True,
        share_parameters: bool = True,
    ) -> None:
        super().__init__()
        self.n_agents, self.n_actions = spec.n_agents, spec.n_actions
        self.hidden_dim, self.recurrent = hidden_dim, recurrent
        self.last_action, self.agent_id = last_action, agent_id
        in_dim = spec.obs_dim + spec.n_actions * last_action + spec.n_agents * agent_id
        copies = 1 if share_parameters else spec.n_agents
        self.bodies = nn.ModuleList(
            _Body(in_dim, hidden_dim, spec.n_actions, recurrent) for _ in range(copies)
        )

    def forward(self, obs: Tensor, last_actions: Tensor, carry: Tensor) -> tuple[Utilities, Tensor]:
        """obs [B, T, N, O]; last_actions [B, T, N] int64, -1 for none; carry [B, N, H].

        Returns the utilities of T moments, qs [B, T, N, A], and the new carry [B, N, H].
        """
        x = self._inputs(obs, last_actions)
        groups = x.split(1, 2) if len(self.bodies) > 1 else [x]
        carries = carry.split(1, 1) if len(self.bodies) > 1 else [carry]
        parts = [body(xi, ci) for body, xi, ci in zip(self.bodies, groups, carries, strict=True)]
        qs, hidden = (torch.cat([part[k] for part in parts], 2) for k in (0, 1))
        return Utilities(qs, hidden), torch.cat([part[2] for part in parts], 1)

    def unroll(self, obs: Tensor, actions: Tensor) -> Utilities:
        """Utilities over whole episodes from an empty memory.

        obs: [B, T+1, N, O]; actions: [B, T, N], the move made at each moment but the last.
        """
        none = (
            torch.full_like(actions[:, :1], -1)
            if actions.shape[1]
            else actions.new_full((obs.shape[0], 1, self.n_agents), -1)
        )
        utilities, _ = self(obs, torch.cat([none, actions], 1), self.empty(obs.shape[0], obs))
        return utilities

    def empty(self, n: int, like: Tensor) -> Tensor:
        """The memory at the start of n episodes: [n, N, H] zeros."""
        return like.new_zeros(n, self.n_agents, self.hidden_dim)

    def _inputs(self, obs: Tensor, last_actions: Tensor) -> Tensor:
        parts = [obs]
        if self.last_action:
            # -1 (no action yet) becomes zeros: one class more, cut off
            parts.append(F.one_hot(last_actions + 1, self.n_actions + 1)[..., 1:].to(obs.dtype))
        if self.agent_id:
            ids = torch.eye(self.n_agents, dtype=obs.dtype, device=obs.device)
            parts.append(ids.expand(*obs.shape[:-1], self.n_agents))
        return torch.cat(parts, -1)


class _Body(nn.Module):
    """One network, applied to all agents that share it."""

    def __init__(self, in_dim: int, hidden_dim: int, n_actions: int, recurrent: bool) -> None:
        super().__init__()
        self.encode = nn.Linear(in_dim, hidden_dim)
        self.memory = (
            nn.GRU(hidden_dim, hidden_dim) if recurrent else nn.Linear(hidden_dim, hidden_dim)
        )
        self.recurrent = recurrent
        self.head = nn.Linear(hidden_dim, n_actions)

    def forward(self, x: Tensor, carry: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, T, N, I], carry [B, N, H] -> qs [B, T, N, A], hidden [B, T, N, H], carry."""
        e = torch.relu(self.encode(x))
        if not self.recurrent:
            hidden = torch.relu(self.memory(e))
            return self.head(hidden), hidden, carry
        b, t, n, h = e.shape
        rows = e.transpose(0, 1).reshape(t, b * n, h)  # time first, as the GRU likes it
        out, last = self.memory(rows, carry.reshape(1, b * n, h))
        hidden = out.reshape(t, b, n, h).transpose(0, 1)
        return self.head(hidden), hidden, last.reshape(b, n, h)
