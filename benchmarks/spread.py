"""mpe2's `simple_spread_v3`, many at once in NumPy: the same numbers without the time.

What mpe2 does in one step of a world, for E worlds together: forces from the moves and from
contacts (a softened wall at the sum of two radii), then p += v dt, v = (1 - damping) v + F dt.
Everything that agents see and all distances that matter are differences of positions, so one
matrix product with entries -1, 0, 1 gives them all, exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from vdtoolkit.team import Team

DT, DAMPING = 0.1, 0.25
CONTACT_FORCE, CONTACT_MARGIN = 100.0, 1e-3
TOUCH = 0.3  # two radii of 0.15
PUSH = 5.0 * np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], float)  # [A, 2]
N_ACTIONS = len(PUSH)


class SpreadVectorEnv(VectorEnv):
    """E worlds of N agents and N landmarks; observations as `TeamEnv`'s, NEXT_STEP autoreset.

    The reward is the team's: the mean of mpe2's.  Env e seeded with s plays the very episodes of
    `simple_spread_v3` after `reset(seed=s)`, the later ones without a seed of their own.
    """

    def __init__(
        self,
        num_envs: int = 8,
        N: int = 3,
        local_ratio: float = 0.5,
        max_cycles: int = 25,
    ) -> None:
        self.num_envs, self.n_agents = num_envs, N
        self.local_ratio, self.max_cycles = local_ratio, max_cycles
        self.obs_dim = 6 * N
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space = spaces.Dict(
            {
                "obs": spaces.Box(-np.inf, np.inf, (N, self.obs_dim), np.float32),
                "state": spaces.Box(-np.inf, np.inf, (N * self.obs_dim,), np.float32),
                "available": spaces.MultiBinary((N, N_ACTIONS)),
                "alive": spaces.MultiBinary(N),
            }
        )
        self.single_action_space = spaces.MultiDiscrete(np.full(N, N_ACTIONS))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        p, size = N * (N - 1) // 2, 6 * N
        self._n_pairs, self._n_seen = p, N * self.obs_dim
        sight = np.concatenate([np.eye(size), _sight(N), _differences(N)], 1)
        self._still, self._flow = sight, _flow(N) @ sight
        # one row a world: velocity, position, landmarks [3, 2, N]; contacts [2, P]; moves [N, 2]
        self._world = np.zeros((num_envs, size + 2 * p + 2 * N))
        self._x = self._world[:, :size]
        self._contacts = self._world[:, size : size + 2 * p].reshape(num_envs, 2, p)
        self._pushes = self._world[:, size + 2 * p :].reshape(num_envs, N, 2)
        self._moves = 0  # all worlds begin and end together
        self._rngs = [np.random.default_rng() for _ in range(num_envs)]
        self._available = np.ones((num_envs, N, N_ACTIONS), np.int8)
        self._alive = np.ones((num_envs, N), np.int8)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """E new episodes; an integer seeds env e with seed + e, as Gymnasium does."""
        seeds = [seed + e for e in range(self.num_envs)] if isinstance(seed, int) else seed
        for e, own in enumerate(seeds or []):
            if own is not None:
                self._rngs[e] = np.random.default_rng(own)
        self._begin()
        return self._seen(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One move of each world; actions [E, N].  Worlds that were over begin anew."""
        nothing = np.zeros(self.num_envs, bool)
        if self._moves == self.max_cycles:
            self._begin()
            return self._seen(), np.zeros(self.num_envs), nothing, nothing.copy(), {}
        self._touch()
        self._pushes[:] = PUSH[actions]
        after = self._world @ self._flow
        self._x[:] = after[:, : self._x.shape[1]]
        self._moves += 1
        self._look(after)
        over = np.full(self.num_envs, self._moves == self.max_cycles)
        return self._seen(), self._reward(), nothing, over, {}

    def place(self, agents: np.ndarray, landmarks: np.ndarray) -> dict[str, np.ndarray]:
        """What is seen after everything was put somewhere, at rest; both [E, N, 2]."""
        for e in range(self.num_envs):
            self._put(e, agents[e], landmarks[e])
        self._look(self._x @ self._still)
        return self._seen()

    def _begin(self) -> None:
        n = self.n_agents
        for e, rng in enumerate(self._rngs):
            drawn = rng.uniform(-1, 1, (2 * n, 2))  # in mpe2's order
            self._put(e, drawn[:n], drawn[n:])
        self._moves = 0
        self._look(self._x @ self._still)

    def _put(self, e: int, agents: np.ndarray, landmarks: np.ndarray) -> None:
        x = self._x[e].reshape(3, 2, -1)
        x[0], x[1], x[2] = 0.0, agents.T, landmarks.T

    def _touch(self) -> None:
        """The force of each contact: a wall where two agents touch, softened by the margin."""
        distance = self._distance[:, : self._n_pairs]
        depth = np.logaddexp(0.0, (TOUCH - distance) * (1 / CONTACT_MARGIN))
        size = CONTACT_FORCE * CONTACT_MARGIN * depth / distance
        np.multiply(self._apart[..., : self._n_pairs], size[:, None], out=self._contacts)

    def _look(self, after: np.ndarray) -> None:
        """Take apart what the worlds are now: what is seen, and how far things are apart."""
        start = self._x.shape[1]
        self._state = after[:, start : start + self._n_seen].astype(np.float32)
        self._apart = after[:, start + self._n_seen :].reshape(self.num_envs, 2, -1)
        self._distance = np.hypot(self._apart[:, 0], self._apart[:, 1])  # [E, P + N * N]

    def _reward(self) -> np.ndarray:
        n, p = self.n_agents, self._n_pairs
        reach = self._distance[:, p:].reshape(-1, n, n)  # [E, agent, landmark]
        reward = (self.local_ratio - 1) * reach.min(1).sum(-1)
        if self.local_ratio:
            touching = (self._distance[:, :p] < TOUCH).sum(-1)
            reward -= self.local_ratio * 2 / n * touching  # both are fined; the mean over agents
        return reward

    def _seen(self) -> dict[str, np.ndarray]:
        return {
            "obs": self._state.reshape(self.num_envs, self.n_agents, self.obs_dim),
            "state": self._state,
            "available": self._available,
            "alive": self._alive,
        }


