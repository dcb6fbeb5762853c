"""TorchRL's PettingZoo wrapper over our environments: specs, masks, state, unlike agents, death."""

from functools import partial

import pytest
from bridges.tools import needs
from bridges.watch import Watch
from teams import Rooms

from vdtoolkit.envs import hidden_payoff_v0, matrix_game_v0, two_step_v0

pytestmark = needs("torchrl")

ALIKE = {
    "matrix_game": partial(matrix_game_v0.parallel_env, "climbing", max_cycles=5),
    "two_step": two_step_v0.parallel_env,
    "hidden_payoff": hidden_payoff_v0.parallel_env,
}
UNLIKE = {"masks, an end and a time limit": Rooms, "agents that die": Watch}


def wrapped(make, **options):
    from torchrl.envs import PettingZooWrapper

    options = {"return_state": True, "use_mask": True, "done_on_any": False, **options}
    return PettingZooWrapper(make(), **options)


def one_group_an_agent(make):
    from torchrl.envs import MarlGroupMapType

    return wrapped(make, group_map=MarlGroupMapType.ONE_GROUP_PER_AGENT)


@pytest.mark.parametrize("game", ALIKE)
def test_specs_hold_and_rollouts_carry_masks_and_state(game):
    from torchrl.envs.utils import check_env_specs

    env = wrapped(ALIKE[game])
    check_env_specs(env)
    data = env.rollout(12, break_when_any_done=False)
    plain = ALIKE[game]()
    n_actions = plain.action_space("agent_0").n
    assert data["agent", "action_mask"].shape == (12, 2, n_actions)
    assert data["agent", "action_mask"].all()
    assert data["state"].shape == (12, *plain.state_space.shape)


@pytest.mark.parametrize("team", UNLIKE)
def test_unlike_agents_play_in_groups_of_their_own(team):
    from torchrl.envs.utils import check_env_specs

    env = one_group_an_agent(UNLIKE[team])
    check_env_specs(env)
    assert env.rollout(25, break_when_any_done=False)["next", "done"].sum() >= 5


def test_random_play_keeps_to_the_masks():
    data = one_group_an_agent(Rooms).rollout(60, break_when_any_done=False)  # Rooms would raise
    mask, action = data["agent_1", "action_mask"][:, 0], data["agent_1", "action"][:, 0]
    assert not mask.all()
    assert mask.gather(-1, action[:, None]).all()


def test_the_team_plays_on_when_an_agent_dies():
    env = one_group_an_agent(Watch)
    assert env.rollout(20).shape == (Watch.moves,)


def test_unlike_agents_in_one_group_fail():
    with pytest.raises(AttributeError, match="'Stacked' object has no attribute"):
        wrapped(Rooms)
