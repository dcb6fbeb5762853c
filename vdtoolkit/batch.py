"""What networks and losses see (torch): a view of some moments, a batch of episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    """What is seen at some moments; `...` are any leading axes, the same for all four."""

    obs: Tensor  # [..., N, O] as stored, or as `Agents.see` gives it
    state: Tensor  # [..., S] likewise
    available: Tensor  # [..., N, A] bool
    alive: Tensor  # [..., N] bool

    def __getitem__(self, index: Any) -> View:
        """Index the leading axes of all four."""
        return View(self.obs[index], self.state[index], self.available[index], self.alive[index])


@dataclass(frozen=True)
class EpisodeBatch:
    """B episodes of up to T moves, padded at the end; moment t + 1 is what move t led to."""

    view: View  # [B, T+1, ...]
    actions: Tensor  # [B, T, N] int64
    reward: Tensor  # [B, T] float32
    terminated: Tensor  # [B, T] bool: true ends only, a time limit is not one
    valid: Tensor  # [B, T] bool: the move was made; a float: it counts as so many (see seeds)
    note: Tensor | None = None  # [B, T, N] what the algorithm wrote down of it, see `Agents.note`

    @property
    def bootstraps(self) -> bool:
        """Whether any move has a value behind it; in one-shot games none has."""
        return bool((self.valid & ~self.terminated).any())


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values where mask is true, 0 where nothing is; what is masked out may be anything.

    values: [...]; mask: bool or float, of the same shape.
    """
    mask = mask.to(values.dtype)
    return torch.where(mask > 0, values, 0.0).mul(mask).sum() / mask.sum().clamp(min=1.0)


def chosen(qs: Tensor, actions: Tensor) -> Tensor:
    """Q_i(u_i): qs [..., N, A], actions [..., N] -> [..., N]."""
    return qs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def only_available(qs: Tensor, available: Tensor) -> Tensor:
    """qs with -inf at actions that are not available; both [..., A]."""
    return qs.masked_fill(~available, -torch.inf)


def greedy(qs: Tensor, available: Tensor) -> Tensor:
    """Each agent's best available action: [..., N, A] -> [..., N]."""
    return only_available(qs, available).argmax(-1)
