"""Training on a whole game at once: every joint action sequence, equally weighted."""

import itertools

import numpy as np
import torch

from vdtoolkit import ALGORITHMS
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.finite import joint_actions, step_of

SETTINGS = {
    "recurrent": False,
    "last_action": False,
    "lr": 3e-3,
    "target_interval": 50,
    "batch_size": 1,
    "buffer_size": 1,
}


def whole_game(agents, game):
    """Every episode of a finite game without chance, as one batch: uniform play, exactly."""
    (start,) = [state for _, state in game.initial_states()]
    episodes = [[(start, None)]]
    done = []
    while episodes:
        longer = []
        for episode in episodes:
            state = episode[-1][0]
            for u in joint_actions(step_of(agents.team, game, state).available[0]):
                ((_, reward, after),) = game.model(state, tuple(int(i) for i in u))
                further = [*episode[:-1], (state, u, reward), (after, None)]
                (done if after is None else longer).append(further)
        episodes = longer
    steps = {s: step_of(agents.team, game, s) for s in game.states()}
    end = steps[start]  # what is seen after the end is never asked for

    def moments(name):
        rows = [[getattr(steps.get(m[0], end), name)[0] for m in episode] for episode in done]
        return torch.as_tensor(np.array(rows))

    moves = [episode[:-1] for episode in done]
    reward = torch.tensor([[m[2] for m in episode] for episode in moves], dtype=torch.float32)
    terminated = torch.zeros(reward.shape, dtype=torch.bool)
    terminated[:, -1] = True
    return EpisodeBatch(
        View(*(moments(name) for name in ("obs", "state", "available", "alive"))),
        torch.as_tensor(np.array([[m[1] for m in episode] for episode in moves])),
        reward,
        terminated,
        torch.ones_like(terminated),
    )


def trained(name, env, steps, seed=0, **overrides):
    """Agents after so many full-batch steps, the step size falling over the second half."""
    agents = ALGORITHMS[name](env, seed=seed, **{**SETTINGS, **overrides})
    batch = whole_game(agents, env.unwrapped)
    lr = agents.config.lr
    for k in itertools.islice(itertools.count(), steps):
        for group in agents.optimizer.param_groups:
            group["lr"] = lr * min(1.0, 2 * (1 - k / steps) + 0.01)
        agents.learn_from(batch)
    return agents


def whole_moves(agents, game):
    """Every move of a finite game without chance as an episode cut off behind it."""
    steps = {s: step_of(agents.team, game, s) for s in game.states()}
    rows = [
        (state, u, *game.model(state, tuple(map(int, u)))[0][1:])
        for state, step in steps.items()
        for u in joint_actions(step.available[0])
    ]

    def seen(name):
        told = [[getattr(steps[s], name)[0] for s in (before, after)] for before, *_, after in rows]
        return torch.as_tensor(np.array(told))

    reward = torch.tensor([[row[2]] for row in rows], dtype=torch.float32)
    never = torch.zeros(reward.shape, dtype=torch.bool)
    return EpisodeBatch(
        View(*(seen(name) for name in ("obs", "state", "available", "alive"))),
        torch.as_tensor(np.array([[row[1]] for row in rows])),
        reward,
        never,
        ~never,
    )
