"""Kinds of flags that the commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import tyro

from vdtoolkit.cli import refuse

if TYPE_CHECKING:
    import torch

Words = tyro.conf.UseAppendAction[tuple[str, ...]]  # a flag that may be given again
Number = int | Literal["auto"]


def several(options: Any, *names: str) -> tuple[str, ...]:
    """Those of the names that were given as numbers, not as 'auto'."""
    return tuple(name for name in names if getattr(options, name) != "auto")


def refused(program: str, error: ValueError) -> int:
    """One line and exit status 2 for what we refuse; an environment's own error is raised on.

    Its author needs the traceback.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is not None and not frame.tb_frame.f_globals["__name__"].startswith("vdtoolkit."):
        raise error
    return refuse(program, str(error))


def device_of(name: str) -> torch.device:
    """The device by name; auto is cuda where there is one."""
    import torch  # a second that other commands need not pay

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"--device {name}: {said}; cpu and auto always work") from None
    return device
