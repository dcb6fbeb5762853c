"""An audit and a lab run as tables in the terminal (Rich), readable without colour too."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from vdtoolkit.igm.report.grid import STYLES
from vdtoolkit.igm.report.rows import limits_table, summary_table
from vdtoolkit.igm.report.states import Lines, state_lines
from vdtoolkit.igm.report.summary import findings, representative, seed_note
from vdtoolkit.igm.report.text import (
    CLAIMS,
    MARKS,
    MEANING,
    MISSING,
    SYMBOLS,
    decimals,
    measure,
    percent,
)
from vdtoolkit.igm.results import Audit, LabResult, StateAudit

WIDTH = 100
MOST_STATES = 4
IN_ASCII = str.maketrans("★▲●·…│─–", "*^o.~|--")

Parts = Iterator[Text | Table]


class View:
    """A renderable of these parts; where the terminal knows ASCII alone, in ASCII."""

    def __init__(self, parts: Callable[[int], Parts]) -> None:
        self.parts = parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(WIDTH, options.max_width)
        if not options.ascii_only:
            yield Group(*self.parts(width))
        else:
            yield Text(plain(self, width).replace("≥ ", ">=").translate(IN_ASCII))


def audit_renderable(audit: Audit, note: str = "", evidence: bool = True) -> View:
    """The audit as a Rich renderable; `note` stands beside the method's name."""

    def parts(width: int) -> Parts:
        if any(s.q_tot is not None or s.payoff is not None for s in audit.states):
            yield from _orientation(audit.agents)
        yield from audit_lines(audit, width, note, evidence)
        yield Text()
        yield legend()

    return View(parts)


def lab_renderable(lab: LabResult) -> View:
    """The lab run as a Rich renderable: every method's tables, then all in one summary."""
    return View(lambda width: lab_lines(lab, width))


def plain(renderable: object, width: int = WIDTH) -> str:
    """What the terminal shows, as text without colour codes."""
    console = Console(
        file=io.StringIO(), width=width, color_system=None, force_terminal=False, no_color=True
    )
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def lab_lines(lab: LabResult, width: int) -> Parts:
    """Every method by its median seed, the summary, and how to read it."""
    yield _heading(f"IGM lab: {lab.game}", width)
    yield Text(f"{_seeds(lab)}, {lab.moves} moves each; {lab.seconds:.0f} s", "dim")
    yield from _orientation(lab.agents)
    for method in lab.methods:
        yield Text()
        audit = representative(method).audit
        yield from audit_lines(audit, width, seed_note(method), evidence=False)
    yield Text()
    yield legend()
    yield Text()
    yield _heading("Summary", width)
    yield summary_table(lab, width)
    if lab.limits:
        yield limits_table(lab)
    yield _bullets(findings(lab))
    yield Text()
    yield from how_to_read()


def _bullets(sentences: list[str]) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    for sentence in sentences:
        grid.add_row("-", Text(sentence))
    return grid


def _seeds(lab: LabResult) -> str:
    most = max((len(method.seeds) for method in lab.methods), default=0)
    return f"{_count(len(lab.methods), 'method')}, {_count(most, 'seed')}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _heading(text: str, width: int) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis").append("── ", "dim").append(text, "bold")
    return line.append(" " + "─" * max(0, width - len(text) - 4), "dim")


def _orientation(agents: tuple[str, ...]) -> Lines:
    """Which agent is which side of a table."""
    if len(agents) > 1:
        rows, columns = (agent[:24] for agent in agents[-2:])
        yield Text(f"rows: {rows}   columns: {columns}   Q_i: their utilities", "dim")


def audit_lines(audit: Audit, width: int, note: str, evidence: bool) -> Lines:
    """Heading, measures and the tables of the first states."""
    yield _heading(audit.algorithm + (f"  ({note})" if note else ""), width)
    yield measures_line(audit)
    for state in audit.states[:MOST_STATES]:
        if len(audit.states) > 1:
            yield Text()
            yield _state_line(state)
        yield from state_lines(audit, state, width, evidence)
    if len(audit.states) > MOST_STATES:
        yield Text(f"the first {MOST_STATES} of {len(audit.states)} states are shown", "dim")


def measures_line(audit: Audit) -> Text:
    """IGM, gap, regret and error of the whole audit in one line."""
    digits = decimals(*[state.payoff for state in audit.states])
    if audit.claim == "none":
        igm = "no IGM claimed"
    elif audit.violation_rate > 0:
        igm = f"IGM violated in {percent(audit.violation_rate)} of states"
    else:
        igm = f"IGM {'holds' if audit.exact else 'not seen violated'} ({CLAIMS[audit.claim]})"
    line = Text(igm, "bold red" if audit.violation_rate > 0 and audit.claim != "none" else "")
    line.append(f"   gap {measure(audit.gap, digits, bound=not audit.exact)}", "")
    line.append(f"   regret {measure(audit.regret, digits)}")
    line.append(f"   RMSE {measure(audit.rmse, digits)}")
    ties = sum(state.tie for state in audit.states)
    return line.append(f"   ties in {_count(ties, 'state')}" if ties else "")


def _state_line(state: StateAudit) -> Text:
    line = Text(f"state {state.state}", "bold")
    if state.violation:
        line.append("   IGM violated", "bold red")
    return line.append("   tie" if state.tie else "")


def legend() -> Text:
    """What the symbols mean."""
    line = Text()
    for name in MARKS:
        line.append(f"{SYMBOLS[name]} {MEANING[name]}", STYLES[name]).append("   ")
    return line.append(f"{MISSING} not available", "dim")


def how_to_read() -> Lines:
    """A few lines for the reader who sees this for the first time."""
    optimum, best, greedy = (SYMBOLS[name] for name in MARKS)
    yield Text("How to read this", "bold")
    for line in (
        f"Each agent plays its own best Q_i (along the margins): together they play {greedy}.",
        f"IGM holds where {greedy} maximises Q_tot as {best} does; the gap is what {greedy} lacks.",
        f"Regret is what the payoff loses from {optimum} to {greedy}; RMSE is Q_tot's error.",
        "The limit is a class's best table by least squares; no training beats it.",
        "~ marks a bound: 'not converged' may then mean that no table reaches it.",
    ):
        yield Text(f"  {line}")
