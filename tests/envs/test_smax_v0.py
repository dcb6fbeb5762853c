"""smax_v0 beside JaxMARL itself; skipped where JaxMARL is not installed."""

import copy
import pickle
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import SyncVectorEnv
from pettingzoo.test import parallel_api_test, parallel_seed_test

from vdtoolkit import VDNAgents, evaluate, train
from vdtoolkit.envs import Recorder, _smax, smax_v0
from vdtoolkit.envs._scene import ENEMY, TEAM
from vdtoolkit.stream import VectorStream, stream
from vdtoolkit.team import Team
from vdtoolkit.team_env import TeamEnv

from .whole_episode import assert_chance_matters, assert_seeds_decide

needs_jaxmarl = pytest.mark.skipif(
    find_spec("jaxmarl") is None, reason="JaxMARL is not installed (the extra smax)"
)
FIELDS = ("obs", "state", "available", "alive", "reward", "first", "terminated", "truncated")
NORTH, EAST, SOUTH, WEST, STOP, ATTACK = range(6)


def focus(mask):
    """Attack the first enemy in range, else go east to them: it wins every other time on 3m."""
    mask = np.asarray(mask)
    attack = ATTACK + mask[..., ATTACK:].argmax(-1)
    return np.where(mask[..., ATTACK:].any(-1), attack, np.where(mask[..., EAST], EAST, STOP))


def episode(env, seed, policy):
    """What one episode said."""
    said = [env.reset(seed=seed)]
    while env.agents:
        infos = said[-1][-1]
        said.append(env.step({a: int(policy(infos[a]["action_mask"])) for a in env.agents}))
    return said


def stop(mask):
    return STOP


# -- without JaxMARL --------------------------------------------------------------------------


def test_without_jaxmarl_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    monkeypatch.setitem(sys.modules, "jaxmarl.environments.smax", None)
    _smax.engine.cache_clear()
    with pytest.raises(ImportError) as error:
        smax_v0.parallel_env()
    said = str(error.value)
    assert said.startswith("smax_v0 needs JaxMARL, pip install 'vdtoolkit[smax]' (Python 3.11 on")
    assert "\n" not in said


def test_a_victory_needs_somebody_who_is_left():
    allies = np.array([[True, False], [False, False], [False, False], [True, True]])
    enemies = np.array([[False, False], [True, False], [False, False], [True, False]])
    seen = _smax.Seen(*[np.zeros(0)] * 3, allies, enemies)
    assert seen.won.tolist() == [True, False, False, False]
    assert seen.lost.tolist() == [False, True, True, False]
    assert seen.over.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"max_cycles": 0}, "max_cycles=0: give a whole number from 1 on"),
        ({"attack_mode": "far"}, r"attack_mode='far': choose one of \['closest', 'random'\]"),
        (
            {"illegal_action": "skip"},
            "illegal_action='skip': choose 'replace' or 'raise'",
        ),
    ],
)
@needs_jaxmarl
def test_bad_arguments_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        smax_v0.parallel_env(**arguments)


@needs_jaxmarl
def test_an_unknown_map_is_told_with_those_there_are():
    with pytest.raises(ValueError, match=r"map_name='MMM2': SMAX has 3m, 2s3z, .*27m_vs_30m"):
        smax_v0.parallel_env("MMM2")


@needs_jaxmarl
def test_importing_jaxmarl_prints_nothing_and_leaves_the_streams_alone():
    code = """
import io, sys
sys.stdout = mine = io.StringIO()
from vdtoolkit.envs import smax_v0
smax_v0.parallel_env()
assert sys.stdout is mine and not mine.getvalue()
assert sys.__stdout__ is not mine and sys.stderr is sys.__stderr__
"""
    root = Path(__file__).parents[2]
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=root)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


# -- beside JaxMARL itself --------------------------------------------------------------------


