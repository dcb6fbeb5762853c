"""StarCraft II's messages under any protobuf, its fast C implementation included.

The modules of s2clientprotocol were written by a protoc of 2017.  They build descriptors by hand,
which protobuf's C implementation (upb, the default from 4 on) refuses ("Descriptors cannot be
created directly") and its Python one warns of.  `install()` has them built instead as today's
protoc has it written: from the serialised description that each holds, by protobuf's own builder.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

PACKAGE = "s2clientprotocol"


def install() -> bool:
    """See to it that s2clientprotocol can be imported; whether anything had to be done.

    Nothing is, where it was done before, and below protobuf 3.20, which takes the old modules.
    """
    builder = importlib.util.find_spec("google.protobuf.internal.builder")
    if builder is None or any(isinstance(finder, Finder) for finder in sys.meta_path):
        return False
    sys.meta_path.insert(0, Finder())
    return True


def implementation() -> str:
    """What protobuf runs in: 'upb', 'cpp' or 'python'."""
    from google.protobuf.internal import api_implementation

    return api_implementation.Type()


class Finder(MetaPathFinder):
    """Finds the modules s2clientprotocol.*_pb2, those of an old protoc alone."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec with a loader that builds it; None leaves it to Python."""
        if not (fullname.startswith(f"{PACKAGE}.") and fullname.endswith("_pb2")):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None:
            return None
        description = serialised(Path(spec.origin))
        if description is not None:
            spec.loader = Builder(description)
        return spec


class Builder(Loader):
    """Fills a module with what its serialised description says."""

    def __init__(self, description: bytes) -> None:
        self.description = description

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Its messages, enums and their values, after those of the modules it needs."""
        from google.protobuf import descriptor_pb2, descriptor_pool
        from google.protobuf.internal import builder

        told = descriptor_pb2.FileDescriptorProto.FromString(self.description)
        for needed in told.dependency:
            import_module(needed.replace("/", ".").removesuffix(".proto") + "_pb2")
        made = descriptor_pool.Default().AddSerializedFile(self.description)
        names = vars(module)
        names["DESCRIPTOR"] = made
        builder.BuildMessageAndEnumDescriptors(made, names)
        builder.BuildTopDescriptorsAndMessages(made, module.__name__, names)


def serialised(path: Path) -> bytes | None:
    """The description that an old module holds; None where there is none: protoc's is new."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb":
            for part in ast.walk(node.value):  # b"..." itself, or _b("...") for Python 2 and 3
                if isinstance(part, ast.Constant) and isinstance(part.value, str | bytes):
                    text = part.value
                    return text if isinstance(text, bytes) else text.encode("latin-1")
    return None
