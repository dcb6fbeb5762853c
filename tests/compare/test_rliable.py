"""Our numbers beside rliable's own, where a Python with rliable is named."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vdtoolkit.compare import statistics

PYTHON = os.environ.get("VDTOOLKIT_RLIABLE_PYTHON", "")
TAUS = np.linspace(-0.2, 1.2, 29)

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="set VDTOOLKIT_RLIABLE_PYTHON to a Python with rliable and pandas<3"
)


def scores(name, runs, environments, seed):
    rng = np.random.default_rng(seed)
    smooth = rng.normal(0.5, 0.2, (runs, environments)) + np.linspace(-0.3, 0.3, environments)
    return np.round(smooth, 1) if name == "tied" else smooth


@pytest.fixture(scope="module")
def made():
    return {
        "some": scores("some", 5, 3, 0),
        "more": scores("more", 5, 3, 1) + 0.15,
        "tied": scores("tied", 5, 3, 2),
        "many": scores("many", 11, 3, 3),
    }


@pytest.fixture(scope="module")
def theirs(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("rliable") / "scores.npz"
    np.savez(path, **made)
    script = Path(__file__).with_name("rliable_numbers.py")
    done = subprocess.run([PYTHON, script, path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def strata(matrix):
    return list(matrix.T)


def drawn(statistic, *methods):
    rng = np.random.default_rng(1)
    draws = statistics.bootstrap(statistic, *methods, resamples=20_000, rng=rng)
    return np.array(statistics.percentile_interval(draws))


@pytest.mark.parametrize("name", ["some", "more", "tied", "many"])
@pytest.mark.parametrize("aggregate", ["iqm", "mean", "median", "optimality_gap"])
def test_aggregates_and_their_intervals_are_rliables(made, theirs, name, aggregate):
    point, *interval = theirs["aggregates"][name][aggregate]
    ours = getattr(statistics, aggregate)
    assert ours(strata(made[name])) == pytest.approx(point, abs=1e-12)
    # two bootstraps of 2,000 and 20,000 samples: their ends differ by chance, and where scores
    # are tenths, means of five move in steps of 0.02
    step = 0.02 + 1e-9 if name == "tied" else 0.015
    assert drawn(ours, strata(made[name])) == pytest.approx(interval, abs=step)


@pytest.mark.parametrize("pair", ["some,more", "some,tied", "some,many"])
def test_the_probability_of_improvement_is_rliables(made, theirs, pair):
    point, *interval = theirs["improvement"][pair]
    two = [strata(made[name]) for name in pair.split(",")]
    assert statistics.probability_of_improvement(*two) == pytest.approx(point, abs=1e-12)
    assert drawn(statistics.probability_of_improvement, *two) == pytest.approx(interval, abs=0.03)


@pytest.mark.parametrize("name", ["some", "more", "tied", "many"])
def test_profiles_and_their_bands_are_rliables(made, theirs, name):
    point, low, high = theirs["profiles"][name]

    def profile(x):
        return statistics.performance_profile(x, TAUS)

    assert profile(strata(made[name])) == pytest.approx(point, abs=1e-12)
    ours = drawn(profile, strata(made[name]))
    # a share of 15 runs moves in steps of 1/15
    assert ours == pytest.approx(np.array([low, high]), abs=1 / made[name].size + 1e-9)
