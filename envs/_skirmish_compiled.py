"""The battles of skirmish_v0 compiled by Numba, where the extra is there: `vdtoolkit[fast]`.

The rules are those of `_skirmish_battle.py` and `_skirmish_views.py`, battle by battle in place of
operation by operation, and every number is the same, to the last bit: single precision where
they have it, sums in their order.  A change there is a change here; the tests compare the two.
Numba keeps what it compiled beside this file, and sees at this file alone whether that still
holds: touch it after a change in the units or the rules.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from . import _skirmish_battle as rules
from . import _skirmish_units as units
from ._skirmish_battle import Battle
from ._skirmish_maps import SIZE
from ._skirmish_views import STEP, Views

F = np.float32
ZERO, ONE, HALF, TWO, TINY = F(0), F(1), F(0.5), F(2), F(1e-6)
TICKS, LOOPS, EPSILON, EDGE = rules.TICKS, F(rules.LOOPS), rules.EPSILON, F(SIZE)
WAITS, SECONDS = F(units.SHIELD_WAITS), F(rules.SECONDS)
SHIELD_GAIN = F(units.SHIELD_REGENERATES * rules.SECONDS)
ENERGY_GAIN, MOST_ENERGY = F(units.ENERGY_REGENERATES * rules.SECONDS), rules.MOST_ENERGY
HEALS, PER_ENERGY = F(units.HEALS * rules.SECONDS), F(units.HEALTH_PER_ENERGY)
PARK, FINE, NOWHERE = F(rules.PARK), F(1024), np.int64(rules.PARK / 2 * 1024)
FAR, FARTHEST, CALM = F(rules.PARK / 4), F(2 * rules.PARK), F(-1e9)
KINDS, ATTACK, ALARM = rules.N_KINDS, rules.ATTACK, rules.ALARM
DEATH, WIN = rules.REWARD_DEATH, rules.REWARD_WIN
BLOW, BLOWS, WITHIN, WORKS = units.BLOW, units.BLOWS, units.WITHIN, units.WORKS
ARMOUR, BURST, BURNS_LINE = units.ARMOUR, units.BURST, units.BURNS_LINE
HEALED = units.flags("healed")
WALL, DEPTH = F(units.LINE[0] / 2), F(units.LINE[1] / 2)
FREE, MIDDLE = F(STEP), F(SIZE / 2)


def compiled(f: Callable[..., Any]) -> Any:
    """By Numba, without the interpreter's lock; kept on disk if there is a place to write."""
    try:
        return njit(nogil=True, cache=True)(f)
    except RuntimeError:  # no folder to keep it in: compile in every process
        return njit(nogil=True)(f)


