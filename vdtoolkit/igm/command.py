"""`vdtoolkit igm`: the main job, from the command line to a folder of pictures."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vdtoolkit.agents import ALGORITHMS, Agents
from vdtoolkit.agents.joint_q import TooManyJointActionsError
from vdtoolkit.agents.named import is_own, named
from vdtoolkit.cli import refuse
from vdtoolkit.config import Config
from vdtoolkit.files import FolderError, SavingError, saving, write_json, write_whole
from vdtoolkit.flags import at_least, parse, prepare, unchecked
from vdtoolkit.igm.game import GameMaker, named_game, payoff_game
from vdtoolkit.igm.kept import Kept
from vdtoolkit.igm.lab import (
    BATCH,
    N_ENVS,
    SNAPSHOTS,
    UPDATES_PER_EPISODE,
    lab_config,
    run_lab,
)
from vdtoolkit.igm.results import LabResult
from vdtoolkit.igm.verdict import CLASSES
from vdtoolkit.interrupts import Interrupts
from vdtoolkit.making import EnvMaker
from vdtoolkit.passport import passport
from vdtoolkit.rundir import FORMAT, RunFolder, events
from vdtoolkit.team import Team
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
    """Which methods, in this order; a class of your own as module:Class or file.py:Class, its flags
    then under its name."""
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


def read(arguments: list[str]) -> Any:
    """The options from the command line; None where help was asked for and printed."""
    for text in _asked_for(arguments):
        if is_own(text):  # its flags have to be known before all are read
            named(text)
    return parse(options_type(), arguments, PROGRAM)


def _asked_for(arguments: list[str]) -> list[str]:
    """The words that follow --algorithms."""
    found, flag = [], ""
    for word in arguments:
        if word.startswith("-"):
            flag, _, word = word.partition("=")
        if flag == "--algorithms":
            found += word.split(",")
    return found


def options_type() -> Any:
    """`Options` with one group of flags for each algorithm, from its config dataclass."""
    if taken := {*ALGORITHMS} & {one.name for one in dataclasses.fields(Options)}:
        raise ValueError(
            f"a method is named {min(taken)!r}, as a flag of {PROGRAM} is: give it another name"
        )
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
    for text in algorithms:
        cls = named(text)
        try:
            config = cls.Config(**dataclasses.asdict(getattr(options, cls.name)))
            known = (*CLASSES, "unknown")
            if (said := cls(env, config).function_class) not in known:
                raise ValueError(f"function_class={said!r}: use one of {', '.join(known)}")
            made[text] = config
        except ValueError as error:
            all_of_ours = {*Options.algorithms} <= {*algorithms}
            if isinstance(error, TooManyJointActionsError) and all_of_ours:
                print(f"{PROGRAM}: {text} is left out: {error}", file=sys.stderr)
                continue
            raise ValueError(f"{cls.name}: {error}") from None
    return made


def plain(chosen: dict[str, Config]) -> dict[str, dict[str, Any]]:
    """The configs as plain data, by the methods' own names."""
    return {named(text).name: dataclasses.asdict(config) for text, config in chosen.items()}


def main(arguments: list[str], *, again: Path | None = None) -> int:
    """The command; everything is checked before anything is trained.

    again: the folder of a run that was ended, and goes on with what is not finished.
    """
    try:
        options = read(arguments)
        if options is None:
            return 0
        game, algorithms = check(options)
        chosen = configs(options, algorithms, game)
        folder = RunFolder(again or prepare(options.out or default_folder(game)))
        if again is None and (folder.path / "config.json").exists():
            raise ValueError(
                f"{folder.path} holds a run already: go on with it by vdtoolkit resume "
                f"{folder.path}, or give another folder with --out"
            )
    except ValueError as error:
        return refuse(PROGRAM, str(error))
    torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings
    try:
        with folder.locked(), Interrupts():  # SIGTERM is a Ctrl-C
            lab = run(options, arguments, game, chosen, folder, begun=again is not None)
    except FolderError as error:
        return refuse(PROGRAM, str(error))
    out = folder.path
    console = Console(stderr=options.json)
    if not console.is_terminal:  # in a file or a pipe tables may have their full width
        console = Console(stderr=options.json, width=100)
    if options.json:
        print(json.dumps(lab.to_json(), allow_nan=False))
    else:
        console.print(lab)
    console.print(f"\nPictures, page and data are in {out}{os.sep}", highlight=False)
    for name, what in WRITTEN.items():
        console.print(f"  {name:<14} {what}", highlight=False)
    return 0


def run(
    options: Any,
    arguments: list[str],
    game: GameMaker,
    chosen: dict[str, Config],
    folder: RunFolder,
    *,
    begun: bool,
) -> LabResult:
    """Train, and leave the folder as it is to be; whatever ends it, the folder says so."""
    moves = len(chosen) * options.seeds * options.moves
    if not begun:
        folder.begin(asked(options, arguments, chosen))
        write_json(folder.path / "passport.json", papers(options, game, chosen))
    folder.say("running", 0, moves)
    done = [0]

    def count(n: int) -> None:
        done[0] += n

    try:
        command = shlex.join([*PROGRAM.split(), *arguments])
        lab = train(options, game, chosen, command, Kept(folder.checkpoint), count)
        write(lab, folder.path)
        write_lines(lab, folder.path)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        with suppress(SavingError):
            said = ("interrupted", done[0], moves, None if stopped else str(error))
            folder.say(said[0] if stopped else "failed", *said[1:])
        if stopped:
            print(f"To go on: vdtoolkit resume {folder.path}", file=sys.stderr)
        raise
    folder.say("finished", moves, moves)
    folder.drop_checkpoints()
    return lab


