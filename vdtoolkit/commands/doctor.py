"""`vdtoolkit doctor`: what is installed here, what is missing, and how to get it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vdtoolkit._version import __version__
from vdtoolkit.cli import refuse
from vdtoolkit.envs._starcraft import install, protocol
from vdtoolkit.flags import parse

PROGRAM = "vdtoolkit doctor"
# module -> the extra that brings it, and what it is for
EXTRAS = {
    "mpe2": ("envs", "MPE"),
    "lbforaging": ("envs", "level-based foraging"),
    "rware": ("envs", "multi-robot warehouse"),
    "numba": ("fast", "the recurrent agent and skirmish_v0 compiled, on CPUs"),
    "tensorboard": ("log", "events of runs for TensorBoard"),
    "ray": ("ray", "sweeps on many machines"),
    "jaxmarl": ("smax", "smax_v0, StarCraft-like battles on JAX"),
}
SIGNS = {"ok": ("ok", "green"), "missing": ("missing", "red"), "off": ("not there", "dim")}


@dataclass(frozen=True)
class Options:
    """Look at this machine: versions, devices, extras, and what StarCraft II needs.

    Exit status: 0, or 1 where something that was asked for is missing: `vdtoolkit doctor smac`
    asks for all that smac_v0 needs.
    """

    wanted: Annotated[tuple[Literal["smac", "smacv2"], ...], tyro.conf.Positional] = ()
    """What is to be there."""
    map: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """A map of SMAC that is to be there, for example 3s5z; all 23 by default."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the findings as JSON."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    status: "ok", "missing", or "off" for what nobody asked for.  needed_by: "smac", "smacv2".
    """

    part: str
    name: str
    status: str
    told: str
    needed_by: tuple[str, ...] = ()


def main(arguments: list[str]) -> int:
    """The command."""
    try:
        options = parse(Options, arguments, PROGRAM)
        if options is None:
            return 0
        findings = list(look(options.wanted, options.map))
    except ValueError as error:
        return refuse(PROGRAM, str(error))
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings]))
    else:
        show(findings, options.wanted)
    return int(any(finding.status == "missing" for finding in findings))


def look(wanted: tuple[str, ...] = (), map_name: str | None = None) -> Iterator[Finding]:
    """Everything that is looked for; nothing is started, and no code of oxwhirl's is imported."""
    yield from look_here()
    yield from look_extras()
    for finding in look_starcraft(map_name):
        if finding.status == "missing" and not set(finding.needed_by) & set(wanted):
            finding = dataclasses.replace(finding, status="off")
        yield finding


def look_here() -> Iterator[Finding]:
    """Python, packages, devices."""
    yield Finding("vdtoolkit", "vdtoolkit", "ok", __version__)
    yield Finding(
        "vdtoolkit", "Python", "ok", f"{platform.python_version()}, {platform.platform()}"
    )
    for package in ("torch", "numpy", "gymnasium", "pettingzoo", "supersuit"):
        yield Finding("vdtoolkit", package, *installed(package))
    yield Finding("vdtoolkit", "device", "ok", device())


def look_extras() -> Iterator[Finding]:
    """What `pip install 'vdtoolkit[...]'` may bring."""
    for module, (extra, purpose) in EXTRAS.items():
        if importlib.util.find_spec(module) is not None:
            yield Finding("extras", module, "ok", f"{installed(module)[1]}, {purpose}")
        else:
            yield Finding("extras", module, "off", f"{purpose}: pip install '.[{extra}]'")


