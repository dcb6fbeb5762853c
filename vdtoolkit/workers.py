"""Environments spread over worker processes: shared arrays, one small message each way a step.

A worker plays its share of the E environments, a stream like any other, and writes its rows of
the `Step` into memory that all share.  Workers never see torch.  One that dies, raises or hangs is
started again: its open episodes are lost, the others go on untouched.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from gymnasium.vector.utils import CloudpickleWrapper

from vdtoolkit.step import Step
from vdtoolkit.team import Team
from vdtoolkit.team_env import CannotComeBackError

RETRIES = 3  # restarts in a row, no episode completed between, before it counts as a bug
RESET, STEP, CLOSE, DONE = b"reset", b"step", b"close", b"done"
RESUME = b"resume "  # and places as JSON
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PLAYED = ("obs", "state", "available", "alive", "reward", "terminated", "truncated", "lost", "won")

Layout = dict[str, tuple[tuple[int, ...], np.dtype]]


class WorkerError(RuntimeError):
    """A worker process that fails again and again; the text has its last words."""


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerStream:
    """E environments in k processes as a stream of `Step`s.

    make(n): a stream of n environments that begins from seeds given one by one; it travels by
    cloudpickle.  timeout: seconds that a vector step may take, starting a process included.
    Environment e is seeded from (seed, e), after its worker's r-th restart from (seed, e, r).
    """

    def __init__(
        self,
        make: Callable[[int], Any],
        n_envs: int,
        workers: int,
        team: Team,
        timeout: float = 600.0,
    ) -> None:
        self.team, self.n_envs, self.timeout = team, n_envs, timeout
        self.n_restarts = 0  # of all workers since the start
        self._seed = 0
        self._episodes = np.full(n_envs, -1)  # which of its episodes each env plays
        self._sent = False  # and not yet received
        layout = _layout(team, n_envs)
        context = mp.get_context("spawn")  # a fork would copy locks that torch's threads hold
        # freed when the last process that maps it ends, whatever becomes of this one
        memory = context.RawArray("b", sum(_size(*entry) for entry in layout.values()))
        self._arrays = _views(memory, layout)
        self._over = np.ones(n_envs, bool)
        self._workers: list[_Worker] = []
        bounds = np.linspace(0, n_envs, min(workers, n_envs) + 1).astype(int)
        try:
            for low, high in pairwise(bounds.tolist()):
                share = CloudpickleWrapper(partial(make, high - low))
                job = (share, memory, layout, low, high)
                self._workers.append(_Worker(context, job))
        except BaseException:
            self.close()
            raise

    def reset(self, seed: int = 0) -> Step:
        """E new episodes."""
        if self._sent:
            self.receive()
        self._seed = seed
        self._arrays["seeds"][:] = np.random.SeedSequence(seed).generate_state(self.n_envs)
        for worker in self._workers:
            worker.fresh, worker.restarts, worker.failures = True, 0, 0
        self._over = np.ones(self.n_envs, bool)
        self._episodes = np.full(self.n_envs, -1)
        return self.step(np.zeros_like(self._arrays["actions"]))

    def send(self, actions: np.ndarray) -> None:
        """Play on; actions [E, N], ignored where the last was `last`.  Returns at once."""
        if not self._workers:
            raise RuntimeError("the stream is closed, its worker processes are gone: make another")
        self._arrays["actions"][:] = actions
        for worker in self._workers:
            worker.tell(RESET if worker.fresh else STEP)
        self._sent = True

    def receive(self) -> Step:
        """The moment that the actions sent led to."""
        deadline = time.monotonic() + self.timeout
        for worker in self._workers:
            failure = worker.answer(deadline)
            if failure is None:
                worker.fresh = False
            else:
                self._replace(worker, *failure)
        self._sent = False
        told = {name: self._arrays[name].copy() for name in PLAYED}
        if np.isnan(told["won"]).all():
            del told["won"]
        step = Step(first=self._over, **told)
        self._over = step.last
        self._episodes += step.first & ~step.last
        whole = step.last & ~step.lost
        if whole.any():
            for worker in self._workers:
                if whole[worker.rows].any():
                    worker.failures = 0
        return step

    def bookmark(self) -> dict[str, Any]:
        """Each env's seed, which of its episodes it plays, and how often it was started again."""
        restarts = np.zeros(self.n_envs, np.int64)
        for worker in self._workers:
            restarts[worker.rows] = worker.restarts
        each = {"seeds": self._arrays["seeds"], "episodes": self._episodes, "restarts": restarts}
        plain = {name: values.tolist() for name, values in each.items()}
        return {**plain, "seed": self._seed, "n_restarts": self.n_restarts}

    def resume(self, bookmark: dict[str, Any], actions: Sequence[np.ndarray | None]) -> Step | None:
        """Play open episodes up to where they were, each worker its own."""
        told = {name: bookmark[name] for name in ("seeds", "episodes")}
        # of a run that was played without workers so far there are no restarts
        restarts = np.array(bookmark.get("restarts", [0] * self.n_envs), np.int64)
        if {len(restarts), *map(len, told.values())} != {self.n_envs}:
            raise ValueError(f"{len(restarts)} environments were saved, here are {self.n_envs}")
        self._seed, self.n_restarts = bookmark.get("seed", 0), bookmark.get("n_restarts", 0)
        self._arrays["seeds"][:] = told["seeds"]
        self._episodes = np.array(told["episodes"], np.int64)
        plain = [None if played is None else played.tolist() for played in actions]
        places = list(zip(told["seeds"], told["episodes"], plain, strict=True))
        for worker in self._workers:
            worker.restarts = int(restarts[worker.rows].max())
            worker.tell(RESUME + json.dumps(places[worker.rows]).encode())
        deadline = time.monotonic() + self.timeout
        failures = [worker.answer(deadline) for worker in self._workers]
        for failure in filter(None, failures):
            if not isinstance(failure[0], CannotComeBackError):
                self.close()
            raise failure[0] or WorkerError(f"a worker process did not resume: {failure[1]}")
        for worker in self._workers:
            worker.fresh = False
        self._over = np.array([played is None for played in actions])
        seen = {name: self._arrays[name].copy() for name in PLAYED}
        return Step(first=np.zeros(self.n_envs, bool), **seen)

    @property
    def n_workers(self) -> int:
        """Processes at work."""
        return len(self._workers)

    def step(self, actions: np.ndarray) -> Step:
        """The next moment of every episode: `send`, then `receive`."""
        self.send(actions)
        return self.receive()

    def close(self) -> None:
        """End all workers; those that do not end by themselves within 5 s are killed."""
        for worker in self._workers:
            worker.tell(CLOSE)
        deadline = time.monotonic() + 5.0
        for worker in self._workers:
            worker.end(max(0.0, deadline - time.monotonic()))
        self._workers = []

    def _replace(self, worker: _Worker, error: BaseException | None, words: str) -> None:
        """Start a worker that failed again and lose its episodes, or give up."""
        worker.end(0.0)
        worker.failures += 1
        worker.restarts += 1
        n = worker.rows.stop - worker.rows.start
        if worker.failures > RETRIES:
            self.close()
            told = WorkerError(
                f"a worker process with {n} of the {self.n_envs} environments failed "
                f"{worker.failures} times without completing an episode; at last:\n\n{words}"
            )
            if error is None:
                raise told
            raise error from told
        last = words.strip().splitlines()[-1]
        warnings.warn(
            f"{n} environments are started again, their open episodes lost: {last}",
            RuntimeWarning,
            stacklevel=4,
        )
        self.n_restarts += 1
        for e in range(worker.rows.start, worker.rows.stop):
            seeds = np.random.SeedSequence(self._seed, spawn_key=(e, worker.restarts))
            self._arrays["seeds"][e] = seeds.generate_state(1)[0]
            self._episodes[e] = -1
        self._lose(worker.rows)
        worker.start()

    def _lose(self, rows: slice) -> None:
        """What is told of episodes that broke: nothing to see, all over."""
        for name in PLAYED:
            self._arrays[name][rows] = 0
        self._arrays["available"][rows] = self.team.owned
        self._arrays["won"][rows] = np.nan
        self._arrays["terminated"][rows] = self._arrays["lost"][rows] = True


