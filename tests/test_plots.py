"""The learning curve's picture."""

import dataclasses

import pytest

from vdtoolkit.plots import plot_learning
from vdtoolkit.runs import Run, Score, TrainResult


def score(mean, moves, wins=None):
    return Score(moves, mean, mean - 1.0, mean + 2.0, 5, win_rate=wins)


def result(seeds=(0,), wins=None):
    runs = [Run(s, [score(s + k, 10 * k, wins) for k in range(4)]) for s in seeds]
    return TrainResult("QMIX on a game", {}, score(-4.0, 0, wins), runs)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_one_seed_has_a_band_and_the_random_team_a_level():
    (ax,) = plot_learning(result()).axes
    assert labels(ax) == ["random team", "greedy team, 95 % interval over 5 episodes"]
    (band,) = ax.collections
    edges = band.get_paths()[0].vertices
    assert edges[:, 1].min() == -1.0 and edges[:, 1].max() == 5.0
    level, line = ax.get_lines()
    assert set(level.get_ydata()) == {-4.0}
    assert list(line.get_xdata()) == [0, 10, 20, 30] and list(line.get_ydata()) == [0, 1, 2, 3]


def test_the_label_counts_the_episodes_of_the_curve_not_of_a_last_point_of_more():
    made = result()
    made.runs[0].curve.append(dataclasses.replace(score(9, 35), n=100))
    assert labels(plot_learning(made).axes[0])[1].endswith("over 5 episodes")


def test_several_seeds_are_thin_lines_with_their_mean():
    (ax,) = plot_learning(result((0, 4))).axes
    assert labels(ax)[1] == "greedy team, mean and range of 2 seeds"
    assert list(ax.get_lines()[-1].get_ydata()) == [2, 3, 4, 5]
    edges = ax.collections[0].get_paths()[0].vertices
    assert edges[:, 1].min() == 0 and edges[:, 1].max() == 7


def test_a_seed_that_was_cut_short_shortens_the_mean_alone():
    made = result((0, 4))
    del made.runs[1].curve[2:]
    (ax,) = plot_learning(made).axes
    assert [len(line.get_xdata()) for line in ax.get_lines()] == [2, 4, 2, 2]


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_win_rates_get_a_panel_where_there_are_any(seeds):
    upper, lower = plot_learning(result(seeds, wins=0.25)).axes
    assert lower.get_ylabel() == "win rate" and upper.get_ylabel() == "return"
    assert set(lower.get_lines()[-1].get_ydata()) == {0.25}


def test_nothing_learned_is_still_a_picture():
    made = dataclasses.replace(result(), runs=[Run(0)])
    (ax,) = plot_learning(made).axes
    assert labels(ax) == ["random team"]
