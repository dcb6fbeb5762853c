"""`Team`: names, spaces, masks and state as arrays and back; each refusal word by word."""

import numpy as np
import pytest
import supersuit
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Sequence, Tuple
from pettingzoo import ParallelEnv
from pettingzoo.test import parallel_api_test
from pettingzoo.utils.conversions import aec_to_parallel, parallel_to_aec
from pettingzoo.utils.wrappers import BaseParallelWrapper, OrderEnforcingWrapper
from teams import NoState, Relay, plain_team, says, told

from vdtoolkit.envs import matrix_game_v0
from vdtoolkit.step import TeamSpec
from vdtoolkit.team import Team


@pytest.mark.parametrize("masks", ["infos", "observations"])
@pytest.mark.parametrize("end", ["terminated", "truncated", "mixed"])
def test_the_relay_of_these_tests_is_a_lawful_pettingzoo_env(masks, end):
    class Legal(Relay):  # parallel_api_test knows masks in infos by no name of ours
        def step(self, actions):
            if actions["bob"] - 2 == self.clock % 5:
                actions = {**actions, "bob": 2 + (self.clock + 1) % 5}
            return super().step({a: actions[a] for a in self.agents})

    parallel_api_test(Legal(masks=masks, end=end), num_cycles=30)


# -- sizes ----------------------------------------------------------------------------------


