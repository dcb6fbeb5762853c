"""The picture of the literature: cells that go on where they were, limits, tables, pictures."""

import json
import os
from dataclasses import replace

import fake_cells
import numpy as np
import pytest

from benchmarks import literature, literature_cells, literature_page, literature_tasks
from benchmarks.literature import PARTS, Part, cells_of
from benchmarks.literature_cells import (
    Cell,
    grouped,
    keep,
    known,
    missing,
    run,
    write_whole,
)
from benchmarks.literature_page import (
    games_block,
    games_picture,
    regret_text,
    returns_block,
    told,
    violations_text,
    with_block,
    with_interval,
)
from benchmarks.literature_tasks import (
    ClassLimit,
    class_limit,
    expectiles,
    limits_of,
    played_squeeze,
    squeeze_marks,
    train_cells,
)
from vdtoolkit import ALGORITHMS, Team
from vdtoolkit.envs import gaussian_squeeze_v0, matrix_game_v0, mmdp_v0
from vdtoolkit.finite import optimal_q

# -- cells ----------------------------------------------------------------------------------------


def go(todo, folder, hours=1.0, together=1, **more):
    return run(
        grouped(todo, together), folder, hours=hours, work=fake_cells.work, start="spawn", **more
    )


def cells(*methods, seeds=1):
    return cells_of("games", 7, ["or"], methods, range(seeds))


def test_each_cell_has_a_process_of_its_own_and_leaves_one_file(tmp_path):
    todo = cells("vdn", "iql", seeds=2)
    results = {cell.name: result for cell, result in go(todo, tmp_path, jobs=2)}
    assert set(results) == {f"games-7/or/{m}-{s}" for m in ("vdn", "iql") for s in (0, 1)}
    assert len({r["process"] for r in results.values()} | {os.getpid()}) == 5
    assert known(tmp_path) == results
    assert sorted(p.suffix for p in tmp_path.glob("*/*/*")) == [".json"] * 4
    assert missing(todo, known(tmp_path)) == []


def test_seeds_of_one_method_and_task_may_share_a_process(tmp_path):
    todo = [*cells("vdn", "iql", seeds=3), *cells_of("games", 7, ["mmdp"], ["iql"], [0])]
    told = dict(go(todo, tmp_path, together=2))
    assert list(told) == todo
    assert [len(group) for group in grouped(todo, 2)] == [2, 1, 2, 1, 1]
    assert len({r["process"] for r in told.values()}) == 5
    assert told[todo[0]]["process"] == told[todo[1]]["process"]
    assert [told[cell]["regret"] for cell in todo] == [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0]


def test_all_cells_of_a_group_fail_with_it(tmp_path):
    assert [r["failed"] for _, r in go(cells("raises", seeds=2), tmp_path, together=2)] == [
        "ValueError: no such team"
    ] * 2
    assert [r["failed"] for _, r in go(cells("dies", seeds=2), tmp_path, together=2)] == [
        "its process died"
    ] * 2


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    todo = cells("vdn", "sleeps", "iql")
    running = go(todo, tmp_path)
    assert next(running)[0].method == "vdn"
    running.close()  # as Ctrl-C does
    left = missing(todo, known(tmp_path))
    assert [cell.method for cell in left] == ["sleeps", "iql"]
    assert [p.name for p in tmp_path.glob("*/*/*")] == ["vdn-0.json"]
    before = (tmp_path / "games-7/or/vdn-0.json").read_bytes()
    assert [cell.method for cell, _ in go(left[1:], tmp_path)] == ["iql"]
    assert (tmp_path / "games-7/or/vdn-0.json").read_bytes() == before


@pytest.mark.parametrize(
    ("method", "hours", "why"),
    [
        ("raises", 1.0, "ValueError: no such team"),
        ("sleeps", 1e-4, "took more than 0.0001 h"),
        ("dies", 1.0, "its process died"),
    ],
)
def test_a_cell_that_fails_is_told_and_run_again_only_on_demand(tmp_path, method, hours, why):
    todo = cells(method)
    ((_, result),) = go(todo, tmp_path, hours)
    assert result["failed"] == why
    assert missing(todo, known(tmp_path)) == []
    assert missing(todo, known(tmp_path), again=True) == todo


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "cell.json"
    write_whole(path, "old")

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(literature_cells.os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, "new")
    assert path.read_text() == "old"


