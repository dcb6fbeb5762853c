"""One moment of an episode as the environment told it, and what is compared of it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

KINDS = ("observations", "rewards", "terminations", "truncations", "infos")
Prints = dict[tuple[str, str], bytes]


@dataclass
class Moment:
    """What `reset` (move 0) or `step` returned, with who acted and who lives on.

    before, after: `env.agents` before and after.  gone: who had ended before this move.
    told: by kind, the dicts as they were returned; after later steps their arrays may have
    changed.  kept: copies of them, made at once.  state_told: what `state()` returned; state: a
    copy of it; state_again: a copy of a second call's.  asked: the actions as they were passed.
    """

    env: Any
    move: int
    before: tuple[Any, ...]
    after: tuple[Any, ...]
    gone: frozenset[Any]
    asked: dict[Any, Any]
    told: dict[str, dict[Any, Any]]
    previous: Moment | None = None
    actions_changed: str | None = None
    state_told: Any = None
    state: Any = None
    state_again: Any = None
    state_error: str | None = None
    kept: dict[str, dict[Any, Any]] = field(init=False)
    prints: Prints = field(init=False)
    masks: dict[Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.kept = {kind: snapshot(values) for kind, values in self.told.items()}
        self.prints = {
            (kind, str(agent)): fingerprint(value)
            for kind, values in self.kept.items()
            for agent, value in values.items()
        }
        self.prints["state", ""] = fingerprint(self.state)
        self.prints["agents", ""] = fingerprint(list(map(str, self.after)))
        infos = self.infos
        self.masks = {}
        for agent in {**self.observations, **infos}:
            mask = observation_mask(self.observations.get(agent))
            mask = info_mask(infos.get(agent)) if mask is None else mask
            if mask is not None:
                self.masks[agent] = mask

    def __getattr__(self, name: str) -> dict[Any, Any]:
        """`moment.rewards` and the other dicts: the copies; empty where reset returns none."""
        if name in KINDS:
            return self.kept.get(name, {})
        raise AttributeError(name)

    @cached_property
    def flagged(self) -> set[Any]:
        """Who is terminated or truncated in this move."""
        return {a for a, flag in self.terminations.items() if truth(flag)} | {
            a for a, flag in self.truncations.items() if truth(flag)
        }

    @cached_property
    def ended(self) -> set[Any]:
        """Who acted and ended in this move: by a flag, or gone from `env.agents`."""
        return {a for a in self.before if a in self.flagged or a not in self.after}

    def changed(self, kind: str) -> Any:
        """The first agent whose part of this dict is no longer as it was told; None: all are."""
        for agent, value in self.told.get(kind, {}).items():
            if fingerprint(value) != self.prints[kind, str(agent)]:
                return agent
        return None

    def forget(self) -> None:
        """Let go of the heavy part: long episodes of images would not fit."""
        self.told, self.kept = {}, {k: v for k, v in self.kept.items() if k != "observations"}
        self.state = self.state_told = self.state_again = self.previous = None


def snapshot(value: Any) -> Any:
    """A copy that later steps cannot change; the value itself where it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def truth(flag: Any) -> bool:
    """What a flag says, whatever it is."""
    if isinstance(flag, bool):
        return flag
    try:
        return bool(np.any(flag))
    except Exception:
        return False


def fingerprint(value: Any) -> bytes:
    """A digest that is equal for equal plain data; of other objects only their type counts."""
    digest = hashlib.blake2b(digest_size=12)
    _feed(digest, value)
    return digest.digest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        digest.update(f"{array.dtype}{array.shape}".encode())
        if array.dtype == object:
            for item in array.ravel():
                _feed(digest, item)
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            digest.update(f"[{key}]".encode())
            _feed(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"{type(value).__name__}{len(value)}".encode())
        for item in value:
            _feed(digest, item)
    elif isinstance(value, set | frozenset):
        _feed(digest, sorted(map(str, value)))
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes):
        digest.update(f"{type(value).__name__}:{value!r};".encode())
    else:
        digest.update(type(value).__name__.encode())


def observation_mask(observation: Any) -> Any:
    """The mask by PettingZoo's first custom, `observation["action_mask"]`; None without."""
    return observation.get("action_mask") if isinstance(observation, Mapping) else None


def info_mask(info: Any) -> Any:
    """The mask by the second, `infos[agent]["action_mask"]`; None without."""
    return info.get("action_mask") if isinstance(info, Mapping) else None


def short(value: Any, limit: int = 60) -> str:
    """A value as it goes into one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
