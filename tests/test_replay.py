"""The replay: whole episodes of any length in, padded batches of their own out."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from vdtoolkit.replay import EpisodeReplay
from vdtoolkit.step import Step, TeamSpec

N, A, O, S = 4, 5, 2, 3
SPEC = TeamSpec(n_agents=N, n_actions=A, obs_dim=O, state_dim=S)


def moment(tags, t, *, last=False, end="terminated", lost=False, rng=None):
    """Moment t of the episodes with these tags; every number in it tells tag and t."""
    E = len(tags)
    x = np.array([100 * tag + t for tag in tags], np.float32)
    last, lost = np.broadcast_to(last, E), np.broadcast_to(lost, E)
    available = np.ones((E, N, A), bool)
    available[:, 1, 0] = False
    alive = np.ones((E, N), bool)
    alive[:, 2] = t < 2
    return Step(
        obs=x[:, None, None] + np.arange(N * O, dtype=np.float32).reshape(N, O) / 10,
        state=x[:, None] + np.arange(S, dtype=np.float32) / 10,
        available=available,
        alive=alive,
        reward=np.where(t > 0, x / 1000, 0).astype(np.float32),
        first=np.full(E, t == 0),
        terminated=last & (end == "terminated"),
        truncated=last & (end == "truncated"),
        lost=lost.copy(),
    )


def moves(tags, t):
    """The moves made at moment t."""
    return np.array([[(tag + t + i) % A for i in range(N)] for tag in tags])


def record(replay, tag, length, end="terminated", lost=False):
    """One whole episode of E = 1."""
    replay.begin(moment([tag], 0))
    for t in range(length):
        over = t + 1 == length
        stored = replay.append(
            moves([tag], t), moment([tag], t + 1, last=over, end=end, lost=lost and over)
        )
        assert stored == (over and not lost)


def tags_of(replay):
    """Which episodes are held, by their first observation."""
    return [int(x) // 100 for x in replay.stored["obs"][: len(replay), 0, 0, 0]]


def rows_equal(a, b):
    """Two dicts of arrays are the same."""
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


# -- one episode ----------------------------------------------------------------------------


def test_what_is_recorded_comes_out_again():
    replay = EpisodeReplay(7, SPEC)
    record(replay, tag=1, length=3)
    batch = replay.batch(np.array([0]))
    T = 3
    steps = [moment([1], t, last=t == T) for t in range(T + 1)]
    for name in ("obs", "state", "available", "alive"):
        expected = np.stack([getattr(s, name) for s in steps], 1)
        assert np.array_equal(getattr(batch.view, name).numpy(), expected), name
    assert batch.view.obs.shape == (1, T + 1, N, O)
    assert batch.actions.shape == (1, T, N)
    assert np.array_equal(batch.actions.numpy(), np.stack([moves([1], t) for t in range(T)], 1))
    assert batch.reward.tolist() == [pytest.approx([0.101, 0.102, 0.103])]
    assert batch.terminated.tolist() == [[False, False, True]]
    assert batch.valid.tolist() == [[True] * T]
    kinds = [batch.view.obs.dtype, batch.actions.dtype, batch.reward.dtype, batch.valid.dtype]
    assert kinds == [torch.float32, torch.int64, torch.float32, torch.bool]


def test_a_time_limit_is_not_a_true_end():
    replay = EpisodeReplay(7, SPEC)
    record(replay, tag=1, length=3, end="truncated")
    batch = replay.batch(np.array([0]))
    assert not batch.terminated.any()
    assert batch.valid.all()
    assert batch.view.obs[0, 3, 0, 0] == 103  # what it bootstraps from


def test_an_open_episode_is_not_stored():
    replay = EpisodeReplay(7, SPEC)
    replay.begin(moment([1], 0))
    assert replay.append(moves([1], 0), moment([1], 1)) == 0
    assert len(replay) == 0
    record(replay, tag=2, length=1)  # begin() forgets it
    assert tags_of(replay) == [2]
    assert replay.batch(np.array([0])).valid.tolist() == [[True]]


# -- padding --------------------------------------------------------------------------------


def test_valid_is_written_once_and_the_last_moment_is_no_move():
    replay = EpisodeReplay(7, SPEC)
    for tag, length in ((1, 2), (2, 5), (3, 1)):
        record(replay, tag, length, end="truncated")
    batch = replay.batch(np.arange(3))
    expected = [[t < length for t in range(5)] for length in (2, 5, 1)]
    assert batch.valid.tolist() == expected
    assert replay.episode_length[:3].tolist() == [2, 5, 1]


def test_padding_is_zeros_and_keeps_action_0_available():
    replay = EpisodeReplay(7, SPEC)
    record(replay, tag=1, length=2)
    record(replay, tag=2, length=5)
    batch = replay.batch(np.arange(2))
    B, T = batch.valid.shape
    assert (B, T) == (2, 5)
    padding = batch.view[0, 3:]
    assert not padding.obs.any()
    assert not padding.state.any()
    assert not padding.alive.any()
    assert padding.available[..., 0].all()
    assert not padding.available[..., 1:].any()
    assert not batch.reward[0, 2:].any()
    assert not batch.actions[0, 2:].any()
    assert batch.terminated[0].tolist() == [False, True, False, False, False]
    assert batch.view.available.any(-1).all()


def test_a_slot_that_held_a_longer_episode_is_padded_anew():
    replay = EpisodeReplay(1, SPEC)
    record(replay, tag=1, length=6)
    record(replay, tag=2, length=2)
    longest = EpisodeReplay(1, SPEC)
    record(longest, tag=2, length=2)
    length = longest.length
    assert not replay.stored["obs"][0, 3:].any()
    assert not replay.stored["valid"][0, 2:].any()
    for name, values in longest.stored.items():
        assert np.array_equal(replay.stored[name][0, :length], values[0, :length]), name


def test_a_batch_is_cut_at_its_longest_episode():
    replay = EpisodeReplay(7, SPEC)
    for tag, length in ((1, 2), (2, 5), (3, 3)):
        record(replay, tag, length)
    batch = replay.batch(np.array([2, 0]))
    assert batch.valid.shape == (2, 3)
    assert batch.view.obs.shape == (2, 4, N, O)
    assert batch.view.obs[:, 0, 0, 0].tolist() == [300, 100]


# -- growth and capacity --------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9])
def test_episodes_of_any_length_fit(length):
    replay = EpisodeReplay(7, SPEC)
    record(replay, tag=1, length=1)
    record(replay, tag=2, length=length)
    record(replay, tag=3, length=2)
    batch = replay.batch(np.array([1]))
    assert batch.valid.tolist() == [[True] * length]
    assert batch.view.obs[0, :, 0, 0].tolist() == [200 + t for t in range(length + 1)]
    assert replay.batch(np.array([0])).view.obs[0, :, 0, 0].tolist() == [100, 101]


def test_the_number_of_episodes_grows_up_to_capacity():
    replay = EpisodeReplay(150, SPEC)
    for tag in range(140):
        record(replay, tag, length=1 + tag % 3)
    assert len(replay) == 140
    assert tags_of(replay) == list(range(140))
    assert len(replay.stored["valid"]) == 150


def test_at_capacity_the_oldest_go():
    replay = EpisodeReplay(3, SPEC)
    for tag in range(1, 6):
        record(replay, tag, length=tag)
    assert len(replay) == 3
    assert replay.n_added == 5
    assert tags_of(replay) == [4, 5, 3]
    assert replay.episode_length.tolist() == [4, 5, 3]


def test_many_that_end_at_once_wrap_around():
    replay, E = EpisodeReplay(5, SPEC), 3
    for first in (1, 4):
        tags = list(range(first, first + E))
        replay.begin(moment(tags, 0))
        assert replay.append(moves(tags, 0), moment(tags, 1, last=True)) == E
    assert len(replay) == 5
    assert tags_of(replay) == [6, 2, 3, 4, 5]


def test_more_at_once_than_capacity_keeps_the_last():
    replay = EpisodeReplay(2, SPEC)
    tags = [1, 2, 3, 4, 5]
    replay.begin(moment(tags, 0))
    replay.append(moves(tags, 0), moment(tags, 1, last=True))
    assert sorted(tags_of(replay)) == [4, 5]


# -- many environments ----------------------------------------------------------------------


def interleaved(replay, episodes, E):
    """Episodes (tag, length) dealt to E envs that play side by side; a row's end, then a first."""
    queues = [episodes[e::E] for e in range(E)]
    at = [(0, 0)] * E  # which of its queue, which moment
    replay.begin(cat([moment([q[0][0]], 0) for q in queues]))
    while any(k < len(q) for (k, _), q in zip(at, queues, strict=True)):
        actions, steps = [], []
        for e, queue in enumerate(queues):
            k, t = at[e]
            tag, length = queue[min(k, len(queue) - 1)]
            if k >= len(queue):  # has nothing left: begins again and again
                actions.append(moves([9], t))
                steps.append(moment([9], 0))
            elif t == length:
                actions.append(moves([tag], t))
                at[e] = (k + 1, 0)
                steps.append(moment([queue[k + 1][0] if k + 1 < len(queue) else 9], 0))
            else:
                actions.append(moves([tag], t))
                at[e] = (k, t + 1)
                steps.append(moment([tag], t + 1, last=t + 1 == length, end="truncated"))
        replay.append(np.concatenate(actions), cat(steps))


