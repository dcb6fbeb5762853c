"""Many environments at once: Gymnasium's own vector envs over a team, as a stream of Steps."""

import time
from functools import partial
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.wrappers import BaseParallelWrapper
from teams import Relay, Rooms, says
from vector_envs import Lengths

from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.episode import TeamEpisode
from vdtoolkit.finite import FiniteStream
from vdtoolkit.stream import OneStream, VectorStream, _cost, stream
from vdtoolkit.team import Team
from vdtoolkit.team_env import TeamEnv

E = 3
FIELDS = (
    "obs",
    "state",
    "available",
    "alive",
    "reward",
    "first",
    "terminated",
    "truncated",
    "lost",
)


def team_env(**options):
    return TeamEnv(Relay(**options))


def lots(step, rng):
    """A random available action for each agent; masks bind only where an agent lives."""
    return np.where(step.available, rng.random(step.available.shape), -1).argmax(-1)


def run(envs, moves=25, seed=4, dice=8):
    """The steps of a stream under random play."""
    rng, steps = np.random.default_rng(dice), [envs.reset(seed)]
    for _ in range(moves):
        steps.append(envs.step(lots(steps[-1], rng)))
    envs.close()
    return steps


def rows(steps, e):
    """What env e went through: one dict a moment."""
    return [{name: getattr(step, name)[e].tolist() for name in FIELDS} for step in steps]


# -- seeds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_equal_seeds_are_equal_runs_and_other_seeds_others(kind):
    def one(seed):
        envs = VectorStream(kind([team_env] * E), Team.from_env(Relay()))
        steps = run(envs, moves=12, seed=seed)
        return [rows(steps, e) for e in range(E)]

    assert one(1) == one(1)
    assert one(1) != one(2)
    assert one(1)[0] != one(1)[1]


def test_an_envs_seed_does_not_depend_on_how_many_there_are():
    few, many = (run(stream(Relay, n), moves=0) for n in (2, 5))
    assert rows(few, 1) == rows(many, 1)


# -- the stream -----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"end": "mixed", "masks": "observations"}])
@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_a_stream_is_the_envs_played_by_hand(kind, options):
    make = partial(team_env, **options)
    steps = run(VectorStream(kind([make] * E), Team.from_env(Relay(**options))))
    rng = np.random.default_rng(8)
    moves = [lots(step, rng) for step in steps[:-1]]
    for e, seed in enumerate(np.random.SeedSequence(4).generate_state(E)):
        assert rows(steps, e) == by_hand(Relay(**options), int(seed), [m[e] for m in moves])


@pytest.mark.parametrize("options", [{}, {"end": "mixed", "masks": "observations"}])
def test_one_env_needs_no_vector_and_gives_the_same_steps(options):
    make = partial(Relay, **options)
    one = stream(make, 1)
    assert isinstance(one, OneStream)
    alone = run(one)
    together = run(VectorStream(SyncVectorEnv([partial(team_env, **options)]), one.team))
    assert rows(alone, 0) == rows(together, 0)
    for field in FIELDS:
        for mine, theirs in zip(alone, together, strict=True):
            assert getattr(mine, field).dtype == getattr(theirs, field).dtype, field


def by_hand(env, seed, moves):
    """The same through TeamEpisode alone; episode k is seeded from (seed, k)."""
    seeds = iter(np.random.SeedSequence(seed).spawn(99))
    episode = TeamEpisode(Team.from_env(env))

    def start():
        observations, infos = env.reset(seed=int(next(seeds).generate_state(1)[0]))
        return episode.start(observations, infos, env.state())

    steps = [start()]
    for joint in moves:
        if steps[-1].last[0]:
            steps.append(start())
        else:
            actions = episode.team.decode(joint, episode.acting)
            steps.append(episode.advance(*env.step(actions), env.state()))
    return rows(steps, 0)


