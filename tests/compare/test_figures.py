"""What the figures show is what was worked out."""

import numpy as np
import pytest

from vdtoolkit.compare import Options, compare, read_runs
from vdtoolkit.compare.figures import (
    plot_aggregates,
    plot_efficiency,
    plot_improvement,
    plot_profiles,
    style,
)

from .folders import run, several


def compared(path):
    return compare(read_runs([path]), Options(resamples=200))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return compared(several(root, {"qmix": 8, "vdn": 5, "iql": 4.8}, ("a_v0", "b_v0")))


def test_a_row_a_method_and_a_panel_an_aggregate(told):
    axes = plot_aggregates(told).axes
    assert axes[0].get_title(loc="left") == "interquartile mean"
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["QMIX", "VDN", "IQL"]
    found = told.aggregates["QMIX"]["iqm"]
    assert axes[0].get_lines()[0].get_xdata()[0] == found.value
    box = axes[0].patches[0]
    assert (box.get_x(), box.get_width()) == (found.low, pytest.approx(found.high - found.low))


def test_the_matrix_says_both_sides_of_a_pair(told):
    (ax,) = plot_improvement(told).axes
    said = {text.get_position(): text.get_text() for text in ax.texts}
    pair = next(p for p in told.pairs if (p.first, p.second) == ("VDN", "IQL"))
    assert said[(2.5, 1.4)] == f"{pair.better.value:.2f}"  # row VDN, column IQL
    assert said[(1.5, 2.4)] == f"{1 - pair.better.value:.2f}"
    assert said[(1.5, 2.74)] == f"{1 - pair.better.high:.2f}..{1 - pair.better.low:.2f}"


def test_profiles_are_steps_with_bands(told):
    (ax,) = plot_profiles(told).axes
    assert [line.get_label() for line in ax.get_lines()] == list(told.methods)
    for line, method in zip(ax.get_lines(), told.methods, strict=True):
        assert line.get_ydata() == pytest.approx(told.profiles[method][0])
    assert len(ax.collections) == 3


def test_a_panel_for_all_and_one_for_each_environment(told):
    axes = plot_efficiency(told).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["all environments", "a_v0", "b_v0"]
    lines = {line.get_label(): line for line in axes[1].get_lines()}
    curve = told.curves["a_v0"]["QMIX"]
    assert lines["QMIX"].get_ydata() == pytest.approx(curve.iqm)
    assert lines["QMIX"].get_xdata().tolist() == [0, 50, 100]


def test_a_stretch_of_fewer_runs_is_a_line_of_its_own(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 1, 2, 3, 4))
    run(tmp_path / "b", "qmix", 1, (0, 2), status="failed", of=200)
    run(tmp_path / "c", "vdn", 0, (0, 1, 2, 3, 3))
    _, ax = plot_efficiency(compared(tmp_path)).axes
    whole, rest, other, mark = ax.get_lines()
    assert np.isnan(whole.get_ydata()).tolist() == [False, False, True, True, True]
    assert np.isnan(rest.get_ydata()).tolist() == [True, False, False, False, False]
    assert not np.isnan(other.get_ydata()).any()
    assert mark.get_xdata()[0] == 50  # where runs are compared
    assert rest.get_linestyle() != whole.get_linestyle()


def test_a_method_keeps_its_colour_whatever_its_rank(tmp_path):
    first = compared(several(tmp_path / "1", {"qmix": 8, "vdn": 5}))
    second = compared(several(tmp_path / "2", {"qmix": 4, "vdn": 5}))
    assert first.methods == second.methods[::-1]
    assert style(first, "QMIX") == style(second, "QMIX") != style(first, "VDN")


def test_names_as_long_as_they_get_stay_in_the_picture(tmp_path):
    for k, rate in enumerate((0.001, 0.002)):
        config = {"a_long_hyperparameter": rate, "another_of_them": rate}
        run(tmp_path / f"a{k}", "nonmonotonic_qmix", 0, (0, 4 + k), config=config)
    figure = plot_improvement(compared(tmp_path))
    figure.canvas.draw()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0 and box.x1 <= width and box.y1 <= height
