"""What single methods promise beyond the rest: the forms of their papers, layer by layer.

A check here is of all classes that derive from the method it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.agents import (
    Agents,
    COMAAgents,
    IQLAgents,
    QattenAgents,
    QMIXAgents,
    QPLEXAgents,
    QTRANAltAgents,
    QTRANBaseAgents,
    VDNAgents,
)
from vdtoolkit.agents.qmix import MIXERS, MonotonicMixer, UniversalMixer
from vdtoolkit.agents.qtran import CounterfactualNet, JointNet
from vdtoolkit.batch import View
from vdtoolkit.certify.check import ONLY, Facts, NotPromised, check
from vdtoolkit.certify.learning import leaf, spoken
from vdtoolkit.certify.search import search
from vdtoolkit.certify.subject import (
    Moment,
    Subject,
    greedy_action,
    joint_actions,
    q_table,
    some_actions,
    taught,
    team_of,
)
from vdtoolkit.envs import two_step_v0
from vdtoolkit.networks import Utilities

CLOSE = 1e-9


def only_for(subject: Subject, *kinds: type[Agents]) -> None:
    """Refuse methods that do not derive from these."""
    if not isinstance(subject.promised, kinds):
        raise NotPromised(f"{ONLY}{' and '.join(kind.label for kind in kinds)} alone")


def spread(here: Moment, rows: int) -> tuple[Utilities, View]:
    """One moment repeated for so many joint actions."""
    view = View(*(x.expand(rows, *x.shape) for x in vars(here.view).values()))
    return Utilities(*(x.expand(rows, *x.shape) for x in (here.qs, here.hidden))), view


def shown(agents: Agents, here: Moment, actions: Tensor) -> dict[str, Tensor]:
    """`evidence` of these joint actions [M, N] at one moment."""
    said, view = spread(here, len(actions))
    with torch.no_grad():
        return agents.evidence(agents.online, said, actions, view)


@check("vdn-sum", "VDN, IQL: Q_tot is the sum of the living agents' utilities")
def vdn_sum(subject: Subject) -> Facts:
    """One agent after another."""
    only_for(subject, VDNAgents, IQLAgents)
    yield from search(subject, no_sum)


def no_sum(agents: Agents, here: Moment) -> str:
    """Where Q_tot is no sum."""
    for u in some_actions(*here.qs.shape):
        q = sum(float(here.qs[i, a]) for i, a in enumerate(u.tolist()) if here.view.alive[i])
        if said := off(agents, here, u, q):
            return said
    return ""


def off(agents: Agents, here: Moment, u: Tensor, expected: Tensor | float) -> str:
    """Whether Q_tot of u [N] is another number than the formula's."""
    with torch.no_grad():
        said, q = float(q_table(agents, agents.online, here, u[None])[0]), float(expected)
    if abs(q - said) <= 1e-7 * (1 + abs(q)):
        return ""
    return f"{agents.q_tot_label} of {u.tolist()} is {said:.6g}, the formula says {q:.6g}"


