"""Search for a counter-example: random weights and moments, what is found is made simple.

Seeded dice and no library for it: a certificate is recomputed by its seed, and the product needs
nothing more to be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from vdtoolkit.agents import Agents
from vdtoolkit.batch import View
from vdtoolkit.certify.check import Facts
from vdtoolkit.certify.subject import Moment, Subject, random_moment, randomised

SCALES = (0.3, 1.0, 2.0)  # of weights, in turn

Violates = Callable[[Agents, Moment], str]  # '' where the promise is kept


def search(subject: Subject, violates: Violates, **settings: Any) -> Facts:
    """The first draw at which something is violated, as simple as it gets."""
    agents = subject.agents(**settings)
    for draw in range(subject.draws):
        generator, scale = subject.generator(draw), SCALES[draw % len(SCALES)]
        randomised(agents, generator, scale)
        here = random_moment(agents, generator)
        if violates(agents, here):
            here = shrunk(here, lambda moment: bool(violates(agents, moment)))
            yield f"{violates(agents, here)} at {here} (draw {draw}, weights of scale {scale})"
            return
    subject.tell(f"{subject.draws} draws")


def rate(subject: Subject, violates: Violates, **settings: Any) -> tuple[int, int]:
    """In how many draws something is violated, and the number of draws."""
    agents, broken = subject.agents(**settings), 0
    for draw in range(subject.draws):
        generator = subject.generator(draw)
        randomised(agents, generator, SCALES[draw % len(SCALES)])
        broken += bool(violates(agents, random_moment(agents, generator)))
    return broken, subject.draws


def shrunk(here: Moment, still: Callable[[Moment], bool]) -> Moment:
    """The moment with whatever is not needed taken away, while `still` holds."""
    changed = True
    while changed:
        changed = False
        for simpler in simpler_ones(here):
            if not same(simpler, here) and still(simpler):
                here, changed = simpler, True
                break
    return here


def simpler_ones(here: Moment) -> Iterator[Moment]:
    """The same with everybody alive, everything available, zeros and whole numbers."""
    view = here.view
    all_there = View(view.obs, view.state, torch.ones_like(view.available), view.alive | True)
    yield replace(here, view=all_there)
    yield replace(here, view=replace(view, obs=view.obs * 0))
    yield replace(here, view=replace(view, state=view.state * 0))
    yield replace(here, hidden=here.hidden * 0)
    yield replace(here, qs=here.qs.round())
    yield replace(here, qs=(here.qs * 10).round() / 10)
    for i, a in here.qs.nonzero().tolist():
        qs = here.qs.clone()
        qs[i, a] = 0
        yield replace(here, qs=qs)


def same(one: Moment, other: Moment) -> bool:
    """Whether nothing differs."""
    pairs = zip(parts(one), parts(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def parts(here: Moment) -> list[torch.Tensor]:
    """All its tensors."""
    return [here.qs, here.hidden, *vars(here.view).values()]
