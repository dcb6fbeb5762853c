"""Checks of action masks, by either of PettingZoo's customs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete

from vdtoolkit.checks.check import FAULT, NOTE, WARNING, Findings, Skip, check, moment_check
from vdtoolkit.checks.episode import Dice, Episode, offered
from vdtoolkit.checks.moment import Moment, info_mask, observation_mask, short
from vdtoolkit.checks.subject import Subject, global_dice


def _masks(moment: Moment) -> Iterator[tuple[str, Any, int]]:
    """(whose and when, mask, number of actions) of agents with Discrete actions."""
    for agent, mask in moment.masks.items():
        if agent not in moment.env.possible_agents:
            continue
        space = moment.env.action_space(agent)
        if isinstance(space, Discrete):
            name = f"agent {agent!r}: action_mask at move {moment.move}"
            yield name, mask, int(space.n)


@moment_check(
    "mask-shape",
    FAULT,
    "an action mask is an array of one entry an action",
    "return np.zeros(n_actions, np.int8) with 1 for each action that is available",
)
def mask_shape(moment: Moment) -> Findings:
    """Another size, or no array."""
    for name, mask, n in _masks(moment):
        if not isinstance(mask, np.ndarray):
            yield f"{name} is {type(mask).__name__} {short(mask)}, not an array"
            return
        if mask.shape != (n,):
            yield f"{name} has shape {mask.shape}, its {n} actions need ({n},)"
            return


@moment_check(
    "mask-dtype",
    FAULT,
    "action masks have dtype int8",
    "mask.astype(np.int8): Discrete.sample(mask) refuses every other dtype",
)
def mask_dtype(moment: Moment) -> Findings:
    """Another dtype."""
    for name, mask, _ in _masks(moment):
        if isinstance(mask, np.ndarray) and mask.dtype != np.int8:
            yield f"{name} has dtype {mask.dtype}"
            return


@moment_check(
    "mask-values",
    FAULT,
    "action masks hold 0 and 1 alone",
    "1 for available, 0 for not",
)
def mask_values(moment: Moment) -> Findings:
    """Other numbers."""
    for name, mask, _ in _masks(moment):
        if not isinstance(mask, np.ndarray) or mask.dtype == object:
            continue
        other = mask[(mask != 0) & (mask != 1)]
        if other.size:
            yield f"{name} has {other.ravel()[0]}"
            return


@moment_check(
    "mask-not-empty",
    FAULT,
    "an agent that is to act has at least one available action",
    "offer an action that does nothing",
)
def mask_not_empty(moment: Moment) -> Findings:
    """All zeros."""
    for agent in moment.after:
        mask = moment.masks.get(agent)
        if mask is not None and agent not in moment.flagged and not np.any(mask):
            yield f"agent {agent!r}: action_mask at move {moment.move} is all zeros"
            return


@moment_check(
    "mask-one-custom",
    FAULT,
    "where a mask is in the observation and in the info, both are the same",
    "give it in one place, or the same array in both",
)
def mask_one_custom(moment: Moment) -> Findings:
    """Two masks that disagree."""
    for agent in moment.after:
        seen = observation_mask(moment.observations.get(agent))
        told = info_mask(moment.infos.get(agent))
        if seen is None or told is None:
            continue
        if not np.array_equal(np.asarray(seen), np.asarray(told)):
            yield (
                f"agent {agent!r}: at move {moment.move} the observation's action_mask is "
                f"{short(seen)}, the info's {short(told)}"
            )
            return


@check(
    "mask-always",
    FAULT,
    "an agent that has a mask at some moment has one at every moment, reset included",
    "put the mask into the infos of reset() and of every step()",
)
def mask_always(subject: Subject) -> Findings:
    """A mask now and then."""
    masked = {agent for moment in subject.moments for agent in moment.masks}
    for moment in subject.moments:
        for agent in moment.after:
            if agent in masked and agent not in moment.masks and agent not in moment.flagged:
                yield f"agent {agent!r} has no action_mask at move {moment.move}, elsewhere it has"
                return


@check(
    "mask-forbids",
    NOTE,
    "masks forbid something now and then",
    "leave out masks that offer everything",
)
def mask_forbids(subject: Subject) -> Findings:
    """Masks of ones alone."""
    masks = [np.asarray(mask) for moment in subject.moments for mask in moment.masks.values()]
    if masks and all(mask.all() for mask in masks):
        yield f"all {len(masks)} action masks recorded offer every action"


@check(
    "mask-honest",
    FAULT,
    "step takes every action that a mask offers at the start of an episode",
    "mask out what step() refuses",
)
def mask_honest(subject: Subject) -> Findings:
    """An action that is offered and refused."""
    episode = _masked(subject)
    start = episode.moments[0]
    for agent in [a for a in start.after if a in start.masks][:8]:
        for action in _offered(subject, start, agent):
            if why := _try(subject, episode, start, agent, action).error:
                yield f"agent {agent!r} was offered {action} by its mask: {why}"
                return


@check(
    "mask-tolerant",
    WARNING,
    "an action that is masked out raises nothing",
    "play something harmless instead: PettingZoo's tests, SuperSuit and most libraries send "
    "masked actions when the mask is in infos",
)
def mask_tolerant(subject: Subject) -> Findings:
    """An exception."""
    episode, moment, agent, action = _forbidden(subject)
    if why := _try(subject, episode, moment, agent, action).error:
        yield f"agent {agent!r} played {action}, which its mask forbids: {why}"


@check(
    "mask-enforced",
    WARNING,
    "an action that is masked out is refused, replaced, punished or told of in the info",
    "an action with an effect of its own is an action like others: offer it, or make it harmless",
)
def mask_enforced(subject: Subject) -> Findings:
    """A masked action that does what no offered one does, without a word."""
    subject.need_repeats()
    episode, moment, agent, action = _forbidden(subject)
    tried = [
        _try(subject, episode, moment, agent, other)
        for other in (action, *_offered(subject, moment, agent))
    ]
    if any(len(one.moments) < moment.move + 2 for one in tried):
        return  # it is refused, or the env broke, which others tell
    forbidden, *offers = [one.moments[moment.move + 1] for one in tried]
    said = {key for o in offers for key in o.infos.get(agent) or {}}
    told = set(forbidden.infos.get(agent) or {}) - said
    punished = all(_reward(forbidden, agent) < _reward(o, agent) for o in offers)
    if told or punished or any(_outcome(forbidden) == _outcome(o) for o in offers):
        return
    yield (
        f"agent {agent!r} played {action} at move {moment.move + 1}, which its mask forbids, and "
        f"it did what none of the {len(offers)} offered actions does"
    )


def _reward(moment: Moment, agent: Any) -> float:
    value = moment.rewards.get(agent)
    return float(value) if isinstance(value, int | float | np.number) else 0.0


def _outcome(moment: Moment) -> list[bytes]:
    """What became of a move, infos apart."""
    return [moment.prints[key] for key in sorted(moment.prints) if key[0] != "infos"]


def _masked(subject: Subject) -> Episode:
    """The first episode recorded whose start has masks."""
    for episode in subject.episodes:
        if episode.moments and episode.moments[0].masks:
            return episode
    raise Skip("no action masks")


def _offered(subject: Subject, moment: Moment, agent: Any) -> list[int]:
    """Up to 32 actions that the agent's mask offers, in the agent's own space."""
    space: Any = subject.env.action_space(agent)
    if not isinstance(space, Discrete):
        return []
    return [int(i + space.start) for i in offered(moment.masks[agent], int(space.n))[:32]]


def _forbidden(subject: Subject) -> tuple[Episode, Moment, Any, int]:
    """Where an action was masked out first in the recording, of whom and which."""
    _masked(subject)
    for episode in subject.episodes:
        for moment in episode.moments[:-1]:
            for agent in moment.after:
                mask, space = moment.masks.get(agent), subject.env.action_space(agent)
                if not isinstance(space, Discrete) or np.shape(np.asarray(mask)) != (int(space.n),):
                    continue
                closed = np.flatnonzero(np.asarray(mask) == 0)
                if closed.size and np.any(mask):
                    return episode, moment, agent, int(closed[0] + space.start)
    raise Skip("no mask forbade anything")


class _Again(Dice):
    """The actions of a recorded episode up to a moment; there one agent's is another."""

    def __init__(self, episode: Episode, moment: Moment, agent: Any, action: int) -> None:
        super().__init__()
        self.episode, self.until, self.forced = episode, moment.move, {agent: action}

    def actions(self, moment: Moment) -> dict[Any, Any]:
        """What was played then."""
        following = self.episode.moments[moment.move + 1 :]
        asked = following[0].asked if following else self.episode.asked
        return dict(asked) if moment.move < self.until else {**asked, **self.forced}


def _try(subject: Subject, episode: Episode, moment: Moment, agent: Any, action: int) -> Episode:
    """The recorded episode again up to a moment, and one move more with this action."""
    with global_dice(1), subject.made() as env:
        dice = _Again(episode, moment, agent, action)
        again = Episode(env, episode.seed, dice, moves=moment.move + 1)
        return again.play()
