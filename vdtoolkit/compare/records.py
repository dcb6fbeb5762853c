"""Runs as their folders tell them: config.json, passport.json, status.json, metrics.jsonl.

A folder of `vdtoolkit train` from before these files has result.json alone, which is read as well;
what it does not tell is None.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

METRICS = "metrics.jsonl"
FINISHED = "finished"


@dataclass(frozen=True)
class Record:
    """One seed's training.

    moves, returns, wins: [T], of every evaluation whose return is known, moves increasing; wins
    is NaN where the environment reports none.  of: moves asked for.  passport: what results depend
    on, flat ("versions.torch"), None where it is not told.  random: the random team's return.
    """

    name: str
    algorithm: str
    config: dict[str, Any]
    env: dict[str, Any]  # env, arguments, wrappers
    seed: int
    moves: np.ndarray
    returns: np.ndarray
    wins: np.ndarray
    status: str
    of: int | None
    passport: dict[str, Any]
    random: float | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def environment(self) -> str:
        """What makes two runs' environments the same: name, arguments and wrappers, as text."""
        return json.dumps([self.env["env"], self.env["arguments"], list(self.env["wrappers"])])

    @property
    def finished(self) -> bool:
        """Whether it played all moves that it was asked for."""
        return self.status == FINISHED

    def at(self, moves: float, values: np.ndarray) -> float:
        """A value at a number of moves, linear between evaluations; NaN outside their range."""
        if not self.moves[0] <= moves <= self.moves[-1]:
            return math.nan
        return float(np.interp(moves, self.moves, values))


def read_runs(paths: Iterable[Path], only_finished: bool = False) -> list[Record]:
    """The runs of these folders, searched below each; ValueError says which cannot be read.

    only_finished: leave out those that are still at it, failed or were interrupted.
    """
    found: list[Record] = []
    seen: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise ValueError(f"{path}: there is no such folder")
        folders = list(run_folders(path))
        if not folders:
            raise ValueError(
                f"{path}: no run of vdtoolkit train in it or below it "
                f"(neither {METRICS} nor result.json)"
            )
        for folder in folders:
            if (same := folder.resolve()) in seen:
                raise ValueError(f"{folder} is given twice, as {seen[same]} too: give it once")
            seen[same] = folder
            if not (only_finished and _open(folder)):
                found += [r for r in read(folder) if r.finished or not only_finished]
    return found


def _open(folder: Path) -> bool:
    """Whether a run says that it has not finished: it may have nothing to read yet."""
    path = folder / "status.json"
    return path.exists() and _json(path).get("status") != FINISHED


def run_folders(path: Path) -> Iterator[Path]:
    """Folders of runs, this one or below it; the summary of several seeds is none.

    Nor is a run of vdtoolkit igm, as sweeps have them: it has audits, and a page of its own.
    """
    if (path / METRICS).exists():
        if not _of_the_lab(path):
            yield path
        return
    below = [
        folder
        for child in sorted(path.iterdir())
        if child.is_dir() and not child.is_symlink()
        for folder in run_folders(child)
    ]
    if below:
        yield from below
    elif (path / "result.json").exists():
        yield path


def _of_the_lab(folder: Path) -> bool:
    path = folder / "config.json"
    return path.exists() and _json(path).get("kind") == "igm"


def read(folder: Path) -> list[Record]:
    """The run of a folder; several where only an old summary of seeds is left."""
    try:
        if (folder / METRICS).exists():
            return [_run(folder)]
        return list(_old(folder))
    except KeyError as error:
        raise ValueError(f"{folder}: its files do not tell {error}: is it a run's?") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder}: its files are not as vdtoolkit train writes them: {error}"
        ) from None


