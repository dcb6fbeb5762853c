"""Do QMIX, Qatten and VDN learn to win battles of `skirmish_v0`?  A run a cell, and one page.

    python -m benchmarks.battles                               # docs/battles.md and its picture
    python -m benchmarks.battles --maps 3m --methods qmix --seeds 0
    python -m benchmarks.battles --hard                        # QMIX once on the hard maps
    python -m benchmarks.battles --cells 0                     # train nothing, write the page anew

A cell is one `vdtoolkit train` (method, map, seed) with a folder of its own below `--out`.  The
command may be stopped at any time: what is finished counts, and a run that was cut goes on where it
was (`vdtoolkit resume`).  The page names the cells that have not been run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.literature_cells import write_whole
from vdtoolkit import ALGORITHMS

DOCS = Path(__file__).parent.parent / "docs"
MAPS = {"3m": 300_000, "8m": 500_000, "2s3z": 1_000_000}  # moves of a training
HARD = {"5m_vs_6m": 1_000_000, "MMM2": 1_000_000, "3s5z_vs_3s6z": 1_000_000}
METHODS = ("qmix", "qatten", "vdn")
SEEDS = (0, 1, 2)
SETTINGS = ("--n-envs", "16", "--td-lambda", "0.6", "--epsilon-steps", "25000", "--lr", "0.001")
SETTINGS += ("--updates-per-episode", "0.25")  # battles cost next to nothing, gradient steps do
GOAL = 0.9
COLOURS = {"qmix": "#0072b2", "qatten": "#009e73", "vdn": "#d55e00"}

Result = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One training."""

    battle: str
    method: str
    seed: int
    moves: int

    @property
    def name(self) -> str:
        """Also where its folder lies below the folder of runs."""
        return f"{self.battle}-{self.moves}/{self.method}-{self.seed}"

    def command(self, out: Path) -> list[str]:
        """What trains it, or goes on with it."""
        folder = out / self.name
        if (folder / "config.json").exists():
            return ["resume", str(folder)]
        asked = ["--env", "vdtoolkit.envs.skirmish_v0", "--env-arg", f"map_name={self.battle}"]
        asked += ["--algorithm", self.method, "--seed", str(self.seed), "--moves", str(self.moves)]
        return ["train", *asked, *SETTINGS, "--out", str(folder)]


def result_of(cell: Cell, out: Path) -> Result | None:
    """What came of a run that is finished."""
    path = out / cell.name / "result.json"
    if not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    (run,) = told["runs"]
    if run["final"] is None:
        return None
    return {
        "win_rate": run["final"]["win_rate"],
        "battles": run["final"]["n"],
        "random": told["baseline"]["win_rate"],
        "curve": [[s["moves"], s["win_rate"]] for s in run["curve"]],
        "minutes": round(run["seconds"] / 60, 1),
        "version": told["versions"]["vdtoolkit"],
    }


def known(cells: Sequence[Cell], out: Path, kept: Path) -> dict[str, Result]:
    """Every result by its cell's name; a run's folder goes before the same in `kept`."""
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for cell in cells:
        result = result_of(cell, out)
        if result is not None:
            found[cell.name] = result
    return found


def reached(curve: Sequence[Sequence[float]]) -> int | None:
    """The moves from which on no evaluation is below the goal."""
    below = [k for k, (_, wins) in enumerate(curve) if wins < GOAL]
    first = below[-1] + 1 if below else 0
    return int(curve[first][0]) if first < len(curve) else None


