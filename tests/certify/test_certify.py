"""Every method's certificate holds; every broken copy is caught by name."""

import ast
import json
import re
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

from vdtoolkit import ALGORITHMS
from vdtoolkit.agents import (
    COMAAgents,
    NonMonotonicQMIXAgents,
    QFIXAgents,
    QMIXAgents,
    QPLEXAgents,
    ValueAgents,
    VDNAgents,
)
from vdtoolkit.certify import CHECKS, certify, search
from vdtoolkit.certify.anchors import LURE, Settled, expectile, settle, tied
from vdtoolkit.certify.formulas import FORMULAS, formula_of, returns
from vdtoolkit.certify.gates import judged, trained_return, wilson
from vdtoolkit.certify.learning import float32, same_parameters
from vdtoolkit.certify.page import page
from vdtoolkit.certify.subject import Subject, differs
from vdtoolkit.certify.traps import TRAPS
from vdtoolkit.igm.limits import limits

from .broken import BROKEN, OF_TRAP

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "MATH.md"
ANCHORS = ("least-squares", "central", "igm-trained", "fixed-point")  # train for seconds
LEARNS = [name for name, one in CHECKS.items() if one.learns]
QUICK = [name for name in CHECKS if name not in (*ANCHORS, *LEARNS)]


@pytest.fixture(autouse=True)
def numbers_as_found(monkeypatch, request):
    """No counter-example is simplified, which takes longest, unless a test is about that."""
    if "shrinks" not in request.keywords:
        monkeypatch.setattr(search, "PHASES", (hypothesis.Phase.generate,))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_promise_of_every_method_is_kept(name):
    found = certify(ALGORITHMS[name], draws=6, seed=1, only=QUICK)
    assert [(e.check, e.facts) for e in found.broken] == []
    assert found.ok and [e.check for e in found.entries] == QUICK


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_promise_of_every_method_is_kept_in_many_draws(name):
    found = certify(ALGORITHMS[name], draws=300, seed=2, learn=3)
    assert [(e.check, e.facts) for e in found.broken] == []


def caught(what, draws, only):
    """The checks that are broken in a copy: by a counter-example, never by a crash."""
    found = certify(BROKEN[what][0], draws=draws, only=only)
    for e in found.broken:
        assert not any("could not be carried out" in fact for fact in e.facts), (e.check, e.facts)
    return {e.check for e in found.broken}


@pytest.mark.parametrize("what", [w for w, (_, c) in BROKEN.items() if set(c) - set(ANCHORS)])
def test_a_broken_copy_is_caught_by_name(what):
    checks = [c for c in BROKEN[what][1] if c not in ANCHORS]
    assert caught(what, 20, checks) == set(checks)


@pytest.mark.slow
@pytest.mark.parametrize("what", [w for w, (_, c) in BROKEN.items() if set(c) & set(ANCHORS)])
def test_a_broken_copy_settles_elsewhere(what):
    checks = [c for c in BROKEN[what][1] if c in ANCHORS]
    assert caught(what, 1, checks) == set(checks)


def test_a_simple_broken_copy_settles_elsewhere():
    assert caught("Hysteretic IQL: forgives the wrong errors", 1, ["fixed-point"])


@pytest.mark.parametrize("what", BROKEN)
def test_a_plain_check_does_not_see_what_is_broken(what):
    """Finite numbers come out and parameters move: only what they should be is not so."""
    subject = Subject(BROKEN[what][0])
    agents, before = subject.agents(), subject.agents()
    told = agents.learn_from(float32(subject.batch()))
    assert np.isfinite(list(told.values())).all(), told
    assert not same_parameters(agents, before)


def test_every_method_has_a_broken_copy():
    bases = {base for cls, _ in BROKEN.values() for base in cls.__mro__}
    assert [name for name, cls in ALGORITHMS.items() if cls not in bases] == []


