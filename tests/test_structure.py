"""The floors of docs/architecture: who may import whom, read from the syntax trees."""

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import vdtoolkit

# A module may import from lower floors and its own.  A name stands for all modules below it, the
# longest that fits decides.  What is not there yet has its floor already.
FLOORS = {
    "vdtoolkit.step": 0,
    "vdtoolkit._version": 0,
    "vdtoolkit.envs": 0,
    "vdtoolkit.config": 1,
    "vdtoolkit.dice": 1,
    "vdtoolkit.interrupts": 1,
    "vdtoolkit.files": 1,
    "vdtoolkit.team": 1,
    "vdtoolkit.episode": 1,
    "vdtoolkit.adapters": 1,
    "vdtoolkit.lookup": 1,
    "vdtoolkit.making": 2,
    "vdtoolkit.flags": 2,
    "vdtoolkit.batch": 1,
    "vdtoolkit.returns": 1,
    "vdtoolkit.networks": 1,
    "vdtoolkit.unroll": 1,
    "vdtoolkit.fast": 1,
    "vdtoolkit.few_rows": 1,
    "vdtoolkit.flat": 1,
    "vdtoolkit.vision": 1,
    "vdtoolkit.sealed": 2,
    "vdtoolkit.replay": 2,
    "vdtoolkit.finite": 2,
    "vdtoolkit.stream": 2,
    "vdtoolkit.team_env": 2,
    "vdtoolkit.workers": 2,
    "vdtoolkit.checks": 2,
    "vdtoolkit.agents": 3,
    "vdtoolkit.training": 4,
    "vdtoolkit.seeds": 4,
    "vdtoolkit.igm": 4,
    "vdtoolkit.certify": 4,
    "vdtoolkit.checkpoint": 4,
    "vdtoolkit.runs": 4,
    "vdtoolkit.snapshots": 4,
    "vdtoolkit.passport": 4,
    "vdtoolkit.rundir": 4,
    "vdtoolkit.plots": 5,
    "vdtoolkit.compare": 5,
    "vdtoolkit.sweep": 5,
    "vdtoolkit.commands": 5,
    "vdtoolkit.cli": 5,
    "vdtoolkit.__main__": 5,
    "vdtoolkit": 6,  # the front door: imports what users see, imported by nobody
}
# Upwards all the same, and why.
EXCEPTIONS = {
    ("vdtoolkit.igm.command", "vdtoolkit.cli"): "a command refuses as all commands do",
    ("vdtoolkit.agents.base", "vdtoolkit.checkpoint"): "agents.save(path) and load(path)",
}
# The numpy world: envs and agents meet in `Step`, and nothing on this side needs torch.
WITHOUT_TORCH = (
    "step",
    "_version",
    "config",
    "team",
    "finite",
    "stream",
    "adapters",
    "lookup",
    "making",
    "dice",
    "files",
)

ROOT = Path(__file__).parents[1]


def sources():
    """Every module's name and file."""
    for folder, package in ((ROOT / "vdtoolkit", "vdtoolkit"), (ROOT / "envs", "vdtoolkit.envs")):
        for path in sorted(folder.rglob("*.py")):
            if path.name == "_vdtoolkit_envs.py":  # marks a source checkout
                continue
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([package, *(p for p in parts if p != "__init__")]), path


MODULES = dict(sources())
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}


