"""Joint Q-learning: the whole team as one agent, the centralised end of the scale.

One output for each joint action, on what all agents together have seen: exact on every finite
game that is small enough, and an oracle for the others.  It is no decentralised policy: whoever
acts with it hears every agent's observation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.agents.actor import Actor
from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.value import ValueAgents
from vdtoolkit.batch import View
from vdtoolkit.config import Config
from vdtoolkit.networks import AgentNet, Utilities, mlp
from vdtoolkit.step import Step, TeamSpec

LIMIT = 100_000  # joint actions
AT_ONCE = 2**22  # entries of tables in memory


class TooManyJointActionsError(ValueError):
    """The team has more joint actions than can be enumerated."""


class JointTable(nn.Module):
    """Q(tau, u) = sum_i Q_i(u_i) + F(h_1 .. h_N)[u], one output of the MLP F a joint action.

    F alone could hold any table; the sum is what is learned of many joint actions at once.
    n_actions: of each agent; the joint action u has index sum_i u_i prod_{j > i} A_j.
    """

    strides: Tensor  # [N]

    def __init__(self, n_actions: Sequence[int], hidden_dim: int, joint_dim: int = 128) -> None:
        super().__init__()
        self.n_actions = tuple(int(n) for n in n_actions)
        strides = [prod(self.n_actions[i + 1 :]) for i in range(len(self.n_actions))]
        self.register_buffer("strides", torch.tensor(strides), persistent=False)
        self.inside = mlp(len(self.n_actions) * hidden_dim, joint_dim, joint_dim)
        self.out = nn.Linear(joint_dim, prod(self.n_actions))

    def forward(self, agent_qs: Tensor, hidden: Tensor, actions: Tensor) -> Tensor:
        """Q of joint actions: agent_qs [..., N], hidden [..., N, H], actions [..., N] -> [...]."""
        index = (actions * self.strides).sum(-1)
        row, bias = F.embedding(index, self.out.weight), self.out.bias[index]  # not all outputs
        return agent_qs.sum(-1) + (self.features(hidden) * row).sum(-1) + bias

    def table(self, qs: Tensor, hidden: Tensor) -> Tensor:
        """Q of every joint action: qs [M, N, A], hidden [M, N, H] -> [M, A_1, ..., A_N]."""
        table = self.out(self.features(hidden)).unflatten(-1, self.n_actions)
        for i in range(len(self.n_actions)):
            table = table + self._along(qs[:, i], i)
        return table

    def features(self, hidden: Tensor) -> Tensor:
        """Of all memories together: [..., N, H] -> [..., joint_dim]."""
        return torch.relu(self.inside(hidden.flatten(-2)))

    def preferences(self, qs: Tensor, hidden: Tensor, available: Tensor) -> Tensor:
        """Q of the best joint action that each agent's action is part of, [M, N, A].

        qs, available [M, N, A], hidden [M, N, H]; 0 where not available.  Of several best joint
        actions one is taken: every agent's largest entry belongs to the same.
        """
        rows = max(AT_ONCE // self.out.out_features, 1)
        parts = zip(qs.split(rows), hidden.split(rows), available.split(rows), strict=True)
        return torch.cat([self._preferences(*part) for part in parts])

    def _preferences(self, qs: Tensor, hidden: Tensor, available: Tensor) -> Tensor:
        table = self.table(qs, hidden)
        for i in range(len(self.n_actions)):
            table = table.masked_fill(~self._along(available[:, i], i), -torch.inf)
        others = [[1 + j for j in range(table.dim() - 1) if j != i] for i in range(table.dim() - 1)]
        best = [table.amax(axes) if axes else table for axes in others]  # of each agent: [M, A_i]
        padded = [F.pad(x, (0, qs.shape[-1] - x.shape[-1]), value=-torch.inf) for x in best]
        preferences = torch.stack(padded, 1)
        top, index = table.flatten(1).max(-1)
        sizes = torch.tensor(self.n_actions, device=qs.device)
        joint = index.unsqueeze(-1) // self.strides % sizes  # [M, N]
        less = torch.nextafter(top, torch.full_like(top, -torch.inf))[:, None, None]
        preferences = torch.where(preferences.isneginf(), 0.0, preferences.minimum(less))
        tops = top[:, None, None].expand(*joint.shape, 1)
        return preferences.scatter(-1, joint.unsqueeze(-1), tops)

    def _along(self, own: Tensor, i: int) -> Tensor:
        """What agent i has for each of its actions, [M, A], to broadcast over tables."""
        later = len(self.n_actions) - i - 1
        return own[:, : self.n_actions[i]].reshape(len(own), *[1] * i, -1, *[1] * later)


class JointActor(Actor):
    """Acts for the whole team: each agent's action is its part of the best joint action.

    Agents explore each for itself, as all teams here do.
    """

    def __init__(self, agents: JointQAgents, explore: bool, rng: np.random.Generator) -> None:
        policy = agents.policy if explore else agents.greedy_policy
        epsilon = agents.epsilon if explore else float  # float() is 0.0
        super().__init__(agents.team, agents._agent_net, policy, epsilon, rng, agents.device)
        self.agents = agents

    def act(
        self, observations: Mapping[str, Any], infos: Mapping[str, Any] | None = None
    ) -> dict[str, int]:
        """PettingZoo's dicts to {agent: action}; who is not observed counts as dead."""
        told = {agent: (infos or {}).get(agent) or {} for agent in observations}
        living = [agent in told and told[agent].get("alive", True) for agent in self.team.agents]
        self._alive = np.array(living, bool)[None]
        return super().act(observations, infos)

    def act_steps(self, step: Step) -> np.ndarray:
        """Actions [E, N] at one moment of E episodes."""
        self._alive = step.alive
        return super().act_steps(step)

    def _choose(self, obs: np.ndarray, available: np.ndarray, first: np.ndarray) -> np.ndarray:
        self._available = available
        return super()._choose(obs, available, first)

    def _utilities(self, net: AgentNet, obs: np.ndarray) -> np.ndarray:
        """The team's preferences in the place of utilities: [E, N, A]."""
        arrays = obs, self._last, self._carry, self._available, self._alive
        given = (torch.as_tensor(x, device=self._device) for x in arrays)
        seen, last, carry, available, alive = given
        with torch.inference_mode():
            utilities, carry = net(seen.unsqueeze(1), last.unsqueeze(1), carry)
            self._carry = np.ascontiguousarray(carry.cpu().numpy())
            here = Utilities(utilities.qs[:, 0], utilities.hidden[:, 0])
            view = View(seen, seen, available, alive)  # no state: nobody acts on it
            return self.agents.preferences(self.agents.online, here, view).cpu().numpy()


