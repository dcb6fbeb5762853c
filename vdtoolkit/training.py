"""Training as one loop, and greedy evaluation beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vdtoolkit.agents.base import Agents
from vdtoolkit.stream import EnvFn, Stream, stream
from vdtoolkit.team import is_lost

Callback = Callable[[Agents], None]


def train(
    agents: Agents,
    env_fn: EnvFn,
    moves: int,
    n_envs: int = 1,
    *,
    updates_per_episode: float = 1.0,
    seed: int = 0,
    callback: Callback | None = None,
    every: int = 1000,
) -> dict[str, float]:
    """Play and learn until the team has made so many more moves; the last metrics.

    env_fn makes one env; n_envs of them are played side by side.  updates_per_episode: gradient
    steps for each completed episode, fractions allowed.  callback(agents) is called at the start
    and each time another `every` moves have been made.
    """
    envs = stream(env_fn, n_envs, agents.team)
    try:
        return play(
            agents,
            envs,
            moves,
            updates_per_episode=updates_per_episode,
            seed=seed,
            callback=callback,
            every=every,
        )
    finally:
        envs.close()


def play(
    agents: Agents,
    envs: Stream,
    moves: int,
    *,
    updates_per_episode: float = 1.0,
    seed: int = 0,
    callback: Callback | None = None,
    every: int = 1000,
) -> dict[str, float]:
    """`train` on envs that are there already."""
    end, told = agents.moves + moves, agents.moves
    begun, updates = agents.episodes, 0
    metrics: dict[str, float] = {}
    if callback is not None:
        callback(agents)
    agents.begin_steps(envs.reset(seed))
    while agents.moves < end:
        agents.observe_steps(envs.step(agents.act_steps()))
        while updates < int(updates_per_episode * (agents.episodes - begun)):
            metrics, updates = agents.learn() or metrics, updates + 1
        while callback is not None and agents.moves - told >= every:
            told += every
            callback(agents)
    agents.reset()
    return metrics


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted team returns of episodes played greedily."""

    returns: np.ndarray  # [episodes]
    lengths: np.ndarray  # [episodes], moves
    lost: int = 0  # episodes left out because their environment broke

    @property
    def mean(self) -> float:
        """Mean return; NaN of no episode."""
        return float(self.returns.mean()) if len(self.returns) else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the mean (Student's t over episodes)."""
        from scipy import stats  # half a second that acting and learning need not pay

        n = len(self.returns)
        half = float(stats.t.ppf(0.975, n - 1) * self.returns.std(ddof=1) / n**0.5) if n > 1 else 0
        return self.mean - half, self.mean + half


def evaluate(
    agents: Agents,
    env_fn: EnvFn,
    episodes: int = 100,
    *,
    seed: int = 0,
    explore: bool = False,
) -> Evaluation:
    """The team's own greedy actions, played in an env of its own; disturbs no training.

    Episode k is seeded from (seed, k).  An episode whose environment broke is left out.
    explore: with as many random moves as in training now; all of them are random before any
    training, where epsilon_start is 1.
    """
    env = env_fn()
    actor = agents.actor(explore)
    returns, lengths, lost = [], [], 0
    for own in np.random.SeedSequence(seed).generate_state(episodes):
        observations, infos = env.reset(seed=int(own))
        actor.reset()
        total, moves = 0.0, 0
        while env.agents:
            actions = actor.act({a: observations[a] for a in env.agents}, infos)
            acting = list(actions)
            observations, rewards, _, _, infos = env.step(actions)
            total += agents.team.team_reward(rewards, acting)
            moves += 1
        if is_lost(infos):
            lost += 1
            continue
        returns.append(total)
        lengths.append(moves)
    env.close()
    return Evaluation(np.array(returns), np.array(lengths), lost)
