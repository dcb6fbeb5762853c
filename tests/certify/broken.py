"""Deliberately broken copies of methods, each with the checks that must catch it.

The faults are those of published code, as far as they can be made here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from vdtoolkit.agents import (
    COMAAgents,
    CWQMIXAgents,
    HystereticIQLAgents,
    IQLAgents,
    JointQAgents,
    LenientIQLAgents,
    NonMonotonicQMIXAgents,
    OWQMIXAgents,
    QattenAgents,
    QFIXAgents,
    QMIXAgents,
    QPLEXAgents,
    QTRANAltAgents,
    QTRANBaseAgents,
    ValueAgents,
    VDNAgents,
)
from vdtoolkit.agents.actor import epsilon_greedy
from vdtoolkit.agents.coma import (
    CounterfactualCritic,
    FreshEpisodes,
    advantages,
    drawn,
    floored_policy,
)
from vdtoolkit.agents.qatten import QattenMixer
from vdtoolkit.agents.qfix import QFIXMixer
from vdtoolkit.agents.qmix import MonotonicMixer, QMIXConfig, UniversalMixer
from vdtoolkit.agents.qplex import QPLEXMixer
from vdtoolkit.agents.qtran import CounterfactualNet, JointNet
from vdtoolkit.agents.value import after, before
from vdtoolkit.batch import EpisodeBatch, chosen, greedy, masked_mean
from vdtoolkit.networks import Utilities
from vdtoolkit.returns import td_lambda_targets

BROKEN: dict[str, tuple[type, tuple[str, ...]]] = {}  # by what is broken
OF_TRAP: dict[str, set[str]] = {}  # what is broken, by the trap's number in vdtoolkit.certify.traps


def broken(what, *checks, trap=None):
    """Register a class as caught by these checks (others may catch it too)."""

    def register(cls):
        assert what not in BROKEN
        BROKEN[what] = cls, checks
        if trap is not None:
            OF_TRAP.setdefault(trap, set()).add(what)
        return cls

    return register


# -- mixers ---------------------------------------------------------------------------------


@broken("QMIX: abs removed", "igm", "monotone", "class", "least-squares")
class NoAbs(QMIXAgents):
    def build_mixer(self, spec):
        class Mixer(MonotonicMixer):
            def forward(self, agent_qs, state):
                w1 = self.w1(state).unflatten(-1, (self.n_agents, self.embed_dim))
                hidden = F.elu((agent_qs.unsqueeze(-1) * w1).sum(-2) + self.b1(state))
                return (hidden * self.w2(state)).sum(-1) + self.v(state).squeeze(-1)

        return Mixer(spec.n_agents, spec.state_dim, 8, 8)


@broken("QMIX: abs of the second layer removed", "igm", "monotone")
class HalfAbs(QMIXAgents):
    def build_mixer(self, spec):
        class Mixer(MonotonicMixer):
            def forward(self, agent_qs, state):
                w1 = self.w1(state).abs().unflatten(-1, (self.n_agents, self.embed_dim))
                hidden = F.elu((agent_qs.unsqueeze(-1) * w1).sum(-2) + self.b1(state))
                return (hidden * self.w2(state)).sum(-1) + self.v(state).squeeze(-1)

        return Mixer(spec.n_agents, spec.state_dim, 8, 8)


@broken("QMIX: tanh in ELU's place, which is not its class", "class")
class Tanh(QMIXAgents):
    def build_mixer(self, spec):
        class Mixer(MonotonicMixer):
            def forward(self, agent_qs, state):
                w1 = self.w1(state).abs().unflatten(-1, (self.n_agents, self.embed_dim))
                hidden = torch.tanh((agent_qs.unsqueeze(-1) * w1).sum(-2) + self.b1(state))
                return (hidden * self.w2(state).abs()).sum(-1) + self.v(state).squeeze(-1)

        return Mixer(spec.n_agents, spec.state_dim, 8, 8)


@broken("VDN: one agent is subtracted", "igm", "monotone", "symmetric")
class Minus(VDNAgents):
    def q_tot(self, nets, utilities, actions, view):
        qs = self.agent_qs(utilities, actions, view)
        return qs[..., :-1].sum(-1) - qs[..., -1]


@broken("QMIX: the bias outside of ELU", "qmix-mixing", trap="12")
class BiasOutside(QMIXAgents):
    def build_mixer(self, spec):
        class Mixer(MonotonicMixer):
            def forward(self, agent_qs, state):
                w1 = self.w1(state).abs().unflatten(-1, (self.n_agents, self.embed_dim))
                hidden = F.elu((agent_qs.unsqueeze(-1) * w1).sum(-2)) + self.b1(state)
                return (hidden * self.w2(state).abs()).sum(-1) + self.v(state).squeeze(-1)

        return Mixer(spec.n_agents, spec.state_dim, 8, 8)


@broken("QMIX: all units of 'split' are convex", "qmix-mixing")
class ConvexSplit(QMIXAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        if isinstance(mixer, UniversalMixer):
            mixer.__class__ = type("Mixer", (UniversalMixer,), {"forward": convex_forward})
        return mixer


def convex_forward(self, agent_qs, state):
    x = agent_qs
    *inner, last = (
        w(state).abs().unflatten(-1, size) for w, size in zip(self.w, self.sizes, strict=True)
    )
    for weights, b in zip(inner, self.b, strict=True):
        x = F.elu((x.unsqueeze(-1) * weights).sum(-2) + b(state))
    return (x * last.squeeze(-1)).sum(-1) + self.v(state).squeeze(-1)


@broken("QMIX: V(s) detached", "gradient-flow")
class DetachedV(QMIXAgents):
    def build_mixer(self, spec):
        class Mixer(MonotonicMixer):
            def forward(self, agent_qs, state):
                v = self.v(state).squeeze(-1)
                return super().forward(agent_qs, state) - v + v.detach()

        return Mixer(spec.n_agents, spec.state_dim, 8, 8)


@broken("VDN: the mean of utilities", "vdn-sum")
class Mean(VDNAgents):
    def q_tot(self, nets, utilities, actions, view):
        return self.agent_qs(utilities, actions, view).mean(-1)


@broken("VDN: says that it holds every table", "least-squares")
class SaysAll(VDNAgents):
    function_class = "unrestricted"


@broken("VDN: the utilities of the dead mix in", "dead-unseen", "dead")
class DeadMix(VDNAgents):
    def q_tot(self, nets, utilities, actions, view):
        return chosen(utilities.qs, actions).sum(-1)


@broken("Qatten: attention in a plain dict", "registered", trap="1")
class PlainDict(QattenAgents):
    def build_mixer(self, spec):
        """Neither trained, nor saved, nor copied: as a plain dict, but it follows `.double()`."""
        mixer = super().build_mixer(spec)
        for layer in (*mixer.query.modules(), mixer.key):
            for name, p in list(layer.named_parameters(recurse=False)):
                del layer._parameters[name]
                layer.register_buffer(name, p.detach(), persistent=False)
        return mixer


@broken("Qatten: unit features are whatever the state begins with", "symmetric", trap="4")
class FirstOfState(QattenAgents):
    def units(self, view):
        N, O = view.obs.shape[-2:]
        each = view.state.shape[-1] // N
        units = view.state[..., : N * each].unflatten(-1, (N, each))
        return F.pad(units, (0, O - each))


@broken("Qatten: head weights without abs", "igm", "monotone", "qatten-attention", trap="2")
class SignedHeads(QattenAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        mixer.__class__ = type("Mixer", (QattenMixer,), {"weights": signed_weights})
        return mixer


def signed_weights(self, state):
    return self.head_weights(state)


@broken("Qatten: head weights by exp, not abs", "qatten-attention")
class ExpHeads(QattenAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        mixer.__class__ = type("Mixer", (QattenMixer,), {"weights": exp_weights})
        return mixer


def exp_weights(self, state):
    return self.head_weights(state).exp()


@broken("Qatten: no softmax", "igm", "monotone", "qatten-attention", trap="7")
class NoSoftmax(QattenAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        mixer.__class__ = type("Mixer", (QattenMixer,), {"attention": raw_attention})
        return mixer


def raw_attention(self, agent_qs, state, units, alive):
    logits = self.logits(state, units).movedim(0, -1)
    return logits * alive.unsqueeze(-2), logits


@broken("Qatten: Q_i in the key while IGM is claimed", "igm", "monotone", "class")
class SilentNonlinear(QattenAgents):
    def build_mixer(self, spec):
        c = self.config
        object.__setattr__(c, "nonlinear", True)
        mixer = super().build_mixer(spec)
        self.claim, self.function_class = "exact", "additive"
        return mixer


@broken("Qatten: who is dead is told by action 0", "igm", trap="5")
class DeadByAction(QattenAgents):
    def q_tot(self, nets, utilities, actions, view):
        qs = self.agent_qs(utilities, actions, view)
        return nets.mixer(qs, view.state, self.units(view), actions != 0)


@broken("Qatten: the regulariser counts padding", "padding", "loss", trap="6")
class RegPadding(QattenAgents):
    def loss(self, batch):
        loss, metrics = super().loss(batch)
        view = self.see(self.online, batch.view[:, :-1])
        qs = self.agent_qs(before(self.unroll(batch)), batch.actions, view)
        _, logits = self.online.mixer.attention(
            qs, view.state, self.units(view), self.mixing_alive(view)
        )
        return loss + self.config.attention_reg * logits.square().mean(), metrics


@broken("QPLEX: V detached from w, the advantage is not 0 at greedy", "igm", "qplex-dueling")
class LooseV(QPLEXAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        mixer.__class__ = type("Mixer", (QPLEXMixer,), {"forward": loose_forward})
        return mixer


def loose_forward(self, agent_qs, best_qs, taken, state):
    w = self.weights(state)
    advantages = (w * agent_qs - best_qs).detach()
    mixed = w * agent_qs + self.b(state) + (self.lambdas(taken, state) - 1.0) * advantages
    return mixed.sum(-1)


@broken("QPLEX: V_i over unavailable actions too", "masks", "qplex-dueling")
class UnmaskedV(QPLEXAgents):
    def _parts(self, utilities, actions, view):
        own, _best, taken = super()._parts(utilities, actions, view)
        return own, torch.where(self.mixing_alive(view), utilities.qs.detach().amax(-1), 0), taken


@broken("QPLEX: the advantage teaches utilities", "qplex-gradient")
class TaughtAdvantage(QPLEXAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        mixer.__class__ = type("Mixer", (QPLEXMixer,), {"forward": attached_forward})
        return mixer


def attached_forward(self, agent_qs, best_qs, taken, state):
    w = self.weights(state)
    mixed = w * agent_qs + self.b(state)
    return (mixed + (self.lambdas(taken, state) - 1.0) * w * (agent_qs - best_qs)).sum(-1)


@broken(
    "QPLEX: best utilities by the network that learns, chosen by the target",
    "loss",
    "double-q",
    trap="33",
)
class MixedNets(QPLEXAgents):
    def bootstrap(self, batch, online, value, like):
        with torch.no_grad():
            target = after(self.utilities_of(self.target, batch.view.obs, batch.actions))
            then = batch.view[:, 1:]
            actions = greedy(after(online).qs, then.available)
            own, _, taken = self._parts(target, actions, then)
            _, best, _ = self._parts(after(online), actions, then)
            return self.target.mixer(own, best, taken, then.state)


def with_mixer(mixer, **changed):
    """The mixer, these of its methods changed."""
    mixer.__class__ = type("Mixer", (type(mixer),), changed)
    return mixer


def told_the_greedy(self, utilities, actions, view):
    """What a mixer of QPLEX's kind reads, but the greedy joint action in place of the one taken."""
    own, best, taken = type(self).__mro__[1]._parts(self, utilities, actions, view)
    picked = F.one_hot(greedy(utilities.qs, view.available), taken.shape[-1])
    return own, best, picked * self.mixing_alive(view).unsqueeze(-1).to(taken.dtype)


