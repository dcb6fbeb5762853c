"""Verdicts on tables whose standing is known by hand."""

import numpy as np
import pytest

from vdtoolkit.igm.limits import limits, own_ordering
from vdtoolkit.igm.verdict import (
    AT_CLASS,
    AT_ORDERING,
    NOT_CONVERGED,
    TOLERANCE,
    UNKNOWN,
    verdict,
)

QTRAN = np.array([[8.0, -12, -12], [-12, 0, 0], [-12, 0, 0]])  # range 20: steps of 0.4
CLIMBING = np.array([[11.0, -30, 0], [-30, 7, 6], [0, 0, 5]])
PENALTY_0 = np.array([[10.0, 0, 0], [0, 2, 0], [0, 0, 10]])
XOR = np.eye(2)
STUCK = np.array([[-8.0, -8, -8], [-8, 0, 0], [-8, 0, 0]])  # SSE 320, QMIX's local optimum
BEST = np.array([[8.0, -6, -6], [-6, -6, -6], [-6, -6, -6]])  # SSE 288
A_LAST, A_FIRST = [[-1.0, 0.2, 0.3]] * 2, [[1.0, -0.3, -0.2]] * 2
NAN = float("nan")


def test_the_words():
    assert (AT_CLASS, AT_ORDERING, NOT_CONVERGED, UNKNOWN) == (
        "at its class's optimum",
        "at the optimum of its own ordering",
        "not converged",
        "limit not computed",
    )
    assert TOLERANCE == 0.02


@pytest.mark.parametrize("kind", ["elu_qmix", "monotone"])
@pytest.mark.parametrize(
    ("learned", "utilities", "expected"),
    [
        (BEST, A_FIRST, AT_CLASS),
        (BEST + 0.39, A_FIRST, AT_CLASS),
        (BEST + 1.3, A_FIRST, NOT_CONVERGED),
        (STUCK, A_LAST, AT_ORDERING),
        (STUCK - 0.39, A_LAST, AT_ORDERING),
        (STUCK - 1.3, A_LAST, NOT_CONVERGED),
        (STUCK, A_FIRST, NOT_CONVERGED),
        (np.full((3, 3), -40 / 9), A_LAST, NOT_CONVERGED),  # only the mean is learned yet
        (np.zeros((3, 3)), A_FIRST, NOT_CONVERGED),
        (QTRAN, A_FIRST, AT_CLASS),  # better than the bound
    ],
)
def test_qmix_on_qtrans_game(kind, learned, utilities, expected):
    assert verdict(kind, QTRAN, learned, utilities) == expected
    assert verdict(kind, QTRAN, learned, utilities, limits=limits(QTRAN)) == expected


@pytest.mark.parametrize("function_class", ["additive", "unrestricted"])
def test_classes_without_an_ordering_are_at_their_optimum_or_not(function_class):
    table = limits(QTRAN)[function_class].table
    utilities = [np.zeros(3)] * 2
    assert verdict(function_class, QTRAN, table, utilities) == AT_CLASS
    assert verdict(function_class, QTRAN, table + 0.39, utilities) == AT_CLASS
    assert verdict(function_class, QTRAN, table + 0.41, utilities) == NOT_CONVERGED
    assert verdict(function_class, QTRAN, 0 * table - 12, utilities) == NOT_CONVERGED


def test_the_tolerance_is_an_argument():
    table = limits(QTRAN)["additive"].table
    far = verdict("additive", QTRAN, table + 0.9, A_LAST, tolerance=0.05)
    near = verdict("additive", QTRAN, table + 0.1, A_LAST, tolerance=0.001)
    assert (far, near) == (AT_CLASS, NOT_CONVERGED)


def test_the_mirrored_optimum_of_xor_is_an_optimum_too():
    computed = limits(XOR)["elu_qmix"].table
    mirror = np.array([[1 / 3, 1 / 3], [1 / 3, 1]])
    assert np.abs(computed - mirror).max() > 0.5
    for kind in ("elu_qmix", "monotone"):
        assert verdict(kind, XOR, mirror, [[0, 1], [0, 1]]) == AT_CLASS
        assert verdict(kind, XOR, computed, [[1, 0], [1, 0]]) == AT_CLASS


@pytest.mark.parametrize(
    ("payoff", "learned"),
    [
        (XOR, np.full((2, 2), 0.5)),
        (PENALTY_0, np.array([[5, 0.4, 5], [0.4, 0.4, 0.4], [5, 0.4, 5]])),
    ],
)
def test_gradient_descent_rests_where_actions_of_one_utility_earn_the_same(payoff, learned):
    rng = np.random.default_rng(0)
    utilities = learned.mean(axis=1) + 1e-6 * rng.normal(size=(2, len(payoff)))  # in any order
    learned = learned + 1e-3 * rng.normal(size=learned.shape)
    assert own_ordering(payoff, utilities, "elu_qmix").sse < ((learned - payoff) ** 2).sum() - 0.1
    assert verdict("elu_qmix", payoff, learned, utilities) == AT_ORDERING
    assert verdict("elu_qmix", payoff, learned + 1, utilities) == NOT_CONVERGED


