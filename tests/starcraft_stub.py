"""A stand-in for `smac.env` and `smacv2.env`: oxwhirl's contract and its faults, without StarCraft.

What it plays is a toy; how it launches, restarts, counts, scales and breaks is oxwhirl's, with the
mistakes that a wrapper has to be ready for.  It reads the switches of the stand-in for the game
(FAKE_SC2_FAULT and so on), so that the same tests run on oxwhirl's own code over that one.  The
"process" is a `sleep`, so that what is left running can be seen.
"""

import itertools
import math
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np


class ConnectionError(Exception):
    pass


class ProtocolError(Exception):
    pass


class DecodeError(Exception):  # protobuf's; oxwhirl does not catch it
    pass


class CannotResetException(Exception):  # noqa: N818 (oxwhirl's name)
    pass


MAPS = {
    "3m": {"n_agents": 3, "n_enemies": 3, "limit": 60, "hp": 45, "shield": 0},
    "2m_vs_1z": {"n_agents": 2, "n_enemies": 1, "limit": 150, "hp": 45, "shield": 0},
    "3s_vs_3z": {"n_agents": 3, "n_enemies": 3, "limit": 150, "hp": 80, "shield": 50},
}
GENERATED = {
    f"10gen_{race}": {**MAPS["3m"], "limit": 200, "map_name": "32x32_flat"}
    for race in ("terran", "protoss", "zerg")
}
MARINE, RL_MARINE = 48, 1970


class Process:
    """pysc2's: what `_sc2_proc` is."""

    def __init__(self):
        self._proc = subprocess.Popen(["sleep", "600"])
        self._controller = self._port = None
        self.pid = self._proc.pid
        folder = Path(os.environ["FAKE_SC2_STATE"])
        folder.mkdir(parents=True, exist_ok=True)
        self.number = 1 + len(list(folder.glob("launch-*")))
        (folder / f"launch-{self.number:05d}").write_text(f"{self.pid} 0\n")

    def close(self):
        if self._proc is not None:
            with suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)  # a fork's word to quit reaches the game as well
            self._proc.wait()

    def __del__(self):
        self.close()


class Unit:
    """One unit, in the protocol's words."""

    radius = 0.375

    def __init__(self, tag, ally, x, y, health, shield):
        self.tag, self.x, self.y, self.orders = tag, x, y, []
        self.owner, self.unit_type = (1, RL_MARINE) if ally else (2, MARINE)
        self.health = self.health_max = health
        self.shield = self.shield_max = shield

    @property
    def pos(self):
        return self

    def copy(self):
        made = Unit.__new__(Unit)
        made.__dict__.update(self.__dict__)
        return made