@broken("QPLEX: lambda is told the greedy actions", "qplex-mixing")
class GreedyLambda(QPLEXAgents):
    _parts = told_the_greedy


@broken("QPLEX: lambda is the mean over kernels", "qplex-mixing")
class MeanLambda(QPLEXAgents):
    def build_mixer(self, spec):
        def lambdas(mixer, taken, state):
            return QPLEXMixer.lambdas(mixer, taken, state) / self.config.n_kernels

        return with_mixer(super().build_mixer(spec), lambdas=lambdas)


@broken("QPLEX: w by its square, not abs", "qplex-mixing")
class SquaredW(QPLEXAgents):
    def build_mixer(self, spec):
        def weights(mixer, state):
            return mixer.w(state).square() + 1e-10

        return with_mixer(super().build_mixer(spec), weights=weights)


@broken("QFIX: w of either sign", "igm", "qfix-fixing")
class SignedW(QFIXAgents):
    def build_mixer(self, spec):
        return with_mixer(super().build_mixer(spec), weights=of_either_sign)


def of_either_sign(self, taken, state):
    return self.w(torch.cat([state, taken.flatten(-2)], -1))


@broken("QFIX: the advantage teaches utilities", "qfix-gradient")
class TaughtFixing(QFIXAgents):
    def build_mixer(self, spec):
        return with_mixer(super().build_mixer(spec), forward=attached_fixing)