@check(
    "qmix-mixing",
    "QMIX: Q_tot = |W2(s)| ELU(|W1(s)| Q + b1(s)) + V(s), or the three layers of 'split', "
    "with 0 for the dead",
)
def qmix_mixing(subject: Subject) -> Facts:
    """By its own hypernetworks, unit by unit; of half as many draws each."""
    only_for(subject, QMIXAgents)
    if not isinstance(monotonic(subject.promised), MonotonicMixer | UniversalMixer):
        raise NotPromised("its mixer is its own")
    for word in MIXERS:
        most = max(subject.draws // 2, 5)
        yield from search(subject, not_mixed, most, mixer_activation=word)


def monotonic(agents: Agents) -> nn.Module:
    """The mixer of QMIX, which CW-QMIX and OW-QMIX keep beside Q*."""
    return getattr(agents.online.mixer, "monotonic", agents.online.mixer)


def not_mixed(agents: Agents, here: Moment) -> str:
    """Where Q_tot is not the formula's."""
    mixer: Any = monotonic(agents)
    s, N = here.view.state, len(here.qs)
    x = [here.qs[i, 0] if here.view.alive[i] else torch.zeros(()) for i in range(N)]
    with torch.no_grad():
        if isinstance(mixer, MonotonicMixer):
            q = elu_mixed(mixer, s, x, torch.abs)
        else:
            *inner, last = (layer(s).abs() for layer in mixer.w)
            for w, b in zip(inner, (layer(s) for layer in mixer.b), strict=True):
                D = len(b)
                raw = [weighed(x, w.view(-1, D)[:, d]) + b[d] for d in range(D)]
                x = [F.elu(r) if d < D // 2 else -F.elu(-r) for d, r in enumerate(raw)]
            q = weighed(x, last) + mixer.v(s)[0]
    return off(agents, here, torch.zeros(N, dtype=torch.int64), q)


def elu_mixed(mixer: Any, s: Tensor, x: list[Tensor], signed: Callable[[Tensor], Tensor]) -> Tensor:
    """W2 ELU(W1 x + b1) + V, unit by unit; signed: what becomes of W1 and W2."""
    w1, b1, w2 = signed(mixer.w1(s)).view(len(x), -1), mixer.b1(s), signed(mixer.w2(s))
    parts = [w2[d] * F.elu(weighed(x, w1[:, d]) + b1[d]) for d in range(len(b1))]
    return torch.stack(parts).sum() + mixer.v(s)[0]


def weighed(x: list[Tensor], w: Tensor) -> Tensor:
    """sum_k w_k x_k."""
    return (torch.stack(x) * w).sum()


@check(
    "qplex-dueling",
    "QPLEX: w and lambda are above 0, no advantage is, and Q_tot is "
    "sum_i V'_i + sum_i lambda_i A'_i",
)
def qplex_dueling(subject: Subject) -> Facts:
    """At random weights, every joint action; what V'_i is, from Q_tot at the greedy one."""
    only_for(subject, QPLEXAgents)
    yield from search(subject, not_dueling)


def not_dueling(agents: Agents, here: Moment) -> str:
    """What of the duplex form does not hold."""
    N, A = here.qs.shape
    actions = joint_actions(N, A)
    possible = actions[here.view.available[torch.arange(N), actions].all(-1)]
    told = shown(agents, here, possible)
    for name, least in (("w(s)", told["w(s)"].min()), ("lambda", told["lambda"].min())):
        if least <= 0:
            return f"{name} is {float(least):.4g}, not above 0"
    if (highest := told["A'"].max()) > CLOSE:
        return f"an advantage is {float(highest):.4g}, above 0"
    best = greedy_action(agents, agents.online, here)
    with torch.no_grad():
        table = q_table(agents, agents.online, here, possible)
        top = q_table(agents, agents.online, here, best[None])[0]
    far = (table - top - (told["lambda"] * told["A'"]).sum(-1)).abs()
    if (far > CLOSE * (1 + table.abs() + top.abs())).any():
        return f"Q_tot is off by {float(far.max()):.4g} from sum V' + sum lambda A'"
    return ""


@check(
    "qplex-gradient",
    "QPLEX: utilities learn through sum_i Q'_i alone, dQ_tot/dQ_i(u_i) = w_i; "
    "advantages and V_i carry no gradient",
)
def qplex_gradient(subject: Subject) -> Facts:
    """Slopes at random weights."""
    only_for(subject, QPLEXAgents)
    yield from search(subject, other_slopes)


def other_slopes(agents: Agents, here: Moment) -> str:
    """A slope that is not w_i."""
    N, A = here.qs.shape
    for u in some_actions(N, A, 8):
        qs = here.qs.clone().requires_grad_()
        q = q_table(agents, agents.online, Moment(qs, here.hidden, here.view), u[None])[0]
        (slopes,) = torch.autograd.grad(q, qs)
        w = shown(agents, here, u[None])["w(s)"][0]
        expected = torch.zeros_like(slopes)
        expected[torch.arange(N), u] = torch.where(here.view.alive, w, 0.0)
        far = (slopes - expected).abs()
        if far.max() > CLOSE * (1 + w.abs().max()):
            i = int(far.max(-1).values.argmax())
            return (
                f"the slope in Q_{i} at {u.tolist()} is {float(slopes[i].sum()):.4g}, "
                f"w_{i} is {float(w[i]):.4g}"
            )
    return ""


@check(
    "qatten-attention",
    "Qatten: attention is softmax over living agents of k_i . q / sqrt(d), "
    "head weights are |w_h(s)|, or 1 each, Q_tot = c(s) + sum_h w_h sum_i lambda_ih Q_i",
)
def qatten_attention(subject: Subject) -> Facts:
    """By its own query and key layers, agent by agent."""
    only_for(subject, QattenAgents)
    yield from search(subject, not_attention)


def not_attention(agents: Agents, here: Moment) -> str:
    """What of the attention form does not hold."""
    assert isinstance(agents, QattenAgents)
    mixer, alive = agents.online.mixer, here.view.alive
    N = len(alive)
    u = torch.zeros(1, N, dtype=torch.int64)
    told = shown(agents, here, u)
    if not alive.any():
        return ""
    with torch.no_grad():
        query = mixer.query(here.view.state)  # [H, D]
        units = agents.units(here.view)
        own = torch.where(alive, here.qs[:, 0], 0.0)
        logits = (
            torch.stack(
                [
                    (mixer.key(inputs(agents, units[i], own[i])).view(query.shape) * query).sum(-1)
                    for i in range(N)
                ],
                -1,
            )
            / query.shape[-1] ** 0.5
        )  # [H, N]
        powers = torch.where(alive, (logits - logits.max()).exp(), 0.0)
        expected = torch.where(
            powers.sum(-1, keepdim=True) > 1e-200,
            powers / powers.sum(-1, keepdim=True),
            told["attention"][0],
        )
        far = float((told["attention"][0] - expected).abs().max())
        if far > 1e-7:
            return f"attention is off by {far:.4g}"
        heads = mixer.head_weights
        w = torch.ones(len(query)) if heads is None else heads(here.view.state).abs()
        off_by = (told["head weights"][0] - w).abs()
        if (off_by > CLOSE * (1 + w)).any():
            h = int(off_by.argmax())
            return (
                f"a head weight is {float(told['head weights'][0, h]):.4g}, not {float(w[h]):.4g}"
            )
        q = told["c(s)"][0] + (w.unsqueeze(-1) * expected * own).sum()
    return off(agents, here, u[0], q)


def inputs(agents: Agents, unit: Tensor, q: Tensor) -> Tensor:
    """What a key is made of."""
    return torch.cat([unit, q[None]]) if agents.config.nonlinear else unit


@check(
    "qtran-joint",
    "QTRAN: Q_jt is of the sum over living agents of what is encoded of (h_i, u_i) (base); each "
    "agent's row of its own h_i and of the others' (h_j, u_j) (alt)",
)
def qtran_joint(subject: Subject) -> Facts:
    """By its own layers, agent by agent."""
    only_for(subject, QTRANBaseAgents)
    if not isinstance(subject.promised.online.mixer, JointNet | CounterfactualNet):
        raise NotPromised("its joint network is its own")
    yield from search(subject, not_joint)


def not_joint(agents: Agents, here: Moment) -> str:
    """Where Q_jt is not the formula's."""
    mixer: Any = agents.online.mixer
    N, A = here.qs.shape
    living = [i for i in range(N) if here.view.alive[i]]
    state = [here.view.state] if mixer.joint_state else []
    if not living:
        return ""
    for u in some_actions(N, A, 4):
        with torch.no_grad():
            pair = [torch.cat([here.hidden[i], torch.eye(A).double()[u[i]]]) for i in range(N)]
            if isinstance(mixer, JointNet):
                team = torch.stack([mixer.encode(pair[i]) for i in living]).sum(0)
                q = mixer.out(torch.cat([team, *state]))[0]
            else:
                rows = []
                for i in living:
                    of = [mixer.own(here.hidden[i])]
                    of += [mixer.other(pair[j]) for j in living if j != i]
                    told = [torch.stack(of).sum(0), torch.eye(N).double()[i], *state]
                    rows.append(mixer.out(torch.cat(told))[u[i]])
                q = torch.stack(rows).mean()
        if said := off(agents, here, u, q):
            return said
    return ""


@check(
    "qtran-routing", "QTRAN: L_opt and L_nopt teach the utilities and V_jt, and leave Q_jt alone"
)
def qtran_routing(subject: Subject) -> Facts:
    """The gradient of Q_jt's own layers does not depend on lambda_opt and lambda_nopt."""
    only_for(subject, QTRANBaseAgents)
    for seed in range(3):
        grads = []
        for weight in (0.0, 3.0):
            agents = subject.pair(seed, lambda_opt=weight, lambda_nopt=weight)
            with torch.no_grad():
                for p in agents.online.parameters():
                    p.mul_(2.0)  # so that conditions are violated
            grads.append(taught(agents, subject.batch(seed)))
        for name in grads[0]:
            if name.startswith("mixer.") and not name.startswith("mixer.value."):
                far = float((grads[0][name] - grads[1][name]).abs().max())
                if far > CLOSE:
                    yield f"{name} gets {far:.4g} of L_opt and L_nopt"
        head = next(name for name in grads[0] if name.endswith("head.weight"))
        if torch.equal(grads[0][head], grads[1][head]):
            yield "utilities get nothing of L_opt and L_nopt"


@check(
    "qtran-conditions",
    "QTRAN: where utilities meet (4a) and (4b), or (7), with Q_jt the losses "
    "of the conditions are 0; one violation by e costs e^2 there and only there (base)",
)
def qtran_conditions(subject: Subject) -> Facts:
    """Utilities set by hand, Q_jt and V_jt put in the place of the networks."""
    only_for(subject, QTRANBaseAgents)
    alt = isinstance(subject.promised, QTRANAltAgents)
    # two agents, three actions: QTRAN's game and utilities of its solution sets, V = 0
    payoff = torch.tensor([[8.0, -12, -12], [-12, 0, 0], [-12, 0, 0]], dtype=torch.float64)
    own = torch.tensor(
        [[4.7, -0.1, -0.1], [3.3, 0.1, 0.1]] if alt else [[4.0, 2.0, 2.0], [4.0, 2.0, 2.0]],
        dtype=torch.float64,
    )
    for e in (0.0, 0.5):
        table = payoff.clone()
        table[2, 1] += 4.0 * (not alt) + e  # base: Q'(C, B) is 4, so that e is what (4b) lacks
        for u in joint_actions(2, 3):
            opt, nopt = conditions(subject, own, table, u, alt)
            expected = e**2 if tuple(u.tolist()) == (2, 1) else 0.0
            if abs(opt) > 1e-12:
                yield f"L_opt is {opt:.4g} at {u.tolist()}, where (4a) holds"
            if not alt and abs(nopt - expected) > 1e-12:
                yield f"L_nopt is {nopt:.4g} at {u.tolist()}, not {expected}"
            if alt and e == 0 and abs(nopt) > 1e-12:
                yield f"L_nopt-min is {nopt:.4g} at {u.tolist()}, where (7) holds"


def conditions(
    subject: Subject, own: Tensor, table: Tensor, u: Tensor, alt: bool
) -> tuple[float, float]:
    """L_opt and L_nopt of one move with these utilities [2, 3] and this Q_jt [3, 3]."""
    agents = subject.agents(team=team_of(2, 3, 2, 1))
    assert isinstance(agents, QTRANBaseAgents)

    def q_jt(nets: object, said: object, actions: Tensor, view: object) -> Tensor:
        return table[actions[..., 0], actions[..., 1]]

    def every(nets: object, said: object, actions: Tensor, view: object) -> Tensor:
        a, b = actions[..., 0], actions[..., 1]
        return torch.stack([table[:, b].movedim(0, -1), table[a]], -2)

    for name, instead in (
        ("q_tot", q_jt),
        ("counterfactual", every),
        ("v_jt", lambda nets, said, view: torch.zeros(1, 1, dtype=torch.float64)),
    ):
        object.__setattr__(agents, name, instead)
    view = View(
        torch.zeros(1, 1, 2, 2),
        torch.zeros(1, 1, 1),
        torch.ones(1, 1, 2, 3, dtype=torch.bool),
        torch.ones(1, 1, 2, dtype=torch.bool),
    )
    here = Utilities(own[None, None], torch.zeros(1, 1, 2, 8))
    at = u[None, None]
    said = every(None, None, at, None) if alt else q_jt(None, None, at, None)
    valid = torch.ones(1, 1, 2, dtype=torch.bool) if alt else torch.ones(1, 1, dtype=torch.bool)
    opt, nopt = agents.condition_losses(here, at, view, said, valid)
    return float(opt), float(nopt)


@check(
    "coma-policy",
    "COMA: the policy is a distribution over available actions, none of which has "
    "less than epsilon / their number; its own advantage is 0 on average",
)
def coma_policy(subject: Subject) -> Facts:
    """At random weights."""
    only_for(subject, COMAAgents)
    yield from search(subject, no_policy)


def no_policy(agents: Agents, here: Moment) -> str:
    """What is wrong with the policy, or with the baseline."""
    N, A = here.qs.shape
    available = here.view.available
    told = shown(agents, here, torch.zeros(1, N, dtype=torch.int64))
    pi = told["policy"][0]
    if (pi.sum(-1) - 1).abs().max() > 1e-6:
        return f"probabilities add up to {pi.sum(-1).tolist()}"
    if (pi * ~available).max() > 0:
        return f"an unavailable action has probability {float((pi * ~available).max()):.4g}"
    floor = agents.epsilon() / available.sum(-1, keepdim=True)
    if ((pi < floor - 1e-6) & available).any():
        return f"an available action has less than epsilon / {available.sum(-1).tolist()}"
    for i in range(N):
        u = torch.zeros(A, N, dtype=torch.int64)
        u[:, i] = torch.arange(A)
        expected = (pi[i] * shown(agents, here, u)["advantage"][:, i]).sum()
        if here.view.alive[i] and expected.abs() > 1e-4:
            return f"agent {i}'s advantage is {float(expected):.4g} on average, not 0"
    return ""


@check(
    "coma-critic",
    "COMA: the critic's row of agent i does not depend on what i did, and the "
    "actor's loss teaches the critic nothing, nor the critic's the actor",
)
def coma_critic(subject: Subject) -> Facts:
    """At random weights; by gradients of both parts of the loss."""
    only_for(subject, COMAAgents)
    yield from search(subject, counts_own_action)
    agents, batch = subject.pair(), subject.batch()
    with spoken(agents.online, leaf):
        _, parts = agents.loss(batch)
    agents.online.zero_grad(set_to_none=True)
    _, parts = agents.loss(batch)
    critic = [p for n, p in agents.online.named_parameters() if n.startswith("mixer")]
    actor = [p for n, p in agents.online.named_parameters() if n.startswith("agent")]
    for name, wrong in (("l_actor", critic), ("l_critic", actor)):
        found = torch.autograd.grad(parts[name], wrong, retain_graph=True, allow_unused=True)
        if any(g is not None and g.abs().max() > 0 for g in found):
            yield f"{name} reaches the other's parameters"


def counts_own_action(agents: Agents, here: Moment) -> str:
    """Whether Q(s, (u_-i, .)) changes with u_i."""
    assert isinstance(agents, COMAAgents)
    N, A = here.qs.shape
    for i in range(N):
        u = torch.zeros(A, N, dtype=torch.int64)
        u[:, i] = torch.arange(A)
        _, view = spread(here, A)
        with torch.no_grad():
            rows = agents.counterfactual(agents.online, u, view)[:, i]  # [A, A]
        far = (rows - rows[0]).abs().max()
        if far > CLOSE * (1 + rows.abs().max()):
            return f"the row of agent {i} changes by {float(far):.4g} with its own action"
    return ""


FALLING: dict[str, Any] = {"epsilon_start": 0.5, "epsilon_end": 0.1, "epsilon_steps": 20}


@check(
    "on-policy",
    "COMA: each episode teaches once, and only if the present policy played it; epsilon, a part of "
    "that policy, falls with it",
)
def on_policy(subject: Subject) -> Facts:
    """Episodes of the two-step game are played, learned from, played again."""
    only_for(subject, COMAAgents)
    settings = {**subject.settings, "hidden_dim": 8, "batch_size": 2, "buffer_size": 50, **FALLING}
    env = two_step_v0.parallel_env()
    agents = subject.cls(env, seed=subject.seed, **settings)
    learned, shares = [], []
    for _ in range(6):
        observations, infos = env.reset()
        while env.agents:
            shares.append(round(agents.epsilon(), 9))
            actions = agents.act(observations, infos, env.state())
            observations, rewards, ended, cut, infos = env.step(actions)
            agents.observe(observations, rewards, ended, cut, infos, state=env.state())
        shares.append(round(agents.epsilon(), 9))
        learned.append(bool(agents.learn()) + bool(agents.learn()))
    if learned != [0, 1, 0, 1, 0, 1]:
        yield f"gradient steps after each of six episodes are {learned}, not one every two"
    if shares != [share for share in (0.5, 0.42, 0.34) for _ in range(6)]:
        yield f"epsilon is {shares}, moment by moment, where 20 moves take it from 0.5 to 0.1"
