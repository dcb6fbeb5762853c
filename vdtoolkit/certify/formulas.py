"""The loss of each method once more, move by move in plain loops, without what it is made of.

Nothing here calls `bootstrap`, `targets`, `td_lambda_targets`, `greedy`, `masked_mean` or an
unroll over moments: every episode is cut to its own length, agents' networks are run as in acting,
one moment after another, greedy actions are looked for among all.  What is taken from the method
is its Q_tot at one joint action of one moment, which `vdtoolkit.certify.mixing` looks at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vdtoolkit.agents import (
    Agents,
    COMAAgents,
    CWQMIXAgents,
    HystereticIQLAgents,
    IQLAgents,
    LenientIQLAgents,
    NonMonotonicQMIXAgents,
    OWQMIXAgents,
    QattenAgents,
    QTRANAltAgents,
    QTRANBaseAgents,
    ValueAgents,
)
from vdtoolkit.agents.base import Networks
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.certify.subject import joint_actions
from vdtoolkit.networks import AgentNet, Utilities


@dataclass(frozen=True)
class Episode:
    """One episode, without padding."""

    view: View  # [L+1, ...]
    actions: Tensor  # [L, N]
    reward: list[float]
    terminated: bool
    mixes: Tensor  # [L+1, N] bool: whose utilities count
    note: Tensor | None  # [L, N] what was noted beside each move

    def __len__(self) -> int:
        return len(self.reward)


@dataclass(frozen=True)
class Said:
    """What one copy of the networks says over one episode: qs [L+1, N, A], hidden [L+1, N, H]."""

    nets: Networks
    qs: Tensor
    hidden: Tensor


def episodes(agents: Agents, batch: EpisodeBatch) -> Iterator[Episode]:
    """Each of the batch."""
    for b, n in enumerate(batch.valid.sum(1).tolist()):
        view = batch.view[b, : n + 1]
        alive = view.alive if agents.config.dead == "zero" else view.alive | True
        ended = bool(batch.terminated[b, n - 1])
        note = None if batch.note is None else batch.note[b, :n]
        yield Episode(view, batch.actions[b, :n], batch.reward[b, :n].tolist(), ended, alive, note)


def stepwise(net: AgentNet, episode: Episode) -> tuple[Tensor, Tensor]:
    """Utilities [L+1, N, A] and memories [L+1, N, H], one moment after another as in acting."""
    obs = episode.view.obs
    carry = obs.new_zeros(1, obs.shape[1], net.hidden_dim)
    last = episode.actions.new_full((1, 1, obs.shape[1]), -1)
    qs, hidden = [], []
    for t in range(len(obs)):
        said, carry = net(obs[t][None, None], last, carry)
        qs.append(said.qs[0, 0])
        hidden.append(said.hidden[0, 0])
        if t < len(episode):
            last = episode.actions[t][None, None]
    return torch.stack(qs), torch.stack(hidden)


def said_by(agents: Agents, nets: Networks, episode: Episode) -> Said:
    """Of the agents' network; beside it, where a method has one, the central network's."""
    qs, hidden = stepwise(nets.agent, episode)
    if isinstance(agents, OWQMIXAgents):
        hidden = stepwise(nets.mixer.central.agent, episode)[0]
    elif type(agents).utilities_of is not Agents.utilities_of:
        said = agents.utilities_of(nets, episode.view.obs[None], episode.actions[None])
        qs, hidden = said.qs[0], said.hidden[0]
    return Said(nets, qs, hidden)


# (agents, networks' words, episode, moment, joint action [N]) -> a number, or one an agent [N]
Value = Callable[[Agents, Said, Episode, int, Tensor], Tensor]


def q_tot(agents: Agents, said: Said, episode: Episode, t: int, u: Tensor) -> Tensor:
    """Q_tot of one joint action at one moment."""
    view = View(*(x[t][None] for x in vars(episode.view).values()))
    here = Utilities(said.qs[t][None], said.hidden[t][None])
    return agents.q_tot(said.nets, here, u[None], agents.see(said.nets, view))[0]


def own_q(agents: Agents, said: Said, episode: Episode, t: int, u: Tensor) -> Tensor:
    """Q_i(u_i) of every agent."""
    return torch.stack([said.qs[t, i, a] for i, a in enumerate(u.tolist())])


def q_star(agents: Any, said: Said, episode: Episode, t: int, u: Tensor) -> Tensor:
    """The central Q* = MLP([s; Qc]) + V(s) of CW-QMIX and OW-QMIX."""
    central, state = said.nets.mixer.central, episode.view.state[t]
    own = torch.stack(
        [
            said.hidden[t, i, a] if episode.mixes[t, i] else said.hidden.new_zeros(())
            for i, a in enumerate(u.tolist())
        ]
    )
    return (central.out(torch.cat([state, own])) + central.v(state))[0]


def each_q_jt(agents: Any, said: Said, episode: Episode, t: int, u: Tensor) -> Tensor:
    """QTRAN-alt: every living agent's Q_jt(u); the living answer for the dead."""
    table = counterfactuals(agents, said, episode, t, u)
    own = torch.stack([table[i, a] for i, a in enumerate(u.tolist())])
    living = [own[i] for i in range(len(own)) if episode.mixes[t, i]]
    mean = torch.stack(living).mean() if living else own.new_zeros(())
    return torch.stack([own[i] if episode.mixes[t, i] else mean for i in range(len(own))])