def test_sizes_are_those_of_the_largest_agent():
    team = Team.from_env(Relay())
    assert team.agents == ("ann", "bob", "cyd")
    assert team.obs_dims == [3, 4, 4]
    assert team.n_actions.tolist() == [3, 5, 2]
    assert team.spec == TeamSpec(n_agents=3, n_actions=5, obs_dim=4, state_dim=7)
    owned = [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert team.owned.tolist() == np.array(owned, bool).tolist()


def test_agents_keep_the_order_of_their_action_spaces():
    box, names = Box(-1, 1, (2,)), ("zoe", "ada", "mia")
    team = Team(told(reversed(names), box), {a: Discrete(2 + i) for i, a in enumerate(names)})
    assert team.agents == names
    assert [team.index(a) for a in names] == [0, 1, 2]
    assert team.n_actions.tolist() == [2, 3, 4]


def test_making_a_team_neither_resets_nor_changes_the_env():
    env = Relay()
    before = set(vars(env))
    Team.from_env(env)
    assert set(vars(env)) == before
    assert not hasattr(env, "clock")


def test_wrapped_and_converted_envs_are_taken():
    env = aec_to_parallel(parallel_to_aec(matrix_game_v0.parallel_env("climbing")))
    team = Team.from_env(env)
    assert team.has_state
    assert team.spec == TeamSpec(2, 3, 1, 1)
    assert Team.from_env(BaseParallelWrapper(Relay())).state_dim == 7
    bare = Team.from_env(BaseParallelWrapper(Relay(state="bare")))
    assert bare.has_state
    assert bare.state_dim is None
    assert not Team.from_env(BaseParallelWrapper(NoState())).has_state


class Unready(Relay):
    """Its state cannot be had before reset()."""

    def state(self):
        return np.array([self.clock, 1, 2])


class Unwritten(Relay):
    """Its state() is there to be written by subclasses."""

    def state(self):
        raise NotImplementedError


class Added(BaseParallelWrapper):
    """A user's wrapper that gives a state to an env that has none."""

    def state(self):
        return np.zeros(3)


WRAPPED = {
    "bare": lambda env: env,
    "wrapped": BaseParallelWrapper,
    "to AEC and back": lambda env: aec_to_parallel(parallel_to_aec(env)),
    "ordered": lambda env: aec_to_parallel(OrderEnforcingWrapper(parallel_to_aec(env))),
    "SuperSuit": lambda env: supersuit.agent_indicator_v0(
        supersuit.pad_observations_v0(supersuit.pad_action_space_v0(env))
    ),
}


class Alike(Relay):
    """Vectors alone, as SuperSuit pads them."""

    def observation_space(self, agent):
        return Box(-1, 9, (3 + (agent == "bob"),), np.float32)


@pytest.mark.parametrize("how", WRAPPED)
def test_a_state_is_found_through_wrappers_and_only_where_it_is(how):
    def has(kind, **kwargs):
        env = type(kind.__name__, (kind, Alike) if kind is not Alike else (Alike,), {})(**kwargs)
        return Team.from_env(WRAPPED[how](env)).has_state

    assert has(Alike)
    assert has(Unready, state="bare")
    assert not has(Unwritten, state="bare")
    assert not has(Unwritten)
    assert not has(NoState)


def test_a_state_that_a_wrapper_adds_is_found():
    assert Team.from_env(Added(NoState())).has_state
    assert Team.from_env(BaseParallelWrapper(Added(NoState()))).has_state


def test_an_env_need_not_inherit_from_parallel_env():
    class Duck:
        possible_agents = ("a", "b")

        def observation_space(self, agent):
            return Box(-1, 1, (3,))

        def action_space(self, agent):
            return Discrete(2)

    assert Team.from_env(Duck()).spec == TeamSpec(2, 2, 3, 6)


def test_slices_of_the_state_are_taken_from_the_env():
    env = Relay()
    env.state_slices = {"bob": (2, 5)}
    assert Team.from_env(env).state_slices == {"bob": (2, 5)}
    assert Team.from_env(BaseParallelWrapper(env)).state_slices == {"bob": (2, 5)}


# -- observations ---------------------------------------------------------------------------


def test_unlike_observations_are_flattened_and_padded_with_zeros():
    team = Team.from_env(Relay())
    obs = team.encode_obs(
        {"cyd": 2, "ann": np.array([1, 2, 3]), "bob": np.array([[4.0, 5.0], [6.0, 7.0]])}
    )
    assert obs.dtype == np.float32
    assert obs.tolist() == [[1, 2, 3, 0], [4, 5, 6, 7], [0, 0, 1, 0]]


def test_an_agent_that_is_not_observed_is_a_row_of_zeros():
    team = plain_team()
    assert team.encode_obs({"c": np.array([1.0, 2.0])}).tolist() == [[0, 0], [0, 0], [1, 2], [0, 0]]


def test_rows_go_by_name_whatever_the_order_of_the_dict():
    seen = {a: np.full(2, k, np.float32) for k, a in enumerate("abcd")}
    backwards = dict(reversed(seen.items()))
    for observations in (seen, backwards):
        assert plain_team().encode_obs(observations)[:, 0].tolist() == [0, 1, 2, 3]


def test_the_mask_is_taken_out_of_the_observation():
    team = Team.from_env(Relay(masks="observations"))
    assert team.obs_dims == [3, 4, 4]
    seen = {"action_mask": np.ones(5), "observation": np.array([[1.0, 2.0], [3.0, 4.0]])}
    assert team.encode_obs({"bob": seen})[1].tolist() == [1, 2, 3, 4]


def test_a_dict_observation_with_two_parts_beside_the_mask_is_flattened_in_its_spaces_order():
    space = Dict(
        {"there": Box(-9, 9, (2,)), "action_mask": MultiBinary(3), "here": Box(-9, 9, (1,))}
    )
    team = Team({"a": space}, {"a": Discrete(3)})
    seen = {"here": np.array([1.0]), "action_mask": np.ones(3), "there": np.array([2.0, 3.0])}
    assert team.encode_obs({"a": seen}).tolist() == [[1, 2, 3]]  # gymnasium sorts the keys


def test_an_image_is_flattened():
    team = Team({"a": Box(0, 255, (2, 3, 1), np.uint8)}, {"a": Discrete(2)})
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    assert team.encode_obs({"a": image}).tolist() == [[0, 1, 2, 3, 4, 5]]


# -- dtypes and images ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float16", "float32"])
def test_observations_stay_in_the_dtype_that_all_agents_share(dtype):
    one, two = (Box(0, 9, (k,), np.dtype(dtype).type) for k in (3, 2))
    team = Team({"a": one, "b": two}, told("ab", Discrete(2)))
    obs = team.encode_obs({"b": np.array([7, 8])})
    assert obs.dtype == team.obs_dtype == team.spec.obs_dtype == team.spec.state_dtype == dtype
    assert obs.tolist() == [[0, 0, 0], [7, 8, 0]]
    assert team.encode_state(None, obs).dtype == dtype


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Box(0, 9, (2,), np.uint8), Box(0, 9, (2,), np.int16)),
        (Box(0, 9, (2,), np.uint8), Discrete(3)),
        (Box(0, 9, (2,), np.float64), Box(0, 9, (3,), np.float64)),
        (Box(0, 9, (2,), np.int64), Box(0, 9, (3,), np.int64)),
    ],
)
def test_unlike_or_wide_dtypes_become_float32(one, other):
    team = Team({"a": one, "b": other}, told("ab", Discrete(2)))
    assert team.encode_obs({}).dtype == team.spec.obs_dtype == np.float32


