"""`vdtoolkit sweep`: methods x environments x seeds from one file, gone on with anywhere."""

from __future__ import annotations

import os
import shlex
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from vdtoolkit.cli import refuse
from vdtoolkit.files import SavingError, read_json, write_json
from vdtoolkit.flags import at_least, parse, prepare
from vdtoolkit.sweep.file import SweepFile, read_file
from vdtoolkit.sweep.folder import far
from vdtoolkit.sweep.local import Local
from vdtoolkit.sweep.loop import Executor, Loop, State, UnseenError
from vdtoolkit.sweep.progress import at_the_end, watcher
from vdtoolkit.sweep.rows import Row, rows_of
from vdtoolkit.workers import usable_cores

PROGRAM = "vdtoolkit sweep"
FORMAT = 1
SOME_FAILED, INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Options:
    """Train methods x environments x seeds, a folder each, as a file in TOML or JSON asks.

    What is finished is never trained again: the same command goes on with a sweep that was ended
    anywhere.  docs/sweeps.md has the file.  Exit status: 0 all finished, 1 some failed, 2 bad
    input, 130 interrupted.
    """

    file: tyro.conf.Positional[Path]
    """The sweep: sections [train], [[env]], [[method]], [[game]], [igm]."""
    jobs: int | None = None
    """Runs side by side; as many as there are cores by default."""
    index: int | None = None
    """Only this run, as --list numbers them: for an array of Slurm's.  Its own exit status."""
    list: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print all runs with index, state and command, and train nothing."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Train on a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local for this machine alone."""
    retries: int = 2
    """How often a run that failed is begun again, from its checkpoint."""


def main(arguments: list[str]) -> int:
    """The command; everything is checked before anything is trained."""
    try:
        options = parse(Options, arguments, PROGRAM)
        if options is None:
            return 0
        _check(options)
        asked = read_file(options.file)
        rows = rows_of(asked)
        if options.index is not None:
            rows = [_chosen(rows, options)]
        return _run(options, asked, rows, shlex.join([*PROGRAM.split(), *arguments]))
    except (ValueError, UnseenError) as error:
        return refuse(PROGRAM, str(error))


def _check(options: Any) -> None:
    """Refuse what cannot be."""
    at_least(0, options, "retries")
    if options.jobs is not None:
        at_least(1, options, "jobs")
    if options.ray is not None:
        for name in ("jobs", "index"):
            if (value := getattr(options, name)) is not None:
                raise ValueError(f"--{name} {value} and --ray {options.ray}: give one of them")


def _chosen(rows: Sequence[Row], options: Any) -> Row:
    if not 0 <= options.index < len(rows):
        raise ValueError(
            f"--index {options.index}: {options.file} asks for {_counted(len(rows), 'run')}, "
            f"0 to {len(rows) - 1}"
        )
    return rows[options.index]


def _run(options: Any, asked: SweepFile, rows: list[Row], command: str) -> int:
    from vdtoolkit.sweep.check import check  # torch

    moves = check(asked.path, rows, envs=not options.list)
    if options.list:
        _show(rows)
        return 0
    out = prepare(asked.out)
    try:
        told = _write(out, asked)
    except SavingError as error:
        return refuse(PROGRAM, str(error))
    executor = _executor(options, rows, out, told["id"])
    try:
        title = f"{asked.path}: {described(asked, rows)}, {executor.where}, in {out}"
        with watcher(title, moves) as watching:
            state = Loop(rows, executor, watching, retries=options.retries).run()
    except KeyboardInterrupt:
        print(f"interrupted; to go on: {command}", file=sys.stderr)
        return INTERRUPTED
    finally:
        executor.close()
    print("\n".join(at_the_end(state, out, command)))
    return _status(state, options.index is not None)


def _status(state: State, one: bool) -> int:
    """The exit status; of one row alone its own."""
    if not state.left and not state.failed:
        return 0
    if state.stopped:
        return INTERRUPTED
    (ended, *_) = state.failed.values()
    return ended.status if one and ended.status > 0 else SOME_FAILED


def _executor(options: Any, rows: Sequence[Row], out: Path, token: str) -> Executor:
    if options.ray is not None:
        from vdtoolkit.sweep.on_ray import OnRay

        return OnRay(options.ray, out, token)
    widest = max(row.cpus for row in rows)
    return Local(options.jobs or max(1, usable_cores() // widest))


def described(asked: SweepFile, rows: Sequence[Row]) -> str:
    """What a sweep is, in half a line."""
    if len(rows) == 1:
        return f"run {rows[0].index}, {rows[0].name}"
    places = [_counted(len(asked.envs), "environment"), _counted(len(asked.games), "game")]
    where = " and ".join(filter(None, places))
    several = (where, _counted(len(asked.methods), "method"), _counted(len(asked.seeds), "seed"))
    return f"{' x '.join(several)}: {_counted(len(rows), 'run')}"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}" if n else ""


def _write(out: Path, asked: SweepFile) -> dict[str, Any]:
    """sweep.json: what was asked.  Its id stays, by which other machines know the folder."""
    path = out / "sweep.json"
    old = read_json(path) if path.exists() else {}
    told = {
        "format": FORMAT,
        "kind": "sweep",
        "id": str(old.get("id") or uuid.uuid4().hex),
        "file": os.fspath(asked.path),
        "rows": [
            {
                "index": row.index,
                "name": row.name,
                "folder": str(row.folder),
                "command": row.command,
            }
            for row in rows_of(asked)
        ],
    }
    if told != old:
        write_json(path, told)
    return told


def _show(rows: Sequence[Row]) -> None:
    """All runs, where they stand, and how each is typed."""
    console = Console(highlight=False, markup=False)
    table = Table()
    table.add_column("", justify="right")
    for name in ("run", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("command", overflow="fold")
    for row in rows:
        table.add_row(str(row.index), row.name, _state(row), row.command)
    if not console.is_terminal:
        for row in rows:
            print(row.index, row.name, _state(row), row.command, sep="\t")
        return
    console.print(table)


def _state(row: Row) -> str:
    now = far(row.folder)
    of = f", {now.moves:,} of {now.of:,} moves" if now.status not in ("", "finished") else ""
    return f"{now.status or 'to come'}{of}"