@needs_jaxmarl
def test_an_episode_is_the_one_that_jaxmarl_plays():
    import jax
    from jaxmarl import make
    from jaxmarl.environments.smax import map_name_to_scenario

    env = smax_v0.parallel_env("3m")
    theirs = make("HeuristicEnemySMAX", scenario=map_name_to_scenario("3m"))
    ends = []
    for seed in range(8):
        observations, infos = env.reset(seed=seed)
        drawn = int(np.random.Generator(np.random.PCG64(seed)).integers(2**31))
        key, own = jax.random.split(jax.random.PRNGKey(drawn))
        obs, state = theirs.reset(own)
        total = 0.0
        while True:
            masks = theirs.get_avail_actions(state)
            for i, agent in enumerate(env.possible_agents):
                np.testing.assert_allclose(observations[agent], obs[f"ally_{i}"], atol=1e-6)
                np.testing.assert_array_equal(infos[agent]["action_mask"], masks[f"ally_{i}"])
            np.testing.assert_allclose(env.state(), obs["world_state"], atol=1e-5)
            if not env.agents:
                break
            actions = {a: int(focus(infos[a]["action_mask"])) for a in env.agents}
            observations, rewards, terminations, truncations, infos = env.step(actions)
            key, own = jax.random.split(key)
            acts = {f"ally_{i}": actions[a] for i, a in enumerate(env.possible_agents)}
            obs, state, paid, done, _ = theirs.step_env(own, state, acts)
            total += float(paid["ally_0"])
            assert list(rewards.values()) == pytest.approx([float(paid["ally_0"])] * 3, abs=1e-6)
            assert all(terminations.values()) == bool(done["__all__"])
            assert not any(truncations.values())
        won = infos["agent_0"]["battle_won"]
        assert won == (float(paid["ally_0"]) >= 1)
        assert env.scene().team_return == pytest.approx(total, abs=1e-5)
        assert won == (total == pytest.approx(2, abs=1e-5))
        ends.append(won)
    assert True in ends and False in ends  # both kinds of end were seen


@needs_jaxmarl
def test_nothing_is_compiled_twice():
    import jax

    battles = _smax.Battles("3m", 1, **smax_v0._checked(100, {}))

    def kinds():
        leaves = jax.tree.leaves(battles._carry)
        assert not any(leaf.weak_type for leaf in leaves)
        return [(leaf.shape, leaf.dtype) for leaf in leaves]

    battles.begin(np.array([3]))
    begun = kinds()
    battles.play(np.full((1, 3), STOP))
    assert kinds() == begun  # what reset() gives is what step_env() gives: one function for both
    sizes = battles.engine.first._cache_size(), battles.engine.move._cache_size()
    for seed in range(3):
        episode(smax_v0.parallel_env("3m", max_cycles=7), seed, focus)
    assert (battles.engine.first._cache_size(), battles.engine.move._cache_size()) == sizes


# -- PettingZoo -------------------------------------------------------------------------------


@needs_jaxmarl
def test_pettingzoos_own_tests_pass():
    parallel_api_test(smax_v0.parallel_env(), num_cycles=60)
    parallel_seed_test(smax_v0.parallel_env)


@needs_jaxmarl
def test_seeds_decide_whole_episodes_and_chance_matters():
    assert_seeds_decide(smax_v0.parallel_env)
    assert_chance_matters(smax_v0.parallel_env, episodes=2)


@needs_jaxmarl
def test_everybody_stays_and_the_dead_have_stop_alone():
    env = smax_v0.parallel_env()
    deaths = 0
    for seed in range(3):
        said = episode(env, seed, focus)
        for told in said:
            observations, infos = told[0], told[-1]
            assert list(observations) == list(infos) == env.possible_agents
            dead = [a for a in infos if not infos[a]["alive"]]
            deaths += len(dead)
            assert infos["agent_0"]["dead_allies"] == len(dead)
            for agent in env.possible_agents:
                mask = infos[agent]["action_mask"]
                assert mask.dtype == np.int8 and mask.shape == (8,)
                assert mask[STOP] and env.observation_space(agent).contains(observations[agent])
                assert (agent in dead) == (mask.sum() == 1) == (not observations[agent].any())
            assert env.state_space.contains(env.state())
        *_, terminations, _, infos = said[-1]
        assert all(terminations.values())
        info = infos["agent_0"]
        assert info["battle_won"] == (info["dead_enemies"] == 3 and info["dead_allies"] < 3)
        assert not any(told[-1]["agent_0"]["battle_won"] for told in said[:-1])
    assert deaths > 5


@needs_jaxmarl
def test_the_limit_is_a_truncation_with_its_last_observation():
    env = smax_v0.parallel_env(max_cycles=3)
    said = episode(env, 0, stop)
    assert len(said) == 4
    for told in said[1:-1]:
        assert not any(told[2].values()) and not any(told[3].values())
    observations, _, terminations, truncations, infos = said[-1]
    assert not any(terminations.values()) and all(truncations.values())
    longer = smax_v0.parallel_env(max_cycles=9)
    played = [longer.reset(seed=0)]
    for _ in range(3):
        played.append(longer.step(dict.fromkeys(longer.agents, STOP)))
    assert data_equivalence(observations, played[-1][0])  # of that moment, not of a new episode
    assert infos["agent_0"]["alive"] and longer.agents


