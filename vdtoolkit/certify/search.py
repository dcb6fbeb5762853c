"""Search for a counter-example at random weights, by Hypothesis: what is found comes simplified.

A case is a team's size, weights, and one moment: utilities, what is available, who is dead, what
is seen.  All of it is drawn as booleans.  Hypothesis would take whole numbers from the constants
of whatever modules are loaded, and keep those in a folder: a certificate would depend on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import hypothesis
import torch
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from torch import Tensor

from vdtoolkit.agents import Agents
from vdtoolkit.batch import View
from vdtoolkit.certify.check import Facts
from vdtoolkit.certify.subject import Moment, Subject, hidden_dim, randomised, team_of

# agents, actions, sizes of observation and state; a counter-example is for the first that will do
TEAMS = ((2, 2, 3, 4), (3, 4, 6, 7), (2, 3, 5, 6), (4, 2, 5, 3))
PHASES = (hypothesis.Phase.generate, hypothesis.Phase.shrink)
SCALES = (1.0, 0.3, 2.0, 0.1)  # of weights

Violates = Callable[[Agents, Moment], str]  # '' where the promise is kept


@dataclass(frozen=True)
class Case:
    """What is drawn; weights and seen are seeds, and nothing is seen but zeros at seen = 0."""

    team: int
    scale: float
    weights: int
    seen: int
    qs: Tensor  # [N, A]
    available: Tensor  # [N, A] bool
    alive: Tensor  # [N] bool


def bits(n: int) -> st.SearchStrategy[tuple[bool, ...]]:
    """So many booleans."""
    return st.tuples(*[st.booleans()] * n)


def number(n: int) -> st.SearchStrategy[int]:
    """From 0, the simplest, to 2^n - 1."""
    return bits(n).map(lambda found: sum(bit << k for k, bit in enumerate(reversed(found))))


UTILITY = number(5).map(lambda n: (-1) ** n * ((n + 1) // 2) / 2)  # 0, -0.5, 0.5, .. 7.5, -8


@st.composite
def cases(draw: st.DrawFn, teams: tuple[int, ...]) -> Case:
    """Any case for one of these teams; in the simplest all is 0, nobody is dead, nothing denied."""
    team = teams[draw(number(2)) % len(teams)]
    n, a, _, _ = TEAMS[team]
    scale, weights, seen = SCALES[draw(number(2))], draw(number(8)), draw(number(4))
    dead, denied = torch.zeros(n, dtype=torch.bool), torch.zeros(n, a, dtype=torch.bool)
    if draw(st.booleans()):
        dead = torch.tensor(draw(bits(n)))
    if draw(st.booleans()):
        denied = torch.tensor(draw(bits(n * a))).view(n, a)
    qs = torch.tensor(draw(st.tuples(*[UTILITY] * (n * a))), dtype=torch.float64).view(n, a)
    available = ~denied | denied.all(-1, keepdim=True)
    available[dead] = torch.arange(a) == 0
    return Case(team, scale, weights, seen, qs, available, ~dead)


class Looked:
    """One search: whether a promise is violated, in any case for teams that the method takes."""

    def __init__(
        self, subject: Subject, violates: Violates, most: int | None = None, **settings: Any
    ) -> None:
        self.subject, self.violates, self.settings = subject, violates, settings
        self.most = most or subject.draws
        self.made: dict[int, tuple[Agents, int]] = {}  # by the index in TEAMS, and H
        for k, sizes in enumerate(TEAMS):
            try:
                agents = subject.agents(team=team_of(*sizes), **settings)
                self.made[k] = agents, hidden_dim(agents)
            except ValueError as error:  # refused: a slice of the state for three agents, say
                subject.tell(f"not for {sizes[0]} agents ({error})")
        self.draws = self.broken = 0

    def said(self, case: Case) -> str:
        """The violation, '' where there is none."""
        (agents, width), dice = self.made[case.team], torch.Generator().manual_seed(case.seen)
        randomised(agents, torch.Generator().manual_seed(case.weights), case.scale)
        _, _, o, s = TEAMS[case.team]

        def rand(*shape: int) -> Tensor:
            found = torch.randn(shape, generator=dice, dtype=torch.float64)
            return found if case.seen else found * 0

        n = len(case.alive)
        alive = case.alive | mixes_the_dead(agents)
        view = View(rand(n, o), rand(s), case.available, alive)
        self.draws += 1
        said = self.violates(agents, Moment(case.qs, rand(n, width), view))
        self.broken += bool(said)
        return said

    def first(self, condition: Callable[[Case], bool]) -> Case | None:
        """The simplest case found that meets this; None where there is none."""
        of = f"{self.violates.__name__} {sorted(self.settings.items())}"
        try:
            return hypothesis.find(
                cases(tuple(self.made)),
                condition,
                settings=hypothesis.settings(
                    max_examples=self.most,
                    phases=PHASES,
                    database=None,
                    deadline=None,
                    derandomize=False,
                ),
                random=Random(f"{self.subject.seed} {of}"),
            )
        except NoSuchExample:
            return None


def mixes_the_dead(agents: Agents) -> bool:
    """Whether the dead enter as if they lived, so that forms say nothing of them."""
    return bool(agents.config.dead == "noop")


def search(subject: Subject, violates: Violates, most: int | None = None, **settings: Any) -> Facts:
    """The simplest case found at which something is violated; most: draws, else the subject's."""
    looked = Looked(subject, violates, most, **settings)
    case = looked.first(lambda case: bool(looked.said(case)))
    subject.tell(f"{looked.draws} draws")
    if case is not None:
        yield f"{looked.said(case)} at {shown(case)}"


def rate(subject: Subject, violates: Violates, **settings: Any) -> tuple[int, int]:
    """In how many draws something is violated, and the number of draws."""
    looked = Looked(subject, violates, **settings)

    def never(case: Case) -> bool:
        looked.said(case)
        return False

    looked.first(never)
    return looked.broken, looked.draws


def shown(case: Case) -> str:
    """The case, short; weights and what is seen by their seeds."""
    said = f"utilities {[[round(q, 3) for q in row] for row in case.qs.tolist()]}"
    if not case.available.all():
        said += f", available {case.available.int().tolist()}"
    if not case.alive.all():
        said += f", alive {case.alive.int().tolist()}"
    seen = f"what is seen of seed {case.seen}" if case.seen else "zeros for all that is seen"
    return f"{said} (weights of scale {case.scale}, seed {case.weights}; {seen})"
