"""What environments and agents say to each other: sizes and one moment of E episodes (numpy)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

FLOAT = np.dtype(np.float32)


@dataclass(frozen=True)
class TeamSpec:
    """The sizes of a team: all that networks need to know."""

    n_agents: int
    n_actions: int  # of the agent that has most
    obs_dim: int  # of the agent that sees most, flattened
    state_dim: int
    obs_dtype: np.dtype = FLOAT  # as stored; networks make it float32
    state_dtype: np.dtype = FLOAT
    obs_scale: float = 1.0  # what networks multiply with: 1/255 for bytes of 0..255
    state_scale: float = 1.0
    obs_shape: tuple[int, int, int] | None = None  # (H, W, C) of images, else None
    state_shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Step:
    """One moment of E episodes.

    A moment is what is seen before a move; `reward`, `terminated` and `truncated` belong to the
    move that led here.  A row whose episode is over (`last`) is followed by a row that is `first`:
    the action chosen at a `last` row is ignored.
    """

    obs: np.ndarray  # [E, N, O] of the team's obs_dtype
    state: np.ndarray  # [E, S] of the team's state_dtype
    available: np.ndarray  # [E, N, A] bool, at least one true per agent
    alive: np.ndarray  # [E, N] bool
    reward: np.ndarray  # [E] float32, 0 on first
    first: np.ndarray  # [E] bool
    terminated: np.ndarray  # [E] bool: nothing to bootstrap from
    truncated: np.ndarray  # [E] bool: a time limit, bootstrap from this very observation
    lost: np.ndarray  # [E] bool: the environment broke, the episode is to be dropped
    won: np.ndarray | None = None  # [E] float32 where an env says so: 1 or 0 on last, else NaN

    @property
    def last(self) -> np.ndarray:
        """[E] bool: the episode is over."""
        return self.terminated | self.truncated

    @property
    def n_envs(self) -> int:
        """E."""
        return len(self.first)

    def rows(self, which: np.ndarray) -> Step:
        """The same moment of some of the episodes; which: indices or a mask over E."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return Step(**{name: x[which] for name, x in told.items() if x is not None})
