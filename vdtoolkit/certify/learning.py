"""What teaches and what does not: gradients, padding, deaths, masks, ends of episodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vdtoolkit.agents import Agents
from vdtoolkit.agents.base import Networks
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.certify.check import Facts, NotPromised, check
from vdtoolkit.certify.search import mixes_the_dead
from vdtoolkit.certify.subject import (
    DEATHS,
    ENDED,
    LENGTHS,
    Subject,
    Taught,
    copy_of,
    differs,
    taught,
)
from vdtoolkit.networks import Utilities

SETTINGS: tuple[dict[str, Any], ...] = ({}, {"td_lambda": 0.6}, {"double_q": False})


@contextmanager
def spoken(nets: Networks, change: Any) -> Iterator[list[Utilities]]:
    """The agents' network says `change(qs, hidden)` of what it would say; what it said is listed.

    Also a second one that learning may have (`mixer.central.agent`).
    """
    said: list[Utilities] = []
    central = getattr(getattr(nets.mixer, "central", None), "agent", None)
    replaced = [net for net in (nets.agent, central) if net is not None]

    def instead(unroll: Any) -> Any:
        def speak(obs: Tensor, actions: Tensor) -> Utilities:
            said.append(Utilities(*change(*unroll(obs, actions))))
            return said[-1]

        return speak

    for net in replaced:
        object.__setattr__(net, "unroll", instead(net.unroll))
    try:
        yield said
    finally:
        for net in replaced:
            object.__delattr__(net, "unroll")


def leaf(qs: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Both cut off from what they were made of, with gradients of their own."""
    return qs.detach().requires_grad_(), hidden.detach().requires_grad_()


@check("gradient-flow", "every parameter that is registered gets a gradient from the loss")
def gradient_flow(subject: Subject) -> Facts:
    """Three batches: the gradient of none may be 0 in all."""
    agents = subject.pair()
    largest = {name: 0.0 for name, p in agents.online.named_parameters() if p.requires_grad}
    for k in range(3):
        grads = taught(agents, subject.batch(k))
        for name in largest:
            if name in grads:
                largest[name] = max(largest[name], float(grads[name].abs().max()))
    for name, value in largest.items():
        if value <= 1e-12:
            yield f"{name} has no gradient in three batches"
    known = {id(p) for group in agents.optimizer.param_groups for p in group["params"]}
    for name, p in agents.online.named_parameters():
        if id(p) not in known:
            yield f"{name} is not given to the optimiser"
    subject.tell(f"{len(largest)} parameters")


@check(
    "target-detached",
    "no gradient goes through what is bootstrapped: neither to the target "
    "network nor to what the networks say after the last move",
)
def target_detached(subject: Subject) -> Facts:
    """The target's parameters ask for gradients and get none; nor do utilities used in targets."""
    for settings in SETTINGS:
        agents, batch = subject.pair(**settings), subject.batch()
        agents.target.requires_grad_(True)
        with spoken(agents.online, leaf) as said:
            loss, _ = agents.loss(batch)
            loss.backward()
        for name, p in agents.target.named_parameters():
            if p.grad is not None and p.grad.abs().max() > 0:
                yield f"the target's {name} gets a gradient ({settings or 'defaults'})"
                break
        for what in said:
            for kind, x in zip(("utility", "memory"), what, strict=True):
                for b, length in enumerate(LENGTHS):
                    if x.grad is not None and x.grad[b, length].abs().max() > 0:
                        yield (
                            f"the {kind} after the last move of episode {b}, which only targets "
                            f"use, gets a gradient ({settings or 'defaults'})"
                        )


@check("padding", "what lies behind an episode's end in a batch changes neither loss nor gradient")
def padding(subject: Subject) -> Facts:
    """Everything behind the ends is replaced by rubbish."""
    for settings in (*SETTINGS, {"dead": "noop"}):
        agents, batch = subject.pair(**settings), subject.batch()
        said = differs(taught(agents, rubbish_behind(batch)), taught(agents, batch))
        if said:
            yield f"{said} with other padding ({settings or 'defaults'})"


