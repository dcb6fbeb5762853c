"""A team whose agents see unlike things and leave one by one; it allows one step too many."""

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import seeding
from pettingzoo import ParallelEnv


class Watch(ParallelEnv):
    """Three guards see 2, 3 and 5 numbers; guard k leaves dead after move k + 2, the last ends it.

    A move pays the share of those on watch that repeat the signal that they see first.  After the
    end `step({})` says nothing, as in PettingZoo's own envs with death: black_death_v3 needs it.
    """

    metadata = {"name": "watch_v0"}  # noqa: RUF012
    render_mode = None
    moves = 4

    def __init__(self):
        self.possible_agents = ["guard_0", "guard_1", "guard_2"]
        self._seen = {
            a: Box(0, 9, (n,), np.float32)
            for a, n in zip(self.possible_agents, (2, 3, 5), strict=True)
        }
        self._actions = {a: Discrete(2) for a in self.possible_agents}
        self.state_space = Box(0, 9, (2,), np.float32)

    def observation_space(self, agent):
        return self._seen[agent]

    def action_space(self, agent):
        return self._actions[agent]

    def reset(self, seed=None, options=None):
        if seed is not None or not hasattr(self, "_rng"):
            self._rng, _ = seeding.np_random(seed)
        self.agents, self.clock = self.possible_agents[:], 0
        self.signal = int(self._rng.integers(2))
        return self._observations(self.agents), {a: {} for a in self.agents}

    def step(self, actions):
        if not self.agents:
            return {}, {}, {}, {}, {}
        right = float(np.mean([actions[a] == self.signal for a in self.agents]))
        told, self.clock = self.agents, self.clock + 1
        self.signal = int(self._rng.integers(2))
        out = {a: self.clock >= 2 + int(a[-1]) for a in told}
        self.agents = [a for a in told if not out[a]]
        rewards, cut = dict.fromkeys(told, right), dict.fromkeys(told, False)
        return self._observations(told), rewards, out, cut, {a: {} for a in told}

    def state(self):
        return np.array([self.signal, self.clock], np.float32)

    def _observations(self, agents):
        seen = np.array([self.signal, self.clock, 1, 2, 3], np.float32)
        return {a: seen[: self._seen[a].shape[0]].copy() for a in agents}
