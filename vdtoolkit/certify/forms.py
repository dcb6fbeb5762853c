"""Forms of single methods, continued: what stands beside IGM, from each mixer's own layers.

`methods` has the others, and what these are made of.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from vdtoolkit.agents import (
    Agents,
    CWQMIXAgents,
    NonMonotonicQMIXAgents,
    OWQMIXAgents,
    QFIXAgents,
    QPLEXAgents,
    QTRANBaseAgents,
)
from vdtoolkit.agents.nonmonotonic_qmix import UnconstrainedMixer
from vdtoolkit.agents.qfix import FIXEES, QFIXMixer
from vdtoolkit.agents.qplex import QPLEXMixer
from vdtoolkit.agents.qtran import CounterfactualNet, JointNet
from vdtoolkit.certify.check import Facts, NotPromised, check
from vdtoolkit.certify.methods import CLOSE, elu_mixed, off, only_for, shown
from vdtoolkit.certify.search import Violates, search
from vdtoolkit.certify.subject import Moment, Subject, greedy_action, q_table, some_actions

ABOVE_ZERO = 1e-10
OWN_MIXER = "its mixer is its own"


def mixed_qs(qs: Tensor, here: Moment, u: Tensor) -> tuple[Tensor, Tensor]:
    """Q_i(u_i) and V_i, the best available, as they enter a mixer: [N] each, 0 of the dead."""
    own = torch.stack([qs[i, a] for i, a in enumerate(u.tolist())])
    best = torch.where(here.view.available, qs, -torch.inf).amax(-1)
    return torch.where(here.view.alive, own, 0.0), torch.where(here.view.alive, best, 0.0)


def seen_with(here: Moment, u: Tensor) -> Tensor:
    """[s; onehots of u], nothing of the dead."""
    N, A = here.qs.shape
    onehots = torch.zeros(N, A, dtype=here.qs.dtype)
    for i in range(N):
        onehots[i, u[i]] = float(here.view.alive[i])
    return torch.cat([here.view.state, onehots.flatten()])


def unlike(what: str, said: Tensor, expected: Tensor) -> str:
    """Where the evidence is another one than the formula's."""
    far = (said - expected).abs()
    if not (far > CLOSE * (1 + expected.abs())).any():
        return ""
    k = int(far.argmax())
    return f"{what} is {float(said.flatten()[k]):.6g}, not {float(expected.flatten()[k]):.6g}"


# -- QPLEX ----------------------------------------------------------------------------------


@check(
    "qplex-mixing",
    "QPLEX: w_i = |w(s)_i| + 1e-10, lambda_i = sum_k (|key_k(s)| + 1e-10) sigmoid(agents_k(s))_i "
    "sigmoid(actions_k(s, u))_i, Q_tot = sum_i w_i Q_i + b_i + (lambda_i - 1) w_i (Q_i - V_i)",
)
def qplex_mixing(subject: Subject) -> Facts:
    """By its own layers, agent by agent."""
    only_for(subject, QPLEXAgents)
    if not isinstance(subject.promised.online.mixer, QPLEXMixer):
        raise NotPromised(OWN_MIXER)
    yield from search(subject, not_duplex)


def not_duplex(agents: Agents, here: Moment) -> str:
    """Where lambda or Q_tot is not the formula's."""
    mixer, s = agents.online.mixer, here.view.state
    N, A = here.qs.shape
    for u in some_actions(N, A, 4):
        with torch.no_grad():
            own, best = mixed_qs(here.qs, here, u)
            keys, of_agents = mixer.key(s), mixer.agents(s)  # [K, 1], [K, N]
            of_actions, w = mixer.actions(seen_with(here, u)), mixer.w(s).abs() + ABOVE_ZERO
            lambdas = torch.zeros_like(own)
            for k in range(len(keys)):
                both = torch.sigmoid(of_agents[k]) * torch.sigmoid(of_actions[k])
                lambdas += (keys[k].abs() + ABOVE_ZERO) * both
            q = (w * own + mixer.b(s) + (lambdas - 1) * w * (own - best)).sum()
        told = shown(agents, here, u[None])
        said = unlike("lambda", told["lambda"][0], lambdas) or off(agents, here, u, q)
        if said:
            return said
    return ""


# -- QFIX -----------------------------------------------------------------------------------


