"""Rows as tasks of a Ray cluster: each starts the same process, on a folder that all machines see.

A task whose worker or machine dies is started again by Ray, somewhere else, and goes on from its
checkpoint.  What ends tasks (a cancelled sweep, a driver that is gone) ends their processes too:
they save first.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from vdtoolkit.files import read_json
from vdtoolkit.sweep.attempt import BUSY, FAILED, STOPPED, UNSEEN, Attempt, Ended, attempt
from vdtoolkit.sweep.folder import LOG
from vdtoolkit.sweep.rows import Row

STEP = 0.2  # seconds between two looks at a process
RETRIES = 100  # of a row whose machine or worker died, by Ray
PATIENCE = 60.0  # seconds that a task waits for a folder which a dying process still holds


def train_row(row: Row, cwd: str, out: str, token: str) -> Ended:
    """A row from where it is to its end; what Ray runs, on some machine of the cluster.

    token: the id in sweep.json, by which this machine shows that it sees the sweep's own folder.
    """
    if unseen := _unseen(cwd, out, token):
        return Ended(row, UNSEEN, unseen)
    os.chdir(cwd)
    until = time.monotonic() + PATIENCE
    while isinstance(begun := attempt(row), Ended):
        if begun.how != BUSY or time.monotonic() >= until:
            return begun
        time.sleep(STEP)
    try:
        return _watched(begun)
    except KeyboardInterrupt:  # the sweep is to stop
        begun.stop()
        return _watched(begun)


def _watched(one: Attempt) -> Ended:
    """How it ended.  Short sleeps, so that Ray can cancel the task between them."""
    while (ended := one.poll()) is None:
        time.sleep(STEP)
    return ended


def _unseen(cwd: str, out: str, token: str) -> str:
    """Why this machine cannot take part; "" where it can."""
    node, found = socket.gethostname(), None
    if os.path.isdir(cwd):
        with suppress(ValueError):
            found = read_json(Path(cwd, out) / "sweep.json").get("id")
    else:
        return f"node {node} has no folder {cwd}, in which the sweep was begun{SHARE}"
    if found != token:
        return f"node {node} does not see {Path(cwd, out)} as the sweep does{SHARE}"
    return ""


SHARE = ": all nodes need the same folders, on a file system that they share"


class OnRay:
    """All rows at once: Ray begins them as cores become free."""

    def __init__(self, address: str, out: Path, token: str) -> None:
        self._ray = ray = _import()
        _refuse_nobody(address)
        try:
            ray.init(
                address,
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            said = str(error).splitlines()[0]
            raise ValueError(
                f"--ray {address}: {said}; a cluster is begun by ray start --head, and one that "
                "asks for a token needs RAY_AUTH_MODE=token here, too"
            ) from None
        # else twenty lines of a dead node's log; ours are in the runs' folders
        ray._private.worker._worker_logs_enabled = False
        self._task = ray.remote(train_row)
        self._job = (os.getcwd(), os.fspath(out), token)
        self._rows: dict[Any, Row] = {}
        self._log_sizes: dict[int, int] = {}  # when the row was given to Ray

    @property
    def where(self) -> str:
        """For people."""
        cores = self._ray.cluster_resources().get("CPU", 0)
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        return f"on Ray: {nodes} node{'s' * (nodes != 1)}, {cores:g} core{'s' * (cores != 1)}"

    def free(self) -> bool:
        """Ray queues what it has no core for."""
        return True

    def start(self, row: Row) -> None:
        """Give a row to Ray; whatever dies under it, it is begun again."""
        self._log_sizes[row.index] = _size(row)
        task = self._task.options(
            num_cpus=row.cpus, num_gpus=row.gpus, max_retries=RETRIES, name=row.name
        ).remote(row, *self._job)
        self._rows[task] = row

    def under_way(self) -> list[Row]:
        """Rows that Ray has."""
        return list(self._rows.values())

    def at_work(self) -> list[Row]:
        """Those whose log has grown: their processes were started."""
        return [row for row in self._rows.values() if _size(row) > self._log_sizes[row.index]]

    def wait(self, seconds: float) -> list[Ended]:
        """Rows that ended; as soon as there is one, else after so many seconds."""
        if not self._rows:
            time.sleep(seconds)
            return []
        over, _ = self._ray.wait(list(self._rows), num_returns=1, timeout=seconds)
        return [self._ended(task) for task in over]

    def _ended(self, task: Any) -> Ended:
        row = self._rows.pop(task)
        try:
            return self._ray.get(task)  # type: ignore[no-any-return]
        except self._ray.exceptions.TaskCancelledError:
            return Ended(row, STOPPED, "it was interrupted")
        except self._ray.exceptions.RayError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            return Ended(row, FAILED, f"Ray: {lines[-1].strip() if lines else error!r}", 1)

    def stop(self) -> None:
        """Ask all to save and end; those that were not begun are not."""
        for task in self._rows:
            self._ray.cancel(task, force=False)

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


def _size(row: Row) -> int:
    with suppress(OSError):
        return (row.folder / LOG).stat().st_size
    return 0


def _refuse_nobody(address: str) -> None:
    """ValueError where nothing listens at HOST:PORT: Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=10.0).close()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise ValueError(
            f"--ray {address}: {said}; is a cluster there? ray start --head begins one and says "
            "its address"
        ) from None


def _import() -> Any:
    try:
        import ray
    except ImportError:
        raise ValueError("--ray needs Ray: pip install 'vdtoolkit[ray]'") from None
    return ray
