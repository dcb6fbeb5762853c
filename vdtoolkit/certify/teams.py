"""A team as a whole: short trainings repeat, no global dice are touched, files hold everything."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
import torch

from vdtoolkit.agents import Agents
from vdtoolkit.certify.check import Facts, check
from vdtoolkit.certify.learning import float32, same_parameters
from vdtoolkit.certify.subject import Subject
from vdtoolkit.envs import two_step_v0
from vdtoolkit.training import train

MOVES = 60


def short_training(subject: Subject, seed: int) -> Agents:
    """Sixty moves of the two-step game, with whatever the method does on the way."""
    settings = {**subject.settings, "hidden_dim": 8, "batch_size": 3, "buffer_size": 50}
    agents = subject.cls(two_step_v0.parallel_env(), seed=subject.seed + seed, **settings)
    train(agents, two_step_v0.parallel_env, MOVES, seed=subject.seed + seed)
    return agents


@check(
    "repeats",
    "the same seed gives the same training, another seed another one, and no global "
    "random state is touched",
)
def repeats(subject: Subject) -> Facts:
    """Three short trainings."""

    def dice() -> tuple[object, ...]:
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()

    before = dice()
    one, same, other = (short_training(subject, seed) for seed in (0, 0, 1))
    if dice() != before:
        yield "global random state has changed"
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
    """Save, load, one more gradient step in both."""
    agents, other = subject.agents(0), subject.agents(1)
    batch = float32(subject.batch())
    agents.learn_from(batch)
    with tempfile.TemporaryDirectory() as folder:
        agents.save(Path(folder) / "team.safetensors")
        other.load(Path(folder) / "team.safetensors")
    first, second = agents.learn_from(batch), other.learn_from(batch)
    if not same_parameters(agents, other):
        yield "after a gradient step what was loaded has other parameters"
    if first != second:
        yield "what was loaded has another loss"
