"""The utility network Q_i(tau_i, .) and the small pieces that mixers are made of."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.step import TeamSpec
from vdtoolkit.unroll import unroll
from vdtoolkit.vision import PerAgent, obs_front


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


def first_layers(x: Tensor, *nets: nn.Module) -> Sequence[Tensor]:
    """What linear layers make of one input, by one matrix product.

    nets: `nn.Linear`s, or `nn.Sequential`s that begin with one, whose ReLU is part of it.
    """
    layers: list[Any] = [net[0] if isinstance(net, nn.Sequential) else net for net in nets]
    together = F.linear(
        x, torch.cat([one.weight for one in layers]), torch.cat([one.bias for one in layers])
    )
    parts = together.split([one.out_features for one in layers], -1)
    return [
        torch.relu(part) if isinstance(net, nn.Sequential) else part
        for net, part in zip(nets, parts, strict=True)
    ]


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

    Images pass through convolutions first.
    The input is the observation, and where asked for the last action (one-hot, zeros at first)
    and the agent's id (one-hot).  recurrent=False puts a Linear-ReLU in the GRU's place.
    share_parameters=False gives every agent a network of its own.
    """

    told: Tensor  # [N * (A + 1), ...], see told_beside

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
        copies = 1 if share_parameters else spec.n_agents
        self.front, seen_dim = obs_front(spec, hidden_dim)
        if spec.obs_shape is not None and copies > 1:
            more = [obs_front(spec, hidden_dim)[0] for _ in range(copies - 1)]
            self.front = PerAgent([self.front, *more])
        in_dim = seen_dim + spec.n_actions * last_action + spec.n_agents * agent_id
        told = told_beside(spec.n_agents, spec.n_actions, last_action, agent_id)
        self.register_buffer("told", told, persistent=False)
        self.bodies = nn.ModuleList(
            _Body(in_dim, hidden_dim, spec.n_actions, recurrent) for _ in range(copies)
        )

    def forward(self, obs: Tensor, last_actions: Tensor, carry: Tensor) -> tuple[Utilities, Tensor]:
        """obs [B, T, N, O]; last_actions [B, T, N] int64, -1 for none; carry [B, N, H].

        Returns the utilities of T moments, qs [B, T, N, A], and the new carry [B, N, H].
        """
        x = self._inputs(obs, last_actions)  # [T, B, N, I]
        b, n = carry.shape[:2]
        if len(self.bodies) == 1:
            qs, hidden = self.bodies[0](x.flatten(1, 2), carry.flatten(0, 1))
        else:
            each = [
                body(x[:, :, i], carry[:, i]) for i, body in enumerate(self.bodies)
            ]  # of agent i: [T, B, A], [T, B, H]
            qs, hidden = (torch.stack(parts, 2) for parts in zip(*each, strict=True))
        qs, hidden = (y.reshape(-1, b, n, y.shape[-1]).transpose(0, 1) for y in (qs, hidden))
        return Utilities(qs, hidden), hidden[:, -1] if self.recurrent else carry

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
        kind = like.dtype if like.is_floating_point() else torch.get_default_dtype()
        return like.new_zeros(n, self.n_agents, self.hidden_dim, dtype=kind)

    def _inputs(self, obs: Tensor, last_actions: Tensor) -> Tensor:
        """Time first, as memories like it (and as the replay gathers it): [T, B, N, I]."""
        seen, last_actions = self.front(obs.transpose(0, 1)), last_actions.transpose(0, 1)
        if not self.told.shape[1]:
            return seen
        agents = torch.arange(self.n_agents, device=seen.device)
        rows = agents * (self.n_actions + 1) + last_actions + 1
        return torch.cat([seen, F.embedding(rows, self.told.to(seen.dtype))], -1)


def told_beside(n_agents: int, n_actions: int, last_action: bool, agent_id: bool) -> Tensor:
    """What each agent is told after each last action, one row each: [N * (A + 1), ...].

    Row i (A + 1) + 1 + a is agent i's after action a, row i (A + 1) before its first.
    """
    actions = torch.eye(n_actions + 1)[:, 1:].repeat(n_agents, 1)
    ids = torch.eye(n_agents).repeat_interleave(n_actions + 1, 0)
    return torch.cat([actions[:, : n_actions * last_action], ids[:, : n_agents * agent_id]], 1)


class _Body(nn.Module):
    """One network, applied to all agents that share it."""

    def __init__(self, in_dim: int, hidden_dim: int, n_actions: int, recurrent: bool) -> None:
        super().__init__()
        self.encode = nn.Linear(in_dim, hidden_dim)
        self.memory: Any = (
            nn.GRU(hidden_dim, hidden_dim) if recurrent else nn.Linear(hidden_dim, hidden_dim)
        )
        self.recurrent = recurrent
        self.head = nn.Linear(hidden_dim, n_actions)

    def forward(self, x: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        """x [T, R, I], carry [R, H] -> qs [T, R, A], hidden [T, R, H]."""
        if self.recurrent and x.device.type == "cpu" and len(x) > 1:
            return unroll(x, carry, self.encode, self.memory, self.head)
        e = torch.relu(self.encode(x))
        if self.recurrent:
            hidden, _ = self.memory(e, carry.unsqueeze(0))
        else:
            hidden = torch.relu(self.memory(e))
        return self.head(hidden), hidden
