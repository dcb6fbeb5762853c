"""A lab run in rows and sentences: what the tables of the terminal and of the page say."""

from __future__ import annotations

from dataclasses import dataclass

from vdtoolkit.igm.report.text import (
    CLAIMS,
    CLASSES,
    Spread,
    decimals,
    joint_action,
    listing,
    number,
    of_total,
    percent,
)
from vdtoolkit.igm.results import (
    WEIGHTED,
    WEIGHTED_ERRORS,
    JointAction,
    LabResult,
    Limit,
    MethodResult,
    SeedResult,
)


@dataclass(frozen=True)
class Row:
    """One method in the summary."""

    method: str
    function_class: str
    igm: str  # "holds", "violated 2/5", "no claim"
    claim: str  # on what ground it should hold
    violated: Spread
    gap: Spread | None
    bound: bool  # the gap is a lower bound
    rmse: Spread | None
    plays: JointAction  # at the first state, by the seed shown
    plays_in: str  # "3/5 seeds" where not all play it
    earns: Spread
    regret: Spread | None
    limit: Limit | None
    limit_earns: float | None
    verdicts: list[str]
    own: Limit | None  # the best table of the shown seed's ordering, where it falls short
    own_earns: float | None


def representative(method: MethodResult) -> SeedResult:
    """The median seed by regret, then RMSE, then seed: the one whose tables are shown."""

    def rank(result: SeedResult) -> tuple[float, float, int]:
        audit = result.audit
        return (audit.regret or 0.0, audit.rmse or 0.0, result.seed)

    ranked = sorted(method.seeds, key=rank)
    return ranked[(len(ranked) - 1) // 2]


def summary(lab: LabResult) -> list[Row]:
    """One row a method, in the order they were run."""
    return [_row(lab, method) for method in lab.methods]


def _row(lab: LabResult, method: MethodResult) -> Row:
    audits = [seed.audit for seed in method.seeds]
    shown = representative(method)
    plays = shown.audit.states[0].greedy
    playing = sum(audit.states[0].greedy == plays for audit in audits)
    limit = shown.class_limit or lab.limits.get(method.function_class)
    own = _own(shown, limit)
    violated = Spread.of(audit.violation_rate for audit in audits)
    earns = Spread.of(seed.team_return for seed in method.seeds)
    assert violated is not None  # a method has seeds
    assert earns is not None
    return Row(
        method=method.label,
        function_class=CLASSES.get(method.function_class, method.function_class),
        igm=igm_words(method),
        claim=CLAIMS.get(shown.audit.claim, shown.audit.claim),
        violated=violated,
        gap=Spread.of(audit.gap for audit in audits),
        bound=not all(audit.exact for audit in audits),
        rmse=Spread.of(audit.rmse for audit in audits),
        plays=plays,
        plays_in="" if playing == len(audits) else f"{playing}/{len(audits)} seeds",
        earns=earns,
        regret=Spread.of(audit.regret for audit in audits),
        limit=limit,
        limit_earns=limit_earns(lab, limit),
        verdicts=of_total([seed.verdict for seed in method.seeds]),
        own=own,
        own_earns=limit_earns(lab, own),
    )


def _own(shown: SeedResult, limit: Limit | None) -> Limit | None:
    """The limit of the shown seed's ordering, where the class as a whole can do better."""
    own = shown.own_ordering
    if own is None or own.sse is None or limit is None or limit.sse is None:
        return None
    return own if own.sse > limit.sse + 1e-6 * max(1.0, limit.sse) else None


def igm_words(method: MethodResult) -> str:
    """`holds`, `violated 2/5` (seeds), or `no claim`; `none found` where it was only searched."""
    audits = [seed.audit for seed in method.seeds]
    broken = sum(audit.violation_rate > 0 for audit in audits)
    if audits[0].claim == "none":
        return "no claim"
    if broken:
        return f"violated {broken}/{len(audits)}"
    return "holds" if all(audit.exact for audit in audits) else "none found"


def limit_earns(lab: LabResult, limit: Limit | None) -> float | None:
    """What the argmax of a class's best table earns in the first state."""
    if limit is None or limit.greedy is None or lab.payoffs[0] is None:
        return None
    return float(lab.payoffs[0][limit.greedy])


def one_step(lab: LabResult) -> bool:
    """The game is one table: what a class can reach there is what it can reach at all."""
    return len(lab.states) == 1


def game_decimals(lab: LabResult) -> int:
    """Digits that suit the game's payoffs."""
    return decimals(*lab.payoffs, lab.optimal_return)


def earned(lab: LabResult, value: float) -> str:
    """`0.00 of 8.00`."""
    digits = game_decimals(lab)
    best = "" if lab.optimal_return is None else f" of {number(lab.optimal_return, digits)}"
    return number(value, digits) + best


def findings(lab: LabResult) -> list[str]:
    """The headlines: who finds the optimum, who cannot, where IGM broke."""
    rows = summary(lab)
    return [*_optimal(lab, rows), *_short(lab, rows), *_igm(rows), *_weighted(rows)]


def _weighted(rows: list[Row]) -> list[str]:
    said = []
    for note, why in ((WEIGHTED, "Play was not uniform: the"), (WEIGHTED_ERRORS, "The")):
        these = [row.method for row in rows if row.limit and row.limit.note.startswith(note)]
        if these:
            noun, verb = ("limit", "is") if len(these) == 1 else ("limits", "are")
            said.append(f"{why} {noun} of {listing(these)} {verb} {note}.")
    return said


def _slack(lab: LabResult) -> float:
    return 1e-6 * max(1.0, abs(lab.optimal_return or 0.0))


def _optimal(lab: LabResult, rows: list[Row]) -> list[str]:
    best, digits = lab.optimal_return, game_decimals(lab)
    if best is None:
        return []
    always = [row.method for row in rows if row.earns.low >= best - _slack(lab)]
    if not always:
        return [f"No method earns the optimal {number(best, digits)} in every seed."]
    verb = "earns" if len(always) == 1 else "earn"
    return [f"{listing(always)} {verb} the optimal {number(best, digits)} in every seed."]


def _short(lab: LabResult, rows: list[Row]) -> list[str]:
    """One sentence for all methods of a class that fall short, and why, where the limit says so."""
    if lab.optimal_return is None:
        return []
    short = [row for row in rows if row.earns.low < lab.optimal_return - _slack(lab)]
    classes = dict.fromkeys((row.function_class, row.earns.high > row.earns.low) for row in short)
    groups = [
        [row for row in short if (row.function_class, row.earns.high > row.earns.low) == key]
        for key in classes
    ]
    return [_falls_short(lab, group) for group in groups]


def _falls_short(lab: LabResult, group: list[Row]) -> str:
    digits, first = game_decimals(lab), group[0]
    verb = "earns" if len(group) == 1 else "earn"
    low = min(row.earns.low for row in group)
    high = max(row.earns.high for row in group)
    amount = number(low, digits) + (f"..{number(high, digits)}" if high > low else "")
    text = f"{listing([row.method for row in group])} {verb} {amount}"
    if not one_step(lab) or first.limit is None or first.limit_earns is None:
        return text + "."
    sse = number(first.limit.sse, digits)
    sse = sse if first.limit.exact else f"~{sse}, not exact"
    if first.own is not None and first.own_earns is not None:
        own = number(first.own.sse, digits)
        text += (
            f"; with its actions in the order it has learned the best is SSE "
            f"{'' if first.own.exact else '~'}{own}, earning {number(first.own_earns, digits)}"
        )
    return (
        f"{text}; the best {first.function_class} table (SSE {sse}) "
        f"earns {number(first.limit_earns, digits)}."
    )


def _igm(rows: list[Row]) -> list[str]:
    broken = [row for row in rows if row.igm.startswith("violated")]
    if not broken:
        claimed = [row.method for row in rows if row.igm != "no claim"]
        return ["No violation of IGM was found in any method that claims it."] if claimed else []
    shares = [
        f"{row.method} ({row.igm.split()[-1]} seeds, {percent(row.violated.mean)} of states)"
        for row in broken
    ]
    return [f"IGM is violated in {listing(shares)}."]


def seed_note(method: MethodResult) -> str:
    """Which seed the tables show."""
    seed = representative(method).seed
    if len(method.seeds) == 1:
        return f"seed {seed}"
    return f"seed {seed}, the median of {len(method.seeds)} by regret, then RMSE"


def greedy_note(row: Row) -> str:
    """`(1, 2)`, and in how many seeds where not in all."""
    return joint_action(row.plays) + (f" in {row.plays_in}" if row.plays_in else "")
