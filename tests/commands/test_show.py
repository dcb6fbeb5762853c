"""What is shown while a team trains."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.progress import BarColumn, TextColumn

from vdtoolkit.commands.show import (
    Bar,
    Display,
    Speed,
    TwoLines,
    described,
    display,
    number,
    show_result,
)
from vdtoolkit.runs import Run, Score, TrainResult
from vdtoolkit.training import Report


def score(mean, moves=0, wins=None):
    return Score(moves, mean, mean - 1, mean + 1, 5, win_rate=wins)


def report(moves, returns=(), won=(), lost=0, **metrics):
    won = np.array(won or [np.nan] * len(returns))
    return Report(moves, np.array(returns), np.ones(len(returns)), won, lost, 0, metrics)


@pytest.fixture
def bar():
    console = Console(file=io.StringIO(), force_terminal=True, width=90)
    lines = TwoLines(TextColumn("{task.description}"), BarColumn(), Speed(), console=console)
    shown = Bar("QMIX on a game", 100, 1, lines)
    shown.baseline(score(-4.0))
    shown.begin(0)
    return shown


def seen(bar, width=120):
    """The bar and what is under it, as text."""
    console = Console(file=io.StringIO(), width=width)
    console.print(*bar.bar.get_renderables(), sep="\n")
    return console.file.getvalue()


def test_the_line_tells_all_that_is_known(bar):
    bar.scored(score(2.0, 10, 0.25), 50.0)
    bar.progress(report(20, [1.0, 4.0], [0.0, 1.0], loss=0.125), 0.5)
    text = seen(bar)
    assert "QMIX on a game" in text
    for part in ("greedy team 2, wins 25%", "random team -4", "training 2.5", "wins 50%"):
        assert part in text
    assert "loss 0.125" in text and "exploring 50%" in text and "lost" not in text


def test_a_narrow_terminal_shows_all_of_it_too(bar):
    bar.scored(score(-12.345, 10, 0.25), 50.0)
    bar.progress(report(20, [1.2345, 4.0], [0.0, 1.0], lost=3, loss=0.125), 0.5)
    text = seen(bar, 60)
    assert "exploring 50%" in text and text.endswith("lost 3\n")


def test_what_is_not_known_is_not_told(bar):
    bar.progress(report(20, lost=3), 1.0)
    text = seen(bar)
    assert "wins" not in text and "loss" not in text and "training" not in text
    assert "lost 3" in text


def test_episodes_between_two_pictures_count_as_well(bar):
    bar.progress(report(10, [1.0]), 1.0)
    bar.progress(report(20, [3.0]), 1.0)  # too soon to be drawn
    assert "training 1 " in seen(bar)
    bar._due = 0.0
    bar.progress(report(30), 1.0)
    assert "training 2 " in seen(bar)


def test_seeds_have_a_bar_each():
    lines = TwoLines(TextColumn("{task.description}"), console=Console(file=io.StringIO()))
    shown = Bar("QMIX on a game", 100, 2, lines)
    shown.baseline(score(-4.0))
    for seed in (3, 4):
        shown.begin(seed)
        shown.scored(score(1.0, 100), 9.0)
    assert [task.description for task in lines.tasks] == [
        "QMIX on a game, seed 3",
        "QMIX on a game, seed 4",
    ]
    assert all(task.finished for task in lines.tasks)


def test_without_a_terminal_there_are_plain_lines(capsys):
    with display("QMIX on a game", 2000, 2) as shown:
        assert type(shown) is Display
        shown.baseline(score(-4.0))
        shown.begin(7)
        shown.progress(report(20, [1.0]), 0.5)
        shown.scored(score(2.0, 1000, 0.5), 1234.5)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "QMIX on a game: random team return -4 [-5, -3]",
        "seed 7: 1,000 of 2,000 moves: return 2 [1, 3], wins 50%, 1,234 moves/s",
    ]
    assert not re.search(r"\x1b", said.err)


def test_brackets_are_shown_as_they_are(capsys):
    nothing = Score(0, *[float("nan")] * 3, 0)
    result = TrainResult("QMIX on a game", {}, nothing, [Run(0, [nothing], nothing, lost=6)])
    show_result(result, Path("runs[a]"), 1)
    out = capsys.readouterr().out
    assert "Team and results are in runs[a]" in out and out.count("[nan, nan]") == 2
    assert "Too few whole episodes to tell the trained team from the random one." in out


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-31.2345, "-31.23"), (1234.5, "1,234"), (-98765, "-98,765"), (0.012345, "0.01235")],
)
def test_numbers_have_four_digits_that_say_something(value, text):
    assert number(value) == text


def test_a_score_in_half_a_line():
    assert described(score(0.5, wins=1.0)) == "return 0.5 [-0.5, 1.5], wins 100%"
