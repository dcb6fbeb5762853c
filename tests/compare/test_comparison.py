"""Whole comparisons of runs made up for them: numbers by hand, and everything that is refused."""

import numpy as np
import pytest

from vdtoolkit.compare import NotComparableError, Options, compare, read_runs
from vdtoolkit.compare.words import advice, findings, values

from .folders import old, run, several

FAST = {"resamples": 300}
ENVS = ("pack.game_v0", "pack.other_v0")


def compared(path, **options):
    return compare(read_runs([path]), Options(**FAST | options))


def refused(path, **options):
    with pytest.raises(ValueError) as told:
        compared(path, **options)
    return str(told.value)


# -- numbers --------------------------------------------------------------------------------------


def test_scores_are_0_at_the_random_team_and_1_at_the_best_run(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 9, 5), random=1.0)
    run(tmp_path / "b", "vdn", 0, (0, 2, 3), random=3.0)
    (environment,) = compared(tmp_path).environments
    # not 9, which QMIX had on the way
    assert (environment.scale.zero, environment.scale.one) == (2.0, 5.0)
    assert environment.scores["QMIX"] == pytest.approx([1])
    assert environment.scores["VDN"] == pytest.approx([1 / 3])
    assert environment.read["VDN"] == [3.0]
    given = compared(tmp_path, best={"game_v0": 12}, random={"game_v0": 2}).environments[0]
    assert given.scores["QMIX"] == pytest.approx([0.3])


def test_win_rates_are_scores_where_every_run_has_them(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 9), wins=(0, 0.25))
    run(tmp_path / "b", "vdn", 0, (0, 2), wins=(0, 0.75))
    told = compared(tmp_path)
    assert told.methods == ("VDN", "QMIX")
    assert told.environments[0].scores["VDN"] == [0.75]
    assert compared(tmp_path, metric="return").methods == ("QMIX", "VDN")
    run(tmp_path / "b", "vdn", 0, (0, 2))
    assert compared(tmp_path).environments[0].scale.metric == "return"
    assert "--metric return" in refused(tmp_path, metric="win_rate")


def test_without_a_random_team_the_least_return_is_0_and_that_is_told(tmp_path):
    run(tmp_path / "a", "qmix", 0, (-2, 2), random=None)
    run(tmp_path / "b", "vdn", 0, (-1, 0), random=None)
    told = compared(tmp_path)
    assert told.environments[0].scores["VDN"] == [0.5]
    assert any("no random team is told" in warning for warning in told.warnings)


def test_the_best_method_is_first_and_pairs_look_down(tmp_path):
    told = compared(several(tmp_path, {"vdn": 2, "qmix": 8, "iql": 5}, ENVS, seeds=5))
    assert told.methods == ("QMIX", "IQL", "VDN")
    assert [(pair.first, pair.second) for pair in told.pairs] == [
        ("QMIX", "IQL"),
        ("QMIX", "VDN"),
        ("IQL", "VDN"),
    ]
    for pair in told.pairs:
        assert pair.apart and pair.better.value == 1.0 and pair.needed is None
        assert pair.difference.low < pair.difference.value < pair.difference.high
    for method in told.methods:
        for one in told.aggregates[method].values():
            assert one.low <= one.value <= one.high
    assert any("Told apart: QMIX above IQL and VDN; IQL above VDN." in f for f in findings(told))


def test_close_methods_are_told_how_many_seeds_are_missing(tmp_path):
    told = compared(several(tmp_path, {"vdn": 5.0, "qmix": 5.4}, seeds=3))
    (pair,) = told.pairs
    assert pair.apart is False and pair.needed > 3
    assert pair.more == pair.needed - 3
    assert f"{pair.more} more seeds an environment ({pair.needed} in all)" in advice(pair)
    assert advice(pair) in findings(told)[2]
    assert pair.smallest > pair.difference.value


def test_the_same_numbers_twice(tmp_path):
    several(tmp_path, {"vdn": 5.0, "qmix": 5.4}, ENVS)
    first, second = compared(tmp_path), compared(tmp_path)
    assert first.pairs == second.pairs and first.aggregates == second.aggregates
    other = compared(tmp_path, seed=1)
    assert first.aggregates != other.aggregates


def test_methods_with_the_same_scores(tmp_path):
    for method in ("qmix", "vdn"):
        for seed in range(5):
            run(tmp_path / f"{method}{seed}", method, seed, (0, 4))
    told = compared(tmp_path)
    assert told.pairs[0].apart is False and advice(told.pairs[0]) == "the same in every seed"
    assert findings(told)[0] == "All have the same interquartile mean, 1.000 [1.000, 1.000]."
    assert any("intervals have no width" in warning for warning in told.warnings)


# -- unequal runs ---------------------------------------------------------------------------------


