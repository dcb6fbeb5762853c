"""`vdtoolkit certify`: all that can be proved of a method, ours or the user's own."""

from __future__ import annotations

import ast
import json
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from vdtoolkit.agents import ALGORITHMS, Agents
from vdtoolkit.agents.named import class_of
from vdtoolkit.certify import CHECKS, Certificate, certify
from vdtoolkit.certify.page import page
from vdtoolkit.certify.subject import Subject
from vdtoolkit.cli import refuse
from vdtoolkit.commands.entry import Words
from vdtoolkit.flags import at_least, parse

PROGRAM = "vdtoolkit certify"


@dataclass(frozen=True)
class Options:
    """Prove of a method what can be proved: formulas, IGM, monotonicity, gradients, masks, anchors.

    Each promise is a check that looks for a counter-example. Exit status: 0 where every promise is
    kept, 1 where one is broken, 2 for bad input.
    """

    method: Annotated[str, tyro.conf.Positional] = ""
    """A method by name, module:Class or file.py:Class; all of ours where none is named."""
    set: Words = ()
    """A hyperparameter, NAME=VALUE (mixer_activation=split); again for each."""
    seed: int = 0
    """Of all that is drawn."""
    draws: int = 100
    """Random weights and moments of each search."""
    learn: int = 0
    """Train so many seeds on games with known answers as well (seconds to a minute each)."""
    only: Words = ()
    """A check by name; again for each."""
    out: Path | None = None
    """Write the certificates to this file as JSON."""
    page: Path | None = None
    """Write them to this file as a page of Markdown, as docs/certificates.md is made."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the certificates as JSON."""
    list: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Only list the checks."""


def main(arguments: list[str]) -> int:
    """The command."""
    try:
        options = parse(Options, arguments, PROGRAM)
        if options is None:
            return 0
        if options.list:
            _console().print(table())
            return 0
        at_least(1, options, "draws")
        at_least(0, options, "seed", "learn")
        classes = chosen(options.method)
        settings = [settings_of(cls, options.set) for cls in classes]
        for name in options.only:
            known_check(name)
        for path in (options.out, options.page):
            if path is not None and not path.parent.is_dir():
                raise ValueError(f"there is no folder {path.parent} to write {path.name} in")
        for cls, own in zip(classes, settings, strict=True):
            Subject(cls, own)  # says what is wrong with settings, or with the class
    except (TypeError, ValueError) as error:
        return refuse(PROGRAM, str(error))
    torch.set_num_threads(1)  # the networks are tiny
    found = []
    for cls, own in zip(classes, settings, strict=True):
        found.append(
            certify(
                cls,
                own,
                seed=options.seed,
                draws=options.draws,
                learn=options.learn,
                only=options.only,
            )
        )
        if not options.json:
            _console().print(found[-1])
    tell(found, options, shlex.join([*PROGRAM.split(), *arguments]))
    return 0 if all(one.ok for one in found) else 1


def tell(found: list[Certificate], options: Any, command: str) -> None:
    """JSON and page, where asked for."""
    data = [one.to_json() for one in found]
    if options.json:
        print(json.dumps(data, allow_nan=False))
    if options.out is not None:
        options.out.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", "utf-8")
    if options.page is not None:
        options.page.write_text(page(found, command), "utf-8")


def chosen(method: str) -> list[type[Agents]]:
    """The classes asked for; ValueError says what is wrong with a name."""
    return [class_of(method)] if method else list(ALGORITHMS.values())


def settings_of(cls: type[Agents], words: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE as the config's fields."""
    known = {field.name for field in fields(cls.Config)}
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            raise ValueError(
                f"--set {word}: it must be NAME=VALUE with one of {cls.__name__}'s "
                f"hyperparameters: {', '.join(sorted(known))}"
            )
        try:
            settings[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[name] = value
    return settings


def known_check(name: str) -> None:
    """ValueError where there is no such check."""
    if name not in CHECKS:
        raise ValueError(f"--only {name}: checks are {', '.join(CHECKS)}")


def table() -> Table:
    """Every check and its promise."""
    made = Table("check", "holds where no counter-example is found")
    for one in CHECKS.values():
        made.add_row(one.name, one.promise)
    return made


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=100, highlight=False)
