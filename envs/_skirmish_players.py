"""Scripted players of skirmish_v0: what a battle is calibrated by, and a policy compared with.

A player is a function of the battles, the masks [N, A, E] and dice; it says what to play [E, N],
always something available.  They see all of the battle.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import _skirmish_units as units
from ._skirmish_battle import ATTACK, EAST, LOOPS, NORTH, SOUTH, STOP, TICKS, WEST, Battle

Player = Callable[[Battle, np.ndarray, np.random.Generator], np.ndarray]


def at_random(battle: Battle, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Any available action, all equally likely."""
    return np.where(masks, rng.random(masks.shape), -1.0).argmax(1).T


def nearest(battle: Battle, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each attacks the nearest enemy it may attack; who may attack none walks to the nearest."""
    distance, _, _ = _apart(battle)
    return _attack_or_walk(battle, masks, np.where(masks[:, ATTACK:], distance, np.inf))


def focus(battle: Battle, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each shoots the enemy in its weapon's reach with least left, as many as it takes.

    Agents choose one after the other, and count what those before them are about to shoot.  Who
    has none in reach plays as `nearest`.
    """
    n, m, e = battle.n, battle.m, battle.n_envs
    distance, _, _ = _apart(battle)
    pairs = battle.kind[:n, None] * len(units.KINDS) + battle.kind[n:]
    in_reach = distance <= units.WITHIN[pairs] + 0.05
    shot = units.BLOW[pairs] * units.BLOWS[pairs] * (battle.cool[:n, None] < LOOPS * TICKS)
    left = (battle.health + battle.shield)[n:].astype(np.float64)
    wish = np.full((n, m, e), np.inf)
    for i in range(n):
        spent = np.where(left > 0, left, left + 1000.0)  # those will be dead already
        may = masks[i, ATTACK:] & units.WORKS[pairs[i]]
        wish[i] = np.where(may, np.where(in_reach[i], spent, 9000.0 + distance[i]), np.inf)
        chosen = wish[i].argmin(0), np.arange(e)
        left[chosen] -= shot[i][chosen] * np.isfinite(wish[i][chosen])
    return _attack_or_walk(battle, masks, wish)


PLAYERS: dict[str, Player] = {"random": at_random, "nearest": nearest, "focus": focus}


def _apart(battle: Battle) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance, and its parts in x and y, from each ally to each enemy [N, M, E]."""
    n = battle.n
    dx = battle.x[n:] - battle.x[:n, None]
    dy = battle.y[n:] - battle.y[:n, None]
    return np.sqrt(dx * dx + dy * dy), dx, dy


def _attack_or_walk(battle: Battle, masks: np.ndarray, wish: np.ndarray) -> np.ndarray:
    """Attack the enemy that is least in `wish` [N, M, E], if finite, else walk to the nearest."""
    distance, dx, dy = _apart(battle)
    works = units.WORKS[battle.kind[: battle.n, None] * len(units.KINDS) + battle.kind[battle.n :]]
    wish = np.where(works, wish, np.inf)
    near = np.where(works, distance, distance + 1000.0).argmin(1)[:, None]
    walk = _towards(masks, *(np.take_along_axis(part, near, 1)[:, 0] for part in (dx, dy)))
    actions = np.where(np.isfinite(wish.min(1)), ATTACK + wish.argmin(1), walk)
    if battle.map.has("heals"):
        actions = np.where(_healers(battle), _heal(battle, masks), actions)
    return np.where(battle.alive[: battle.n], actions, 0).T


def _towards(masks: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The move that leads nearer to what is (dx, dy) away [N, E]; stop where it is masked out."""
    sideways = np.where(dx > 0, EAST, WEST)
    upright = np.where(dy > 0, NORTH, SOUTH)
    move = np.where(np.abs(dx) > np.abs(dy), sideways, upright)
    free = np.take_along_axis(masks, move[:, None], 1)[:, 0]
    return np.where(free, move, STOP)


def _healers(battle: Battle) -> np.ndarray:
    """Which agents heal [N, E]."""
    return units.flags("heals")[battle.kind[: battle.n]]


def _heal(battle: Battle, masks: np.ndarray) -> np.ndarray:
    """For healers [N, E]: the team mate that is hurt most, else to the nearest fighter."""
    n = battle.n
    hurt = 1.0 - battle.health[:n] / battle.health_max[:n]
    may = np.zeros((n, n, battle.n_envs), bool)
    may[:, : masks.shape[1] - ATTACK] = masks[:, ATTACK : ATTACK + n]
    wish = np.where(may & units.flags("healed")[battle.kind[:n]], hurt, 0.0)
    dx, dy = (part[:n] - part[:n, None] for part in (battle.x, battle.y))
    far = np.hypot(dx, dy) + 1000.0 * _healers(battle)
    near = far.argmin(1)[:, None]
    walk = _towards(masks, *(np.take_along_axis(part, near, 1)[:, 0] for part in (dx, dy)))
    walk = np.where(far.min(1) > 2.0, walk, STOP)
    return np.where(wish.max(1) > 0, ATTACK + wish.argmax(1), walk)
