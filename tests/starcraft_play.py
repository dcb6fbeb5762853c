"""Playing for the tests of StarCraft: random, attacking, standing still; what a reward must be."""

import numpy as np


def random_move(infos, rng):
    return {a: int(rng.choice(np.flatnonzero(i["action_mask"]))) for a, i in infos.items()}


def attack(infos):
    """Attack where that is possible, else go east, else what there is."""
    moves = {}
    for agent, info in infos.items():
        offered = np.flatnonzero(info["action_mask"])
        wanted = offered[-1] if offered[-1] >= 6 else 4
        moves[agent] = int(wanted if wanted in offered else offered[0])
    return moves


def stand(infos):
    """Stop; the dead do nothing."""
    return {a: int(np.flatnonzero(i["action_mask"])[0]) for a, i in infos.items()}


def episode(env, infos, move):
    """Play to the end: (sum of rewards, moves, what the last step returned)."""
    total, moves, told = 0.0, 0, None
    while env.agents:
        told = env.step(move(infos))
        infos = told[4]
        total += told[1]["agent_0"]
        moves += 1
    return total, moves, told


def earned(env):
    """The return of the episode that just ended in 3m, worked out from the units that are left.

    Damage to health and shield, 10 a kill, 200 for a win, over the whole by 20; right where
    nothing grows back.
    """
    enemies = env.game.inner.enemies.values()
    whole = sum(unit.health_max + unit.shield_max for unit in enemies)
    left = sum(unit.health + unit.shield for unit in enemies if unit.health > 0)
    dead = sum(unit.health == 0 for unit in enemies)
    won = dead == len(enemies) and any(unit.health > 0 for unit in env.game.inner.agents.values())
    return 20 * (whole - left + 10 * dead + 200 * won) / (whole + 10 * len(enemies) + 200)
