"""The comparison as one HTML page that needs nothing else."""

from __future__ import annotations

import platform
from collections.abc import Callable
from html import escape

import numpy
import scipy
from matplotlib.figure import Figure

from vdtoolkit._version import __version__
from vdtoolkit.compare import words
from vdtoolkit.compare.comparison import AGGREGATES, Comparison
from vdtoolkit.compare.figures import (
    TITLES,
    plot_aggregates,
    plot_efficiency,
    plot_improvement,
    plot_profiles,
)
from vdtoolkit.compare.passports import FLAGGED, HARMLESS, REFUSED
from vdtoolkit.igm.report.lists import listed
from vdtoolkit.igm.report.style import STYLE
from vdtoolkit.igm.report.svg import inline_svg
from vdtoolkit.igm.report.text import number

OWN_STYLE = """
.banner { border: 2px solid var(--bad); border-radius: .6rem; padding: .8rem 1.1rem;
  margin: 1rem 0; } .banner b { color: var(--bad); font-size: 1.1rem; }
.notes { padding-left: 1.2rem; max-width: 60rem; font-size: .95rem; }
.notes li { overflow-wrap: anywhere; margin: .2rem 0; } .notes li::marker { color: var(--bad); }
td small { overflow-wrap: anywhere; }
"""
WEIGHTS = {REFUSED: "matters", FLAGGED: "may matter", HARMLESS: "harmless"}


def html_page(told: Comparison, command: str = "") -> str:
    """Findings, aggregates, pairs, profiles, curves, environments, and what was not alike."""
    body = [
        _head(told),
        _banner(told),
        _section("Findings", _list(words.findings(told), "findings")),
        _section("Warnings", _list(told.warnings, "notes")),
        _section("All environments together", _figure(told, plot_aggregates, "a") + _table(told)),
        _section(
            "Over training",
            _faint(
                "Interquartile mean of scores with its 95 % interval; dotted where some runs had "
                "ended before."
            )
            + _figure(told, plot_efficiency, "e"),
        ),
        _section(
            "Which is better, pair by pair",
            _faint(
                "The probability that a run of the row's method scores above one of the column's, "
                "and its 95 % interval; framed where the two methods are told apart."
            )
            + _figure(told, plot_improvement, "i")
            + _pairs(told),
        ),
        _section("Performance profiles", _figure(told, plot_profiles, "p")),
        _section("Environment by environment", _environments(told)),
        _section("Were the runs alike?", _alike(told)),
        _section("Runs", _runs(told)),
        _section("Definitions", _definitions()),
        _section("How it was made", _how(told, command)),
    ]
    title = f"Comparison: {', '.join(told.methods)}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{OWN_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _faint(text: str) -> str:
    return f'<p class="faint">{escape(text)}</p>'


def _list(sentences: object, style: str) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)  # type: ignore
    return f'<ul class="{style}">{items}</ul>' if items else ""


def _figure(told: Comparison, plot: Callable[[Comparison], Figure], prefix: str) -> str:
    label = (plot.__doc__ or "").split("\n")[0]
    return f'<div class="figure">{inline_svg(plot(told), label, prefix)}</div>'


def _head(told: Comparison) -> str:
    names = escape(", ".join(told.methods))
    return f"<header><h1>Comparison: {names}</h1>{_faint(words.size(told) + '.')}</header>"


def _banner(told: Comparison) -> str:
    if not told.refused:
        return ""
    items = [f"{one.environment}: {one.field}: {one.why}" for one in told.refused]
    return (
        f'<div class="banner" role="alert"><b>{escape(words.BANNER)}</b>'
        f"{_list(items, 'findings')}"
        "<p>What is below may tell these differences apart, not the methods.</p></div>"
    )


def _table(told: Comparison) -> str:
    rows = [
        [f"<b>{escape(method)}</b>"]
        + [words.estimate(told.aggregates[method][name]) for name in AGGREGATES]
        for method in told.methods
    ]
    return listed(["method", *TITLES.values()], rows, {1, 2, 3, 4})


