"""The best return in predator-prey on 5 x 5, and what classes of methods settle for, worked out.

    python -m benchmarks.predator_prey                    # P = 0 and P = -1.5
    python -m benchmarks.predator_prey --penalties 0.5 1

Two predators and a prey have 13,800 placements, and all is seen.  Every move of the environment's
own rules is enumerated once, and values are swept over them: no sampling, no networks.

*best*: the team that plays best.  *random*: play at random.  *keep away*: who is punished least,
as if catches paid nothing.  *additive*: greedy in the sum of
utilities (VDN's and Qatten's class) that fits all joint actions alike, in each placement by itself,
over what follows such values.  *independent*: greedy in what each earns while the other plays at
random (IQL).  Values of classes are discounted by 0.99 and swept until they settle.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vdtoolkit.envs._predator_prey import Punished
from vdtoolkit.envs.predator_prey_v0 import DEFAULTS

FORM = DEFAULTS["punished"]
SIZE, MOVES = FORM["size"], FORM["max_cycles"]
ACTIONS, ORDERS, WISHES = 5, 2, 5
GAMMA, SETTLED = 0.99, 0.01
Team = tuple[np.ndarray, np.ndarray]  # the action of either predator in each placement, [S]


class _WithoutReturn(Punished):
    """A caught prey stays where it is: `Model.ahead` sums over where it returns to."""

    def _return(self, rows: np.ndarray, who: int, lots: np.ndarray) -> None:
        pass


@dataclass(frozen=True)
class Model:
    """S placements, A actions of either predator, K outcomes that are equally likely.

    reward, following (a placement, before a caught prey returns), caught: [S, A, A, K].
    predators [S]: the same number where both predators are at the same places.
    """

    reward: np.ndarray
    following: np.ndarray
    caught: np.ndarray
    predators: np.ndarray

    @classmethod
    def of(cls, penalty: float) -> Model:
        """From the environment's own world, played from everywhere with every lot."""
        cells = np.indices((SIZE**2,) * 3).reshape(3, -1).T
        apart = [(cells[:, i] != cells[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        placements = cells[np.logical_and.reduce(apart)]
        number = np.full((SIZE**2,) * 3, -1)
        number[tuple(placements.T)] = np.arange(len(placements))
        shape = (len(placements), ACTIONS, ACTIONS, ORDERS * WISHES)
        reward, following = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
        world = _WithoutReturn(len(placements), SIZE, 2, 1, FORM["reward"], penalty)
        for e, where in enumerate(world.inside[placements]):
            world.put(e, where)
        grid, at = world.grid.copy(), world.cells.copy()
        for a, b, k in np.ndindex(*shape[1:]):
            world.grid[:], world.cells[:] = grid, at
            wish, first = divmod(k, ORDERS)
            world.lots[:] = [first, 1 - first, 0, (wish + 0.5) / WISHES, 0]
            reward[:, a, b, k] = world.play(np.tile([a, b], (len(placements), 1)))
            following[:, a, b, k] = number[tuple((world.places() @ [SIZE, 1]).T)]
        return cls(reward, following, reward > 0, placements[:, 0] * SIZE**2 + placements[:, 1])

    def ahead(self, value: np.ndarray) -> np.ndarray:
        """What follows on average, reward and value: [S, A, A]."""
        total = np.bincount(self.predators, value)[self.predators]
        elsewhere = (total - value) / (SIZE**2 - 3)  # the free cells; its own is none
        later = np.where(self.caught, elsewhere[self.following], value[self.following])
        return (self.reward + later).mean(-1)

    def best(self) -> float:
        """The best team's return over an episode, the mean over starts."""
        value = np.zeros(len(self.predators))
        for _ in range(MOVES):
            value = self.ahead(value).max((1, 2))
        return float(value.mean())

    def away(self) -> float:
        """The same of the team that is punished least."""
        return replace(self, reward=np.minimum(self.reward, 0.0)).best()

    def random(self) -> float:
        """The same of play at random."""
        value = np.zeros(len(self.predators))
        for _ in range(MOVES):
            value = self.ahead(value).mean((1, 2))
        return float(value.mean())

    def played(self, team: Team) -> float:
        """The same of a team."""
        value, rows = np.zeros(len(self.predators)), np.arange(len(self.predators))
        for _ in range(MOVES):
            value = self.ahead(value)[rows, team[0], team[1]]
        return float(value.mean())

    def additive(self) -> Team:
        """Greedy in sums of utilities, each placement's the nearest to what follows."""
        value, moved = np.zeros(len(self.predators)), np.inf
        while moved > SETTLED:
            table = self.ahead(GAMMA * value)
            rows, columns = table.mean(2), table.mean(1)
            new = rows.max(1) + columns.max(1) - table.mean((1, 2))
            moved, value = float(np.abs(new - value).max()), new
        return rows.argmax(1), columns.argmax(1)

    def independent(self) -> Team:
        """Greedy in what each earns beside a partner who plays at random."""
        values, moved = np.zeros((2, len(self.predators))), np.inf
        while moved > SETTLED:
            own = [self.ahead(GAMMA * v).mean(axis) for v, axis in zip(values, (2, 1), strict=True)]
            new = np.stack([q.max(1) for q in own])
            moved, values = float(np.abs(new - values).max()), new
        return own[0].argmax(1), own[1].argmax(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.predator_prey",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--penalties", type=float, nargs="+", default=[0.0, 1.5])
    asked = parser.parse_args(arguments)
    print("| P | best | additive | independent | random | keep away |\n|" + "---|" * 6, flush=True)
    for penalty in asked.penalties:
        model = Model.of(penalty)
        teams = model.played(model.additive()), model.played(model.independent())
        found = model.best(), *teams, model.random(), model.away()
        print(f"| {-penalty + 0.0:g} | " + " | ".join(f"{x:.2f}" for x in found) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
