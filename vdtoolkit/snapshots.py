"""What a run is resumed from: the folder `checkpoint/`, its state and its replay.

`state.safetensors` is replaced whole at each checkpoint.  The replay beside it is a log that only
grows: each checkpoint adds one segment with the episodes that came since the last, written once
and never again.  The state names the segments that it needs; only then are those deleted of which
nothing is in the buffer any more, so that the disk holds the buffer and little else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vdtoolkit import sealed
from vdtoolkit.agents import Agents
from vdtoolkit.checkpoint import FORMAT, UNFIT, read, refuse_columns, state_of, take
from vdtoolkit.files import saving
from vdtoolkit.replay import Columns

STATE = "state.safetensors"


class Snapshots:
    """The checkpoints of one run, of which the last is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / STATE
        with saving(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._segments: list[list[int]] = []  # first episode, how many, checksum
        self._written = 0  # episodes before this one are in the log, or were gone too soon

    def write(self, agents: Agents, run: dict[str, Any]) -> None:
        """All that agents are between two vector steps, and what the run knows, plain data."""
        replay = agents.replay
        assert replay is not None
        oldest = replay.serial - len(replay)
        first = max(self._written, oldest)
        if replay.serial > first:
            columns = {k: torch.as_tensor(v) for k, v in replay.stored(first - oldest).items()}
            crc = sealed.write(self._segment(first), columns, {"format": FORMAT, "first": first})
            self._segments.append([first, replay.serial - first, crc])
        self._written = replay.serial
        needed = [segment for segment in self._segments if segment[0] + segment[1] > oldest]
        header, tensors = state_of(agents)
        header["replay"] |= {"serial": replay.serial, "n_stored": len(replay), "segments": needed}
        open_now = {f"open.{k}": torch.as_tensor(v) for k, v in agents.in_progress().items()}
        sealed.write(self.path, tensors | open_now, {**header, "run": run})
        self._segments = needed
        self.sweep()

    def exists(self) -> bool:
        """Whether there is one."""
        return self.path.exists()

    def restore(self, agents: Agents) -> dict[str, Any]:
        """Agents as they were at the checkpoint; what the run knew.  ValueError where it is bad."""
        header, tensors = read(self.path)
        now = {k.removeprefix("open."): t.numpy() for k, t in tensors.items() if k[:5] == "open."}
        rest = {k: t for k, t in tensors.items() if k[:5] != "open."}
        take(agents, header, rest, self.path)
        try:
            told = header["replay"]
            replay: Any = agents.replay
            if told["n_stored"]:
                columns = self._columns(agents, told)
                replay.fill(columns, int(told["n_added"]))
            replay.n_added, replay.serial = int(told["n_added"]), int(told["serial"])
            agents.go_on(now)
            self._segments, self._written = told["segments"], int(told["serial"])
            run = dict(header["run"])
        except UNFIT as error:
            raise ValueError(f"{self.path} does not fit this run: {error}") from None
        self.sweep()
        return run

    def _columns(self, agents: Agents, told: dict[str, Any]) -> Columns:
        """What the buffer held, out of the segments of the log."""
        parts = []
        for first, n, crc in told["segments"]:
            path = self._segment(first)
            header, tensors = sealed.read(path, "a segment of a run's replay")
            columns = {name: tensor.numpy() for name, tensor in tensors.items()}
            if header["crc32"] != crc or len(columns["moves"]) != n:
                raise ValueError(f"{path} is of another run than {self.path}")
            assert agents.replay is not None
            refuse_columns(agents.replay, columns)
            parts.append(columns)
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        surplus = len(joined["moves"]) - int(told["n_stored"])
        if surplus < 0:
            raise ValueError(f"its log lacks {-surplus} episodes")
        gone = int((joined["moves"][:surplus] + 1).sum())  # rows of those that had left the buffer
        return {name: x[surplus if name == "moves" else gone :] for name, x in joined.items()}

    def _segment(self, first: int) -> Path:
        return self.folder / f"episodes-{first:012}.safetensors"

    def sweep(self) -> None:
        """Delete segments that the state does not need, and what was left half-written."""
        kept = {self._segment(first).name for first, _, _ in self._segments} | {STATE}
        for name in os.listdir(self.folder):
            if (name not in kept and name.endswith(".safetensors")) or name.startswith("."):
                (self.folder / name).unlink(missing_ok=True)