@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_after_a_last_row_comes_a_first_one_without_reward(kind):
    envs = kind([team_env, partial(team_env, end="truncated"), partial(team_env, breaks=True)])
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    steps = run(VectorStream(envs, Team.from_env(Relay())))
    assert steps[0].first.all()
    for before, step in pairwise(steps):
        assert np.array_equal(step.first, before.last)
        assert not step.reward[step.first].any()
        assert not step.last[step.first].any()
    ends = [
        sum(getattr(s, name) for s in steps) > 0 for name in ("terminated", "truncated", "lost")
    ]
    assert np.array(ends).tolist() == [
        [True, False, True],
        [False, True, False],
        [False, False, True],
    ]


def test_a_step_has_the_dtypes_it_promises_and_is_not_changed_by_the_next():
    steps = run(stream(Relay, E))
    kept = run(stream(Relay, E))
    for step, same in zip(steps, kept, strict=True):
        for name in FIELDS:
            kind = np.float32 if name in ("obs", "state", "reward") else np.bool_
            assert getattr(step, name).dtype == kind, name
            assert np.array_equal(getattr(step, name), getattr(same, name))
    rng, envs = np.random.default_rng(8), stream(Relay, E)
    step, before = envs.reset(4), rows(steps, 0)
    for t in range(20):
        after = envs.step(lots(step, rng))
        assert rows([step], 0) == [before[t]]
        step = after


def test_a_stream_that_is_reset_starts_anew():
    envs = stream(Relay, E)
    rng, step = np.random.default_rng(8), envs.reset(4)
    first = rows([step], 1)
    for _ in range(7):
        step = envs.step(lots(step, rng))
    again = envs.reset(4)
    assert again.first.all()
    assert rows([again], 1) == first


def test_bytes_stay_bytes_from_the_env_to_the_step():
    class Pictures(ParallelEnv):
        metadata = {"name": "pictures_v0"}  # noqa: RUF012
        possible_agents = ("a", "b")
        render_mode = None
        state_space = Box(0, 255, (3, 4), np.uint8)

        def observation_space(self, agent):
            return Box(0, 255, (4, 5, 3), np.uint8)

        def action_space(self, agent):
            return Discrete(2)

        def reset(self, seed=None, options=None):
            self.agents = list(self.possible_agents)
            self.rng = np.random.default_rng(seed)
            return self.seen(), {a: {} for a in self.agents}

        def step(self, actions):
            told = ({a: value for a in self.agents} for value in (1.0, False, False, {}))
            return (self.seen(), *told)

        def seen(self):
            return {a: self.rng.integers(0, 256, (4, 5, 3), np.uint8) for a in self.agents}

        def state(self):
            return np.full((3, 4), 255, np.uint8)

    env = TeamEnv(Pictures())
    seen, _ = env.reset(seed=1)
    assert env.observation_space.contains(seen)
    assert seen["obs"].dtype == seen["state"].dtype == np.uint8
    alone, async_ = (
        run(VectorStream(kind([lambda: TeamEnv(Pictures())] * 2), env.team), moves=3)
        for kind in (SyncVectorEnv, AsyncVectorEnv)
    )
    workers = run(stream(Pictures, 2, workers=2), moves=3)
    for step, *same in zip(alone, async_, workers, strict=True):
        for name in FIELDS:
            assert {getattr(s, name).dtype for s in same} == {getattr(step, name).dtype}
            assert all(np.array_equal(getattr(s, name), getattr(step, name)) for s in same)
        assert step.obs.dtype == step.state.dtype == np.uint8


# -- which stream ---------------------------------------------------------------------------


def test_finite_games_are_played_from_their_model():
    envs = stream(Rooms, E)
    assert isinstance(envs, FiniteStream)
    assert envs.n_envs == E


def test_others_are_played_in_a_row_and_share_the_team():
    team = Team.from_env(Relay(state="bare"))
    made = []

    def make():
        made.append(Relay(state="bare"))
        return made[-1]

    envs = stream(make, E, team)
    assert isinstance(envs, VectorStream)
    assert envs.team is team
    assert team.state_dim == 7
    assert len(made) == E
    assert len({id(env) for env in made}) == E


def test_what_a_step_costs_is_measured_by_moves_that_masks_allow():
    class Slow(Relay):
        def step(self, actions):
            time.sleep(0.02)
            return super().step(actions)

    slow = _cost(TeamEnv(Slow()))
    assert slow > 0.02
    assert 0 < _cost(TeamEnv(Relay())) < slow