@needs_jaxmarl
def test_a_side_that_dies_at_the_limit_terminates():
    length = len(episode(smax_v0.parallel_env(), 0, focus)) - 1
    *_, terminations, truncations, _ = episode(smax_v0.parallel_env(max_cycles=length), 0, focus)[
        -1
    ]
    assert all(terminations.values()) and not any(truncations.values())


@needs_jaxmarl
def test_a_masked_out_action_is_played_as_stop_or_refused():
    env, same = smax_v0.parallel_env(), smax_v0.parallel_env()
    env.reset(seed=0), same.reset(seed=0)
    told = env.step(dict.fromkeys(env.agents, ATTACK + 1))
    other = same.step(dict.fromkeys(same.agents, STOP))
    assert {told[-1][a].pop("illegal_action") for a in env.agents} == {ATTACK + 1}
    assert data_equivalence(told, other)
    strict = smax_v0.parallel_env(illegal_action="raise")
    strict.reset(seed=0)
    says = (
        r"agent 'agent_1' played 5, which is masked out now, after 0 moves: available are "
        r"\[0, 1, 2, 3, 4\] \(illegal_action=\"replace\" plays stop\)"
    )
    with pytest.raises(ValueError, match=says):
        strict.step({"agent_0": STOP, "agent_1": ATTACK, "agent_2": NORTH})


@needs_jaxmarl
def test_actions_go_where_they_say():
    def moved(action):
        env = smax_v0.parallel_env()
        env.reset(seed=1)
        before = env.scene().units[0]
        env.step({"agent_0": action, "agent_1": STOP, "agent_2": STOP})
        after = env.scene().units[0]
        return after.x - before.x, after.y - before.y, after.doing

    for action, (dx, dy), words in (
        (NORTH, (0, 1), "move north"),
        (EAST, (1, 0), "move east"),
        (SOUTH, (0, -1), "move south"),
        (WEST, (-1, 0), "move west"),
    ):
        x, y, doing = moved(action)
        # 3.15 cells a second for half a second, less what comrades push
        assert x * dx + y * dy == pytest.approx(1.575, abs=0.5) and doing == words
    assert moved(STOP)[2] == "stop"


@needs_jaxmarl
def test_copies_and_pickles_are_envs_of_their_own():
    env = smax_v0.parallel_env("3m", max_cycles=5, attack_mode="random")
    for other in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert other.max_cycles == 5 and other._settings == env._settings
        assert data_equivalence(other.reset(seed=3), env.reset(seed=3))


# -- scenes -----------------------------------------------------------------------------------


@needs_jaxmarl
def test_a_scene_is_what_the_state_says(tmp_path):
    env = Recorder(smax_v0.parallel_env(), tmp_path / "battle.html")
    said = episode(env, 2, focus)
    scenes = [moment.shown for moment in env.episodes[0]]
    assert len(scenes) == len(said) and (tmp_path / "battle.html").exists()
    for t, scene in enumerate(scenes):
        infos = said[t][-1]
        sides = [[u for u in scene.units if u.side == side] for side in (TEAM, ENEMY)]
        assert [u.alive for u in sides[TEAM]] == [i["alive"] for i in infos.values()]
        assert sum(not u.alive for u in sides[ENEMY]) == infos["agent_0"]["dead_enemies"]
        assert [u.label for u in scene.units] == ["0", "1", "2"] * 2
        assert {(u.kind, u.health_max, u.radius) for u in scene.units} == {("marine", 45.0, 0.375)}
        assert (scene.move, scene.limit, scene.width, scene.title) == (t, 100, 32, "SMAX 3m")
    total = sum(told[1]["agent_0"] for told in said[1:])
    assert scenes[-1].team_return == pytest.approx(total)
    assert scenes[-1].note == ("won" if said[-1][-1]["agent_0"]["battle_won"] else "lost")
    assert scenes[0].note == "" and not any(u.doing for u in scenes[0].units)


