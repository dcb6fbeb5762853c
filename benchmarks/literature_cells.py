"""Cells of work: some at a time in a process of their own, each with one small file of results."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOADED = "benchmarks.literature_tasks"  # imports torch, once for all cells


@dataclass(frozen=True)
class Cell:
    """One training."""

    part: str
    task: str
    method: str
    seed: int
    moves: int

    @property
    def name(self) -> str:
        """Also where its file lies below the folder of results."""
        return f"{self.part}-{self.moves}/{self.task}/{self.method}-{self.seed}"


Result = dict[str, Any]
Group = Sequence[Cell]  # of one part, task and method: what one process does
Work = Callable[[Group], Sequence[Result]]


def write_whole(path: Path, text: str) -> None:
    """The file is there with all of the text, or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def known(folder: Path, kept: Path | None = None) -> dict[str, Result]:
    """Every result by the cell's name; a file in the folder goes before the same in `kept`."""
    found: dict[str, Result] = {}
    if kept is not None and kept.exists():
        found.update(json.loads(kept.read_text(encoding="utf-8")))
    for path in sorted(folder.glob("*/*/*.json")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def keep(results: dict[str, Result], path: Path) -> None:
    """All results in one file, a line each; failures are left out, so that they are run again."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(result, allow_nan=False)}"
        for name, result in sorted(results.items())
        if "failed" not in result
    ]
    write_whole(path, "{\n" + ",\n".join(lines) + "\n}\n")


def work(cells: Group) -> Sequence[Result]:
    """What the cells' process does."""
    from benchmarks.literature_tasks import train_cells

    return train_cells(cells)


def _in_process(cells: Group, folder: Path, work: Work) -> None:
    """Train, and write the results; an error is a result as well."""
    began = time.perf_counter()
    try:
        results = work(cells)
    except Exception as error:
        results = [{"failed": f"{type(error).__name__}: {error}"[:500]} for _ in cells]
    seconds = round((time.perf_counter() - began) / len(cells), 1)
    for cell, result in zip(cells, results, strict=True):
        write_whole(
            path_of(cell, folder), json.dumps({**result, "seconds": seconds}, allow_nan=False)
        )


def path_of(cell: Cell, folder: Path) -> Path:
    """Where its result lies."""
    return folder / f"{cell.name}.json"


def run(
    todo: Sequence[Group],
    folder: Path,
    *,
    hours: float,
    jobs: int = 1,
    work: Work = work,
    start: str | None = None,
) -> Iterator[tuple[Cell, Result]]:
    """Each group in a process of its own, so many side by side; cells are told as they are done.

    hours: what a process may take for each of its cells before it is ended and they count as
    failed.  What runs when the iterator is closed (Ctrl-C) is lost; what is told is on disk.
    """
    methods = multiprocessing.get_all_start_methods()
    kind = start or ("forkserver" if "forkserver" in methods else "spawn")
    context: Any = multiprocessing.get_context(kind)
    if kind == "forkserver":  # torch is imported once for all cells
        context.set_forkserver_preload([PRELOADED])
    waiting = list(todo)
    live: list[tuple[Group, BaseProcess, float]] = []
    try:
        while waiting or live:
            while waiting and len(live) < jobs:
                cells = waiting.pop(0)
                for cell in cells:
                    path_of(cell, folder).unlink(missing_ok=True)
                process = context.Process(target=_in_process, args=(cells, folder, work))
                process.start()
                live.append((cells, process, time.monotonic()))
            time.sleep(0.05)
            for one in list(live):
                cells, process, began = one
                late = time.monotonic() - began > hours * 3600 * len(cells)
                if process.is_alive() and not late:
                    continue
                if process.is_alive():
                    _end(process)
                process.join()
                live.remove(one)
                for cell in cells:
                    path = path_of(cell, folder)
                    if not path.exists():
                        why = f"took more than {hours:g} h" if late else "its process died"
                        write_whole(path, json.dumps({"failed": why}))
                    yield cell, json.loads(path.read_text(encoding="utf-8"))
    finally:
        for _, process, _ in live:
            _end(process)


def _end(process: BaseProcess) -> None:
    process.terminate()
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()


def missing(cells: Sequence[Cell], results: dict[str, Result], again: bool = False) -> list[Cell]:
    """What is still to be run; `again`: failures too."""
    return [
        cell
        for cell in cells
        if cell.name not in results or (again and "failed" in results[cell.name])
    ]


def grouped(cells: Sequence[Cell], together: int) -> list[Group]:
    """Cells that differ in the seed alone, so many of them at most, as one group."""
    found: list[list[Cell]] = []
    for cell in cells:
        last = found[-1] if found else []
        same = last and replace(last[-1], seed=cell.seed) == cell
        if same and len(last) < together:
            last.append(cell)
        else:
            found.append([cell])
    return found
