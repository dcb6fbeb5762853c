"""The environment under examination: made anew, played, and what was recorded of it."""

from __future__ import annotations

import dataclasses
import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import Any

import numpy as np

from vdtoolkit.checks.check import Skip
from vdtoolkit.checks.episode import STREAMS, Dice, Episode, one_line
from vdtoolkit.checks.moment import Moment

MOVES = 10_000  # an episode that is longer counts as endless
SECONDS = 8.0  # for the recording
REPLAY_MOVES, REPLAY_SECONDS = 1000, 2.0  # for each episode that is played again


class Subject:
    """A function that makes the env, what was recorded of a few episodes, and replays.

    env: one instance, never stepped by the checks.  episodes: the recording, light.  said: what
    PettingZoo's tests warned of, and which.
    """

    def __init__(self, env_fn: Callable[..., Any], episodes: int = 4, seed: int = 0) -> None:
        self.env_fn, self.n_episodes, self.seed = env_fn, episodes, seed
        self.env = env_fn()
        self.episodes: list[Episode] = []
        self.said: dict[str, str] = {}

    def record(self) -> Iterator[Moment]:
        """Play the episodes on one instance and yield every moment while it is whole."""
        with self.made() as env:
            for k in range(self.n_episodes):
                stream = STREAMS[k % len(STREAMS)]
                episode = Episode(
                    env,
                    self.seed + k,
                    Dice(stream, self.seed + k),
                    moves=MOVES,
                    seconds=SECONDS / self.n_episodes,
                )
                self.episodes.append(episode)
                for moment in episode:
                    yield moment
                    if moment.previous is not None:
                        moment.previous.forget()
                if episode.error or episode.malformed:
                    return

    @property
    def moments(self) -> Iterator[Moment]:
        """All moments recorded, light."""
        return (moment for episode in self.episodes for moment in episode.moments)

    @contextmanager
    def made(self, **arguments: Any) -> Iterator[Any]:
        """A new instance, closed afterwards; `Skip` where these arguments are not taken."""
        env = self.make(**arguments)
        try:
            yield env
        finally:
            with suppress(Exception):  # the check `closes` tells of it
                env.close()

    def make(self, **arguments: Any) -> Any:
        """A new instance, with arguments beside those that `env_fn` has of its own."""
        if not arguments:
            return self.env_fn()
        told = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
        own = getattr(self.env_fn, "arguments", None)
        make: Callable[..., Any] = partial(self.env_fn, **arguments)
        if dataclasses.is_dataclass(self.env_fn) and isinstance(own, dict):  # an EnvMaker
            maker: Any = self.env_fn
            make = dataclasses.replace(maker, arguments={**own, **arguments})
        else:
            try:
                inspect.signature(self.env_fn).bind(**arguments)
            except (TypeError, ValueError):
                raise Skip(f"the function that makes the env takes no {told}") from None
        try:
            return make()
        except (TypeError, ValueError) as error:
            unknown = "no such argument" in str(error) or "unexpected keyword" in str(error)
            why = "there is no such argument" if unknown else one_line(str(error), 100)
            raise Skip(f"the env cannot be made with {told}: {why}") from None

    def replay(
        self, seed: int | None, *, env: Any = None, moves: int = MOVES, seconds: float = SECONDS
    ) -> Episode:
        """One episode with random offered actions, always the same dice; on a new instance if
        none is given.
        """
        if env is None:
            with self.made() as env:
                return self.replay(seed, env=env, moves=moves, seconds=seconds)
        return Episode(env, seed, Dice(), moves=moves, seconds=seconds).play()

    @cached_property
    def base(self) -> Episode:
        """One seeded episode of a new instance under known global dice: what others equal."""
        with global_dice(1):
            return self.replay(self.seed, moves=REPLAY_MOVES, seconds=REPLAY_SECONDS)

    def parts(self, seed: int | None, *, env: Any = None, dice: int | None = 1) -> str | None:
        """Where an episode of this seed parts from `base`, None if nowhere; played up to there.

        dice: seeds the global generators.
        """
        if env is None:
            with self.made() as env:
                return self.parts(seed, env=env, dice=dice)
        with global_dice(dice):
            moves = self.base.length + 1
            again = Episode(env, seed, Dice(), moves=moves, seconds=2 * REPLAY_SECONDS)
            for moment, mine in zip(again, self.base.moments, strict=False):
                if where := _difference(mine, moment):
                    return where
                if moment.previous is not None:
                    moment.previous.forget()
        return difference(self.base, again)

    @cached_property
    def again(self) -> str | None:
        """Where the same seed on another instance parts, all else equal."""
        return self.parts(self.seed)

    @cached_property
    def varies(self) -> bool:
        """Whether some other seed gives another episode."""
        return any(self.parts(self.seed + k) is not None for k in range(1, 13))

    def need_repeats(self) -> None:
        """Skip what makes no sense where equal seeds give unlike episodes."""
        if not self.base.moments:
            raise Skip("no episode could be played")
        if self.again is not None:
            raise Skip("the same seed does not give the same episode")


def difference(one: Episode, other: Episode) -> str | None:
    """Where two episodes part first, as `observations of agent_0 at move 3`; None: nowhere."""
    if bool(one.error) != bool(other.error) and not (one.cut or other.cut):
        return f"an error: {one.error or other.error}"
    for mine, yours in zip(one.moments, other.moments, strict=False):
        if where := _difference(mine, yours):
            return where
    if one.whole and other.whole and one.length != other.length:
        return f"the length, {one.length} and {other.length} moves"
    return None


def _difference(mine: Moment, yours: Moment) -> str | None:
    for kind, agent in sorted({**mine.prints, **yours.prints}, key=_by_kind):
        if mine.prints.get((kind, agent)) != yours.prints.get((kind, agent)):
            whose = f" of {agent}" if agent else ""
            return f"{kind}{whose} at move {mine.move}"
    return None


def _by_kind(key: tuple[str, str]) -> tuple[int, str]:
    order = ("agents", "observations", "state", "infos", "rewards", "terminations", "truncations")
    return order.index(key[0]), key[1]


@contextmanager
def global_dice(seed: int | None = None) -> Iterator[None]:
    """Python's and NumPy's global generators as they were, afterwards; seeded meanwhile."""
    kept = random.getstate(), np.random.get_state()
    try:
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
