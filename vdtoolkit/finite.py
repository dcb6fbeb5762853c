"""Finite games: what they expose, their optimal values by dynamic programming, fast play.

A finite game is a PettingZoo env that also knows its own model.  All of vdtoolkit.envs' matrix
games are; so is any env of a user's that has these methods.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vdtoolkit.step import Step
from vdtoolkit.team import Team, TeamEpisode

State = Hashable
Joint = tuple[int, ...]  # 0-based, in possible_agents' order
Outcome = tuple[float, float, State | None]  # probability, reward, next state (None: terminated)


@runtime_checkable
class FiniteGame(Protocol):
    """What makes an env a finite game.  Time limits are no part of the model."""

    possible_agents: list[str]

    def initial_states(self) -> list[tuple[float, State]]:
        """(probability, state) of where play begins."""

    def states(self) -> list[State]:
        """Every state that play can reach and that is not the end, initial ones first."""

    def model(self, state: State, joint_action: Joint) -> list[Outcome]:
        """(probability, reward of every agent, next state or None) of what moves may lead to."""

    def view(self, state: State) -> tuple[Mapping[str, Any], Mapping[str, Any], np.ndarray]:
        """Observations, infos and global state as reset or step would give them there."""

    @property
    def time_limit(self) -> int | None:
        """Moves after which an episode is truncated."""


def is_finite(env: Any) -> bool:
    """Whether the env (its wrappers looked through) is a finite game."""
    return isinstance(getattr(env, "unwrapped", env), FiniteGame)


def joint_actions(available: np.ndarray) -> np.ndarray:
    """All available joint actions, [M, N], in the order of the payoff tensor; available [N, A]."""
    return np.array(list(itertools.product(*(np.flatnonzero(row) for row in available))))


def step_of(team: Team, game: Any, state: State) -> Step:
    """The moment (E = 1, `first`) that a finite game shows at a state."""
    observations, infos, global_state = game.view(state)
    seen = global_state if team.has_state else None
    return TeamEpisode(team).start(observations, infos, seen)


def optimal_q(
    game: Any, gamma: float, team: Team, tolerance: float = 1e-10
) -> dict[State, np.ndarray]:
    """Q*(s, u) of every state, [A_1..A_N], NaN where not available, by value iteration.

    The expectation is over the game's own chance alone: the team is one that sees the state.
    Raises ValueError where gamma = 1 and play need not end.
    """
    shape = tuple(int(n) for n in team.n_actions)
    states = game.states()
    share = reward_share(team)
    if not states or (getattr(game, "one_shot", False) and hasattr(game, "rewards")):
        return {state: _masked(share * game.rewards(state), team, game, state) for state in states}
    models = {
        state: {
            tuple(u): [(p, share * r, s) for p, r, s in game.model(state, tuple(map(int, u)))]
            for u in joint_actions(step_of(team, game, state).available[0])
        }
        for state in states
    }
    value = dict.fromkeys(states, 0.0)
    for _ in range(100_000 if gamma < 1 else 10_000):
        table = {
            state: {
                u: sum(p * (r + gamma * (value[s] if s is not None else 0.0)) for p, r, s in after)
                for u, after in models[state].items()
            }
            for state in states
        }
        new = {state: max(table[state].values()) for state in states}
        change = max(abs(new[state] - value[state]) for state in states)
        value = new
        if change <= tolerance * max(1.0, max(map(abs, value.values()))) * (1.0 - gamma or 1.0):
            break
    else:
        raise ValueError("value iteration did not converge: with gamma = 1 play must end")
    tables = {}
    for state in states:
        tables[state] = np.full(shape, np.nan)
        for u, q in table[state].items():
            tables[state][u] = q
    return tables


def reward_share(team: Team) -> int:
    """What the team is paid for each unit of the model's reward, which every agent gets."""
    return len(team.agents) if team.reward == "sum" else 1


def _masked(rewards: np.ndarray, team: Team, game: Any, state: State) -> np.ndarray:
    available = step_of(team, game, state).available[0]
    table = np.array(rewards, dtype=float)
    for i, n in enumerate(team.n_actions):
        table[(slice(None),) * i + (~available[i, :n],)] = np.nan
    return table


