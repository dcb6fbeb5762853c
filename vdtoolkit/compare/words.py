"""A comparison in sentences and in cells of tables: what terminal and page both say."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vdtoolkit.compare.comparison import Comparison, Environment, Estimate, Pair
from vdtoolkit.compare.naming import label
from vdtoolkit.compare.passports import Difference
from vdtoolkit.compare.power import MOST, POWER
from vdtoolkit.compare.records import Record
from vdtoolkit.compare.statistics import t_interval
from vdtoolkit.igm.report.text import decimals, listing, number

DIGITS = 3
MOST_PAIRS = 6  # sentences on pairs that are not told apart

BANNER = "These runs differ in what matters. They are compared all the same, as --anyway asks."


def findings(told: Comparison) -> list[str]:
    """Who leads, who is told from whom, and how many seeds are missing for the rest."""
    return [*_leader(told), *_apart(told), *_open(told), *_many(told)]


def _leader(told: Comparison) -> list[str]:
    first, last = told.methods[0], told.methods[-1]
    best, worst = told.aggregates[first]["iqm"], told.aggregates[last]["iqm"]
    if best.value == worst.value:
        return [f"All have the same interquartile mean, {estimate(best)}."]
    return [
        f"{first} has the highest interquartile mean, {estimate(best)}; {last} the lowest, "
        f"{estimate(worst)}."
    ]


def _apart(told: Comparison) -> list[str]:
    above: dict[str, list[str]] = {}
    for pair in told.pairs:
        if pair.apart:
            above.setdefault(pair.first, []).append(pair.second)
    if not above:
        return ["No two methods are told apart."]
    alike: dict[tuple[str, ...], list[str]] = {}
    for first, others in above.items():
        alike.setdefault(tuple(others), []).append(first)
    said = "; ".join(
        f"{listing(firsts)} above {listing(others)}" for others, firsts in alike.items()
    )
    return [f"Told apart: {said}."]


def _open(told: Comparison) -> list[str]:
    left = [pair for pair in told.pairs if not pair.apart]
    said = [
        f"{pair.first} and {pair.second} are not told apart, difference "
        f"{estimate(pair.difference)}: {advice(pair)}."
        for pair in left[:MOST_PAIRS]
    ]
    if len(left) > MOST_PAIRS:
        said.append(f"Nor are {len(left) - MOST_PAIRS} more pairs; the table has them.")
    return said


def _many(told: Comparison) -> list[str]:
    n = len(told.pairs)
    if n < 2:
        return []
    return [
        f"Each of the {n} pairs is judged by itself: where methods do not differ, one pair in "
        "twenty seems to."
    ]


def advice(pair: Pair) -> str:
    """How many more seeds would tell two methods apart; "" where they are."""
    if pair.apart:
        return ""
    if pair.seeds < 2:
        return "one seed shows no spread; with five or more there is something to go by"
    if pair.difference.value == 0 and pair.smallest == 0:
        return "the same in every seed"
    if pair.apart is None:
        return "no spread within either, but too few seeds to rule out chance"
    if pair.needed is None:
        return f"even {MOST:,} seeds would not, at a difference as small as this"
    return (
        f"{pair.more:,} more seeds an environment ({pair.needed:,} in all) would, if the "
        "difference is as large as it looks"
    )


def missing(pair: Pair) -> str:
    """The advice as a number for a table: `+12`."""
    if pair.apart:
        return ""
    if pair.needed is None:
        zero = pair.smallest == 0 or pair.seeds < 2 or pair.apart is None
        return "–" if zero else f"> {MOST:,}"
    return f"+{pair.more:,}"


def verdict(pair: Pair) -> str:
    """`yes`, `no` or `?`."""
    return {True: "yes", False: "no", None: "?"}[pair.apart]


def estimate(found: Estimate) -> str:
    """`0.812 [0.700, 0.900]`; no interval of one run."""
    value = number(found.value, DIGITS)
    if math.isnan(found.low):
        return f"{value} [no interval]"
    return f"{value} [{number(found.low, DIGITS)}, {number(found.high, DIGITS)}]"


def in_environment(environment: Environment, method: str) -> tuple[str, str]:
    """The mean as measured with Student's interval over seeds, and seeds with the mean score."""
    read, scores = environment.read[method], environment.scores[method]
    low, high = t_interval(read)
    if environment.scale.metric == "win_rate":
        low, high = max(low, 0.0), min(high, 1.0)
    digits = decimals([environment.scale.zero, environment.scale.one])
    inner = "one seed" if math.isnan(low) else f"{number(low, digits)}, {number(high, digits)}"
    n = len(read)
    return (
        f"{number(float(read.mean()), digits)} [{inner}]",
        f"{n} {'seed' if n == 1 else 'seeds'}, score {number(float(scores.mean()), 2)}",
    )


