"""
# SMACv2

SMACv2 (Ellis et al. 2023, arXiv 2212.07489) around the unmodified
`StarCraftCapabilityEnvWrapper` of oxwhirl/smacv2: SMAC with teams and starting places drawn for
each battle. Real StarCraft II, which has to be installed.

| Creation           | `make("parallel", "vdtoolkit/smacv2-v0")`                              |
|--------------------|------------------------------------------------------------------------|
| Actions            | Discrete                                                               |
| Parallel API       | Yes                                                                    |
| Manual Control     | No                                                                     |
| Agents             | `agents= ['agent_0', 'agent_1', ...]`                                  |
| Agents             | 5, 10 or 20                                                            |
| Action Shape       | Discrete(6 + enemies)                                                  |
| Action Values      | 0 no-op, 1 stop, 2 north, 3 south, 4 east, 5 west, 6 + k attack enemy k |
| Observation Shape  | (82,) in terran_5v5, up to (389,)                                      |
| Observation Values | (-inf, inf), nearly all in [-1, 1]                                     |
| State Shape        | (120,) in terran_5v5, up to (901,)                                     |
| State Values       | (-inf, inf), likewise                                                  |

`vdtoolkit doctor` says what is missing; `docs/starcraft.md` has installation, licences, seeds and
what is done when the game breaks.  Infos, ends, illegal actions, relaunches and rendering are
`smac_v0`'s.  SMAC and SMACv2 cannot be played in one process: pysc2 refuses their two maps named
3m.

Each battle has three types of units, drawn with weights .45, .45, .1; the team starts either in
the middle, surrounded, or on one side, the enemy reflected on the other.  The seed decides both,
as well as the game itself.  Rewards are scaled by the first battle's enemies, as published, so a
win in a later one returns more or less than 20.

### Arguments

```python
smacv2_v0.parallel_env("protoss_10v11")
smacv2_v0.parallel_env("terran_5v5", conic_fov=True)
smacv2_v0.parallel_env("zerg_5v5", capability_config={"n_units": 3, "n_enemies": 4, ...})
```

`task`: "terran", "protoss" or "zerg", and "_5v5", "_10v10", "_10v11", "_20v20" or "_20v23".

`capability_config`: a whole one of SMACv2's instead of the task's numbers; the race stays.

`sort_enemies`, `raw_sparse_reward`, `timeout`, `relaunches`, `relaunch_after`, `illegal_action`,
`render_mode`: as `smac_v0`'s.

All else goes to SMACv2 as it is.  Unless it is given, `obs_own_pos=True`, `use_unit_ranges=True`
and `min_attack_range=2`, as in SMACv2's experiments.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

from gymnasium.utils import EzPickle

from ._starcraft import install
from ._starcraft.capability import CapabilityGame
from ._starcraft.team import StarCraftTeam, refuse_unknown
from ._team_game import aec, at_least

__all__ = ["TASKS", "env", "parallel_env", "raw_env"]

# race -> its types of units, and those that cannot make up a whole team
UNITS: dict[str, tuple[list[str], list[str]]] = {
    "terran": (["marine", "marauder", "medivac"], ["medivac"]),
    "protoss": (["stalker", "zealot", "colossus"], []),
    "zerg": (["zergling", "hydralisk", "baneling"], ["baneling"]),
}
SIZES = ((5, 5), (10, 10), (10, 11), (20, 20), (20, 23))
TASKS = tuple(f"{race}_{n}v{m}" for race in UNITS for n, m in SIZES)
PUBLISHED = {"obs_own_pos": True, "use_unit_ranges": True, "min_attack_range": 2}
RESERVED = {
    "seed": "give it to reset(seed=...)",
    "map_name": "the task decides it: SMAC's own maps never end a reset in SMACv2, play them in "
    "smac_v0",
}


class raw_env(StarCraftTeam):
    """A team in SMACv2 (see the module)."""

    metadata = {**StarCraftTeam.metadata, "name": "smacv2_v0"}  # noqa: RUF012
    kind = "smacv2"

    def __init__(
        self,
        task: str = "terran_5v5",
        *,
        capability_config: Mapping[str, Any] | None = None,
        sort_enemies: bool = False,
        raw_sparse_reward: bool = False,
        timeout: int = 60,
        relaunches: int = 5,
        relaunch_after: int = 50_000,
        illegal_action: str = "replace",
        render_mode: str | None = None,
        **smac: Any,
    ) -> None:
        EzPickle.__init__(
            self,
            task,
            capability_config=capability_config,
            sort_enemies=sort_enemies,
            raw_sparse_reward=raw_sparse_reward,
            timeout=timeout,
            relaunches=relaunches,
            relaunch_after=relaunch_after,
            illegal_action=illegal_action,
            render_mode=render_mode,
            **smac,
        )
        at_least(1, timeout=timeout, relaunch_after=relaunch_after)
        at_least(0, relaunches=relaunches)
        if task not in TASKS:
            raise ValueError(
                f"smacv2_v0 knows no task {task!r}: {install.closest(task, TASKS)}"
                f"tasks are {', '.join(TASKS)}"
            )
        module = install.load(self.kind)
        refuse_unknown(self.kind, module.StarCraft2Env, smac, RESERVED)
        if raw_sparse_reward and not smac.get("reward_sparse"):
            raise ValueError("raw_sparse_reward=True: it goes with reward_sparse=True")
        race = task.partition("_")[0]
        config = capability_config or published(task)
        arguments = {"continuing_episode": True, **PUBLISHED, **smac, "map_name": f"10gen_{race}"}
        if raw_sparse_reward:
            arguments["reward_scale"] = False
        self.task = task

        def make() -> Any:  # the wrapper writes into its configuration
            wrapper = module.StarCraftCapabilityEnvWrapper
            return wrapper(capability_config=copy.deepcopy(dict(config)), **arguments)

        game = CapabilityGame(
            make,
            partial(install.check_game, self.kind, "32x32_flat", smac.get("game_version")),
            timeout=timeout,
            relaunches=relaunches,
            relaunch_after=relaunch_after,
            sort_enemies=sort_enemies,
        )
        StarCraftTeam.__init__(
            self,
            make(),
            game,
            f"SMACv2 {task}",
            illegal_action=illegal_action,
            render_mode=render_mode,
        )


def published(task: str) -> dict[str, Any]:
    """SMACv2's configuration of a task (arXiv 2212.07489, section 5)."""
    race, _, size = task.partition("_")
    n, m = map(int, size.split("v"))
    units, exceptions = UNITS[race]
    return {
        "n_units": n,
        "n_enemies": m,
        "team_gen": {
            "dist_type": "weighted_teams",
            "unit_types": units,
            "weights": [0.45, 0.45, 0.1],
            "exception_unit_types": exceptions,
            "observe": True,
        },
        "start_positions": {
            "dist_type": "surrounded_and_reflect",
            "p": 0.5,
            "map_x": 32,
            "map_y": 32,
        },
    }


def parallel_env(task: str = "terran_5v5", **arguments: Any) -> raw_env:
    """SMACv2 as a ParallelEnv; the module describes the arguments."""
    return raw_env(task, **arguments)


env = aec(parallel_env)
