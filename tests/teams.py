"""Small teams that do what PettingZoo allows: unlike agents, death, late comers, masks, ends."""

from contextlib import contextmanager

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.utils import EzPickle, seeding
from pettingzoo import ParallelEnv

from vdtoolkit.envs._finite import FiniteGame, one_hot, unit_box
from vdtoolkit.team import Team


@contextmanager
def says(kind, text):
    """The block raises an error of this kind whose whole text is this."""
    import pytest  # which worker processes, that import this file, need not wait for

    with pytest.raises(kind) as caught:
        yield
    assert str(caught.value) == text


def plain_team(names="abcd", n_actions=5, obs_dim=2, **kwargs):
    """Agents of one kind and no state of the env's: `Team` from spaces alone."""
    box = Box(-9, 9, (obs_dim,), np.float32)
    return Team(dict.fromkeys(names, box), dict.fromkeys(names, Discrete(n_actions)), **kwargs)


def held(replay):
    """All that a replay holds, by name, as padded arrays [n_stored, T or T+1, ...]."""
    batch = replay.batch(np.arange(len(replay)))
    tensors = {**vars(batch.view), **{k: v for k, v in vars(batch).items() if k != "view"}}
    return {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None}


def told(names, value):
    """The same value for each of these agents."""
    return dict.fromkeys(names, value)


class Relay(ParallelEnv):
    """Three unlike agents: ann leaves dead after move 2, bob stays, cyd comes after move 1.

    An episode has 3 to 5 moves by the seed's lot.  Bob's actions are 2..6 and one of them, another
    each move, is masked out (`masks`: "infos" or "observations").  Everybody is paid something
    else.  `end`: the last two are "terminated", "truncated", or "mixed": bob truncated, cyd
    terminated.  `state`: "box", "dict" or "bare" (no space says so).
    """

    metadata = {"name": "relay_v0"}  # noqa: RUF012

    def __init__(self, masks="infos", end="terminated", state="box", breaks=False):
        self.possible_agents = ["ann", "bob", "cyd"]
        self.masks, self.end, self.breaks = masks, end, breaks
        self.render_mode = None
        seen = {
            "ann": Box(-1, 9, (3,), np.float32),
            "bob": Box(-1, 9, (2, 2), np.float64),
            "cyd": Discrete(4),
        }
        if masks == "observations":
            mask = Box(0, 1, (5,), np.int8)
            seen["bob"] = Dict({"action_mask": mask, "observation": seen["bob"]})
        self._seen = seen
        self._actions = {"ann": Discrete(3), "bob": Discrete(5, start=2), "cyd": Discrete(2)}
        self._state = state
        if state == "box":
            self.state_space = Box(-1, 9, (7,), np.float32)
        if state == "dict":
            self.state_space = Dict({"clock": Discrete(6), "dice": Box(0, 1, (1,), np.float32)})
        self._rng, _ = seeding.np_random()

    def observation_space(self, agent):
        return self._seen[agent]

    def action_space(self, agent):
        return self._actions[agent]

    def reset(self, seed=None, options=None):
        if seed is not None:
            self._rng, _ = seeding.np_random(seed)
        self.agents = ["ann", "bob"]
        self.clock, self.dice = 0, self._rng.random()
        self.length = int(self._rng.integers(3, 6))
        return self._told(self.agents)

    def step(self, actions):
        assert list(actions) == self.agents, f"{actions} of {self.agents}"
        for agent, action in actions.items():
            assert self._actions[agent].contains(action), f"{agent}: {action}"
        assert actions["bob"] - 2 != self.clock % 5, "bob's action was masked out"
        self.clock, self.dice = self.clock + 1, self._rng.random()
        reported = [a for a in self.possible_agents if a in self.agents]
        if self.clock == 1:
            reported.append("cyd")
        over = self.clock == self.length
        out = {"ann"} & set(reported) if self.clock == 2 else set()
        cut = set()
        if over:
            cut = {"terminated": set(), "truncated": {"bob", "cyd"}, "mixed": {"bob"}}[self.end]
            out = set(reported) - cut
        pay = {"ann": 1.0, "bob": 10.0, "cyd": 100.0}
        rewards = {a: pay[a] * int(actions.get(a, 0)) + self.dice for a in reported}
        self.agents = [a for a in reported if a not in out | cut]
        observations, infos = self._told(reported)
        if self.breaks and over:
            infos["bob"]["lost_game"] = True
        return (
            observations,
            rewards,
            {a: a in out for a in reported},
            {a: a in cut for a in reported},
            infos,
        )

    def state(self):
        if self._state == "dict":
            return {"clock": self.clock, "dice": np.array([self.dice], np.float32)}
        return np.array([self.clock, self.dice, 0, 1, 2, 3, 4], np.float32)

    def _told(self, agents):
        mask = np.ones(5, np.int8)
        mask[self.clock % 5] = 0
        bob = np.array([[self.clock, self.dice], [0.25, 0.5]])
        views = {
            "ann": np.array([self.clock, self.dice, 0.125], np.float32),
            "bob": bob,
            "cyd": self.clock % 4,
        }
        infos = {a: {} for a in agents}
        if self.masks == "observations":
            views["bob"] = {"action_mask": mask, "observation": bob}
        else:
            infos["bob"]["action_mask"] = mask
        return {a: views[a] for a in agents}, infos


class NoState(Relay):
    """The same without a `state()` of its own."""

    state = ParallelEnv.state

    def __init__(self, **kwargs):
        super().__init__(state="none", **kwargs)


class Rooms(FiniteGame):
    """A finite game with masks, chance, a true end and a time limit; agents of 2 and 3 actions.

    hall: pays the sum of the actions, leads to the cell (1/4) or the hall (3/4).  cell: agent_0
    has only 1, agent_1 only 1 (pays 1, back to the hall) and 2 (pays 10 or 6, the end).
    """

    metadata = {**FiniteGame.metadata, "name": "rooms_v0"}  # noqa: RUF012
    title = "rooms"
    NAMES = ("hall", "cell")

    def __init__(self, max_cycles=4, illegal_action="raise"):
        EzPickle.__init__(self, max_cycles, illegal_action)
        FiniteGame.__init__(
            self,
            (2, 3),
            [unit_box(2), unit_box(3)],
            unit_box(2),
            max_cycles=max_cycles,
            illegal_action=illegal_action,
        )

    def initial_states(self):
        return [(0.7, "hall"), (0.3, "cell")]

    def model(self, state, joint_action):
        if state == "hall":
            pay = float(sum(joint_action))
            return [(0.25, pay, "cell"), (0.75, pay, "hall")]
        if joint_action == (1, 2):
            return [(0.5, 10.0, None), (0.5, 6.0, None)]
        assert joint_action == (1, 1), "the model was asked for a masked action"
        return [(1.0, 1.0, "hall")]

    def available(self, state):
        if state == "hall":
            return super().available(state)
        return [np.array([False, True]), np.array([False, True, True])]

    def observations(self, state):
        return [self.global_state(state), one_hot(self.NAMES.index(state), 3)]

    def global_state(self, state):
        return one_hot(self.NAMES.index(state), 2)