class Server:
    """The game behind the wire: units, requests, faults on demand."""

    def __init__(self, process, numbers, seed, v2):
        self.process, self.numbers, self.v2 = process, numbers, v2
        self.rng = np.random.default_rng(seed)
        only = os.environ.get("FAKE_SC2_FAULT_LAUNCHES", "")
        faulty = not only or str(process.number) in only.split(",")
        texts = os.environ.get("FAKE_SC2_FAULT", "").split(",")
        self.faults = [text for text in texts if text and faulty]
        self.counts, self.battles, self.loop, self.few = {}, 0, 0, 0
        self.dead, self.units, self.broken = [], [], None
        self.tags = itertools.count(1)
        self.ask("launch")

    def ask(self, what):
        """Count a request and do what the faults say."""
        for name in ("req", what) if what != "launch" else ("launch",):
            self.counts[name] = self.counts.get(name, 0) + 1
            self._fail(name, self.counts[name])
        if self.process._proc.poll() is not None:  # killed from outside
            self.broken = ConnectionError("SC2 probably crashed.")
        if self.broken:
            raise self.broken

    def _fail(self, what, nth):
        for text in list(self.faults):
            kind, _, rest = text.partition("@")
            when, _, arg = rest.partition(":")
            name, _, number = when.partition("=")
            if (name, int(number or 1)) != (what, nth):
                continue
            self.faults.remove(text)
            if what == "launch" and kind not in ("crash", "hang"):
                continue
            if kind == "few":
                self.few = int(arg or 3)
            elif kind == "error":
                raise ProtocolError("Error in RPC response")
            elif kind == "empty":
                raise ProtocolError("Got an empty response from SC2.")
            elif kind == "garbage":
                raise DecodeError("Error parsing message")
            elif kind == "ended":
                self.broken = ProtocolError("called while in state: Status.ended")
            elif kind != "slow":
                if kind == "crash":
                    self.process._proc.kill()
                self.broken = ConnectionError("SC2 probably crashed.")

    def spawn(self, places=None):
        """A new battle, as the map's trigger starts it."""
        self.battles += 1
        if self.battles > 1:
            self._fail("battle", self.battles)
        n, m = self.numbers["n_agents"], self.numbers["n_enemies"]
        hp = self.numbers["hp"] * float(os.environ.get("FAKE_SC2_ENEMY_HP") or 1)
        jitter = float(os.environ.get("FAKE_SC2_JITTER") or 0)
        self.units = []
        for k in range(n + m):
            ally = k < n
            x, y = (12.0, 14.0 + k) if ally else (20.0, 14.0 + k - n)
            if places is not None:
                x, y = places[k]
            noise = self.rng.uniform(-jitter, jitter, 2)
            health = float(self.numbers["hp"] if ally else hp)
            shield = 0.0 if ally else float(self.numbers["shield"])
            self.units.append(
                Unit(next(self.tags), ally, x + noise[0], y + noise[1], health, shield)
            )

    def play(self, loops):
        self.loop += loops
        if self.loop >= int(os.environ.get("FAKE_SC2_MAX_LOOP") or 1 << 19):
            self.broken = ProtocolError("called while in state: Status.ended")
        for unit in list(self.units):
            unit.shield = min(unit.shield_max, unit.shield + 0.1 * loops)
            if unit.owner == 1 and unit.orders:
                self._obey(unit, unit.orders[0], loops)
            elif unit.owner == 2 and os.environ.get("FAKE_SC2_ENEMY") != "passive":
                self._attack(unit, loops)
        for unit in [unit for unit in self.units if unit.health <= 0]:
            self.units.remove(unit)
            self.dead.append(unit.tag)

    def _obey(self, unit, order, loops):
        if order.ability_id == 16:
            goal = order.target_world_space_pos
            unit.x += 0.07 * loops * (goal.x - unit.x)
            unit.y += 0.07 * loops * (goal.y - unit.y)
        target = next((u for u in self.units if u.tag == order.target_unit_tag), None)
        if target is not None:
            self._hit(target, 0.5 * loops)

    def _attack(self, unit, loops):
        others = [u for u in self.units if u.owner == 1]
        if not others:
            return
        near = min(others, key=lambda u: math.dist((u.x, u.y), (unit.x, unit.y)))
        dx, dy = near.x - unit.x, near.y - unit.y
        if math.hypot(dx, dy) > 5:
            unit.x += 0.1 * loops * dx / math.hypot(dx, dy)
            unit.y += 0.1 * loops * dy / math.hypot(dx, dy)
        elif self.rng.random() < 0.7:
            self._hit(near, 0.5 * loops)

    def _hit(self, unit, damage):
        absorbed = min(unit.shield, damage)
        unit.shield -= absorbed
        unit.health = max(0.0, unit.health - (damage - absorbed))


class Controller:
    """pysc2's: the requests that oxwhirl's env makes."""

    def __init__(self, server):
        self.server = server

    def ping(self):
        return SimpleNamespace(game_version="4.10.0", base_build=75689)

    def observe(self):
        self.server.ask("obs")
        units = [unit.copy() for unit in self.server.units]
        if self.server.few > 0:
            self.server.few -= 1
            units = units[::2]
        event = SimpleNamespace(dead_units=self.server.dead)
        self.server.dead = []
        data = SimpleNamespace(units=units, event=event)
        return SimpleNamespace(observation=SimpleNamespace(raw_data=data))

    def actions(self, orders):
        self.server.ask("action")
        for tag, order in orders:
            for unit in self.server.units:
                if unit.tag == tag:
                    unit.orders = [order] if order else []

    def step(self, count=1):
        self.server.ask("step")
        self.server.play(count)
        if not self.server.units and not self.server.v2:
            self.server.spawn()

    def kill_all(self):
        self.server.ask("debug")
        self.server.units = []


