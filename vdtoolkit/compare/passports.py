"""What must be the same of runs that are compared, and where these runs differ in it.

Published numbers of one method differ by tens of percent for such reasons: a game's version, the
number of environments side by side, gradient steps a move, how teams were evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vdtoolkit.compare.records import Record

REFUSED, FLAGGED, HARMLESS = "refused", "flagged", "harmless"

# field: why runs that differ in it are not comparable
MATTERS = {
    "env.spaces": "other observations or actions: another environment",
    "env.sizes": "other observations or actions: another environment",
    "env.game_version": "other rules or numbers inside the game",
    "reward": "returns are in other units",
    "state": "mixers see something else",
    "n_envs": "other data for each gradient step",
    "updates_per_episode": "another number of gradient steps for the same moves",
    "evaluation.mode": "another thing is measured",
    "evaluation.episodes": "curves of unlike noise",
    "evaluation.final_episodes": "final scores of unlike noise",
}
# field: what it may do, and what is done about it
NOTED = {
    "moves": "compared at the moves that all runs of an environment have reached",
    "evaluation.every": "curves are interpolated between evaluations",
    "commit": "the code is not the same",
    "hardware.device": "other rounding, other random numbers",
}


@dataclass(frozen=True)
class Difference:
    """A field in which runs of one environment differ, and which runs say what."""

    environment: str
    field: str
    weight: str  # refused, flagged or harmless
    why: str
    values: tuple[tuple[Any, tuple[Record, ...]], ...]  # a value, the runs that have it

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        values = [{"value": v, "runs": [run.name for run in runs]} for v, runs in self.values]
        return {
            "environment": self.environment,
            "field": self.field,
            "weight": self.weight,
            "why": self.why,
            "values": values,
        }


def differences(
    environment: str, records: Sequence[Record], by: Sequence[str] = ()
) -> list[Difference]:
    """Where runs of one environment differ, what weighs most first.

    A value that a run does not tell differs from none.  by: fields that are compared on purpose.
    """
    fields = dict.fromkeys(name for record in records for name in record.passport)
    found = []
    for name in fields:
        values: dict[str, tuple[Any, list[Record]]] = {}
        for record in records:
            value = record.passport.get(name)
            if value is not None:
                values.setdefault(json.dumps(value), (value, []))[1].append(record)
        if len(values) > 1 and name not in by:
            told = tuple((value, tuple(runs)) for value, runs in values.values())
            weight, why = weigh(name, [value for value, _ in told])
            found.append(Difference(environment, name, weight, why, told))
    order = (REFUSED, FLAGGED, HARMLESS)
    return sorted(found, key=lambda one: order.index(one.weight))


def weigh(name: str, values: Sequence[Any]) -> tuple[str, str]:
    """How much a difference matters, and why."""
    if name in MATTERS:
        return REFUSED, MATTERS[name]
    if name in NOTED:
        return FLAGGED, NOTED[name]
    if name.startswith("versions."):
        if len({breaking(str(value)) for value in values}) > 1:
            return REFUSED, "versions that promise no common behaviour"
        return FLAGGED, "results may differ"
    return HARMLESS, "decides how fast, not what"


def breaking(version: str) -> tuple[str, ...]:
    """The part of a version that changes when behaviour may: 2 of 2.13.0, 0.1 of 0.1.4."""
    parts = version.split("+")[0].split(".")
    return tuple(parts[:2] if parts[0] == "0" else parts[:1])


def unknown(records: Sequence[Record]) -> list[str]:
    """Fields that matter and that some runs tell, but not all."""
    told = {name for r in records for name, value in r.passport.items() if value is not None}
    return [
        name
        for name in MATTERS
        if name in told and any(record.passport.get(name) is None for record in records)
    ]
