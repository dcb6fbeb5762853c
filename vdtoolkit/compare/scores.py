"""From returns to scores: what counts as 0 and as 1 in each environment, and where runs are read.

Returns of unlike environments cannot be averaged.  As in rliable's examples a score is 0 at a
random team's return and 1 at a reference; a win rate is a score already.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vdtoolkit.compare.records import Record

WHOLE = 0.99  # of the moves asked for: vectors of environments may end a step apart


@dataclass(frozen=True)
class Scale:
    """How an environment's numbers become scores: (x - zero) / (one - zero).

    metric: "return" or "win_rate".  zero_is, one_is: where they come from, in words.
    """

    metric: str
    zero: float
    one: float
    zero_is: str
    one_is: str

    def of(self, values: np.ndarray) -> np.ndarray:
        """Scores of returns, or of win rates."""
        return (values - self.zero) / (self.one - self.zero)


def measured(record: Record, metric: str) -> np.ndarray:
    """[T]: a record's returns or win rates."""
    return record.wins if metric == "win_rate" else record.returns


def scale_of(
    environment: str,
    records: Sequence[Record],
    metric: str = "auto",
    zero: float | None = None,
    one: float | None = None,
    moves: float | None = None,
) -> Scale:
    """What counts as 0 and as 1 in an environment.

    Win rates are scores as they are, where every run reports them.  Returns: 0 is the random
    team's mean over the runs' baselines, 1 the best run's, read at these moves as all are, unless
    they are given.  (The best evaluation of all would be the luckiest one: curves are noisier than
    last evaluations.)  ValueError where both are the same.
    """
    if metric == "auto":
        metric = "win_rate" if all(not np.isnan(r.wins).any() for r in records) else "return"
    if metric == "win_rate":
        if any(np.isnan(record.wins).any() for record in records):
            raise ValueError(f"{environment}: not every evaluation has a win rate: --metric return")
        return Scale(metric, 0.0, 1.0, "no episode won", "every episode won")
    zero_is = one_is = "given"
    if zero is None:
        known = [record.random for record in records if record.random is not None]
        zero = float(np.mean(known or [min(record.returns.min() for record in records)]))
        zero_is = "a random team" if known else "the least return seen: no random team is told"
    if one is None:
        one = max(read_at(record, moves, metric) for record in records)
        one_is = "the best run here"
    if not one > zero or not math.isfinite(one - zero):
        raise ValueError(
            f"{environment}: a score of 1 ({one:g}, {one_is}) must be above a score of 0 "
            f"({zero:g}, {zero_is}): give --best {environment}=VALUE "
            f"or --random {environment}=VALUE"
        )
    return Scale(metric, zero, one, zero_is, one_is)


def budget(records: Sequence[Record]) -> float | None:
    """Moves at which runs of an environment are compared; None where all ended as they should.

    All that were asked for the same number of moves and played them are compared by their last
    evaluations; else all are read at the moves that every one of them has reached.
    """
    asked = {record.of for record in records}
    whole = all(r.finished and r.moves[-1] >= WHOLE * (r.of or 0) for r in records)
    if len(asked) == 1 and whole:
        return None
    least = float(min(record.moves[-1] for record in records))
    return least


def read_at(record: Record, moves: float | None, metric: str) -> float:
    """A run's number at these moves; its last evaluation for None."""
    values = measured(record, metric)
    return float(values[-1]) if moves is None else record.at(moves, values)
