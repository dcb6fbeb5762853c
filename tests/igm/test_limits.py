"""The limits against closed forms, against independent solvers, and as properties."""

from itertools import combinations, permutations, product
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import LinearConstraint, lsq_linear, minimize

from vdtoolkit.igm.limits import independent, limits, own_ordering, project_ordering

QTRAN = [[8, -12, -12], [-12, 0, 0], [-12, 0, 0]]
CLIMBING = [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]
PENALTY = [[10, 0, -100], [0, 2, 0], [-100, 0, 10]]
PENALTY_0 = [[10, 0, 0], [0, 2, 0], [0, 0, 10]]
TWO_STEP_2B = [[0, 1], [1, 8]]
XOR = [[1, 0], [0, 1]]
OR = [[0, 1], [1, 1]]
AND = [[0, 0], [0, 1]]
NEARLY = [[12, -0.1, -0.1], [-0.1, 0, 0], [-0.1, 0, 0]]
NAN = float("nan")
CLASSES = ("additive", "elu_qmix", "monotone", "unrestricted")
CONES = ("monotone", "elu_qmix")


def qtran_game(k, n=2):
    """8 where all n agents play action 0, -12 where some do, 0 where none does."""
    payoff = np.full((k,) * n, -12.0)
    payoff[(slice(1, None),) * n] = 0
    payoff[(0,) * n] = 8
    return payoff


# --- formula: additive (VDN), MATH 4.3 ---


@pytest.mark.parametrize(
    ("payoff", "table", "sse", "greedy", "regret"),
    [
        (QTRAN, np.add.outer(*[[-28 / 9, -16 / 9, -16 / 9]] * 2), 4096 / 9, (1, 1), 8),
        (
            CLIMBING,
            [[-9.2222, -10.5556, 0.7778], [-8.5556, -9.8889, 1.4444], [-1.2222, -2.5556, 8.7778]],
            1575.7778,
            (2, 2),
            6,
        ),
        (PENALTY, np.add.outer(*[[-20.11111, 10.55556, -20.11111]] * 2), 12921.7778, (1, 1), 8),
        (PENALTY_0, np.add.outer(*[[2.11111, -0.55556, 2.11111]] * 2), 121.7778, (0, 0), 0),
        (TWO_STEP_2B, [[-1.5, 2.5], [2.5, 6.5]], 9, (1, 1), 0),
        (XOR, [[0.5, 0.5], [0.5, 0.5]], 1, (0, 0), 0),
        (OR, [[0.25, 0.75], [0.75, 1.25]], 0.25, (1, 1), 0),
        (AND, [[-0.25, 0.25], [0.25, 0.75]], 0.25, (1, 1), 0),
        (NEARLY, np.add.outer(*[[3.28889, -0.67778, -0.67778]] * 2), 66.1511, (0, 0), 0),
    ],
)
def test_additive_limit_is_the_vdn_closed_form(payoff, table, sse, greedy, regret):
    limit = limits(payoff)["additive"]
    np.testing.assert_allclose(limit.table, table, atol=6e-5)
    assert limit.sse == pytest.approx(sse, abs=6e-5)
    assert (limit.greedy, limit.regret, limit.exact, limit.note) == (greedy, regret, True, "")


@pytest.mark.parametrize(
    ("n", "k", "all_a", "none"),
    [(3, 3, -13.9259, -4.5926), (4, 3, -16.8889, -5.6296), (3, 2, -5, -11)],
)
def test_additive_limit_of_more_agents(n, k, all_a, none):
    limit = limits(qtran_game(k, n))["additive"]
    assert limit.table[(0,) * n] == pytest.approx(all_a, abs=6e-5)
    assert limit.table[(1,) * n] == pytest.approx(none, abs=6e-5)
    assert limit.greedy == ((0,) * n if all_a > none else (1,) * n)


@pytest.mark.parametrize(
    ("often", "epsilon", "aa", "ab", "bb"),
    [
        (1, 0.5, -14.222, -7.556, -0.889),
        (1, 0.2, -19.876, -10.009, -0.142),
        (1, 0.1, -21.902, -10.969, -0.036),
        (0, 0.5, 4.444, -4.889, -14.222),
        (0, 0.1, 7.858, -10.009, -27.876),
    ],
)
def test_additive_limit_under_epsilon_greedy_play(often, epsilon, aa, ab, bb):
    p = np.full(3, epsilon / 3)
    p[often] += 1 - epsilon
    table = limits(QTRAN, np.outer(p, p))["additive"].table
    assert (table[0, 0], table[0, 1], table[1, 1]) == pytest.approx((aa, ab, bb), abs=6e-4)


