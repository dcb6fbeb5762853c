"""
# Two-Step Game

QMIX's two-step game (Rashid et al. 2018, section 5.1): a sum of utilities settles for 7, where 8
can be had.

| Creation           | `make("parallel", "vdtoolkit/two_step-v0")`  |
|--------------------|----------------------------------------------|
| Actions            | Discrete                                     |
| Parallel API       | Yes                                          |
| Manual Control     | No                                           |
| Agents             | `agents= ['agent_0', 'agent_1']`             |
| Agents             | 2                                            |
| Action Shape       | Discrete(2)                                  |
| Action Values      | [0, 1]                                       |
| Observation Shape  | (3,)                                         |
| Observation Values | [0, 1]                                       |
| State Shape        | (3,)                                         |
| State Values       | [0, 1]                                       |

In state 1 agent_0 chooses the game that is played next: action 0 leads to 2A, action 1 to 2B;
agent_1's action does nothing, and nobody is paid. In 2A every joint action pays 7. In 2B the
payoff is [0 1; 1 8] (rows agent_0, columns agent_1). Then the episode terminates. The best return
is 8: agent_0 chooses 2B and both play 1.

Observations and state are the one-hot of the state in the order 1, 2A, 2B. Both agents see the
same: a learner with shared weights tells them apart by their id.

### Arguments

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

import numpy as np
from gymnasium.utils import EzPickle

from ._finite import FiniteGame, JointAction, Outcomes, State, aec, one_hot, unit_box

__all__ = ["env", "parallel_env", "raw_env"]

STATES = ("1", "2A", "2B")
PAYOFFS = {"2A": ((7.0, 7.0), (7.0, 7.0)), "2B": ((0.0, 1.0), (1.0, 8.0))}


class raw_env(FiniteGame):
    """QMIX's two-step game (see the module)."""

    metadata = {**FiniteGame.metadata, "name": "two_step_v0"}  # noqa: RUF012
    title = "QMIX's two-step game"

    def __init__(self, *, render_mode: str | None = None) -> None:
        EzPickle.__init__(self, render_mode=render_mode)
        spaces = [unit_box(len(STATES)) for _ in range(2)]
        FiniteGame.__init__(self, (2, 2), spaces, unit_box(len(STATES)), render_mode=render_mode)

    def initial_states(self) -> list[tuple[float, State]]:
        """State 1."""
        return [(1.0, "1")]

    def model(self, state: State, joint_action: JointAction) -> Outcomes:
        """From 1 to 2A or 2B by agent_0's action; from there to the end, with the payoff."""
        u0, u1 = joint_action
        if state == "1":
            return [(1.0, 0.0, ("2A", "2B")[u0])]
        return [(1.0, PAYOFFS[str(state)][u0][u1], None)]

    def observations(self, state: State) -> list[np.ndarray]:
        """The one-hot of the state, for both agents."""
        return [self.global_state(state), self.global_state(state)]

    def global_state(self, state: State) -> np.ndarray:
        """The one-hot of the state [3]."""
        return one_hot(STATES.index(str(state)), len(STATES))


def parallel_env(*, render_mode: str | None = None) -> raw_env:
    """The game as a ParallelEnv; the module describes the arguments."""
    return raw_env(render_mode=render_mode)


env = aec(parallel_env)
