"""`vdtoolkit train`: what it writes and prints, and what it refuses before anything is trained."""

import csv
import json
import re
import subprocess
import sys

import pytest
import torch

from vdtoolkit import ALGORITHMS, cli, load
from vdtoolkit.commands import run as runs
from vdtoolkit.commands import train as command
from vdtoolkit.lookup import from_here

TWO_STEP = ["--env", "vdtoolkit.envs.two_step_v0"]
SMALL = ["--batch-size", "4", "--hidden-dim", "8", "--n-envs", "2", "--workers", "0"]
FAST = [*SMALL, "--eval-episodes", "3", "--final-episodes", "6"]
OF_ALL = ["curve.csv", "curve.png", "result.json"]
OF_ONE = ["config.json", "metrics.jsonl", "passport.json", "status.json", "timing.jsonl"]
FILES = sorted([*OF_ALL, *OF_ONE, "team.safetensors"])


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def train(*arguments):
    return cli.main(["train", *map(str, arguments)])


def told(folder):
    return json.loads((folder / "result.json").read_text())


def names(folder):
    """What is in it, without what TensorBoard adds where it is installed."""
    return sorted(path.name for path in folder.iterdir() if "tfevents" not in path.name)


def test_it_trains_prints_and_leaves_a_folder_whose_name_it_prints(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train(*TWO_STEP, *FAST, "--moves", "60", "--eval-every", "25", "--embed-dim", "5") == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"train-two_step_v0-qmix-[\d-]+", folder.name)
    assert names(folder) == FILES
    said = capsys.readouterr()
    assert f"runs/{folder.name}/" in said.out
    for word in ("QMIX on two_step_v0", "random team", "trained", "95 % interval", "6 episodes"):
        assert word in said.out
    assert "50 of 60 moves: return" in said.err and "random team return" in said.err
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_result_holds_what_was_done_and_what_came_of_it(tmp_path):
    arguments = [*TWO_STEP, *FAST, "--moves", "60", "--eval-every", "25", "--embed-dim", "5"]
    assert train(*arguments, "--seed", "3", "--out", tmp_path) == 0
    result = told(tmp_path)
    assert "--embed-dim 5" in result["command"]
    assert result["versions"]["torch"] == torch.__version__
    assert result["env"] == {
        "env": "vdtoolkit.envs.two_step_v0",
        "arguments": {},
        "wrappers": [],
    }
    assert (result["algorithm"], result["config"]["embed_dim"]) == ("qmix", 5)
    assert result["seeds"] == [3]
    (run,) = result["runs"]
    assert [point["moves"] for point in run["curve"]] == [0, 26, 50, 60]
    assert [point["n"] for point in run["curve"]] == [3, 3, 3, 6]
    assert (run["moves"], run["episodes"], run["interrupted"]) == (60, 30, False)
    assert (run["n_envs"], run["workers"]) == (2, 0)
    assert run["updates"] > 0 and run["steps_per_second"] > 0
    assert result["baseline"]["n"] == result["final"]["n"] == 6
    assert result["baseline"]["mean"] < 8
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["moves"]) for row in rows] == [0, 26, 50, 60]
    assert [float(row["mean"]) for row in rows] == [point["mean"] for point in run["curve"]]


def test_the_team_it_saves_is_the_one_it_trained(tmp_path):
    assert train(*TWO_STEP, *FAST, "--moves", "40", "--algorithm", "vdn", "--out", tmp_path) == 0
    agents = load(tmp_path / "team.safetensors")
    assert (agents.name, agents.moves, agents.updates) == (
        "vdn",
        40,
        told(tmp_path)["runs"][0]["updates"],
    )


def test_two_commands_alike_give_the_same_curve(tmp_path):
    for name in ("a", "b"):
        train(*TWO_STEP, *FAST, "--moves", "60", "--eval-every", "20", "--out", tmp_path / name)
    first, second = (told(tmp_path / name)["runs"][0] for name in ("a", "b"))
    assert first["curve"] == second["curve"] and first["final"] == second["final"]


def test_worker_processes_and_auto_are_written_down_as_what_they_were(tmp_path):
    flags = ["--moves", "60", "--n-envs", "auto", "--workers", "2"]
    assert train("--env", "teams:Relay", *FAST, *flags, "--out", tmp_path) == 0
    (run,) = told(tmp_path)["runs"]
    assert run["n_envs"] >= 8 and 1 <= run["workers"] <= 2
    assert run["moves"] >= 60 and run["lost"] == 0


