"""AgileRL's vector env over our environments: masks, unlike agents, death."""

from functools import partial

import numpy as np
import pytest
from bridges.tools import needs
from bridges.watch import Watch
from teams import Rooms

from vdtoolkit.envs import hidden_payoff_v0, matrix_game_v0, two_step_v0

pytestmark = needs("agilerl")

GAMES = {
    "matrix_game": partial(matrix_game_v0.parallel_env, "climbing", max_cycles=5),
    "two_step": two_step_v0.parallel_env,
    "hidden_payoff": hidden_payoff_v0.parallel_env,
}


def play(make, moves, choose):
    """Two processes for so many moves: what the last step told, and how many rows ended."""
    from agilerl.vector.pz_async_vec_env import AsyncPettingZooVecEnv

    envs = AsyncPettingZooVecEnv([make, make])
    try:
        seen, infos = envs.reset(seed=3)
        ended = 0
        for _ in range(moves):
            told = envs.step({agent: choose(agent, infos) for agent in envs.agents})
            seen, rewards, terminated, truncated, infos = told
            ended += sum(
                int((np.nan_to_num(terminated[a]) + np.nan_to_num(truncated[a]) > 0).sum())
                for a in terminated
            )
        return seen, rewards, infos, ended
    finally:
        envs.close()


def first_allowed(agent, infos):
    return infos[agent]["action_mask"].argmax(-1)


@pytest.mark.parametrize("game", GAMES)
def test_games_play_in_processes_and_masks_arrive(game):
    seen, rewards, infos, ended = play(GAMES[game], 10, first_allowed)
    plain = GAMES[game]()
    for agent in plain.possible_agents:
        assert seen[agent].shape == (2, *plain.observation_space(agent).shape)
        assert infos[agent]["action_mask"].shape == (2, plain.action_space(agent).n)
    np.testing.assert_array_equal(rewards["agent_0"], rewards["agent_1"])
    assert ended >= 4


def test_unlike_agents_and_their_masks():
    _, _, infos, ended = play(Rooms, 30, first_allowed)  # Rooms raises on a masked-out action
    assert infos["agent_0"]["action_mask"].shape == (2, 2)
    assert infos["agent_1"]["action_mask"].shape == (2, 3)
    assert ended >= 4


def test_the_dead_are_not_numbers():
    seen, rewards, _, _ = play(Watch, 3, lambda agent, infos: np.zeros(2, int))
    assert np.isnan(rewards["guard_0"]).all()
    assert np.isfinite(rewards["guard_2"]).all()
    assert seen["guard_2"].shape == (2, 5)


def test_ippo_cannot_read_masks():
    from agilerl.algorithms import IPPO

    env = matrix_game_v0.parallel_env("climbing")
    names = env.possible_agents
    spaces = [env.observation_space(a) for a in names], [env.action_space(a) for a in names]
    learner = IPPO(*spaces, agent_ids=names)
    observations, infos = env.reset()
    rows = {agent: seen[None] for agent, seen in observations.items()}
    with pytest.raises(ValueError, match="truth value of an array with more than one element"):
        learner.get_action(rows, infos)
    actions = learner.get_action(rows)[0]
    assert set(actions) == set(names)
