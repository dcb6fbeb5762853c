"""skirmish_v0 as an environment: ends, infos, scenes; many at once; what scripted players win."""

import copy
import pickle
import sys
from functools import partial

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import SyncVectorEnv, VectorEnv

from vdtoolkit import VDNAgents, evaluate, train
from vdtoolkit.envs import skirmish_v0
from vdtoolkit.envs._skirmish_battle import Battle
from vdtoolkit.stream import VectorStream, stream
from vdtoolkit.team import Team
from vdtoolkit.team_env import TeamEnv

FIELDS = ("obs", "state", "available", "alive", "reward", "first", "terminated", "truncated")
ONES = ("3m", "2s3z", "MMM", "1c3s5z", "bane_vs_bane", "terran_5v5", "protoss_10v11", "zerg_5v5")


def moves_of(player, envs):
    rng = np.random.default_rng(0)
    return lambda: envs.play(skirmish_v0.PLAYERS[player], rng)


def lots(rng, available):
    """Random available actions, attacks more often."""
    weight = np.ones(available.shape[-1])
    weight[6:] = 4
    return np.where(available, rng.random(available.shape) * weight, -1.0).argmax(-1)


def assert_same(one, other, where):
    for field in FIELDS:
        a, b = getattr(one, field), getattr(other, field)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=f"{field} at move {where}")
    if one.last.any():
        np.testing.assert_array_equal(one.won[one.last], other.won[one.last])


# -- one env --------------------------------------------------------------------------------------


def test_everybody_stays_till_the_end_and_infos_tell_who_lives():
    env = skirmish_v0.parallel_env("3m")
    _, infos = env.reset(seed=0)
    keys = {"action_mask", "alive", "battle_won", "dead_allies", "dead_enemies", "unit_type"}
    died, rng = False, np.random.default_rng(0)
    while env.agents:
        assert env.agents == env.possible_agents
        actions = {a: int(rng.choice(np.flatnonzero(infos[a]["action_mask"]))) for a in env.agents}
        seen, rewards, terminations, truncations, infos = env.step(actions)
        assert len(set(rewards.values())) == 1
        for agent, info in infos.items():
            assert set(info) == keys
            assert info["action_mask"].dtype == np.int8
            assert info["alive"] == bool(info["action_mask"][1])
            if not info["alive"]:
                died = True
                assert info["action_mask"].tolist() == [1] + [0] * 8
                assert not seen[agent].any()
            assert info["dead_allies"] == sum(not infos[a]["alive"] for a in infos)
        assert all(terminations.values()) or not any(terminations.values())
        assert not (any(terminations.values()) and any(truncations.values()))
    assert died


def test_infos_tell_each_agents_unit():
    _, infos = skirmish_v0.parallel_env("2s3z").reset(seed=0)
    assert [info["unit_type"] for info in infos.values()] == ["stalker"] * 2 + ["zealot"] * 3


def test_what_was_observed_is_not_written_to_later():
    env = skirmish_v0.parallel_env()
    observations, infos = env.reset(seed=0)
    state = env.state()
    kept = copy.deepcopy((observations, infos, state))
    env.step(dict.fromkeys(env.agents, 4))
    assert data_equivalence(kept, (observations, infos, state))


def test_the_limit_truncates_and_the_end_terminates():
    env = skirmish_v0.parallel_env("2s_vs_1sc", max_cycles=4)
    env.reset(seed=0)
    for t in range(4):
        _, _, terminations, truncations, infos = env.step(dict.fromkeys(env.agents, 1))
        assert set(truncations.values()) == {t == 3}
        assert set(terminations.values()) == {False}
    assert not infos["agent_0"]["battle_won"]
    assert infos["agent_0"]["alive"]


def test_a_masked_out_action_is_stop_and_is_told_or_refused():
    env = skirmish_v0.parallel_env()
    env.reset(seed=0)
    _, _, _, _, infos = env.step({"agent_0": 8, "agent_1": 1, "agent_2": 0})
    assert infos["agent_0"]["illegal_action"] == 8
    assert infos["agent_2"]["illegal_action"] == 0
    assert "illegal_action" not in infos["agent_1"]
    np.testing.assert_array_equal(env.state()[-27:].reshape(3, 9).argmax(1), [1, 1, 1])
    env = skirmish_v0.parallel_env(illegal_action="raise")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"agent 'agent_0' played 8, which is masked out"):
        env.step(dict.fromkeys(env.agents, 8))


def test_an_unknown_map_and_limit_are_refused():
    with pytest.raises(
        ValueError, match=r"map_name='8m_vs_9': there is no such map; did you mean '8m_vs_9m'"
    ):
        skirmish_v0.parallel_env("8m_vs_9")
    with pytest.raises(ValueError, match="max_cycles=0: give a whole number from 1 on"):
        skirmish_v0.parallel_env(max_cycles=0)


