"""Checks of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from vdtoolkit.checks.check import FAULT, WARNING, Findings, Skip, check
from vdtoolkit.checks.episode import Dice, Episode
from vdtoolkit.checks.moment import short
from vdtoolkit.checks.subject import Subject


def _modes(env: Any) -> list[str]:
    told = getattr(env, "metadata", None)
    modes = told.get("render_modes") if isinstance(told, dict) else None
    return list(modes) if isinstance(modes, list | tuple) else []


@check(
    "render-mode",
    WARNING,
    "env.render_mode says how the env was made",
    "self.render_mode = render_mode in the constructor",
)
def render_mode(subject: Subject) -> Findings:
    """A missing or another mode ("human" is never tried: it opens windows)."""
    if not hasattr(subject.env, "render_mode"):
        yield f"{type(subject.env.unwrapped).__name__} has no attribute render_mode"
        return
    for mode in _modes(subject.env):
        if mode == "human":
            continue
        with subject.made(render_mode=mode) as env:
            if env.render_mode != mode:
                yield f"made with render_mode={mode!r}, env.render_mode is {env.render_mode!r}"


@check(
    "render",
    FAULT,
    "render() gives uint8 [height, width, 3] in mode rgb_array and a str in mode ansi",
    "render what metadata['render_modes'] lists, or leave it out there",
)
def render(subject: Subject) -> Findings:
    """An exception or something else ("human" is never tried: it opens windows)."""
    modes = [mode for mode in _modes(subject.env) if mode in ("rgb_array", "ansi")]
    if not modes:
        raise Skip("metadata lists neither rgb_array nor ansi among render_modes")
    for mode in modes:
        with subject.made(render_mode=mode) as env:
            for moment in Episode(env, subject.seed, Dice(), moves=2):
                try:
                    picture = env.render()
                except Exception as error:
                    if "display" in f"{type(error).__name__} {error}".lower():
                        raise Skip(f"no display here: {error}") from None
                    yield f"render_mode={mode!r}: {type(error).__name__}: {error}"
                    break
                if why := _wrong(mode, picture):
                    yield f"render_mode={mode!r}: render() at move {moment.move} gave {why}"
                    break


def _wrong(mode: str, picture: Any) -> str | None:
    if mode == "ansi":
        return None if isinstance(picture, str) else f"{type(picture).__name__} {short(picture)}"
    if not isinstance(picture, np.ndarray):
        return f"{type(picture).__name__} {short(picture)}"
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        return f"an array of {picture.dtype} {picture.shape}"
    return None
