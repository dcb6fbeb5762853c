"""rliable's statistics by hand, beside SciPy's, and what the bootstrap draws."""

import numpy as np
import pytest
from scipy import stats

from vdtoolkit.compare import statistics
from vdtoolkit.compare.statistics import (
    bootstrap,
    iqm,
    mean,
    median,
    optimality_gap,
    percentile_interval,
    performance_profile,
    probability_of_improvement,
    resample,
    t_interval,
)


def strata(*rows):
    return [np.array(row, dtype=float) for row in rows]


def test_the_interquartile_mean_is_of_the_middle_half():
    # 0 .. 7: a quarter is two at each end, 2 3 4 5 are left
    assert iqm(strata([7, 0, 3, 2], [6, 1, 5, 4])) == 3.5
    # five: a quarter holds one
    assert iqm(strata([100, 1, 2, 3, -50])) == 2.0


@pytest.mark.parametrize(("runs", "environments"), [(3, 1), (5, 3), (4, 2), (7, 5), (11, 3)])
def test_with_equal_runs_it_is_scipys_trimmed_mean(runs, environments):
    scores = np.random.default_rng(runs).normal(size=(runs, environments))
    ours = iqm(list(scores.T))
    assert ours == pytest.approx(stats.trim_mean(scores, 0.25, axis=None), abs=1e-12)


def test_with_unequal_runs_every_environment_weighs_the_same():
    # weights 1/4 1/4 and 1/8 x 4: cut are 1/4 below (one 0) and above (two of the ones)
    assert iqm(strata([0, 0], [1, 1, 1, 1])) == pytest.approx(0.5)
    # weights 1/2 and 1/6 x 3: cut are 1/4 below (half of the 0) and above (1.5 of the threes);
    # left: 1/4 of 0, 1/4 of 3
    assert iqm(strata([0], [3, 3, 3])) == pytest.approx(1.5)


def test_runs_of_one_environment_given_twice_change_nothing():
    few = strata([0.1, 0.4, 0.8, 0.9], [0.2, 0.3, 0.5, 0.7])
    assert iqm([few[0], np.tile(few[1], 2)]) == pytest.approx(float(iqm(few)))


def test_mean_median_and_gap_are_over_environments():
    three = strata([0, 1], [2, 2, 2], [0.5])
    assert mean(three) == pytest.approx((0.5 + 2 + 0.5) / 3)
    assert median(three) == 0.5
    assert optimality_gap(three) == pytest.approx(1 - (0.5 + 1 + 0.5) / 3)


def test_the_probability_of_improvement_counts_pairs_and_half_of_ties():
    # 2 > 1, 2 = 2, 3 > 1, 3 > 2: 3.5 of 4; second environment: none of 1
    assert probability_of_improvement(strata([2, 3], [0]), strata([1, 2], [5])) == (3.5 / 4) / 2


def test_it_is_the_mann_whitney_statistic():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, 6).astype(float), rng.integers(0, 4, 7).astype(float)
    u = stats.mannwhitneyu(x, y, alternative="greater").statistic
    assert probability_of_improvement([x], [y]) == pytest.approx(u / 42)


def test_a_profile_is_the_share_strictly_above():
    taus = np.array([-1.0, 0.0, 0.5, 1.0])
    told = performance_profile(strata([0, 1], [0.5, 1, 1, 1]), taus)
    assert told.tolist() == [1.0, 0.75, 0.625, 0.0]


def test_statistics_of_many_samples_are_those_of_each():
    rng = np.random.default_rng(3)
    many = [rng.normal(size=(4, 5)), rng.normal(size=(4, 3))]
    for one in (iqm, mean, median, optimality_gap):
        singly = [float(one([x[k] for x in many])) for k in range(4)]
        assert one(many) == pytest.approx(singly)
    taus = np.array([0.0, 0.3])
    assert performance_profile(many, taus).shape == (4, 2)
    assert probability_of_improvement(many, many).shape == (4,)


def test_samples_stay_in_their_environment_and_repeat_runs():
    two = strata([0, 1, 2], [10, 20, 30, 40])
    first, second = resample(two, 200, np.random.default_rng(0))
    assert first.shape == (200, 3) and second.shape == (200, 4)
    assert set(np.unique(first)) == {0, 1, 2} and set(np.unique(second)) == {10, 20, 30, 40}
    assert any(len(set(row)) < 3 for row in first.tolist())
    # environments are drawn independently: no place in one tells that in the other
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 0.2


def test_the_interval_is_scipys_stratified_one():
    rng = np.random.default_rng(5)
    two = [rng.normal(0.2, 1, 8), rng.normal(0.9, 0.5, 8)]
    ours = percentile_interval(bootstrap(iqm, two, resamples=20_000, rng=rng))

    def statistic(x, y, axis=-1):
        return iqm([x, y])

    theirs = stats.bootstrap(
        two, statistic, vectorized=True, n_resamples=20_000, method="percentile", random_state=1
    ).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.02)


def test_students_interval_is_scipys():
    x = np.array([1.0, 2.0, 4.0])
    theirs = stats.t.interval(0.95, 2, x.mean(), stats.sem(x))
    assert t_interval(x) == pytest.approx(theirs)
    assert np.isnan(t_interval(x[:1])).all()


def test_methods_are_resampled_independently():
    x = strata([0, 1, 2, 3, 4])
    draws = bootstrap(
        lambda a, b: a[0].mean(-1) - b[0].mean(-1),
        x,
        x,
        resamples=4000,
        rng=np.random.default_rng(0),
    )
    assert draws.std() == pytest.approx((2 * x[0].var() / 5) ** 0.5, rel=0.05)


def test_the_level_is_95_percent():
    draws = np.arange(1001.0)
    assert percentile_interval(draws) == pytest.approx((25.0, 975.0))
    assert statistics.LEVEL == 0.95