def test_kept_results_count_as_done_and_failures_are_not_kept(tmp_path):
    path, todo = tmp_path / "kept.json", cells("vdn", "iql")
    results = {todo[0].name: {"regret": 1.0}, todo[1].name: {"failed": "why"}}
    keep(results, path)
    assert known(tmp_path / "nothing", path) == {todo[0].name: {"regret": 1.0}}
    assert missing(todo, known(tmp_path / "nothing", path)) == todo[1:]
    newer = tmp_path / "out" / f"{todo[0].name}.json"
    write_whole(newer, json.dumps({"regret": 2.0}))
    assert known(tmp_path / "out", path)[todo[0].name] == {"regret": 2.0}


def test_results_of_other_lengths_stay_apart():
    assert Cell("games", "or", "vdn", 0, 7).name != Cell("games", "or", "vdn", 0, 8).name


def test_the_parts_are_those_of_the_picture():
    assert set(PARTS["games"].methods) == set(ALGORITHMS) == set(PARTS["predator_prey"].methods)
    assert sorted(m for _, _, ms in literature_page.GROUPS for m in ms) == sorted(ALGORITHMS)
    for part in PARTS.values():
        assert set(part.methods) <= set(ALGORITHMS) and part.seeds >= 3
    first = cells_of("games", 1, ["or", "climbing"], ["vdn", "iql"], [0, 1])
    assert [(c.task, c.method, c.seed) for c in first[:3]] == [
        ("or", "vdn", 0),
        ("or", "vdn", 1),
        ("or", "iql", 0),
    ]


# -- the command ----------------------------------------------------------------------------------


def test_the_command_writes_the_page_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(literature_page, "limits_of", lambda task: limits_of("or"))
    words = [
        "--part",
        "games",
        "--tasks",
        "or",
        "--methods",
        "vdn",
        "--seeds",
        "0",
        "1",
        "--moves",
        "64",
    ]
    words += ["--out", str(tmp_path / "out"), "--kept", str(tmp_path / "kept.json")]
    words += ["--page", str(tmp_path / "page.md")]
    assert literature.main([*words, "--cells", "1"]) == 0
    assert "2 cells, 1 to run" in capsys.readouterr().out
    page = (tmp_path / "page.md").read_text()
    assert "after 64 moves: one seed, or mean over" in page and "1 of 1 cells are there" in page
    assert "<!-- end of games-64 -->" in page, "what other moves bring has a place of its own"
    assert (tmp_path / "page-games-64.png").stat().st_size > 10_000
    assert list(json.loads((tmp_path / "kept.json").read_text())) == ["games-64/or/vdn-0"]
    assert literature.main([*words, "--cells", "0"]) == 0
    assert "2 cells, 0 to run" in capsys.readouterr().out
    assert (tmp_path / "page.md").read_text() == page


def test_one_command_is_for_the_whole_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(literature_page, "limits_of", lambda task: limits_of("or"))
    monkeypatch.setattr(literature_page, "squeeze_marks", lambda: (5.0, 3.0))
    words = ["--out", str(tmp_path / "out"), "--kept", str(tmp_path / "kept.json")]
    words += ["--page", str(tmp_path / "page.md"), "--cells", "0"]
    assert literature.main(words) == 0
    page, said = (tmp_path / "page.md").read_text(), capsys.readouterr().out
    for name, part in literature.PARTS.items():
        n = len(part.tasks) * len(part.methods) * part.seeds
        assert f"{name}: {n} cells, 0 to run" in said
        assert f"0 of {n} cells are there, {n} missing" in page
        assert (tmp_path / f"page-{name}.png").exists()


def test_cells_are_counted_over_all_parts(tmp_path, monkeypatch):
    trained = []

    def run(groups, folder, **told):
        trained.extend(cell for cells in groups for cell in cells)
        return iter(())

    small = {name: replace(part, seeds=1) for name, part in literature.PARTS.items()}
    monkeypatch.setattr(literature, "PARTS", small)
    monkeypatch.setattr(literature, "run", run)
    monkeypatch.setattr(literature_page, "write", lambda *told: None)
    n = len(literature.GAMES) * len(ALGORITHMS)
    words = ["--out", str(tmp_path / "out"), "--kept", str(tmp_path / "kept.json")]
    assert literature.main([*words, "--cells", str(n + 2)]) == 0
    assert [cell.part for cell in trained] == ["games"] * n + ["predator_prey"] * 2


def test_the_command_names_what_it_does_not_know(capsys):
    for words, text in (
        (["--part", "games", "--tasks", "chess"], "--tasks chess: games has nonmonotonic, "),
        (["--tasks", "or"], "--tasks is of one part: name it with --part games or "),
    ):
        with pytest.raises(SystemExit):
            literature.main(words)
        assert text in capsys.readouterr().err


