"""Small environments, batches and stand-ins for networks; sizes are all different.

The environments check what they are sent: an action too many, too few, masked or outside its
space is an assertion, so every test that plays them tests that as well.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv
from torch import nn

from vdtoolkit import ALGORITHMS, Team
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.networks import Utilities
from vdtoolkit.step import TeamSpec

SMALL = {"hidden_dim": 8, "batch_size": 3, "buffer_size": 50}
ON_POLICY = ("coma",)  # each episode teaches once: a gradient step costs batch_size of them


class Unlike(ParallelEnv):
    """Three unlike agents in a game of 3 to 5 moves; the mole dies in move 2.

    Masks (in the infos) forbid one action at random to each agent.  Every other episode is
    truncated at its end, the others terminate.
    """

    metadata = {"name": "unlike_v0"}  # noqa: RUF012
    render_mode = None
    possible_agents = ["walker", "flyer", "mole"]  # noqa: RUF012
    SIZES = {"walker": (2, 3, 0), "flyer": (4, 2, 5), "mole": (3, 4, -1)}  # noqa: RUF012

    def __init__(self, masks=True, lengths=(3, 4, 5), mole_dies=2):
        self.masks, self.lengths, self.mole_dies = masks, lengths, mole_dies
        self.state_space = spaces.Box(-1, 1, (6,), np.float32)
        self.rng = np.random.default_rng(0)
        self.episode = 0
        self.agents = []

    def observation_space(self, agent):
        dim, _, _ = self.SIZES[agent]
        return spaces.Discrete(dim) if agent == "mole" else spaces.Box(-1, 1, (dim,), np.float32)

    def action_space(self, agent):
        _, n, start = self.SIZES[agent]
        return spaces.Discrete(n, start=start)

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng, self.episode = np.random.default_rng(seed), 0
        self.agents = list(self.possible_agents)
        self.t, self.episode = 0, self.episode + 1
        self.length = int(self.rng.choice(self.lengths))
        self._draw()
        return self._seen(self.agents)

    def step(self, actions):
        assert list(actions) == self.agents, f"{list(actions)} act, {self.agents} should"
        for agent, action in actions.items():
            assert isinstance(action, int)
            assert self.action_space(agent).contains(action)
            chosen = action - self.SIZES[agent][2]
            assert self.available[agent][chosen], f"{agent} was told that {chosen} is masked"
        self.t += 1
        here = self.agents
        pay = 0.3 * sum(actions.values()) - 0.2 * self.t + 0.5 * float(self.memory[0])
        over = self.t == self.length
        cut = over and self.episode % 2 == 0
        dead = {a: a == "mole" and self.t == self.mole_dies for a in here}
        self._draw()
        observations, infos = self._seen(here)
        self.agents = [] if over else [a for a in here if not dead[a]]
        return (
            observations,
            dict.fromkeys(here, pay),
            {a: dead[a] or (over and not cut) for a in here},
            {a: cut and not dead[a] for a in here},
            infos,
        )

    def state(self):
        return self.memory.copy()

    def _draw(self):
        self.memory = self.rng.uniform(-1, 1, 6).astype(np.float32)
        self.available = {}
        for agent, (_, n, _) in self.SIZES.items():
            self.available[agent] = np.ones(n, np.int8)
            if self.masks:
                self.available[agent][self.rng.integers(n)] = 0

    def _seen(self, agents):
        observations = {}
        for agent in agents:
            dim = self.SIZES[agent][0]
            observations[agent] = (
                int(self.rng.integers(dim))
                if agent == "mole"
                else self.rng.uniform(-1, 1, dim).astype(np.float32)
            )
        masks = {a: {"action_mask": self.available[a]} if self.masks else {} for a in agents}
        return observations, masks


class Stateless(Unlike):
    """The same without `state()`."""

    state = ParallelEnv.state

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        del self.state_space


class Nameless(Unlike):
    """The same with `state()` but no `state_space`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        del self.state_space


