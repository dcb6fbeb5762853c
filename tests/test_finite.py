"""Finite games: optimal values by hand, and fast play that is the env's own."""

import copy
from collections import Counter
from functools import partial

import numpy as np
import pytest
from gymnasium.utils import EzPickle
from pettingzoo import ParallelEnv
from pettingzoo.utils.wrappers import BaseParallelWrapper
from teams import Relay, Rooms, says

from vdtoolkit.envs import hidden_payoff_v0, matrix_game_v0, two_step_v0
from vdtoolkit.envs._finite import FiniteGame, unit_box
from vdtoolkit.episode import TeamEpisode
from vdtoolkit.finite import FiniteStream, is_finite, joint_actions, optimal_q, step_of
from vdtoolkit.team import Team

NAN = np.nan


def solved(env, gamma):
    return optimal_q(env.unwrapped, gamma, Team.from_env(env))


# -- what a finite game is ------------------------------------------------------------------


def test_games_that_know_their_model_are_finite_wrapped_or_not():
    assert is_finite(matrix_game_v0.parallel_env("climbing"))
    assert is_finite(BaseParallelWrapper(two_step_v0.parallel_env()))
    assert not is_finite(Relay())


def test_a_finite_game_need_not_be_ours():
    class Coin(ParallelEnv):
        possible_agents = ("a",)
        time_limit = None

        def initial_states(self):
            return [(1.0, "s")]

        def states(self):
            return ["s"]

        def model(self, state, joint_action):
            return [(1.0, 2.0, None)]

        def view(self, state):
            return {}, {}, np.zeros(1)

    assert is_finite(Coin())
    del Coin.view
    assert not is_finite(Coin())


def test_joint_actions_come_in_the_order_of_the_payoff():
    available = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]], bool)
    expected = [[0, 1, 0], [0, 1, 1], [2, 1, 0], [2, 1, 1]]
    assert joint_actions(available).tolist() == expected
    everything = joint_actions(np.ones((2, 3), bool))
    assert everything.tolist() == [[i, j] for i in range(3) for j in range(3)]


def test_the_moment_of_a_state_is_what_the_env_shows_there():
    env = Rooms()
    team = Team.from_env(env)
    for state in env.states():
        step = step_of(team, env, state)
        observations, infos, global_state = env.view(state)
        assert np.array_equal(step.obs[0], team.encode_obs(observations))
        assert np.array_equal(step.available[0], team.encode_available(observations, infos))
        assert np.array_equal(step.state[0], global_state)
        assert step.first[0]
    cell = step_of(team, env, "cell").available[0].astype(int)
    assert cell.tolist() == [[0, 1, 0], [0, 1, 1]]


# -- optimal values -------------------------------------------------------------------------


def test_a_one_shot_game_is_worth_its_payoff():
    climbing = np.array([[11, -30, 0], [-30, 7, 6], [0, 0, 5]], float)
    for name in ("climbing", "climbing_stochastic"):
        assert solved(matrix_game_v0.parallel_env(name), 0.9)["start"] == pytest.approx(climbing)


def test_the_two_step_game_at_gamma_99():
    q = solved(two_step_v0.parallel_env(), 0.99)
    assert q["1"].tolist() == [[6.93, 6.93], [7.92, 7.92]]
    assert q["2A"].tolist() == [[7, 7], [7, 7]]
    assert q["2B"].tolist() == [[0, 1], [1, 8]]


def test_a_repeated_game_is_worth_its_best_entry_for_ever():
    """Q*(u) = R(u) + gamma max R / (1 - gamma): time limits are no part of the model."""
    payoff = np.array([[1.0, 2.0, 3.0], [4.0, -5.0, 6.0]])
    for gamma in (0.0, 0.5, 0.9):
        for observation in ("constant", "last"):
            env = matrix_game_v0.parallel_env(payoff, max_cycles=4, observation=observation)
            q = solved(env, gamma)
            for state in env.states():
                assert q[state] == pytest.approx(payoff + gamma * 6 / (1 - gamma), abs=1e-6)


def test_losses_for_ever_are_solved_as_well():
    payoff = np.array([[-1.0, -4.0], [-2.0, -3.0]])
    q = solved(matrix_game_v0.parallel_env(payoff, max_cycles=4), 0.5)
    assert q["start"] == pytest.approx(payoff - 1.0, abs=1e-8)


def test_masked_joint_actions_have_no_value_and_chance_is_averaged():
    """At gamma 1/2, h = 3 + (c + 3 h) / 8 and c = max(1 + h / 2, 8): h = 6.4, c = 8."""
    q = solved(Rooms(), 0.5)
    hall = np.array([[0, 1, 2], [1, 2, 3]]) + 0.5 * (0.25 * 8 + 0.75 * 6.4)
    assert q["hall"] == pytest.approx(hall)
    assert q["cell"] == pytest.approx(np.array([[NAN] * 3, [NAN, 4.2, 8.0]]), nan_ok=True)