# -- the page -------------------------------------------------------------------------------------

TINY = Part({"or": "OR", "mmdp": "MMDP"}, ("vdn", "joint_q", "coma"), 3, 7)
LIMITS = {
    "or": dict.fromkeys(
        ("independent", "hysteretic", "lenient", "additive", "elu_qmix", "unrestricted"),
        ClassLimit(2.0),
    )
}
LIMITS["mmdp"] = {**LIMITS["or"], "additive": ClassLimit(None, diverges=True)}


def result(regret, violations=0, **more):
    return {"regret": regret, "violations": violations, "claim": "exact", **more}


def tiny_results():
    found = {}
    for seed, regret in enumerate((0.0, 1.0, 5.0)):
        found[f"games-7/or/vdn-{seed}"] = result(regret, violations=seed % 2)
        found[f"games-7/mmdp/vdn-{seed}"] = result(0.0, growth=1.0 + 2 * (seed > 0))
        found[f"games-7/or/joint_q-{seed}"] = {"refused": "too many joint actions"}
    found["games-7/or/coma-1"] = result(4.0, violations=1, claim="none")
    return found


def rows(block):
    lines = [line for line in block.splitlines() if line.startswith("| ")]
    found = {}
    for line in lines:
        label, *entries = (part.strip() for part in line.strip("|").split(" | "))
        found.setdefault(label, []).append(entries)
    return found


def test_an_entry_tells_mean_spread_and_how_many_seeds():
    assert told([1.0, 1.0, 4.0], 3) == "2 [1, 4]"
    assert told([2.0, 2.0], 2) == "2"
    assert told([2.0, 2.5], 5) == "2.25 [2, 2.5] (2 of 5)"
    assert told([-0.001], 1) == "0"
    assert told([-10.0], 1) == "-10"


def test_returns_have_the_interval_of_their_mean():
    # s = 1, t(0.975, 2) = 4.3027: 4.3027 / sqrt(3)
    assert with_interval([1.0, 2.0, 3.0], 3) == "2 ± 2.48 [1, 3]"
    assert with_interval([2.0, 2.0], 3) == "2 ± 0 (2 of 3)"
    assert with_interval([2.5], 3) == "2.5 (1 of 3)"


def test_regret_is_bold_only_where_every_seed_is_there_and_plays_best():
    assert regret_text("or", [result(0.0), result(0.0)]) == "**0**"
    assert regret_text("or", [result(0.0), result(0.2)]) == "0.1 [0, 0.2]"
    assert regret_text("or", [result(0.0), None]) == "0 (1 of 2)"
    assert regret_text("or", [None, None]) == "missing"
    assert regret_text("or", [None, {"failed": "why"}]) == "failed"
    assert regret_text("or", [{"refused": "why"}]) == "refused"


def test_values_that_grow_without_end_are_told_in_games_of_several_moves():
    grown = [result(0.0, growth=6.0), result(0.0, growth=1.0)]
    assert regret_text("mmdp", grown) == "**0**, diverges 1/2"
    assert regret_text("or", grown) == "**0**"


def test_violations_are_counted_by_seed_and_in_brackets_where_no_igm_is_claimed():
    assert violations_text([result(0, 0), result(0, 0)]) == "**0/2**"
    assert violations_text([result(0, 2), result(0, 0), None]) == "1/2"
    assert violations_text([result(0, 1, claim="none")]) == "(1/1)"
    assert violations_text([None]) == "missing"


def test_the_table_has_limits_beside_methods_and_says_what_is_missing():
    part = Part(TINY.tasks, tuple(ALGORITHMS), 3, 7)
    block = games_block(part, 7, tiny_results(), LIMITS)
    found = rows(block)
    assert found["VDN"] == [
        ["2 [0, 5]", "**0**, diverges 2/3"],
        ["1/3", "**0/3**"],
    ]
    assert found["*limit: additive*"] == [["*2*", "*no end*"]]
    assert found["JointQ"] == [["refused", "missing"]] * 2
    assert found["COMA"] == [["4 (1 of 3)", "missing"], ["(1/1)", "missing"]]
    assert found["QMIX"] == [["missing", "missing"]] * 2
    assert "- JointQ, OR: refused: too many joint actions (seeds 0, 1, 2)" in block
    n = len(ALGORITHMS) * 2 * 3
    assert f"10 of {n} cells are there, {n - 10} missing" in block
    games_picture(part, 7, tiny_results(), LIMITS)


