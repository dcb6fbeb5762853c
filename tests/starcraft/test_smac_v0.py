"""smac_v0: PettingZoo's rules, SMAC's numbers, one game at a time that leaves nothing behind."""

import copy
import gc
import os
import pickle
import signal
import time

import numpy as np
import pettingzoo
import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
from starcraft_play import attack, earned, episode, random_move, stand

from tests.envs.whole_episode import assert_seeds_decide
from vdtoolkit import QMIXAgents, Team, train
from vdtoolkit.envs import smac_v0

INFO = {"action_mask", "alive", "unit_type", "lost_game"}
TEAM_INFO = {"battle_won", "dead_allies", "dead_enemies"}

# agents, enemies, limit, observation, state: of the real class, at its defaults
SIZES = {
    "3m": (3, 3, 60, 30, 48),
    "8m": (8, 8, 120, 80, 168),
    "25m": (25, 25, 150, 250, 950),
    "5m_vs_6m": (5, 6, 70, 55, 98),
    "8m_vs_9m": (8, 9, 120, 85, 179),
    "10m_vs_11m": (10, 11, 150, 105, 243),
    "27m_vs_30m": (27, 30, 180, 285, 1170),
    "MMM": (10, 10, 150, 160, 290),
    "MMM2": (10, 12, 180, 176, 322),
    "2s3z": (5, 5, 120, 80, 120),
    "3s5z": (8, 8, 150, 128, 216),
    "3s5z_vs_3s6z": (8, 9, 170, 136, 230),
    "3s_vs_3z": (3, 3, 150, 36, 54),
    "3s_vs_4z": (3, 4, 200, 42, 61),
    "3s_vs_5z": (3, 5, 250, 48, 68),
    "1c3s5z": (9, 9, 180, 162, 270),
    "2m_vs_1z": (2, 1, 150, 16, 26),
    "corridor": (6, 24, 400, 156, 282),
    "6h_vs_8z": (6, 8, 150, 78, 140),
    "2s_vs_1sc": (2, 1, 300, 17, 27),
    "so_many_baneling": (7, 32, 100, 202, 397),
    "bane_vs_bane": (24, 24, 200, 336, 984),
    "2c_vs_64zg": (2, 64, 400, 332, 342),
}
REWARDS = {"3m": 365, "MMM": 1015, "2s3z": 1020, "2s_vs_1sc": 510, "corridor": 1280}


# -- PettingZoo ---------------------------------------------------------------------------


# the Box is unbounded, since oxwhirl's numbers leave any that could be said; the dead see zeros
@pytest.mark.filterwarnings("ignore:Observation numpy array is all zeros:UserWarning")
@pytest.mark.filterwarnings("ignore:Agent's .*observation space value is -?infinity:UserWarning")
def test_pettingzoos_own_tests_pass(make, smac):
    parallel_api_test(make("3m"), num_cycles=120)
    env = smac_v0.env("3m")
    api_test(env, num_cycles=60)
    env.close()


def test_pettingzoos_seed_tests_pass(smac):
    parallel_seed_test(lambda: smac_v0.parallel_env("3m"), num_cycles=8)
    seed_test(lambda: smac_v0.env("3m"), num_cycles=8)


def test_seeds_decide_whole_episodes(smac):
    smac.set(jitter=0.7)
    assert_seeds_decide(lambda: smac_v0.parallel_env("3m"), episodes=2)


def test_other_seeds_are_other_battles(make, smac):
    smac.set(jitter=0.7)
    env = make("3m")
    states = []
    for seed in (1, 2, 1):
        env.reset(seed=seed)
        states.append(env.state())
    assert (states[0] == states[2]).all()
    assert (states[0] != states[1]).any()


def test_a_seed_that_was_just_given_costs_no_second_launch(make):
    env = make("3m")
    first = env.reset(seed=5)[0]
    again = env.reset(seed=5)[0]
    assert env.game.launches == 1
    np.testing.assert_array_equal(first["agent_1"], again["agent_1"])
    env.step(stand(env.reset()[1]))
    env.reset(seed=5)
    assert env.game.launches == 2