class FiniteStream:
    """E episodes of a finite game at once, played from its model: a stream of `Step`s.

    After a row that is `last` comes a row that is `first`, as Gymnasium's vector envs do it in
    their NEXT_STEP mode.  Each env has a generator of its own from (seed, env index).
    """

    def __init__(self, env: Any, n_envs: int, team: Team | None = None) -> None:
        self.game: Any = env.unwrapped
        self.team = team or Team.from_env(env)
        self.n_envs = n_envs
        self._states = list(self.game.states())
        self._number = {state: k for k, state in enumerate(self._states)}
        moments = [step_of(self.team, self.game, state) for state in self._states]
        end = moments[0]
        self._end = len(self._states)  # the row of tables for "the episode is over"
        self._obs = np.concatenate([m.obs for m in moments] + [np.zeros_like(end.obs)])
        self._state = np.concatenate([m.state for m in moments] + [np.zeros_like(end.state)])
        self._available = np.concatenate(
            [m.available for m in moments] + [self.team.owned[None] & True]
        )
        self._alive = np.concatenate([m.alive for m in moments] + [np.zeros_like(end.alive)])
        self._limit = self.game.time_limit
        self._outcomes: dict[tuple[int, ...], tuple[np.ndarray, list[float], list[int]]] = {}
        self._visits: dict[tuple[int, ...], int] = {}

    def reset(self, seed: int = 0) -> Step:
        """E new episodes."""
        seeds = np.random.SeedSequence(seed).spawn(self.n_envs)
        self._rngs = [np.random.default_rng(s) for s in seeds]
        self._at = np.zeros(self.n_envs, np.int64)
        self._moves = np.zeros(self.n_envs, np.int64)
        self._over = np.ones(self.n_envs, bool)
        return self.step(np.zeros((self.n_envs, len(self.team.agents)), np.int64))

    def step(self, actions: np.ndarray) -> Step:
        """The next moment of every episode; actions [E, N], ignored where the last was `last`."""
        first = self._over
        reward = np.zeros(self.n_envs, np.float32)
        for e, joint in enumerate(actions.tolist()):
            if first[e]:
                self._at[e], self._moves[e] = self._begin(self._rngs[e]), 0
            else:
                reward[e], self._at[e] = self._move(int(self._at[e]), joint, self._rngs[e])
                self._moves[e] += 1
        terminated = self._at == self._end
        truncated = np.zeros_like(terminated)
        if self._limit is not None:
            truncated = (self._moves >= self._limit) & ~terminated
        self._over = terminated | truncated
        return Step(
            obs=self._obs[self._at],
            state=self._state[self._at],
            available=self._available[self._at],
            alive=self._alive[self._at],
            reward=reward,
            first=first,
            terminated=terminated,
            truncated=truncated,
            lost=np.zeros(self.n_envs, bool),
        )

    def visits(self, state: State) -> np.ndarray:
        """How often each joint action was played at a state so far, [A_1..A_N]."""
        counts = np.zeros(tuple(int(n) for n in self.team.n_actions))
        for (at, *joint), count in self._visits.items():
            if self._states[at] == state:
                counts[tuple(joint)] = count
        return counts

    def close(self) -> None:
        """Nothing to close."""

    def _begin(self, rng: np.random.Generator) -> int:
        chances, states = zip(*self.game.initial_states(), strict=True)
        return self._number[states[_pick(np.cumsum(chances), rng)]]

    def _move(self, at: int, joint: list[int], rng: np.random.Generator) -> tuple[float, int]:
        key = (at, *joint)
        if key not in self._outcomes:
            outcomes = self.game.model(self._states[at], tuple(joint))
            self._outcomes[key] = (
                np.cumsum([p for p, _, _ in outcomes]),
                [reward_share(self.team) * r for _, r, _ in outcomes],
                [self._end if s is None else self._number[s] for _, _, s in outcomes],
            )
        self._visits[key] = self._visits.get(key, 0) + 1
        cumulated, rewards, after = self._outcomes[key]
        k = _pick(cumulated, rng)
        return rewards[k], after[k]


def _pick(cumulated: np.ndarray, rng: np.random.Generator) -> int:
    if len(cumulated) == 1:
        return 0
    return min(int(np.searchsorted(cumulated, rng.random(), side="right")), len(cumulated) - 1)
