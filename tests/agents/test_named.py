"""A method by what it is called: one of ours by name, a class of a user's own by where it is."""

from pathlib import Path

import own_methods
import pytest
from teams import says

from vdtoolkit import ALGORITHMS, QMIXAgents, VDNAgents
from vdtoolkit.agents.named import class_of, named

FILE = Path(__file__).parents[1] / "own_methods.py"
WAY_OUT = "give it a name of its own: name = 'my_method'"

pytestmark = pytest.mark.usefixtures("algorithms_as_they_were")


def test_ours_are_known_by_name_and_by_where_they_are():
    before = dict(ALGORITHMS)
    assert named("qmix") is named("vdtoolkit:QMIXAgents") is QMIXAgents
    assert before == ALGORITHMS


def test_a_class_of_a_module_is_one_of_the_algorithms_from_then_on():
    assert named("own_methods:ScaledAgents") is own_methods.ScaledAgents
    assert ALGORITHMS["scaled"] is named("scaled") is own_methods.ScaledAgents


def test_a_class_of_a_file_is_found_from_the_present_folder_and_is_one_class(monkeypatch):
    monkeypatch.chdir(FILE.parent)
    found = named("own_methods.py:ScaledAgents")
    assert found.name == "scaled" and issubclass(found, VDNAgents)
    assert named(f"{FILE}:ScaledAgents") is found


def test_without_a_label_a_class_is_called_by_its_name_not_by_its_parents_label():
    assert own_methods.LikeQPLEX.label == "like_qplex"
    assert own_methods.Nameless.label == "VDN"


def test_a_class_without_a_name_has_a_certificate_but_no_command_of_its_own():
    assert class_of("own_methods:Nameless") is own_methods.Nameless
    assert "" not in ALGORITHMS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("own_methods:Nameless", f"has no name beside those it derives from: {WAY_OUT}"),
        ("own_methods:Clash", f"is named 'qmix', as is QMIXAgents: {WAY_OUT}"),
        ("own_methods:NoWord", f"is named 'two words', which is no Python identifier: {WAY_OUT}"),
        ("own_methods:Keyword", f"is named 'lambda', which is no Python identifier: {WAY_OUT}"),
        (
            "own_methods:NoAgents",
            f"is {own_methods.NoAgents!r}: it must be a class that derives from vdtoolkit.Agents, "
            "ValueAgents for instance",
        ),
        (
            "own_methods:Undecorated",
            f": its Config is {own_methods.Undecorated.Config!r}: it must be a dataclass "
            "(frozen=True) that derives from vdtoolkit.Config",
        ),
    ],
)
def test_a_class_that_cannot_be_told_from_others_is_refused(text, said):
    before = dict(ALGORITHMS)
    with says(ValueError, f"{text}{'' if said.startswith(':') else ' '}{said}"):
        named(text)
    assert before == ALGORITHMS


def test_two_classes_of_one_name_are_refused():
    named("own_methods:ScaledAgents")
    with says(
        ValueError, f"own_methods:AlsoScaled is named 'scaled', as is ScaledAgents: {WAY_OUT}"
    ):
        named("own_methods:AlsoScaled")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("QMX", "unknown method 'QMX': did you mean 'qmix'? methods are iql, "),
        ("own_methods.py", "or a class of your own as module:Class or file.py:Class"),
        ("own_method:ScaledAgents", "there is no module own_method"),
        (
            "own_methods:ScaleAgents",
            "own_methods has no 'ScaleAgents': did you mean 'ScaledAgents'",
        ),
        (f"{FILE.with_name('own_method.py')}:A", "own_method.py: did you mean 'own_methods.py'?"),
        ("os:system", "'os:system' is Python's own: no method is in it"),
    ],
)
def test_what_is_nowhere_is_refused_with_the_closest(text, said):
    with pytest.raises(ValueError) as caught:
        named(text)
    assert said in str(caught.value) and "\n" not in str(caught.value)