def test_pettingzoos_registry_makes_it(smac):
    made = pettingzoo.make("parallel", "vdtoolkit/smac-v0", map_name="3m")
    assert type(made) is smac_v0.raw_env
    assert type(pettingzoo.make("aec", "vdtoolkit/smac-v0").unwrapped) is smac_v0.raw_env


# -- spaces -------------------------------------------------------------------------------


def test_spaces_need_no_game(smac, monkeypatch):
    monkeypatch.setenv("SC2PATH", "/no/such/folder")
    env = smac_v0.parallel_env("3m")
    assert env.possible_agents == ["agent_0", "agent_1", "agent_2"]
    assert env.observation_space("agent_0").shape == (30,)
    assert env.observation_space("agent_0") is env.observation_space("agent_0")
    assert (env.state_space.shape, env.action_space("agent_2").n) == ((48,), 9)
    assert env.game_version == "not installed"
    assert smac.pids == []
    env.close()


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_those_of_smac(smac, name):
    if smac.name == "stub" and name != "3m":
        pytest.skip("the stub has not this map")
    env = smac_v0.parallel_env(name)
    n, enemies, limit, obs, state = SIZES[name]
    assert (len(env.possible_agents), env.n_enemies, env.limit) == (n, enemies, limit)
    assert {env.observation_space(a).shape for a in env.possible_agents} == {(obs,)}
    assert (env.state_space.shape, env.action_space("agent_0").n) == ((state,), 6 + enemies)
    if smac.name == "real":
        _, infos = env.reset(seed=0)
        if name in REWARDS:
            assert env.game.max_reward == pytest.approx(REWARDS[name])
        rng = np.random.default_rng(0)
        for _ in range(3):
            infos = env.step(random_move(infos, rng))[4]
        assert env.state_space.contains(env.state())
    env.close()


@pytest.mark.parametrize("arguments", [{}, {"obs_instead_of_state": True}])
def test_the_time_of_the_episode_is_counted_in_sizes(make, arguments):
    plain, timed = make("3m", **arguments), make("3m", obs_timestep_number=True, **arguments)
    extra = (
        timed.observation_space("agent_0").shape[0] - plain.observation_space("agent_0").shape[0]
    )
    assert extra == 2
    observations, _ = timed.reset(seed=0)
    assert timed.observation_space("agent_0").contains(observations["agent_0"])
    assert observations["agent_0"].dtype == np.float32
    assert timed.state_space.contains(timed.state())


# -- an episode ---------------------------------------------------------------------------


def test_what_agents_are_told(make):
    env = make("3m")
    observations, infos = env.reset(seed=0)
    rng = np.random.default_rng(0)
    assert set(infos["agent_0"]) == INFO | TEAM_INFO
    while env.agents:
        assert env.agents == env.possible_agents
        played = random_move(infos, rng)
        observations, rewards, terminations, truncations, infos = env.step(played)
        assert len(set(rewards.values())) == 1
        assert set(infos["agent_0"]) == INFO | TEAM_INFO
        for agent in env.possible_agents:
            assert env.observation_space(agent).contains(observations[agent])
            assert infos[agent]["action_mask"].dtype == np.int8
            if not infos[agent]["alive"]:
                assert infos[agent]["action_mask"].tolist() == [1] + [0] * 8
                assert not observations[agent].any()
            else:
                assert infos[agent]["action_mask"][:2].tolist() == [0, 1]
        assert infos["agent_0"]["dead_allies"] == sum(not i["alive"] for i in infos.values())
    assert all(terminations.values()) and not any(truncations.values())
    assert infos["agent_0"]["battle_won"] is False
    assert infos["agent_0"]["dead_allies"] == 3
    assert infos["agent_0"]["unit_type"] == "marine"


def test_a_time_limit_truncates(make, smac):
    smac.set(enemy="passive")
    env = make("3m")
    _, moves, told = episode(env, env.reset(seed=0)[1], stand)
    assert moves == env.limit == 60
    assert all(told[3].values()) and not any(told[2].values())
    assert told[4]["agent_0"]["battle_won"] is False


