"""
# SMAX

JaxMARL's StarCraft-like battles on JAX (Rutherford et al. 2023, arXiv 2311.10090), with masks, a
time limit that is told as one, and the last observation kept.

| Creation           | `make("parallel", "vdtoolkit/smax-v0")`                           |
|--------------------|-------------------------------------------------------------------|
| Actions            | Discrete                                                          |
| Parallel API       | Yes                                                               |
| Manual Control     | No                                                                |
| Agents             | `agents= ['agent_0', 'agent_1', ...]`                             |
| Agents             | 3 to 27, as the map has                                           |
| Action Shape       | Discrete(5 + enemies)                                             |
| Action Values      | 0 north, 1 east, 2 south, 3 west, 4 stop, 5 + k attack enemy k    |
| Observation Shape  | (75,) in 3m, up to (738,) in 27m_vs_30m                           |
| Observation Values | [-1, 1]                                                           |
| State Shape        | (72,) in 3m, up to (684,)                                         |
| State Values       | (-inf, inf)                                                       |

It needs JaxMARL: `pip install 'vdtoolkit[smax]'`, Python 3.11 on, about 1 GB; JaxMARL asks for
gymnasium below 1.4, so a place of its own may be best.  A map is compiled when it is first played,
and again for each number of envs: 10 to 30 seconds each, once a process.
`JAX_COMPILATION_CACHE_DIR=folder` keeps what was compiled for later ones.

The rules are JaxMARL's `HeuristicEnemySMAX`, unchanged: a team of units fights as many or more on a
field of 32 x 32 cells; who touches its edge dies; the enemy shoots at who is closest.  A move is
half a second, in eight steps.  Every agent is paid the share of the enemy's health that was taken
off, the mean over enemies, and 1 for a victory: 2 in all.  It is not SMAC: other numbers, no
shields, no healing, no armour, all of one's side in `state()` as the game has it.

All agents stay to the end of the episode; the dead observe zeros and have `stop` alone, as there
is no other action for them.  The episode terminates when a side is dead and is truncated after
`max_cycles` moves; JaxMARL itself tells both as one `done`, and its `step` has begun the next
episode by then.  Both sides dead at once is not won.

### Infos

`action_mask` int8, `alive`; of the team `battle_won`, `dead_allies`, `dead_enemies`;
`illegal_action`: what was asked for and not played.

### Arguments

```python
smax_v0.parallel_env("3m")
smax_v0.parallel_env("smacv2_5_units", max_cycles=150, attack_mode="random")
```

`map_name`: "3m", "8m", "25m", "5m_vs_6m", "10m_vs_11m", "27m_vs_30m", "2s3z", "3s5z",
"3s5z_vs_3s6z", "3s_vs_5z", "6h_vs_8z"; "smacv2_5_units", "smacv2_10_units", "smacv2_20_units"
with kinds and places drawn anew each episode.

`max_cycles`: moves after which an episode is truncated, 100 as in JaxMARL.

`attack_mode`: whom the enemy shoots at, `"closest"` or `"random"`; `enemy_shoots=False`: nobody.

`walls_cause_death`, `see_enemy_actions`: JaxMARL's own, both True.

`illegal_action`: `"replace"` plays a masked-out action as stop and leaves it in
`infos[agent]["illegal_action"]`; `"raise"` is a ValueError.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

### Many at once

`parallel_env(...).vector_env(num_envs)` is a `gymnasium.vector.VectorEnv` of the same battles under
`jax.vmap`, which `train` and `vdtoolkit train` take by themselves: the same episodes from the same
seeds, sooner.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.utils import EzPickle

from . import _scene
from ._smax import Battles
from ._team_game import Dicts, JointAction, TeamGame, aec, at_least, box
from ._team_vector import TeamVectorEnv

__all__ = ["SMAXVectorEnv", "env", "parallel_env", "raw_env"]

ATTACK_MODES = ("closest", "random")


class raw_env(TeamGame):
    """A team in SMAX (see the module)."""

    metadata = {**TeamGame.metadata, "name": "smax_v0", "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        map_name: str = "3m",
        *,
        max_cycles: int = 100,
        attack_mode: str = "closest",
        enemy_shoots: bool = True,
        walls_cause_death: bool = True,
        see_enemy_actions: bool = True,
        illegal_action: str = "replace",
        render_mode: str | None = None,
    ) -> None:
        settings = {
            "attack_mode": attack_mode,
            "enemy_shoots": enemy_shoots,
            "walls_cause_death": walls_cause_death,
            "see_enemy_actions": see_enemy_actions,
        }
        EzPickle.__init__(
            self,
            map_name,
            max_cycles=max_cycles,
            **settings,
            illegal_action=illegal_action,
            render_mode=render_mode,
        )
        self._battles = Battles(map_name, 1, **_checked(max_cycles, settings))
        self.map_name, self.max_cycles, self._settings = map_name, max_cycles, settings
        rules = self._battles.engine
        TeamGame.__init__(
            self,
            [rules.n_actions] * rules.n,
            [box(-1.0, 1.0, rules.obs_dim) for _ in range(rules.n)],
            box(-np.inf, np.inf, rules.state_dim),
            illegal_action=illegal_action,
            render_mode=render_mode,
        )
        self.title = f"SMAX {map_name}"

    def vector_env(self, num_envs: int) -> SMAXVectorEnv:
        """So many of these battles as one `gymnasium.vector.VectorEnv`."""
        return SMAXVectorEnv(num_envs, self.map_name, max_cycles=self.max_cycles, **self._settings)

    def scene(self) -> _scene.Scene:
        """The present moment for people."""
        if not self._started:
            raise RuntimeError("scene() before reset(): call reset() to start an episode")
        seen = self._battles.seen
        note = "" if self.agents else "time is up"
        if seen.over[0]:
            draw = "draw" if not seen.enemies[0].any() else "lost"
            note = "won" if seen.won[0] else draw
        return self._battles.scene(
            0, move=self._moves, limit=self.max_cycles, team_return=self._return, note=note
        )

    def _begin(self) -> None:
        self._battles.begin(np.array([_seed_of(self.np_random)]))
        self._return = 0.0

    def _play(self, played: JointAction) -> tuple[list[float], list[bool], bool]:
        seen, reward = self._battles.play(np.array([played]))
        self._return += float(reward[0])
        n = len(self.possible_agents)
        return [float(reward[0])] * n, [bool(seen.over[0])] * n, self._moves >= self.max_cycles

    def _legal(self, asked: JointAction) -> JointAction:
        played = tuple(self._battles.legal(np.array([asked]))[0].tolist())
        if self.illegal_action == "raise" and played != asked:
            i = [a == b for a, b in zip(asked, played, strict=True)].index(False)
            raise ValueError(
                f"agent {self.possible_agents[i]!r} played {asked[i]}, which is masked out "
                f"{self._where()}: available are {np.flatnonzero(self._masks()[i]).tolist()} "
                '(illegal_action="replace" plays stop)'
            )
        return played

    def _told(self, agents: Any) -> Dicts:
        observations, infos = super()._told(agents)
        seen = self._battles.seen
        team = {
            "battle_won": bool(seen.won[0]),
            "dead_allies": int((~seen.allies[0]).sum()),
            "dead_enemies": int((~seen.enemies[0]).sum()),
        }
        for agent, info in infos.items():
            info.update(alive=bool(seen.allies[0, self._row(agent)]), **team)
        return observations, infos

    def _masks(self) -> list[np.ndarray]:
        return list(self._battles.seen.available[0])

    def _observations(self) -> list[np.ndarray]:
        return list(self._battles.seen.obs[0].copy())

    def _global_state(self) -> np.ndarray:
        return self._battles.seen.state[0].copy()

    def _text(self) -> str:
        return _scene.text(self.scene())

    def _image(self) -> np.ndarray:
        return _scene.draw(self.scene())


class SMAXVectorEnv(TeamVectorEnv):
    """Many battles at once on JAX; observations as `vdtoolkit.TeamEnv`'s, NEXT_STEP autoreset.

    Env e, seeded with s, plays the episodes of `TeamEnv(parallel_env())` after `reset(seed=s)`:
    its k-th is seeded from (s, k).  The arguments are those of `parallel_env`; a masked-out action
    is played as stop.  `infos["won"]` [E] says of the rows that are over whether they were won.

    episodes: None, or an iterator of seeds: each episode that begins takes the next of them, in
    order of rows; when they are used up, play goes on without.
    """

    def __init__(
        self, num_envs: int = 8, map_name: str = "3m", *, max_cycles: int = 100, **settings: Any
    ) -> None:
        at_least(1, num_envs=num_envs)
        self._battles = Battles(map_name, num_envs, **_checked(max_cycles, settings))
        rules = self._battles.engine
        super().__init__(
            num_envs,
            box(-1.0, 1.0, rules.obs_dim),
            box(-np.inf, np.inf, rules.state_dim),
            rules.n,
            rules.n_actions,
            max_cycles,
        )

    def step(
        self, actions: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One move of each battle; actions [E, N].  Those that were over begin anew instead."""
        new, battles = self._over, self._battles
        seen, reward = battles.play(battles.legal(np.asarray(actions)))
        self._moves += 1
        if new.any():
            self._begin(np.flatnonzero(new))
            seen = battles.seen
        terminated = seen.over & ~new
        truncated = (self._moves >= self.max_cycles) & ~terminated & ~new
        self._over = terminated | truncated
        info = {"won": seen.won & terminated, "_won": self._over}
        return self._told(terminated), np.where(new, 0.0, reward), terminated, truncated, info

    def _begin(self, rows: np.ndarray) -> None:
        self._throw(rows)
        new, drawn = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, np.int64)
        new[rows], drawn[rows] = True, [_seed_of(self._rngs[e]) for e in rows]
        if new.all():
            self._battles.begin(drawn)
        else:
            self._battles.begin_some(new, drawn)

    def _told(self, terminated: np.ndarray) -> dict[str, np.ndarray]:
        seen = self._battles.seen
        return {
            "obs": seen.obs.copy(),
            "state": seen.state.copy(),
            "available": seen.available.astype(np.int8),
            "alive": (seen.allies & ~terminated[:, None]).astype(np.int8),
        }


