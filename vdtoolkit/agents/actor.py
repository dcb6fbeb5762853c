"""The decentralised policy: each agent acts on what it alone has seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vdtoolkit.networks import AgentNet
from vdtoolkit.step import Step
from vdtoolkit.team import Team

# qs [E, N, A], available [E, N, A], epsilon, rng -> actions [E, N]
Policy = Callable[[np.ndarray, np.ndarray, float, np.random.Generator], np.ndarray]


class Actor:
    """Acts with a team's networks and a memory of its own.

    It reads observations and masks only: no state, no other agent's observation.
    """

    def __init__(
        self,
        team: Team,
        net: Callable[[], AgentNet],
        policy: Policy,
        epsilon: Callable[[], float],
        rng: np.random.Generator,
        device: torch.device,
    ) -> None:
        self.team = team
        self._net, self._policy, self._epsilon, self._rng = net, policy, epsilon, rng
        self._device = device
        self._carry: Tensor | None = None  # [E, N, H]
        self._last = np.zeros((0, 0), np.int64)  # [E, N], -1 for none
        self._fresh = True

    def reset(self) -> None:
        """Forget the episode: the next `act` begins a new one."""
        self._fresh = True

    def act(
        self, observations: Mapping[str, Any], infos: Mapping[str, Any] | None = None
    ) -> dict[str, int]:
        """PettingZoo's dicts to {agent: action}, for exactly the agents observed."""
        obs = self.team.encode_obs(observations)[None]
        available = self.team.encode_available(observations, infos)
        refuse_idleness(self.team, available)
        actions = self._choose(obs, available[None], np.array([self._fresh]))
        self._fresh = False
        return self.team.decode(actions[0], list(observations))

    def act_steps(self, step: Step) -> np.ndarray:
        """Actions [E, N] at one moment of E episodes; rows that are `first` have no memory."""
        return self._choose(step.obs, step.available, step.first)

    @torch.no_grad()
    def _choose(self, obs: np.ndarray, available: np.ndarray, first: np.ndarray) -> np.ndarray:
        net, x = self._net(), torch.as_tensor(obs, device=self._device).unsqueeze(1)
        if self._carry is None or len(self._carry) != len(obs):
            self._carry = net.empty(len(obs), x)
            self._last = np.full(available.shape[:2], -1)
        if first.any():
            self._carry = self._carry.masked_fill(
                torch.as_tensor(first, device=self._device)[:, None, None], 0.0
            )
            self._last = np.where(first[:, None], -1, self._last)
        last = torch.as_tensor(self._last, device=self._device).unsqueeze(1)
        utilities, self._carry = net(x, last, self._carry)
        qs = utilities.qs.squeeze(1).cpu().numpy()
        actions = self._policy(qs, available, self._epsilon(), self._rng)
        self._last = actions
        return actions


def refuse_idleness(team: Team, available: np.ndarray) -> None:
    """Every agent that is to act needs something to do; available: [N, A]."""
    nothing = ~available.any(-1)
    if nothing.any():
        agent = team.agents[int(np.argmax(nothing))]
        raise ValueError(f"agent {agent!r}: action_mask is all zeros: it has nothing to do")


def epsilon_greedy(
    qs: np.ndarray, available: np.ndarray, epsilon: float, rng: np.random.Generator
) -> np.ndarray:
    """With probability epsilon uniform over what is available, else the best of it.

    qs, available: [E, N, A]; each agent draws for itself.  Returns [E, N] int64.
    """
    actions = np.where(available, qs, -np.inf).argmax(-1)
    if epsilon > 0:
        lots = np.where(available, rng.random(qs.shape), -1.0).argmax(-1)
        actions = np.where(rng.random(actions.shape) < epsilon, lots, actions)
    return actions
