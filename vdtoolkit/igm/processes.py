"""The lab's work in several processes, and how far it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

import torch

from vdtoolkit.workers import end_with_parent

Task = TypeVar("Task")
Result = TypeVar("Result")
Progress = Callable[[int], None]  # moves made since the last call


def run_all(
    work: Callable[[Task, Progress], Result],
    todo: list[Task],
    jobs: int,
    progress: Progress,
    keep: Callable[[Task, Result], None],
) -> list[Result]:
    """`work(each, progress)` of all tasks, in so many processes; `keep` is told as each is done.

    work: a function of a module.  Processes are spawned, have one thread, do not outlive this one.
    """
    if jobs <= 1 or len(todo) <= 1:
        done = []
        for each in todo:
            done.append(work(each, progress))
            keep(each, done[-1])
        return done
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    pool = ProcessPoolExecutor(min(jobs, len(todo)), context, _start_worker, (queue,))
    futures = {pool.submit(_work, work, each): each for each in todo}
    left = dict(futures)
    try:
        for moves in _told(queue, list(futures)):
            progress(moves)
            for future in [f for f in left if f.done() and not f.exception()]:
                keep(left.pop(future), future.result())
        for future, each in left.items():
            keep(each, future.result())
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()
        if not all(future.done() for future in futures):  # one failed, or Ctrl-C
            for process in list(pool._processes.values()):
                process.terminate()
        pool.shutdown()


def _told(queue: Any, futures: list[Future[Any]]) -> Iterator[int]:
    """What workers put on the queue, until all are done or one has failed."""
    while not all(f.done() for f in futures) and not any(
        f.done() and f.exception() for f in futures
    ):
        while not queue.empty():
            yield queue.get()
        time.sleep(0.05)
    while not queue.empty():
        yield queue.get()


_queue: Any = None


def _start_worker(queue: Any) -> None:
    global _queue
    _queue = queue
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def _work(work: Callable[[Task, Progress], Result], each: Task) -> Result:
    return work(each, _queue.put)