def test_the_first_state_tells_of_no_action():
    env = skirmish_v0.parallel_env()
    env.reset(seed=0)
    assert not env.state()[-27:].any()
    env.step(dict.fromkeys(env.agents, 4))
    assert env.state()[-27:].reshape(3, 9)[:, 4].all()
    env.reset()
    assert not env.state()[-27:].any()


def test_a_scene_shows_units_targets_and_the_dead_where_they_fell():
    env = skirmish_v0.parallel_env("MMM", max_cycles=200)
    _, infos = env.reset(seed=1)
    assert {unit.doing for unit in env.scene().units} == {""}
    while env.agents:
        actions = {a: int(np.flatnonzero(infos[a]["action_mask"])[-1]) for a in env.agents}
        _, _, _, _, infos = env.step(actions)
    scene = env.scene()
    assert (scene.width, scene.height, len(scene.units)) == (32, 32, 20)
    assert [unit.side for unit in scene.units] == [0] * 10 + [1] * 10
    assert scene.note in ("won", "lost", "time is up")
    assert all(0 <= unit.x <= 32 and 0 <= unit.y <= 32 for unit in scene.units)
    dead = [unit for unit in scene.units if not unit.alive]
    assert len(dead) == infos["agent_0"]["dead_allies"] + infos["agent_0"]["dead_enemies"] > 0


# -- many at once ------------------------------------------------------------------------------


@pytest.fixture(params=["NumPy", "Numba"])
def engine(request, monkeypatch):
    """Vector envs in NumPy alone, and compiled; single envs are in NumPy always."""
    if request.param == "Numba":
        pytest.importorskip("numba", reason="numba is not installed: pip install .[fast]")
    monkeypatch.setenv("VDTOOLKIT_FAST", str(int(request.param == "Numba")))
    return {"NumPy": Battle, "Numba": "CompiledBattle"}[request.param]


def plays_by(env, engine):
    kind = type(env._battle)
    return kind is engine or kind.__name__ == engine


@pytest.mark.parametrize("name", ONES)
def test_it_plays_what_the_single_envs_play(name, engine):
    make = partial(skirmish_v0.parallel_env, name, max_cycles=40)
    team = Team.from_env(make())
    many = VectorStream(make().vector_env(5), team)
    single = VectorStream(SyncVectorEnv([lambda: TeamEnv(make(), team)] * 5, copy=False), team)
    assert plays_by(many.envs, engine)
    seeds, rng, ends = [3, 1, 4, 1, 5], np.random.default_rng(0), 0
    one, other = many.begin(seeds), single.begin(seeds)
    for t in range(130):
        assert_same(one, other, t)
        ends += int(one.last.sum())
        actions = lots(rng, one.available)
        if t % 3 == 0:
            actions[:, 0] = 7  # whether it is available or not
        one, other = many.step(actions), single.step(actions)
    assert ends >= 10


@pytest.mark.parametrize("name", ["corridor", "terran_10v11"])
def test_an_env_plays_the_same_whoever_is_beside_it(name, engine):
    envs = [skirmish_v0.SkirmishVectorEnv(n, name) for n in (1, 4)]
    seen = [envs[0].reset(seed=[7])[0], envs[1].reset(seed=[1, 2, 7, 3])[0]]
    rng = np.random.default_rng(0)
    for _ in range(150):
        for key in seen[0]:
            np.testing.assert_array_equal(seen[0][key][0], seen[1][key][2])
        actions = lots(rng, seen[1]["available"])
        told = envs[0].step(actions[2:3]), envs[1].step(actions)
        assert [part[0] for part in told[0][1:4]] == [part[2] for part in told[1][1:4]]
        seen = [told[0][0], told[1][0]]


def test_compiled_battles_are_the_same_on_every_map(monkeypatch):
    """The single-env test has most rules; this has the maps, their sizes and kinds."""
    pytest.importorskip("numba", reason="numba is not installed: pip install .[fast]")
    for name in skirmish_v0.MAPS:
        envs = []
        for fast in "01":
            monkeypatch.setenv("VDTOOLKIT_FAST", fast)
            envs.append(skirmish_v0.SkirmishVectorEnv(3, name))
        told, rng = [env.reset(seed=1)[0] for env in envs], np.random.default_rng(0)
        for t in range(40):
            assert data_equivalence(*told), f"{name}, move {t}"
            actions = skirmish_v0.PLAYERS["nearest"](envs[0]._battle, envs[0]._views.masks, rng)
            if t % 4 == 0:
                actions = lots(rng, told[0]["available"])
            said = [env.step(actions) for env in envs]
            for a, b in zip(said[0][1:4], said[1][1:4], strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"{name}, move {t}")
            told = [part[0] for part in said]


