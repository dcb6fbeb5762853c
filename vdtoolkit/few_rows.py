"""One moment of the utility network on numpy: with few rows torch costs more than the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from vdtoolkit.networks import AgentNet

LIMIT = 90  # rows (environments times agents); above, BLAS would take a second thread


class FewRows:
    """`AgentNet`'s forward at one moment, on the very memory of its weights: always up to date."""

    def __init__(self, net: AgentNet) -> None:
        body: Any = net.bodies[0]
        self.net, self.encode = net, _linear(body.encode)
        self.head = _linear(body.head)
        self.recurrent = net.recurrent
        if self.recurrent:
            gru = body.memory
            self.into = _numpy(gru.weight_ih_l0).T, _numpy(gru.bias_ih_l0)
            self.over = _numpy(gru.weight_hh_l0).T, _numpy(gru.bias_hh_l0)
        else:
            self.memory = _linear(body.memory)
        self.weight = body.encode.weight
        self.address = self.weight.data_ptr()
        self.one_hot = np.eye(net.n_actions + 1, net.n_actions, dtype=np.float32)  # [-1]: zeros
        self.x = np.zeros((0, 0, 0), np.float32)  # [E, N, I]

    def fits(self, net: AgentNet) -> bool:
        """Whether the weights still lie where they lay."""
        return net is self.net and self.address == self.weight.data_ptr()

    @staticmethod
    def can_stand_for(net: AgentNet) -> bool:
        """On a CPU in single precision, one network for all agents, no images."""
        body: Any = net.bodies[0]
        weight = body.encode.weight
        plain = weight.device.type == "cpu" and weight.dtype == torch.float32
        return plain and len(net.bodies) == 1 and isinstance(net.front, nn.Identity)

    def __call__(
        self, obs: np.ndarray, last: np.ndarray, carry: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """obs [E, N, O]; last [E, N], -1 for none; carry [E, N, H] -> qs [E, N, A], carry."""
        x = self._inputs(obs, last)
        h = carry.reshape(len(x), -1)
        e = _affine(x, self.encode)
        np.maximum(e, 0.0, out=e)
        if self.recurrent:
            h = self._remember(e, h)
            out = h
        else:
            out = _affine(e, self.memory)
            np.maximum(out, 0.0, out=out)
        return _affine(out, self.head).reshape(*last.shape, -1), h.reshape(carry.shape)

    def _inputs(self, obs: np.ndarray, last: np.ndarray) -> np.ndarray:
        """[E * N, I], in a buffer of its own: observation, last action, id."""
        net, (n_envs, n, o) = self.net, obs.shape
        if len(self.x) != n_envs:
            self.x = np.zeros((n_envs, n, self.encode[0].shape[0]), np.float32)
            if net.agent_id:
                self.x[..., -n:] = np.eye(n)
        self.x[..., :o] = obs
        if net.last_action:
            self.x[..., o : o + net.n_actions] = self.one_hot[last]
        return self.x.reshape(n_envs * n, -1)

    def _remember(self, e: np.ndarray, h: np.ndarray) -> np.ndarray:
        """The GRU's step, as in `unroll`."""
        into, over = _affine(e, self.into), _affine(h, self.over)
        size = h.shape[1]
        gates = into[:, : 2 * size]
        gates += over[:, : 2 * size]
        gates *= 0.5  # sigmoid(x) = (1 + tanh(x / 2)) / 2 cannot overflow
        np.tanh(gates, out=gates)
        gates += 1.0
        gates *= 0.5
        n = over[:, 2 * size :]
        n *= gates[:, :size]
        n += into[:, 2 * size :]
        np.tanh(n, out=n)
        after = h - n
        after *= gates[:, size:]
        after += n
        return after


def _numpy(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().numpy()


def _linear(layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    return _numpy(layer.weight).T, _numpy(layer.bias)


def _affine(x: np.ndarray, layer: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    out = x @ layer[0]
    out += layer[1]
    return out
