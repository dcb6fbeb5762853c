"""A finite game in which agent_0's middle action is not available."""

import numpy as np
from gymnasium.spaces import Box

from vdtoolkit.envs._finite import FiniteGame


class MaskedGame(FiniteGame):
    title = "masked game"
    payoff = np.array([[1.0, 2.0], [9.0, 9.0], [3.0, 4.0]])

    def __init__(self):
        box = Box(-1, 1, (1,), np.float32)
        super().__init__((3, 2), [box, box], box, one_shot=True)

    def initial_states(self):
        return [(1.0, "only")]

    def model(self, state, joint_action):
        assert joint_action[0] != 1
        return [(1.0, float(self.payoff[joint_action]), None)]

    def observations(self, state):
        return [np.ones(1, np.float32)] * 2

    def global_state(self, state):
        return np.ones(1, np.float32)

    def available(self, state):
        return [np.array([True, False, True]), np.ones(2, bool)]
