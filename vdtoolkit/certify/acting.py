"""What a team does with its utilities in play: its draws, and what it notes beside its moves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from vdtoolkit.agents import Agents, COMAAgents, LenientIQLAgents
from vdtoolkit.certify.check import Facts, check
from vdtoolkit.certify.histories import step_of
from vdtoolkit.certify.learning import float32
from vdtoolkit.certify.methods import only_for
from vdtoolkit.certify.subject import Subject, derives
from vdtoolkit.step import Step

ROWS = 20_000  # draws of one policy
SIGMAS = 6.0  # of so many draws, which a true share is never off by


@check(
    "acting",
    "a team that only plays takes each agent's best available action; one that explores draws, "
    "each agent for itself, uniformly with probability epsilon (COMA: from its floored policy), "
    "and epsilon falls linearly with its moves",
)
def acting(subject: Subject) -> Facts:
    """Shares of many draws at three epsilons, of every agent and of every pair."""
    agents, rng = subject.agents(), np.random.default_rng(subject.seed)
    N, A = subject.spec.n_agents, subject.spec.n_actions
    own = (3 * rng.normal(size=(N, A))).astype(np.float32)  # far apart, as logits as well
    available = np.arange(A) >= np.arange(N)[:, None]  # fewer and fewer
    best = np.where(available, own, -np.inf).argmax(-1)
    qs, masks = np.repeat(own[None], ROWS, 0), np.repeat(available[None], ROWS, 0)
    played = agents.greedy_policy(qs[:5], masks[:5], 0.0, rng)
    if (played != best).any():
        yield f"a team that only plays does {played[0].tolist()}, its best is {best.tolist()}"
    if own_way(agents, "policy"):
        subject.tell("it explores in a way of its own")
    else:
        for epsilon in (0.0, 0.3, 1.0):
            drawn = np.eye(A)[agents.policy(qs, masks, epsilon, rng)]  # [E, N, A]
            pi = share(agents, own, available, epsilon)
            yield from other_shares(drawn, pi, epsilon)
    if own_way(agents, "epsilon"):
        subject.tell("its epsilon is its own")
    else:
        yield from other_epsilon(agents)


def own_way(agents: Agents, method: str) -> bool:
    """Whether a class that derives from none of ours has replaced this method."""
    cls = type(agents)
    return getattr(cls, method) is not getattr(Agents, method) and not derives(cls)


def share(agents: Agents, own: np.ndarray, available: np.ndarray, epsilon: float) -> np.ndarray:
    """The probability of each action, [N, A]."""
    uniform = available / available.sum(-1, keepdims=True)
    rest = np.where(available, own, -np.inf)
    if isinstance(agents, COMAAgents):
        powers = np.exp(rest - rest.max(-1, keepdims=True))
        return (1 - epsilon) * powers / powers.sum(-1, keepdims=True) + epsilon * uniform
    return (1 - epsilon) * np.eye(own.shape[1])[rest.argmax(-1)] + epsilon * uniform


def other_shares(drawn: np.ndarray, pi: np.ndarray, epsilon: float) -> Facts:
    """Where draws [E, N, A], one-hot, are not of pi [N, A], one agent or two at a time."""
    pairs = np.einsum("eia,ejb->iajb", drawn, drawn) / len(drawn)
    both = np.einsum("ia,jb->iajb", pi, pi)
    for i in range(len(pi)):
        both[i, :, i] = np.diag(pi[i])
    apart = SIGMAS * (np.sqrt(both * (1 - both) / len(drawn)) + (both > 0) / len(drawn))
    far = np.abs(pairs - both) > apart + 1e-9
    if not far.any():
        return
    i, a, j, b = (int(x) for x in np.argwhere(far)[0])
    what = f"agent {i} does {a}" + (f" and agent {j} {b}" if i != j else "")
    yield (
        f"at epsilon {epsilon} {what} in {pairs[i, a, j, b]:.1%} of {len(drawn)} draws, "
        f"not {both[i, a, j, b]:.1%}"
    )


def other_epsilon(agents: Agents) -> Facts:
    """Epsilon after so many moves (of COMA the present policy's)."""
    c, kept = agents.config, {name: getattr(agents, name) for name in agents.counters}
    for part in (0.0, 0.25, 1.0, 3.0):
        moves = round(part * c.epsilon_steps)
        for name in agents.counters:
            setattr(agents, name, moves if "moves" in name else 0)
        done = min(moves / c.epsilon_steps, 1.0) if c.epsilon_steps else 1.0
        expected = (1 - done) * c.epsilon_start + done * c.epsilon_end
        if abs(agents.epsilon() - expected) > 1e-9:
            yield f"epsilon is {agents.epsilon():.4g} after {moves} moves, not {expected:.4g}"
    for name, value in kept.items():
        setattr(agents, name, value)


CYCLES = (2, 4, 3)  # moves of an episode in each row
TICKS = 24


@check(
    "fresh-episodes",
    "COMA: a batch is of the first batch_size episodes to begin under the present policy, side by "
    "side with others, and that policy made every move",
)
def fresh_episodes(subject: Subject) -> Facts:
    """Episodes of three lengths side by side; each move is paid its policy and its episode."""
    only_for(subject, COMAAgents)
    agents, rows = subject.agents(batch_size=2, buffer_size=20), len(CYCLES)
    batch = float32(subject.batch(lengths=(1,) * rows, ended=(False,) * rows, deaths=()))
    quiet = step_of(batch, 0)
    agents.begin_steps(quiet)
    number = np.arange(rows)  # of the open episodes
    candidates: list[int] = []  # episodes that began under the present policy
    learned = 0
    for tick in range(TICKS):
        place = np.array([tick % (n + 1) for n in CYCLES])  # the last tick of a cycle is a reset
        moves, starts = place < CYCLES, place == 0
        candidates += number[starts].tolist()
        agents.act_steps()
        over, first = place == np.array(CYCLES) - 1, place == CYCLES
        number[first] = number.max() + 1 + np.arange(int(first.sum()))
        paid = np.where(moves, 1000.0 * agents.updates + number, 0.0).astype(np.float32)
        agents.observe_steps(replace(quiet, reward=paid, first=first, truncated=over))
        drawn = agents.draw()
        if drawn is None:
            continue
        policies, numbers = np.divmod(drawn.reward[drawn.valid].numpy(), 1000)
        if (policies != agents.updates).any():
            yield f"policy {agents.updates} learns from moves of {sorted(set(policies.tolist()))}"
        expected = sorted(candidates)[:2]
        if sorted(set(numbers.tolist())) != expected:
            yield f"episodes {sorted(set(numbers.tolist()))} teach, {expected} began first"
        agents.learn_from(drawn)
        learned, candidates = learned + 1, []
    if not learned:
        yield f"{TICKS} moments of {rows} episodes at a time taught nothing"
    subject.tell(f"{learned} gradient steps")


COOLING: dict[str, Any] = {
    "temperature": 0.8,
    "moderation": 1.5,
    "cooling": 0.4,
    "trace": 0.5,
    "ceiling_decay": 0.8,
    "hash_bits": 6,
}


@check(
    "lenient-cooling",
    "Lenient IQL: 1 - exp(-K T) is noted as it is when a move is made; once an episode is over T "
    "falls by exp(-rho d^n), n moves before the end, of the living, and its ceiling falls",
)
def lenient_cooling(subject: Subject) -> Facts:
    """Three rounds of two episodes, against a table kept by hand."""
    only_for(subject, LenientIQLAgents)
    agents = subject.agents(**COOLING)
    assert isinstance(agents, LenientIQLAgents)
    batch = float32(subject.batch(lengths=(4, 4), ended=(False, False)))
    batch.view.obs[:, 2:] = batch.view.obs[:, :1]  # so that much is visited again
    noted: list[np.ndarray] = []
    note = agents.note

    def listen(step: Step) -> np.ndarray:
        noted.append(note(step))
        return noted[-1]

    object.__setattr__(agents, "note", listen)
    table = ByHand(agents)
    for _ in range(3):
        agents.begin_steps(step_of(batch, 0))
        codes = agents.online.mixer.codes(batch.view.obs).numpy()
        for t in range(4):
            actions = agents.act_steps().copy()
            expected = table.visit(codes[:, t], actions, batch.view.alive[:, t].numpy())
            over = np.full(2, t == 3)
            agents.observe_steps(replace(step_of(batch, t + 1), truncated=over))
            far = float(np.abs(noted[-1] - expected).max())
            if far > 1e-5:
                yield f"leniency is off by {far:.4g} at move {t}, after {table.episodes} episodes"
                return
        table.end()
    subject.tell(f"{table.episodes} episodes")


class ByHand:
    """T(o, u) of each agent as a share of the first, one entry after another."""

    def __init__(self, agents: LenientIQLAgents) -> None:
        self.c, self.ceiling, self.episodes = agents.config, 1.0, 0
        self.visited: list[list[tuple[tuple[int, int, int], bool]]] = [[], []]
        self.heat: dict[tuple[int, int, int], float] = {}

    def visit(self, codes: np.ndarray, actions: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """Leniency of these moves [E, N]."""
        found = np.zeros(actions.shape)
        for e, i in np.ndindex(*actions.shape):
            key = (i, int(codes[e, i]), int(actions[e, i]))
            self.visited[e].append((key, bool(alive[e, i])))
            heat = self.c.temperature * min(self.heat.get(key, 1.0), self.ceiling)
            found[e, i] = 1 - math.exp(-self.c.moderation * heat)
        return found

    def end(self) -> None:
        """All episodes are over, one after another."""
        n = len({i for (i, _, _), _ in self.visited[0]})
        for visited in self.visited:
            for key, _ in visited:
                self.heat[key] = min(self.heat.get(key, 1.0), self.ceiling)
            for k, (key, alive) in enumerate(visited):
                before_end = len(visited) // n - 1 - k // n
                self.heat[key] *= math.exp(-self.c.cooling * self.c.trace**before_end * alive)
            self.ceiling *= self.c.ceiling_decay
            self.episodes += 1
            visited.clear()
