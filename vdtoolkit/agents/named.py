"""A method by what it is called: `qmix`, or a class of one's own by where it is.

| name | what it is |
|---|---|
| `qmix` | one of `ALGORITHMS` |
| `my_package.my_module:MyAgents` | a class in a module |
| `folder/my_file.py:MyAgents` | a class in a file; the path is read from the present folder |
"""

from __future__ import annotations

import difflib
import keyword

from vdtoolkit.agents import ALGORITHMS, Agents
from vdtoolkit.config import Config
from vdtoolkit.lookup import attribute, from_here, refuse_pythons_own


def named(text: str) -> type[Agents]:
    """The class of a method; ValueError says what is wrong with the name, or with the class.

    A class of one's own is put into `ALGORITHMS` under its own name: so `load` finds it, too.
    """
    cls = class_of(text)
    if is_own(text):
        _refuse_nameless(text, cls)
        ALGORITHMS[cls.name] = cls
    return cls


def class_of(text: str) -> type[Agents]:
    """The same, of whatever name it is and left out of `ALGORITHMS`."""
    if not is_own(text):
        return ALGORITHMS[_known(text)]
    source, _, name = text.rpartition(":")
    refuse_pythons_own(text, "no method is in it")
    from_here()
    found = attribute(source, name)
    if not (isinstance(found, type) and issubclass(found, Agents)):
        raise ValueError(
            f"{text} is {found!r}: it must be a class that derives from vdtoolkit.Agents, "
            "ValueAgents for instance"
        )
    return found


def is_own(text: str) -> bool:
    """Whether it says where a class is: SOURCE:CLASS."""
    return ":" in text


def _known(name: str) -> str:
    """The name of one of `ALGORITHMS`; ValueError with the closest for any other."""
    if name not in ALGORITHMS:
        close = difflib.get_close_matches(name.lower().replace("-", "_"), ALGORITHMS, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"unknown method {name!r}: {hint}methods are {', '.join(ALGORITHMS)}, or a class of "
            "your own as module:Class or file.py:Class"
        )
    return name


def _refuse_nameless(text: str, cls: type[Agents]) -> None:
    """ValueError for a class that folders, flags and tables could not tell from another."""
    name, way_out = vars(cls).get("name", ""), "give it a name of its own: name = 'my_method'"
    if not name:
        raise ValueError(f"{text} has no name beside those it derives from: {way_out}")
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{text} is named {name!r}, which is no Python identifier: {way_out}")
    other = ALGORITHMS.get(name, cls)
    if other is not cls:
        raise ValueError(f"{text} is named {name!r}, as is {other.__qualname__}: {way_out}")
    own = cls.Config
    is_config = isinstance(own, type) and issubclass(own, Config)
    if not is_config or "__dataclass_fields__" not in vars(own):
        raise ValueError(
            f"{text}: its Config is {own!r}: it must be a dataclass (frozen=True) that derives "
            "from vdtoolkit.Config"
        )
