"""predator_prey_v0 born batched: the episodes of the single env, wherever it is used."""

import pickle
from functools import partial

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import SyncVectorEnv, VectorEnv
from pettingzoo.utils import BaseParallelWrapper

from vdtoolkit import VDNAgents, evaluate, train
from vdtoolkit.envs import predator_prey_v0
from vdtoolkit.stream import VectorStream, stream
from vdtoolkit.team import Team
from vdtoolkit.team_env import TeamEnv

FORMS = {
    "punished": {},
    "punished, 4 and 2": {"size": 4, "predators": 4, "prey": 2, "max_cycles": 7},
    "stag hunt": {"form": "stag_hunt", "size": 6, "predators": 5, "prey": 3, "max_cycles": 30},
    "stag hunt, crowded": {"form": "stag_hunt", "size": 3, "predators": 4, "prey": 2},
    "stag hunt, one stag": {"form": "stag_hunt", "size": 3, "predators": 4, "prey": 1},
    "stag hunt, one move": {
        "form": "stag_hunt",
        "size": 2,
        "predators": 2,
        "prey": 1,
        "max_cycles": 1,
    },
    "stag hunt, far sight": {"form": "stag_hunt", "size": 4, "predators": 2, "sight": 4, "prey": 2},
}
every_form = pytest.mark.parametrize("arguments", FORMS.values(), ids=FORMS)
FIELDS = ("obs", "state", "available", "alive", "reward", "first", "terminated", "truncated")


def alone(arguments):
    """The same env without its vector form."""
    return Alone(**arguments)


class Alone(predator_prey_v0.raw_env):
    vector_env = None


def eager(rng, step):
    """Random available actions; the last, which catches, more often."""
    lots = np.where(step.available, rng.random(step.available.shape), -1.0)
    lots[..., -1] *= 3
    return lots.argmax(-1)


def assert_same(one, other, where):
    for field in FIELDS:
        a, b = getattr(one, field), getattr(other, field)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=f"{field} at move {where}")


@every_form
def test_it_plays_what_the_single_envs_play(arguments):
    make = partial(predator_prey_v0.parallel_env, **arguments)
    team = Team.from_env(make())
    many = VectorStream(make().vector_env(5), team)
    single = VectorStream(SyncVectorEnv([lambda: TeamEnv(make(), team)] * 5, copy=False), team)
    seeds, rng, ends = [3, 1, 4, 1, 5], np.random.default_rng(0), 0
    one, other = many.begin(seeds), single.begin(seeds)
    for t in range(250):
        assert_same(one, other, t)
        ends += int(one.last.sum())
        actions = eager(rng, one)
        one, other = many.step(actions), single.step(actions)
    assert ends >= 10


@every_form
def test_an_env_plays_the_same_whoever_is_beside_it(arguments):
    envs = [predator_prey_v0.PredatorPreyVectorEnv(n, **arguments) for n in (1, 4)]
    seen = [envs[0].reset(seed=[7])[0], envs[1].reset(seed=[1, 2, 7, 3])[0]]
    rng = np.random.default_rng(0)
    for _ in range(120):
        for key in seen[0]:
            np.testing.assert_array_equal(seen[0][key][0], seen[1][key][2])
        actions = rng.integers(0, 5, (4, seen[0]["alive"].shape[1]))
        told = envs[0].step(actions[2:3]), envs[1].step(actions)
        assert [part[0] for part in told[0][1:4]] == [part[2] for part in told[1][1:4]]
        seen = [told[0][0], told[1][0]]


def test_what_is_masked_out_is_played_as_stay_in_both():
    make = partial(predator_prey_v0.parallel_env, "stag_hunt", size=4, predators=3, prey=2)
    team = Team.from_env(make())
    many = VectorStream(make().vector_env(4), team)
    single = VectorStream(SyncVectorEnv([lambda: TeamEnv(make(), team)] * 4, copy=False), team)
    seeds, rng = [1, 2, 3, 4], np.random.default_rng(0)
    one, other = many.begin(seeds), single.begin(seeds)
    for t in range(150):
        assert_same(one, other, t)
        actions = rng.choice([1, 3, 5], (4, 3))
        one, other = many.step(actions), single.step(actions)


def test_an_integer_seeds_each_env_with_its_own():
    one, other = (predator_prey_v0.parallel_env().vector_env(3) for _ in range(2))
    assert data_equivalence(one.reset(seed=5), other.reset(seed=[5, 6, 7]))
    assert not data_equivalence(one.reset(seed=5), other.reset(seed=6))


def test_without_a_seed_play_goes_on_and_is_random():
    env = predator_prey_v0.parallel_env().vector_env(2)
    first, _ = env.reset()
    second, _ = env.reset()
    assert not data_equivalence(first, second)