def size(told: Comparison) -> str:
    """`4 methods, 3 environments, 5 seeds each`."""
    counts = [len(own) for e in told.environments for own in e.records.values()]
    least, most = min(counts), max(counts)
    seeds = f"{least} {'seed' if most == 1 else 'seeds'} each"
    if least != most:
        seeds = f"{least} to {most} seeds each"
    environments = len(told.environments)
    noun = "environment" if environments == 1 else "environments"
    return f"{len(told.methods)} methods, {environments} {noun}, {seeds}"


def scale(environment: Environment) -> list[str]:
    """What is measured, what counts as 0 and as 1, and when runs are read."""
    told = environment.scale
    digits = decimals([told.zero, told.one])
    when = "each run's last evaluation"
    if environment.moves is not None:
        when = f"at {environment.moves:,.0f} moves"
    return [
        told.metric.replace("_", " "),
        f"{number(told.zero, digits)}, {told.zero_is}",
        f"{number(told.one, digits)}, {told.one_is}",
        when,
    ]


def values(one: Difference) -> list[str]:
    """Who says what, a line a value."""
    return [f"{value}: {who(runs)}" for value, runs in one.values]


def who(runs: Sequence[Record]) -> str:
    """One or two runs by name; of more, how many, of which algorithms, and the first."""
    if len(runs) <= 2:
        return ", ".join(run.name for run in runs)
    algorithms = dict.fromkeys(label(run.algorithm) for run in runs)
    return f"{len(runs)} runs of {', '.join(algorithms)} ({runs[0].name} ...)"


DEFINITIONS = {
    "score": "a return on a scale of its environment: 0 is a random team's, 1 the best run's here "
    "(or --best); a win rate as it is. The bounds are taken as known: intervals do not "
    "count their uncertainty.",
    "interquartile mean": "the mean of the middle half of all scores, all environments together: "
    "less moved by outliers than a mean, and surer than a median (Agarwal et al. 2021, arXiv "
    "2108.13264).",
    "optimality gap": "what is missing to a score of 1, on average; scores above 1 count as 1.",
    "[low, high]": "95 % intervals. Of aggregates, profiles and curves: percentiles of the "
    "stratified bootstrap, runs drawn with replacement environment by environment, as rliable's. "
    "Of differences: Student's, with the bootstrap's standard error. Of returns: Student's over "
    "seeds.",
    "P(row > column)": "the probability that a run of one method scores above a run of the other "
    "in the same environment, ties half; the mean over environments.",
    "told apart": "the interval of the difference of two interquartile means leaves out 0. Framed "
    "in the figure.",
    "more seeds": f"how many more seeds an environment, of both methods, would tell them apart "
    f"with {POWER:.0%} power, if difference and spread are what these seeds show. Both are "
    "estimates: take the number for an order of magnitude.",
    "seen from": f"the smallest difference that the present seeds would show with {POWER:.0%} "
    "power.",
    "performance profile": "the share of runs that score above τ; a curve above another "
    "everywhere is better at every τ.",
    "dotted": "a stretch of a curve that rests on fewer runs than the method has: some ended "
    "before. Runs are interpolated between their evaluations, never beyond.",
}
