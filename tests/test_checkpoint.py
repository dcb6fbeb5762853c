"""Saving and loading give back a team that goes on exactly as it would have."""

import json

import numpy as np
import pytest
import torch
from gymnasium import spaces
from safetensors.torch import load_file, save_file
from teams import Relay

from vdtoolkit import ALGORITHMS, Team, load
from vdtoolkit.checkpoint import (
    FORMAT,
    space_from_json,
    space_to_json,
    team_from_json,
    team_to_json,
)
from vdtoolkit.envs import matrix_game_v0, two_step_v0
from vdtoolkit.training import train

SMALL = {"batch_size": 4, "buffer_size": 7, "hidden_dim": 5, "target_interval": 3}


def trained(name, moves=40, **kwargs):
    agents = ALGORITHMS[name](two_step_v0.parallel_env(), seed=3, **{**SMALL, **kwargs})
    train(agents, two_step_v0.parallel_env, moves, 2, seed=1)
    return agents


def parameters(agents):
    return torch.cat([p.detach().flatten() for p in agents.online.parameters()])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_loaded_team_learns_on_exactly_as_the_saved_one(name, tmp_path):
    agents = trained(name)
    agents.save(tmp_path / "team.safetensors")
    again = load(tmp_path / "team.safetensors")
    assert type(again) is type(agents)
    assert again.config == agents.config
    assert (again.moves, again.episodes, again.updates) == (
        agents.moves,
        agents.episodes,
        agents.updates,
    )
    for each in (agents, again):
        train(each, two_step_v0.parallel_env, 40, 2, seed=2)
    assert torch.equal(parameters(agents), parameters(again))
    assert agents.learn() == again.learn()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_team_saved_without_its_replay_is_as_good_and_learns_from_new_episodes(name, tmp_path):
    agents = trained(name)
    agents.save(tmp_path / "whole")
    agents.save(tmp_path / "light", replay=False)
    again = load(tmp_path / "light")
    assert torch.equal(parameters(agents), parameters(again))
    assert again.updates == agents.updates
    assert len(again.replay) == 0
    light, whole = (set(load_file(tmp_path / name)) for name in ("light", "whole"))
    assert light == {key for key in whole if not key.startswith("replay.")} < whole
    train(again, two_step_v0.parallel_env, 40, 2, seed=2)
    assert again.updates > agents.updates
    assert not torch.equal(parameters(agents), parameters(again))


def test_load_into_agents_that_exist_takes_the_state_over(tmp_path):
    agents, other = trained("qmix"), trained("qmix", moves=20)
    agents.save(tmp_path / "a")
    assert not torch.equal(parameters(agents), parameters(other))
    other.load(tmp_path / "a")
    assert torch.equal(parameters(agents), parameters(other))
    assert len(other.replay) == len(agents.replay)


def test_a_loaded_actor_plays_alike(tmp_path):
    agents = trained("vdn")
    agents.save(tmp_path / "a")
    again, env = load(tmp_path / "a"), two_step_v0.parallel_env()
    actors = [agents.actor(explore=True), again.actor(explore=True)]
    for seed in range(5):
        observations, infos = env.reset(seed=seed)
        chosen = []
        for actor in actors:
            actor.reset()
            chosen.append(actor.act(observations, infos))
        assert chosen[0] == chosen[1]


@pytest.mark.parametrize("bytes_of_state", [False, True])
def test_a_team_whose_state_has_no_space_is_loaded_with_the_one_it_saw(tmp_path, bytes_of_state):
    class Bare(Relay):
        def state(self):
            return super().state().astype(np.uint8) if bytes_of_state else super().state()

    def make():
        return Bare(state="bare")

    agents = ALGORITHMS["qmix"](make(), **SMALL)
    train(agents, make, 40, 2)
    agents.save(tmp_path / "a")
    again = load(tmp_path / "a")
    assert again.team.spec == agents.team.spec
    assert again.team.spec.state_dtype == (np.uint8 if bytes_of_state else np.float32)
    other = ALGORITHMS["qmix"](make(), **SMALL)  # has not seen a state yet
    other.load(tmp_path / "a")
    for each in (again, other):
        assert torch.equal(parameters(agents), parameters(each))


def test_nothing_half_written_is_left_behind(tmp_path, monkeypatch):
    agents = trained("vdn")
    agents.save(tmp_path / "a")
    before = (tmp_path / "a").read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vdtoolkit.sealed.save_file", full)
    with pytest.raises(ValueError, match="No space left on device; all that was saved before is"):
        agents.save(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_another_algorithm_configuration_or_team_is_refused_and_changes_nothing(tmp_path):
    agents = trained("vdn")
    agents.save(tmp_path / "a")
    with pytest.raises(ValueError, match=r"holds 'vdn' agents, these are 'iql'"):
        trained("iql").load(tmp_path / "a")
    with pytest.raises(ValueError, match=r"another configuration: gamma=0\.99 \(here 0\.5\)"):
        trained("vdn", gamma=0.5).load(tmp_path / "a")
    other = ALGORITHMS["vdn"](matrix_game_v0.parallel_env("climbing"), **SMALL)
    before = parameters(other)
    with pytest.raises(ValueError, match="was saved by another team"):
        other.load(tmp_path / "a")
    assert torch.equal(before, parameters(other))


def test_what_is_no_checkpoint_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        load(tmp_path / "missing")
    (tmp_path / "junk").write_bytes(b"\x80\x04cposix\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(ValueError, match="is not a checkpoint of vdtoolkit"):
        load(tmp_path / "junk")
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="is a safetensors file, but not one of vdtoolkit's"):
        load(tmp_path / "foreign")
    save_file({"x": torch.zeros(2)}, tmp_path / "new", {"vdtoolkit": json.dumps({"format": 99})})
    with pytest.raises(ValueError, match=f"has format 99, this vdtoolkit .* reads {FORMAT}"):
        load(tmp_path / "new")
    whole = tmp_path / "whole"
    trained("vdn").save(whole)
    (tmp_path / "cut").write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is not a checkpoint of vdtoolkit"):
        load(tmp_path / "cut")


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-np.inf, np.inf, (2, 3), np.float32),
        spaces.Box(np.array([0, -1.5]), np.array([2.25, np.inf]), dtype=np.float64),
        spaces.Box(0, 255, (2, 2, 3), np.uint8),
        spaces.Discrete(4, start=-1),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(3),
        spaces.Text(5, min_length=2, charset="zya"),
        spaces.OneOf([spaces.Discrete(2), spaces.Text(3)]),
        spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Tuple([spaces.MultiBinary([2, 2])])}),
    ],
)
def test_spaces_survive_json(space):
    assert space_from_json(json.loads(json.dumps(space_to_json(space)))) == space


def test_a_team_survives_json():
    team = Team(
        {"b": spaces.Box(0, 1, (2,)), "a": spaces.Discrete(3)},
        {"b": spaces.Discrete(2), "a": spaces.Discrete(4, start=1)},
        spaces.Box(-1, 1, (6,)),
        reward="sum",
        state_slices={"units": (0, 4)},
    )
    told = team_to_json(team)
    again = team_from_json(json.loads(json.dumps(told)))
    assert again.agents == ("b", "a")
    assert team_to_json(again) == told