def test_bytes_beside_another_agents_floats_become_0_to_1():
    seen = {"a": Box(0, 255, (2,), np.uint8), "b": Box(0, 255, (3,), np.float32)}
    team = Team(seen, dict.fromkeys("ab", Discrete(2)))
    told = {"a": np.array([255, 51], np.uint8), "b": np.array([1.0, 255.0, 0.5], np.float32)}
    obs = team.encode_obs(told)
    assert (team.spec.obs_dtype, team.spec.obs_scale) == (np.float32, 1)
    np.testing.assert_allclose(obs, [[1, 0.2, 0], [1, 255, 0.5]], rtol=1e-6)


def test_bytes_of_0_to_255_are_scaled_and_no_others():
    def scale(*boxes):
        agents = "abc"[: len(boxes)]
        return Team(dict(zip(agents, boxes, strict=True)), told(agents, Discrete(2))).spec.obs_scale

    byte = Box(0, 255, (2,), np.uint8)
    assert scale(byte, Box(0, 255, (6, 6, 3), np.uint8)) == 1 / 255
    assert scale(byte, Box(0, 7, (2,), np.uint8)) == 1
    assert scale(byte, Box(0, 255, (2,), np.float32)) == 1
    state = Box(0, 255, (5,), np.uint8)
    spec = Team({"a": Box(0, 1, (2,))}, {"a": Discrete(2)}, state).spec
    assert (spec.state_scale, spec.obs_scale, spec.state_dtype) == (1 / 255, 1, np.uint8)


def test_images_are_laid_out_as_the_largest_with_channels_last():
    boxes = {
        "rgb": Box(0, 255, (6, 5, 3), np.uint8),
        "first": Box(0, 255, (4, 7, 6), np.uint8),
        "gray": Box(0, 255, (5, 8), np.uint8),
    }
    team = Team(boxes, told(boxes, Discrete(2)))
    assert team.spec.obs_shape == (7, 8, 4)
    assert team.spec.obs_dim == 7 * 8 * 4
    rng = np.random.default_rng(0)
    seen = {a: rng.integers(0, 256, box.shape, np.uint8) for a, box in boxes.items()}
    rgb, first, gray = team.encode_obs(seen).reshape(3, 7, 8, 4)
    assert np.array_equal(rgb[:6, :5, :3], seen["rgb"])
    assert np.array_equal(first[:, :6], seen["first"].transpose(1, 2, 0))
    assert np.array_equal(gray[:5, :, 0], seen["gray"])
    assert rgb.sum() == seen["rgb"].sum()
    assert gray.sum() == seen["gray"].sum()


def test_a_team_of_which_not_all_see_images_sees_vectors():
    boxes = {"a": Box(0, 255, (6, 5, 3), np.uint8), "b": Box(0, 255, (4,), np.uint8)}
    team = Team(boxes, told("ab", Discrete(2)))
    assert (team.spec.obs_shape, team.spec.obs_dim) == (None, 90)
    image = np.arange(90, dtype=np.uint8).reshape(6, 5, 3)
    assert team.encode_obs({"a": image})[0].tolist() == list(range(90))


def test_a_state_keeps_its_dtype_and_its_channels_go_last():
    box = Box(-1, 1, (2,))
    team = Team({"a": box}, {"a": Discrete(2)}, Box(0, 255, (3, 5, 6), np.uint8))
    assert (team.spec.state_shape, team.spec.state_dtype) == ((5, 6, 3), np.uint8)
    state = np.arange(90, dtype=np.uint8).reshape(3, 5, 6)
    flat = team.encode_state(state, np.zeros((1, 2)))
    assert flat.dtype == np.uint8
    assert np.array_equal(flat.reshape(5, 6, 3), state.transpose(1, 2, 0))
    state[:] = 0
    assert flat.any(), "a copy"


