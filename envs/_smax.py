"""E battles of JaxMARL's SMAX side by side on JAX: NumPy in, NumPy out.

JaxMARL's `step` begins the next episode within the move that ends one, and what was seen last is
lost; here `step_env` is called, and who asks for a new episode gets one.  An episode's chance
follows from its seed s alone: K = PRNGKey(s), and the reset and each move take the second part of
split(K) and leave the first for later.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ._scene import Scene, Unit

NORTH, EAST, SOUTH, WEST, STOP = range(5)  # JaxMARL's actions; 5 + k attacks enemy k
MOVES = ("move north", "move east", "move south", "move west", "stop")


class Seen(NamedTuple):
    """What there is to see of E battles, N allies."""

    obs: np.ndarray  # [E, N, O] float32, zeros of the dead
    state: np.ndarray  # [E, S] float32, JaxMARL's world_state
    available: np.ndarray  # [E, N, A] bool
    allies: np.ndarray  # [E, N] bool, alive
    enemies: np.ndarray  # [E, M] bool, alive

    @property
    def lost(self) -> np.ndarray:
        """[E] bool: no ally is left."""
        return np.logical_not(self.allies.any(1))

    @property
    def won(self) -> np.ndarray:
        """[E] bool: no enemy is left, and an ally is."""
        return np.logical_not(self.enemies.any(1) | self.lost)

    @property
    def over(self) -> np.ndarray:
        """[E] bool: a side is dead."""
        return np.logical_not(self.allies.any(1) & self.enemies.any(1))


class Battles:
    """E battles of one map; each row has its own chance, whoever is beside it."""

    def __init__(self, map_name: str, n_envs: int, **settings: Any) -> None:
        self.engine = engine(map_name, tuple(sorted(settings.items())))
        self.n_envs = n_envs

    def begin(self, seeds: np.ndarray) -> Seen:
        """A new episode of every row; seeds [E] below 2^31."""
        self._carry, self.seen = self.engine.first(np.asarray(seeds, np.uint32))
        self.seen = _arrays(self.seen)
        return self.seen

    def begin_some(self, rows: np.ndarray, seeds: np.ndarray) -> Seen:
        """A new episode of these rows [E] bool, the others as they are; seeds [E]."""
        carry, seen = self.engine.first(np.asarray(seeds, np.uint32))
        self._carry = self.engine.swap(rows, carry, self._carry)
        self.seen = Seen(
            *(_where(rows, *pair) for pair in zip(_arrays(seen), self.seen, strict=True))
        )
        return self.seen

    def play(self, actions: np.ndarray) -> tuple[Seen, np.ndarray]:
        """One move of every row, actions [E, N] available ones: (what is seen, rewards [E])."""
        self._carry, seen, reward = self.engine.move(self._carry, np.asarray(actions, np.int32))
        self.seen = _arrays(seen)
        return self.seen, np.array(reward)

    def legal(self, actions: np.ndarray) -> np.ndarray:
        """The actions [E, N] with stop in the place of what is masked out."""
        has = np.take_along_axis(self.seen.available, actions[..., None], 2)[..., 0]
        return np.where(has, actions, STOP)

    def scene(self, row: int, **told: Any) -> Scene:
        """One of the battles; told: what `Scene` has beside the map and the units."""
        return self.engine.scene(self._carry[0].state, row, **told)


class Engine:
    """One map's rules, compiled for each number of battles."""

    def __init__(self, map_name: str, settings: dict[str, Any]) -> None:
        jax, smax, scenario = _jaxmarl(map_name)
        self.map_name = map_name
        self.smax = smax = smax(scenario=scenario, **settings)
        self.names = tuple(smax.agents)
        self.n, self.n_enemies = smax.num_allies, smax.num_enemies
        self.n_actions = smax.num_ally_actions
        self.obs_dim, self.state_dim = smax.obs_size, smax.state_size

        def seen(obs: dict[str, Any], state: Any) -> Seen:
            masks = smax.get_avail_actions(state)
            alive = state.state.unit_alive
            return Seen(
                jax.numpy.stack([obs[name] for name in self.names]),
                obs["world_state"],
                jax.numpy.stack([masks[name] for name in self.names]) > 0,
                alive[: self.n],
                alive[self.n :],
            )

        def strong(carry: Any) -> Any:
            # reset() gives arrays of weak types, and every function would be compiled twice
            return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), carry)

        def first(seed: Any) -> Any:
            key, own = jax.random.split(jax.random.PRNGKey(seed))
            obs, state = smax.reset(own)
            return strong((state, key)), seen(obs, state)

        def move(carry: Any, actions: Any) -> Any:
            state, key = carry
            key, own = jax.random.split(key)
            acts = {name: actions[i] for i, name in enumerate(self.names)}
            obs, state, rewards, _, _ = smax.step_env(own, state, acts)
            return strong((state, key)), seen(obs, state), rewards[self.names[0]]

        def swap(row: Any, new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jax.numpy.where(row, a, b), new, old)

        self.first = jax.jit(jax.vmap(first))
        self.move = jax.jit(jax.vmap(move))
        self.swap = jax.jit(jax.vmap(swap))

    def scene(self, states: Any, row: int, **told: Any) -> Scene:
        """One row of SMAX's states as a scene."""
        smax, n = self.smax, self.n
        place, health = np.array(states.unit_positions[row]), np.array(states.unit_health[row])
        kinds = np.array(states.unit_types[row], int)
        steps = np.array(states.prev_movement_actions[row])
        attacks = np.array(states.prev_attack_actions[row])
        radius, most = np.array(smax.unit_type_radiuses), np.array(smax.unit_type_health)
        units = []
        for i, kind in enumerate(kinds.tolist()):
            side, target = int(i >= n), None
            doing = _doing(steps[i])
            if attacks[i] > STOP:  # enemies number the allies from the last
                k = int(attacks[i]) - STOP - 1
                target = n - 1 - k if side else n + k
                doing = f"attack {target - (0 if side else n)}"
            units.append(
                Unit(
                    side=side,
                    kind=smax.unit_type_names[kind],
                    x=float(place[i, 0]),
                    y=float(place[i, 1]),
                    radius=float(radius[kind]),
                    health=float(health[i]),
                    health_max=float(most[kind]),
                    label=str(i - n if side else i),
                    doing=doing if told["move"] and health[i] > 0 else "",
                    target=target,
                )
            )
        size = float(smax.map_width), float(smax.map_height)
        return Scene(*size, tuple(units), title=f"SMAX {self.map_name}", **told)