def cat(steps):
    return Step(
        **{f.name: np.concatenate([getattr(s, f.name) for s in steps]) for f in fields(Step)}
    )


@pytest.mark.parametrize("E", [1, 2, 3])
def test_episodes_played_side_by_side_are_those_played_one_by_one(E):
    episodes = [(1, 3), (2, 1), (3, 5), (4, 2), (5, 4), (6, 1), (7, 2)]
    one, many = EpisodeReplay(20, SPEC), EpisodeReplay(20, SPEC)
    for tag, length in episodes:
        record(one, tag, length, end="truncated")
    interleaved(many, episodes, E)
    assert len(many) == len(one) == 7
    by_tag = np.argsort(tags_of(many))
    assert np.array_equal(many.episode_length[by_tag], one.episode_length[:7])
    for name in one.stored:
        assert np.array_equal(many.stored[name][by_tag], one.stored[name][:7]), name


# -- lost episodes --------------------------------------------------------------------------


def test_a_lost_episode_is_dropped_and_counted():
    replay = EpisodeReplay(7, SPEC)
    record(replay, tag=1, length=2)
    record(replay, tag=2, length=3, lost=True)
    record(replay, tag=3, length=1)
    assert tags_of(replay) == [1, 3]
    assert (replay.n_lost, replay.n_added) == (1, 2)


