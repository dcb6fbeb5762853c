"""The summary of a lab run as a terminal table, and the limits of the classes."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from vdtoolkit.igm.report.summary import Row, earned, game_decimals, limit_earns, one_step, summary
from vdtoolkit.igm.report.text import (
    CLASSES,
    Spread,
    joint_action,
    measure,
    number,
    percent,
    spread_range,
)
from vdtoolkit.igm.results import WEIGHTED, WEIGHTED_ERRORS, LabResult, Limit

WIDE = 96  # columns from which the ranges over seeds are shown


def summary_table(lab: LabResult, width: int) -> Table:
    """One row a method: the mean over seeds, below it the range."""
    table = _table()
    table.add_column("method\nclass", no_wrap=True)
    table.add_column("IGM\nviolated", no_wrap=True)
    for name in ("gap", "RMSE", "regret"):
        table.add_column(name, justify="right", no_wrap=True)
    plays = "plays" if one_step(lab) else "plays first"
    table.add_column(f"{plays}\nand earns", no_wrap=True)
    table.add_column("verdict (seeds)\nlimit SSE; earns", overflow="fold", min_width=16)
    for row in summary(lab):
        table.add_row(*_cells(lab, row, ranges=width >= WIDE))
    return table


def _table(title: str | None = None) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _cells(lab: LabResult, row: Row, ranges: bool) -> list[Text]:
    digits = game_decimals(lab)
    return [
        _two(row.method, row.function_class, "bold"),
        _two(row.igm, percent(row.violated.mean), _igm_style(row.igm)),
        _spread(row.gap, digits, ranges, row.bound),
        _spread(row.rmse, digits, ranges),
        _spread(row.regret, digits, ranges),
        _two(_plays(row), earned(lab, row.earns.mean)),
        _verdict(lab, row),
    ]


def _plays(row: Row) -> str:
    return joint_action(row.plays) + (f" {row.plays_in.split()[0]}" if row.plays_in else "")


def _two(first: str, second: str, style: str = "") -> Text:
    return Text(first, style).append("\n" + second, "not bold dim")


def _igm_style(words: str) -> str:
    return "bold red" if words.startswith("violated") else "green" if words == "holds" else ""


def _spread(spread: Spread | None, digits: int, ranges: bool, bound: bool = False) -> Text:
    mean = measure(spread.mean if spread else None, digits, bound)
    return _two(mean, spread_range(spread, digits) if ranges else "")


def _verdict(lab: LabResult, row: Row) -> Text:
    unsure = any("not converged" in verdict for verdict in row.verdicts)
    text = Text("\n".join(row.verdicts), "yellow" if unsure else "")
    limit, digits = row.limit, game_decimals(lab)
    if limit is None or limit.sse is None:
        return text
    text.append(f"\n{limit_words(limit, row.limit_earns, digits)}", "default dim")
    if row.own is not None:
        text.append(f"\nits order: {limit_words(row.own, row.own_earns, digits)}", "default dim")
    return text


def limit_words(limit: Limit, earns: float | None, digits: int) -> str:
    """`SSE 320.00; 0.00`: the error of the best table, and what its argmax earns."""
    return f"SSE {sse_words(limit, digits)}" + (
        f"; {number(earns, digits)}" if earns is not None else ""
    )


def sse_words(limit: Limit, digits: int) -> str:
    """The class's SSE; ~ where it is a bound or was searched; whether it is weighted."""
    weighted = " weighted" if limit.note.startswith((WEIGHTED, WEIGHTED_ERRORS)) else ""
    if limit.sse is None:
        return "–"
    return ("" if limit.exact else "~") + number(limit.sse, digits, "–") + weighted


def limits_table(lab: LabResult) -> Table:
    """The best table of every class of functions, in numbers."""
    where = "" if one_step(lab) else f", of the first state's table ({lab.states[0]})"
    table = _table(f"The best each class can do by least squares on uniform play{where}")
    table.add_column("class", no_wrap=True)
    for name in ("SSE", "its argmax", "earns", "regret"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for name, limit in lab.limits.items():
        table.add_row(CLASSES.get(name, name), *_limit_row(lab, limit))
    return table


def _limit_row(lab: LabResult, limit: Limit) -> list[str]:
    digits = game_decimals(lab)
    return [
        sse_words(limit, digits),
        joint_action(limit.greedy),
        number(limit_earns(lab, limit), digits, "–"),
        measure(limit.regret, digits),
        limit_status(limit),
    ]


def limit_status(limit: Limit) -> str:
    """Exact, a bound, or not computed, with the note of how."""
    if limit.table is None and limit.sse is None:
        return limit.note or "not computed"
    words = "exact" if limit.exact else "bound"
    return words + (f": {limit.note}" if limit.note else "")