def attached_fixing(self, agent_qs, best_qs, taken, state):
    q, w = self.terms(agent_qs, state), self.weights(taken, state)
    advantages = q - self.terms(best_qs, state)
    fixed = q + (w - 1.0) * advantages if self.additive else w * advantages
    return fixed.sum(-1) + self.b(state).squeeze(-1)


@broken("QFIX: not additive, the advantage teaches nothing", "qfix-gradient")
class UntaughtFixing(QFIXAgents):
    def build_mixer(self, spec):
        return with_mixer(super().build_mixer(spec), forward=detached_fixing)


def detached_fixing(self, agent_qs, best_qs, taken, state):
    q, w = self.terms(agent_qs, state), self.weights(taken, state)
    advantages = (q - self.terms(best_qs, state)).detach()
    fixed = q + (w - 1.0) * advantages if self.additive else w * advantages
    return fixed.sum(-1) + self.b(state).squeeze(-1)


@broken("QFIX: w is added where w - 1 is", "qfix-fixing")
class OneMore(QFIXAgents):
    def build_mixer(self, spec):
        return with_mixer(super().build_mixer(spec), forward=one_more)


def one_more(self, agent_qs, best_qs, taken, state):
    fixed = QFIXMixer.forward(self, agent_qs, best_qs, taken, state)
    gaps = self.terms(agent_qs, state) - self.terms(best_qs, state)
    return fixed + self.additive * gaps.detach().sum(-1)


@broken("QFIX: w is told the greedy actions", "qfix-fixing")
class GreedyW(QFIXAgents):
    _parts = told_the_greedy


@broken("QFIX: utilities enter with the other sign", "igm", "qfix-fixing", "igm-trained")
class OtherSign(QFIXAgents):
    def q_tot(self, nets, utilities, actions, view):
        return super().q_tot(nets, Utilities(-utilities.qs, utilities.hidden), actions, view)


@broken("Non-monotonic QMIX: bootstraps at the greedy action", "loss")
class NoSarsa(NonMonotonicQMIXAgents):
    def bootstrap(self, batch, online, value, like):
        return ValueAgents.bootstrap(self, batch, online, value, like)


@broken("Non-monotonic QMIX: the bias outside of ELU", "nonmonotonic-mixing", trap="12")
class SignedBiasOutside(NonMonotonicQMIXAgents):
    def build_mixer(self, spec):
        return with_mixer(super().build_mixer(spec), forward=signed_bias_outside)


def signed_bias_outside(self, agent_qs, state):
    w1 = self.w1(state).unflatten(-1, (self.n_agents, self.embed_dim))
    hidden = F.elu((agent_qs.unsqueeze(-1) * w1).sum(-2)) + self.b1(state)
    return (hidden * self.w2(state)).sum(-1) + self.v(state).squeeze(-1)


@broken("Non-monotonic QMIX: abs put on", "nonmonotonic-mixing")
class StillMonotonic(NonMonotonicQMIXAgents):
    def build_mixer(self, spec):
        return with_mixer(super().build_mixer(spec), forward=constrained)


def constrained(self, agent_qs, state):
    w1 = self.w1(state).abs().unflatten(-1, (self.n_agents, self.embed_dim))
    hidden = F.elu((agent_qs.unsqueeze(-1) * w1).sum(-2) + self.b1(state))
    return (hidden * self.w2(state).abs()).sum(-1) + self.v(state).squeeze(-1)


