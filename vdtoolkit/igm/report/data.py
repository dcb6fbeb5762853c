"""An audit or a lab run as plain JSON: what stands in results.py, field by field."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vdtoolkit.igm.results import Audit, LabResult

FORMATS = {Audit: "vdtoolkit.igm.audit/1", LabResult: "vdtoolkit.igm.lab/1"}


def to_json(result: Audit | LabResult) -> dict[str, Any]:
    """The result as dicts, lists, strings and numbers, its format and version first.

    Arrays and tuples become lists, NaN and infinities null, states and unknown objects text;
    keys keep the order of the fields, so the same result is the same text.
    """
    kind = next((kind for kind in FORMATS if isinstance(result, kind)), None)
    if kind is None:
        raise TypeError(f"to_json takes an Audit or a LabResult, not {type(result).__name__}")
    return {"format": FORMATS[kind], **_plain(result)}


def write_json(result: Audit | LabResult, path: str | Path) -> None:
    """`to_json` as a file."""
    text = json.dumps(to_json(result), indent=1, allow_nan=False, ensure_ascii=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _field(field.name, getattr(value, field.name)) for field in fields(value)
        }
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else None
    return str(value)


def _field(name: str, value: Any) -> Any:
    """A state's name is any hashable: it is written as text."""
    if name == "state":
        return str(value)
    if name == "states" and not (value and is_dataclass(value[0])):
        return [str(state) for state in value]
    return _plain(value)