@pytest.mark.parametrize("name", ["vdn"])
def test_anchors_are_reached(name):
    found = certify(ALGORITHMS[name], draws=5, only=ANCHORS)
    assert [(e.check, e.facts) for e in found.broken] == []
    assert {e.status for e in found.entries} == {"kept", "not promised"}


FORMS = {  # checks of one method's form, and methods that have it
    "qplex-mixing": ["qplex"],
    "qfix-fixing": ["qfix"],
    "qfix-gradient": ["qfix"],
    "nonmonotonic-mixing": ["nonmonotonic_qmix"],
    "weighted-evidence": ["cw_qmix", "ow_qmix"],
    "qtran-value": ["qtran_base", "qtran_alt"],
    "lenient-cooling": ["lenient_iql"],
    "fresh-episodes": ["coma"],
    "acting": ["vdn", "joint_q", "coma"],
    "gradient-step": ["vdn", "coma"],
}


@pytest.mark.parametrize(("one", "name"), [(c, n) for c, names in FORMS.items() for n in names])
def test_a_form_is_kept_at_several_seeds(one, name):
    for seed in range(2, 5):
        (entry,) = certify(ALGORITHMS[name], draws=6, seed=seed, only=[one]).entries
        assert (entry.status, entry.facts) == ("kept", ())


@pytest.mark.parametrize(("one", "name"), [("qfix-fixing", "qplex"), ("lenient-cooling", "iql")])
def test_a_form_is_promised_by_its_method_alone(one, name):
    (entry,) = certify(ALGORITHMS[name], draws=2, only=[one]).entries
    assert entry.status == "not promised" and entry.how.startswith("the form of")


def test_exploration_of_ones_own_is_not_held_to_epsilon_greedy():
    class Own(ValueAgents):
        build_mixer, q_tot = VDNAgents.build_mixer, VDNAgents.q_tot

        def policy(self, qs, available, epsilon, rng):
            return np.where(available, qs + rng.gumbel(size=qs.shape) * epsilon, -np.inf).argmax(-1)

        def epsilon(self):
            return 0.5

    class Further(VDNAgents):
        policy = Own.policy

    (entry,) = certify(Own, only=["acting"]).entries
    assert entry.status == "kept"
    assert entry.how == "it explores in a way of its own; its epsilon is its own"
    assert not certify(Further, only=["acting"]).ok


# -- anchors --------------------------------------------------------------------------------


def test_no_class_below_holds_the_lure():
    """By hand: columns are 2.5 and 1 on average, so a sum takes (1, 0), which pays 3, not 5."""
    found = limits(LURE)
    assert found["additive"].table == pytest.approx(np.array([[0.25, -1.25], [4.75, 3.25]]))
    assert (found["additive"].sse, found["elu_qmix"].sse) == pytest.approx((12.25, 12.25))
    assert found["monotone"].sse == pytest.approx(2.0)  # 3 and 5 are one action's: 4 each
    assert [found[c].regret for c in ("additive", "elu_qmix", "monotone")] == [2.0, 2.0, 2.0]


def test_tied_counts_the_top_of_a_table():
    payoff = np.array([[8.0, -12, -12], [-12, 0, 0], [-12, 0, 0]])

    def top(table):
        return tied(Settled(Subject(VDNAgents).agents(), payoff, table, payoff, {}))

    assert top(payoff) == 1
    assert top(np.full((3, 3), -4.44)) == 9
    assert top(np.array([[4.0, -12, -12], [-12, 0, 0], [-12, 0, 3.8]])) == 2


class OwnForm(ValueAgents):
    """QFIX's form in a class that does not derive from it."""

    name, label, Config, function_class = "own", "own", QFIXAgents.Config, "unrestricted"
    build_mixer, q_tot, _parts = QFIXAgents.build_mixer, QFIXAgents.q_tot, QFIXAgents._parts


