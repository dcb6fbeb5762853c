"""PettingZoo's own tests, and ours, on every environment; on finite games their model too."""

import copy
import pickle
from collections import Counter, defaultdict
from functools import partial

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from pettingzoo.test import (
    api_test,
    max_cycles_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
    state_test,
)

from vdtoolkit.envs import (
    dec_tiger_v0,
    gaussian_squeeze_v0,
    hidden_payoff_v0,
    lever_v0,
    matrix_game_v0,
    mmdp_v0,
    predator_prey_v0,
    skirmish_v0,
    switch_v0,
    two_step_v0,
)

from .whole_episode import assert_chance_matters, assert_seeds_decide

# PettingZoo's advice about spaces; the games are that small on purpose.
SINGLE_NUMBER = [
    pytest.mark.filterwarnings("ignore:Observation is a single number:UserWarning"),
    pytest.mark.filterwarnings("ignore:State is a single number:UserWarning"),
]
ZEROS_OBSERVED = pytest.mark.filterwarnings(
    "ignore:Observation numpy array is all zeros:UserWarning"
)
ZEROS_AT_START = [
    ZEROS_OBSERVED,
    pytest.mark.filterwarnings("ignore:State numpy array is all zeros:UserWarning"),
]

# Spaces as a wrapper of SMAC has them, whose cooldowns have no sure bounds.
UNBOUNDED = [
    ZEROS_OBSERVED,
    pytest.mark.filterwarnings("ignore:.* space value is -?infinity:UserWarning"),
    pytest.mark.filterwarnings("ignore:State numpy array is all zeros:UserWarning"),
]


def case(name, module, *args, marks=(), **kwargs):
    return pytest.param(module, args, kwargs, id=name, marks=marks)


COIN = {"payoff": [[[1, 0], [0, 5]], [[0, 0], [4, -1]]], "probabilities": [0.25, 0.75]}
CASES = [
    case("one-shot", matrix_game_v0, marks=SINGLE_NUMBER),
    case("repeated", matrix_game_v0, "climbing", max_cycles=25, marks=SINGLE_NUMBER),
    case(
        "repeated, last observed",
        matrix_game_v0,
        [[1, 2, 3], [4, 5, 6]],
        max_cycles=7,
        observation="last",
        marks=ZEROS_AT_START,
    ),
    case(
        "one-shot, last observed",
        matrix_game_v0,
        "or",
        observation="last",
        marks=ZEROS_AT_START,
    ),
    case("three agents", matrix_game_v0, "random", agents=3, actions=4, marks=SINGLE_NUMBER),
    case("one agent", matrix_game_v0, [3.0, 1.0], marks=SINGLE_NUMBER),
    case("stochastic, one-shot", matrix_game_v0, **COIN, marks=SINGLE_NUMBER),
    case(
        "stochastic, repeated",
        matrix_game_v0,
        "climbing_stochastic",
        max_cycles=5,
        marks=SINGLE_NUMBER,
    ),
    case("two-step", two_step_v0),
    case("hidden payoff", hidden_payoff_v0, marks=ZEROS_OBSERVED),
    case("hidden payoff, one sees", hidden_payoff_v0, ["agent_1"], marks=ZEROS_OBSERVED),
    case("hidden payoff, both see", hidden_payoff_v0, [0, 1]),
    case("two-state mmdp", mmdp_v0),
    case("two-state mmdp, short", mmdp_v0, max_cycles=3),
    case("dec-tiger", dec_tiger_v0, marks=ZEROS_OBSERVED),
    case("dec-tiger, one move", dec_tiger_v0, horizon=1, marks=ZEROS_OBSERVED),
    case("lever, 2 of 3", lever_v0, 2, pool=3),
    case("lever, all of 3", lever_v0, 3, pool=3),
    case("lever, unseen", lever_v0, 2, pool=3, show_id=False, marks=SINGLE_NUMBER),
]
# Those that have no model: too many states, or not countable.
PLAYED = [
    case("lever, 5 of 500", lever_v0),
    case("gaussian squeeze", gaussian_squeeze_v0),
    case("gaussian squeeze, one domain", gaussian_squeeze_v0, 3, actions=4, domains=1),
    case("switch", switch_v0),
    case("switch, two, no clock", switch_v0, 2, clock=False, max_cycles=9, marks=ZEROS_OBSERVED),
    case("predator-prey", predator_prey_v0),
    case("predator-prey, 4 and 2", predator_prey_v0, size=7, predators=4, prey=2, max_cycles=9),
    case("stag hunt", predator_prey_v0, "stag_hunt", max_cycles=40, marks=ZEROS_OBSERVED),
    case(
        "stag hunt, crowded",
        predator_prey_v0,
        "stag_hunt",
        size=3,
        predators=4,
        prey=2,
        max_cycles=40,
        marks=ZEROS_OBSERVED,
    ),
    case("skirmish", skirmish_v0, max_cycles=30, marks=UNBOUNDED),
    case("skirmish, healers", skirmish_v0, "MMM", max_cycles=20, marks=UNBOUNDED),
    case("skirmish, drawn", skirmish_v0, "zerg_5v5", max_cycles=30, marks=UNBOUNDED),
]
every_game = pytest.mark.parametrize(("module", "args", "kwargs"), CASES)
every_env = pytest.mark.parametrize(("module", "args", "kwargs"), [*CASES, *PLAYED])
played = pytest.mark.parametrize(("module", "args", "kwargs"), PLAYED)
WORDS = ("stochastic", "hidden", "dec-tiger", "lever, 2", "lever, 5", "squeeze", "prey", "hunt")
BY_CHANCE = [c for c in [*CASES, *PLAYED] if any(word in c.id for word in (*WORDS, "skirmish"))]