class _Worker:
    """One process and the pipe to it, as the parent sees them."""

    def __init__(self, context: Any, job: tuple[Any, ...]) -> None:
        self._context, self._job = context, job
        self.rows = slice(*job[-2:])
        self.failures = 0  # in a row, no episode completed between
        self.restarts = 0  # since the last reset
        self.start()

    def start(self) -> None:
        self.fresh = True  # to be told to reset, not to step
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=_work, args=(theirs, *self._job), daemon=True, name="vdtoolkit-worker"
        )
        try:
            with _launching():
                self._process.start()
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise TypeError(
                f"env_fn cannot be sent to worker processes ({error}): let it make all that its "
                "env needs, or play with workers=0"
            ) from error
        finally:
            theirs.close()

    def tell(self, what: bytes) -> None:
        with suppress(OSError):  # it is dead: answer() will find out
            self._pipe.send_bytes(what)

    def answer(self, deadline: float) -> tuple[BaseException | None, str] | None:
        """None when it is done, else what went wrong: its exception, if any, and in words."""
        left = deadline - time.monotonic()
        ready = wait([self._pipe, self._process.sentinel], max(0.0, left))
        if not ready:
            return None, "it gave no answer in time: an environment hangs (timeout=)"
        with suppress(EOFError, OSError):
            if self._pipe in ready or self._pipe.poll():
                answer = self._pipe.recv_bytes()
                return None if answer == DONE else _understood(answer)
        self._process.join(5.0)
        return None, f"it died with exit code {self._process.exitcode}"

    def end(self, patience: float) -> None:
        self._process.join(patience)
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _understood(answer: bytes) -> tuple[BaseException | None, str]:
    error, words = pickle.loads(answer)
    with suppress(Exception):  # of a kind that this process does not know
        return pickle.loads(error), words
    return None, words