@needs_jaxmarl
def test_targets_are_who_was_asked_for():
    env = smax_v0.parallel_env("3m")
    _, infos = env.reset(seed=0)
    seen = 0
    while env.agents:
        actions = {a: int(focus(infos[a]["action_mask"])) for a in env.agents}
        before = env.scene()
        *_, infos = env.step(actions)
        after = env.scene()
        for i, action in enumerate(actions.values()):
            unit = after.units[i]
            if action >= ATTACK:
                assert unit.target == 3 + action - ATTACK
                assert unit.alive in (False, unit.doing == f"attack {action - ATTACK}")
            else:
                assert unit.target is None
        hurt = {k for k in range(3) if after.units[k].health < before.units[k].health}
        aimed = {u.target for u in after.units[3:]}
        assert hurt <= aimed  # the enemy's targets are units of the team
        seen += len(hurt)
    assert seen > 2


@needs_jaxmarl
@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_it_can_be_looked_at(mode):
    env = smax_v0.parallel_env(render_mode=mode)
    env.reset(seed=0)
    shown = env.render()
    if mode == "ansi":
        assert "SMAX 3m: move 0 of 100" in shown and "enemy: 3 of 3 alive" in shown
    else:
        assert shown.dtype == np.uint8 and shown.shape[2] == 3


# -- many at once -----------------------------------------------------------------------------


def assert_same(one, other, where):
    for field in FIELDS:
        a, b = getattr(one, field), getattr(other, field)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=f"{field} at move {where}")
    unknown = np.full(one.n_envs, np.nan)
    won = [unknown if step.won is None else step.won for step in (one, other)]
    np.testing.assert_array_equal(*won, err_msg=f"won at move {where}")


@needs_jaxmarl
def test_the_vector_env_plays_what_the_single_envs_play():
    make = partial(smax_v0.parallel_env, "3m", max_cycles=14)
    team = Team.from_env(make())
    many = VectorStream(make().vector_env(4), team)
    single = VectorStream(SyncVectorEnv([lambda: TeamEnv(make(), team)] * 4, copy=False), team)
    seeds, rng = [3, 1, 4, 1], np.random.default_rng(0)
    one, other = many.begin(seeds), single.begin(seeds)
    ends = np.zeros(3, int)
    for t in range(120):
        assert_same(one, other, t)
        wins = 0 if one.won is None else int(np.nansum(one.won))
        ends += [one.terminated.sum(), one.truncated.sum(), wins]
        actions = focus(one.available)
        wild = rng.random(actions.shape) < 0.1  # masked-out ones among them
        actions = np.where(wild, rng.integers(0, 8, actions.shape), actions)
        one, other = many.step(actions), single.step(actions)
    assert (ends >= 2).all(), ends  # terminated, truncated, won


@needs_jaxmarl
def test_a_stream_and_an_evaluation_take_the_vector_env_by_themselves():
    make = partial(smax_v0.parallel_env, "3m", max_cycles=6)
    assert isinstance(stream(make, 4).envs, smax_v0.SMAXVectorEnv)
    agents = VDNAgents(make(), seed=0, hidden_dim=8, batch_size=4)
    train(agents, make, moves=60, n_envs=4)
    assert agents.moves >= 60 and agents.episodes >= 8
    one, many = (evaluate(agents, make, episodes=5, seed=3, n_envs=n) for n in (1, 4))
    np.testing.assert_array_equal(one.returns, many.returns)
    np.testing.assert_array_equal(one.lengths, many.lengths)
    assert one.win_rate == many.win_rate == 0


@needs_jaxmarl
def test_what_the_vector_env_tells_is_in_its_spaces_and_is_not_written_to_later():
    env = smax_v0.parallel_env(max_cycles=4).vector_env(4)
    seen, _ = env.reset(seed=0)
    first, kept = seen, {key: value.copy() for key, value in seen.items()}
    for _ in range(6):
        assert env.observation_space.contains(seen)
        seen, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert reward.shape == terminated.shape == truncated.shape == (4,)
    assert data_equivalence(first, kept)


@needs_jaxmarl
def test_seeds_for_episodes_go_to_rows_in_order():
    env = smax_v0.parallel_env(max_cycles=2).vector_env(4)
    env.episodes = iter(range(11, 16))
    seen, _ = env.reset()
    begun = list(seen["state"])
    for _ in range(3):
        seen, *_ = env.step(np.full((4, 3), STOP))
    for state, seed in zip([*begun, seen["state"][0]], range(11, 16), strict=True):
        single = smax_v0.parallel_env()
        single.reset(seed=seed)
        np.testing.assert_array_equal(state, single.state())