class StarCraft2Env:
    """oxwhirl's, mistakes included: a relaunch in `step` looks like a loss, and so on."""

    v2 = False

    def __init__(
        self,
        map_name="8m",
        step_mul=8,
        difficulty="7",
        game_version=None,
        seed=None,
        continuing_episode=False,
        obs_instead_of_state=False,
        obs_timestep_number=False,
        reward_sparse=False,
        reward_only_positive=True,
        reward_negative_scale=0.5,
        reward_scale=True,
        prob_obs_enemy=1.0,
        **_,
    ):
        numbers = dict({**MAPS, **GENERATED}[map_name])
        self.map_name, self._step_mul, self._seed = map_name, step_mul, seed
        self.continuing_episode, self.obs_instead_of_state = (
            continuing_episode,
            obs_instead_of_state,
        )
        self.obs_timestep_number = obs_timestep_number
        self.reward_sparse, self.reward_only_positive = reward_sparse, reward_only_positive
        self.reward_negative_scale, self.reward_scale = reward_negative_scale, reward_scale
        config = _.get("capability_config", {})
        numbers |= {k: config[name] for k, name in CAPABLE.items() if name in config}
        self.numbers = numbers
        self.n_agents, self.n_enemies = numbers["n_agents"], numbers["n_enemies"]
        self.episode_limit, self.shielded = numbers["limit"], int(numbers["shield"] > 0)
        self.n_actions, self.max_reward = 6 + self.n_enemies, 10 * self.n_enemies + 200
        self.marine_id, self.map_x, self.map_y = RL_MARINE, 32, 32
        self._episode_count = self._episode_steps = self.force_restarts = 0
        self._sc2_proc = self._controller = self._obs = self.renderer = None
        self.agents, self.enemies = {}, {}

    def get_env_info(self):
        own = self.get_obs_size()
        state = 4 * self.n_agents + (3 + self.shielded) * self.n_enemies
        state += self.n_agents * self.n_actions
        return {
            "n_agents": self.n_agents,
            "n_actions": self.n_actions,
            "obs_shape": own,
            "state_shape": own * self.n_agents if self.obs_instead_of_state else state,
            "episode_limit": self.episode_limit,
        }

    def get_obs_size(self):
        size = 4 + (5 + self.shielded) * self.n_enemies + 5 * (self.n_agents - 1) + 1
        return size + self.obs_timestep_number  # and appended once more: v1 counts too few

    def _launch(self):
        refused()
        self._sc2_proc = Process()
        server = Server(self._sc2_proc, self.numbers, self._seed, self.v2)
        self._controller = Controller(server)
        for what in ("create", "join", "game_info"):
            server.ask(what)
        server.spawn()

    def reset(self):
        self._episode_steps = 0
        if self._episode_count == 0:
            self._launch()
        else:
            self._restart()
        self._begin()
        return self.get_obs(), self.get_state()

    def _begin(self):
        self.death = set()
        self.last_action = np.zeros((self.n_agents, self.n_actions))
        try:
            self._obs = self._controller.observe()
            self.init_units()
        except (ProtocolError, ConnectionError):
            self.full_restart()

    def _restart(self):
        try:
            self._controller.kill_all()
            self._controller.step(2)
        except (ProtocolError, ConnectionError):
            self.full_restart()

    def full_restart(self):
        self._sc2_proc.close()
        self._launch()
        self.force_restarts += 1

    def init_units(self):
        while True:
            units = self._obs.observation.raw_data.units
            allies = sorted(
                (u for u in units if u.owner == 1), key=lambda u: (u.unit_type, u.x, u.y)
            )
            self.agents, self.enemies = dict(enumerate(allies)), {}
            for unit in units:
                if unit.owner == 2:
                    self.enemies[len(self.enemies)] = unit
                    if self._episode_count == 0:
                        self.max_reward += unit.health_max + unit.shield_max
            if (len(self.agents), len(self.enemies)) == (self.n_agents, self.n_enemies):
                return
            self._controller.step(1)
            self._obs = self._controller.observe()

    def step(self, actions):
        orders = [self._order(i, int(action)) for i, action in enumerate(actions)]
        self.last_action = np.eye(self.n_actions)[np.array(actions)]
        try:
            self._controller.actions(orders)
            self._controller.step(self._step_mul)
            self._obs = self._controller.observe()
        except (ProtocolError, ConnectionError):
            self.full_restart()
            return 0, True, {}
        self._episode_steps += 1
        code = self._update()
        reward = self.reward_battle()
        dead = [sum(u.health == 0 for u in s.values()) for s in (self.agents, self.enemies)]
        info = {"battle_won": False, "dead_allies": dead[0], "dead_enemies": dead[1]}
        over = code is not None
        if code == 1:
            info["battle_won"] = True
            reward = 1 if self.reward_sparse else reward + 200
        elif code == -1:
            reward = -1 if self.reward_sparse else reward
        elif code is None and self._episode_steps >= self.episode_limit:
            over = True
            if self.continuing_episode:
                info["episode_limit"] = True
        self._episode_count += over
        return reward / (self.max_reward / 20) if self.reward_scale else reward, over, info

    def _order(self, i, action):
        unit = self.agents[i]
        assert self.get_avail_agent_actions(i)[action] == 1, f"Agent {i} cannot perform {action}"
        if action < 2:
            return unit.tag, None
        goal = SimpleNamespace(x=unit.x, y=unit.y)
        if action < 6:
            dx, dy = ((0, 2), (0, -2), (2, 0), (-2, 0))[action - 2]
            goal = SimpleNamespace(x=unit.x + dx, y=unit.y + dy)
        target = 0 if action < 6 else self.enemies[action - 6].tag
        order = SimpleNamespace(
            ability_id=16 if action < 6 else 23,
            target_unit_tag=target,
            target_world_space_pos=goal,
        )
        return unit.tag, order

    def _update(self):
        self.before = {i: unit.copy() for i, unit in self.enemies.items()}
        shown = {unit.tag: unit for unit in self._obs.observation.raw_data.units}
        for units in (self.agents, self.enemies):
            for i, unit in units.items():
                if unit.tag in shown:
                    units[i] = shown[unit.tag]
                else:
                    unit.health = 0
        left = [any(u.tag in shown for u in s.values()) for s in (self.agents, self.enemies)]
        return {(True, True): None, (False, True): -1, (True, False): 1}.get(tuple(left), 0)

    def reward_battle(self):
        if self.reward_sparse:
            return 0
        total = 0.0
        for i, unit in self.enemies.items():
            if i in self.death:
                continue
            before = self.before[i].health + self.before[i].shield
            if unit.health == 0:
                self.death.add(i)
                total += 10 + before
            else:
                total += before - unit.health - unit.shield
        return abs(total) if self.reward_only_positive else total

    def get_avail_agent_actions(self, i):
        unit = self.agents[i]
        if unit.health == 0:
            return [1] + [0] * (self.n_actions - 1)
        near = [
            int(e.health > 0 and math.dist((e.x, e.y), (unit.x, unit.y)) <= 6)
            for e in self.enemies.values()
        ]
        return [0, 1, 1, 1, 1, 1, *near]

    def get_avail_actions(self):
        return [self.get_avail_agent_actions(i) for i in range(self.n_agents)]

    def get_obs_agent(self, i):
        unit, seen = self.agents[i], []
        if unit.health == 0:
            seen = np.zeros(self.get_obs_size() - self.obs_timestep_number, np.float32)
        else:
            seen += self.get_avail_agent_actions(i)[2:6]
            for k, other in self.enemies.items():
                attackable = self.get_avail_agent_actions(i)[6 + k]
                seen += self._relative(unit, other, attackable, self.shielded)
            for j, other in self.agents.items():
                seen += self._relative(unit, other, 1, 0) if j != i else []
            seen = np.array([*seen, unit.health / unit.health_max], np.float32)
        if self.obs_timestep_number:
            seen = np.append(seen, [0.0] * (not self.v2) + [self._episode_steps / 60])
        return seen

    def _relative(self, unit, other, flag, shielded):
        dx, dy = other.x - unit.x, other.y - unit.y
        far = math.hypot(dx, dy) >= 9 or other.health == 0
        if far:
            return [0.0] * (5 + shielded)
        health = [other.health / other.health_max, *[other.shield / 50] * shielded]
        return [flag, math.hypot(dx, dy) / 9, dx / 9, dy / 9, *health]

    def get_obs(self):
        return [self.get_obs_agent(i) for i in range(self.n_agents)]

    def get_state(self):
        if self.obs_instead_of_state:
            return np.concatenate(self.get_obs()).astype(np.float32)
        told = []
        for unit in self.agents.values():
            told += [unit.health / unit.health_max, 0.0, unit.x / 32, unit.y / 32]
        for unit in self.enemies.values():
            told += [unit.health / unit.health_max, unit.x / 32, unit.y / 32]
            told += [unit.shield / 50] * self.shielded
        return np.concatenate([told, self.last_action.flatten()]).astype(np.float32)

    def close(self):
        if self._sc2_proc:
            self._sc2_proc.close()


