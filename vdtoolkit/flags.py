"""What commands share: flags from dataclasses, refusals in one line, folders tried beforehand."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import tyro


def parse(options: Any, arguments: Sequence[str], program: str) -> Any:
    """The options from the command line; None where help was asked for and printed.

    ValueError says in one line what is wrong with them.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(options, args=arguments, prog=program)
    except SystemExit as stop:
        if stop.code:
            raise ValueError(unboxed(said.getvalue())) from None
        return None


def unboxed(said: str) -> str:
    """The words of a framed message, without its title; frames are ASCII where all text must be."""
    title, *lines = said.splitlines() or [""]
    if title[:1] not in ("╭", " "):
        lines.insert(0, title)
    return " ".join(word for word in " ".join(lines).split() if word.strip("╰╯│─-"))


def unchecked(config: Any) -> Any:
    """A config class without its checks: they speak for themselves where the config is made."""
    return _unchecked(config)


@cache
def _unchecked(config: Any) -> Any:
    made: Any = type(config.__name__, (config,), {"__post_init__": lambda self: None})
    return dataclasses.dataclass(frozen=True)(made)


def at_least(least: int, options: Any, *names: str) -> None:
    """Refuse options below this."""
    for name in names:
        value = getattr(options, name)
        if not value >= least:  # NaN is not
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} {value}: it must be at least {least}")


def prepare(out: Path) -> Path:
    """The folder, made and tried before hours of training are put into it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(
            f"cannot write to {out}: {error.strerror or error}; give another folder with --out"
        ) from None
    return out