class Bandit(ParallelEnv):
    """One agent, one move, one of three rewards, which arrive with the last observation."""

    metadata = {"name": "bandit_v0"}  # noqa: RUF012
    possible_agents = ["gambler"]  # noqa: RUF012
    PAY = (1.0, -2.0, 0.5)

    def observation_space(self, agent):
        return spaces.Box(-1, 1, (2,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(3)

    def reset(self, seed=None, options=None):
        self.agents = ["gambler"]
        return {"gambler": np.ones(2, np.float32)}, {"gambler": {}}

    def step(self, actions):
        self.agents = []
        return (
            {"gambler": np.zeros(2, np.float32)},
            {"gambler": self.PAY[actions["gambler"]]},
            {"gambler": True},
            {"gambler": False},
            {"gambler": {}},
        )


def play(agents, env, episodes, *, learn=True, each_move=lambda: None, seed=None):
    """The ten lines of the README; returns every joint action."""
    told = []
    has_state = agents.team.has_state
    for k in range(episodes):
        observations, infos = env.reset(seed=seed if k == 0 else None)
        while env.agents:
            state = {"state": env.state()} if has_state else {}
            actions = agents.act(observations, infos, **state)
            told.append(actions)
            observations, rewards, terminations, truncations, infos = env.step(actions)
            state = {"state": env.state()} if has_state else {}
            agents.observe(observations, rewards, terminations, truncations, infos, **state)
            if learn:
                agents.learn()
            each_move()
    return told


def fingerprint(agents):
    """A hash of every parameter, of what is stored and of the counters."""
    said = hashlib.sha256()
    for nets in (agents.online, agents.target):
        for name, value in sorted(nets.state_dict().items()):
            said.update(name.encode() + value.numpy().tobytes())
    for _, rows in sorted(agents.replay.stored().items()):
        said.update(rows.tobytes())
    said.update(str((agents.moves, agents.episodes, agents.updates)).encode())
    return said.hexdigest()


def episodes(name):
    """How many make a short training with more than 5 gradient steps."""
    return 6 * SMALL["batch_size"] if name in ON_POLICY else 6


def run(name, seed=3):
    """A short training of an algorithm by name."""
    agents = ALGORITHMS[name](Unlike(), seed=seed, target_interval=4, **SMALL)
    play(agents, Unlike(), episodes(name), seed=11)
    assert agents.updates > 5
    return agents


def small_team(**kwargs):
    """Three like agents: N = 3, A = 4, O = 6, S = 7 (H = 8, T = 5, B = 2)."""
    names = ("ann", "bob", "cat")
    return Team(
        {a: spaces.Box(-1, 1, (6,)) for a in names},
        {a: spaces.Discrete(4) for a in names},
        spaces.Box(-1, 1, (7,)),
        **kwargs,
    )


def team_of(n, a, o=2, s=1):
    """n agents with a actions."""
    names = [f"agent_{i}" for i in range(n)]
    return Team(
        {name: spaces.Box(-1, 1, (o,)) for name in names},
        {name: spaces.Discrete(a) for name in names},
        spaces.Box(-1, 1, (s,)),
    )


def random_batch(
    spec: TeamSpec, *, lengths=(5, 2), ended=(False, True), deaths=((2, 1),), seed=0
) -> EpisodeBatch:
    """Random episodes of these lengths as the replay would hand them out.

    ended: terminated (nobody is alive at the last moment) or truncated.  deaths: (moment, agent)
    in episode 0: its row is zeros from there on, with action 0 alone available.
    """
    rng = np.random.default_rng(seed)
    B, T, N, A = len(lengths), max(lengths), spec.n_agents, spec.n_actions
    obs = rng.normal(size=(B, T + 1, N, spec.obs_dim))
    state = rng.normal(size=(B, T + 1, spec.state_dim))
    available = rng.random((B, T + 1, N, A)) < 0.7
    available[
        np.arange(B)[:, None, None], np.arange(T + 1)[:, None], np.arange(N), -1
    ] |= ~available.any(-1)
    alive = np.ones((B, T + 1, N), bool)
    terminated, valid = np.zeros((B, T), bool), np.zeros((B, T), bool)
    for moment, agent in deaths:
        obs[0, moment:, agent] = 0
        alive[0, moment:, agent] = False
        available[0, moment:, agent] = np.arange(A) == 0
    for b, (length, end) in enumerate(zip(lengths, ended, strict=True)):
        valid[b, :length] = True
        terminated[b, length - 1] = end
        if end:
            alive[b, length] = False
        obs[b, length + 1 :] = 0
        state[b, length + 1 :] = 0
        alive[b, length + 1 :] = False
        available[b, length + 1 :] = np.arange(A) == 0
    lots = np.where(available[:, :-1], rng.random((B, T, N, A)), -1)
    actions = np.where(valid[..., None], lots.argmax(-1), 0)
    reward = np.where(valid, rng.normal(size=(B, T)), 0)
    return EpisodeBatch(
        View(
            torch.as_tensor(obs).float(),
            torch.as_tensor(state).float(),
            torch.as_tensor(available),
            torch.as_tensor(alive),
        ),
        torch.as_tensor(actions),
        torch.as_tensor(reward).float(),
        torch.as_tensor(terminated),
        torch.as_tensor(valid),
    )


class Given(nn.Module):
    """In the place of an AgentNet: its utilities are these, whatever was seen."""

    def __init__(self, qs, hidden=None):
        super().__init__()
        hidden = qs.new_zeros(*qs.shape[:-1], 8) if hidden is None else hidden
        self.given = Utilities(qs, hidden)

    def unroll(self, obs, actions):
        return self.given


def give(agents, online, target=None):
    """Put utilities [B, T+1, N, A] in the place of both networks' own."""
    agents.online.agent = Given(online)
    agents.target.agent = Given(online if target is None else target)


def leaves(agents, batch):
    """The loss, with the utilities and memories of the online network cut off as leaves."""
    unroll = agents.online.agent.unroll
    with torch.no_grad():
        said = unroll(batch.view.obs, batch.actions)
    qs, hidden = (x.clone().requires_grad_() for x in said)
    agents.online.agent.unroll = lambda obs, actions: Utilities(qs, hidden)
    loss, _ = agents.loss(batch)
    agents.online.agent.unroll = unroll
    loss.backward()
    return loss, qs, hidden


def joint_actions(n, a):
    """All joint actions: [A^N, N]."""
    return torch.cartesian_prod(*[torch.arange(a)] * n).reshape(-1, n)


def expand(view, rows):
    """One moment's view [...] repeated: [rows, ...]."""
    return View(*(x.expand(rows, *x.shape) for x in vars(view).values()))


def q_table(agents, qs, hidden, view):
    """Q_tot of all joint actions at one moment through the public q_tot: [A^N]."""
    actions = joint_actions(*qs.shape)
    rows = len(actions)
    utilities = Utilities(qs.expand(rows, *qs.shape), hidden.expand(rows, *hidden.shape))
    return agents.q_tot(agents.online, utilities, actions, expand(view, rows)), actions


def randomised(agents, generator, scale=1.0):
    """Weights drawn anew, larger than at birth, in float64."""
    agents.online.double()
    with torch.no_grad():
        for p in agents.online.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return agents


def moment(spec, generator, *, deaths=True):
    """Random utilities and view of one moment in float64, some agents dead, some actions masked."""
    N, A = spec.n_agents, spec.n_actions

    def rand(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    available = torch.rand((N, A), generator=generator) < 0.6
    available[torch.arange(N), torch.randint(A, (N,), generator=generator)] = True
    alive = torch.rand(N, generator=generator) < (0.7 if deaths else 2.0)
    available[~alive] = torch.arange(A) == 0
    view = View(rand(N, spec.obs_dim), rand(spec.state_dim), available, alive)
    return 3 * rand(N, A), rand(N, 8), view


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({name: fingerprint(run(name)) for name in sys.argv[1:]}))
