"""A small environment that is right in everything, and one wrong in one thing for each check."""

import threading
import time

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Sequence
from gymnasium.utils import seeding
from pettingzoo import ParallelEnv

AGENTS = ["guard_0", "guard_1", "scout_0"]


class Watch(ParallelEnv):
    """Two guards and a scout, who is caught at move 2 or 3; luck ends it for all, or move 6.

    Action `clock % 4` is masked out for the guards; who plays it does as who plays the next one.
    """

    metadata = {  # noqa: RUF012
        "name": "watch_v0",
        "render_modes": ["ansi", "rgb_array"],
        "is_parallelizable": True,
    }

    def __init__(self, max_cycles=6, render_mode=None):
        self.possible_agents = AGENTS[:]
        self.render_mode, self.max_cycles = render_mode, max_cycles
        self.seen = {a: Box(-1, 20, (3,), np.float32) for a in AGENTS}
        self.acts = {a: Discrete(4) for a in AGENTS}
        self.state_space = Box(-1, 20, (5,), np.float32)
        self.np_random, _ = seeding.np_random()

    def observation_space(self, agent):
        return self.seen[agent]

    def action_space(self, agent):
        return self.acts[agent]

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.np_random, _ = seeding.np_random(seed)
        self.agents = self.possible_agents[:]
        self.clock, self.luck, self.sum = 0, self.np_random.random(), 0
        self.caught = int(self.np_random.integers(2, 4))
        return {a: self.observe(a) for a in self.agents}, {a: self.info(a) for a in self.agents}

    def step(self, actions):
        if not self.agents:
            raise RuntimeError("step() after the end")
        played = [self.legal(a, action) for a, action in actions.items()]
        self.sum = sum(played)
        told = self.agents
        self.clock, self.luck = self.clock + 1, self.np_random.random()
        out, cut = self.out(told), set()
        if self.clock >= self.max_cycles:
            cut = set(told) - out
        self.agents = self.left(told, out | cut)
        return (
            {a: self.observe(a) for a in told},
            {a: self.reward(a) for a in told},
            {a: a in out for a in told},
            {a: a in cut for a in told},
            {a: self.info(a) for a in told},
        )

    def legal(self, agent, action):
        return int(action) if self.mask(agent)[int(action)] else (int(action) + 1) % 4

    def out(self, told):
        if self.clock >= 4 and self.luck < 0.2:
            return set(told)
        return {"scout_0"} & set(told) if self.clock == self.caught else set()

    def left(self, told, over):
        return [a for a in told if a not in over]

    def mask(self, agent):
        mask = np.ones(4, np.int8)
        if agent != "scout_0":
            mask[self.clock % 4] = 0
        return mask

    def info(self, agent):
        return {"action_mask": self.mask(agent)}

    def observe(self, agent):
        return np.array([self.clock, self.luck, AGENTS.index(agent)], np.float32)

    def reward(self, agent):
        return float(self.sum)

    def state(self):
        return np.array([self.clock, self.luck, self.caught, len(self.agents), 1], np.float32)

    def render(self):
        if self.render_mode == "ansi":
            return f"move {self.clock}"
        return np.zeros((4, 5, 3), np.uint8) if self.render_mode == "rgb_array" else None

    def close(self):
        pass


BROKEN = {}  # check name -> (function that makes the env, what else it cannot but trigger)


def breaks(name, *also):
    """Register a class, or a function that makes the env, as broken in what this check sees."""

    def register(make):
        BROKEN[name] = (make, set(also))
        return make

    return register


# -- agents and spaces ------------------------------------------------------------------------


@breaks("makes-env")
class NoPettingZoo(gymnasium.Env):
    pass


@breaks("possible-agents")
class Anonymous(Watch):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.possible_agents = []


@breaks("agents-known")
class Twice(Watch):
    def reset(self, seed=None, options=None):
        told = super().reset(seed)
        self.agents = [*self.agents, self.agents[0]]
        return told


@breaks("agents-in-order")
class Backwards(Watch):
    def reset(self, seed=None, options=None):
        told = super().reset(seed)
        self.agents = self.agents[::-1]
        return told


@breaks("action-spaces-own")
class OnTheClass(Watch):
    one = Discrete(4)

    def action_space(self, agent):
        return self.one


@breaks("spaces-same-object")
class NewSpaces(Watch):
    def observation_space(self, agent):
        return Box(-1, 9, (3,), np.float32)


@breaks("spaces-fixed", "observation-in-space")
class GrowingSpaces(Watch):
    def reset(self, seed=None, options=None):
        self.seen = {a: Box(-1, 9, (3 + (seed or 0) % 2,), np.float32) for a in AGENTS}
        return super().reset(seed)


