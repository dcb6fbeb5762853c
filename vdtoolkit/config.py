"""Hyperparameters that all algorithms share, as a typed dataclass."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar


@dataclass(frozen=True)
class Config:
    """Defaults are PyMARL's (MATH of Samvelyan et al. 2019), with Adam where it takes RMSprop."""

    gamma: float = 0.99
    """Discount, in [0, 1]."""
    lr: float = 5e-4
    """Adam's step size."""
    grad_clip: float = 10.0
    """Largest norm of the gradient, over all parameters."""
    hidden_dim: int = 64
    """Width of the utility network and its memory."""
    batch_size: int = 32
    """Episodes a gradient step."""
    buffer_size: int = 5000
    """Episodes held for replay."""
    buffer_bytes: int = 4 * 2**30
    """Memory they may take; beyond it the oldest go, whatever buffer_size says."""
    target_interval: int = 200
    """Gradient steps between copies to the target network."""
    epsilon_start: float = 1.0
    """Share of random moves at first."""
    epsilon_end: float = 0.05
    """Share of random moves at last."""
    epsilon_steps: int = 50_000
    """Moves over which the share falls linearly."""
    td_lambda: float = 0.0
    """TD(lambda); 0 is the one-step target."""
    double_q: bool = True
    """Bootstrap at the online network's greedy actions, not the target's."""
    recurrent: bool = True
    """A GRU over the episode; without it an agent sees the present alone."""
    last_action: bool = True
    """The agent's last action is part of its input."""
    agent_id: bool = True
    """The agent's id is part of its input."""
    share_parameters: bool = True
    """One utility network for all agents."""
    dead: str = "zero"
    """A dead agent's utility in the mixer: 'zero', or 'noop': its action 0 as if alive (PyMARL)."""

    sizes: ClassVar[tuple[str, ...]] = ()  # further fields, of an algorithm, that count something

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("gamma", "epsilon_start", "epsilon_end", "td_lambda"):
            _require(self, name, 0 <= getattr(self, name) <= 1, "in [0, 1]")
        for name in ("lr", "grad_clip"):
            _require(self, name, getattr(self, name) > 0, "above 0")
        sizes = (
            "hidden_dim",
            "batch_size",
            "buffer_size",
            "buffer_bytes",
            "target_interval",
            *self.sizes,
        )
        for name in sizes:
            _require(self, name, getattr(self, name) >= 1, "at least 1")
        _require(self, "epsilon_steps", self.epsilon_steps >= 0, "at least 0")
        _require(self, "dead", self.dead in ("zero", "noop"), "'zero' or 'noop'")
        if self.batch_size > self.buffer_size:
            raise ValueError(
                f"batch_size={self.batch_size} is above buffer_size={self.buffer_size}: "
                "there would never be enough episodes to learn from"
            )

    def epsilon(self, moves: int) -> float:
        """The share of random moves after so many moves."""
        done = min(moves / self.epsilon_steps, 1.0) if self.epsilon_steps else 1.0
        return self.epsilon_start + done * (self.epsilon_end - self.epsilon_start)


def _require(config: Config, name: str, holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{name}={getattr(config, name)!r}: it must be {what}")


C = TypeVar("C", bound=Config)


def with_overrides(config: C, overrides: dict[str, Any]) -> C:
    """The config with some fields replaced; an unknown one is an error that lists the valid."""
    valid = [field.name for field in fields(config)]
    for name in overrides:
        if name not in valid:
            close = difflib.get_close_matches(name, valid, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise TypeError(
                f"{type(config).__name__} has no hyperparameter {name!r}: {hint}"
                f"valid are {', '.join(valid)}"
            )
    return replace(config, **overrides)
