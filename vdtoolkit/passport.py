"""What the results of a run depend on: versions, environment, numbers, seeds, hardware, commit."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vdtoolkit._version import __version__
from vdtoolkit.checkpoint import team_to_json
from vdtoolkit.making import EnvMaker
from vdtoolkit.team import Team
from vdtoolkit.workers import usable_cores

FORMAT = 1


def passport(
    maker: EnvMaker,
    team: Team,
    *,
    algorithm: str,
    seed: int,
    device: torch.device | str,
    settings: dict[str, Any],
    env_versions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The passport of a run as plain data; settings: those of a training, numbers resolved.

    env_versions: what the env says of itself (`making.versions_of`); StarCraft's is the game's.
    """
    own = dict(env_versions or {})
    told = maker.told()
    numbers = {name: settings[name] for name in ("n_envs", "workers", "updates_per_episode")}
    return {
        "format": FORMAT,
        "versions": {**versions([maker.env.removeprefix("gymnasium:"), *maker.wrappers]), **own},
        "env": {
            "id": told["env"],
            "arguments": told["arguments"],
            "wrappers": told["wrappers"],
            "spaces": spaces_hash(team),
            "game_version": own.get("starcraft"),
        },
        "algorithm": algorithm,
        **numbers,
        "evaluation": {
            "mode": "greedy",
            "every": settings["eval_every"],
            "episodes": settings["eval_episodes"],
            "final_episodes": settings["final_episodes"],
        },
        "seed": seed,
        "hardware": hardware(device),
        "threads": settings["threads"],
        "commit": commit(),
        "platform": platform.platform(),
    }


def spaces_hash(team: Team) -> str:
    """SHA-256 of the team's spaces as JSON."""
    told = json.dumps(team_to_json(team), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def versions(modules: list[str]) -> dict[str, str]:
    """Of Python, of what every run needs, and of the packages that these modules are in."""
    told = {"vdtoolkit": __version__, "python": platform.python_version()}
    packages = ["torch", "numpy", "gymnasium", "pettingzoo"]
    packages += [word.split(".")[0].split(":")[0] for word in modules]
    for package in dict.fromkeys(packages):
        try:
            told.setdefault(package, version(package))
        except (ModuleNotFoundError, ValueError):  # a file, or a module of no package
            continue
    return told


def hardware(device: torch.device | str) -> dict[str, Any]:
    """The machine, as far as it can be known."""
    kind = torch.device(device).type
    gpu = torch.cuda.get_device_name(device) if kind == "cuda" else None
    return {
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cores": usable_cores(),
        "device": str(device),
        "gpu": gpu,
    }


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def commit() -> str | None:
    """The commit of the checkout that vdtoolkit runs from, "+" where files differ; or None."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    found = []
    for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            done = subprocess.run(
                ["git", "-C", os.fspath(root), *words],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        found.append(done.stdout.strip())
    return found[0] + ("+" if found[1] else "")


def differences(then: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """What two passports do not share, in words; numbers that results do not depend on left out."""
    told = []
    for key in sorted({*then, *now} - {"workers", "resumed"}):
        old, new = then.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            told += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            told.append(f"{prefix}{key} was {old!r}, is {new!r}")
    return told
