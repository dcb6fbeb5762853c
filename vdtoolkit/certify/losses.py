"""The loss and its gradient, held against `formulas`."""

from __future__ import annotations

from typing import Any

import torch

from vdtoolkit.agents import COMAAgents
from vdtoolkit.certify.check import Facts, NotPromised, check
from vdtoolkit.certify.formulas import forced, formula_of
from vdtoolkit.certify.subject import DEATHS, Subject, Taught, copy_of, differs, taught


def compare(subject: Subject, *variants: dict[str, Any]) -> Facts:
    """Loss and all gradients in each variant of the settings, on one batch or two."""
    formula = formula_of(subject.cls)
    if formula is None:
        raise NotPromised("its loss is its own: no formula is known for it")
    batches = 2 if subject.draws >= 50 else 1
    for settings in variants:
        for seed in range(batches):
            agents = subject.pair(seed, **settings)
            with torch.no_grad():
                for p in [*agents.online.parameters(), *agents.target.parameters()]:
                    p.mul_(1.5)  # so that more than noise is compared
            batch = subject.batch(seed)
            if isinstance(agents, COMAAgents):
                forced(batch)
            said = differs(taught(agents, batch), by_formula(agents, batch, formula), 1e-6)
            if said:
                told = ", ".join(f"{k}={v}" for k, v in settings.items())
                yield f"{said}{f' ({told})' if told else ''}"
                break
    subject.tell(f"{batches * len(variants)} batches")


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
    """As configured, and with networks that share less or forget."""
    yield from compare(
        subject,
        {"td_lambda": 0.0},
        {"td_lambda": 0.0, "recurrent": False, "agent_id": False},
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
