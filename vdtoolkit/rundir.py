"""The folder of a run: what was asked, what it depends on, how far it is, what came of it.

| file | what it holds |
|---|---|
| `config.json` | what was asked, enough to start it again |
| `passport.json` | what results depend on |
| `status.json` | running, interrupted, failed or finished; how many moves |
| `metrics.jsonl` | evaluations and training, a line each; nothing of the clock |
| `timing.jsonl` | where the time went |
| `events.out.tfevents.*` | both for TensorBoard, where it is installed |
| `checkpoint/` | what `vdtoolkit resume` needs |

Each is whole or not there; the two that are appended to grow by whole lines.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from vdtoolkit.files import Lines, locked, read_json, saving, write_json
from vdtoolkit.runs import Score
from vdtoolkit.snapshots import Snapshots
from vdtoolkit.training import Report

FORMAT = 1
STATUS = ("running", "interrupted", "failed", "finished")


class RunFolder:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint"

    def begin(self, config: dict[str, Any]) -> None:
        """Make it, with what is asked."""
        with saving(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "config.json", config)

    def sweep(self) -> None:
        """Delete what was left half-written by a process that was killed."""
        for path in self.path.glob(".*"):
            if re.fullmatch(r"\.[a-z]+\.[a-z]+\.\d+", path.name):
                path.unlink(missing_ok=True)

    def drop_checkpoints(self) -> None:
        """Of a run that is over nothing has to be resumed."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    def config(self) -> dict[str, Any]:
        """What was asked; ValueError where the folder is not a run's."""
        path = self.path / "config.json"
        if not path.exists():
            raise ValueError(f"{self.path} is not the folder of a run: it has no config.json")
        told = read_json(path)
        if told.get("format") != FORMAT:
            raise ValueError(f"{path} has format {told.get('format')!r}, {FORMAT} is known here")
        return told

    def status(self) -> dict[str, Any]:
        """How far it is; {} where that was never said."""
        path = self.path / "status.json"
        told = read_json(path) if path.exists() else {}
        if told and told.get("status") not in STATUS:
            raise ValueError(f"{path} says {told.get('status')!r}, expected one of {STATUS}")
        return told

    def say(self, status: str, moves: int, of: int, error: str | None = None) -> None:
        """Write down how far it is."""
        date = time.strftime("%Y-%m-%d %H:%M:%S")
        told = {"status": status, "moves": moves, "of": of, "error": error, "date": date}
        write_json(self.path / "status.json", told)

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else trains in it meanwhile (not on Windows); the lock ends with the process."""
        return locked(self.path)

    def snapshots(self) -> Snapshots:
        """Its checkpoints."""
        return Snapshots(self.checkpoint)

    def lines(self, name: str) -> list[dict[str, Any]]:
        """What a file of lines holds; a last one that is not whole does not count."""
        path = self.path / name
        text = path.read_bytes() if path.exists() else b""
        try:
            return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} has a line that is not JSON: {error}") from None


class Record:
    """What is written down while a run goes on: metrics, timing, events.

    offsets: where a run that is resumed stood in its files; what lies behind is cut off.
    """

    def __init__(self, folder: Path, offsets: dict[str, int] | None = None, moves: int = 0) -> None:
        offsets = offsets or {"metrics": 0, "timing": 0}
        self.metrics = Lines(folder / "metrics.jsonl", int(offsets["metrics"]))
        self.timing = Lines(folder / "timing.jsonl", int(offsets["timing"]))
        self.events = events(folder, moves)

    def offsets(self) -> dict[str, int]:
        """How far the files have come; all of it is on the disk."""
        return {"metrics": self.metrics.flush(), "timing": self.timing.flush()}

    def evaluated(self, score: Score, final: bool = False) -> None:
        """A point of the curve."""
        line = {
            "kind": "evaluation",
            "moves": score.moves,
            "mean": _known(score.mean),
            "low": _known(score.low),
            "high": _known(score.high),
            "episodes": score.n,
            "win_rate": score.win_rate,
            "length": _known(score.length),
            "lost": score.lost,
        }
        self.metrics.add({**line, "final": True} if final else line)
        self._event("evaluation" if not final else "final", line, ("mean", "win_rate", "length"))

    def trained(self, line: dict[str, Any]) -> None:
        """What training was like since the last such line."""
        self.metrics.add(line)
        self._event("training", line, [k for k in line if k not in ("kind", "moves")])

    def spent(self, moves: int, seconds: float, stages: dict[str, float]) -> None:
        """Where the time went so far, in seconds."""
        rounded = {name: round(value, 6) for name, value in stages.items()}
        speed = round(moves / seconds, 3) if seconds else None
        line = {"moves": moves, "seconds": round(seconds, 6), "steps_per_second": speed}
        self.timing.add({**line, "stages": rounded})
        self._event("time", {**rounded, **line}, [*rounded, "steps_per_second"])

    def _event(self, group: str, line: dict[str, Any], names: Any) -> None:
        if self.events is not None:
            with saving(self.metrics.path.parent):
                for name in names:
                    if line[name] is not None:
                        self.events.add_scalar(f"{group}/{name}", line[name], line["moves"])

    def close(self) -> None:
        """No more is written."""
        self.metrics.close()
        self.timing.close()
        if self.events is not None:
            self.events.close()


def events(folder: Path, moves: int = 0) -> Any:
    """TensorBoard's writer, where it is installed; events after these moves do not count."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # only where wanted: it takes a second
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=moves + 1 if moves else None)


class Window:
    """The episodes of training since the last line about them."""

    def __init__(self, told: dict[str, Any] | None = None) -> None:
        told = told or {}
        self.moves = int(told.get("moves", 0))  # at the last line
        self.episodes, self.said = int(told.get("episodes", 0)), int(told.get("said", 0))
        self.earned, self.length, self.won = (
            float(told.get(name, 0.0)) for name in ("earned", "length", "won")
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return dict(vars(self))

    def take(self, report: Report) -> None:
        """The episodes completed in one vector step."""
        if len(report.returns):
            told = report.won[~np.isnan(report.won)]
            self.episodes += len(report.returns)
            self.earned += float(report.returns.sum())
            self.length += float(report.lengths.sum())
            self.said += len(told)
            self.won += float(told.sum())

    def line(
        self, moves: int, episodes: int, updates: int, epsilon: float, report: Report
    ) -> dict[str, Any]:
        """The line about them; a new window begins."""
        n = self.episodes
        line = {
            "kind": "training",
            "moves": moves,
            "episodes": episodes,
            "updates": updates,
            "return": self.earned / n if n else None,
            "length": self.length / n if n else None,
            "win_rate": self.won / self.said if self.said else None,
            "lost": report.lost,
            "epsilon": epsilon,
            **{name: _known(value) for name, value in report.metrics.items()},
        }
        self.__init__({"moves": moves})  # type: ignore[misc]
        return line


def score_of(line: dict[str, Any]) -> Score:
    """A point of the curve from its line."""
    mean, low, high, length = (
        math.nan if line[name] is None else float(line[name])
        for name in ("mean", "low", "high", "length")
    )
    return Score(
        moves=int(line["moves"]),
        mean=mean,
        low=low,
        high=high,
        n=int(line["episodes"]),
        win_rate=line["win_rate"],
        length=length,
        lost=int(line["lost"]),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
