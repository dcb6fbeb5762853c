"""Environments by name, with arguments and wrappers."""

import pickle
import re
import subprocess
import sys
import textwrap

import numpy as np
import pettingzoo
import pytest
from pettingzoo import ParallelEnv
from teams import says

from vdtoolkit.adapters import TupleTeam
from vdtoolkit.making import EnvMaker, as_parallel

REGISTRY = hasattr(pettingzoo, "parallel_registry")


def made(*words):
    return EnvMaker.parse(*words)()


def refusal(*words):
    with pytest.raises(ValueError) as caught:
        made(*words)
    return str(caught.value)


# -- where environments come from -----------------------------------------------------------------


def test_a_module_with_parallel_env():
    env = made("vdtoolkit.envs.two_step_v0")
    assert isinstance(env, ParallelEnv) and env.metadata["name"] == "two_step_v0"


def test_a_module_with_env_alone_is_converted():
    pytest.importorskip("pygame", reason="pettingzoo's games need pygame")
    env = made("pettingzoo.classic.tictactoe_v3")  # turn-based, so not parallelizable
    assert isinstance(env, ParallelEnv)
    observations, _ = env.reset(seed=1)
    assert set(observations) == {"player_1", "player_2"}


@pytest.mark.parametrize(
    "name", ["pettingzoo:sisl/pursuit-v5", "pettingzoo.sisl.pursuit_v5", "pettingzoo:sisl/pursuit"]
)
def test_pettingzoos_ids_and_modules_both_work_without_its_warning(name):
    if name.endswith("pursuit") and not REGISTRY:
        pytest.skip("PettingZoo has a registry from 1.27 on")
    code = f"from vdtoolkit.making import EnvMaker; e = EnvMaker({name!r}, {{'n_pursuers': 3}})();"
    code += "print(len(e.possible_agents))"
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if "pygame" in done.stderr:
        pytest.skip("pettingzoo[sisl] is not installed")
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr


def test_our_own_environments_have_ids_too():
    if not REGISTRY:
        pytest.skip("PettingZoo has a registry from 1.27 on")
    assert made("pettingzoo:vdtoolkit/two_step-v0").metadata["name"] == "two_step_v0"


def test_gymnasiums_ids_of_tuple_teams():
    pytest.importorskip("lbforaging", reason="lbforaging is not installed")
    env = made("gymnasium:lbforaging:Foraging-8x8-2p-1f-coop-v3", ["sight=2"])
    assert isinstance(env, TupleTeam) and env.env.unwrapped.sight == 2
    env.reset(seed=0)
    env.step({"agent_0": 0, "agent_1": 0})  # rewards as a list: no warning


def test_something_in_a_module():
    assert made("teams:Relay", ["masks=observations"]).masks == "observations"


def test_a_file_of_ones_own_and_its_neighbours(tmp_path):
    (tmp_path / "my_payoffs.py").write_text("PAY = [[1, 2, 3], [4, 5, 6]]\n")
    (tmp_path / "my_env.py").write_text(
        textwrap.dedent(
            """
            from my_payoffs import PAY
            from vdtoolkit.envs import matrix_game_v0

            def parallel_env(scale=1):
                return matrix_game_v0.parallel_env([[scale * x for x in row] for row in PAY])

            def other():
                return matrix_game_v0.parallel_env("climbing")
            """
        )
    )
    path = str(tmp_path / "my_env.py")
    env = made(path, ["scale=10"])
    env.reset()
    assert env.step({"agent_0": 1, "agent_1": 2})[1]["agent_0"] == 60
    assert made(f"{path}:other").action_space("agent_0").n == 3
    assert EnvMaker(path).name == "my_env"


def test_a_maker_can_be_pickled_and_makes_a_new_env_each_time():
    maker = EnvMaker.parse("vdtoolkit.envs.matrix_game_v0", [], ["supersuit.dtype_v0('float64')"])
    again = pickle.loads(pickle.dumps(maker))
    assert again == maker and again() is not again()
    assert again().observation_space("agent_0").dtype == np.float64


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ("mpe2.simple_spread_v3", "simple_spread_v3"),
        ("pettingzoo:sisl/pursuit-v5", "pursuit-v5"),
        ("gymnasium:rware:rware-tiny-2ag-v2", "rware-tiny-2ag-v2"),
        ("a/b/my_env.py:make", "make"),
    ],
)
def test_the_short_name(env, name):
    assert EnvMaker(env).name == name


