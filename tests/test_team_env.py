"""A team as one Gymnasium env: spaces, rewards, broken games, seeds."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from teams import NoState, Relay

from vdtoolkit.team import Team
from vdtoolkit.team_env import TeamEnv


def team_env(**options):
    return TeamEnv(Relay(**options))


@pytest.mark.filterwarnings("ignore:.*Box observation space (minimum|maximum) value is:UserWarning")
@pytest.mark.filterwarnings("ignore:.*The environment is being checked:UserWarning")
@pytest.mark.parametrize("options", [{}, {"end": "truncated", "state": "bare"}])
def test_a_team_is_a_lawful_gymnasium_env(options):
    class Lawful(TeamEnv):  # check_env plays random rows, masks or not
        def step(self, action):
            bob = self.env.clock % 5
            return super().step(
                np.where(action == bob, (bob + 1) % 5, action) % self.team.n_actions
            )

    class Any(Relay):
        def step(self, actions):
            if actions["bob"] - 2 == self.clock % 5:
                actions = {**actions, "bob": 2 + (self.clock + 1) % 5}
            return super().step(actions)

    check_env(Lawful(Any(**options)), skip_render_check=True)


def test_spaces_are_those_of_the_team():
    env = team_env()
    N, A, O, S = 3, 5, 4, 7
    shapes = {name: space.shape for name, space in env.observation_space.items()}
    assert shapes == {"obs": (N, O), "state": (S,), "available": (N, A), "alive": (N,)}
    assert env.action_space.nvec.tolist() == [3, A, 2]  # each agent what it has
    seen, info = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    assert info == {}


def test_an_env_whose_state_has_no_space_shows_its_size():
    assert team_env(state="bare").observation_space["state"].shape == (7,)
    assert TeamEnv(NoState()).observation_space["state"].shape == (12,)


def test_the_reward_is_the_teams():
    env = TeamEnv(Relay(), Team.from_env(Relay(), reward="sum"))
    env.reset(seed=1)
    _, reward, *_ = env.step(np.array([2, 4, 0]))
    assert reward == pytest.approx(1.0 * 2 + 10.0 * 6 + 3 * env.env.dice)  # cyd is just there


def test_a_broken_env_is_told_of():
    env = team_env(breaks=True)
    seen, _ = env.reset(seed=0)
    while True:
        *_, terminated, truncated, info = env.step(seen["available"].argmax(-1))
        seen = _[0]
        assert info == ({"lost": True} if terminated or truncated else {})
        if terminated or truncated:
            return


def test_close_closes_the_teams_env():
    env, closed = team_env(), []
    env.env.close = lambda: closed.append(True)
    env.close()
    assert closed == [True]


# -- seeds ----------------------------------------------------------------------------------


def test_an_episodes_seed_does_not_depend_on_how_long_earlier_ones_were():
    def episodes(lengths, seed=6):
        env, starts = team_env(), []
        env.reset(seed=seed)
        for length in lengths:
            for t in range(length):
                env.step(np.array([0, (t + 1) % 5, 0]))
            env.reset()
            starts.append((float(env.env.dice), env.env.length))
        return starts

    assert episodes([1, 2, 0]) == episodes([3, 0, 1])
    assert len(set(episodes([1, 1, 1]))) == 3
    assert episodes([1]) != episodes([1], seed=7)


def test_a_seed_restarts_the_row_of_episodes():
    env = team_env()
    first = [env.reset(seed=5)[0]["obs"].tolist(), env.reset()[0]["obs"].tolist()]
    again = [env.reset(seed=5)[0]["obs"].tolist(), env.reset()[0]["obs"].tolist()]
    assert first == again
    assert first[0] != first[1]


def test_a_reset_without_a_seed_leaves_the_env_its_own_dice():
    env, given = team_env(), []
    reset = env.env.reset
    env.env.reset = lambda seed, options: (given.append((seed, options)), reset())[1]
    env.reset(options={"map": 3})
    assert given == [(None, {"map": 3})]
