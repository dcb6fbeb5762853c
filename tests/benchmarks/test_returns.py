"""The settings that both sides learn with: ours, XuanCe's words for them, and what is checked."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import returns
from benchmarks.peers import tuned
from vdtoolkit import ALGORITHMS

FORAGING = "Foraging-5x5-2p-1f-v3"


def xuance_holds(told):
    """Our words for a configuration of XuanCe, as its agents and learner read it."""
    width = "recurrent_hidden_size" if told["use_rnn"] else "representation_hidden_size"
    return {
        "gamma": told["gamma"],
        "lr": told["learning_rate"],
        "hidden_dim": told[width] if told["use_rnn"] else told[width][0],
        "recurrent": told["use_rnn"],
        "target_interval": told["sync_frequency"],
        "epsilon_steps": told["decay_step_greedy"] / told["parallels"],
        "n_envs": told["parallels"],
        "embed_dim": told["hidden_dim_mixing_net"],
        "hyper_dim": told["hidden_dim_hyper_net"],
    }


def test_the_settings_of_an_env_that_is_not_listed_are_our_defaults():
    ours = tuned.settings("spread", "qmix")
    for algorithm in ("vdn", "qmix"):
        defaults, said = ALGORITHMS[algorithm].Config(), ours.of_agents(algorithm)
        assert said == {k: getattr(defaults, k) for k in said}
    assert ours.of_training() == {"n_envs": 8, "updates_per_episode": 1.0}


def test_every_setting_goes_either_to_the_agents_or_to_training():
    ours = tuned.settings(FORAGING, "qmix")
    assert ours.of_agents() | ours.of_training() == asdict(ours)
    assert (ours.gamma, ours.recurrent, ours.updates_per_episode) == (0.9, False, 4.0)


@pytest.mark.parametrize("case", [("spread", "vdn"), *tuned.TUNED], ids="-".join)
def test_xuance_is_told_the_same(case):
    ours = tuned.settings(*case)
    returns.check(xuance_holds(tuned.xuance(ours)), ours)


def test_exploration_is_multiplied_by_the_envs_that_xuance_divides_it_by():
    assert tuned.xuance(tuned.Settings(epsilon_steps=700, n_envs=3))["decay_step_greedy"] == 2100


def test_recurrent_updates_come_after_so_many_episodes_as_there_are_envs():
    ours = tuned.Settings(updates_per_episode=0.5, n_envs=6)
    assert tuned.xuance(ours)["n_epochs"] == 3
    assert "n_epochs" not in tuned.xuance(replace(ours, recurrent=False))


def test_both_networks_have_two_layers_before_the_head():
    memoryless = tuned.xuance(tuned.Settings(hidden_dim=7, recurrent=False))
    assert memoryless["representation_hidden_size"] == memoryless["q_hidden_size"] == [7]
    recurrent = tuned.xuance(tuned.Settings(hidden_dim=7))
    assert (recurrent["fc_hidden_sizes"], recurrent["q_hidden_size"]) == ([7], [])


def test_without_memory_xuance_learns_after_episodes_as_many_moves_as_they_have():
    learned = []
    agents = SimpleNamespace(
        train_epochs=lambda n: learned.append((n, agents.memory.batch_size)) or {},
        memory=SimpleNamespace(batch_size=32),
        batch_size=32,
        current_step=0,
        current_episode=np.array([0, 0]),
    )
    train_epochs = tuned.after_episodes(agents, updates=1.5)
    for moves, episodes in ((4, [0, 0]), (12, [1, 0]), (14, [1, 0]), (30, [2, 1])):
        agents.current_step, agents.current_episode[:] = moves, episodes
        train_epochs(n_epochs=9)
    assert [n for n, _ in learned] == [0, 1, 0, 3]
    assert [size for _, size in learned[1:]] == [32 * 12, 32 * 14, 32 * 10]


@pytest.mark.parametrize("algorithm", ["qmix", "vdn"])
def test_ours_learns_with_the_settings(monkeypatch, algorithm):
    pytest.importorskip("lbforaging")
    ours, trained = tuned.settings(FORAGING, algorithm), {}

    def train(agents, make, moves, seed, **options):
        trained.update(options, config=agents.config, algorithm=agents.name, seed=seed)

    monkeypatch.setattr(returns, "train", train)
    monkeypatch.setattr(returns, "evaluate", lambda *_, **__: SimpleNamespace(returns=ZEROS))
    assert returns.ours(FORAGING, algorithm, 10, 3) == [0.0]
    config = trained.pop("config")
    assert isinstance(config, ALGORITHMS[algorithm].Config)
    said = ours.of_agents(algorithm)
    assert {k: getattr(config, k) for k in said} == said
    assert trained == {"algorithm": algorithm, "seed": 3, "n_envs": 1, "updates_per_episode": 4.0}


ZEROS = SimpleNamespace(tolist=lambda: [0.0])


@pytest.fixture
def xuance_says(monkeypatch):
    """A run of XuanCe that takes no time; the words it was called with."""
    calls, told = [], {"used": {"gamma": 0.9, "lr": 1e-3}, "updates": 5, "returns": [0.25, 0.5]}

    def run(command, **_):
        calls.append(command)
        return SimpleNamespace(returncode=0, stdout=f"a warning\n{json.dumps(told)}\n", stderr="")

    monkeypatch.setattr(returns.subprocess, "run", run)
    return told, calls


def test_equal_settings_that_did_not_reach_xuance_are_an_error(xuance_says):
    told, calls = xuance_says
    assert returns.xuance(Path("v"), "equal", FORAGING, "vdn", 9, 2) == [0.25, 0.5]
    told["used"]["gamma"] = 0.99
    assert returns.xuance(Path("v"), "own", FORAGING, "vdn", 9, 2) == [0.25, 0.5]
    with pytest.raises(RuntimeError, match=r"XuanCe learned with {'gamma': 0.99}, not with"):
        returns.xuance(Path("v"), "equal", FORAGING, "vdn", 9, 2)
    words = " ".join(calls[1][2:])
    assert words == f"--env {FORAGING} --algorithm vdn --moves 9 --seed 2 --settings own"


def test_a_row_has_the_mean_of_the_seeds_and_its_interval():
    row = returns.row("one", "vdn", lambda _, __, ___, seed: [seed, seed + 2.0], "e", 5, [0, 1, 2])
    assert (row["by seed"], row["mean return"]) == ("1.00, 2.00, 3.00", "2.00 [-0.48, 4.48]")
