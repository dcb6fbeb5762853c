"""The file of a sweep: TOML or JSON, its sections read as flags that know where they stand."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vdtoolkit.lookup import did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SEEDS = 5
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+=,.-]*")
SECTIONS = ("out", "seeds", "train", "igm", "env", "method", "game")
# flags that the sweep gives itself, and where they belong
OURS = {
    "out": "`out` at the top of the file names the folder of all",
    "seed": "`seeds` at the top of the file says which",
    "seeds": "`seeds` at the top of the file says how many, or which",
    "algorithm": "a method is a [[method]]",
    "algorithms": "a method is a [[method]]",
    "env": "an environment is an [[env]]",
    "game": "a game is a [[game]]",
    "payoff": "a payoff is that of a [[game]]",
    "json": "the results are in the run's folder",
}


@dataclass(frozen=True)
class Flag:
    """A flag's value, and where it was given."""

    value: Any
    place: str


Flags = dict[str, Flag]


@dataclass(frozen=True)
class Entry:
    """An [[env]], a [[method]] or a [[game]].

    value: the environment, the algorithm or the game.  methods: of an env or a game, flags for one
    method there.
    """

    kind: str
    name: str
    value: str
    flags: Flags
    methods: dict[str, Flags] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where it stands, for errors."""
        return f'[[{self.kind}]] "{self.name}"'


@dataclass(frozen=True)
class SweepFile:
    """What a file asks for."""

    path: Path
    out: Path
    seeds: tuple[int, ...]
    train: Flags
    igm: Flags
    envs: tuple[Entry, ...]
    methods: tuple[Entry, ...]
    games: tuple[Entry, ...]


def read_file(path: Path) -> SweepFile:
    """The file; ValueError says what is wrong with it, and where."""
    told = _parsed(path)
    try:
        return _understood(path, told)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parsed(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8") from None
    if path.suffix.lower() not in (".toml", ".json"):
        raise ValueError(f"{path}: a sweep's file ends in .toml or .json")
    try:
        told = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        kind = path.suffix[1:].upper()
        raise ValueError(f"{path} is not {kind}: {error or 'nested too deeply'}") from None
    if not isinstance(told, dict):
        raise ValueError(f"{path} holds a {type(told).__name__}, expected an object of sections")
    return told


def _understood(path: Path, told: dict[str, Any]) -> SweepFile:
    for name in told:
        if name not in SECTIONS:
            said = did_you_mean(str(name), SECTIONS)
            hint = said or "a flag of all runs stands in [train]; "
            raise ValueError(f"unknown section {name!r}: {hint}there are {', '.join(SECTIONS)}")
    out = told.get("out", f"runs/sweep-{path.stem}")
    if not isinstance(out, str) or not out:
        raise ValueError(f"out = {out!r}: it must be a folder's name")
    methods = tuple(_entries(told, "method", "algorithm"))
    made = SweepFile(
        path=path,
        out=Path(out),
        seeds=_seeds(told.get("seeds", SEEDS)),
        train=_flags(told.get("train", {}), "[train]", OURS),
        igm=_flags(told.get("igm", {}), "[igm]", {k: v for k, v in OURS.items() if k != "seeds"}),
        envs=tuple(_entries(told, "env", "env", methods)),
        methods=methods,
        games=tuple(_entries(told, "game", "game", methods)),
    )
    if not methods:
        raise ValueError('no [[method]]: give at least one, for example algorithm = "qmix"')
    if not made.envs and not made.games:
        raise ValueError('neither [[env]] nor [[game]]: give one, for example env = "my_env.py"')
    for several in (methods, (*made.envs, *made.games)):
        _refuse_twice(several)
    return made


def _seeds(told: Any) -> tuple[int, ...]:
    """5 is 0, 1, 2, 3, 4; a list is what it says."""
    if isinstance(told, int) and not isinstance(told, bool) and told >= 1:
        return tuple(range(told))
    whole = isinstance(told, list) and all(type(seed) is int and seed >= 0 for seed in told)
    if not whole or not told or len(set(told)) < len(told):
        raise ValueError(f"seeds = {told!r}: it must be a number from 1 on, or a list of seeds")
    return tuple(told)


def _entries(
    told: Mapping[str, Any], kind: str, key: str, methods: Iterable[Entry] = ()
) -> Iterator[Entry]:
    """The tables of a kind; a plain name stands for a table with no more than it."""
    several = told.get(kind, [])
    if isinstance(several, str | dict):
        several = [several]
    if not isinstance(several, list):
        raise ValueError(f"{kind} = {several!r}: it must be [[{kind}]] tables or a list of names")
    for k, one in enumerate(several):
        place = f"[[{kind}]] number {k + 1}"
        table = {key: one} if isinstance(one, str) else one
        if not isinstance(table, dict):
            raise ValueError(f"{place} is {one!r}: it must be a table or a name")
        yield _entry(dict(table), kind, key, place, methods)


def _entry(
    table: dict[str, Any], kind: str, key: str, place: str, methods: Iterable[Entry]
) -> Entry:
    payoff = kind == "game" and key not in table
    value = table.pop("payoff" if payoff else key, None)
    if not isinstance(value, str) or not value:
        also = " (or payoff)" if kind == "game" else ""
        said = "it has no" if value is None else f"{value!r} is no"
        raise ValueError(f"{place}: {said} {key}{also}: give {key} = NAME")
    name = table.pop("name", None)
    if name is None:
        try:
            name = _short(value, kind, payoff)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"{place}: name = {name!r} is to be a folder's: letters, digits and _ + = , . - only, "
            "a letter or digit first"
        )
    here = f'[[{kind}]] "{name}"'
    own = table.pop("methods", {}) if kind != "method" else {}
    if not isinstance(own, dict):
        raise ValueError(f"{here}: methods = {own!r}: it must be a table, a method's name = flags")
    known = [method.name for method in methods]
    for method in own:
        if method not in known:
            said = did_you_mean(method, known)
            raise ValueError(f"{here}: methods.{method}: {said}the methods are {', '.join(known)}")
    ours = OURS if kind != "game" else {k: v for k, v in OURS.items() if k != "seeds"}
    flags = _flags(table, here, ours)
    if payoff:
        flags["payoff"] = Flag(value, here)
    return Entry(
        kind,
        name,
        value,
        flags,
        {k: _flags(v, f"{here} methods.{k}", ours) for k, v in own.items()},
    )


def _short(value: str, kind: str, payoff: bool) -> str:
    """The name of what has none, fit for a folder."""
    if payoff:
        return Path(value).stem
    if kind == "game":
        return value.strip().lower().replace(" ", "_")
    if kind == "method":
        return method_name(value)
    from vdtoolkit.making import EnvMaker  # PettingZoo takes a moment

    return EnvMaker(value).name


def method_name(value: str) -> str:
    """The name of a method, as the lab's flags have it; the class of one's own is looked at."""
    if ":" not in value:
        return value
    from vdtoolkit.agents.named import named  # torch

    return named(value).name


def _flags(told: Any, place: str, ours: Mapping[str, str]) -> Flags:
    """A table of flags, names as on the command line; refused are those that the sweep gives."""
    if not isinstance(told, dict):
        raise ValueError(f"{place} is {told!r}: it must be a table of flags")
    made: Flags = {}
    for name, value in told.items():
        if isinstance(value, dict) and name.replace("_", "-") != "env-arg":
            made |= _of_one_method(name, value, place)
            continue
        flag = name.replace("_", "-")
        if flag in ours:
            raise ValueError(f"{place}: {name} is not given here: {ours[flag]}")
        if flag in made:
            raise ValueError(f"{place}: {flag} is given twice, with - and with _")
        made[flag] = Flag(value, place)
    return made


def _of_one_method(name: str, told: dict[str, Any], place: str) -> Flags:
    """`qmix.embed-dim = 8`, as vdtoolkit igm has it."""
    made = {}
    for key, value in told.items():
        if isinstance(value, dict):
            raise ValueError(f"{place}: {name}.{key} is a table: a flag has one value")
        made[f"{name}.{key}".replace("_", "-")] = Flag(value, place)
    return made


def _refuse_twice(entries: Iterable[Entry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise ValueError(
                f'{entry.place}: there are two of the name {entry.name!r}: give one name = "..."'
            )
        seen.add(entry.name)
