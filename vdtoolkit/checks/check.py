"""What a check is, and the list of them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

FAULT, WARNING, NOTE = "fault", "warning", "note"
SEVERITIES = (FAULT, WARNING, NOTE)  # the worst first

Findings = Iterator[str]  # facts with their values, one each


class Skip(Exception):  # noqa: N818  nothing went wrong
    """Raised by a check that cannot be carried out here; its text says why."""


@dataclass(frozen=True)
class Check:
    """One promise that an environment keeps or breaks.

    name: shown to the user.  severity: of its findings.  promise: what holds where nothing is
    found.  way_out: what to do otherwise.  find: yields what was found, from every `Moment` of
    the recording (`of_moments`) or once from the `Subject`.
    """

    name: str
    severity: str
    promise: str
    way_out: str
    find: Callable[[Any], Findings]
    of_moments: bool = False


CHECKS: dict[str, Check] = {}  # in the order in which they are told


def check(
    name: str, severity: str, promise: str, way_out: str, *, of_moments: bool = False
) -> Callable[[Callable[[Any], Findings]], Callable[[Any], Findings]]:
    """Register a function of the `Subject` as a check."""

    def register(find: Callable[[Any], Findings]) -> Callable[[Any], Findings]:
        assert name not in CHECKS and severity in SEVERITIES, name
        CHECKS[name] = Check(name, severity, promise, way_out, find, of_moments)
        return find

    return register


def moment_check(
    name: str, severity: str, promise: str, way_out: str
) -> Callable[[Callable[[Any], Findings]], Callable[[Any], Findings]]:
    """Register a function of one `Moment` as a check."""
    return check(name, severity, promise, way_out, of_moments=True)