def test_what_holds_every_table_is_judged_by_what_it_does():
    """On QTRAN's game its utilities tie, whatever class it derives from."""
    least, trained = certify(OwnForm, only=["least-squares", "igm-trained"]).entries
    assert (least.status, least.facts) == ("kept", ())
    assert "joint actions tie: it decides nothing" in least.how
    assert trained.status == "kept"
    assert trained.how.startswith("[2 -3; 3 5]: greedy (1, 1), 5")


@pytest.mark.slow
@pytest.mark.parametrize("cls", [QPLEXAgents, QFIXAgents])
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_lure_is_reached_from_any_seed(cls, seed):
    got = settle(Subject(cls, seed=seed), LURE)
    np.testing.assert_allclose(got.table, got.payoff, atol=0.16)
    assert got.utilities.argmax(1).tolist() == [1, 1]


def test_every_check_catches_a_broken_copy():
    of_copies = {name for _, checks in BROKEN.values() for name in checks}
    assert set(CHECKS) - of_copies == set(LEARNS)


# -- traps ----------------------------------------------------------------------------------


def test_traps_are_caught_or_cannot_occur():
    for trap in TRAPS:
        assert set(trap.caught) <= set(CHECKS), trap
        assert trap.caught or trap.why, trap
    assert {t.number for t in TRAPS if t.caught} == set(OF_TRAP)


@pytest.mark.parametrize("number", OF_TRAP)
def test_a_copy_with_the_trap_is_caught_as_the_page_says(number):
    said = {check for t in TRAPS if t.number == number for check in t.caught}
    assert said <= {check for what in OF_TRAP[number] for check in BROKEN[what][1]}
    for what in OF_TRAP[number]:
        assert set(BROKEN[what][1]) & said, what


