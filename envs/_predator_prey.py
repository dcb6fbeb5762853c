"""The worlds of predator_prey_v0: E of them at once, each with dice of its own.

A world is a grid with a border of walls, kept flat; who is not in it is parked in its corner.
Everything is decided by row, so that a world plays the same whatever is beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FREE, WALL, PREDATOR, PREY = range(4)
STAY, UP, DOWN, LEFT, RIGHT, CATCH = range(6)
PARKED = 0  # the corner of the border
BITS = np.array([1, 2, 4, 8])  # of the four sides of a cell
COUNT = np.array([code.bit_count() for code in range(16)])
BORDER = 2  # cells of wall on each side, at least


class World:
    """E worlds of N predators and M prey on a square grid.

    A subclass has the rules: `play` and `observations`, `state`, `masks`.

    size: cells a side.  sight: cells that can be seen on each side, or None for all.
    cells [E, N + M]: where predators, then prey are, flat in the padded grid; PARKED for those
    that have been removed.
    """

    n_actions: int
    n_lots: int  # random numbers that one move of a world takes
    obs_dim: int
    state_dim: int

    def __init__(self, n_envs: int, size: int, predators: int, prey: int, sight: int = 0) -> None:
        self.n_envs, self.size, self.n, self.m = n_envs, size, predators, prey
        self.border = max(BORDER, sight)
        self.width = size + 2 * self.border
        inside = np.arange(size) + self.border
        self.inside = (inside[:, None] * self.width + inside).ravel()  # [size * size]
        self.steps = np.array([0, -self.width, self.width, -1, 1, 0])  # by action
        self._sides = self.steps[UP : RIGHT + 1]
        area = self.width**2
        self.grid = np.full((n_envs, area), WALL, np.int8)
        self._flat = self.grid.reshape(-1)
        self._origin = np.arange(n_envs) * area  # of each world in the flat grids
        self.cells = np.zeros((n_envs, predators + prey), np.int64)
        self._at = self.cells.reshape(-1)
        self._columns = np.arange(n_envs) * (predators + prey)
        self._wanted = np.zeros_like(self.cells)
        self.lots = np.zeros((n_envs, self.n_lots))

    @property
    def predators(self) -> np.ndarray:
        """Where the predators are [E, N]."""
        return self.cells[:, : self.n]

    @property
    def prey(self) -> np.ndarray:
        """Where the prey are [E, M]."""
        return self.cells[:, self.n :]

    @property
    def alive(self) -> np.ndarray:
        """Which predators are in the world [E, N] bool."""
        return self.predators != PARKED

    def begin(self, rows: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """New episodes in these rows: everybody on a cell of its own, all ways equally likely."""
        for e in rows.tolist():
            order = rngs[e].random(len(self.inside)).argsort()
            self.put(e, self.inside[order[: self.n + self.m]])

    def put(self, e: int, cells: np.ndarray) -> None:
        """Put predators and prey of one world on these cells of the padded grid."""
        self.grid[e, self.inside] = FREE
        self.cells[e] = cells
        self.grid[e, cells[: self.n]] = PREDATOR
        self.grid[e, cells[self.n :]] = PREY

    def places(self) -> np.ndarray:
        """Row and column of predators and prey on the board [E, N + M, 2]; negative if removed."""
        return np.stack(np.divmod(self.cells, self.width), -1) - self.border

    def draw(self, rngs: Sequence[np.random.Generator]) -> None:
        """The random numbers of one move of each world."""
        for rng, row in zip(rngs, self.lots, strict=True):
            rng.random(out=row)

    def play(self, actions: np.ndarray) -> np.ndarray:
        """One move of each world with the lots drawn; actions [E, N].  The team's reward [E].

        Masked-out actions do what to stay does, and so do those of the removed.
        """
        raise NotImplementedError

    def over(self) -> np.ndarray:
        """Which worlds have come to their end [E] bool."""
        return np.zeros(self.n_envs, bool)

    def observations(self) -> np.ndarray:
        """What each predator sees [E, N, O] float32; zeros for those that were removed."""
        raise NotImplementedError

    def state(self) -> np.ndarray:
        """Everything there is to know [E, S] float32."""
        raise NotImplementedError

    def masks(self) -> np.ndarray:
        """What each predator may do [E, N, A] bool; to stay is all that is left to the removed."""
        raise NotImplementedError

    def _in_turn(self, first: int, order: np.ndarray) -> np.ndarray:
        """Positions in the flat `cells` of those from column `first` on, in this order [K, E]."""
        return order.T + (self._columns + first)

    def _move(self, who: np.ndarray, step: np.ndarray) -> None:
        """One of each world [E], positions in the flat `cells`, steps if the cell is free."""
        here = self._at.take(who) + self._origin
        there = here + step
        blocked = self._flat.take(there) != FREE
        there[blocked] = here[blocked]
        kind = self._flat.take(here)
        self._flat[here] = FREE
        self._flat[there] = kind  # after the line before: who stays is there still
        self._at[who] = there - self._origin

    def _steps(self, first: int, actions: np.ndarray) -> np.ndarray:
        """The steps of these actions where `_in_turn` looks them up [E * (N + M)]."""
        self._wanted[:, first : first + actions.shape[1]] = self.steps.take(actions)
        return self._wanted.reshape(-1)

    def _beside(self, cells: np.ndarray) -> np.ndarray:
        """Which predators are up, down, left or right of a cell: cells [E, ...] -> [E, ..., N]."""
        predators = self.predators.reshape(self.n_envs, *[1] * (cells.ndim - 1), self.n)
        apart = np.abs(predators - cells[..., None])
        return (apart == 1) | (apart == self.width)


class Punished(World):
    """QTRAN's: two predators beside a prey are paid 1, one alone pays the penalty."""

    n_actions = 5

    def __init__(
        self, n_envs: int, size: int, predators: int, prey: int, reward: float, penalty: float
    ) -> None:
        self.n_lots = predators + 3 * prey  # two orders, what prey do, where the caught return
        super().__init__(n_envs, size, predators, prey)
        self.reward, self.penalty = reward, penalty
        self.obs_dim = 2 * (predators + prey) + predators
        self.state_dim = 2 * (predators + prey)
        others = [[j for j in range(predators + prey) if j != i] for i in range(predators)]
        self._others = np.array(others)  # [N, N + M - 1]

    def play(self, actions: np.ndarray) -> np.ndarray:
        """Moves of predators, then of prey; rewards; then the caught return somewhere else."""
        n, m = self.n, self.m
        order, turns, wishes, returns = np.split(self.lots, [n, n + m, n + 2 * m], 1)
        self._steps(0, actions)
        steps = self._steps(n, (5 * wishes).astype(np.int64))
        for who in (*self._in_turn(0, order.argsort(1)), *self._in_turn(n, turns.argsort(1))):
            self._move(who, steps.take(who))
        hunters = self._beside(self.prey).sum(-1)  # [E, M]
        caught = hunters >= 2
        for p in np.flatnonzero(caught.any(0)).tolist():
            self._return(np.flatnonzero(caught[:, p]), n + p, returns[:, p])
        return (self.reward * caught - self.penalty * (hunters == 1)).sum(1)

    def _return(self, rows: np.ndarray, who: int, lots: np.ndarray) -> None:
        """Put one prey of these worlds on a free cell, all equally likely."""
        free = self.grid[rows[:, None], self.inside] == FREE
        chosen = (lots[rows] * free.sum(1)).astype(np.int64)  # which of the free ones
        there = self.inside[(free.cumsum(1) > chosen[:, None]).argmax(1)]
        self.grid[rows, self.cells[rows, who]] = FREE
        self.grid[rows, there] = PREY
        self.cells[rows, who] = there

    def observations(self) -> np.ndarray:
        """Own place, where all others are from there, own number one-hot [E, N, 2(N+M)+N]."""
        places = self.places() / (self.size - 1)
        own = places[:, : self.n]
        apart = places[:, self._others] - own[:, :, None]  # [E, N, N + M - 1, 2]
        seen = np.zeros((self.n_envs, self.n, self.obs_dim), np.float32)
        seen[..., :2] = own
        seen[..., 2 : -self.n] = apart.reshape(self.n_envs, self.n, -1)
        seen[..., -self.n :] = np.eye(self.n)
        return seen

    def state(self) -> np.ndarray:
        """The places of all, predators first [E, 2(N+M)], from 0 to 1."""
        places = self.places() / (self.size - 1)
        return places.reshape(self.n_envs, -1).astype(np.float32)

    def masks(self) -> np.ndarray:
        """Everything is allowed; a step into a wall is none."""
        return np.ones((self.n_envs, self.n, self.n_actions), bool)