def counterfactuals(agents: Any, said: Said, episode: Episode, t: int, u: Tensor) -> Tensor:
    """Q_jt(a, u_-i) [N, A] of QTRAN-alt, each entry by a joint action of its own."""
    view = View(*(x[t][None] for x in vars(episode.view).values()))
    seen = agents.see(said.nets, view)
    rows = []
    for i in range(len(u)):
        row = []
        for a in range(said.qs.shape[-1]):
            other = u.clone()
            other[i] = a
            row.append(
                said.nets.mixer(
                    said.hidden[t][None], other[None], seen.state, episode.mixes[t][None]
                )[0, i, a]
            )
        rows.append(torch.stack(row))
    return torch.stack(rows)


def best(agents: Agents, said: Said, episode: Episode, t: int) -> Tensor:
    """The greedy joint action [N]: of utilities, or of the joint table where agents choose so."""
    available = episode.view.available[t]
    N, A = available.shape
    qs = said.qs[t].detach()
    if type(agents).preferences is Agents.preferences:
        return torch.tensor(
            [
                max((a for a in range(A) if available[i, a]), key=lambda a: float(qs[i, a]))
                for i in range(N)
            ]
        )
    possible = [
        u
        for u in joint_actions(N, A)
        if all(bool(available[i, a]) for i, a in enumerate(u.tolist()))
    ]
    return max(possible, key=lambda u: float(q_tot(agents, said, episode, t, u).detach()))


def returns(reward: list[float], after: list[Any], ended: bool, gamma: float, lam: float) -> list:
    """TD(lambda) of one episode, by definition: the mixture of all n-step returns.

    G_t = (1 - lam) sum_n lam^(n-1) G_t^(n), the last of them with all the weight that is left;
    after[t]: the value after move t.
    """
    L, out = len(reward), []
    for t in range(L):
        total: Any = 0.0
        for n in range(1, L - t + 1):
            last = t + n == L
            value = after[t + n - 1] * (0.0 if last and ended else 1.0)
            rewards = sum(gamma**k * reward[t + k] for k in range(n))
            weight = lam ** (n - 1) * (1.0 if last else 1 - lam)
            total = total + weight * (rewards + gamma**n * value)
        out.append(total)
    return out


def targets(
    agents: Agents, episode: Episode, online: Said, target: Said, value: Value
) -> list[Any]:
    """y of every move."""
    c = agents.config
    picker = online if c.double_q else target
    after = []
    for t in range(1, len(episode) + 1):
        u = best(agents, picker, episode, t)
        after.append(value(agents, target, episode, t, u))
    return returns(episode.reward, after, episode.terminated, c.gamma, c.td_lambda)


