"""Steps become episodes, episodes become batches: the only border from numpy to torch."""

from __future__ import annotations

import numpy as np
import torch

from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.step import Step, TeamSpec

Rows = dict[str, np.ndarray]

MOMENTS = ("obs", "state", "available", "alive")  # T + 1 rows an episode, the others T


def empty_rows(n: int, length: int, spec: TeamSpec, own_state: bool) -> Rows:
    """n episodes of up to `length` moves, all padding.

    Padding keeps action 0 available: a row with nothing available would turn into NaN.
    own_state: the state is stored; else it is the joint observation and stored but once.
    """
    t, a = length, spec.n_actions
    rows = {
        "obs": np.zeros((n, t + 1, spec.n_agents, spec.obs_dim), np.float32),
        "available": np.zeros((n, t + 1, spec.n_agents, a), bool),
        "alive": np.zeros((n, t + 1, spec.n_agents), bool),
        "actions": np.zeros((n, t, spec.n_agents), np.int64),
        "reward": np.zeros((n, t), np.float32),
        "terminated": np.zeros((n, t), bool),
        "valid": np.zeros((n, t), bool),
    }
    rows["available"][..., 0] = True
    if own_state:
        rows["state"] = np.zeros((n, t + 1, spec.state_dim), np.float32)
    return rows


class EpisodeReplay:
    """The last `capacity` whole episodes, and the E open ones being played.

    `begin` and `append` take the moments of E episodes as they come; an episode is stored when
    its last moment arrives, `valid` written once, here.
    """

    def __init__(self, capacity: int, spec: TeamSpec, own_state: bool = True) -> None:
        self.capacity, self.spec, self.own_state = capacity, spec, own_state
        self.length = 1  # the longest episode that fits; doubled when one does not
        self.stored = empty_rows(min(capacity, 64), 1, spec, own_state)
        self.episode_length = np.zeros(capacity, np.int64)
        self.n_stored = 0  # episodes held
        self.n_added = 0  # episodes ever stored
        self.n_lost = 0  # episodes dropped because their environment broke
        self.open = empty_rows(0, 1, spec, own_state)
        self.t = np.zeros(0, np.int64)  # moves so far of each open episode

    def __len__(self) -> int:
        return self.n_stored

    # -- recording ------------------------------------------------------------------------

    def begin(self, step: Step) -> None:
        """E new episodes at their moment 0; open ones are forgotten."""
        self.open = empty_rows(step.n_envs, self.length, self.spec, self.own_state)
        self.t = np.zeros(step.n_envs, np.int64)
        self._write_moment(step, np.arange(step.n_envs))

    def append(self, actions: np.ndarray, step: Step) -> int:
        """The moves just made and what they led to; rows that are `first` start anew.

        actions: [E, N].  Returns how many episodes were completed and stored.
        """
        rows = np.flatnonzero(~step.first)
        if len(rows) and self.t[rows].max() == self.length:
            self._lengthen()
        t = self.t[rows]
        self.open["actions"][rows, t] = actions[rows]
        self.open["reward"][rows, t] = step.reward[rows]
        self.open["terminated"][rows, t] = step.terminated[rows]
        self.open["valid"][rows, t] = True
        self.t[rows] += 1
        if step.first.any():
            self._clear(np.flatnonzero(step.first))
        self._write_moment(step, np.arange(step.n_envs))
        done = np.flatnonzero(step.last & ~step.lost & ~step.first)
        self.n_lost += int((step.last & step.lost & ~step.first).sum())
        if len(done):
            self._store(done)
        return len(done)

    def _write_moment(self, step: Step, rows: np.ndarray) -> None:
        for name in MOMENTS:
            if name in self.open:
                self.open[name][rows, self.t[rows]] = getattr(step, name)[rows]

    def _clear(self, rows: np.ndarray) -> None:
        for name, fresh in empty_rows(len(rows), self.length, self.spec, self.own_state).items():
            self.open[name][rows] = fresh
        self.t[rows] = 0

    def _store(self, rows: np.ndarray) -> None:
        rows = rows[-self.capacity :]
        slots = (self.n_added + np.arange(len(rows))) % self.capacity
        while len(self.stored["valid"]) <= slots.max():
            self._resize(min(2 * len(self.stored["valid"]), self.capacity), self.length)
        if self.stored["valid"].shape[1] < self.length:
            self._resize(len(self.stored["valid"]), self.length)
        for name, values in self.open.items():
            self.stored[name][slots] = values[rows]
        self.episode_length[slots] = self.t[rows]
        self.n_added += len(rows)
        self.n_stored = min(self.n_added, self.capacity)

    def _lengthen(self) -> None:
        self.length *= 2
        self.open = _resized(self.open, len(self.t), self.length, self.spec, self.own_state)

    def _resize(self, n: int, length: int) -> None:
        self.stored = _resized(self.stored, n, length, self.spec, self.own_state)

    # -- sampling -------------------------------------------------------------------------

    def sample(
        self, n: int, rng: np.random.Generator, device: torch.device | str = "cpu"
    ) -> EpisodeBatch:
        """n different episodes, uniformly, cut at the longest of them."""
        which = rng.choice(self.n_stored, n, replace=False, shuffle=False)
        return self.batch(which, device)

    def batch(self, which: np.ndarray, device: torch.device | str = "cpu") -> EpisodeBatch:
        """The stored episodes at these indices as tensors of their own."""
        t = int(self.episode_length[which].max())
        part = {
            name: torch.as_tensor(
                values[which, : t + 1 if name in MOMENTS else t], device=torch.device(device)
            )
            for name, values in self.stored.items()
        }
        state = part["state"] if self.own_state else part["obs"].flatten(2)
        return EpisodeBatch(
            View(part["obs"], state, part["available"], part["alive"]),
            part["actions"],
            part["reward"],
            part["terminated"],
            part["valid"],
        )


def _resized(rows: Rows, n: int, length: int, spec: TeamSpec, own_state: bool) -> Rows:
    larger = empty_rows(n, length, spec, own_state)
    for name, values in rows.items():
        larger[name][: values.shape[0], : values.shape[1]] = values
    return larger
