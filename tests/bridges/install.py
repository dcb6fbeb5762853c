"""An environment of its own for each tool: `python tests/bridges/install.py [TOOL ...]`."""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bridges.tools import ROOT, TOOLS

FOLDER = Path(os.environ.get("BRIDGES", ROOT / ".venvs" / "bridges"))
INDEX = os.environ.get("TORCH_INDEX", "")  # where torch is built for CPUs, as for make test
TESTS = ["pytest>=8", "pytest-timeout>=2.3"]


def python(name: str) -> Path:
    """The interpreter of a tool's environment."""
    return FOLDER / name / "bin" / "python"


def install(name: str) -> Path:
    """The interpreter of a tool's environment, which is made where it is not there or outdated."""
    requirements = [*TOOLS[name].requirements, *TESTS]
    stamp, mark = FOLDER / name / ".installed", hashlib.sha256("\n".join(requirements).encode())
    if stamp.exists() and stamp.read_text(encoding="utf-8") == mark.hexdigest():
        return python(name)
    print(f"{name}: installing {requirements[0]} into {FOLDER / name}", flush=True)
    venv.create(FOLDER / name, clear=True, with_pip=True)
    (torch,) = (line for line in requirements if line.startswith("torch=="))
    index = ["--index-url", INDEX] if INDEX else []
    pip(name, *index, torch)  # first and alone: beside others it may bring gigabytes of CUDA
    pip(name, *requirements, "-e", str(ROOT))
    stamp.write_text(mark.hexdigest(), encoding="utf-8")
    return python(name)


def pip(name: str, *arguments: str) -> None:
    """Run pip in a tool's environment."""
    command = [str(python(name)), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*command, *arguments], check=True)


def main() -> None:
    """Install the named tools, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=", ".join(TOOLS))
    for name in parser.parse_args().tools or TOOLS:
        install(name)


if __name__ == "__main__":
    main()
