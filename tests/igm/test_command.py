"""`vdtoolkit igm`: what it writes and prints, and what it refuses before anything is trained."""

import json
import subprocess
import sys

import numpy as np
import pytest

from vdtoolkit import ALGORITHMS, cli
from vdtoolkit.igm import command

FAST = ["--seeds", "1", "--moves", "64", "--jobs", "1", "--algorithms", "vdn", "qmix"]
SMALL = ["--vdn.batch-size", "8", "--qmix.batch-size", "8", "--qmix.hidden-dim", "8"]


def igm(*arguments):
    return cli.main(["igm", *map(str, arguments)])


@pytest.fixture
def untrained(monkeypatch):
    def trained(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr(command, "run_lab", trained)


def test_it_trains_prints_and_leaves_a_folder_whose_name_it_prints(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert igm(*FAST, *SMALL, "--game", "climbing") == 0
    (folder,) = (tmp_path / "runs").iterdir()
    folders = ["config.json", "metrics.jsonl", "passport.json", "status.json", "timing.jsonl"]
    names = [p.name for p in folder.iterdir() if "tfevents" not in p.name]  # TensorBoard's
    assert sorted(names) == sorted([*command.WRITTEN, *folders])
    out = capsys.readouterr().out
    assert f"runs/{folder.name}/" in out
    for word in ("VDN", "QMIX", "payoff", "learned Q_tot", "error", "Summary"):
        assert word in out
    for name in ("overview.png", "curves.png", "strip.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    told = json.loads((folder / "result.json").read_text())
    assert [m["config"]["batch_size"] for m in told["methods"]] == [8, 8]
    assert told["methods"][1]["config"]["hidden_dim"] == 8
    assert "vdtoolkit igm --seeds 1" in told["command"]
    page = (folder / "index.html").read_text()
    assert "<html" in page and "climbing" in page.lower()


def test_json_prints_the_result_alone_on_standard_output(tmp_path, capsys):
    np.save(tmp_path / "mine.npy", np.arange(12.0).reshape(2, 3, 2))
    out = tmp_path / "out"
    assert igm(*FAST, *SMALL, "--payoff", tmp_path / "mine.npy", "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "result.json").read_text())
    assert np.shape(told["payoffs"][0]) == (2, 3, 2)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--game", "climing"], "unknown game 'climing': did you mean 'climbing'?"),
        (["--algorithms", "qmix", "vnd"], "unknown method 'vnd': did you mean 'vdn'?"),
        (["--algorithms", "QTRAN-base2"], "did you mean 'qtran_base'?"),
        (["--algorithms"], "no methods given"),
        (["--seeds", "0"], "--seeds 0: it must be at least 1"),
        (["--moves", "-5"], "--moves -5: it must be at least 1"),
        (["--payoff", "{tmp}/ragged.json"], "ragged or holds what is not a number"),
        (["--payoff", "{tmp}/nan.csv"], "payoff of joint action (0, 1) is nan"),
        (["--payoff", "{tmp}/missing.npy"], "No such file"),
        (["--payoff", "{tmp}/large.npy"], "above the limit of 10000000"),
        (["--payoff", "{tmp}/huge.csv"], "(1, 0) is 1e+25: networks learn it badly above 1e+06"),
        (["--payoff", "{tmp}/nan.csv", "--game", "xor"], "give one of them"),
        (["--qatten.unit-features", "foo"], "qatten: unit_features='foo': give 'obs'"),
        (["--qatten.n-heads", "0"], "qatten: n_heads=0: it must be at least 1"),
        (["--qmix.embed-dim", "-1"], "qmix: embed_dim=-1: it must be at least 1"),
        (["--no-such-flag", "3"], "no-such-flag"),
        (["--seeds", "many"], "many"),
        (["--out", "{tmp}/ragged.json/x"], "give another folder with --out"),
        (["--vdn.gamma", "2"], "vdn: gamma=2.0: it must be in [0, 1]"),
        (["--qmix.batch-size", "30000"], "batch_size=30000 is above buffer_size=20000"),
    ],
)
def test_bad_input_is_one_line_and_status_2_before_anything_is_trained(
    arguments, says, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ragged.json").write_text("[[1, 2], [3]]")
    (tmp_path / "huge.csv").write_text("1,2\n1e25,3\n")
    (tmp_path / "nan.csv").write_text("1,nan\n2,3\n")
    np.save(tmp_path / "large.npy", np.zeros((2, 5_000_001), np.int8))
    before = sorted(p.name for p in tmp_path.iterdir())
    assert igm(*(a.replace("{tmp}", str(tmp_path)) for a in arguments)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.startswith("vdtoolkit igm: error: ")
    assert said.err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_who_cannot_enumerate_a_large_game_is_left_out_unless_asked_for(tmp_path, capsys):
    np.save(tmp_path / "large.npy", np.zeros((400, 300), np.int8))
    large = ["--payoff", str(tmp_path / "large.npy"), "--algorithms"]
    for names, left in ((["vdn", "joint_q"], None), (list(ALGORITHMS), "joint_q")):
        options = command.parse(command.options_type(), [*large, *names], "igm")
        game, algorithms = command.check(options)
        if left is None:
            refused = pytest.raises(ValueError, match=r"^joint_q: JointQAgents .* 120000, above")
            with refused:
                command.configs(options, algorithms, game)
            continue
        assert [*command.configs(options, algorithms, game)] == [n for n in names if n != left]
    said = capsys.readouterr().err
    assert said.startswith("vdtoolkit igm: joint_q is left out: JointQAgents enumerates joint")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("flag", ["--no-such-flag", "--vdn.no-such-flag"])
def test_an_unknown_flag_is_status_2(flag, capsys):
    assert igm(flag, "3") == 2
    assert "no-such-flag" in capsys.readouterr().err


def test_every_hyperparameter_is_a_flag_with_its_help(capsys):
    assert igm("--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    for flag in ("--game", "--payoff", "--iql.lr", "--qatten.n-heads", "--qtran-alt.lambda-nopt"):
        assert flag in said
    assert "Attention heads" in said


def test_the_command_itself(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "vdtoolkit", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("--version").stdout.startswith("vdtoolkit 0.")
    assert "igm" in run("--help").stdout
    nothing, unknown = run(), run("learn")
    assert nothing.returncode == unknown.returncode == 2
    assert "unknown command 'learn': commands are igm" in unknown.stderr