def test_no_known_trap_is_left_out():
    if not SHARED.exists():
        pytest.skip("the list of traps is not beside this checkout")
    known = re.findall(r"^- T(\d+b?) ", SHARED.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(known) >= 34
    assert set(known) == {t.number for t in TRAPS}


# -- search ---------------------------------------------------------------------------------


def test_what_is_not_promised_is_measured():
    entries = {
        e.check: e for e in certify(ALGORITHMS["qtran_base"], draws=30, only=["igm"]).entries
    }
    assert entries["igm"].status == "not promised"
    assert "once trained; at random weights" in entries["igm"].how
    assert " 0 of 60" not in entries["igm"].how


@pytest.mark.shrinks
def test_a_counter_example_is_made_simple():
    """By hand: Q_0 - Q_1 is not monotone in Q_1, and nothing else is needed to see it."""
    (found,) = certify(BROKEN["VDN: one agent is subtracted"][0], draws=20, only=["igm"]).broken
    for fact in found.facts:
        assert fact.startswith("Q_tot is ")
        assert "available" not in fact and "alive" not in fact
        assert "zeros for all that is seen" in fact and "scale 1.0, seed 0" in fact
        utilities = ast.literal_eval(fact.partition("utilities ")[2].partition(" (weights")[0])
        assert sorted(np.abs(utilities).ravel())[-2] == 0, fact  # one alone


def test_the_same_seed_finds_the_same():
    def found(seed):
        cls = BROKEN["JointQ: greedy actions without masks"][0]
        return certify(cls, draws=30, seed=seed, only=["igm"]).broken[0].facts

    assert found(3) == found(3)
    assert found(3) != found(4)


def cases_of(draws):
    seen = []
    looked = search.Looked(Subject(VDNAgents, draws=draws), lambda agents, here: "")
    looked.first(lambda case: bool(seen.append(case)))
    return seen


def test_cases_are_of_all_kinds():
    seen = cases_of(100)
    assert len(seen) == 100
    assert {len(case.alive) for case in seen} == {2, 3, 4}
    assert {case.scale for case in seen} == set(search.SCALES)
    assert len({case.weights for case in seen}) > 20
    for one in seen:
        assert one.available.any(-1).all()
        assert (one.available[~one.alive].int() == torch.eye(one.qs.shape[1])[0]).all()
    some = sum(bool(case.alive.any() and not case.alive.all()) for case in seen)
    assert some > 15 and sum(not case.available.all() for case in seen) > 30
    simplest = seen[0]
    assert simplest.alive.all() and simplest.available.all() and not simplest.qs.any()


def test_cases_do_not_depend_on_what_is_loaded(monkeypatch):
    """Hypothesis takes numbers from modules' constants, and writes those to a folder: not here."""
    asked, constants = [], providers._get_local_constants

    def noted():
        asked.append(True)
        return constants()

    monkeypatch.setattr(providers, "_get_local_constants", noted)
    cases_of(100)
    assert not asked
    numbers = st.lists(st.integers(), min_size=50)  # another strategy asks
    never = hypothesis.settings(max_examples=20, database=None)
    with pytest.raises(hypothesis.errors.NoSuchExample):
        hypothesis.find(numbers, lambda x: False, settings=never)
    assert asked


def test_a_team_that_a_method_refuses_is_left_out():
    class Three(VDNAgents):
        def build_mixer(self, spec):
            if spec.n_agents != 3:
                raise ValueError(f"three agents, not {spec.n_agents}")
            return super().build_mixer(spec)

    (entry,) = certify(Three, draws=10, only=["monotone"]).entries
    assert entry.status == "kept"
    assert "not for 2 agents (three agents, not 2)" in entry.how and "10 draws" in entry.how


def test_what_is_random_is_told_as_such():
    class Dice(VDNAgents):
        def q_tot(self, nets, utilities, actions, view):
            return super().q_tot(nets, utilities, actions, view) * torch.randn(())

    assert not certify(Dice, draws=10, only=["igm"]).ok


# -- formulas and gates ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "form"), [("vdn", "vdn-sum"), ("qfix", "qfix-fixing")])
def test_the_dead_may_be_mixed_in_as_if_they_lived(name, form):
    checks = ["igm", "dead-unseen", "dead", "dead-noop", "loss", form]
    found = certify(ALGORITHMS[name], {"dead": "noop"}, draws=6, only=checks)
    assert found.ok, str(found)
    told = {entry.check: entry.status for entry in found.entries}
    assert [check for check in checks if told[check] == "not promised"] == ["dead-unseen", "dead"]


def test_an_own_loss_is_not_held_to_another_formula():
    class Own(QMIXAgents):
        own_loss = True

    class Further(VDNAgents):
        pass

    assert formula_of(Own) is None
    assert formula_of(Further) is FORMULAS[ValueAgents]
    entries = certify(Own, draws=1, only=["loss", "dead-noop"]).entries
    assert [e.status for e in entries] == ["not promised", "kept"]


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
    assert trained_return(Subject(VDNAgents), 0, "nonmonotonic", moves=1500) in (8.0, 0.0, -12.0)


def test_and_is_learned_and_the_wrong_way_is_not():
    class WrongWay(COMAAgents):
        def loss(self, batch):
            loss, parts = super().loss(batch)
            return loss - 2 * parts["l_actor"], parts

    (kept,) = certify(COMAAgents, learn=4, only=["learns-and"]).entries
    assert kept.how == "the best payoff in 4 of 4 seeds, 95 % interval [0.51, 1.00]"
    assert not certify(WrongWay, learn=4, only=["learns-and"]).ok
    (no,) = certify(NonMonotonicQMIXAgents, learn=1, only=["learns-and"]).entries
    assert no.status == "not promised"


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
        assert told.count(f"| `{one.name}` |") >= 2, one.name  # of some method at least
        assert one.promise.replace("|", "\\|") in told, one.name
    assert "vdtoolkit certify --page" in told and "seed 0" in told and " s on one core" in told
    assert "**broken**" not in told
    for trap in TRAPS:
        assert f"| T{trap.number} | {trap.fault} |" in told


def test_a_page_is_of_what_was_found():
    found = certify(BROKEN["VDN: one agent is subtracted"][0], draws=5, only=["igm"])
    said = page([found], "the command")
    assert "**broken**" in said and "the command" in said and "learning gates not run" in said
