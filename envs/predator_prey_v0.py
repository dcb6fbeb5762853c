"""
# Predator-Prey

Predators that must catch together: one alone is punished, so the safe thing is to keep away.
Both forms of the literature: QTRAN's, and the stag hunt of DCG and weighted QMIX.

| Creation           | `make("parallel", "vdtoolkit/predator_prey-v0")`                |
|--------------------|-----------------------------------------------------------------|
| Actions            | Discrete                                                        |
| Parallel API       | Yes                                                             |
| Manual Control     | No                                                              |
| Agents             | `agents= ['agent_0', 'agent_1', ...]`                           |
| Agents             | 2 (`form="punished"`) or 8 (`form="stag_hunt"`)                 |
| Action Shape       | Discrete(5), or Discrete(6) in the stag hunt                    |
| Action Values      | 0 stay, 1 up, 2 down, 3 left, 4 right, 5 catch (stag hunt)      |
| Observation Shape  | (2(N + M) + N,), or (2 (2 sight + 1)^2,) in the stag hunt       |
| Observation Values | [-1, 1], or [0, 1] in the stag hunt                             |
| State Shape        | (2(N + M),), or (2 size^2,) in the stag hunt                    |
| State Values       | [0, 1]                                                          |

N predators and M prey on a square grid with walls around it, each on a cell of its own. Every move,
predators step one after another in an order drawn anew, then the prey; who finds a wall or
somebody in the way stays. All predators get the team's reward.

### The two forms

| | `punished` | `stag_hunt` |
|---|---|---|
| source | QTRAN (Son et al. 2019) | DCG (Boehmer et al. 2020), WQMIX (Rashid et al. 2020) |
| size, predators, prey | 5, 2, 1 (also 7, 4, 2) | 10, 8, 8 |
| a prey is caught by | two or more predators beside it | two or more beside it that play `catch` |
| pays | `reward` 1 each move, for each such prey | `reward` 10 |
| exactly one beside it | -`penalty`, 0.5 (also 1, 1.5) | that plays `catch`: -`penalty`, 2 |
| the caught prey | returns on a free cell | is removed, and all who caught it |
| prey step | to one of five places, to stay among them | to one of the free cells beside them |
| predators see | everything | a square of 5 x 5 around them |
| masks | none | no steps into walls; `catch` only beside a prey |
| the episode is truncated | after 100 moves | after 200 |
| and terminates | never | when all prey, or all predators, are gone |

Beside is up, down, left or right. In the stag hunt prey are looked at in turn: a predator that has
caught one is gone before the next is looked at, one that failed alone may fail again.

Observations of `punished`: own row and column, where the other predators and then the prey are from
there, all divided by size - 1, and the agent's number one-hot. Its state: row and column of all,
predators first. Observations of `stag_hunt`: the square around the agent, first its predators
(itself in the middle), then its prey; walls do not show. Its state: the same of the whole board. A
predator that was removed terminates, and sees zeros in that moment.

QTRAN's paper leaves open who steps first. Its authors' code steps in order of index, and lets who
stands in the way step first. Directions are numbered differently in every code base, and stay is 0
here, which is what is played for a masked-out action.

### Arguments

```python
predator_prey_v0.parallel_env()                                     # QTRAN's, 5 x 5
predator_prey_v0.parallel_env(size=7, predators=4, prey=2, penalty=1.5)
predator_prey_v0.parallel_env("stag_hunt")                          # 10 x 10, 8 and 8
predator_prey_v0.parallel_env("stag_hunt", size=5, predators=4, prey=2, penalty=0)
```

`form`: `"punished"` or `"stag_hunt"`. What is None below is the form's own, as in the table.

`size`, `predators`, `prey`: cells a side, and how many of each.

`reward`, `penalty`: for two and for one; the penalty is taken off, so it is not negative.

`sight`: cells seen on each side, in the stag hunt alone; 2 by default.

`max_cycles`: moves after which an episode is truncated.

`illegal_action`: `"replace"` plays a masked-out action as stay and leaves it in
`infos[agent]["illegal_action"]`; `"raise"` is a ValueError.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

### Many at once

`parallel_env(...).vector_env(num_envs)` is a `gymnasium.vector.VectorEnv` of the same game in
NumPy, which `train` and `vdtoolkit train` take by themselves: the same episodes from the same
seeds, sooner.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import EzPickle

from . import _boards
from ._predator_prey import CATCH, PARKED, Punished, StagHunt, World
from ._team_game import JointAction, TeamGame, aec, at_least, box, unit_box
from ._team_vector import TeamVectorEnv

__all__ = ["PredatorPreyVectorEnv", "env", "parallel_env", "raw_env"]

ACTIONS = ("stay", "up", "down", "left", "right", "catch")
DEFAULTS: dict[str, dict[str, Any]] = {
    "punished": {
        "size": 5,
        "predators": 2,
        "prey": 1,
        "reward": 1.0,
        "penalty": 0.5,
        "max_cycles": 100,
    },
    "stag_hunt": {
        "size": 10,
        "predators": 8,
        "prey": 8,
        "reward": 10.0,
        "penalty": 2.0,
        "max_cycles": 200,
        "sight": 2,
    },
}


class raw_env(TeamGame):
    """Predator-prey with a punishment for who catches alone (see the module)."""

    metadata = {**TeamGame.metadata, "name": "predator_prey_v0"}  # noqa: RUF012

    def __init__(
        self,
        form: str = "punished",
        *,
        size: int | None = None,
        predators: int | None = None,
        prey: int | None = None,
        reward: float | None = None,
        penalty: float | None = None,
        sight: int | None = None,
        max_cycles: int | None = None,
        illegal_action: str = "replace",
        render_mode: str | None = None,
    ) -> None:
        given = {
            "size": size,
            "predators": predators,
            "prey": prey,
            "reward": reward,
            "penalty": penalty,
            "sight": sight,
            "max_cycles": max_cycles,
        }
        EzPickle.__init__(
            self, form, **given, illegal_action=illegal_action, render_mode=render_mode
        )
        self.arguments = _settings(form, given)
        self.form, self.max_cycles = form, self.arguments["max_cycles"]
        self._world = make_world(form, 1, self.arguments)
        spaces = [_seen(form, self._world.obs_dim) for _ in range(self._world.n)]
        TeamGame.__init__(
            self,
            [self._world.n_actions] * self._world.n,
            spaces,
            unit_box(self._world.state_dim),
            illegal_action=illegal_action,
            render_mode=render_mode,
        )
        self._hunts = form == "stag_hunt"
        self.title = "Stag hunt" if self._hunts else "Predator-prey"
        self._last: tuple[JointAction, float] | None = None

    def vector_env(self, num_envs: int) -> PredatorPreyVectorEnv:
        """So many of this game as one `gymnasium.vector.VectorEnv`."""
        return PredatorPreyVectorEnv(num_envs, self.form, **self.arguments)

    def place(self, predators: list[tuple[int, int]], prey: list[tuple[int, int]]) -> None:
        """Put everybody on these cells (row, column), of an episode that has begun."""
        board = [(r + self._world.border, c + self._world.border) for r, c in (*predators, *prey)]
        self._world.put(0, np.array([r * self._world.width + c for r, c in board]))

    def _begin(self) -> None:
        self._world.begin(np.zeros(1, np.int64), [self.np_random])
        self._last = None

    def _play(self, played: JointAction) -> tuple[list[float], list[bool], bool]:
        self._world.draw([self.np_random])
        reward = float(self._world.play(np.array([played]))[0])
        self._last = played, reward
        ended = ~self._world.alive[0] | self._world.over()[0]
        return [reward] * self._world.n, ended.tolist(), self._moves >= self.max_cycles

    def _masks(self) -> list[np.ndarray]:
        return list(self._world.masks()[0])

    def _observations(self) -> list[np.ndarray]:
        return list(self._world.observations()[0])

    def _global_state(self) -> np.ndarray:
        return self._world.state()[0]

    def _board(self) -> _boards.Board:
        """What is where, for people."""
        world = self._world
        places = world.places()[0].tolist()
        there = (world.cells[0] != PARKED).tolist()
        pieces = []
        for k, (row, column) in enumerate(places):
            if there[k]:
                if k >= world.n:
                    pieces.append(_boards.Piece(row, column, "*"))
                    continue
                catches = self._last is not None and self._last[0][k] == CATCH
                pieces.append(_boards.Piece(row, column, str(k % 10), k, catches))
        return _boards.Board(
            world.size,
            world.size,
            pieces,
            title=self.title,
            note=self._left(there),
            key="numbers: predators" + (", ! if they play catch" * self._hunts) + "; *: prey",
            caption=self._caption(),
        )

    def _left(self, there: list[bool]) -> str:
        drawn = "discs: predators; squares: prey" if self.render_mode == "rgb_array" else ""
        if not self._hunts:
            return drawn
        n = self._world.n
        left = f"{there[:n].count(True)} predators and {there[n:].count(True)} prey left"
        return f"{left}; ringed: play catch" if drawn else left

    def _caption(self) -> str:
        if self._last is None:
            return "start of the episode"
        played, reward = self._last
        told = "  ".join(f"{i}:{ACTIONS[u]}" for i, u in enumerate(played))
        end = "" if self.agents else ", end of the episode"
        if end and not self._world.over()[0]:
            end = ", time is up"
        return f"move {self._moves} gave {reward:g}{end}\n{told}"

    def _text(self) -> str:
        return _boards.text(self._board())

    def _image(self) -> np.ndarray:
        return _boards.image(self._board())


class PredatorPreyVectorEnv(TeamVectorEnv):
    """Many games at once in NumPy; observations as `vdtoolkit.TeamEnv`'s, NEXT_STEP autoreset.

    Env e, seeded with s, plays the episodes of `TeamEnv(parallel_env())` after `reset(seed=s)`:
    its k-th is seeded from (s, k).  The arguments are those of `parallel_env`.

    episodes: None, or an iterator of seeds: each episode that begins takes the next of them, in
    order of rows; when they are used up, play goes on without.
    """

    def __init__(self, num_envs: int = 8, form: str = "punished", **arguments: Any) -> None:
        at_least(1, num_envs=num_envs)
        settings = _settings(form, arguments)
        self._world = world = make_world(form, num_envs, settings)
        super().__init__(
            num_envs,
            _seen(form, world.obs_dim),
            unit_box(world.state_dim),
            world.n,
            world.n_actions,
            settings["max_cycles"],
        )

    def step(
        self, actions: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One move of each game; actions [E, N].  Games that were over begin anew instead."""
        new, world = self._over, self._world
        world.draw(self._rngs)
        reward = np.where(new, 0.0, world.play(np.asarray(actions)))
        self._moves += 1
        terminated = world.over() & ~new
        truncated = (self._moves >= self.max_cycles) & ~terminated & ~new
        if new.any():
            self._begin(np.flatnonzero(new))
        self._over = terminated | truncated
        return self._told(terminated), reward, terminated, truncated, {}

    def _begin(self, rows: np.ndarray) -> None:
        self._throw(rows)
        self._world.begin(rows, self._rngs)

    def _told(self, terminated: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "obs": self._world.observations(),
            "state": self._world.state(),
            "available": self._world.masks().astype(np.int8),
            "alive": (self._world.alive & ~terminated[:, None]).astype(np.int8),
        }


