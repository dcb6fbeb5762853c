"""`vdtoolkit resume`: go on with a run that was ended, as if it never had been."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from vdtoolkit.commands.entry import refused
from vdtoolkit.commands.train import Asked, Training, run
from vdtoolkit.flags import parse
from vdtoolkit.rundir import RunFolder

PROGRAM = "vdtoolkit resume"


@dataclass(frozen=True)
class Options:
    """Go on with a run that was ended: by Ctrl-C, a signal, a crash or a power cut.

    Metrics and parameters are those of the run that was never ended, bit for bit, where the
    environment can be seeded.  The folder's config.json names the environment, and a method of your
    own, whose code is run: resume folders of people you trust.
    """

    path: tyro.conf.Positional[Path]
    """The run's folder, as `vdtoolkit train` named it; of several seeds theirs or a seed's own."""
    new_episodes: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Give up open episodes and begin new ones, as is done anyway where an environment cannot be
    seeded."""


def main(arguments: list[str]) -> int:
    """The command."""
    try:
        options = parse(Options, arguments, PROGRAM)
        if options is None:
            return 0
        folder = RunFolder(options.path)
        config = folder.config()
        status = folder.status()
        if status.get("status") == "finished":
            print(f"{options.path} is finished: {status['moves']:,} moves; nothing is left to do")
            return 0
        if config.get("kind") == "igm":
            return _igm(options, config)
        asked = Asked.from_json(config, options.path)
        training = Training(asked, options.path, again=True, new_episodes=options.new_episodes)
        return run(PROGRAM, training)
    except ValueError as error:
        return refused(PROGRAM, error)


def _igm(options: Options, config: dict[str, Any]) -> int:
    """A lab run goes on with the methods and seeds that are not finished."""
    from vdtoolkit.igm.command import main as igm_main

    words = config.get("arguments")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{options.path / 'config.json'} does not tell the command's words")
    return igm_main(words, again=options.path)