@breaks("actions-discrete")
class Continuous(Watch):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.acts = {a: Box(0, 1, (1,), np.float32) for a in AGENTS}

    def info(self, agent):
        return {}

    def legal(self, agent, action):
        return int(action[0] > 0.5)


@breaks("actions-from-zero")
class FromTwo(Watch):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.acts = {a: Discrete(4, start=2) for a in AGENTS}

    def legal(self, agent, action):
        return super().legal(agent, action - 2)


@breaks("observations-flatten")
class Endless(Watch):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = {a: Sequence(Discrete(20)) for a in AGENTS}

    def observe(self, agent):
        return (self.clock, int(9 * self.luck))


class InObservation(Watch):
    """Not broken: the mask by the other custom."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        box, mask = Box(-1, 9, (3,), np.float32), Box(0, 1, (4,), np.int8)
        self.seen = {a: Dict({"observation": box, "action_mask": mask}) for a in AGENTS}

    def observe(self, agent):
        return {"observation": super().observe(agent), "action_mask": self.mask(agent)}

    def info(self, agent):
        return {}


@breaks("mask-space", "observation-in-space")
class WideMaskSpace(InObservation):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        box, mask = Box(-1, 9, (3,), np.float32), Box(0, 1, (7,), np.int8)
        self.seen = {a: Dict({"observation": box, "action_mask": mask}) for a in AGENTS}


@breaks("metadata")
class Nameless(Watch):
    metadata = {"render_modes": ["ansi"], "is_parallelizable": True}  # noqa: RUF012


@breaks("parallelizable")
class Unparallel(Watch):
    metadata = {"name": "watch_v0", "render_modes": ["ansi"]}  # noqa: RUF012


# -- dicts ------------------------------------------------------------------------------------


@breaks("plays")
class Crashes(Watch):
    def step(self, actions):
        if self.clock == 2:
            raise KeyError("guard_7")
        return super().step(actions)


@breaks("returns-dicts")
class OldReset(Watch):
    def reset(self, seed=None, options=None):
        return super().reset(seed)[0]


@breaks("reset-arguments")
class NoOptions(Watch):
    def reset(self, seed=None):
        return super().reset(seed)


@breaks("keys-match")
class CommonInfo(Watch):
    def step(self, actions):
        told = super().step(actions)
        told[4]["__common__"] = {"score": 1}
        return told


@breaks("last-step")
class NoLastReward(Watch):
    def step(self, actions):
        told = super().step(actions)
        return (told[0], {a: r for a, r in told[1].items() if a in self.agents}, *told[2:])


@breaks("ends-flagged")
class Silent(Watch):
    def step(self, actions):
        told = super().step(actions)
        if "scout_0" in told[2]:
            told[2]["scout_0"] = False
            if "scout_0" not in self.agents:
                told[3]["scout_0"] = False
        return told


@breaks("ended-leave")
class Ghost(Watch):
    def left(self, told, over):
        return told if over == {"scout_0"} else super().left(told, over)

    def out(self, told):
        return super().out(told) | ({"scout_0"} if self.clock >= self.caught else set())


@breaks("no-revival")
class Lazarus(Watch):
    def step(self, actions):
        told = super().step({a: x for a, x in actions.items() if a in self.agents})
        if self.clock == self.caught + 1 and self.agents:
            self.agents = [*self.agents, "scout_0"]
            for values, value in zip(
                told, (self.observe("scout_0"), self.reward("scout_0"), False, False), strict=False
            ):
                values["scout_0"] = value
            told[4]["scout_0"] = self.info("scout_0")
        return told


@breaks("rewards-numbers")
class ArrayReward(Watch):
    def reward(self, agent):
        return np.array([super().reward(agent)])


@breaks("flags-bool")
class NumberFlags(Watch):
    def step(self, actions):
        told = super().step(actions)
        return (*told[:2], {a: int(f) for a, f in told[2].items()}, *told[3:])


@breaks("infos-dicts", "mask-always")
class NoneInfo(Watch):
    def step(self, actions):
        told = super().step(actions)
        return (*told[:4], dict.fromkeys(told[4], None))


@breaks("one-flag")
class BothFlags(Watch):
    def step(self, actions):
        told = super().step(actions)
        return (*told[:3], {a: f or told[2][a] for a, f in told[3].items()}, told[4])


@breaks("actions-untouched")
class Eats(Watch):
    def step(self, actions):
        told = super().step(dict(actions))
        actions.clear()
        return told


@breaks("reward-shared")
class Own(Watch):
    def reward(self, agent):
        return super().reward(agent) + AGENTS.index(agent)


# -- observations -----------------------------------------------------------------------------


@breaks("observation-in-space")
class TooFar(Watch):
    def observe(self, agent):
        return super().observe(agent) + np.float32(20)


@breaks("observation-dtype")
class Double(Watch):
    def observe(self, agent):
        return super().observe(agent).astype(np.float64)


@breaks("observation-finite")
class NaN(Watch):
    def observe(self, agent):
        seen = super().observe(agent)
        seen[1] = np.nan if self.clock == 2 else seen[1]
        return seen


@breaks("observations-tell")
class Blank(Watch):
    def __init__(self, max_cycles=12, render_mode=None):
        super().__init__(max_cycles, render_mode)

    def out(self, told):
        return set()

    def observe(self, agent):
        return np.ones(3, np.float32)


@breaks("observations-kept")
class OneArray(Watch):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.arrays = {a: np.zeros(3, np.float32) for a in AGENTS}

    def observe(self, agent):
        self.arrays[agent][:] = super().observe(agent)
        return self.arrays[agent]


@breaks("infos-kept")
class OneInfo(Watch):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.infos = {a: {} for a in AGENTS}

    def info(self, agent):
        self.infos[agent].update(super().info(agent))
        return self.infos[agent]


# -- masks ------------------------------------------------------------------------------------


@breaks("mask-shape")
class ListMask(Watch):
    def info(self, agent):
        return {"action_mask": self.mask(agent).tolist()}


@breaks("mask-dtype")
class BoolMask(Watch):
    def info(self, agent):
        return {"action_mask": self.mask(agent).astype(bool)}


@breaks("mask-values")
class Twos(Watch):
    def info(self, agent):
        return {"action_mask": 2 * self.mask(agent)}


@breaks("mask-not-empty")
class NoChoice(Watch):
    def info(self, agent):
        return {"action_mask": self.mask(agent) * np.int8(self.clock != 1 or agent != "guard_0")}


@breaks("mask-one-custom")
class TwoMasks(InObservation):
    def info(self, agent):
        return {"action_mask": np.ones(4, np.int8)}


@breaks("mask-always")
class NoFirstMask(Watch):
    def info(self, agent):
        return super().info(agent) if self.clock else {}


@breaks("mask-forbids")
class AllOffered(Watch):
    def mask(self, agent):
        return np.ones(4, np.int8)


@breaks("mask-honest", "plays")
class Lies(Watch):
    def legal(self, agent, action):
        if agent == "guard_1" and self.clock == 0 and action == 3:
            raise ValueError("guard_1 cannot do 3")
        return super().legal(agent, action)


@breaks("mask-tolerant")
class Strict(Watch):
    def legal(self, agent, action):
        if not self.mask(agent)[action]:
            raise ValueError(f"{agent} played {action}, which is masked out")
        return super().legal(agent, action)


@breaks("mask-enforced")
class Unguarded(Watch):
    def legal(self, agent, action):
        return int(action) + 10 * (not self.mask(agent)[action])


# -- state ------------------------------------------------------------------------------------


@breaks("state-there")
class Stateless(Watch):
    state = ParallelEnv.state

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        del self.state_space


@breaks("state-space")
class NoStateSpace(Watch):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        del self.state_space


@breaks("state-works")
class StateRaises(Watch):
    def state(self):
        if self.clock == 1:
            raise IndexError("no such guard")
        return super().state()


@breaks("state-after-end")
class StateGone(Watch):
    def state(self):
        if not self.agents:
            raise RuntimeError("the episode is over")
        return super().state()


@breaks("state-in-space")
class StateTooFar(Watch):
    def state(self):
        return super().state() + np.float32(20)


@breaks("state-dtype")
class DoubleState(Watch):
    def state(self):
        return super().state().astype(np.float64)


@breaks("state-shape", "state-space")
class GrowingState(NoStateSpace):
    def state(self):
        return np.ones(5 + self.clock, np.float32)


@breaks("state-finite")
class NaNState(Watch):
    def state(self):
        return super().state() * np.float32(np.nan)


@breaks("state-stable")
class Flickers(Watch):
    looks = 0

    def reset(self, seed=None, options=None):
        self.looks = 0
        return super().reset(seed)

    def state(self):
        self.looks += 1
        return super().state() + np.float32(self.looks % 2)


@breaks("state-kept")
class OneState(Watch):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.array = np.zeros(5, np.float32)

    def state(self):
        self.array[:] = super().state()
        return self.array


# -- ends -------------------------------------------------------------------------------------


class Forever(Watch):
    def out(self, told):
        return set()


@breaks("episode-ends", "max-cycles")
class NoEnd(Forever):
    def __init__(self, max_cycles=6, render_mode=None):
        super().__init__(10**9, render_mode)

    def observe(self, agent):
        return super().observe(agent) * np.float32([0, 1, 1])

    def state(self):
        return np.array([0, self.luck, self.caught, len(self.agents), 1], np.float32)


@breaks("episodes-seen")
class Slow(Forever):
    def __init__(self, max_cycles=15, render_mode=None):
        super().__init__(max_cycles, render_mode)

    def step(self, actions):
        time.sleep(0.02)
        return super().step(actions)


@breaks("limit-truncates")
class LimitTerminates(Forever):
    def out(self, told):
        return set(told) if self.clock == self.max_cycles else set()


@breaks("max-cycles")
class OwnLimit(Forever):
    def __init__(self, max_cycles=6, render_mode=None):
        super().__init__(6, render_mode)


@breaks("after-end")
class GoesOn(Watch):
    def step(self, actions):
        if not self.agents:
            return tuple(
                {a: x for a in AGENTS} for x in (self.observe(AGENTS[0]), 0, True, True, {})
            )
        return super().step(actions)


@breaks("closes")
class CannotClose(Watch):
    def close(self):
        self.window.close()


# -- seeding ----------------------------------------------------------------------------------


@breaks("seed-repeats")
class Unseeded(Watch):
    """From move 2 on: PettingZoo's parallel_seed_test sees one step."""

    def step(self, actions):
        if self.clock == 2:
            self.np_random = np.random.default_rng()
        return super().step(actions)


