"""The comparison's flags are those of the command, and the intervals' trials run."""

import pytest
import tyro

from benchmarks import comparison, intervals
from vdtoolkit.commands.train import options_type
from vdtoolkit.making import EnvMaker


@pytest.mark.parametrize("game", comparison.GAMES)
@pytest.mark.parametrize("method", comparison.METHODS)
def test_the_flags_are_those_of_the_command(game, method):
    train, *words = comparison.command(game, method, 5)
    assert train == "train"
    options = tyro.cli(options_type(method), args=words)
    assert (options.algorithm, options.seeds) == (method, 5)
    maker = EnvMaker.parse(options.env, options.env_arg, options.wrap)
    assert len(maker().possible_agents) == 2


@pytest.mark.parametrize("kind", intervals.KINDS)
def test_shares_of_trials_that_miss(kind):
    shares = intervals.missed(kind, 2, 4, 20)
    assert shares.shape == (3,) and (shares >= 0).all() and (shares < 0.6).all()