@every_env
def test_pettingzoo_parallel_api_test(module, args, kwargs):
    env = module.parallel_env(*args, **kwargs)
    one_shot = getattr(env, "one_shot", None)
    parallel_api_test(env, num_cycles=60)  # sets env.max_cycles
    assert getattr(env, "one_shot", None) == one_shot


@every_env
def test_pettingzoo_api_test(module, args, kwargs):
    api_test(module.env(*args, **kwargs), num_cycles=60)


@every_env
def test_pettingzoo_seed_tests(module, args, kwargs):
    parallel_seed_test(partial(module.parallel_env, *args, **kwargs), num_cycles=30)
    seed_test(partial(module.env, *args, **kwargs), num_cycles=30)


@every_env
def test_pettingzoo_state_test(module, args, kwargs):
    state_test(module.env(*args, **kwargs), module.parallel_env(*args, **kwargs))


@every_env
def test_pettingzoo_render_test(module, args, kwargs):
    assert module.raw_env.metadata["render_modes"] == ["human", "ansi", "rgb_array"]
    render_test(partial(module.env, *args, **kwargs))


def test_pettingzoo_max_cycles_test():
    max_cycles_test(matrix_game_v0)


@every_env
def test_equal_seeds_give_equal_episodes(module, args, kwargs):
    assert_seeds_decide(partial(module.parallel_env, *args, **kwargs))


@pytest.mark.parametrize(("module", "args", "kwargs"), BY_CHANCE)
def test_different_seeds_give_different_episodes(module, args, kwargs):
    assert_chance_matters(partial(module.parallel_env, *args, **kwargs))


@every_env
def test_module_and_metadata_look_native(module, args, kwargs):
    name = module.__name__.rsplit(".", 1)[1]
    assert {"env", "parallel_env", "raw_env"} <= set(module.__all__)
    env = module.parallel_env(*args, **kwargs)
    assert type(env) is module.raw_env
    assert str(env) == name == env.metadata["name"]
    assert env.metadata["is_parallelizable"] is True
    assert env.metadata["render_fps"] > 0
    assert env.possible_agents == [f"agent_{i}" for i in range(len(env.n_actions))]
    aec = module.env(*args, **kwargs)
    assert type(aec.unwrapped) is module.raw_env
    assert module.__doc__.lstrip().startswith("# ")
    assert f'make("parallel", "vdtoolkit/{name.replace("_v0", "-v0")}")' in module.__doc__


