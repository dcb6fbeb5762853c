"""The lists of the page: summary, limits, seeds, versions, configurations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from vdtoolkit.igm.report.cells import game_table
from vdtoolkit.igm.report.heat import scale_of
from vdtoolkit.igm.report.rows import limit_status, sse_words
from vdtoolkit.igm.report.slices import caption, plane, slice_at
from vdtoolkit.igm.report.summary import (
    Row,
    earned,
    game_decimals,
    greedy_note,
    limit_earns,
    one_step,
    representative,
    summary,
)
from vdtoolkit.igm.report.text import (
    CLASSES,
    Spread,
    decimals,
    joint_action,
    measure,
    number,
    percent,
    spread_range,
)
from vdtoolkit.igm.results import LabResult, Limit, SeedResult


def listed(heads: Sequence[str], rows: Iterable[Sequence[str]], numeric: set[int]) -> str:
    """A table of HTML cells; the columns in `numeric` are set right."""

    def line(row: Sequence[str], tag: str) -> str:
        opening = [f'<{tag} class="n">' if k in numeric else f"<{tag}>" for k in range(len(row))]
        return "".join(f"{opens}{cell}</{tag}>" for opens, cell in zip(opening, row, strict=True))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{line(heads, 'th')}</tr></thead>"
    return f'<div class="scroll"><table class="list">{head}<tbody>{body}</tbody></table></div>'


def _two(first: str, second: str) -> str:
    return f"{first}<small>{second}</small>" if second else first


def summary_html(lab: LabResult) -> str:
    """One row a method: mean over seeds, the range below it."""
    plays = "plays" if one_step(lab) else "plays in the first state"
    heads = ["method", "IGM", "gap", "RMSE", "regret", plays, "earns", "class limit", "verdict"]
    rows = [_summary_row(lab, row) for row in summary(lab)]
    note = '<p class="faint">Means over seeds, their range below; regret is the worst state\'s.</p>'
    return listed(heads, rows, {2, 3, 4}) + note


def _summary_row(lab: LabResult, row: Row) -> list[str]:
    digits = game_decimals(lab)
    return [
        _two(f"<b>{escape(row.method)}</b>", escape(row.function_class)),
        _two(igm_html(row.igm), f"violated in {percent(row.violated.mean)} of states"),
        _spread(row.gap, digits, row.bound),
        _spread(row.rmse, digits),
        _spread(row.regret, digits),
        escape(greedy_note(row)),
        _two(earned(lab, row.earns.mean), spread_range(row.earns, digits)),
        _limit(row, digits),
        "<br>".join(escape(verdict) for verdict in row.verdicts),
    ]


def _spread(spread: Spread | None, digits: int, bound: bool = False) -> str:
    text = measure(spread.mean if spread else None, digits, bound)
    return _two(escape(text), escape(spread_range(spread, digits)))


def _limit(row: Row, digits: int) -> str:
    if row.limit is None or row.limit.sse is None:
        return "–"
    earns = "" if row.limit_earns is None else f"earns {number(row.limit_earns, digits)}"
    best = _two(f"SSE {sse_words(row.limit, digits)}", earns)
    if row.own is None or row.own_earns is None:
        return best
    own = f"SSE {sse_words(row.own, digits)}, earns {number(row.own_earns, digits)}"
    return best + _two("", f"in its own order {own}")


def limits_html(lab: LabResult) -> str:
    """Every class of functions: its best table and what that earns."""
    if not lab.limits:
        return ""
    where = "" if one_step(lab) else f" Of the first state ({escape(str(lab.states[0]))})."
    note = f'<p class="faint">By least squares; ▲ is the argmax of the table.{where}</p>'
    heads = ["class", "best table", "SSE", "argmax", "earns", "regret", "how sure"]
    rows = [_limit_row(lab, name, limit) for name, limit in lab.limits.items()]
    return note + listed(heads, rows, {2, 4, 5})


def _limit_row(lab: LabResult, name: str, limit: Limit) -> list[str]:
    digits = game_decimals(lab)
    return [
        f"<b>{escape(CLASSES.get(name, name))}</b>",
        _limit_table(lab, limit),
        sse_words(limit, digits),
        joint_action(limit.greedy),
        number(limit_earns(lab, limit), digits, "–"),
        escape(measure(limit.regret, digits)),
        escape(limit_status(limit)),
    ]


def _limit_table(lab: LabResult, limit: Limit) -> str:
    if limit.table is None or limit.greedy is None:
        return "–"
    part = slice_at(limit.table, limit.greedy)
    scale = scale_of(lab.payoffs[0] if lab.payoffs[0] is not None else limit.table)
    row = limit.greedy[-2] if len(limit.greedy) > 1 else 0
    found = {(row, limit.greedy[-1]): ("best",)}
    digits = decimals(limit.table)
    table = game_table(plane(limit.table, part), part, digits, scale, found, (None, None))
    words = caption(lab.agents, part)
    return table + (f"<small>{escape(words)}</small>" if words else "")


def seeds_html(lab: LabResult) -> str:
    """Every seed of every method."""
    heads = ["method", "seed", "IGM violated", "gap", "RMSE", "regret", "plays", "earns"]
    rows = [
        [escape(method.label), *_seed_row(lab, seed, seed is representative(method))]
        for method in lab.methods
        for seed in method.seeds
    ]
    note = '<p class="faint">* shown above: the median, by regret then RMSE.</p>'
    return listed([*heads, "verdict", "time"], rows, {1, 2, 3, 4, 5, 7, 9}) + note


def _seed_row(lab: LabResult, seed: SeedResult, shown: bool) -> list[str]:
    digits, audit = game_decimals(lab), seed.audit
    return [
        f"{seed.seed}{'*' if shown else ''}",
        escape(percent(audit.violation_rate)),
        escape(measure(audit.gap, digits, bound=not audit.exact)),
        escape(measure(audit.rmse, digits)),
        escape(measure(audit.regret, digits)),
        joint_action(audit.states[0].greedy),
        number(seed.team_return, digits),
        escape(seed.verdict),
        f"{seed.seconds:.1f} s",
    ]


def versions_html(lab: LabResult) -> str:
    """Versions of what it ran with."""
    items = [f"{escape(name)} {escape(version)}" for name, version in lab.versions.items()]
    return f'<p class="faint">{" · ".join(items)}</p>'


def configurations_html(lab: LabResult) -> str:
    """The configuration of every method: a row a setting, a column a method."""
    names = list(dict.fromkeys(name for method in lab.methods for name in method.config))
    if not names:
        return ""
    rows = [
        [escape(name), *[_setting(method.config, name) for method in lab.methods]] for name in names
    ]
    table = listed(["setting", *[escape(method.label) for method in lab.methods]], rows, set())
    return f"<details><summary>Configuration of each method</summary>{table}</details>"


def _setting(config: dict[str, object], name: str) -> str:
    return escape(str(config[name])) if name in config else "–"


def igm_html(words: str) -> str:
    """Whether IGM holds, in colour and in words."""
    tone = "bad" if words.startswith("violated") else "good" if words == "holds" else "faint"
    text = "no IGM claimed" if words == "no claim" else f"IGM {words}"
    return f'<span class="{tone}">{escape(text)}</span>'
