"""The battles of skirmish_v0: E of them at once, as arrays [U, E], allies before enemies.

The last axis counts battles, so that NumPy works along it.  No move is left to chance: each battle
has dice of its own for how its episodes begin, and plays the same whatever is beside it.

A move is 8 game loops, half a second.  The enemy chooses its targets as the move begins, as the
agents have; then come two ticks of 4 loops.  In each all walk, who overlap are pushed apart, all
whose weapon is ready and who reach their target fire at once, and only then somebody dies.  The
dead are parked far outside, out of anybody's reach.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import _skirmish_units as units
from ._skirmish_maps import SIZE, Map, lattice

NO_OP, STOP, NORTH, SOUTH, EAST, WEST, ATTACK = range(7)  # ATTACK + k: enemy k, or heal ally k
STRIDE = 2.0  # cells that a move action aims at
LOOPS, TICKS = 4, 2  # game loops in a tick, ticks in a move
SECONDS = LOOPS / units.LOOPS_PER_SECOND  # in a tick
SCATTER = 0.5  # cells by which a start differs from the map's place, in x and in y
SCAN = 5.0  # cells from edge to edge in which the enemy finds targets, or its weapon's reach
ALARM = 2  # moves in which who was hit looks for targets wherever they are
PACE = 1.0  # game loops by which a weapon is quicker or slower than its kind's, drawn at the start
ROOM = 0.95  # of the sum of two radii: closer is pushed apart
PARK = 1000.0
REWARD_DEATH, REWARD_WIN, REWARD_SCALE = 10.0, 200.0, 20.0
EPSILON = np.float32(1e-3)  # who walked into reach is in it, whatever was rounded
N_KINDS = len(units.KINDS)
MOST_ENERGY = np.float32(max(kind.energy_max for kind in units.KINDS))
GAP = 1.5  # cells between units that SMACv2 puts on one spot


class Battle:
    """E battles on one map.

    x, y, health, shield, energy, cool [U, E] float32: cells, points, and the game loops until the
    weapon is ready.  kind [U, E]: rows of `units.KINDS`.  target [U, E]: whom a unit goes for, if
    it `aims`.  Columns of constants are [U, 1] where teams are fixed, else [U, E].
    """

    def __init__(self, spec: Map, n_envs: int) -> None:
        self.map, self.n_envs = spec, n_envs
        self.n, self.m = spec.n_agents, spec.n_enemies
        self.u = self.n + self.m
        shape = (self.u, n_envs)
        for name in ("x", "y", "health", "shield", "energy", "cool", "quiet", "pace"):
            setattr(self, name, np.zeros(shape, np.float32))
        self.x: np.ndarray
        self.y: np.ndarray
        self.health: np.ndarray
        self.shield: np.ndarray
        self.energy: np.ndarray
        self.cool: np.ndarray
        self.quiet: np.ndarray  # seconds since the last damage
        self.pace: np.ndarray  # cells a tick; 0 for the dead
        self.fell = np.zeros((2, *shape), np.float32)  # where the dead were
        self.period = np.zeros(shape, np.float32)  # game loops from shot to shot
        self.kind = np.zeros(shape, np.int64)
        self.target = np.zeros(shape, np.int64)
        self.aims = np.zeros(shape, bool)
        self.walks = np.zeros(shape, bool)
        self.alarm = np.zeros((self.m, n_envs), np.int8)  # moves left of looking everywhere
        self.won: np.ndarray = np.zeros(n_envs, bool)
        self.over: np.ndarray = np.zeros(n_envs, bool)
        self._goal = np.zeros((2, *shape), np.float32)
        self._goal[:, self.n :] = np.array(spec.goal or (0, 0))[:, None, None]
        self._columns = np.arange(n_envs)
        self._shielded, self._heals = spec.has("shield"), spec.has("heals")
        self._zerg = "Z" in spec.races()
        self._splash = spec.has("burns_line") or spec.has("burst")
        self._flies = spec.has("flies")
        pairs = np.triu_indices(self.u, 1)
        self._one, self._other = (np.ascontiguousarray(part) for part in pairs)  # [P]
        steps = np.zeros((2, ATTACK + self.m), np.float32)
        steps[:, NORTH:ATTACK] = STRIDE * np.array([[0, 0, 1, -1], [1, -1, 0, 0]])
        self._steps = steps
        self._index = np.arange(self.n, dtype=np.int32)[:, None]  # [N, 1]
        self._wide = n_envs if spec.drawn else 1  # of columns of constants
        self._make_constants(np.repeat(spec.kinds[:, None], self._wide, 1))
        self._value = np.zeros(n_envs)  # health and shields of the enemy

    # -- how an episode begins ----------------------------------------------------------------

    def begin(self, rows: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """New episodes in these rows, each by its own dice."""
        lots = np.empty((len(rows), 3 * self.u))
        for lot, e in zip(lots, rows.tolist(), strict=True):
            if self.map.drawn:
                kinds, places = _draw(self.map, rngs[e])
                self._constants_of(np.array([e]), kinds[:, None])
                self.x[:, e], self.y[:, e] = places
            rngs[e].random(out=lot)
        x, y, period = 2 * lots.T.reshape(3, self.u, -1) - 1
        if not self.map.drawn:
            self.x[:, rows] = self.map.places[0, :, None] + SCATTER * x
            self.y[:, rows] = self.map.places[1, :, None] + SCATTER * y
        self._rise(rows)
        self.period[:, rows] += PACE * period

    def put(self, e: int, places: np.ndarray) -> None:
        """Everybody of one battle at these places [2, U], fresh."""
        self.x[:, e], self.y[:, e] = places
        self._rise(np.array([e]))

    def _rise(self, rows: np.ndarray) -> None:
        """Full health and ready weapons in these rows."""
        own = rows if self.map.drawn else np.zeros(1, np.int64)
        self.health[:, rows] = self.health_max[:, own]
        self.shield[:, rows] = self.shield_max[:, own]
        self.energy[:, rows] = self._energy_start[:, own]
        self.pace[:, rows] = self._pace[:, own]
        self.period[:, rows] = self._period[:, own]
        self.cool[:, rows] = 0
        self.quiet[:, rows] = units.SHIELD_WAITS
        self.target[:, rows] = 0
        self.aims[:, rows] = False
        self.alarm[:, rows] = 0
        self.won[rows] = self.over[rows] = False
        self._value[rows] = (self.health_max + self.shield_max)[self.n :, own].sum(0)

    def _make_constants(self, kinds: np.ndarray) -> None:
        for name in ("health_max", "shield_max", "radius", "_period", "_pace", "_energy_start"):
            setattr(self, name, np.zeros(kinds.shape, np.float32))
        self.health_max: np.ndarray
        self.shield_max: np.ndarray
        self.radius: np.ndarray
        self._period: np.ndarray
        self._pace: np.ndarray
        self._energy_start: np.ndarray
        self._fights = np.zeros(kinds.shape, bool)
        self._ground = np.zeros(kinds.shape, bool)
        self._regenerates = np.zeros(kinds.shape, np.float32)
        self._room2 = np.zeros((len(self._one), kinds.shape[1]), np.float32)
        self._scan = np.zeros((self.m, kinds.shape[1]), np.float32)
        self.scale = np.zeros(kinds.shape[1])  # of rewards
        self.kind[:] = kinds[:, :1]
        self._constants_of(np.arange(kinds.shape[1]), kinds)

    def _constants_of(self, rows: np.ndarray, kinds: np.ndarray) -> None:
        """The columns of constants in these rows; kinds [U, R]."""
        if self.map.drawn:
            self.kind[:, rows] = kinds
        self.health_max[:, rows] = units.column("health")[kinds]
        self.shield_max[:, rows] = units.column("shield")[kinds]
        self.radius[:, rows] = units.column("radius")[kinds]
        self._period[:, rows] = units.column("cooldown")[kinds]
        self._pace[:, rows] = units.column("speed")[kinds] * SECONDS
        self._energy_start[:, rows] = units.column("energy")[kinds]
        self._fights[:, rows] = ~units.flags("heals")[kinds]
        self._ground[:, rows] = ~units.flags("flies")[kinds]
        zerg = np.array([kind.race == "Z" for kind in units.KINDS])
        self._regenerates[:, rows] = zerg[kinds] * (units.ZERG_REGENERATE * SECONDS)
        enemies = kinds[self.n :]
        radius = self.radius[:, rows]
        ground = self._ground[:, rows]
        room = ROOM * (radius[self._one] + radius[self._other])
        self._room2[:, rows] = room * room * (ground[self._one] & ground[self._other])
        self._scan[:, rows] = np.maximum(units.column("reach")[enemies], SCAN)
        worth = (self.health_max + self.shield_max)[self.n :, rows].sum(0)
        self.scale[rows] = REWARD_SCALE / (REWARD_DEATH * self.m + REWARD_WIN + worth)

    # -- a move -------------------------------------------------------------------------------

    @property
    def alive(self) -> np.ndarray:
        """Who lives [U, E] bool."""
        return self.health > 0

    def play(self, actions: np.ndarray) -> np.ndarray:
        """One move of each battle: available actions [N, E] -> the team's reward [E] float32.

        SMAC's: damage done to health and shields, 10 a kill and 200 for the victory, over their
        sum, times 20.  Shields and health that the enemy regenerates count against damage of the
        same move, and nothing is paid or taken where they are more.
        """
        self._order(actions)
        self._look_around()
        flat = self.target * self.n_envs + self._columns  # where flat arrays have the targets
        pairs = self.kind * N_KINDS + self.kind.take(flat)
        self.aims[: self.n] &= units.WORKS.take(pairs[: self.n])
        within = units.WITHIN.take(pairs)
        for _ in range(TICKS):
            self._tick(flat, pairs, within)
        living = self.alive
        enemies, fight = living[self.n :], living & self._fights
        ours, theirs = fight[: self.n].any(0), fight[self.n :].any(0)
        self.over = np.asarray(~(ours & theirs))
        self.won = np.asarray(ours & ~theirs)
        value = (self.health + self.shield)[self.n :].sum(0, dtype=np.float64)
        value -= REWARD_DEATH * np.count_nonzero(~enemies, axis=0)
        gained, self._value = self._value - value, value
        paid = np.maximum(gained, 0.0) + REWARD_WIN * self.won
        return (paid * self.scale).astype(np.float32)

    def _order(self, actions: np.ndarray) -> None:
        """What the allies were told to do, and where who goes for nobody goes."""
        n = self.n
        self._goal[0, :n] = np.clip(self.x[:n] + self._steps[0].take(actions), 0.0, SIZE)
        self._goal[1, :n] = np.clip(self.y[:n] + self._steps[1].take(actions), 0.0, SIZE)
        np.add(actions, n - ATTACK, out=self.target[:n])
        if self._heals:
            self.target[:n] -= n * ~self._fights[:n]
        np.greater_equal(actions, ATTACK, out=self.aims[:n])
        self.target[:n] *= self.aims[:n]

    def _tick(self, flat: np.ndarray, pairs: np.ndarray, within: np.ndarray) -> None:
        """A quarter of a second; targets in flat arrays, in the tables, centres apart in reach."""
        self.aims &= self.health.take(flat) > 0
        self._walk(flat, within)
        self._push()
        dx, dy = self.x.take(flat) - self.x, self.y.take(flat) - self.y
        reach = within + EPSILON
        reaches = self.aims & (dx * dx + dy * dy <= reach * reach)
        ready = reaches & (self.cool < LOOPS)
        if self._heals:
            self._heal(np.flatnonzero(reaches & ~self._fights), flat)
            ready &= self._fights
        self.cool -= LOOPS
        self.cool += self.period * ready
        np.maximum(self.cool, 0.0, out=self.cool)
        self._recover()
        fired = np.flatnonzero(ready)
        if len(fired):
            self._hit(fired, flat.take(fired), pairs.take(fired))

    def _look_around(self) -> None:
        """Whom each of the enemy goes for: the nearest in its scan; anywhere, if it was hit."""
        n = self.n
        dx = self.x[n:, None] - self.x[None, :n]
        dy = self.y[n:, None] - self.y[None, :n]
        edge = np.sqrt(dx * dx + dy * dy)  # [M, N, E]
        edge -= self.radius[n:, None] + self.radius[None, :n]
        if self._flies:
            works = units.WORKS[self.kind[n:, None] * N_KINDS + self.kind[None, :n]]
            edge += PARK * ~works
        # distance in 1/1024 cells and index in one number: the least has both
        key = ((edge * 1024).astype(np.int32) << 6) + self._index
        best = key.min(1)
        distance, self.target[n:] = best >> 6, best & 63
        anywhere = PARK / 2 * 1024
        if self.map.goal is None:
            self.aims[n:] = distance < anywhere
        else:
            scan = np.where(self.alarm > 0, anywhere, self._scan * 1024)
            np.less_equal(distance, scan, out=self.aims[n:])
            self.alarm -= self.alarm > 0
        if self._heals:
            self._nurse()

    def _nurse(self) -> None:
        """Whom the enemy's healers go for: the nearest that is hurt, else the nearest fighter."""
        n, size = self.n, self.n_envs
        healers = np.flatnonzero((self.alive & ~self._fights)[n:]) + n * size
        if not len(healers):
            return
        battle = healers % size
        others = (n + np.arange(self.m)) * size + battle[:, None]  # [k, M]
        dx = self.x.take(others) - self.x.take(healers)[:, None]
        dy = self.y.take(others) - self.y.take(healers)[:, None]
        distance = np.sqrt(dx * dx + dy * dy)
        hurt = self.health.take(others) < self._of(self.health_max, others)
        healed = units.flags("healed")[self.kind.take(others)]
        fights = self._of(self._fights, others)
        distance += np.where(hurt & healed, 0.0, np.where(fights, PARK / 4, 2 * PARK))
        nearest = distance.argmin(1)
        self.target.reshape(-1)[healers] = n + nearest
        found = distance[np.arange(len(nearest)), nearest] < PARK / 2
        self.aims.reshape(-1)[healers] = found

    def _walk(self, flat: np.ndarray, within: np.ndarray) -> None:
        """Everybody towards its target till it is in reach, else to its goal."""
        dx = np.where(self.aims, self.x.take(flat), self._goal[0]) - self.x
        dy = np.where(self.aims, self.y.take(flat), self._goal[1]) - self.y
        far = np.sqrt(dx * dx + dy * dy)
        part = np.minimum(np.maximum(far - within * self.aims, 0.0), self.pace)
        np.greater(part, EPSILON, out=self.walks)
        part /= np.maximum(far, 1e-6)
        self.x += dx * part
        self.y += dy * part

    def _push(self) -> None:
        """Who overlap on the ground are pushed apart: both, or who walks by who stands."""
        dx = self.x[self._one] - self.x[self._other]  # [P, E]
        dy = self.y[self._one] - self.y[self._other]
        squared = dx * dx + dy * dy
        close = np.flatnonzero(squared < self._room2)
        if not len(close):
            return
        pair, battle = np.divmod(close, self.n_envs)
        one = self._one[pair] * self.n_envs + battle
        other = self._other[pair] * self.n_envs + battle
        distance = np.sqrt(squared.take(close))
        room = np.sqrt(self._of(self._room2, close))
        push = (room - distance) / np.maximum(distance, 1e-6)
        together = distance == 0  # exactly: to the east and to the west, then
        px = np.where(together, room, dx.take(close) * push)
        py = dy.take(close) * push
        walks = self.walks.take(one) - self.walks.take(other).astype(np.float32)
        share = (1 + walks) / 2  # of the way that the one goes
        x, y = self.x.reshape(-1), self.y.reshape(-1)
        who = np.concatenate([one, other])
        share = np.concatenate([share, share - 1]) * (self.pace.take(who) > 0)
        np.add.at(x, who, np.concatenate([px, px]) * share)
        np.add.at(y, who, np.concatenate([py, py]) * share)
        x[who] = np.clip(x.take(who), 0.0, SIZE)
        y[who] = np.clip(y.take(who), 0.0, SIZE)

    def _heal(self, healers: np.ndarray, flat: np.ndarray) -> None:
        """Healers in reach of their patients; positions in flat arrays."""
        patients = flat.take(healers)
        works = units.WORKS.take(self.kind.take(healers) * N_KINDS + self.kind.take(patients))
        health, most = self.health.reshape(-1), self._of(self.health_max, patients)
        energy = self.energy.reshape(-1)
        points = np.minimum(most - health[patients], np.float32(units.HEALS * SECONDS))
        points = np.minimum(points, energy[healers] * units.HEALTH_PER_ENERGY) * works
        np.add.at(health, patients, points)
        health[patients] = np.minimum(health[patients], most)
        energy[healers] -= points / np.float32(units.HEALTH_PER_ENERGY)

    def _recover(self) -> None:
        """Shields that were left alone, Zerg, and energy regenerate."""
        if self._shielded:
            self.quiet += SECONDS
            rest = self.quiet > units.SHIELD_WAITS
            self.shield += rest * np.float32(units.SHIELD_REGENERATES * SECONDS)
            np.minimum(self.shield, self.shield_max, out=self.shield)
        if self._zerg:
            self.health += self._regenerates * (self.health > 0)
            np.minimum(self.health, self.health_max, out=self.health)
        if self._heals:
            gain = np.float32(units.ENERGY_REGENERATES * SECONDS)
            self.energy += gain * (~self._fights & self.alive)
            np.minimum(self.energy, MOST_ENERGY, out=self.energy)

    def _hit(self, fired: np.ndarray, victims: np.ndarray, pairs: np.ndarray) -> None:
        """Who fired, at whom (positions in flat arrays), and their place in the tables.

        The shield takes what it can; each blow that comes through is lessened by armour, to no
        less than 0.5.  Of unlike blows in one tick the mean counts.
        """
        if self._splash:
            victims, pairs = self._spread(fired, victims, pairs)
        blows = units.BLOWS.take(pairs)
        cells = self.u * self.n_envs
        count = np.bincount(victims, blows, cells)
        struck = np.flatnonzero(count)
        count = count[struck]
        damage = np.bincount(victims, blows * units.BLOW.take(pairs), cells)[struck]
        health, shield = self.health.reshape(-1), self.shield.reshape(-1)
        through = np.maximum(damage - shield[struck], 0.0)
        felt = np.ceil(count * through / damage - 1e-6)  # how many blows come through
        loss = through - units.ARMOUR[self.kind.take(struck)] * felt
        health[struck] -= np.maximum(loss, 0.5 * felt)
        shield[struck] = np.maximum(shield[struck] - damage, 0.0)
        self.quiet.reshape(-1)[struck] = 0.0
        enemies = struck[struck >= self.n * self.n_envs] - self.n * self.n_envs
        self.alarm.reshape(-1)[enemies] = ALARM
        dead = struck[health[struck] <= 0]
        if self._splash:
            burst = fired[units.BURST[self.kind.take(fired)] > 0]
            dead = np.unique(np.concatenate([dead, burst]))
        if len(dead):
            self._bury(dead)

    def _spread(
        self, fired: np.ndarray, victims: np.ndarray, pairs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Victims and pairs, with all whom a line of fire or a burst hits as well."""
        size = self.n_envs
        kinds = self.kind.take(fired)
        wide = (units.BURST[kinds] > 0) | units.BURNS_LINE[kinds]
        found = [(victims, pairs)]
        ours = fired < self.n * size
        for side, first, number in ((ours, self.n, self.m), (~ours, 0, self.n)):
            who = fired[wide & side]
            if not len(who):
                continue
            aim = victims[wide & side]
            foes = (first + np.arange(number)) * size + (who % size)[:, None]  # [k, foes]
            fx, fy = self.x.take(foes), self.y.take(foes)
            ax, ay = self.x.take(who)[:, None], self.y.take(who)[:, None]
            tx, ty = self.x.take(aim)[:, None], self.y.take(aim)[:, None]
            kind, radius = self.kind.take(who)[:, None], self._of(self.radius, foes)
            near = np.sqrt((fx - ax) ** 2 + (fy - ay) ** 2) - radius <= units.BURST[kind]
            ux, uy = tx - ax, ty - ay
            length = np.maximum(np.sqrt(ux * ux + uy * uy), 1e-6)
            along = ((fx - tx) * ux + (fy - ty) * uy) / length
            across = ((fx - tx) * uy - (fy - ty) * ux) / length
            wall, depth = (side / 2 for side in units.LINE)
            burns = (np.abs(across) <= wall + radius) & (np.abs(along) <= depth + radius)
            places = kind * N_KINDS + self.kind.take(foes)
            hit = np.where(units.BURNS_LINE[kind], burns, near) & units.WORKS.take(places)
            hit &= foes != aim[:, None]
            found.append((foes[hit], places[hit]))
        return np.concatenate([v for v, _ in found]), np.concatenate([p for _, p in found])

    def _bury(self, dead: np.ndarray) -> None:
        """Take the dead, positions in flat arrays, out of the battle."""
        x, y = self.x.reshape(-1), self.y.reshape(-1)
        fell = self.fell.reshape(2, -1)
        fell[0, dead], fell[1, dead] = x[dead], y[dead]
        x[dead] = PARK + 100.0 * (dead // self.n_envs)
        y[dead] = PARK
        for column in (self.health, self.shield, self.energy, self.cool, self.pace):
            column.reshape(-1)[dead] = 0.0
        self.aims.reshape(-1)[dead] = False
        self.quiet.reshape(-1)[dead] = -1e9

    def _of(self, column: np.ndarray, flat: np.ndarray) -> np.ndarray:
        """A column of constants at positions in flat arrays."""
        return column.take(flat) if self.map.drawn else column[:, 0].take(flat // self.n_envs)


def _draw(spec: Map, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """SMACv2's teams and places: kinds [U] and places [2, U], allies first.

    Enemies are of the same kinds, and what they have more of is drawn alike.  Half of the starts
    mirror the allies, who stand anywhere in the west; in the other half one to four groups of
    the enemy come from corners, and the allies stand in the middle.
    """
    n, m = spec.n_agents, spec.n_enemies
    allies = _team(spec, n, rng)
    enemies = np.concatenate([allies[:m], _team(spec, m - n, rng)]) if m > n else allies[:m]
    if rng.random() < 0.5:
        west = rng.random((2, n)) * [[SIZE / 2 - 1], [SIZE]]
        more = rng.random((2, m - n)) * SIZE / [[2], [1]] + [[SIZE / 2], [0]]
        east = np.concatenate([np.stack([SIZE - west[0], west[1]]), more], 1)
    else:
        west = SIZE / 2 + lattice(n, GAP)
        east = np.zeros((2, m))
        groups = int(rng.integers(1, 5))
        group = rng.integers(groups, size=m)
        corners = rng.permutation(4)
        for g in range(groups):
            sides = np.array([corners[g] % 2, corners[g] // 2])  # west or east, south or north
            inner, outer = SIZE / 2 + (4 * sides - 2), SIZE * sides
            at = inner + rng.random() * (outer - inner)
            members = np.flatnonzero(group == g)
            east[:, members] = at[:, None] + lattice(len(members), GAP)
    names = np.array([kind.name for kind in units.KINDS])
    order = np.lexsort((west[1], west[0], names[allies]))  # as SMAC numbers its agents
    kinds = np.concatenate([allies[order], enemies])
    places = np.clip(np.concatenate([west[:, order], east], 1), 0.0, SIZE)
    return kinds, places


def _team(spec: Map, n: int, rng: np.random.Generator) -> np.ndarray:
    """n kinds by their weights, not all of them of the kind that is no team."""
    numbers = np.array([units.NUMBER[name] for name in spec.ally_bits])
    while True:
        drawn = numbers[rng.choice(len(numbers), n, p=spec.weights)]
        if not spec.never_alone or (drawn != units.NUMBER[spec.never_alone]).any():
            return drawn
