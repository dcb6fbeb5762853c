"""
# Lever

CommNet's lever game (Sukhbaatar et al. 2016): m agents, drawn from a pool, each pull one of m
levers, and all should pull different ones.

| Creation           | `make("parallel", "vdtoolkit/lever-v0")`         |
|--------------------|--------------------------------------------------|
| Actions            | Discrete                                         |
| Parallel API       | Yes                                              |
| Manual Control     | No                                               |
| Agents             | `agents= ['agent_0', ..., 'agent_4']`            |
| Agents             | 5 by default: the seats of a round               |
| Action Shape       | Discrete(m)                                      |
| Action Values      | [0, m - 1]                                       |
| Observation Shape  | (pool,), or (1,) with `show_id=False`            |
| Observation Values | [0, 1]                                           |
| State Shape        | (m pool,)                                        |
| State Values       | [0, 1]                                           |

At the start m of the pool's players are drawn and take the m seats, which are the env's agents, in
random order. Each pulls a lever, all are paid (different levers pulled) / m, and the episode
terminates. A player sees its own number in the pool, one-hot, and nothing else; the state shows who
sits where.

Seats say nothing: a learner that knows them (by agent ids, or by a net for each) solves the game by
"seat i pulls lever i", which is not what it is about. Leave ids off and share weights.

Levers pulled at random pay 1 - (1 - 1/m)^m, .6723 for m = 5. The best that players can do without
words is to share the pool out among the levers as evenly as it goes, n_1 + ... + n_m = n: the mean
over levers l of 1 - C(n - n_l, m) / C(n, m), which is 1 for n = m and .6740 for 5 of 500.

### Arguments

`agents`: m, seats and levers, 5 by default.

`pool`: n, players from whom they are drawn, 500 by default; at least m.

`show_id`: whether players see who they are; where not, they see a 1 and can only act at random.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

Up to 20,000 ways to draw, as of 3 from 20 (6,840), the game is a finite one, solved and played by
its model; beyond that it is played as any other environment.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

import itertools
from math import perm

import numpy as np
from gymnasium.utils import EzPickle

from ._drawing import Canvas
from ._finite import FiniteGame, JointAction, Outcomes, State, aec, one_hot, unit_box
from ._team_game import at_least

__all__ = ["env", "parallel_env", "raw_env"]

LISTED = 20_000  # draws that are written out


class raw_env(FiniteGame):
    """CommNet's lever game (see the module)."""

    metadata = {**FiniteGame.metadata, "name": "lever_v0"}  # noqa: RUF012

    def __init__(
        self,
        agents: int = 5,
        *,
        pool: int = 500,
        show_id: bool = True,
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(self, agents, pool=pool, show_id=show_id, render_mode=render_mode)
        at_least(1, agents=agents)
        at_least(agents, pool=pool)
        self.pool, self.show_id = int(pool), show_id
        self.title = f"Lever game, {agents} of {pool}"
        self.enumerable = perm(pool, agents) <= LISTED
        spaces = [unit_box(pool if show_id else 1) for _ in range(agents)]
        FiniteGame.__init__(
            self,
            [agents] * agents,
            spaces,
            unit_box(agents * pool),
            one_shot=True,
            render_mode=render_mode,
        )

    def initial_states(self) -> list[tuple[float, State]]:
        """Every way to seat players of the pool, equally likely."""
        seats = len(self.n_actions)
        n = perm(self.pool, seats)
        if not self.enumerable:
            raise ValueError(
                f"{n} ways to draw {seats} of {self.pool} are too many to list: "
                "take fewer, for example pool=8, for what needs all states"
            )
        return [(1 / n, who) for who in itertools.permutations(range(self.pool), seats)]

    def _start(self) -> State:
        drawn = self.np_random.choice(self.pool, len(self.n_actions), replace=False)
        return tuple(drawn.tolist())

    def model(self, state: State, joint_action: JointAction) -> Outcomes:
        """The share of levers that somebody pulls, and the end."""
        return [(1.0, len(set(joint_action)) / len(joint_action), None)]

    def observations(self, state: State) -> list[np.ndarray]:
        """Each player's number one-hot, or a 1."""
        if not self.show_id:
            return [np.ones(1, np.float32) for _ in self.n_actions]
        return [one_hot(who, self.pool) for who in state]  # type: ignore[attr-defined]

    def global_state(self, state: State) -> np.ndarray:
        """The number of each seat's player, one-hot [m pool]."""
        return np.concatenate([one_hot(who, self.pool) for who in state])  # type: ignore[attr-defined]

    def _pulled(self) -> list[str]:
        """Who is at each lever."""
        state, played = self._shown()
        at: list[list[str]] = [[] for _ in self.n_actions]
        for who, lever in zip(state, played or (), strict=False):  # type: ignore[call-overload]
            at[lever].append(f"player {who}")
        return [", ".join(names) for names in at]

    def _paid(self) -> str:
        drawn = ", ".join(map(str, self._shown()[0]))  # type: ignore[call-overload]
        if self._last is None:
            return f"players {drawn} are drawn, nobody has pulled"
        different = sum(map(bool, self._pulled()))
        return f"{different} of {len(self.n_actions)} levers pulled: {self._last.reward:.4g}"

    def _text(self) -> str:
        lines = [f"lever {k}: {who or '-'}" for k, who in enumerate(self._pulled())]
        return "\n".join([self.title, *lines, self._paid()])

    def _image(self) -> np.ndarray:
        at, m = self._pulled(), len(self.n_actions)
        most = max(1, *(who.count("player") for who in at))
        canvas = Canvas(max(4.6, 1.1 * m), 2.6 + 0.3 * most, (0, m), (-1, 1.6 + most), self.title)
        for k, who in enumerate(at):
            canvas.rectangle(k + 0.1, 0, 0.8, 0.9, "yellowgreen" if who else "lightgray")
            canvas.text(k + 0.5, 0.45, f"lever {k}")
            for height, name in enumerate(who.split(", ") if who else []):
                canvas.text(k + 0.5, 1.4 + height, name, size=8)
        canvas.text(m / 2, -0.6, self._paid())
        return canvas.pixels()


def parallel_env(
    agents: int = 5, *, pool: int = 500, show_id: bool = True, render_mode: str | None = None
) -> raw_env:
    """The game as a ParallelEnv; the module describes the arguments."""
    return raw_env(agents, pool=pool, show_id=show_id, render_mode=render_mode)


env = aec(parallel_env)
