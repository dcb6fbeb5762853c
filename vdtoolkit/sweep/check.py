"""What can be wrong with the rows of a sweep, found before anything is trained.

Each row's words go through the same parser and the same checks as the command they are for, and
what they ask is held against the folder that is there already.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from vdtoolkit.agents import ALGORITHMS
from vdtoolkit.agents.named import is_own, named
from vdtoolkit.commands.entry import device_of
from vdtoolkit.commands.train import Asked, looked_at, options_type
from vdtoolkit.commands.train import Options as TrainOptions
from vdtoolkit.flags import parse
from vdtoolkit.igm import command as igm
from vdtoolkit.lookup import did_you_mean, from_here
from vdtoolkit.passport import differences
from vdtoolkit.rundir import RunFolder
from vdtoolkit.sweep.folder import begun, finished
from vdtoolkit.sweep.rows import Row

# results do not depend on these: a run may go on with others
FREE = ("workers", "checkpoint_seconds")
FREE_IN_THE_LAB = ("out", "json", "jobs", "algorithms")


def check(path: Path, rows: Iterable[Row], *, envs: bool = True) -> dict[int, int]:
    """Refuse what cannot be trained; the moves of each row by its index.

    ValueError names the file, the row, the flag and where it was given.  envs: make one of each
    environment and a team of each method, for the rows that are not finished.
    """
    from_here()
    look = _Look()
    moves: dict[int, int] = {}
    for _, group in groupby(sorted(rows, key=lambda r: (r.group, r.index)), key=lambda r: r.group):
        alike = list(group)
        with _at(path, alike[0]):
            named(alike[0].algorithm)
            _refuse_unknown(alike[0])
            checked = _train if alike[0].kind == "train" else _igm
            each = checked(alike, look if envs and _left(alike) else None)
        moves |= {row.index: each * len(row.seeds) for row in alike}
    return moves


def _left(rows: Iterable[Row]) -> bool:
    return not all(finished(row.folder) for row in rows)


class _Look:
    """What was looked at already: each environment is made once."""

    def __init__(self) -> None:
        self._teams: dict[str, Any] = {}

    def team(self, asked: Asked) -> Any:
        """Its team; ValueError where there is none."""
        key = repr((asked.maker, asked.reward, asked.state))
        if key not in self._teams:
            try:
                self._teams[key], _ = looked_at(asked.maker, asked.reward, asked.state)
            except ValueError:
                raise
            except Exception as error:  # the environment's own
                raise ValueError(f"{asked.maker.env}: {type(error).__name__}: {error}") from error
        return self._teams[key]


@contextmanager
def _at(path: Path, row: Row) -> Iterator[None]:
    """Errors say which file and row, and where the flags that they name were given."""
    try:
        yield
    except ValueError as error:
        said = " ".join(str(error).split())
        said = re.sub(r" For full helptext, (run|see) [\w ]+ --help$", "", said)
        given = [
            f"{flag} is given in {place}"
            for flag, place in row.places
            if place != "default" and _names(flag, said)
        ]
        also = f" ({'; '.join(given)})" if given else ""
        raise ValueError(f"{path}: row {row.name}: {said}{also}") from error


def _names(flag: str, said: str) -> bool:
    """Whether the text speaks of the flag, as --lr or as lr=."""
    last = re.escape(flag.rpartition(".")[2])
    either = f"(?:{last}|{last.replace('-', '_')})"
    return re.search(rf"--(?:[\w-]+\.)?{either}\b(?!-)|\b{either}=", said) is not None


def _refuse_unknown(row: Row) -> None:
    """A flag that the row's command has not; the parser would not know where it was given."""
    hyper = {name: _fields(cls.Config) for name, cls in ALGORITHMS.items()}
    method = named(row.algorithm).name
    if row.kind == "train":
        known = _fields(TrainOptions) + hyper[method]
        command = f"vdtoolkit train --algorithm {row.algorithm} --help"
    else:
        known = _fields(igm.Options) + [
            f"{name}.{field}" for name, fields in hyper.items() for field in fields
        ]
        which = f" --algorithms {row.algorithm}" if is_own(row.algorithm) else ""
        command = f"vdtoolkit igm{which} --help"
    flags = [name.replace("_", "-") for name in known]
    for flag, place in row.places:
        if flag not in flags:
            said = did_you_mean(flag, flags)
            others = [name for name, fields in hyper.items() if flag.replace("-", "_") in fields]
            if others and row.kind == "train":
                said = f"it is one of {', '.join(others)}: give it in their [[method]]; "
            raise ValueError(f"unknown flag {flag!r} in {place}: {said}{command} lists {method}'s")


def _fields(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def _train(rows: list[Row], look: _Look | None) -> int:
    """The rows of one environment and method; the moves of each."""
    first = rows[0]
    options = parse(options_type(first.algorithm), first.words, "vdtoolkit train")
    asked = Asked.of(options, first.command)
    if look is not None:
        team = look.team(asked)
        asked.method(team, asked.config, seed=0, device=device_of(asked.device))
    for row in rows:
        if begun(row.folder):
            (seed,) = row.seeds
            wanted = dataclasses.replace(asked, seeds=(seed,), baseline_seed=seed)
            folder = RunFolder(row.folder)
            told = folder.config()
            _refuse_other("train", told, row)
            then = Asked.from_json(told, row.folder)
            _compare(_plain(then), _plain(wanted), row)
    return asked.settings.moves


def _plain(asked: Asked) -> dict[str, Any]:
    """What a training is, without what its results do not depend on."""
    told = asked.one(asked.seeds[0])
    settings = {name: value for name, value in told["settings"].items() if name not in FREE}
    env = {name: told["env"][name] for name in ("env", "words", "wrappers")}
    rest = {name: told.get(name) for name in ("algorithm", "class", "config", "seed")}
    return {**rest, "env": env, "settings": settings}


def _igm(rows: list[Row], look: _Look | None) -> int:
    """The row of one game and method; the moves of one of its teams."""
    (row,) = rows
    options = igm.read(list(row.words))
    game, algorithms = igm.check(options)
    if look is not None:
        igm.configs(options, algorithms, game)
    if begun(row.folder):
        told = RunFolder(row.folder).config()
        _refuse_other("igm", told, row)
        then = igm.read(told["arguments"])
        _compare(_plain_igm(then), _plain_igm(options), row)
    return int(options.moves)


def _plain_igm(options: Any) -> dict[str, Any]:
    """What a lab run is, with the flags of the methods it trains alone."""
    _, algorithms = igm.check(options)
    names = {*_fields(igm.Options)} - {*FREE_IN_THE_LAB}
    told = {name: getattr(options, name) for name in sorted(names)}
    for text in algorithms:
        name = named(text).name
        told |= {name: dataclasses.asdict(getattr(options, name))}
        if is_own(text):
            told["class"] = text
    if options.payoff is not None:
        told["payoff"] = str(Path(options.payoff).resolve())
    return told


def _refuse_other(kind: str, told: dict[str, Any], row: Row) -> None:
    found = told.get("kind")
    if found != kind:
        raise ValueError(f"{row.folder} holds a run of vdtoolkit {found}, not of vdtoolkit {kind}")


def _compare(then: dict[str, Any], now: dict[str, Any], row: Row) -> None:
    """Refuse a folder in which something else was trained."""
    if other := differences(then, now):
        raise ValueError(
            f"{row.folder} holds a run of something else: {'; '.join(other)}; give another "
            "`out` or another name, or move that folder away"
        )