# -- arguments ------------------------------------------------------------------------------------


def test_arguments_are_literals_or_strings():
    words = ["a=3", "b=[1, 2.5]", "c=True", "d=climbing", "e='x=1'", "f=1and", "g=", "h=a=b"]
    assert EnvMaker.parse("x", words).arguments == {
        **{"a": 3, "b": [1, 2.5], "c": True, "d": "climbing", "e": "x=1"},
        **{"f": "1and", "g": "", "h": "a=b"},
    }


@pytest.mark.parametrize("text", ["3", "=3", "a b=3", ""])
def test_an_argument_without_a_name_is_refused(text):
    with says(ValueError, f"--env-arg {text!r}: it must be NAME=VALUE, for example N=3"):
        EnvMaker.parse("x", [text])


def test_a_wrong_argument_shows_those_there_are():
    assert refusal("vdtoolkit.envs.two_step_v0", ["rendr_mode=ansi"]) == (
        "--env-arg rendr_mode='ansi': vdtoolkit.envs.two_step_v0 has no such argument: "
        "did you mean 'render_mode'? it takes render_mode=None"
    )


def test_what_kwargs_hide_is_shown_all_the_same():
    pytest.importorskip("mpe2", reason="mpe2 is not installed")
    said = refusal("mpe2.simple_spread_v3", ["max_cycle=7"])
    assert "did you mean 'max_cycles'? it takes N=3, local_ratio=0.5, max_cycles=25" in said


def test_gymnasiums_factories_show_theirs():
    pytest.importorskip("lbforaging", reason="lbforaging is not installed")
    name = "gymnasium:lbforaging:Foraging-8x8-2p-1f-coop-v3"
    said = refusal(name, ["sigt=2"])
    assert said.startswith(f"--env-arg sigt=2: {name} has no such argument: did you mean 'sight'?")


def test_arguments_that_are_missing(tmp_path):
    path = tmp_path / "needy.py"
    path.write_text("def parallel_env(size, *, speed): ...\n")
    assert refusal(str(path)) == (
        f"{path} needs arguments: 'size'; give --env-arg NAME=VALUE; it takes size, *, speed"
    ).replace("*, ", "")


def test_what_the_factory_itself_says_is_passed_on(tmp_path):
    path = tmp_path / "angry.py"
    path.write_text("def parallel_env(size=1):\n    raise RuntimeError(f'{size} is too small')\n")
    assert refusal(str(path), ["size=2"]) == f"{path}: RuntimeError: 2 is too small"


# -- names that are wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "vdtoolkit.envs.two_stp_v0",
            "there is no module vdtoolkit.envs.two_stp_v0: did you mean 'two_step_v0'?",
        ),
        ("mpe3.simple_spread_v3", "there is no module mpe3: did you mean 'mpe2'?"),
        ("teams:Rely", "teams has no 'Rely': did you mean 'Relay'?"),
        ("teams", "it has Relay, NoState, Rooms: --env teams:Relay"),
        ("json", "json has neither parallel_env nor env, so it is no PettingZoo environment"),
        ("vdtoolkit.envs", "name one of its modules: vdtoolkit.envs.dec_tiger_v0, "),
        ("two words", "'two words' is neither a module (package.module) nor a file (my_env.py)"),
        ("teams:told", "teams:told needs arguments: 'names' and 'value'"),
        ("pettingzoo.mpe.simple_spread_v3", "MPE has been moved into its own package: MPE2"),
        ("gymnasium:nowhere:Bar-v2", "there is no module nowhere"),
        ("gymnasium:CartPol-v1", "Gymnasium has no environment 'CartPol-v1': did you mean"),
        ("gymnasium:CartPole-v1", "a team needs gymnasium.spaces.Tuple, one part an agent"),
    ],
)
def test_names_that_lead_nowhere(name, said):
    assert said in refusal(name)


