"""Whose history a utility is of: its own agent's up to now, in learning as in acting."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vdtoolkit.agents import Agents
from vdtoolkit.batch import EpisodeBatch
from vdtoolkit.certify.check import Facts, NotPromised, check
from vdtoolkit.certify.learning import float32
from vdtoolkit.certify.subject import LENGTHS, Subject, copy_of
from vdtoolkit.networks import Utilities
from vdtoolkit.step import Step


def said_of(agents: Agents, batch: Any) -> Utilities:
    """What the networks say over the batch."""
    with torch.no_grad():
        return agents.utilities_of(agents.online, batch.view.obs, batch.actions)


@check(
    "own-history",
    "what an agent's network says depends on what this agent saw and did until "
    "now, not on others, other episodes or the future",
)
def own_history(subject: Subject) -> Facts:
    """One observation, one action of one agent at one moment is changed."""
    agents, batch = subject.pair(), subject.batch(deaths=())
    clean = said_of(agents, batch)
    _B, T, _N = batch.actions.shape
    felt = 0
    for b, t, i in ((0, 2, 1), (1, 0, 2), (2, 1, 0), (0, T, 2)):
        for what in ("sees", "does"):
            other = copy_of(batch)
            if what == "sees":
                other.view.obs[b, t, i] += 1.0
            elif t < T:
                other.actions[b, t, i] = (other.actions[b, t, i] + 1) % subject.spec.n_actions
            said = said_of(agents, other)
            for kind, old, new in zip(("utility", "memory"), clean, said, strict=True):
                changed = ((old - new).abs() > 1e-9).any(-1)  # [B, T+1, N]
                own = torch.zeros_like(changed)
                own[b, t + (what == "does") :, i] = True
                felt += int((changed & own).sum())
                if (changed & ~own).any():
                    where = (changed & ~own).nonzero()[0].tolist()
                    yield (
                        f"the {kind} of agent {where[2]} at moment {where[1]} of episode "
                        f"{where[0]} changes with what agent {i} {what} at moment {t} of "
                        f"episode {b}"
                    )
                    return
    if not felt:
        yield "nothing that agents see or do changes what their networks say"


@check(
    "acting-is-learning",
    "learning sees the very utilities that acting acted on, from the first moment on; so does the "
    "target, of equal parameters",
)
def acting_is_learning(subject: Subject) -> Facts:
    """An actor plays through the observations of a batch, moment by moment."""
    variants: tuple[dict[str, Any], ...] = (
        {},
        {"recurrent": False},
        {"share_parameters": False},
        {"last_action": False},
    )
    for settings in variants:
        agents = subject.agents(**settings)
        batch = float32(subject.batch(lengths=(4, 4), ended=(False, False)))
        heard: list[np.ndarray] = []

        listen = listener(heard, batch.actions.numpy())
        object.__setattr__(agents, "policy", listen)
        object.__setattr__(agents, "greedy_policy", listen)
        actor = agents.actor()
        for t in range(5):
            actor.act_steps(step_of(batch, t))
        for nets, whose in ((agents.online, "learning"), (agents.target, "the target")):
            with torch.no_grad():
                said = agents.utilities_of(nets, batch.view.obs, batch.actions)
                qs = agents.preferences(nets, said, batch.view).numpy()
            far = np.abs(np.stack(heard, 1) - qs)
            if far.max() > 1e-5:
                _, at, agent, _ = np.unravel_index(int(far.argmax()), far.shape)
                yield (
                    f"agent {agent} at moment {at}: {whose} is off by {far.max():.3g} from what "
                    f"acting heard ({settings or 'defaults'})"
                )


def listener(heard: list[np.ndarray], taken: np.ndarray) -> Any:
    """A policy that notes what it is told and plays what was taken, [B, T, N]."""

    def listen(qs: np.ndarray, available: np.ndarray, epsilon: float, rng: Any) -> np.ndarray:
        heard.append(qs.copy())
        return taken[:, min(len(heard), taken.shape[1]) - 1]

    return listen


def step_of(batch: Any, t: int) -> Step:
    """Moment t of all episodes of a batch as acting sees it."""
    view, B = batch.view, len(batch.actions)
    no = np.zeros(B, bool)
    seen = {name: x[:, t].numpy() for name, x in vars(view).items()}
    reward, first = np.zeros(B, np.float32), np.full(B, t == 0)
    return Step(**seen, reward=reward, first=first, terminated=no, truncated=no, lost=no)


@check("decentralised", "in play, what an agent does depends on what it saw and did itself alone")
def decentralised(subject: Subject) -> Facts:
    """Greedy teams play; then what all but one see is changed."""
    agents, rows, moments = subject.agents(), 64, 3
    lengths, ended = (moments,) * rows, (False,) * rows
    seen, other = (
        float32(subject.batch(seed, lengths=lengths, ended=ended, deaths=())) for seed in (0, 1)
    )
    one, changed = played(agents, seen, moments), []
    for i in range(subject.spec.n_agents):
        mixed = copy_of(seen)
        others = torch.arange(subject.spec.n_agents) != i
        mixed.view.obs[:, :, others] = other.view.obs[:, :, others]
        changed.append(int((played(agents, mixed, moments)[..., i] != one[..., i]).sum()))
    said = f"of {rows * moments} actions {changed} change, by agent, with what the others see"
    if centralised(agents):
        raise NotPromised(f"it chooses for all agents together (`preferences`): {said}")
    if any(changed):
        yield said


def played(agents: Agents, batch: EpisodeBatch, moments: int) -> np.ndarray:
    """What a greedy team does, seeing this: [moments, B, N]."""
    actor = agents.actor()
    return np.stack([actor.act_steps(step_of(batch, t)).copy() for t in range(moments)])


def centralised(agents: Agents) -> bool:
    """Whether greedy actions are of more than the agents' own utilities, by design."""
    return type(agents).preferences is not Agents.preferences


@check("places", "agents without ids who share a network and change places change what it says")
def places(subject: Subject) -> Facts:
    """The same observations in another order."""
    agents = subject.pair(agent_id=False)
    batch = subject.batch(deaths=())
    order = [2, 0, 1]
    other = copy_of(batch)
    other.view.obs[:] = batch.view.obs[:, :, order]
    other.actions[:] = batch.actions[:, :, order]
    for kind, a, b in zip(
        ("utility", "memory"), said_of(agents, batch), said_of(agents, other), strict=True
    ):
        far = (a[:, :, order] - b).abs()
        for n, length in enumerate(LENGTHS):
            if far[n, : length + 1].max() > 1e-9:
                yield f"the {kind} differs by {float(far.max()):.3g} where agents change places"
                return
