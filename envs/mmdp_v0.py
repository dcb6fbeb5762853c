"""
# Two-State MMDP

QPLEX's two-state game (Wang et al. 2021): easy to play, and learners whose class cannot hold its
values drive them to infinity.

| Creation           | `make("parallel", "vdtoolkit/mmdp-v0")`      |
|--------------------|----------------------------------------------|
| Actions            | Discrete                                     |
| Parallel API       | Yes                                          |
| Manual Control     | No                                           |
| Agents             | `agents= ['agent_0', 'agent_1']`             |
| Agents             | 2                                            |
| Action Shape       | Discrete(2)                                  |
| Action Values      | [0, 1]                                       |
| Observation Shape  | (2,)                                         |
| Observation Values | [0, 1]                                       |
| State Shape        | (2,)                                         |
| State Values       | [0, 1]                                       |

Play begins in the good state. There the joint action (0, 0) pays 1 and stays; (0, 1) and (1, 0) pay
nothing and stay; (1, 1) pays nothing and leads to the absorbing state, where nothing is ever paid
again. An episode is cut off (truncated) after `max_cycles` moves. The best is to play 0 for ever:
its value is 1 / (1 - gamma), 100 for gamma = 0.99.

One sweep of fitted Q iteration over uniform data needs the table [1 + gV, gV; gV, 0]. A sum of
utilities answers it with V = .75 + 1.25 gV, which has no end for g >= 0.8.

Observations and state are the one-hot of the state in the order good, absorbing. Both agents see
the same: a learner with shared weights tells them apart by their id.

### Arguments

`max_cycles`: moves after which an episode is truncated, 100 by default.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

import numpy as np
from gymnasium.utils import EzPickle

from ._finite import FiniteGame, JointAction, Outcomes, State, aec, one_hot, unit_box

__all__ = ["env", "parallel_env", "raw_env"]

STATES = ("good", "absorbing")


class raw_env(FiniteGame):
    """QPLEX's two-state MMDP (see the module)."""

    metadata = {**FiniteGame.metadata, "name": "mmdp_v0"}  # noqa: RUF012
    title = "QPLEX's two-state MMDP"

    def __init__(self, *, max_cycles: int = 100, render_mode: str | None = None) -> None:
        EzPickle.__init__(self, max_cycles=max_cycles, render_mode=render_mode)
        spaces = [unit_box(len(STATES)) for _ in range(2)]
        FiniteGame.__init__(
            self,
            (2, 2),
            spaces,
            unit_box(len(STATES)),
            max_cycles=max_cycles,
            render_mode=render_mode,
        )

    def initial_states(self) -> list[tuple[float, State]]:
        """The good state."""
        return [(1.0, "good")]

    def model(self, state: State, joint_action: JointAction) -> Outcomes:
        """(0, 0) in the good state pays 1; (1, 1) leaves it for ever."""
        if state == "absorbing" or joint_action == (1, 1):
            return [(1.0, 0.0, "absorbing")]
        return [(1.0, float(joint_action == (0, 0)), "good")]

    def observations(self, state: State) -> list[np.ndarray]:
        """The one-hot of the state, for both agents."""
        return [self.global_state(state), self.global_state(state)]

    def global_state(self, state: State) -> np.ndarray:
        """The one-hot of the state [2]."""
        return one_hot(STATES.index(str(state)), len(STATES))


def parallel_env(*, max_cycles: int = 100, render_mode: str | None = None) -> raw_env:
    """The game as a ParallelEnv; the module describes the arguments."""
    return raw_env(max_cycles=max_cycles, render_mode=render_mode)


env = aec(parallel_env)