@pytest.mark.parametrize(("p_a", "greedy"), [(0.374, (1, 1)), (0.376, (0, 0))])
def test_vdn_is_right_iff_the_partner_plays_a_more_often_than_375_in_1000(p_a, greedy):
    p = np.array([p_a, (1 - p_a) / 2, (1 - p_a) / 2])
    assert limits(QTRAN, np.outer(p, p))["additive"].greedy == greedy
    rows = independent(QTRAN, np.outer(p, p))[0]
    assert rows[0] - rows[1] == pytest.approx(32 * (p_a - 0.375))


def test_additive_limit_of_qtrans_21_actions_is_the_broad_local_optimum():
    u = np.arange(21.0)
    f1 = np.add.outer(-(((15 - u) / 3) ** 2), 5 - ((5 - u) / 3) ** 2)
    f2 = np.add.outer(-((5 - u) ** 2), 10 - (15 - u) ** 2)
    payoff = np.maximum(f1, f2)[..., None]  # a third agent without a choice: nothing to search
    for clipped in (payoff, payoff.clip(-10)):
        limit = limits(clipped)["additive"]
        assert (limit.greedy, limit.regret) == ((15, 5, 0), pytest.approx(5))


def test_additive_weighted_fit_agrees_with_dense_least_squares():
    rng = np.random.default_rng(1)
    payoff, weights = rng.normal(size=(2, 3, 4)), rng.integers(0, 5, size=(2, 3, 4))
    payoff[0, 1, 2] = NAN
    design = np.array(
        [np.concatenate([np.eye(n)[u] for n, u in zip((2, 3, 4), cell, strict=True)])
         for cell in np.ndindex(2, 3, 4)]
    )  # fmt: skip
    data = (~np.isnan(payoff) & (weights > 0)).ravel()
    root = np.sqrt(weights.ravel()[data])
    solution = np.linalg.lstsq(
        root[:, None] * design[data], root * payoff.ravel()[data], rcond=None
    )[0]
    limit = limits(payoff, weights)["additive"]
    np.testing.assert_allclose(limit.table.ravel()[data], design[data] @ solution, atol=1e-12)
    assert np.isnan(limit.table[0, 1, 2])
    assert np.isnan(limit.table).sum() == 1


def test_additive_fit_holds_where_play_is_nearly_greedy():
    p = np.array([1 - 1e-5, 0.9e-5, 1e-6])
    table = limits(QTRAN, np.outer(p, p))["additive"].table
    mean = np.array(QTRAN) @ p
    np.testing.assert_allclose(table, np.add.outer(mean, mean) - p @ mean, atol=1e-6)


def test_additive_fit_holds_where_play_is_nearly_always_on_the_diagonal():
    weights = np.array([[1, 1e-6], [2e-6, 3]])
    signs = np.array([[1, -1], [-1, 1]])
    multiplier = (signs * TWO_STEP_2B).sum() / (1 / weights).sum()  # Lagrange: no interaction left
    limit = limits(TWO_STEP_2B, weights)["additive"]
    np.testing.assert_allclose(limit.table, TWO_STEP_2B - multiplier * signs / weights, atol=1e-6)


@pytest.mark.parametrize("kind", CONES)
def test_large_payoffs_lose_no_small_differences(kind):
    limit = limits(1e9 + 0.003 * np.array(AND))[kind]
    np.testing.assert_allclose(limit.table - 1e9, 0.003 * np.array(AND), atol=1e-6)


def test_additive_fits_a_million_joint_actions_in_seconds():
    utilities = np.random.default_rng(0).normal(size=(6, 10))
    payoff = sum(np.ix_(*utilities))
    assert payoff.size == 10**6
    start = perf_counter()
    for weights in (None, 1.0 + np.arange(10**6).reshape(payoff.shape) % 7):
        np.testing.assert_allclose(limits(payoff, weights)["additive"].table, payoff, atol=1e-9)
    assert perf_counter() - start < 30


# --- formula: monotone and ELU-QMIX, MATH 4.4 ---

