import numpy as np
import pytest

from vdtoolkit.envs._tables import LONGEST, image, text, visible

TABLE = np.array([[8.0, -12.0, 0.25], [1.0, 2.0, 3.0]])


def test_text_marks_the_move_in_its_row_and_column():
    assert text(TABLE, (0, 1), "a game", "the end").split("\n") == [
        "a game",
        "rows agent_0, columns agent_1",
        "         0      1      2",
        "   0     8   [-12]  0.25",
        "   1     1      2      3",
        "the end",
    ]


def test_text_of_the_start_marks_nothing():
    assert "[" not in text(TABLE, None, "a game", "start")


def test_a_single_agent_is_one_row():
    lines = text(np.array([1.0, 2.5, -3.0]), (1,), "a game", "x").split("\n")
    assert lines[1] == "columns agent_0"
    assert lines[3].split() == ["1", "[2.5]", "-3"]
    assert len(lines) == 5


def test_more_agents_show_the_slice_of_the_move():
    table = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    part = visible(table, (1, 2, 3, 4))
    np.testing.assert_array_equal(part.values, table[:, :, 3, 4])
    assert part.marked == (1, 2)
    assert part.note == "with agent_2: 3, agent_3: 4"
    np.testing.assert_array_equal(visible(table, None).values, table[:, :, 0, 0])
    assert "[119]" in text(table, (1, 2, 3, 4), "a game", "x")


@pytest.mark.parametrize("played", [(0, 0), (39, 5), (20, 29), None])
def test_long_axes_show_the_part_around_the_move(played):
    table = np.arange(40 * 30.0).reshape(40, 30)
    part = visible(table, played)
    assert part.values.shape == (LONGEST, LONGEST)
    np.testing.assert_array_equal(part.values, table[np.ix_(part.rows, part.columns)])
    assert part.note == "part of 40 x 30 actions"
    if played is None:
        assert part.marked is None
    else:
        assert part.values[part.marked] == table[played]


@pytest.mark.parametrize("shape", [(4,), (3, 3), (2, 3, 4), (21, 21), (40, 30), (1, 1)])
def test_a_picture_frames_the_move(shape):
    table = np.arange(np.prod(shape), dtype=float).reshape(shape)
    plain = image(table, None, "a game", "start")
    framed = image(table, (0,) * len(shape), "a game", "start")
    assert plain.dtype == framed.dtype == np.uint8
    assert plain.shape == framed.shape
    assert plain.ndim == 3
    assert plain.shape[2] == 3
    crimson = [220, 20, 60]
    assert (framed == crimson).all(-1).sum() > 50
    assert not (plain == crimson).all(-1).any()


def test_masked_entries_are_drawn_without_a_warning():
    table = np.array([[np.nan, 1.0], [2.0, np.nan]])
    assert "nan" in text(table, (0, 1), "a game", "x")
    assert image(table, (0, 1), "a game", "x").std() > 0
