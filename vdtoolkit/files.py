"""Files that are whole or not there: written beside, flushed to the disk, then put in place.

What is appended to (`Lines`) grows by whole lines: one that does not fit is taken back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

IN_USE = "is in use: another process trains in it"


class FolderError(ValueError):
    """A run's folder that cannot be gone on with; the text says why."""


class InUseError(FolderError):
    """A folder in which another process trains."""


class SavingError(FolderError):
    """A folder that cannot be written to; what was in it before is as it was."""


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """The file that `write(temporary)` makes, put in its place once it is on the disk."""
    with saving(path):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            write(temporary)
            _flush(temporary)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


def write_json(path: Path, plain: Any) -> None:
    """Plain data as a JSON file."""
    text = json.dumps(plain, allow_nan=False, indent=1) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; ValueError with what is wrong for anything else."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error or 'too deep'}") from None
    if not isinstance(told, dict):
        raise ValueError(f"{path} holds a JSON {type(told).__name__}, expected an object")
    return told


class Lines:
    """A file of lines, one JSON object each, that is only appended to.

    offset: bytes that count; what is behind them, from a run that was ended, is cut off.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        with saving(path):
            found = path.stat().st_size if path.exists() else 0
            if found < offset:
                raise ValueError(f"{path} has {found} bytes, {offset} were written: it was cut")
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by close)
            self._file.truncate(offset)
            self._file.seek(offset)
        self.offset = offset

    def add(self, plain: dict[str, Any]) -> None:
        """One more line; on a full disk none of it."""
        line = json.dumps(plain, allow_nan=False).encode() + b"\n"
        with saving(self.path):
            try:
                written = self._file.write(line)
                if written != len(line):
                    self._file.write(line[written:])  # says why
            except OSError:
                with suppress(OSError):
                    self._file.truncate(self.offset)
                raise
        self.offset += len(line)

    def flush(self) -> int:
        """Wait until the disk has it; how many bytes that are."""
        with saving(self.path):
            os.fsync(self._file.fileno())
        return self.offset

    def close(self) -> None:
        """No more lines."""
        self._file.close()


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """What the system refuses as one clear error."""
    try:
        yield
    except OSError as error:
        raise SavingError(
            f"cannot write {path}: {error.strerror or error}; all that was saved before is whole"
        ) from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else trains in it meanwhile; the lock ends with the process.

    It holds on one machine: file systems that many machines share do not pass it on.  There is none
    on Windows.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InUseError(f"{folder} {IN_USE}") from None
        yield
    finally:
        os.close(handle)


def flush_folder(folder: Path) -> None:
    """Names of files that were put in place survive a power cut, too (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