CLIMBING_MONOTONE = [[4.25, -53 / 3, 4.25], [-53 / 3, -53 / 3, 4.25], [4.25, 0, 5]]
CLIMBING_ELU = [[-12, -12, -5], [-12, -1, 6], [-8, 3, 10]]
PENALTY_ELU = [[-46.5, -25.25, -46.5], [-25.25, 24.25, 3], [-46.5, 3, -18.25]]
PENALTY_0_BOTH = [[10, 0.4, 10 / 3], [0.4, 0.4, 0.4], [10 / 3, 0.4, 10 / 3]]
QTRAN_BOTH = [[8, -6, -6], [-6, -6, -6], [-6, -6, -6]]
NEARLY_BOTH = [[12, -0.05, -0.05], [-0.05, -0.05, -0.05], [-0.05, -0.05, -0.05]]
XOR_BOTH = [[1, 1 / 3], [1 / 3, 1 / 3]]


@pytest.mark.parametrize(
    ("payoff", "kind", "sse", "table"),
    [
        (QTRAN, "monotone", 288, QTRAN_BOTH),
        (QTRAN, "elu_qmix", 288, QTRAN_BOTH),
        (CLIMBING, "monotone", 997.4166667, CLIMBING_MONOTONE),
        (CLIMBING, "elu_qmix", 1364, CLIMBING_ELU),
        (PENALTY, "elu_qmix", 11503, np.flip(PENALTY_ELU)),  # its mirror: low actions rank high
        (PENALTY_0, "monotone", 69.8666667, PENALTY_0_BOTH),
        (PENALTY_0, "elu_qmix", 69.8666667, PENALTY_0_BOTH),
        (XOR, "monotone", 2 / 3, XOR_BOTH),
        (XOR, "elu_qmix", 2 / 3, XOR_BOTH),
        (OR, "monotone", 0, OR),
        (OR, "elu_qmix", 0.25, [[0.25, 0.75], [0.75, 1.25]]),
        (AND, "monotone", 0, AND),
        (AND, "elu_qmix", 0, AND),
        (TWO_STEP_2B, "monotone", 0, TWO_STEP_2B),
        (TWO_STEP_2B, "elu_qmix", 0, TWO_STEP_2B),
        (NEARLY, "monotone", 0.02, NEARLY_BOTH),
        (NEARLY, "elu_qmix", 0.02, NEARLY_BOTH),
    ],
)
def test_cone_limits_are_the_known_projections(payoff, kind, sse, table):
    limit = limits(payoff)[kind]
    assert limit.sse == pytest.approx(sse, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(limit.table, table, atol=1e-9)
    assert limit.exact == (kind == "monotone")
    assert ("lower bound" in limit.note) == (kind == "elu_qmix")


def test_penalty_game_is_best_fitted_monotonically_around_the_safe_action():
    limit = limits(PENALTY)["monotone"]
    assert limit.sse == pytest.approx(8066.6667, abs=5e-5)
    assert (limit.greedy, limit.regret) == ((1, 1), 8)


@pytest.mark.parametrize(
    ("payoff", "kind", "greedy", "regret"),
    [
        (QTRAN, "elu_qmix", (0, 0), 0),
        (CLIMBING, "monotone", (2, 2), 6),
        (CLIMBING, "elu_qmix", (2, 2), 6),
        (PENALTY, "elu_qmix", (1, 1), 8),
    ],
)
def test_greedy_and_regret_of_the_cone_limits(payoff, kind, greedy, regret):
    limit = limits(payoff)[kind]
    assert (limit.greedy, limit.regret) == (greedy, regret)


@pytest.mark.parametrize("kind", CONES)
@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_k_actions_have_a_right_and_a_wrong_solution_in_closed_form(k, kind):
    payoff = qtran_game(k)
    a_last, a_first = list(range(k)), list(range(k))[::-1]
    right = project_ordering(payoff, [a_first, a_first], kind)
    wrong = project_ordering(payoff, [a_last, a_last], kind)
    expected = np.full((k, k), -24 / (k + 1))
    expected[0, 0] = 8
    np.testing.assert_allclose(right.table, expected, atol=1e-9)
    assert right.sse == pytest.approx(288 * (k - 1) ** 2 / (k + 1))
    expected = np.zeros((k, k))
    expected[0] = expected[:, 0] = (32 - 24 * k) / (2 * k - 1)
    np.testing.assert_allclose(wrong.table, expected, atol=1e-9)
    assert wrong.sse == pytest.approx(800 * (k - 1) / (2 * k - 1))
    best = limits(payoff)[kind]  # from four actions on, the wrong solution fits better
    assert best.sse == pytest.approx(min(right.sse, wrong.sse))
    assert best.greedy == ((0, 0) if k < 4 else (1, 1))


@pytest.mark.parametrize("kind", CONES)
def test_own_ordering_of_qmix_on_qtrans_game_is_320_not_288(kind):
    limit = own_ordering(QTRAN, [[-1.0, 0.3, 0.2], [-0.5, 0.1, 0.4]], kind)
    np.testing.assert_allclose(limit.table, [[-8, -8, -8], [-8, 0, 0], [-8, 0, 0]], atol=1e-9)
    assert limit.sse == pytest.approx(320)
    assert limit.regret == 8


def test_own_ordering_sorts_equal_utilities_by_action():
    payoff = np.array([[3.0, 1.0], [0.0, 2.0]])
    for kind in CONES:
        tied = own_ordering(payoff, [[5, 5], [1, 1]], kind)
        given = project_ordering(payoff, [[0, 1], [0, 1]], kind)
        np.testing.assert_array_equal(tied.table, given.table)


@pytest.mark.parametrize("gamma_v", [0.4, 1.0, 3.0])
def test_qplex_mmdp_backups_vdn_and_elu_qmix_diverge_where_monotone_is_exact(gamma_v):
    fitted = limits([[1 + gamma_v, gamma_v], [gamma_v, 0]])
    assert fitted["additive"].table[0, 0] == pytest.approx(0.75 + 1.25 * gamma_v)
    assert fitted["monotone"].sse == pytest.approx(0, abs=1e-20)
    assert fitted["elu_qmix"].table[0, 0] == pytest.approx(
        1 + gamma_v if gamma_v < 1 else 0.75 + 1.25 * gamma_v
    )


def test_unrestricted_limit_is_the_payoff():
    limit = limits(CLIMBING)["unrestricted"]
    np.testing.assert_array_equal(limit.table, CLIMBING)
    assert (limit.sse, limit.greedy, limit.regret, limit.exact) == (0, (0, 0), 0, True)


def test_random_two_action_games_give_the_known_statistics():
    rng = np.random.default_rng(0)
    right, got = [], []
    for _ in range(400):
        payoff = rng.uniform(0, 10, size=(2, 2))
        payoff.flat[rng.integers(4)] = 10
        fitted = limits(payoff)
        regrets = [fitted[name].regret for name in ("additive", "elu_qmix")]
        right.append(np.array(regrets) < 1e-9)
        got.append(10 - np.array(regrets))
    np.testing.assert_allclose(np.mean(right, axis=0), [0.66, 0.845], atol=0.05)
    np.testing.assert_allclose(np.mean(got, axis=0), [9.21, 9.85], atol=0.12)


# --- formula: weighted projections, MATH 4.5 ---


def idealised_cw(payoff, alpha):
    weights = np.full(np.shape(payoff), alpha)
    weights[0, 0] = 1
    return limits(payoff, weights)


@pytest.mark.parametrize("alpha", [0.9, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("kind", CONES)
def test_idealised_cw_recovers_qtrans_optimum_at_every_alpha(kind, alpha):
    limit = idealised_cw(QTRAN, alpha)[kind]
    np.testing.assert_allclose(limit.table, QTRAN_BOTH, atol=1e-9)
    assert limit.sse == pytest.approx(288 * alpha)
    assert limit.regret == 0


@pytest.mark.parametrize("alpha", [0.99, 0.5, 0.01])
def test_idealised_cw_makes_the_optimum_of_xor_unique(alpha):
    weights = np.full((2, 2), alpha)
    weights[1, 1] = 1
    limit = limits(XOR, weights)["monotone"]
    np.testing.assert_allclose(limit.table, [[1 / 3, 1 / 3], [1 / 3, 1]], atol=1e-12)
    assert limit.sse == pytest.approx(alpha * 2 / 3)


@pytest.mark.parametrize("alpha", [0.1, 0.01])
def test_idealised_cw_only_ties_the_optimum_of_climbing(alpha):
    table = idealised_cw(CLIMBING, alpha)["monotone"].table
    tied = np.isclose(table, table[0, 0], rtol=1e-12)
    assert tied.sum() == 4
    assert table[0, 0] == pytest.approx(table.max())


@pytest.mark.parametrize("alpha", [0.9, 0.5, 0.1, 0.01, 0.001])
def test_idealised_cw_fails_on_the_penalty_game_in_the_elu_class(alpha):
    limit = idealised_cw(PENALTY, alpha)["elu_qmix"]
    assert limit.regret >= 8
    assert limit.table[0, 0] < limit.table.max() - 1


# --- formula: independent learners, MATH 4.6 ---


@pytest.mark.parametrize(
    ("payoff", "first", "second"),
    [
        (QTRAN, [-16 / 3, -4, -4], [-16 / 3, -4, -4]),
        (CLIMBING, [-19 / 3, -17 / 3, 5 / 3], [-19 / 3, -23 / 3, 11 / 3]),
        (PENALTY, [-30, 2 / 3, -30], [-30, 2 / 3, -30]),
    ],
)
def test_independent_learners_settle_on_row_means(payoff, first, second):
    rows, columns = independent(payoff)
    np.testing.assert_allclose(rows, first)
    np.testing.assert_allclose(columns, second)


def test_independent_means_are_weighted_and_leave_out_what_is_not_available():
    payoff = [[[1.0, 5.0]], [[NAN, 3.0]], [[7.0, 2.0]]]  # [3, 1, 2]
    one, two, three = independent(payoff, [[[1, 3]], [[9, 1]], [[0, 0]]])
    np.testing.assert_allclose(one, [4, 3, NAN])
    np.testing.assert_allclose(two, [(1 + 15 + 3) / 5])
    np.testing.assert_allclose(three, [1, 4.5])


# --- the projections against independent solvers ---


def upper_sets(A, B):
    """Indicators [n, A, B] of every set that holds with a cell all cells above it."""
    cells = list(product(range(A), range(B)))
    found = []
    for size in range(len(cells) + 1):
        for chosen in combinations(cells, size):
            inside = np.zeros((A, B))
            inside[tuple(np.array(chosen, dtype=int).reshape(-1, 2).T)] = 1
            if (np.diff(inside, axis=0) >= 0).all() and (np.diff(inside, axis=1) >= 0).all():
                found.append(inside)
    return np.array(found)


def brute_monotone(payoff, weights):
    """Monotone least squares on all upper sets, by bounded least squares."""
    generators = upper_sets(*payoff.shape).reshape(-1, payoff.size).T
    lower = np.where(generators.all(axis=0), -np.inf, 0)
    root = np.sqrt(weights.ravel())[:, None]
    keep = generators.any(axis=0)
    solved = lsq_linear(
        (root * generators)[:, keep],
        root[:, 0] * payoff.ravel(),
        bounds=(lower[keep], np.inf),
        method="bvls",
        tol=1e-14,
        max_iter=10_000,
    )
    return (generators[:, keep] @ solved.x).reshape(payoff.shape)


def brute_elu_qmix(payoff, weights):
    """Least squares under increasing differences, by SLSQP."""
    A, B = payoff.shape
    cell = np.eye(A * B).reshape(A, B, A * B)
    rows, columns = np.diff(cell[:, 0], axis=0), np.diff(cell[0], axis=0)
    both = np.diff(np.diff(cell, axis=0), axis=1).reshape(-1, A * B)
    cone = LinearConstraint(np.vstack([rows, columns, both]), 0, np.inf)
    w, y = weights.ravel(), payoff.ravel()
    solved = minimize(
        lambda x: (w * (x - y) ** 2).sum(),
        np.add.outer(np.arange(A), np.arange(B)).ravel() * 0.1,
        jac=lambda x: 2 * w * (x - y),
        constraints=cone,
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-13},
    )
    assert solved.success, solved.message
    return solved.x.reshape(A, B)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("kind", "brute"), [("monotone", brute_monotone), ("elu_qmix", brute_elu_qmix)]
)
def test_projection_of_one_ordering_agrees_with_an_independent_solver(kind, brute, seed):
    rng = np.random.default_rng(seed)
    payoff, weights = rng.normal(size=(3, 4)), rng.uniform(0.2, 3, size=(3, 4))
    orders = [rng.permutation(3), rng.permutation(4)]
    limit = project_ordering(payoff, orders, kind, weights)
    expected = np.empty((3, 4))
    expected[np.ix_(*orders)] = brute(payoff[np.ix_(*orders)], weights[np.ix_(*orders)])
    np.testing.assert_allclose(limit.table, expected, atol=2e-6)
    assert limit.sse == pytest.approx((weights * (limit.table - payoff) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", CONES)
def test_limit_is_the_best_of_all_orderings(kind, seed):
    rng = np.random.default_rng(seed)
    payoff = rng.integers(-5, 6, size=(3, 4)).astype(float)
    weights = rng.integers(1, 4, size=(3, 4))
    every = [
        project_ordering(payoff, [rows, columns], kind, weights).sse
        for rows in permutations(range(3))
        for columns in permutations(range(4))
    ]
    assert limits(payoff, weights)[kind].sse == pytest.approx(min(every), rel=1e-12)


# --- masks and weights of zero ---


@pytest.mark.parametrize("name", CLASSES)
def test_unavailable_cells_are_as_cells_of_weight_zero_and_stay_nan(name):
    payoff = np.array(CLIMBING, dtype=float)
    weights = np.ones((3, 3))
    weights[0, 0] = weights[1, 2] = 0
    masked = np.where(weights > 0, payoff, NAN)
    left_out, zero = limits(masked)[name], limits(payoff, weights)[name]
    np.testing.assert_array_equal(np.isnan(left_out.table), weights == 0)
    data = weights > 0
    np.testing.assert_allclose(left_out.table[data], zero.table[data], atol=1e-9)
    assert left_out.sse == pytest.approx(zero.sse, abs=1e-12)
    assert masked[left_out.greedy] == payoff[left_out.greedy]
    assert "2 available joint actions have weight 0" in zero.note
    assert "weight 0" not in left_out.note


@pytest.mark.parametrize("name", ["additive", "elu_qmix", "monotone"])
def test_payoffs_of_weight_zero_do_not_enter_the_table(name):
    weights = np.ones((3, 3))
    weights[0, 0] = 0
    changed = np.array(QTRAN, dtype=float)
    changed[0, 0] = 1000
    first, second = limits(QTRAN, weights)[name], limits(changed, weights)[name]
    np.testing.assert_array_equal(first.table, second.table)
    assert second.regret == pytest.approx(1000 - changed[second.greedy])


def test_masked_monotone_projection_leaves_the_cell_out_of_the_order():
    payoff = [[0.0, NAN], [5.0, 1.0]]  # without (0, 1): 0 <= 5 and 5 <= 1 pools to 3
    limit = project_ordering(payoff, [[0, 1], [0, 1]], "monotone")
    np.testing.assert_allclose(limit.table, [[0, NAN], [3, 3]])
    assert limit.sse == pytest.approx(8)


def test_monotone_order_holds_across_a_cell_without_data():
    payoff = [[4.0, NAN, 0.0]]  # 4 <= (nothing) <= 0 pools to 2 all the same
    limit = project_ordering(payoff, [[0], [0, 1, 2]], "monotone")
    np.testing.assert_allclose(limit.table, [[2, NAN, 2]])


def test_an_action_without_data_is_said_and_gets_the_mean():
    limit = limits([[2.0, 4.0], [50.0, 60.0]], [[1, 1], [0, 0]])["additive"]
    np.testing.assert_allclose(limit.table, [[2, 4], [2, 4]])
    assert "2 available joint actions have weight 0" in limit.note
    assert limit.sse == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_weights_scale_the_error_and_nothing_else(scale):
    once, scaled = limits(CLIMBING), limits(CLIMBING, np.full((3, 3), scale))
    for name in CLASSES:
        np.testing.assert_allclose(scaled[name].table, once[name].table, atol=1e-9)
        assert scaled[name].sse == pytest.approx(scale * once[name].sse, rel=1e-9)


def test_inputs_are_not_changed():
    payoff, weights = np.array(CLIMBING, dtype=float), np.ones((3, 3))
    payoff[0, 1] = NAN
    before = payoff.copy(), weights.copy()
    limits(payoff, weights)["unrestricted"].table[:] = 99
    independent(payoff, weights)
    np.testing.assert_array_equal(payoff, before[0])
    np.testing.assert_array_equal(weights, before[1])


# --- properties ---

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 4))


@st.composite
def games(draw):
    """A payoff [A, B] of quarters (exact in floating point) and weights [A, B] of 1 to 4."""
    shape = draw(SIZES)
    payoff = draw(arrays(float, shape, elements=st.integers(-40, 40).map(lambda q: q / 4)))
    return payoff, draw(arrays(float, shape, elements=st.integers(1, 4).map(float)))


@given(games(), st.sampled_from(CONES), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_projecting_twice_is_projecting_once(game, kind, random):
    payoff, weights = game
    orders = [random.sample(range(n), n) for n in payoff.shape]
    once = project_ordering(payoff, orders, kind, weights).table
    twice = project_ordering(once, orders, kind, weights)
    np.testing.assert_allclose(twice.table, once, atol=1e-9)
    ranked = once[np.ix_(*orders)]
    assert (np.diff(ranked, axis=0) >= -1e-9).all()
    assert (np.diff(ranked, axis=1) >= -1e-9).all()
    if kind == "elu_qmix":
        assert (np.diff(np.diff(ranked, axis=0), axis=1) >= -1e-9).all()


@given(games(), st.data())
@settings(max_examples=80, deadline=None)
def test_larger_classes_fit_no_worse(game, data):
    payoff, weights = game
    weights *= data.draw(arrays(float, payoff.shape, elements=st.sampled_from([0.0, 1.0, 1.0])))
    weights[0, 0] = 1
    fitted = limits(payoff, weights)
    errors = [fitted[name].sse for name in ("unrestricted", "monotone", "elu_qmix", "additive")]
    assert (np.diff(errors) >= -1e-9).all()


@given(games(), st.integers(-1000, 1000))
@settings(max_examples=40, deadline=None)
def test_a_constant_added_to_the_payoff_is_added_to_every_table(game, constant):
    payoff, weights = game
    before, after = limits(payoff, weights), limits(payoff + constant, weights)
    for name in CLASSES:
        np.testing.assert_allclose(after[name].table, before[name].table + constant, atol=1e-8)
        assert after[name].regret == before[name].regret


def test_of_equal_optima_low_actions_rank_high_whatever_the_rounding():
    for payoff in (XOR, [[0.3, 0], [0, 0.1 + 0.2]], [[0.1 + 0.2, 0], [0, 0.3]]):
        assert [limits(payoff)[kind].greedy for kind in CONES] == [(0, 0), (0, 0)]


def test_optima_that_nearly_tie_are_told_apart():
    for kind in CONES:
        assert limits([[1, 0], [0, 1 + 1e-10]])[kind].greedy == (1, 1)


@given(games(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_renaming_actions_renames_the_tables(game, random):
    payoff, weights = game
    noise = np.random.default_rng(random.randrange(100)).normal(size=payoff.shape)
    payoff = payoff + noise  # no ties, so that the optimum is unique
    cells = np.ix_(*[random.sample(range(n), n) for n in payoff.shape])
    before, after = limits(payoff, weights), limits(payoff[cells], weights[cells])
    for name in CLASSES:
        np.testing.assert_allclose(after[name].table, before[name].table[cells], atol=1e-8)
        assert after[name].sse == pytest.approx(before[name].sse, rel=1e-9, abs=1e-12)


# --- greedy ---


def test_greedy_is_the_first_of_entries_equal_but_for_rounding():
    limit = limits([[0.1 + 0.2, 0.3], [0.0, 0.3 + 1e-8]])["unrestricted"]
    assert limit.greedy == (1, 1)
    assert limits([[0.3, 0.1 + 0.2]])["unrestricted"].greedy == (0, 0)


def test_greedy_of_negative_tables_and_of_a_mask():
    assert limits([-3.0, NAN, -1.0, -2.0])["unrestricted"].greedy == (2,)


# --- sizes ---


def test_one_agent_reaches_its_payoff_in_every_class():
    for limit in limits([1.0, NAN, 4.0]).values():
        np.testing.assert_allclose(limit.table, [1, NAN, 4])
        assert limit.sse == pytest.approx(0, abs=1e-20)
        assert (limit.greedy, limit.regret, limit.exact) == ((2,), 0, True)


def test_three_agents_have_no_cone_limit_and_it_says_so():
    fitted = limits(qtran_game(2, 3))
    for kind in CONES:
        limit = fitted[kind]
        assert (limit.table, limit.sse, limit.greedy, limit.regret) == (None,) * 4
        assert not limit.exact
        assert limit.note == "not computed: the projection is for two agents, this payoff has 3"
    assert fitted["additive"].exact


def test_too_many_joint_actions_are_not_computed():
    assert limits(np.zeros((33, 32)))["monotone"].note == (
        "not computed: 33 x 32 actions are 1056 joint actions, above 1024"
    )


def test_five_actions_a_side_are_exact_and_take_seconds():
    payoff = np.random.default_rng(0).normal(size=(5, 5))
    start = perf_counter()
    fitted = limits(payoff)
    assert perf_counter() - start < 30
    assert fitted["monotone"].exact
    assert "search" not in fitted["elu_qmix"].note
    rng = np.random.default_rng(1)
    for kind in CONES:
        for _ in range(20):
            orders = [rng.permutation(5), rng.permutation(5)]
            assert project_ordering(payoff, orders, kind).sse >= fitted[kind].sse - 1e-12


def test_beyond_five_actions_it_is_a_search_and_says_so():
    payoff = np.random.default_rng(0).normal(size=(4, 6))
    fitted = limits(payoff)
    for kind in CONES:
        assert not fitted[kind].exact
        assert fitted[kind].note.startswith("a search: the best of at most ")
        assert "of the 4 x 6 actions" in fitted[kind].note
        np.testing.assert_array_equal(limits(payoff)[kind].table, fitted[kind].table)
    assert 0 < fitted["monotone"].sse <= fitted["elu_qmix"].sse <= fitted["additive"].sse


def test_the_search_finds_what_every_ordering_finds_on_qtrans_game():
    payoff = qtran_game(6)
    for kind in CONES:
        assert limits(payoff)[kind].sse == pytest.approx(800 * 5 / 11)


@pytest.mark.parametrize("kind", CONES)
def test_the_search_undoes_a_shuffled_monotone_game(kind):
    rng = np.random.default_rng(3)
    payoff = np.multiply.outer(rng.permutation(7.0 + np.arange(7)), rng.permutation(np.arange(6.0)))
    limit = limits(payoff)[kind]
    np.testing.assert_allclose(limit.table, payoff, atol=1e-9)
    assert limit.exact == (kind == "monotone")  # no error cannot be bettered


@pytest.mark.slow
def test_21_actions_a_side_take_seconds():
    u = np.arange(21.0)
    f1 = np.add.outer(-(((15 - u) / 3) ** 2), 5 - ((5 - u) / 3) ** 2)
    f2 = np.add.outer(-((5 - u) ** 2), 10 - (15 - u) ** 2)
    start = perf_counter()
    fitted = limits(np.maximum(f1, f2))
    assert perf_counter() - start < 60
    assert fitted["monotone"].sse <= fitted["elu_qmix"].sse < fitted["additive"].sse


# --- errors ---


@pytest.mark.parametrize(
    ("payoff", "weights", "text"),
    [
        (
            3.0,
            None,
            r"payoff has shape \(\): give one axis an agent, at least one action each",
        ),
        (
            np.zeros((2, 0)),
            None,
            r"payoff has shape \(2, 0\): give one axis an agent, at least one action each",
        ),
        (
            [[1, np.inf]],
            None,
            r"payoff is inf at \(0, 1\): entries must be finite, or NaN where the joint action is"
            " not available",
        ),
        (
            [[NAN, NAN]],
            None,
            "payoff is NaN everywhere: at least one joint action must be available",
        ),
        (
            XOR,
            [1, 1, 1],
            r"weights have shape \(3,\), the payoff \(2, 2\): give one weight a joint action",
        ),
        (
            XOR,
            [[1, 1], [-2, 1]],
            r"weight -2.0 at \(1, 0\): weights must be finite and >= 0, such as visit counts",
        ),
        (XOR, [[1, NAN], [2, 1]], r"weight nan at \(0, 1\): weights must be finite and >= 0"),
        (
            [[1, NAN], [2, 1]],
            [[0, 5], [0, 0]],
            "weights are 0 at every available joint action: give data, or None for uniform weights",
        ),
    ],
)
def test_errors_give_fact_values_and_way_out(payoff, weights, text):
    for function in (limits, independent):
        with pytest.raises(ValueError, match=f"^{text}"):
            function(payoff, weights)


@pytest.mark.parametrize(
    ("payoff", "orders", "kind", "text"),
    [
        (
            XOR,
            [[0, 1], [0, 1]],
            "convex",
            "kind 'convex' has no projection: use one of elu_qmix, monotone",
        ),
        (
            np.zeros((2, 2, 2)),
            [[0, 1]] * 3,
            "monotone",
            "payoff has 3 agents: the projection is for two",
        ),
        (
            np.zeros((40, 40)),
            [range(40)] * 2,
            "monotone",
            "40 x 40 actions are 1600 joint actions, above 1024: the projection takes too long",
        ),
        (
            XOR,
            [[0, 1], [1, 1]],
            "elu_qmix",
            r"orders \[\[0, 1\], \[1, 1\]\] do not rank 2 x 2 actions: give each agent's actions"
            " once, from the lowest utility to the highest",
        ),
        (XOR, [[0, 1]], "elu_qmix", r"orders \[\[0, 1\]\] do not rank 2 x 2 actions"),
    ],
)
def test_errors_of_one_ordering(payoff, orders, kind, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        project_ordering(payoff, orders, kind)
