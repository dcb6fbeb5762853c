"""The loss and its gradient, held against `formulas`."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch

from vdtoolkit.agents import ALGORITHMS, Agents, COMAAgents
from vdtoolkit.batch import EpisodeBatch
from vdtoolkit.certify.check import Facts, NotPromised, check
from vdtoolkit.certify.formulas import forced, formula_of
from vdtoolkit.certify.learning import float32
from vdtoolkit.certify.subject import DEATHS, Subject, Taught, copy_of, derives, differs, taught
from vdtoolkit.config import Config


def compare(subject: Subject, *variants: dict[str, Any]) -> Facts:
    """Loss and all gradients in each variant of the settings, on one batch or two."""
    formula = formula_of(subject.cls)
    if formula is None:
        raise NotPromised("its loss is its own: no formula is known for it")
    batches = 2 if subject.draws >= 50 else 1
    for k, settings in enumerate(variants):
        for seed in range(batches):
            agents = subject.pair(seed, **settings)
            with torch.no_grad():
                for p in [*agents.online.parameters(), *agents.target.parameters()]:
                    p.mul_(1.5)  # so that more than noise is compared
            batch = subject.batch(seed)
            if isinstance(agents, COMAAgents):
                forced(batch)
            if agents.notes and k % 2:
                batch = noted(batch, subject.seed)
            said = differs(taught(agents, batch), by_formula(agents, batch, formula), 1e-6)
            if said:
                told = ", ".join(f"{k}={v}" for k, v in settings.items())
                yield f"{said}{f' ({told})' if told else ''}"
                break
    subject.tell(f"{batches * len(variants)} batches")


def other_numbers(subject: Subject) -> dict[str, float]:
    """A bit less of every number that is no size in the config of the method it derives from."""
    bases = (b for b in subject.cls.__mro__ if b in ALGORITHMS.values())
    base: type[Agents] = next(bases, Agents)  # type: ignore[arg-type]
    now, own = subject.promised.config, {f.name for f in fields(base.Config)}
    own -= {f.name for f in fields(Config)}
    numbers = {name: getattr(now, name) for name in sorted(own)}
    floats = [(name, x) for name, x in numbers.items() if isinstance(x, float)]
    return {name: 0.9 ** (k + 1) * x for k, (name, x) in enumerate(floats)}


def noted(batch: EpisodeBatch, seed: int) -> EpisodeBatch:
    """The batch with a number in [0, 1) beside each move of each agent."""
    dice = torch.Generator().manual_seed(seed)
    return replace(
        batch, note=torch.rand(batch.actions.shape, generator=dice, dtype=batch.reward.dtype)
    )


def by_formula(agents: Any, batch: Any, formula: Any) -> Taught:
    """What the batch teaches by the formula."""
    agents.online.zero_grad(set_to_none=True)
    loss = formula(agents, batch)
    loss.backward()
    grads = {n: p.grad for n, p in agents.online.named_parameters() if p.grad is not None}
    return {"the loss": loss.detach(), **grads}


@check(
    "loss",
    "loss and gradient are those of the method's formula, written out move by move "
    "(one-step targets)",
)
def loss(subject: Subject) -> Facts:
    """As configured, and with networks that share less or forget, or other weights in the loss."""
    yield from compare(
        subject,
        {"td_lambda": 0.0},
        {"td_lambda": 0.0, "recurrent": False, "agent_id": False, **other_numbers(subject)},
        {"td_lambda": 0.0, "share_parameters": False, "last_action": False},
    )


@check(
    "td-lambda",
    "the same with TD(lambda): every n-step return with its weight, time limits "
    "wherever in a batch they fall",
)
def td_lambda(subject: Subject) -> Facts:
    """lambda 0.6 and 1."""
    yield from compare(subject, {"td_lambda": 0.6}, {"td_lambda": 1.0})


@check(
    "double-q",
    "the same with double Q on (greedy by the networks that learn, valued by the "
    "target) and off (both by the target)",
)
def double_q(subject: Subject) -> Facts:
    """On and off."""
    if isinstance(subject.promised, COMAAgents):
        raise NotPromised("nothing in it is greedy")
    yield from compare(
        subject, {"double_q": True, "td_lambda": 0.0}, {"double_q": False, "td_lambda": 0.0}
    )


@check(
    "dead-noop",
    "with dead='noop' the dead stay in the mixer with their no-op: what they see changes the loss, "
    "and the formula holds",
)
def dead_noop(subject: Subject) -> Facts:
    """PyMARL's way with the dead."""
    ((moment, agent),) = DEATHS
    agents, batch = subject.pair(dead="noop"), subject.batch()
    other = copy_of(batch)
    other.view.obs[0, moment:, agent] = 7.0
    if not differs(taught(agents, other), taught(agents, batch)):
        yield "what a dead agent sees changes nothing"
    if formula_of(subject.cls) is not None:
        yield from compare(subject, {"dead": "noop", "td_lambda": 0.6})


@check(
    "gradient-step",
    "a gradient step is the optimiser's, of size lr, on the gradient of its batch alone, cut to "
    "grad_clip (COMA: actor and critic each)",
)
def gradient_step(subject: Subject) -> Facts:
    """Three steps beside those of a twin, whose gradient is cut by hand; the first at two lr."""
    if not derives(subject.cls) and subject.cls.learn_from is not Agents.learn_from:
        raise NotPromised("its gradient step is its own")
    for clip in (1e-2, 1e6):
        agents, twin = (subject.agents(grad_clip=clip, target_interval=100) for _ in range(2))
        for seed in range(3):
            batch = float32(subject.batch(seed))
            agents.learn_from(batch)
            step_by_hand(twin, batch)
            far = apart(agents, twin)
            if far > 1e-5:
                yield f"parameters are off by {far:.3g} after step {seed + 1} (grad_clip={clip})"
                break
    one, two = (first_step(subject, lr) for lr in (1e-4, 2e-4))
    if abs(two - 2 * one) > 0.05 * two:
        yield f"lr=0.0001 moves a parameter by up to {one:.3g}, lr=0.0002 by {two:.3g}"


def step_by_hand(agents: Agents, batch: EpisodeBatch) -> None:
    """The gradient of this batch, cut, and the optimiser's step."""
    nets, clip = agents.online, agents.config.grad_clip
    parts = [list(nets.parameters())]
    if isinstance(agents, COMAAgents):
        parts = [list(nets.agent.parameters()), [*nets.mixer.parameters()]]
    taught(agents, batch)
    with torch.no_grad():
        for part in parts:
            grads = [p.grad for p in part if p.grad is not None]
            norm = sum(float(g.double().square().sum()) for g in grads) ** 0.5
            for g in grads:
                g.mul_(min(1.0, clip / (norm + 1e-6)))
    agents.optimizer.step()
    agents.updates += 1


def apart(one: Agents, other: Agents) -> float:
    """The largest difference between the parameters of two teams."""
    pairs = zip(one.online.parameters(), other.online.parameters(), strict=True)
    return max((float((a - b).detach().abs().max()) for a, b in pairs), default=0.0)


def first_step(subject: Subject, lr: float) -> float:
    """How far the first gradient step moves a parameter at most."""
    agents, before = subject.agents(lr=lr), subject.agents(lr=lr)
    agents.learn_from(float32(subject.batch()))
    return apart(agents, before)
