"""What is missing is told in one line: what to install, from where, and under which licence."""

import sys
from types import ModuleType

import pytest
from starcraft_play import stand

from vdtoolkit.envs import smac_v0
from vdtoolkit.envs._starcraft import install, protocol


@pytest.fixture
def nothing(monkeypatch, tmp_path):
    """A machine without oxwhirl's code, and without the game."""
    for name in [name for name in sys.modules if name.split(".")[0] in install.CLASSES]:
        monkeypatch.delitem(sys.modules, name)
    ours = [p for p in sys.path if not any((install.Path(p) / k).exists() for k in install.CLASSES)]
    monkeypatch.setattr(sys, "path", [*ours, str(tmp_path)])
    monkeypatch.delenv("SC2PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in install.CLASSES]:
        del sys.modules[name]


def one_line(error, *words):
    said = str(error.value)
    assert "\n" not in said
    for word in words:
        assert word in said


@pytest.mark.parametrize("kind", ["smac", "smacv2"])
def test_no_code(nothing, kind):
    with pytest.raises(ImportError) as error:
        install.load(kind)
    one_line(error, f"oxwhirl's {kind}, which is missing", "git+https://github.com/oxwhirl/", "MIT")
    assert isinstance(error.value, ValueError)  # so commands say it in a line


def test_automls_smac_in_its_place(nothing):
    package = nothing / "smac"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('it must not be imported')")
    with pytest.raises(ImportError) as error:
        smac_v0.parallel_env("3m")
    one_line(error, "is AutoML's SMAC3, which has the same name as oxwhirl's", "github.com/oxwhirl")


def test_code_without_what_it_needs(nothing, monkeypatch):
    package = nothing / "smac"
    (package / "env" / "starcraft2").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "env" / "__init__.py").write_text("import no_such_package_of_ours")
    monkeypatch.setattr(protocol, "install", lambda: False)
    with pytest.raises(ImportError, match=r"cannot be imported: No module named 'no_such_package"):
        smac_v0.parallel_env("3m")


def test_no_game(stub, monkeypatch, tmp_path):
    monkeypatch.setenv("SC2PATH", str(tmp_path / "elsewhere"))
    env = smac_v0.parallel_env("3m")
    with pytest.raises(ValueError) as error:
        env.reset()
    words = ["there is no StarCraft II in", "elsewhere (SC2PATH says)", "SC2.4.10.zip"]
    one_line(error, *words, "Blizzard's AI and Machine Learning License")
    assert (env.agents, env.game.launches, stub.pids) == ([], 0, [])


def test_no_sc2path(stub, monkeypatch, tmp_path):
    monkeypatch.delenv("SC2PATH")
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError) as error:
        smac_v0.parallel_env("3m").reset()
    one_line(error, f"{tmp_path}/StarCraftII (SC2PATH is not set)", "set SC2PATH")


def test_a_missing_map(stub):
    install.map_file(install.game_folder(), "3m").unlink()
    with pytest.raises(ValueError) as error:
        smac_v0.parallel_env("3m").reset()
    one_line(error, "there is no map", "Maps/SMAC_Maps/3m.SC2Map", "oxwhirl/smac", "MIT licence")


def test_a_broken_installation(stub):
    install.executable(install.game_folder(), 75689).chmod(0o644)
    with pytest.raises(ValueError, match="SC2_x64 is not executable: unpack the game's package"):
        smac_v0.parallel_env("3m").reset()


def test_a_version_that_is_not_there(stub):
    with pytest.raises(ValueError, match=r"'4\.6\.2' is Base69232, which is not in .*4\.10\.0"):
        smac_v0.parallel_env("3m", game_version="4.6.2").reset()


def test_a_thing_that_is_missing_is_not_tried_again(stub, monkeypatch):
    env = smac_v0.parallel_env("3m")
    _, infos = env.reset()
    install.map_file(install.game_folder(), "3m").unlink()
    env.step(stand(infos))
    with pytest.raises(install.NotInstalled):
        env.reset(seed=1)
    assert env.game.launches == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"map_name": "3s_vs_z"}, "knows no map '3s_vs_z': did you mean '3s_vs_3z'.*maps are 3m, "),
        ({"dificulty": "7"}, "has no argument 'dificulty': did you mean 'difficulty'"),
        ({"seed": 3}, r"seed=3: give it to reset\(seed=...\)"),
        ({"timeout": 0}, "timeout=0: give a whole number from 1 on"),
        ({"illegal_action": "drop"}, "illegal_action='drop'"),
        ({"render_mode": "ascii"}, "render_mode='ascii'"),
    ],
)
def test_what_cannot_be_is_refused(stub, arguments, said):
    with pytest.raises((TypeError, ValueError), match=said):
        smac_v0.parallel_env(**arguments)


def test_importing_vdtoolkit_imports_none_of_it(stub):
    code = "import sys, vdtoolkit, vdtoolkit.envs\nfrom vdtoolkit.envs import smac_v0\n"
    code += "print([m for m in ('pysc2', 's2clientprotocol', 'google') if m in sys.modules])"
    with stub.script(code) as run:
        assert run.communicate(timeout=60)[0] == "[]\n"


# -- the protocol -------------------------------------------------------------------------

OLD = """
_b = lambda text: text.encode("latin1")
DESCRIPTOR = _descriptor.FileDescriptor(name="x.proto", {field}={text})
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"_b('\n\x07x.proto\xff')", b"\n\x07x.proto\xff"),
        (r"b'\n\x07\xfe'", b"\n\x07\xfe"),
        ("(_b('ab'))", b"ab"),
    ],
)
def test_the_description_is_read_from_an_old_module(tmp_path, text, found):
    path = tmp_path / "x_pb2.py"
    path.write_text(OLD.format(field="serialized_pb", text=text))
    assert protocol.serialised(path) == found


def test_a_module_of_todays_protoc_is_left_alone(tmp_path):
    path = tmp_path / "x_pb2.py"
    path.write_text("DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'ab')")
    assert protocol.serialised(path) is None
    assert protocol.Finder().find_spec("numpy", None) is None


def test_messages_go_round_under_the_protobuf_that_is_here():
    pytest.importorskip("google.protobuf", reason="protobuf is not installed")
    pytest.importorskip("s2clientprotocol", reason="s2clientprotocol is not installed")
    protocol.install()
    from s2clientprotocol import raw_pb2, sc2api_pb2

    request = sc2api_pb2.Request(step=sc2api_pb2.RequestStep(count=8), id=3)
    assert sc2api_pb2.Request.FromString(request.SerializeToString()) == request
    assert request.WhichOneof("request") == "step"
    assert raw_pb2.Unit(tag=2**40).tag == 2**40
    assert dict(sc2api_pb2.Status.items())["in_game"] == sc2api_pb2.in_game
    assert protocol.install() is False  # once is enough


def test_oxwhirls_module_in_its_place_is_the_one_that_was_put_there(stub):
    assert isinstance(install.load("smac"), ModuleType)
    assert install.load("smac") is sys.modules["smac.env"]
