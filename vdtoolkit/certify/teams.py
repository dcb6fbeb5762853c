"""A team as a whole: short trainings repeat, no global dice are touched, files hold everything."""

from __future__ import annotations

import random
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import torch

from vdtoolkit.agents import Agents
from vdtoolkit.batch import EpisodeBatch
from vdtoolkit.certify.check import Facts, NotPromised, check
from vdtoolkit.certify.histories import step_of
from vdtoolkit.certify.learning import float32, same_parameters
from vdtoolkit.certify.subject import SMALL, Subject, differs, taught
from vdtoolkit.config import Config
from vdtoolkit.envs import two_step_v0
from vdtoolkit.training import train

MOVES = 60
UNUSED = 918_273_645


def short_training(subject: Subject, seed: int, **settings: Any) -> Agents:
    """Sixty moves of the two-step game, with whatever the method does on the way."""
    settings = {**subject.settings, **SMALL, **settings}
    agents = subject.cls(two_step_v0.parallel_env(), seed=subject.seed + seed, **settings)
    train(agents, two_step_v0.parallel_env, MOVES, seed=subject.seed + seed)
    return agents


@contextmanager
def unused_dice() -> Iterator[Callable[[], dict[str, Any]]]:
    """Global random states as nobody else would seed them, and what they are; then as before."""

    def states() -> dict[str, Any]:
        return {
            "torch": torch.get_rng_state().tolist(),
            "numpy": str(np.random.get_state()),
            "random": random.getstate(),
        }

    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.default_generator.manual_seed(UNUSED)
    np.random.seed(UNUSED)
    random.seed(UNUSED)
    try:
        yield states
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])


@check(
    "repeats",
    "the same seed gives the same training, another seed another one, and no global "
    "random state is touched",
)
def repeats(subject: Subject) -> Facts:
    """Three short trainings."""
    with unused_dice() as dice:
        before = dice()
        one, same, other = (short_training(subject, seed) for seed in (0, 0, 1))
        after = dice()
    for name, state in before.items():
        if after[name] != state:
            yield f"the global random state of {name} has changed"
    if one.updates == 0:
        yield f"nothing was learned in {MOVES} moves"
    if not same_parameters(one, same):
        yield "two trainings of one seed end with different parameters"
    if same_parameters(one, other):
        yield "two seeds end with the same parameters"
    subject.tell(f"{one.updates} gradient steps")


@check(
    "saves", "a file holds all that learning needs to go on: what is loaded learns the same next"
)
def saves(subject: Subject) -> Facts:
    """Save, load into a team of another seed, one more gradient step in both; three times."""
    agents, other = subject.agents(0), subject.agents(1)
    for seed in range(3):
        batch = float32(subject.batch(seed))
        agents.learn_from(batch)
        yield from goes_on(agents, other, batch)


def goes_on(agents: Agents, other: Agents, batch: EpisodeBatch) -> Facts:
    """How a loaded team learns otherwise than the saved one, from this batch."""
    with tempfile.TemporaryDirectory() as folder:
        agents.save(Path(folder) / "team.safetensors")
        other.load(Path(folder) / "team.safetensors")
    first, second = agents.learn_from(batch), other.learn_from(batch)
    if not same_parameters(agents, other):
        yield "after a gradient step what was loaded has other parameters"
    if first != second:
        yield "what was loaded has another loss"


@check("evaluating", "an actor that only plays leaves counters, epsilon, networks and dice alone")
def evaluating(subject: Subject) -> Facts:
    """Four moments of two episodes."""
    agents = subject.agents()
    batch = float32(subject.batch(lengths=(4, 4), ended=(False, False)))

    def state() -> dict[str, str]:
        parts = {name: str(getattr(agents, name)) for name in agents.counters}
        dice = agents._explore_rng.bit_generator.state, agents._sample_rng.bit_generator.state
        networks = {k: v.tolist() for k, v in agents.online.state_dict().items()}
        return {
            **parts,
            "epsilon": f"{agents.epsilon()}",
            "dice": f"{dice}",
            "networks": f"{networks}",
        }

    before, actor = state(), agents.actor()
    for t in range(4):
        actor.act_steps(step_of(batch, t))
    for name, value in state().items():
        if value != before[name]:
            told = f" from {before[name]} to {value}" if len(value) < 30 else ""
            yield f"{name} changed{told} while an actor played"


@check("settings", "each hyperparameter of the method's own changes what is learned")
def settings_count(subject: Subject) -> Facts:
    """Each is changed, in random batches; where these do not tell, in a short training."""
    shared = {field.name for field in fields(Config)}
    own = [f.name for f in fields(subject.cls.Config) if f.name not in shared]
    if not own:
        raise NotPromised("it has none of its own")
    changed = []
    for name in own:
        value = another(subject, name)
        if value is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the setting gives up
            beside = [{}, *(word for word in words(subject) if name not in word)]
            if not any(any(counts(subject, {name: value}, given)) for given in beside):
                yield f"{name}={value} changes nothing"
        changed.append(f"{name}={value}")
    subject.tell(", ".join(changed) or "words alone, which are not tried")


def counts(subject: Subject, settings: dict[str, Any], beside: dict[str, Any]) -> Iterator[bool]:
    """Whether these, beside others, change what a batch teaches, or what a training ends with."""
    changed = {**beside, **settings}
    for seed in range(3):
        batch = subject.batch(seed)
        one, other = (taught(subject.pair(seed, **given), batch) for given in (beside, changed))
        yield bool(differs(one, other))
    before, after = (learned(short_training(subject, 0, **given)) for given in (beside, changed))
    yield before != after


def words(subject: Subject) -> list[dict[str, Any]]:
    """Every other value of the settings that are one of a few words (typed `Literal`)."""
    now, kinds = subject.promised.config, get_type_hints(subject.cls.Config)
    return [
        {name: word}
        for name, kind in kinds.items()
        if get_origin(kind) is Literal
        for word in get_args(kind)
        if word != getattr(now, name)
    ]


def learned(agents: Agents) -> dict[str, list[float]]:
    """All that the networks hold."""
    return {name: x.flatten().tolist() for name, x in agents.online.state_dict().items()}


def another(subject: Subject, name: str) -> Any:
    """Another value that the config takes; None for words."""
    value = getattr(subject.promised.config, name)
    tries: tuple[Any, ...] = ()
    if isinstance(value, bool):
        tries = (not value,)
    elif isinstance(value, int):
        tries = (2 * value + 1, value // 2)
    elif isinstance(value, float):
        tries = (value / 2 if value else 0.5, 2 * value)
    for other in tries:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                subject.cls.Config(**{**subject.settings, name: other})
        except ValueError:
            continue
        return other
    return None
