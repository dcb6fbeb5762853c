"""What an audit and a lab run give back: plain data, numpy only.

Tables are arrays [A_1, ..., A_N], one axis an agent; a joint action that is not available is NaN.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JointAction = tuple[int, ...]


@dataclass(frozen=True)
class StateAudit:
    """What a team believes at one state, beside what is true there."""

    state: Hashable  # the game's own name of it, or "visited 17"
    payoff: np.ndarray | None  # [A_1..A_N] true Q*(s, u) (the reward in a one-step game)
    q_tot: np.ndarray | None  # [A_1..A_N] learned; None where it was searched, not enumerated
    utilities: list[np.ndarray]  # one [A_i] an agent, NaN where not available
    greedy: JointAction  # each agent's own best action
    best: JointAction  # argmax of q_tot (of what was searched, where not exact)
    optimum: JointAction | None  # argmax of the payoff
    violation: bool  # the greedy joint action does not maximise q_tot
    tie: bool  # violation or not could not be told: utilities tie within tolerance
    gap: float  # max_u q_tot(u) - q_tot(greedy), a lower bound where not exact
    regret: float | None  # best payoff - payoff(greedy)
    exact: bool = True  # every available joint action was looked at
    backup: np.ndarray | None = None  # r + gamma * own bootstrap: what this state was trained on
    evidence: dict[str, np.ndarray] = field(default_factory=dict)  # the algorithm's own, by name


@dataclass(frozen=True)
class Audit:
    """The IGM audit of one trained team (`igm.audit`)."""

    algorithm: str  # "QMIX", "QTRAN-base", ...
    agents: tuple[str, ...]
    states: list[StateAudit]
    exact: bool
    violation_rate: float  # share of states with a violation
    gap: float  # largest over states
    regret: float | None  # largest over states; None where no payoff is known
    rmse: float | None  # root mean square of q_tot - payoff over available joint actions
    max_error: float | None  # largest |q_tot - payoff|
    least_slope: float | None  # least dQ_tot/dQ_i (autograd); None where Q_tot does not see Q_i
    claim: str = "exact"  # IGM: "exact" at any weights, "trained" (penalties), "none" (implicit)
    q_tot_label: str = "Q_tot"  # "Q_jt" for QTRAN, "sum of Q_i (implicit)" for IQL

    def to_json(self, path: str | Path | None = None) -> dict[str, Any]:
        """The audit as plain JSON data, written to `path` where given."""
        from vdtoolkit.igm.report.data import to_json, write_json

        if path is not None:
            write_json(self, path)
        return to_json(self)

    def to_html(self, path: str | Path | None = None) -> str:
        """The audit as one self-contained HTML page, written to `path` where given."""
        from vdtoolkit.igm.report.page import audit_html

        page = audit_html(self)
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page

    def plot(self, path: str | Path | None = None) -> Figure:
        """The audit as heat maps (a matplotlib Figure), saved to `path` where given."""
        from vdtoolkit.igm.report.figures import plot_audit

        figure = plot_audit(self)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def __rich__(self) -> Any:
        from vdtoolkit.igm.report.terminal import audit_renderable

        return audit_renderable(self)

    def __str__(self) -> str:
        from vdtoolkit.igm.report.terminal import plain

        return plain(self)


WEIGHTED = "weighted by how often each joint action was played"
WEIGHTED_ERRORS = "weighted as the method weighs its errors"


@dataclass(frozen=True)
class Limit:
    """The best table a class of functions reaches by (weighted) least squares."""

    table: np.ndarray | None  # [A_1..A_N]; None where this class is not computed
    sse: float | None  # sum of (weighted) squared errors
    greedy: JointAction | None  # argmax of the table, the first one
    regret: float | None  # best payoff - payoff[greedy]
    exact: bool  # False: a bound (elu_qmix) or a search, not a proof
    note: str = ""  # what the reader must know: how it was searched, why it is not computed


@dataclass(frozen=True)
class Snapshot:
    """An audit in the middle of training."""

    moves: int
    audit: Audit


@dataclass(frozen=True)
class SeedResult:
    """One training run of one method."""

    seed: int
    audit: Audit
    history: list[Snapshot]
    verdicts: list[str]  # one a state: "at its class's optimum", ...
    verdict: str  # the worst of them
    team_return: float  # expected undiscounted return of the greedy team, one episode
    seconds: float
    own_ordering: Limit | None = None  # the best table with these utilities' order, first state
    class_limit: Limit | None = None  # of the first state, where play was not uniform: weighted
    stages: dict[str, float] = field(default_factory=dict)  # seconds of env, learn, audit, judge


@dataclass(frozen=True)
class MethodResult:
    """All seeds of one method on one game."""

    name: str  # "qtran_base"
    label: str  # "QTRAN-base"
    function_class: str  # "additive" | "elu_qmix" | "unrestricted" | "independent"
    config: dict[str, Any]
    seeds: list[SeedResult]


@dataclass(frozen=True)
class LabResult:
    """One `vdtoolkit igm`: methods x seeds on one game, beside each class's limit."""

    game: str
    agents: tuple[str, ...]
    states: list[Hashable]
    payoffs: list[np.ndarray | None]  # one a state
    limits: dict[str, Limit]  # of the first state's payoff (the game itself, where one-step)
    optimal_return: float | None  # expected return of an optimal team from the start
    moves: int
    methods: list[MethodResult]
    command: str
    versions: dict[str, str]
    seconds: float

    def to_json(self, path: str | Path | None = None) -> dict[str, Any]:
        """The run as plain JSON data, written to `path` where given."""
        from vdtoolkit.igm.report.data import to_json, write_json

        if path is not None:
            write_json(self, path)
        return to_json(self)

    def to_html(self, path: str | Path | None = None) -> str:
        """The run as one self-contained HTML page, written to `path` where given."""
        from vdtoolkit.igm.report.page import html_page

        page = html_page(self)
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page

    def plot(self, path: str | Path | None = None) -> Figure:
        """The run as heat maps (a matplotlib Figure), saved to `path` where given."""
        from vdtoolkit.igm.report.figures import plot_overview

        figure = plot_overview(self)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def __rich__(self) -> Any:
        from vdtoolkit.igm.report.terminal import lab_renderable

        return lab_renderable(self)

    def __str__(self) -> str:
        from vdtoolkit.igm.report.terminal import plain

        return plain(self)
