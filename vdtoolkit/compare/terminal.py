"""The comparison as tables in the terminal (Rich)."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vdtoolkit.compare import words
from vdtoolkit.compare.comparison import Comparison
from vdtoolkit.compare.passports import FLAGGED, REFUSED, Difference


def show(told: Comparison, console: Console) -> None:
    """Banner, aggregates, environments, pairs, findings, warnings."""
    console.print(Text(f"Comparison: {words.size(told)}", "bold"))
    if told.refused:
        console.print(banner(told))
    console.print(aggregates(told))
    console.print(environments(told))
    console.print(pairs(told))
    flagged = [one for one in told.differences if one.weight in (REFUSED, FLAGGED)]
    if flagged:
        console.print(differing(flagged))
    for sentence in words.findings(told):
        console.print(f"- {sentence}")
    for warning in told.warnings:
        console.print(Text(f"! {warning}", "yellow"))


def banner(told: Comparison) -> Panel:
    """The loud one."""
    lines = [words.BANNER, *(f"{one.environment}: {one.field}: {one.why}" for one in told.refused)]
    return Panel(Text("\n".join(lines), "bold red"), border_style="red")


def aggregates(told: Comparison) -> Table:
    """One row a method."""
    made = _table("All environments together: score [95 % interval]")
    made.add_column("method", style="bold")
    for title in ("IQM", "mean", "optimality gap"):
        made.add_column(title, justify="right")
    for method in told.methods:
        found = told.aggregates[method]
        made.add_row(
            method, *(words.estimate(found[name]) for name in ("iqm", "mean", "optimality_gap"))
        )
    return made


def environments(told: Comparison) -> Table:
    """One row a method, one column an environment: mean over seeds and its interval."""
    made = _table("Means as measured [95 % interval]")
    made.add_column("method", style="bold")
    for environment in told.environments:
        made.add_column(environment.name, justify="right", overflow="fold")
    for method in told.methods:
        made.add_row(method, *(words.in_environment(e, method)[0] for e in told.environments))
    return made


def pairs(told: Comparison) -> Table:
    """One row a pair."""
    made = _table("Pair by pair")
    for title, justify in (
        ("first", "left"),
        ("second", "left"),
        ("difference of IQM", "right"),
        ("P(first > second)", "right"),
        ("apart", "left"),
        ("more seeds", "right"),
    ):
        made.add_column(title, justify=justify)  # type: ignore[arg-type]
    for pair in told.pairs:
        made.add_row(
            pair.first,
            pair.second,
            words.estimate(pair.difference),
            words.estimate(pair.better),
            words.verdict(pair),
            words.missing(pair),
        )
    return made


def differing(found: Sequence[Difference]) -> Table:
    """In what runs differ, and which."""
    made = _table("The runs differ")
    made.add_column("environment", overflow="fold")
    made.add_column("field", overflow="fold")
    made.add_column("why it matters")
    made.add_column("value: runs", overflow="fold")
    for one in found:
        style = "red" if one.weight == REFUSED else ""
        lines = "\n".join(words.values(one))
        made.add_row(one.environment, Text(one.field, style), one.why, lines)
    return made


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")