def spread_team(N: int = 3) -> Team:
    """The team of `simple_spread_v3`, from its spaces alone."""
    names = [f"agent_{i}" for i in range(N)]
    box = lambda n: spaces.Box(-np.inf, np.inf, (n,), np.float32)  # noqa: E731
    return Team(
        dict.fromkeys(names, box(6 * N)),
        dict.fromkeys(names, spaces.Discrete(N_ACTIONS)),
        box(6 * N * N),
    )


def _place(kind: int, axis: int, i: int, N: int) -> int:
    """The row of one number in the flat world [3, 2, N]."""
    return (kind * 2 + axis) * N + i


def _sight(N: int) -> np.ndarray:
    """[6N, N * O]: the flat world to what the agents see: own velocity and position, where the
    landmarks and the others are from there, and 2 (N - 1) zeros (nobody speaks)."""
    see = np.zeros((6 * N, N, 6 * N))
    for i in range(N):
        for axis in range(2):
            see[_place(0, axis, i, N), i, axis] = 1
            see[_place(1, axis, i, N), i, 2 + axis] = 1
            others = [_place(1, axis, j, N) for j in range(N) if j != i]
            seen = [_place(2, axis, j, N) for j in range(N)] + others
            for k, row in enumerate(seen):
                see[row, i, 4 + 2 * k + axis] = 1
                see[_place(1, axis, i, N), i, 4 + 2 * k + axis] = -1
    return see.reshape(6 * N, -1)


def _differences(N: int) -> np.ndarray:
    """[6N, 2 (P + N * N)]: x, then y, of each pair of agents, then of agent and landmark."""
    ends = [(_place(1, 0, i, N), _place(1, 0, j, N)) for i, j in _pairs(N)]
    ends += [(_place(1, 0, i, N), _place(2, 0, j, N)) for i in range(N) for j in range(N)]
    between = np.zeros((6 * N, 2, len(ends)))
    for k, (one, other) in enumerate(ends):
        for axis in range(2):
            between[one + axis * N, axis, k] = 1
            between[other + axis * N, axis, k] = -1
    return between.reshape(6 * N, -1)


def _flow(N: int) -> np.ndarray:
    """[6N + 2P + 2N, 6N]: a world, its contacts and its moves to the world one step later."""
    pairs = _pairs(N)
    now = np.eye(6 * N)
    contacts = np.zeros((2, len(pairs), 6 * N))
    moves = np.zeros((N, 2, 6 * N))
    for axis in range(2):
        for i in range(N):
            velocity = _place(0, axis, i, N)
            now[velocity, velocity] = 1 - DAMPING
            now[velocity, _place(1, axis, i, N)] = DT  # the old velocity moves
            moves[i, axis, velocity] = DT
        for k, (i, j) in enumerate(pairs):
            contacts[axis, k, _place(0, axis, i, N)] = DT
            contacts[axis, k, _place(0, axis, j, N)] = -DT
    return np.concatenate([now, contacts.reshape(-1, 6 * N), moves.reshape(-1, 6 * N)])


def _pairs(N: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(N) for j in range(i + 1, N)]