def _pairs(told: Comparison) -> str:
    heads = [
        "pair",
        "difference of IQM",
        "P(first > second)",
        "told apart",
        "seeds",
        "more seeds",
        "seen from",
    ]
    rows = [
        [
            f"<b>{escape(pair.first)}</b> and <b>{escape(pair.second)}</b>",
            words.estimate(pair.difference),
            words.estimate(pair.better),
            f'<span class="{"good" if pair.apart else ""}">{words.verdict(pair)}</span>',
            str(pair.seeds),
            words.missing(pair),
            number(pair.smallest, words.DIGITS, "–"),
        ]
        for pair in told.pairs
    ]
    return listed(heads, rows, {1, 2, 3, 4, 5, 6})


def _environments(told: Comparison) -> str:
    heads = ["method", *(escape(environment.name) for environment in told.environments)]
    rows = []
    for method in told.methods:
        cells = [words.in_environment(e, method) for e in told.environments]
        two = [f"{first}<small>{second}</small>" for first, second in cells]
        rows.append([f"<b>{escape(method)}</b>", *two])
    note = _faint("Mean as measured, in brackets Student's 95 % interval over seeds.")
    scales = [
        [
            f"<b>{escape(environment.name)}</b><small>{escape(_env(environment.env))}</small>",
            *map(escape, words.scale(environment)),
        ]
        for environment in told.environments
    ]
    about = ["environment", "measured", "a score of 0", "a score of 1", "read"]
    return listed(heads, rows, set()) + note + listed(about, scales, set())


def _env(env: dict[str, object]) -> str:
    arguments = env["arguments"]
    assert isinstance(arguments, dict)
    told = [str(env["env"]), *(f"{key}={value}" for key, value in arguments.items())]
    wrappers = env["wrappers"]
    assert isinstance(wrappers, list | tuple)
    return " ".join([*told, *(f"in {wrapper}" for wrapper in wrappers)])


def _alike(told: Comparison) -> str:
    if not told.differences:
        return "<p>As far as passports tell, yes: they differ in nothing but method and seed.</p>"
    rows = [
        [
            escape(one.environment),
            f"<b>{escape(one.field)}</b>",
            f'<span class="{"bad" if one.weight == REFUSED else ""}">{WEIGHTS[one.weight]}</span>'
            f"<small>{escape(one.why)}</small>",
            "<br>".join(escape(line) for line in words.values(one)),
        ]
        for one in told.differences
    ]
    return listed(["environment", "field", "weight", "values"], rows, set())


def _runs(told: Comparison) -> str:
    rows = [
        [
            escape(environment.name),
            escape(method),
            str(record.seed),
            f"{record.moves[-1]:,.0f}",
            number(float(value), 3),
            number(float(score), words.DIGITS),
            escape(record.status),
            f"<code>{escape(record.name)}</code>",
        ]
        for environment in told.environments
        for method in told.methods
        for record, value, score in zip(
            environment.records[method],
            environment.read[method],
            environment.scores[method],
            strict=True,
        )
    ]
    heads = ["environment", "method", "seed", "moves", "measured", "score", "status", "folder"]
    table = listed(heads, rows, {2, 3, 4, 5})
    return f"<details><summary>{len(rows)} runs</summary>{table}</details>"


def _definitions() -> str:
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>"
        for name, text in words.DEFINITIONS.items()
    )
    return f"<dl>{items}</dl>"


def _how(told: Comparison, command: str) -> str:
    versions = (
        f"vdtoolkit {__version__}, Python {platform.python_version()}, "
        f"numpy {numpy.__version__}, SciPy {scipy.__version__}"
    )
    draws = f"{told.options.resamples:,} bootstrap samples, seed {told.options.seed}"
    code = f"<pre>{escape(command)}</pre>" if command else ""
    return f"{code}{_faint(f'{draws}; {versions}.')}"
