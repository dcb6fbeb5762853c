"""
# Skirmish

A team of units fights a scripted enemy: a battle that needs no game installed, with the actions,
masks, observations and states of the StarCraft Multi-Agent Challenge (SMAC).

| Creation           | `make("parallel", "vdtoolkit/skirmish-v0")`                     |
|--------------------|-----------------------------------------------------------------|
| Actions            | Discrete                                                        |
| Parallel API       | Yes                                                             |
| Manual Control     | No                                                              |
| Agents             | `agents= ['agent_0', 'agent_1', ...]`                           |
| Agents             | 2 to 27, by map; 3 on `3m`                                      |
| Action Shape       | Discrete(6 + M), M enemies                                      |
| Action Values      | 0 no-op, 1 stop, 2 north, 3 south, 4 east, 5 west, 6 + k attack |
| Observation Shape  | by map; (30,) on `3m`                                           |
| Observation Values | (-inf, inf), most of them in [-1, 1]                            |
| State Shape        | by map; (48,) on `3m`                                           |
| State Values       | (-inf, inf), most of them in [-1, 1]                            |

**This is not SMAC**, and no number taken here compares with one taken there.  It is a battle of our
own, written from the published contract and the game's unit data (Samvelyan et al. 2019,
arXiv:1902.04043; SMACv2: Ellis et al. 2023, arXiv:2212.07489), so that a policy, a config or a
replay made here fits there and back.

### What is SMAC's

* Maps: teams, episode limits, sizes of actions, observations and state of all 23, and of the 15
  tasks of SMACv2 (there teams and places are drawn anew in each episode).
* Actions: dead agents have no-op alone, living ones never; a move aims 2 cells away and is
  available if the cell 1 away is on the map; an attack on who lives and is 6 cells away at most,
  between centres (SMACv2: the unit's range, 2 at least).  Action 6 + k of a medivac heals ally k.
* Observation: the moves available; of each enemy within 9 cells (SMACv2: the unit's sight) whether
  it can be attacked, distance, x, y, health, shield and kind; the same of the other agents; own
  health, shield and kind, and in SMACv2 own place.  State: health, cooldown or energy, x, y, shield
  and kind of all, and last actions one-hot.  Shields only where that side is Protoss, kinds only
  where there are several, in SMAC's order of bits.  All zeros for the dead.
* Reward, the same for all: (damage to health and shields + 10 a kill + 200 for the victory) x 20 /
  the most there is: who wins has 20, or a little more or less where somebody regenerated.
* Ends: the episode terminates when a team has nobody left but healers, and is truncated at the
  limit.  If both fall at once nobody has won.
* Units: health, shields, armour, speed, radius, range, damage, blows, bonus, cooldown; shields
  regenerate 2 a second after 10 seconds without damage, Zerg 0.2734 a second; medivacs heal 9 a
  second for a third of that in energy; colossi burn a line, banelings blow themselves up.
* Time: a move is 8 game loops of 1/16 second.  Agents never shoot unless told to.

### What is not

* The ground is flat and free: `corridor` has no corridor, `2c_vs_64zg` no cliffs.
* The enemy is a script: it walks to where the team stands at first, and goes for the nearest within
  5 cells or its range, edge to edge, or anywhere if it was hit in the last second; chosen at each
  move, as agents choose.  On `2c_vs_64zg` and SMACv2's tasks it hunts.  It does not flee or kite.
* No paths, turns, missiles or acceleration: all walk straight, who overlap are pushed apart, and
  weapons hit at once.  A move is two ticks; shots of one tick hit together, so that both may fall.
* Banelings burst when they attack, not when they are killed.
* Chance is all in the beginning: places are off the map's by up to half a cell, and each weapon is
  up to one loop quicker or slower than its kind's.
* Negative net damage (a shield that regenerates) pays 0, as in SMACv2; SMAC pays its absolute
  value.  The most there is, in SMACv2's tasks, is that of the very teams.
* Agents are in SMAC's order, by kind, then x and y on the map; enemies keep theirs always.

Calibrated with scripted players (`PLAYERS`): on `3m`, `8m`, `2s3z` and `3s5z`, with equal teams,
the nearest target wins about half of the battles, focused fire at least 20 points more, random
play none.  `docs/skirmish.md` has all maps.

### Arguments

```python
skirmish_v0.parallel_env()                          # 3m
skirmish_v0.parallel_env("2s3z")
skirmish_v0.parallel_env("protoss_10v11")           # SMACv2's
```

`map_name`: `3m`, `8m`, `25m`, `5m_vs_6m`, `8m_vs_9m`, `10m_vs_11m`, `27m_vs_30m`, `MMM`, `MMM2`,
`2s3z`, `3s5z`, `3s5z_vs_3s6z`, `3s_vs_3z`, `3s_vs_4z`, `3s_vs_5z`, `1c3s5z`, `2m_vs_1z`,
`corridor`, `6h_vs_8z`, `2s_vs_1sc`, `so_many_baneling`, `bane_vs_bane`, `2c_vs_64zg`; or `terran`,
`protoss` or `zerg` with `_5v5`, `_10v10`, `_10v11`, `_20v20` or `_20v23`.

`max_cycles`: moves after which an episode is truncated; the map's limit by default.

`illegal_action`: `"replace"` plays a masked-out action as stop (no-op of the dead) and leaves it in
`infos[agent]["illegal_action"]`; `"raise"` is a ValueError.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

All agents stay till the end of the episode.  `infos[agent]` has `action_mask`, `alive`,
`unit_type`, `battle_won`, `dead_allies` and `dead_enemies`.

### Many at once

`parallel_env(...).vector_env(num_envs)` is a `gymnasium.vector.VectorEnv` of the same battles in
NumPy, which `train` and `vdtoolkit train` take by themselves: the same episodes from the same
seeds, sooner.  Where Numba is installed (`vdtoolkit[fast]`) it is compiled, at its first use ever,
which takes some tens of seconds, and is the same to the last bit; VDTOOLKIT_FAST=0 turns that off.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import EzPickle

from . import _skirmish_units as units
from ._skirmish_battle import ATTACK, Battle
from ._skirmish_maps import MAPS, SIZE, Map
from ._skirmish_players import PLAYERS, Player
from ._skirmish_views import Sizes, Views
from ._team_game import Dicts, JointAction, TeamGame, aec, at_least, box
from ._team_vector import TeamVectorEnv

if TYPE_CHECKING:
    from ._scene import Scene

__all__ = ["MAPS", "PLAYERS", "SkirmishVectorEnv", "env", "parallel_env", "raw_env", "win_rate"]

ACTIONS = ("no-op", "stop", "north", "south", "east", "west")


class raw_env(TeamGame):
    """One battle against a scripted enemy (see the module)."""

    metadata = {**TeamGame.metadata, "name": "skirmish_v0", "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        map_name: str = "3m",
        *,
        max_cycles: int | None = None,
        illegal_action: str = "replace",
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(
            self,
            map_name,
            max_cycles=max_cycles,
            illegal_action=illegal_action,
            render_mode=render_mode,
        )
        self.map = _map(map_name)
        self.max_cycles = _limit(self.map, max_cycles)
        self._battle = Battle(self.map, 1)
        self._views = Views(self._battle)
        sizes = self._views.sizes
        TeamGame.__init__(
            self,
            [sizes.actions] * sizes.n,
            [any_box(sizes.obs) for _ in range(sizes.n)],
            any_box(sizes.state),
            illegal_action=illegal_action,
            render_mode=render_mode,
        )
        self.title = f"Skirmish on {map_name}"
        self._played: JointAction | None = None
        self._total = 0.0

    def vector_env(self, num_envs: int) -> SkirmishVectorEnv:
        """So many of this battle as one `gymnasium.vector.VectorEnv`."""
        return SkirmishVectorEnv(num_envs, self.map.name, max_cycles=self.max_cycles)

    def _begin(self) -> None:
        row = np.zeros(1, np.int64)
        self._battle.begin(row, [self.np_random])
        self._views.begin(row)
        self._views.look()
        self._played, self._total = None, 0.0

    def _play(self, played: JointAction) -> tuple[list[float], list[bool], bool]:
        actions = np.array(played)[:, None]
        self._views.acted(actions.T)
        reward = float(self._battle.play(actions)[0])
        self._views.look()
        self._played, self._total = played, self._total + reward
        n, over = self._battle.n, bool(self._battle.over[0])
        return [reward] * n, [over] * n, self._moves >= self.max_cycles

    def _masks(self) -> list[np.ndarray]:
        return list(self._views.masks[:, :, 0])

    def _observations(self) -> list[np.ndarray]:
        return list(self._views.obs()[0])

    def _global_state(self) -> np.ndarray:
        return self._views.state()[0]

    def _told(self, agents: Sequence[str]) -> Dicts:
        observations, infos = super()._told(agents)
        alive, n = self._battle.alive[:, 0], self._battle.n
        told = {
            "battle_won": bool(self._battle.won[0]),
            "dead_allies": int(n - alive[:n].sum()),
            "dead_enemies": int(self._battle.m - alive[n:].sum()),
        }
        for i, info in enumerate(infos.values()):  # everybody stays till the end
            kind = units.KINDS[self._battle.kind[i, 0]]
            info.update(told, alive=bool(alive[i]), unit_type=kind.name)
        return observations, infos

    def scene(self) -> Scene:
        """What is to be seen now, for pictures and text."""
        from ._scene import Scene, Unit

        battle = self._battle
        alive = battle.alive[:, 0]
        shown = []
        for u in range(battle.u):
            kind = units.KINDS[battle.kind[u, 0]]
            place = (battle.x, battle.y) if alive[u] else battle.fell
            shown.append(
                Unit(
                    side=int(u >= battle.n),
                    kind=kind.name,
                    x=float(place[0][u, 0]),
                    y=float(place[1][u, 0]),
                    radius=kind.radius,
                    health=float(battle.health[u, 0]),
                    health_max=kind.health,
                    shield=float(battle.shield[u, 0]),
                    shield_max=kind.shield,
                    label=str(u if u < battle.n else u - battle.n),
                    doing=self._doing(u) if u < battle.n and alive[u] else "",
                    target=int(battle.target[u, 0]) if battle.aims[u, 0] and alive[u] else None,
                )
            )
        return Scene(
            width=SIZE,
            height=SIZE,
            units=tuple(shown),
            move=self._moves,
            limit=self.max_cycles,
            title=self.title,
            team_return=self._total,
            note=self._end(),
        )

    def _doing(self, agent: int) -> str:
        if self._played is None:
            return ""
        action = self._played[agent]
        if action < ATTACK:
            return ACTIONS[action]
        heals = units.KINDS[self._battle.kind[agent, 0]].heals
        return f"{'heal' if heals else 'attack'} {action - ATTACK}"

    def _end(self) -> str:
        if self.agents or not self._started or self._played is None:
            return ""
        if not self._battle.over[0]:
            return "time is up"
        return "won" if self._battle.won[0] else "lost"

    def _text(self) -> str:
        from . import _scene

        return _scene.text(self.scene())

    def _image(self) -> np.ndarray:
        from . import _scene

        return _scene.draw(self.scene())


class SkirmishVectorEnv(TeamVectorEnv):
    """Many battles at once in NumPy; observations as `vdtoolkit.TeamEnv`'s, NEXT_STEP autoreset.

    Env e, seeded with s, plays the episodes of `TeamEnv(parallel_env())` after `reset(seed=s)`:
    its k-th is seeded from (s, k).  The arguments are those of `parallel_env`.  `infos["won"]` says
    of the envs that are over whether the battle was won.

    episodes: None, or an iterator of seeds: each episode that begins takes the next of them, in
    order of rows; when they are used up, play goes on without.
    """

    def __init__(
        self, num_envs: int = 8, map_name: str = "3m", *, max_cycles: int | None = None
    ) -> None:
        at_least(1, num_envs=num_envs)
        spec = _map(map_name)
        self._battle, self._views = _engine(spec, num_envs)
        sizes = Sizes(spec)
        super().__init__(
            num_envs,
            any_box(sizes.obs),
            any_box(sizes.state),
            sizes.n,
            sizes.actions,
            _limit(spec, max_cycles),
        )

    def step(
        self, actions: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One move of each battle; actions [E, N].  Those that were over begin anew instead."""
        new, battle = self._over, self._battle
        played = self._views.legal(np.asarray(actions))
        self._views.acted(played.T)
        reward = battle.play(played)
        reward[new] = 0.0
        self._moves += 1
        if new.any():
            self._begin(np.flatnonzero(new))
        terminated = battle.over & ~new
        truncated = (self._moves >= self.max_cycles) & ~terminated & ~new
        self._over = terminated | truncated
        infos: dict[str, Any] = {}
        if self._over.any():
            infos = {"won": battle.won.astype(np.float32), "_won": self._over}
        return self._told(terminated), reward, terminated, truncated, infos

    def play(self, player: Player, rng: np.random.Generator) -> np.ndarray:
        """What a scripted player plays now [E, N]."""
        return player(self._battle, self._views.masks, rng)

    def _begin(self, rows: np.ndarray) -> None:
        self._throw(rows)
        self._battle.begin(rows, self._rngs)
        self._views.begin(rows)

    def _told(self, terminated: np.ndarray) -> dict[str, np.ndarray]:
        views = self._views
        views.look()
        alive = self._battle.alive[: self._battle.n] & ~terminated
        return {
            "obs": views.obs(),
            "state": views.state(),
            "available": views.available(),
            "alive": np.ascontiguousarray(alive.T).view(np.int8),
        }


