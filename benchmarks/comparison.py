"""Four methods on three small games, five seeds each, compared on one page (some ten minutes).

    python -m benchmarks.comparison                    train what is missing, then compare
    python -m benchmarks.comparison --out runs/mine --seeds 3 --only two_step

Runs `vdtoolkit train` with the flags below, a folder for each game and method in --out, and then
`vdtoolkit compare` on all of them.  What is trained already is not trained again.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

METHODS = ("iql", "vdn", "qmix", "qplex")
SMALL = (
    "--no-recurrent --hidden-dim 32 --lr 0.003 --target-interval 20 --n-envs 16 --workers 0 "
    "--eval-episodes 16 --final-episodes 64"
)
GAMES = {
    "two_step": "--env vdtoolkit.envs.two_step_v0 --moves 2000 --epsilon-steps 1500 "
    "--updates-per-episode 0.2",
    "climbing": "--env vdtoolkit.envs.matrix_game_v0 --env-arg payoff=climbing --moves 2000 "
    "--epsilon-steps 1800 --updates-per-episode 0.2",
    "predator_prey": "--env vdtoolkit.envs.predator_prey_v0 --env-arg penalty=0.5 "
    "--env-arg size=4 --env-arg max_cycles=30 --moves 8000 --epsilon-steps 4000",
}


def main() -> int:
    """Train and compare; the exit status of what failed."""
    options = parse()
    for game in options.only:
        for method in METHODS:
            folder = options.out / f"{game}-{method}"
            if (folder / "result.json").exists():
                continue
            words = [*command(game, method, options.seeds), "--out", str(folder)]
            print(shlex.join(["vdtoolkit", *words]), file=sys.stderr, flush=True)
            if status := run(words):
                return status
    return run(["compare", str(options.out), "--out", str(options.page)])


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/comparison"))
    parser.add_argument("--page", type=Path, default=Path("runs/comparison-page"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=GAMES, default=list(GAMES))
    return parser.parse_args()


def command(game: str, method: str, seeds: int) -> list[str]:
    """The words of `vdtoolkit train`."""
    words = f"{GAMES[game]} {SMALL} --algorithm {method} --seeds {seeds}"
    return ["train", *words.split()]


def run(words: list[str]) -> int:
    """One command of vdtoolkit in a process of its own."""
    return subprocess.run([sys.executable, "-m", "vdtoolkit", *words], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
