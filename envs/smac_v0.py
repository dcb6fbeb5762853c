"""
# SMAC

The StarCraft Multi-Agent Challenge (Samvelyan et al. 2019, arXiv 1902.04043) around the unmodified
`StarCraft2Env` of oxwhirl/smac: real StarCraft II, which has to be installed.

| Creation           | `make("parallel", "vdtoolkit/smac-v0")`                                |
|--------------------|------------------------------------------------------------------------|
| Actions            | Discrete                                                               |
| Parallel API       | Yes                                                                    |
| Manual Control     | No                                                                     |
| Agents             | `agents= ['agent_0', 'agent_1', ...]`                                  |
| Agents             | 2 to 27, as the map has                                                |
| Action Shape       | Discrete(6 + enemies)                                                  |
| Action Values      | 0 no-op, 1 stop, 2 north, 3 south, 4 east, 5 west, 6 + k attack enemy k |
| Observation Shape  | (30,) in 3m, up to (336,)                                              |
| Observation Values | (-inf, inf), nearly all in [-1, 1]                                     |
| State Shape        | (48,) in 3m, up to (1170,)                                             |
| State Values       | (-inf, inf), likewise                                                  |

`vdtoolkit doctor` says what is missing; `docs/starcraft.md` has installation, licences, seeds and
what is done when the game breaks.

A team of units fights the built-in AI (difficulty 7).  All agents stay to the end of the episode;
the dead observe zeros and have no-op alone, which the living do not have.  A medivac's actions
6 + k heal ally k.  All get the team's reward: damage dealt, 10 for a kill, 200 for the victory,
scaled so that a win returns 20.  Observations, states, masks and rewards are oxwhirl's.

### Infos

`action_mask` int8, `alive`, `unit_type`; of the team `battle_won`, `dead_allies`, `dead_enemies`;
`lost_game`: the game broke, the episode is truncated without a reward and counts for nothing, so
`battle_won` is missing; `illegal_action`: what was asked for and not played.

An episode terminates when one side is dead and is truncated by the map's limit.
`continuing_episode=False` tells the limit as termination, as most published results have it.

### Arguments

```python
smac_v0.parallel_env("3m")
smac_v0.parallel_env("2s3z", difficulty="7", obs_timestep_number=True)
```

`map_name`: "3m", "8m", "25m", "5m_vs_6m", "8m_vs_9m", "10m_vs_11m", "27m_vs_30m", "MMM", "MMM2",
"2s3z", "3s5z", "3s5z_vs_3s6z", "3s_vs_3z", "3s_vs_4z", "3s_vs_5z", "1c3s5z", "2m_vs_1z",
"corridor", "6h_vs_8z", "2s_vs_1sc", "so_many_baneling", "bane_vs_bane", "2c_vs_64zg".

`sort_enemies`, `repair_shield_reward`, `raw_sparse_reward`: departures from what was published,
off by default: enemies in the order of type and place instead of the game's own, which differs
between episodes; no reward for an enemy's shield that grows back; +1 and -1 of `reward_sparse`
unscaled.

`timeout`: seconds after which a silent game counts as broken.  `relaunches`: how many times in a
row it may break without a whole episode between.  `relaunch_after`: moves after which the next
episode begins in a new game, since a game ends by itself after 65,536.

`illegal_action`: `"replace"` plays a masked-out action as stop, or as no-op of the dead, and leaves
it in `infos[agent]["illegal_action"]`; `"raise"` is a ValueError.

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`: our own drawing, no window.

All else goes to `StarCraft2Env` as it is: `difficulty`, `game_version`, `step_mul`,
`obs_last_action`, `reward_sparse`, `reward_only_positive`, ...

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

from functools import partial
from typing import Any

from gymnasium.utils import EzPickle

from ._starcraft import install
from ._starcraft.game import Game
from ._starcraft.team import StarCraftTeam, refuse_map, refuse_unknown
from ._team_game import aec, at_least

__all__ = ["env", "parallel_env", "raw_env"]

RESERVED = {"seed": "give it to reset(seed=...)", "map_name": "give it once"}


class raw_env(StarCraftTeam):
    """A team in SMAC (see the module)."""

    metadata = {**StarCraftTeam.metadata, "name": "smac_v0"}  # noqa: RUF012
    kind = "smac"

    def __init__(
        self,
        map_name: str = "3m",
        *,
        sort_enemies: bool = False,
        repair_shield_reward: bool = False,
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
            map_name,
            sort_enemies=sort_enemies,
            repair_shield_reward=repair_shield_reward,
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
        cls = install.load(self.kind).StarCraft2Env
        refuse_unknown(self.kind, cls, smac, RESERVED)
        refuse_map(self.kind, map_name, install.maps_of(self.kind))
        if raw_sparse_reward and not smac.get("reward_sparse"):
            raise ValueError("raw_sparse_reward=True: it goes with reward_sparse=True")
        arguments = {"continuing_episode": True, **smac, "map_name": map_name}
        if raw_sparse_reward:
            arguments["reward_scale"] = False
        self.map_name = map_name

        def make() -> Any:
            made = cls(**arguments)
            if repair_shield_reward:
                repair(made)
            return made

        game = Game(
            make,
            partial(install.check_game, self.kind, map_name, smac.get("game_version")),
            timeout=timeout,
            relaunches=relaunches,
            relaunch_after=relaunch_after,
            sort_enemies=sort_enemies,
        )
        StarCraftTeam.__init__(
            self,
            make(),
            game,
            f"SMAC {map_name}",
            illegal_action=illegal_action,
            render_mode=render_mode,
        )


def repair(smac: Any) -> None:
    """Pay nothing for an enemy's shield that grows back.

    oxwhirl's env takes the damage of a move by its absolute value, so a shield that is hit and
    grows again pays twice.  SMACv2 cuts it off at 0, and so does this.
    """
    original = smac.reward_battle

    def cut() -> float:
        if not smac.reward_only_positive:
            return original()
        scale = smac.reward_negative_scale
        smac.reward_only_positive, smac.reward_negative_scale = False, 0.0  # keeps the sign
        try:
            return max(0.0, original())
        finally:
            smac.reward_only_positive, smac.reward_negative_scale = True, scale

    smac.reward_battle = cut


def parallel_env(map_name: str = "3m", **arguments: Any) -> raw_env:
    """SMAC as a ParallelEnv; the module describes the arguments."""
    return raw_env(map_name, **arguments)


env = aec(parallel_env)