# -- who is who -----------------------------------------------------------------------------


def scrambled(hidden):
    """[B, T, N, H] read as [B, N, T, H]."""
    B, T, N, H = hidden.shape
    return hidden.reshape(B, N, T, H).transpose(1, 2)


@broken("QTRAN-base: hidden states scrambled over agents and moments", "loss", trap="9")
class ScrambledLoss(QTRANBaseAgents):
    def unroll(self, batch):
        said = super().unroll(batch)
        return Utilities(said.qs, scrambled(said.hidden))


@broken("QTRAN-alt: hidden states scrambled everywhere", "own-history", trap="9")
class ScrambledAlways(QTRANAltAgents):
    def utilities_of(self, nets, obs, actions):
        said = nets.agent.unroll(obs, actions)
        return Utilities(said.qs, scrambled(said.hidden))


@broken("VDN: utilities of the moment after", "own-history", "acting-is-learning")
class Foresight(VDNAgents):
    def utilities_of(self, nets, obs, actions):
        said = nets.agent.unroll(obs, actions)
        return Utilities(said.qs.roll(-1, 1), said.hidden)


@broken("IQL: agents hear each other", "own-history", "acting-is-learning")
class Gossip(IQLAgents):
    def utilities_of(self, nets, obs, actions):
        return nets.agent.unroll(obs + 0.5 * obs.mean(2, keepdim=True), actions)


@broken("VDN: the target's memory starts at the second moment", "acting-is-learning", trap="14")
class ColdTarget(VDNAgents):
    def utilities_of(self, nets, obs, actions):
        said = nets.agent.unroll(obs, actions)
        if nets is not self.target:
            return said
        late = nets.agent.unroll(obs[:, 1:], actions[:, 1:])
        return Utilities(torch.cat([said.qs[:, :1], late.qs], 1), said.hidden)


