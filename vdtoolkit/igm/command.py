"""`vdtoolkit igm`: the main job, from the command line to a folder of pictures."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vdtoolkit.agents import ALGORITHMS
from vdtoolkit.agents.joint_q import TooManyJointActionsError
from vdtoolkit.cli import refuse
from vdtoolkit.config import Config
from vdtoolkit.flags import at_least, known_algorithm, parse, prepare, unchecked
from vdtoolkit.igm.game import GameMaker, named_game, payoff_game
from vdtoolkit.igm.lab import BATCH, lab_config, run_lab
from vdtoolkit.igm.results import LabResult
from vdtoolkit.workers import usable_cores

PROGRAM = "vdtoolkit igm"
DEFAULT = "nonmonotonic"


@dataclass(frozen=True)
class Options:
    """Train methods on a finite game and show what each believes against what is true.

    Exploration is uniform throughout unless an epsilon flag says otherwise; limits are then
    weighted by how often each joint action was played.  COMA learns from its own play.
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
    jobs: int = field(default_factory=usable_cores)
    """Processes side by side; results do not depend on it."""
    batch: int = BATCH
    """Seeds of a method trained as one batch, where there are 4 or more: many times as fast,
    the same up to rounding.  1: every seed by itself."""


def options_type() -> Any:
    """`Options` with one group of flags for each algorithm, from its config dataclass."""
    groups = [
        (
            name,
            Annotated[unchecked(cls.Config), tyro.conf.arg(help=f"{cls.label}'s hyperparameters.")],
            field(default_factory=partial(_default_flags, name)),
        )
        for name, cls in ALGORITHMS.items()
    ]
    made = dataclasses.make_dataclass("IGM", groups, bases=(Options,), frozen=True)
    made.__doc__ = Options.__doc__
    return made


def _default_flags(name: str) -> Any:
    return unchecked(ALGORITHMS[name].Config)(**dataclasses.asdict(lab_config(name)))


def configs(options: Any, algorithms: list[str], game: GameMaker) -> dict[str, Config]:
    """Each algorithm's config from its flags; ValueError where no team could be made of it.

    Where all methods are asked for, one that cannot enumerate the game is left out with a note.
    """
    made, env = {}, game()
    for name in algorithms:
        try:
            config = ALGORITHMS[name].Config(**dataclasses.asdict(getattr(options, name)))
            ALGORITHMS[name](env, config)
            made[name] = config
        except ValueError as error:
            if isinstance(error, TooManyJointActionsError) and len(algorithms) == len(ALGORITHMS):
                print(f"{PROGRAM}: {name} is left out: {error}", file=sys.stderr)
                continue
            raise ValueError(f"{name}: {error}") from None
    return made


def main(arguments: list[str]) -> int:
    """The command; everything is checked before anything is trained."""
    try:
        options = parse(options_type(), arguments, PROGRAM)
        if options is None:
            return 0
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
        known_algorithm(name, ALGORITHMS)
    if not algorithms:
        raise ValueError(f"no methods given: choose among {', '.join(ALGORITHMS)}")
    at_least(1, options, "seeds", "moves", "jobs", "batch")
    if options.payoff and options.game:
        raise ValueError(f"--payoff {options.payoff} and --game {options.game}: give one of them")
    game = payoff_game(options.payoff) if options.payoff else named_game(options.game or DEFAULT)
    return game, list(dict.fromkeys(algorithms))


def default_folder(game: GameMaker) -> Path:
    """runs/igm-GAME-TIME below the present folder."""
    return Path("runs") / f"igm-{game.name}-{time.strftime('%Y%m%d-%H%M%S')}"


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
            batch=options.batch,
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
