"""Runs in, comparison out: who stands where, how sure that is, and what was not alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from vdtoolkit.compare.curves import SHARES, Curve, curve, grid, interpolated
from vdtoolkit.compare.naming import environment_names, method_names, tuned
from vdtoolkit.compare.passports import REFUSED, Difference, differences, unknown
from vdtoolkit.compare.power import Spread, apart
from vdtoolkit.compare.records import Record
from vdtoolkit.compare.scores import Scale, budget, measured, read_at, scale_of
from vdtoolkit.compare.statistics import (
    Strata,
    bootstrap,
    fewest,
    iqm,
    mean,
    median,
    optimality_gap,
    percentile_interval,
    performance_profile,
    probability_of_improvement,
)

AGGREGATES: dict[str, Callable[[Strata], np.ndarray]] = {
    "iqm": iqm,
    "mean": mean,
    "median": median,
    "optimality_gap": optimality_gap,
}
FEW = 10  # runs an environment below which percentile intervals are clearly too narrow
TAUS = 101
CURVE_RESAMPLES = 1000


class NotComparableError(ValueError):
    """Runs that differ in what matters; `differences` says in what."""

    def __init__(self, why: str, found: Sequence[Difference]) -> None:
        super().__init__(why)
        self.differences = tuple(found)


@dataclass(frozen=True)
class Options:
    """How runs are compared.

    metric: "auto", "return" or "win_rate".  best, random: returns that count as 1 and 0, by
    environment's name.  by: fields of the passport compared on purpose.  anyway: compare runs
    that differ in what matters.  resamples, seed: of the bootstrap.
    """

    metric: str = "auto"
    best: Mapping[str, float] = field(default_factory=dict)
    random: Mapping[str, float] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    anyway: bool = False
    resamples: int = 10_000
    seed: int = 0


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; NaN where one run leaves it open."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Environment:
    """What is compared in one environment.

    moves: at which runs are read, None for their last evaluations.  read: method -> each run's
    number there, as measured; scores: the same as scores, records: the runs in that order.
    """

    name: str
    env: dict[str, object]
    scale: Scale
    moves: float | None
    records: dict[str, list[Record]]
    read: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]


@dataclass(frozen=True)
class Pair:
    """Two methods side by side: `first` is the one of the larger IQM.

    difference: of their IQM, with Student's interval of the bootstrap's standard error.  better:
    the probability that a run of `first` scores above one of `second`.  apart: None where there
    are too few runs to say.  needed: seeds an environment that would tell them apart, None where
    none would or they are; smallest: the difference that present seeds would show.
    """

    first: str
    second: str
    difference: Estimate
    better: Estimate
    apart: bool | None
    seeds: int
    needed: int | None
    smallest: float

    @property
    def more(self) -> int | None:
        """Seeds still missing in each environment."""
        return None if self.needed is None else max(1, self.needed - self.seeds)


@dataclass(frozen=True)
class Comparison:
    """All that is said of these runs.

    methods: the highest IQM first.  profiles: method -> [3, TAUS] value, low, high at taus.
    curves: environment's name -> method -> curve; overall: method -> over all environments.
    warnings: whatever makes these numbers less than they look.
    """

    methods: tuple[str, ...]
    environments: tuple[Environment, ...]
    aggregates: dict[str, dict[str, Estimate]]
    pairs: tuple[Pair, ...]
    taus: np.ndarray
    profiles: dict[str, np.ndarray]
    curves: dict[str, dict[str, Curve]]
    overall: dict[str, Curve]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
    options: Options

    @property
    def refused(self) -> list[Difference]:
        """Differences that speak against comparing at all."""
        return [one for one in self.differences if one.weight == REFUSED]

    def strata(self, method: str) -> list[np.ndarray]:
        """A method's scores, environment by environment."""
        return [environment.scores[method] for environment in self.environments]


def compare(records: Sequence[Record], options: Options = Options()) -> Comparison:
    """Everything about these runs; ValueError says why they cannot be compared."""
    methods = method_names(records, options.by)
    names = environment_names(records)
    by_name = {
        names[key]: [(m, r) for m, r in zip(methods, records, strict=True) if r.environment == key]
        for key in names
    }
    _known(options, by_name, records)
    _twice(by_name)
    found = [
        one
        for name, runs in by_name.items()
        for one in differences(name, [record for _, record in runs], options.by)
    ]
    _refuse(found, options)
    common, left_out = _common(by_name, sorted(set(methods)), options)
    environments = [_environment(name, by_name[name], options) for name in common]
    notes = [*left_out, *_warnings(environments, tuned(records, methods), options)]
    return _Numbers(environments, options).comparison(found, notes)


def _known(options: Options, by_name: Mapping[str, object], records: Sequence[Record]) -> None:
    """ValueError where an option names what is not there."""
    for flag, given in (("best", options.best), ("random", options.random)):
        for name in given:
            if name not in by_name:
                raise ValueError(
                    f"--{flag} {name}: there is no such environment: {', '.join(by_name)}"
                )
    fields = sorted({key for record in records for key in record.passport})
    for name in options.by:
        if name not in fields:
            raise ValueError(f"--by {name}: passports do not tell it: {', '.join(fields)}")


