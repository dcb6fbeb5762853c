"""The comparison as files: CSV, JSON, and the JSON that marl-eval reads."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vdtoolkit.compare.comparison import Comparison, Environment, Estimate
from vdtoolkit.compare.curves import Curve
from vdtoolkit.compare.records import Record
from vdtoolkit.files import write_whole

Rows = list[list[Any]]


def whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_bytes(data))


def csv_text(heads: Sequence[str], rows: Rows) -> str:
    """Comma-separated; what is not known is empty."""
    out = io.StringIO()
    made = csv.writer(out, lineterminator="\n")
    made.writerow(heads)
    made.writerows([["" if _open(value) else value for value in row] for row in rows])
    return out.getvalue()


def _open(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def tables(told: Comparison) -> dict[str, tuple[list[str], Rows]]:
    """File's name -> heads and rows: runs, aggregates, pairs, curves."""
    return {
        "runs.csv": (
            ["environment", "method", "seed", "moves", "measured", "score", "status", "folder"],
            [
                [
                    e.name,
                    method,
                    r.seed,
                    int(r.moves[-1]),
                    float(value),
                    float(score),
                    r.status,
                    r.name,
                ]
                for e in told.environments
                for method in told.methods
                for r, value, score in zip(
                    e.records[method], e.read[method], e.scores[method], strict=True
                )
            ],
        ),
        "aggregates.csv": (
            ["method", "aggregate", "value", "low", "high"],
            [
                [method, name, found.value, found.low, found.high]
                for method in told.methods
                for name, found in told.aggregates[method].items()
            ],
        ),
        "pairs.csv": (
            [
                "first",
                "second",
                "difference",
                "low",
                "high",
                "p_first_above_second",
                "p_low",
                "p_high",
                "apart",
                "seeds",
                "seeds_needed",
                "smallest_seen",
            ],
            [
                [
                    p.first,
                    p.second,
                    *_three(p.difference),
                    *_three(p.better),
                    p.apart,
                    p.seeds,
                    p.needed,
                    p.smallest,
                ]
                for p in told.pairs
            ],
        ),
        "curves.csv": (
            ["environment", "method", "x", "iqm", "low", "high", "runs"],
            [
                ["" if name is None else name, method, *row]
                for name, curves in _curves(told)
                for method, one in curves.items()
                for row in _points(one)
            ],
        ),
    }


def _three(found: Estimate) -> list[float]:
    return [found.value, found.low, found.high]


def _curves(told: Comparison) -> list[tuple[str | None, dict[str, Curve]]]:
    """All environments together (no name; x is the share of the moves), then each."""
    return [(None, told.overall), *told.curves.items()]


def _points(one: Curve) -> Rows:
    columns = (one.x, one.iqm, one.low, one.high, one.runs)
    return [[value.item() for value in row] for row in zip(*columns, strict=True)]


def to_json(told: Comparison, command: str = "") -> dict[str, Any]:
    """All numbers as plain data; what is not known is null."""
    data: dict[str, Any] = {
        "command": command,
        "methods": told.methods,
        "anyway": told.options.anyway,
        "comparable": not told.refused,
        "warnings": told.warnings,
        "differences": [one.to_json() for one in told.differences],
        "environments": [
            {
                "name": e.name,
                **e.env,
                "metric": e.scale.metric,
                "zero": [e.scale.zero, e.scale.zero_is],
                "one": [e.scale.one, e.scale.one_is],
                "moves": e.moves,
            }
            for e in told.environments
        ],
        "profiles": {
            "tau": told.taus.tolist(),
            **{method: told.profiles[method].tolist() for method in told.methods},
        },
    }
    for name, (heads, rows) in tables(told).items():
        data[name.removesuffix(".csv")] = [dict(zip(heads, row, strict=True)) for row in rows]
    return _plain(data)


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def marl_eval(told: Comparison, suite: str = "vdtoolkit") -> dict[str, Any]:
    """environment / task / algorithm / run / step, as marl-eval reads it (arXiv 2209.10485).

    marl-eval aggregates over the tasks of one environment, so all environments here are tasks of
    one, `suite`.  It looks names up in lower case, knows no commas in algorithms' names, and wants
    the same metrics everywhere (win rates only where all environments are compared by them) and as
    many steps of every run: where evaluations were not at the same moves, runs are read by
    interpolation at as many evenly spread moves as the run with the fewest evaluations has, up to
    where they are compared.  It also wants as many runs of every algorithm; that is left to the
    reader, as nothing is dropped here.
    """
    wins = all(environment.scale.metric == "win_rate" for environment in told.environments)
    steps = min(len(r.moves) for e in told.environments for r in _records(e))
    tasks: dict[str, Any] = {}
    for environment in told.environments:
        task = tasks.setdefault(environment.name.lower(), {})
        at = _moves(environment, steps, told)
        for method in told.methods:
            task[method.upper().replace(",", ";")] = {
                f"run_{k}": _steps(environment, record, at, wins)
                for k, record in enumerate(environment.records[method])
            }
    return {suite.lower(): tasks}


def _records(environment: Environment) -> list[Record]:
    return [record for own in environment.records.values() for record in own]


def _moves(environment: Environment, steps: int, told: Comparison) -> np.ndarray:
    """The moves at which every run of an environment is read."""
    first = _records(environment)[0].moves
    same = all(np.array_equal(record.moves, first) for record in _records(environment))
    equal = {len(record.moves) for e in told.environments for record in _records(e)} == {steps}
    if same and equal:
        return first
    start = max(float(record.moves[0]) for record in _records(environment))
    end = min(float(record.moves[-1]) for record in _records(environment))
    return np.linspace(start, end, steps)


def _steps(environment: Environment, record: Record, at: np.ndarray, wins: bool) -> dict[str, Any]:
    def values(moves: float) -> dict[str, list[float]]:
        found = {"return": [record.at(moves, record.returns)]}
        return found | ({"win_rate": [record.at(moves, record.wins)]} if wins else {})

    made: dict[str, Any] = {
        f"step_{k}": {"step_count": round(moves), **values(moves)} for k, moves in enumerate(at)
    }
    last = record.moves[-1] if environment.moves is None else environment.moves
    return {**made, "absolute_metrics": values(float(last))}


def write(told: Comparison, out: Path, command: str = "", suite: str = "vdtoolkit") -> None:
    """Page, pictures, CSV and JSON into a folder."""
    from vdtoolkit.compare.figures import (
        plot_aggregates,
        plot_efficiency,
        plot_improvement,
        plot_profiles,
    )
    from vdtoolkit.compare.page import html_page

    for name, plot in (
        ("aggregates.png", plot_aggregates),
        ("efficiency.png", plot_efficiency),
        ("improvement.png", plot_improvement),
        ("profiles.png", plot_profiles),
    ):
        picture = io.BytesIO()
        plot(told).savefig(picture, dpi=150, format="png")
        whole(out / name, picture.getvalue())
    for name, (heads, rows) in tables(told).items():
        whole(out / name, csv_text(heads, rows).encode())
    for name, data in (
        ("result.json", to_json(told, command)),
        ("marl-eval.json", marl_eval(told, suite)),
    ):
        whole(out / name, (json.dumps(data, allow_nan=False, indent=1) + "\n").encode())
    whole(out / "index.html", html_page(told, command).encode())
