"""`certify`: every check on one method."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

import hypothesis
import numpy as np
import torch

from vdtoolkit._version import __version__
from vdtoolkit.agents import Agents
from vdtoolkit.certify.check import CHECKS, Check, NotPromised
from vdtoolkit.certify.report import BROKEN, KEPT, LESS, Certificate, Entry
from vdtoolkit.certify.subject import Subject

SHOWN = 3  # counter-examples of one check


def certify(
    cls: type[Agents],
    settings: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    draws: int = 100,
    learn: int = 0,
    only: Sequence[str] = (),
) -> Certificate:
    """What can be proved of a method, by counter-examples that are not found.

    cls: the method's class, one of `ALGORITHMS` or a user's own.  settings: of its config.  seed:
    of all that is drawn.  draws: random weights of each search.  learn: seeds of the
    learning gates, none are run at 0.  only: names of checks; all where
    none is given.  Takes seconds.  Global random state is left as it was.
    """
    if not (isinstance(cls, type) and issubclass(cls, Agents)):
        raise TypeError(f"certify takes a class of agents, not {cls!r}: for example QMIXAgents")
    if draws < 1:
        raise ValueError(f"draws={draws}: at least one must be made")
    for name in only:
        if name not in CHECKS:
            raise ValueError(f"there is no check {name!r}: checks are {', '.join(CHECKS)}")
    began = time.perf_counter()
    subject = Subject(cls, settings, seed, draws, learn)
    todo = [c for c in CHECKS.values() if c.name in (only or CHECKS) and (learn or not c.learns)]
    entries = tuple(ask(c, subject) for c in todo)
    return Certificate(
        method=cls.name or cls.__name__,
        label=cls.label or cls.__name__,
        claim=subject.promised.claim,
        function_class=subject.promised.function_class,
        settings=dict(settings or {}),
        seed=seed,
        draws=draws,
        learn=learn,
        entries=entries,
        versions={
            "vdtoolkit": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "hypothesis": hypothesis.__version__,
        },
        seconds=time.perf_counter() - began,
    )


def ask(one: Check, subject: Subject) -> Entry:
    """Carry out one check; where it crashes the promise counts as broken."""
    began = time.perf_counter()
    subject.told.clear()
    facts: tuple[str, ...] = ()
    try:
        facts = tuple(islice(one.find(subject), SHOWN))
        status, how = BROKEN if facts else KEPT, "; ".join(dict.fromkeys(subject.told))
    except NotPromised as less:
        status, how = LESS, str(less)
    except Exception as error:
        status, how = BROKEN, ""
        facts = (f"could not be carried out, {type(error).__name__}: {error}",)
    return Entry(one.name, status, how, facts, time.perf_counter() - began)