def test_a_missing_package_that_we_know_is_named_for_pip(monkeypatch):
    monkeypatch.setitem(sys.modules, "momaland", None)
    said = refusal("momaland.envs.beach.mobeach_v0")
    assert said.endswith("; pip install momaland")


def test_an_id_that_the_registry_does_not_know():
    if not REGISTRY:
        pytest.skip("PettingZoo has a registry from 1.27 on")
    assert refusal("pettingzoo:sisl/pursuit-v9") == (
        "PettingZoo's registry has no 'sisl/pursuit-v9': did you mean 'sisl/pursuit-v5'?"
    )


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "my_env.py").write_text("")
    said = refusal(str(tmp_path / "my_evn.py"))
    assert said == f"there is no file {tmp_path / 'my_evn.py'}: did you mean 'my_env.py'?"


def test_a_file_whose_own_import_fails(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import no_such_module_here\n")
    assert refusal(str(path)) == (
        f"{path} cannot be imported: No module named 'no_such_module_here'"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def parallel_env(:\n", "SyntaxError: invalid syntax (sour.py, line 1)"),
        ("x = 3\ny = x / 0\n", "ZeroDivisionError: division by zero ({path}, line 2)"),
    ],
)
def test_code_that_cannot_be_imported_is_told_with_its_line(code, said, tmp_path, monkeypatch):
    path = tmp_path / "sour.py"
    path.write_text(code)
    said = said.format(path=path)
    assert refusal(str(path)) == f"{path} cannot be imported: {said}"
    monkeypatch.syspath_prepend(tmp_path)
    assert refusal("sour") == f"sour cannot be imported: {said}"


def test_what_a_file_does_not_have_is_told_by_the_files_own_name(tmp_path):
    path = tmp_path / "lamps.py"
    path.write_text("class Lamp: pass\n")
    assert refusal(f"{path}:Lmp") == f"{path} has no 'Lmp': did you mean 'Lamp'?"


def test_what_is_no_environment_is_refused():
    with pytest.raises(ValueError, match=re.escape("it makes 'int', which is no environment")):
        as_parallel("it", 3)


# -- wrappers -------------------------------------------------------------------------------------


def test_wrappers_are_put_on_from_the_inside_out(tmp_path, monkeypatch):
    (tmp_path / "tags_of_a_test.py").write_text(
        "def tag(env, name, end=''):\n"
        "    env.tags = [*getattr(env, 'tags', []), name + end]\n"
        "    return env\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = ["tags_of_a_test.tag('inner')", "tags_of_a_test.tag('outer', end='!')"]
    assert made("vdtoolkit.envs.two_step_v0", [], words).tags == ["inner", "outer!"]


def test_a_wrapper_without_arguments_needs_no_brackets():
    words = ["supersuit.pad_observations_v0", "supersuit.frame_stack_v1(3)"]
    env = made("vdtoolkit.envs.matrix_game_v0", [], words)
    inner = made("vdtoolkit.envs.matrix_game_v0").observation_space("agent_0").shape
    assert env.observation_space("agent_0").shape == (3 * inner[0],)


@pytest.mark.parametrize("text", ["supersuit.f(x=y)", "f(1", "supersuit.f(1)(2)", "resize()", ""])
def test_a_wrapper_that_is_no_call_with_literals_is_refused_before_anything_is_made(text):
    with pytest.raises(ValueError, match=re.escape(f"--wrap {text!r}: it must")):
        EnvMaker.parse("x", [], [text])


def test_a_wrapper_that_is_not_there_or_does_not_fit():
    game = "vdtoolkit.envs.matrix_game_v0"
    assert refusal(game, [], ["supersuit.resise_v1(x_size=4)"]) == (
        "supersuit has no 'resise_v1': did you mean 'resize_v1'?"
    )
    assert refusal(game, [], ["supersuit.resize_v1(x=4)"]) == (
        "--wrap supersuit.resize_v1(x=4): resize_v1() got an unexpected keyword argument 'x'"
    )
    assert "--wrap supersuit.resize_v1(4, 4): " in refusal(game, [], ["supersuit.resize_v1(4, 4)"])