def _twice(by_name: Mapping[str, Sequence[tuple[str, Record]]]) -> None:
    """ValueError where a seed of a method is there twice: it would count as two."""
    for name, runs in by_name.items():
        seen: dict[tuple[str, int], str] = {}
        for method, record in runs:
            other = seen.setdefault((method, record.seed), record.name)
            if other != record.name:
                raise ValueError(
                    f"{other} and {record.name} are both seed {record.seed} of {method} on {name}: "
                    "leave one out, or say with --by FIELD in what they differ"
                )


def _refuse(found: Sequence[Difference], options: Options) -> None:
    serious = [one for one in found if one.weight == REFUSED]
    if not serious or options.anyway:
        return
    fields = list(dict.fromkeys(one.field for one in serious))
    raise NotComparableError(
        f"these runs differ in {', '.join(fields)}: leave out those that do, say --by "
        f"{fields[0]} where it is what you compare, or compare them --anyway",
        serious,
    )


def _common(
    by_name: Mapping[str, Sequence[tuple[str, Record]]],
    methods: Sequence[str],
    options: Options,
) -> tuple[list[str], list[str]]:
    """Environments that all methods were trained on, and what was left out."""
    if len(methods) < 2:
        raise ValueError(
            f"all runs are of one method, {methods[0]}: give runs of another one too, "
            "or --by FIELD to tell them by a field of the passport"
        )
    missing = {
        name: [m for m in methods if m not in {method for method, _ in runs}]
        for name, runs in by_name.items()
    }
    holes = [f"{', '.join(lacks)} on {name}" for name, lacks in missing.items() if lacks]
    common = [name for name, lacks in missing.items() if not lacks]
    if holes and not (options.anyway and common):
        way = "; --anyway leaves out such environments" if common else ""
        raise ValueError(
            f"there is no run of {'; '.join(holes)}: every method must be trained on every "
            f"environment{way}"
        )
    left = [name for name, lacks in missing.items() if lacks]
    note = f"Left out, as not every method has a run there: {', '.join(left)}."
    return common, [note] if left else []


def _environment(name: str, runs: Sequence[tuple[str, Record]], options: Options) -> Environment:
    records = [record for _, record in runs]
    moves = budget(records)
    zero, one = options.random.get(name), options.best.get(name)
    scale = scale_of(name, records, options.metric, zero, one, moves)
    by_method = {
        method: sorted((r for m, r in runs if m == method), key=lambda r: r.seed)
        for method in dict.fromkeys(method for method, _ in runs)
    }
    read = {
        method: np.array([read_at(record, moves, scale.metric) for record in own])
        for method, own in by_method.items()
    }
    scores = {method: scale.of(values) for method, values in read.items()}
    return Environment(name, records[0].env, scale, moves, by_method, read, scores)


def _warnings(
    environments: Sequence[Environment], tuned_for: Mapping[str, list[str]], options: Options
) -> list[str]:
    return [
        *_length_warnings(environments),
        *_seed_warnings(environments),
        *(
            f"Hyperparameters differ between environments: {keys} (of {', '.join(own)})."
            for keys, own in _grouped(tuned_for).items()
        ),
        *(
            f"{record.name}: {note}."
            for environment in environments
            for own in environment.records.values()
            for record in own
            for note in record.notes
        ),
        *(
            f"{environment.name}: not every run tells {', '.join(fields)}: these are not compared."
            for environment in environments
            if (fields := unknown([r for own in environment.records.values() for r in own]))
        ),
        *(
            f"{environment.name}: a score of 0 is {environment.scale.zero_is}."
            for environment in environments
            if "least return" in environment.scale.zero_is
        ),
        *(["Fields compared on purpose: " + ", ".join(options.by) + "."] if options.by else []),
    ]