@breaks("seed-matters")
class OneSeed(Watch):
    def reset(self, seed=None, options=None):
        return super().reset(None if seed is None else 7)


@breaks("has-randomness")
class Clockwork(Watch):
    def reset(self, seed=None, options=None):
        return super().reset(7)


@breaks("reset-clears")
class LeftOver(Watch):
    rounds = 0

    def reset(self, seed=None, options=None):
        self.rounds += 1
        return super().reset(seed)

    def reward(self, agent):
        return super().reward(agent) + 0.5 * (self.rounds - 1)


@breaks("reset-goes-on")
class StartsOver(Watch):
    last = None

    def reset(self, seed=None, options=None):
        self.last = self.last if seed is None else seed
        return super().reset(self.last)


@breaks("global-dice-unused", "instances-apart")  # which share them
class GlobalDice(Watch):
    def step(self, actions):
        told = super().step(actions)
        extra = np.random.random()
        return (told[0], {a: r + extra for a, r in told[1].items()}, *told[2:])


@breaks("global-dice-untouched")
class GlobalSeed(Watch):
    def reset(self, seed=None, options=None):
        if seed is not None:
            np.random.seed(seed)
        return super().reset(seed)


# -- instances and pictures -------------------------------------------------------------------


@breaks("instances-apart")
class Shared(Watch):
    board = np.zeros(1, np.int64)

    def reset(self, seed=None, options=None):
        self.board[0] = 0
        return super().reset(seed)

    def step(self, actions):
        self.board += 1
        return super().step(actions)

    def reward(self, agent):
        return super().reward(agent) + float(self.board[0])