def make_world(form: str, n_envs: int, settings: dict[str, Any]) -> World:
    """So many worlds of one form."""
    rules = {k: v for k, v in settings.items() if k != "max_cycles"}
    return {"punished": Punished, "stag_hunt": StagHunt}[form](n_envs, **rules)


def _seen(form: str, size: int) -> Box:
    return box(-1.0, 1.0, size) if form == "punished" else unit_box(size)


def _settings(form: str, given: dict[str, Any]) -> dict[str, Any]:
    """The form's own arguments, and those given in their place; ValueError for what cannot be."""
    if form not in DEFAULTS:
        raise ValueError(f"form={form!r}: choose one of {list(DEFAULTS)}")
    given = {name: value for name, value in given.items() if value is not None}
    unknown = [name for name in given if name not in DEFAULTS[form]]
    if unknown:
        raise ValueError(f"form {form!r} has no {', '.join(unknown)}: leave it out")
    settings = {**DEFAULTS[form], **given}
    counts = ("predators", "prey", "max_cycles")
    at_least(1, **{name: settings[name] for name in counts})
    at_least(2, size=settings["size"])
    if "sight" in settings:
        at_least(0, sight=settings["sight"])
    penalty, who = settings["penalty"], settings["predators"] + settings["prey"]
    if not penalty >= 0:
        raise ValueError(f"penalty={penalty}: it is taken off the reward, give {-penalty}")
    if who >= settings["size"] ** 2:
        raise ValueError(
            f"{who} predators and prey need more than the {settings['size'] ** 2} cells of "
            f"size={settings['size']}: one must stay free"
        )
    return settings


def parallel_env(
    form: str = "punished",
    *,
    size: int | None = None,
    predators: int | None = None,
    prey: int | None = None,
    reward: float | None = None,
    penalty: float | None = None,
    sight: int | None = None,
    max_cycles: int | None = None,
    illegal_action: str = "replace",
    render_mode: str | None = None,
) -> raw_env:
    """The game as a ParallelEnv; the module describes the arguments."""
    return raw_env(
        form,
        size=size,
        predators=predators,
        prey=prey,
        reward=reward,
        penalty=penalty,
        sight=sight,
        max_cycles=max_cycles,
        illegal_action=illegal_action,
        render_mode=render_mode,
    )


env = aec(parallel_env)
