"""Gymnasium's tuples of agents as PettingZoo teams."""

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Tuple
from pettingzoo.test import parallel_api_test, parallel_seed_test
from teams import says

from vdtoolkit import Team, TupleTeam, VDNAgents, train


class Pair(gymnasium.Env):
    """Three agents of unlike sizes; five moves, then `end`; everybody is paid its action."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 7}  # noqa: RUF012

    def __init__(self, end="terminated", shared=False, infos="one", render_mode=None):
        self.observation_space = Tuple([Box(0, 9, (k,), np.float32) for k in (1, 2, 4)])
        self.action_space = Tuple([Discrete(2), Discrete(3), Discrete(5)])
        self.end, self.shared, self.infos, self.render_mode = end, shared, infos, render_mode

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.clock = 0
        return self._seen(), self._info()

    def step(self, action):
        assert isinstance(action, tuple) and len(action) == 3
        self.clock += 1
        pay = float(sum(action)) if self.shared else [float(a) for a in action]
        over = self.clock == 5
        return (
            self._seen(),
            pay,
            over and self.end == "terminated",
            over and self.end == "truncated",
            self._info(),
        )

    def render(self):
        return np.full((2, 2, 3), self.clock, np.uint8)

    def _seen(self):
        dice = self.np_random.random()
        return tuple(np.full(k, dice, np.float32) for k in (1, 2, 4))

    def _info(self):
        return {"clock": self.clock} if self.infos == "one" else [{"own": i} for i in range(3)]


class Stateful(Pair):
    """The same with a state of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.state_space = Box(0, 9, (6,), np.float32)

    def state(self):
        return np.full(6, self.clock, np.float32)


@pytest.mark.parametrize("kind", [Pair, Stateful])
def test_pettingzoos_tests_pass(kind):
    parallel_api_test(TupleTeam(kind()), num_cycles=40)
    parallel_seed_test(lambda: TupleTeam(kind()), num_cycles=20)


@pytest.mark.parametrize(
    "name", ["lbforaging:Foraging-5x5-2p-1f-coop-v3", "rware:rware-tiny-2ag-v2"]
)
def test_pettingzoos_tests_pass_on_what_others_wrote(name):
    pytest.importorskip(name.split(":")[0], reason="not installed: pip install .[envs]")

    def make():
        return TupleTeam(gymnasium.make(name, disable_env_checker=True))

    parallel_api_test(make(), num_cycles=60)
    parallel_seed_test(make, num_cycles=30)


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_everybody_ends_together_and_is_gone(end):
    env = TupleTeam(Pair(end=end))
    env.reset(seed=3)
    for move in range(5):
        told = env.step(dict(zip(env.possible_agents, (1, 2, 4), strict=True)))
        assert told[1] == {"agent_0": 1.0, "agent_1": 2.0, "agent_2": 4.0}
        over = dict.fromkeys(env.possible_agents, move == 4)
        never = dict.fromkeys(env.possible_agents, False)
        assert told[2:4] == ((over, never) if end == "terminated" else (never, over))
    assert env.agents == []


def test_one_number_is_everybodys_reward():
    env = TupleTeam(Pair(shared=True))
    env.reset()
    rewards = env.step(dict.fromkeys(env.agents, 1))[1]
    assert rewards == dict.fromkeys(env.possible_agents, 3.0)


@pytest.mark.parametrize(
    ("infos", "told"),
    [("one", [{"clock": 0}] * 3), ("each", [{"own": 0}, {"own": 1}, {"own": 2}])],
)
def test_infos_are_everybodys_or_ones_own(infos, told):
    env = TupleTeam(Pair(infos=infos))
    assert list(env.reset()[1].values()) == told


def test_state_is_there_where_the_env_has_one():
    assert not Team.from_env(TupleTeam(Pair())).has_state
    assert Team.from_env(TupleTeam(Stateful())).spec.state_dim == 6
    env = TupleTeam(Stateful())
    env.reset()
    env.step(dict.fromkeys(env.agents, 1))
    assert (env.state() == 1).all()


def test_render_and_its_mode_are_the_envs():
    env = TupleTeam(Pair(render_mode="rgb_array"))
    env.reset()
    assert env.render_mode == "rgb_array" and env.render().shape == (2, 2, 3)
    assert env.metadata["render_modes"] == ["rgb_array"]


@pytest.mark.parametrize("kind", [Pair, Stateful])
def test_it_can_be_pickled(kind):
    env = pickle.loads(pickle.dumps(TupleTeam(kind())))
    assert env.possible_agents == ["agent_0", "agent_1", "agent_2"]
    assert hasattr(env, "state_space") == (kind is Stateful)


def test_our_agents_train_on_it():
    agents = VDNAgents(TupleTeam(Pair()), seed=0, batch_size=2, hidden_dim=3)
    train(agents, lambda: TupleTeam(Pair()), moves=40, n_envs=2)
    assert agents.updates > 0 and agents.team.n_actions.tolist() == [2, 3, 5]


def test_what_is_no_team_is_refused():
    with says(TypeError, "TupleTeam takes a gymnasium.Env, not a int"):
        TupleTeam(3)
    with pytest.raises(TypeError, match="one part an agent"):
        TupleTeam(gymnasium.make("CartPole-v1"))
    env = Pair()
    env.action_space = Tuple([Discrete(2)])
    with pytest.raises(TypeError, match="observations of 3 agents and actions of 1"):
        TupleTeam(env)


def test_parts_that_are_missing_are_named():
    class Short(Pair):
        def _seen(self):
            return super()._seen()[:2]

    with says(ValueError, "Short: 2 observations of 3 agents: one part an agent is needed"):
        TupleTeam(Short()).reset()
