"""docs/bridges.md as code: the blocks of its sections."""

import re
import sys
from types import ModuleType

from bridges.tools import ROOT

PATH = ROOT / "docs" / "bridges.md"


def titles():
    """The sections, in order."""
    return re.findall(r"^## (.+)$", PATH.read_text(encoding="utf-8"), re.MULTILINE)


def blocks(section):
    """The Python of a section: first the bridge, then the training."""
    text = PATH.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run(section, n_blocks=None):
    """What the names of a section stand for once its (first n) blocks ran."""
    module = ModuleType("page_" + re.sub(r"\W", "_", section))
    sys.modules[module.__name__] = module  # BenchMARL pickles the classes in it
    for number, block in enumerate(blocks(section)[:n_blocks]):
        exec(compile(block, f"{PATH.name}, {section}, block {number}", "exec"), vars(module))
    return module
