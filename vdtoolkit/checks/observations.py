"""Checks of observations, and of arrays that later steps write into."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Tuple

from vdtoolkit.checks.check import FAULT, WARNING, Findings, check, moment_check
from vdtoolkit.checks.moment import Moment, short
from vdtoolkit.checks.subject import Subject


def parts(space: Space, value: Any, path: str = "") -> list[tuple[str, Space, Any]]:
    """The leaves of a composed space with their values; the whole where they do not match."""
    if isinstance(space, Dict) and isinstance(value, dict) and set(value) == set(space.spaces):
        return [
            leaf for k, s in space.spaces.items() for leaf in parts(s, value[k], f"{path}[{k!r}]")
        ]
    if isinstance(space, Tuple) and isinstance(value, tuple) and len(value) == len(space):
        return [
            leaf
            for i, (s, v) in enumerate(zip(space, value, strict=True))
            for leaf in parts(s, v, f"{path}[{i}]")
        ]
    return [(path, space, value)]


def misfit(space: Space, value: Any) -> str | None:
    """Why a value is not in its space, its dtype and NaN apart; None where it is."""
    if not isinstance(space, Box):
        return None if space.contains(value) else f"{short(value)} is not in {space}"
    if not isinstance(value, np.ndarray | np.generic):
        return f"is {type(value).__name__} {short(value)}, not an array of {space}"
    if value.shape != space.shape:
        return f"has shape {value.shape}, its space {space}"
    if value.dtype == object:
        return f"has dtype object, its space {space}"
    for low, bad in ((True, value < space.low), (False, value > space.high)):
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            bound = float(space.low[at] if low else space.high[at])
            side = "below" if low else "above"
            return f"has {float(np.asarray(value)[at]):g} at {at}, {side} {bound:g} of its space"
    return None


def wrong_dtype(space: Space, value: Any) -> str | None:
    """What the dtype is in place of the space's; None where it is right."""
    if isinstance(space, Box) and isinstance(value, np.ndarray) and value.dtype != space.dtype:
        return f"has dtype {value.dtype}, its space {space.dtype}"
    return None


def not_finite(value: Any) -> str | None:
    """Where an array holds NaN or infinity; None where it does not."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fc":
        return None
    bad = ~np.isfinite(value)
    if not bad.any():
        return None
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"has {float(value[at])} at {at}"


def _leaves(moment: Moment) -> list[tuple[str, Space, Any]]:
    found = []
    for agent, observation in moment.observations.items():
        if agent in moment.env.possible_agents:
            space = moment.env.observation_space(agent)
            for path, leaf, value in parts(space, observation):
                name = f"agent {agent!r}: observation{path} at move {moment.move}"
                found.append((name, leaf, value))
    return found


@moment_check(
    "observation-in-space",
    FAULT,
    "every observation lies in its agent's space",
    "widen the space or correct the observation",
)
def observation_in_space(moment: Moment) -> Findings:
    """Shape, keys or bounds that do not fit."""
    for name, space, value in _leaves(moment):
        if why := misfit(space, value):
            yield f"{name} {why}"
            return


@moment_check(
    "observation-dtype",
    FAULT,
    "every observation has the dtype of its space",
    "return observation.astype(space.dtype)",
)
def observation_dtype(moment: Moment) -> Findings:
    """Another dtype, often float64 in a float32 space."""
    for name, space, value in _leaves(moment):
        if why := wrong_dtype(space, value):
            yield f"{name} {why}"
            return


@moment_check(
    "observation-finite",
    FAULT,
    "observations are finite",
    "networks cannot take NaN or infinity: clip, or mark what is missing by a flag",
)
def observation_finite(moment: Moment) -> Findings:
    """NaN or infinity."""
    for name, _, value in _leaves(moment):
        if why := not_finite(value):
            yield f"{name} {why}"
            return


@check(
    "observations-tell",
    WARNING,
    "what an agent sees changes with the moves or with the episodes",
    "compare what observe() draws on with what step() moves; a picture may never be drawn",
)
def observations_tell(subject: Subject) -> Findings:
    """An observation that is the same at all moments of episodes of ten moves and more."""
    episodes = [episode for episode in subject.episodes if episode.length >= 10]
    for agent in subject.env.possible_agents:
        key = "observations", str(agent)
        seen = [m.prints[key] for e in episodes for m in e.moments if key in m.prints]
        if len(seen) >= 10 and len(set(seen)) == 1:
            yield f"agent {agent!r} saw the same {len(seen)} times, in {len(episodes)} episodes"
            return


def _changed(moment: Moment, kind: str) -> str | None:
    """Who was told something of this kind that this move has changed; None if nobody."""
    before = moment.previous
    agent = None if before is None else before.changed(kind)
    if before is None or agent is None:
        return None
    return f"{kind} of {agent} of move {before.move} changed in step {moment.move}"


@moment_check(
    "observations-kept",
    FAULT,
    "arrays in observations stay as they were when later steps are played",
    "return a copy: whoever stores what reset() and step() gave stores the last step everywhere",
)
def observations_kept(moment: Moment) -> Findings:
    """An array that the env goes on writing into."""
    if why := _changed(moment, "observations"):
        yield why


@moment_check(
    "infos-kept",
    FAULT,
    "infos, masks among them, stay as they were when later steps are played",
    "return a fresh dict with copies: whoever stores masks stores the last one everywhere",
)
def infos_kept(moment: Moment) -> Findings:
    """A dict or array that the env goes on writing into."""
    if why := _changed(moment, "infos"):
        yield why
