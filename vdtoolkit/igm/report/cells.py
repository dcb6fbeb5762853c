"""Payoff, Q_tot, error and evidence of one state as HTML tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

import numpy as np

from vdtoolkit.igm.report.heat import Scale, colour, ink_on, scale_of
from vdtoolkit.igm.report.slices import (
    Slice,
    caption,
    margins,
    marks,
    news,
    plane,
    sizes,
    slice_count,
    slices,
    with_gaps,
)
from vdtoolkit.igm.report.text import (
    MARKS,
    MEANING,
    MISSING,
    SYMBOLS,
    decimals,
    joint_action,
    number,
)
from vdtoolkit.igm.results import Audit, StateAudit

MOST_ROWS = 24  # of a table of evidence that is no payoff-like table

Margins = tuple[np.ndarray | None, np.ndarray | None]
Marks = Mapping[tuple[int, int], tuple[str, ...]]

GLOSSARY = {
    "Q'_jt": "Q'_jt, the sum of the utilities",
    "V_jt": "V_jt, the correction for partial observability",
    "residual (4a)": "residual of (4a): Q'_jt - Q_jt + V_jt where the team plays; 0 if it holds",
    "residual (4b)": "residual of (4b): Q'_jt - Q_jt + V_jt elsewhere; not below 0 if it holds",
    "residual (7)": "residual of (7): the least of every row and column is 0 if it holds",
}


def legend_html() -> str:
    """What the symbols mean."""
    items = [f"<span><b>{SYMBOLS[name]}</b> {escape(MEANING[name])}</span>" for name in MARKS]
    items.append(f"<span><b>{MISSING}</b> not available</span>")
    return f'<p class="legend faint">{" ".join(items)}</p>'


def state_html(audit: Audit, state: StateAudit) -> str:
    """All tables of one state, and what the algorithm adds of its own."""
    if state.payoff is None and state.q_tot is None:
        return _searched(audit, state) + evidence_html(audit, state)
    parts = slices(state)
    text = "".join(_part_html(audit, state, part) for part in parts)
    if len(parts) < slice_count(state):
        note = f"{len(parts)} of {slice_count(state)} slices, those with a mark."
        text += f'<p class="faint">{note}</p>'
    text += _searched(audit, state) if state.q_tot is None else ""
    return text + evidence_html(audit, state)


def _part_html(audit: Audit, state: StateAudit, part: Slice) -> str:
    digits, found = decimals(state.payoff, state.q_tot), marks(state, part)
    scale = scale_of(state.payoff if state.payoff is not None else state.q_tot)
    tables: list[tuple[str, np.ndarray, Scale, Marks, Margins]] = []
    if state.payoff is not None:
        tables.append(("payoff", state.payoff, scale, found, (None, None)))
    if state.q_tot is not None:
        title = f"learned {audit.q_tot_label}"
        tables.append((title, state.q_tot, scale, found, margins(state)))
    if state.payoff is not None and state.q_tot is not None:
        span = max(-scale[0], scale[1])
        tables.append(("error", state.q_tot - state.payoff, (-span, span), {}, (None, None)))
    if (backup := news(state)) is not None and backup.shape == sizes(state):
        title = "trained on (reward + own bootstrap)"
        tables.append((title, backup, scale, {}, (None, None)))
    words = caption(audit.agents, part)
    note = f'<p class="faint">{escape(words)}</p>' if words else ""
    cells = [
        _titled(title, game_table(plane(values, part), part, digits, tone, where, sides))
        for title, values, tone, where, sides in tables
    ]
    return f'{note}<div class="tables">{"".join(cells)}</div>'


def _titled(title: str, table: str) -> str:
    return f'<div class="scroll"><h4>{title_html(title)}</h4>{table}</div>'


def title_html(name: str) -> str:
    """A name as HTML: `Q'_jt` gets its subscript, `head_weights` a space."""
    if re.search(r"(^|\s)[A-Za-z]'?_\w+", name):
        return re.sub(r"\b([A-Za-z])('?)_(\w+)", r"\1\2<sub>\3</sub>", escape(name, quote=False))
    return escape(name.replace("_", " "), quote=False)


def game_table(
    values: np.ndarray, part: Slice, digits: int, scale: Scale, found: Marks | None, sides: Margins
) -> str:
    """One two-agent table, its cells coloured, utilities along its margins."""
    down, across = with_gaps(part.rows, part.shape[0]), with_gaps(part.columns, part.shape[1])
    rows, columns = sides
    corner = "<th></th>" * (2 if rows is not None else 1)
    lines = [corner + "".join(f'<th scope="col">{_index(j)}</th>' for j in across)]
    if columns is not None:
        side = "<th></th>" if rows is not None else ""
        head = f'{side}<th scope="row">Q<sub>i</sub></th>'
        lines.append(head + "".join(_utility(columns, j, digits) for j in across))
    for i in down:
        head = f'<th scope="row">{_index(i)}</th>'
        head += _utility(rows, i, digits) if rows is not None else ""
        cells = [_cell(values, i, j, digits, scale, found) for j in across]
        lines.append(head + "".join(cells))
    return '<table class="game">' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _index(index: int | None) -> str:
    return "…" if index is None else str(index)


def _utility(utility: np.ndarray, index: int | None, digits: int) -> str:
    text = "…" if index is None else number(float(utility[index]), digits)
    return f'<td class="q">{text}</td>'


def _cell(
    values: np.ndarray, i: int | None, j: int | None, digits: int, scale: Scale, found: Marks | None
) -> str:
    if i is None or j is None:
        return "<td>…</td>"
    value, names = float(values[i, j]), (found or {}).get((i, j), ())
    if np.isnan(value):
        return f'<td class="none">{MISSING}</td>'
    rgb = colour(value, scale)
    fill = "#" + "".join(f"{round(255 * c):02x}" for c in rgb)
    plays = ' class="plays"' if "greedy" in names else ""
    symbols = "".join(SYMBOLS[name] for name in MARKS if name in names)
    marked = f'<span class="marks">{symbols}</span>' if found is not None else ""
    style = f"background:{fill};color:{ink_on(rgb)}"
    return f'<td{plays} style="{style}">{number(value, digits)}{marked}</td>'


def evidence_html(audit: Audit, state: StateAudit) -> str:
    """Every entry of the algorithm's own evidence."""
    if not state.evidence:
        return ""
    entries = [_entry(audit, state, name, np.asarray(v)) for name, v in state.evidence.items()]
    label = f"{escape(audit.algorithm)}: its own evidence"
    tables = f'<div class="tables">{"".join(entries)}</div>'
    return f"<details open><summary>{label}</summary>{tables}</details>"


