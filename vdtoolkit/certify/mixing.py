"""What is promised of Q_tot at any weights: IGM, monotonicity, its class, symmetry."""

from __future__ import annotations

import itertools
from dataclasses import replace

import torch

from vdtoolkit.agents import Agents
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.certify.check import Facts, NotPromised, check
from vdtoolkit.certify.search import mixes_the_dead, rate, search
from vdtoolkit.certify.subject import (
    Moment,
    Subject,
    greedy_action,
    joint_actions,
    q_table,
    randomised,
    some_actions,
)

MONOTONE = ("additive", "elu_qmix", "monotone")
CLOSE = 1e-9  # of float64, relative to the values compared


@check(
    "igm",
    "the agents' own greedy actions together attain the greatest Q_tot, at any weights, "
    "masks and deaths (claim 'exact')",
)
def igm(subject: Subject) -> Facts:
    """Search among random weights, brute force over joint actions."""
    claim = subject.promised.claim
    if claim != "exact":
        broken, draws = rate(subject, breaks_igm)
        what = "once trained" if claim == "trained" else "no IGM"
        raise NotPromised(f"claims {what}; at random weights {broken} of {draws} draws break it")
    for dead in ("zero", "noop"):
        yield from search(subject, breaks_igm, dead=dead)


def breaks_igm(agents: Agents, here: Moment) -> str:
    """What is better than greedy, if anything is."""
    N, A = here.qs.shape
    actions = joint_actions(N, A)
    possible = actions[here.view.available[torch.arange(N), actions].all(-1)]
    with torch.no_grad():
        table = q_table(agents, agents.online, here, possible)
        greedy = greedy_action(agents, agents.online, here)
        at_greedy = table[(possible == greedy).all(-1)][0]
    best = table.max()
    if at_greedy >= best - CLOSE * (1 + best.abs()):
        return ""
    other = possible[table.argmax()].tolist()
    return (
        f"{agents.q_tot_label} is {float(at_greedy):.4g} at the greedy joint action "
        f"{greedy.tolist()}, {float(best):.4g} at {other}"
    )


@check(
    "monotone",
    "no utility lowers Q_tot by rising, by slope and by steps "
    "(classes additive, elu_qmix, monotone)",
)
def monotone(subject: Subject) -> Facts:
    """Search among random weights."""
    named = subject.promised.function_class
    if named not in MONOTONE:
        raise NotPromised(f"its class is {named!r}")
    yield from search(subject, falls)


def falls(agents: Agents, here: Moment) -> str:
    """Where Q_tot falls as a utility rises, if it does."""
    N, A = here.qs.shape
    for u in some_actions(N, A, 10):
        qs = here.qs.clone().requires_grad_()
        at = replace(here, qs=qs)
        (slopes,) = torch.autograd.grad(q_table(agents, agents.online, at, u[None])[0], qs)
        own = slopes[torch.arange(N), u]
        i = int(own.argmin())
        if own[i] < -CLOSE * (1 + own.abs().max()):
            return f"the slope in Q_{i} is {float(own[i]):.4g} at joint action {u.tolist()}"
        if slopes.abs().sum() > own.abs().sum() * (1 + CLOSE):
            return f"utilities of other actions enter at joint action {u.tolist()}"
    actions = some_actions(N, A)
    with torch.no_grad():
        before = q_table(agents, agents.online, here, actions)
        for i, step in itertools.product(range(N), (1e-2, 1.0, 30.0)):
            qs = here.qs.clone()
            qs[i] += step
            after = q_table(agents, agents.online, replace(here, qs=qs), actions)
            lower = before - after
            if (lower > CLOSE * (1 + before.abs())).any():
                k = int(lower.argmax())
                return (
                    f"raising Q_{i} by {step} lowers {agents.q_tot_label} of "
                    f"{actions[k].tolist()} by {float(lower[k]):.4g}"
                )
    return ""


@check(
    "class",
    "Q_tot has the shape of its class: additive has no mixed difference, elu_qmix none "
    "below 0 and no bend downwards",
)
def shape(subject: Subject) -> Facts:
    """Mixed and second differences in utilities, at random weights."""
    named = subject.promised.function_class
    if named not in ("additive", "elu_qmix"):
        raise NotPromised(f"its class is {named!r}")
    bends = bends_not if named == "additive" else bends_up
    yield from search(subject, bends)


