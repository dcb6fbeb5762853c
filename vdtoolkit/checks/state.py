"""Checks of `state()`, which mixers learn from."""

from __future__ import annotations

import numpy as np
from gymnasium import Space

from vdtoolkit.checks.check import FAULT, NOTE, WARNING, Findings, check, moment_check
from vdtoolkit.checks.episode import has_state
from vdtoolkit.checks.moment import Moment, fingerprint
from vdtoolkit.checks.observations import misfit, not_finite, parts, wrong_dtype
from vdtoolkit.checks.subject import Subject


@check(
    "state-there",
    NOTE,
    "the env has a state()",
    "mixers take the joint observation in its place",
)
def state_there(subject: Subject) -> Findings:
    """No state of the env's own."""
    if not has_state(subject.env) and _space(subject.env) is None:
        yield f"{type(subject.env.unwrapped).__name__} does not define state()"


@check(
    "state-space",
    WARNING,
    "an env with state() has a state_space",
    "set state_space in the constructor: sizes are then known before the first episode",
)
def state_space(subject: Subject) -> Findings:
    """A state without a space, or no space where one should be."""
    space = getattr(subject.env, "state_space", None)
    if space is None and has_state(subject.env):
        yield f"{type(subject.env.unwrapped).__name__} defines state() and no state_space"
    elif space is not None and not isinstance(space, Space):
        yield f"state_space is {type(space).__name__}, not a gymnasium.Space"


@check(
    "state-works",
    FAULT,
    "state() can be called at every moment before the end",
    "def state(self): return an array of what is true of the whole env",
)
def state_works(subject: Subject) -> Findings:
    """An exception, or a space without a state."""
    if not has_state(subject.env) and _space(subject.env) is not None:
        yield f"state_space is {_space(subject.env)} and state() is not defined"
    for moment in subject.moments:
        if moment.state_error and moment.after:
            yield f"state() at move {moment.move} raised {moment.state_error}"
            return


@check(
    "state-after-end",
    FAULT,
    "state() can be called after the last step",
    "keep what it is made of until the next reset(): after a truncation it is learned from",
)
def state_after_end(subject: Subject) -> Findings:
    """An exception after the end."""
    for moment in subject.moments:
        if moment.state_error and not moment.after:
            yield f"state() after the end, at move {moment.move}, raised {moment.state_error}"
            return


def _space(env: object) -> Space | None:
    space = getattr(env, "state_space", None)
    return space if isinstance(space, Space) else None


@moment_check(
    "state-in-space",
    FAULT,
    "the state lies in state_space",
    "widen the space or correct the state",
)
def state_in_space(moment: Moment) -> Findings:
    """Shape or bounds that do not fit."""
    space = _space(moment.env)
    if space is None or moment.state is None:
        return
    for path, leaf, value in parts(space, moment.state):
        if why := misfit(leaf, value):
            yield f"state(){path} at move {moment.move} {why}"
            return


@moment_check(
    "state-dtype",
    FAULT,
    "the state has the dtype of state_space",
    "return state.astype(self.state_space.dtype)",
)
def state_dtype(moment: Moment) -> Findings:
    """Another dtype."""
    space = _space(moment.env)
    if space is None or moment.state is None:
        return
    for path, leaf, value in parts(space, moment.state):
        if why := wrong_dtype(leaf, value):
            yield f"state(){path} at move {moment.move} {why}"
            return


@moment_check(
    "state-shape",
    FAULT,
    "the state keeps its shape",
    "pad it: networks are made once",
)
def state_shape(moment: Moment) -> Findings:
    """A shape that changes within an episode."""
    before = moment.previous
    if before is None or before.state is None or moment.state is None:
        return
    was, now = np.shape(before.state), np.shape(moment.state)
    if was != now:
        yield f"state() has shape {now} at move {moment.move}, before it had {was}"


@moment_check(
    "state-finite",
    FAULT,
    "the state is finite",
    "networks cannot take NaN or infinity",
)
def state_finite(moment: Moment) -> Findings:
    """NaN or infinity."""
    if why := not_finite(moment.state):
        yield f"state() at move {moment.move} {why}"


@moment_check(
    "state-stable",
    FAULT,
    "two calls of state() at the same moment give the same",
    "state() only shows: what changes belongs into step()",
)
def state_stable(moment: Moment) -> Findings:
    """A state that changes by being looked at."""
    if moment.state_error is None and fingerprint(moment.state) != fingerprint(moment.state_again):
        yield f"a second call of state() at move {moment.move} gave something else"


@moment_check(
    "state-kept",
    FAULT,
    "the array that state() returned stays as it was when later steps are played",
    "return a copy: whoever stores states stores the last one everywhere",
)
def state_kept(moment: Moment) -> Findings:
    """An array that the env goes on writing into."""
    before = moment.previous
    if before is None or before.state is None:
        return
    if fingerprint(before.state_told) != before.prints["state", ""]:
        yield f"state() of move {before.move} changed in step {moment.move}"