@cache
def engine(map_name: str, settings: tuple[tuple[str, Any], ...]) -> Engine:
    """The map's rules; compiled ones are kept, since that takes seconds."""
    return Engine(map_name, dict(settings))


def _doing(step: np.ndarray) -> str:
    """A direction in words."""
    if not step.any():
        return MOVES[STOP]
    ways = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # north, east, south, west
    return MOVES[int((ways @ step).argmax())]


def _arrays(seen: Seen) -> Seen:
    return Seen(*map(np.array, seen))


def _where(rows: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.where(rows.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _jaxmarl(map_name: str) -> tuple[Any, Any, Any]:
    """(jax, HeuristicEnemySMAX, the scenario), or an error that says what to do."""
    try:
        with _undisturbed():
            import jax
            from jaxmarl.environments.smax import HeuristicEnemySMAX
            from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO
    except ImportError as error:
        raise ImportError(
            f"smax_v0 needs JaxMARL, pip install 'vdtoolkit[smax]' (Python 3.11 on, 1 GB): {error}"
        ) from None
    if map_name not in MAP_NAME_TO_SCENARIO:
        raise ValueError(f"map_name={map_name!r}: SMAX has {', '.join(MAP_NAME_TO_SCENARIO)}")
    return jax, HeuristicEnemySMAX, MAP_NAME_TO_SCENARIO[map_name]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """JaxMARL 0.2.0 prints while it is imported, and leaves sys.stdout and stderr others."""
    names = ("stdout", "stderr", "__stdout__", "__stderr__")
    kept = {name: getattr(sys, name) for name in names}
    nowhere = io.StringIO()
    now = {"stdout": nowhere, "__stdout__": nowhere, "__stderr__": sys.stderr}
    try:
        for name, stream in now.items():
            setattr(sys, name, stream)
        yield
    finally:
        for name, stream in kept.items():
            setattr(sys, name, stream)
