"""`vdtoolkit compare`: folders of runs in, one page of honest statistics out."""

from __future__ import annotations

import json
import math
import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from vdtoolkit import compare as comparing
from vdtoolkit.cli import refuse
from vdtoolkit.commands.entry import Words
from vdtoolkit.compare.export import to_json, write
from vdtoolkit.compare.terminal import differing, show
from vdtoolkit.flags import at_least, parse, prepare

PROGRAM = "vdtoolkit compare"


@dataclass(frozen=True)
class Options:
    """Compare trained teams: interquartile mean with stratified bootstrap intervals, probability
    of improvement, performance profiles, sample efficiency, and how many more seeds would tell
    two methods apart.

    Runs whose passports differ in what matters are refused (exit status 2).
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Folders of vdtoolkit train, or folders of such folders."""
    out: Path | None = None
    """Folder for page, pictures and data; runs/compare-TIME by default."""
    metric: Literal["auto", "return", "win_rate"] = "auto"
    """What is compared; auto: win rates where an environment reports them, else returns."""
    best: Words = ()
    """The return that is a score of 1, ENVIRONMENT=VALUE; again for each.  Else the best run's."""
    random: Words = ()
    """The return that is a score of 0, ENVIRONMENT=VALUE.  Else the random team's."""
    by: Words = ()
    """A field of the passport that is compared on purpose (n_envs), told in the methods' names."""
    anyway: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Compare runs that differ in what matters, under a loud banner."""
    skip_unfinished: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Leave out runs that did not finish; else all are read at the moves the shortest reached."""
    resamples: int = 10_000
    """Bootstrap samples."""
    seed: int = 0
    """Of the bootstrap."""
    suite: str = "vdtoolkit"
    """The environment's name in marl-eval.json, whose tasks the environments are."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as JSON instead of tables."""


WRITTEN = {
    "index.html": "everything on one page",
    "aggregates.png, efficiency.png, improvement.png, profiles.png": "its figures",
    "runs.csv, aggregates.csv, pairs.csv, curves.csv": "its numbers",
    "result.json": "all numbers, differences and settings",
    "marl-eval.json": "the runs as marl-eval reads them",
}


def main(arguments: list[str]) -> int:
    """The command; nothing is written where runs cannot be compared."""
    command = shlex.join([*PROGRAM.split(), *arguments])
    try:
        options = parse(Options, arguments, PROGRAM)
        if options is None:
            return 0
        told = compared(options)
        out = prepare(options.out or Path("runs") / f"compare-{time.strftime('%Y%m%d-%H%M%S')}")
    except comparing.NotComparableError as error:
        _console(stderr=True).print(differing(error.differences))
        return refuse(PROGRAM, str(error))
    except ValueError as error:
        return refuse(PROGRAM, str(error))
    write(told, out, command, options.suite)
    console = _console(stderr=options.json)
    if options.json:
        print(json.dumps(to_json(told, command), allow_nan=False))
    else:
        show(told, console)
    console.print(f"\nPage, pictures and data are in {out}{os.sep}", soft_wrap=True)
    for name, what in WRITTEN.items():
        console.print(f"  {name}: {what}", soft_wrap=True)
    return 0


def compared(options: Options) -> comparing.Comparison:
    """The comparison that was asked for; ValueError says why there is none."""
    at_least(100, options, "resamples")
    at_least(0, options, "seed")
    if not options.runs:
        raise ValueError("no runs given: name the folders that vdtoolkit train wrote")
    asked = comparing.Options(
        metric=options.metric,
        best=given("best", options.best),
        random=given("random", options.random),
        by=options.by,
        anyway=options.anyway,
        resamples=options.resamples,
        seed=options.seed,
    )
    records = comparing.read_runs(options.runs, only_finished=options.skip_unfinished)
    if not records:
        raise ValueError("--skip-unfinished: none of the runs has finished")
    return comparing.compare(records, asked)


def given(flag: str, words: tuple[str, ...]) -> dict[str, float]:
    """ENVIRONMENT=VALUE as numbers by environment."""
    found = {}
    for word in words:
        name, equals, value = word.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not equals or not math.isfinite(number):
            raise ValueError(f"--{flag} {word}: it must be ENVIRONMENT=VALUE, a number")
        found[name] = number
    return found


def _console(stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False)
    if console.is_terminal:
        return console
    return Console(stderr=stderr, highlight=False, markup=False, width=120)
