"""The ten unit types of skirmish_v0: numbers of StarCraft II 4.x at its "Normal" speed.

16 game loops are a second; cells are the map's.  Weapons and armour are facts of the game's public
unit data, health and speed those of the units in SMAC's maps (Samvelyan et al. 2019,
arXiv:1902.04043); what SMAC divides a cooldown by, and ranges and sights of SMACv2 (Ellis et al.
2023, arXiv:2212.07489), are from their papers' code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LOOPS_PER_SECOND = 16.0
SHIELD_WAITS = 10.0  # seconds without damage, before a shield regenerates
SHIELD_REGENERATES = 2.0  # points a second
ZERG_REGENERATE = 0.2734  # points of health a second
HEALS = 9.0  # points of health a second
HEALTH_PER_ENERGY = 3.0
ENERGY_REGENERATES = 0.5625  # points a second
LINE = (2.8, 0.3)  # what a colossus burns: length across its line of fire, width along it


@dataclass(frozen=True)
class Kind:
    """A unit type.  Distances in cells, `reach` from edge to edge, `cooldown` in game loops.

    damage: of each of `hits` blows; bonus: added to it against units that are `bonus_to`.
    burst: who is within so many cells of a unit that blows itself up is hit as well; 0 for none.
    cooldown_scale: what SMAC divides the cooldown in its state by (energy, for who heals).
    """

    name: str
    race: str  # T, P or Z
    health: float
    shield: float
    armour: float
    speed: float  # cells a second
    radius: float
    reach: float
    cooldown: float
    damage: float
    hits: int = 1
    bonus: float = 0.0
    bonus_to: str = ""
    is_a: str = ""  # light, armoured, or neither
    sight: float = 9.0  # used by the random teams; all others see 9 cells
    cooldown_scale: float = 15.0
    flies: bool = False
    hits_air: bool = False
    heals: bool = False
    healed: bool = False  # biological, and so a medivac's patient
    burns_line: bool = False
    burst: float = 0.0
    energy: float = 0.0
    energy_max: float = 0.0


KINDS = (
    Kind(
        "marine", "T", 45, 0, 0, 2.25, 0.375, 5, 13.8, 6,
        is_a="light", hits_air=True, healed=True, cooldown_scale=15,
    ),
    Kind(
        "marauder", "T", 125, 0, 1, 2.25, 0.5625, 6, 24, 10,
        bonus=10, bonus_to="armoured", is_a="armoured", healed=True, sight=10, cooldown_scale=25,
    ),
    Kind(
        "medivac", "T", 150, 0, 1, 2.5, 0.75, 4, 0, 0,
        is_a="armoured", flies=True, heals=True, energy=50, energy_max=200,
        sight=11, cooldown_scale=200,
    ),
    Kind(
        "stalker", "P", 80, 80, 1, 2.95, 0.625, 6, 30, 13,
        bonus=5, bonus_to="armoured", is_a="armoured", hits_air=True, sight=10, cooldown_scale=35,
    ),
    Kind(
        "zealot", "P", 100, 50, 1, 2.25, 0.5, 0.1, 19.2, 8,
        hits=2, is_a="light", cooldown_scale=22,
    ),
    Kind(
        "colossus", "P", 200, 150, 1, 2.25, 1.0, 7, 24, 10,
        hits=2, bonus=5, bonus_to="light", is_a="armoured", burns_line=True,
        sight=10, cooldown_scale=24,
    ),
    Kind(
        "hydralisk", "Z", 80, 0, 0, 2.25, 0.625, 5, 13.3, 12,
        is_a="light", hits_air=True, cooldown_scale=10,
    ),
    Kind(
        "zergling", "Z", 35, 0, 0, 2.95, 0.375, 0.1, 11.1, 5,
        is_a="light", sight=8, cooldown_scale=11,
    ),
    Kind(
        "baneling", "Z", 30, 0, 0, 2.5, 0.375, 0.25, 1, 16,
        bonus=19, bonus_to="light", burst=2.2, sight=8, cooldown_scale=1,
    ),
    Kind(
        "spine_crawler", "Z", 300, 0, 2, 0, 1.125, 7, 29.6, 25,
        bonus=5, bonus_to="armoured", is_a="armoured",
    ),
)  # fmt: skip
NUMBER = {kind.name: number for number, kind in enumerate(KINDS)}


def column(attribute: str) -> np.ndarray:
    """One attribute of all kinds: float32 [K]."""
    return np.array([getattr(kind, attribute) for kind in KINDS], np.float32)


def flags(attribute: str) -> np.ndarray:
    """One yes or no of all kinds: bool [K]."""
    return np.array([bool(getattr(kind, attribute)) for kind in KINDS])


def blow(kind: Kind, target: Kind) -> float:
    """Damage of one blow, before armour; 0 where the weapon cannot hit the target."""
    if target.flies and not kind.hits_air:
        return 0.0
    return kind.damage + (kind.bonus if kind.bonus_to == target.is_a != "" else 0.0)


ARMOUR, BURST, BURNS_LINE = column("armour"), column("burst"), flags("burns_line")
# Tables of a kind and its target, flat [K * K]: looked up at kind * K + target's kind.
BLOW = np.array([blow(a, b) for a in KINDS for b in KINDS], np.float32)
BLOWS = np.array([a.hits for a in KINDS for _ in KINDS], np.float32)
WITHIN = np.array([a.reach + a.radius + b.radius for a in KINDS for b in KINDS], np.float32)
WORKS = np.array([b.healed if a.heals else blow(a, b) > 0 for a in KINDS for b in KINDS])