def test_what_was_told_is_not_written_to_later():
    env = predator_prey_v0.parallel_env("stag_hunt", size=4, predators=3, prey=2).vector_env(3)
    seen, _ = env.reset(seed=0)
    kept = {key: value.copy() for key, value in seen.items()}
    for _ in range(5):
        env.step(np.zeros((3, 3), int))
    assert data_equivalence(seen, kept)


@every_form
def test_what_it_tells_is_in_its_spaces(arguments):
    env = predator_prey_v0.PredatorPreyVectorEnv(3, **arguments)
    seen, _ = env.reset(seed=0)
    for _ in range(60):
        assert env.observation_space.contains(seen)
        seen, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert reward.shape == terminated.shape == truncated.shape == (3,)
        assert not (terminated & truncated).any()


def test_seeds_for_episodes_go_to_rows_in_order():
    env = predator_prey_v0.parallel_env(max_cycles=2).vector_env(2)
    env.episodes = iter([11, 12, 13])
    seen, _ = env.reset()
    begun = [seen["state"][0], seen["state"][1]]
    for _ in range(3):
        seen, *_ = env.step(np.zeros((2, 2), int))
    begun += [seen["state"][0]]
    for state, seed in zip(begun, (11, 12, 13), strict=True):
        single = predator_prey_v0.parallel_env()
        single.reset(seed=seed)
        np.testing.assert_array_equal(state, single.state())


def test_a_stream_takes_it_where_it_tells_what_the_team_is_told():
    make = predator_prey_v0.parallel_env
    assert isinstance(stream(make, 3).envs, predator_prey_v0.PredatorPreyVectorEnv)
    assert stream(make, 3).envs.num_envs == 3
    assert isinstance(stream(make, "auto").envs, predator_prey_v0.PredatorPreyVectorEnv)
    summed = Team.from_env(make(), reward="sum")
    joint = Team.from_env(make(), state="joint")
    for team in (summed, joint):
        assert isinstance(stream(make, 3, team).envs, SyncVectorEnv)
    assert isinstance(stream(lambda: BaseParallelWrapper(make()), 3).envs, SyncVectorEnv)
    assert isinstance(stream(partial(alone, {}), 3).envs, SyncVectorEnv)


def test_the_vector_env_has_the_envs_arguments():
    env = predator_prey_v0.parallel_env("stag_hunt", size=7, predators=3, prey=2, max_cycles=9)
    many = env.vector_env(2)
    assert isinstance(many, VectorEnv)
    assert many.single_observation_space["obs"].shape == (3, 50)
    assert many.single_observation_space["state"].shape == (98,)
    many.reset(seed=0)
    for _ in range(9):
        *_, truncated, _ = many.step(np.zeros((2, 3), int))
    assert truncated.all()
    with pytest.raises(ValueError, match="num_envs=0: give a whole number from 1 on"):
        env.vector_env(0)


HUNT = {"form": "stag_hunt", "size": 5, "predators": 3, "prey": 2, "max_cycles": 20}
SMALL = {"batch_size": 4, "hidden_dim": 6, "seed": 0}


def trained(make, workers):
    """What a short training and an evaluation come to."""
    agents = VDNAgents(predator_prey_v0.parallel_env(**HUNT), **SMALL)
    metrics = train(agents, make, 400, n_envs=4, workers=workers, seed=3)
    told = evaluate(agents, make, 9, n_envs=2, seed=5, explore=True)
    return metrics, told.returns.tolist(), told.lengths.tolist()


def test_training_and_evaluation_are_those_of_single_envs():
    make = partial(predator_prey_v0.parallel_env, **HUNT)
    expected = trained(partial(alone, HUNT), 0)
    assert len(set(expected[1])) > 1
    assert trained(make, 0) == expected


def test_workers_play_the_same_each_its_share():
    make = partial(predator_prey_v0.parallel_env, **HUNT)
    pickle.loads(pickle.dumps(make))
    one, two = stream(make, 4, workers=0), stream(make, 4, workers=2)
    try:
        a, b, rng = one.reset(2), two.reset(2), np.random.default_rng(0)
        for t in range(60):
            assert_same(a, b, t)
            actions = eager(rng, a)
            a, b = one.step(actions), two.step(actions)
    finally:
        two.close()


def test_evaluation_counts_episodes_from_their_seeds_however_many_envs_play():
    make = partial(predator_prey_v0.parallel_env, **HUNT)
    agents = VDNAgents(make(), **SMALL)
    told = [evaluate(agents, make, 7, n_envs=n, seed=1).returns.tolist() for n in (1, 3, 7)]
    assert told[0] == told[1] == told[2]
