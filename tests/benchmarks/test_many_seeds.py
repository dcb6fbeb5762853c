"""The benchmark of many seeds times the same work both ways."""

import time
from concurrent.futures import Future

from benchmarks import seeds


class Here:
    """A pool that does its work at once and knows what it was given."""

    def __init__(self):
        self.given = []

    def submit(self, work, part):
        self.given.append((work, len(part), {job.moves for job in part}))
        done = Future()
        done.set_result(None)
        return done


def test_alone_is_timed_before_and_after_the_batch_and_scaled_to_all_seeds(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))  # a second a look
    pool = Here()
    alone, together = seeds.compared(pool, "vdn", 64, seeds=20, alone=8)
    one_by_one = (seeds.one_after_another, 2, {64})
    assert pool.given[2:] == [
        *[one_by_one] * 2,
        *[(seeds.as_one, 10, {64})] * 2,
        *[one_by_one] * 2,
    ]
    assert (alone, together) == (2.0 * 20 / 8, 1.0)


def test_both_ways_train_every_seed():
    todo = seeds.jobs("vdn", range(2), 64)
    assert seeds.one_after_another(todo) == seeds.as_one(todo) == 2