def _grouped(tuned_for: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Hyperparameters, in words -> methods."""
    groups: dict[str, list[str]] = {}
    for method, keys in tuned_for.items():
        groups.setdefault(", ".join(keys), []).append(method)
    return groups


def _length_warnings(environments: Sequence[Environment]) -> list[str]:
    said = []
    for environment in environments:
        records = [r for own in environment.records.values() for r in own]
        open_ones = [record for record in records if not record.finished]
        if open_ones:
            told = ", ".join(
                f"{r.name} ({r.status} at {r.moves[-1]:,.0f}"
                + (f" of {r.of:,} moves)" if r.of else " moves)")
                for r in open_ones
            )
            said.append(f"{environment.name}: not finished: {told}.")
        if environment.moves is not None:
            longest = max(record.moves[-1] for record in records)
            said.append(
                f"{environment.name}: runs are of unequal length; all are read at "
                f"{environment.moves:,.0f} moves, which the shortest reached (the longest: "
                f"{longest:,.0f})."
            )
    return said


def _seed_warnings(environments: Sequence[Environment]) -> list[str]:
    counts = {len(own) for e in environments for own in e.records.values()}
    said = []
    if min(counts) == 1:
        ones = [
            f"{m} on {e.name}" for e in environments for m, o in e.records.items() if len(o) == 1
        ]
        said.append(
            f"One seed only of {', '.join(ones)}: there is no interval for "
            "these methods, and nothing tells them from others."
        )
    alike = [
        method
        for method in environments[0].scores
        if all(len(e.scores[method]) > 1 and np.ptp(e.scores[method]) == 0 for e in environments)
    ]
    if alike:
        said.append(
            f"All seeds of {', '.join(alike)} score the same: intervals have no width, which does "
            "not say that other seeds would."
        )
    if len(counts) > 1:
        said.append(
            f"From {min(counts)} to {max(counts)} seeds a method and environment; "
            "every environment counts the same."
        )
    if 1 < min(counts) < FEW:
        said.append(
            f"Few seeds ({min(counts)}): rliable's percentile intervals are too narrow below about "
            f"{FEW} (docs/compare.md says by how much); whether methods are apart is judged by "
            "wider ones."
        )
    return said


class _Numbers:
    """The numbers of one comparison, all from one generator."""

    def __init__(self, environments: Sequence[Environment], options: Options) -> None:
        self.environments, self.options = tuple(environments), options
        self.rng = np.random.default_rng(options.seed)
        names = list(environments[0].scores)
        self.scores = {m: [e.scores[m] for e in environments] for m in names}
        self.methods = sorted(names, key=lambda m: (-float(iqm(self.scores[m])), m))

    def comparison(self, found: Sequence[Difference], notes: Sequence[str]) -> Comparison:
        aggregates = {
            method: {name: self.estimate(f, self.scores[method]) for name, f in AGGREGATES.items()}
            for method in self.methods
        }
        pairs = tuple(self.pair(*two) for two in combinations(self.methods, 2))
        taus = self.taus()
        profiles = {method: self.profile(self.scores[method], taus) for method in self.methods}
        return Comparison(
            tuple(self.methods),
            self.environments,
            aggregates,
            pairs,
            taus,
            profiles,
            {e.name: {m: self.curve(e, m) for m in self.methods} for e in self.environments},
            {method: self.overall(method) for method in self.methods},
            tuple(found),
            tuple(notes),
            replace(self.options),
        )

    def estimate(self, statistic: Callable[..., np.ndarray], *methods: Strata) -> Estimate:
        """A statistic and its percentile interval."""
        value = float(statistic(*methods))
        if min(fewest(strata) for strata in methods) < 2:
            return Estimate(value, np.nan, np.nan)
        draws = bootstrap(statistic, *methods, resamples=self.options.resamples, rng=self.rng)
        low, high = percentile_interval(draws)
        return Estimate(value, float(low), float(high))

    def pair(self, first: str, second: str) -> Pair:
        ones, others = self.scores[first], self.scores[second]
        value = float(iqm(ones) - iqm(others))
        draws = bootstrap(
            lambda x, y: iqm(x) - iqm(y),
            ones,
            others,
            resamples=self.options.resamples,
            rng=self.rng,
        )
        spread = Spread.of(draws, ones, others)
        half, told = spread.half(), apart(value, spread, ones, others)
        return Pair(
            first,
            second,
            Estimate(value, value - half, value + half),
            self.estimate(probability_of_improvement, ones, others),
            told,
            spread.seeds,
            None if told else spread.seeds_for(value),
            spread.smallest(),
        )

    def taus(self) -> np.ndarray:
        every = np.concatenate([x for strata in self.scores.values() for x in strata])
        return np.linspace(min(0.0, every.min()), max(1.0, every.max()), TAUS)

    def profile(self, strata: Strata, taus: np.ndarray) -> np.ndarray:
        value = performance_profile(strata, taus)
        if fewest(strata) < 2:
            return np.array([value, value * np.nan, value * np.nan])
        draws = bootstrap(
            lambda x: performance_profile(x, taus),
            strata,
            resamples=min(self.options.resamples, 2000),
            rng=self.rng,
        )
        return np.array([value, *percentile_interval(draws)])

    def curve(self, environment: Environment, method: str) -> Curve:
        """Over moves, in one environment."""
        every = [r.moves for own in environment.records.values() for r in own]
        x = grid(every)
        return self._curve(x, [self.runs(environment, method, x)])

    def overall(self, method: str) -> Curve:
        """Over the share of each environment's longest run, in all environments."""
        strata = [self.runs(e, method, SHARES * _longest(e)) for e in self.environments]
        return self._curve(SHARES, strata)

    def _curve(self, x: np.ndarray, strata: list[np.ndarray]) -> Curve:
        return curve(x, strata, min(self.options.resamples, CURVE_RESAMPLES), self.rng)

    @staticmethod
    def runs(environment: Environment, method: str, x: np.ndarray) -> np.ndarray:
        """[R, T]: the runs' scores at x moves."""
        scale = environment.scale
        return np.array(
            [
                interpolated(x, record.moves, scale.of(measured(record, scale.metric)))
                for record in environment.records[method]
            ]
        )


def _longest(environment: Environment) -> float:
    return max(float(r.moves[-1]) for own in environment.records.values() for r in own)