def cells_of(maps: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    moves = {**MAPS, **HARD}
    return [Cell(b, m, s, moves[b]) for b in maps for m in methods for s in seeds]


def table(cells: Sequence[Cell], results: dict[str, Result]) -> str:
    """A row a map and method: battles won at the end, when the goal was reached, minutes."""
    lines = [
        "| map | method | battles won at the end, % | 90 % from | minutes of a run |",
        "|---|---|---|---|---|",
    ]
    for battle, method in dict.fromkeys((c.battle, c.method) for c in cells):
        own = [c for c in cells if (c.battle, c.method) == (battle, method)]
        there = [results[c.name] for c in own if c.name in results]
        absent = [str(c.seed) for c in own if c.name not in results]
        wins = ", ".join(f"{100 * r['win_rate']:.0f}" for r in there)
        when = [reached(r["curve"]) for r in there]
        at = ", ".join("never" if m is None else f"{m:,}" for m in when)
        minutes = ", ".join(f"{r['minutes']:.0f}" for r in there)
        if absent:
            wins = f"{wins}; " * bool(wins) + f"seed {', '.join(absent)} not run"
        lines.append(f"| {battle} | {ALGORITHMS[method].label} | {wins} | {at} | {minutes} |")
    return "\n".join(lines)


def picture(cells: Sequence[Cell], results: dict[str, Result]) -> Figure:
    """A panel a map: battles won over training, a thin line a seed."""
    maps = list(dict.fromkeys(c.battle for c in cells))
    figure = Figure(figsize=(3.4 * len(maps), 3.0), facecolor="white", layout="constrained")
    for axes, battle in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps, strict=True):
        axes.axhline(100 * GOAL, color="#66717f", lw=0.8, ls=(0, (4, 3)))
        told = set()
        for cell in cells:
            if cell.battle != battle or cell.name not in results:
                continue
            moves, wins = np.array(results[cell.name]["curve"]).T
            label = None if cell.method in told else ALGORITHMS[cell.method].label
            told.add(cell.method)
            axes.plot(moves / 1000, 100 * wins, color=COLOURS[cell.method], lw=1.2, label=label)
        axes.set(title=battle, ylim=(-3, 103), xlabel="thousand moves")
        axes.spines[["top", "right"]].set_visible(False)
        if told:
            axes.legend(frameon=False, fontsize=8, loc="lower right")
    figure.axes[0].set_ylabel("greedy battles won, %")
    return figure


def write(page: Path, name: str, cells: Sequence[Cell], results: dict[str, Result]) -> None:
    """The block of the page between its marks, and the picture beside it."""
    image = page.with_name(f"{page.stem}-{name}.png")
    picture(cells, results).savefig(image, dpi=110)
    begin, end = f"<!-- {name}: written by benchmarks.battles -->", f"<!-- end of {name} -->"
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Battles\n\n{begin}\n{end}\n"
    before, rest = text.split(begin)
    block = f"![{name}]({image.name})\n\n{table(cells, results)}"
    write_whole(page, f"{before}{begin}\n{block}\n{end}{rest.split(end)[1]}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.battles",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hard", action="store_true", help="QMIX, seed 0, on the hard maps")
    parser.add_argument("--maps", nargs="+", choices=[*MAPS, *HARD])
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--cells", type=int, help="run so many at most")
    parser.add_argument("--out", type=Path, default=Path("runs/battles"))
    parser.add_argument("--kept", type=Path, default=DOCS / "battles.json")
    parser.add_argument("--page", type=Path, default=DOCS / "battles.md")
    asked = parser.parse_args(arguments)
    name = "hard" if asked.hard else "easy"
    whole = (
        cells_of(list(HARD), ["qmix"], [0]) if asked.hard else cells_of(list(MAPS), METHODS, SEEDS)
    )
    chosen = [
        cell
        for cell in whole
        if cell.battle in (asked.maps or [cell.battle])
        and cell.method in (asked.methods or [cell.method])
        and cell.seed in (asked.seeds or [cell.seed])
    ]
    results = known(whole, asked.out, asked.kept)
    todo = [cell for cell in chosen if cell.name not in results][: asked.cells]
    print(f"{len(chosen)} cells, {len(todo)} to run", flush=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        for cell in todo:
            done = subprocess.run(
                [sys.executable, "-m", "vdtoolkit", *cell.command(asked.out)], check=False
            )
            if done.returncode:
                return done.returncode
    except KeyboardInterrupt:
        print("interrupted: run the command again to go on", flush=True)
    finally:
        results = known(whole, asked.out, asked.kept)
        lines = [f"{json.dumps(key)}: {json.dumps(r)}" for key, r in sorted(results.items())]
        write_whole(asked.kept, "{\n" + ",\n".join(lines) + "\n}\n")
        write(asked.page, name, whole, results)
        print(f"written: {asked.page}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
