"""`vdtoolkit evaluate`: a saved team plays."""

import itertools
import json
import shutil

import pytest
import torch
from teams import Relay

from vdtoolkit import VDNAgents, cli, train
from vdtoolkit.envs import Recorder, matrix_game_v0, predator_prey_v0, two_step_v0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A short training's folder."""
    threads, path = torch.get_num_threads(), tmp_path_factory.mktemp("run")
    small = ["--batch-size", "4", "--hidden-dim", "8", "--n-envs", "2", "--moves", "40"]
    small += ["--eval-episodes", "2", "--final-episodes", "2", "--workers", "0"]
    env = ["--env", "vdtoolkit.envs.matrix_game_v0", "--wrap", "supersuit.dtype_v0('float32')"]
    assert cli.main(["train", *env, *small, "--out", str(path)]) == 0
    yield path
    torch.set_num_threads(threads)


def evaluate(*arguments):
    return cli.main(["evaluate", *map(str, arguments)])


def test_the_env_is_the_one_it_was_trained_on(folder, capsys):
    assert evaluate(folder, "--episodes", 5) == 0
    out = capsys.readouterr().out
    assert "QMIX on matrix_game_v0" in out and "95 % interval" in out
    assert "win rate       not reported" in out and "40 moves" in out


def test_json_has_all_of_it(folder, capsys):
    assert evaluate(folder / "team.safetensors", "--episodes", 5, "--seed", 3, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["n"] == 5 and told["seed"] == 3 and told["algorithm"] == "qmix"
    assert told["interval"] == [told["mean"]] * 2  # one payoff, greedy play
    assert told["env"]["wrappers"] == ["supersuit.dtype_v0('float32')"]
    assert told["win_rate"] is None and told["lost"] == 0


def test_a_folder_of_several_seeds_names_their_folders(folder, tmp_path, capsys):
    for seed in ("seed-0", "seed-7"):
        shutil.copytree(folder, tmp_path / seed)
    assert evaluate(tmp_path) == 2
    assert capsys.readouterr().err == (
        f"vdtoolkit evaluate: error: {tmp_path} has a team for each of several seeds: "
        f"name one of {tmp_path / 'seed-0'}, {tmp_path / 'seed-7'}\n"
    )
    assert evaluate(tmp_path / "seed-7", "--episodes", 2) == 0


def test_a_team_saved_by_hand_needs_the_env(tmp_path, capsys):
    agents = VDNAgents(two_step_v0.parallel_env(), seed=0, batch_size=2, hidden_dim=3)
    train(agents, two_step_v0.parallel_env, moves=8)
    agents.save(tmp_path / "mine.safetensors")
    assert evaluate(tmp_path / "mine.safetensors") == 2
    assert capsys.readouterr().err == (
        f"vdtoolkit evaluate: error: there is no {tmp_path / 'result.json'} to tell which "
        "environment mine.safetensors was trained on: give --env\n"
    )
    env = ["--env", "vdtoolkit.envs.two_step_v0"]
    assert evaluate(tmp_path / "mine.safetensors", *env, "--episodes", 2) == 0


def test_other_agents_and_other_spaces_are_told(folder, capsys):
    team = folder / "team.safetensors"
    assert evaluate(folder, "--env", "teams:Relay") == 2
    assert capsys.readouterr().err == (
        f"vdtoolkit evaluate: error: {team} was trained for agent_0, agent_1; "
        "teams:Relay has ann, bob, cyd: the agents must be the same\n"
    )
    assert evaluate(folder, "--env", "vdtoolkit.envs.two_step_v0") == 2
    assert capsys.readouterr().err == (
        f"vdtoolkit evaluate: error: {team} does not fit vdtoolkit.envs.two_step_v0: agent "
        "'agent_0' observes Box(0.0, 1.0, (3,), float32), the team was trained for "
        "Box(0.0, 1.0, (1,), float32)\n"
    )
    larger = ["--env", "vdtoolkit.envs.matrix_game_v0", "--env-arg", "payoff=[[1,2],[3,4]]"]
    assert evaluate(folder, *larger) == 2
    assert "acts in Discrete(2), the team was trained for Discrete(3)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{folder}", "--episodes", "0"], "--episodes 0: it must be at least 1"),
        (["{folder}", "--wrap", "a.b()"], "--env-arg and --wrap go with --env"),
        (["{folder}", "--device", "abacus"], "--device abacus: "),
        (["{folder}/curve.csv"], "is not a checkpoint of vdtoolkit"),
        (["{folder}/nowhere"], "there is no such file"),
        ([], "PATH"),
    ],
)
def test_bad_input_is_one_line_and_status_2(folder, arguments, says, capsys):
    assert evaluate(*(a.replace("{folder}", str(folder)) for a in arguments)) == 2
    said = capsys.readouterr()
    assert said.out == "" and says in said.err and said.err.count("\n") == 1


