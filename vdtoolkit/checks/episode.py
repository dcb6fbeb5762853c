"""An episode being played and written down, as far as the environment lets us."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from pettingzoo import AECEnv, ParallelEnv

from vdtoolkit.checks.moment import KINDS, Moment, short, snapshot, truth

STREAMS = ("random", "first", "last")


class Dice:
    """Actions that the masks offer: at random, or always the first or the last one."""

    def __init__(self, stream: str = "random", seed: int = 0) -> None:
        self.stream = stream
        self.rng = np.random.default_rng(seed)
        self._spaces: dict[Any, Any] = {}

    def actions(self, moment: Moment) -> dict[Any, Any]:
        """One action for every agent in `env.agents`."""
        return {a: self.action(moment, a) for a in moment.after}

    def action(self, moment: Moment, agent: Any) -> Any:
        """One agent's; in its own space."""
        space = moment.env.action_space(agent)
        if not isinstance(space, Discrete):
            if agent not in self._spaces:  # a copy: the env's own dice stay as they are
                self._spaces[agent] = copy.deepcopy(space)
                self._spaces[agent].seed(int(self.rng.integers(2**31)))
            return self._spaces[agent].sample()
        choices = offered(moment.masks.get(agent), int(space.n))
        picks = {"first": 0, "last": len(choices) - 1}
        pick = picks.get(self.stream)
        pick = int(self.rng.integers(len(choices))) if pick is None else pick
        return int(choices[pick]) + int(space.start)


def offered(mask: Any, n: int) -> np.ndarray:
    """Indices of the actions that a mask offers; all of them where it makes no sense."""
    try:
        flags = np.asarray(mask).astype(bool).reshape(-1)
    except (TypeError, ValueError):
        return np.arange(n)
    good = mask is not None and flags.shape == (n,) and flags.any()
    return np.flatnonzero(flags) if good else np.arange(n)


class Episode:
    """Plays while it is iterated: yields each `Moment` and keeps it in `moments`.

    moves, seconds: where it is cut; `cut` says by which.  error: what reset or step raised, or
    returned in place of dicts (`malformed`).
    """

    def __init__(
        self,
        env: Any,
        seed: int | None,
        dice: Dice,
        *,
        moves: int = 1000,
        seconds: float = 3.0,
    ) -> None:
        self.env, self.seed, self.dice = env, seed, dice
        self.limit, self.seconds = moves, seconds
        self.moments: list[Moment] = []
        self.error: str | None = None
        self.malformed: str | None = None
        self.cut: str | None = None
        self.asked: dict[Any, Any] = {}

    def __iter__(self) -> Iterator[Moment]:
        start = time.perf_counter()
        moment = self._moment(None)
        while moment is not None:
            self.moments.append(moment)
            yield moment
            if self.over:
                return
            if moment.move >= self.limit or time.perf_counter() - start > self.seconds:
                self.cut = "moves" if moment.move >= self.limit else "seconds"
                return
            moment = self._moment(moment)

    def play(self) -> Episode:
        """The whole episode; only what is light of it is kept."""
        for moment in self:
            if moment.previous is not None:
                moment.previous.forget()
        return self

    @property
    def over(self) -> bool:
        """Whether the last moment left nobody to act."""
        last = self.moments[-1]
        return not set(last.after) - last.gone - last.ended

    @property
    def whole(self) -> bool:
        """Whether it was played to its end."""
        return bool(self.moments) and not (self.error or self.malformed or self.cut)

    @property
    def length(self) -> int:
        """Moves played."""
        return self.moments[-1].move if self.moments else 0

    @property
    def truncated(self) -> bool:
        """Whether its end was a truncation."""
        return any(map(truth, self.moments[-1].truncations.values()))

    def _moment(self, previous: Moment | None) -> Moment | None:
        """The next moment; None where the env broke, with `error` or `malformed` set."""
        asked: dict[Any, Any] = {}
        before: tuple[Any, ...] = ()
        changed: str | None = None
        what = f"reset(seed={self.seed})"
        try:
            if previous is None:
                told = self.env.reset() if self.seed is None else self.env.reset(seed=self.seed)
            else:
                before = tuple(self.env.agents)
                asked = self.asked = self.dice.actions(previous)
                what = f"step({short(asked)}) at move {previous.move + 1}"
                given = dict(asked)
                told = self.env.step(given)
                changed = None if given == asked else short(given)
            after = tuple(self.env.agents)
        except Exception as error:
            self.error = f"{what} raised {type(error).__name__}: {_first_line(error)}"
            return None
        kinds = ("observations", "infos") if previous is None else KINDS
        self.malformed = _malformed(what, told, kinds)
        if self.malformed:
            return None
        moment = Moment(
            env=self.env,
            move=0 if previous is None else previous.move + 1,
            before=before,
            after=after,
            gone=frozenset() if previous is None else previous.gone | previous.ended,
            asked=asked,
            told={k: dict(v) for k, v in zip(kinds, told, strict=True)},
            previous=previous,
            actions_changed=changed,
            **_state(self.env),
        )
        if previous is not None:
            previous.previous = None  # one back is all that is ever asked for
        return moment


def has_state(env: Any) -> bool:
    """Whether the env overrides PettingZoo's `state()`; wrappers are looked through."""
    state = getattr(type(getattr(env, "unwrapped", env)), "state", None)
    return state not in (None, ParallelEnv.state, AECEnv.state)


def _state(env: Any) -> dict[str, Any]:
    """What two calls of `state()` give, or what they raise."""
    if not has_state(env):
        return {}
    try:
        told = env.state()
        state = snapshot(told)
        return {"state_told": told, "state": state, "state_again": snapshot(env.state())}
    except Exception as error:
        return {"state_error": f"{type(error).__name__}: {_first_line(error)}"}


def _malformed(what: str, told: Any, kinds: tuple[str, ...]) -> str | None:
    """What is wrong with the shape of an answer, None where it is right."""
    wanted = f"({', '.join(kinds)})"
    if not isinstance(told, tuple) or len(told) != len(kinds):
        size = f" of {len(told)}" if isinstance(told, tuple | list) else ""
        return f"{what} returned a {type(told).__name__}{size}, not the dicts {wanted}"
    for kind, values in zip(kinds, told, strict=True):
        if not isinstance(values, dict):
            return f"{what} returned {kind} as {type(values).__name__} {short(values)}, not a dict"
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return one_line(lines[0]) if lines else "no message"


def one_line(text: str, limit: int = 200) -> str:
    """Text cut to one line's length."""
    return text if len(text) <= limit else text[: limit - 3] + "..."
