"""A gymnasium space as one row of numbers: its size, its dtype, and whether it is an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten

from vdtoolkit.step import FLOAT

# kept as they are; anything else is stored as float32
OWN = tuple(np.dtype(t) for t in ("uint8", "int8", "int16", "int32", "float16", "float32"))
CHANNELS = (1, 3, 4)  # of an image whose first axis they are
SMALLEST = 5  # pixels a side of what counts as an image


class Flat:
    """How the values of one space are laid out.

    whose: what errors call the value, such as "agent 'a': observation".
    image: (H, W, C) of an image-like box, channels last; else None.  A box of three axes is one,
    unless it is tiny, and so is a box of integers of two.
    """

    def __init__(self, space: gymnasium.Space, whose: str) -> None:
        if not space.is_np_flattenable:
            raise ValueError(
                f"{whose} has space {space}, which has no fixed size: networks need one; "
                "use Box, Discrete, MultiBinary, MultiDiscrete, Text, Tuple, Dict or OneOf"
            )
        self.space, self.whose = space, whose
        self.dim = int(flatdim(space))
        self._box = space if isinstance(space, spaces.Box) else None
        self.dtype = space.dtype if self._box and space.dtype in OWN else FLOAT
        self.is_byte = is_byte(space)
        self._scales = np.ones((), FLOAT) if self._box else scales(space)
        self.image: tuple[int, int, int] | None = None
        self._axes: tuple[int, ...] | None = None  # that put the channels last
        if self._box is not None:
            self.image, self._axes = image_axes(self._box.shape, self._box.dtype)

    def __call__(self, value: Any) -> np.ndarray:
        """The value as [dim], or as [H, W, C] where it is an image; a view where it can be.

        Bytes of 0..255 that are parts of a Dict or Tuple become 0..1, beside numbers like those.
        Whether the numbers are finite is not looked at.
        """
        if self._box is None:
            check(self.space, value, self.whose)
            return np.asarray(flatten(self.space, value), FLOAT) * self._scales
        array = check_box(self._box, value, self.whose)
        if self.image is None:
            return array.reshape(-1)
        return (array if self._axes is None else array.transpose(self._axes)).reshape(self.image)


def is_byte(space: gymnasium.Space) -> bool:
    """Whether its numbers are all the bytes, 0..255, as those of images."""
    box = isinstance(space, spaces.Box) and space.dtype == np.uint8
    return bool(box and (space.low == 0).all() and (space.high == 255).all())  # type: ignore[attr-defined]


def scales(space: gymnasium.Space) -> np.ndarray:
    """[dim] float32: what each number of a flattened value is multiplied with."""
    parts: list[gymnasium.Space] = []
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = list(space.values() if isinstance(space, spaces.Dict) else space.spaces)
    if parts:
        return np.concatenate([scales(part) for part in parts])
    return np.full(int(flatdim(space)), 1 / 255 if is_byte(space) else 1, FLOAT)


def seen_space(value: Any) -> gymnasium.Space:
    """The space of a state that no space tells of, by its first value."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"state() gives {type(value).__name__} of {array.dtype}, not numbers: "
            "tell its space as the env's `state_space`"
        )
    return any_box(array.shape, array.dtype if array.dtype in OWN else FLOAT)


def any_box(shape: tuple[int, ...], dtype: np.dtype) -> spaces.Box:
    """All numbers of a dtype."""
    if dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, shape, dtype.type)
    return spaces.Box(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype.type)


def image_axes(
    shape: tuple[int, ...], dtype: np.dtype
) -> tuple[tuple[int, int, int] | None, tuple[int, ...] | None]:
    """(H, W, C) of an image-like box and the order of axes that makes it so; else None."""
    axes = None
    if len(shape) == 2 and dtype.kind in "iu":
        shape = (*shape, 1)
    elif len(shape) == 3 and shape[0] in CHANNELS and shape[2] not in CHANNELS:
        axes = (1, 2, 0)
        shape = (shape[1], shape[2], shape[0])
    if len(shape) != 3 or min(shape[:2]) < SMALLEST:
        return None, None
    return (shape[0], shape[1], shape[2]), axes


def check(space: gymnasium.Space, value: Any, whose: str) -> None:
    """Refuse a value that is not of its space; bounds of boxes are the env's own affair."""
    if isinstance(space, spaces.Dict):
        keys = set(value) if isinstance(value, Mapping) else None
        if keys != set(space.spaces):
            got = f"a {type(value).__name__}" if keys is None else f"keys {sorted(keys, key=str)}"
            raise ValueError(f"{whose} is {got}, its space has the keys {sorted(space.spaces)}")
        for key, part in space.spaces.items():
            check(part, value[key], f"{whose}[{key!r}]")
    elif isinstance(space, spaces.Tuple):
        if not isinstance(value, tuple | list) or len(value) != len(space.spaces):
            raise ValueError(f"{whose} is {value!r}, its space has {len(space.spaces)} parts")
        for k, part in enumerate(space.spaces):
            check(part, value[k], f"{whose}[{k}]")
    elif isinstance(space, spaces.Box):
        check_box(space, value, whose)
    elif isinstance(space, spaces.OneOf) and isinstance(value, tuple) and len(value) == 2:
        if not 0 <= value[0] < len(space.spaces):
            raise ValueError(f"{whose} chooses {value[0]} of {len(space.spaces)} spaces")
        check(space.spaces[value[0]], value[1], f"{whose}[1]")
    elif not space.contains(value):
        raise ValueError(f"{whose} is {value!r}, which is not in its space {space}")


def check_box(space: spaces.Box, value: Any, whose: str) -> np.ndarray:
    """The value as an array of the box's shape, its integers as integers."""
    array = np.asarray(value)
    if array.shape != space.shape:
        raise ValueError(f"{whose} has shape {array.shape}, its space {space} has {space.shape}")
    if array.dtype == space.dtype:
        return array
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{whose} is of {array.dtype}, its space {space} of {space.dtype}")
    if space.dtype.kind not in "iu":
        return array
    with np.errstate(invalid="ignore"):
        whole = array.astype(space.dtype)
    if (whole != array).any():
        bad = array[whole != array].flat[0]
        raise ValueError(f"{whose} has {bad}, which its space's {space.dtype} cannot hold")
    return whole


def all_finite(array: np.ndarray) -> bool:
    """Whether every number is finite."""
    return array.dtype.kind != "f" or np.count_nonzero(np.isfinite(array)) == array.size


def refuse_infinity(value: Any, whose: str) -> None:
    """Name the number in a value that is not finite (in float32)."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            refuse_infinity(part, f"{whose}[{key!r}]")
    elif isinstance(value, tuple):
        for k, part in enumerate(value):
            refuse_infinity(part, f"{whose}[{k}]")
    elif (array := np.asarray(value)).dtype.kind == "f":
        with np.errstate(over="ignore"):
            bad = np.argwhere(~np.isfinite(array.astype(FLOAT)))
        if len(bad):
            at = tuple(int(i) for i in bad[0])
            where = f"[{', '.join(map(str, at))}]" if at else ""
            raise ValueError(f"{whose}{where} is not finite: {array[at]}")