@compiled
def play(
    actions, steps, n, drawn, shielded, heals, zerg, splash, flies, hunts,
    x_, y_, health_, shield_, energy_, cool_, quiet_, pace_, period_, fell, kind_, target_, aims_,
    alarm, goal_, health_max_, shield_max_, radius_, fights_, regenerates_, room2_, scan,
    one, other, scale, reward, over, won, value_,
):  # fmt: skip
    """One move of each battle; see `Battle` for the arrays [U, E]."""
    units_, size = x_.shape
    x, y = np.empty(units_, np.float32), np.empty(units_, np.float32)
    gx, gy = np.empty(units_, np.float32), np.empty(units_, np.float32)
    within = np.empty(units_, np.float32)
    ready = np.empty(units_, np.bool_)
    walks = np.empty(units_, np.float32)
    damage, count = np.empty(units_, np.float64), np.empty(units_, np.float64)
    points = np.empty(units_, np.float32)
    near = np.empty((len(one), 3), np.float32)
    pair = np.empty(len(one), np.int64)
    for e in range(size):
        w = e if drawn else 0
        for u in range(units_):
            x[u], y[u] = x_[u, e], y_[u, e]
            gx[u], gy[u] = goal_[0, u, e], goal_[1, u, e]
        for i in range(n):  # orders
            a = actions[i, e]
            gx[i] = min(max(x[i] + steps[0, a], ZERO), EDGE)
            gy[i] = min(max(y[i] + steps[1, a], ZERO), EDGE)
            goal_[0, i, e], goal_[1, i, e] = gx[i], gy[i]
            aims = a >= ATTACK
            whom = 0
            if aims:
                whom = a - ATTACK + (n if fights_[i, w] else 0)
                aims = WORKS[kind_[i, e] * KINDS + kind_[whom, e]]
            target_[i, e], aims_[i, e] = whom, aims
        for j in range(n, units_):  # the enemy looks around
            best = np.int64(1) << 62
            for i in range(n):
                dx, dy = x[j] - x[i], y[j] - y[i]
                edge = np.sqrt(dx * dx + dy * dy) - (radius_[j, w] + radius_[i, w])
                if flies and not WORKS[kind_[j, e] * KINDS + kind_[i, e]]:
                    edge += PARK
                key = (np.int64(edge * FINE) << 6) + i
                if key < best:
                    best = key
            target_[j, e] = best & 63
            distance = best >> 6
            k = j - n
            if hunts:
                aims_[j, e] = distance < NOWHERE
            elif alarm[k, e] > 0:
                aims_[j, e] = distance <= NOWHERE
                alarm[k, e] -= 1
            else:
                aims_[j, e] = distance <= scan[k, w] * FINE
        if heals:
            nurse(e, w, n, x, y, health_, kind_, target_, aims_, health_max_, fights_)
        for u in range(units_):
            within[u] = WITHIN[kind_[u, e] * KINDS + kind_[target_[u, e], e]]
        for _ in range(TICKS):
            for u in range(units_):  # walk; targets are where they were
                aims_[u, e] = aims_[u, e] and health_[target_[u, e], e] > ZERO
                points[u] = within[u] if aims_[u, e] else ZERO
            for u in range(units_):
                if aims_[u, e]:
                    gone_x, gone_y = x_[target_[u, e], e], y_[target_[u, e], e]
                else:
                    gone_x, gone_y = gx[u], gy[u]
                dx, dy = gone_x - x[u], gone_y - y[u]
                far = np.sqrt(dx * dx + dy * dy)
                part = min(max(far - points[u], ZERO), pace_[u, e])
                walks[u] = ONE if part > EPSILON else ZERO
                part = part / max(far, TINY)
                x[u] += dx * part
                y[u] += dy * part
            push(e, w, one, other, room2_, pace_, walks, x, y, near, pair)
            fires = False
            for u in range(units_):
                x_[u, e], y_[u, e] = x[u], y[u]
                damage[u] = count[u] = 0.0
                ready[u] = False
            for u in range(units_):
                reaches = False
                if aims_[u, e]:
                    dx, dy = x[target_[u, e]] - x[u], y[target_[u, e]] - y[u]
                    reach = within[u] + EPSILON
                    reaches = dx * dx + dy * dy <= reach * reach
                if fights_[u, w]:
                    ready[u] = reaches and cool_[u, e] < LOOPS
                    fires = fires or ready[u]
                    points[u] = ZERO
                else:
                    points[u] = ONE if reaches else ZERO
            if heals:
                heal(e, w, points, health_, energy_, kind_, target_, health_max_)
            for u in range(units_):
                cool = cool_[u, e] - LOOPS
                if ready[u]:
                    cool += period_[u, e]
                cool_[u, e] = max(cool, ZERO)
                if shielded:
                    quiet_[u, e] += SECONDS
                    if quiet_[u, e] > WAITS:
                        shield_[u, e] += SHIELD_GAIN
                    shield_[u, e] = min(shield_[u, e], shield_max_[u, w])
                if zerg:
                    if health_[u, e] > ZERO:
                        health_[u, e] += regenerates_[u, w]
                    health_[u, e] = min(health_[u, e], health_max_[u, w])
                if heals:
                    if not fights_[u, w] and health_[u, e] > ZERO:
                        energy_[u, e] += ENERGY_GAIN
                    energy_[u, e] = min(energy_[u, e], MOST_ENERGY)
            if not fires:
                continue
            for u in range(units_):
                if ready[u]:
                    v = target_[u, e]
                    p = kind_[u, e] * KINDS + kind_[v, e]
                    count[v] += BLOWS[p]
                    damage[v] += BLOWS[p] * BLOW[p]
                    if splash:
                        spread(e, w, n, u, v, x, y, kind_, radius_, count, damage)
            for u in range(units_):
                if count[u] > 0:
                    through = max(damage[u] - shield_[u, e], 0.0)
                    felt = np.ceil(count[u] * through / damage[u] - 1e-6)
                    loss = max(through - ARMOUR[kind_[u, e]] * felt, 0.5 * felt)
                    health_[u, e] = health_[u, e] - loss
                    shield_[u, e] = max(shield_[u, e] - damage[u], 0.0)
                    quiet_[u, e] = ZERO
                    if u >= n:
                        alarm[u - n, e] = ALARM
            for u in range(units_):
                burst = splash and ready[u] and BURST[kind_[u, e]] > ZERO
                if burst or (count[u] > 0 and health_[u, e] <= ZERO):
                    fell[0, u, e], fell[1, u, e] = x[u], y[u]
                    x[u], y[u] = PARK + F(100) * F(u), PARK
                    x_[u, e], y_[u, e] = x[u], y[u]
                    health_[u, e] = shield_[u, e] = energy_[u, e] = ZERO
                    cool_[u, e] = pace_[u, e] = ZERO
                    aims_[u, e] = False
                    quiet_[u, e] = CALM
        ours = theirs = False
        value = 0.0
        for u in range(units_):
            lives = health_[u, e] > ZERO
            if lives and fights_[u, w]:
                if u < n:
                    ours = True
                else:
                    theirs = True
            if u >= n:
                value += health_[u, e] + shield_[u, e]
        for u in range(n, units_):
            if not health_[u, e] > ZERO:
                value -= DEATH
        over[e] = not (ours and theirs)
        won[e] = ours and not theirs
        gained = value_[e] - value
        value_[e] = value
        reward[e] = (max(gained, 0.0) + (WIN if won[e] else 0.0)) * scale[w]


