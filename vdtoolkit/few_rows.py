"""One moment of the utility network on numpy: with few rows torch costs more than the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from vdtoolkit.networks import AgentNet

LIMIT = 512  # rows (environments times agents); with more, torch is as fast
ONE_THREAD = 1 << 19  # products of one matrix product: with twice as many BLAS takes more threads


class FewRows:
    """`AgentNet`'s forward at one moment, in arrays [features, rows], a gate a block of its own.

    It keeps the weights turned, biases with them, and looks at each call whether they are still
    those of the network.
    """

    def __init__(self, net: AgentNet) -> None:
        body: Any = net.bodies[0]
        self.net, self.body = net, body
        self.parameters = list(body.parameters())
        biases = [p for name, p in body.named_parameters() if "bias" in name]
        self.biases = [p.detach().numpy() for p in biases]
        # of memory that is held here, so that nothing else can come to lie there
        self.bias, self.address = biases[0], biases[0].data_ptr()
        self.one_hot = np.eye(net.n_actions + 1, net.n_actions, dtype=np.float32)  # [-1]: zeros
        self.seen: Any = None  # the state of the weights that were turned
        self.x = np.zeros((0, 0, 0), np.float32)  # [I + 1, E, N], the last are ones

    def fits(self, net: AgentNet) -> bool:
        """Whether the weights still lie where they lay."""
        return net is self.net and self.address == self.bias.data_ptr()

    @staticmethod
    def can_stand_for(net: AgentNet) -> bool:
        """On a CPU in single precision, one network for all agents, no images."""
        body: Any = net.bodies[0]
        weight = body.encode.weight
        plain = weight.device.type == "cpu" and weight.dtype == torch.float32
        one = len(net.bodies) == 1 and isinstance(net.front, nn.Identity)
        return plain and one and not weight.is_inference()  # which has no version

    def __call__(
        self, obs: np.ndarray, last: np.ndarray, carry: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """obs [E, N, O]; last [E, N], -1 for none; carry [E, N, H] -> qs [E, N, A], carry."""
        self._turn()
        size = carry.shape[-1]
        x, m = self._inputs(obs, last), self.m
        h, e = m[:size], m[size:-1]
        np.maximum(_product(self.encode, x, e), 0.0, out=e)
        if self.net.recurrent:
            h[...] = carry.reshape(-1, size).T
            self._remember(h)
            carry = h.T.reshape(carry.shape)
        else:
            np.maximum(_product(self.memory, m[size:], h), 0.0, out=h)
        qs = _product(self.head, m, np.empty((self.net.n_actions, m.shape[1]), np.float32))
        return qs.T.reshape(*last.shape, -1), carry

    def _turn(self) -> None:
        """Copies of the weights; what goes past a tensor's version shows in its bias."""
        now = [p._version for p in self.parameters], [b.tobytes() for b in self.biases]
        if now == self.seen:
            return
        self.seen = now
        size, body = self.net.hidden_dim, self.body
        self.encode = _beside(_numpy(body.encode.weight), _numpy(body.encode.bias))
        nothing = np.zeros((self.net.n_actions, size), np.float32)
        self.head = _beside(_numpy(body.head.weight), nothing, _numpy(body.head.bias))
        if not self.net.recurrent:
            self.memory = _beside(_numpy(body.memory.weight), _numpy(body.memory.bias))
            return
        gru = body.memory
        wi, wh = _numpy(gru.weight_ih_l0), _numpy(gru.weight_hh_l0)
        bi, bh = _numpy(gru.bias_ih_l0), _numpy(gru.bias_hh_l0)
        two, nothing = 2 * size, np.zeros((size, size), np.float32)
        # halves, for sigmoid(x) = (1 + tanh(x / 2)) / 2, which cannot overflow
        squashed = _beside(wh[:two], wi[:two], bi[:two] + bh[:two]) * 0.5
        into = _beside(nothing, wi[two:], bi[two:])
        over = _beside(wh[two:], nothing, bh[two:]) * 0.5
        self.memory = np.concatenate([squashed, into, over], 1)

    def _inputs(self, obs: np.ndarray, last: np.ndarray) -> np.ndarray:
        """[I + 1, E * N], in a buffer of its own: observation, last action, id, one."""
        net, (n_envs, n, o) = self.net, obs.shape
        if self.x.shape[1] != n_envs:
            self._make_room(n_envs, n)
        self.x[:o] = obs.transpose(2, 0, 1)
        if net.last_action:
            self.x[o : o + net.n_actions] = self.one_hot[last].transpose(2, 0, 1)
        return self.x.reshape(len(self.x), -1)

    def _make_room(self, n_envs: int, n: int) -> None:
        size = self.net.hidden_dim
        self.x = np.zeros((len(self.encode), n_envs, n), np.float32)
        self.x[-1] = 1.0
        if self.net.agent_id:
            self.x[-1 - n : -1] = np.eye(n)[:, None]
        self.m = np.zeros((2 * size + 1, n_envs * n), np.float32)  # memory, encoded input, one
        self.m[-1] = 1.0
        self.gates = np.empty((4 * size, n_envs * n), np.float32)

    def _remember(self, h: np.ndarray) -> None:
        """The GRU's step, as in `unroll`, on h [H, rows] in place."""
        size, g = len(h), _product(self.memory, self.m, self.gates)
        twice = g[: 2 * size]  # 2 r, 2 z
        np.tanh(twice, out=twice)
        twice += 1.0
        n = g[3 * size :]  # (W_hn h + b_hn) / 2
        n *= g[:size]
        n += g[2 * size : 3 * size]
        np.tanh(n, out=n)
        h -= n
        h *= g[size : 2 * size]
        h *= 0.5
        h += n


def _numpy(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().numpy()


def _beside(*parts: np.ndarray) -> np.ndarray:
    """[sum of inputs, M]: weights [M, .] and a bias [M], turned and one under the other."""
    return np.concatenate([part.T if part.ndim == 2 else part[None] for part in parts])


def _product(weights: np.ndarray, x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """weights [K, M], x [K, R] -> out [M, R], in products so small that BLAS starts no thread."""
    block = max(1, ONE_THREAD // x.size)
    if block >= len(out):
        return np.dot(weights.T, x, out=out)
    for start in range(0, len(out), block):
        np.dot(weights[:, start : start + block].T, x, out=out[start : start + block])
    return out
