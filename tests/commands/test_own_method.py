"""A method of a user's own, by file.py:Class, wherever a command takes a method."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from vdtoolkit import ALGORITHMS, cli, load
from vdtoolkit.commands import run as runs
from vdtoolkit.compare.records import read_runs
from vdtoolkit.igm import command as igm
from vdtoolkit.igm.lab import OWN_SETTINGS, lab_config
from vdtoolkit.sweep.check import check
from vdtoolkit.sweep.file import read_file
from vdtoolkit.sweep.rows import rows_of

TESTS = Path(__file__).parents[1]
SCALED = "mine.py:ScaledAgents"
TANH = f"{TESTS.parent / 'examples' / 'new_mixer.py'}:TanhAgents"
ENV = ["--env", "vdtoolkit.envs.two_step_v0"]
FAST = ["--batch-size", "4", "--hidden-dim", "5", "--n-envs", "2", "--workers", "0"]
FAST += ["--eval-episodes", "2", "--final-episodes", "2", "--eval-every", "20"]
LAB = ["--game", "nonmonotonic", "--moves", "64"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch, algorithms_as_they_were):
    """In a folder that has the file."""
    threads = torch.get_num_threads()
    shutil.copy(TESTS / "own_methods.py", tmp_path / "mine.py")
    monkeypatch.chdir(tmp_path)
    yield
    torch.set_num_threads(threads)


def as_in_a_new_process():
    """What a later command knows: not the class."""
    ALGORITHMS.pop("scaled", None)


def told(path):
    return json.loads(Path(path).read_text())


def train(*more, method=SCALED):
    return cli.main(["train", *ENV, *FAST, "--moves", "40", "--algorithm", method, *more])


# -- train, resume, evaluate ----------------------------------------------------------------


def test_it_trains_with_its_own_flag_and_is_called_by_its_name(tmp_path, capsys):
    assert train("--scale", "0.25") == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("train-two_step_v0-scaled-")
    config = told(folder / "config.json")
    assert (config["algorithm"], config["class"]) == ("scaled", SCALED)
    assert config["config"]["scale"] == 0.25
    assert told(folder / "result.json")["algorithm"] == "scaled"
    assert told(folder / "passport.json")["algorithm"] == "scaled"
    assert "a scaled sum on two_step_v0" in capsys.readouterr().out
    assert load(folder / "team.safetensors").config.scale == 0.25
    assert [run.algorithm for run in read_runs([folder])] == ["scaled"]


def test_help_has_its_flags(capsys):
    assert cli.main(["train", "--algorithm", SCALED, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--scale FLOAT What the sum is multiplied by" in said and "module:Class" in said


def test_a_run_of_two_seeds_is_resumed_to_the_same_bits(monkeypatch, capsys):
    seeds = ["--seeds", "2", "--scale", "0.25", "--checkpoint-seconds", "0"]
    assert train(*seeds, "--out", "whole") == 0
    keep, count = runs.TeamTraining.keep, [0]

    def ending(training, loop):
        keep(training, loop)
        count[0] += 1
        if count[0] == 30:  # the second seed has begun
            raise KeyboardInterrupt

    monkeypatch.setattr(runs.TeamTraining, "keep", ending)
    assert train(*seeds, "--out", "ended") == 130
    as_in_a_new_process()
    assert cli.main(["resume", "ended"]) == 0
    assert "nothing" not in capsys.readouterr().out
    for name in ("seed-0", "seed-1"):
        for file in ("metrics.jsonl", "team.safetensors"):
            assert Path("ended", name, file).read_bytes() == Path("whole", name, file).read_bytes()


def test_a_run_whose_class_is_gone_cannot_be_resumed(capsys, monkeypatch):
    assert train("--out", "run") == 0
    (Path("run") / "status.json").unlink()
    capsys.readouterr()
    config = told("run/config.json")
    for source, said in (
        ("gone.py:ScaledAgents", "there is no file "),
        ("os:system", "'os:system' is Python's own: no method is in it"),
        ("mine.py:Nameless", "mine.py:Nameless has no name"),
        (["mine.py"], "unhashable"),
    ):
        Path("run/config.json").write_text(json.dumps({**config, "class": source}))
        assert cli.main(["resume", "run"]) == 2
        line = capsys.readouterr().err
        assert said in line and line.count("\n") == 1
        assert "config.json is not what a training needs: " in line


def test_a_team_is_evaluated_by_the_class_that_its_run_names(capsys):
    assert train("--out", "run") == 0
    as_in_a_new_process()
    assert cli.main(["evaluate", "run", "--episodes", "2"]) == 0
    assert "a scaled sum on two_step_v0" in capsys.readouterr().out


def test_a_bare_file_is_evaluated_by_the_class_that_is_named(tmp_path, capsys):
    assert train("--out", "run") == 0
    capsys.readouterr()
    bare = shutil.copy("run/team.safetensors", tmp_path / "bare.safetensors")
    as_in_a_new_process()
    play = ["evaluate", str(bare), *ENV, "--episodes", "2"]
    assert cli.main(play) == 2
    assert "holds 'scaled' agents, unknown here" in capsys.readouterr().err
    assert cli.main([*play, "--algorithm", SCALED]) == 0
    assert cli.main([*play, "--algorithm", "vdn"]) == 2
    assert capsys.readouterr().err == (
        f"vdtoolkit evaluate: error: --algorithm vdn: {bare} holds 'scaled' agents: leave it out\n"
    )


def test_load_says_where_the_class_is_and_what_to_do(tmp_path):
    assert train("--out", "run") == 0
    shutil.copy("run/team.safetensors", "bare.safetensors")
    as_in_a_new_process()
    with pytest.raises(ValueError) as caught:
        load("run/team.safetensors")
    assert (
        "run/team.safetensors holds 'scaled' agents, unknown here: import their class, "
        f"{SCALED}, and put it into vdtoolkit.ALGORITHMS first, ALGORITHMS['scaled'] = "
        "ScaledAgents; "
    ) in str(caught.value)
    with pytest.raises(ValueError, match=r"import their class and .*\['scaled'\] = MyAgents; "):
        load("bare.safetensors")
    Path("config.json").write_text('{"class": 3, "kind": "train"}')
    with pytest.raises(ValueError, match=r"import their class and "):
        load("bare.safetensors")


# -- igm ------------------------------------------------------------------------------------


def test_the_lab_has_it_beside_ours_in_two_processes_and_seeds_as_one_batch(capsys):
    methods = ["--algorithms", "qmix", SCALED, "--seeds", "4"]
    small = ["--qmix.batch-size", "8", "--scaled.batch-size", "8", "--scaled.scale", "0.25"]
    assert cli.main(["igm", *LAB, *methods, *small, "--jobs", "2", "--out", "lab"]) == 0
    assert "a scaled sum" in capsys.readouterr().out
    result = told("lab/result.json")
    assert [method["name"] for method in result["methods"]] == ["qmix", "scaled"]
    assert [len(method["seeds"]) for method in result["methods"]] == [4, 4]
    assert result["methods"][1]["config"]["scale"] == 0.25
    config = told("lab/config.json")
    assert config["algorithms"] == list(config["config"]) == ["qmix", "scaled"]
    assert told("lab/passport.json")["algorithm"] == "qmix,scaled"


def test_a_lab_run_goes_on_with_it(monkeypatch):
    words = [*LAB, "--algorithms", f"vdn,{SCALED}", "--seeds", "1", "--jobs", "1", "--out", "lab"]
    train, asked = igm.run_lab, []

    def stopping(game, algorithms, **rest):
        asked.append(list(algorithms))
        if len(asked) == 1:
            raise KeyboardInterrupt
        return train(game, algorithms, **rest)

    monkeypatch.setattr(igm, "run_lab", stopping)
    assert cli.main(["igm", *words]) == 130
    as_in_a_new_process()
    assert cli.main(["resume", "lab"]) == 0
    assert asked == [["vdn", SCALED]] * 2
    assert [method["name"] for method in told("lab/result.json")["methods"]] == ["vdn", "scaled"]


def test_the_example_runs_in_the_lab(capsys):
    words = ["--algorithms", TANH, "--seeds", "1", "--jobs", "1", "--tanh.batch-size", "8"]
    assert cli.main(["igm", *LAB, *words, "--out", "lab"]) == 0
    assert "tanh mixing" in capsys.readouterr().out


def test_its_flags_are_in_the_labs_help_and_a_class_is_trained_once(capsys):
    assert cli.main(["igm", "--algorithms", SCALED, "--help"]) == 0
    assert "--scaled.scale" in capsys.readouterr().out
    options = igm.read(["--algorithms", "vdn", "vdtoolkit:VDNAgents", SCALED, SCALED])
    assert igm.check(options)[1] == ["vdn", SCALED]


def test_what_derives_from_a_method_of_ours_has_its_settings_in_the_lab():
    ours, own = lab_config("qplex"), lab_config("mine.py:LikeQPLEX")
    assert own == ours and own.n_kernels == OWN_SETTINGS["qplex"]["n_kernels"]
    assert lab_config(SCALED).lr == lab_config("vdn").lr


# -- sweep ----------------------------------------------------------------------------------

SWEEP = f"""
out = "out"
seeds = 1
env = "vdtoolkit.envs.two_step_v0"
game = "xor"
[train]
moves = 20
eval-episodes = 2
final-episodes = 2
[igm]
moves = 64
scaled.batch-size = 8
[[method]]
algorithm = "{SCALED}"
scale = 0.25
[[method]]
algorithm = "vdn"
"""


def sweep(text):
    Path("s.toml").write_text(text)
    return rows_of(read_file(Path("s.toml")))


def test_a_sweep_has_it_under_its_name():
    rows = sweep(SWEEP)
    names = ["xor/scaled", "xor/vdn", "two_step_v0/scaled/seed-0", "two_step_v0/vdn/seed-0"]
    assert [row.name for row in rows] == names
    moves = check(Path("s.toml"), rows)
    assert moves == {0: 64, 1: 64, 2: 20, 3: 20}
    own, ours = rows[0].words, rows[1].words
    assert own[own.index("--scaled.scale") + 1] == "0.25" and "--scaled.batch-size" in own
    assert not [word for word in ours if "scaled" in word]  # a process that knows no such flag
    as_in_a_new_process()
    assert cli.main(["train", *rows[2].words]) == 0
    assert check(Path("s.toml"), rows) == moves
    moved = sweep(SWEEP.replace("mine.py", str(Path("mine.py").resolve())))
    with pytest.raises(ValueError, match=r"holds a run of something else: class was 'mine.py:"):
        check(Path("s.toml"), moved)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SWEEP.replace(SCALED, "mine.py:Nope"), "s.toml: [[method]] number 1: mine.py has no 'No"),
        (SWEEP.replace("scale = ", "scal = "), "scaled\": did you mean 'scale'? vdtoolkit train"),
        (
            SWEEP.replace("scale = ", "scal = ").replace("env = ", "# "),
            f"did you mean 'scaled.scale'? vdtoolkit igm --algorithms {SCALED} --help lists scaled",
        ),
        (SWEEP.replace("0.25", "-1"), "/scaled/seed-0: scale=-1.0: it must be above 0 (scale is"),
    ],
)
def test_a_sweep_says_what_is_wrong_with_it(text, said):
    with pytest.raises(ValueError) as caught:
        check(Path("s.toml"), sweep(text))
    assert said in str(caught.value)


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["train", "igm"])
@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("gone.py:ScaledAgents", "there is no file "),
        ("no_such_package.x:ScaledAgents", "there is no module no_such_package"),
        ("mine.py:ScaleAgents", "did you mean 'ScaledAgents'?"),
        ("mine.py:NoAgents", "it must be a class that derives from vdtoolkit.Agents"),
        ("mine.py:Nameless", "give it a name of its own: name = 'my_method'"),
        ("mine.py:Clash", "mine.py:Clash is named 'qmix', as is QMIXAgents: give it"),
    ],
)
def test_what_is_no_method_is_one_line_and_status_2(command, method, said, capsys):
    given = [*ENV, "--algorithm", method] if command == "train" else [*LAB, "--algorithms", method]
    assert cli.main([command, *given]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"vdtoolkit {command}: error: ") and line.count("\n") == 1
    assert said in line and not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", *ENV, "--algorithm", SCALED, "--scal", "1"], "--scal"),
        (["train", *ENV, "--algorithm", SCALED, "--scale", "0"], "scale=0.0: it must be above 0"),
        (
            ["train", *ENV, "--algorithm", "mine.py:Taken"],
            "mine.py:Taken: its hyperparameter 'reward' is called as a flag of vdtoolkit train is",
        ),
        (["igm", *LAB, "--algorithms", SCALED, "--scaled.scal", "1"], "--scaled.scal"),
        (
            ["igm", *LAB, "--algorithms", SCALED, "--scaled.scale", "0"],
            "scaled: scale=0.0: it must",
        ),
        (
            ["igm", *LAB, "--algorithms", "mine.py:Flag"],
            "named 'seeds', as a flag of vdtoolkit igm",
        ),
        (
            ["igm", *LAB, "--algorithms", "mine.py:OfNoClass"],
            "of_no_class: function_class='convex': use one of additive, ",
        ),
        (["igm", *LAB, "--scaled.scale", "1"], "--scaled.scale"),
    ],
)
def test_a_wrong_flag_or_value_is_one_line_and_status_2(words, said, capsys):
    assert cli.main(words) == 2
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1
    assert not Path("runs").exists()
