import sys

import numpy as np
import pytest
from igm import fakes
from matplotlib.patches import Rectangle

from vdtoolkit.igm.report.curves import over_seeds, plot_curves
from vdtoolkit.igm.report.figures import plot_audit, plot_overview
from vdtoolkit.igm.report.heat import colour, ink_on, scale_of
from vdtoolkit.igm.report.strip import plot_strip


def texts(ax):
    return [text.get_text() for text in ax.texts]


def marks(ax):
    return [line.get_marker() for line in ax.lines]


def luminance(rgb):
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_the_overview_has_the_payoff_every_method_and_the_key():
    lab = fakes.qtran_lab()
    figure = plot_overview(lab)
    assert len(figure.axes) == 1 + 6 + 1
    payoff = figure.axes[0]
    assert texts(payoff).count("-12.00") == 4
    assert texts(payoff).count("0.00") == 4
    assert "8.00" in texts(payoff)
    titles = [ax.texts[-2].get_text() for ax in figure.axes[1:7]]
    assert titles == [method.label for method in lab.methods]


def test_cells_hold_the_learned_numbers_and_margins_the_utilities():
    lab = fakes.qtran_lab(1)
    state = lab.methods[1].seeds[0].audit.states[0]
    shown = texts(plot_overview(lab).axes[2])
    for value in [*state.q_tot.ravel(), *state.utilities[0], *state.utilities[1]]:
        assert f"{value:.2f}" in shown


def test_three_marks_and_a_frame_around_what_the_team_plays():
    figure = plot_overview(fakes.qtran_lab(1))
    assert marks(figure.axes[0]) == ["*"]  # only the optimum on the payoff
    assert sorted(marks(figure.axes[5])) == ["*", "^", "o"]
    frames = [p for p in figure.axes[5].patches if isinstance(p, Rectangle) and not p.get_fill()]
    assert [frame.get_xy() for frame in frames] == [(0, 0)]


def test_titles_say_what_the_team_earns_and_the_verdict():
    ax = plot_overview(fakes.qtran_lab()).axes[6]
    words = " ".join(" ".join(texts(ax)).split())
    assert "QTRAN-alt" in words
    assert "earns 4.00 of 8.00" in words
    assert "IGM violated 1/5" in words
    assert "4/5 at its class's optimum" in words


@pytest.mark.parametrize("value", np.linspace(-12, 8, 41))
def test_numbers_contrast_with_their_cell(value):
    rgb = colour(value, (-12.0, 8.0))
    ink = 0.0 if ink_on(rgb) == "#000000" else 1.0
    bright, dark = max(luminance(rgb), ink), min(luminance(rgb), ink)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5  # WCAG AA


def test_each_side_of_zero_has_its_colours_but_a_small_one_stays_pale():
    assert scale_of(fakes.QTRAN_GAME) == (-12.0, 8.0)
    assert scale_of(np.array([12.0, -0.1])) == (-3.0, 12.0)
    assert scale_of(np.array([np.nan, 4.0]), None) == (-1.0, 4.0)
    assert colour(0.0, (-3.0, 12.0)) == colour(0.0, (-1.0, 1.0))


def test_a_diverging_method_does_not_wash_out_the_payoff():
    audit = fakes.audit_of(
        [fakes.state_audit(fakes.QTRAN_GAME, 1e4 * fakes.QTRAN_GAME, np.eye(2, 3))]
    )
    figure = plot_audit(audit)
    top = figure.axes[0].patches[0].get_facecolor()[:3]
    np.testing.assert_allclose(top, colour(8.0, (-12.0, 8.0)))


def test_an_audit_shows_payoff_learned_and_error_a_row_a_state():
    assert len(plot_audit(fakes.two_step()).axes) == 3 * 3 + 1
    assert len(plot_audit(fakes.three_agents()).axes) == 2 * 3 + 1
    error = texts(plot_audit(fakes.masked()).axes[2])
    assert "-3.50" in error


def test_masked_cells_are_hatched_and_hold_no_number():
    ax = plot_audit(fakes.masked()).axes[0]
    hatched = [patch for patch in ax.patches if patch.get_hatch()]
    assert len(hatched) == 4
    assert not any("nan" in text for text in texts(ax))


def test_big_tables_are_heat_maps_without_numbers():
    ax = plot_audit(fakes.squares(21)).axes[0]
    cells = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_fill()]
    assert len(cells) == 441
    assert "10.00" not in texts(ax)
    assert sorted(marks(ax)) == ["*", "^", "o"]


def test_a_searched_audit_shows_the_utilities():
    figure = plot_audit(fakes.searched())
    assert len(figure.axes) == 2
    assert marks(figure.axes[0]) == ["o"] * 8


def test_curves_have_a_panel_a_method_and_measure():
    lab = fakes.qtran_lab()
    figure = plot_curves(lab)
    assert len(figure.axes) == 6 * 4
    own = figure.axes[0].lines[-2]  # the last is the optimum
    assert len(own.get_xdata()) == len(fakes.MOMENTS)
    assert own.get_ydata()[-1] == 0.0


def test_the_band_runs_from_the_least_to_the_largest_seed():
    method = fakes.qtran_lab().methods[5]
    moves, mean, low, high = over_seeds(method, lambda audit: audit.gap, 20000)
    assert moves.tolist() == list(fakes.MOMENTS)
    ends = [seed.audit.gap for seed in method.seeds]
    assert (low[-1], high[-1]) == (min(ends), max(ends))
    assert mean[-1] == pytest.approx(np.mean(ends))


def test_a_run_without_history_is_one_point_and_one_table():
    lab = fakes.single_seed_lab(fakes.squares(21), "squares", optimal=10.0)
    assert len(plot_curves(lab).axes) == 4
    assert len(plot_strip(lab).axes) == 2  # the end, and the payoff


def test_the_strip_goes_from_the_first_moment_to_the_last_and_ends_with_the_payoff():
    figure = plot_strip(fakes.qtran_lab())
    assert len(figure.axes) == 6 * 7
    row = figure.axes[:7]
    titles = [next(t for t in texts(ax) if t.endswith(("moves", "payoff"))) for ax in row]
    assert titles[0] == "0 moves"
    assert titles[-2:] == ["20000 moves", "payoff"]
    assert texts(row[-1]).count("-12.0") == 4


def test_states_beyond_the_first_can_be_drawn():
    lab = fakes.single_seed_lab(fakes.two_step(), "two_step")
    assert "8.00" in texts(plot_overview(lab, 2).axes[0])
    assert "8.0" in texts(plot_strip(lab, 2).axes[-1])


def test_plot_saves_a_png_and_leaves_pyplot_alone(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    path = tmp_path / "audit.png"
    fakes.masked().plot(path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert ("matplotlib.pyplot" in sys.modules) == before