def test_the_limit_of_weighted_methods_is_that_of_their_own_runs():
    results = {
        f"games-7/or/cw_qmix-{seed}": result(0.0, weighted_limit=float(seed)) for seed in range(3)
    }
    results["games-7/or/ow_qmix-0"] = result(0.0, weighted_limit=None)
    found = rows(games_block(Part({"or": "OR"}, tuple(ALGORITHMS), 3, 7), 7, results, LIMITS))
    assert found["*limit: ELU-QMIX, CW's weights*"] == [["*1 [0, 2]*"]]
    assert found["*limit: ELU-QMIX, OW's weights*"] == [["*not known*"]]


def test_returns_are_told_with_what_a_cell_takes(tmp_path):
    part = Part({"p0": "P = 0", "p1.5": "P = -1.5"}, ("vdn", "iql"), 2, 7)
    curve = [[0, 1.0], [7, 2.0]]
    results = {
        f"predator_prey-7/p1.5/vdn-{s}": {"return": -3.0 * s, "curve": curve, "seconds": 60.0}
        for s in (0, 1)
    }
    found = rows(returns_block("predator_prey", part, 7, results))
    assert found["VDN"] == [["missing", "-1.5 ± 19.06 [-3, 0]", "1.0"]]
    assert found["IQL"] == [["missing", "missing", "-"]]
    page = tmp_path / "page.md"
    literature_page.write(page, "predator_prey", part, 7, results)
    assert (tmp_path / "page-predator_prey.png").exists()


def test_other_moves_have_a_table_of_what_is_there_alone(tmp_path):
    part = Part({"p0": "P = 0", "p1.5": "P = -1.5"}, ("vdn", "iql", "qmix"), 3, 7)
    told = {"curve": [[0, 1.0], [9, 2.0]], "seconds": 60.0}
    results = {
        "predator_prey-9/p1.5/vdn-2": {"return": 4.0, **told},
        "predator_prey-9/p1.5/qmix-0": {"return": 1.0, **told},
        "predator_prey-9/p1.5/qmix-1": {"return": 3.0, **told},
        "predator_prey-7/p0/iql-0": {"return": 5.0, **told},
    }
    literature_page.write(tmp_path / "page.md", "predator_prey", part, 9, results)
    page = (tmp_path / "page.md").read_text()
    assert rows(page) == {
        "VDN": [["4", "1.0"]],
        "QMIX": [["2 ± 12.71 [1, 3]", "1.0"]],
        "": [["P = -1.5", "minutes a cell"]],
    }
    assert "3 of 3 cells are there, 0 missing" in page


def test_what_people_wrote_on_the_page_stays():
    first = with_block("# Title\n\nRead this.\n", "games", "old")
    second = with_block(first + "\nAnd this.\n", "games", r"new \1")
    assert second.startswith("# Title\n\nRead this.\n") and second.endswith("\nAnd this.\n")
    assert r"new \1" in second and "old" not in second
    third = with_block(second, "predator_prey", "more")
    assert r"new \1" in third and "more" in third


# -- limits ---------------------------------------------------------------------------------------


def test_independent_limits_are_expectiles_in_closed_form():
    climbing = matrix_game_v0.payoff("climbing")
    np.testing.assert_allclose(expectiles(climbing, 0, 0.1), [6.6667, 4.7619, 4.1667], atol=1e-4)
    np.testing.assert_allclose(expectiles(climbing, 1, 0.1), [6.6667, 3.3333, 5.4167], atol=1e-4)
    mean = expectiles(matrix_game_v0.payoff("penalty"), 0, 1.0)
    np.testing.assert_allclose(mean, [-30, 2 / 3, -30])
    b = 0.3
    of_qtran = expectiles(matrix_game_v0.payoff("nonmonotonic"), 1, b)
    np.testing.assert_allclose(of_qtran[:2], [(8 - 24 * b) / (1 + 2 * b), -12 * b / (2 + b)])


@pytest.mark.parametrize(
    ("task", "told"),
    [
        # independent, hysteretic, additive, elu_qmix
        ("nonmonotonic", ("8", "0", "8", "~0")),
        ("nonmonotonic-3-agents", ("8", "0", "8", "not known")),
        ("climbing", ("6", "0", "6", "~6")),
        ("penalty-100", ("8", "8", "8", "~8")),
        ("two_step", ("0.99", "0", "0.99", "~0")),
        ("gaussian_squeeze_10", ("not known",) * 4),
    ],
)
def test_limits_are_those_worked_out_by_hand(task, told):
    found = limits_of(task)
    names = ("independent", "hysteretic", "additive", "elu_qmix")
    assert tuple(str(found[name]) for name in names) == told


