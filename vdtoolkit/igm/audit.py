"""`igm.audit`: what a team believes about its joint actions, against what is true.

**IGM** (Individual-Global-Max) holds at a state when each agent's own best action together
maximise Q_tot.  At each audited state:

* *violation*: the agents' own greedy actions do not maximise Q_tot.  Where utilities tie, IGM is
  a statement about sets: if some of the tied choices maximise Q_tot and some do not, it is a
  *tie*, told apart from a violation.
* *gap*: max_u Q_tot(u) - Q_tot(greedy), 0 where IGM holds.
* *regret*: best payoff - payoff of the greedy joint action.
* *rmse*, *max error*: of Q_tot against the payoff, over all available joint actions.
* *least slope*: the least dQ_tot/dQ_i over joint actions and agents (autograd); below 0 means
  that Q_tot is not monotone.  None where Q_tot does not see the utilities (QTRAN's Q_jt).

The payoff is the expected reward in a one-step game and the optimal Q*(s, u) at the agents' gamma
in a longer one; for other envs it is not known.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vdtoolkit.agents.base import Agents
from vdtoolkit.batch import View, chosen
from vdtoolkit.episode import TeamEpisode
from vdtoolkit.finite import (
    State,
    is_finite,
    joint_actions,
    optimal_q,
    reward_share,
    step_of,
)
from vdtoolkit.igm.results import Audit, JointAction, StateAudit
from vdtoolkit.networks import Utilities
from vdtoolkit.step import Step

TIE = 1e-5  # relative to the largest |Q|: below it two values are one (float32)
CHUNK = 8192  # joint actions a forward pass


@dataclass(frozen=True)
class Moment:
    """One state as the agents came to it: the steps up to it and the joint actions between."""

    name: Any
    steps: Sequence[Step]  # E = 1 each, the last one is the state
    actions: Sequence[Sequence[int]]  # row indices, one fewer


@torch.no_grad()
def audit(
    agents: Agents,
    env: Any,
    *,
    limit: int = 100_000,
    episodes: int = 10,
    seed: int = 0,
) -> Audit:
    """Audit a team at every state of a finite game, else at the states that greedy play visits.

    A wrapped finite game counts as another env: what its wrappers change is in no model.
    A state with at most `limit` available joint actions is enumerated (`exact`); beyond that the
    joint actions are searched (the greedy one, coordinate ascent, samples), which gives lower
    bounds on gap and violation.  A finite game's states are entered by their shortest path from a
    start, so that recurrent agents have a history.  episodes, seed: of play in other envs.
    Disturbs no training.
    """
    # a wrapper may change what is seen and paid: its env is audited where play goes
    finite = is_finite(env) and env.unwrapped is env
    game = env if finite else None
    if finite:
        moments = paths(agents, game)
        payoffs = _payoffs(agents, game, moments, limit)
    else:
        moments = visited(agents, env, episodes, seed)
        payoffs = {}
    beliefs = [Belief(agents, moment) for moment in moments]
    audits = [b.audited(payoffs.get(b.moment.name), limit, seed) for b in beliefs]
    if finite:
        audits = _with_backups(agents, game, audits)
    return _summary(agents, audits, beliefs)


class Belief:
    """A team's utilities at one moment, and Q_tot of any joint action there."""

    @torch.no_grad()
    def __init__(self, agents: Agents, moment: Moment) -> None:
        self.agents, self.moment = agents, moment
        nets = agents._built()
        steps, device = moment.steps, agents.device
        obs = torch.as_tensor(np.concatenate([s.obs for s in steps])[None], device=device)
        n = len(agents.team.agents)
        actions = np.array(moment.actions, np.int64).reshape(1, len(steps) - 1, n)
        unrolled = agents.utilities_of(nets, obs, torch.as_tensor(actions, device=device))
        last = steps[-1]
        self.utilities = Utilities(unrolled.qs[0, -1], unrolled.hidden[0, -1])  # [N, A], [N, H]
        view = View(
            torch.as_tensor(last.obs[0], device=device),
            torch.as_tensor(last.state[0], device=device),
            torch.as_tensor(last.available[0], device=device),
            torch.as_tensor(last.alive[0], device=device),
        )
        own = agents.preferences(nets, self.utilities, view)
        self.mixes_preferences = own is self.utilities.qs
        self.view = agents.see(nets, view)
        self.available = last.available[0]  # [N, A]
        self.count = int(np.prod(self.available.sum(1), dtype=float))
        qs = own.cpu().numpy().astype(float)
        if not np.isfinite(qs).all():
            raise ValueError(
                f"{agents.label}: the networks give {qs[~np.isfinite(qs)][0]}: training has "
                "diverged; a smaller lr or smaller rewards may help"
            )
        self.qs = np.where(self.available, qs, -np.inf)
        self.greedy: JointAction = tuple(int(i) for i in self.qs.argmax(1))

    @torch.no_grad()
    def q_tot(self, joint: np.ndarray) -> np.ndarray:
        """Q_tot of joint actions [M, N]: [M]."""
        parts = []
        for part in self._chunks(joint):
            utilities, actions, view = self._expanded(part)
            parts.append(self.agents.q_tot(self.agents.online, utilities, actions, view))
        return torch.cat(parts).cpu().numpy().astype(float)

    @torch.enable_grad()
    def least_slope(self, joint: np.ndarray) -> float | None:
        """The least dQ_tot/dQ_i over these joint actions and the agents that mix."""
        if not self.mixes_preferences:
            return None
        least = None
        for part in self._chunks(joint):
            utilities, actions, view = self._expanded(part)
            qs = utilities.qs.detach().clone().requires_grad_(True)
            fed = Utilities(qs, utilities.hidden)
            q_tot = self.agents.q_tot(self.agents.online, fed, actions, view)
            if not q_tot.requires_grad:
                return None
            (grad,) = torch.autograd.grad(q_tot.sum(), qs, allow_unused=True)
            if grad is None:
                return None
            mixing = self.agents.mixing_alive(view)
            slopes = chosen(grad, actions)[mixing]
            if slopes.numel():
                found = float(slopes.min())
                least = found if least is None else min(least, found)
        return least

    def audited(self, payoff: np.ndarray | None, limit: int, seed: int) -> StateAudit:
        """The audit of this state; payoff [A_1..A_N] or None."""
        exact = self.count <= limit
        joint = joint_actions(self.available) if exact else self._searched(limit, seed)
        values = self.q_tot(joint)
        at_greedy = float(self.q_tot(np.array([self.greedy]))[0])
        k = int(values.argmax())
        gap = max(float(values[k]) - at_greedy, 0.0)
        tolerance = TIE * max(1.0, float(np.abs(values).max()))
        best = self.greedy if gap <= tolerance else tuple(int(i) for i in joint[k])
        tied, tie = self._tied_choices(), False
        if gap > tolerance and len(tied) > 1:
            tie = bool((self.q_tot(tied) >= values[k] - tolerance).any())
        optimum = regret = None
        if payoff is not None:
            optimum = tuple(int(i) for i in np.unravel_index(np.nanargmax(payoff), payoff.shape))
            regret = float(payoff[optimum] - payoff[self.greedy])
        return StateAudit(
            state=self.moment.name,
            payoff=payoff,
            q_tot=self._table(joint, values) if exact else None,
            utilities=[
                np.where(own, q, np.nan)[:n]
                for own, q, n in zip(
                    self.available, self.qs, self.agents.team.n_actions, strict=True
                )
            ],
            greedy=self.greedy,
            best=best,
            optimum=optimum,
            violation=gap > tolerance and not tie,
            tie=tie,
            gap=gap if gap > tolerance else 0.0,
            regret=regret,
            exact=exact,
            evidence=self._evidence(joint, values) if exact else {},
        )

    def _chunks(self, joint: np.ndarray) -> list[np.ndarray]:
        return [joint[k : k + CHUNK] for k in range(0, len(joint), CHUNK)]

    def _expanded(self, joint: np.ndarray) -> tuple[Utilities, Tensor, View]:
        """The one state repeated for M joint actions."""
        m = len(joint)

        def repeat(x: Tensor) -> Tensor:
            return x.expand(m, *x.shape)

        view = View(*(repeat(x) for x in vars(self.view).values()))
        utilities = Utilities(*(repeat(x) for x in self.utilities))
        return utilities, torch.as_tensor(joint, device=self.agents.device), view

    def _table(self, joint: np.ndarray, values: np.ndarray) -> np.ndarray:
        table = np.full(tuple(int(n) for n in self.agents.team.n_actions), np.nan)
        table[tuple(joint.T)] = values
        return table

    def _tied_choices(self) -> np.ndarray:
        """Joint actions whose every part is within tolerance of that agent's best."""
        scale = np.abs(self.qs[np.isfinite(self.qs)]).max(initial=0.0)
        near = self.qs >= self.qs.max(1, keepdims=True) - TIE * max(1.0, scale)
        return np.array(list(itertools.islice(itertools.product(*map(np.flatnonzero, near)), 4096)))

    def _searched(self, limit: int, seed: int) -> np.ndarray:
        """Joint actions worth a look where there are too many: greedy, samples, ascents."""
        rng = np.random.default_rng(seed)
        budget = min(limit, 20_000)
        lots = np.where(self.available, rng.random((budget, *self.available.shape)), -1.0)
        samples = np.concatenate([np.array([self.greedy]), lots.argmax(-1)])
        values = self.q_tot(samples)
        starts = samples[np.argsort(-values, kind="stable")[:3]]
        return np.unique(
            np.concatenate([samples, *(self._ascent(s) for s in [samples[0], *starts])]), axis=0
        )

    def _ascent(self, start: np.ndarray) -> np.ndarray:
        """Coordinate ascent: one agent at a time takes what is best given the others."""
        here, path = start.copy(), [start.copy()]
        value = self.q_tot(here[None])[0]
        for _ in range(20):
            before = value
            for i, own in enumerate(self.available):
                options = np.repeat(here[None], int(own.sum()), 0)
                options[:, i] = np.flatnonzero(own)
                values = self.q_tot(options)
                if values.max() > value:
                    here, value = options[int(values.argmax())].copy(), values.max()
                    path.append(here.copy())
            if value <= before:
                break
        return np.array(path)

    def _evidence(self, joint: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
        """The algorithm's own, a table [A_1..A_N] where it depends on the joint action."""
        parts: dict[str, list[np.ndarray]] = {}
        for part in self._chunks(joint):
            told = self.agents.evidence(self.agents.online, *self._expanded(part))
            for name, tensor in told.items():
                parts.setdefault(name, []).append(tensor.cpu().numpy().astype(float))
        shown: dict[str, np.ndarray] = {}
        for name, arrays in parts.items():
            array = np.concatenate(arrays)
            if np.allclose(array, array[:1], rtol=1e-5, atol=1e-6):
                shown[name] = array[0]  # the same whatever the team does
            elif array.ndim == 1:
                shown[name] = self._table(joint, array)
            elif array.ndim == 2 and array.shape[1] == len(self.greedy):
                for i, agent in enumerate(self.agents.team.agents):
                    shown[f"{name}, {agent}"] = self._table(joint, array[:, i])
            else:
                at = int(np.flatnonzero((joint == self.greedy).all(1))[0])
                shown[f"{name} at the greedy joint action"] = array[at]
        return shown


def paths(agents: Agents, game: Any) -> list[Moment]:
    """Every state of a finite game with a shortest way to it from a start."""
    team = agents.team
    steps = {state: step_of(team, game, state) for state in game.states()}
    found: dict[State, Moment] = {}
    for _, state in game.initial_states():
        found.setdefault(state, Moment(state, [steps[state]], []))
    queue = list(found)
    for state in queue:
        if len(found) == len(steps):
            break
        here = found[state]
        for joint in joint_actions(steps[state].available[0]):
            u = tuple(int(i) for i in joint)
            for _, _, after in game.model(state, u):
                if after is not None and after not in found:
                    found[after] = Moment(after, [*here.steps, steps[after]], [*here.actions, u])
                    queue.append(after)
    return [found[state] for state in steps if state in found]


def visited(agents: Agents, env: Any, episodes: int, seed: int) -> list[Moment]:
    """The moments at which a greedy team acts, over some episodes of any env."""
    team, actor = agents.team, agents.actor()
    moments: list[Moment] = []
    for own in np.random.SeedSequence(seed).generate_state(episodes):
        episode = TeamEpisode(team)
        observations, infos = env.reset(seed=int(own))
        step = episode.start(observations, infos, env.state() if team.has_state else None)
        steps, actions = [step], list[list[int]]()
        while not step.last[0]:
            moments.append(Moment(f"visited {len(moments)}", list(steps), list(actions)))
            chosen_now = actor.act_steps(step)[0]
            actions.append(chosen_now.tolist())
            told = env.step(team.decode(chosen_now, episode.acting))
            state = env.state() if team.has_state else None
            step = episode.advance(told[0], told[1], told[2], told[3], told[4], state)
            steps.append(step)
    return moments


def _payoffs(
    agents: Agents, game: Any, moments: list[Moment], limit: int
) -> dict[State, np.ndarray]:
    """Q* of every state, where it can be had; else {}."""
    largest = max(np.prod(m.steps[-1].available[0].sum(1), dtype=float) for m in moments)
    if not getattr(game, "one_shot", False) and largest * len(moments) > limit:
        return {}
    return optimal_q(game, agents.config.gamma, agents.team)


def _with_backups(agents: Agents, game: Any, audits: list[StateAudit]) -> list[StateAudit]:
    """Each state's r + gamma V(next): the table its Q_tot is regressed on."""
    if any(a.q_tot is None for a in audits):
        return audits
    if getattr(game, "one_shot", False):
        return [replace(a, backup=a.payoff) for a in audits]
    value = {a.state: _bootstrap(agents, a) for a in audits}
    return [
        replace(
            a,
            backup=backup(
                game, a.state, a.q_tot, value, agents.config.gamma, reward_share(agents.team)
            ),
        )
        for a in audits
        if a.q_tot is not None
    ]


def _bootstrap(agents: Agents, found: StateAudit) -> float:
    """What the agents' targets take this state to be worth, at the greedy joint action."""
    assert found.q_tot is not None
    table = found.evidence.get(agents.evidence_of_targets, found.q_tot)
    return float(np.broadcast_to(table, found.q_tot.shape)[found.greedy])


def backup(
    game: Any,
    state: State,
    like: np.ndarray,
    value: dict[State, float],
    gamma: float,
    share: float = 1.0,
) -> np.ndarray:
    """Expected share r + gamma value(next) of joint actions, [A_1..A_N]; NaN where `like` is."""
    table = np.full(like.shape, np.nan)
    for u in zip(*np.nonzero(np.isfinite(like)), strict=True):
        after = game.model(state, tuple(int(i) for i in u))
        table[u] = sum(
            p * (share * r + gamma * (value[s] if s is not None else 0)) for p, r, s in after
        )
    return table


def _summary(agents: Agents, audits: list[StateAudit], beliefs: list[Belief]) -> Audit:
    slopes = []
    for b, a in zip(beliefs, audits, strict=True):
        joint = joint_actions(b.available) if a.exact else np.array([b.greedy, a.best])
        slopes.append(b.least_slope(joint))
    known = [s for s in slopes if s is not None]
    errors = [
        (a.q_tot - a.payoff)[np.isfinite(a.q_tot)]
        for a in audits
        if a.q_tot is not None and a.payoff is not None
    ]
    error = np.concatenate(errors) if errors else None
    regrets = [a.regret for a in audits if a.regret is not None]
    return Audit(
        algorithm=agents.label,
        agents=agents.team.agents,
        states=audits,
        exact=all(a.exact for a in audits),
        violation_rate=float(np.mean([a.violation for a in audits])),
        gap=max(a.gap for a in audits),
        regret=max(regrets) if regrets else None,
        rmse=float(np.sqrt(np.mean(error**2))) if error is not None else None,
        max_error=float(np.abs(error).max()) if error is not None else None,
        least_slope=min(known) if known else None,
        claim=agents.claim,
        q_tot_label=agents.q_tot_label,
    )