def rubbish_behind(batch: EpisodeBatch) -> EpisodeBatch:
    """Large numbers, rewards that are not numbers, living agents, ends: all on padding."""
    other = copy_of(batch)
    view, dice = other.view, torch.Generator().manual_seed(0)
    for b, n in enumerate(LENGTHS):
        for x in (view.obs, view.state):
            x[b, n + 1 :] = 1e2 * torch.randn(x[b, n + 1 :].shape, generator=dice, dtype=x.dtype)
        view.available[b, n + 1 :] = True
        view.alive[b, n + 1 :] = True
        other.actions[b, n:], other.reward[b, n:], other.terminated[b, n:] = 3, torch.nan, True
    return other


@check("every-move", "the reward of every move that was made changes the loss")
def every_move(subject: Subject) -> Facts:
    """One reward after the other."""
    agents, batch = subject.pair(), subject.batch()
    clean = taught(agents, batch)["the loss"]
    for b, t in batch.valid.nonzero().tolist():
        other = copy_of(batch)
        other.reward[b, t] += 1
        if torch.equal(taught(agents, other)["the loss"], clean):
            yield f"the reward of move {t} of episode {b} teaches nothing"
    subject.tell(f"{int(batch.valid.sum())} moves")


@check("dead", "what the dead see and do teaches nothing and they are taught nothing")
def dead(subject: Subject) -> Facts:
    """An agent that died in mid-episode sees, may do and does something else."""
    if mixes_the_dead(subject.promised):
        raise NotPromised("dead='noop' mixes the dead, and teaches them")
    ((moment, agent),) = DEATHS
    agents, batch = subject.pair(), subject.batch()
    other = copy_of(batch)
    other.view.obs[0, moment:, agent] = 7.0
    other.view.available[0, moment:, agent] = True
    other.actions[0, moment:, agent] = 3
    said = differs(taught(agents, other), taught(agents, batch))
    if said:
        yield f"{said} where a dead agent sees and does something else"
    with spoken(agents.online, leaf) as spoke:
        agents.loss(batch)[0].backward()
    for what in spoke:
        for kind, x in zip(("utility", "memory"), what, strict=True):
            if x.grad is not None and x.grad[0, moment:, agent].abs().max() > 0:
                yield f"the {kind} of a dead agent gets a gradient"


@check(
    "masks",
    "utilities of unavailable actions enter nowhere: no greedy action, no maximum, no "
    "target, no policy",
)
def masks(subject: Subject) -> Facts:
    """Both networks say huge things of what is not available."""
    for settings in (*SETTINGS, {"dead": "noop"}):
        agents, batch = subject.pair(**settings), subject.batch()
        clean = taught(agents, batch)
        for value in (50.0, -50.0):
            tempt = tempting(torch.where(batch.view.available, 0.0, value))
            with spoken(agents.online, tempt), spoken(agents.target, tempt):
                said = differs(taught(agents, batch), clean, 1e-9)
            if said:
                yield (
                    f"{said} where unavailable actions are worth {value:+g} "
                    f"({settings or 'defaults'})"
                )
                break
        if said := differs(sunken(agents, batch, 0.0), sunken(agents, batch, 2 * DEEP), 1e-9):
            yield (
                f"{said} where available actions are worth {DEEP:+g}, below any number that masks "
                f"({settings or 'defaults'})"
            )
    yield from acting_masks(subject)


DEEP = -1e8


def sunken(agents: Agents, batch: EpisodeBatch, denied: float) -> Taught:
    """What the batch teaches where all that is available is worth little, and the rest this."""
    tempt = tempting(torch.where(batch.view.available, DEEP, denied))
    with spoken(agents.online, tempt), spoken(agents.target, tempt):
        return taught(agents, batch)


def tempting(bonus: Tensor) -> Any:
    """A change of what is said: utilities and this, [B, T+1, N, A]."""
    return lambda qs, hidden: (qs + bonus, hidden)


def acting_masks(subject: Subject) -> Facts:
    """Actions that are not available are never chosen, whatever they are worth."""
    agents, rng = subject.agents(), np.random.default_rng(subject.seed)
    N, A = subject.spec.n_agents, subject.spec.n_actions
    available = rng.random((200, N, A)) < 0.5
    available[..., 1] |= ~available.any(-1)
    own = rng.normal(size=available.shape)
    for epsilon, low in itertools.product((0.0, 0.5, 1.0), (0.0, DEEP)):
        qs = np.where(available, own + low, 50.0).astype(np.float32)
        for policy in (agents.policy, agents.greedy_policy):
            u = policy(qs, available, epsilon, rng)
            taken = np.take_along_axis(available, u[..., None], -1)
            if not taken.all():
                yield f"{int((~taken).sum())} unavailable actions were chosen at epsilon {epsilon}"
                return


