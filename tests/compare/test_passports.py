"""What may differ between runs that are compared, and what may not."""

import pytest

from vdtoolkit.compare.passports import FLAGGED, HARMLESS, REFUSED, differences, unknown
from vdtoolkit.compare.records import read_runs

from .folders import old, run


def found(tmp_path, changes, by=()):
    first = run(tmp_path / "a", "qmix", 0)
    second = run(tmp_path / "b", "vdn", 1, changes=changes)
    return differences("game_v0", read_runs([first, second]), by)


def test_runs_of_other_methods_and_seeds_are_alike(tmp_path):
    assert found(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("env.spaces", "0bad"),
        ("reward", "sum"),
        ("state", "joint"),
        ("n_envs", 16),
        ("updates_per_episode", 0.5),
        ("evaluation.mode", "sampled"),
        ("evaluation.episodes", 8),
        ("evaluation.final_episodes", 100),
        ("versions.torch", "3.0.0"),
        ("versions.vdtoolkit", "0.2.0"),
    ],
)
def test_what_matters_is_refused(tmp_path, name, value):
    (one,) = found(tmp_path, {name: value})
    assert (one.field, one.weight) == (name, REFUSED)
    assert [v for v, _ in one.values][1] == value
    assert [run.name for _, (run,) in one.values] == [f"{tmp_path}/a", f"{tmp_path}/b"]
    assert found(tmp_path, {name: value}, by=[name]) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("moves", 5000),
        ("evaluation.every", 25),
        ("commit", "0000000"),
        ("hardware.device", "cuda"),
        ("versions.torch", "2.12.1"),
        ("versions.python", "3.12.1"),
        ("versions.vdtoolkit", "0.1.1"),
    ],
)
def test_what_may_matter_is_flagged(tmp_path, name, value):
    (one,) = found(tmp_path, {name: value})
    assert (one.field, one.weight) == (name, FLAGGED)


@pytest.mark.parametrize("name", ["workers", "threads", "hardware.cpu", "platform"])
def test_what_decides_the_speed_alone_is_harmless(tmp_path, name):
    (one,) = found(tmp_path, {name: 7})
    assert (one.field, one.weight) == (name, HARMLESS)


def test_the_game_s_version_matters_where_it_is_told(tmp_path):
    run(tmp_path / "a", "qmix", 0, changes={"env.game_version": "4.10"})
    run(tmp_path / "b", "vdn", 0, changes={"env.game_version": "4.6.2"})
    (one,) = differences("game", read_runs([tmp_path]))
    assert (one.field, one.weight) == ("env.game_version", REFUSED)
    run(tmp_path / "b", "vdn", 0)  # not told
    records = read_runs([tmp_path])
    assert differences("game", records) == []
    assert unknown(records) == ["env.game_version"]


def test_what_weighs_most_comes_first(tmp_path):
    changes = {"threads": 2, "commit": "1", "n_envs": 1}
    assert [one.weight for one in found(tmp_path, changes)] == [REFUSED, FLAGGED, HARMLESS]


def test_old_runs_beside_new_ones_do_not_tell_their_spaces(tmp_path):
    run(tmp_path / "a")
    old(tmp_path / "b")
    assert {"env.spaces", "env.sizes", "state"} <= set(unknown(read_runs([tmp_path])))
