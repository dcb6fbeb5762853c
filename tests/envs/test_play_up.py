"""Envs born batched come back to the middle of their episodes: a resumed run needs it."""

import dataclasses
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

from vdtoolkit.envs import predator_prey_v0, skirmish_v0
from vdtoolkit.stream import VectorStream
from vdtoolkit.team import Team


def smax(**arguments):
    pytest.importorskip("jaxmarl", reason="needs vdtoolkit[smax]")
    from vdtoolkit.envs import smax_v0

    return smax_v0.parallel_env(**arguments)


CASES = {
    "predator_prey punished": partial(predator_prey_v0.parallel_env, max_cycles=9),
    "predator_prey stag hunt": partial(
        predator_prey_v0.parallel_env, form="stag_hunt", size=4, predators=3, prey=2, max_cycles=11
    ),
    "skirmish 3m": partial(skirmish_v0.parallel_env, "3m", max_cycles=17),
    "skirmish random teams": partial(skirmish_v0.parallel_env, "protoss_5v5", max_cycles=13),
    "smax 3m": partial(smax, max_cycles=12),
}
ENVS, MOVES = 5, 60


@pytest.fixture(params=["numba", "numpy"])
def engine(request, monkeypatch):
    if request.param == "numba":
        pytest.importorskip("numba", reason="needs vdtoolkit[fast]")
    else:
        monkeypatch.setenv("VDTOOLKIT_FAST", "0")


def wild(rng, available):
    """Random available actions."""
    return np.where(available, rng.random(available.shape), -1.0).argmax(-1)


def assert_same(one, other, rows=slice(None)):
    for field in ("obs", "state", "available", "alive", "reward", "terminated", "truncated"):
        a, b = getattr(one, field)[rows], getattr(other, field)[rows]
        np.testing.assert_array_equal(a, b, err_msg=field)


@pytest.mark.parametrize("name", CASES)
def test_played_up_to_any_moment_they_go_on_as_if_never_left(name, engine):
    make = CASES[name]
    if name.startswith("smax") and find_spec("jaxmarl") is None:
        pytest.skip("needs vdtoolkit[smax]")
    team, rng = Team.from_env(make()), np.random.default_rng(2)
    never_left = VectorStream(make().vector_env(ENVS), team)
    step = never_left.begin([3, 1, 4, 1, 5])
    played = [[] for _ in range(ENVS)]  # in the open episodes
    ended = 0
    for t in range(MOVES):
        if t % 3 == 0 or step.last.any():
            so_far = [
                None if over else np.array(own, np.int64).reshape(-1, *step.available.shape[1:2])
                for over, own in zip(step.last.tolist(), played, strict=True)
            ]
            back = VectorStream(make().vector_env(ENVS), team)
            taken_up = back.resume(never_left.bookmark(), so_far)
            seen = dataclasses.replace(step, reward=taken_up.reward)  # which is not told again
            assert_same(seen, taken_up, ~step.last)
            ended += int(step.last.sum())
        actions = wild(rng, step.available)
        step, other = never_left.step(actions), back.step(actions)
        assert_same(step, other)
        for e in range(ENVS):
            played[e] = [] if step.first[e] else [*played[e], actions[e]]
    assert ended > 0
