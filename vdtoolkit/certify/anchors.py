"""Where each class settles on games whose answer is known: least squares and fixed points.

One batch holds every joint action of a one-step game once, and the method's own loss is followed
on it: uniform play without its noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from vdtoolkit.agents import (
    Agents,
    COMAAgents,
    HystereticIQLAgents,
    LenientIQLAgents,
    OWQMIXAgents,
    QTRANBaseAgents,
)
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.certify.check import Facts, NotPromised, check
from vdtoolkit.certify.subject import Subject, joint_actions, team_of
from vdtoolkit.igm.additive import independent
from vdtoolkit.igm.limits import limits
from vdtoolkit.igm.results import Limit
from vdtoolkit.igm.verdict import AT_CLASS, AT_ORDERING, verdict
from vdtoolkit.networks import Utilities

QTRAN = ((8.0, -12.0, -12.0), (-12.0, 0.0, 0.0), (-12.0, 0.0, 0.0))
OR = ((0.0, 1.0), (1.0, 1.0))
# the best column is the worse one on average: no sum finds 5, nor any mixer of QMIX's kind, and the
# best monotone table ties it with 3; what holds every table that meets IGM reaches it from any seed
LURE = ((2.0, -3.0), (3.0, 5.0))
SETTINGS: dict[str, Any] = {
    "recurrent": False,
    "last_action": False,
    "hidden_dim": 32,
    "target_interval": 50,
    "epsilon_start": 1.0,
    "epsilon_end": 1.0,
}
STEPS = 1200
LR = 1e-2
OWN_LR = ((QTRANBaseAgents, 3e-3),)  # three losses: with large steps Q_jt can end up additive
TOLERANCE = 0.02  # of the payoff's range, RMS
ENOUGH = 0.002  # likewise: where a table that can be the payoff is as good as there
LOOKS = 50  # gradient steps between two looks at that


@dataclass(frozen=True)
class Settled:
    """What a method says of a game once it has settled."""

    agents: Agents
    payoff: np.ndarray
    table: np.ndarray  # Q_tot of every joint action
    utilities: np.ndarray  # [N, A]
    evidence: dict[str, np.ndarray]  # of every joint action, [A * A, ...]


@cache
def _limits(payoff: tuple[tuple[float, ...], ...]) -> dict[str, Limit]:
    return limits(payoff)


def whole_game(payoff: np.ndarray) -> EpisodeBatch:
    """Every joint action of a one-step game as an episode."""
    A = len(payoff)
    actions = joint_actions(2, A).unsqueeze(1)  # [A^2, 1, 2]
    B = len(actions)
    view = View(
        torch.ones(B, 2, 2, 2),
        torch.ones(B, 2, 1),
        torch.ones(B, 2, 2, A, dtype=torch.bool),
        torch.ones(B, 2, 2, dtype=torch.bool),
    )
    reward = torch.tensor(payoff, dtype=torch.float32).reshape(B, 1)
    true = torch.ones(B, 1, dtype=torch.bool)
    return EpisodeBatch(view, actions, reward, true, true)


def settle(subject: Subject, payoff: tuple[tuple[float, ...], ...]) -> Settled:
    """The method's own gradient steps, ever smaller, on the whole game; once for all checks."""
    if payoff not in subject.settled:
        subject.settled[payoff] = _settle(subject, payoff)
    return subject.settled[payoff]


def _settle(subject: Subject, payoff: tuple[tuple[float, ...], ...]) -> Settled:
    game = np.array(payoff)
    team = team_of(2, len(game), 2, 1)
    lr = next((own for base, own in OWN_LR if issubclass(subject.cls, base)), LR)
    agents = subject.agents(team=team, lr=lr, **SETTINGS)
    batch = whole_game(game)
    for step in range(STEPS):
        for group in agents.optimizer.param_groups:
            group["lr"] = lr * min(1.0, 2 * (1 - step / STEPS)) ** 2
        agents.learn_from(batch)
        if holds_every_table(agents) and step % LOOKS == LOOKS - 1:
            got = said_of(agents, game, batch)
            if rms(got.table - game) < ENOUGH * np.ptp(game):
                return got
    return said_of(agents, game, batch)