def test_a_lost_row_does_not_touch_its_neighbours():
    replay = EpisodeReplay(7, SPEC)
    tags = [1, 2, 3]
    replay.begin(moment(tags, 0))
    ends = moment(tags, 1, last=True, lost=np.array([False, True, False]))
    assert replay.append(moves(tags, 0), ends) == 2
    assert tags_of(replay) == [1, 3]
    assert replay.n_lost == 1


# -- sampling -------------------------------------------------------------------------------


def test_a_sample_is_of_different_episodes_all_equally_likely():
    replay = EpisodeReplay(9, SPEC)
    for tag in range(5):
        record(replay, tag, length=1)
    rng, seen = np.random.default_rng(0), np.zeros(5)
    for _ in range(300):
        tags = replay.sample(3, rng).view.obs[:, 0, 0, 0].numpy().astype(int) // 100
        assert len(set(tags)) == 3
        seen[tags] += 1
    assert abs(seen - 180).max() < 45  # 5 sigma
    every = replay.sample(5, rng).view.obs[:, 0, 0, 0]
    assert sorted(every.tolist()) == [0, 100, 200, 300, 400]


def test_a_sample_is_decided_by_its_generator():
    replay = EpisodeReplay(9, SPEC)
    for tag in range(8):
        record(replay, tag, length=1 + tag % 2)
    a, b = (replay.sample(3, np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(a.view.obs, b.view.obs)


# -- state and memory -----------------------------------------------------------------------


def test_without_a_state_of_its_own_it_is_the_joint_observation_and_stored_once():
    spec = TeamSpec(N, A, O, N * O)
    replay = EpisodeReplay(7, spec, own_state=False)
    record(replay, tag=1, length=3)
    assert "state" not in replay.stored
    batch = replay.batch(np.array([0]))
    assert batch.view.state.shape == (1, 4, N * O)
    assert torch.equal(batch.view.state, batch.view.obs.reshape(1, 4, N * O))


def test_nothing_of_the_replay_is_the_users_memory():
    replay = EpisodeReplay(7, SPEC)
    first, after, actions = moment([1], 0), moment([1], 1, last=True), moves([1], 0)
    replay.begin(first)
    replay.append(actions, after)
    before = {name: values.copy() for name, values in replay.stored.items()}
    for step in (first, after):
        for field in fields(Step):
            getattr(step, field.name)[...] = 77
    actions[...] = 3
    assert rows_equal(replay.stored, before)
    assert rows_equal(replay.open, {k: v[:1] for k, v in before.items()})


def test_a_batch_is_a_copy():
    replay = EpisodeReplay(7, SPEC)
    record(replay, tag=1, length=2)
    record(replay, tag=2, length=2)
    before = {name: values.copy() for name, values in replay.stored.items()}
    batch = replay.batch(np.arange(2))
    for tensor in (*vars(batch.view).values(), batch.actions, batch.reward, batch.valid):
        tensor.zero_()
    assert rows_equal(replay.stored, before)