def _entry(audit: Audit, state: StateAudit, name: str, array: np.ndarray) -> str:
    title = GLOSSARY.get(name, name)
    array = array.astype(float)
    digits = decimals(state.payoff, state.q_tot, array)
    if array.ndim == 0:
        return f"<div><h4>{title_html(title)}</h4>{number(float(array), digits)}</div>"
    if array.shape == sizes(state):
        part = slices(state, most=1)[0]
        table = game_table(plane(array, part), part, digits, scale_of(array), None, (None, None))
        words = caption(audit.agents, part)
        return _titled(title + (f" ({words})" if words else ""), table)
    flat = array.reshape(-1, array.shape[-1])
    table = _matrix(flat[:MOST_ROWS], _headers(audit, array.shape[-1]), digits)
    size = " × ".join(str(n) for n in array.shape)
    more = f", the first {MOST_ROWS} rows of {len(flat)}" if len(flat) > MOST_ROWS else ""
    return _titled(f"{title} ({size}{more})", table)


def _headers(audit: Audit, size: int) -> list[str]:
    return list(audit.agents) if size == len(audit.agents) else [str(k) for k in range(size)]


def _matrix(rows: np.ndarray, headers: list[str], digits: int) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in headers)
    numbered = len(rows) > 1
    lines = [("<th></th>" if numbered else "") + head]
    for k, row in enumerate(rows):
        cells = "".join(f'<td class="q">{number(float(x), digits)}</td>' for x in row)
        lines.append((f'<th scope="row">{k}</th>' if numbered else "") + cells)
    return '<table class="game">' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _searched(audit: Audit, state: StateAudit) -> str:
    """Utilities of every agent, where joint actions were searched."""
    actions = {"optimum": state.optimum, "best": state.best, "greedy": state.greedy}
    items = "".join(
        f"<li>{SYMBOLS[name]} {escape(MEANING[name])}: {joint_action(actions[name])}</li>"
        for name in MARKS
        if actions[name] is not None
    )
    most = max(len(q) for q in state.utilities)
    values = np.full((len(state.utilities), most), np.nan)
    for i, q in enumerate(state.utilities):
        values[i, : len(q)] = q
    part = Slice((), list(range(len(values))), list(range(most)), (len(values), most))
    found = {(i, u): ("greedy",) for i, u in enumerate(state.greedy)}
    table = game_table(values, part, decimals(values), scale_of(values), found, (None, None))
    note = "Too many joint actions to list: Q_tot was searched, so the gap is a lower bound."
    title = "utilities: a row an agent, a column an action"
    return f"<p>{note}</p><ul>{items}</ul>{_titled(title, table)}"