def said_of(agents: Agents, game: np.ndarray, batch: EpisodeBatch) -> Settled:
    """All that a team says of a whole game."""
    view = batch.view[:, 0]
    with torch.no_grad():
        said = agents.utilities_of(agents.online, batch.view.obs, batch.actions)
        here = Utilities(said.qs[:, 0], said.hidden[:, 0])
        u = batch.actions[:, 0]
        table = agents.q_tot(agents.online, here, u, agents.see(agents.online, view))
        evidence = agents.evidence(agents.online, here, u, agents.see(agents.online, view))
    return Settled(
        agents,
        game,
        table.reshape(game.shape).numpy(),
        here.qs[0].numpy(),
        {name: x.numpy() for name, x in evidence.items()},
    )


def holds_every_table(agents: Agents) -> bool:
    """Whether it promises any table, with utilities that find its maximum all the while."""
    return agents.function_class == "unrestricted" and agents.claim == "exact"


def rms(x: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.square(x).mean()))


def tied(got: Settled) -> int:
    """How many joint actions share the top of a settled table."""
    near = TOLERANCE * float(np.ptp(got.payoff))
    return int((got.table >= got.table.max() - near).sum())


@check(
    "least-squares",
    "on QTRAN's game, and on OR, its own gradient steps end at the best table of its class, or of "
    "its own ordering of the actions; a class that holds every table, with IGM at any weights, "
    "ends at the payoff itself on OR and on [2 -3; 3 5], and on QTRAN's game unless joint actions "
    "tie for its maximum there",
)
def least_squares(subject: Subject) -> Facts:
    """Closed forms and projections of `igm.limits`; a class cannot be better than its limit."""
    named = subject.promised.function_class
    if named not in ("additive", "elu_qmix", "monotone", "unrestricted", "independent"):
        raise NotPromised(f"its class is {named!r}: no table is its limit")
    if holds_every_table(subject.promised):
        yield from the_payoff_itself(subject)
        return
    got = settle(subject, QTRAN)
    weights = None
    if got.agents.evidence_of_weights:
        weights = got.evidence[got.agents.evidence_of_weights].reshape(got.payoff.shape)
    stands = verdict(named, got.payoff, got.table, list(got.utilities), weights)
    if stands not in (AT_CLASS, AT_ORDERING):
        yield f"{stands}: the table is {shown(got.table)}"
    if named != "independent":
        sse = float(np.square(got.table - got.payoff).sum())
        best = _limits(QTRAN)[named].sse
        if best is not None and sse < best - 1e-2 * (1 + best):
            yield f"SSE {sse:.3f} is below what {named} allows, {best:.3f}: it is another class"
        subject.tell(f"{stands}: SSE {sse:.2f}, the class's {best or 0:.2f}")
    else:
        subject.tell(f"{stands}: utilities {shown(got.utilities)}")
    if named in ("additive", "elu_qmix"):
        yield from the_or_game(subject, named)


def the_or_game(subject: Subject, named: str) -> Facts:
    """OR is monotone, and neither additive nor convex: SSE 0.25 at best."""
    if isinstance(subject.promised, OWQMIXAgents):
        return  # weights other than 1 have other optima
    got = settle(subject, OR)
    sse, best = float(np.square(got.table - got.payoff).sum()), _limits(OR)[named].sse
    if best is None or abs(sse - best) > 0.02:
        yield f"OR: SSE {sse:.4f}, the class's is {best}: the table is {shown(got.table)}"
    subject.tell(f"OR: SSE {sse:.4f} of {best:.4f}")


def the_payoff_itself(subject: Subject) -> Facts:
    """OR, LURE, and QTRAN's game, where IGM can hold with equality, and what follows is luck.

    What (A, A) pulls up there its -12s push down.  Utilities rest where (A, A) and another joint
    action are both worth the maximum: nothing tells them apart, whatever the class can hold.
    """
    for name, game in (("OR", OR), ("[2 -3; 3 5]", LURE), ("QTRAN's game", QTRAN)):
        got = settle(subject, game)
        sse, far = float(np.square(got.table - got.payoff).sum()), rms(got.table - got.payoff)
        said = f"{name}: SSE {sse:.4f}, not 0"
        if far <= TOLERANCE * float(np.ptp(got.payoff)):
            subject.tell(f"{name}: SSE {sse:.4f} of 0")
        elif game is QTRAN and tied(got) > 1:
            subject.tell(f"{said}, where {tied(got)} joint actions tie: it decides nothing")
        else:
            yield f"{said}: the table is {shown(got.table)}"


def shown(table: np.ndarray) -> str:
    """A table, short."""
    return str(np.round(table.astype(float), 3).tolist())