def _run(folder: Path) -> Record:
    config, passport = _json(folder / "config.json"), _json(folder / "passport.json")
    status = _json(folder / "status.json")
    settings, env = config["settings"], config["env"]
    told = {name: settings.get(name) for name in ("reward", "state")}
    told |= _flat({key: value for key, value in passport.items() if key not in _ELSEWHERE})
    told |= {f"env.{key}": passport["env"].get(key) for key in ("spaces", "game_version")}
    moves = status.get("of") or settings.get("moves")
    result = folder / "result.json"
    return _record(
        name=str(folder),
        algorithm=config["algorithm"],
        config=config["config"],
        env={key: env.get(key) or empty for key, empty in _ENV.items()},
        seed=int(config["seed"]),
        points=_evaluations(folder / METRICS),
        status=str(status["status"]),
        of=moves,
        passport={**told, "moves": moves},
        random=_mean(_json(result).get("baseline")) if result.exists() else None,
        notes=tuple(
            f"it was resumed on another footing: {'; '.join(entry['changed'])}"
            for entry in passport.get("resumed", [])
            if entry["changed"]
        ),
    )


_ELSEWHERE = ("format", "env", "algorithm", "seed", "resumed")
_ENV: dict[str, Any] = {"env": "", "arguments": {}, "wrappers": []}


def _old(folder: Path) -> Iterator[Record]:
    """result.json alone: no game's version, no hash of spaces (sizes instead), no hardware."""
    result = _json(folder / "result.json")
    if "runs" not in result or "algorithm" not in result:
        raise ValueError(f"{folder}: its result.json is not of vdtoolkit train")
    settings, team = result["settings"], result["team"]
    for run in result["runs"]:
        told = {
            **_flat({"versions": result["versions"]}),
            "reward": team.get("reward"),
            "env.sizes": f"{team['n_actions']} actions, obs {team['obs_dim']}, "
            f"state {team['state_dim']}",
            "n_envs": run.get("n_envs"),
            "workers": run.get("workers"),
            "threads": settings.get("threads"),
            "updates_per_episode": settings.get("updates_per_episode"),
            "evaluation.every": settings.get("eval_every"),
            "evaluation.episodes": settings.get("eval_episodes"),
            "evaluation.final_episodes": settings.get("final_episodes"),
            "hardware.device": settings.get("device"),
            "moves": settings["moves"],
        }
        last = [run["final"]] if run["final"] else []
        yield _record(
            name=str(folder) if len(result["runs"]) == 1 else f"{folder} seed {run['seed']}",
            algorithm=result["algorithm"],
            config=result["config"],
            env={key: result["env"].get(key) or empty for key, empty in _ENV.items()},
            seed=int(run["seed"]),
            points=[*run["curve"], *last],
            status="interrupted" if run["interrupted"] else FINISHED,
            of=settings["moves"],
            passport=told,
            random=_mean(result.get("baseline")),
        )


def _record(
    name: str, points: list[dict[str, Any]], notes: tuple[str, ...] = (), **rest: Any
) -> Record:
    """A record of these evaluations; of two at the same moves the later one, which is the final."""
    known = {p["moves"]: p for p in points if _mean(p) is not None}
    if not known:
        why = "no evaluation" if not points else "no evaluation with a return: all are NaN"
        raise ValueError(f"{name}: {why}; there is nothing to compare")
    lost = len({p["moves"] for p in points} - set(known))
    many = f"{lost} evaluations have" if lost > 1 else "1 evaluation has"
    kept = [known[moves] for moves in sorted(known)]
    return Record(
        name=name,
        moves=np.array([p["moves"] for p in kept], dtype=float),
        returns=np.array([p["mean"] for p in kept], dtype=float),
        wins=np.array(
            [math.nan if p.get("win_rate") is None else p["win_rate"] for p in kept], dtype=float
        ),
        notes=notes
        + (f"{many} no return (NaN) and {'are' if lost > 1 else 'is'} left out",) * (lost > 0),
        **rest,
    )


def _mean(point: dict[str, Any] | None) -> float | None:
    """Its mean return; None where it is not a finite number."""
    value = (point or {}).get("mean")
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _evaluations(path: Path) -> list[dict[str, Any]]:
    """The evaluations of metrics.jsonl; a last line cut short by a crash is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found = []
    for k, line in enumerate(lines):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            if k == len(lines) - 1 and not line.endswith("\n"):
                break
            raise ValueError(f"{path}, line {k + 1} is not JSON: {error}") from None
        if entry["kind"] == "evaluation":
            found.append(entry)
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(made, dict):
        raise ValueError(f"{path} is not a JSON object")
    return made


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested dicts as one, names joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{above}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
