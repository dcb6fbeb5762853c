"""Learning, over seeds: what a method promises to reach, with an interval of its success rate.

A gate is broken where even the upper end of the interval is below what is promised: few seeds
refute little, as they prove little.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from vdtoolkit.agents import (
    Agents,
    HystereticIQLAgents,
    LenientIQLAgents,
    NonMonotonicQMIXAgents,
)
from vdtoolkit.certify.check import Facts, NotPromised, check
from vdtoolkit.certify.subject import Subject
from vdtoolkit.finite import FiniteStream
from vdtoolkit.igm.audit import audit
from vdtoolkit.igm.game import named_game
from vdtoolkit.igm.lab import (
    N_ENVS,
    SETTINGS,
    TICKS,
    UPDATES_PER_EPISODE,
    own_settings,
    settle,
)
from vdtoolkit.igm.limits import greedy_of, limits
from vdtoolkit.training import play

MOVES = 20_000
FEW_MOVES = 4_000
LEAST = 0.95  # of seeds


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a success rate (Wilson 1927)."""
    p, n = successes / trials, trials
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def judged(successes: int, trials: int, least: float, what: str) -> tuple[str, str]:
    """What is told of a gate, and the counter-example: '' where nothing is refuted."""
    low, high = wilson(successes, trials)
    said = f"{what} in {successes} of {trials} seeds, 95 % interval [{low:.2f}, {high:.2f}]"
    return said, f"{said}: below {least:.0%}" if high < least else ""


def trained_return(subject: Subject, seed: int, game: str, moves: int = MOVES) -> float:
    """The greedy team's payoff in the game's first state, once trained as the lab trains."""
    maker = named_game(game)
    env = maker()
    settings = {**SETTINGS, **own_settings(subject.cls), **subject.settings}
    agents = subject.cls(env, seed=subject.seed + seed, **settings)

    def tick(agents: Agents) -> None:
        settle(agents, agents.moves / moves)

    play(
        agents,
        FiniteStream(env, N_ENVS, agents.team),
        moves,
        updates_per_episode=UPDATES_PER_EPISODE,
        seed=subject.seed + seed,
        callback=tick,
        every=max(moves // TICKS, 1),
    )
    (first, *_) = audit(agents, env).states
    assert first.payoff is not None
    return float(first.payoff[first.greedy])


def expected_returns(subject: Subject, payoff: np.ndarray) -> tuple[tuple[float, ...], str]:
    """Payoffs of the greedy joint action that the method may end at, and why."""
    promised = subject.promised
    top = float(payoff.max())
    if isinstance(promised, HystereticIQLAgents | LenientIQLAgents):
        return (top,), "the best payoff, as forgiving learners find it here"
    if promised.evidence_of_weights:
        return (top,), "the best payoff, as the weights have it"
    if promised.function_class == "unrestricted" and promised.claim != "none":
        return (top,), "the best payoff"
    if promised.function_class in ("elu_qmix", "monotone"):
        additive = limits(payoff)["additive"].table
        assert additive is not None
        return (top, float(payoff[greedy_of(additive)])), "an optimum of one of its orderings"
    if promised.function_class in ("additive", "independent"):
        additive = limits(payoff)["additive"].table
        assert additive is not None
        return (float(payoff[greedy_of(additive)]),), "its class's least-squares action"
    raise NotPromised("no greedy action is promised of it")


@check(
    "learns-qtran",
    "trained on QTRAN's game it ends where its class says, in 95 % of seeds (--learn SEEDS)",
    learns=True,
)
def learns_qtran(subject: Subject) -> Facts:
    """Its greedy payoff after 20,000 moves."""
    payoff = np.array([[8.0, -12, -12], [-12, 0, 0], [-12, 0, 0]])
    possible, why = expected_returns(subject, payoff)
    ends = [trained_return(subject, seed, "nonmonotonic") for seed in range(subject.learn)]
    hits = sum(any(abs(end - p) < 1e-6 for p in possible) for end in ends)
    said, refuted = judged(hits, len(ends), LEAST, why)
    subject.tell(said)
    if refuted:
        yield refuted


@check(
    "learns-and",
    "trained on AND, [0 0; 0 1], where nothing is lost by a partner's mistake, it ends at the best "
    "payoff, in 95 % of seeds (--learn SEEDS)",
    learns=True,
)
def learns_and(subject: Subject) -> Facts:
    """Its greedy payoff after 4,000 moves; one joint action of four is the best."""
    if isinstance(subject.promised, NonMonotonicQMIXAgents):
        raise NotPromised("a table may be exact while utilities say something else")
    ends = [trained_return(subject, seed, "and", FEW_MOVES) for seed in range(subject.learn)]
    said, refuted = judged(sum(end == 1.0 for end in ends), len(ends), LEAST, "the best payoff")
    subject.tell(said)
    if refuted:
        yield refuted
