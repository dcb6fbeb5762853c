"""Every way in which the game can break, at every moment: the episode is lost, and nothing else."""

import os
import time

import numpy as np
import pytest
from starcraft_play import earned, episode, random_move, stand

KINDS = ("crash", "close", "wsclose", "hang", "slow", "error", "empty", "garbage", "ended", "few")
MOMENTS = ("launch", "req=30", "step=9", "obs=9", "action=9", "debug=1", "create=1", "join=1")
MOMENTS += ("obs=1", "battle=2", "battle=3")
EVERY = int(os.environ.get("STARCRAFT_EVERY", 150))  # moves, about, between two faults
TIMEOUT = 6  # seconds after which a hung game is given up; others may be slow to launch


def play(env, episodes, rng, infos=None):
    """Episodes of random play; (lost, whole) of them.  Every whole one earned what it must."""
    lost = whole = 0
    if infos is None:
        _, infos = env.reset()
    while whole < episodes:
        total, _, told = episode(env, infos, lambda infos: random_move(infos, rng))
        _, rewards, terminations, truncations, infos = told
        if infos["agent_0"]["lost_game"]:
            lost += 1
            assert set(rewards.values()) == {0.0}
            assert all(truncations.values()) and not any(terminations.values())
            assert not any("battle_won" in info for info in infos.values())
        else:
            whole += 1
            assert total == pytest.approx(earned(env), rel=1e-5)
            assert env.game.inner.max_reward == pytest.approx(365)
        _, infos = env.reset()
        assert all(info["alive"] for info in infos.values())
    return lost, whole


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_after_a_fault_episodes_go_on(make, smac, kind, moment):
    smac.set(fault=f"{kind}@{moment}", fault_launches="1")
    env = make("3m", **({"timeout": TIMEOUT} if kind == "hang" else {}))
    rng = np.random.default_rng(0)
    _, infos = env.reset(seed=0)
    assert all(info["alive"] for info in infos.values())
    lost, _ = play(env, 4, rng, infos)
    harmless = kind == "slow" or (
        moment == "launch" and kind not in ("crash", "hang")  # it is not connected yet
    )
    if harmless:
        assert (lost, env.game.launches) == (0, 1)
    else:
        assert lost <= 1 and env.game.lost == lost
        assert env.game.launches <= 2 and len(smac.running()) == 1
    if kind == "crash":
        assert env.game.launches == 2
        mid_episode = moment in ("req=30", "step=9", "obs=9", "action=9")
        assert lost == mid_episode


def at_random(make, smac, steps, timeout=8, every=EVERY):
    """So many steps in which every process is to break once; (lost, whole, launches)."""
    rng = np.random.default_rng(7)
    kinds = [kind for kind in KINDS if kind != "hang"] * 3 + ["hang"]  # hanging takes its time

    def next_fault():
        """Six at random, of which the first that breaks something counts, and a crash at last."""
        told = []
        for _ in range(6):
            what = ["req", "step", "obs", "action", "battle", "debug"][rng.integers(6)]
            often = {"req": 3 * every, "battle": every // 15, "debug": every // 15}.get(what, every)
            nth = int(rng.integers(2 if what == "battle" else 1, 2 * often))
            told.append(f"{kinds[rng.integers(len(kinds))]}@{what}={nth}")
        smac.set(fault=",".join([*told, f"crash@req={6 * every}"]))

    env = make("3m", timeout=timeout, relaunches=8)
    smac.monkeypatch.setattr(env.game, "_wait", no_wait(env.game, next_fault))
    smac.monkeypatch.setattr("vdtoolkit.envs._starcraft.game.LONGEST_WAIT", 0.0)
    lost = whole = moves = 0
    _, infos = env.reset(seed=0)
    while moves < steps:
        total, n, told = episode(env, infos, lambda infos: random_move(infos, rng))
        moves += n
        infos = told[4]
        if infos["agent_0"]["lost_game"]:
            lost += 1
            assert set(told[1].values()) == {0.0} and all(told[3].values())
        else:
            whole += 1
            assert total == pytest.approx(earned(env), rel=1e-5)
            assert env.game.inner.max_reward == pytest.approx(365)
        _, infos = env.reset()
        assert len(smac.running()) == 1
    assert env.lost == lost
    launches = env.game.launches
    print(f"{moves} moves, {whole} whole episodes, {lost} lost, {launches} launches")
    return lost, whole, launches


def no_wait(game, before):
    """The game's own `_wait`, with another fault for the process that is launched after it."""
    original = type(game)._wait

    def wait():
        if not game._running:
            before()
        original(game)

    return wait


def test_faults_at_random(make, smac):
    steps = int(os.environ.get("STARCRAFT_STEPS", 4_000 if smac.name == "stub" else 500))
    lost, whole, launches = at_random(make, smac, steps)
    assert whole > steps / 100
    assert lost > steps / 1000
    assert launches > lost


def test_a_game_that_always_breaks_is_an_error_after_a_bounded_number_of_launches(make, smac):
    smac.set(fault="crash@launch")
    env = make("3m", relaunches=2)
    said = r"StarCraft II broke 3 times without a whole episode between, the last time by \w+"
    with pytest.raises(RuntimeError, match=said):
        env.reset()
    assert env.game.launches == 3
    assert env.agents == []
    assert smac.running() == []
    smac.set(fault="")
    play(env, 1, np.random.default_rng(0))


def test_a_game_that_breaks_in_every_episode_is_an_error_too(make, smac):
    smac.set(fault="crash@step=4")
    env = make("3m", relaunches=2)
    for _ in range(3):
        _, infos = env.reset()
        _, _, told = episode(env, infos, stand)
        assert told[4]["agent_0"]["lost_game"]
    with pytest.raises(RuntimeError, match="broke 3 times"):
        env.reset()
    assert env.lost == 3


def test_units_that_never_appear_end_the_wait(make, smac, monkeypatch):
    monkeypatch.setattr("vdtoolkit.envs._starcraft.game.PATIENCE", 50)
    smac.set(fault="few@battle=2:1000000", fault_launches="1")
    env = make("3m")
    lost, _ = play(env, 3, np.random.default_rng(0))
    assert (lost, env.game.launches) == (0, 2)


def test_a_game_that_somebody_kills_is_lost(make, smac):
    env = make("3m")
    _, infos = env.reset()
    env.step(stand(infos))
    os.kill(env.game.pid, 9)
    while smac.running():
        time.sleep(0.01)
    *_, infos = env.step(stand(infos))
    assert infos["agent_0"]["lost_game"] is True
    assert env.game.pid is None
    play(env, 1, np.random.default_rng(0))
