"""What smac_v0 and smacv2_v0 need on a machine: what is there, and what to install from where.

Nothing here starts a game, and nothing but `load` imports oxwhirl's code.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from . import protocol

GUIDE = "docs/starcraft.md"
CLASSES = {"smac": "StarCraft2Env", "smacv2": "StarCraftCapabilityEnvWrapper"}
# what oxwhirl's code imports: module -> distribution
NEEDS = {
    "absl": "absl-py",
    "websocket": "websocket-client",
    "portpicker": "portpicker",
    "google.protobuf": "protobuf",
    "s2clientprotocol": "s2clientprotocol",
    "pysc2": "pysc2",
}
# the files that must lie in Maps/SMAC_Maps
MAPS = {
    "smac": [
        "3m",
        "8m",
        "25m",
        "5m_vs_6m",
        "8m_vs_9m",
        "10m_vs_11m",
        "27m_vs_30m",
        "MMM",
        "MMM2",
        "2s3z",
        "3s5z",
        "3s5z_vs_3s6z",
        "3s_vs_3z",
        "3s_vs_4z",
        "3s_vs_5z",
        "1c3s5z",
        "2m_vs_1z",
        "corridor",
        "6h_vs_8z",
        "2s_vs_1sc",
        "so_many_baneling",
        "bane_vs_bane",
        "2c_vs_64zg",
    ],
    "smacv2": ["32x32_flat"],
}
LICENCES = {
    "code": "MIT licence",
    "maps": "MIT licence",
    "game": "Blizzard's AI and Machine Learning License",
}
# the two in which results are published; they are not comparable
BUILDS = {"4.6.2": 69232, "4.10.0": 75689}
EXECUTABLES = {
    "Linux": "SC2_x64",
    "Windows": "SC2_x64.exe",
    "Darwin": "SC2.app/Contents/MacOS/SC2",
}
FOLDERS = {
    "Linux": "~/StarCraftII",
    "Windows": "C:/Program Files (x86)/StarCraft II",
    "Darwin": "/Applications/StarCraft II",
}


class NotInstalled(ImportError, ValueError):  # noqa: N818 (what it says is no error of the code)
    """Something is missing: one line with what to install, from where, under which licence."""


# -- oxwhirl's code -----------------------------------------------------------------------


def how(kind: str) -> str:
    """How to install oxwhirl's code and what it needs."""
    return (
        f"pip install --no-deps pysc2==4.0.0 git+https://github.com/oxwhirl/{kind}.git "
        f"({LICENCES['code']}; pysc2 Apache 2.0) and pip install "
        f"{' '.join(d for d in NEEDS.values() if d != 'pysc2')} ({GUIDE})"
    )


def folder_of(kind: str) -> Path:
    """Where oxwhirl's package is, without importing it; NotInstalled where it is not."""
    known = sys.modules.get(kind)
    if known is not None:
        places = list(getattr(known, "__path__", []))
    else:
        spec = importlib.util.find_spec(kind)
        places = list(spec.submodule_search_locations or []) if spec is not None else []
        if spec is None:
            raise NotInstalled(f"{kind}_v0 plays oxwhirl's {kind}, which is missing: {how(kind)}")
    for place in map(Path, places):
        if (place / "env" / "starcraft2").is_dir():
            return place
    if known is not None and f"{kind}.env" in sys.modules:  # put there by hand
        return Path(places[0] if places else ".")
    whose = "AutoML's SMAC3" if kind == "smac" else f"another {kind}"
    raise NotInstalled(
        f"the installed package {kind!r} is {whose}, which has the same name as oxwhirl's and "
        f"shares no environment with it: in another one, {how(kind)}"
    )


def missing_modules() -> list[str]:
    """The distributions that oxwhirl's code imports and that are not there."""
    return [distribution for module, distribution in NEEDS.items() if not _found(module)]


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the package around it is missing, or was put there by hand
        return module in sys.modules


