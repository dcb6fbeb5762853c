"""The picture of the literature: every method on every game, on one page, cell by cell.

    python -m benchmarks.literature               # all of docs/literature.md and its pictures
    python -m benchmarks.literature --cells 0     # train nothing, write the page anew
    python -m benchmarks.literature --part predator_prey --hours 3
    python -m benchmarks.literature --part predator_prey_10 --methods vdn qmix --seeds 0 1

A cell is one method with one seed on one task.  It runs in a process of its own, for `--hours` at
most, and leaves one small JSON file, written whole or not at all.  Run the command again and it
goes on with the cells that are missing; the page prints what is missing as missing.  Results that
are in `--kept` count as done, and the page's command adds what is new to it.  Trained for other
`--moves`, a part has a table and a picture of its own at the page's end.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.literature_cells import Cell, grouped, keep, known, missing, run

DOCS = Path(__file__).parent.parent / "docs"

GAMES = {  # name in the lab -> what it is called here
    "nonmonotonic": "QTRAN's game",
    "nonmonotonic-5-actions": "5 actions",
    "nonmonotonic-3-agents": "3 agents",
    "climbing": "climbing",
    "penalty-100": "penalty -100",
    "or": "OR",
    "two_step": "two-step",
    "mmdp": "MMDP",
    "gaussian_squeeze": "squeeze, 2 agents",
    "gaussian_squeeze_10": "squeeze, 10 agents",
}
METHODS = (
    *("iql", "hysteretic_iql", "lenient_iql", "vdn", "qatten", "qmix", "cw_qmix", "ow_qmix"),
    *("qtran_base", "qtran_alt", "qplex", "qfix"),
    *("nonmonotonic_qmix", "joint_q", "coma"),
)


@dataclass(frozen=True)
class Part:
    """One table: which tasks, methods and seeds, and how long a team trains."""

    tasks: dict[str, str]  # name -> title
    methods: tuple[str, ...]
    seeds: int
    moves: int


PARTS = {
    "games": Part(GAMES, METHODS, 5, 20_000),
    "predator_prey": Part({"p0": "P = 0", "p1.5": "P = -1.5"}, METHODS, 3, 200_000),
    "predator_prey_10": Part(
        {"p0": "p = 0", "p2": "p = -2"},
        ("vdn", "qmix", "cw_qmix", "ow_qmix", "qtran_base"),
        3,
        500_000,
    ),
}


def cells_of(
    part: str, moves: int, tasks: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Cell]:
    """In the order in which they are run: a task is done with all its methods before the next."""
    return [Cell(part, t, m, s, moves) for t in tasks for m in methods for s in seeds]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.literature",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, help="all of them, one after another")
    parser.add_argument("--tasks", nargs="+", help="some of the part's, for a start")
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--moves", type=int, help="of each team; results of others stay apart")
    parser.add_argument("--hours", type=float, default=2.0, help="that one cell may take")
    parser.add_argument("--jobs", type=int, default=1, help="cells side by side")
    parser.add_argument("--cells", type=int, help="run so many at most")
    parser.add_argument("--again", action="store_true", help="run what failed once more")
    parser.add_argument("--out", type=Path, default=Path("runs/literature"))
    parser.add_argument("--kept", type=Path, default=DOCS / "literature.json")
    parser.add_argument("--page", type=Path, default=DOCS / "literature.md")
    asked = parser.parse_args(arguments)
    of_a_part = ("tasks", "methods", "seeds", "moves")
    for name in of_a_part:
        if asked.part is None and getattr(asked, name) is not None:
            parser.error(f"--{name} is of one part: name it with --part {' or '.join(PARTS)}")
    for name in ("tasks", "methods"):
        for given in getattr(asked, name) or ():
            valid = getattr(PARTS[asked.part], name)
            if given not in valid:
                parser.error(f"--{name} {given}: {asked.part} has {', '.join(valid)}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    left = asked.cells
    for part in [asked.part] if asked.part else PARTS:
        done, interrupted = train_part(part, asked, left)
        left = None if left is None else left - done
        if interrupted:
            print("interrupted: run the command again to go on", flush=True)
            break
    print(f"written: {asked.page}", flush=True)
    return 0


def train_part(name: str, asked: argparse.Namespace, at_most: int | None) -> tuple[int, bool]:
    """The part's missing cells and its block of the page; how many, and whether it was stopped."""
    from benchmarks import literature_page

    part = PARTS[name]
    moves = asked.moves or part.moves
    chosen = cells_of(
        name,
        moves,
        asked.tasks or list(part.tasks),
        asked.methods or part.methods,
        asked.seeds or range(part.seeds),
    )
    results = known(asked.out, asked.kept)
    todo = missing(chosen, results, asked.again)[:at_most]
    together = part.seeds if name == "games" else 1  # seeds of tiny games are one batch
    print(f"{name}: {len(chosen)} cells, {len(todo)} to run", flush=True)
    interrupted = False
    try:
        for k, (cell, result) in enumerate(
            run(grouped(todo, together), asked.out, hours=asked.hours, jobs=asked.jobs), 1
        ):
            told = result.get("failed") or result.get("refused") or f"{result['seconds']:.0f} s"
            print(f"{k}/{len(todo)} {cell.name}: {told}", flush=True)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        results = known(asked.out, asked.kept)
        keep(results, asked.kept)
        literature_page.write(asked.page, name, part, moves, results)
    return len(todo), interrupted


if __name__ == "__main__":
    raise SystemExit(main())
