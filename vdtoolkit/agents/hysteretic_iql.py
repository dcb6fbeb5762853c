"""Hysteretic Q-learning (Matignon et al. 2007; deep: Omidshafiei et al. 2017, arXiv 1703.06182).

An independent learner that forgives: an error that says 'less than I thought' counts beta of one
that says 'more', since the partners, who explore and learn, may be to blame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vdtoolkit.agents.iql import IQLAgents
from vdtoolkit.batch import EpisodeBatch
from vdtoolkit.config import Config


@dataclass(frozen=True)
class HystereticIQLConfig(Config):
    """beta as in the deep form; matrix games want less, such as 0.1."""

    beta: float = 0.4
    """What the square of an error counts where y_i < Q_i; 1 is IQL, towards 0 the best case."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        super().__post_init__()
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta={self.beta!r}: it must be in [0, 1]")


class HystereticIQLAgents(IQLAgents):
    """Optimistic independent learners.

    At partners who play at random Q_i(u_i) tends to the beta-expectile x of what follows u_i:
    E[g (R - x)] = 0, where g is 1 above x and beta below.
    """

    name = "hysteretic_iql"
    label = "Hysteretic IQL"
    Config = HystereticIQLConfig
    function_class = "unknown"  # a fixed point, but not the mean that "independent" stands for

    def weights(self, batch: EpisodeBatch, error: Tensor) -> Tensor:
        """1, and beta where the target lies below: [B, T, N]."""
        return torch.where(error > 0, self.config.beta, 1.0)
