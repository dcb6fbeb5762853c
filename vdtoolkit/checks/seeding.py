"""Checks of seeding over whole episodes, and of who else shares the dice."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import numpy as np

from vdtoolkit.checks.check import FAULT, NOTE, Findings, Skip, check
from vdtoolkit.checks.subject import Subject, difference, global_dice

SHORT: dict[str, Any] = {"moves": 100, "seconds": 0.5}


@check(
    "seed-repeats",
    FAULT,
    "the same seed and actions give the same whole episode on two instances: observations, "
    "rewards, flags, infos with masks, state",
    "draw everything from one generator, self.np_random, that reset(seed=...) makes anew",
)
def seed_repeats(subject: Subject) -> Findings:
    """Two instances that part."""
    if where := subject.again:
        yield f"two instances with seed {subject.seed} differ in {where}"


@check(
    "seed-matters",
    FAULT,
    "other seeds give other episodes, where the env has any randomness",
    "pass the seed on: self.np_random, _ = gymnasium.utils.seeding.np_random(seed)",
)
def seed_matters(subject: Subject) -> Findings:
    """Seeds that all give the same, although unseeded episodes differ."""
    subject.need_repeats()
    if not subject.varies and _unseeded_differ(subject):
        yield f"seeds {subject.seed} to {subject.seed + 12} all give one and the same episode"


@check(
    "has-randomness",
    NOTE,
    "the env has some randomness",
    "nothing is wrong: every episode is the same when the same actions are played",
)
def has_randomness(subject: Subject) -> Findings:
    """None that 13 seeds and as many unseeded episodes could show."""
    subject.need_repeats()
    if not subject.varies and not _unseeded_differ(subject):
        yield (
            "13 seeds and 5 unseeded instances all give the same episode for the same actions, "
            f"as far as move {subject.base.length}"
        )


def _unseeded_differ(subject: Subject) -> bool:
    with global_dice():
        first, *others = (subject.replay(None, **SHORT) for _ in range(5))
    return any(difference(first, other) is not None for other in others)


@check(
    "reset-clears",
    FAULT,
    "reset(seed=s) gives the same episode whatever was played before on the instance",
    "reset() sets back everything that step() changes",
)
def reset_clears(subject: Subject) -> Findings:
    """Something left over."""
    subject.need_repeats()
    half = max(1, min(subject.base.length // 2, 99))
    plays = ((half, f"after {half} moves"), (subject.base.length, "after a whole episode"))
    with subject.made() as env:
        for moves, when in plays:
            with global_dice(1):
                subject.replay(subject.seed + 1, env=env, moves=moves)
            if where := subject.parts(subject.seed, env=env):
                yield f"reset(seed={subject.seed}) {when} differs from a new instance in {where}"
                return


@check(
    "reset-goes-on",
    FAULT,
    "reset() without a seed goes on in the stream of random numbers",
    "seed in reset() only if seed is not None",
)
def reset_goes_on(subject: Subject) -> Findings:
    """Every unseeded episode the same."""
    subject.need_repeats()
    if not subject.varies:
        raise Skip("the env shows no randomness")
    with global_dice(1), subject.made() as env:
        subject.replay(subject.seed, env=env, **SHORT)
        first = subject.replay(None, env=env, **SHORT)

        def all_equal(seeds: Iterable[int | None]) -> bool:
            others = (subject.replay(seed, env=env, **SHORT) for seed in seeds)
            return all(difference(first, other) is None for other in others)

        if not all_equal([None] * 12):
            return
        if all_equal(range(subject.seed, subject.seed + 12)):
            raise Skip(f"in {first.length} moves no difference between seeds is to be seen")
        yield "13 episodes after reset() without a seed were all the same"


@check(
    "global-dice-unused",
    FAULT,
    "the global generators of random and numpy do not matter",
    "draw from self.np_random: others draw from np.random and random too",
)
def global_dice_unused(subject: Subject) -> Findings:
    """Episodes that depend on them."""
    subject.need_repeats()
    if where := subject.parts(subject.seed, dice=2):
        yield f"with the same seed and another np.random.seed() the episode differs in {where}"


@check(
    "global-dice-untouched",
    FAULT,
    "the env leaves the global generators of random and numpy alone",
    "never call np.random.seed() or random.seed(): it makes everybody else's dice repeat",
)
def global_dice_untouched(subject: Subject) -> Findings:
    """Global seeds that are set anew."""
    after = []
    for seed in (1, 2):
        with global_dice(seed):
            subject.replay(subject.seed, **SHORT)
            state: Any = np.random.get_state()
            after.append((random.getstate(), state[1].tobytes()))
    for name, one, other in zip(("random", "numpy.random"), *after, strict=True):
        if one == other:  # whatever it was before: it was seeded
            yield f"after an episode of seed {subject.seed} the state of {name} is always the same"