@broken("QTRAN-alt: the others are the agent itself", "loss", "qtran-joint", trap="15")
class OwnForOthers(QTRANAltAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        mixer.__class__ = type("Net", (CounterfactualNet,), {"forward": own_for_others})
        return mixer


def own_for_others(self, hidden, actions, state, alive):
    onehot = F.one_hot(actions, self.n_actions).to(hidden.dtype)
    each = self.other(torch.cat([hidden, onehot], -1)) * alive.unsqueeze(-1)
    ids = torch.eye(self.n_agents, dtype=hidden.dtype).expand(*hidden.shape[:-1], self.n_agents)
    return self.out(torch.cat([self.own(hidden) + (self.n_agents - 1) * each, ids], -1))


@broken("QTRAN-base: next states pair with the hidden state before", "loss", trap="15")
class HiddenBefore(QTRANBaseAgents):
    def bootstrap(self, batch, online, value, like):
        with torch.no_grad():
            said = self.utilities_of(self.target, batch.view.obs, batch.actions)
            then = batch.view[:, 1:]
            actions = greedy(after(said).qs, then.available)
            paired = Utilities(after(said).qs, before(said).hidden)
            return value(self.target, paired, actions, then)


@broken("VDN: the last action is of the moment before", "acting-is-learning", trap="23")
class LateAction(VDNAgents):
    def utilities_of(self, nets, obs, actions):
        return nets.agent.unroll(obs, actions.roll(1, 1))


@broken("QMIX: so it is for the target alone", "acting-is-learning", "loss", trap="23")
class LateTargetAction(QMIXAgents):
    def utilities_of(self, nets, obs, actions):
        late = actions.roll(1, 1) if nets is self.target else actions
        return nets.agent.unroll(obs, late)


@broken("VDN: the first agent has a bonus", "places", "acting-is-learning")
class Favourite(VDNAgents):
    def utilities_of(self, nets, obs, actions):
        said = nets.agent.unroll(obs, actions)
        first = torch.arange(said.qs.shape[2]).eq(0).unsqueeze(-1)
        return Utilities(said.qs + first.to(said.qs.dtype), said.hidden)


@broken("VDN: all act by the team's mean utilities", "decentralised")
class OneMind(VDNAgents):
    def policy(self, qs, available, epsilon, rng):
        return super().policy(qs + qs.mean(1, keepdims=True), available, epsilon, rng)


# -- targets --------------------------------------------------------------------------------


class OwnTargets:
    """A bootstrap with one thing changed."""

    picks_online = True
    values_online = False
    masked = True

    def bootstrap(self, batch, online, value, like):
        then = batch.view[:, 1:]
        target = after(self.utilities_of(self.target, batch.view.obs, batch.actions))
        picker = after(online) if self.picks_online else target
        nets = self.online if self.picks_online else self.target
        available = then.available if self.masked else torch.ones_like(then.available)
        actions = greedy(self.preferences(nets, picker, then), available)
        if self.values_online:
            return value(self.online, after(online), actions, self.see(self.online, then))
        return value(self.target, target, actions, self.see(self.target, then)).detach()


@broken("VDN: masks ignored in the bootstrap's argmax", "masks", "loss")
class NoMask(OwnTargets, VDNAgents):
    masked = False


class OwnMask(OwnTargets, VDNAgents):
    """A bootstrap that masks in a way of its own."""

    def bootstrap(self, batch, online, value, like):
        with torch.no_grad():
            then = batch.view[:, 1:]
            target = after(self.utilities_of(self.target, batch.view.obs, batch.actions))
            picked = self.masked_qs(after(online).qs, then.available).argmax(-1)
            return value(self.target, target, picked, then)


@broken("VDN: masks are multiplied", "masks", trap="21")
class TimesMask(OwnMask):
    def masked_qs(self, qs, available):
        return qs * available


@broken("VDN: masks are a number below which Q can fall", "masks", trap="21")
class LowNumber(OwnMask):
    def masked_qs(self, qs, available):
        return qs.masked_fill(~available, -9999999.0)


@broken("VDN: acting masks with a number below which Q can fall", "masks", trap="21")
class LowNumberInPlay(VDNAgents):
    def policy(self, qs, available, epsilon, rng):
        explored = super().policy(qs, available, 1.0, rng)
        best = np.where(available, qs, -9999999.0).argmax(-1)
        return np.where(rng.random(best.shape) < epsilon, explored, best)


@broken("QMIX: double Q's greedy actions from the target", "double-q", "loss", trap="22")
class WrongPicker(OwnTargets, QMIXAgents):
    picks_online = False


@broken("IQL: valued by the network that learns", "double-q", "loss")
class OnlineValue(OwnTargets, IQLAgents):
    values_online = True

    def bootstrap(self, *args):
        return super().bootstrap(*args).detach()


class Attached:
    """Targets that keep their gradient."""

    def targets(self, batch, bootstrap, **which):
        masks = {"terminated": batch.terminated, "valid": batch.valid, **which}
        c = self.config
        return td_lambda_targets(
            batch.reward, masks["terminated"], masks["valid"], bootstrap, c.gamma, c.td_lambda
        )


@broken("VDN: gradient through what is bootstrapped", "target-detached", "loss")
class NotDetached(Attached, OwnTargets, VDNAgents):
    values_online = True


@broken("QMIX: gradient through the target network", "target-detached")
class TargetLearns(Attached, QMIXAgents):
    def bootstrap(self, batch, online, value, like):
        then = batch.view[:, 1:]
        target = after(self.utilities_of(self.target, batch.view.obs, batch.actions))
        actions = greedy(after(online).qs, then.available)
        return value(self.target, target, actions, self.see(self.target, then))


@broken("VDN: a time limit counts as the end", "ends", "loss", trap="19")
class LimitIsEnd(VDNAgents):
    def targets(self, batch, bootstrap, **which):
        return super().targets(batch, bootstrap, terminated=last_moves(batch.valid))


@broken("QMIX: the end counts as a time limit", "ends", "loss", trap="20")
class EndIsLimit(QMIXAgents):
    def targets(self, batch, bootstrap, **which):
        none = torch.zeros_like(batch.terminated)
        return super().targets(batch, bootstrap, terminated=none)


def last_moves(valid):
    """Each episode's last move, [B, T]."""
    return valid & ~torch.cat([valid[:, 1:], torch.zeros_like(valid[:, :1])], 1)


@broken("VDN: TD(lambda) as if every episode were as long as the longest", "td-lambda", trap="17")
class PyMARLLambda(VDNAgents):
    def targets(self, batch, bootstrap, **which):
        c, valid = self.config, batch.valid.to(bootstrap.dtype)
        ended = batch.terminated.to(bootstrap.dtype)
        g = bootstrap[:, -1] * (1 - ended.sum(1))
        out = []
        for t in reversed(range(bootstrap.shape[1])):
            one = batch.reward[:, t] + (1 - c.td_lambda) * c.gamma * bootstrap[:, t] * (
                1 - ended[:, t]
            )
            g = c.td_lambda * c.gamma * g + valid[:, t] * one
            out.append(g)
        return torch.stack(out[::-1], 1).detach()


@broken("QMIX: lambda squared", "td-lambda")
class WrongLambda(QMIXAgents):
    def targets(self, batch, bootstrap, **which):
        c = self.config
        return td_lambda_targets(
            batch.reward, batch.terminated, batch.valid, bootstrap, c.gamma, c.td_lambda**2
        ).detach()


@broken("QTRAN-base: bootstraps from the sum of utilities", "loss", "double-q", trap="12")
class SumTarget(QTRANBaseAgents):
    def bootstrap(self, batch, online, value, like):
        with torch.no_grad():
            target = after(self.utilities_of(self.target, batch.view.obs, batch.actions))
            then = batch.view[:, 1:]
            best = greedy(target.qs, then.available)
            return self.transformed(target, best, then)


# -- losses ---------------------------------------------------------------------------------


@broken("VDN: padding counted in the loss", "padding", "loss")
class CountsPadding(VDNAgents):
    def td_loss(self, batch, online, q_tot):
        targets = self.targets(batch, self.bootstrap(batch, online, self.q_tot, q_tot))
        return (q_tot - targets).square().mean(), {"q_tot": q_tot.mean()}


@broken("VDN: a phantom move after each time limit", "padding", "loss", trap="17")
class Phantom(VDNAgents):
    def loss(self, batch):
        ended = batch.terminated.any(1, keepdim=True)
        longer = batch.valid | (~ended & batch.valid.roll(1, 1))
        return super().loss(replace(batch, valid=longer))


@broken("VDN: a batch is cut where the first episode terminates", "every-move", "loss", trap="18")
class CutAtFirstEnd(VDNAgents):
    def loss(self, batch):
        n = int(batch.terminated.any(0).nonzero()[0, 0]) + 1
        rest = {k: getattr(batch, k)[:, :n] for k in ("actions", "reward", "terminated", "valid")}
        return super().loss(EpisodeBatch(batch.view[:, : n + 1], **rest))


@broken("VDN: rewards standardised, over padding as well", "padding", "loss", trap="20")
class Standardised(VDNAgents):
    def loss(self, batch):
        r = batch.reward
        return super().loss(replace(batch, reward=(r - r.mean()) / r.std()))


@broken("IQL: the sum over agents, divided by moves alone", "loss", trap="20")
class TimesN(IQLAgents):
    def loss(self, batch):
        loss, metrics = super().loss(batch)
        return loss * self.team.spec.n_agents, metrics


@broken("IQL: the dead learn", "dead", "loss")
class DeadLearn(IQLAgents):
    def mixing_alive(self, view):
        return torch.ones_like(view.alive)


@broken("Hysteretic IQL: forgives the wrong errors", "loss", "fixed-point")
class WrongSign(HystereticIQLAgents):
    def weights(self, batch, error):
        return torch.where(error < 0, self.config.beta, 1.0)


@broken("Lenient IQL: never lenient", "loss", "fixed-point")
class NeverLenient(LenientIQLAgents):
    def weights(self, batch, error):
        return torch.ones_like(error)


class OwnWeighted(OWQMIXAgents):
    """The loss of OW-QMIX with one thing changed."""

    central_at_greedy = False
    central_counts = 1.0
    smooth = False

    def loss(self, batch):
        online, now = self.unroll(batch), self.see(self.online, batch.view[:, :-1])
        here = before(online)
        q_tot = self.q_tot(self.online, here, batch.actions, now)
        best = greedy(here.qs, now.available)
        u = best if self.central_at_greedy else batch.actions
        q_star = self.q_star(self.online, here, u, now)
        y = self.targets(batch, self.bootstrap(batch, online, self.q_star, q_star))
        w = torch.where(q_tot < y, 1.0, self.config.alpha)
        if self.smooth:
            w = 1.0 + (self.config.alpha - 1) * torch.sigmoid(50 * (q_tot - y))
        l_central = masked_mean((q_star - y).square(), batch.valid)
        l_mono = masked_mean(w * (q_tot - y).square(), batch.valid)
        return self.central_counts * l_central + l_mono, {"q_star": q_star.mean()}


@broken("OW-QMIX: central Q at the greedy action", "loss", "central", trap="26")
class CentralAtGreedy(OwnWeighted):
    central_at_greedy = True


@broken("OW-QMIX: the central loss counts half", "loss", trap="27")
class HalfCentral(OwnWeighted):
    central_counts = 0.5


@broken("OW-QMIX: w not detached", "loss")
class SmoothWeights(OwnWeighted):
    smooth = True


@broken("CW-QMIX: full weight by the target alone, greedy or not", "loss")
class NeverGreedy(CWQMIXAgents):
    def weights(self, q_tot, y, is_greedy, at_greedy):
        return torch.where(y > at_greedy(), 1.0, self.config.alpha)


@broken("OW-QMIX: audits are shown the weights of another comparison", "weighted-evidence")
class OtherEvidence(OWQMIXAgents):
    def evidence(self, nets, utilities, actions, view):
        told = super().evidence(nets, utilities, actions, view)
        return {**told, "w": 1.0 + self.config.alpha - told["w"]}


@broken("Lenient IQL: leniency as it is now, not as it was noted", "loss")
class Forgetful(LenientIQLAgents):
    def weights(self, batch, error):
        return super().weights(replace(batch, note=None), error)


@broken("Lenient IQL: the first move of an episode cools most", "lenient-cooling")
class FirstCools(LenientIQLAgents):
    def _cool(self, visited):
        super()._cool(visited[::-1])


@broken("Lenient IQL: the dead cool", "lenient-cooling")
class DeadCool(LenientIQLAgents):
    def _cool(self, visited):
        super()._cool([(codes, actions, alive | True) for codes, actions, alive in visited])


@broken("Lenient IQL: no ceiling", "lenient-cooling")
class NoCeiling(LenientIQLAgents):
    def _cool(self, visited):
        super()._cool(visited)
        self.online.mixer.ceiling.fill_(1.0)


@broken("QTRAN-base: the conditions teach Q_jt", "qtran-routing", "loss")
class TeachesJoint(QTRANBaseAgents):
    def condition_losses(self, here, actions, now, q_jt, valid):
        live = self.q_tot(self.online, here, actions, now)
        return super().condition_losses(here, actions, now, live, valid)


@broken(
    "QTRAN-base: the loss is overwritten by the plain one",
    "loss",
    "gradient-flow",
    "igm-trained",
    trap="16",
)
class PlainLoss(QTRANBaseAgents):
    def condition_losses(self, here, actions, now, q_jt, valid):
        zero = q_jt.new_zeros(())
        return zero, zero


@broken(
    "QTRAN-base: L_nopt counts 0.1, whatever is configured", "loss", "qtran-conditions", trap="10"
)
class SmallNopt(QTRANBaseAgents):
    def condition_losses(self, here, actions, now, q_jt, valid):
        opt, nopt = super().condition_losses(here, actions, now, q_jt, valid)
        return opt, 0.1 * nopt


@broken("QTRAN-base: V_jt of the state, whatever is configured", "reads", trap="10")
class ValueOfState(QTRANBaseAgents):
    def build_mixer(self, spec):
        return JointNet(self.config.hidden_dim, spec.n_actions, spec.state_dim, 8, value_of="state")


@broken("QTRAN-base: V_jt detached", "loss", "gradient-flow")
class DetachedVjt(QTRANBaseAgents):
    def v_jt(self, nets, utilities, view):
        return super().v_jt(nets, utilities, view).detach()


@broken("QTRAN-base: V_jt of the mean over agents", "qtran-value")
class MeanValue(QTRANBaseAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        with_mixer(mixer.value, forward=mean_value)
        return mixer


def mean_value(self, hidden, state, alive):
    if self.encode is None:
        return self.out(state).squeeze(-1)
    each = self.encode(hidden) * alive.unsqueeze(-1)
    return self.out(each.mean(-2)).squeeze(-1)


@broken("QTRAN-base: lambda_opt and lambda_nopt change places", "loss")
class Swapped(QTRANBaseAgents):
    def condition_losses(self, here, actions, now, q_jt, valid):
        return super().condition_losses(here, actions, now, q_jt, valid)[::-1]


@broken("QTRAN-base: Q_jt of the mean over agents", "qtran-joint", trap="12")
class MeanOfAgents(QTRANBaseAgents):
    def build_mixer(self, spec):
        class Net(JointNet):
            def forward(self, hidden, actions, state, alive):
                onehot = F.one_hot(actions, self.n_actions).to(hidden.dtype)
                each = self.encode(torch.cat([hidden, onehot], -1)) * alive.unsqueeze(-1)
                return self.out(each.mean(-2)).squeeze(-1)

        return Net(self.config.hidden_dim, spec.n_actions, spec.state_dim, 8)


@broken("QTRAN-base: (4b) penalised on both sides", "qtran-conditions", "loss")
class BothSides(QTRANBaseAgents):
    def condition_losses(self, here, actions, now, q_jt, valid):
        opt, _ = super().condition_losses(here, actions, now, q_jt, valid)
        v = self.v_jt(self.online, here, now)
        d = self.transformed(here, actions, now) - q_jt + v
        return opt, masked_mean(d.square(), valid)


@broken("QTRAN-alt: no masks in the minimum", "masks", "loss", trap="11")
class UnmaskedMinimum(QTRANAltAgents):
    def differences(self, here, actions, now, table):
        free = type(now)(now.obs, now.state, torch.ones_like(now.available), now.alive)
        return super().differences(here, actions, free, table)


@broken("QTRAN-alt: the own Q stays in the sum of the others", "loss", trap="11")
class OwnStays(QTRANAltAgents):
    def differences(self, here, actions, now, table):
        own = self.agent_qs(here, actions, now).unsqueeze(-1)
        return super().differences(here, actions, now, table) + own


@broken("JointQ: greedy actions without masks", "igm")
class JointNoMask(JointQAgents):
    def preferences(self, nets, utilities, view):
        free = type(view)(view.obs, view.state, torch.ones_like(view.available), view.alive)
        return super().preferences(nets, utilities, free)


# -- COMA -----------------------------------------------------------------------------------


@broken("COMA: the critic sees the agent's own action", "coma-critic", "loss")
class SeesOwn(COMAAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        assert isinstance(mixer, CounterfactualCritic)
        mixer.others.fill_(1.0)
        return mixer


@broken("COMA: the floor is over all actions", "coma-policy", "loss", trap="31")
class FloorOfAll(COMAAgents):
    def evidence(self, nets, utilities, actions, view):
        told = super().evidence(nets, utilities, actions, view)
        pi = floor_of_all(utilities.qs, view.available, self.epsilon())
        return {
            **told,
            "policy": pi,
            "advantage": advantages(pi, self.counterfactual(nets, actions, view), actions),
        }

    def loss(self, batch):
        from vdtoolkit.agents import coma

        kept, coma.floored_policy = coma.floored_policy, floor_of_all
        try:
            return super().loss(batch)
        finally:
            coma.floored_policy = kept


def floor_of_all(logits, available, epsilon):
    soft = torch.where(available, logits, -torch.inf).softmax(-1)
    return ((1 - epsilon) * soft + epsilon / logits.shape[-1]) * available


@broken("COMA: softmax over unavailable actions too", "masks", "loss", trap="30")
class SoftmaxFirst(COMAAgents):
    def loss(self, batch):
        from vdtoolkit.agents import coma

        kept, coma.floored_policy = coma.floored_policy, softmax_first
        try:
            return super().loss(batch)
        finally:
            coma.floored_policy = kept


def softmax_first(logits, available, epsilon):
    full = torch.ones_like(available)
    pi = floored_policy(logits, full, epsilon) * available
    return pi / pi.sum(-1, keepdim=True)


@broken("COMA: the loss's policy has no floor", "loss", trap="29")
class NoFloor(COMAAgents):
    def loss(self, batch):
        from vdtoolkit.agents import coma

        kept, coma.floored_policy = coma.floored_policy, no_floor
        try:
            return super().loss(batch)
        finally:
            coma.floored_policy = kept


def no_floor(logits, available, epsilon):
    return floored_policy(logits, available, 0.0)


@broken("COMA: the critic's loss sums over agents", "loss", trap="20")
class TeamCritic(COMAAgents):
    def loss(self, batch):
        loss, parts = super().loss(batch)
        return loss + (self.team.spec.n_agents - 1) * parts["l_critic"], parts


@broken("COMA: the advantage teaches the critic", "coma-critic", "loss")
class LiveAdvantage(COMAAgents):
    def loss(self, batch):
        loss, parts = super().loss(batch)
        now = batch.view[:, :-1]
        extra = 1e-2 * self.counterfactual(self.online, batch.actions, now).mean()
        parts["l_actor"] = parts["l_actor"] + extra
        return loss + extra, parts


@broken("COMA: plays without the floor", "acting")
class PlaysUnfloored(COMAAgents):
    def policy(self, qs, available, epsilon, rng):
        return super().policy(qs, available, 0.0, rng)


@broken("COMA: plays with a floor over all actions", "acting", trap="31")
class PlaysFloorOfAll(COMAAgents):
    def policy(self, qs, available, epsilon, rng):
        pi = floor_of_all(torch.from_numpy(qs), torch.from_numpy(available), epsilon)
        lots = rng.standard_exponential(qs.shape, np.float32)
        return drawn(pi, torch.from_numpy(lots)).numpy()


@broken("COMA: a team that only plays draws its actions", "acting")
class PlaysBySample(COMAAgents):
    greedy_policy = COMAAgents.policy


@broken("COMA: epsilon falls while a policy plays", "on-policy")
class FallsInPlay(COMAAgents):
    def epsilon(self):
        return self.config.epsilon(self.moves)


class FirstToEnd(FreshEpisodes):
    def ready(self, n):
        return self.n_stored >= n


@broken("COMA: the first episodes to end teach", "fresh-episodes")
class ShortFirst(COMAAgents):
    def empty_replay(self):
        c, team = self.config, self.team
        return FirstToEnd(c.buffer_size, team.spec, team.has_state, c.buffer_bytes)


class KeepsOpen(FreshEpisodes):
    def take(self, n, device="cpu", *, acted):
        numbers = self._number.copy()
        batch = super().take(n, device, acted=acted)
        self._number = numbers
        return batch


@broken("COMA: what an earlier policy began teaches", "fresh-episodes")
class HalfStale(COMAAgents):
    def empty_replay(self):
        c, team = self.config, self.team
        return KeepsOpen(c.buffer_size, team.spec, team.has_state, c.buffer_bytes)


@broken("COMA: actor and critic are cut together", "gradient-step")
class CutTogether(COMAAgents):
    def clip_gradient(self):
        return nn.utils.clip_grad_norm_(self.online.parameters(), self.config.grad_clip)


@broken("COMA: old episodes teach again", "on-policy", trap="29")
class OffPolicy(COMAAgents):
    def draw(self):
        n = self.config.batch_size
        if self.replay is None or len(self.replay) < n:
            return None
        return self.replay.sample(n, self._sample_rng, self.device)


# -- a team as a whole ----------------------------------------------------------------------


@broken("VDN: the target is never copied", "target-network", trap="25")
class Forever(VDNAgents):
    def sync_target(self):
        pass


@broken("VDN: unavailable actions are explored", "masks")
class FreeExploration(VDNAgents):
    def policy(self, qs, available, epsilon, rng):
        return super().policy(qs, np.ones_like(available), epsilon, rng)


@broken("VDN: agents explore together", "acting")
class Together(VDNAgents):
    def policy(self, qs, available, epsilon, rng):
        explores = rng.random(len(qs)) < epsilon
        draws = (epsilon_greedy(qs, available, e, rng) for e in (1.0, 0.0))
        return np.where(explores[:, None], *draws)


@broken("VDN: epsilon falls with episodes, not moves", "acting", trap="25")
class FallsByEpisodes(VDNAgents):
    def epsilon(self):
        return self.config.epsilon(self.episodes)


@broken("VDN: the gradient is not cut", "gradient-step")
class Uncut(VDNAgents):
    def clip_gradient(self):
        return torch.zeros(())


@broken("VDN: a step size of its own", "gradient-step")
class OwnStep(VDNAgents):
    def _build(self):
        super()._build()
        for group in self.optimizer.param_groups:
            group["lr"] = 5e-4


@broken("VDN: gradients of batches add up", "gradient-step")
class AddsUp(VDNAgents):
    def learn_from(self, batch):
        self.optimizer.zero_grad = lambda set_to_none=True: None
        return super().learn_from(batch)


@broken("VDN: noise from the global dice", "repeats")
class GlobalDice(VDNAgents):
    def loss(self, batch):
        loss, metrics = super().loss(batch)
        return loss * (1 + 0.1 * torch.rand(())), metrics


@broken("VDN: a batch is masked in place", "batch", trap="32")
class InPlace(VDNAgents):
    def loss(self, batch):
        batch.reward[~batch.valid] = 0.0
        batch.reward.mul_(1.5)
        return super().loss(batch)


@broken("QMIX: a parameter that nothing reads", "gradient-flow")
class Unread(QMIXAgents):
    def build_mixer(self, spec):
        mixer = super().build_mixer(spec)
        mixer.unread = nn.Parameter(torch.ones(3))
        return mixer


@broken("QMIX: a temperature outside of what is saved", "saves")
class Unsaved(QMIXAgents):
    factor = 1.0

    def learn_from(self, batch):
        told = super().learn_from(batch)
        self.factor *= 1.1
        return told

    def loss(self, batch):
        loss, metrics = super().loss(batch)
        return self.factor * loss, metrics


@broken("VDN: the target is copied by episodes, not gradient steps", "target-network", trap="25")
class ByEpisodes(VDNAgents):
    def sync_target(self):
        if self.episodes and self.episodes % self.config.target_interval == 0:
            super().sync_target()


@broken("VDN: epsilon falls while a greedy team plays", "evaluating", trap="13")
class CountsTests(VDNAgents):
    def greedy_policy(self, qs, available, epsilon, rng):
        self.moves += len(qs)
        return super().greedy_policy(qs, available, epsilon, rng)


@broken("VDN: numpy is reseeded globally", "repeats", trap="24")
class SeedsNumpy(VDNAgents):
    def build_mixer(self, spec):
        np.random.seed(7)
        return super().build_mixer(spec)


@dataclass(frozen=True)
class DeafConfig(QMIXConfig):
    rnn_dim: int = 64


@broken("QMIX: a hyperparameter that nothing reads", "settings", trap="31b")
class Deaf(QMIXAgents):
    Config = DeafConfig


@broken("QMIX: the dead are always left out", "dead-noop")
class NeverNoop(QMIXAgents):
    def mixing_alive(self, view):
        return view.alive
