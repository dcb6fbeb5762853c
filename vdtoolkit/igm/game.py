"""Which game a lab run is about: by name or by a payoff from a file, picklable for workers."""

from __future__ import annotations

import csv
import difflib
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MODULES = {"two_step": "two_step_v0", "hidden_payoff": "hidden_payoff_v0", "mmdp": "mmdp_v0"}
# episodes of ten moves have the same values (a time limit bootstraps), and of a hundred moves under
# uniform play all but four are spent where nothing happens any more
ARGUMENTS = {"mmdp": {"max_cycles": 10}}
LARGEST = 10_000_000  # entries of a payoff tensor
GREATEST = 1e6  # size of an entry: errors are squared in float32


@dataclass(frozen=True)
class GameMaker:
    """Makes the env of a game, here or in a worker process."""

    name: str
    module: str  # of vdtoolkit.envs
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __call__(self) -> Any:
        """A new PettingZoo `ParallelEnv`."""
        module = importlib.import_module(f"vdtoolkit.envs.{self.module}")
        return module.parallel_env(*self.args, **self.kwargs)


def named_game(name: str) -> GameMaker:
    """A game of the literature by its name; ValueError names the closest and lists them all."""
    key = name.strip().lower().replace(" ", "_")
    if key.replace("-", "_") in MODULES:
        key = key.replace("-", "_")
        return GameMaker(key, MODULES[key], kwargs=ARGUMENTS.get(key, {}))
    maker = GameMaker(key, "matrix_game_v0", (key,))
    try:
        maker()
    except (ValueError, TypeError, KeyError):
        from vdtoolkit.envs._games import GAMES

        names = [*GAMES, *MODULES]
        close = difflib.get_close_matches(key, names, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"unknown game {name!r}: {hint}the games are {', '.join(names)}") from None
    return maker


def payoff_game(path: Path) -> GameMaker:
    """The one-shot game of a payoff file; ValueError says what is wrong with it."""
    payoff = read_payoff(path)
    maker = GameMaker(path.stem, "matrix_game_v0", (payoff,))
    maker()  # matrix_game_v0 has checks of its own
    return maker


def read_payoff(path: Path) -> np.ndarray:
    """A payoff tensor [A_1..A_N] from JSON (nested lists), CSV (two agents) or NPY."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".json": _from_json,
        ".csv": _from_csv,
        ".npy": _from_npy,
    }
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: a payoff file ends in {', '.join(readers)}")
    try:
        raw = readers[path.suffix.lower()](path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise ValueError(f"{path}: the lists are nested too deeply") from None
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    return checked_payoff(raw, str(path))


def checked_payoff(raw: Any, name: str) -> np.ndarray:
    """The payoff as a float array, or a ValueError with the fact, the values and the way out."""
    try:
        payoff = np.asarray(raw, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}: the payoff is ragged or holds what is not a number: "
            "give one number for each joint action, all rows of a level equally long"
        ) from None
    if payoff.ndim == 0 or payoff.size == 0:
        raise ValueError(
            f"{name}: the payoff has shape {payoff.shape}: give [A_1, ..., A_N], one axis an agent"
        )
    if payoff.size > LARGEST:
        raise ValueError(
            f"{name}: the payoff has {payoff.size} entries, above the limit of {LARGEST}"
        )
    if not np.isfinite(payoff).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(payoff))[0])
        raise ValueError(
            f"{name}: the payoff of joint action {at} is {payoff[at]}: every entry must be finite"
        )
    if np.abs(payoff).max() > GREATEST:
        at = tuple(int(i) for i in np.unravel_index(np.abs(payoff).argmax(), payoff.shape))
        raise ValueError(
            f"{name}: the payoff of joint action {at} is {payoff[at]:g}: networks learn it badly "
            f"above {GREATEST:g} in size; divide all by one number, which changes no argmax"
        )
    return payoff


def _from_json(path: Path) -> Any:
    raw = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(raw, dict):
        if "payoff" not in raw:
            raise ValueError(
                f"a JSON object needs the key 'payoff', this one has {sorted(raw) or 'no keys'}"
            )
        raw = raw["payoff"]
    return raw


def _from_csv(path: Path) -> Any:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    return [[float(cell) for cell in row] for row in rows]


def _from_npy(path: Path) -> Any:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.size > LARGEST:
        raise ValueError(f"the payoff has {array.size} entries, above the limit of {LARGEST}")
    return array
