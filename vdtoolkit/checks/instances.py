"""Checks of what many environments at once need."""

from __future__ import annotations

from contextlib import suppress
from itertools import zip_longest

import cloudpickle  # Gymnasium brings it

from vdtoolkit.checks.check import FAULT, Findings, check
from vdtoolkit.checks.episode import Dice, Episode
from vdtoolkit.checks.subject import REPLAY_SECONDS, Subject, difference, global_dice


@check(
    "instances-apart",
    FAULT,
    "two instances that are played in turn do not influence each other",
    "keep everything in self: class attributes, module globals and default arguments are shared",
)
def instances_apart(subject: Subject) -> Findings:
    """An episode that a second instance changes."""
    subject.need_repeats()
    moves = max(1, min(subject.base.length, 300))
    with global_dice(1), subject.made() as one, subject.made() as two:
        pair = [
            Episode(env, subject.seed + k, Dice("random", k), moves=moves, seconds=REPLAY_SECONDS)
            for k, env in enumerate((one, two))
        ]
        for moments in zip_longest(*pair):
            for moment in moments:
                if moment is not None and moment.previous is not None:
                    moment.previous.forget()
    if where := difference(subject.base, pair[0]):
        yield f"beside a second instance, seed {subject.seed} differs in {where}"


@check(
    "factory-pickles",
    FAULT,
    "the function that makes the env can be sent to a worker process (cloudpickle)",
    "make what cannot be pickled (locks, files, generators) inside the function",
)
def factory_pickles(subject: Subject) -> Findings:
    """A factory that cannot."""
    try:
        made = cloudpickle.loads(cloudpickle.dumps(subject.env_fn))()
    except Exception as error:
        yield f"{type(error).__name__}: {error}"
        return
    with suppress(Exception):  # the check `closes` tells of it
        made.close()