CAPABLE = {"n_agents": "n_units", "n_enemies": "n_enemies"}


class Places:
    """A distribution of SMACv2's: generators that nothing seeds, the global one as well."""

    def __init__(self, config):
        self.n = config["n_units"], config["n_enemies"]
        self.rng = np.random.default_rng()

    def generate(self):
        x, y = self.rng.uniform(8, 13), 16 + random.random()
        own = [(x + random.random(), y + k) for k in range(self.n[0])]
        return {"places": own + [(32 - x, y + k) for k in range(self.n[1])]}


class StarCraft2EnvV2(StarCraft2Env):
    """SMACv2's: a battle is drawn outside and handed to reset."""

    v2 = True
    refusals = 0  # of so many resets the units cannot be placed

    def reset(self, config=None):
        self._episode_steps = 0
        if self._episode_count == 0:
            self._launch()
        else:
            self._restart()
        if StarCraft2EnvV2.refusals:
            StarCraft2EnvV2.refusals -= 1
            raise CannotResetException
        server = self._controller.server
        server.battles -= self._episode_count == 0
        server.spawn(config["places"])
        self._begin()
        return self.get_obs(), self.get_state()

    def get_obs_agent(self, i):
        seen = super().get_obs_agent(i)
        seen[-1] = np.random.rand()  # what is drawn from global generators, and from fresh ones
        seen[-1] += np.random.default_rng().random()
        return seen