def differences(agents: Agents, here: Moment) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mixed differences of pairs of agents, second differences along a line, and a scale."""
    N = here.qs.shape[0]
    u = torch.zeros(1, N, dtype=torch.int64)
    rise = 1 + here.qs[:, 1].abs()  # of each agent, any positive number

    def at(*agents_up: int, times: float = 1.0) -> torch.Tensor:
        qs = here.qs.clone()
        for i in agents_up:
            qs[i, 0] += times * rise[i]
        return q_table(agents, agents.online, replace(here, qs=qs), u)[0]

    with torch.no_grad():
        none, pairs = at(), itertools.combinations(range(N), 2)
        mixed = torch.stack([at(i, j) - at(i) - at(j) + none for i, j in pairs])
        line = [(at(*who, times=2.0) - 2 * at(*who) + none) for who in (range(N), (0,), (1,))]
        scale = 1 + float(at(*range(N), times=2.0).abs()) + float(none.abs())
    return mixed, torch.stack(line), scale


def bends_not(agents: Agents, here: Moment) -> str:
    """What is not additive, if anything."""
    mixed, line, scale = differences(agents, here)
    worst = float(torch.cat([mixed, line]).abs().max())
    return f"a mixed difference is {worst:.4g}, not 0" if worst > CLOSE * scale else ""


def bends_up(agents: Agents, here: Moment) -> str:
    """What is not convex and supermodular, if anything."""
    mixed, line, scale = differences(agents, here)
    if mixed.min() < -CLOSE * scale:
        return f"a mixed difference is {float(mixed.min()):.4g}, below 0"
    if line.min() < -CLOSE * scale:
        return f"a second difference is {float(line.min()):.4g}, below 0"
    return ""


@check("dead-unseen", "the utilities, actions and memories of the dead do not enter Q_tot")
def dead_unseen(subject: Subject) -> Facts:
    """Change all that the dead might say."""
    if mixes_the_dead(subject.promised):
        raise NotPromised("dead='noop' mixes the dead")
    yield from search(subject, sees_the_dead)


def sees_the_dead(agents: Agents, here: Moment) -> str:
    """Whether Q_tot changes with what a dead agent says or does."""
    dead = ~here.view.alive
    if not dead.any() or dead.all():
        return ""
    N, A = here.qs.shape
    actions = some_actions(N, A)
    qs, hidden = here.qs.clone(), here.hidden.clone()
    qs[dead] += 5.0
    hidden[dead] -= 1.0
    moved = torch.where(dead, (actions + 1) % A, actions)
    with torch.no_grad():
        before = q_table(agents, agents.online, here, actions)
        after = q_table(agents, agents.online, replace(here, qs=qs, hidden=hidden), moved)
    far = (before - after).abs()
    if (far > CLOSE * (1 + before.abs())).any():
        return f"{agents.q_tot_label} changes by {float(far.max()):.4g} with the dead"
    return ""


@check(
    "symmetric",
    "agents that change places, with all that is theirs, leave Q_tot as it is "
    "(classes that say so: `symmetric`)",
)
def symmetric(subject: Subject) -> Facts:
    """Every order of the agents, at random weights."""
    if not subject.promised.symmetric:
        raise NotPromised("its mixer knows agents by their places")
    yield from search(subject, knows_places)


def knows_places(agents: Agents, here: Moment) -> str:
    """The order of agents that changes Q_tot, if one does."""
    N, A = here.qs.shape
    actions = some_actions(N, A)
    with torch.no_grad():
        before = q_table(agents, agents.online, here, actions)
        for order in itertools.permutations(range(N)):
            o, v = list(order), here.view
            view = View(v.obs[o], v.state, v.available[o], v.alive[o])
            other = Moment(here.qs[o], here.hidden[o], view)
            after = q_table(agents, agents.online, other, actions[:, o])
            far = (before - after).abs()
            if (far > CLOSE * (1 + before.abs())).any():
                return f"in the order {o} {agents.q_tot_label} differs by {float(far.max()):.4g}"
    return ""


@check(
    "registered",
    "all that Q_tot is made of is in the networks' parameters: copied to the "
    "target, trained, saved",
)
def registered(subject: Subject) -> Facts:
    """Another team with these parameters says the same."""
    one, other = subject.agents(0), subject.agents(1)
    randomised(one, torch.Generator().manual_seed(subject.seed), 1.0)
    other.online.double().load_state_dict(one.online.state_dict())
    one.target.double()
    one.sync_target()
    here, actions = at_first(one, subject.batch()), joint_actions(3, 4)
    with torch.no_grad():
        said = q_table(one, one.online, here, actions)
        for nets, what in ((other.online, "a team that loads them"), (one.target, "the target")):
            agents = other if nets is other.online else one
            if not torch.allclose(said, q_table(agents, nets, here, actions), rtol=CLOSE):
                yield f"{what} says something else of the same parameters"
    own = {p.data_ptr() for p in one.online.parameters()}
    if own & {p.data_ptr() for p in one.target.parameters()}:
        yield "the target shares parameters with the networks that learn"


def at_first(agents: Agents, batch: EpisodeBatch) -> Moment:
    """The first moment of a batch, with what the networks say there."""
    with torch.no_grad():
        said = agents.utilities_of(agents.online, batch.view.obs, batch.actions)
    return Moment(said.qs[0, 0], said.hidden[0, 0], batch.view[0, 0])