def test_seeds_get_a_folder_each_and_one_curve(tmp_path, capsys):
    seeds = ["--seed", "4", "--seeds", "2"]
    assert train(*TWO_STEP, *FAST, *seeds, "--moves", "30", "--out", tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        *OF_ALL,
        *("seed-4", "seed-5", "status.json"),
    ]
    assert [run["seed"] for run in told(tmp_path)["runs"]] == [4, 5]
    assert told(tmp_path)["final"]["of"] == "seeds"
    for seed in (4, 5):
        folder = tmp_path / f"seed-{seed}"
        assert names(folder) == FILES
        assert [run["seed"] for run in told(folder)["runs"]] == [seed]
    assert "trained, 2 seeds" in capsys.readouterr().out


def test_an_environment_of_other_peoples_with_unlike_agents(tmp_path, capsys):
    pytest.importorskip("mpe2", reason="mpe2 is not installed: pip install .[envs]")
    env = ["--env", "mpe2.simple_speaker_listener_v4", "--env-arg", "max_cycles=5"]
    wrap = ["--wrap", "supersuit.dtype_v0('float32')"]
    assert train(*env, *wrap, *FAST, "--moves", "60", "--out", tmp_path, "--reward", "sum") == 0
    result = told(tmp_path)
    assert result["env"]["arguments"] == {"max_cycles": 5}
    assert result["team"]["agents"] == ["speaker_0", "listener_0"]
    assert result["team"]["n_actions"] == [3, 5] and result["team"]["reward"] == "sum"
    assert result["baseline"]["length"] == 5.0 and "mpe2" in result["versions"]
    assert "QMIX on simple_speaker_listener_v4" in capsys.readouterr().out


def test_a_team_whose_state_no_space_describes(tmp_path):
    env = ["--env", "teams:Relay", "--env-arg", "state=bare"]
    assert train(*env, *FAST, "--moves", "30", "--out", tmp_path / "own") == 0
    assert told(tmp_path / "own")["team"]["state_dim"] == 7
    assert train(*env, *FAST, "--moves", "30", "--state", "joint", "--out", tmp_path / "all") == 0
    assert told(tmp_path / "all")["team"]["state_dim"] == 3 * 4


def test_the_random_team_is_random_whatever_epsilon_says(tmp_path):
    for name, epsilon in (("a", "0.0"), ("b", "1.0")):
        flags = ["--epsilon-start", epsilon, "--epsilon-end", epsilon]
        train(*TWO_STEP, *FAST, *flags, "--moves", "20", "--out", tmp_path / name)
    assert told(tmp_path / "a")["baseline"] == told(tmp_path / "b")["baseline"]


def test_an_interrupt_saves_the_team_so_far_and_says_so(tmp_path, capsys, monkeypatch):
    played = runs.evaluate

    def stopped(agents, *args, **kwargs):
        if agents.moves >= 40:
            raise KeyboardInterrupt
        return played(agents, *args, **kwargs)

    monkeypatch.setattr(runs, "evaluate", stopped)
    flags = ["--moves", "100", "--eval-every", "20", "--seeds", "3"]
    assert train(*TWO_STEP, *FAST, *flags, "--out", tmp_path) == 130
    out = capsys.readouterr().out
    assert "Interrupted after 40 moves; the team so far is saved." in out
    assert load(tmp_path / "seed-0" / "team.safetensors").moves == 40
    (run,) = told(tmp_path)["runs"]
    assert run["interrupted"] and run["final"] is None and len(run["curve"]) == 2


def test_an_environment_that_breaks_later_does_not_take_the_team_with_it(tmp_path, capsys):
    (tmp_path / "late.py").write_text(
        "from teams import Relay\n"
        "class Late(Relay):\n"
        "    def step(self, actions):\n"
        "        told = super().step(actions)\n"
        "        Late.moves = getattr(Late, 'moves', 0) + 1\n"
        "        if Late.moves > 150:\n"
        "            told[1]['bob'] = float('nan')\n"
        "        return told\n"
    )
    flags = [*FAST, "--moves", "400", "--eval-every", "400", "--out", tmp_path / "out"]
    assert train("--env", f"{tmp_path / 'late.py'}:Late", *flags) == 2
    said = capsys.readouterr().err
    assert "agent 'bob': reward is not finite: nan" in said
    moves = load(tmp_path / "out" / "team.safetensors").moves
    assert 0 < moves < 150
    assert f"Stopped after {moves} moves; the team is in {tmp_path / 'out'}\n" in said
    (run,) = told(tmp_path / "out")["runs"]
    assert run["interrupted"] and run["moves"] == moves and len(run["curve"]) == 1
    assert told(tmp_path / "out")["env"]["env"].endswith(":Late")  # evaluate reads it