@check("central", "CW-QMIX, OW-QMIX: Q* reaches the payoff itself, whatever the monotone mixer can")
def central(subject: Subject) -> Facts:
    """On QTRAN's game."""
    if not subject.promised.evidence_of_targets:
        raise NotPromised("it bootstraps from Q_tot itself")
    got = settle(subject, QTRAN)
    found = got.evidence[got.agents.evidence_of_targets].reshape(got.payoff.shape)
    far = float(np.sqrt(np.square(found - got.payoff).mean())) / float(np.ptp(got.payoff))
    if far > TOLERANCE:
        yield f"Q* is {shown(found)}"
    subject.tell(f"RMS {100 * far:.2f} % of the range")


@check(
    "igm-trained",
    "once trained, the greedy joint action attains the greatest Q_tot (claims "
    "'trained' and 'exact')",
)
def igm_trained(subject: Subject) -> Facts:
    """On QTRAN's game, where QTRAN's conditions are met; what holds every table, on LURE.

    On QTRAN's game such a class may rest at a tie: whatever is greedy is then the greatest.
    """
    if subject.promised.claim == "none":
        raise NotPromised("claims no IGM")
    every = holds_every_table(subject.promised)
    if type(subject.promised).preferences is not Agents.preferences:
        raise NotPromised("greedy actions are looked for among all joint actions")
    got = settle(subject, LURE if every else QTRAN)
    greedy = tuple(got.utilities.argmax(1).tolist())
    short = float(got.table.max() - got.table[greedy])
    if short > TOLERANCE * float(np.ptp(got.payoff)):
        yield f"greedy {greedy} has {got.table[greedy]:.4g}, the table has {got.table.max():.4g}"
    for name in ("residual (4a)", "residual (4b)", "residual (7)"):
        if name in got.evidence and (worst := float(np.abs(got.evidence[name]).max())) > 0.5:
            yield f"{name} is still {worst:.3g}"
    sse = float(np.square(got.table - got.payoff).sum())
    best = f"{got.table[greedy]:.3g} of at most {got.table.max():.3g}"
    game = "[2 -3; 3 5]" if every else "QTRAN's game"
    subject.tell(f"{game}: greedy {greedy}, {best}; SSE {sse:.2f}")


@check(
    "fixed-point",
    "independent learners at uniform partners settle at the mean of what follows "
    "their action, forgiving ones at the expectile, COMA's first advantages are the critic's",
)
def fixed_point(subject: Subject) -> Facts:
    """Closed forms on QTRAN's game."""
    promised = subject.promised
    if isinstance(promised, COMAAgents):
        yield from first_advantages(subject)
        return
    if promised.function_class != "independent" and not isinstance(
        promised, HystereticIQLAgents | LenientIQLAgents
    ):
        raise NotPromised("it is no independent learner")
    got = settle(subject, QTRAN)
    c = got.agents.config
    beta = 1.0
    if isinstance(got.agents, HystereticIQLAgents):
        beta = c.beta
    if isinstance(got.agents, LenientIQLAgents):
        beta = math.exp(-c.moderation * c.temperature)
    rows = (got.payoff, got.payoff.T)
    expected = np.array([[expectile(row, beta) for row in payoff] for payoff in rows])
    if promised.function_class == "independent":
        expected = np.array(independent(got.payoff))
    if np.abs(got.utilities - expected).max() > TOLERANCE * np.ptp(got.payoff):
        yield f"utilities are {shown(got.utilities)}, the fixed point is {shown(expected)}"
    subject.tell(f"utilities {shown(got.utilities)}")


def expectile(values: np.ndarray, beta: float) -> float:
    """x at which sum_j g_j (v_j - x) = 0, g = 1 above x and beta below; by bisection."""
    low, high = float(values.min()), float(values.max())
    for _ in range(60):
        x = (low + high) / 2
        push = np.where(values > x, 1.0, beta) * (values - x)
        low, high = (x, high) if push.sum() > 0 else (low, x)
    return x


def first_advantages(subject: Subject) -> Facts:
    """At uniform policies and an exact critic: what own actions change, beside their mean."""
    got = settle(subject, QTRAN)
    A = len(got.payoff)
    told = got.evidence["advantage"].reshape(A, A, 2)
    expected = np.stack(
        [got.payoff - got.payoff.mean(0), got.payoff - got.payoff.mean(1, keepdims=True)], -1
    )
    if np.abs(told - expected).max() > 2 * TOLERANCE * np.ptp(got.payoff):
        yield f"advantages of agent 0 are {shown(told[..., 0])}, not {shown(expected[..., 0])}"
    subject.tell(f"expected advantages {shown(told[..., 0].mean(1))}")