def with_lock(lock):
    def make():
        with lock:
            return Watch()

    return make


BROKEN["factory-pickles"] = (with_lock(threading.Lock()), set())


@breaks("render-mode")
class ForgetsMode(Watch):
    def __init__(self, max_cycles=6, render_mode=None):
        super().__init__(max_cycles, render_mode)
        self.mode, self.render_mode = render_mode, None

    def render(self):
        return "picture" if self.mode == "ansi" else np.zeros((4, 5, 3), np.uint8)


@breaks("render")
class FloatPicture(Watch):
    def render(self):
        picture = super().render()
        return picture / 255 if isinstance(picture, np.ndarray) else picture


# -- PettingZoo's own -------------------------------------------------------------------------

BROKEN["pettingzoo-parallel-api-test"] = (Lazarus, {"no-revival"})
BROKEN["pettingzoo-api-test"] = (Double, {"observation-dtype"})
BROKEN["pettingzoo-seed-test"] = (Unseeded, {"seed-repeats"})
BROKEN["pettingzoo-state-test"] = (StateTooFar, {"state-in-space"})


@breaks("pettingzoo-parallel-seed-test", "seed-repeats")
class NeverSeeded(Watch):
    def reset(self, seed=None, options=None):
        return super().reset(None)


@breaks("pettingzoo-warnings")
class Pointless(Watch):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        high = np.array([9, 9, 9, 0], np.float32)
        low = np.array([-1, -1, -1, 0], np.float32)
        self.seen = {a: Box(low, high) for a in AGENTS}

    def observe(self, agent):
        return np.append(super().observe(agent), np.float32(0))
