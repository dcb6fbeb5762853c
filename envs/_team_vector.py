"""What our born-batched environments share: spaces, the seeds of episodes, what `reset` does.

A subclass says how episodes begin in some rows (`_begin`) and what is seen (`_told`), and plays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, MultiBinary, MultiDiscrete
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ._team_game import at_least


class TeamVectorEnv(VectorEnv):
    """E games of N agents with A actions each, as Gymnasium's batch of the team's `TeamEnv`.

    Env e, seeded with s, has episodes of its own: its k-th is seeded from (s, k).

    episodes: None, or an iterator of seeds: each episode that begins takes the next of them, in
    order of rows; when they are used up, play goes on without.
    """

    seeds_each = True  # reset takes a list of seeds, one an env

    def __init__(
        self, num_envs: int, obs: Box, state: Box, n_agents: int, n_actions: int, max_cycles: int
    ) -> None:
        at_least(1, num_envs=num_envs)
        self.num_envs, self.max_cycles, self._n_agents = num_envs, max_cycles, n_agents
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space = Dict(
            {
                "obs": batch_space(obs, n_agents),
                "state": state,
                "available": MultiBinary((n_agents, n_actions)),
                "alive": MultiBinary(n_agents),
            }
        )
        self.single_action_space = MultiDiscrete(np.full(n_agents, n_actions))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.episodes: Iterator[int] | None = None
        self._seeds: list[np.random.SeedSequence | None] = [None] * num_envs
        self._rngs = [seeding.np_random()[0] for _ in range(num_envs)]
        self._moves = np.zeros(num_envs, np.int64)
        self._over = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """New episodes; an integer seeds env e with seed + e, as Gymnasium does."""
        seeds = [seed + e for e in range(self.num_envs)] if isinstance(seed, int) else seed
        for e, own in enumerate(seeds or []):
            self._seeds[e] = None if own is None else np.random.SeedSequence(own)
        self._begin(np.arange(self.num_envs))
        self._over = np.zeros(self.num_envs, bool)
        return self._told(self._over), {}

    def play_up(
        self, places: Sequence[tuple[int, int, np.ndarray | None]]
    ) -> dict[str, np.ndarray]:
        """Every env in the middle of an episode: (seed of the env, number of the episode, actions).

        actions: those of the episode so far [t, N], or None where it is over.  All are played side
        by side and begin so that they come to their places together; until then a row is idle.
        """
        played = [() if actions is None else actions for _, _, actions in places]
        self.episodes, longest = None, max(map(len, played))
        idle = np.zeros(self._n_agents, np.int64)
        self.reset()
        for left in range(longest, -1, -1):
            rows = [e for e, actions in enumerate(played) if len(actions) == left]
            for e in rows:
                seed, episode, actions = places[e]
                begun = episode + (actions is None)
                self._seeds[e] = np.random.SeedSequence(seed, n_children_spawned=begun)
            begins = [e for e in rows if places[e][2] is not None]
            if begins:
                self._begin(np.array(begins))
                self._over[begins] = False
                self._told(self._over)
            if left:
                self.step(np.stack([a[-left] if len(a) >= left else idle for a in played]))
        self._over = np.array([actions is None for *_, actions in places])
        return self._told(self._over)

    def _begin(self, rows: np.ndarray) -> None:
        """New episodes in these rows."""
        raise NotImplementedError

    def _told(self, terminated: np.ndarray) -> dict[str, np.ndarray]:
        """What all envs show now; terminated [E]: those that have just ended for good."""
        raise NotImplementedError

    def _throw(self, rows: np.ndarray) -> None:
        """Dice of these rows' next episodes, and no moves made."""
        for e in rows.tolist():
            seed = self._next_seed(e)
            if seed is not None:
                self._rngs[e] = seeding.np_random(seed)[0]
        self._moves[rows] = 0

    def _next_seed(self, e: int) -> int | None:
        if self.episodes is not None:
            return next(self.episodes, None)
        own = self._seeds[e]
        return None if own is None else int(own.spawn(1)[0].generate_state(1)[0])
