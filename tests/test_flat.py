"""`Flat`: every space that has a fixed size as a row of numbers; each refusal word by word."""

import re

import numpy as np
import pytest
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    OneOf,
    Sequence,
    Text,
    Tuple,
)
from teams import says

from vdtoolkit.flat import Flat, any_box, seen_space

EVERY = [
    Box(-1, 1, (2, 3), np.float64),
    Box(0, 9, (4,), np.uint8),
    Box(-1, 1, (), np.float32),
    Discrete(4, start=-1),
    MultiBinary(3),
    MultiBinary([2, 2]),
    MultiDiscrete([2, 3]),
    Text(5),
    Tuple([Discrete(2), Box(0, 1, (2,))]),
    OneOf([Discrete(3), Box(0, 1, (2,))]),
    Dict({"b": Discrete(2), "a": Tuple([Text(2), Dict({"deep": MultiBinary(2)})])}),
]


@pytest.mark.parametrize("space", EVERY, ids=str)
def test_every_space_of_fixed_size_is_a_row_of_numbers(space):
    space.seed(0)
    flat = Flat(space, "it")
    rows = np.array([flat(space.sample()) for _ in range(20)])
    assert rows.shape == (20, flat.dim)
    assert np.isfinite(rows).all()
    assert len(np.unique(rows, axis=0)) > 1


@pytest.mark.parametrize(
    ("shape", "dtype", "image"),
    [
        ((7, 7, 3), "float32", (7, 7, 3)),  # pursuit
        ((3, 42, 40), "uint8", (42, 40, 3)),
        ((1, 9, 9), "float32", (9, 9, 1)),
        ((5, 6, 12), "uint8", (5, 6, 12)),
        ((84, 83), "uint8", (84, 83, 1)),  # after SuperSuit's grayscale
        ((27, 5), "float64", None),  # vectors of knights_archers_zombies
        ((4, 9, 3), "uint8", None),  # both could be channels and the sides are tiny
        ((3, 2, 3), "uint8", None),
        ((128,), "uint8", None),
        ((6, 6, 6, 6), "uint8", None),
    ],
)
def test_what_counts_as_an_image(shape, dtype, image):
    assert Flat(Box(0, 9, shape, np.dtype(dtype).type), "it").image == image


def test_channels_are_put_last():
    value = np.arange(3 * 5 * 6, dtype=np.uint8).reshape(3, 5, 6)
    told = Flat(Box(0, 255, value.shape, np.uint8), "it")(value)
    assert np.array_equal(told, value.transpose(1, 2, 0))


def test_the_space_of_a_first_value():
    assert seen_space(np.zeros((2, 3), np.uint8)) == Box(0, 255, (2, 3), np.uint8)
    assert seen_space([1, 2, 3]) == Box(-np.inf, np.inf, (3,))
    assert any_box((2,), np.dtype(np.int16)) == Box(-(2**15), 2**15 - 1, (2,), np.int16)
    with pytest.raises(ValueError, match="state\\(\\) gives dict of object, not numbers: tell"):
        seen_space({"a": 1})


def test_integers_of_another_width_are_taken_where_they_fit():
    flat = Flat(Box(0, 255, (2,), np.uint8), "it")
    assert flat(np.array([3, 255])).tolist() == [3, 255]
    assert flat(np.array([3.0, 4.0])).dtype == np.uint8
    assert Flat(Box(0, 1, (2,)), "it")([True, False]).tolist() == [1, 0]


@pytest.mark.parametrize("space", [Sequence(Discrete(2)), Graph(Discrete(2), None)], ids=str)
def test_a_space_of_no_fixed_size_is_refused(space):
    for each, value in ((space, space), (Dict({"x": space}), Dict({"x": space}))):
        with says(
            ValueError,
            f"agent 'a': observation has space {value}, which has no fixed size: networks need "
            "one; use Box, Discrete, MultiBinary, MultiDiscrete, Text, Tuple, Dict or OneOf",
        ):
            Flat(each, "agent 'a': observation")


NEST = Dict({"wind": Tuple([Discrete(3), Box(0, 9, (2,), np.int16)])})
BYTES = Box(0, 255, (2,), np.uint8)


@pytest.mark.parametrize(
    ("space", "value", "text"),
    [
        (NEST, {"wind": (3, np.zeros(2))}, "it['wind'][0] is 3, which is not in its space Disc"),
        (NEST, {"wind": (2, np.zeros(3))}, "it['wind'][1] has shape (3,), its space Box(0, 9, "),
        (NEST, {"wind": (2, [0, 0.5])}, "it['wind'][1] has 0.5, which its space's int16 cannot "),
        (NEST, {"wind": (2,)}, "it['wind'] is (2,), its space has 2 parts"),
        (NEST, {"rain": 1}, "it is keys ['rain'], its space has the keys ['wind']"),
        (NEST, np.zeros(3), "it is a ndarray, its space has the keys ['wind']"),
        (BYTES, np.array([1, 256]), "it has 256, which its space's uint8 cannot hold"),
        (BYTES, np.array([1, -1]), "it has -1, which its space's uint8 cannot hold"),
        (BYTES, np.array([1, np.nan]), "it has nan, which its space's uint8 cannot hold"),
        (BYTES, np.zeros((2, 1)), "it has shape (2, 1), its space Box(0, 255, (2,), uint8) has"),
        (BYTES, np.array(["a", "b"]), "it is of <U1, its space Box(0, 255, (2,), uint8) of uint8"),
        (Discrete(3), -1, "it is -1, which is not in its space Discrete(3)"),
        (OneOf([Discrete(3), BYTES]), (2, 1), "it chooses 2 of 2 spaces"),
        (OneOf([Discrete(3), BYTES]), (0, 7), "it[1] is 7, which is not in its space Discrete(3)"),
        (OneOf([Discrete(3), BYTES]), 1, "it is 1, which is not in its space OneOf"),
        (Text(2), "abc", "it is 'abc', which is not in its space Text(1, 2"),
    ],
)
def test_a_value_of_another_space_is_refused_by_its_key(space, value, text):
    with pytest.raises(ValueError, match="^" + re.escape(text)):
        Flat(space, "it")(value)


def test_bytes_among_other_numbers_become_0_to_1_and_levels_stay():
    space = Dict(
        {
            "image": Box(0, 255, (2, 1), np.uint8),
            "rest": Tuple([Discrete(2), Box(0, 255, (1,), np.uint8), Box(0, 9, (1,), np.uint8)]),
            "wind": Box(0, 255, (1,), np.float32),
        }
    )
    byte = np.array([255], np.uint8)
    value = {
        "image": np.array([[255], [51]], np.uint8),
        "rest": (1, byte, np.array([7], np.uint8)),
        "wind": np.array([200.0], np.float32),
    }
    row = Flat(space, "x")(value)
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, [1, 0.2, 0, 1, 1, 7, 200], rtol=1e-6)
    assert Flat(space["image"], "x")(value["image"]).tolist() == [255, 51]  # the network's to scale
