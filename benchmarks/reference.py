"""A plain QMIX learner as PyMARL's family has it: a GRU cell called once a move, built anew a step.

Frozen: it is the yardstick of our own speed on any machine (tests/benchmarks), no part of the
product, and is not made faster.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.works import Work


class CellAgent(nn.Module):
    """Linear-ReLU-GRUCell-Linear, one move at a time."""

    def __init__(self, w: Work) -> None:
        super().__init__()
        self.fc1 = nn.Linear(w.O + w.A + w.N, w.H)
        self.rnn = nn.GRUCell(w.H, w.H)
        self.fc2 = nn.Linear(w.H, w.A)

    def forward(self, inputs: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.rnn(F.relu(self.fc1(inputs)), hidden)
        return self.fc2(hidden), hidden


class HyperMixer(nn.Module):
    """QMIX's mixer with hypernetworks of two layers, by batched products."""

    def __init__(self, w: Work, embed: int = 32, hyper: int = 64) -> None:
        super().__init__()
        self.n_agents, self.embed = w.N, embed
        self.w1 = nn.Sequential(nn.Linear(w.S, hyper), nn.ReLU(), nn.Linear(hyper, w.N * embed))
        self.w2 = nn.Sequential(nn.Linear(w.S, hyper), nn.ReLU(), nn.Linear(hyper, embed))
        self.b1 = nn.Linear(w.S, embed)
        self.v = nn.Sequential(nn.Linear(w.S, embed), nn.ReLU(), nn.Linear(embed, 1))

    def forward(self, qs: Tensor, state: Tensor) -> Tensor:
        rows = state.reshape(-1, state.shape[-1])
        w1 = self.w1(rows).abs().view(-1, self.n_agents, self.embed)
        hidden = F.elu(torch.bmm(qs.reshape(-1, 1, self.n_agents), w1) + self.b1(rows)[:, None])
        w2 = self.w2(rows).abs().view(-1, self.embed, 1)
        return (torch.bmm(hidden, w2)[:, 0] + self.v(rows)).view(*state.shape[:-1])


class ReferenceLearner:
    """One update: unroll online and target, mix, double Q, clip, Adam."""

    def __init__(self, w: Work, gamma: float = 0.99, lr: float = 5e-4) -> None:
        self.w, self.gamma = w, gamma
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.online = nn.ModuleList([CellAgent(w), HyperMixer(w)])
            moments = (w.B, w.T + 1)
            self.batch = {
                "obs": torch.randn(*moments, w.N, w.O),
                "state": torch.randn(*moments, w.S),
                "available": torch.ones(*moments, w.N, w.A, dtype=torch.bool),
                "actions": torch.randint(0, w.A, (*moments, w.N)),
                "reward": torch.randn(w.B, w.T),
                "terminated": torch.zeros(w.B, w.T),
                "mask": torch.ones(w.B, w.T),
            }
        self.batch["one_hot"] = F.one_hot(self.batch["actions"], w.A).float()
        self.target = copy.deepcopy(self.online)
        self.parameters = list(self.online.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=lr)

    def learn(self) -> float:
        """One gradient step on the batch; the loss."""
        b = self.batch
        online = self._unroll(self.online[0])
        taken = online[:, :-1].gather(3, b["actions"][:, :-1, :, None]).squeeze(3)
        with torch.no_grad():
            target = self._unroll(self.target[0])
            best = online.detach().masked_fill(~b["available"], -9999999).max(3, keepdim=True)[1]
            after = target.gather(3, best).squeeze(3)
            after = self.target[1](after[:, 1:], b["state"][:, 1:])
            goal = b["reward"] + self.gamma * (1 - b["terminated"]) * after
        error = (self.online[1](taken, b["state"][:, :-1]) - goal) * b["mask"]
        loss = error.square().sum() / b["mask"].sum()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 10.0)
        self.optimizer.step()
        return loss.item()

    def _unroll(self, net: nn.Module) -> Tensor:
        w = self.w
        hidden = torch.zeros(w.B * w.N, w.H)
        outs = []
        for t in range(w.T + 1):
            out, hidden = net(self._inputs(t), hidden)
            outs.append(out.view(w.B, w.N, w.A))
        return torch.stack(outs, 1)

    def _inputs(self, t: int) -> Tensor:
        w, one_hot = self.w, self.batch["one_hot"]
        last = one_hot[:, t - 1] if t else torch.zeros_like(one_hot[:, 0])
        ids = torch.eye(w.N).expand(w.B, w.N, w.N)
        return torch.cat([self.batch["obs"][:, t], last, ids], -1).view(w.B * w.N, -1)