def words(agents: Agents, episode: Episode) -> tuple[Said, Said]:
    """Of the networks that learn, with gradient, and of the target, without."""
    with torch.no_grad():
        target = said_by(agents, agents.target, episode)
    return said_by(agents, agents.online, episode), target


def mean(terms: list[Tensor]) -> Tensor:
    """Over all that counts."""
    return torch.stack(terms).mean()


def value_loss(agents: Agents, batch: EpisodeBatch) -> Tensor:
    """Mean over moves of (Q_tot(u) - y)^2."""
    terms = []
    for e in episodes(agents, batch):
        online, target = words(agents, e)
        with torch.no_grad():
            y = targets(agents, e, online, target, q_tot)
        for t in range(len(e)):
            terms.append((q_tot(agents, online, e, t, e.actions[t]) - y[t]).square())
    return mean(terms)


def sarsa_loss(agents: Any, batch: EpisodeBatch) -> Tensor:
    """Mean over moves of (Q_tot(u) - y)^2, y by Q_tot^- at the next move, else the greedy."""
    terms, c = [], agents.config
    for e in episodes(agents, batch):
        online, target = words(agents, e)
        with torch.no_grad():
            after = []
            for t in range(1, len(e) + 1):
                follows = c.sarsa and t < len(e)
                u = (
                    e.actions[t]
                    if follows
                    else best(agents, online if c.double_q else target, e, t)
                )
                after.append(q_tot(agents, target, e, t, u))
            y = returns(e.reward, after, e.terminated, c.gamma, c.td_lambda)
        for t in range(len(e)):
            terms.append((q_tot(agents, online, e, t, e.actions[t]) - y[t]).square())
    return mean(terms)


def qatten_loss(agents: Any, batch: EpisodeBatch) -> Tensor:
    """The TD loss + attention_reg sum_h mean over moves and living agents of (k_i . q)^2."""
    mixer, logits = agents.online.mixer, []
    for e in episodes(agents, batch):
        for t in range(len(e)):
            query = mixer.query(e.view.state[t])  # [H, D]
            units = agents.units(e.view[t])
            for i in range(len(units)):
                if e.mixes[t, i]:
                    unit = units[i]
                    if agents.config.nonlinear:  # the regulariser is of the units alone
                        unit = torch.cat([unit, unit.new_zeros(1)])
                    key = mixer.key(unit).view(query.shape)
                    logits.append((key * query).sum(-1).square().sum())
    return value_loss(agents, batch) + agents.config.attention_reg * mean(logits)


def independent_loss(agents: Any, batch: EpisodeBatch) -> Tensor:
    """Mean over moves and living agents of w (Q_i(u_i) - y_i)^2; an agent's end is its death."""
    terms = []
    for e in episodes(agents, batch):
        online, target = words(agents, e)
        for i in range(e.actions.shape[1]):
            moves = int(e.mixes[:-1, i].sum())  # the dead do not come back
            if moves == 0:
                continue
            ended = not bool(e.mixes[moves, i]) or (e.terminated and moves == len(e))
            c = agents.config
            with torch.no_grad():
                after = []
                for t in range(1, moves + 1):
                    u = best(agents, online if c.double_q else target, e, t)
                    after.append(target.qs[t, i, int(u[i])])
                y = returns(e.reward[:moves], after, ended, c.gamma, c.td_lambda)
            for t in range(moves):
                q = online.qs[t, i, int(e.actions[t, i])]
                counts = forgiving(agents, e, t, i) if q.detach() > y[t] else 1.0
                terms.append(counts * (q - y[t]).square())
    return mean(terms)


def forgiving(agents: Any, e: Episode, t: int, i: int) -> float:
    """What an independent learner's error counts where the target lies below Q_i."""
    if isinstance(agents, HystereticIQLAgents):
        return agents.config.beta
    if isinstance(agents, LenientIQLAgents):
        if e.note is not None:
            return 1.0 - float(e.note[t, i])
        return math.exp(-agents.config.moderation * agents.config.temperature)  # nothing cooled yet
    return 1.0