def test_runs_of_unequal_length_are_read_where_the_shortest_ended(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 1, 2, 3, 4), random=0)
    run(tmp_path / "b", "qmix", 1, (0, 2), moves=[0, 75], of=200, status="interrupted")
    run(tmp_path / "c", "vdn", 0, (0, 4), moves=[0, 200])
    told = compared(tmp_path, best={"game_v0": 4})
    (environment,) = told.environments
    assert environment.moves == 75
    assert environment.read["QMIX"].tolist() == [1.5, 2.0]
    assert environment.read["VDN"].tolist() == [1.5]
    warnings = " ".join(told.warnings)
    assert f"not finished: {tmp_path}/b (interrupted at 75 of 200 moves)" in warnings
    assert "read at 75 moves, which the shortest reached (the longest: 200)" in warnings
    curve = told.curves["game_v0"]["QMIX"]
    assert curve.x.tolist() == [0, 50, 75, 100, 150, 200]
    assert curve.runs.tolist() == [2, 2, 2, 1, 1, 1]
    assert curve.iqm == pytest.approx([0, (1 + 4 / 3) / 8, 1.75 / 4, 0.5, 0.75, 1])
    assert np.isnan(curve.low[3:]).all() and not np.isnan(curve.low[:3]).any()


def test_runs_of_another_length_that_finished_are_read_there_too(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 1, 2))
    run(tmp_path / "b", "vdn", 0, (0, 1, 2, 3, 4))
    told = compared(tmp_path)
    assert told.environments[0].read == {"QMIX": [2.0], "VDN": [2.0]}
    assert [one.field for one in told.differences] == ["moves"]


def test_a_step_more_or_less_is_no_other_length(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 1), moves=[0, 1007], of=1000)
    run(tmp_path / "b", "vdn", 0, (0, 2), moves=[0, 1000], of=1000)
    told = compared(tmp_path)
    assert told.environments[0].moves is None
    assert told.environments[0].read == {"QMIX": [1.0], "VDN": [2.0]}


def test_the_curve_over_all_environments_ends_where_one_has_no_run(tmp_path):
    several(tmp_path, {"qmix": 4, "vdn": 3}, ENVS, seeds=2)
    for seed in range(2):
        run(
            tmp_path / f"pack.other_v0-vdn/seed-{seed}",
            "vdn",
            seed,
            (0, 1.0),
            env="pack.other_v0",
            of=100,
            status="running",
        )
    told = compared(tmp_path)
    curve = told.overall["VDN"]
    assert np.isnan(curve.iqm[curve.x > 0.5]).all()
    assert not np.isnan(curve.iqm[curve.x <= 0.5]).any()
    assert not np.isnan(told.overall["QMIX"].iqm).any()


def test_unequal_numbers_of_seeds_are_told(tmp_path):
    several(tmp_path, {"qmix": 4, "vdn": 3}, seeds=3)
    run(tmp_path / "more", "qmix", 9, (0, 2, 4.0))
    told = compared(tmp_path)
    assert len(told.environments[0].scores["QMIX"]) == 4
    assert told.pairs[0].seeds == 3
    assert any("From 3 to 4 seeds" in warning for warning in told.warnings)


def test_one_seed_has_no_interval(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 4))
    run(tmp_path / "b", "vdn", 0, (0, 2))
    told = compared(tmp_path)
    assert any("One seed only of QMIX on game_v0" in warning for warning in told.warnings)
    (pair,) = told.pairs
    assert pair.apart is None and np.isnan(pair.difference.low) and pair.needed is None
    assert np.isnan(told.aggregates["QMIX"]["iqm"].low)
    assert "No two methods are told apart." in findings(told)
    assert any("one seed shows no spread" in said for said in findings(told))


# -- names ----------------------------------------------------------------------------------------


def test_hyperparameters_that_vary_are_told_in_the_name(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 4))
    run(tmp_path / "b", "qmix", 0, (0, 3), config={"lr": 0.01})
    run(tmp_path / "c", "vdn", 0, (0, 2))
    assert compared(tmp_path).methods == ("QMIX lr=0.001", "QMIX lr=0.01", "VDN")


def test_hyperparameters_of_an_environment_are_one_method(tmp_path):
    for env, lr in (("pack.game_v0", 0.1), ("pack.other_v0", 0.2)):
        run(tmp_path / f"{env}a", "qmix", 0, (0, 4), env=env, config={"lr": lr})
        run(tmp_path / f"{env}b", "vdn", 0, (0, 2), env=env)
    told = compared(tmp_path)
    assert told.methods == ("QMIX", "VDN")
    assert "Hyperparameters differ between environments: lr (of QMIX)." in told.warnings


def test_arguments_that_vary_are_told_in_the_environments_name(tmp_path):
    for method in ("qmix", "vdn"):
        for k, arguments in enumerate(({"n": 3, "x": 1}, {"n": 5, "x": 1}, {})):
            run(tmp_path / f"{method}{k}", method, 0, (0, 4 + k), arguments=arguments)
        run(tmp_path / f"{method}9", method, 0, (0, 4), env="other.game_v0")
    names = [environment.name for environment in compared(tmp_path).environments]
    assert names == [
        "game_v0 (n=3, x=1)",
        "game_v0 (n=5, x=1)",
        "pack.game_v0 (as it is)",
        "other.game_v0 (as it is)",
    ]