def test_the_mmdp_has_no_end_for_sums_where_gamma_is_above_0_8():
    env = mmdp_v0.parallel_env()
    team = Team.from_env(env)
    for gamma, diverges in ((0.5, False), (0.75, False), (0.85, True), (0.99, True)):
        true = optimal_q(env.unwrapped, gamma, team)
        assert class_limit(env.unwrapped, true, gamma, "additive").diverges == diverges
    assert class_limit(env.unwrapped, true, 0.99, "elu_qmix").diverges
    assert str(class_limit(env.unwrapped, true, 0.99, "monotone")) == "0"


# -- what a cell measures -------------------------------------------------------------------------


def test_a_cell_of_the_lab_tells_regret_violations_and_growth():
    (found,) = train_cells([Cell("games", "or", "cw_qmix", 0, 64)])
    assert {"regret", "violations", "states", "claim", "growth", "verdict", "version"} <= set(found)
    assert found["weighted_limit"] is not None and found["states"] == 1
    json.dumps(found, allow_nan=False)


def test_a_method_that_cannot_play_is_refused_before_it_trains():
    (found,) = train_cells([Cell("games", "gaussian_squeeze_10", "joint_q", 0, 10**9)])
    assert "10 agents with 11 actions" in found["refused"]


class AllTen:
    """A team that plays 10 throughout."""

    def __init__(self, env):
        self.team = Team.from_env(env)

    def actor(self):
        return self

    def act_steps(self, step):
        return np.full((step.n_envs, len(self.team.agents)), 10)


def test_regret_in_the_squeeze_is_against_the_best_x_in_reach():
    env = gaussian_squeeze_v0.parallel_env(4)
    regrets, paid = played_squeeze(AllTen(env), env, 20)
    for k, (regret, pay) in enumerate(zip(regrets, paid, strict=True)):
        env.reset(seed=k)
        most = float(np.mean(env.scales)) * 10
        assert pay == pytest.approx(gaussian_squeeze_v0.payoff(most, 2))
        if most > 8.1:
            assert regret + pay == pytest.approx(8.0087, abs=1e-3)
        elif most < 5:
            assert regret == pytest.approx(0, abs=1e-9)  # all that is in reach
    assert max(regrets) > 1


def test_the_marks_beside_the_squeeze_are_those_of_play(monkeypatch):
    """Played through the environment by chance; a hill by hand: 8.009 of the high, 5.049 less."""
    monkeypatch.setattr(literature_tasks, "SQUEEZED", 40)
    by_chance, lesser = squeeze_marks()
    env, random, lost = gaussian_squeeze_v0.parallel_env(), np.random.default_rng(1), []
    for k in range(40):
        for _ in range(100):
            env.reset(seed=k)
            most = float(10 * env.unwrapped.scales.mean())
            best = gaussian_squeeze_v0.payoff(min(8.016, most), 2)
            played = random.integers(11, size=10)
            _, rewards, *_ = env.step(dict(zip(env.possible_agents, played, strict=True)))
            lost.append(max(best, 5.049) - rewards["agent_0"])
    assert by_chance == pytest.approx(np.mean(lost), abs=0.15)
    assert 0 < lesser < 8.0087 - 5.049


def test_the_squeeze_of_ten_is_measured_on_tiny_sizes(monkeypatch):
    monkeypatch.setattr(literature_tasks, "SQUEEZED", 3)
    (found,) = train_cells([Cell("games", "gaussian_squeeze_10", "vdn", 0, 64)])
    assert found["regret"] >= 0 and found["states"] > 1 and found["violations"] == 0
    assert found["return"] <= 8.0087


def test_a_cell_of_predator_prey_has_a_curve(monkeypatch):
    monkeypatch.setattr(literature_tasks, "CURVE", 2)
    (found,) = train_cells([Cell("predator_prey", "p1.5", "vdn", 0, 3200)])
    assert [moves for moves, _ in found["curve"]] == [0, 1600, 3200]
    assert found["episodes"] == 32
    env = literature_tasks.predator_prey_env("predator_prey", "p1.5")().unwrapped
    assert (env.form, env.arguments["penalty"], env.arguments["size"]) == ("punished", 1.5, 5)
    large = literature_tasks.predator_prey_env("predator_prey_10", "p2")().unwrapped
    assert (large.form, large.arguments["penalty"], large.arguments["size"]) == ("stag_hunt", 2, 10)
