"""What a run's folder says of it: how far it is, and which words go on with it.  No torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdtoolkit.files import InUseError, locked, read_json

LOG = "log.txt"  # in the run's folder: what its processes said
TAIL = 4096  # bytes of a file's end that are looked at


@dataclass(frozen=True)
class Far:
    """How far a run is.  speed: moves a second, where that is known."""

    status: str  # "" where nothing was begun
    moves: int = 0
    of: int = 0
    speed: float | None = None


def far(folder: Path) -> Far:
    """What is written down; a training tells it two hundred times, a lab run at its end."""
    told = _status(folder)
    if not told:
        return Far("")
    moves, speed = int(told["moves"]), None
    if told["status"] != "finished":
        line = _last_object(folder / "timing.jsonl")
        moves, speed = max(moves, int(line.get("moves", 0))), line.get("steps_per_second")
    return Far(str(told["status"]), moves, int(told["of"]), speed)


def finished(folder: Path) -> bool:
    """Whether nothing is left to do."""
    return _status(folder).get("status") == "finished"


def begun(folder: Path) -> bool:
    """Whether it is to be gone on with."""
    return (folder / "config.json").exists()


def in_use(folder: Path) -> bool:
    """Whether another process of this machine trains in it."""
    if not folder.exists():
        return False
    try:
        with locked(folder):
            return False
    except InUseError:
        return True


def last_score(folder: Path) -> float | None:
    """The mean return of the last evaluation, or of the last team of a lab run."""
    line = _last_object(folder / "metrics.jsonl")
    value = line.get("mean", line.get("return"))
    return float(value) if isinstance(value, int | float) else None


def last_words(log: Path, offset: int) -> str:
    """The last line that a process wrote after offset; "" where there is none."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(offset, size - TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _status(folder: Path) -> dict[str, Any]:
    try:
        told = read_json(folder / "status.json")
        return told if {"status", "moves", "of"} <= told.keys() else {}
    except ValueError:  # none yet; whoever goes on with the run says what is wrong with it
        return {}


def _last_object(path: Path) -> dict[str, Any]:
    """The last whole line of a file of JSON lines; {} where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().split(b"\n")[:-1]  # what follows the last break is not whole
        told = json.loads(lines[-1])
    except (OSError, ValueError, IndexError):
        return {}
    return told if isinstance(told, dict) else {}