@compiled
def push(e, w, one, other, room2_, pace_, walks, x, y, near, pair):
    """Who overlap on the ground are pushed apart: both, or who walks by who stands."""
    found = 0
    for p in range(len(one)):
        i, j = one[p], other[p]
        dx, dy = x[i] - x[j], y[i] - y[j]
        squared = dx * dx + dy * dy
        if squared < room2_[p, w]:
            distance, room = np.sqrt(squared), np.sqrt(room2_[p, w])
            share = (room - distance) / max(distance, TINY)
            near[found, 0] = room if distance == ZERO else dx * share
            near[found, 1] = dy * share
            near[found, 2] = (ONE + (walks[i] - walks[j])) / TWO
            pair[found] = p
            found += 1
    for k in range(found):
        i = one[pair[k]]
        if pace_[i, e] > ZERO:
            x[i] += near[k, 0] * near[k, 2]
            y[i] += near[k, 1] * near[k, 2]
    for k in range(found):
        j = other[pair[k]]
        if pace_[j, e] > ZERO:
            x[j] += near[k, 0] * (near[k, 2] - ONE)
            y[j] += near[k, 1] * (near[k, 2] - ONE)
    for k in range(found):
        i, j = one[pair[k]], other[pair[k]]
        x[i], y[i] = min(max(x[i], ZERO), EDGE), min(max(y[i], ZERO), EDGE)
        x[j], y[j] = min(max(x[j], ZERO), EDGE), min(max(y[j], ZERO), EDGE)


@compiled
def nurse(e, w, n, x, y, health_, kind_, target_, aims_, health_max_, fights_):
    """Whom the enemy's healers go for: the nearest that is hurt, else the nearest fighter."""
    for j in range(n, len(x)):
        if fights_[j, w] or not health_[j, e] > ZERO:
            continue
        best, whom = FARTHEST * FARTHEST, n
        for k in range(n, len(x)):
            dx, dy = x[k] - x[j], y[k] - y[j]
            distance = np.sqrt(dx * dx + dy * dy)
            if not (health_[k, e] < health_max_[k, w] and HEALED[kind_[k, e]]):
                distance += FAR if fights_[k, w] else FARTHEST
            if distance < best:
                best, whom = distance, k
        target_[j, e] = whom
        aims_[j, e] = best < PARK * HALF


