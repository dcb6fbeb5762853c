"""What came of a training, as numbers and files."""

import dataclasses
import json
import math

import numpy as np
import pytest

from vdtoolkit.runs import Run, Score, TrainResult, unlike
from vdtoolkit.training import Evaluation


def score(mean, half=1.0, moves=0, **rest):
    return Score(moves, mean, mean - half, mean + half, 5, **rest)


def test_a_score_is_the_evaluations_numbers():
    told = Evaluation(np.array([1.0, 2.0, 6.0]), np.array([4, 5, 9]), lost=2)
    made = Score.from_evaluation(told, 70)
    assert (made.moves, made.mean, made.n, made.length, made.lost) == (70, 3.0, 3, 6.0, 2)
    assert (made.low, made.high) == told.interval


def test_no_episode_at_all_is_null_in_json():
    made = Score.from_evaluation(Evaluation(np.array([]), np.array([]), lost=3))
    plain = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert (plain["mean"], plain["interval"], plain["length"]) == (None, [None, None], None)


def test_several_seeds_are_averaged_and_the_interval_is_over_seeds():
    made = Score.over([score(1.0, lost=1), score(3.0, lost=2)])
    assert (made.mean, made.n, made.of, made.lost) == (2.0, 2, "seeds", 3)
    # Student's t with one degree of freedom: 12.706 standard errors, each sqrt(2) / sqrt(2)
    assert made.high - made.mean == pytest.approx(12.706, abs=1e-3)
    alone = score(4.0)
    assert Score.over([alone]) is alone


def test_win_rates_are_averaged_where_all_seeds_have_one():
    assert Score.over([score(1, win_rate=0.5), score(2, win_rate=1.0)]).win_rate == 0.75
    assert Score.over([score(1, win_rate=0.5), score(2)]).win_rate is None


def test_apart_means_that_intervals_do_not_touch():
    assert score(5).beside(score(2)) == "above"
    assert score(-5).beside(score(2)) == "below"
    assert score(4).beside(score(2)) == "not apart"  # 3 is in both


def test_one_episode_or_none_tells_nothing_apart():
    alone = Score.from_evaluation(Evaluation(np.array([9.0]), np.ones(1)))
    nothing = Score.from_evaluation(Evaluation(np.zeros(0), np.zeros(0), lost=6))
    for few in (alone, nothing):
        assert few.beside(score(2)) == score(2).beside(few) == "unknown"


def test_a_run_that_was_interrupted_counts_by_its_last_point():
    run = Run(3, [score(1), score(2)], moves=50, seconds=2.0, interrupted=True)
    assert run.last is run.curve[-1] and run.steps_per_second == 25.0
    assert run.to_json()["final"] is None
    assert Run(3).last is None and math.isnan(Run(3).steps_per_second)


@pytest.fixture
def result():
    runs = [
        Run(seed, [score(seed, moves=0), score(seed + 3.0, moves=40)], score(seed + 9.0))
        for seed in (0, 1)
    ]
    return TrainResult("a on b", {"command": "c", "env": {"env": "d"}}, score(-7), runs)


def test_the_files(result, tmp_path):
    result.write(tmp_path)
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["command"] == "c" and told["final"]["mean"] == 9.5
    assert told["beside_random"] == "above"
    assert [run["seed"] for run in told["runs"]] == [0, 1]
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert lines[0] == "seed,moves,mean,low,high,episodes,win_rate,lost"
    assert lines[1:3] == ["0,0,0,-1.0,1.0,5,,0", "0,40,3.0,2.0,4.0,5,,0"]


def test_several_seeds_are_apart_by_seeds_and_one_by_its_episodes(result):
    close = dataclasses.replace(result, baseline=score(4.5))
    assert close.to_json()["beside_random"] == "not apart"  # 9.5 and half a width of 6.4
    alone = dataclasses.replace(close, runs=result.runs[:1])
    assert alone.to_json()["beside_random"] == "above"


def test_results_of_unlike_versions_never_meet_without_a_word():
    old, new = {"starcraft": "4.6.2 (Base69232)"}, {"starcraft": "4.10.0 (Base75689)"}
    said = unlike({**old, "torch": "2.2"}, new)
    assert said == (
        "not comparable with its training: starcraft 4.6.2 (Base69232), now 4.10.0 (Base75689)"
    )
    assert unlike(new, new) == unlike({}, new) == unlike(old, {}) == ""
