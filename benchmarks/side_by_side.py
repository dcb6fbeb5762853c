"""Ours and the peers' in turn, on the same work: env steps a second, as ratios, in Markdown.

    python -m benchmarks.side_by_side --venvs FOLDER --rounds 3 --out table.md
    python -m benchmarks.side_by_side --only "mpe2, 8 envs" --clone jaxmarl=PATH

A contest is one piece of work that several do.  Each is a process of its own, begun anew each
round: A B C A B C ...  A peer that is not installed is left out and said to be.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.peers.setup import VENVS
from benchmarks.timing import Times

HERE = Path(__file__).parent
OURS = "vdtoolkit"
SCRIPTS = {  # name -> script, its environment, whether it needs a clone
    "XuanCe": ("xuance_qmix.py", "xuance", False),
    "BenchMARL": ("benchmarl_qmix.py", "benchmarl", False),
    "JaxMARL": ("jaxmarl_qmix.py", "jaxmarl", True),
    "EPyMARL": ("pymarl.py", "pymarl", True),
    "PyMARL2": ("pymarl.py", "pymarl", True),
}
Flags = dict[str, Any]


def contests() -> dict[str, list[tuple[str, Flags]]]:
    """Each contest's entries: who, with which flags; moves so that a run takes 5 to 15 s."""
    ours, one, native = {"env": "mpe2"}, {"envs": 1}, {"updates": 0.125}
    twin = {"env": "twin", "envs": 8}
    return {
        "mpe2, 1 env": [
            (OURS, {**ours, **one, "moves": 6000}),
            ("XuanCe", {**one, "moves": 4000}),
            ("PyMARL2", {**one, "moves": 3000}),
            ("EPyMARL", {**one, "moves": 3000}),
            ("BenchMARL", {**one, "moves": 1000, "warm": 1000}),
        ],
        "mpe2, 8 envs": [
            (OURS, {**ours, "moves": 10000}),
            (OURS, {**ours, "workers": 1, "moves": 10000}),
            (OURS, {**ours, "workers": 2, "moves": 10000}),
            (OURS, {**ours, "threads": 2, "moves": 10000}),
            ("XuanCe", {"moves": 6000}),
            ("XuanCe", {"threads": 2, "moves": 6000}),
            ("PyMARL2", {"moves": 4000}),
            ("EPyMARL", {"moves": 4000}),
            ("BenchMARL", {"moves": 2000}),
        ],
        "batched env, 8 envs": [
            (OURS, {**twin, "moves": 15000}),
            (OURS, {**twin, "threads": 2, "moves": 15000}),
            ("JaxMARL", {"moves": 20000, "threads": 2}),
        ],
        "batched env, 8 envs, 1 update per 8 episodes": [
            (OURS, {**twin, **native, "moves": 80000}),
            (OURS, {**twin, **native, "threads": 2, "moves": 80000}),
            ("JaxMARL", {**native, "moves": 160000, "threads": 2}),
        ],
    }


def run(name: str, flags: Flags, venvs: Path, clones: dict[str, Path]) -> Flags | None:
    """What one process told; None where it cannot be run."""
    words = [word for key, value in flags.items() for word in (f"--{key}", str(value))]
    if name == OURS:
        command = [sys.executable, "-m", "benchmarks.ours"]
    else:
        script, venv, needs_clone = SCRIPTS[name]
        command = [str(venvs / venv / "bin" / "python"), str(HERE / "peers" / script)]
        clone = clones.get(name.lower())
        if not Path(command[0]).exists() or (needs_clone and clone is None):
            return None
        words += ["--clone", str(clone)] if needs_clone else []
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def contest(
    entries: Sequence[tuple[str, Flags]], rounds: int, venvs: Path, clones: dict[str, Path]
) -> list[report.Row]:
    """One contest: every entry once a round; the ratio is to our best."""
    rates, missing, versions = [Times() for _ in entries], set(), {}
    for _ in range(rounds):
        for i, (name, flags) in enumerate(entries):
            told = run(name, flags, venvs, clones)
            if told is None:
                missing.add(name)
                continue
            versions[name] = told["version"].lstrip("v")
            rates[i].seconds.append(told["steps_per_second"])
            print(json.dumps(told), file=sys.stderr)
    best = max(t.median for (name, _), t in zip(entries, rates, strict=True) if name == OURS)
    rows: list[report.Row] = []
    for (name, flags), t in zip(entries, rates, strict=True):
        how = ", ".join(f"{k} {flags[k]}" for k in ("workers", "threads") if k in flags)
        if name in missing:
            rows.append({"who": name, "how": how or "1 thread", "env steps/s": "not installed"})
            continue
        rows.append(
            {
                "who": f"{name} {versions[name]}",
                "how": how or "1 thread",
                "env steps/s": t.median,
                "min-max": f"{min(t.seconds):,.0f}-{max(t.seconds):,.0f}",
                "our best is faster by": float(np.round(best / t.median, 2)),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("--venvs", type=Path, default=VENVS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=contests(), default=list(contests()))
    parser.add_argument(
        "--clone", nargs="+", default=[], metavar="NAME=PATH", help="jaxmarl, epymarl, pymarl2"
    )
    parser.add_argument("--out", type=Path, help="Markdown")
    parser.add_argument("--quick", action="store_true", help="few moves: only to see that it runs")
    asked = parser.parse_args()
    clones = {name: Path(path) for name, _, path in (c.partition("=") for c in asked.clone)}
    facts = report.machine()
    told = [report.headline(facts)]
    for name in asked.only:
        entries = contests()[name]
        if asked.quick:
            entries = [(who, {**flags, "moves": 800, "warm": 1000}) for who, flags in entries]
        rows = contest(entries, asked.rounds, asked.venvs, clones)
        told += [f"\n**{name}**, {asked.rounds} rounds in turn\n", report.markdown(rows)]
        if asked.out:
            asked.out.write_text("\n".join(told) + "\n", "utf-8")
    print("\n".join(told))


if __name__ == "__main__":
    main()