def test_a_wrapped_finite_game_is_played_with_its_wrapper():
    class Tenfold(BaseParallelWrapper):
        def step(self, actions):
            observations, rewards, *rest = self.env.step(actions)
            return observations, {a: 10 * r for a, r in rewards.items()}, *rest

    envs = stream(lambda: Tenfold(matrix_game_v0.parallel_env("climbing")), E)
    envs.reset()
    assert envs.step(np.zeros((E, 2), np.int64)).reward.tolist() == [110] * E


def test_step_is_send_and_receive_in_every_stream():
    team = Team.from_env(Relay())
    for make in (
        lambda: stream(Relay, E),
        lambda: stream(Rooms, E),
        lambda: VectorStream(AsyncVectorEnv([team_env] * E), team),
        lambda: stream(lambda: Lengths(team, [2, 3, 4]), E, team),
    ):
        together, apart = make(), make()
        step, same, rng = together.reset(4), apart.reset(4), np.random.default_rng(8)
        for _ in range(9):
            actions = lots(step, rng)
            step = together.step(actions)
            apart.send(actions)
            same = apart.receive()
            assert rows([step], slice(None)) == rows([same], slice(None))
        assert together.n_restarts == apart.n_restarts == 0
        together.close()
        apart.close()


def test_async_envs_play_while_the_caller_does_something_else():
    class Slow(Relay):
        def step(self, actions):
            time.sleep(1.0)
            return super().step(actions)

    envs = VectorStream(AsyncVectorEnv([lambda: TeamEnv(Slow())] * 2), Team.from_env(Relay()))
    step, begun = envs.reset(), time.perf_counter()
    envs.send(step.available.argmax(-1))
    assert time.perf_counter() - begun < 0.5
    envs.receive()
    assert time.perf_counter() - begun > 1.0
    envs.close()


# -- AEC ------------------------------------------------------------------------------------


def test_an_aec_env_is_played_as_its_parallel_one():
    module = pytest.importorskip("mpe2.simple_spread_v3")
    aec = run(stream(partial(module.env, max_cycles=4), 2))
    parallel = run(stream(partial(module.parallel_env, max_cycles=4), 2))
    assert [rows(aec, e) for e in range(2)] == [rows(parallel, e) for e in range(2)]
    assert sum(step.last.sum() for step in aec) >= 8


def test_an_aec_env_whose_agents_must_take_turns_is_played_turn_by_turn():
    class Turns(AECEnv):
        """Ann and bob in turn, two moves each; a move pays everybody the action."""

        metadata = {"name": "turns_v0", "is_parallelizable": False}  # noqa: RUF012
        possible_agents = ("ann", "bob")
        render_mode = None

        def observation_space(self, agent):
            return Box(0, 9, (2,), np.float32)

        def action_space(self, agent):
            return Discrete(3)

        def observe(self, agent):
            turn = getattr(self, "agent_selection", "ann") == agent
            return np.array([self.moves, turn], np.float32)

        def reset(self, seed=None, options=None):
            self.agents, self.moves, self.agent_selection = list(self.possible_agents), 0, "ann"
            for name, value in (("rewards", 0), ("_cumulative_rewards", 0)):
                setattr(self, name, dict.fromkeys(self.agents, value))
            for name in ("terminations", "truncations"):
                setattr(self, name, dict.fromkeys(self.agents, False))
            self.infos = {a: {} for a in self.agents}

        def step(self, action):
            if self.terminations[self.agent_selection]:
                return self._was_dead_step(action)
            self.moves += 1
            self.rewards = dict.fromkeys(self.agents, float(action))
            self.terminations = dict.fromkeys(self.agents, self.moves == 4)
            self.agent_selection = self.possible_agents[self.moves % 2]

    envs = stream(Turns, 2)
    assert envs.reset().obs.tolist() == [[[0, 1], [0, 0]]] * 2
    step = envs.step(np.array([[2, 0], [1, 2]]))
    assert step.obs.tolist() == [[[1, 0], [1, 1]]] * 2
    assert step.reward.tolist() == [2, 1]  # ann's move alone counts
    assert envs.step(np.array([[2, 0], [1, 2]])).reward.tolist() == [0, 2]
    envs.step(np.array([[2, 0], [1, 2]]))
    step = envs.step(np.array([[2, 1], [1, 2]]))
    assert step.terminated.all()
    assert envs.step(np.array([[2, 1], [1, 2]])).first.all()