def test_the_published_time_limit_terminates(make, smac):
    smac.set(enemy="passive")
    env = make("3m", continuing_episode=False)
    _, moves, told = episode(env, env.reset(seed=0)[1], stand)
    assert moves == 60
    assert all(told[2].values()) and not any(told[3].values())


def test_a_win_is_told_and_returns_twenty(make, smac):
    smac.set(enemy_hp=0.2)
    env = make("3m")
    for _ in range(2):
        total, _, told = episode(env, env.reset()[1], attack)
        assert told[4]["agent_0"]["battle_won"] is True
        assert told[4]["agent_2"]["dead_enemies"] == 3
        assert all(told[2].values())
        assert total == pytest.approx(20) == pytest.approx(earned(env))


def test_what_is_handed_out_can_be_written_to(make):
    env = make("3m")
    observations, infos = env.reset(seed=0)
    kept = env.state()
    observations["agent_0"][:] = 7
    infos["agent_0"]["action_mask"][:] = 0
    env.state()[:] = 7
    np.testing.assert_array_equal(env.state(), kept)
    assert env._observations()[0].max() != 7
    assert env._masks()[0].any()


# -- actions ------------------------------------------------------------------------------


def test_an_illegal_action_is_replaced_and_told(make):
    env = make("3m")
    _, infos = env.reset(seed=0)
    assert infos["agent_1"]["action_mask"][8] == 0
    *_, infos = env.step({"agent_0": 1, "agent_1": 8, "agent_2": 0})
    assert "illegal_action" not in infos["agent_0"]
    assert infos["agent_1"]["illegal_action"] == 8
    assert infos["agent_2"]["illegal_action"] == 0  # no-op is not for the living
    assert infos["agent_0"]["lost_game"] is False
    assert env.game.inner.last_action.argmax(-1).tolist() == [1, 1, 1]


def test_the_dead_play_no_op_whatever_is_asked(make):
    env = make("3m")
    _, infos = env.reset(seed=0)
    while all(info["alive"] for info in infos.values()):
        *_, infos = env.step(stand(infos))
    dead = next(agent for agent in env.agents if not infos[agent]["alive"])
    *_, infos = env.step(dict.fromkeys(env.agents, 1))
    assert infos[dead]["illegal_action"] == 1
    assert not infos[dead]["lost_game"]


def test_strict_mode_raises(make):
    env = make("3m", illegal_action="raise")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"agent 'agent_1' played 8, which is masked out"):
        env.step({"agent_0": 1, "agent_1": 8, "agent_2": 1})
    env.step(dict.fromkeys(env.agents, 1))


# -- launches -----------------------------------------------------------------------------


def test_resetting_twice_or_in_mid_episode_launches_nothing(make, smac):
    env = make("3m")
    env.reset()
    _, infos = env.reset()
    env.step(stand(infos))
    env.reset()
    assert (len(smac.pids), len(smac.running())) == (1, 1)
    assert env.game.inner.max_reward == pytest.approx(365)


def test_a_game_is_replaced_before_it_ends_by_itself(make, smac):
    smac.set(max_loop=900)
    env = make("3m", relaunch_after=50)
    rng = np.random.default_rng(0)
    for _ in range(6):
        total, _, told = episode(env, env.reset()[1], lambda infos: random_move(infos, rng))
        assert not told[4]["agent_0"]["lost_game"]
        assert total == pytest.approx(earned(env))
    assert env.lost == 0 and env.game.launches > 1
    assert len(smac.running()) == 1


def test_without_that_the_episode_is_lost(make, smac):
    smac.set(max_loop=900)
    env = make("3m")
    rng = np.random.default_rng(0)
    for _ in range(6):
        episode(env, env.reset()[1], lambda infos: random_move(infos, rng))
    assert env.lost >= 1


def test_the_default_budget_stays_below_the_games_limit():
    for step_mul in (1, 8, 16, 22):
        game = smac_v0.Game(lambda: None, lambda: 0)
        game._running.append(type("R", (), {"inner": type("I", (), {"_step_mul": step_mul})})())
        assert game._budget() * step_mul <= 400_000 < 2**19
        game._running.clear()


