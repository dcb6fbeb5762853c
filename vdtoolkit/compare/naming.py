"""What methods and environments are called: as short as tells them apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from vdtoolkit.agents import ALGORITHMS
from vdtoolkit.compare.records import Record
from vdtoolkit.making import EnvMaker


def environment_names(records: Sequence[Record]) -> dict[str, str]:
    """Environment (its key) to name; arguments are told where the name alone is not enough."""
    known = {record.environment: record.env for record in records}
    short = {key: EnvMaker(env["env"]).name for key, env in known.items()}
    names = {}
    for key, env in known.items():
        alike = [known[other] for other in known if short[other] == short[key]]
        names[key] = short[key] + _arguments(env, alike)
    taken = list(names.values())
    for key, env in known.items():  # a.game_v0 and b.game_v0
        if taken.count(names[key]) > 1:
            names[key] = env["env"] + names[key].removeprefix(short[key])
    return names


def _arguments(env: dict[str, Any], alike: Sequence[dict[str, Any]]) -> str:
    """The arguments and wrappers that not all of these have, in brackets."""
    own = [f"{k}={v}" for k, v in env["arguments"].items()] + list(env["wrappers"])
    everyone = [
        {f"{k}={v}" for k, v in other["arguments"].items()} | set(other["wrappers"])
        for other in alike
    ]
    told = [word for word in own if not all(word in words for words in everyone)]
    if len(alike) > 1 and not told:
        told = ["as it is"]
    return f" ({', '.join(told)})" if told else ""


def method_names(records: Sequence[Record], by: Sequence[str] = ()) -> list[str]:
    """Each record's method: its algorithm, and hyperparameters where they vary in one environment.

    Hyperparameters that differ between environments only are a method tuned for each, one name.
    by: fields of the passport that are told as well.
    """
    varied = {name: _varied(name, records) for name in {r.algorithm for r in records}}
    names = []
    for record in records:
        words = [f"{key}={record.config.get(key)}" for key in varied[record.algorithm]]
        words += [f"{key}={record.passport[key]}" for key in by if key in record.passport]
        names.append(" ".join([label(record.algorithm), *words]))
    return names


def _varied(algorithm: str, records: Sequence[Record]) -> list[str]:
    """Hyperparameters of an algorithm that have several values in one environment."""
    own = [record for record in records if record.algorithm == algorithm]
    fields = dict.fromkeys(key for record in own for key in record.config)
    values: dict[tuple[str, str], set[str]] = {}
    for record in own:
        for key in fields:
            at = values.setdefault((key, record.environment), set())
            at.add(json.dumps(record.config.get(key)))
    return [key for key in fields if any(len(v) > 1 for (k, _), v in values.items() if k == key)]


def tuned(records: Sequence[Record], methods: Sequence[str]) -> dict[str, list[str]]:
    """Methods whose hyperparameters differ between environments, and which."""
    found: dict[str, list[str]] = {}
    for method in dict.fromkeys(methods):
        configs = [r.config for r, name in zip(records, methods, strict=True) if name == method]
        keys = dict.fromkeys(key for config in configs for key in config)
        several = [k for k in keys if len({json.dumps(c.get(k)) for c in configs}) > 1]
        if several:
            found[method] = several
    return found


def label(algorithm: str) -> str:
    """An algorithm as papers write it; its own name where it is not one of ours."""
    known = ALGORITHMS.get(algorithm)
    return known.label if known else algorithm