@compiled
def heal(e, w, points, health_, energy_, kind_, target_, health_max_):
    """Healers in reach of their patients: `points` is 1 for them."""
    for u in range(len(points)):
        if points[u] > ZERO:
            v = target_[u, e]
            works = WORKS[kind_[u, e] * KINDS + kind_[v, e]]
            gain = min(health_max_[v, w] - health_[v, e], HEALS)
            gain = min(gain, energy_[u, e] * PER_ENERGY)
            points[u] = gain if works else ZERO
        else:
            points[u] = -ONE
    for u in range(len(points)):
        if points[u] >= ZERO:
            health_[target_[u, e], e] += points[u]
    for u in range(len(points)):
        if points[u] >= ZERO:
            v = target_[u, e]
            health_[v, e] = min(health_[v, e], health_max_[v, w])
            energy_[u, e] -= points[u] / PER_ENERGY


@compiled
def spread(e, w, n, u, v, x, y, kind_, radius_, count, damage):
    """All but the target v that u hits as well: by its burst, or on its line of fire."""
    kind = kind_[u, e]
    burst, line = BURST[kind], BURNS_LINE[kind]
    if burst == ZERO and not line:
        return
    ux, uy = x[v] - x[u], y[v] - y[u]
    length = max(np.sqrt(ux * ux + uy * uy), TINY)
    first, last = (n, len(x)) if u < n else (0, n)
    for f in range(first, last):
        p = kind * KINDS + kind_[f, e]
        if f == v or not WORKS[p]:
            continue
        if line:
            fx, fy = x[f] - x[v], y[f] - y[v]
            along = (fx * ux + fy * uy) / length
            across = (fx * uy - fy * ux) / length
            hit = abs(across) <= WALL + radius_[f, w] and abs(along) <= DEPTH + radius_[f, w]
        else:
            fx, fy = x[f] - x[u], y[f] - y[u]
            hit = np.sqrt(fx * fx + fy * fy) - radius_[f, w] <= burst
        if hit:
            count[f] += BLOWS[p]
            damage[f] += BLOWS[p] * BLOW[p]


@compiled
def look(
    n, drawn, bits, own_shield, foe_shield, x, y, health_, shield_, energy_, cool_,
    health_max_, shield_max_, fights_, sight, shoot, scale, type_, obs, state, masks,
):  # fmt: skip
    """What is seen of each battle, into zeros obs [E, N, O], state [E, S], masks [E, N, A]."""
    units_, size = x.shape
    foe, mate = 5 + foe_shield + bits, 5 + own_shield + bits
    life, guard = np.empty(units_, np.float32), np.empty(units_, np.float32)
    for e in range(size):
        w = e if drawn else 0
        for u in range(units_):
            life[u] = health_[u, e] / health_max_[u, w]
            guard[u] = shield_[u, e] / max(shield_max_[u, w], ONE)
        at = 0
        for u in range(units_):
            ours = u < n
            if health_[u, e] > ZERO:
                state[e, at] = life[u]
                here = at + 1
                if ours:
                    used = cool_[u, e] if fights_[u, w] else energy_[u, e]
                    state[e, here] = used / scale[u, w]
                    here += 1
                state[e, here] = (x[u, e] - MIDDLE) / EDGE
                state[e, here + 1] = (y[u, e] - MIDDLE) / EDGE
                here += 2
                if own_shield if ours else foe_shield:
                    state[e, here] = guard[u]
                    here += 1
                for b in range(bits):
                    state[e, here + b] = type_[b, u, w]
            at += (4 + own_shield + bits) if ours else (3 + foe_shield + bits)
        for i in range(n):
            if not health_[i, e] > ZERO:
                masks[e, i, 0] = 1
                continue
            seen, told, may = obs[e, i], masks[e, i], shoot[i, w]
            xi, yi = x[i, e], y[i, e]
            told[1] = 1
            told[2] = yi + FREE < EDGE
            told[3] = yi - FREE >= ZERO
            told[4] = xi + FREE < EDGE
            told[5] = xi - FREE >= ZERO
            for a in range(4):
                seen[a] = told[2 + a]
            if not fights_[i, w]:
                for k in range(n):
                    dx, dy = x[k, e] - xi, y[k, e] - yi
                    if fights_[k, w] and np.sqrt(dx * dx + dy * dy) <= may:
                        told[ATTACK + k] = 1
            weight = ONE / sight[i, w]
            c = 4
            for j in range(n, units_):
                dx, dy = x[j, e] - xi, y[j, e] - yi
                distance = np.sqrt(dx * dx + dy * dy)
                if fights_[i, w]:
                    told[ATTACK + j - n] = distance <= may
                if distance < sight[i, w]:
                    seen[c] = told[ATTACK + j - n]
                    tell(seen, c, weight, distance, dx, dy, life[j], guard[j], foe_shield)
                    for b in range(bits):
                        seen[c + 5 + foe_shield + b] = type_[b, j, w]
                c += foe
            for k in range(n):
                if k == i:
                    continue
                dx, dy = x[k, e] - xi, y[k, e] - yi
                distance = np.sqrt(dx * dx + dy * dy)
                if distance < sight[i, w]:
                    seen[c] = ONE
                    tell(seen, c, weight, distance, dx, dy, life[k], guard[k], own_shield)
                    for b in range(bits):
                        seen[c + 5 + own_shield + b] = type_[b, k, w]
                c += mate
            seen[c] = life[i]
            c += 1
            if own_shield:
                seen[c] = guard[i]
                c += 1
            if drawn:
                seen[c], seen[c + 1] = xi / EDGE, yi / EDGE
                c += 2
            for b in range(bits):
                seen[c + b] = type_[b, i, w]