@every_env
def test_every_picture_and_text_tells_of_the_move(module, args, kwargs):
    """Shapes, and that what is shown changes as play goes on."""
    shown = {}
    for mode in ("ansi", "rgb_array"):
        env = module.parallel_env(*args, **kwargs, render_mode=mode)
        _, infos = env.reset(seed=0)
        before, again = env.render(), env.render()
        env.step({a: int(np.flatnonzero(infos[a]["action_mask"])[-1]) for a in env.agents})
        shown[mode] = before, again, env.render()
    before, again, after = shown["ansi"]
    assert before == again != after
    assert max(map(len, f"{before}\n{after}".splitlines())) <= 100
    before, again, after = shown["rgb_array"]
    np.testing.assert_array_equal(before, again)
    assert before.shape == after.shape or before.ndim == after.ndim == 3
    assert not np.array_equal(before, after)


@played
def test_pickle_and_deepcopy_make_the_same_env(module, args, kwargs):
    env = module.parallel_env(*args, **kwargs)
    for twin in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert (twin.title, twin.n_actions) == (env.title, env.n_actions)
        moves = [dict.fromkeys(env.possible_agents, 0)] * 3
        for one, other in zip(whole(twin, moves), whole(env, moves), strict=True):
            assert data_equivalence(one, other)


def whole(env, moves):
    """What an env says of these moves, till its end."""
    said = [env.reset(seed=5)]
    for actions in moves:
        if env.agents:
            said.append(env.step({a: actions[a] for a in env.agents}))
    return said


@played
def test_what_an_env_hands_out_is_its_own_no_longer(module, args, kwargs):
    env = module.parallel_env(*args, **kwargs)
    before = copy.deepcopy(env.reset(seed=1)), env.state()
    observations, infos = env.reset(seed=1)
    for agent in observations:
        observations[agent][:] = 7
        infos[agent]["action_mask"][:] = 0
    env.state()[:] = 7
    assert data_equivalence(before[1], env.state())
    assert data_equivalence(before, (env.reset(seed=1), env.state()))


@played
def test_everything_is_in_its_space_and_ends_are_told_apart(module, args, kwargs):
    env, rng = module.parallel_env(*args, **kwargs), np.random.default_rng(0)
    for seed in range(6):
        observations, infos = env.reset(seed=seed)
        left = set(env.possible_agents)
        while env.agents:
            assert set(env.agents) == left
            actions = {a: int(rng.choice(np.flatnonzero(infos[a]["action_mask"]))) for a in left}
            observations, rewards, terminations, truncations, infos = env.step(actions)
            for told in (observations, rewards, terminations, truncations, infos):
                assert set(told) == left
            assert env.state_space.contains(env.state())
            for agent in left:
                assert env.observation_space(agent).contains(observations[agent])
                assert infos[agent]["action_mask"].dtype == np.int8
                assert infos[agent]["action_mask"].any()
                assert type(rewards[agent]) is float
                assert type(terminations[agent]) is type(truncations[agent]) is bool
                assert not (terminations[agent] and truncations[agent])
            left = {a for a in left if not (terminations[a] or truncations[a])}


@every_game
def test_pickle_and_deepcopy_make_the_same_game(module, args, kwargs):
    env = module.parallel_env(*args, **kwargs)
    for twin in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert (twin.title, twin.n_actions, twin.states()) == (
            env.title,
            env.n_actions,
            env.states(),
        )
        np.testing.assert_array_equal(twin.rewards(twin.states()[0]), env.rewards(env.states()[0]))
        assert data_equivalence(twin.reset(seed=5), env.reset(seed=5))