def test_a_coin_that_is_not_seen_makes_two_states_of_unlike_payoff():
    env = hidden_payoff_v0.parallel_env()
    q = solved(env, 0.99)
    assert [q[state].tolist() for state in env.states()] == [
        [[10, 8, 5], [8, 6, 3], [5, 3, 0]],
        [[0, 3, 5], [3, 6, 8], [5, 8, 10]],
    ]


def test_without_discounting_play_must_end():
    assert solved(two_step_v0.parallel_env(), 1.0)["1"].tolist() == [[7, 7], [8, 8]]


def test_without_discounting_play_for_ever_is_refused(monkeypatch):
    monkeypatch.setattr("vdtoolkit.finite.range", lambda n: range(n // 100_000), raising=False)
    with says(ValueError, "value iteration did not converge: with gamma = 1 play must end"):
        solved(matrix_game_v0.parallel_env("xor", max_cycles=4), 1.0)


def test_a_team_that_adds_up_its_rewards_is_paid_the_models_reward_by_every_agent():
    for make in (Rooms, partial(matrix_game_v0.parallel_env, "climbing")):
        env = make()
        mean, total = Team.from_env(env), Team.from_env(env, reward="sum")
        for state, q in optimal_q(env, 0.5, mean).items():
            assert optimal_q(env, 0.5, total)[state] == pytest.approx(2 * q, nan_ok=True)
        episode = TeamEpisode(total)
        episode.start(*env.reset(seed=0), env.state())
        by_hand = episode.advance(*env.step({"agent_0": 1, "agent_1": 1}), env.state()).reward
        envs = FiniteStream(env, 9, total)
        envs.reset()
        assert by_hand[0] > 0
        assert by_hand[0] in envs.step(np.ones((9, 2), np.int64)).reward


# -- fast play ------------------------------------------------------------------------------


def uniform(available, rng):
    """A random available action [E, N] for each agent."""
    return np.where(available, rng.random(available.shape), -1).argmax(-1)


def transitions_of_the_env(env, moves, seed):
    """How often (obs, actions, reward, next obs, terminated, truncated) came about."""
    team, rng, seen = Team.from_env(env), np.random.default_rng(seed), Counter()
    episode, starts = TeamEpisode(team), Counter()
    step, first_seed = None, seed
    for _ in range(moves):
        if step is None or step.last[0]:
            observations, infos = env.reset(seed=first_seed)
            first_seed = None
            step = episode.start(observations, infos, env.state())
            starts[step.state.tobytes()] += 1
        actions = uniform(step.available, rng)[0]
        before = step
        step = episode.advance(*env.step(team.decode(actions, episode.acting)), env.state())
        seen[_key(before, actions, step, 0)] += 1
    return seen, starts


def transitions_of_the_stream(env, moves, seed, n_envs=7):
    stream, rng, seen = FiniteStream(env, n_envs), np.random.default_rng(seed), Counter()
    step, starts = stream.reset(seed), Counter()
    for _ in range(moves):
        if seen.total() >= moves:
            break
        for e in np.flatnonzero(step.first):
            starts[step.state[e].tobytes()] += 1
        actions = uniform(step.available, rng)
        before, step = step, stream.step(actions)
        for e in np.flatnonzero(~step.first):
            seen[_key(before, actions[e], step, e)] += 1
    return seen, starts


def _key(before, actions, step, e):
    """A true end shows the env's last state, the stream's zeros: only others are compared."""
    ended = bool(step.terminated[e])
    after = b"" if ended else step.obs[e].tobytes() + step.available[e].tobytes()
    return (
        before.obs[e].tobytes(),
        tuple(actions.tolist()),
        float(step.reward[e]),
        after,
        ended,
        bool(step.truncated[e]),
    )


def assert_same_frequencies(a, b):
    """Counts of two samples differ by no more than 5 sigma in any of their kinds."""
    total_a, total_b = a.total(), b.total()
    for kind in a.keys() | b.keys():
        p = (a[kind] + b[kind]) / (total_a + total_b)
        sigma = (p * (1 - p) * (1 / total_a + 1 / total_b)) ** 0.5
        assert abs(a[kind] / total_a - b[kind] / total_b) < 5 * sigma + 1e-9, kind


@pytest.mark.parametrize(
    "make",
    [
        Rooms,
        lambda: matrix_game_v0.parallel_env("climbing_stochastic"),
        lambda: matrix_game_v0.parallel_env("xor", max_cycles=3, observation="last"),
        two_step_v0.parallel_env,
        hidden_payoff_v0.parallel_env,
    ],
)
def test_the_stream_plays_as_the_env_does(make):
    env_moves, env_starts = transitions_of_the_env(make(), 1500, seed=1)
    moves, starts = transitions_of_the_stream(make(), 3000, seed=2)
    assert_same_frequencies(env_moves, moves)
    assert_same_frequencies(env_starts, starts)


def test_a_time_limit_truncates_and_shows_the_state_that_was_reached():
    stream = FiniteStream(matrix_game_v0.parallel_env("xor", max_cycles=3, observation="last"), 2)
    step = stream.reset()
    flags = []
    for _ in range(8):
        before = step
        step = stream.step(np.array([[0, 1], [1, 1]]))
        flags.append((bool(step.first[0]), bool(step.truncated[0]), bool(step.terminated[0])))
        if not step.first[0]:
            assert step.state.tolist() == [[1, 0, 0, 1], [0, 1, 0, 1]]
            assert step.reward.tolist() == [0, 1]
            assert step.alive.all()
        else:
            assert before.last.all()
            assert not step.state.any()
            assert not step.reward.any()
    on, end, new = (False, False, False), (False, True, False), (True, False, False)
    assert flags == [on, on, end, new, on, on, end, new]


def test_a_true_end_comes_before_the_limit_when_both_fall_on_one_move():
    stream = FiniteStream(Rooms(max_cycles=1), 30)
    step = stream.reset(seed=0)
    cell = step.state[:, 1] == 1
    assert 0 < cell.sum() < 30
    ends = stream.step(np.array([[1, 2]] * 30))
    assert ends.last.all()
    assert np.array_equal(ends.terminated, cell)
    assert np.array_equal(ends.truncated, ~cell)
    assert not ends.alive[cell].any()
    assert ends.alive[~cell].all()
    assert ends.available.any(-1).all()


def test_equal_seeds_are_equal_runs_and_each_env_has_dice_of_its_own():
    def run(seed, n_envs=3):
        stream, rng = FiniteStream(Rooms(), n_envs), np.random.default_rng(5)
        step, out = stream.reset(seed), []
        for _ in range(40):
            # the same lots for all rows, so that envs differ by their own dice alone
            lots = rng.random((1, *step.available.shape[1:]))
            step = stream.step(np.where(step.available, lots, -1).argmax(-1))
            out.append([step.obs.copy(), step.reward.copy(), step.first.copy(), step.last.copy()])
        return out

    def same(a, b):
        return all(
            np.array_equal(x, y)
            for p, q in zip(a, b, strict=True)
            for x, y in zip(p, q, strict=True)
        )

    assert same(run(1), run(1))
    assert not same(run(1), run(2))
    many, one = run(1), run(1, n_envs=1)
    assert same([[x[:1] for x in moment] for moment in many], one)
    assert not same([[x[:1] for x in m] for m in many], [[x[1:2] for x in m] for m in many])


def test_visits_count_the_joint_actions_that_were_played():
    stream = FiniteStream(two_step_v0.parallel_env(), 2)
    stream.reset()
    stream.step(np.array([[1, 0], [0, 1]]))
    stream.step(np.array([[1, 1], [0, 0]]))  # ends both
    stream.step(np.array([[1, 1], [1, 1]]))  # is ignored: new episodes begin
    stream.step(np.array([[1, 0], [1, 1]]))
    assert stream.visits("1").tolist() == [[0, 1], [2, 1]]
    assert stream.visits("2A").tolist() == [[1, 0], [0, 0]]
    assert stream.visits("2B").tolist() == [[0, 0], [0, 1]]


def test_a_step_is_not_changed_by_the_next():
    stream, rng = FiniteStream(Rooms(), 3), np.random.default_rng(0)
    steps = [stream.reset(seed=3)]
    before = [copy.deepcopy(vars(steps[0]))]
    for _ in range(9):
        steps.append(stream.step(uniform(steps[-1].available, rng)))
        before.append(copy.deepcopy(vars(steps[-1])))
    for step, kept in zip(steps, before, strict=True):
        assert step.won is None  # no finite game speaks of winning
        del kept["won"]
        assert all(np.array_equal(getattr(step, name), kept[name]) for name in kept)


def test_a_joint_action_too_large_for_an_int64_is_told_apart_all_the_same():
    """20 agents of 10 actions: 10^20 joint actions, which a table or an index could not hold."""

    class Crowd(Rooms):
        def __init__(self):
            EzPickle.__init__(self)
            FiniteGame.__init__(self, (10,) * 20, [unit_box(1)] * 20, unit_box(1))

        def states(self):
            return ["hall"]

        def initial_states(self):
            return [(1.0, "hall")]

        def model(self, state, joint_action):
            return [(1.0, float(joint_action[0]) + 100 * joint_action[-1], None)]

        def available(self, state):
            return [np.ones(10, bool)] * 20

        def observations(self, state):
            return [np.ones(1)] * 20

        def global_state(self, state):
            return np.ones(1)

    stream = FiniteStream(Crowd(), 3)
    stream.reset()
    actions = np.zeros((3, 20), np.int64)
    actions[:, 0], actions[:, -1] = (9, 8, 9), (0, 7, 1)
    assert stream.step(actions).reward.tolist() == [9, 708, 109]
