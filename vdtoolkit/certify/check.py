"""What a check of a method is, and the list of them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vdtoolkit.certify.subject import Subject

Facts = Iterator[str]  # how the promise is broken, with values
Find = Callable[["Subject"], Facts]


ONLY = "the form of "  # how `NotPromised` begins where a check is about another method


class NotPromised(Exception):  # noqa: N818  nothing went wrong
    """Raised by a check of what this method does not promise; its text says what it does."""


@dataclass(frozen=True)
class Check:
    """One promise that a method keeps or breaks.

    name: shown to the user.  promise: what holds where nothing is found.  find: yields
    counter-examples, and tells the `Subject` how it looked.  learns: over seeds, only if asked for.
    """

    name: str
    promise: str
    find: Find
    learns: bool = False


CHECKS: dict[str, Check] = {}  # in the order in which they are told


def check(name: str, promise: str, *, learns: bool = False) -> Callable[[Find], Find]:
    """Register a function of the `Subject` as a check."""

    def register(find: Find) -> Find:
        assert name not in CHECKS, name
        CHECKS[name] = Check(name, promise, find, learns)
        return find

    return register