class StagHunt(World):
    """The stag hunt of DCG and weighted QMIX: prey are caught by an action of two or more."""

    n_actions = 6

    def __init__(
        self,
        n_envs: int,
        size: int,
        predators: int,
        prey: int,
        reward: float,
        penalty: float,
        sight: int,
    ) -> None:
        self.n_lots = predators + 2 * prey  # two orders, where prey go
        super().__init__(n_envs, size, predators, prey, sight)
        self.reward, self.penalty = reward, penalty
        around = np.arange(-sight, sight + 1)
        self._window = (around[:, None] * self.width + around).ravel()  # [(2 sight + 1)^2]
        self._ways = np.zeros((16, 4), np.int64)  # by free sides as bits: their steps
        for code in range(16):
            free = np.flatnonzero(code & BITS)
            self._ways[code, : len(free)] = self._sides[free]
        self.obs_dim = 2 * len(self._window)
        self.state_dim = 2 * size**2

    def play(self, actions: np.ndarray) -> np.ndarray:
        """Moves of predators; then each prey in turn is caught, or moves."""
        n, m = self.n, self.m
        order, turns, ways = np.split(self.lots, [n, n + m], 1)
        steps = self._steps(0, actions)
        for who in self._in_turn(0, order.argsort(1)):
            self._move(who, steps.take(who))
        catching = (actions == CATCH) & self.alive
        hunters = self._beside(self.prey) & catching[:, None]  # [E, M, N]
        turn, reward = turns.argsort(1), np.zeros(self.n_envs)
        lots = np.take_along_axis(ways, turn, 1).T
        hunted = np.logical_or.reduce(np.take_along_axis(hunters.any(2), turn, 1))
        for who, lot, now in zip(self._in_turn(n, turn), lots, hunted, strict=True):
            if now:
                reward += self._catch(who, hunters)
            self._move(who, self._way(who, lot))
        return reward

    def _catch(self, who: np.ndarray, hunters: np.ndarray) -> np.ndarray:
        """What the hunters [E, M, N] of one prey of each world get; the caught are removed."""
        p = who - self._columns - self.n
        mine = hunters[np.arange(self.n_envs), p]  # [E, N]
        count = mine.sum(1)
        caught = count >= 2
        if caught.any():
            e, i = np.nonzero(mine & caught[:, None])
            self._remove(e, i)
            hunters[e, :, i] = False
            e = np.flatnonzero(caught)
            self._remove(e, self.n + p[e])
        return self.reward * caught - self.penalty * (count == 1)

    def _remove(self, rows: np.ndarray, columns: np.ndarray) -> None:
        self.grid[rows, self.cells[rows, columns]] = FREE
        self.cells[rows, columns] = PARKED

    def _way(self, who: np.ndarray, lots: np.ndarray) -> np.ndarray:
        """The step of one prey of each world to a free cell, all equally likely; 0 if none."""
        here = self._at.take(who) + self._origin
        free = self._flat.take(here[:, None] + self._sides) == FREE
        code = free @ BITS
        return self._ways[code, (lots * COUNT[code]).astype(np.int64)]

    def over(self) -> np.ndarray:
        """Whether all prey, or all predators, have been removed."""
        return ~self.alive.any(1) | ~(self.prey != PARKED).any(1)

    def observations(self) -> np.ndarray:
        """Predators, then prey, in the square around each [E, N, 2 (2 sight + 1)^2]."""
        places = np.where(self.alive, self.predators, self.inside[0]) + self._origin[:, None]
        kinds = self._flat[places[..., None] + self._window]  # [E, N, cells]
        kinds = np.where(self.alive[..., None], kinds, FREE)
        return np.concatenate([kinds == PREDATOR, kinds == PREY], -1).astype(np.float32)

    def state(self) -> np.ndarray:
        """Predators, then prey, on the whole board [E, 2 size^2]."""
        board = self.grid[:, self.inside]
        return np.concatenate([board == PREDATOR, board == PREY], -1).astype(np.float32)

    def masks(self) -> np.ndarray:
        """No steps into walls; to catch only beside a prey."""
        alive, masks = self.alive, np.zeros((self.n_envs, self.n, self.n_actions), bool)
        places = np.where(alive, self.predators, self.inside[0]) + self._origin[:, None]
        around = self._flat[places[..., None] + self._sides]  # [E, N, 4]
        masks[..., UP : RIGHT + 1] = (around != WALL) & alive[..., None]
        masks[..., CATCH] = (around == PREY).any(-1) & alive
        masks[..., STAY] = True
        return masks