def win_rate(
    player: str | Player, map_name: str = "3m", episodes: int = 200, seed: int = 0
) -> float:
    """The share of battles that a scripted player wins, each played once."""
    play = PLAYERS[player] if isinstance(player, str) else player
    envs, rng = SkirmishVectorEnv(episodes, map_name), np.random.default_rng(seed)
    envs.reset(seed=seed)
    won, over = np.zeros(episodes, bool), np.zeros(episodes, bool)
    while not over.all():
        _, _, terminated, truncated, infos = envs.step(envs.play(play, rng))
        ended = (terminated | truncated) & ~over
        if ended.any():
            won[ended] = infos["won"][ended] > 0
        over |= ended
    return float(won.mean())


def any_box(size: int) -> Box:
    """The space of `size` float32 features without bounds, as SMAC's are best declared."""
    return box(-np.inf, np.inf, size)


def _engine(spec: Map, num_envs: int) -> tuple[Battle, Views]:
    """Battles and what is seen of them: compiled where Numba is at hand, the same numbers."""
    if os.environ.get("VDTOOLKIT_FAST") != "0" and find_spec("numba") is not None:
        try:
            from ._skirmish_compiled import CompiledBattle, CompiledViews
        except ImportError as error:  # Numba knows newer NumPys only some months after they are out
            warnings.warn(f"Numba cannot be loaded ({error}); going on without it", stacklevel=3)
        else:
            battle = CompiledBattle(spec, num_envs)
            return battle, CompiledViews(battle)
    plain = Battle(spec, num_envs)
    return plain, Views(plain)


def _map(name: str) -> Map:
    if name in MAPS:
        return MAPS[name]
    close = difflib.get_close_matches(str(name), MAPS, 1)
    meant = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(MAPS)}"
    raise ValueError(f"map_name={name!r}: there is no such map; {meant}")


def _limit(spec: Map, max_cycles: int | None) -> int:
    if max_cycles is None:
        return spec.limit
    at_least(1, max_cycles=max_cycles)
    return max_cycles


def parallel_env(
    map_name: str = "3m",
    *,
    max_cycles: int | None = None,
    illegal_action: str = "replace",
    render_mode: str | None = None,
) -> raw_env:
    """The battle as a ParallelEnv; the module describes the arguments."""
    return raw_env(
        map_name, max_cycles=max_cycles, illegal_action=illegal_action, render_mode=render_mode
    )


env = aec(parallel_env)
