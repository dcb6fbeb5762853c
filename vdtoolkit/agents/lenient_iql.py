"""Lenient Q-learning with deep networks (Palmer et al. 2018, arXiv 1707.04402).

Independent learners that forgive while they know little.  Each agent keeps a temperature T(o, u)
for each of its own actions at each observation, which cools as the pair is visited.  The leniency
l = 1 - exp(-K T), as it was when the move was made, is stored with the move, and an error that
says 'less than I thought' counts 1 - l.  (Wei and Luke 2016, JMLR 17, have the tabular form.)

As in the paper: temperatures cool once an episode is over, the last move's most,

    T <- T exp(-rho d^n)    n moves before the end,

and lie below a ceiling that falls with every episode.  Observations share a temperature by
SimHash: the signs of random projections.

Departures.  The paper throws a coin: it applies a negative update with probability 1 - l; here it
counts 1 - l, the coin's mean, so that a batch teaches the same each time.  (The authors' later
code scales too, but before it squares: there it counts (1 - l)^2.)  Observations are hashed as
they are, not as an autoencoder sees them; exploration is epsilon-greedy as everywhere here, not
by temperature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vdtoolkit.agents.iql import IQLAgents
from vdtoolkit.batch import EpisodeBatch
from vdtoolkit.config import Config
from vdtoolkit.replay import Columns
from vdtoolkit.step import Step, TeamSpec

Visit = tuple[np.ndarray, np.ndarray, np.ndarray]  # codes, actions, alive of one move, [N] each
VISITS = ("codes", "actions", "alive")


@dataclass(frozen=True)
class LenientIQLConfig(Config):
    """K is the paper's, the schedule that of the authors' code."""

    temperature: float = 1.0
    """T of what was never visited, and the ceiling at first."""
    moderation: float = 2.0
    """K: leniency is 1 - exp(-K T)."""
    cooling: float = 0.01
    """rho: T falls by exp(-rho) at an episode's last move; 0 keeps leniency as it is."""
    trace: float = 0.9
    """d: of the move before, it falls by exp(-rho d), and so on."""
    ceiling_decay: float = 0.9998
    """What the ceiling is multiplied by with every episode."""
    hash_bits: int = 12
    """Projections of an observation; 2^hash_bits kinds of it are told apart at most."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        super().__post_init__()
        for name in ("temperature", "moderation", "cooling"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}={value!r}: it must be at least 0")
        for name in ("trace", "ceiling_decay"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value!r}: it must be in [0, 1]")
        if not 1 <= self.hash_bits <= 20:
            raise ValueError(f"hash_bits={self.hash_bits!r}: it must be from 1 to 20")


class Temperatures(nn.Module):
    """How much T(o, u) of each agent has cooled; buffers, so that checkpoints hold them."""

    projection: Tensor  # [O, bits]
    offset: Tensor  # [bits], so that not the direction alone counts
    places: Tensor  # [bits] int64, 1, 2, 4, ...
    cooled: Tensor  # [N, 2^bits, A], sum of rho d^n over visits
    ceiling: Tensor  # [], share of the first one

    def __init__(
        self, n_agents: int, n_actions: int, obs_dim: int, bits: int = 12, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.register_buffer("projection", scale * torch.randn(obs_dim, bits))
        self.register_buffer("offset", torch.randn(bits))
        self.register_buffer("places", 2 ** torch.arange(bits))
        self.register_buffer("cooled", torch.zeros(n_agents, 2**bits, n_actions))
        self.register_buffer("ceiling", torch.ones(()))

    def codes(self, obs: Tensor) -> Tensor:
        """obs [..., N, O] of any dtype -> [..., N] int64, alike for like observations."""
        signs = obs.to(self.projection.dtype) @ self.projection + self.offset > 0
        return (signs * self.places).sum(-1)

    def forward(self, codes: Tensor, actions: Tensor) -> Tensor:
        """T(o_i, u_i) as a share of the first temperature: codes, actions [..., N] -> [..., N]."""
        agents = torch.arange(len(self.cooled), device=codes.device)
        return torch.exp(-self.cooled[agents, codes, actions]).minimum(self.ceiling)

    def cool(self, codes: Tensor, actions: Tensor, by: Tensor) -> None:
        """After an episode of T moves, from the ceiling down: codes, actions, by [T, N]."""
        where = torch.arange(len(self.cooled), device=codes.device).expand_as(codes), codes, actions
        self.cooled[where] = self.cooled[where].maximum(-self.ceiling.log())
        self.cooled.index_put_(where, by.to(self.cooled.dtype), accumulate=True)


class LenientIQLAgents(IQLAgents):
    """Independent learners, optimistic at first and average in the end.

    At partners who play at random Q_i(u_i) tends to the largest payoff of u_i while T is high
    and to the mean, as IQL, once it is 0.
    """

    name = "lenient_iql"
    label = "Lenient IQL"
    Config = LenientIQLConfig
    function_class = "unknown"  # it moves with the temperature
    notes = True  # leniency at the time of the move

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._visited: list[list[Visit]] = []  # by the E open episodes

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """Nothing to mix; in its place the temperatures."""
        own = self.team.spec  # observations as they are, not as a front sees them
        return Temperatures(
            spec.n_agents, spec.n_actions, own.obs_dim, self.config.hash_bits, own.obs_scale
        )

    def leniency(self, codes: Tensor, actions: Tensor) -> Tensor:
        """1 - exp(-K T(o_i, u_i)) now, codes for o_i: codes, actions [..., N] -> [..., N]."""
        heat = self.config.temperature * self.online.mixer(codes, actions)
        return 1 - torch.exp(-self.config.moderation * heat)

    def note(self, step: Step) -> np.ndarray:
        """The leniency of the moves just made, [E, N]; episodes that end here cool."""
        assert self._moment is not None
        assert self._actions is not None
        here, known = self._moment, self.online.mixer
        codes = known.codes(torch.as_tensor(here.obs, device=self.device))
        actions = torch.as_tensor(self._actions, device=self.device)
        leniency = self.leniency(codes, actions).cpu().numpy()
        if self.config.cooling == 0 and self.config.ceiling_decay == 1:
            return leniency  # temperatures stay as they are
        seen = codes.cpu().numpy()
        if len(self._visited) != here.n_envs:
            self._visited = [[] for _ in range(here.n_envs)]
        for e in np.flatnonzero(~step.first).tolist():
            if here.first[e]:
                self._visited[e] = []
            self._visited[e].append((seen[e], self._actions[e], here.alive[e]))
            if step.last[e] and not step.lost[e]:
                self._cool(self._visited[e])
        return leniency

    def _cool(self, visited: list[Visit]) -> None:
        """What an episode leaves behind: its last move cools most, the dead do not cool."""
        c = self.config
        codes, actions, alive = (np.stack(parts) for parts in zip(*visited, strict=True))
        before_end = np.arange(len(visited))[::-1, None]
        told = (codes, actions, c.cooling * c.trace**before_end * alive)
        self.online.mixer.cool(*(torch.as_tensor(x, device=self.device) for x in told))
        self.online.mixer.ceiling.mul_(c.ceiling_decay)

    def in_progress(self) -> Columns:
        """As ever, and what was visited in the open episodes, one after another."""
        visits = [visit for visited in self._visited for visit in visited]
        parts = zip(*visits, strict=True) if visits else [np.zeros((0, 0))] * 3
        told = {f"visited.{n}": np.array(x) for n, x in zip(VISITS, parts, strict=True)}
        lengths = np.array([len(visited) for visited in self._visited], np.int64)
        return super().in_progress() | told | {"visited.lengths": lengths}

    def go_on(self, told: Columns) -> None:
        """Take over what `in_progress` gave."""
        super().go_on(told)
        visits = iter(zip(*(told[f"visited.{name}"] for name in VISITS), strict=True))
        lengths = told["visited.lengths"].tolist()
        self._visited = [[next(visits) for _ in range(n)] for n in lengths]

    def weights(self, batch: EpisodeBatch, error: Tensor) -> Tensor:
        """1, and 1 - l where the target lies below: [B, T, N].

        l is what was noted with the move; in a batch that was not collected here it is that of
        the temperatures now.
        """
        leniency = batch.note
        if leniency is None:
            codes = self.online.mixer.codes(batch.view.obs[:, :-1])
            leniency = self.leniency(codes, batch.actions)
        return torch.where(error > 0, 1 - leniency, 1.0).to(error.dtype)
