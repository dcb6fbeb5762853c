"""Steps become episodes, episodes become batches: the only border from numpy to torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.step import Step, TeamSpec

Columns = dict[str, np.ndarray]

STEP = ("obs", "state", "available", "alive", "reward", "terminated")  # beside the actions
PADDING = 0  # the row that stands for "after the end of the episode"


def kinds(
    spec: TeamSpec, own_state: bool, noted: bool = False
) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """What one moment of a team consists of: name -> shape, dtype.

    own_state: the state is stored; else it is the joint observation and stored but once.
    noted: the algorithm adds a number of its own for each agent.
    """
    n, a = spec.n_agents, spec.n_actions
    found: dict[str, tuple[tuple[int, ...], Any]] = {
        "obs": ((n, spec.obs_dim), spec.obs_dtype),
        "state": ((spec.state_dim,), spec.state_dtype),
        "available": ((n, a), bool),
        "alive": ((n,), bool),
        "reward": ((), np.float32),
        "terminated": ((), bool),
        "actions": ((n,), np.uint8 if a <= 256 else np.int32),
    }
    if not own_state:
        del found["state"]
    if noted:
        found["note"] = ((n,), np.float32)
    return {name: (shape, np.dtype(dtype)) for name, (shape, dtype) in found.items()}


class EpisodeReplay:
    """The last whole episodes, at most `capacity` and `max_bytes` of them, and the E open ones.

    Every moment is one row of each column; an episode, open or stored, is the list of its rows,
    which may lie anywhere.  A row holds what is seen at its moment, and the actions, reward and
    end that led there.  Rows of episodes that go are used again before new ones are touched.
    The columns are reserved whole at the start: memory that was never written costs nothing.
    """

    def __init__(
        self,
        capacity: int,
        spec: TeamSpec,
        own_state: bool = True,
        max_bytes: int = 1 << 32,
        *,
        noted: bool = False,
    ) -> None:
        self.capacity, self.spec, self.own_state = capacity, spec, own_state
        self.max_bytes = max_bytes
        kept = kinds(spec, own_state, noted)
        self.moment_bytes = sum(d.itemsize * int(np.prod(s)) for s, d in kept.values())
        self.n_rows = min(max_bytes // self.moment_bytes, np.iinfo(np.int32).max)
        if self.n_rows < 3:
            raise ValueError(
                f"buffer_bytes={max_bytes} is too small: one moment of this team has "
                f"{self.moment_bytes} bytes, and the shortest episode two of them"
            )
        self.columns: Columns = {n: _reserved((self.n_rows, *s), d) for n, (s, d) in kept.items()}
        # a row with nothing available would turn into NaN: padding keeps action 0
        self.columns["available"][PADDING, :, 0] = True
        self._fresh = PADDING + 1  # rows from here on were never used
        self._free: list[int] = []  # rows used before, free again

        self.n_stored = 0  # episodes held
        self.n_added = 0  # episodes ever stored
        self.n_lost = 0  # episodes dropped because their environment broke
        self.serial = 0  # the number of the next episode to be stored; those held have the last
        self._stored = np.zeros((capacity, 2), np.int32)  # rows of the episode in each slot
        self._moves = np.zeros(capacity, np.int64)  # its length
        self._open = np.zeros((0, 2), np.int32)  # [E, .] rows of the open episodes
        self._moments = np.zeros(0, np.int64)  # [E], how many
        self._envs = np.arange(0)

    def __len__(self) -> int:
        return self.n_stored

    # -- recording ------------------------------------------------------------------------

    def begin(self, step: Step) -> None:
        """E new episodes at their moment 0; open ones are forgotten."""
        self._forget(np.arange(len(self._moments)))
        self._open = np.zeros((step.n_envs, self._stored.shape[1]), np.int32)
        self._moments = np.zeros(step.n_envs, np.int64)
        self._envs = np.arange(step.n_envs)
        self._write(0, step)

    def append(self, actions: np.ndarray, step: Step, note: np.ndarray | None = None) -> int:
        """The moves just made and what they led to; rows that are `first` start anew.

        actions: [E, N]; note likewise, where the replay is `noted`.  Returns how many episodes
        were completed and stored.
        """
        if np.count_nonzero(step.first):
            self._forget(np.flatnonzero(step.first))
            actions = np.where(step.first[:, None], 0, actions)
            note = None if note is None else np.where(step.first[:, None], 0.0, note)
        self._write(actions, step, note)
        over = step.last
        if not np.count_nonzero(over):
            return 0
        over = over & ~step.first
        lost = np.flatnonzero(over & step.lost)
        self.n_lost += len(lost)
        self._forget(lost)
        done = np.flatnonzero(over & ~step.lost)
        for e in done.tolist():
            self._store(e)
        return len(done)

    def correct(self, env: int, **told: np.ndarray) -> None:
        """Write down otherwise what was told of an open episode's present moment."""
        row = self._open[env, self._moments[env] - 1]
        for name, value in told.items():
            self.columns[name][row] = value

    def _write(self, actions: np.ndarray | int, step: Step, note: np.ndarray | None = None) -> None:
        rows = self._take(step.n_envs)
        at: Any = slice(rows[0], rows[0] + 1) if len(rows) == 1 else rows  # three times as fast
        for name in STEP:
            if name in self.columns:
                self.columns[name][at] = getattr(step, name)
        self.columns["actions"][at] = actions
        if "note" in self.columns:
            self.columns["note"][at] = 0.0 if note is None else note
        if self._moments.max() == self._open.shape[1]:
            self._lengthen()
        self._open[self._envs, self._moments] = rows
        self._moments += 1

    def _take(self, n: int) -> np.ndarray:
        """n rows to write to; the oldest episodes go where there are too few."""
        while len(self._free) + self.n_rows - self._fresh < n:
            if not self.n_stored:
                raise ValueError(
                    f"buffer_bytes={self.max_bytes} holds {self.n_rows - 1} moments of this team "
                    f"({self.moment_bytes} bytes each), and the {len(self._moments)} episode(s) in "
                    f"progress have more: raise it, play fewer environments at once, or make "
                    "episodes or observations smaller"
                )
            self._drop_oldest()
        used = min(n, len(self._free))
        rows = [self._free.pop() for _ in range(used)]
        rows.extend(range(self._fresh, self._fresh + n - used))
        self._fresh += n - used
        return np.array(rows)

    def _store(self, env: int) -> None:
        if self.n_stored == self.capacity:
            self._drop_oldest()
        slot = self.n_added % self.capacity
        self._stored[slot] = 0
        self._stored[slot, : self._moments[env]] = self._open[env, : self._moments[env]]
        self._moves[slot] = self._moments[env] - 1
        self._moments[env] = 0
        self.n_added += 1
        self.n_stored += 1
        self.serial += 1

    def _drop_oldest(self) -> None:
        slot = self._slots(0)
        self._release(self._stored[slot, : self._moves[slot] + 1])
        self.n_stored -= 1

    def _forget(self, envs: np.ndarray) -> None:
        for e in envs:
            self._release(self._open[e, : self._moments[e]])
            self._moments[e] = 0

    def _release(self, rows: np.ndarray) -> None:
        self._free.extend(rows[::-1].tolist())  # so that they are taken again in their order

    def _lengthen(self) -> None:
        longer = ((0, 0), (0, self._open.shape[1]))
        self._open, self._stored = np.pad(self._open, longer), np.pad(self._stored, longer)

    def _slots(self, which: Any) -> Any:
        """Where the episodes are; 0 is the oldest held."""
        return (self.n_added - self.n_stored + which) % self.capacity

    # -- sampling -------------------------------------------------------------------------

    def moves(self, which: np.ndarray) -> np.ndarray:
        """How many moves these episodes have."""
        return self._moves[self._slots(which)]

    def sample(
        self, n: int, rng: np.random.Generator, device: torch.device | str = "cpu"
    ) -> EpisodeBatch:
        """n different episodes, uniformly, cut at the longest of them."""
        which = rng.choice(self.n_stored, n, replace=False, shuffle=False)
        return self.batch(which, device)

    def batch(self, which: np.ndarray, device: torch.device | str = "cpu") -> EpisodeBatch:
        """These episodes (0 is the oldest held) as tensors of their own.

        Axes are [B, T+1, ...] as everywhere; in memory time comes first, as networks like it.
        """
        moves = self.moves(which)
        t = int(moves.max())
        rows = self._stored[self._slots(which), : t + 1].T  # PADDING after the end
        valid = np.arange(t)[:, None] < moves

        def gathered(name: str, rows: np.ndarray = rows) -> torch.Tensor:
            return torch.from_numpy(self.columns[name].take(rows, 0)).to(device)

        def led_to(name: str) -> torch.Tensor:
            return gathered(name, rows[1:]).transpose(0, 1)

        obs = gathered("obs")
        state = gathered("state") if self.own_state else obs.flatten(2)
        seen = (obs, state, gathered("available"), gathered("alive"))
        return EpisodeBatch(
            View(*(x.transpose(0, 1) for x in seen)),
            led_to("actions").long(),
            led_to("reward"),
            led_to("terminated"),
            torch.from_numpy(valid).to(device).transpose(0, 1),
            led_to("note") if "note" in self.columns else None,
        )

    # -- as plain data --------------------------------------------------------------------

    def stored(self, skip: int = 0) -> Columns:
        """What is held, without padding: each episode's moments in a row, the oldest first.

        "moves": [n_stored - skip], each episode's length.  skip: leave out so many of the oldest.
        """
        which = self._slots(np.arange(skip, self.n_stored))
        return self._without_padding(self._stored[which], self._moves[which] + 1)

    def opened(self) -> Columns:
        """The open episodes so far, likewise; "moments": [E], how many each has, 0 once over."""
        columns = self._without_padding(self._open, self._moments)
        columns["moments"] = columns.pop("moves") + 1
        return columns

    def actions_so_far(self) -> list[np.ndarray | None]:
        """Of each of the E envs the open episode's actions [t, N]; None where it is over."""
        played = self.columns["actions"]
        return [
            played[self._open[e, 1:n]].astype(np.int64) if n else None
            for e, n in enumerate(self._moments.tolist())
        ]

    def _without_padding(self, rows: np.ndarray, moments: np.ndarray) -> Columns:
        """Columns of the first moments of episodes that are lists of rows, [K, .] and [K]."""
        taken = rows[np.arange(rows.shape[1]) < moments[:, None]]
        return {name: c.take(taken, 0) for name, c in self.columns.items()} | {"moves": moments - 1}

    def fill(self, stored: Columns, n_added: int) -> None:
        """Take over, when empty, what `stored` gave; n_added: episodes ever stored."""
        moves = stored["moves"]
        ends = np.cumsum(moves + 1)
        total = int(ends[-1]) if len(ends) else 0
        if len(moves) > self.capacity or total >= self.n_rows:
            raise ValueError(f"{len(moves)} episodes of {total} moments do not fit the replay")
        rows = np.arange(self._fresh, self._fresh + total, dtype=np.int32)
        for name, column in self.columns.items():
            column[rows] = stored[name]
        self._fresh += total
        self.n_added, self.n_stored = n_added, len(moves)
        self.serial = self.n_stored
        slots = self._slots(np.arange(len(moves)))
        self._moves[slots] = moves
        width = max(int(moves.max(initial=0)) + 1, self._stored.shape[1])
        self._stored = np.zeros((self.capacity, width), np.int32)
        for slot, end, n in zip(slots, ends, moves, strict=True):
            self._stored[slot, : n + 1] = rows[end - n - 1 : end]

    def reopen(self, opened: Columns) -> None:
        """Take over, when none is open, the open episodes that `opened` gave."""
        moments = opened["moments"]
        total, e = int(moments.sum()), len(moments)
        rows = self._take(total).astype(np.int64)  # also where there are none
        for name, column in self.columns.items():
            column[rows] = opened[name]
        self._open = np.zeros((e, self._stored.shape[1]), np.int32)
        while self._open.shape[1] < moments.max(initial=0):
            self._lengthen()
        self._open[np.arange(self._open.shape[1]) < moments[:, None]] = rows
        self._moments, self._envs = moments.astype(np.int64), np.arange(e)

    def __getstate__(self) -> dict[str, Any]:
        """For copies: the columns only as far as they were written."""
        return {**vars(self), "columns": {n: c[: self._fresh] for n, c in self.columns.items()}}

    def __setstate__(self, told: dict[str, Any]) -> None:
        """Reserve the columns anew."""
        vars(self).update(told)
        for name, written in told["columns"].items():
            self.columns[name] = _reserved((self.n_rows, *written.shape[1:]), written.dtype)
            self.columns[name][: self._fresh] = written


def _reserved(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    try:
        return np.zeros(shape, dtype)
    except MemoryError:
        raise MemoryError(
            f"the replay cannot reserve {shape} of {dtype}: give a smaller buffer_bytes"
        ) from None
