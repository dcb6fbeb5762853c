"""Hyperparameters: defaults, epsilon, overrides, and what is refused word by word."""

from dataclasses import FrozenInstanceError, dataclass

import pytest
from teams import says

from vdtoolkit.config import Config, with_overrides

NAMES = (
    "gamma, lr, grad_clip, hidden_dim, batch_size, buffer_size, buffer_bytes, target_interval, "
    "epsilon_start, epsilon_end, epsilon_steps, td_lambda, double_q, recurrent, last_action, "
    "agent_id, share_parameters, dead"
)


def test_defaults_are_the_papers():
    config = Config()
    assert (config.gamma, config.lr, config.grad_clip) == (0.99, 5e-4, 10)
    assert (config.batch_size, config.buffer_size, config.target_interval) == (32, 5000, 200)
    assert (config.epsilon_start, config.epsilon_end, config.epsilon_steps) == (1.0, 0.05, 50_000)
    assert (config.hidden_dim, config.td_lambda, config.double_q) == (64, 0.0, True)


def test_a_config_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Config().gamma = 0.5


# -- epsilon --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moves", "epsilon"), [(0, 0.8), (1, 0.75), (4, 0.6), (8, 0.4), (9, 0.4), (10**9, 0.4)]
)
def test_epsilon_falls_linearly_and_stays(moves, epsilon):
    config = Config(epsilon_start=0.8, epsilon_end=0.4, epsilon_steps=8)
    assert config.epsilon(moves) == pytest.approx(epsilon)


def test_without_steps_epsilon_is_at_its_end_at_once():
    config = Config(epsilon_start=1.0, epsilon_end=0.3, epsilon_steps=0)
    assert [config.epsilon(moves) for moves in (0, 5)] == pytest.approx([0.3, 0.3])


def test_epsilon_may_rise():
    assert Config(epsilon_start=0.0, epsilon_end=1.0, epsilon_steps=4).epsilon(1) == 0.25


# -- overrides ------------------------------------------------------------------------------


def test_overrides_replace_fields_of_a_copy():
    config = Config(lr=0.1)
    changed = with_overrides(config, {"gamma": 0.5, "td_lambda": 0.6})
    assert (changed.gamma, changed.td_lambda, changed.lr) == (0.5, 0.6, 0.1)
    assert config.gamma == 0.99


def test_overrides_keep_the_configs_own_class_and_fields():
    @dataclass(frozen=True)
    class Own(Config):
        heads: int = 4

    assert with_overrides(Own(), {"heads": 2, "gamma": 0.9}) == Own(gamma=0.9, heads=2)
    with says(
        TypeError,
        f"Own has no hyperparameter 'head': did you mean 'heads'? valid are {NAMES}, heads",
    ):
        with_overrides(Own(), {"head": 2})


def test_an_unknown_hyperparameter_is_an_error_that_lists_the_valid_and_the_closest():
    with says(
        TypeError,
        f"Config has no hyperparameter 'learning_rate': valid are {NAMES}",
    ):
        with_overrides(Config(), {"learning_rate": 0.1})
    with says(
        TypeError,
        f"Config has no hyperparameter 'gama': did you mean 'gamma'? valid are {NAMES}",
    ):
        with_overrides(Config(), {"lr": 0.1, "gama": 0.9})


def test_overrides_are_checked_as_the_constructor_checks():
    with says(ValueError, "gamma=1.5: it must be in [0, 1]"):
        with_overrides(Config(), {"gamma": 1.5})


# -- what cannot work -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gamma", "epsilon_start", "epsilon_end", "td_lambda"])
@pytest.mark.parametrize("value", [-0.1, 1.01, float("nan")])
def test_shares_are_between_0_and_1(name, value):
    with says(ValueError, f"{name}={value!r}: it must be in [0, 1]"):
        Config(**{name: value})
    Config(**{name: 0.0})
    Config(**{name: 1.0})


@pytest.mark.parametrize("name", ["lr", "grad_clip"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_step_sizes_are_above_0(name, value):
    with says(ValueError, f"{name}={value!r}: it must be above 0"):
        Config(**{name: value})


@pytest.mark.parametrize("name", ["hidden_dim", "batch_size", "buffer_size", "target_interval"])
@pytest.mark.parametrize("value", [0, -3])
def test_counts_are_at_least_1(name, value):
    with says(ValueError, f"{name}={value}: it must be at least 1"):
        Config(**{name: value})


def test_epsilon_steps_are_not_negative():
    with says(ValueError, "epsilon_steps=-1: it must be at least 0"):
        Config(epsilon_steps=-1)


def test_the_dead_are_zero_or_noop():
    assert Config(dead="noop").dead == "noop"
    with says(ValueError, "dead='skip': it must be 'zero' or 'noop'"):
        Config(dead="skip")


def test_a_batch_must_fit_into_the_buffer():
    assert Config(batch_size=8, buffer_size=8).batch_size == 8
    with says(
        ValueError,
        "batch_size=9 is above buffer_size=8: there would never be enough episodes to learn from",
    ):
        Config(batch_size=9, buffer_size=8)
