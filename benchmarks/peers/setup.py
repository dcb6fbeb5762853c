"""An environment of its own for a peer: `python benchmarks/peers/setup.py NAME [--venvs FOLDER]`.

torch first and by its version, as a bare `torch` may bring gigabytes of GPU libraries.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

TORCH = "torch==2.13.0"
VENVS = Path(__file__).parents[1] / ".venvs"
PEERS = {
    "xuance": [TORCH, "xuance==1.4.4", "mpe2==1.1.1", "lbforaging==2.0.0"],
    "benchmarl": [TORCH, "benchmarl==1.5.2", "pettingzoo>=1.25", "mpe2==1.1.1"],
    "jaxmarl": ["jaxmarl==0.2.0", "flashbax==0.1.3", "hydra-core", "omegaconf", "six"],
    "pymarl": [TORCH, "mpe2==1.1.1", "pyyaml", "scipy", "matplotlib"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*PEERS, "all"])
    parser.add_argument("--venvs", type=Path, default=VENVS)
    asked = parser.parse_args()
    for name in PEERS if "all" in asked.names else asked.names:
        make(asked.venvs / name, PEERS[name])


def make(folder: Path, packages: list[str]) -> None:
    """A virtual environment with these packages, all from wheels or sources of the registry."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "-q"]
    if TORCH in packages:
        subprocess.run([*pip, TORCH], check=True)
    subprocess.run([*pip, *packages], check=True)


if __name__ == "__main__":
    main()
