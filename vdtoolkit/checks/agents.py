"""Checks of what stands still: agents, spaces, metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.spaces.utils import flatdim
from pettingzoo import AECEnv, ParallelEnv

from vdtoolkit.checks.check import FAULT, NOTE, WARNING, Findings, check
from vdtoolkit.checks.subject import Subject


@check(
    "makes-env",
    FAULT,
    "the function makes a PettingZoo ParallelEnv",
    "return an instance of pettingzoo.ParallelEnv; an AEC env goes through "
    "pettingzoo.utils.conversions.aec_to_parallel(env)",
)
def makes_env(subject: Subject) -> Findings:
    """An instance of something else."""
    env = subject.env
    if isinstance(env, AECEnv):
        yield f"{env} is an AEC environment, one agent at a time"
    elif not isinstance(env, ParallelEnv):
        yield f"{type(env).__name__} is not a ParallelEnv"


@check(
    "possible-agents",
    FAULT,
    "possible_agents names the whole team, nobody twice, in every instance and episode the same",
    "set possible_agents in the constructor and never change it",
)
def possible_agents(subject: Subject) -> Findings:
    """No, empty, doubled or changing possible_agents."""
    names = list(getattr(subject.env, "possible_agents", None) or ())
    if not names:
        yield f"{type(subject.env.unwrapped).__name__} has no possible_agents"
        return
    if len(set(names)) < len(names):
        yield f"possible_agents names somebody twice: {names}"
    with subject.made() as other:
        for when in ("another instance", "after reset(seed=1)", "after reset(seed=2)"):
            if list(other.possible_agents) != names:
                yield f"possible_agents is {names}, in {when} {list(other.possible_agents)}"
                return
            try:
                other.reset(seed=1 if when == "another instance" else 2)
            except Exception:
                return  # `plays` tells of it


@check(
    "agents-known",
    FAULT,
    "env.agents is a list of possible_agents, nobody twice, at least one after reset",
    "reset() sets agents to a copy of those who play; step() removes who ended",
)
def agents_known(subject: Subject) -> Findings:
    """Foreign or doubled agents, or none at all."""
    known = set(subject.env.possible_agents)
    for moment in subject.moments:
        after = moment.after
        if set(after) - known:
            yield f"env.agents {list(after)} at move {moment.move} is not within {sorted(known)}"
            return
        if len(set(after)) < len(after):
            yield f"env.agents names somebody twice at move {moment.move}: {list(after)}"
            return
        if moment.move == 0 and not after:
            yield "env.agents is empty after reset()"
            return


@check(
    "agents-in-order",
    NOTE,
    "env.agents keeps the order of possible_agents",
    "nothing breaks here, but code that zips agents with rows of an array would",
)
def agents_in_order(subject: Subject) -> Findings:
    """Another order."""
    place = {agent: i for i, agent in enumerate(subject.env.possible_agents)}
    for moment in subject.moments:
        rows = [place[agent] for agent in dict.fromkeys(moment.after) if agent in place]
        if rows != sorted(rows):
            yield f"env.agents is {list(moment.after)} at move {moment.move}"
            return


def _spaces(env: Any) -> dict[str, Space]:
    found = {}
    for agent in env.possible_agents:
        found[f"observation_space({agent!r})"] = env.observation_space(agent)
        found[f"action_space({agent!r})"] = env.action_space(agent)
    return found


@check(
    "spaces-same-object",
    FAULT,
    "observation_space(agent) and action_space(agent) return one object at every call",
    "build the spaces once in the constructor and return them from a dict",
)
def spaces_same_object(subject: Subject) -> Findings:
    """A new object at each call."""
    again = _spaces(subject.env)
    for name, space in _spaces(subject.env).items():
        if not isinstance(space, Space):
            yield f"{name} is {type(space).__name__}, not a gymnasium.Space"
        elif space is not again[name]:
            yield f"{name} is a new object at each call"
            return


@check(
    "action-spaces-own",
    FAULT,
    "every instance has action spaces of its own",
    "build the spaces in the constructor, not in the class or the module: who seeds one to draw "
    "actions would seed everybody's",
)
def action_spaces_own(subject: Subject) -> Findings:
    """An action space that two instances share."""
    with subject.made() as other:
        for agent in subject.env.possible_agents:
            if subject.env.action_space(agent) is other.action_space(agent):
                yield f"agent {agent!r}: two instances have the same object as action space"
                return


@check(
    "spaces-fixed",
    FAULT,
    "spaces are the same after every reset and in every instance",
    "choose sizes that fit every episode: networks are made once",
)
def spaces_fixed(subject: Subject) -> Findings:
    """A space that changes."""
    first = _spaces(subject.env)
    with subject.made() as env:
        for when in ("in another instance", "after reset(seed=1)", "after reset(seed=2)"):
            for name, space in _spaces(env).items():
                if space != first[name]:
                    yield f"{name} is {first[name]}, {when} {space}"
                    return
            env.reset(seed=1 if when == "in another instance" else 2)


@check(
    "actions-discrete",
    FAULT,
    "all action spaces are Discrete",
    "value decomposition compares all actions of an agent: offer a list of actions",
)
def actions_discrete(subject: Subject) -> Findings:
    """Continuous or composed actions."""
    for agent in subject.env.possible_agents:
        space = subject.env.action_space(agent)
        if not isinstance(space, Discrete):
            yield f"agent {agent!r} has action space {space}"
            return


@check(
    "actions-from-zero",
    NOTE,
    "Discrete action spaces start at 0",
    "vdtoolkit adds `start` itself; mask entry i is then action start + i, which others forget",
)
def actions_from_zero(subject: Subject) -> Findings:
    """Another start."""
    for agent in subject.env.possible_agents:
        space = subject.env.action_space(agent)
        if isinstance(space, Discrete) and space.start != 0:
            yield f"agent {agent!r} has action space {space}, which starts at {space.start}"
            return


@check(
    "observations-flatten",
    FAULT,
    "Gymnasium can flatten every observation space to an array of one size",
    "use Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of them",
)
def observations_flatten(subject: Subject) -> Findings:
    """A space of changing size."""
    for agent in subject.env.possible_agents:
        space = subject.env.observation_space(agent)
        try:
            good = flatdim(space) > 0
        except (ValueError, NotImplementedError):
            good = False
        if not good:
            yield f"agent {agent!r} has observation space {space}"
            return


@check(
    "mask-space",
    WARNING,
    "a mask's place in the observation space has one int8 or bool entry an action",
    'declare it as Box(0, 1, (n_actions,), np.int8) under "action_mask"',
)
def mask_space(subject: Subject) -> Findings:
    """A declared mask that does not fit the actions."""
    for agent in subject.env.possible_agents:
        seen, done = subject.env.observation_space(agent), subject.env.action_space(agent)
        if not (isinstance(seen, Dict) and "action_mask" in seen.spaces):
            continue
        space = seen["action_mask"]
        size = space.shape if isinstance(space, Space) else None
        if isinstance(done, Discrete) and size != (int(done.n),):
            yield f"agent {agent!r}: its mask's space is {space}, it has {done.n} actions"
            return
        if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
            yield f"agent {agent!r}: its mask's space is {space}, of floats"
            return


@check(
    "metadata",
    WARNING,
    "metadata has a name and render_modes",
    'metadata = {"name": "my_env_v0", "render_modes": [], "is_parallelizable": True}',
)
def metadata(subject: Subject) -> Findings:
    """A missing or ill-typed entry."""
    told = getattr(subject.env, "metadata", None)
    if not isinstance(told, dict):
        yield f"metadata is {told!r}"
        return
    if not isinstance(told.get("name"), str):
        yield f"metadata['name'] is {told.get('name')!r}, not a str"
    if not isinstance(told.get("render_modes"), list | tuple):
        yield f"metadata['render_modes'] is {told.get('render_modes')!r}, not a list"


@check(
    "parallelizable",
    NOTE,
    "metadata says is_parallelizable=True",
    "PettingZoo's conversion from AEC asks for it; its own environments all say it",
)
def parallelizable(subject: Subject) -> Findings:
    """Not said."""
    told = getattr(subject.env, "metadata", None)
    if isinstance(told, dict) and told.get("is_parallelizable") is not True:
        yield f"metadata['is_parallelizable'] is {told.get('is_parallelizable')!r}"