def test_a_state_without_a_space_shows_its_dtype_and_shape_at_first_use():
    team = Team.from_env(Relay(state="bare"))
    team.encode_state(np.zeros((5, 6, 3), np.uint8), np.zeros((3, 4)))
    spec = team.spec
    assert (spec.state_shape, spec.state_dtype, spec.state_scale) == ((5, 6, 3), np.uint8, 1 / 255)


def test_the_joint_observation_may_stand_for_a_state_that_is_there():
    team = Team.from_env(Relay(), state="joint")
    assert (team.has_state, team.state_dim) == (False, 3 * 4)
    with says(ValueError, "this env has no state(): leave the argument `state` out"):
        team.encode_state(np.zeros(7), np.zeros((3, 4)))
    with says(ValueError, "state='none': it is the 'env' one or the 'joint' observation"):
        Team.from_env(Relay(), state="none")


# -- actions --------------------------------------------------------------------------------


def test_actions_go_back_into_each_agents_own_space_and_only_to_those_that_act():
    team = Team.from_env(Relay())
    actions = team.decode(np.array([2, 4, 1]), ["cyd", "bob"])
    assert actions == {"cyd": 1, "bob": 6}
    assert list(actions) == ["cyd", "bob"]
    assert all(type(u) is int for u in actions.values())
    assert all(team.action_spaces[a].contains(u) for a, u in actions.items())


def test_without_masks_an_agent_has_its_own_actions():
    team = Team.from_env(Relay())
    available = team.encode_available(told(["ann", "cyd"], None), None)
    assert available.tolist() == [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert available.dtype == bool


def test_masks_come_from_infos_and_from_observations_first():
    team = plain_team(n_actions=3)
    in_obs = {"a": {"action_mask": [0, 1, 1]}, "b": {"x": 0}, "c": 0, "d": 0}
    infos = {"a": {"action_mask": [1, 0, 0]}, "b": {"action_mask": np.array([0, 0, 1])}, "c": {}}
    available = team.encode_available(in_obs, infos).astype(int)
    assert available.tolist() == [[0, 1, 1], [0, 0, 1], [1, 1, 1], [1, 1, 1]]


def test_an_info_may_be_missing_or_none():
    team = plain_team(n_actions=2)
    infos = {"b": None, "c": {"action_mask": None}}
    assert team.encode_available(told("abc", 0), infos).tolist() == [[1, 1]] * 3 + [[1, 0]]


def test_masks_of_unlike_agents_are_padded_as_unavailable():
    team = Team.from_env(Relay())
    mask = {"cyd": {"action_mask": [0, 1]}, "ann": {"action_mask": [True, False, True]}}
    available = team.encode_available(told(["ann", "cyd"], None), mask)
    assert available.tolist() == [[1, 0, 1, 0, 0], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0]]


# -- state ----------------------------------------------------------------------------------


def test_the_state_is_the_envs_own():
    team = Team.from_env(Relay())
    state = team.encode_state(np.arange(7.0), np.zeros((3, 4)))
    assert state.dtype == np.float32
    assert state.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_dict_state_is_flattened():
    team = Team.from_env(Relay(state="dict"))
    assert team.state_dim == 7
    state = team.encode_state({"clock": 2, "dice": np.array([0.5])}, np.zeros((3, 4)))
    assert state.tolist() == [0, 0, 1, 0, 0, 0, 0.5]


def test_a_state_without_a_space_shows_its_size_at_first_use():
    team = Team.from_env(Relay(state="bare"))
    with says(ValueError, "the size of the state is not known before the first state is seen"):
        _ = team.spec
    team.encode_state(np.zeros((3, 2)), np.zeros((3, 4)))
    assert team.spec.state_dim == 6


def test_without_a_state_it_is_the_joint_observation():
    team = Team.from_env(NoState())
    assert team.spec.state_dim == 3 * 4
    obs = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert team.encode_state(None, obs).tolist() == list(range(12))