def weighted_loss(agents: Any, batch: EpisodeBatch) -> Tensor:
    """Mean over moves of (Q* - y)^2 + w (Q_tot - y)^2; w by the kind of the method."""
    terms = []
    for e in episodes(agents, batch):
        online, target = words(agents, e)
        with torch.no_grad():
            y = targets(agents, e, online, target, q_star)
        for t in range(len(e)):
            q = q_tot(agents, online, e, t, e.actions[t])
            central = q_star(agents, online, e, t, e.actions[t])
            if isinstance(agents, CWQMIXAgents):
                u = best(agents, online, e, t)
                is_greedy = all(
                    int(a) == int(b)
                    for a, b, counts in zip(u, e.actions[t], e.mixes[t], strict=True)
                    if counts
                )
                at_greedy = q_star(agents, target, e, t, u)
                full = is_greedy or bool(y[t] > at_greedy.detach())
            else:
                full = bool(q.detach() < y[t])
            w = 1.0 if full else agents.config.alpha
            terms.append((central - y[t]).square() + w * (q - y[t]).square())
    return mean(terms)


def sum_of_living(said: Said, episode: Episode, t: int, u: Tensor) -> Tensor:
    """Q'_jt = sum of Q_i(u_i)."""
    parts = [said.qs[t, i, a] for i, a in enumerate(u.tolist()) if episode.mixes[t, i]]
    return torch.stack(parts).sum() if parts else said.qs.new_zeros(())


def v_jt(agents: Any, said: Said, episode: Episode, t: int) -> Tensor:
    """V_jt at one moment."""
    view = agents.see(said.nets, View(*(x[t][None] for x in vars(episode.view).values())))
    return said.nets.mixer.value(said.hidden[t][None], view.state, episode.mixes[t][None])[0]


def qtran_base_loss(agents: Any, batch: EpisodeBatch) -> Tensor:
    """L_td + lambda_opt L_opt (4a) + lambda_nopt L_nopt (4b)."""
    td, opt, nopt = [], [], []
    for e in episodes(agents, batch):
        online, target = words(agents, e)
        with torch.no_grad():
            y = targets(agents, e, online, target, q_tot)
        for t in range(len(e)):
            u, greedy = e.actions[t], best(agents, online, e, t)
            v, q = v_jt(agents, online, e, t), q_tot(agents, online, e, t, u)
            td.append((q - y[t]).square())
            at_best = q_tot(agents, online, e, t, greedy).detach()
            opt.append((sum_of_living(online, e, t, greedy) - at_best + v).square())
            d = sum_of_living(online, e, t, u) - q.detach() + v
            nopt.append(d.square() if d.detach() < 0 else 0 * d)
    c = agents.config
    return mean(td) + c.lambda_opt * mean(opt) + c.lambda_nopt * mean(nopt)


def qtran_alt_loss(agents: Any, batch: EpisodeBatch) -> Tensor:
    """L_td + lambda_opt L_opt (4a) + lambda_nopt L_nopt-min (7), over living agents."""
    td, opt, nopt = [], [], []
    for e in episodes(agents, batch):
        online, target = words(agents, e)
        with torch.no_grad():
            y = targets(agents, e, online, target, each_q_jt)
        for t in range(len(e)):
            u, greedy = e.actions[t], best(agents, online, e, t)
            v = v_jt(agents, online, e, t)
            table = counterfactuals(agents, online, e, t, u)
            at_best = each_q_jt(agents, online, e, t, greedy).detach()
            for i in range(len(u)):
                if not e.mixes[t, i]:
                    continue
                td.append((table[i, int(u[i])] - y[t][i]).square())
                opt.append((sum_of_living(online, e, t, greedy) - at_best[i] + v).square())
                least = []
                for a in range(table.shape[1]):
                    if e.view.available[t, i, a]:
                        other = u.clone()
                        other[i] = a
                        q = table[i, a].detach()
                        least.append(sum_of_living(online, e, t, other) - q + v)
                nopt.append(torch.stack(least).min().square())
    c = agents.config
    return mean(td) + c.lambda_opt * mean(opt) + c.lambda_nopt * mean(nopt)


