"""One game of StarCraft II behind oxwhirl's code: launched late, replaced when it breaks, ended.

oxwhirl's env repairs a broken connection by itself, and then tells a lost battle, counts the
enemy's health twice or pays for units that were never there.  So its own repair, `full_restart`,
is taken away from the object that plays: it raises, and what broke is replaced here by a fresh
process with a fresh object.  The classes themselves stay as they are.
"""

from __future__ import annotations

import gc
import os
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from operator import attrgetter
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np

from . import install
from .leash import Leash

LOOPS = 400_000  # a game ends by itself after 2^19 = 524,288 loops
PATIENCE = 2000  # steps of the game in which a battle's units must have appeared
LOOKS = 4  # at units that vanished and are not among those that the game tells to have died
LONGEST_WAIT = 30.0  # seconds before another launch

T = TypeVar("T")


class GameLost(Exception):  # noqa: N818
    """The game broke, in an episode or before one began."""


class Moment(NamedTuple):
    """What a team sees: observations [N, O], state [S] float32, available actions [N, A] bool."""

    obs: np.ndarray
    state: np.ndarray
    available: np.ndarray


class Game:
    """A game that is there when it is needed; a subclass may say how a battle begins.

    make: a new env of oxwhirl's, not launched.  check: the build to be played; raises where
    something is missing.  timeout: seconds after which a silent game counts as broken.
    relaunches: in a row, without a whole episode between, before it is an error.  relaunch_after:
    moves after which the next episode begins in a new game.  sort_enemies: by type and place, as
    oxwhirl's env sorts the team.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        check: Callable[[], int],
        *,
        timeout: int = 60,
        relaunches: int = 5,
        relaunch_after: int = 50_000,
        sort_enemies: bool = False,
    ) -> None:
        self._make, self.check, self.sort_enemies = make, check, sort_enemies
        self.timeout, self.relaunches, self.relaunch_after = timeout, relaunches, relaunch_after
        self.launches = 0  # of processes, those that failed included
        self.lost = 0  # episodes that broke
        self.version = ""  # of the game, as it says itself
        self.max_reward: float | None = None  # of an episode, by which oxwhirl scales rewards
        self._running: list[Running] = []  # one, or none; the finalizer has the list, and not us
        self._finalizer = weakref.finalize(self, _end_all, self._running)
        self._seed: int | None = None
        self._of_seed = 0  # launches since the seed was given
        self._moves = 0  # made in the running game
        self._fresh: Moment | None = None  # the first after a launch, while nobody has moved
        self._failures = 0  # in a row
        self._error: BaseException | None = None  # the last of them
        self._gone: set[int] = set()  # tags of this battle's dead
        _GAMES.add(self)

    def begin(self, seed: int | None = None) -> Moment:
        """A new battle.  A seed is the game's from its launch on: another one costs a launch."""
        if seed is not None and not (seed == self._seed and self._fresh is not None):
            self.end()
            self._seed, self._of_seed, self.max_reward = seed, 0, None
        elif seed is not None and self._fresh is not None:
            return self._fresh
        elif self._moves >= self._budget():
            self.end()
        while True:
            self._wait()
            self._error = None  # its traceback holds this game
            with suppress(GameLost):
                return self._tried(self._battle)

    def move(self, actions: Sequence[int]) -> tuple[Moment, float, bool, dict[str, Any]]:
        """One joint action: (moment, reward, whether the battle is over, oxwhirl's info).

        GameLost where the game broke; nothing of it is left then, and `begin` launches another.
        """
        self._moves, self._fresh = self._moves + 1, None
        try:
            told = self._tried(lambda: self._moved(list(actions)))
        except GameLost:
            self.lost += 1
            raise
        if told[2]:
            self._failures = 0  # a whole episode
        return told

    def end(self) -> None:
        """End the process; the next battle launches another."""
        _end_all(self._running)
        self._fresh, self._moves = None, 0

    @property
    def inner(self) -> Any:
        """oxwhirl's StarCraft2Env; None where no game runs."""
        return self._running[0].inner if self._running else None

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._running[0].inner._sc2_proc.pid if self._running else None

    # -- what differs between SMAC and SMACv2 ---------------------------------------------

    def prepare(self, running: Running, seed: int | None) -> None:
        """Seed what is to be launched."""
        running.inner._seed = seed

    def draw(self, running: Running) -> tuple[Any, Any]:
        """Let a battle begin: what oxwhirl's reset returns."""
        return running.env.reset()

    def chance(self) -> AbstractContextManager[Any]:
        """What surrounds oxwhirl's code while it runs."""
        return nullcontext()

    # -- inside ---------------------------------------------------------------------------

    def _tried(self, work: Callable[[], T]) -> T:
        """What the work returns; where it fails the game is ended, and GameLost says why."""
        try:
            with self.chance():
                return work()
        except install.NotInstalled:
            self.end()
            raise
        except Exception as error:
            self.end()
            self._failures, self._error = self._failures + 1, error
            raise GameLost(f"{type(error).__name__}: {error}") from error
        except BaseException:  # Ctrl-C may have cut a message in two
            self.end()
            raise

    def _wait(self) -> None:
        """Longer after each failure; RuntimeError after too many."""
        if self._failures > self.relaunches:
            failures, self._failures = self._failures, 0
            raise RuntimeError(
                f"StarCraft II broke {failures} times without a whole episode between, the last "
                f"time by {type(self._error).__name__}: {self._error}; vdtoolkit doctor looks at "
                "the installation"
            ) from self._error
        if self._failures > 1:
            time.sleep(min(2.0 ** (self._failures - 2), LONGEST_WAIT))

    def _budget(self) -> int:
        """Moves that one process may play."""
        inner = self.inner
        step_mul = getattr(inner, "_step_mul", None) or 8
        return min(self.relaunch_after, LOOPS // step_mul)

    def _battle(self) -> Moment:
        launch = not self._running
        if launch:
            self._launch()
        running = self._running[0]
        running.waited = 0
        obs, state = self.draw(running)
        running.waited = None
        self._gone = set()
        self._refuse_gaps(running.inner)
        if launch:
            self._settle(running)
        if self.sort_enemies:
            sort_enemies(running.inner)
            obs, state = running.env.get_obs(), running.env.get_state()
        moment = self._seen(running, obs, state)
        self._fresh = moment if launch else None
        return moment

    def _launch(self) -> None:
        """A fresh env of oxwhirl's, which launches the game at its first reset."""
        self.check()
        seed = self._seed
        if seed is not None and self._of_seed:
            seed = int(np.random.SeedSequence([seed, self._of_seed]).generate_state(1)[0])
        self._of_seed, self.launches = self._of_seed + 1, self.launches + 1
        set_timeout(self.timeout)
        running = Running(self._make())
        self._running.append(running)
        self.prepare(running, seed)

    def _settle(self, running: Running) -> None:
        """After the first battle has begun: who it is, what it pays, and no second launch."""
        inner = running.inner
        self.version = running.version()
        if self.max_reward is None:
            health = sum(unit.health_max + unit.shield_max for unit in inner.enemies.values())
            self.max_reward = running.base_reward + health
        inner.max_reward = self.max_reward
        inner._episode_count = 1  # of 0 it would launch again, and count the health once more

    def _moved(self, actions: list[int]) -> tuple[Moment, float, bool, dict[str, Any]]:
        if not self._running:
            raise GameLost("its process has ended")
        running = self._running[0]
        reward, over, info = running.env.step(actions)
        if "battle_won" not in info:
            raise GameLost("oxwhirl's env has launched another")
        self._look_again(running.inner)
        moment = self._seen(running, running.env.get_obs(), running.env.get_state())
        return moment, float(reward), bool(over), info

    def _seen(self, running: Running, obs: Any, state: Any) -> Moment:
        return Moment(
            np.array(obs, np.float32),
            np.array(state, np.float32),
            np.array(running.env.get_avail_actions(), bool),
        )

    def _refuse_gaps(self, inner: Any) -> None:
        """A battle begins with everybody."""
        for units, n in ((inner.agents, inner.n_agents), (inner.enemies, inner.n_enemies)):
            alive = sum(unit.health > 0 for unit in units.values())
            if alive != n:
                raise GameLost(f"a battle began with {alive} of {n} units")

    def _look_again(self, inner: Any) -> None:
        """Whether who vanished has died: a game may show its units piecemeal.

        oxwhirl's env takes each unit that is not shown for dead, and pays for it.  Who is not in
        the game's own list of the dead is looked for again, and must not come back later either.
        """
        dead = {
            unit.tag
            for units in (inner.agents, inner.enemies)
            for unit in units.values()
            if unit.health == 0
        }
        if not self._gone <= dead:
            raise GameLost("units that were gone are back")
        doubtful = dead - self._gone - listed_dead(inner._obs)
        self._gone = dead
        for _ in range(LOOKS if doubtful else 0):
            shown = inner._controller.observe()
            doubtful -= listed_dead(shown)
            if any(unit.tag in doubtful for unit in shown.observation.raw_data.units):
                raise GameLost("the game did not show all of its units")


class Running:
    """A game that is launched, or is about to be: oxwhirl's env and the leash on its process."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.inner = vars(env).get("env", env)  # SMACv2's wrapper has it inside
        self.base_reward: float = self.inner.max_reward
        self.waited: int | None = None  # steps of the game while units are awaited
        self.leash: Leash | None = None
        self._oxwhirls_launch = self.inner._launch
        self.inner._launch = self._launch
        self.inner.full_restart = refuse_restart

    def _launch(self) -> None:
        self._oxwhirls_launch()
        self.leash = Leash(self.inner._sc2_proc.pid)
        # websocket-client, refused until the game listens, leaves the refusals in a cycle with all
        # frames up to the caller's: an env that is dropped without close() would live on in it
        gc.collect()
        controller = self.inner._controller
        step = controller.step

        def counted(count: int = 1) -> Any:
            if self.waited is not None:
                self.waited += 1
                if self.waited > PATIENCE:
                    raise GameLost(f"units did not appear in {PATIENCE} steps of the game")
            return step(count)

        controller.step = counted

    def version(self) -> str:
        """Of the game, as it says itself: '4.10.0 (Base75689)'."""
        told = self.inner._controller.ping()
        return f"{told.game_version} (Base{told.base_build})"

    def end(self) -> None:
        """Kill the process and clean up behind it."""
        process, self.inner._sc2_proc = self.inner._sc2_proc, None
        popen = getattr(process, "_proc", None)
        if popen is not None:  # pysc2 alone would ask first, and wait three seconds
            with suppress(Exception):
                popen.kill()
                popen.wait(10)
        if process is not None:
            with suppress(Exception):  # no parting words: it could not answer them
                process._controller._client._sock.shutdown()
            with suppress(Exception):
                process.close()
        if self.leash is not None:
            self.leash.let_go()
        # oxwhirl registers each env with atexit, which keeps it for ever: let it keep nothing
        vars(self.inner).clear()
        self.inner.renderer = self.inner._sc2_proc = None

    def disown(self) -> None:
        """In a fork: the game is the parent's, to be neither touched nor ended."""
        process, self.inner._sc2_proc = self.inner._sc2_proc, None
        if process is not None:
            _OTHERS.append((getattr(process, "_proc", None), getattr(process, "_controller", None)))
            process._proc = process._controller = process._port = None
            process._tmp_dir = ""
        if self.leash is not None:
            self.leash.disown()


def refuse_restart(*_: Any) -> NoReturn:
    """In place of oxwhirl's own repair."""
    raise GameLost("the connection to the game broke")


def sort_enemies(inner: Any) -> None:
    """Give enemies their indices by type and place; oxwhirl's env takes them as they come."""
    by = attrgetter("unit_type", "pos.x", "pos.y")
    inner.enemies = dict(enumerate(sorted(inner.enemies.values(), key=by)))
    if hasattr(inner, "obs_enemies"):  # SMACv2's, who has seen whom: by index, so once more
        inner.obs_enemies[:] = 0
        inner.enemy_tags = [None] * len(inner.enemies)


def listed_dead(shown: Any) -> set[int]:
    """Tags of the units of which the game says that they died since the last look."""
    return set(shown.observation.raw_data.event.dead_units)


def set_timeout(seconds: int) -> None:
    """Of pysc2, seconds for a launch and for an answer; it is a setting of the whole process."""
    with suppress(ImportError, AttributeError):
        from absl import flags

        if "sc2_timeout" in flags.FLAGS:  # pysc2 is there
            flags.FLAGS.sc2_timeout = seconds


_GAMES: weakref.WeakSet[Game] = weakref.WeakSet()
_OTHERS: list[Any] = []  # a fork's copies of its parent's games, kept so that nothing closes them


def _end_all(running: list[Running]) -> None:
    while running:
        running.pop().end()


def _disown_all() -> None:
    for game in list(_GAMES):
        for running in game._running:
            running.disown()
        game._running.clear()
        game._fresh, game._moves = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