@pytest.mark.parametrize("n_envs", [1, 3])
def test_what_it_tells_is_in_its_spaces_and_is_not_written_to_later(engine, n_envs):
    env = skirmish_v0.SkirmishVectorEnv(n_envs, "2s3z", max_cycles=20)
    seen, _ = env.reset(seed=0)
    kept = {key: value.copy() for key, value in seen.items()}
    rng, first = np.random.default_rng(0), seen
    for _ in range(60):
        assert env.observation_space.contains(seen)
        seen, reward, terminated, truncated, infos = env.step(lots(rng, seen["available"]))
        assert reward.shape == terminated.shape == truncated.shape == (n_envs,)
        assert reward.dtype == np.float32
        assert not (terminated & truncated).any()
        assert bool(infos) == bool((terminated | truncated).any())
    assert data_equivalence(first, kept)


def test_without_numba_it_is_numpy(monkeypatch):
    monkeypatch.setattr(skirmish_v0, "find_spec", lambda name: None)
    assert type(skirmish_v0.SkirmishVectorEnv(2)._battle) is Battle
    monkeypatch.undo()
    monkeypatch.setattr(skirmish_v0, "find_spec", lambda name: "there")
    monkeypatch.setitem(sys.modules, "vdtoolkit.envs._skirmish_compiled", None)
    monkeypatch.setenv("VDTOOLKIT_FAST", "1")
    with pytest.warns(UserWarning, match="Numba cannot be loaded .*; going on without it"):
        assert type(skirmish_v0.SkirmishVectorEnv(2)._battle) is Battle


def test_what_is_no_action_is_refused(engine):
    env = skirmish_v0.parallel_env().vector_env(1)
    env.reset(seed=0)
    for action in (9, -1):
        low, high = min(1, action), max(1, action)
        with pytest.raises(ValueError, match=f"actions go from {low} to {high}: they are 0 to 8"):
            env.step(np.array([[1, action, 1]]))


def test_seeds_are_taken_as_gymnasium_does():
    one, other = (skirmish_v0.parallel_env("8m").vector_env(3) for _ in range(2))
    assert data_equivalence(one.reset(seed=5), other.reset(seed=[5, 6, 7]))
    assert not data_equivalence(one.reset(seed=5), other.reset(seed=6))
    assert not data_equivalence(one.reset(), one.reset())


def test_seeds_for_episodes_go_to_rows_in_order():
    env = skirmish_v0.parallel_env(max_cycles=2).vector_env(2)
    env.episodes = iter([11, 12, 13])
    seen, _ = env.reset()
    begun = [seen["state"][0], seen["state"][1]]
    for _ in range(3):
        seen, *_ = env.step(np.ones((2, 3), int))
    begun += [seen["state"][0]]
    for state, seed in zip(begun, (11, 12, 13), strict=True):
        single = skirmish_v0.parallel_env()
        single.reset(seed=seed)
        np.testing.assert_array_equal(state, single.state())


def test_a_stream_takes_it_and_training_and_evaluation_run():
    make = partial(skirmish_v0.parallel_env, "3m", max_cycles=12)
    pickle.loads(pickle.dumps(make()))
    assert isinstance(stream(make, 3).envs, skirmish_v0.SkirmishVectorEnv)
    assert isinstance(make().vector_env(2), VectorEnv)
    agents = VDNAgents(make(), batch_size=4, hidden_dim=6, seed=0)
    train(agents, make, 120, n_envs=4, seed=3)
    told = [evaluate(agents, make, 7, n_envs=n, seed=1) for n in (1, 3)]
    assert told[0].returns.tolist() == told[1].returns.tolist()
    assert told[0].win_rate == 0.0


# -- calibration -------------------------------------------------------------------------------

SYMMETRIC = ("3m", "8m", "2s3z", "3s5z")


@pytest.mark.parametrize("name", SYMMETRIC)
def test_scripted_players_win_what_they_are_to_win(name):
    """Half by the nearest target, 20 points more by focused fire, none at random (600 battles)."""
    rates = {player: skirmish_v0.win_rate(player, name, 600) for player in skirmish_v0.PLAYERS}
    assert 0.35 < rates["nearest"] < 0.70
    assert rates["focus"] > rates["nearest"] + 0.20
    assert rates["random"] < 0.01


@pytest.mark.parametrize("player", skirmish_v0.PLAYERS)
@pytest.mark.parametrize("name", ["MMM2", "protoss_5v5", "2s_vs_1sc"])
def test_scripted_players_play_available_actions_to_the_end(name, player):
    env = skirmish_v0.SkirmishVectorEnv(3, name)
    seen, _ = env.reset(seed=0)
    play = moves_of(player, env)
    for _ in range(60):
        actions = play()
        assert np.take_along_axis(seen["available"], actions[..., None], 2).all()
        seen, *_ = env.step(actions)


def test_win_rates_repeat_and_take_a_players_own_function():
    rate = partial(skirmish_v0.win_rate, map_name="8m", episodes=20, seed=3)
    assert rate("focus") == rate("focus") == rate(skirmish_v0.PLAYERS["focus"]) > 0.5
