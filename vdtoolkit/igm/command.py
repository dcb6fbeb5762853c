"""`vdtoolkit igm`: the main job, from the command line to a folder of pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import os
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vdtoolkit.agents import ALGORITHMS
from vdtoolkit.cli import refuse
from vdtoolkit.config import Config
from vdtoolkit.igm.game import GameMaker, named_game, payoff_game
from vdtoolkit.igm.lab import lab_config, run_lab
from vdtoolkit.igm.results import LabResult

PROGRAM = "vdtoolkit igm"
DEFAULT = "nonmonotonic"


@dataclass(frozen=True)
class Options:
    """Train methods on a finite game and show what each believes against what is true.

    Exploration is uniform throughout unless an epsilon flag says otherwise; limits are then
    weighted by how often each joint action was played.
    """

    game: str | None = None
    """A game of the literature, by name (nonmonotonic); an unknown name lists them all."""
    payoff: Path | None = None
    """A payoff of your own instead: JSON (nested lists), CSV (two agents) or NPY."""
    algorithms: tuple[str, ...] = tuple(ALGORITHMS)
    """Which methods, in this order."""
    seeds: int = 5
    """Teams trained of each method, seeds 0, 1, ..."""
    moves: int = 20_000
    """Moves each team plays."""
    out: Path | None = None
    """Folder for PNG, HTML and JSON; runs/igm-GAME-TIME by default."""
    json: bool = False
    """Print the result as JSON instead of tables."""
    jobs: int = field(default_factory=lambda: usable_cores())
    """Processes side by side; results do not depend on it."""


def usable_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def options_type() -> Any:
    """`Options` with one group of flags for each algorithm, from its config dataclass."""
    groups = [
        (
            name,
            Annotated[_flags(name), tyro.conf.arg(help=f"{cls.label}'s hyperparameters.")],
            field(default_factory=partial(_default_flags, name)),
        )
        for name, cls in ALGORITHMS.items()
    ]
    made = dataclasses.make_dataclass("IGM", groups, bases=(Options,), frozen=True)
    made.__doc__ = Options.__doc__
    return made


@cache
def _flags(name: str) -> Any:
    """An algorithm's config class without its checks: those speak for themselves, in `configs`."""
    config = ALGORITHMS[name].Config
    unchecked: Any = type(config.__name__, (config,), {"__post_init__": lambda self: None})
    return dataclasses.dataclass(frozen=True)(unchecked)


def _default_flags(name: str) -> Any:
    return _flags(name)(**dataclasses.asdict(lab_config(name)))


def unboxed(said: str) -> str:
    """The words of a framed message."""
    return " ".join("".join(" " if c in "╭╮╰╯│─" else c for c in said).split())


def configs(options: Any, algorithms: list[str], game: GameMaker) -> dict[str, Config]:
    """Each algorithm's config from its flags; ValueError where no team could be made of it."""
    made, env = {}, game()
    for name in algorithms:
        try:
            made[name] = ALGORITHMS[name].Config(**dataclasses.asdict(getattr(options, name)))
            ALGORITHMS[name](env, made[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return made


def main(arguments: list[str]) -> int:
    """The command; everything is checked before anything is trained."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = tyro.cli(options_type(), args=arguments, prog=PROGRAM)
    except SystemExit as stop:
        return refuse(PROGRAM, unboxed(said.getvalue())) if stop.code else 0
    try:
        game, algorithms = check(options)
        chosen = configs(options, algorithms, game)
        out = prepare(options.out or default_folder(game))
    except ValueError as error:
        return refuse(PROGRAM, str(error))
    torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings
    lab = train(options, game, chosen, shlex.join([*PROGRAM.split(), *arguments]))
    write(lab, out)
    console = Console(stderr=options.json)
    if not console.is_terminal:  # in a file or a pipe tables may have their full width
        console = Console(stderr=options.json, width=100)
    if options.json:
        import json

        print(json.dumps(lab.to_json(), allow_nan=False))
    else:
        console.print(lab)
    console.print(f"\nPictures, page and data are in {out}{os.sep}", highlight=False)
    for name, what in WRITTEN.items():
        console.print(f"  {name:<14} {what}", highlight=False)
    return 0


def check(options: Any) -> tuple[GameMaker, list[str]]:
    """The game and the algorithms asked for; ValueError says what is wrong."""
    algorithms = [name for given in options.algorithms for name in given.split(",") if name]
    for name in algorithms:
        if name not in ALGORITHMS:
            close = difflib.get_close_matches(name.lower().replace("-", "_"), ALGORITHMS, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(f"unknown method {name!r}: {hint}methods are {', '.join(ALGORITHMS)}")
    if not algorithms:
        raise ValueError(f"no methods given: choose among {', '.join(ALGORITHMS)}")
    for name in ("seeds", "moves", "jobs"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} {getattr(options, name)}: it must be at least 1")
    if options.payoff and options.game:
        raise ValueError(f"--payoff {options.payoff} and --game {options.game}: give one of them")
    game = payoff_game(options.payoff) if options.payoff else named_game(options.game or DEFAULT)
    return game, list(dict.fromkeys(algorithms))


def default_folder(game: GameMaker) -> Path:
    """runs/igm-GAME-TIME below the present folder."""
    return Path("runs") / f"igm-{game.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def prepare(out: Path) -> Path:
    """The folder, made and tried before hours of training are put into it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(
            f"cannot write to {out}: {error.strerror or error}; give another folder with --out"
        ) from None
    return out


def train(options: Any, game: GameMaker, chosen: dict[str, Config], command: str) -> LabResult:
    """All runs, with a progress bar on standard error."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
    )
    with bar:
        total = len(chosen) * options.seeds * options.moves
        what = f"{len(chosen)} methods x {options.seeds} seeds"
        task = bar.add_task(f"Training {what}", total=total)
        return run_lab(
            game,
            list(chosen),
            seeds=options.seeds,
            moves=options.moves,
            configs=chosen,
            jobs=options.jobs,
            command=command,
            progress=lambda moves: bar.advance(task, moves),
        )


WRITTEN = {
    "index.html": "everything on one page",
    "overview.png": "payoff beside what each method believes",
    "curves.png": "the measures over training",
    "strip.png": "the tables over training",
    "result.json": "all numbers",
}


def write(lab: LabResult, out: Path) -> None:
    """The files of `WRITTEN`; pictures of the state where play begins."""
    import json

    from vdtoolkit.igm.report.curves import plot_curves
    from vdtoolkit.igm.report.figures import plot_overview
    from vdtoolkit.igm.report.strip import plot_strip

    for name, draw in (
        ("overview.png", plot_overview),
        ("curves.png", plot_curves),
        ("strip.png", plot_strip),
    ):
        draw(lab).savefig(out / name, dpi=150)
    (out / "index.html").write_text(lab.to_html(), encoding="utf-8")
    (out / "result.json").write_text(json.dumps(lab.to_json(), allow_nan=False), encoding="utf-8")
