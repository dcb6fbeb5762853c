"""The runs that a file asks for: each is the words of one command, and its folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vdtoolkit.sweep.file import Entry, Flag, Flags, SweepFile, method_name

# of every run that says nothing else: auto depends on the machine, which a run alone need not mind
DEFAULTS = {"train": {"n-envs": 8, "workers": 0}, "igm": {"jobs": 1}}
AGAIN = ("env-arg", "wrap")  # flags that are given once for each value


@dataclass(frozen=True)
class Row:
    """One run.

    words: of `vdtoolkit train` or `vdtoolkit igm`, --out and all.  places: where flags were given,
    for errors.  seeds: those it trains.  cpus, gpus: what it needs of a machine.
    """

    index: int
    name: str  # spread/qmix/seed-0
    kind: str  # train, igm
    words: tuple[str, ...]
    folder: Path
    method: str  # the name in the file
    algorithm: str
    seeds: tuple[int, ...]
    cpus: int
    gpus: int
    places: tuple[tuple[str, str], ...]

    @property
    def command(self) -> str:
        """As it is typed."""
        return shlex.join(["vdtoolkit", self.kind, *self.words])

    @property
    def group(self) -> str:
        """Rows of one group differ in the seed alone."""
        return self.name.rpartition("/seed-")[0] or self.name


def rows_of(asked: SweepFile) -> list[Row]:
    """All runs, in the order in which they begin.

    Games first, which are soon over; then seed by seed, so that a sweep that was stopped has all
    methods with the same seeds.
    """
    try:
        rows = [*_games(asked), *_trainings(asked)]
    except ValueError as error:
        raise ValueError(f"{asked.path}: {error}") from None
    return [replace(row, index=k) for k, row in enumerate(rows)]


def _trainings(asked: SweepFile) -> Iterator[Row]:
    for seed in asked.seeds:
        for env in asked.envs:
            for method in asked.methods:
                special = env.methods.get(method.name, {})
                flags = _merged("train", asked.train, env, method, method.flags, special)
                name = f"{env.name}/{method.name}/seed-{seed}"
                head = ["--env", env.value, "--algorithm", method.value]
                yield _row(
                    name, "train", head, flags, ["--seed", str(seed)], method, (seed,), asked
                )


def _games(asked: SweepFile) -> Iterator[Row]:
    for game in asked.games:
        for method in asked.methods:
            own = _in_the_lab(method.flags, method)
            special = game.methods.get(method.name, {})
            flags = _merged("igm", asked.igm, game, method, own, _in_the_lab(special, method))
            flags = _known_there(flags, method, asked)
            seeds = flags.pop("seeds", None)
            if seeds is None and asked.seeds != tuple(range(len(asked.seeds))):
                raise ValueError(
                    f"seeds = {list(asked.seeds)}: those of a [[game]] are 0, 1, 2, ...; say how "
                    "many by seeds = 5 in [igm]"
                )
            n = len(asked.seeds) if seeds is None else seeds.value
            if type(n) is not int or n < 1:
                raise ValueError(f"seeds = {n!r} in [igm] or a [[game]]: it must be a number")
            head = ["--algorithms", method.value, "--seeds", str(n)]
            if "payoff" not in flags:
                head = ["--game", game.value, *head]
            name = f"{game.name}/{method.name}"
            yield _row(name, "igm", head, flags, [], method, tuple(range(n)), asked)


def _in_the_lab(flags: Flags, method: Entry) -> Flags:
    """A method's hyperparameters by the lab's names; flags of training alone are none of them."""
    from vdtoolkit.commands.train import Options  # torch, which a row itself need not know

    alone = {field.name.replace("_", "-") for field in fields(Options)}
    group = _group(method)
    return {f"{group}.{name}": flag for name, flag in flags.items() if name not in alone}


def _group(method: Entry) -> str:
    """What a method's flags begin with in the lab."""
    return method_name(method.value).replace("_", "-")


def _known_there(flags: Flags, method: Entry, asked: SweepFile) -> Flags:
    """Without those of the user's other classes: the lab knows a class only where it is asked."""
    own = {_group(other) for other in asked.methods if ":" in other.value} - {_group(method)}
    return {name: flag for name, flag in flags.items() if name.partition(".")[0] not in own}


def _row(
    name: str,
    kind: str,
    head: list[str],
    flags: Flags,
    tail: list[str],
    method: Entry,
    seeds: tuple[int, ...],
    asked: SweepFile,
) -> Row:
    folder = asked.out / name
    words = [*head, *_words(flags), *tail, "--out", os.fspath(folder)]
    device = flags.get("device")
    return Row(
        index=-1,
        name=name,
        kind=kind,
        words=tuple(words),
        folder=folder,
        method=method.name,
        algorithm=method.value,
        seeds=seeds,
        cpus=_cpus(kind, flags),
        gpus=int(device is not None and str(device.value).startswith("cuda")),
        places=tuple((flag, told.place) for flag, told in flags.items()),
    )


def _cpus(kind: str, flags: Flags) -> int:
    """Cores that it keeps busy: worker processes and its own threads; what is no number is 0."""

    def number(name: str) -> int:
        value = flags[name].value if name in flags else 0
        return value if type(value) is int else 0

    if kind == "igm":
        return max(1, number("jobs"))
    return max(1, number("threads")) + number("workers")


def _merged(
    kind: str, common: Flags, place: Entry, method: Entry, own: Flags, special: Flags
) -> Flags:
    """What an environment or a method says goes before what is said to all.

    own: the method's flags.  special: those of the method in this place, which go before all; where
    place and method do not agree, nothing else can tell.
    """
    for flag in sorted({*place.flags} & {*own} - {*special}):
        here, there = place.flags[flag], own[flag]
        if here.value != there.value:
            last = flag.rpartition(".")[2]
            raise ValueError(
                f"{flag} is {here.value!r} in {here.place} and {there.value!r} in {there.place}: "
                f"take one out, or say which in {place.place}: "
                f"methods.{method.name} = {{ {last} = ... }}"
            )
    defaults = {name: Flag(value, "default") for name, value in DEFAULTS[kind].items()}
    merged = {**defaults, **common, **own, **place.flags, **special}
    if kind == "train" and merged["n-envs"].value == "auto":
        raise ValueError(
            f'n-envs = "auto" in {merged["n-envs"].place}: it depends on the machine, and runs '
            "that are compared need the same number: give it"
        )
    return merged


def _words(flags: Mapping[str, Flag]) -> Iterator[str]:
    """Flags as the command line takes them."""
    for name, told in flags.items():
        value = told.value
        if isinstance(value, dict):
            value = [f"{key}={given!r}" for key, given in value.items()]
        if isinstance(value, bool):
            group, dot, last = name.rpartition(".")
            yield f"--{name}" if value else f"--{group}{dot}no-{last}"
        elif name in AGAIN:
            for each in value if isinstance(value, list) else [value]:
                yield from (f"--{name}", _word(each))
        elif isinstance(value, list):
            yield from (f"--{name}", *map(_word, value))
        else:
            word = _word(value)
            yield from [f"--{name}={word}"] if word.startswith("-") else [f"--{name}", word]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