def _seed_of(rng: np.random.Generator) -> int:
    """What an episode's chance on JAX is made from."""
    return int(rng.integers(2**31))


def _checked(max_cycles: int, settings: dict[str, Any]) -> dict[str, Any]:
    """SMAX's settings; ValueError for what cannot be."""
    at_least(1, max_cycles=max_cycles)
    mode = settings.get("attack_mode", ATTACK_MODES[0])
    if mode not in ATTACK_MODES:
        raise ValueError(f"attack_mode={mode!r}: choose one of {list(ATTACK_MODES)}")
    defaults = {"attack_mode": mode, "enemy_shoots": True}
    return {**defaults, "walls_cause_death": True, "see_enemy_actions": True, **settings}


def parallel_env(
    map_name: str = "3m",
    *,
    max_cycles: int = 100,
    attack_mode: str = "closest",
    enemy_shoots: bool = True,
    walls_cause_death: bool = True,
    see_enemy_actions: bool = True,
    illegal_action: str = "replace",
    render_mode: str | None = None,
) -> raw_env:
    """The battle as a ParallelEnv; the module describes the arguments."""
    return raw_env(
        map_name,
        max_cycles=max_cycles,
        attack_mode=attack_mode,
        enemy_shoots=enemy_shoots,
        walls_cause_death=walls_cause_death,
        see_enemy_actions=see_enemy_actions,
        illegal_action=illegal_action,
        render_mode=render_mode,
    )


env = aec(parallel_env)
