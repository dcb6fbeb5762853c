"""TD(lambda) targets."""

from __future__ import annotations

import torch
from torch import Tensor


def td_lambda_targets(
    reward: Tensor,
    terminated: Tensor,
    valid: Tensor,
    bootstrap: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """TD(lambda) target of every move, by the backward recursion

        G_t = r_t + gamma (1 - terminated_t) [(1 - lam) V_{t+1} + lam G_{t+1}]

    (Sutton & Barto 2018, eq. 12.20), with lam = 0 at an episode's last valid move: a true end
    has no value behind it, and a time limit bootstraps from V of the last moment wherever in the
    batch it falls (PyMARL's recursion is right only at the longest episode's end).

    reward, terminated, valid: [B, T], or the shape of bootstrap where they differ by agent;
    bootstrap: [B, T, ...], V after each move.  Returns the shape of bootstrap, 0 on padding.
    """
    reward, ended, valid = (
        _trailing(x, bootstrap) for x in (reward, terminated.bool(), valid.bool())
    )
    # what lies behind a true end or on padding may be anything, even not finite
    bootstrap = torch.where(ended | ~valid, 0.0, bootstrap)
    if lam == 0:
        return torch.where(valid, reward + gamma * bootstrap, 0.0)
    going_on = gamma * (~ended).to(bootstrap.dtype)
    targets = torch.zeros_like(bootstrap)
    after = torch.zeros_like(bootstrap[:, 0])
    for t in reversed(range(bootstrap.shape[1])):
        value = bootstrap[:, t]
        if t + 1 < bootstrap.shape[1]:
            mixed = (1 - lam) * value + lam * after
            value = torch.where(valid[:, t + 1], mixed, value)
        after = torch.where(valid[:, t], reward[:, t] + going_on[:, t] * value, 0.0)
        targets[:, t] = after
    return targets


def _trailing(x: Tensor, like: Tensor) -> Tensor:
    """x [B, T] or [B, T, ...] broadcast to like's shape [B, T, ...]."""
    return x.reshape(x.shape + (1,) * (like.dim() - x.dim())).expand(like.shape)