def test_closing_ends_the_game_and_may_be_done_twice(make, smac):
    env = make("3m")
    env.close()
    env.reset()
    assert len(smac.running()) == 1
    env.close()
    assert smac.running() == []
    env.close()
    env.reset()
    assert len(smac.running()) == 1


@pytest.mark.parametrize("fault", ["", "crash@launch"])
def test_who_forgets_to_close_leaves_nothing(smac, fault):
    smac.set(fault=fault, fault_launches="1")
    env = smac_v0.parallel_env("3m")
    env.reset()
    assert len(smac.running()) == 1
    del env
    assert smac.running() == []


def test_ctrl_c_in_the_middle_of_a_move_ends_the_game(make, smac):
    env = make("3m")
    env.reset()

    def interrupted(actions):
        raise KeyboardInterrupt

    env.game._running[0].env.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        env.step(dict.fromkeys(env.agents, 1))
    assert smac.running() == []
    env.reset()
    assert len(smac.running()) == 1


SCRIPT = """
import os, signal, sys, time
from vdtoolkit.envs import smac_v0
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
env = smac_v0.parallel_env("3m")
env.reset()
print("ready", flush=True)
{end}
"""
ENDS = {
    "the end of the script": "",
    "an exception": "raise ValueError",
    "sys.exit": "sys.exit(3)",
    "ctrl-c": "while True: env.step(dict.fromkeys(env.agents, 1)) if env.agents else env.reset()",
    "sigterm": "time.sleep(60)",
    "kill -9": "time.sleep(60)",
    "os._exit": "os._exit(1)",
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_outlives_a_script(smac, end):
    smac.set(orphan=1)  # the stand-in, too, would go on without its parent, as the game does
    with smac.script(SCRIPT.format(end=ENDS[end])) as run:
        assert run.stdout.readline() == "ready\n", run.stderr.read()
        assert len(smac.pids) == 1
        numbers = {"ctrl-c": signal.SIGINT, "sigterm": signal.SIGTERM, "kill -9": signal.SIGKILL}
        if end in numbers:
            time.sleep(0.3)
            run.send_signal(numbers[end])
        _, said = run.communicate(timeout=30)
    for _ in range(100):
        if not smac.running():
            break
        time.sleep(0.05)
    assert smac.running() == []
    if end == "the end of the script":
        assert said.strip() == ""  # pysc2's process complains at exit where it was not closed


def test_a_fork_neither_ends_nor_uses_the_game(make, smac):
    env = make("3m")
    _, infos = env.reset(seed=0)
    child = os.fork()
    if not child:  # as a forked worker would end
        status = 1
        try:
            assert env.game.inner is None
            env.close()
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    total, _, told = episode(env, infos, stand)
    assert not told[4]["agent_0"]["lost_game"]
    assert len(smac.running()) == 1
    assert total == 0


def test_copies_have_no_game(make, smac):
    env = make("3m", sort_enemies=True)
    env.reset()
    for twin in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert twin.game.inner is None
        assert twin.game.sort_enemies
        assert twin.state_space == env.state_space
    assert len(smac.pids) == 1


def test_the_games_version_is_known_before_and_after_the_launch(make):
    env = make("3m")
    assert env.game_version == "4.10.0 (Base75689)"
    env.reset()
    assert env.versions["starcraft"] == "4.10.0 (Base75689)"
    assert set(env.versions) == {"starcraft", "smac"}


# -- departures from what was published -----------------------------------------------------


def test_enemies_are_sorted_where_that_is_asked_for(make, smac):
    env = make("3m", sort_enemies=True)
    plain = make("3m")
    for one in (env, plain):
        one.reset(seed=0)

    def order(one):
        units = one.game.inner.enemies.values()
        return [(u.unit_type, u.pos.x, u.pos.y) for u in units]

    for one in (env, plain):  # whatever order the game has
        inner = one.game.inner
        observe = inner._controller.observe

        def backwards(observe=observe):
            told = observe()
            units = list(told.observation.raw_data.units)[::-1]
            if hasattr(told, "CopyFrom"):
                del told.observation.raw_data.units[:]
                told.observation.raw_data.units.extend(units)
            else:
                told.observation.raw_data.units = units
            return told

        inner._controller.observe = backwards
        one.reset()
    assert order(env) == sorted(order(env))
    assert order(plain) != sorted(order(plain))
    observations, _ = env.reset()
    np.testing.assert_array_equal(observations["agent_0"], env.game.inner.get_obs()[0])


@pytest.mark.parametrize("repaired", [False, True])
def test_a_shield_that_grows_back_pays_unless_that_is_repaired(make, smac, repaired):
    smac.set(enemy="passive")
    env = make("3s_vs_3z", repair_shield_reward=repaired)
    _, infos = env.reset(seed=0)
    while infos["agent_0"]["action_mask"][6:].sum() == 0:
        *_, infos = env.step({a: 4 for a in env.agents})
    paid = 0.0
    agent = "agent_0"
    for _ in range(3):
        moves = stand(infos) | {agent: int(np.flatnonzero(infos[agent]["action_mask"])[-1])}
        _, rewards, *_, infos = env.step(moves)
        paid += rewards[agent]
    hit = sum(u.shield_max - u.shield for u in env.game.inner.enemies.values())
    assert hit > 0 and paid == pytest.approx(hit * 20 / env.game.max_reward, rel=1e-3)
    grown = 0.0
    while env.agents:  # hands off
        _, rewards, *_, infos = env.step(stand(infos))
        grown += rewards[agent]
    left = sum(u.shield_max - u.shield for u in env.game.inner.enemies.values())
    assert left < hit
    if repaired:
        assert grown == pytest.approx(0, abs=1e-6)
    else:
        assert grown > 0.1


def test_a_sparse_reward_is_scaled_as_published_unless_it_is_to_be_raw(make):
    for arguments, lost in (({}, -20 / 365), ({"raw_sparse_reward": True}, -1.0)):
        env = make("3m", reward_sparse=True, **arguments)
        total, _, told = episode(env, env.reset(seed=0)[1], stand)
        assert all(told[2].values())
        assert total == pytest.approx(lost)
    with pytest.raises(ValueError, match="it goes with reward_sparse=True"):
        make("3m", raw_sparse_reward=True)


# -- with agents ---------------------------------------------------------------------------


def test_a_lost_episode_never_gets_into_a_replay(smac):
    smac.set(fault="crash@step=70", fault_launches="1,2")
    made = []

    def env_fn():
        made.append(smac_v0.parallel_env("3m"))
        return made[-1]

    agents = QMIXAgents(Team.from_env(env_fn()), seed=0, hidden_dim=4, batch_size=2)
    rewards = []
    train(agents, env_fn, 300, monitor=lambda report: rewards.append((report.lost, report.won)))
    assert agents.replay.n_lost == 2 == rewards[-1][0]
    assert agents.episodes == agents.replay.n_added > 4
    assert all(len(won) == 0 or not np.isnan(won).any() for _, won in rewards)
    assert made[-1].game.launches == 3


# -- for people ----------------------------------------------------------------------------


def test_the_scene_shows_the_game(make):
    pytest.importorskip("vdtoolkit.envs._scene")
    env = make("3m", render_mode="rgb_array")
    _, infos = env.reset(seed=0)
    while not infos["agent_0"]["action_mask"][6:].any():
        *_, infos = env.step({a: 4 for a in env.agents})
    *_, infos = env.step(attack(infos))
    scene = env.scene()
    assert [unit.side for unit in scene.units] == [0, 0, 0, 1, 1, 1]
    assert (scene.width, scene.height, scene.limit) == (32, 32, 60)
    assert {unit.kind for unit in scene.units} == {"marine"}
    assert any(unit.target in (3, 4, 5) for unit in scene.units[:3])
    assert env.render().dtype == np.uint8
    env.render_mode = "ansi"
    assert "marine" in env.render() or "3m" in env.render()
