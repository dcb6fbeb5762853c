"""The tools that load our environments, and their versions: read by installer, tests and page."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What all environments share at the version of constraints.txt, unless a tool's own pins clash.
SHARED = ("torch", "numpy", "gymnasium", "pettingzoo", "SuperSuit")


@dataclass(frozen=True)
class Tool:
    """One tool: its heading in docs/bridges.md, its package, and what must lie beside it.

    beside: requirements that pip would choose otherwise, `why`; they replace the shared ones of
    the same name.
    """

    title: str
    package: str
    version: str
    beside: tuple[str, ...] = ()
    why: str = ""
    brings: str = ""  # what an extra brings: the package may be there without it

    @property
    def requirements(self) -> list[str]:
        """What pip installs, all at once."""
        name, _, extra = self.package.partition("[")
        own = f"{name}{'[' + extra if extra else ''}=={self.version}"
        taken = {_name(line).lower() for line in (own, *self.beside)}
        return [
            own,
            *self.beside,
            *(line for line in _shared() if _name(line).lower() not in taken),
        ]

    @property
    def installed(self) -> str | None:
        """The version at hand, or None."""
        try:
            if self.brings:
                importlib.metadata.version(self.brings)
            return importlib.metadata.version(self.package.partition("[")[0])
        except importlib.metadata.PackageNotFoundError:
            return None

    @property
    def missing(self) -> str | None:
        """Why its tests are skipped, or None where they run."""
        if self.installed is not None:
            return None
        return f"{self.title} is not installed: make bridges runs it in an environment of its own"


TOOLS = {
    "supersuit": Tool("SuperSuit", "SuperSuit", "3.11.0"),
    "sb3": Tool("Stable-Baselines3", "stable-baselines3", "2.9.2"),
    "torchrl": Tool(
        "TorchRL",
        "torchrl",
        "0.14.1",
        ("tensordict>=0.14,<0.15",),
        "torchrl 0.14 reads tensordict 0.14",
    ),
    "benchmarl": Tool(
        "BenchMARL",
        "benchmarl",
        "1.5.2",
        ("torchrl==0.11.1", "tensordict==0.11.0"),
        "it pins torchrl<0.12, which reads tensordict 0.11",
    ),
    "tianshou": Tool("Tianshou", "tianshou", "2.0.1"),
    "agilerl": Tool(
        "AgileRL",
        "agilerl",
        "2.58.0",
        ("pettingzoo<1.27", "peft", "transformers"),
        "it pins pettingzoo<1.27, and its algorithms import peft and transformers",
    ),
    "rllib": Tool(
        "RLlib", "ray[rllib]", "2.60.0", ("gymnasium==1.2.2",), "it pins gymnasium", "dm-tree"
    ),
}


def needs(name: str) -> list[pytest.MarkDecorator]:
    """Marks for what runs with this tool alone; its warnings are its own."""
    missing = TOOLS[name].missing
    return [
        pytest.mark.skipif(missing is not None, reason=missing or ""),
        pytest.mark.filterwarnings("default"),
    ]


def _name(requirement: str) -> str:
    for end in "[<>=!;":
        requirement = requirement.partition(end)[0]
    return requirement.strip()


def _shared() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = {name.lower() for name in SHARED}
    return [line.partition(";")[0] for line in lines if _name(line).lower() in wanted]
