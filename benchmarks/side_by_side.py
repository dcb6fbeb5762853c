"""Ours and the peers' in turn, on the same work: env steps a second, as ratios, in Markdown.

    python -m benchmarks.side_by_side --venvs FOLDER --rounds 3 --out table.md
    python -m benchmarks.side_by_side --only "mpe2, 8 envs" --clone jaxmarl=PATH

A contest is one piece of work that several do.  Each is a process of its own, begun anew each
round: A B C A B C ...  A peer that is not installed is left out and said to be.  Ours plays twice:
on torch and NumPy alone, and with the extra `fast` where Numba is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.peers.setup import VENVS
from benchmarks.timing import Times

HERE = Path(__file__).parent
OURS, FAST = "vdtoolkit", "vdtoolkit, fast"
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
    twin, two = {"env": "twin", "envs": 8}, {"threads": 2}
    return {
        "mpe2, 1 env": [
            *both({**ours, **one, "moves": 6000}),
            ("XuanCe", {**one, "moves": 4000}),
            ("PyMARL2", {**one, "moves": 3000}),
            ("EPyMARL", {**one, "moves": 3000}),
            ("BenchMARL", {**one, "moves": 1000, "warm": 1000}),
        ],
        "mpe2, 8 envs": [
            *both({**ours, "moves": 10000}),
            *both({**ours, "workers": 2, "moves": 10000}),
            ("XuanCe", {"moves": 6000}),
            ("XuanCe", {**two, "moves": 6000}),
            ("PyMARL2", {"moves": 4000}),
            ("EPyMARL", {"moves": 4000}),
            ("BenchMARL", {"moves": 2000}),
        ],
        "batched env, 8 envs": [
            *both({**twin, "moves": 15000}),
            *both({**twin, **two, "moves": 15000}),
            ("JaxMARL", {"moves": 20000, **two}),
        ],
        "batched env, 8 envs, 1 update per 8 episodes": [
            *both({**twin, **native, "moves": 80000}),
            *both({**twin, **native, **two, "moves": 80000}),
            ("JaxMARL", {**native, "moves": 160000, **two}),
        ],
        "from the start of the process to 25,000 steps": [
            *both({"once": True, **two}),
            ("JaxMARL", {"once": True, "moves": 25000, **two}),
        ],
        **{
            f"one update at W3, {algorithm}": [
                entry
                for threads in ({}, two)
                for entry in (
                    *both({"update": "W3", "algorithm": algorithm, **threads}),
                    ("PyMARL2", {"update": "W3", "algorithm": algorithm, **threads}),
                )
            ]
            for algorithm in ("qmix", "qatten")
        },
    }


def both(flags: Flags) -> list[tuple[str, Flags]]:
    """Ours without the extra, and with it."""
    return [(OURS, flags), (FAST, flags)]


def run(name: str, flags: Flags, venvs: Path, clones: dict[str, Path]) -> Flags | None:
    """What one process told, and the seconds it took; None where it cannot be run."""
    words = [w for k, v in flags.items() for w in ([f"--{k}"] if v is True else [f"--{k}", str(v)])]
    surroundings = dict(os.environ)
    if name in (OURS, FAST):
        if name == FAST and find_spec("numba") is None:
            return None
        command = [sys.executable, "-m", "benchmarks.ours"]
        surroundings["VDTOOLKIT_FAST"] = str(int(name == FAST))
    else:
        script, venv, needs_clone = SCRIPTS[name]
        command = [str(venvs / venv / "bin" / "python"), str(HERE / "peers" / script)]
        clone = clones.get(name.lower())
        if not Path(command[0]).exists() or (needs_clone and clone is None):
            return None
        words += ["--clone", str(clone)] if needs_clone else []
    begun = time.perf_counter()
    done = subprocess.run([*command, *words], capture_output=True, text=True, env=surroundings)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    taken = time.perf_counter() - begun
    return {**json.loads(done.stdout.strip().splitlines()[-1]), "seconds": taken}


def rate(told: Flags) -> tuple[str, float]:
    """What is compared, more being better, and its unit."""
    for unit in ("steps", "updates"):
        if f"{unit}_per_second" in told:
            return f"{unit}/s", told[f"{unit}_per_second"]
    return "steps/s, start and all", 25_000 / told["seconds"]


def contest(
    entries: Sequence[tuple[str, Flags]], rounds: int, venvs: Path, clones: dict[str, Path]
) -> list[report.Row]:
    """One contest: every entry once a round; the ratios are to the best of ours."""
    rates, missing, versions, unit = [Times() for _ in entries], set(), {}, ""
    for _ in range(rounds):
        for i, (name, flags) in enumerate(entries):
            told = run(name, flags, venvs, clones)
            if told is None:
                missing.add(name)
                continue
            versions[name] = told["version"].lstrip("v")
            unit, one = rate(told)
            rates[i].seconds.append(one)
            print(json.dumps(told), file=sys.stderr)
    best = {
        ours: max(t.median for (name, _), t in zip(entries, rates, strict=True) if name == ours)
        for ours in (OURS, FAST)
        if ours not in missing
    }
    rows: list[report.Row] = []
    for (name, flags), t in zip(entries, rates, strict=True):
        how = ", ".join(f"{k} {flags[k]}" for k in ("workers", "threads") if k in flags)
        row: report.Row = {"who": name, "how": how or "1 thread"}
        if name in missing:
            rows.append({**row, "rate": "not installed"})
            continue
        version, others = versions[name], {}
        if name not in (OURS, FAST):
            others = {f"{ours} / this": f"{best[ours] / t.median:.2f}" for ours in best}
        low, high = report.number(min(t.seconds)), report.number(max(t.seconds))
        row |= {"who": f"{name} {version}", "rate": f"{report.number(t.median)} {unit}"}
        rows.append({**row, "lowest to highest": f"{low} to {high}", **others})
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
