"""`python -m benchmarks.speed`: how fast vdtoolkit is, beside the floor, in ratios.

Each part prints a table; --json keeps all of them.  See README.md here.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's own threads would disturb torch's

from rich.console import Console

from benchmarks import loops, memory, report, shares, updates

Part = Callable[[float, Sequence[int]], list[report.Row]]

PARTS: dict[str, Part] = {
    "floor": updates.floors,
    "update": updates.updates,
    "act": loops.acting,
    "loop": loops.whole,
    "shares": shares.shares,
    "scaling": loops.scaling,
    "busy": updates.busy,
    "start": loops.first_25000,
    "memory": memory.memory,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that were asked for."""
    asked = _parser().parse_args(arguments)
    facts, tables = report.machine(), {}
    console = Console(width=max(Console().width, 120))  # a pipe has no width of its own
    console.print(report.headline(facts))
    for name in asked.only or PARTS:
        part = PARTS[name]
        tables[name] = part(asked.seconds, asked.threads)
        report.show(f"{name}: {(part.__doc__ or '').splitlines()[0]}", tables[name], console)
        if asked.json:
            report.write_json(asked.json, facts, tables)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument(
        "--only",
        type=lambda told: told.split(","),
        help=f"parts, with commas between: {', '.join(PARTS)}",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="for each group of timings")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of torch")
    parser.add_argument("--json", type=Path, help="where to keep the numbers")
    return parser


if __name__ == "__main__":
    main()