def test_a_method_that_is_not_ours_has_its_own_name(tmp_path):
    run(tmp_path / "a", "my_qmix", 0, (0, 4))
    run(tmp_path / "b", "qtran_base", 0, (0, 2))
    assert compared(tmp_path).methods == ("my_qmix", "QTRAN-base")


# -- refusals -------------------------------------------------------------------------------------


def test_runs_that_differ_in_what_matters_are_refused_and_say_where(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 4))
    run(tmp_path / "b", "vdn", 0, (0, 2), changes={"n_envs": 32})
    with pytest.raises(NotComparableError, match="these runs differ in n_envs") as told:
        compared(tmp_path)
    (one,) = told.value.differences
    told = one.to_json()["values"]
    assert told == [
        {"value": 8, "runs": [f"{tmp_path}/a"]},
        {"value": 32, "runs": [f"{tmp_path}/b"]},
    ]
    assert values(one) == [f"8: {tmp_path}/a", f"32: {tmp_path}/b"]
    anyway = compared(tmp_path, anyway=True)
    assert [d.field for d in anyway.refused] == ["n_envs"]
    assert anyway.methods == ("QMIX", "VDN")


def test_many_runs_that_differ_are_counted(tmp_path):
    several(tmp_path / "a", {"qmix": 4, "vdn": 3})
    several(tmp_path / "b", {"iql": 2}, changes={"n_envs": 1})
    first, second = values(compared(tmp_path, anyway=True).differences[0])
    assert first == f"8: 6 runs of QMIX, VDN ({tmp_path}/a/pack.game_v0-qmix/seed-0 ...)"
    assert second.startswith("1: 3 runs of IQL (")


def test_a_field_that_is_compared_on_purpose_is_in_the_names(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 4))
    run(tmp_path / "b", "qmix", 0, (0, 2), changes={"n_envs": 32})
    assert "are both seed 0 of QMIX" in refused(tmp_path, anyway=True)
    assert compared(tmp_path, by=("n_envs",)).methods == ("QMIX n_envs=8", "QMIX n_envs=32")
    assert "--by m_envs: passports do not tell it: commit, env." in refused(
        tmp_path, by=("m_envs",)
    )


def test_environments_may_differ_from_each_other(tmp_path):
    for env, n_envs in zip(ENVS, (4, 16), strict=True):
        for method in ("qmix", "vdn"):
            run(tmp_path / f"{env}{method}", method, 0, (0, 4), env=env, changes={"n_envs": n_envs})
    assert compared(tmp_path).differences == ()


def test_a_method_that_is_missing_on_an_environment(tmp_path):
    several(tmp_path, {"qmix": 4, "vdn": 3}, seeds=2)
    run(tmp_path / "x", "qmix", 0, (0, 4), env="pack.other_v0")
    assert "there is no run of VDN on other_v0: every method must" in refused(tmp_path)
    told = compared(tmp_path, anyway=True)
    assert [environment.name for environment in told.environments] == ["game_v0"]
    assert "Left out, as not every method has a run there: other_v0." in told.warnings


def test_methods_that_share_no_environment(tmp_path):
    run(tmp_path / "a", "qmix", 0, (0, 4))
    run(tmp_path / "b", "vdn", 0, (0, 4), env="pack.other_v0")
    said = refused(tmp_path, anyway=True)
    assert "there is no run of VDN on game_v0; QMIX on other_v0" in said and "--anyway" not in said


def test_one_method_alone(tmp_path):
    assert "all runs are of one method, QMIX" in refused(several(tmp_path, {"qmix": 4}))


def test_the_same_seed_twice(tmp_path):
    run(tmp_path / "a", "qmix", 1, (0, 4))
    run(tmp_path / "b", "qmix", 1, (0, 5))
    said = refused(tmp_path)
    assert f"{tmp_path}/a and {tmp_path}/b are both seed 1 of QMIX on game_v0" in said


def test_an_environment_that_is_not_there(tmp_path):
    several(tmp_path, {"qmix": 4, "vdn": 3})
    said = refused(tmp_path, best={"gane_v0": 3})
    assert said == "--best gane_v0: there is no such environment: game_v0"


def test_a_best_below_the_random_team(tmp_path):
    several(tmp_path, {"qmix": 4, "vdn": 3})
    said = refused(tmp_path, best={"game_v0": -3})
    assert "a score of 1 (-3, given) must be above a score of 0 (0, a random team)" in said


def test_all_runs_at_the_random_team(tmp_path):
    for method in ("qmix", "vdn"):
        run(tmp_path / method, method, 0, (0, 0))
    assert "give --best game_v0=VALUE or --random game_v0=VALUE" in refused(tmp_path)


def test_old_folders_are_compared_and_what_they_do_not_tell_is_told(tmp_path):
    old(tmp_path / "a", "qmix")
    old(tmp_path / "b", "vdn")
    told = compared(tmp_path)
    assert told.environments[0].read["VDN"].tolist() == [2.0, 3.0]
    assert told.differences == ()
