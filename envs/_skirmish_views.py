"""What skirmish_v0 shows: observations, state and masks in SMAC's order and sizes."""

from __future__ import annotations

import numpy as np

from . import _skirmish_units as units
from ._skirmish_battle import ATTACK, EAST, NO_OP, NORTH, SOUTH, STOP, WEST, Battle
from ._skirmish_maps import SIZE, Map

SIGHT, SHOOT = 9.0, 6.0  # cells between centres; of all units, where SMAC has them fixed
LEAST_SHOOT = 2.0  # of SMACv2's units
STEP = 1.0  # cells that must be free for a move


class Sizes:
    """How long the parts of observations and state are on a map."""

    def __init__(self, spec: Map) -> None:
        ally, enemy = (int(race == "P") for race in spec.races())
        self.shields = bool(ally), bool(enemy)
        self.n, self.m = spec.n_agents, spec.n_enemies
        self.bits = len(spec.ally_bits)
        self.foe = 5 + enemy + self.bits
        self.mate = 5 + ally + self.bits
        self.own = 1 + ally + 2 * spec.drawn + self.bits
        self.obs = 4 + self.m * self.foe + (self.n - 1) * self.mate + self.own
        self.actions = ATTACK + self.m
        self.ally_state = 4 + ally + self.bits
        self.enemy_state = 3 + enemy + self.bits
        self.units = self.n * self.ally_state + self.m * self.enemy_state
        self.state = self.units + self.n * self.actions


