"""Modules and their attributes by name, with errors that say what to install or what was meant."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

OWN_MODULES = {*sys.stdlib_module_names, *sys.builtin_module_names}
# what brings a module that is not there
INSTALL = {
    "mpe2": "mpe2",
    "lbforaging": "lbforaging",
    "rware": "rware",
    "momaland": "momaland",
    "magent2": "magent2",
    "supersuit": "supersuit",
    "pettingzoo.butterfly": "'pettingzoo[butterfly]'",
    "pettingzoo.sisl": "'pettingzoo[sisl]'",
    "pettingzoo.classic": "'pettingzoo[classic]'",
    "pettingzoo.atari": "'pettingzoo[atari]'",
    "pettingzoo.mpe": "mpe2",
}


def module(name: str) -> ModuleType:
    """The module of a dotted name or of a file that ends in .py; ValueError where there is none."""
    if name.endswith(".py"):
        return _file(Path(name))
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"{name!r} is neither a module (package.module) nor a file (my_env.py)")
    try:
        with quietly():
            return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(_why(name, error)) from None
    except Exception as error:
        raise ValueError(_where(name, error)) from error


def attribute(source: str, name: str) -> Any:
    """An attribute of `module(source)`; ValueError names the closest."""
    found = module(source)
    try:
        with quietly():
            return getattr(found, name)
    except (AttributeError, ImportError):  # SuperSuit's modules answer with the latter
        pass
    public = [key for key in dir(found) if not key.startswith("_")]
    raise ValueError(f"{source} has no {name!r}{_or_rather(name, public)}")


def from_here() -> None:
    """Let modules of the present folder be found, as `python -m` does; after all others."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())


def refuse_pythons_own(name: str, why: str) -> None:
    """ValueError where a module of Python's own is named: why nothing of ours can be meant."""
    first = name.split(":")[0]
    if not first.endswith(".py") and first.split(".")[0].strip() in OWN_MODULES:
        raise ValueError(f"{name!r} is Python's own: {why}")


def submodules(package: ModuleType) -> list[str]:
    """The names of the modules in a package; none where it is a module itself."""
    return [found.name for found in pkgutil.iter_modules(getattr(package, "__path__", []))]


@contextmanager
def quietly() -> Iterator[None]:
    """Without PettingZoo's word that environments are to be made by its registry."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The old environment creation API", DeprecationWarning)
        yield


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The closest of the known names as a half sentence; '' where none is close."""
    close = difflib.get_close_matches(name, [other for other in known if other != name], 1)
    return f"did you mean {close[0]!r}? " if close else ""


def _or_rather(name: str, known: Iterable[str]) -> str:
    return f": {said.strip()}" if (said := did_you_mean(name, known)) else ""


def _why(name: str, error: ImportError) -> str:
    """Why a module cannot be imported, and what to do."""
    install = _install(name)
    missing = getattr(error, "name", None) or ""
    if not isinstance(error, ModuleNotFoundError) or not f"{name}.".startswith(f"{missing}."):
        # the module is there; what it needs is not
        hint = "" if "pip install" in str(error) else install
        return f"{name} cannot be imported: {error}{hint}"
    parent, _, last = name.rpartition(".")
    siblings = submodules(module(parent)) if parent and missing == name else _top_level()
    close = did_you_mean(last if missing == name else missing, siblings)
    return f"there is no module {missing}{': ' + close.strip() if close else ''}{install}"


def _where(name: str | Path, error: Exception) -> str:
    """Why code cannot be imported: what it raised, and in which line."""
    if isinstance(error, ImportError):
        return f"{name} cannot be imported: {error}"
    last = traceback.extract_tb(error.__traceback__)[-1]  # Python's own where it cannot be parsed
    line = "" if last.filename.startswith("<") else f" ({last.filename}, line {last.lineno})"
    return f"{name} cannot be imported: {type(error).__name__}: {error}{line}"


def _install(name: str) -> str:
    for known, package in INSTALL.items():
        if f"{name}.".startswith(f"{known}.") and not _is_installed(known, package):
            return f"; pip install {package}"
    return ""


def _is_installed(name: str, package: str) -> bool:
    """Whether pip has nothing to add: an extra, in brackets, may always lack something."""
    return "[" not in package and sys.modules.get(name) is not None


def _top_level() -> list[str]:
    return [*INSTALL, *(found.name for found in pkgutil.iter_modules())]


def _file(path: Path) -> ModuleType:
    """The module in a file, imported once; its neighbours can be imported from it."""
    path = path.resolve()
    if not path.is_file():
        near = [other.name for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise ValueError(f"there is no file {path}{_or_rather(path.name, near)}")
    name = f"_file_{path.stem}_{hashlib.sha1(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:  # as `python my_env.py` does, but never before others
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # classes of the file can be pickled
    try:
        with quietly():
            spec.loader.exec_module(made)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        raise ValueError(_where(path, error)) from error
    return made
