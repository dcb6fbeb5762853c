"""The README keeps its word: its Python runs, its commands, files and names exist."""

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro

from vdtoolkit import ALGORITHMS
from vdtoolkit.cli import COMMANDS
from vdtoolkit.commands.certify import Options as CertifyOptions
from vdtoolkit.commands.compare import Options as CompareOptions
from vdtoolkit.commands.doctor import Options as DoctorOptions
from vdtoolkit.commands.evaluate import Options as EvaluateOptions
from vdtoolkit.commands.sweep import Options as SweepOptions
from vdtoolkit.commands.train import asked_for
from vdtoolkit.commands.train import options_type as train_options
from vdtoolkit.envs import ENVIRONMENTS, matrix_game_v0
from vdtoolkit.igm.command import check, read
from vdtoolkit.making import EnvMaker

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}

SMALLER = {"range(2000)": "range(34)", "moves=20_000": "moves=320", "episodes=10": "episodes=2"}


@pytest.fixture
def one_thread():
    """As the README advises; a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def runnable() -> list[str]:
    return [block for block in blocks("python") if not block.startswith("class ")]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("number", range(len(runnable())))
def test_python_snippets_run(number, capsys):
    code = runnable()[number]
    for large, small in SMALLER.items():
        code = code.replace(large, small)
    space = {}
    exec(compile(code, f"README.md, snippet {number}", "exec"), space)
    if "agents" in space:
        assert space["agents"].updates > 0
    elif "report" in space:
        assert space["report"].passed
    elif "found" in space:
        assert [e.status for e in space["found"].entries] == ["kept"] * 3
    else:
        assert "additive" in capsys.readouterr().out


def test_the_loop_is_the_one_of_ten_lines():
    loop = blocks("python")[0]
    lines = [line for line in loop.splitlines() if line.strip()]
    assert len(lines) <= 12
    assert "agents.observe(observations, rewards, terminations, truncations, infos" in loop


def test_the_new_mixer_is_that_of_the_example():
    (block,) = (b for b in blocks("python") if b.startswith("class "))
    assert block in (ROOT / "examples" / "new_mixer.py").read_text(encoding="utf-8")


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z-]+)", README))
    named |= {line.split()[1] for line in commands() if line.startswith("make ")}
    assert {"demo", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.usefixtures("algorithms_as_they_were")
def test_every_command_line_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    tried = 0
    for line in commands():
        if line.startswith("echo "):
            subprocess.run(line, shell=True, check=True)
        if not line.startswith("vdtoolkit "):
            continue
        _, command, *arguments = shlex.split(line)
        assert command in COMMANDS
        if command == "check-env":
            assert EnvMaker.parse(arguments[0], arguments[2::2])().possible_agents
        elif command == "train" and "--help" not in arguments:
            options = tyro.cli(train_options(asked_for(arguments)), args=arguments)
            assert EnvMaker.parse(options.env, options.env_arg, options.wrap)().possible_agents
        elif command == "evaluate":
            tyro.cli(EvaluateOptions, args=arguments)
        elif command == "doctor":
            tyro.cli(DoctorOptions, args=arguments)
        elif command == "certify":
            tyro.cli(CertifyOptions, args=arguments)
        elif command == "sweep":
            tyro.cli(SweepOptions, args=arguments)
        elif command == "compare":
            tyro.cli(CompareOptions, args=arguments)
        elif "--help" not in arguments:
            game, algorithms = check(read(arguments))
            assert game().possible_agents
            assert algorithms
            tried += 1
    assert tried >= 4


def test_no_other_kind_of_command_is_shown():
    known = ("make ", "vdtoolkit ", "echo ", "pip install .", "pip install '.[", "python examples/")
    assert [line for line in commands() if not line.startswith(known)] == []


@pytest.mark.parametrize("name", PAGES)
def test_files_that_pages_name_exist(name):
    text = PAGES[name].read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    for link in links:
        assert (PAGES[name].parent / link).exists(), link
    for path in re.findall(r"`((?:examples|docs|tests|vdtoolkit)/[\w/.]+\.\w+)`", text):
        assert (ROOT / path).exists(), path


def test_the_picture_has_words_for_those_who_cannot_see_it():
    (words,) = re.findall(r"!\[(.*?)\]\(docs/igm-overview\.png\)", README)
    assert len(words) > 40


def test_all_examples_are_listed():
    listed = set(re.findall(r"^\| `(\w+\.py)`", README, re.MULTILINE))
    assert listed == {path.name for path in (ROOT / "examples").glob("*.py")}


def test_all_methods_are_listed():
    rows = re.findall(r"^\| [\w -]+ \| `(\w+Agents)` \|", README, re.MULTILINE)
    assert rows == [cls.__name__ for cls in ALGORITHMS.values()]


def test_all_environments_and_games_are_listed():
    rows = re.findall(r"^\| `(\w+_v\d)` \|(.*)$", README, re.MULTILINE)
    assert {name for name, _ in rows} == set(ENVIRONMENTS)
    text = dict(rows)["matrix_game_v0"].split("By name:")[1]
    assert set(re.findall(r"`([\w-]+)`", text)) == set(matrix_game_v0.GAMES)


def test_the_games_claims_are_true():
    climbing = matrix_game_v0.payoff("climbing")
    assert np.max(climbing) == 11
    assert np.max(matrix_game_v0.payoff("nonmonotonic")) == 8