class Views:
    """What is seen of E battles: `look`, then `obs`, `state` and `masks`.

    Parts are written as [..., E] into one array, whose rows are features, and handed out turned.
    masks [N, A, E] bool: what each agent may do.  All are zeros for the dead, who may do nothing.
    """

    def __init__(self, battle: Battle) -> None:
        self.battle, self.sizes = battle, Sizes(battle.map)
        sizes, e = self.sizes, battle.n_envs
        n, m = sizes.n, sizes.m
        self.masks = np.zeros((n, sizes.actions, e), bool)
        self._features = np.zeros((n, sizes.obs, e), np.float32)
        foes, mates = 4 + m * sizes.foe, 4 + m * sizes.foe + (n - 1) * sizes.mate
        self._moves = self._features[:, :4]
        self._foes = self._features[:, 4:foes].reshape(n, m, sizes.foe, e)
        self._mates = self._features[:, foes:mates].reshape(n, n - 1, sizes.mate, e)
        self._own = self._features[:, mates:]
        self._units = np.zeros((sizes.units, e), np.float32)
        allies = n * sizes.ally_state
        self._allies = self._units[:allies].reshape(n, sizes.ally_state, e)
        self._enemies = self._units[allies:].reshape(m, sizes.enemy_state, e)
        self._others = np.array([[j for j in range(n) if j != i] for i in range(n)])
        self._others = self._others.reshape(n, n - 1).astype(np.int64)
        self._last = np.zeros((e, n, sizes.actions), np.float32)
        self._heals = battle.map.has("heals")
        self.learn_kinds(np.arange(battle._wide))

    def learn_kinds(self, rows: np.ndarray) -> None:
        """What follows from the kinds of units, in these rows: only drawn teams change."""
        battle, n = self.battle, self.sizes.n
        kinds = battle.kind[:, : battle._wide]
        if not hasattr(self, "_sight"):
            self._sight = np.zeros((n, battle._wide), np.float32)
            self._shoot = np.zeros((n, battle._wide), np.float32)
            self._scale = np.ones((battle.u, battle._wide), np.float32)
            self._type = np.zeros((self.sizes.bits, battle.u, battle._wide), np.float32)
        own = kinds[:n, rows]
        drawn = battle.map.drawn
        self._sight[:, rows] = units.column("sight")[own] if drawn else SIGHT
        reach = np.maximum(units.column("reach")[own], LEAST_SHOOT)
        self._shoot[:, rows] = reach if drawn else SHOOT
        self._scale[:, rows] = units.column("cooldown_scale")[kinds[:, rows]]
        bits = battle.map.ally_bits, battle.map.enemy_bits
        for side, names in zip((slice(n), slice(n, None)), bits, strict=True):
            for bit, name in enumerate(names):
                told = self._type[bit, side]
                told[:, rows] = kinds[side, rows] == units.NUMBER[name]

    def begin(self, rows: np.ndarray) -> None:
        """Episodes begin in these rows: nobody has acted."""
        self._last[rows] = 0.0
        if self.battle.map.drawn:
            self.learn_kinds(rows)

    def legal(self, actions: np.ndarray) -> np.ndarray:
        """Actions [E, N] as they are played [N, E]: masked-out ones are stop, or no-op if dead."""
        asked = np.ascontiguousarray(actions.T).astype(np.int64, copy=False)
        n, a, e = self.masks.shape
        if not (asked.min() >= 0 and asked.max() < a):
            raise self._no_actions(asked)
        rows = (np.arange(n)[:, None] * a + asked) * e + np.arange(e)
        return np.where(self.masks.take(rows), asked, self.masks[:, STOP])

    def _no_actions(self, asked: np.ndarray) -> ValueError:
        most = self.sizes.actions - 1
        return ValueError(f"actions go from {asked.min()} to {asked.max()}: they are 0 to {most}")

    def acted(self, actions: np.ndarray) -> None:
        """What was played [E, N]: the state tells it."""
        np.equal(actions[..., None], np.arange(self.sizes.actions), out=self._last)

    def look(self) -> None:
        """See the battles as they are now."""
        battle, n = self.battle, self.sizes.n
        x, y = battle.x, battle.y
        alive = battle.alive
        health = battle.health / battle.health_max
        shield = battle.shield / np.maximum(battle.shield_max, 1.0)
        per_sight = 1.0 / self._sight[:, None]  # [N, 1, 1 or E]

        dx, dy = x[n:] - x[:n, None], y[n:] - y[:n, None]  # [N, M, E]
        distance = np.sqrt(dx * dx + dy * dy)
        self._look_about(alive, distance)
        seen = distance < self._sight[:, None]
        foes = self._foes
        np.multiply(self.masks[:, ATTACK:], seen, out=foes[:, :, 0])
        self._see(foes, seen * per_sight, distance, dx, dy)
        foes_shield = shield[n:] if self.sizes.shields[1] else None
        self._tell(foes, 4, seen, health[n:], foes_shield, self._type[:, n:])

        if n > 1:
            dx = x[self._others] - x[:n, None]  # [N, N - 1, E]
            dy = y[self._others] - y[:n, None]
            distance = np.sqrt(dx * dx + dy * dy)
            seen = distance < self._sight[:, None]
            self._mates[:, :, 0] = seen
            self._see(self._mates, seen * per_sight, distance, dx, dy)
            mates_shield = shield[self._others] if self.sizes.shields[0] else None
            types = self._type[:, self._others]
            self._tell(self._mates, 4, seen, health[self._others], mates_shield, types)

        self._moves[:] = self.masks[:, NORTH:ATTACK]
        ours_shield = shield[:n] if self.sizes.shields[0] else None
        self._own[:, 0] = health[:n]
        column = 1
        if ours_shield is not None:
            self._own[:, 1] = ours_shield
            column = 2
        if battle.map.drawn:
            self._own[:, column] = x[:n] / SIZE * alive[:n]
            self._own[:, column + 1] = y[:n] / SIZE * alive[:n]
            column += 2
        for bit in range(self.sizes.bits):
            self._own[:, column + bit] = self._type[bit, :n] * alive[:n]

        there_x = (x - SIZE / 2) / SIZE * alive
        there_y = (y - SIZE / 2) / SIZE * alive
        allies, enemies = self._allies, self._enemies
        used = battle.cool
        if self._heals:
            used = np.where(battle._fights, used, battle.energy)
        np.divide(used[:n], self._scale[:n], out=allies[:, 1])
        allies[:, 2], allies[:, 3] = there_x[:n], there_y[:n]
        enemies[:, 1], enemies[:, 2] = there_x[n:], there_y[n:]
        allies[:, 0], enemies[:, 0] = health[:n], health[n:]
        if ours_shield is not None:
            allies[:, 4] = ours_shield
        if foes_shield is not None:
            enemies[:, 3] = foes_shield
        for bit in range(self.sizes.bits):
            row = bit - self.sizes.bits
            np.multiply(self._type[bit, :n], alive[:n], out=allies[:, row])
            np.multiply(self._type[bit, n:], alive[n:], out=enemies[:, row])

    def obs(self) -> np.ndarray:
        """What each agent sees [E, N, O] float32."""
        return self._features.transpose(2, 0, 1).copy()

    def state(self) -> np.ndarray:
        """Everything [E, S] float32."""
        sizes = self.sizes
        told = np.empty((self.battle.n_envs, sizes.state), np.float32)
        told[:, : sizes.units] = self._units.T
        told[:, sizes.units :] = self._last.reshape(len(told), -1)
        return told

    def available(self) -> np.ndarray:
        """What each agent may do [E, N, A] int8."""
        return self.masks.transpose(2, 0, 1).copy().view(np.int8)

    def _look_about(self, alive: np.ndarray, distance: np.ndarray) -> None:
        """The masks; distance [N, M, E] to the enemies."""
        battle, n, masks = self.battle, self.sizes.n, self.masks
        x, y, ours = battle.x[:n], battle.y[:n], alive[:n]
        np.logical_not(ours, out=masks[:, NO_OP])
        masks[:, STOP] = ours
        np.logical_and(y + STEP < SIZE, ours, out=masks[:, NORTH])
        np.logical_and(y - STEP >= 0, ours, out=masks[:, SOUTH])
        np.logical_and(x + STEP < SIZE, ours, out=masks[:, EAST])
        np.logical_and(x - STEP >= 0, ours, out=masks[:, WEST])
        np.less_equal(distance, self._shoot[:, None], out=masks[:, ATTACK:])
        if self._heals:
            self._healers_targets()

    def _healers_targets(self) -> None:
        """A healer's attack actions are its team mates that are no healers, whether hurt or not."""
        battle, n = self.battle, self.sizes.n
        healer = (~battle._fights[:n]) & np.ones((1, battle.n_envs), bool)
        i, e = np.nonzero(healer)
        dx = battle.x[:n, e] - battle.x[i, e]  # [N, k]
        dy = battle.y[:n, e] - battle.y[i, e]
        wide = battle.map.drawn
        near = np.sqrt(dx * dx + dy * dy) <= self._shoot[i, e if wide else 0]
        near &= battle._fights[:n, e] if wide else battle._fights[:n]
        near &= battle.health[i, e] > 0
        self.masks[i, ATTACK:, e] = False
        self.masks[i, ATTACK : ATTACK + n, e] = near.T

    @staticmethod
    def _see(
        out: np.ndarray, weight: np.ndarray, distance: np.ndarray, dx: np.ndarray, dy: np.ndarray
    ) -> None:
        np.multiply(distance, weight, out=out[:, :, 1])
        np.multiply(dx, weight, out=out[:, :, 2])
        np.multiply(dy, weight, out=out[:, :, 3])

    @staticmethod
    def _tell(
        out: np.ndarray,
        column: int,
        seen: np.ndarray,
        health: np.ndarray,
        shield: np.ndarray | None,
        types: np.ndarray,
    ) -> None:
        np.multiply(seen, health, out=out[:, :, column])
        if shield is not None:
            column += 1
            np.multiply(seen, shield, out=out[:, :, column])
        for bit, kind in enumerate(types):
            np.multiply(seen, kind, out=out[:, :, column + 1 + bit])
