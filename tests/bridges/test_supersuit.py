"""SuperSuit's wrappers and vector bridges over our environments, and our agents behind them."""

from functools import partial

import numpy as np
import pytest
import supersuit
from bridges.watch import Watch
from pettingzoo.test import parallel_api_test
from teams import Rooms, says

from vdtoolkit import ALGORITHMS, BlackDeath, QMIXAgents, evaluate, train
from vdtoolkit.envs import hidden_payoff_v0, matrix_game_v0, two_step_v0

GAMES = {
    "matrix_game": partial(matrix_game_v0.parallel_env, "climbing", max_cycles=5),
    "two_step": two_step_v0.parallel_env,
    "hidden_payoff": hidden_payoff_v0.parallel_env,
}

WRAPPERS = {
    "agent_indicator_v0": supersuit.agent_indicator_v0,
    "clip_reward_v0": partial(supersuit.clip_reward_v0, lower_bound=-1, upper_bound=1),
    "delay_observations_v0": partial(supersuit.delay_observations_v0, delay=2),
    "dtype_v0": partial(supersuit.dtype_v0, dtype="float64"),
    "flatten_v0": supersuit.flatten_v0,
    "frame_skip_v0": partial(supersuit.frame_skip_v0, num_frames=2),
    "frame_stack_v1": partial(supersuit.frame_stack_v1, stack_size=3),
    "max_observation_v0": partial(supersuit.max_observation_v0, memory=2),
    "nan_noop_v0": partial(supersuit.nan_noop_v0, no_op_action=0),
    "nan_random_v0": supersuit.nan_random_v0,
    "nan_zeros_v0": supersuit.nan_zeros_v0,
    "normalize_obs_v0": partial(supersuit.normalize_obs_v0, env_min=0, env_max=1),
    "observation_lambda_v0": partial(
        supersuit.observation_lambda_v0, change_observation_fn=lambda seen, space: seen
    ),
    "action_lambda_v1": partial(
        supersuit.action_lambda_v1,
        change_action_fn=lambda action, space: action,
        change_space_fn=lambda space: space,
    ),
    "reward_lambda_v0": partial(supersuit.reward_lambda_v0, change_reward_fn=lambda r: r / 2),
    "pad_action_space_v0": supersuit.pad_action_space_v0,
    "pad_observations_v0": supersuit.pad_observations_v0,
    "reshape_v0": None,  # needs the size: below
    "sticky_actions_v0": partial(supersuit.sticky_actions_v0, repeat_action_probability=0.3),
}


def wrap(name, env):
    if name == "reshape_v0":
        return supersuit.reshape_v0(env, (1, *env.observation_space("agent_0").shape))
    return WRAPPERS[name](env)


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("game", GAMES)
def test_a_wrapped_game_is_lawful_and_keeps_masks_and_state(game, name):
    env = wrap(name, GAMES[game]())
    parallel_api_test(env, num_cycles=30)
    observations, infos = env.reset(seed=3)
    assert env.state() in env.state_space
    for agent in env.possible_agents:
        assert observations[agent] in env.observation_space(agent)
        assert infos[agent]["action_mask"].tolist() == [1] * env.action_space(agent).n


@pytest.mark.parametrize("name", WRAPPERS)
def test_our_agents_learn_behind_each_wrapper(name):
    def make():
        return wrap(name, two_step_v0.parallel_env())

    agents = QMIXAgents(make(), seed=0, batch_size=4, hidden_dim=8)
    train(agents, make, moves=24, n_envs=3)
    assert agents.updates > 0
    assert np.isfinite(evaluate(agents, make, 2).mean)


# -- vector bridges -------------------------------------------------------------------------


@pytest.mark.parametrize("game", GAMES)
def test_the_vector_bridges_play_every_agent_as_a_row(game):
    env = GAMES[game]()
    rows = supersuit.pettingzoo_env_to_vec_env_v1(env)
    envs = supersuit.concat_vec_envs_v1(rows, 3, base_class="gymnasium")
    assert (rows.num_envs, envs.num_envs) == (2, 6)
    seen, _ = envs.reset(seed=2)
    assert seen.shape == (6, *env.observation_space("agent_0").shape)
    ended = 0
    for _ in range(6):
        seen, rewards, terminated, truncated, infos = envs.step(np.zeros(6, int))
        assert np.ptp(rewards.reshape(3, 2), axis=1).max() == 0  # both rows of a team
        assert all(np.all(info["action_mask"] == 1) for info in infos)
        ended += int((terminated | truncated).sum())
    envs.close()
    assert ended >= 6


