"""Acting: epsilon-greedy choice, and a memory that belongs to one episode of one agent."""

import numpy as np
import pytest

from vdtoolkit import VDNAgents
from vdtoolkit.agents.actor import epsilon_greedy

from .helpers import SMALL, Nameless, Unlike, play


def test_greedy_takes_the_best_available_action_of_each_agent():
    qs = np.array([[[1.0, 3.0, 2.0], [-9.0, -7.0, -8.0]]])
    available = np.array([[[True, False, True], [True, False, True]]])
    rng = np.random.default_rng(0)
    assert epsilon_greedy(qs, available, 0.0, rng).tolist() == [[2, 2]]
    assert epsilon_greedy(qs, np.ones_like(available), 0.0, rng).tolist() == [[1, 1]]


def test_a_greedy_choice_draws_no_random_numbers():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    epsilon_greedy(np.zeros((2, 3, 4)), np.ones((2, 3, 4), bool), 0.0, rng)
    assert rng.bit_generator.state == before


def test_random_actions_are_uniform_over_the_available_and_independent_between_agents():
    available = np.array([[True, False, True, True, False], [False, True, True, False, False]])
    rng = np.random.default_rng(0)
    E = 20_000
    actions = epsilon_greedy(
        np.zeros((E, 2, 5)), np.broadcast_to(available, (E, 2, 5)), epsilon=1.0, rng=rng
    )
    joint = np.zeros((5, 5))
    np.add.at(joint, (actions[:, 0], actions[:, 1]), 1 / E)
    wanted = np.outer(available[0] / 3, available[1] / 2)
    assert (joint[wanted == 0] == 0).all()
    np.testing.assert_allclose(joint, wanted, atol=0.012)  # over four standard errors


def test_each_agent_explores_for_itself_with_probability_epsilon():
    E, epsilon = 40_000, 0.3
    qs = np.broadcast_to([[9.0, 0, 0], [9.0, 0, 0]], (E, 2, 3))
    rng = np.random.default_rng(0)
    strays = epsilon_greedy(qs, np.ones((E, 2, 3), bool), epsilon, rng) != 0
    off = epsilon * 2 / 3  # a random action is the greedy one in a third of the cases
    np.testing.assert_allclose(strays.mean(0), off, atol=0.01)
    np.testing.assert_allclose(strays.all(1).mean(), off**2, atol=0.008)


def test_an_actor_remembers_the_episode_until_reset():
    agents = VDNAgents(Unlike(), seed=0, **SMALL)
    seen, _ = Unlike().reset(seed=1)
    seen_qs = []
    actor = agents.actor()
    actor._policy = lambda qs, *rest: seen_qs.append(qs.copy()) or agents.policy(qs, *rest)
    actor.act(seen)
    actor.act(seen)
    actor.reset()
    actor.act(seen)
    first, second, again = seen_qs
    assert abs(first - second).max() > 1e-3, "the memory and last action change the utilities"
    np.testing.assert_array_equal(first, again)


def test_actors_have_memories_and_dice_of_their_own():
    agents = VDNAgents(Unlike(masks=False), seed=0, **SMALL)
    seen, _ = Unlike(masks=False).reset(seed=1)
    one, two, alone = agents.actor(), agents.actor(), agents.actor()
    a = [one.act(seen) for _ in range(6)]
    b = []
    for _ in range(6):  # two is asked between alone's moves
        two.act(seen)
        b.append(alone.act(seen))
    assert a == b

    rolls = [agents.actor(explore=True) for _ in range(2)]
    x, y = ([actor.act(seen) for _ in range(20)] for actor in rolls)
    assert x != y


def test_a_greedy_actor_is_greedy_while_training_explores():
    agents = VDNAgents(Unlike(masks=False), seed=0, **SMALL)  # epsilon is 1
    seen, _ = Unlike(masks=False).reset(seed=1)
    actor = agents.actor()
    firsts = []
    for _ in range(8):
        actor.reset()
        firsts.append(actor.act(seen))
    assert all(first == firsts[0] for first in firsts)
    explorer = agents.actor(explore=True)
    firsts = []
    for _ in range(8):
        explorer.reset()
        firsts.append(explorer.act(seen))
    assert any(first != firsts[0] for first in firsts)


def test_an_exploring_actor_follows_the_epsilon_of_training():
    agents = VDNAgents(
        Unlike(), seed=0, epsilon_start=1.0, epsilon_end=0.0, epsilon_steps=4, **SMALL
    )
    actor = agents.actor(explore=True)
    assert actor._epsilon() == 1.0
    play(agents, Unlike(), 2, learn=False)
    assert agents.moves >= 6
    assert actor._epsilon() == 0.0


def test_an_actor_answers_exactly_those_observed_in_their_own_spaces():
    agents = VDNAgents(Unlike(), seed=0, **SMALL)
    env = Unlike()
    observations, infos = env.reset(seed=2)
    actor = agents.actor(explore=True)
    while env.agents:
        seen = {a: observations[a] for a in reversed(env.agents)}
        actions = actor.act(seen, infos)
        assert list(actions) == list(seen)
        observations, _, _, _, infos = env.step({a: actions[a] for a in env.agents})


def test_masks_in_the_observation_come_before_masks_in_the_infos():
    from gymnasium import spaces

    from vdtoolkit import Team

    inner = spaces.Dict(
        {"observation": spaces.Box(-1, 1, (2,)), "action_mask": spaces.MultiBinary(3)}
    )
    agents = VDNAgents(Team({"a": inner}, {"a": spaces.Discrete(3)}), seed=0)
    actor = agents.actor(explore=True)
    seen = {"a": {"observation": np.zeros(2), "action_mask": np.array([0, 0, 1], np.int8)}}
    infos = {"a": {"action_mask": np.array([1, 1, 0], np.int8)}}
    assert {actor.act(seen, infos)["a"] for _ in range(20)} == {2}


def test_an_agent_without_any_available_action_is_named():
    agents = VDNAgents(Unlike(), seed=0, **SMALL)
    observations, infos = Unlike().reset(seed=0)
    infos["flyer"] = {"action_mask": np.zeros(2, np.int8)}
    with pytest.raises(
        ValueError, match=r"^agent 'flyer': action_mask is all zeros: it has nothing to do$"
    ):
        agents.actor().act(observations, infos)


def test_an_actor_of_networks_that_are_not_built_yet_says_what_to_do():
    agents = VDNAgents(Nameless(), seed=0, **SMALL)
    observations, infos = Nameless().reset(seed=0)
    actor = agents.actor()
    with pytest.raises(RuntimeError, match="the networks are not built: this env has no state_spa"):
        actor.act(observations, infos)
    play(agents, Nameless(), 1)
    assert set(actor.act(observations, infos)) == set(observations)