class StarCraftCapabilityEnvWrapper:
    """SMACv2's wrapper."""

    def __init__(self, **kwargs):
        config = kwargs["capability_config"]
        for key in ("team_gen", "start_positions"):
            config.get(key, {})["env_key"] = key  # it writes into what it is given
        self.env_key_to_distribution_map = {"start_positions": Places(config)}
        self.env = StarCraft2EnvV2(**kwargs)

    def reset(self):
        try:
            drawn = {}
            for distribution in self.env_key_to_distribution_map.values():
                drawn |= distribution.generate()
            return self.env.reset(drawn)
        except CannotResetException:
            self.reset()

    def __getattr__(self, name):
        return getattr(self.env, name)

    def step(self, actions):
        return self.env.step(actions)


def refused():
    """What websocket-client leaves of an attempt that came too early: a cycle with its callers."""
    try:
        raise ConnectionRefusedError
    except ConnectionRefusedError as error:
        err = error
    assert err


def modules():
    """What to put into sys.modules."""
    found = {}
    for kind, cls, maps in (
        ("smac", StarCraft2Env, MAPS),
        ("smacv2", StarCraft2EnvV2, {**MAPS, **GENERATED}),
    ):
        for name in ("", ".env", ".env.starcraft2", ".env.starcraft2.maps"):
            found[kind + name] = ModuleType(kind + name)
            found[kind + name].__path__ = []
        found[f"{kind}.env"].StarCraft2Env = cls
        registry = found[f"{kind}.env.starcraft2.maps.smac_maps"] = ModuleType("smac_maps")
        registry.get_smac_map_registry = lambda maps=maps: maps
    found["smacv2.env"].StarCraftCapabilityEnvWrapper = StarCraftCapabilityEnvWrapper
    return found


def install(kind="smac"):
    """Be one of the two in this process."""
    sys.modules.update({name: m for name, m in modules().items() if name.split(".", 1)[0] == kind})


def installation(folder):
    """A folder that looks like the game's."""
    program = folder / "Versions" / "Base75689" / "SC2_x64"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    maps = folder / "Maps" / "SMAC_Maps"
    maps.mkdir(parents=True)
    for name in (*MAPS, "32x32_flat"):
        (maps / f"{name}.SC2Map").write_bytes(b"no map")
    return folder
