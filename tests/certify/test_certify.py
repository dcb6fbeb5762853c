"""Every method's certificate holds; every broken copy is caught by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vdtoolkit import ALGORITHMS
from vdtoolkit.agents import QMIXAgents, ValueAgents, VDNAgents
from vdtoolkit.certify import CHECKS, certify
from vdtoolkit.certify.anchors import expectile
from vdtoolkit.certify.formulas import FORMULAS, formula_of, returns
from vdtoolkit.certify.gates import judged, trained_return, wilson
from vdtoolkit.certify.page import page
from vdtoolkit.certify.search import shrunk
from vdtoolkit.certify.subject import Subject, differs, random_moment
from vdtoolkit.certify.traps import TRAPS

from .broken import BROKEN

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
SLOW = ("least-squares", "central", "igm-trained", "fixed-point")  # train for seconds
LEARNS = [name for name, one in CHECKS.items() if one.learns]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_promise_of_every_method_is_kept(name):
    quick = [c for c in CHECKS if c not in SLOW and c not in LEARNS]
    found = certify(ALGORITHMS[name], draws=12, seed=1, only=quick)
    assert [(e.check, e.facts) for e in found.broken] == []
    assert found.ok and [e.check for e in found.entries] == quick


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_copy_is_caught_by_name(what):
    cls, checks = BROKEN[what]
    found = certify(cls, draws=40, only=[c for c in checks if c not in SLOW])
    caught = {e.check: e.facts for e in found.broken}
    for name in found.entries:
        assert name.check in caught, what
        assert not any("could not be carried out" in fact for fact in caught[name.check]), caught


@pytest.mark.parametrize("what", [w for w, (_, c) in BROKEN.items() if set(c) & set(SLOW)])
def test_a_broken_copy_settles_elsewhere(what):
    cls, checks = BROKEN[what]
    found = certify(cls, draws=1, only=[c for c in checks if c in SLOW])
    assert found.broken and all("carried out" not in f for e in found.broken for f in e.facts)


@pytest.mark.parametrize("name", ["vdn", "iql", "hysteretic_iql", "joint_q"])
def test_anchors_are_reached(name):
    found = certify(ALGORITHMS[name], draws=5, only=SLOW)
    assert [(e.check, e.facts) for e in found.broken] == []
    assert {e.status for e in found.entries} == {"kept", "not promised"}


def test_every_check_but_few_catches_a_broken_copy():
    caught = {name for _, checks in BROKEN.values() for name in checks}
    few = {
        "every-move",
        "decentralised",
        "places",
        "dead-noop",  # the same code as loss, own-history
        "igm-trained",
        *LEARNS,
    }
    assert set(CHECKS) - caught <= few


def test_traps_name_checks_or_a_reason():
    assert len(TRAPS) >= 35
    for fault, caught, why in TRAPS:
        assert caught or why, fault
        assert set(caught) <= set(CHECKS), fault


def test_what_is_not_promised_is_measured():
    entries = {
        e.check: e for e in certify(ALGORITHMS["qtran_base"], draws=30, only=["igm"]).entries
    }
    assert entries["igm"].status == "not promised"
    assert "once trained; at random weights" in entries["igm"].how
    assert " 0 of 60" not in entries["igm"].how


def test_a_counter_example_is_made_simple():
    (found,) = certify(BROKEN["VDN: one agent is subtracted"][0], draws=5, only=["igm"]).broken
    assert found.facts[0].startswith("Q_tot is ")
    assert "available" not in found.facts[0] and "alive" not in found.facts[0]
    assert found.facts[0].count("0.0") > 6


def test_shrinking_keeps_what_is_needed():
    subject = Subject(VDNAgents)
    here = random_moment(subject.agents(), torch.Generator().manual_seed(3))
    small = shrunk(here, lambda moment: bool(moment.qs[1, 2].abs() > 0.2))
    assert small.qs.abs().gt(0).sum() == 1 and small.view.available.all()


def test_an_own_loss_is_not_held_to_another_formula():
    class Own(QMIXAgents):
        own_loss = True

    class Further(VDNAgents):
        pass

    assert formula_of(Own) is None
    assert formula_of(Further) is FORMULAS[ValueAgents]
    (entry,) = certify(Own, draws=1, only=["loss"]).entries
    assert entry.status == "not promised"


def test_returns_by_definition():
    """The anchors of tests/test_returns.py, by the mixture of n-step returns."""
    r, after = [1.0, 2.0, 3.0], [20.0, 30.0, 40.0]
    np.testing.assert_allclose(returns(r, after, True, 0.99, 0.6), [18.2232, 15.662, 3], atol=1e-4)
    np.testing.assert_allclose(
        returns(r, after, False, 0.99, 0.6), [32.1955, 39.1844, 42.6], atol=1e-4
    )


def test_expectiles_by_hand():
    """Q(A) = (8 - 24 b) / (1 + 2 b), Q(B) = -12 b / (2 + b) on QTRAN's game."""
    for b in (1.0, 0.4, 0.1):
        assert expectile(np.array([8.0, -12, -12]), b) == pytest.approx((8 - 24 * b) / (1 + 2 * b))
        assert expectile(np.array([-12.0, 0, 0]), b) == pytest.approx(-12 * b / (2 + b))