@check(
    "qfix-fixing",
    "QFIX: w = |1 + w(s, u)| + 1e-10 and Q_tot = F(Q) + (w - 1) A + b(s), A = F(Q) - F(V), or, "
    "not additive, w A + b(s); F is the sum, QMIX's mixer, or the sum with a w for each agent",
)
def qfix_fixing(subject: Subject) -> Facts:
    """By its own layers, whatever is fixed, in both forms."""
    yield from search_fixees(subject, not_fixed)


@check(
    "qfix-gradient",
    "QFIX: utilities learn through F alone, dQ_tot/dQ_i(u_i) = dF/dQ_i, advantages carry no "
    "gradient; not additive, they learn through w A",
)
def qfix_gradient(subject: Subject) -> Facts:
    """Slopes at random weights, whatever is fixed, in both forms."""
    yield from search_fixees(subject, other_than_fixed)


def search_fixees(subject: Subject, violates: Violates) -> Facts:
    """One search for each form of QFIX, of a third as many draws as others."""
    only_for(subject, QFIXAgents)
    if not isinstance(subject.promised.online.mixer, QFIXMixer):
        raise NotPromised(OWN_MIXER)
    for fixee, additive in itertools.product(FIXEES, (True, False)):
        words = {"fixee": fixee, "additive": additive, "embed_dim": 4, "hyper_dim": 8}
        yield from search(subject, violates, max(subject.draws // 3, 5), **words)


def fixee_terms(mixer: QFIXMixer, s: Tensor, qs: Tensor) -> Tensor:
    """What F of utilities [N] is the sum of: [1], or for "lin" [N]."""
    if mixer.fixee == "mono":
        return elu_mixed(mixer.mono, s, list(qs), torch.abs)[None]
    return qs if mixer.fixee == "lin" else qs.sum()[None]


def fixing(mixer: QFIXMixer, here: Moment, u: Tensor) -> Tensor:
    """w(s, u) of each term."""
    with torch.no_grad():
        return (1 + mixer.w(seen_with(here, u))).abs() + ABOVE_ZERO


def not_fixed(agents: Agents, here: Moment) -> str:
    """Where w, A or Q_tot is not the formula's."""
    mixer, s = agents.online.mixer, here.view.state
    N, A = here.qs.shape
    for u in some_actions(N, A, 3):
        w, told = fixing(mixer, here, u), shown(agents, here, u[None])
        with torch.no_grad():
            own, best = mixed_qs(here.qs, here, u)
            f = fixee_terms(mixer, s, own)
            a = f - fixee_terms(mixer, s, best)
            q = (f + (w - 1) * a if mixer.additive else w * a).sum() + mixer.b(s)[0]
        said = unlike("w", told["w(s, u)"][0].view(-1), w) or unlike("A", told["A"][0].view(-1), a)
        if said := said or off(agents, here, u, q):
            return f"{said} ({form(mixer)})"
    return ""


def other_than_fixed(agents: Agents, here: Moment) -> str:
    """A slope that is not F's, or not that of w A."""
    mixer, s = agents.online.mixer, here.view.state
    N, A = here.qs.shape
    for u in some_actions(N, A, 3):
        qs = here.qs.clone().requires_grad_()
        q = q_table(agents, agents.online, Moment(qs, here.hidden, here.view), u[None])[0]
        own, best = mixed_qs(qs, here, u)
        f = fixee_terms(mixer, s, own)
        a = f - fixee_terms(mixer, s, best)
        expected = slope((f if mixer.additive else fixing(mixer, here, u) * a).sum(), qs)
        if said := unlike("a slope", slope(q, qs), expected):
            return f"{said}, at {u.tolist()} ({form(mixer)})"
    return ""


def slope(q: Tensor, qs: Tensor) -> Tensor:
    """dq/dqs, 0 where nothing of them is in it."""
    if not q.requires_grad:
        return torch.zeros_like(qs)
    (found,) = torch.autograd.grad(q, qs, retain_graph=True, allow_unused=True)
    return torch.zeros_like(qs) if found is None else found


def form(mixer: QFIXMixer) -> str:
    """Which form of QFIX it is."""
    return f"fixee={mixer.fixee!r}, additive={mixer.additive}"


# -- Non-monotonic QMIX ---------------------------------------------------------------------


@check(
    "nonmonotonic-mixing",
    "Non-monotonic QMIX: Q_tot = W2(s) ELU(W1(s) Q + b1(s)) + V(s), weights of either sign, with "
    "0 for the dead",
)
def nonmonotonic_mixing(subject: Subject) -> Facts:
    """By its own hypernetworks, unit by unit."""
    only_for(subject, NonMonotonicQMIXAgents)
    if not isinstance(subject.promised.online.mixer, UnconstrainedMixer):
        raise NotPromised(OWN_MIXER)
    yield from search(subject, not_unconstrained)


def not_unconstrained(agents: Agents, here: Moment) -> str:
    """Where Q_tot is not the formula's."""
    mixer, s = agents.online.mixer, here.view.state
    N, A = here.qs.shape
    for u in some_actions(N, A, 4):
        own, _ = mixed_qs(here.qs, here, u)
        with torch.no_grad():
            q = elu_mixed(mixer, s, list(own), torch.Tensor.clone)
        if said := off(agents, here, u, q):
            return said
    return ""


# -- CW-QMIX and OW-QMIX --------------------------------------------------------------------


@check(
    "weighted-evidence",
    "CW-QMIX, OW-QMIX: the w that audits show is 1 where u is greedy or Q* above that of greedy "
    "(CW), where Q_tot is below Q* (OW), else alpha",
)
def weighted_evidence(subject: Subject) -> Facts:
    """At random weights."""
    only_for(subject, OWQMIXAgents, CWQMIXAgents)
    yield from search(subject, other_weights)


def other_weights(agents: Agents, here: Moment) -> str:
    """Where w is another one."""
    N, A = here.qs.shape
    best = greedy_action(agents, agents.online, here)
    q_star = shown(agents, here, best[None])["Q*"][0]
    for u in (best, *some_actions(N, A, 6)):
        told = shown(agents, here, u[None])
        with torch.no_grad():
            q = q_table(agents, agents.online, here, u[None])[0]
        full = q < told["Q*"][0]
        if isinstance(agents, CWQMIXAgents):
            full = ((u == best) | ~here.view.alive).all() | (told["Q*"][0] > q_star)
        expected = torch.tensor(1.0 if full else agents.config.alpha)
        if said := unlike("w", told["w"][0], expected):
            return f"{said}, at {u.tolist()}"
    return ""


# -- QTRAN ----------------------------------------------------------------------------------


@check(
    "qtran-value",
    "QTRAN: V_jt is of the sum over living agents of what is encoded of h_i, or of the state; "
    "audits are shown Q'_jt - Q_jt + V_jt at u, and at the greedy joint action",
)
def qtran_value(subject: Subject) -> Facts:
    """By its own layers, of either kind, agent by agent."""
    only_for(subject, QTRANBaseAgents)
    if not isinstance(subject.promised.online.mixer, JointNet | CounterfactualNet):
        raise NotPromised("its joint network is its own")
    for source in ("agents", "state"):
        yield from search(subject, not_value, value_of=source)


def not_value(agents: Agents, here: Moment) -> str:
    """Where V_jt, or what is shown of the conditions, is not the formula's."""
    value, living = agents.online.mixer.value, here.view.alive.nonzero()[:, 0].tolist()
    best = greedy_action(agents, agents.online, here)
    N, A = here.qs.shape
    for u in some_actions(N, A, 3):
        with torch.no_grad():
            seen = here.view.state
            if value.encode is not None:
                each = value.encode(here.hidden)
                seen = torch.stack([each[i] for i in living] + [0 * each[0]]).sum(0)
            v = value.out(seen)[0]
            q = q_table(agents, agents.online, here, torch.stack([u, best]))
            own = torch.stack([mixed_qs(here.qs, here, u)[0], mixed_qs(here.qs, here, best)[0]])
        told, d = shown(agents, here, u[None]), own.sum(-1) - q + v
        for what, expected in (
            ("V_jt", v),
            ("Q'_jt", own[0].sum()),
            ("D = Q'_jt - Q_jt + V_jt", d[0]),
            ("residual (4a)", d[1]),
            ("residual (4b)", d[0].clamp(max=0.0)),
        ):
            if what in told and (said := unlike(what, told[what][0], expected)):
                return said
    return ""
