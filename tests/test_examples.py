"""The examples run, small in the fast tests and at full size in the slow ones."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vdtoolkit import ALGORITHMS, igm

FOLDER = Path(__file__).resolve().parents[1] / "examples"

# what makes each one small enough for the fast tests
SMALL = {
    "climbing": {"moves": 320},
    "mixer_in_plain_torch": {"steps": 20},
    "new_mixer": {"moves": 640},
    "own_payoff": {"moves": 640},
    "qtran_game": {"episodes": 60},
    "simple_spread": {"episodes": 33, "seeds": 1, "test_episodes": 3},
    "supersuit_pipeline": {"moves": 1000, "episodes": 3},
    "two_step": {"moves": 320},
}


@pytest.fixture(autouse=True)
def _run_anew(monkeypatch, algorithms_as_they_were):
    for name in set(SMALL):
        monkeypatch.delitem(sys.modules, f"examples_{name}", raising=False)


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def small(name: str):
    return example(name).main(**SMALL[name])


def apart(better, worse) -> bool:
    """Whether the 95 % intervals are apart, the better one above."""
    return better.interval[0] > worse.interval[1]


def test_every_file_of_examples_is_run_here():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_examples_are_short_and_say_what_they_show(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 48
    assert 'if __name__ == "__main__":' in text


def test_qtran_game_prints_the_audit_of_the_team(capsys):
    audit = small("qtran_game")
    assert audit.algorithm == "QTRAN-base"
    assert audit.exact
    assert audit.states[0].payoff.max() == 8
    assert "payoff" in capsys.readouterr().out


def test_climbing_shows_each_method_beside_its_limit(capsys):
    learned = small("climbing")
    assert list(learned) == ["VDN", "QMIX", "Qatten"]
    assert all(state.optimum == (0, 0) for state in learned.values())
    assert capsys.readouterr().out.count("its class can, by least squares") == 3


def test_own_payoff_audits_three_unlike_agents():
    audit, limits = small("own_payoff")
    assert audit.states[0].q_tot.shape == (2, 3, 4)
    assert audit.violation_rate == 0
    assert limits["unrestricted"].greedy == (1, 2, 3)
    assert limits["additive"].greedy == (0, 0, 0)
    assert limits["monotone"].table is None


def test_two_step_plays_both_methods():
    returns = small("two_step")
    assert list(returns) == ["VDN", "QMIX"]
    assert set(returns.values()) <= {0.0, 1.0, 7.0, 8.0}


def test_new_mixer_is_registered_and_igm_holds_for_it():
    audits = small("new_mixer")
    assert list(audits) == ["qmix", "tanh"]
    assert "tanh" in ALGORITHMS
    assert audits["tanh"].violation_rate == 0
    assert audits["tanh"].least_slope >= 0


def test_new_mixer_can_be_saved_and_loaded_by_name(tmp_path):
    from vdtoolkit import load
    from vdtoolkit.envs import matrix_game_v0

    module, env = example("new_mixer"), matrix_game_v0.parallel_env("or")
    agents = module.TanhAgents(env, seed=3)
    agents.save(tmp_path / "team.safetensors")
    again = load(tmp_path / "team.safetensors")
    assert type(again) is module.TanhAgents
    before, after = (igm.audit(team, env).states[0].q_tot for team in (agents, again))
    np.testing.assert_array_equal(before, after)


def test_mixer_in_plain_torch_learns_without_our_agents():
    loss, right = small("mixer_in_plain_torch")
    assert np.isfinite(loss)
    assert 0 <= right <= 1


def test_supersuit_pipeline_trains_the_unlike_team():
    before, after = small("supersuit_pipeline")
    assert before.lengths.tolist() == after.lengths.tolist() == [25, 25, 25]
    assert not np.array_equal(before.returns, after.returns)


def test_simple_spread_compares_random_untrained_and_trained_teams():
    teams = small("simple_spread")
    assert list(teams) == [
        "random",
        "QMIX, seed 0, untrained",
        "QMIX, seed 0",
        "Qatten, seed 0, untrained",
        "Qatten, seed 0",
    ]
    assert all((team.lengths == 25).all() and (team.returns < 0).all() for team in teams.values())


def test_simple_spread_takes_the_number_of_episodes(monkeypatch):
    module = example("simple_spread")
    asked = []
    monkeypatch.setattr(module, "main", lambda *numbers: asked.append(numbers))
    text = (FOLDER / "simple_spread.py").read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["simple_spread.py", "750"])
    exec(text.split('if __name__ == "__main__":')[1].strip(), vars(module))
    assert asked == [(750,)]


@pytest.mark.slow
def test_qtran_game_finds_the_8_and_fits_the_payoff():
    (state,) = example("qtran_game").main().states
    assert state.greedy == state.best == (0, 0)
    assert np.abs(state.q_tot - state.payoff).max() < 0.3


@pytest.mark.slow
def test_climbing_ends_near_the_limits_of_each_class():
    learned = example("climbing").main()
    limits = igm.limits(learned["VDN"].payoff)
    for label in ("VDN", "Qatten"):
        np.testing.assert_allclose(learned[label].q_tot, limits["additive"].table, atol=2.5)
    assert {state.greedy for state in learned.values()} == {(2, 2)}


@pytest.mark.slow
def test_own_payoff_settles_for_the_safe_alternative():
    audit, _ = example("own_payoff").main()
    assert audit.states[0].greedy == (0, 0, 0)
    assert audit.regret == 6


@pytest.mark.slow
def test_new_mixer_holds_the_or_game_where_qmix_cannot():
    audits = example("new_mixer").main()
    assert audits["tanh"].max_error < 0.1
    assert audits["qmix"].max_error > 0.15
    assert audits["tanh"].regret == 0


@pytest.mark.slow
def test_mixer_in_plain_torch_finds_the_best_actions():
    loss, right = example("mixer_in_plain_torch").main()
    assert loss < 0.01
    assert right == 1


@pytest.mark.slow
def test_supersuit_pipeline_learns():
    before, after = example("supersuit_pipeline").main()
    assert apart(after, before)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_two_step_vdn_returns_7_and_qmix_8(seed):
    assert example("two_step").main(seed=seed) == {"VDN": 7, "QMIX": 8}


@pytest.mark.slow
def test_simple_spread_ends_above_the_random_and_the_untrained_team():
    teams = example("simple_spread").main()
    for label in ("QMIX", "Qatten"):
        for seed in range(3):
            trained = teams[f"{label}, seed {seed}"]
            assert len(trained.returns) == 100
            assert apart(trained, teams["random"])
            assert apart(trained, teams[f"{label}, seed {seed}, untrained"])