def asked(options: Any, arguments: list[str], chosen: dict[str, Config]) -> dict[str, Any]:
    """What config.json holds: the command's own words, and what they came to."""
    words = list(arguments)
    if options.payoff is not None:  # found from any folder
        words += ["--payoff", os.fspath(options.payoff.resolve())]
    return {
        "format": FORMAT,
        "kind": "igm",
        "command": shlex.join([*PROGRAM.split(), *arguments]),
        "arguments": words,
        "algorithms": list(plain(chosen)),
        "config": plain(chosen),
        "settings": {"moves": options.moves, "seeds": options.seeds, "batch": options.batch},
        "seeds": list(range(options.seeds)),
    }


def papers(options: Any, game: GameMaker, chosen: dict[str, Config]) -> dict[str, Any]:
    """The passport of a lab run."""
    given = {f"argument {k}": _listed(value) for k, value in enumerate(game.args)}
    maker = EnvMaker(f"vdtoolkit.envs.{game.module}", {**given, **game.kwargs})
    numbers = {
        "n_envs": N_ENVS,
        "workers": options.jobs,
        "updates_per_episode": UPDATES_PER_EPISODE,
        "eval_every": max(1, options.moves // SNAPSHOTS),
        "eval_episodes": None,
        "final_episodes": None,
        "threads": 1,
    }
    made = passport(
        maker,
        Team.from_env(game()),
        algorithm=",".join(plain(chosen)),
        seed=0,
        device="cpu",
        settings=numbers,
    )
    return {**made, "evaluation": {**made["evaluation"], "mode": "audit"}, "seeds": options.seeds}


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def write_lines(lab: LabResult, out: Path) -> None:
    """metrics.jsonl, every audit of every team; timing.jsonl, what each team took."""
    metrics, timing = [], []
    for method in lab.methods:
        for seed in method.seeds:
            who = {"algorithm": method.name, "seed": seed.seed}
            for shot in seed.history:
                numbers = {name: getattr(shot.audit, name) for name in NUMBERS}
                metrics.append({"kind": "audit", **who, "moves": shot.moves, **numbers})
            metrics[-1] |= {"return": seed.team_return, "verdict": seed.verdict, "final": True}
            timing.append(
                {**who, "moves": lab.moves, "seconds": seed.seconds, "stages": seed.stages}
            )
    for name, lines in (("metrics.jsonl", metrics), ("timing.jsonl", timing)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_whole(out / name, partial(Path.write_text, data=text, encoding="utf-8"))
    write_events(metrics, out)


def write_events(metrics: list[dict[str, Any]], out: Path) -> None:
    """The audits for TensorBoard, where it is installed; a run that goes on writes them anew."""
    for path in out.glob("events.out.tfevents.*"):
        path.unlink()
    writer = events(out)
    if writer is not None:
        with saving(out):
            for line in metrics:
                who = f"{line['algorithm']}/seed-{line['seed']}"
                for name in NUMBERS:
                    if line[name] is not None:
                        writer.add_scalar(f"{who}/{name}", line[name], line["moves"])
            writer.close()


NUMBERS = ("violation_rate", "gap", "regret", "rmse", "max_error", "least_slope")


def check(options: Any) -> tuple[GameMaker, list[str]]:
    """The game and the algorithms asked for; ValueError says what is wrong."""
    algorithms: dict[type[Agents], str] = {}
    for text in (text for given in options.algorithms for text in given.split(",") if text):
        algorithms.setdefault(named(text), text)
    if not algorithms:
        raise ValueError(f"no methods given: choose among {', '.join(ALGORITHMS)}")
    at_least(1, options, "seeds", "moves", "jobs", "batch")
    if options.payoff and options.game:
        raise ValueError(f"--payoff {options.payoff} and --game {options.game}: give one of them")
    game = payoff_game(options.payoff) if options.payoff else named_game(options.game or DEFAULT)
    return game, list(algorithms.values())


def default_folder(game: GameMaker) -> Path:
    """runs/igm-GAME-TIME below the present folder."""
    return Path("runs") / f"igm-{game.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def train(
    options: Any,
    game: GameMaker,
    chosen: dict[str, Config],
    command: str,
    kept: Kept | None = None,
    count: Callable[[int], None] = lambda moves: None,
) -> LabResult:
    """All runs, with a progress bar on standard error; count is told of moves, too."""
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

        def told(moves: int) -> None:
            bar.advance(task, moves)
            count(moves)

        return run_lab(
            game,
            list(chosen),
            seeds=options.seeds,
            moves=options.moves,
            configs=chosen,
            jobs=options.jobs,
            batch=options.batch,
            command=command,
            progress=told,
            kept=kept,
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
    from vdtoolkit.igm.report.curves import plot_curves
    from vdtoolkit.igm.report.figures import plot_overview
    from vdtoolkit.igm.report.strip import plot_strip

    for name, draw in (
        ("overview.png", plot_overview),
        ("curves.png", plot_curves),
        ("strip.png", plot_strip),
    ):
        write_whole(out / name, partial(draw(lab).savefig, dpi=150, format="png"))
    html, told = lab.to_html(), json.dumps(lab.to_json(), allow_nan=False)
    for name, text in (("index.html", html), ("result.json", told)):
        write_whole(out / name, partial(Path.write_text, data=text, encoding="utf-8"))
