"""The method under test: its agents on a small team, random batches, moments and weights."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from vdtoolkit.agents import ALGORITHMS, Agents
from vdtoolkit.agents.base import Networks
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.networks import Utilities
from vdtoolkit.step import TeamSpec
from vdtoolkit.team import Team

SMALL = {"hidden_dim": 8, "batch_size": 3, "buffer_size": 50}
LENGTHS = (5, 3, 2)  # moves of the episodes in a batch
ENDED = (False, False, True)  # by a time limit, by one in mid-batch, truly
DEATHS = ((2, 1),)  # (moment, agent) in the first episode


class Subject:
    """One method.  cls: its class.  settings: of its config.  draws: random cases of a search."""

    def __init__(
        self,
        cls: type[Agents],
        settings: dict[str, Any] | None = None,
        seed: int = 0,
        draws: int = 100,
        learn: int = 0,
    ) -> None:
        self.cls, self.settings, self.seed, self.draws = cls, dict(settings or {}), seed, draws
        self.learn = learn  # seeds of a learning gate
        self.told: list[str] = []
        self.settled: dict[Any, Any] = {}  # what came of whole games, by payoff
        self.promised = self.agents()  # its claims may depend on its settings
        self.spec = self.promised.team.spec

    def tell(self, what: str) -> None:
        """Note how something was looked for, or what was measured."""
        self.told.append(what)

    def agents(self, seed: int = 0, team: Team | None = None, **settings: Any) -> Agents:
        """A new team of the method."""
        given = {**SMALL, **self.settings, **settings}
        return self.cls(team or small_team(), seed=self.seed + seed, **given)

    def pair(self, seed: int = 0, **settings: Any) -> Agents:
        """A new team in float64 whose target differs from its networks."""
        agents = self.agents(seed, **settings)
        agents.target.load_state_dict(self.agents(seed + 1000, **settings).online.state_dict())
        agents.online.double(), agents.target.double()
        return agents

    def batch(self, seed: int = 0, **kwargs: Any) -> EpisodeBatch:
        """Random episodes in float64."""
        return random_batch(self.spec, seed=self.seed + seed, **kwargs)

    def has(self, name: str) -> bool:
        """Whether the method's config has this field."""
        return name in {field.name for field in fields(self.cls.Config)}


def derives(cls: type[Agents]) -> bool:
    """Whether a class is one of our methods, or derives from one."""
    ours = [c for c in ALGORITHMS.values() if c.__module__.startswith("vdtoolkit.")]
    return any(base in ours for base in cls.__mro__)


def small_team() -> Team:
    """Three like agents, sizes all different: N = 3, A = 4, O = 6, S = 7 (H = 8)."""
    return team_of(3, 4, 6, 7)


def team_of(n: int, a: int, o: int, s: int) -> Team:
    """n agents with a actions, observations of o numbers and a state of s."""
    names = [f"agent_{i}" for i in range(n)]
    return Team(
        {name: spaces.Box(-1, 1, (o,)) for name in names},
        {name: spaces.Discrete(a) for name in names},
        spaces.Box(-1, 1, (s,)),
    )


def random_batch(
    spec: TeamSpec,
    *,
    lengths: tuple[int, ...] = LENGTHS,
    ended: tuple[bool, ...] = ENDED,
    deaths: tuple[tuple[int, int], ...] = DEATHS,
    seed: int = 0,
) -> EpisodeBatch:
    """Random episodes of these lengths as the replay would hand them out, in float64.

    ended: truly (nobody is alive at the last moment) or by a time limit.  deaths: (moment, agent)
    in the first episode: its row is zeros from there on, with action 0 alone available.
    """
    rng = np.random.default_rng(seed)
    B, T, N, A = len(lengths), max(lengths), spec.n_agents, spec.n_actions
    obs = rng.normal(size=(B, T + 1, N, spec.obs_dim))
    state = rng.normal(size=(B, T + 1, spec.state_dim))
    available = rng.random((B, T + 1, N, A)) < 0.7
    available[..., -1] |= ~available.any(-1)
    alive = np.ones((B, T + 1, N), bool)
    terminated, valid = np.zeros((B, T), bool), np.zeros((B, T), bool)
    noop = np.arange(A) == 0
    for moment, agent in deaths:
        obs[0, moment:, agent], alive[0, moment:, agent] = 0, False
        available[0, moment:, agent] = noop
    for b, (length, end) in enumerate(zip(lengths, ended, strict=True)):
        valid[b, :length], terminated[b, length - 1] = True, end
        gone = length if end else length + 1
        alive[b, gone:], available[b, gone:] = False, noop
        obs[b, length + 1 :], state[b, length + 1 :] = 0, 0
    lots = np.where(available[:, :-1], rng.random((B, T, N, A)), -1)
    actions = np.where(valid[..., None], lots.argmax(-1), 0)
    reward = np.where(valid, rng.normal(size=(B, T)), 0)
    view = View(*(torch.as_tensor(x) for x in (obs, state, available, alive)))
    return EpisodeBatch(view, *(torch.as_tensor(x) for x in (actions, reward, terminated, valid)))