def look_starcraft(map_name: str | None = None) -> Iterator[Finding]:
    """What smac_v0 and smacv2_v0 need."""
    for kind in install.CLASSES:
        try:
            version_, folder = install.version_of(kind), install.folder_of(kind)
            told = f"version {version_} in {folder} ({install.LICENCES['code']})"
            yield _starcraft(f"oxwhirl/{kind}", "ok", told, kind)
        except install.NotInstalled as error:
            yield _starcraft(f"oxwhirl/{kind}", "missing", str(error), kind)
    missing = install.missing_modules()
    if missing:
        pysc2 = ["pip install --no-deps pysc2==4.0.0 (Apache 2.0)"] * ("pysc2" in missing)
        others = " ".join(name for name in missing if name != "pysc2")
        told = "; ".join([*pysc2, *([f"pip install {others}"] if others else [])])
        yield _starcraft("what they need", "missing", told)
    else:
        told = f"pysc2 {installed('pysc2')[1]}, protobuf {installed('protobuf')[1]}"
        yield _starcraft("what they need", "ok", f"{told}, which runs in {how_protobuf_runs()}")
    yield from look_game(map_name)


def look_game(map_name: str | None) -> Iterator[Finding]:
    """The game itself, and its maps."""
    folder = install.game_folder()
    try:
        build = install.check_game("smac")
    except install.NotInstalled as error:
        yield _starcraft("the game", "missing", str(error))
        return
    place = f"{folder}" if os.environ.get("SC2PATH") else f"{folder}, SC2PATH is not set"
    yield _starcraft("the game", "ok", f"{game(build, install.builds(folder))} in {place}")
    for kind, all_names in install.MAPS.items():
        names = [map_name] if map_name and kind == "smac" else all_names
        absent = [name for name in names if not install.map_file(folder, name).exists()]
        what = f"all {len(names)}" if len(names) > 1 else names[0]
        if not absent:
            yield _starcraft(f"{kind}'s maps", "ok", f"{what} ({install.LICENCES['maps']})", kind)
            continue
        try:
            install.check_game(kind, absent[0])
        except install.NotInstalled as error:
            told = f"{len(absent)} of {len(names)}: {error}" if len(names) > 1 else str(error)
            yield _starcraft(f"{kind}'s maps", "missing", told, kind)


def _starcraft(name: str, status: str, told: str, kind: str | None = None) -> Finding:
    needed_by = (kind,) if kind else tuple(install.CLASSES)
    return Finding("StarCraft II", name, status, told, needed_by)


def how_protobuf_runs() -> str:
    """'C (upb)', 'C++' or 'Python'."""
    words = {"upb": "C (upb)", "cpp": "C++", "python": "Python, which is several times as slow"}
    return words[protocol.implementation()]


def game(build: int, found: list[int]) -> str:
    """The version that is played, the others that are there, the licence."""
    names = [install.version_of_build(number) for number in found]
    told = (
        f"{install.version_of_build(build)} (Base{build})" if build else "found by pysc2 at launch"
    )
    others = [name for number, name in zip(found, names, strict=True) if number != build]
    if build and build not in install.BUILDS.values():
        told += f"; results are published for {' and '.join(install.BUILDS)}"
    if others:
        told += f"; {', '.join(others)} by game_version"
    return f"{told} ({install.LICENCES['game']})"


def installed(package: str) -> tuple[str, str]:
    """Status and version of a package."""
    try:
        return "ok", version(package)
    except PackageNotFoundError:
        return "missing", f"pip install {package}"


def device() -> str:
    """Where networks can run."""
    import torch  # a second that --help need not pay

    cores = f"cpu, {os.cpu_count()} cores"
    if not torch.cuda.is_available():
        return cores
    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return f"cuda: {', '.join(names)}; {cores}"


def show(findings: list[Finding], wanted: tuple[str, ...]) -> None:
    """One table, and what it comes to."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=100, highlight=False)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for finding, before in zip(findings, [None, *findings], strict=False):
        if before is None or before.part != finding.part:
            table.add_row(Text(finding.part, style="bold"), "", "")
        word, style = SIGNS[finding.status]
        table.add_row(f"  {finding.name}", Text(word, style=style), Text(finding.told))
    console.print(table)
    for kind in install.CLASSES:
        lacking = [f.name for f in findings if kind in f.needed_by and f.status != "ok"]
        told = f"{kind}_v0 lacks {', '.join(lacking)}." if lacking else f"{kind}_v0 can be played."
        style = "red" if lacking and kind in wanted else "green" if not lacking else "dim"
        console.print(told, style=style)