def version_of(kind: str) -> str:
    """The version of oxwhirl's package; 'unknown' where it lies on the path uninstalled."""
    try:
        return importlib.metadata.version(kind)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def load(kind: str) -> ModuleType:
    """`smac.env` or `smacv2.env`, ready to play under any protobuf."""
    other = next(name for name in CLASSES if name != kind)
    if f"{other}.env" in sys.modules:
        raise NotInstalled(
            f"{other} is loaded in this process, which cannot play {kind} as well: pysc2 refuses "
            "their two maps of one name; use a process for each"
        )
    if f"{kind}.env" not in sys.modules:
        folder_of(kind)
        try:
            protocol.install()
            return importlib.import_module(f"{kind}.env")
        except ImportError as error:
            raise NotInstalled(
                f"oxwhirl's {kind} cannot be imported: {error}; missing are "
                f"{', '.join(missing_modules()) or 'none of its requirements'}: {how(kind)}"
            ) from error
    return sys.modules[f"{kind}.env"]


def maps_of(kind: str) -> dict[str, dict[str, object]]:
    """The maps that the loaded code knows: name -> its numbers."""
    registry = importlib.import_module(f"{kind}.env.starcraft2.maps.smac_maps")
    return registry.get_smac_map_registry()


def closest(name: str, known: Iterable[str]) -> str:
    """The known name that may have been meant as half a sentence, else nothing."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {close[0]!r}? " if close else ""


# -- the game -----------------------------------------------------------------------------


def game_folder() -> Path:
    """Where pysc2 looks for StarCraft II: SC2PATH, else the system's usual place."""
    usual = FOLDERS.get(platform.system(), FOLDERS["Linux"])
    return Path(os.environ.get("SC2PATH") or usual).expanduser()


def builds(folder: Path) -> list[int]:
    """The builds of the game in a folder, ascending."""
    names = (path.name for path in folder.glob("Versions/Base*"))
    return sorted(int(name[4:]) for name in names if name[4:].isdigit())


def version_of_build(build: int) -> str:
    """The game's version by its build: '4.10.0', or 'Base98765' where it is no published one."""
    known = {number: name for name, number in BUILDS.items()}
    return known.get(build, f"Base{build}")


def executable(folder: Path, build: int) -> Path:
    """The program of a build."""
    name = EXECUTABLES.get(platform.system(), EXECUTABLES["Linux"])
    return folder / "Versions" / f"Base{build:05d}" / name


def map_file(folder: Path, name: str) -> Path:
    """Where a map must lie."""
    return folder / "Maps" / "SMAC_Maps" / f"{name}.SC2Map"


def check_game(kind: str, map_name: str | None = None, version: str | None = None) -> int:
    """The build that would be played; NotInstalled where game, version or map are missing.

    map_name: of the file, without its ending; None for no map.  0 where only pysc2 knows: on
    Windows and macOS it asks the game's own launcher, unless SC2PATH is set.
    """
    if platform.system() != "Linux" and not os.environ.get("SC2PATH"):
        return 0
    folder = game_folder()
    found = builds(folder)
    said = "SC2PATH says" if os.environ.get("SC2PATH") else "SC2PATH is not set"
    if not found:
        raise NotInstalled(
            f"there is no StarCraft II in {folder} ({said}): unpack Blizzard's Linux package "
            f"SC2.4.10.zip from https://github.com/Blizzard/s2client-proto#downloads "
            f"({LICENCES['game']}) and set SC2PATH to its folder StarCraftII ({GUIDE})"
        )
    wanted = BUILDS.get(version or "")
    if wanted is not None and wanted not in found:
        raise NotInstalled(
            f"game_version={version!r} is Base{wanted}, which is not in {folder / 'Versions'} "
            f"(there: {', '.join(version_of_build(build) for build in found)}): unpack its package "
            f"there too ({LICENCES['game']}; {GUIDE})"
        )
    build = wanted or found[-1]
    program = executable(folder, build)
    if not os.access(program, os.X_OK):
        raise NotInstalled(
            f"{program} is {'not executable' if program.exists() else 'missing'}: unpack the "
            f"game's package again ({LICENCES['game']}; {GUIDE})"
        )
    path = map_file(folder, map_name or "")
    if map_name is not None and not path.exists():
        raise NotInstalled(
            f"there is no map {path}: copy SMAC_Maps from https://github.com/oxwhirl/{kind} "
            f"({kind}/env/starcraft2/maps/SMAC_Maps, {LICENCES['maps']}) to {folder / 'Maps'}"
        )
    return build
