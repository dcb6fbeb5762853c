"""What came of a training: curves, the random team beside it, and how both are written down."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vdtoolkit.agents import Agents
from vdtoolkit.files import write_json, write_whole
from vdtoolkit.training import Evaluation


@dataclass(frozen=True)
class Score:
    """What a team earned in some episodes, after so many moves of training.

    low, high: the mean's 95 % interval.  of: what was averaged, "episodes" or "seeds".  win_rate:
    None where the environment reports none.
    """

    moves: int
    mean: float
    low: float
    high: float
    n: int
    of: str = "episodes"
    win_rate: float | None = None
    length: float = math.nan  # moves an episode
    lost: int = 0  # episodes left out because their environment broke

    @classmethod
    def from_evaluation(cls, told: Evaluation, moves: int = 0) -> Score:
        """The numbers of an evaluation."""
        low, high = told.interval
        length = float(told.lengths.mean()) if len(told.lengths) else math.nan
        n, wins = len(told.returns), told.win_rate
        return cls(moves, told.mean, low, high, n, "episodes", wins, length, told.lost)

    @classmethod
    def over(cls, scores: Sequence[Score]) -> Score:
        """Several seeds as one: the mean of their means, the interval over seeds."""
        if len(scores) == 1:
            return scores[0]
        told = Evaluation(np.array([s.mean for s in scores]), np.array([s.length for s in scores]))
        wins = [s.win_rate for s in scores if s.win_rate is not None]
        return dataclasses.replace(
            cls.from_evaluation(told, scores[-1].moves),
            of="seeds",
            win_rate=float(np.mean(wins)) if len(wins) == len(scores) else None,
            lost=sum(s.lost for s in scores),
        )

    def beside(self, other: Score) -> str:
        """'above', 'below' or 'not apart': where this interval lies beside the other.

        'unknown' where one of them is of fewer than two episodes.
        """
        if min(self.n, other.n) < 2:
            return "unknown"
        if self.low > other.high:
            return "above"
        return "below" if self.high < other.low else "not apart"

    def to_json(self) -> dict[str, Any]:
        """As plain data; what is not known is null."""
        return {
            "moves": self.moves,
            "mean": _known(self.mean),
            "interval": [_known(self.low), _known(self.high)],
            "n": self.n,
            "of": self.of,
            "win_rate": self.win_rate,
            "length": _known(self.length),
            "lost": self.lost,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Score:
        """What `to_json` wrote."""
        low, high = told["interval"]
        mean, low, high, length = (
            math.nan if x is None else float(x) for x in (told["mean"], low, high, told["length"])
        )
        moves, n, lost = (int(told[name]) for name in ("moves", "n", "lost"))
        return cls(moves, mean, low, high, n, told["of"], told["win_rate"], length, lost)


@dataclass
class Run:
    """One team's training: its curve, its last evaluation and what it cost."""

    seed: int
    curve: list[Score] = field(default_factory=list)
    final: Score | None = None  # None where it was interrupted
    moves: int = 0
    episodes: int = 0
    updates: int = 0
    lost: int = 0  # episodes dropped because their environment broke
    seconds: float = 0.0  # of playing and learning, without the evaluations
    interrupted: bool = False
    n_envs: int = 1
    workers: int = 0

    def take(self, agents: Agents, seconds: float) -> None:
        """How far the team has come."""
        self.moves, self.episodes, self.updates = agents.moves, agents.episodes, agents.updates
        self.lost = agents.replay.n_lost if agents.replay is not None else 0
        self.seconds = seconds

    @property
    def steps_per_second(self) -> float:
        """Moves of the team a second, learning included."""
        return self.moves / self.seconds if self.seconds else math.nan

    @property
    def last(self) -> Score | None:
        """The last evaluation, or the last point of the curve where it was interrupted."""
        return self.final or (self.curve[-1] if self.curve else None)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        plain = {
            key: getattr(self, key)
            for key in ("seed", "moves", "episodes", "updates", "lost", "interrupted")
        }
        plain |= {"n_envs": self.n_envs, "workers": self.workers}
        return plain | {
            "seconds": self.seconds,
            "steps_per_second": _known(self.steps_per_second),
            "curve": [score.to_json() for score in self.curve],
            "final": self.final.to_json() if self.final else None,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Run:
        """What `to_json` wrote."""
        names = [f.name for f in dataclasses.fields(cls) if f.name not in ("curve", "final")]
        return cls(
            **{name: told[name] for name in names},
            curve=[Score.from_json(score) for score in told["curve"]],
            final=Score.from_json(told["final"]) if told["final"] else None,
        )


@dataclass(frozen=True)
class TrainResult:
    """All runs of one command, beside the random team.

    about: command, versions, environment, team, algorithm, configuration, settings: plain data.
    """

    title: str
    about: dict[str, Any]
    baseline: Score
    runs: list[Run]

    @property
    def final(self) -> Score | None:
        """The trained team's score, over seeds where there are several."""
        scores = [run.last for run in self.runs if run.last is not None]
        return Score.over(scores) if scores else None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        final = self.final
        return {
            **self.about,
            "baseline": self.baseline.to_json(),
            "final": final.to_json() if final else None,
            "beside_random": final.beside(self.baseline) if final else None,
            "runs": [run.to_json() for run in self.runs],
        }

    def write(self, folder: Path) -> None:
        """result.json and curve.csv."""
        write_json(folder / "result.json", self.to_json())
        write_whole(folder / "curve.csv", self._write_curve)

    def _write_curve(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["seed", "moves", "mean", "low", "high", "episodes", "win_rate", "lost"])
            for run in self.runs:
                for s in run.curve:
                    wins = "" if s.win_rate is None else s.win_rate
                    out.writerow([run.seed, s.moves, s.mean, s.low, s.high, s.n, wins, s.lost])


def unlike(trained: Mapping[str, str], played: Mapping[str, str]) -> str:
    """Of which versions two results are, where these differ, as a sentence; '' where none does.

    StarCraft's results of 4.6.2 and 4.10 are not comparable, so they never meet without a word.
    """
    differ = [name for name in played if trained.get(name, played[name]) != played[name]]
    told = [f"{name} {trained[name]}, now {played[name]}" for name in differ]
    return f"not comparable with its training: {'; '.join(told)}" if told else ""


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