def test_wilson_and_what_a_gate_refutes():
    low, high = wilson(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(5, 5)[1] == 1.0
    assert judged(3, 5, 0.95, "x")[1]  # even the upper end, 0.88, is below
    assert not judged(5, 5, 0.95, "x")[1]
    assert not judged(4, 5, 0.95, "x")[1]  # 0.96


def test_a_gate_trains_and_tells_the_greedy_payoff():
    assert trained_return(Subject(VDNAgents), 0, "qtran", moves=1500) in (8.0, 0.0, -12.0)


def test_differs_names_what_differs():
    one = {"the loss": torch.tensor(1.0), "w": torch.ones(2)}
    assert differs(one, one) == ""
    assert (
        differs(one, {"the loss": torch.tensor(2.0), "w": torch.ones(2)}) == "the loss is 1, not 2"
    )
    assert "w is missing" in differs({"the loss": torch.tensor(1.0)}, one)
    assert "the gradient of w is 1, not nan" in differs(
        one, {**one, "w": torch.full((2,), torch.nan)}
    )


def test_bad_input():
    with pytest.raises(TypeError, match="certify takes a class of agents, not 'qmix'"):
        certify("qmix")
    with pytest.raises(ValueError, match="draws=0"):
        certify(VDNAgents, draws=0)
    with pytest.raises(ValueError, match="there is no check 'igmm'"):
        certify(VDNAgents, only=["igmm"])


def test_a_certificate_is_plain_data():
    found = certify(VDNAgents, draws=2, only=["igm", "symmetric"])
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["ok"] and [e["check"] for e in data["entries"]] == ["igm", "symmetric"]
    assert "VDN (vdn): 2 kept" in str(found)


def test_the_page_lists_every_method_and_check():
    told = (ROOT / "docs" / "certificates.md").read_text(encoding="utf-8")
    for name, cls in ALGORITHMS.items():
        assert f"| {cls.label} (`{name}`) |" in told, name
        assert f"## {cls.label}\n" in told
    for one in CHECKS.values():
        rows = 1 if one.learns else 1 + len(ALGORITHMS)
        assert told.count(f"| `{one.name}` |") >= rows, one.name
        assert one.promise.replace("|", "\\|") in told, one.name
    assert "vdtoolkit certify --page" in told and "seed 0" in told and " s on one core" in told
    assert "**broken**" not in told
    for fault, _, _ in TRAPS:
        assert fault in told


def test_a_page_is_of_what_was_found():
    found = certify(BROKEN["VDN: one agent is subtracted"][0], draws=5, only=["igm"])
    said = page([found], "the command")
    assert "**broken**" in said and "the command" in said and "learning gates not run" in said
