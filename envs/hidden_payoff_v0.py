"""
# Hidden Payoff

QTRAN's pair of games under partial observation (Son et al. 2019): a coin that the agents may not
see picks the payoff.

| Creation           | `make("parallel", "vdtoolkit/hidden_payoff-v0")`  |
|--------------------|---------------------------------------------------|
| Actions            | Discrete                                          |
| Parallel API       | Yes                                               |
| Manual Control     | No                                                |
| Agents             | `agents= ['agent_0', 'agent_1']`                  |
| Agents             | 2: one for each axis of the payoffs               |
| Action Shape       | Discrete(3)                                       |
| Action Values      | [0, 2]                                            |
| Observation Shape  | (2,): one for each payoff                         |
| Observation Values | [0, 1]                                            |
| State Shape        | (2,)                                              |
| State Values       | [0, 1]                                            |

At the start a fair coin picks payoff 1, [10 8 5; 8 6 3; 5 3 0], or payoff 2,
[0 3 5; 3 6 8; 5 8 10] (rows agent_0, columns agent_1). The agents move once, are all paid the
entry at their joint action, and the episode terminates. The state shows the coin, one-hot. So do
the observations of the agents that are sighted; the others see zeros in its place. Both payoffs
are sums of utilities: what is hard is that the true values hang on what the agents cannot see.

### Arguments

`sighted`: the agents that see the coin, by name (`"agent_0"`) or index, one or a sequence; nobody
by default.

`payoffs`: the payoffs among which the coin (or die) picks, all equally likely: arrays
[A_1, ..., A_N] of one shape; QTRAN's two by default.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium.utils import EzPickle
from numpy.typing import ArrayLike

from . import _games
from ._finite import FiniteGame, JointAction, Outcomes, State, aec, one_hot, unit_box

__all__ = ["env", "parallel_env", "raw_env"]


class raw_env(FiniteGame):
    """A one-shot game whose payoff is drawn, and shown to some agents only (see the module)."""

    metadata = {**FiniteGame.metadata, "name": "hidden_payoff_v0"}  # noqa: RUF012
    title = "hidden payoff"

    def __init__(
        self,
        sighted: Sequence[str | int] | str | int = (),
        *,
        payoffs: Sequence[ArrayLike] | None = None,
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(self, sighted, payoffs=payoffs, render_mode=render_mode)
        self._payoffs = _tables(payoffs)
        n_actions, coin = self._payoffs[0].shape, len(self._payoffs)
        FiniteGame.__init__(
            self,
            n_actions,
            [unit_box(coin) for _ in n_actions],
            unit_box(coin),
            one_shot=True,
            render_mode=render_mode,
        )
        self._states = [f"payoff {i + 1}" for i in range(coin)]
        self._sighted = _sighted(sighted, self.possible_agents)

    def initial_states(self) -> list[tuple[float, State]]:
        """Every payoff, equally likely."""
        return [(1 / len(self._states), state) for state in self._states]

    def model(self, state: State, joint_action: JointAction) -> Outcomes:
        """The entry of the payoff that the coin picked, and the end."""
        return [(1.0, float(self._payoff(state)[joint_action]), None)]

    def rewards(self, state: State) -> np.ndarray:
        """The payoff that the coin picked [A_1, ..., A_N]."""
        return self._payoff(state).copy()

    def observations(self, state: State) -> list[np.ndarray]:
        """The coin for the sighted, zeros for the others."""
        coin = self.global_state(state)
        return [coin.copy() if sees else np.zeros_like(coin) for sees in self._sighted]

    def global_state(self, state: State) -> np.ndarray:
        """The one-hot of the coin."""
        return one_hot(self._states.index(str(state)), len(self._states))

    def _payoff(self, state: State) -> np.ndarray:
        return self._payoffs[self._states.index(str(state))]


def _tables(payoffs: Sequence[ArrayLike] | None) -> list[np.ndarray]:
    """The payoffs as arrays of one shape."""
    if payoffs is None:
        return [_games.payoff("qtran_state_1"), _games.payoff("qtran_state_2")]
    tables = [_games.from_array(payoff).payoff for payoff in payoffs]
    shapes = [table.shape for table in tables]
    if len(set(shapes)) != 1:
        raise ValueError(f"payoffs of shapes {shapes}: give one or more arrays of the same shape")
    return tables


def _sighted(chosen: Sequence[str | int] | str | int, agents: list[str]) -> list[bool]:
    """Whether each agent sees the coin."""
    chosen = (chosen,) if isinstance(chosen, str | int) else chosen
    names = [agents[a] if a in range(len(agents)) else a for a in chosen]  # type: ignore[index]
    unknown = [name for name in names if name not in agents]
    if unknown:
        raise ValueError(f"sighted={chosen!r}: no agents are called {unknown}, only {agents}")
    return [agent in names for agent in agents]


def parallel_env(
    sighted: Sequence[str | int] | str | int = (),
    *,
    payoffs: Sequence[ArrayLike] | None = None,
    render_mode: str | None = None,
) -> raw_env:
    """The game as a ParallelEnv; the module describes the arguments."""
    return raw_env(sighted, payoffs=payoffs, render_mode=render_mode)


env = aec(parallel_env)
