"""`vdtoolkit check-env`: what is wrong with an environment, by name."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from vdtoolkit.checks import CHECKS, check_env
from vdtoolkit.cli import refuse
from vdtoolkit.commands.entry import Words
from vdtoolkit.flags import at_least, parse
from vdtoolkit.lookup import from_here
from vdtoolkit.making import EnvMaker

PROGRAM = "vdtoolkit check-env"


@dataclass(frozen=True)
class Options:
    """Tell what is wrong with a PettingZoo environment: PettingZoo's own tests and what they miss.

    Exit status: 0 without faults (warnings and notes are allowed), 1 with faults, 2 for bad input.
    """

    env: Annotated[str, tyro.conf.Positional] = ""
    """mpe2.simple_spread_v3, pettingzoo:sisl/pursuit-v5, gymnasium:PACKAGE:ID, my_env.py or
    my_env.py:make."""
    env_arg: Words = ()
    """An argument of the environment, NAME=VALUE; again for each."""
    wrap: Words = ()
    """A wrapper as a call without the env: "supersuit.resize_v1(x_size=42, y_size=42)"; again for
    each, the first innermost."""
    episodes: int = 4
    """Episodes to record: actions at random, always the first offered, always the last, again."""
    seed: int = 0
    """Of the first of them."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the report as JSON."""
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
        maker = _maker(options)
    except (TypeError, ValueError) as error:
        return refuse(PROGRAM, str(error))
    report = check_env(maker, episodes=options.episodes, seed=options.seed)
    if options.json:
        print(json.dumps(report.to_json(), allow_nan=False))
    else:
        _console().print(report)
    return 0 if report.ok else 1


def _maker(options: Any) -> EnvMaker:
    """What makes the env; ValueError where a name or an argument is wrong, or it cannot."""
    if not options.env:
        raise ValueError("name an environment, for example mpe2.simple_spread_v3; --list lists")
    at_least(1, options, "episodes")
    at_least(0, options, "seed")
    from_here()
    maker = EnvMaker.parse(options.env, options.env_arg, options.wrap)
    env = maker()
    with suppress(Exception):  # the check `closes` tells of it
        env.close()
    return maker


def table() -> Table:
    """Every check: its name, the severity of its findings, and what holds where it finds none."""
    made = Table("check", "severity", "holds where nothing is found")
    for check in CHECKS.values():
        made.add_row(check.name, check.severity, check.promise)
    return made


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=100, highlight=False)
