"""skirmish_v0 stands in for smac_v0: teams, configurations and replays go from one to the other."""

import functools

import numpy as np
import pytest

from vdtoolkit import QMIXAgents, evaluate, load, train
from vdtoolkit.envs import skirmish_v0

SMALL = {"hidden_dim": 8, "batch_size": 2, "embed_dim": 4, "hyper_dim": 8, "epsilon_steps": 100}


def skirmish():
    return skirmish_v0.parallel_env("3m")


def test_agents_spaces_and_infos_are_the_same(make):
    ours, theirs = skirmish(), make("3m")
    assert ours.possible_agents == theirs.possible_agents
    assert ours.state_space == theirs.state_space
    for agent in ours.possible_agents:
        assert ours.observation_space(agent) == theirs.observation_space(agent)
        assert ours.action_space(agent) == theirs.action_space(agent)
    told = [env.reset(seed=1)[1]["agent_0"] for env in (ours, theirs)]
    assert set(told[0]) <= set(told[1])
    for key in ("action_mask", "alive"):
        assert np.asarray(told[0][key]).dtype == np.asarray(told[1][key]).dtype


@pytest.mark.parametrize("there", [False, True])
def test_a_team_its_configuration_and_its_replay_go_over(make, tmp_path, there):
    """Trained in one, saved, loaded and trained on in the other, replay and all."""
    first, second = skirmish, functools.partial(make, "3m")
    if there:
        first, second = second, first
    agents = QMIXAgents(first(), **SMALL)
    train(agents, first, 100)
    agents.save(tmp_path / "team.safetensors")

    loaded = load(tmp_path / "team.safetensors")
    assert loaded.config == agents.config
    assert len(loaded.replay) == len(agents.replay) >= 2
    episodes, updates = len(loaded.replay), loaded.updates
    told = evaluate(loaded, second, 2, seed=3)
    assert np.isfinite(told.returns).all() and told.win_rate is not None
    assert np.isfinite(list(train(loaded, second, 60).values())).all()
    assert len(loaded.replay) > episodes and loaded.updates > updates

    anew = QMIXAgents(second(), agents.config)  # and into a team that was made over there
    anew.load(tmp_path / "team.safetensors")
    for name, value in agents.online.state_dict().items():
        np.testing.assert_array_equal(anew.online.state_dict()[name], value)