def test_an_environments_own_error_keeps_its_traceback(tmp_path):
    (tmp_path / "shy.py").write_text(
        "from teams import Relay\n"
        "class Shy(Relay):\n"
        "    def reset(self, seed=None, options=None):\n"
        "        raise ValueError('no map')\n"
    )
    with pytest.raises(ValueError, match="no map") as caught:
        train("--env", f"{tmp_path / 'shy.py'}:Shy", *FAST, "--out", tmp_path / "out")
    assert caught.traceback[-1].path.name == "shy.py"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--env"),
        ([*TWO_STEP, "--algorithm", "qmx"], "unknown method 'qmx': did you mean 'qmix'?"),
        ([*TWO_STEP, "--algorithm=qmx"], "unknown method 'qmx': did you mean 'qmix'?"),
        ([*TWO_STEP, "--algorithm"], "unknown method ''"),
        ([*TWO_STEP, "--moves", "0"], "--moves 0: it must be at least 1"),
        ([*TWO_STEP, "--n-envs", "0"], "--n-envs 0: it must be at least 1"),
        ([*TWO_STEP, "--workers", "-1"], "--workers -1: it must be at least 0"),
        ([*TWO_STEP, "--eval-every", "0"], "--eval-every 0: it must be at least 1"),
        ([*TWO_STEP, "--updates-per-episode", "nan"], "--updates-per-episode nan: it must be at"),
        ([*TWO_STEP, "--updates-per-episode", "inf"], "--updates-per-episode inf: it must be fin"),
        ([*TWO_STEP, "--lr", "0"], "lr=0.0: it must be above 0"),
        ([*TWO_STEP, "--algorithm", "vdn", "--embed-dim", "3"], "embed-dim"),
        ([*TWO_STEP, "--device", "abacus"], "--device abacus: "),
        ([*TWO_STEP, "--env-arg", "x"], "--env-arg 'x': it must be NAME=VALUE"),
        ([*TWO_STEP, "--wrap", "resize"], "--wrap 'resize': it must name a module and a wrapper"),
        (["--env", "vdtoolkit.envs.two_stp_v0"], "did you mean 'two_step_v0'?"),
        (["--env", "gymnasium:CartPole-v1"], "a team needs gymnasium.spaces.Tuple"),
        ([*TWO_STEP, "--out", "{tmp}/file/x"], "give another folder with --out"),
    ],
)
def test_bad_input_is_one_line_and_status_2_before_anything_is_trained(
    arguments, says, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(command, "train_run", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert train(*(a.replace("{tmp}", str(tmp_path)) for a in arguments)) == 2
    said = capsys.readouterr()
    assert said.out == "" and says in said.err
    assert said.err.startswith("vdtoolkit train: error: ") and said.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_continuous_actions_are_one_clear_error(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("mpe2", reason="mpe2 is not installed: pip install .[envs]")
    assert train("--env", "mpe2.simple_spread_v3", "--env-arg", "continuous_actions=True") == 2
    assert "value decomposition needs Discrete actions" in capsys.readouterr().err


def test_help_lists_the_hyperparameters_of_the_method_asked_for(capsys):
    assert train("--help") == 0
    said = capsys.readouterr().out
    for flag in ("--env-arg", "--wrap", "--updates-per-episode", "--embed-dim", "--double-q"):
        assert flag in said
    assert set(ALGORITHMS) <= set(re.findall(r"\w+", said))
    assert train("--algorithm", "qatten", "--help") == 0
    assert "--n-heads" in capsys.readouterr().out


def test_modules_of_the_present_folder_are_found(tmp_path, monkeypatch):
    (tmp_path / "some_game_here.py").write_text(
        "from vdtoolkit.envs.two_step_v0 import parallel_env\n"
    )
    command_line = [sys.executable, "-c", "from vdtoolkit.cli import main; exit(main())", "train"]
    flags = ["--env", "some_game_here", *FAST, "--moves", "20", "--out", "out"]
    monkeypatch.delenv("PYTHONPATH", raising=False)
    done = subprocess.run(
        [*command_line, *flags], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "random team" in done.stdout


def test_the_present_folder_comes_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["somewhere"])
    from_here()
    assert sys.path == ["somewhere", str(tmp_path)]
