"""Tensors and a JSON header in one safetensors file, with a checksum over both; no pickle.

safetensors itself notices a file that is cut short, not one whose numbers have changed.
"""

from __future__ import annotations

import json
import os
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from vdtoolkit.files import SavingError, write_whole

KEY = "vdtoolkit"  # of the header, in safetensors' own metadata
SEALED = 3  # the format that brought the checksum
Tensors = dict[str, Tensor]


def write(path: str | PathLike[str], tensors: Tensors, header: dict[str, Any]) -> int:
    """Such a file, whole or not at all; its checksum.  Equal contents give equal bytes."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    crc = checksum(header, plain)
    told = json.dumps({**header, "crc32": crc})
    try:
        write_whole(Path(path), lambda temporary: save_file(plain, temporary, metadata={KEY: told}))
    except safetensors.SafetensorError as error:  # what the disk refuses comes as this, too
        raise SavingError(
            f"cannot write {path}: {error}; all that was saved before is whole"
        ) from None
    return crc


def read(path: str | PathLike[str], what: str) -> tuple[dict[str, Any], Tensors]:
    """The header, its "crc32" with it, and the tensors; ValueError for all that is no such file.

    what: that it should be, in words.
    """
    try:
        with safetensors.safe_open(os.fspath(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (safetensors.SafetensorError, OSError, MemoryError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not {what}: {error}") from None
    try:
        header = json.loads(metadata[KEY])
        version = header["format"]
        if type(version) is not int:
            raise TypeError
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError(f"{path} is a safetensors file, but not one of vdtoolkit's") from None
    header, crc = {k: v for k, v in header.items() if k != "crc32"}, header.get("crc32")
    if crc != checksum(header, tensors) and (version == SEALED or crc is not None):
        raise ValueError(f"{path} is damaged: its checksum is not that of what it holds")
    return {**header, "crc32": crc}, tensors


def checksum(header: dict[str, Any], tensors: Tensors) -> int:
    """CRC-32 of a header and of tensors with their names, types and shapes."""
    crc = zlib.crc32(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        crc = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), crc)
        if tensor.numel():
            content: Any = tensor.reshape(-1).view(torch.uint8).numpy()
            crc = zlib.crc32(content, crc)
    return crc
