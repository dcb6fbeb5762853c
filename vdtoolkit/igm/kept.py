"""What a lab run has finished, on the disk: each batch of seeds as one JSON file, exactly.

A batch is the same whenever it is trained, so a lab run that was ended goes on by training those
that are not there.  Floats and arrays come back to the bit.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vdtoolkit.files import FolderError, read_json, saving, write_json
from vdtoolkit.igm.results import Audit, Limit, SeedResult, Snapshot, StateAudit

KINDS = {kind.__name__: kind for kind in (Audit, Limit, SeedResult, Snapshot, StateAudit)}
FORMAT = 1


class Kept:
    """The folder of what is finished."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with saving(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def get(self, algorithm: str, seeds: Sequence[int]) -> list[SeedResult] | None:
        """The results of these seeds as they were trained together; None where they were not."""
        path = self._path(algorithm, seeds)
        if not path.exists():
            return None
        try:
            told = read_json(path)
            if told["format"] != FORMAT or told["seeds"] != list(seeds):
                raise ValueError(f"format {told['format']}, seeds {told['seeds']}")
            results = from_plain(told["results"])
            if [result.seed for result in results] != list(seeds):
                raise ValueError("its results are of other seeds")
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise FolderError(f"{path} is no results of a lab run: {error}") from None
        return results

    def put(self, algorithm: str, seeds: Sequence[int], results: list[SeedResult]) -> None:
        """Keep them."""
        told = {"format": FORMAT, "seeds": list(seeds), "results": plain(results)}
        write_json(self._path(algorithm, seeds), told)

    def _path(self, algorithm: str, seeds: Sequence[int]) -> Path:
        return self.folder / f"{algorithm}-{seeds[0]}-{len(seeds)}.json"


def plain(value: Any) -> Any:
    """Results as JSON that says what it was made of; TypeError for what cannot be told."""
    if value is None or isinstance(value, str | bool) or type(value) is int:
        return value
    if isinstance(value, float | np.floating):
        value = float(value)
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        text = base64.b64encode(array.tobytes()).decode("ascii")
        return {"array": text, "dtype": str(array.dtype), "shape": list(value.shape)}
    if isinstance(value, tuple):
        return {"tuple": [plain(item) for item in value]}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[key, plain(item)] for key, item in value.items()]}
    if is_dataclass(value) and type(value).__name__ in KINDS:
        told = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"is": type(value).__name__, "fields": told}
    raise TypeError(f"a {type(value).__name__} cannot be kept: {value!r}")


def from_plain(told: Any) -> Any:
    """What `plain` made JSON of; only what stands in KINDS is ever made."""
    if isinstance(told, list):
        return [from_plain(item) for item in told]
    if not isinstance(told, dict):
        return told
    if "is" in told:
        return KINDS[told["is"]](**{k: from_plain(v) for k, v in told["fields"].items()})
    if "float" in told:
        return float(told["float"])
    if "tuple" in told:
        return tuple(from_plain(item) for item in told["tuple"])
    if "dict" in told:
        return {key: from_plain(item) for key, item in told["dict"]}
    content, dtype = base64.b64decode(told["array"], validate=True), np.dtype(told["dtype"])
    if dtype.hasobject:
        raise ValueError("an array of objects is none of ours")
    return np.frombuffer(content, dtype).reshape(told["shape"]).copy()
