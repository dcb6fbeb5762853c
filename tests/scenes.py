"""Battles made up for tests of what people see: no rules, only units that meet."""

import math

import numpy as np

from vdtoolkit.envs._scene import Scene, Unit

# health, shield, radius: facts of StarCraft II
KINDS = {
    "marine": (45, 0, 0.375),
    "marauder": (125, 0, 0.5625),
    "medivac": (150, 0, 0.75),
    "stalker": (80, 80, 0.625),
    "zealot": (100, 50, 0.5),
}
TEAMS = {
    "8m": (["marine"] * 8, ["marine"] * 8),
    "2s3z": (["stalker"] * 2 + ["zealot"] * 3,) * 2,
    "MMM2": (
        ["marauder"] * 2 + ["marine"] * 7 + ["medivac"],
        ["marauder"] * 3 + ["marine"] * 8 + ["medivac"],
    ),
    "27m_vs_30m": (["marine"] * 27, ["marine"] * 30),
}


def battle(name, moves=12, seed=0):
    """Scenes of an episode: both sides walk towards each other, then shoot; medivacs heal."""
    rng = np.random.default_rng(seed)
    members = [
        (side, kind, i) for side, team in enumerate(TEAMS[name]) for i, kind in enumerate(team)
    ]
    rows = math.ceil(math.sqrt(max(map(len, TEAMS[name]))))
    place = np.array([[11 + 10 * s + i % rows, 13 + i // rows] for s, _, i in members], float)
    left = np.array([KINDS[kind][:2] for _, kind, _ in members], float)
    scenes, doing, target = [], [""] * len(members), [None] * len(members)
    for move in range(moves + 1):
        units = tuple(
            Unit(
                *(side, kind, float(place[k, 0]), float(place[k, 1]), KINDS[kind][2]),
                *(float(left[k, 0]), KINDS[kind][0], float(left[k, 1]), KINDS[kind][1]),
                *(str(i), doing[k], target[k] if left[k, 0] > 0 else None),
            )
            for k, (side, kind, i) in enumerate(members)
        )
        note = "time is up" if move == moves else ""
        scenes.append(Scene(32, 32, units, move, 120, f"battle of {name}", move / 4, note))
        doing, target = ["dead"] * len(members), [None] * len(members)
        for k, (side, kind, _) in enumerate(members):
            if left[k, 0] <= 0:
                continue
            heals = kind == "medivac"
            others = [
                j
                for j, m in enumerate(members)
                if j != k and left[j, 0] > 0 and (m[0] == side) == heals
            ]
            if move < 4 or not others:
                place[k, 0] += 0.8 - 1.6 * side
                doing[k] = "move west" if side else "move east"
                continue
            j = target[k] = int(rng.choice(others))
            doing[k] = f"{'heal' if heals else 'attack'} {members[j][2]}"
            if heals:
                left[j, 0] = min(left[j, 0] + 9, KINDS[members[j][1]][0])
            else:
                taken = min(left[j, 1], 12)
                left[j] = max(left[j, 0] - (12 - taken), 0), left[j, 1] - taken
    return scenes
