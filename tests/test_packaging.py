"""What is built, what is in it, and that it runs from anywhere."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from vdtoolkit import __version__

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {"vdtoolkit": ROOT / "vdtoolkit", "vdtoolkit.envs": ROOT / "envs"}
TREE = ["vdtoolkit", "envs", "tests", "examples", "docs", "benchmarks", ".ci"]
FILES = ["pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"]


def modules() -> set[str]:
    """Every module of the source tree at its place in the wheel."""
    found = set()
    for package, folder in SOURCES.items():
        for path in folder.rglob("*.py"):
            found.add(f"{package.replace('.', '/')}/{path.relative_to(folder).as_posix()}")
    return found


def packages() -> set[str]:
    return {str(Path(m).parent).replace("/", ".") for m in modules() if m.endswith("__init__.py")}


def run(*command, cwd, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **{k: str(v) for k, v in environment.items()}},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def python(code: str, cwd, **environment) -> str:
    """What a fresh interpreter prints; its working folder comes first on its path."""
    done = run(sys.executable, "-c", code, cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def copy(folder: Path, names: list[str]) -> Path:
    """Parts of the source tree, without caches, in a folder of their own."""
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist and the wheel that was built from it.

    Built from a copy: an old build/ in the checkout would put deleted modules into the wheel.
    """
    pytest.importorskip("build", reason="the package `build` is not installed: make test does it")
    source = copy(tmp_path_factory.mktemp("source"), [*TREE, *FILES, "Makefile", "constraints.txt"])
    out = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "build", "--outdir", out, source, cwd=out)
    told = done.stdout + done.stderr
    if done.returncode and re.search(r"No matching distribution found for setuptools", told):
        pytest.skip("setuptools cannot be downloaded, so nothing can be built")
    assert done.returncode == 0, told
    return out


@pytest.fixture(scope="module")
def wheel(built) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """The wheel installed alone into a folder."""
    (path,) = built.glob("*.whl")
    target = tmp_path_factory.mktemp("installed")
    done = run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
        *("--target", target, path),
        cwd=target,
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def pyproject() -> dict:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 brings tomllib")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def metadata(wheel):
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_has_every_module_and_nothing_else(wheel):
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert files == modules() | {"vdtoolkit/py.typed"}


def test_the_wheel_installs_one_top_level_package(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"vdtoolkit"}
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_the_wheels_packages_are_the_trees(wheel):
    found = {
        str(Path(n).parent).replace("/", ".") for n in wheel.namelist() if n.endswith("__init__.py")
    }
    assert found == packages()
    assert {"vdtoolkit", "vdtoolkit.agents", "vdtoolkit.igm", "vdtoolkit.envs"} <= found


def test_pyproject_lists_exactly_the_packages_of_the_tree(pyproject):
    setuptools = pyproject["tool"]["setuptools"]
    assert set(setuptools["packages"]) == packages()
    assert setuptools["package-dir"] == {"vdtoolkit.envs": "envs"}