@dataclass(frozen=True)
class JointQConfig(Config):
    """One hidden size more."""

    sizes = ("joint_dim",)
    joint_dim: int = 128
    """Hidden units of the joint table's network."""


class JointQAgents(ValueAgents):
    """Q of every joint action: unrestricted, and its maximum is found by looking at all.

    ValueError for a team with more than 100,000 joint actions.
    """

    name = "joint_q"
    label = "JointQ"
    Config = JointQConfig
    function_class = "unrestricted"
    q_tot_label = "Q"
    reads_state = False

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The table of joint actions."""
        counts = [int(n) for n in self.team.n_actions]
        if prod(counts) > LIMIT:
            alike = len(set(counts)) == 1
            told = str(counts[0]) if alike else " x ".join(map(str, counts))
            raise TooManyJointActionsError(
                f"JointQAgents enumerates joint actions: {len(counts)} agents with {told} actions "
                f"have {prod(counts)}, above the limit of {LIMIT}; use QPLEXAgents"
            )
        return JointTable(counts, self.config.hidden_dim, self.config.joint_dim)

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """Q of joint actions; the dead have no utility, no memory and action 0."""
        alive = self.mixing_alive(view)
        return nets.mixer(
            self.agent_qs(utilities, actions, view),
            torch.where(alive.unsqueeze(-1), utilities.hidden, 0.0),
            torch.where(alive, actions, 0),
        )

    def preferences(self, nets: Networks, utilities: Utilities, view: View) -> Tensor:
        """max over the others' available actions of Q(u_i, u_-i): [..., N, A].

        Each agent's best is its part of the best joint action among those available.
        """
        alive = self.mixing_alive(view).unsqueeze(-1)
        qs = torch.where(alive, utilities.qs, 0.0)
        hidden = torch.where(alive, utilities.hidden, 0.0)
        noop = torch.arange(qs.shape[-1], device=qs.device) == 0
        parts = qs, hidden, torch.where(alive, view.available, noop)
        found = nets.mixer.preferences(*(x.reshape(-1, *x.shape[-2:]) for x in parts))
        return found.reshape(qs.shape)

    def evidence(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> dict[str, Tensor]:
        """The sum of utilities: what of Q is additive by construction."""
        return {"sum of Q_i": self.agent_qs(utilities, actions, view).sum(-1)}

    def _actor(self, explore: bool, rng: np.random.Generator) -> Actor:
        return JointActor(self, explore, rng)