@compiled
def legal(asked, masks, played):
    """Actions [E, N] as they are played [N, E]; whether all of them are actions."""
    size, n, a = masks.shape
    for e in range(size):
        for i in range(n):
            action = asked[e, i]
            if not 0 <= action < a:
                return False
            played[i, e] = action if masks[e, i, action] else masks[e, i, 1]
    return True


@compiled
def tell(seen, c, weight, distance, dx, dy, life, guard, shielded):
    """Where somebody is seen, and how it does."""
    seen[c + 1], seen[c + 2], seen[c + 3] = distance * weight, dx * weight, dy * weight
    seen[c + 4] = life
    if shielded:
        seen[c + 5] = guard


class CompiledBattle(Battle):
    """`Battle`, a move compiled."""

    def play(self, actions: np.ndarray) -> np.ndarray:
        """One move of each battle: available actions [N, E] -> the team's reward [E] float32."""
        reward = np.empty(self.n_envs, np.float32)
        play(
            actions, self._steps, self.n, self.map.drawn, self._shielded, self._heals, self._zerg,
            self._splash, self._flies, self.map.goal is None,
            self.x, self.y, self.health, self.shield, self.energy, self.cool, self.quiet,
            self.pace, self.period, self.fell, self.kind, self.target, self.aims, self.alarm,
            self._goal, self.health_max, self.shield_max, self.radius, self._fights,
            self._regenerates, self._room2, self._scan, self._one, self._other, self.scale,
            reward, self.over, self.won, self._value,
        )  # fmt: skip
        return reward


class CompiledViews(Views):
    """`Views`, compiled; masks are turned when they are asked for."""

    @property  # type: ignore[override]
    def masks(self) -> np.ndarray:
        """What each agent may do [N, A, E] bool."""
        return self._available.transpose(1, 2, 0).astype(bool)

    @masks.setter
    def masks(self, _: np.ndarray) -> None:
        pass

    def legal(self, actions: np.ndarray) -> np.ndarray:
        """Actions [E, N] as they are played [N, E]: masked-out ones are stop, or no-op if dead."""
        played = np.empty(actions.shape[::-1], np.int64)
        if legal(actions, self._available, played):
            return played
        raise self._no_actions(actions)

    def look(self) -> None:
        """See the battles as they are now."""
        b, sizes, e = self.battle, self.sizes, self.battle.n_envs
        self._obs = np.zeros((e, sizes.n, sizes.obs), np.float32)
        self._state = np.zeros((e, sizes.state), np.float32)
        self._state[:, sizes.units :] = self._last.reshape(e, -1)
        self._available = np.zeros((e, sizes.n, sizes.actions), np.int8)
        look(
            sizes.n, b.map.drawn, sizes.bits, *sizes.shields, b.x, b.y, b.health, b.shield,
            b.energy, b.cool, b.health_max, b.shield_max, b._fights, self._sight, self._shoot,
            self._scale, self._type, self._obs, self._state, self._available,
        )  # fmt: skip

    def obs(self) -> np.ndarray:
        """What each agent sees [E, N, O] float32."""
        return self._obs

    def state(self) -> np.ndarray:
        """Everything [E, S] float32."""
        return self._state

    def available(self) -> np.ndarray:
        """What each agent may do [E, N, A] int8."""
        return self._available
