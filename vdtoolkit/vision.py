"""From what is stored to what networks read: images by convolutions, integers as floats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.batch import View
from vdtoolkit.step import FLOAT, TeamSpec

Shape = tuple[int, int, int]

LARGE = 36  # pixels from which on strides are those of Mnih et al. (2015)
FINE = 64  # larger images are averaged down towards it first


class Scaled(nn.Module):
    """Stored numbers as float32, times a factor."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """x [..., O] of any dtype -> [..., O]."""
        return x.to(torch.get_default_dtype()) * self.scale


class ConvFront(nn.Module):
    """Flattened images as feature vectors: convolutions that fit the size, one linear layer.

    From 36 pixels a side on the three layers of DQN (Mnih et al. 2015), after averaging over
    blocks of pixels where it is more than twice 64; below two layers of 3 x 3.
    """

    def __init__(self, shape: Shape, out_dim: int, scale: float = 1.0) -> None:
        super().__init__()
        h, w, c = shape
        self.shape, self.scale = shape, scale
        side = min(h, w)
        self.block = max(side // FINE, 1)
        if side >= LARGE:
            layers = [nn.Conv2d(c, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3)]
        else:
            second = nn.Conv2d(32, 32, 3, 2 if side >= 16 else 1)
            layers = [nn.Conv2d(c, 32, 3, padding=1), second]
        self.layers = nn.ModuleList(layers)
        with torch.no_grad():
            size = self._convolved(torch.zeros(1, c, h, w)).numel()
        self.out = nn.Linear(size, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., H * W * C] of any dtype -> [..., out_dim]."""
        frames = x.reshape(-1, *self.shape).permute(0, 3, 1, 2)
        features = torch.relu(self.out(self._convolved(frames).flatten(1)))
        return features.reshape(*x.shape[:-1], -1)

    def _convolved(self, frames: Tensor) -> Tensor:
        dtype = next(self.layers.parameters()).dtype
        if self.block > 1:  # a few at a time: as floats they are four times as large
            parts = frames.split(4)
            frames = torch.cat([F.avg_pool2d(part.to(dtype), self.block) for part in parts])
        frames = frames.to(dtype) * self.scale
        for layer in self.layers:
            frames = torch.relu(layer(frames))
        return frames


class PerAgent(nn.Module):
    """A front of its own for each agent: [..., N, O] -> [..., N, out_dim]."""

    def __init__(self, fronts: list[nn.Module]) -> None:
        super().__init__()
        self.fronts = nn.ModuleList(fronts)

    def forward(self, x: Tensor) -> Tensor:
        """Row i through the i-th front."""
        return torch.stack([f(x[..., i, :]) for i, f in enumerate(self.fronts)], -2)


def front(
    dim: int, shape: Shape | None, dtype: np.dtype, scale: float, width: int
) -> tuple[nn.Module, int]:
    """What reads stored rows of `dim` numbers, and how many features it gives.

    shape: (H, W, C) of images, which become `width` features; vectors stay as long as they are.
    """
    if shape is not None:
        return ConvFront(shape, width, scale), width
    if dtype == FLOAT and scale == 1:
        return nn.Identity(), dim
    return Scaled(scale), dim


def obs_front(spec: TeamSpec, width: int) -> tuple[nn.Module, int]:
    """`front` for one agent's observation."""
    return front(spec.obs_dim, spec.obs_shape, spec.obs_dtype, spec.obs_scale, width)


class MixerFront(nn.Module):
    """What mixers read: `View`s with features in the place of images, floats in that of integers.

    Without a state of the env's own it is the joint observation: the features of all agents.
    reads_obs: the mixer reads the agents' observations as well.  `spec` has the sizes that come
    out.
    """

    def __init__(self, spec: TeamSpec, own_state: bool, width: int, reads_obs: bool) -> None:
        super().__init__()
        self.own_state, self.reads_obs = own_state, reads_obs
        self.obs: nn.Module = nn.Identity()
        obs_dim, state_dim = spec.obs_dim, spec.state_dim
        if reads_obs or not own_state:
            self.obs, obs_dim = obs_front(spec, width)
            state_dim = spec.n_agents * obs_dim
        self.state: nn.Module = nn.Identity()
        if own_state:
            self.state, state_dim = front(
                spec.state_dim, spec.state_shape, spec.state_dtype, spec.state_scale, width
            )
        self.spec = replace(
            TeamSpec(spec.n_agents, spec.n_actions, obs_dim, state_dim),
            obs_dtype=FLOAT if reads_obs else spec.obs_dtype,
        )

    def forward(self, view: View) -> View:
        """The same moments, as the mixer reads them."""
        obs = self.obs(view.obs) if self.reads_obs or not self.own_state else view.obs
        state = self.state(view.state) if self.own_state else obs.flatten(-2)
        return View(obs if self.reads_obs else view.obs, state, view.available, view.alive)


def mixer_front(
    spec: TeamSpec, *, own_state: bool, width: int, reads_state: bool, reads_obs: bool
) -> tuple[nn.Module, TeamSpec]:
    """What stands before a mixer, and the sizes it leaves; nothing where there is nothing to do."""
    plain_obs = _is_plain(spec.obs_shape, spec.obs_dtype)
    plain_state = _is_plain(spec.state_shape, spec.state_dtype) and (own_state or plain_obs)
    if (plain_obs or not reads_obs) and (plain_state or not reads_state):
        return nn.Identity(), spec
    made = MixerFront(spec, own_state, width, reads_obs)
    return made, made.spec


def _is_plain(shape: Shape | None, dtype: np.dtype) -> bool:
    return shape is None and dtype == FLOAT