@check(
    "ends",
    "a time limit bootstraps from the last observation, wherever in the batch it falls; "
    "a true end does not",
)
def ends(subject: Subject) -> Facts:
    """What is seen at last changes the loss after a time limit, and only there."""
    for lam in (0.0, 0.6):
        agents, batch = subject.pair(td_lambda=lam), subject.batch()
        clean = taught(agents, batch)
        for b, (length, end) in enumerate(zip(LENGTHS, ENDED, strict=True)):
            other = copy_of(batch)
            other.view.obs[b, length] += 1.0
            other.view.state[b, length] += 1.0
            said = differs(taught(agents, other), clean)
            if end and said:
                yield f"{said} with what is seen after a true end (td_lambda={lam})"
            if not end and torch.equal(taught(agents, other)["the loss"], clean["the loss"]):
                yield (
                    f"what is seen at the time limit of episode {b}, move {length} of "
                    f"{max(LENGTHS)}, does not change the loss (td_lambda={lam})"
                )


@check("reads", "where `reads_state` is False, the state enters nothing")
def reads(subject: Subject) -> Facts:
    """Another state at every moment."""
    agents, batch = subject.pair(), subject.batch()
    if agents.reads_state:
        raise NotPromised("it reads the state")
    other = copy_of(batch)
    other.view.state[:] = other.view.state.flip(-1) + 3.0
    if said := differs(taught(agents, other), taught(agents, batch)):
        yield f"{said} in other states"


@check("batch", "a batch is read, not changed, and the order of its episodes does not matter")
def batch_is_read(subject: Subject) -> Facts:
    """Before and after; forwards and backwards."""
    agents, batch = subject.pair(), subject.batch()
    kept, order = copy_of(batch), torch.arange(len(LENGTHS)).flip(0)
    one, other = taught(agents, batch), taught(agents, copy_of(batch, order))
    if said := differs(other, one, 1e-7):
        yield f"{said} in another order of the episodes"
    pairs = zip(tensors(batch), tensors(kept), strict=True)
    if not all(torch.equal(a, b) for a, b in pairs):
        yield "the loss changed the batch in place"


def tensors(batch: EpisodeBatch) -> list[Tensor]:
    """All of a batch."""
    rest = [v for k, v in vars(batch).items() if k != "view" and v is not None]
    return [*vars(batch.view).values(), *rest]


@check(
    "target-network",
    "the target changes every `target_interval` gradient steps, to what the "
    "networks are, and never between",
)
def target_network(subject: Subject) -> Facts:
    """Four gradient steps with an interval of two."""
    agents = subject.agents(target_interval=2)
    batch = float32(subject.batch())

    def parameters(nets: Networks) -> Tensor:
        return torch.cat([p.detach().flatten() for p in nets.parameters()])

    for step in range(1, 5):
        before = parameters(agents.target)
        agents.learn_from(batch)
        now, online = parameters(agents.target), parameters(agents.online)
        if step % 2 and not torch.equal(now, before):
            yield f"the target changed at gradient step {step}"
        if not step % 2 and not torch.equal(now, online):
            yield f"the target is not the networks after gradient step {step}"
        if torch.equal(before, online):
            yield f"gradient step {step} changed nothing"


def float32(batch: EpisodeBatch) -> EpisodeBatch:
    """The batch as the replay has it."""

    def single(x: Any) -> Any:
        return x.float() if isinstance(x, Tensor) and x.dtype == torch.float64 else x

    view = View(*map(single, vars(batch.view).values()))
    rest = {name: single(x) for name, x in vars(batch).items() if name != "view"}
    return EpisodeBatch(view, **rest)


def same_parameters(one: Agents, other: Agents) -> bool:
    """Whether two teams have learned the same."""
    pairs = zip(one.online.parameters(), other.online.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
