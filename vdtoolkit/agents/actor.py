"""The decentralised policy: each agent acts on what it alone has seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from vdtoolkit.few_rows import LIMIT, FewRows
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
        self._carry = np.zeros((0, 0, 0), np.float32)  # [E, N, H]
        self._last = np.zeros((0, 0), np.int64)  # [E, N], -1 for none
        self._few: FewRows | None = None
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

    def memory(self) -> dict[str, np.ndarray]:
        """What it remembers of the episodes it plays: its carry and its last actions."""
        return {"carry": self._carry, "last": self._last}

    def remember(self, told: dict[str, np.ndarray]) -> None:
        """Take over what `memory` gave."""
        self._carry, self._last = told["carry"].copy(), told["last"].copy()

    def _choose(self, obs: np.ndarray, available: np.ndarray, first: np.ndarray) -> np.ndarray:
        net = self._net()
        if len(self._carry) != len(obs):
            self._carry = np.zeros((*obs.shape[:2], net.hidden_dim), np.float32)
            self._last = np.full(available.shape[:2], -1)
        elif np.count_nonzero(first):
            self._carry[first] = 0.0
            self._last[first] = -1
        qs = self._utilities(net, obs)
        self._last = self._policy(qs, available, self._epsilon(), self._rng)
        return self._last.copy()

    def _utilities(self, net: AgentNet, obs: np.ndarray) -> np.ndarray:
        """[E, N, A], and the memory goes on."""
        if self._last.size <= LIMIT:
            if self._few is None or not self._few.fits(net):
                self._few = FewRows(net) if FewRows.can_stand_for(net) else None
            if self._few is not None:
                qs, self._carry = self._few(obs, self._last, self._carry)
                return qs
        given = (torch.as_tensor(x, device=self._device) for x in (obs, self._last, self._carry))
        seen, last, carry = given
        with torch.inference_mode():
            utilities, carry = net(seen.unsqueeze(1), last.unsqueeze(1), carry)
            self._carry = np.ascontiguousarray(carry.cpu().numpy())  # as one that was saved lies
            return utilities.qs.squeeze(1).cpu().numpy()


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
        explores = rng.random(actions.shape) < epsilon
        if explores.any():
            lots = np.where(available, rng.random(qs.shape), -1.0).argmax(-1)
            actions = np.where(explores, lots, actions)
    return actions