def test_tied_actions_that_earn_unlike_would_part():
    payoff = np.array([[6.0, 4.0], [0.0, 2.0]])  # row means 5 and 1: not at rest at the mean
    utilities = [[1e-6, 0], [1e-6, 0]]
    assert verdict("monotone", payoff, np.full((2, 2), 3.0), utilities) == NOT_CONVERGED


def test_independent_learners_are_compared_by_their_utilities():
    fixed = [np.array([-19 / 3, -17 / 3, 5 / 3]), np.array([-19 / 3, -23 / 3, 11 / 3])]
    learned = np.add.outer(*fixed)  # no Q_tot of theirs: it is not looked at
    assert verdict("independent", CLIMBING, learned, fixed) == AT_CLASS
    for shift, expected in ((0.81, AT_CLASS), (0.83, NOT_CONVERGED)):  # range 41: steps of 0.82
        moved = [fixed[0] + shift, fixed[1] - shift]
        assert verdict("independent", CLIMBING, learned, moved) == expected


def test_independent_learners_are_weighted_and_skip_actions_without_data():
    weights = [[1, 3], [0, 0]]
    utilities = [[1.5, 99.0], [0.0, 2.0]]  # E[R | u] = 1.5 in row 0; 0 and 2 in the columns
    target = [[0.0, 2.0], [8.0, 10.0]]
    assert verdict("independent", target, target, utilities, weights) == AT_CLASS
    utilities[0][0] = 0.5
    assert verdict("independent", target, target, utilities, weights) == NOT_CONVERGED


def test_three_agents_have_no_elu_limit_but_no_error_is_always_an_optimum():
    target = np.zeros((2, 2, 2))
    target[0, 0, 0] = 8
    utilities = [[1.0, 0.0]] * 3
    for kind in ("elu_qmix", "monotone"):
        assert verdict(kind, target, target + 0.1, utilities) == AT_CLASS
        assert verdict(kind, target, target + 1, utilities) == UNKNOWN
    assert verdict("additive", target, 0 * target - 1, utilities) == NOT_CONVERGED


def test_a_given_limit_that_is_not_computed_is_unknown():
    given = limits(np.zeros((2, 2, 2)))
    assert verdict("elu_qmix", QTRAN, STUCK, A_LAST, limits=given) == UNKNOWN


def test_unavailable_joint_actions_do_not_count():
    target = np.where(QTRAN > 0, NAN, QTRAN)
    limit = own_ordering(target, A_LAST, "monotone")
    table = np.where(np.isnan(target), 1e6, limit.table)
    assert verdict("monotone", target, table, A_LAST) == AT_CLASS
    table[1, 1] += 6
    assert verdict("monotone", target, table, A_LAST) == NOT_CONVERGED


def test_the_error_counts_where_the_data_is():
    weights = np.ones((3, 3))
    weights[0] = weights[:, 0] = 0.001
    learned = limits(QTRAN, weights)["additive"].table
    assert verdict("additive", QTRAN, learned, A_LAST, weights) == AT_CLASS
    assert verdict("additive", QTRAN, learned, A_LAST) == NOT_CONVERGED


def test_constant_targets_have_a_tolerance_of_their_size():
    target = np.full((2, 2), 50.0)
    for shift, expected in ((0.9, AT_CLASS), (1.1, NOT_CONVERGED)):
        assert verdict("unrestricted", target, target + shift, [[0, 0]] * 2) == expected
    zero = np.zeros((2, 2))
    for shift, expected in ((0.019, AT_CLASS), (0.021, NOT_CONVERGED)):
        assert verdict("unrestricted", zero, zero + shift, [[0, 0]] * 2) == expected


@pytest.mark.parametrize("value", [NAN, np.inf])
def test_a_diverged_learner_has_not_converged(value):
    learned = STUCK.copy()
    learned[1, 1] = value
    assert verdict("elu_qmix", QTRAN, learned, A_LAST) == NOT_CONVERGED


def test_nothing_is_changed_in_place():
    target, learned = QTRAN.copy(), STUCK.copy()
    weights, utilities = np.ones((3, 3)), np.array(A_LAST)
    verdict("elu_qmix", target, learned, utilities, weights)
    for array, before in ((target, QTRAN), (learned, STUCK), (utilities, A_LAST), (weights, 1)):
        assert (array == before).all()


def test_errors_give_fact_values_and_way_out():
    with pytest.raises(
        ValueError,
        match=r"^no class 'qmix': use one of additive, elu_qmix, monotone, unrestricted, indep",
    ):
        verdict("qmix", QTRAN, STUCK, A_LAST)
    with pytest.raises(
        ValueError,
        match=r"^learned has shape \(2, 2\), the target \(3, 3\): give one value a joint action$",
    ):
        verdict("additive", QTRAN, XOR, A_LAST)
    with pytest.raises(
        ValueError,
        match=r"^utilities have shapes \[\(3,\)\], the target \(3, 3\): give one \[A_i\] an agent$",
    ):
        verdict("independent", QTRAN, STUCK, A_LAST[:1])
    with pytest.raises(ValueError, match=r"^orders \[\[0, 1, 2\]\] do not rank 3 x 3 actions"):
        verdict("elu_qmix", QTRAN, STUCK, A_LAST[:1])