def copy_of(batch: EpisodeBatch, order: Any = slice(None)) -> EpisodeBatch:
    """The batch in tensors of its own, its episodes in this order."""
    view = View(*(x[order].clone() for x in vars(batch.view).values()))
    rest = {k: v for k, v in vars(batch).items() if k != "view" and v is not None}
    return replace(batch, view=view, **{k: v[order].clone() for k, v in rest.items()})


Taught = dict[str, Tensor]


def taught(agents: Agents, batch: EpisodeBatch) -> Taught:
    """What a batch teaches: the loss and all gradients, by the names of their parameters."""
    agents.online.zero_grad(set_to_none=True)
    loss, _ = agents.loss(batch)
    loss.backward()
    grads = {n: p.grad for n, p in agents.online.named_parameters() if p.grad is not None}
    return {"the loss": loss.detach(), **grads}


def differs(one: Taught, other: Taught, tolerance: float = 0.0) -> str:
    """The first thing in which two teachings differ; '' where they do not.

    tolerance: a share of the largest entry, and of 1.
    """
    for name in sorted(one.keys() | other.keys(), key=lambda n: n != "the loss"):
        a, b = one.get(name), other.get(name)
        if a is None or b is None:
            left = b if a is None else a
            if left is not None and bool(left.abs().max() > tolerance):
                return f"the gradient of {name} is {'missing' if a is None else 'not expected'}"
        elif a.shape != b.shape:
            return f"the gradient of {name} has shape {list(a.shape)}, not {list(b.shape)}"
        elif not bool(((a - b).abs() <= tolerance * (1 + b.abs().max())).all()):
            what = name if name == "the loss" else f"the gradient of {name}"
            far = (a - b).abs().argmax()
            return f"{what} is {float(a.flatten()[far]):.6g}, not {float(b.flatten()[far]):.6g}"
    return ""


@dataclass(frozen=True)
class Moment:
    """Utilities and what is seen at one moment."""

    qs: Tensor  # [N, A]
    hidden: Tensor  # [N, H]
    view: View


def hidden_dim(agents: Agents) -> int:
    """Width of what the method's `utilities_of` gives beside utilities."""
    spec = agents.team.spec
    like = next(agents.online.parameters())
    obs = torch.zeros(1, 1, spec.n_agents, spec.obs_dim, dtype=like.dtype)
    with torch.no_grad():
        said = agents.utilities_of(
            agents.online, obs, torch.zeros(1, 0, spec.n_agents, dtype=torch.int64)
        )
    return int(said.hidden.shape[-1])


def randomised(agents: Agents, generator: torch.Generator, scale: float) -> Agents:
    """Weights drawn anew, in float64."""
    agents.online.double()
    with torch.no_grad():
        for p in agents.online.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return agents


def joint_actions(n: int, a: int) -> Tensor:
    """All joint actions: [A^N, N]."""
    return torch.cartesian_prod(*[torch.arange(a)] * n).reshape(-1, n)


def some_actions(n: int, a: int, most: int = 13) -> Tensor:
    """Joint actions evenly spread over all of them: [<= most, N]."""
    every = joint_actions(n, a)
    return every[:: -(-len(every) // most)]


def q_table(agents: Agents, nets: Networks, here: Moment, actions: Tensor) -> Tensor:
    """Q_tot of these joint actions [M, N] at one moment: [M]."""
    rows = len(actions)
    view = View(*(x.expand(rows, *x.shape) for x in vars(here.view).values()))
    said = Utilities(*(x.expand(rows, *x.shape) for x in (here.qs, here.hidden)))
    return agents.q_tot(nets, said, actions, agents.see(nets, view))


def greedy_action(agents: Agents, nets: Networks, here: Moment) -> Tensor:
    """The joint action [N] that agents find for themselves, by looking at each of their actions."""
    view = View(*(x[None] for x in vars(here.view).values()))
    said = Utilities(here.qs[None], here.hidden[None])
    ranked = agents.preferences(nets, said, view)[0].detach()
    return torch.tensor(
        [
            max(
                (a for a in range(ranked.shape[1]) if here.view.available[i, a]),
                key=lambda a: float(ranked[i, a]),
            )
            for i in range(ranked.shape[0])
        ]
    )
