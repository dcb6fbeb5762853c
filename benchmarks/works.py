"""The work that is timed: W1 and W3, as a team, as agents and as batches of noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from vdtoolkit import ALGORITHMS
from vdtoolkit.agents.base import Agents
from vdtoolkit.step import Step
from vdtoolkit.team import Team
from vdtoolkit.training import play


@dataclass(frozen=True)
class Work:
    """The sizes of an update: B episodes of T moves, N agents, O and S features, A actions."""

    name: str
    B: int
    T: int
    N: int
    O: int
    S: int
    A: int
    H: int = 64

    def team(self) -> Team:
        names = [f"agent_{i}" for i in range(self.N)]
        box = lambda n: spaces.Box(-np.inf, np.inf, (n,), np.float32)  # noqa: E731
        return Team(
            dict.fromkeys(names, box(self.O)),
            dict.fromkeys(names, spaces.Discrete(self.A)),
            box(self.S),
        )

    def agents(self, algorithm: str = "qmix", **overrides: Any) -> Agents:
        """Agents of the package's own defaults, which are those of PERFORMANCE's W1."""
        if algorithm == "qatten":  # unit features as its authors have them: a slice of the state
            overrides.setdefault("unit_features", f"0:{self.S}")
        return ALGORITHMS[algorithm](
            self.team(), seed=0, hidden_dim=self.H, batch_size=self.B, **overrides
        )

    def trained(self, algorithm: str = "qmix", episodes: int = 64, **overrides: Any) -> Agents:
        """Agents whose replay holds so many episodes of noise."""
        agents = self.agents(algorithm, **overrides)
        n_envs = min(episodes, 32)
        play(agents, Noise(self, n_envs), episodes * self.T, updates_per_episode=0)
        return agents


W1 = Work("W1", 32, 25, 3, 18, 54, 5)
W3 = Work("W3", 32, 60, 10, 120, 250, 16)


class Noise:
    """A stream of E episodes of T moves in which nothing depends on anything."""

    n_restarts = 0

    n_restarts = 0

    def __init__(self, work: Work, n_envs: int) -> None:
        self.work, self.n_envs, self.team = work, n_envs, work.team()
        self._rng = np.random.default_rng(0)
        self._t = 0

    def reset(self, seed: int = 0) -> Step:
        self._t = 0
        return self._moment()

    def send(self, actions: np.ndarray) -> None:
        self._t = (self._t + 1) % (self.work.T + 1)

    def receive(self) -> Step:
        return self._moment()

    def step(self, actions: np.ndarray) -> Step:
        self.send(actions)
        return self.receive()

    def close(self) -> None:
        pass

    def _moment(self) -> Step:
        w, e, first = self.work, self.n_envs, self._t == 0
        return Step(
            obs=self._rng.standard_normal((e, w.N, w.O), np.float32),
            state=self._rng.standard_normal((e, w.S), np.float32),
            available=np.ones((e, w.N, w.A), bool),
            alive=np.ones((e, w.N), bool),
            reward=np.zeros(e, np.float32) if first else self._rng.standard_normal(e, np.float32),
            first=np.full(e, first),
            terminated=np.zeros(e, bool),
            truncated=np.full(e, self._t == w.T),
            lost=np.zeros(e, bool),
        )