def random_moves(env, moves):
    """(state before, joint action, what step returned, state after) of random play.

    States are recognised by what `env.state()` shows, which differs in every state of our games.
    """
    by_sight = {env.global_state(state).tobytes(): state for state in env.states()}
    assert len(by_sight) == len(env.states())
    # Two seeds: equal ones give the actions and the env's chance the same stream of numbers.
    rng = np.random.default_rng(1)
    env.reset(seed=0)
    for _ in range(moves):
        if not env.agents:
            env.reset()
        before = by_sight[env.state().tobytes()]
        joint = tuple(int(rng.integers(n)) for n in env.n_actions)
        result = env.step(dict(zip(env.possible_agents, joint, strict=True)))
        ended = result[2]["agent_0"]
        yield before, joint, result, None if ended else by_sight[env.state().tobytes()]


@every_game
def test_play_follows_the_model(module, args, kwargs):
    env = module.parallel_env(*args, **kwargs)
    assert sum(p for p, _ in env.initial_states()) == pytest.approx(1.0)
    moves, seen = 600 * (1 + len(env.states())), defaultdict(Counter)
    for before, joint, (_, rewards, _, _, _), after in random_moves(env, moves):
        seen[before, joint][rewards["agent_0"], after] += 1
    assert {before for before, _ in seen} == set(env.states())
    for (before, joint), counts in seen.items():
        chances = Counter()
        for probability, reward, after in env.model(before, joint):
            chances[reward, after] += probability
        n = counts.total()
        assert set(counts) <= set(chances)
        assert sum(chances.values()) == pytest.approx(1.0)
        for outcome, p in chances.items():
            assert abs(counts[outcome] / n - p) <= 5 * np.sqrt(p * (1 - p) / n)


@every_game
def test_rewards_are_the_models_means(module, args, kwargs):
    env = module.parallel_env(*args, **kwargs)
    for state in env.states():
        table = env.rewards(state)
        assert table.shape == env.n_actions
        for joint in env.joint_actions(state):
            mean = sum(p * r for p, r, _ in env.model(state, joint))
            assert table[joint] == pytest.approx(mean)


@every_game
def test_view_is_what_play_shows(module, args, kwargs):
    env = module.parallel_env(*args, **kwargs)
    for before, _, (observations, _, _, _, infos), after in random_moves(env, 50):
        shown = env.view(before if after is None else after)
        assert data_equivalence(shown, (observations, infos, env.state()))
        for agent in env.possible_agents:
            assert env.observation_space(agent).contains(observations[agent])
            assert infos[agent]["action_mask"].dtype == np.int8
            assert infos[agent]["action_mask"].all()
            assert env.action_space(agent).sample(infos[agent]["action_mask"]) >= 0
        assert env.state_space.contains(env.state())


@every_game
def test_an_episode_ends_as_one_shot_and_time_limit_say(module, args, kwargs):
    env = module.parallel_env(*args, **kwargs)
    env.reset(seed=0)
    moves = 0
    while env.agents:
        _, rewards, terminations, truncations, _ = env.step(dict.fromkeys(env.agents, 0))
        moves += 1
    assert all(type(r) is float for r in rewards.values())
    assert all(type(end) is bool for end in [*terminations.values(), *truncations.values()])
    assert set(terminations) == set(truncations) == set(env.possible_agents)
    if env.one_shot:
        assert moves == 1
        assert env.time_limit is None
    if env.time_limit is not None:
        assert moves == env.time_limit
    assert set(truncations.values()) == {env.time_limit is not None}
    assert set(terminations.values()) == {env.time_limit is None}


@every_game
def test_what_is_handed_out_can_be_written_to(module, args, kwargs):
    env = module.parallel_env(*args, **kwargs)
    before = copy.deepcopy(env.reset(seed=1)), env.state()
    observations, infos = env.reset(seed=1)
    for agent in observations:
        observations[agent][:] = 7
        infos[agent]["action_mask"][:] = 0
    env.state()[:] = 7
    env.rewards(env.states()[0])[:] = 99
    env.available(env.states()[0])[0][:] = False
    after = env.reset(seed=1), env.state()
    assert data_equivalence(before, after)
    assert env.rewards(env.states()[0]).max() < 99
    assert env.available(env.states()[0])[0].all()
