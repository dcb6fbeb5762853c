"""Finite games: what they expose, their optimal values by dynamic programming, fast play.

A finite game is a PettingZoo env that also knows its own model.  All of vdtoolkit.envs' matrix
games are; so is any env of a user's that has these methods.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vdtoolkit.dice import generator
from vdtoolkit.episode import TeamEpisode
from vdtoolkit.step import Step
from vdtoolkit.team import Team

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
    """Whether the env (its wrappers looked through) is a finite game.

    One that says `enumerable = False` has too many states to list, and is none.
    """
    game = getattr(env, "unwrapped", env)
    return isinstance(game, FiniteGame) and getattr(game, "enumerable", True)


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

    n_restarts = 0  # no worker, nothing to restart

    def __init__(self, env: Any, n_envs: int, team: Team | None = None) -> None:
        self.game: Any = env.unwrapped
        self.team = team or Team.from_env(env)
        self.team.refuse_other(env)
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
        self._starts = _Outcomes()
        self._starts.add([(p, 0.0, self._number[s]) for p, s in self.game.initial_states()])
        self._outcomes = _Outcomes()
        # (state, joint action) as one number, digits of these sizes -> its row of the outcomes
        self._row = _Known(self._learn)
        self._sizes = [self._end, *self.team.n_actions.tolist()]
        places = [math.prod(self._sizes[i + 1 :]) for i in range(len(self._sizes))]
        kind = np.int64 if math.prod(self._sizes) < 2**63 else object  # Python's ints: no bound
        self._places = np.array(places, kind)

    @property
    def places(self) -> np.ndarray:
        """[E] int64: which of the game's states each episode is at; their number once over."""
        return self._at

    def reset(self, seed: int | Sequence[int] = 0) -> Step:
        """E new episodes; of K seeds each has E / K of them, as in a stream of its own."""
        seeds = seed if isinstance(seed, Sequence) else [seed]
        each = self.n_envs // len(seeds)
        own = [s for one in seeds for s in np.random.SeedSequence(one).spawn(each)]
        self._rngs = [np.random.default_rng(s) for s in own]
        self._at = np.zeros(self.n_envs, np.int64)
        self._moves = np.zeros(self.n_envs, np.int64)
        self._over = np.ones(self.n_envs, bool)
        return self.step(np.zeros((self.n_envs, len(self.team.agents)), np.int64))

    def send(self, actions: np.ndarray) -> None:
        """Play on; actions [E, N], ignored where the last was `last`."""
        self._sent = actions

    def receive(self) -> Step:
        """The moment that the actions sent led to."""
        first, moved = self._over, np.flatnonzero(~self._over)
        reward = np.zeros(self.n_envs, np.float32)
        self._moves += 1
        if len(moved):
            at, joint = self._at[moved].astype(self._places.dtype), self._sent[moved]
            keys = (at * self._places[0] + joint @ self._places[1:]).tolist()
            rows = np.array(list(map(self._row.__getitem__, keys)))
            reward[moved], self._at[moved] = self._outcomes.draw(rows, moved, self._rngs)
        if len(moved) < self.n_envs:
            new = np.flatnonzero(first)
            _, self._at[new] = self._starts.draw(np.zeros_like(new), new, self._rngs)
            self._moves[new] = 0
        terminated = self._at == self._end
        truncated = np.zeros(self.n_envs, bool)
        if self._limit is not None:
            truncated = (self._moves >= self._limit) & ~terminated
        self._over = terminated | truncated
        return self._seen(reward, first, terminated, truncated)

    def _seen(
        self, reward: np.ndarray, first: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
    ) -> Step:
        """The moment at the present places."""
        return Step(
            obs=self._obs.take(self._at, 0),
            state=self._state.take(self._at, 0),
            available=self._available.take(self._at, 0),
            alive=self._alive.take(self._at, 0),
            reward=reward,
            first=first,
            terminated=terminated,
            truncated=truncated,
            lost=np.zeros(self.n_envs, bool),
        )

    def step(self, actions: np.ndarray) -> Step:
        """The next moment of every episode: `send`, then `receive`."""
        self.send(actions)
        return self.receive()

    def bookmark(self) -> dict[str, Any]:
        """Where each episode is, and each env's dice."""
        dice = [rng.bit_generator.state for rng in self._rngs]
        return {"at": self._at.tolist(), "moves": self._moves.tolist(), "dice": dice}

    def resume(self, bookmark: dict[str, Any], actions: Sequence[np.ndarray | None]) -> Step | None:
        """Go on from there; nothing has to be played again.  `visits` begins anew."""
        at, moves = (np.array(bookmark[name], np.int64) for name in ("at", "moves"))
        self._rngs = [generator(state) for state in bookmark["dice"]]
        if not len(at) == len(moves) == len(self._rngs) == len(actions) == self.n_envs:
            raise ValueError(f"{len(at)} environments were saved, here are {self.n_envs}")
        if ((at < 0) | (at > self._end)).any():
            raise ValueError(f"the game has {self._end} states, the episodes are at {at.tolist()}")
        self._at, self._moves = at, moves
        self._over = np.array([played is None for played in actions])
        no = np.zeros(self.n_envs, bool)
        return self._seen(no.astype(np.float32), no, no, no)

    def visits(self, state: State) -> np.ndarray:
        """How often each joint action was played at a state so far, [A_1..A_N]."""
        counts = np.zeros(self._sizes[1:])
        for key, row in self._row.items():
            at, joint = divmod(key, counts.size)
            if self._states[at] == state:
                counts.flat[joint] = self._outcomes.drawn[row]
        return counts

    def close(self) -> None:
        """Nothing to close."""

    def _learn(self, key: int) -> int:
        """Look up in the model what a state and joint action lead to: a new row of outcomes."""
        at, *joint = (key // int(p) % n for p, n in zip(self._places, self._sizes, strict=True))
        share = reward_share(self.team)
        return self._outcomes.add(
            [
                (p, share * r, self._end if s is None else self._number[s])
                for p, r, s in self.game.model(self._states[at], tuple(joint))
            ]
        )


class _Known(dict[int, int]):
    """A dict that learns what it is asked for the first time."""

    def __init__(self, learn: Callable[[int], int]) -> None:
        super().__init__()
        self.learn = learn

    def __missing__(self, key: int) -> int:
        self[key] = self.learn(key)
        return self[key]


class _Outcomes:
    """What may happen, one row each: chances, rewards and where to, padded to the longest.

    `drawn`: how often each row was drawn from.
    """

    def __init__(self) -> None:
        self._n = 0
        self._reaches = np.full((1, 1), np.inf)  # cumulated chances; the last is never passed
        self._reward = np.zeros((1, 1))
        self._after = np.zeros((1, 1), np.int64)
        self._chancy = np.zeros(1, bool)
        self.drawn = np.zeros(1, np.int64)

    def add(self, outcomes: list[tuple[float, float, int]]) -> int:
        """A new row of (probability, reward, where to); its number."""
        width = self._reaches.shape[1]
        if self._n == len(self.drawn) or len(outcomes) > width:
            self._grow(2 * len(self.drawn), max(width, len(outcomes)))
        row, n = self._n, len(outcomes)
        chances, self._reward[row, :n], self._after[row, :n] = zip(*outcomes, strict=True)
        self._reaches[row, : n - 1] = np.cumsum(chances)[:-1]
        self._chancy[row] = n > 1
        self._n += 1
        return row

    def draw(
        self, rows: np.ndarray, envs: np.ndarray, rngs: list[np.random.Generator]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(reward, where to) for each row, by the dice of these envs where there is a choice."""
        np.add.at(self.drawn, rows, 1)
        cells = rows * self._reaches.shape[1]
        chancy = self._chancy.take(rows)
        if chancy.any():
            lots = np.array([rngs[e].random() for e in envs[chancy]])
            cells[chancy] += (self._reaches.take(rows[chancy], 0) <= lots[:, None]).sum(1)
        return self._reward.take(cells), self._after.take(cells)

    def _grow(self, n: int, width: int) -> None:
        more = ((0, n - len(self.drawn)), (0, width - self._reaches.shape[1]))
        self._reaches = np.pad(self._reaches, more, constant_values=np.inf)
        self._reward, self._after = np.pad(self._reward, more), np.pad(self._after, more)
        self._chancy, self.drawn = np.pad(self._chancy, more[0]), np.pad(self.drawn, more[0])