@cache
def tree(name):
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imports(name, nodes):
    """What these nodes of a module import: full names, a module of ours as itself."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = name.split(".")
                above = above[: len(above) - node.level + (name in PACKAGES)]
                source = ".".join([*above, source] if source else above)
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield inner if inner in MODULES else source


def everywhere(name):
    """All imports of a module, those inside functions too."""
    return set(imports(name, ast.walk(tree(name))))


def at_import(name):
    """The imports that run when the module is imported."""

    def walk(body):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from walk(node.orelse)
                continue
            yield node
            yield from walk(ast.iter_child_nodes(node))

    return set(imports(name, walk(tree(name).body)))


def ours(names):
    return {name for name in names if name == "vdtoolkit" or name.startswith("vdtoolkit.")}


def floor(name):
    """The floor of a module; None where the table does not know it."""
    part = name
    while part != "vdtoolkit":
        if part in FLOORS:
            return FLOORS[part]
        part = part.rpartition(".")[0]
    return FLOORS["vdtoolkit"] if name == "vdtoolkit" else None


# -- floors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_lower_floors_and_its_own(name):
    assert floor(name) is not None, f"{name} is on no floor: add it to FLOORS"
    for other in ours(everywhere(name)):
        assert floor(other) is not None, f"{name} imports {other}, which is on no floor"
        assert floor(other) <= floor(name) or (name, other) in EXCEPTIONS, (
            f"{name} (floor {floor(name)}) imports {other} (floor {floor(other)})"
        )


def test_the_page_of_floors_is_true():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (.+?) \|", page, re.MULTILINE)
    told = {(name.partition("/")[0], int(n)) for n, cell in rows for name in cell.split("`")[1::2]}
    for name, n in FLOORS.items():
        last = name.rpartition(".")[2] if name != "vdtoolkit" else "__init__"
        if last != "_version":
            assert (last, n) in told or (f"{last}.py", n) in told, f"{name}, floor {n}"
    assert [n for n, _ in rows] == sorted(n for n, _ in rows)


def test_every_exception_is_needed():
    for name, other in EXCEPTIONS:
        assert other in everywhere(name), f"{name} no longer imports {other}"
        assert floor(other) > floor(name)


def test_no_import_cycle():
    graph = {name: ours(at_import(name)) - {name} for name in MODULES}
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            path.append(name)
            for other in sorted(graph[name]):
                visit(other)
            done.add(path.pop())

    for name in graph:
        visit(name)


@pytest.mark.parametrize("name", [m for m in MODULES if m.startswith("vdtoolkit.envs")])
def test_environments_know_neither_torch_nor_vdtoolkit(name):
    for other in everywhere(name):
        assert other.split(".")[0] != "torch"
        assert not ours([other]) or other.startswith("vdtoolkit.envs"), other


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_the_numpy_world_does_not_import_torch(name):
    assert not {other for other in everywhere(f"vdtoolkit.{name}") if other.startswith("torch")}


def test_the_reader_of_imports_sees_all_kinds():
    found = everywhere("vdtoolkit.envs.matrix_game_v0")
    assert {"vdtoolkit.envs._finite", "vdtoolkit.envs._games", "numpy"} <= found
    assert "vdtoolkit.envs._tables" in everywhere("vdtoolkit.envs._finite")  # from . import x
    assert "vdtoolkit.checkpoint" in everywhere("vdtoolkit.agents.base")  # inside a function
    assert "vdtoolkit.checkpoint" not in at_import("vdtoolkit.agents.base")
    assert "vdtoolkit.agents.base" in at_import("vdtoolkit.training")


# -- names ----------------------------------------------------------------------------------


def exported(name):
    """`__all__` as the module has it, None where it has none."""
    for node in tree(name).body:
        if isinstance(node, ast.Assign) and "__all__" in map(ast.unparse, node.targets):
            return importlib.import_module(name).__all__
    return None


@pytest.mark.parametrize("name", [m for m in MODULES if exported(m) is not None])
def test_all_names_exist_once(name):
    module, names = importlib.import_module(name), exported(name)
    assert len(set(names)) == len(names)
    for one in names:
        assert getattr(module, one) is not None


def top_level(name):
    """The statements of a module, those for type checkers alone too."""
    for node in tree(name).body:
        for_checkers = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        yield from node.body if for_checkers else [node]


@pytest.mark.parametrize("name", ["vdtoolkit", "vdtoolkit.agents", "vdtoolkit.igm"])
def test_all_is_what_is_imported(name):
    imported, defined = set(), set()
    for node in top_level(name):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vdtoolkit"):
            imported |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.AnnAssign):
            defined.add(ast.unparse(node.target))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
    public = {n for n in imported | defined if not n.startswith("_") or n == "__version__"}
    assert set(exported(name)) == public


def test_the_front_door_opens_to_what_type_checkers_see():
    seen = {
        (node.module, alias.name)
        for node in top_level("vdtoolkit")
        if isinstance(node, ast.ImportFrom) and node.module.startswith("vdtoolkit")
        for alias in node.names
    }
    assert {(vdtoolkit._HOME[name], name) for name in vdtoolkit._HOME} == {
        (module, name) for module, name in seen if name != "__version__"
    }
    assert set(vdtoolkit.__all__) <= set(dir(vdtoolkit))
    with pytest.raises(AttributeError, match="module 'vdtoolkit' has no attribute 'QMIX'"):
        vdtoolkit.QMIX  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import vdtoolkit",
        "import vdtoolkit.stream",
        "import vdtoolkit.envs",
        "from vdtoolkit import Team",
        "from vdtoolkit import cli; cli.main(['--help'])",
    ],
)
def test_what_needs_no_torch_does_not_import_it(code):
    run = [sys.executable, "-c", f"{code}\nimport sys; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(run, stdout=subprocess.DEVNULL, check=False).returncode == 0
