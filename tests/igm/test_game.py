"""Games by name and from files; each bad file is one clear sentence."""

import json
import pickle

import numpy as np
import pytest

from vdtoolkit.igm.game import LARGEST, checked_payoff, named_game, payoff_game, read_payoff

PAYOFF = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps(PAYOFF))
    (tmp_path / "object.json").write_text(json.dumps({"payoff": PAYOFF}))
    (tmp_path / "plain.csv").write_text("1,2,3\n4,5,6.5\n\n")
    np.save(tmp_path / "array.npy", np.array(PAYOFF))
    return tmp_path


@pytest.mark.parametrize("name", ["list.json", "object.json", "plain.csv", "array.npy"])
def test_every_format_gives_the_same_payoff(folder, name):
    np.testing.assert_array_equal(read_payoff(folder / name), PAYOFF)


def test_a_game_is_made_anew_here_and_in_another_process(folder):
    game = pickle.loads(pickle.dumps(payoff_game(folder / "list.json")))
    assert game.name == "list"
    one, two = game(), game()
    assert one is not two
    np.testing.assert_array_equal(one.unwrapped.rewards("start"), PAYOFF)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("climbing", "climbing"),
        ("Climbing", "climbing"),
        ("penalty-30", "penalty"),
        ("two_step", "two-step"),
        ("two-step", "two-step"),
        ("hidden_payoff", "hidden"),
        ("mmdp", "mmdp"),
        ("gaussian_squeeze", "gaussian squeeze, 2 agents"),
        ("nonmonotonic-5-actions", "non-monotonic game, 2 agents, 5 actions"),
        ("nonmonotonic-3-agents", "non-monotonic game, 3 agents, 3 actions"),
        ("nonmonotonic-3-agents-4-actions", "non-monotonic game, 3 agents, 4 actions"),
    ],
)
def test_named_games(name, title):
    assert title in named_game(name)().unwrapped.title.lower()


def test_an_unknown_game_is_told_with_the_closest_and_all_names():
    with pytest.raises(
        ValueError, match=r"unknown game 'climing': did you mean 'climbing'\? the games are nonmono"
    ):
        named_game("climing")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("ragged.json", "[[1, 2], [3]]", "ragged or holds what is not a number"),
        ("words.json", '[["a", 2]]', "ragged or holds what is not a number"),
        ("scalar.json", "3", r"has shape \(\): give \[A_1, ..., A_N\], one axis an agent"),
        ("empty.json", "[]", r"has shape \(0,\)"),
        ("nan.json", "[[1, NaN], [2, 3]]", r"the payoff of joint action \(0, 1\) is nan"),
        ("inf.csv", "1,2\ninf,3\n", r"the payoff of joint action \(1, 0\) is inf"),
        ("ragged.csv", "1,2\n3\n", "ragged or holds what is not a number"),
        ("words.csv", "a,b\n1,2\n", "could not convert string to float: 'a'"),
        ("broken.json", "[[1, 2", "Expecting ',' delimiter"),
        ("keys.json", '{"table": [[1]]}', r"needs the key 'payoff', this one has \['table'\]"),
        ("junk.npy", "not an array", "junk.npy: "),
        ("payoff.txt", "1", r"a payoff file ends in \.json, \.csv, \.npy"),
    ],
)
def test_a_bad_file_is_one_clear_sentence(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=says) as caught:
        payoff_game(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_clear_sentence(tmp_path):
    with pytest.raises(ValueError, match="cannot be read: No such file or directory"):
        payoff_game(tmp_path / "missing.json")


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        payoff_game(tmp_path / "evil.npy")


def test_a_tensor_above_ten_million_entries_is_refused(tmp_path):
    assert LARGEST == 10**7
    too_many = np.broadcast_to(np.float32(0), (LARGEST + 1,))
    with pytest.raises(ValueError, match="10000001 entries, above the limit of 10000000"):
        checked_payoff(too_many, "x")
    np.save(tmp_path / "large.npy", np.zeros((10, 1001, 1000), np.float16))
    with pytest.raises(ValueError, match="10010000 entries, above the limit of 10000000"):
        payoff_game(tmp_path / "large.npy")
