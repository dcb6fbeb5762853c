"""The file of a sweep: what it asks for, row by row, and what is refused beforehand."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from vdtoolkit import cli
from vdtoolkit.sweep.check import check
from vdtoolkit.sweep.file import read_file
from vdtoolkit.sweep.rows import rows_of

TWO_STEP = "vdtoolkit.envs.two_step_v0"
TOML = """
out = "runs/foraging"
seeds = 2
[train]
moves = 100_000
n-envs = 4
[[env]]
name = "spread"
env = "mpe2.simple_spread_v3"
env-arg = { N = 3, local_ratio = 0.5 }
moves = 200_000
[[env]]
env = "gymnasium:lbforaging:Foraging-8x8-2p-1f-coop-v3"
wrap = ["a.b()", "c.d(x=1)"]
methods.slow = { lr = 1e-4 }
[[method]]
algorithm = "qmix"
lr = 1e-3
recurrent = false
[[method]]
name = "slow"
algorithm = "vdn"
threads = 2
workers = 3
[[game]]
game = "xor"
[igm]
moves = 20_000
qmix.embed-dim = 8
"""


def rows(folder, text, name="s.toml"):
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return rows_of(read_file(path))


def refused(folder, text, name="s.toml", *, envs=True):
    """What a file is refused with."""
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(ValueError) as caught:
        check(path, rows_of(read_file(path)), envs=envs)
    return str(caught.value).replace(str(path), name)


def plain(**sections):
    return {"env": TWO_STEP, "method": "vdn", "seeds": 1, **sections}


# -- what it asks for -----------------------------------------------------------------------


def test_a_row_is_the_words_of_one_command(tmp_path):
    found = {row.name: row for row in rows(tmp_path, TOML)}
    assert found["spread/qmix/seed-1"].command == (
        "vdtoolkit train --env mpe2.simple_spread_v3 --algorithm qmix --n-envs 4 --workers 0 "
        "--moves 200000 --lr 0.001 --no-recurrent --env-arg N=3 --env-arg local_ratio=0.5 "
        "--seed 1 --out runs/foraging/spread/qmix/seed-1"
    )
    far = found["Foraging-8x8-2p-1f-coop-v3/slow/seed-0"]
    assert far.command == (
        "vdtoolkit train --env gymnasium:lbforaging:Foraging-8x8-2p-1f-coop-v3 --algorithm vdn "
        "--n-envs 4 --workers 3 --moves 100000 --threads 2 --wrap 'a.b()' --wrap 'c.d(x=1)' "
        "--lr 0.0001 --seed 0 --out runs/foraging/Foraging-8x8-2p-1f-coop-v3/slow/seed-0"
    )
    assert (far.cpus, far.gpus, far.seeds) == (5, 0, (0,))
    game = found["xor/qmix"]
    assert game.command == (
        "vdtoolkit igm --game xor --algorithms qmix --seeds 2 --jobs 1 --moves 20000 "
        "--qmix.embed-dim 8 --qmix.lr 0.001 --qmix.no-recurrent --out runs/foraging/xor/qmix"
    )
    assert (game.cpus, game.seeds) == (1, (0, 1))


def test_games_come_first_and_then_seed_by_seed_all_methods(tmp_path):
    names = [row.name for row in rows(tmp_path, TOML)]
    envs = ("spread", "Foraging-8x8-2p-1f-coop-v3")
    pairs = [f"{env}/{method}" for env in envs for method in ("qmix", "slow")]
    seeds = [f"{pair}/seed-{seed}" for seed in (0, 1) for pair in pairs]
    assert names == ["xor/qmix", "xor/slow", *seeds]
    assert [row.index for row in rows(tmp_path, TOML)] == list(range(10))


def test_defaults(tmp_path):
    (row, *others) = rows(tmp_path, 'env = "a.b"\nmethod = "iql"', "some.toml")
    assert row.words == (
        *("--env", "a.b", "--algorithm", "iql", "--n-envs", "8", "--workers", "0"),
        *("--seed", "0", "--out", str(Path("runs/sweep-some/b/iql/seed-0"))),
    )
    assert len(others) == 4


def test_json_says_the_same(tmp_path):
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 brings tomllib")
    told = tomllib.loads(TOML)
    assert rows(tmp_path, told, "s.json") == rows(tmp_path, TOML)


def test_names_of_flags_have_dashes_or_underscores(tmp_path):
    one, other = (
        rows(tmp_path, plain(train={"n_envs": 3, "eval-every": 7}), "s.json"),
        rows(tmp_path, plain(train={"n-envs": 3, "eval_every": 7}), "s.json"),
    )
    assert one == other and "--eval-every" in one[0].words


def test_the_words_are_what_the_command_takes_whatever_the_value(tmp_path):
    told = {
        "env-arg": {"name": "it's", "n": "3", "pair": [1, 2], "none": None, "flag": True},
        "eval-every": None,
        "lr": 1e-05,
        "grad-clip": -1.5,
    }
    (row,) = rows(tmp_path, plain(train=told), "s.json")
    from vdtoolkit.commands.train import options_type
    from vdtoolkit.flags import parse
    from vdtoolkit.making import EnvMaker

    words = [word for word in row.words if "grad-clip" not in word]
    options = parse(options_type("vdn"), words, "vdtoolkit train")
    made = EnvMaker.parse(options.env, options.env_arg)
    given = {"name": "it's", "n": "3", "pair": [1, 2], "none": None, "flag": True}
    assert made.arguments == given
    assert (options.eval_every, options.config.lr) == (None, 1e-05)
    assert "--grad-clip=-1.5" in row.words


def test_seeds_may_be_a_list_and_a_game_may_have_its_own_number(tmp_path):
    told = plain(seeds=[3, 11], game={"payoff": "mine.json", "seeds": 4})
    game, *seeds = rows(tmp_path, told, "s.json")
    assert [row.seeds for row in seeds] == [(3,), (11,)]
    assert game.name == "mine/vdn" and game.seeds == (0, 1, 2, 3)
    assert shlex.join(game.words) == (
        "--algorithms vdn --seeds 4 --jobs 1 --payoff mine.json --out runs/sweep-s/mine/vdn"
    )


def test_gpus_are_counted_for_those_who_ask_for_cuda(tmp_path):
    told = plain(env=[{"env": "a.b", "device": "cuda:0"}, {"env": "a.c", "device": "cpu"}])
    assert [row.gpus for row in rows(tmp_path, told, "s.json")] == [1, 0]


def test_hyperparameters_of_one_method_in_one_place(tmp_path):
    special = {"vdn": {"lr": 0.5}}
    env = {"env": "a.b", "lr": 0.1, "methods": special}
    method = {"algorithm": "vdn", "lr": 0.2}
    game = {"game": "xor", "methods": special}
    lab, train = rows(tmp_path, plain(env=env, method=method, game=game), "s.json")
    assert lab.words[lab.words.index("--vdn.lr") + 1] == "0.5"
    assert train.words[train.words.index("--lr") + 1] == "0.5"


# -- what is refused ------------------------------------------------------------------------

HELP = "vdtoolkit train --algorithm vdn --help lists vdn's"
BAD = {
    "no TOML": ("moves = = 3", "s.toml is not TOML: Invalid value (at line 1, column 9)"),
    "unknown section": (
        'moves = 3\nmethod = "vdn"',
        "s.toml: unknown section 'moves': a flag of all runs stands in [train]; there are out, "
        "seeds, train, igm, env, method, game",
    ),
    "close section": ("[[envs]]", "s.toml: unknown section 'envs': did you mean 'env'? there are"),
    "no method": ('env = "a.b"', "s.toml: no [[method]]: give at least one, for example algorithm"),
    "no env": ('method = "vdn"', "s.toml: neither [[env]] nor [[game]]: give one"),
    "seeds": ("seeds = 0", "s.toml: seeds = 0: it must be a number from 1 on, or a list of seeds"),
    "same seed": ("seeds = [1, 1]", "s.toml: seeds = [1, 1]: it must be"),
    "out": ("out = 3", "s.toml: out = 3: it must be a folder's name"),
    "name": (
        '[[env]]\nenv = "a.b"\nname = "../x"',
        "s.toml: [[env]] number 1: name = '../x' is to be a folder's: letters, digits and",
    ),
    "twice": (
        'env = ["a.b", "c.b"]\nmethod = "vdn"',
        's.toml: [[env]] "b": there are two of the name \'b\': give one name = "..."',
    ),
    "method twice": (
        'env = "a.b"\nmethod = ["vdn", "vdn"]',
        "s.toml: [[method]] \"vdn\": there are two of the name 'vdn'",
    ),
    "env and game": (
        'env = "a.xor"\ngame = "xor"\nmethod = "vdn"',
        "s.toml: [[game]] \"xor\": there are two of the name 'xor'",
    ),
    "nothing named": ("[[env]]\nN = 3", "s.toml: [[env]] number 1: it has no env: give env = NAME"),
    "ours": (
        "[train]\nseed = 3",
        "s.toml: [train]: seed is not given here: `seeds` at the top of the file says which",
    ),
    "ours too": (
        'method = "vdn"\n[[env]]\nenv = "a.b"\nout = "x"',
        's.toml: [[env]] "b": out is not given here: `out` at the top of the file names the folder',
    ),
    "both spellings": (
        "[train]\nn-envs = 3\nn_envs = 4",
        "s.toml: [train]: n-envs is given twice, with - and with _",
    ),
    "auto": (
        'env = "a.b"\nmethod = "vdn"\n[train]\nn-envs = "auto"',
        's.toml: n-envs = "auto" in [train]: it depends on the machine, and runs that are compared',
    ),
    "not agreed": (
        '[[env]]\nenv = "a.b"\nlr = 0.1\n[[method]]\nalgorithm = "vdn"\nlr = 0.2',
        's.toml: lr is 0.1 in [[env]] "b" and 0.2 in [[method]] "vdn": take one out, or say which '
        'in [[env]] "b": methods.vdn = { lr = ... }',
    ),
    "special of nobody": (
        'method = "vdn"\n[[env]]\nenv = "a.b"\nmethods.vdnn.lr = 0.1',
        "s.toml: [[env]] \"b\": methods.vdnn: did you mean 'vdn'? the methods are vdn",
    ),
    "seeds of games": (
        'game = "xor"\nmethod = "vdn"\nseeds = [3]',
        "s.toml: seeds = [3]: those of a [[game]] are 0, 1, 2, ...; say how many by seeds = 5",
    ),
    "unknown method": (
        f'env = "{TWO_STEP}"\nmethod = "vdnn"',
        "s.toml: row two_step_v0/vdnn/seed-0: unknown method 'vdnn': did you mean 'vdn'? methods",
    ),
    "unknown flag": (
        f'env = "{TWO_STEP}"\nmethod = "vdn"\n[train]\nmovs = 3',
        "s.toml: row two_step_v0/vdn/seed-0: unknown flag 'movs' in [train]: did you mean "
        f"'moves'? {HELP}",
    ),
    "flag of another method": (
        f'env = "{TWO_STEP}"\nmethod = ["qplex", "vdn"]\n[train]\nn-kernels = 3',
        "s.toml: row two_step_v0/vdn/seed-0: unknown flag 'n-kernels' in [train]: it is one of "
        f"qplex: give it in their [[method]]; {HELP}",
    ),
    "value": (
        f'env = "{TWO_STEP}"\nmethod = "vdn"\n[train]\nmoves = "many"',
        "s.toml: row two_step_v0/vdn/seed-0: Error parsing --moves: invalid literal for int()",
    ),
    "value out of bounds": (
        f'env = "{TWO_STEP}"\n[[method]]\nalgorithm = "vdn"\ngamma = 7',
        "s.toml: row two_step_v0/vdn/seed-0: gamma=7.0: it must be in [0, 1] (gamma is given in "
        '[[method]] "vdn")',
    ),
    "too few moves": (
        f'method = "vdn"\n[[env]]\nenv = "{TWO_STEP}"\nmoves = 0',
        "s.toml: row two_step_v0/vdn/seed-0: --moves 0: it must be at least 1 (moves is given in "
        '[[env]] "two_step_v0")',
    ),
    "no such env": (
        'env = "vdtoolkit.envs.two_stepp_v0"\nmethod = "vdn"',
        "s.toml: row two_stepp_v0/vdn/seed-0: there is no module vdtoolkit.envs.two_stepp_v0: did "
        "you mean 'two_step_v0'?",
    ),
    "no such argument": (
        'method = "vdn"\n[[env]]\nenv = "vdtoolkit.envs.switch_v0"\nenv-arg = { size = 3 }',
        "s.toml: row switch_v0/vdn/seed-0: --env-arg size=3: vdtoolkit.envs.switch_v0 has no such "
        "argument",
    ),
    "no team": (
        'env = "vdtoolkit.envs.gaussian_squeeze_v0"\nmethod = "joint_q"',
        "s.toml: row gaussian_squeeze_v0/joint_q/seed-0: ",
    ),
    "no such game": (
        'game = "xorr"\nmethod = "vdn"',
        "s.toml: row xorr/vdn: unknown game 'xorr': did you mean 'xor'?",
    ),
    "no flag of the lab": (
        'game = "xor"\nmethod = "vdn"\n[igm]\nn-envs = 3',
        "s.toml: row xor/vdn: unknown flag 'n-envs' in [igm]: vdtoolkit igm --help lists vdn's",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_it_is_refused_with_file_place_value_and_the_way_out(case, tmp_path):
    text, said = BAD[case]
    assert refused(tmp_path, text).startswith(said)
    assert not list(tmp_path.glob("*/"))


def test_an_environments_own_error_is_told_in_a_line(tmp_path):
    (tmp_path / "breaks.py").write_text("def make():\n    return 1 / 0\n")
    told = plain(env=f"{tmp_path / 'breaks.py'}:make")
    said = refused(tmp_path, told, "s.json")
    assert said.startswith("s.json: row make/vdn/seed-0: ") and "division by zero" in said


def test_only_what_is_not_finished_needs_its_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = plain(env="no.such_module")
    assert "no module" in refused(tmp_path, told, "s.json")
    assert check(tmp_path / "s.json", rows(tmp_path, told, "s.json"), envs=False) == {0: 100_000}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no.toml"], "no.toml cannot be read: No such file or directory"),
        (["s.yaml"], "s.yaml: a sweep's file ends in .toml or .json"),
        (["s.json", "--jobs", "0"], "--jobs 0: it must be at least 1"),
        (["s.json", "--retries", "-1"], "--retries -1: it must be at least 0"),
        (["s.json", "--index", "1"], "--index 1: s.json asks for 1 run, 0 to 0"),
        (["s.json", "--ray", "auto", "--jobs", "2"], "--jobs 2 and --ray auto: give one of them"),
        (["s.json", "--ray", "auto", "--index", "0"], "--index 0 and --ray auto: give one"),
    ],
)
def test_the_command_refuses_in_one_line_with_status_2(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("s.json", "s.yaml"):
        (tmp_path / name).write_text(json.dumps(plain()))
    assert cli.main(["sweep", *words]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"vdtoolkit sweep: error: {said}") and line.count("\n") == 1


def test_without_ray_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.json").write_text(json.dumps(plain()))
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.main(["sweep", "s.json", "--ray", "auto"]) == 2
    assert "--ray needs Ray: pip install 'vdtoolkit[ray]'" in capsys.readouterr().err


def test_the_pages_files_are_some(tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs" / "sweeps.md").read_text()
    text, starcraft = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    wanted = rows(tmp_path, starcraft)
    assert [row.name for row in wanted] == [f"3s5z/qmix/seed-{k}" for k in range(10)]
    assert {row.cpus for row in wanted} == {5}
    assert set(check(tmp_path / "s.toml", wanted, envs=False).values()) == {2_000_000}
    found = rows(tmp_path, text)
    assert len(found) == 2 + 2 * 2 * 5
    assert set(check(tmp_path / "s.toml", found, envs=False).values()) >= {200_000, 100_000}
