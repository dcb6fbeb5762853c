"""SMACv2's game: teams and places drawn for each battle, and by the seed.

oxwhirl's wrapper draws them from generators that nothing seeds, and observations from Python's and
NumPy's global ones.  Here all of them follow the seed, and the global ones are left as they were.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .game import Game, Running

DRAWS = 3  # of a battle in one game, where its units cannot be placed


class Dice:
    """Global generators of a game's own: they are exchanged while oxwhirl's code runs."""

    def __init__(self, seed: int | None) -> None:
        python, numpy, self._fresh = np.random.SeedSequence(seed).spawn(3)
        self._python = random.Random(int(python.generate_state(1)[0])).getstate()
        self._numpy = np.random.RandomState(int(numpy.generate_state(1)[0])).get_state()
        self._own = np.random.default_rng(self._fresh)
        self._rolling = False

    def seed(self, distribution: Any) -> None:
        """Give a distribution, and those inside it, generators that follow the seed."""
        for name, value in list(vars(distribution).items()):
            if isinstance(value, np.random.Generator):
                setattr(distribution, name, self._child())
            elif type(value).__module__ == type(distribution).__module__:
                self.seed(value)

    @contextmanager
    def rolled(self) -> Iterator[None]:
        """With this game's generators in place of the global ones, once however often asked."""
        if self._rolling:
            yield
            return
        python, numpy, default = random.getstate(), np.random.get_state(), np.random.default_rng

        def followed(seed: Any = None) -> np.random.Generator:
            return default(seed) if seed is not None else self._own

        random.setstate(self._python)
        np.random.set_state(self._numpy)
        np.random.default_rng = followed  # type: ignore[assignment]
        self._rolling = True
        try:
            yield
        finally:
            self._rolling = False
            self._python, self._numpy = random.getstate(), np.random.get_state()
            random.setstate(python)
            np.random.set_state(numpy)
            np.random.default_rng = default

    def _child(self) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(self._fresh.spawn(1)[0]))


class CapabilityGame(Game):
    """A game whose battles oxwhirl's `StarCraftCapabilityEnvWrapper` draws."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dice = Dice(None)

    def prepare(self, running: Running, seed: int | None) -> None:
        """Seed the game and all that is drawn."""
        super().prepare(running, seed)
        self._dice = Dice(seed)
        for distribution in running.env.env_key_to_distribution_map.values():
            self._dice.seed(distribution)

    def draw(self, running: Running) -> tuple[Any, Any]:
        """A battle of teams and places drawn anew; another where units cannot be placed.

        The wrapper's own reset returns nothing after its first failure, and has no end of them.
        """
        with self._dice.rolled():
            for left in reversed(range(DRAWS)):
                drawn: dict[str, Any] = {}
                for distribution in running.env.env_key_to_distribution_map.values():
                    drawn |= distribution.generate()
                try:
                    return running.inner.reset(drawn)
                except Exception as error:
                    if type(error).__name__ != "CannotResetException" or not left:
                        raise
                    running.waited = 0
        raise AssertionError

    def chance(self) -> Any:
        """The game's own dice."""
        return self._dice.rolled()