def test_the_command_is_an_entry_point(wheel):
    (name,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    assert "vdtoolkit = vdtoolkit.cli:main" in wheel.read(name).decode()


def test_metadata_asks_for_light_ranges(wheel):
    told = metadata(wheel)
    core = [r for r in told.get_all("Requires-Dist") if "extra ==" not in r]
    names = {re.match(r"[A-Za-z0-9_.-]+", requirement).group().lower() for requirement in core}
    assert {"torch", "numpy", "gymnasium", "pettingzoo", "supersuit"} <= names
    assert not names & {"tensordict", "torchrl", "ray", "smac", "pandas"}
    assert not [r for r in core if "==" in r or "~=" in r]
    ranges = [r.split(";")[0] for r in core]
    assert [r for r in ranges if "<" in r] == ["pettingzoo<2,>=1.25"]
    assert told["License-Expression"] == "MIT"
    assert told["Version"] == __version__
    assert "make demo" in told.get_payload()


def test_the_sdist_has_tests_examples_and_docs(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = ["Makefile", "constraints.txt", "envs/_vdtoolkit_envs.py", "examples/two_step.py"]
    assert names >= {*wanted, "tests/test_packaging.py", "docs/methods.md", ".ci/run"}
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_installed_wheel_imports_its_own_envs_from_anywhere(installed, tmp_path):
    code = (
        "import importlib.util, vdtoolkit, vdtoolkit.envs;"
        "from vdtoolkit.envs import matrix_game_v0, two_step_v0, hidden_payoff_v0;"
        "print(vdtoolkit.__file__, vdtoolkit.envs.__file__, matrix_game_v0.__file__);"
        "print(len(vdtoolkit.__path__), importlib.util.find_spec('envs'))"
    )
    files, rest = python(code, tmp_path, PYTHONPATH=installed).splitlines()
    assert all(file.startswith(str(installed / "vdtoolkit")) for file in files.split())
    assert rest == "1 None"


def test_the_installed_command_tells_its_version(installed, tmp_path):
    command = installed / "bin" / "vdtoolkit"
    done = run(command, "--version", cwd=tmp_path, PYTHONPATH=installed)
    assert done.stdout.strip() == f"vdtoolkit {__version__}", done.stderr


def test_the_installed_command_runs_the_lab_from_another_folder(installed, tmp_path):
    small = [*("--algorithms", "vdn", "--seeds", "1", "--moves", "64"), "--jobs", "1", "--json"]
    command = [sys.executable, "-m", "vdtoolkit", "igm", *small, "--out", "result"]
    done = run(*command, cwd=tmp_path, PYTHONPATH=installed)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["methods"][0]["name"] == "vdn"
    assert {"index.html", "overview.png", "result.json"} <= {
        path.name for path in (tmp_path / "result").iterdir()
    }


# an editable install of this very checkout answers for vdtoolkit.envs where the path does not
NOTHING_INSTALLED = (
    "import sys;"
    "sys.meta_path = [f for f in sys.meta_path if '__editable__' not in"
    " getattr(f, '__module__', type(f).__module__)];"
)


def test_a_checkout_works_with_nothing_installed(tmp_path):
    checkout = copy(tmp_path, ["vdtoolkit", "envs", "pyproject.toml"])
    code = NOTHING_INSTALLED + "import vdtoolkit.envs as e; print(e.__file__)"
    assert python(code, checkout, PYTHONPATH="") == str(checkout / "envs" / "__init__.py")


def test_a_vendored_copy_leaves_a_users_own_envs_alone(tmp_path):
    project = copy(tmp_path, ["vdtoolkit", "pyproject.toml"])
    (project / "envs").mkdir()
    (project / "envs" / "__init__.py").write_text("OWNER = 'user'\n", encoding="utf-8")
    code = NOTHING_INSTALLED + (
        "import vdtoolkit, envs; print(envs.OWNER, len(vdtoolkit.__path__));\n"
        "try: import vdtoolkit.envs\n"
        "except ModuleNotFoundError: print('not found')"
    )
    assert python(code, project, PYTHONPATH="").split("\n") == ["user 1", "not found"]


def test_the_version_is_written_in_one_place(pyproject):
    assert pyproject["project"]["dynamic"] == ["version"]
    assert "version" not in pyproject["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(.+?)\]", changelog, re.MULTILINE).group(1) == __version__


def test_constraints_pin_torch_for_every_python():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert "torch==2.13.0" in lines
    assert all("==" in line for line in lines if not line.startswith("#"))


def test_constraints_hold_every_direct_dependency(pyproject):
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    project = pyproject["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9_-]+", requirement).group().lower()
        assert name == "vdtoolkit" or re.search(rf"^{name}==", text, re.MULTILINE), name


def test_the_doctor_names_every_extra_that_users_may_want(pyproject):
    from vdtoolkit.commands.doctor import EXTRAS

    extras = pyproject["project"]["optional-dependencies"]
    assert {extra for extra, _ in EXTRAS.values()} | {"dev", "starcraft"} == set(extras)
    for module, (extra, _) in EXTRAS.items():
        assert any(wanted.startswith(module) for wanted in extras[extra])
