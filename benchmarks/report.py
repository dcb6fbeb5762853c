"""Rows of numbers as a table in the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

Row = dict[str, Any]


def machine() -> dict[str, Any]:
    """What ran it, and how busy it was."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def headline(facts: Row) -> str:
    """One line on the machine, with a warning where others use it."""
    told = "{cores} cores of {cpu}, torch {torch}, numpy {numpy}, {date}".format(**facts)
    if (facts["load"] or 0) > 0.5:
        told += f"; NOT QUIET: load {facts['load']} at the start, read nothing into small ratios"
    return told


def show(title: str, rows: Sequence[Row], console: Console) -> None:
    """The rows as a table; columns in the order in which they first appear."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in _columns(rows):
        words = any(isinstance(row.get(name), str) for row in rows)
        table.add_column(name, justify="left" if words else "right")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in _columns(rows)))
    console.print(table)


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    names = _columns(rows)
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(n)) for n in names) + " |" for row in rows]
    return "\n".join(lines)


def write_json(path: Path, facts: Row, tables: Mapping[str, Sequence[Row]]) -> None:
    """Everything that was shown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": facts, "tables": tables}, indent=1) + "\n", "utf-8")


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return number(value) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