def policy(agents: Any, logits: Tensor, available: Tensor) -> Tensor:
    """(1 - eps) softmax over available actions + eps / their number: [A]."""
    own = [a for a in range(len(logits)) if available[a]]
    soft = F.softmax(torch.stack([logits[a] for a in own]), 0)
    eps = agents.epsilon()
    pi: list[Tensor] = [logits.new_zeros(())] * len(logits)
    for k, a in enumerate(own):
        pi[a] = (1 - eps) * soft[k] + eps / len(own)
    return torch.stack(pi)


def critic(agents: Any, nets: Networks, e: Episode, t: int, u: Tensor, i: int) -> Tensor:
    """Q(s, (u_-i, .)) of agent i by the critic's own layers: [A]."""
    N, A = e.view.available.shape[1:]
    view = agents.see(nets, View(*(x[t][None] for x in vars(e.view).values())))
    others = torch.zeros(N, A, dtype=view.state.dtype)
    for j in range(N):
        if j != i and e.mixes[t, j]:
            others[j, int(u[j])] = 1.0
    ids = torch.eye(N, dtype=view.state.dtype)[i]
    return nets.mixer.out(torch.cat([view.state[0], view.obs[0, i], others.flatten(), ids]))


def coma_loss(agents: Any, batch: EpisodeBatch) -> Tensor:
    """-mean A_i log pi_i(u_i) + mean (Q - G_i)^2 over moves and living agents.

    G_i bootstraps at what was done next; after a time limit at the one thing that is available
    there (`forced`), so that no dice have to be known.
    """
    actor, values, c = [], [], agents.config
    for e in episodes(agents, batch):
        logits, _ = stepwise(agents.online.agent, e)
        N = e.actions.shape[1]
        after = []
        with torch.no_grad():
            for t in range(1, len(e) + 1):
                u = e.actions[t] if t < len(e) else e.view.available[t].int().argmax(-1)
                each = [critic(agents, agents.target, e, t, u, i)[int(u[i])] for i in range(N)]
                living = [each[i] for i in range(N) if e.mixes[t, i]]
                team = torch.stack(living).mean() if living else torch.zeros(())
                after.append([each[i] if e.mixes[t, i] else team for i in range(N)])
        for i in range(N):
            g = returns(e.reward, [x[i] for x in after], e.terminated, c.gamma, c.td_lambda)
            for t in range(len(e)):
                if not e.mixes[t, i]:
                    continue
                u = e.actions[t]
                table, a = critic(agents, agents.online, e, t, u, i), int(u[i])
                pi = policy(agents, logits[t, i], e.view.available[t, i])
                advantage = table[a] - sum(pi[k] * table[k] for k in range(len(pi)))
                actor.append(advantage.detach() * pi[a].log())
                values.append((table[a] - g[t]).square())
    return mean(values) - mean(actor)


def forced(batch: EpisodeBatch) -> EpisodeBatch:
    """The batch with one thing left to do where a time limit cuts an episode off."""
    view = batch.view
    for b, n in enumerate(batch.valid.sum(1).tolist()):
        only = view.available[b, n].int().argmax(-1)
        view.available[b, n] = F.one_hot(only, view.available.shape[-1]).bool()
    return batch


Loss = Callable[[Any, EpisodeBatch], Tensor]

FORMULAS: dict[type[Agents], Loss] = {  # of the closest of a class's bases
    QTRANAltAgents: qtran_alt_loss,
    QTRANBaseAgents: qtran_base_loss,
    OWQMIXAgents: weighted_loss,
    NonMonotonicQMIXAgents: sarsa_loss,
    QattenAgents: qatten_loss,
    IQLAgents: independent_loss,
    COMAAgents: coma_loss,
    ValueAgents: value_loss,
}


def formula_of(cls: type[Agents]) -> Loss | None:
    """The loss that a class promises by what it derives from; None where none is known."""
    found = (FORMULAS[base] for base in cls.__mro__ if base in FORMULAS)
    return None if cls.own_loss else next(found, None)