# -- in the worker ------------------------------------------------------------------------------


def _work(
    pipe: Connection, make: CloudpickleWrapper, memory: Any, layout: Layout, low: int, high: int
) -> None:
    """Play environments low to high until told to close."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        arrays = {name: array[low:high] for name, array in _views(memory, layout).items()}
        envs: Any = make.fn()
        while (told := pipe.recv_bytes()) != CLOSE:
            if told == RESET:
                step = envs.begin(arrays["seeds"].tolist())
            elif told.startswith(RESUME):
                places = json.loads(told.removeprefix(RESUME))
                places = [(s, k, a if a is None else np.array(a)) for s, k, a in places]
                try:
                    step = envs.play_up(places)
                except CannotComeBackError as error:
                    pipe.send_bytes(_last_words(error))
                    continue
            else:
                step = envs.step(arrays["actions"])
            for name in PLAYED:
                value = getattr(step, name)
                arrays[name][:] = np.nan if value is None else value
            pipe.send_bytes(DONE)
        envs.close()
    except (EOFError, BrokenPipeError):
        return  # the parent is gone
    except BaseException as error:
        pipe.send_bytes(_last_words(error))


def _last_words(error: BaseException) -> bytes:
    """The traceback, and the error itself where it can be pickled."""
    words = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    with suppress(Exception):
        return pickle.dumps((pickle.dumps(error), words))
    return pickle.dumps((b"", words))


def end_with_parent() -> None:
    """In a thread of its own: even a worker that hangs does not outlive its parent."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# -- what both sides know -----------------------------------------------------------------------


def _layout(team: Team, n_envs: int) -> Layout:
    """Name -> shape and dtype of every shared array."""
    spec = team.spec
    n = spec.n_agents
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "obs": ((n, spec.obs_dim), spec.obs_dtype),
        "state": ((spec.state_dim,), spec.state_dtype),
        "available": ((n, spec.n_actions), bool),
        "alive": ((n,), bool),
        "reward": ((), np.float32),
        "terminated": ((), bool),
        "truncated": ((), bool),
        "lost": ((), bool),
        "won": ((), np.float32),
        "actions": ((n,), np.int64),
        "seeds": ((), np.uint32),
    }
    return {name: ((n_envs, *shape), np.dtype(kind)) for name, (shape, kind) in shapes.items()}


def _size(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of an array, up to whole cache lines."""
    return -(-int(np.prod(shape)) * dtype.itemsize // 64) * 64


def _views(memory: Any, layout: Layout) -> dict[str, np.ndarray]:
    arrays, start = {}, 0
    for name, (shape, dtype) in layout.items():
        n = int(np.prod(shape))
        arrays[name] = np.frombuffer(memory, dtype, n, start).reshape(shape)
        start += _size(shape, dtype)
    return arrays


@contextmanager
def _launching() -> Iterator[None]:
    """What a process that is started here begins with: one thread, and not the user's script.

    multiprocessing would import the script again in every worker, torch with it; cloudpickle
    carries what is defined there.
    """
    script, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        sys.modules["__main__"] = script
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