def test_a_result_of_something_else_is_no_guide(folder, tmp_path, capsys):
    (tmp_path / "team.safetensors").write_bytes((folder / "team.safetensors").read_bytes())
    (tmp_path / "result.json").write_text('{"game": "climbing"}')
    assert evaluate(tmp_path) == 2
    assert "does not tell the environment: give --env" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["html", "gif"])
def test_the_first_episodes_can_be_watched(kind, folder, tmp_path, capsys):
    path = tmp_path / f"seen.{kind}"
    assert evaluate(folder, "--episodes", 3, "--replay", path, "--replay-episodes", 2) == 0
    assert f"replay         {path}, the first 2 episodes" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    if kind == "html":  # of an env without scenes: frames, as many as it scored
        page = path.read_text()
        assert page.count('"png"') == 2 * 2 and '"episode 2: ' in page
    assert evaluate(folder, "--episodes", 1, "--replay", path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["replay"] == str(path)


def test_the_replay_shows_the_episodes_that_are_scored(tmp_path, monkeypatch, capsys):
    agents = VDNAgents(predator_prey_v0.parallel_env(size=3, max_cycles=5), seed=0, hidden_dim=3)
    agents.save(tmp_path / "team.safetensors")
    scored = []
    monkeypatch.setattr(Recorder, "close", lambda env: scored.append(env))
    env = ["--env", "vdtoolkit.envs.predator_prey_v0", "--env-arg", "size=3"]
    env += ["--env-arg", "max_cycles=5", "--json"]
    watch = ["--replay", tmp_path / "x.html", "--replay-episodes", 3]
    assert evaluate(tmp_path, *env, "--episodes", 3, "--seed", 7, *watch) == 0
    (recorder,) = scored
    totals = [episode[-1].total for episode in recorder.episodes]
    assert len(set(totals)) > 1  # else it would show nothing
    assert json.loads(capsys.readouterr().out)["mean"] == pytest.approx(sum(totals) / 3)


def test_an_env_that_does_not_repeat_a_seed_is_told(folder, tmp_path, capsys, monkeypatch):
    episodes = itertools.count()
    reset = matrix_game_v0.raw_env.step

    def step(env, actions):
        told = reset(env, actions)
        return told[0], dict.fromkeys(told[1], float(next(episodes))), *told[2:]

    monkeypatch.setattr(matrix_game_v0.raw_env, "step", step)
    path = tmp_path / "x.html"
    assert evaluate(folder, "--episodes", 2, "--replay", path) == 0
    assert (
        "another episode: seeds do not repeat those of this environment" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x.png", "x.png: a replay is a .gif or a .html"),
        ("team.safetensors/x.gif", "it cannot be written: "),
    ],
)
def test_a_replay_that_cannot_be_written_is_refused_before_play(name, says, folder, capsys):
    assert evaluate(folder, "--replay", folder / name) == 2
    said = capsys.readouterr()
    assert said.out == "" and says in said.err and said.err.count("\n") == 1


def test_an_env_without_pictures_is_told(tmp_path, capsys):
    VDNAgents(Relay(), seed=0, hidden_dim=3).save(tmp_path / "team.safetensors")
    assert evaluate(tmp_path, "--env", "teams:Relay", "--replay", tmp_path / "x.gif") == 2
    said = capsys.readouterr().err
    assert said.startswith("vdtoolkit evaluate: error: --replay: teams:Relay gives no pictures: ")
    assert said.count("\n") == 1 and not (tmp_path / "x.gif").exists()
