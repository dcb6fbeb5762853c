"""The replay: whole episodes of any length in, padded batches of their own out."""

import copy
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from teams import held, says

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
        won=np.zeros(E, np.float32),
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
    return [int(x) // 100 for x in held(replay)["obs"][:, 0, 0, 0]]


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
    assert replay.moves(np.arange(3)).tolist() == [2, 5, 1]


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
    replay = EpisodeReplay(2, SPEC)
    for tag, length in ((1, 6), (2, 2), (3, 3), (4, 4)):
        record(replay, tag, length)
    fresh = EpisodeReplay(2, SPEC)
    for tag, length in ((3, 3), (4, 4)):
        record(fresh, tag, length)
    assert rows_equal(held(replay), held(fresh))


def test_in_memory_time_comes_first():
    replay = EpisodeReplay(7, SPEC)
    for tag, length in ((1, 2), (2, 5), (3, 1)):
        record(replay, tag, length)
    batch = replay.batch(np.arange(3))
    for tensor in (*vars(batch.view).values(), batch.actions, batch.reward, batch.valid):
        assert tensor.transpose(0, 1).is_contiguous()
        assert not tensor.is_contiguous()


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


def test_at_capacity_the_oldest_go():
    replay = EpisodeReplay(3, SPEC)
    for tag in range(1, 6):
        record(replay, tag, length=tag)
    assert len(replay) == 3
    assert replay.n_added == 5
    assert tags_of(replay) == [3, 4, 5]
    assert replay.moves(np.arange(3)).tolist() == [3, 4, 5]


def test_many_that_end_at_once_wrap_around():
    replay, E = EpisodeReplay(5, SPEC), 3
    for first in (1, 4):
        tags = list(range(first, first + E))
        replay.begin(moment(tags, 0))
        assert replay.append(moves(tags, 0), moment(tags, 1, last=True)) == E
    assert len(replay) == 5
    assert tags_of(replay) == [2, 3, 4, 5, 6]


def test_more_at_once_than_capacity_keeps_the_last():
    replay = EpisodeReplay(2, SPEC)
    tags = [1, 2, 3, 4, 5]
    replay.begin(moment(tags, 0))
    replay.append(moves(tags, 0), moment(tags, 1, last=True))
    assert tags_of(replay) == [4, 5]


# -- bytes ----------------------------------------------------------------------------------

MOMENT = 4 * N * O + 4 * S + N * A + N + 4 + 1 + N  # bytes


def test_the_bytes_of_a_moment_are_those_of_its_final_types():
    assert EpisodeReplay(7, SPEC).moment_bytes == MOMENT
    small = replace(SPEC, obs_dtype=np.dtype(np.uint8), state_dtype=np.dtype(np.int16))
    assert EpisodeReplay(7, small).moment_bytes == MOMENT - 3 * N * O - 2 * S
    assert EpisodeReplay(7, SPEC, own_state=False).moment_bytes == MOMENT - 4 * S
    many = replace(SPEC, n_actions=257)
    assert EpisodeReplay(7, many).moment_bytes == MOMENT + 252 * N + 3 * N


def test_beyond_the_bytes_the_oldest_go():
    replay = EpisodeReplay(50, SPEC, max_bytes=13 * MOMENT)  # 12 moments and the padding
    for tag in (1, 2, 3):
        record(replay, tag, length=3)
    assert tags_of(replay) == [1, 2, 3]
    record(replay, tag=4, length=2)  # three moments: one episode makes room for them
    assert tags_of(replay) == [2, 3, 4]
    record(replay, tag=5, length=7)  # eight moments, one is free: two go
    assert tags_of(replay) == [4, 5]
    assert replay.moves(np.arange(2)).tolist() == [2, 7]
    expected = [[500 + t for t in range(8)], [400, 401, 402] + [0] * 5]
    assert held(replay)["obs"][::-1, :, 0, 0].tolist() == expected
    record(replay, tag=6, length=11)  # all twelve
    assert tags_of(replay) == [6]


def test_rows_are_used_again_before_new_ones_are_touched():
    replay = EpisodeReplay(3, SPEC)
    rng = np.random.default_rng(0)
    for tag in range(200):
        record(replay, tag, length=int(rng.integers(1, 5)), lost=tag % 7 == 0)
        replay.begin(moment([9], 0))  # forgotten
        replay.append(moves([9], 0), moment([9], 1))
    assert replay._fresh <= 1 + 4 * 5 + 2  # three stored and one more of 4 moves, one forgotten


def test_an_episode_that_alone_exceeds_the_bytes_is_refused():
    replay = EpisodeReplay(50, SPEC, max_bytes=6 * MOMENT)
    record(replay, tag=1, length=2)
    with says(
        ValueError,
        f"buffer_bytes={6 * MOMENT} holds 5 moments of this team ({MOMENT} bytes each), and the "
        "1 episode(s) in progress have more: raise it, play fewer environments at once, or make "
        "episodes or observations smaller",
    ):
        record(replay, tag=2, length=5)
    with says(
        ValueError,
        f"buffer_bytes={MOMENT} is too small: one moment of this team has {MOMENT} bytes, "
        "and the shortest episode two of them",
    ):
        EpisodeReplay(50, SPEC, max_bytes=MOMENT)


def test_a_full_replay_takes_the_bytes_of_its_arrays_and_no_more():
    """The sizes of a large team at 200 episodes; 5,000 of them are 1.6 GB."""
    pytest.importorskip("resource")
    code = """
import resource
import numpy as np
from vdtoolkit.replay import EpisodeReplay
from vdtoolkit.step import Step, TeamSpec

E, N, A, O, S, T = 1, 10, 14, 120, 250, 60
replay = EpisodeReplay(200, TeamSpec(N, A, O, S))
used = lambda: int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
no, zero = np.zeros(E, bool), np.zeros(E, np.float32)
def step(t):
    return Step(np.ones((E, N, O), np.float32), np.ones((E, S), np.float32),
                np.ones((E, N, A), bool), np.ones((E, N), bool), zero,
                no | (t == 0), no | (t == T), no, no)
before = used()
for episode in range(450):
    replay.begin(step(0))
    for t in range(1, T + 1):
        replay.append(np.ones((E, N), np.int64), step(t))
assert len(replay) == 200
arrays = 200 * (T * (4 * N * O + 4 * S + N * A + 2 * N + 5) + 4 * N * O + 4 * S + N * A + N)
print((used() - before) / arrays)
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads the process's size from /proc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.9 < float(done.stdout) < 1.2, done.stdout  # + pages of 2 MB and one episode in 200


def test_a_copy_has_what_was_written_and_goes_its_own_way():
    replay = EpisodeReplay(7, SPEC)
    for tag in (1, 2):
        record(replay, tag, length=2)
    other = copy.deepcopy(replay)
    record(other, tag=3, length=4)
    assert (tags_of(replay), tags_of(other)) == ([1, 2], [1, 2, 3])


# -- as plain data --------------------------------------------------------------------------


def test_what_is_stored_fills_another_replay():
    replay = EpisodeReplay(4, SPEC)
    for tag in range(1, 7):
        record(replay, tag, length=1 + tag % 3)
    told = replay.stored()
    assert told["moves"].tolist() == [1, 2, 3, 1]
    assert told["obs"][:, 0, 0].tolist() == [300, 301, 400, 401, 402, 500, 501, 502, 503, 600, 601]
    other = EpisodeReplay(4, SPEC)
    other.fill(told, replay.n_added)
    for tag in (7, 8):
        assert rows_equal(held(replay), held(other))
        record(replay, tag, length=5)
        record(other, tag, length=5)
    with says(ValueError, "4 episodes of 11 moments do not fit the replay"):
        EpisodeReplay(3, SPEC).fill(told, 6)


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
    for name, values in held(one).items():
        assert np.array_equal(held(many)[name][by_tag], values), name


# -- notes ----------------------------------------------------------------------------------


def test_a_note_of_each_move_is_stored_beside_it_where_that_is_asked_for():
    replay, plain = EpisodeReplay(7, SPEC, noted=True), EpisodeReplay(7, SPEC)
    notes = np.arange(24, dtype=np.float32).reshape(3, 2, N)  # [T, E, N]
    for kept in (replay, plain):
        kept.begin(moment([1, 2], 0))
        for t in range(3):
            last = np.array([t == 2, t >= 1])
            step = moment([1, 2], t + 1, last=last)
            step.first[1] = t == 2
            kept.append(moves([1, 2], t), step, notes[t])
    batch = replay.batch(np.arange(2))  # 2 was over first
    assert np.array_equal(batch.note[0, :2], notes[:2, 1])
    assert not batch.note[0, 2].any(), "padding"
    assert np.array_equal(batch.note[1], notes[:, 0])
    assert plain.batch(np.arange(2)).note is None
    again = EpisodeReplay(7, SPEC, noted=True)
    again.fill(replay.stored(), replay.n_added)
    assert torch.equal(again.batch(np.arange(2)).note, batch.note)


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
    assert "state" not in replay.columns
    batch = replay.batch(np.array([0]))
    assert batch.view.state.shape == (1, 4, N * O)
    assert torch.equal(batch.view.state, batch.view.obs.reshape(1, 4, N * O))


def test_nothing_of_the_replay_is_the_users_memory():
    replay = EpisodeReplay(7, SPEC)
    first, after, actions = moment([1], 0), moment([1], 1, last=True), moves([1], 0)
    replay.begin(first)
    replay.append(actions, after)
    before = held(replay)
    for step in (first, after):
        for field in fields(Step):
            getattr(step, field.name)[...] = 77
    actions[...] = 3
    assert rows_equal(held(replay), before)


def test_a_batch_is_a_copy():
    replay = EpisodeReplay(7, SPEC)
    record(replay, tag=1, length=2)
    record(replay, tag=2, length=2)
    before = held(replay)
    batch = replay.batch(np.arange(2))
    for tensor in (*vars(batch.view).values(), batch.actions, batch.reward, batch.valid):
        tensor.zero_()
    assert rows_equal(held(replay), before)
