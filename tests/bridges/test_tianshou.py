"""Tianshou's PettingZoo wrapper over our AEC faces: turns, rewards, whose masks it reads."""

from functools import partial

import numpy as np
import pytest
from bridges.tools import needs
from pettingzoo.utils.conversions import parallel_to_aec
from teams import Rooms

from vdtoolkit import ActionMaskToObservation
from vdtoolkit.envs import hidden_payoff_v0, matrix_game_v0, two_step_v0

pytestmark = needs("tianshou")

GAMES = {
    "matrix_game": partial(matrix_game_v0.env, "climbing"),
    "two_step": two_step_v0.env,
    "hidden_payoff": hidden_payoff_v0.env,
}


@pytest.mark.parametrize("game", GAMES)
def test_agents_take_turns_and_are_paid_at_the_moves_end(game):
    from tianshou.env import PettingZooEnv

    env = PettingZooEnv(GAMES[game]())
    seen, _ = env.reset()
    n_moves = 2 if game == "two_step" else 1
    for turn in range(2 * n_moves):
        assert seen["agent_id"] == f"agent_{turn % 2}"
        seen, rewards, terminated, _, _ = env.step(0)
        if turn % 2 == 0:
            assert rewards == [0, 0]
    assert terminated
    assert rewards[0] == rewards[1] != 0 or game == "hidden_payoff"


class Alike(Rooms):
    """Rooms whose agents have spaces of one kind: Tianshou refuses others."""

    def __init__(self):
        super().__init__(illegal_action="replace")

    def action_space(self, agent):
        return self._action_spaces["agent_1"]

    def observation_space(self, agent):
        return self._observation_spaces["agent_1"]

    def _seen(self, state):
        observations, infos = super()._seen(state)
        observations["agent_0"] = observations["agent_1"]
        infos["agent_0"]["action_mask"] = np.array([0, 1, 0], np.int8)
        return observations, infos


def test_masks_in_infos_are_handed_on_but_not_obeyed():
    from tianshou.env import PettingZooEnv

    seen, info = PettingZooEnv(parallel_to_aec(Alike())).reset()
    assert seen["mask"] == [True] * 3
    assert info["action_mask"].tolist() == [0, 1, 0]


def test_masks_in_observations_are_obeyed():
    from tianshou.env import PettingZooEnv

    seen, _ = PettingZooEnv(parallel_to_aec(ActionMaskToObservation(Alike()))).reset()
    assert seen["mask"] == [False, True, False]


def test_unlike_agents_are_refused():
    from tianshou.env import PettingZooEnv

    with pytest.raises(AssertionError, match="must be identical"):
        PettingZooEnv(parallel_to_aec(Rooms()))