# -- born batched ---------------------------------------------------------------------------


def test_an_env_born_batched_is_its_own_stream():
    team = Team.from_env(Relay())
    made = Lengths(team, [2, 4, 3])
    envs = stream(lambda: made, E, team)
    assert envs.n_envs == E and stream(lambda: made, "auto", team).n_envs == E
    steps = run(envs, moves=12)
    assert isinstance(made.seeds[0], int) and made.closed
    for before, step in pairwise(steps):
        assert np.array_equal(step.first, before.last)
        assert step.reward.tolist() == (~step.first).astype(float).tolist()
        assert np.array_equal(step.won == 1, step.last)
        assert np.isnan(step.won[~step.last]).all()
    assert [sum(step.last[e] for step in steps) for e in range(E)] == [4, 2, 3]
    assert not any(step.lost.any() for step in steps)


@pytest.mark.parametrize(
    ("name", "least", "value"),
    [("n_envs", 1, 0), ("n_envs", 1, 2.5), ("n_envs", 1, "many"), ("workers", 0, -1)],
)
def test_a_count_that_is_none_is_refused(name, least, value):
    text = f"{name}={value!r}: give a whole number from {least} on, or 'auto'"
    with says(ValueError, text):
        stream(Relay, **{"n_envs": 2, name: value})


@pytest.mark.parametrize("make", [Relay, Rooms])  # played as it is, and from its model
def test_an_env_of_another_team_is_refused_before_play(make):
    class More(make):
        def action_space(self, agent):
            return Discrete(9)

    names = tuple(make().possible_agents)
    space = make().action_space(names[0])
    text = f"agent {names[0]!r}: its action space is Discrete(9), the team's is {space}: make"
    with says(ValueError, f"{text} the agents for this env"):
        stream(More, 2, Team.from_env(make()))
    team = Team.from_env(make())
    other = Rooms if make is Relay else Relay
    theirs = ", ".join(other().possible_agents)
    with says(
        ValueError,
        f"the env's agents are {theirs}, the team's {', '.join(names)}: they must be the same",
    ):
        stream(other, 2, team)


def test_a_vector_env_that_does_not_fit_is_refused():
    team, other = Team.from_env(Relay()), Team.from_env(Rooms())
    make = lambda: Lengths(team, [2, 4, 3])  # noqa: E731
    with says(ValueError, "Lengths has no agents' names: give stream() a team"):
        stream(make, E)
    with says(ValueError, "env_fn made a Lengths of num_envs=3, n_envs=8: they must be the same"):
        stream(make, 8, team)
    with says(ValueError, "workers=2: a Lengths plays all its environments itself"):
        stream(make, E, team, workers=2)
    with pytest.raises(ValueError, match=r"'alive' is MultiBinary\(3\), the team's"):
        stream(make, E, other)
    with says(
        ValueError,
        "Lengths has autoreset mode SAME_STEP: the last moment of an episode and the first of the "
        "next must be two steps, make it with autoreset_mode=AutoresetMode.NEXT_STEP",
    ):
        stream(lambda: Lengths(team, [2], AutoresetMode.SAME_STEP), 1, team)
    kind = partial(SyncVectorEnv, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ValueError, match="SyncVectorEnv has autoreset mode DISABLED"):
        VectorStream(kind([team_env]), team)
    with pytest.raises(ValueError, match=r"observation space Box.*: a Dict as TeamEnv's is needed"):
        VectorStream(gymnasium.make_vec("CartPole-v1", 2), team)
    bare = Lengths(team, [2])
    bare.single_action_space = Discrete(5)
    with pytest.raises(ValueError, match=r"action space is Discrete\(5\), the team's is MultiDis"):
        VectorStream(bare, team)