def test_what_is_handed_in_is_copied():
    team = Team.from_env(Relay())
    seen, state = np.zeros(3, np.float32), np.zeros(7, np.float32)
    mask = np.ones(5, bool)
    obs = team.encode_obs({"ann": seen})
    flat = team.encode_state(state, obs)
    available = team.encode_available({"bob": 0}, {"bob": {"action_mask": mask}})
    seen[:], state[:], mask[:] = 7, 8, False
    assert not obs.any()
    assert not flat.any()
    assert available[1].all()


# -- refusals -------------------------------------------------------------------------------


def test_actions_must_be_discrete():
    walker = Box(-1.0, 1.0, (4,))
    with says(
        ValueError,
        "agent 'walker_0' has action space Box(-1.0, 1.0, (4,), float32): "
        "value decomposition needs Discrete actions",
    ):
        Team({"walker_0": Box(-1, 1, (2,))}, {"walker_0": walker})


def test_an_aec_env_is_refused_with_the_way_to_convert_it():
    with says(
        TypeError,
        "relay_v0 is an AEC environment (one agent at a time): convert it with "
        "pettingzoo.utils.conversions.aec_to_parallel(env)",
    ):
        Team.from_env(parallel_to_aec(Relay()))


def test_what_is_no_parallel_env_is_refused():
    text = "is not a PettingZoo ParallelEnv: give an instance of one, or a vdtoolkit.Team"
    with says(TypeError, f"CartPoleEnv {text}"):
        Team.from_env(CartPoleEnv())
    with says(TypeError, f"type {text}"):
        Team.from_env(Relay)
    with says(TypeError, f"str {text}"):
        Team.from_env("simple_spread_v3")


def test_a_team_without_agents_is_refused():
    with says(ValueError, "the team has no agents: possible_agents is empty"):
        Team({}, {})


def test_spaces_must_be_of_the_same_agents():
    box, two = Box(-1, 1, (2,)), Discrete(2)
    with says(
        ValueError,
        "observation spaces are of ['a', 'c'], action spaces of ['a', 'b']: "
        "they must be of the same agents",
    ):
        Team({"c": box, "a": box}, {"b": two, "a": two})


def test_the_teams_reward_is_the_mean_or_the_sum():
    with says(ValueError, "reward='max': the team's reward is the 'mean' or the 'sum'"):
        plain_team(reward="max")


def test_an_unknown_agent_is_named():
    text = "unknown agent 'eve': the team is a, b, c, d"
    team = plain_team()
    with says(ValueError, text):
        team.encode_obs({"eve": np.zeros(2)})
    with says(ValueError, text):
        team.encode_available({"eve": np.zeros(2)}, None)


def test_an_observation_of_another_size_is_refused():
    with says(
        ValueError,
        "agent 'b': observation has shape (3,), its space Box(-9.0, 9.0, (2,), float32) has (2,)",
    ):
        plain_team().encode_obs({"a": np.zeros(2), "b": np.zeros(3)})
    for shape in ((3,), (1,), (2, 1), ()):
        with pytest.raises(ValueError, match=r"^agent 'a': observation has shape .* has "):
            plain_team().encode_obs(dict.fromkeys("abcd", np.zeros(shape)))


@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "nan"), (-np.inf, "-inf"), (1e39, "1e+39")])
def test_an_observation_that_is_not_finite_is_refused(bad, shown):
    with says(ValueError, f"agent 'c': observation[1] is not finite: {shown}"):
        plain_team().encode_obs({"a": np.zeros(2), "c": np.array([0.0, bad])})


def test_a_mask_of_another_size_is_refused():
    team = Team.from_env(Relay())
    with says(ValueError, "agent 'bob': action_mask has shape (3,), its 5 actions need (5,)"):
        team.encode_available({"bob": None}, {"bob": {"action_mask": [1, 1, 1]}})
    with says(ValueError, "agent 'ann': action_mask has shape (5,), its 3 actions need (3,)"):
        team.encode_available({"ann": None}, {"ann": {"action_mask": np.ones(5)}})


@pytest.mark.parametrize(
    ("mask", "said"), [([1, 0, 2], "2"), ([0.5, 0, 1], "0.5"), ([1, 0, -1], "-1")]
)
def test_a_mask_of_other_values_than_0_and_1_is_refused(mask, said):
    at = next(k for k, value in enumerate(mask) if value not in (0, 1))
    with says(
        ValueError, f"agent 'a': action_mask is {said} at action {at}: it is made of 0 and 1"
    ):
        plain_team(n_actions=3).encode_available({"a": 0}, {"a": {"action_mask": mask}})


