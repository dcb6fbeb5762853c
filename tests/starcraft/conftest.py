"""Where the tests play: on the stub, and on oxwhirl's own code over a stand-in for the game.

The second needs oxwhirl/smac (or smacv2) on the path and the folder fake_sc2 in `shared/` beside
the repository; each test says that it is skipped where they are not there.  SMAC and SMACv2 cannot
be played in one process, so their files are to be run one by one:

    PYTHONPATH=smac:.   pytest tests/starcraft/test_smac_v0.py tests/starcraft/test_faults.py
    PYTHONPATH=smacv2:. pytest tests/starcraft/test_smacv2_v0.py
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import starcraft_stub

from vdtoolkit.envs import smac_v0

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(os.environ.get("FAKE_SC2", ROOT.parent / "shared" / "fake_sc2"))
SWITCHES = ("FAULT", "FAULT_LAUNCHES", "ENEMY", "ENEMY_HP", "JITTER", "MAX_LOOP", "ORPHAN")


def is_there(kind):
    """Whether oxwhirl's own package can be found, without importing it."""
    spec = importlib.util.find_spec(kind)
    places = spec.submodule_search_locations if spec is not None else None
    return any((Path(place) / "env" / "starcraft2").is_dir() for place in places or [])


class Place:
    """One way to play, its switches, and what it left running."""

    def __init__(self, name, kind, state, monkeypatch):
        self.name, self.kind, self.state = name, kind, state
        self.monkeypatch = monkeypatch

    def set(self, **switches):
        """Switches of the stand-in: fault="crash@step=3", enemy_hp=0.1, ..."""
        for name, value in switches.items():
            assert name.upper() in SWITCHES
            self.monkeypatch.setenv(f"FAKE_SC2_{name.upper()}", str(value))

    @property
    def pids(self):
        """Of all that was launched."""
        files = sorted(self.state.glob("launch-*")) if self.state.exists() else []
        return [int(file.read_text().split()[0]) for file in files]

    def running(self):
        """Those that still run."""
        return [pid for pid in self.pids if alive(pid)]

    @property
    def prelude(self):
        """The first lines of a script in another process that is to play here too."""
        if self.name == "real":
            return ""
        return f"import starcraft_stub; starcraft_stub.install({self.kind!r})\n"

    def script(self, code, **kwargs):
        """A script in another process, begun."""
        path = [str(ROOT), str(ROOT / "tests"), *sys.path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        return subprocess.Popen(
            [sys.executable, "-c", self.prelude + code],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **kwargs,
        )


def alive(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="session")
def fake_game(tmp_path_factory):
    """A folder that pysc2 takes for the game, with the stand-in in it."""
    folder = tmp_path_factory.mktemp("sc2")
    command = [sys.executable, str(FAKE / "make_sc2path.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def place_of(request, kind, tmp_path, monkeypatch):
    """The place that a test asked for."""
    name, state = request.param, tmp_path / "state"
    for switch in SWITCHES:
        monkeypatch.delenv(f"FAKE_SC2_{switch}", raising=False)
    monkeypatch.setenv("FAKE_SC2_STATE", str(state))
    if name == "real":
        other = "smacv2" if kind == "smac" else "smac"
        if not is_there(kind):
            pytest.skip(f"oxwhirl's {kind} is not on the path")
        if not FAKE.is_dir():
            pytest.skip(f"there is no {FAKE.name} in {FAKE.parent.name}/")
        if f"{other}.env" in sys.modules:
            pytest.skip(f"{other} is loaded in this process: run this file alone")
        monkeypatch.setenv("SC2PATH", str(request.getfixturevalue("fake_game")))
    else:
        for module in [m for m in sys.modules if m.split(".")[0] in ("smac", "smacv2")]:
            monkeypatch.delitem(sys.modules, module)
        for module, made in starcraft_stub.modules().items():
            if module.split(".")[0] == kind:
                monkeypatch.setitem(sys.modules, module, made)
        folder = starcraft_stub.installation(tmp_path / "sc2")
        monkeypatch.setenv("SC2PATH", str(folder))
    return Place(name, kind, state, monkeypatch)


@pytest.fixture(params=["stub", "real"])
def smac(request, tmp_path, monkeypatch):
    """Where to play SMAC; nothing is left running after the test."""
    place = place_of(request, "smac", tmp_path, monkeypatch)
    yield place
    assert place.running() == []


@pytest.fixture(params=["stub", "real"])
def smacv2(request, tmp_path, monkeypatch):
    """Where to play SMACv2; nothing is left running after the test."""
    place = place_of(request, "smacv2", tmp_path, monkeypatch)
    yield place
    assert place.running() == []


@pytest.fixture
def make(smac):
    """Makes a smac_v0, and closes it after the test."""
    made = []

    def making(*args, **kwargs):
        made.append(smac_v0.parallel_env(*args, **{"timeout": 30, **kwargs}))
        return made[-1]

    yield making
    for env in made:
        env.close()


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """The stub of SMAC alone."""

    class Param:
        param = "stub"

    place = place_of(Param, "smac", tmp_path, monkeypatch)
    yield place
    assert place.running() == []
