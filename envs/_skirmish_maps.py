"""The maps of skirmish_v0: SMAC's 23, and SMACv2's random teams, as data.

Teams, limits and sizes are those of SMAC (Samvelyan et al. 2019, arXiv:1902.04043) and SMACv2
(Ellis et al. 2023, arXiv:2212.07489).  The ground is flat and free: a square of 32 cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._skirmish_units import KINDS, NUMBER

SIZE = 32.0  # cells a side
WEST, EAST = (9.0, 16.0), (23.0, 16.0)
SPREAD = 4.0  # radii from one to the next
Place = tuple[float, float]
Group = tuple[int, str, Place]  # how many, of which kind, around where


@dataclass(frozen=True)
class Map:
    """Two teams and where they stand.

    goal: where the enemy is sent, attacking whom it meets; None if it goes for the nearest
    wherever that is (an enemy that cannot walk stays).  bits: the kinds in the order of the type
    bits, of allies and of enemies; none where there is but one kind.  drawn: whether kinds and
    places are drawn anew in each episode (SMACv2): then `allies` and `enemies` only say how many,
    `weights` how likely each kind is, and `never_alone` which kind is no team.
    """

    name: str
    limit: int
    allies: tuple[Group, ...]
    enemies: tuple[Group, ...]
    goal: Place | None = WEST
    ally_bits: tuple[str, ...] = ()
    enemy_bits: tuple[str, ...] = ()
    drawn: bool = False
    weights: tuple[float, ...] = ()
    never_alone: str = ""

    @cached_property
    def kinds(self) -> np.ndarray:
        """The kind of each unit, allies first [U]; of drawn teams, one they may have."""
        groups = (*self.allies, *self.enemies)
        return np.array([NUMBER[kind] for n, kind, _ in groups for _ in range(n)])

    @cached_property
    def n_agents(self) -> int:
        """N."""
        return sum(n for n, _, _ in self.allies)

    @cached_property
    def n_enemies(self) -> int:
        """M."""
        return sum(n for n, _, _ in self.enemies)

    @cached_property
    def present(self) -> frozenset[str]:
        """The names of the kinds that may take part."""
        return frozenset(kind for _, kind, _ in (*self.allies, *self.enemies)) | set(self.ally_bits)

    def has(self, attribute: str) -> bool:
        """Whether any kind that may take part has this."""
        return any(getattr(KINDS[NUMBER[name]], attribute) for name in self.present)

    def races(self) -> tuple[str, str]:
        """The race of the allies and of the enemies: T, P or Z."""
        return tuple(KINDS[NUMBER[side[0][1]]].race for side in (self.allies, self.enemies))  # type: ignore[return-value]

    @cached_property
    def places(self) -> np.ndarray:
        """Where everybody starts [2, U]: groups close together, the enemies' mirror the allies'."""
        west, east = _stand(self.allies), _stand(self.enemies, -1.0)
        return np.concatenate([west, east], 1).astype(np.float32)


def lattice(n: int, gap: float) -> np.ndarray:
    """n places around (0, 0), `gap` apart, the nearest first [2, n]."""
    across = np.arange(-n, n + 1) if n < 4 else np.arange(-5, 6)
    a, b = (part.ravel() for part in np.meshgrid(across, across))
    x, y = gap * (a + (b % 2) / 2), gap * b * 3**0.5 / 2
    order = np.lexsort((x, y, np.round(x * x + y * y, 6)))[:n]
    return np.stack([x[order], y[order]])


def _stand(groups: tuple[Group, ...], side: float = 1.0) -> np.ndarray:
    """Places of one team [2, n], by kind, then by x and y."""
    spots: dict[Place, float] = {}
    for _, kind, at in groups:
        spots[at] = max(spots.get(at, 0.0), SPREAD * KINDS[NUMBER[kind]].radius)
    taken = dict.fromkeys(spots, 0)
    found = []
    for n, _, at in groups:
        around = lattice(taken[at] + n, spots[at])[:, taken[at] :]
        place = np.array(at)[:, None] + around * [[side], [1.0]]
        found.append(place[:, np.lexsort(place[::-1])])
        taken[at] += n
    return np.concatenate(found, 1)


def _line(
    name: str,
    limit: int,
    allies: dict[str, int],
    enemies: dict[str, int] | None = None,
    enemy_bits: tuple[str, ...] | None = None,
) -> Map:
    """Two teams that face each other."""
    bits = tuple(allies) if len(allies) > 1 else ()
    return Map(
        name,
        limit,
        tuple((n, kind, WEST) for kind, n in allies.items()),
        tuple((n, kind, EAST) for kind, n in (enemies or allies).items()),
        ally_bits=bits,
        enemy_bits=bits if enemy_bits is None else enemy_bits,
    )


MMM = {"marauder": 2, "marine": 7, "medivac": 1}
ZEALOT_FIRST = ("zealot", "stalker")  # SMAC's type bits of enemies are not those of allies


def _drawn(race: str, kinds: tuple[str, ...], never_alone: str, n: int, m: int) -> Map:
    """A task of SMACv2."""
    kind = kinds[0]
    return Map(
        f"{race}_{n}v{m}",
        200,
        ((n, kind, WEST),),
        ((m, kind, EAST),),
        goal=None,
        ally_bits=kinds,
        enemy_bits=kinds,
        drawn=True,
        weights=tuple(0.1 if k in ("medivac", "colossus", "baneling") else 0.45 for k in kinds),
        never_alone=never_alone,
    )


RACES = (
    ("terran", ("marine", "marauder", "medivac"), "medivac"),
    ("protoss", ("stalker", "zealot", "colossus"), ""),
    ("zerg", ("zergling", "hydralisk", "baneling"), "baneling"),
)
TEAMS = ((5, 5), (10, 10), (10, 11), (20, 20), (20, 23))
MAPS = {
    m.name: m
    for m in (
        _line("3m", 60, {"marine": 3}),
        _line("8m", 120, {"marine": 8}),
        _line("25m", 150, {"marine": 25}),
        _line("5m_vs_6m", 70, {"marine": 5}, {"marine": 6}),
        _line("8m_vs_9m", 120, {"marine": 8}, {"marine": 9}),
        _line("10m_vs_11m", 150, {"marine": 10}, {"marine": 11}),
        _line("27m_vs_30m", 180, {"marine": 27}, {"marine": 30}),
        _line("MMM", 150, MMM),
        _line("MMM2", 180, MMM, {"marauder": 3, "marine": 8, "medivac": 1}),
        _line("2s3z", 120, {"stalker": 2, "zealot": 3}, enemy_bits=ZEALOT_FIRST),
        _line("3s5z", 150, {"stalker": 3, "zealot": 5}, enemy_bits=ZEALOT_FIRST),
        _line(
            "3s5z_vs_3s6z",
            170,
            {"stalker": 3, "zealot": 5},
            {"stalker": 3, "zealot": 6},
            ZEALOT_FIRST,
        ),
        _line("3s_vs_3z", 150, {"stalker": 3}, {"zealot": 3}),
        _line("3s_vs_4z", 200, {"stalker": 3}, {"zealot": 4}),
        _line("3s_vs_5z", 250, {"stalker": 3}, {"zealot": 5}),
        _line("1c3s5z", 180, {"colossus": 1, "stalker": 3, "zealot": 5}),
        Map(
            "2m_vs_1z",
            150,
            ((1, "marine", (13.0, 12.0)), (1, "marine", (19.0, 12.0))),
            ((1, "zealot", (16.0, 19.0)),),
            goal=(16.0, 12.0),
        ),
        Map(
            "corridor",
            400,
            ((6, "zealot", (19.0, 19.0)),),
            ((24, "zergling", (27.0, 27.0)),),
            goal=(5.0, 5.0),
        ),
        Map(
            "6h_vs_8z",
            150,
            ((6, "hydralisk", (14.6, 9.5)),),
            ((8, "zealot", (14.4, 16.8)),),
            goal=(14.6, 9.5),
        ),
        Map(
            "2s_vs_1sc",
            300,
            ((1, "stalker", (11.1, 10.3)), (1, "stalker", (17.0, 10.4))),
            ((1, "spine_crawler", (13.9, 20.0)),),
        ),
        Map(
            "so_many_baneling",
            100,
            ((7, "zealot", (11.5, 12.0)),),
            ((32, "baneling", (27.0, 27.0)),),
            goal=(5.0, 5.0),
        ),
        Map(
            "bane_vs_bane",
            200,
            ((4, "baneling", (16.0, 7.0)), (20, "zergling", (16.0, 11.0))),
            ((4, "baneling", (16.0, 25.0)), (20, "zergling", (16.0, 21.0))),
            goal=(16.0, 8.0),
            ally_bits=("baneling", "zergling"),
            enemy_bits=("baneling", "zergling"),
        ),
        Map(
            "2c_vs_64zg",
            400,
            ((2, "colossus", (16.0, 20.0)),),
            ((64, "zergling", (16.0, 9.0)),),
            goal=None,
        ),
        *(_drawn(*race, n, m) for race in RACES for n, m in TEAMS),
    )
}