def test_a_number_that_is_not_finite_is_named_by_its_key():
    space = Dict({"action_mask": MultiBinary(2), "wind": Box(-9, 9, (2, 2)), "sun": Discrete(2)})
    team = Team({"a": space}, {"a": Discrete(2)})
    seen = {"action_mask": np.ones(2), "wind": np.array([[0, 1], [np.nan, 3]]), "sun": 1}
    with says(ValueError, "agent 'a': observation['wind'][1, 0] is not finite: nan"):
        team.encode_obs({"a": seen})
    with says(
        ValueError,
        "agent 'a': observation is a ndarray, its space has the keys ['action_mask', 'sun', "
        "'wind']",
    ):
        team.encode_obs({"a": np.zeros(6)})


def test_an_only_part_beside_the_mask_is_named_by_its_key():
    team = Team.from_env(Relay(masks="observations"))
    box = "Box(-1.0, 9.0, (2, 2), float64)"
    with says(
        ValueError,
        f"agent 'bob': observation['observation'] has shape (4,), its space {box} has (2, 2)",
    ):
        team.encode_obs({"bob": {"action_mask": np.ones(5), "observation": np.zeros(4)}})


def test_spaces_of_no_fixed_size_are_refused_by_the_agents_name():
    with pytest.raises(ValueError, match=r"^agent 'b': observation has space Sequence"):
        Team({"a": Discrete(2), "b": Sequence(Discrete(2))}, told("ab", Discrete(2)))
    with pytest.raises(ValueError, match=r"^state\(\) has space Sequence"):
        Team({"a": Discrete(2)}, {"a": Discrete(2)}, Sequence(Discrete(2)))


@pytest.mark.parametrize("space", [MultiBinary(2), MultiDiscrete([2, 2]), Tuple([Discrete(2)])])
def test_joint_action_spaces_of_one_agent_are_refused(space):
    with pytest.raises(ValueError, match=r"^agent 'a' has action space .*needs Discrete actions"):
        Team({"a": Discrete(2)}, {"a": space})


def test_a_forgotten_state_is_an_error():
    team = Team.from_env(Relay())
    with says(
        ValueError,
        "this env has a state() that mixers learn from: pass state=env.state() to act() and "
        "observe()",
    ):
        team.encode_state(None, np.zeros((3, 4)))


def test_a_state_of_an_env_that_has_none_is_an_error():
    with says(ValueError, "this env has no state(): leave the argument `state` out"):
        plain_team().encode_state(np.zeros(3), np.zeros((4, 2)))


def test_a_state_must_keep_its_size_and_be_finite():
    team = Team.from_env(Relay(state="bare"))
    team.encode_state(np.zeros(6), np.zeros((3, 4)))
    with says(ValueError, "state() has shape (5,), before it had (6,): it must not change"):
        team.encode_state(np.zeros(5), np.zeros((3, 4)))
    told = Team.from_env(Relay())
    box = "Box(-1.0, 9.0, (7,), float32)"
    with says(ValueError, f"state() has shape (6,), its space {box} has (7,)"):
        told.encode_state(np.zeros(6), np.zeros((3, 4)))
    with says(ValueError, "state()[1] is not finite: nan"):
        team.encode_state(np.array([0, np.nan, 0, 0, 0, 0]), np.zeros((3, 4)))


def test_the_teams_reward_is_the_mean_of_those_who_acted_or_the_sum_of_all():
    rewards = {"a": 1.0, "b": 3.0, "c": 100.0}
    assert plain_team().team_reward(rewards, ["a", "b"]) == 2
    assert plain_team(reward="sum").team_reward(rewards, ["a", "b"]) == 104
    assert plain_team().team_reward({}, ["a", "b"]) == 0


def test_an_env_without_possible_agents_is_told_to_name_them():
    class Nobody(ParallelEnv):
        pass

    with pytest.raises(TypeError, match="Nobody has no possible_agents: networks need to know"):
        Team.from_env(Nobody())
