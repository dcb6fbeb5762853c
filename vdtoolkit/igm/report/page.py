"""A lab run, or one audit, as a single self-contained HTML page."""

from __future__ import annotations

from html import escape

from vdtoolkit.igm.report.cells import legend_html, state_html, title_html
from vdtoolkit.igm.report.curves import plot_curves
from vdtoolkit.igm.report.figures import plot_audit, plot_overview
from vdtoolkit.igm.report.lists import (
    configurations_html,
    igm_html,
    limits_html,
    seeds_html,
    summary_html,
    versions_html,
)
from vdtoolkit.igm.report.strip import plot_strip
from vdtoolkit.igm.report.style import STYLE
from vdtoolkit.igm.report.summary import findings, igm_words, one_step, representative, seed_note
from vdtoolkit.igm.report.svg import inline_svg
from vdtoolkit.igm.report.text import CLAIMS, DEFINITIONS, decimals, measure, of_total, percent
from vdtoolkit.igm.results import Audit, LabResult, MethodResult, StateAudit

MOST_STATES = 4


def html_page(lab: LabResult) -> str:
    """The lab run as one page: findings, summary, tables, limits, curves, strip, evidence."""
    shown = range(min(MOST_STATES, len(lab.states)))
    overview = "".join(
        _figure(inline_svg(plot_overview(lab, k), f"Tables of every method, state {k}", f"o{k}"))
        for k in shown
    )
    strips = "".join(
        _figure(inline_svg(plot_strip(lab, k), f"Learned tables over training, state {k}", f"s{k}"))
        for k in shown
    )
    curves = _figure(inline_svg(plot_curves(lab), "Measures over training moves", "c"))
    body = [
        _head(lab),
        _section("Findings", _findings(lab)),
        _section("At a glance", _glance(lab) + overview),
        _section("Summary", summary_html(lab)),
        _section("What each method believes", legend_html() + _methods(lab)),
        _section("What each class of functions can reach", limits_html(lab)),
        _section("Over training", _curves_note() + curves + strips),
        _section("Seeds", seeds_html(lab)),
        _section("Definitions", _definitions()),
        _section("How it was run", _how(lab)),
    ]
    return _document(f"IGM lab: {lab.game}", "".join(body))


def audit_html(audit: Audit) -> str:
    """One audit as a page."""
    figure = _figure(inline_svg(plot_audit(audit), "Payoff, Q_tot and error", "a"))
    body = [
        f"<header><h1>{escape(audit.algorithm)}: IGM audit</h1>{_measures(audit)}</header>",
        _section("Tables", legend_html() + _orientation(audit) + _states(audit)),
        _section("Heat maps", figure),
        _section("Definitions", _definitions()),
    ]
    return _document(f"IGM audit: {audit.algorithm}", "".join(body))


def _document(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _figure(svg: str) -> str:
    return f'<div class="figure">{svg}</div>'


def _head(lab: LabResult) -> str:
    seeds = max((len(method.seeds) for method in lab.methods), default=0)
    words = f"{len(lab.methods)} methods, {seeds} seeds each, {lab.moves:,} moves a run"
    return (
        f"<header><h1>IGM lab: {escape(lab.game)}</h1>"
        f'<p class="faint">What each method believes, beside what is true. {words}.</p></header>'
    )


def _findings(lab: LabResult) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in findings(lab))
    return f'<ul class="findings">{items}</ul>'


def _glance(lab: LabResult) -> str:
    note = "Each method by its median seed; earnings are means over seeds."
    more = len(lab.states) - MOST_STATES
    if more > 0:
        note += f" The first {MOST_STATES} of {len(lab.states)} states are shown."
    return f'<p class="faint">{note}</p>'


def _rows_and_columns(agents: tuple[str, ...]) -> str:
    if len(agents) < 2:
        return ""
    rows, columns = agents[-2:]
    note = f"Rows are {escape(rows)}'s actions, columns {escape(columns)}'s."
    return f'<p class="faint">{note} Grey cells along the margins are their utilities.</p>'


def _orientation(audit: Audit) -> str:
    tables = any(state.q_tot is not None or state.payoff is not None for state in audit.states)
    return _rows_and_columns(audit.agents) if tables else ""


def _methods(lab: LabResult) -> str:
    cards = "".join(_method(method) for method in lab.methods)
    return _rows_and_columns(lab.agents) + cards


def _method(method: MethodResult) -> str:
    audit = representative(method).audit
    verdict = escape("; ".join(of_total([seed.verdict for seed in method.seeds])))
    return (
        f'<article class="card"><h3>{escape(method.label)}</h3>'
        f'<p>{igm_html(igm_words(method))} <span class="faint">· {verdict}</span></p>'
        f'<p class="faint">Shown: {escape(seed_note(method))}.</p>'
        f"{_measures(audit)}{_states(audit)}</article>"
    )


def _measures(audit: Audit) -> str:
    digits = decimals(*[state.payoff for state in audit.states])
    parts = [
        f"IGM claim: {escape(CLAIMS.get(audit.claim, audit.claim))}",
        f"violated in {percent(audit.violation_rate)} of states",
        f"gap {measure(audit.gap, digits, bound=not audit.exact)}",
        f"regret {measure(audit.regret, digits)}",
        f"RMSE {measure(audit.rmse, digits)}",
        f"largest error {measure(audit.max_error, digits)}",
    ]
    if audit.least_slope is not None:
        parts.append(f"least slope {audit.least_slope:.3g}")
    ties = sum(state.tie for state in audit.states)
    parts += [f"ties in {ties} states"] if ties else []
    return f'<p class="faint">{" · ".join(parts)}</p>'


def _states(audit: Audit) -> str:
    if len(audit.states) == 1:
        return state_html(audit, audit.states[0])
    shown = audit.states[:MOST_STATES]
    text = "".join(_state_title(state) + state_html(audit, state) for state in shown)
    if len(shown) < len(audit.states):
        text += f'<p class="faint">The first {len(shown)} of {len(audit.states)} states.</p>'
    return text


def _state_title(state: StateAudit) -> str:
    words = [f"State {state.state}", *["IGM violated"] * state.violation, *["tie"] * state.tie]
    return f'<h4 class="state">{escape(" · ".join(words))}</h4>'


def _curves_note() -> str:
    return (
        '<p class="faint">Blue: the mean over seeds, in its band from the least to the largest. '
        "Grey: the other methods' means.</p>"
    )


def _definitions() -> str:
    items = "".join(
        f"<dt>{title_html(name)}</dt><dd>{escape(text)}</dd>" for name, text in DEFINITIONS.items()
    )
    return f"<dl>{items}</dl>"


def _how(lab: LabResult) -> str:
    note = "" if one_step(lab) else "<p>Limits are those of the first state's table.</p>"
    return (
        f"<pre>{escape(lab.command)}</pre>{note}"
        f'<p class="faint">{lab.seconds:.0f} s in all.</p>'
        f"{versions_html(lab)}{configurations_html(lab)}"
    )
