"""Whether methods are apart, and how many seeds are missing: textbook numbers, and a simulation."""

import math

import numpy as np
import pytest

from vdtoolkit.compare.power import Spread, apart, reshuffles
from vdtoolkit.compare.statistics import bootstrap, iqm, mean


def textbook(seeds=5, deviation=1.0):
    """Two methods of one environment, the statistic their mean."""
    share = deviation**2 / seeds
    runs = np.array([seeds, seeds])
    return Spread((2 * share) ** 0.5, np.array([share, share]), runs, seeds)


@pytest.mark.parametrize(("effect", "seeds"), [(0.5, 64), (0.8, 26), (1.0, 17), (1.2, 12)])
def test_seeds_are_cohens(effect, seeds):
    # Cohen 1988, table 2.4.1: two-sided 5 %, power 80 %
    assert textbook().seeds_for(effect) == seeds
    assert textbook(9).seeds_for(-effect) == seeds  # wherever one starts from
    assert textbook(deviation=0.1).seeds_for(effect / 10) == seeds


def test_power_is_the_textbooks():
    assert textbook().power(0.5, 64) == pytest.approx(0.8015, abs=5e-4)
    assert textbook().power(0.0, 20) == pytest.approx(0.025, abs=1e-3)
    assert textbook().power(50.0, 20) == 1.0


def test_a_difference_that_no_thousand_seeds_show():
    assert textbook().seeds_for(0.01) is None
    assert textbook().seeds_for(0.0) is None


def test_degrees_of_freedom_are_welchs():
    assert textbook(5).freedom(5) == pytest.approx(8)
    # one of two does not vary: only its own n - 1
    one = Spread(1.0, np.array([0.3, 0.0]), np.array([5, 5]), 5)
    assert one.freedom(5) == pytest.approx(4)
    assert one.freedom(11) == pytest.approx(10)


def test_the_interval_of_means_is_students():
    x, y = np.array([1.0, 2.0, 3.0, 4.0, 6.0]), np.array([2.0, 2.5, 4.0, 5.0, 9.0])
    rng = np.random.default_rng(0)
    draws = bootstrap(lambda a, b: mean(a) - mean(b), [x], [y], resamples=50_000, rng=rng)
    spread = Spread.of(draws, [x], [y])
    from scipy import stats

    welch = stats.ttest_ind(x, y, equal_var=False).confidence_interval()
    assert spread.half() == pytest.approx((welch.high - welch.low) / 2, rel=0.02)


def test_one_seed_says_nothing():
    one = [np.array([0.5])]
    spread = Spread.of(np.zeros(10), one, one)
    assert math.isnan(spread.half()) and math.isnan(spread.smallest())
    assert apart(0.5, spread, one, one) is None
    assert spread.seeds_for(0.5) is None


@pytest.mark.parametrize(("runs", "told"), [(2, None), (3, None), (4, True), (5, True)])
def test_without_any_spread_chance_must_be_ruled_out(runs, told):
    ones, others = [np.full(runs, 1.0)], [np.full(runs, 0.5)]
    spread = Spread.of(np.full(50, 0.1 + 0.2 + 0.2), ones, others)
    assert spread.error == 0.0
    assert apart(0.5, spread, ones, others) is told
    assert apart(0.0, spread, ones, ones) is False


def test_reshuffles_are_counted_environment_by_environment():
    five, two = np.zeros(5), np.zeros(2)
    assert reshuffles([five], [five]) == 252
    assert reshuffles([five, two], [five, two]) == 252 * 6


def judged(shift, seeds, environments, trials, rng):
    """How often two methods, this far apart in units of their deviation, are told apart."""
    found = 0
    for _ in range(trials):
        x = [rng.normal(shift, 1, seeds) for _ in range(environments)]
        y = [rng.normal(0, 1, seeds) for _ in range(environments)]
        draws = bootstrap(lambda a, b: iqm(a) - iqm(b), x, y, resamples=300, rng=rng)
        found += bool(apart(float(iqm(x) - iqm(y)), Spread.of(draws, x, y), x, y))
    return found / trials


def test_methods_that_do_not_differ_are_rarely_told_apart():
    rng = np.random.default_rng(1)
    assert judged(0.0, 3, 1, 300, rng) < 0.09
    assert judged(0.0, 5, 3, 300, rng) < 0.09


def test_the_seeds_it_asks_for_do_tell_them_apart():
    # the spread of many runs, so that the advice rests on the true difference
    rng = np.random.default_rng(2)
    x, y = ([rng.normal(0, 1, 400) for _ in range(3)] for _ in range(2))
    draws = bootstrap(lambda a, b: iqm(a) - iqm(b), x, y, resamples=1000, rng=rng)
    needed = Spread.of(draws, x, y).seeds_for(0.6)
    assert 12 < needed < 20
    assert 0.7 < judged(0.6, needed, 3, 300, rng) < 0.9
