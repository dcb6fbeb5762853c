"""`TeamEnv` under Gymnasium's checker: the whole team as one lawful Gymnasium env."""

import warnings

import pytest
from bridges.watch import Watch
from gymnasium.utils.env_checker import check_env
from teams import Rooms

from vdtoolkit.envs import hidden_payoff_v0, matrix_game_v0, two_step_v0
from vdtoolkit.team_env import TeamEnv

TEAMS = {
    "matrix_game": lambda: matrix_game_v0.parallel_env("climbing", max_cycles=5),
    "two_step": two_step_v0.parallel_env,
    "hidden_payoff": hidden_payoff_v0.parallel_env,
    "unlike agents with masks": lambda: Rooms(illegal_action="replace"),
    "agents that die": Watch,
}

# A team's rows are padded with zeros and its state may be anything finite: no narrower bounds hold.
EXPECTED = ("minimum value is -infinity", "maximum value is infinity")


@pytest.mark.parametrize("team", TEAMS)
def test_a_team_passes_gymnasiums_checker(team):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(TeamEnv(TEAMS[team]()), skip_render_check=True)
    said = [str(warning.message) for warning in caught]
    assert [text for text in said if not any(known in text for known in EXPECTED)] == []
