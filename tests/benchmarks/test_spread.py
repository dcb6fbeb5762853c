"""The NumPy twin of simple_spread_v3, held to mpe2 over whole episodes."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from benchmarks.spread import SpreadVectorEnv, spread_team
from vdtoolkit.stream import TeamEnv, VectorStream
from vdtoolkit.team import Team

mpe2 = pytest.importorskip("mpe2.simple_spread_v3")

E, T = 4, 7
SETTINGS = [(1, 0.5), (3, 0.0), (3, 0.5), (5, 0.0), (5, 0.5)]


def mpe_env(N, local_ratio, max_cycles=T):
    return mpe2.parallel_env(N=N, local_ratio=local_ratio, max_cycles=max_cycles)


def seen_by_mpe(env, observations):
    return np.stack([observations[a] for a in env.possible_agents]), env.state()


def put(env, agents, landmarks):
    """Everything somewhere, at rest; what each agent then sees."""
    world = env.unwrapped.world
    for agent, where in zip(world.agents, agents, strict=True):
        agent.state.p_pos, agent.state.p_vel = where.copy(), np.zeros(2)
    for landmark, where in zip(world.landmarks, landmarks, strict=True):
        landmark.state.p_pos = where.copy()
    return {a: env.unwrapped.observe(a) for a in env.possible_agents}


def same_step(env, told, e, twin_told):
    """One row of the twin's step against mpe2's."""
    observations, rewards, terminations, truncations, _ = told
    seen, reward, terminated, truncated, _ = twin_told
    obs, state = seen_by_mpe(env, observations)
    np.testing.assert_allclose(seen["obs"][e], obs, atol=1e-5, rtol=0)
    np.testing.assert_allclose(seen["state"][e], state, atol=1e-5, rtol=0)
    np.testing.assert_allclose(reward[e], np.mean(list(rewards.values())), atol=1e-5, rtol=0)
    assert terminated[e] == any(terminations.values()) == 0
    assert truncated[e] == any(truncations.values())


@pytest.mark.parametrize(("N", "local_ratio"), SETTINGS)
def test_whole_episodes_are_mpe2s_from_the_same_seeds(N, local_ratio):
    twin, seeds = SpreadVectorEnv(E, N, local_ratio, T), [11, 5, 23, 7]
    envs = [mpe_env(N, local_ratio) for _ in range(E)]
    rng = np.random.default_rng(0)
    for episode in range(3):  # the later ones go on with the same dice, as mpe2's do
        first = [
            env.reset(seed=s if not episode else None)[0]
            for env, s in zip(envs, seeds, strict=True)
        ]
        if episode:
            seen, reward, _, truncated, _ = twin.step(np.zeros((E, N), int))  # the autoreset
            assert not reward.any() and not truncated.any()
        else:
            seen, _ = twin.reset(seed=seeds)
        for e, env in enumerate(envs):
            np.testing.assert_allclose(seen["obs"][e], seen_by_mpe(env, first[e])[0], atol=1e-6)
        for t in range(T):
            actions = rng.integers(0, 5, (E, N))
            told = twin.step(actions)
            assert told[3].all() == (t == T - 1)
            for e, env in enumerate(envs):
                chosen = dict(zip(env.possible_agents, actions[e].tolist(), strict=True))
                same_step(env, env.step(chosen), e, told)


@pytest.mark.parametrize(("N", "local_ratio"), SETTINGS[1:])
def test_agents_that_collide_are_pushed_and_fined_as_in_mpe2(N, local_ratio):
    twin, env = SpreadVectorEnv(1, N, local_ratio, 25), mpe_env(N, local_ratio, 25)
    twin.reset(seed=0)
    rng = np.random.default_rng(1)
    fined = 0
    for episode in range(4):
        env.reset(seed=episode)
        agents, landmarks = rng.uniform(-0.2, 0.2, (N, 2)), rng.uniform(-1, 1, (N, 2))
        put(env, agents, landmarks)
        twin._moves = 0
        twin.place(agents[None], landmarks[None])
        for _ in range(25):
            actions = rng.integers(0, 5, (1, N))
            told = env.step(dict(zip(env.possible_agents, actions[0].tolist(), strict=True)))
            same_step(env, told, 0, twin.step(actions))
            between = twin._distance[0, : N * (N - 1) // 2]
            fined += (between < 0.3).sum()
    assert fined > 5


def test_the_twin_has_the_spaces_of_a_vector_env_of_team_envs():
    team = Team.from_env(mpe_env(3, 0.0))
    envs = SyncVectorEnv([lambda: TeamEnv(mpe_env(3, 0.0), team)] * 2)
    twin = SpreadVectorEnv(2, 3, 0.0, T)
    assert isinstance(twin, VectorEnv)
    assert twin.single_observation_space == envs.single_observation_space
    assert twin.single_action_space == envs.single_action_space
    assert twin.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    seen, _ = twin.reset(seed=3)
    assert twin.observation_space.contains(seen)
    assert twin.observation_space.contains(twin.step(twin.action_space.sample())[0])


def test_its_team_is_the_one_of_mpe2():
    assert spread_team(4).spec == Team.from_env(mpe_env(4, 0.0)).spec
    assert spread_team(4).agents == Team.from_env(mpe_env(4, 0.0)).agents


def test_a_seed_fixes_all_episodes_and_what_was_seen_stays():
    def play(seed):
        twin = SpreadVectorEnv(E, 3, 0.0, T)
        seen = [twin.reset(seed=seed)[0]]
        kept = seen[0]["obs"].copy()
        seen += [twin.step(np.full((E, 3), k % 5))[0] for k in range(3 * T)]
        assert (seen[0]["obs"] == kept).all()  # later steps write elsewhere
        return np.stack([s["obs"] for s in seen])

    assert (play(1) == play(1)).all()
    assert (play(1) != play(2)).any()


def test_as_a_stream_an_episode_has_max_cycles_moves_and_then_begins_anew():
    envs = VectorStream(SpreadVectorEnv(E, 3, 0.0, T), spread_team(3))
    assert envs.reset(0).first.all()
    for t in range(1, 2 * (T + 1)):
        step = envs.step(np.zeros((E, 3), int))
        assert step.last.all() == (t % (T + 1) == T)
        assert step.first.all() == (t % (T + 1) == 0)
        assert not step.terminated.any()