def test_the_vector_bridge_wants_agents_that_are_alike():
    with pytest.raises(AssertionError, match="pad_observations"):
        supersuit.pettingzoo_env_to_vec_env_v1(Rooms())


# -- unlike agents, death -------------------------------------------------------------------


def padded(make, black_death=supersuit.black_death_v3):
    """Padding, then an agent indicator, then black death, then a stack of frames."""
    env = supersuit.pad_observations_v0(make())
    env = supersuit.agent_indicator_v0(env)
    return supersuit.frame_stack_v1(black_death(env), 2)


@pytest.mark.parametrize(
    ("black_death", "length"),
    [(supersuit.black_death_v3, Watch.moves + 1), (BlackDeath, Watch.moves)],
)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_our_agents_learn_behind_padding_indicator_black_death_and_frame_stack(
    algorithm, black_death, length
):
    make = partial(padded, Watch, black_death)
    env = make()
    sizes = {env.observation_space(a).shape for a in env.possible_agents}
    assert sizes == {(2 * (5 + 3),)}
    agents = ALGORITHMS[algorithm](env, seed=0, batch_size=4, hidden_dim=8)
    train(agents, make, moves=60, n_envs=3)
    assert agents.updates > 0
    assert evaluate(agents, make, 3).lengths.tolist() == [length] * 3


def test_behind_our_black_death_a_dying_team_passes_the_vector_bridge():
    env = BlackDeath(supersuit.pad_observations_v0(Watch()))
    rows = supersuit.pettingzoo_env_to_vec_env_v1(env)
    envs = supersuit.concat_vec_envs_v1(rows, 2, base_class="gymnasium")
    envs.reset(seed=0)
    ends = [envs.step(np.zeros(6, int))[2].all() for _ in range(2 * Watch.moves)]
    envs.close()
    assert np.flatnonzero(ends).tolist() == [Watch.moves - 1, 2 * Watch.moves - 1]


def test_black_death_keeps_the_dead_as_rows_of_zeros():
    env = padded(Watch)
    env.reset(seed=0)
    for _ in range(3):
        seen, rewards, _, _, _ = env.step(dict.fromkeys(env.agents, 0))
    assert set(seen) == set(env.possible_agents)
    assert not seen["guard_0"][8:].any()
    assert rewards["guard_0"] == 0


def test_released_black_death_plays_one_move_too_many():
    env = supersuit.black_death_v3(two_step_v0.parallel_env())
    env.reset()
    for _ in range(2):
        _, _, terminated, truncated, _ = env.step(dict.fromkeys(env.agents, 0))
    assert not any(terminated.values()) and not any(truncated.values())  # though the game is over
    with says(
        RuntimeError, "step() after the end of the episode: call reset() to start an episode"
    ):
        env.step(dict.fromkeys(env.agents, 0))


def test_released_black_death_cannot_tell_an_end_from_a_time_limit():
    env = padded(Watch)
    env.reset()
    while env.agents:
        _, _, terminated, truncated, _ = env.step(dict.fromkeys(env.agents, 0))
    assert set(terminated.values()) == set(truncated.values()) == {True}


def test_padded_actions_leave_the_masks_behind_and_our_team_says_so():
    def make():
        return supersuit.pad_action_space_v0(Rooms())

    text = "agent 'agent_0': action_mask has shape (2,), its 3 actions need (3,)"
    with says(ValueError, text):
        evaluate(QMIXAgents(make(), seed=0), make, 1)


def test_unlike_agents_need_no_padding_of_supersuits():
    def make():
        return supersuit.frame_stack_v1(Rooms(), 2)

    agents = QMIXAgents(make(), seed=0, batch_size=4, hidden_dim=8)
    train(agents, make, moves=40, n_envs=2)
    assert agents.updates > 0
