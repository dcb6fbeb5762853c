"""COMA, counterfactual multi-agent policy gradients (Foerster et al. 2018, arXiv 1705.08926).

Each agent's network gives the logits of a policy pi_i; a central critic gives Q(s, (u_-i, .)) of
all own actions of agent i in one pass, so that its baseline costs nothing more:

    A_i = Q(s, u) - sum_a pi_i(a | tau_i) Q(s, (u_-i, a))
    L_actor  = -mean A_i log pi_i(u_i)         A_i without gradient
    L_critic =  mean (Q(s, u) - G_i)^2         G_i by TD(lambda) on the target critic's Q(s', u')

over valid moves and living agents; u' is the joint action that was taken next.

Strictly on-policy.  Each episode teaches once, and only if the policy that learns from it played
all of it: see `FreshEpisodes`.  `learn` gives {} until `batch_size` of those are there, so more
calls of it (`updates_per_episode` above 1 / batch_size in `train`) bring no more gradient steps;
with fewer calls the episodes beyond batch_size are thrown away.  Epsilon moves on when the policy
does, with a gradient step: the policy in the loss is the one that acted.

Departures.  One step of the critic a batch, over all moves at once; PyMARL takes one for each
moment from the last to the first, so its target network's interval counts those.  Adam and not
RMSprop.  The critic is not fed the last joint action: what matters of it is in a state that
deserves its name.  An episode cut short by a time limit has no next action, so one is drawn from
the policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdtoolkit.agents.actor import epsilon_greedy
from vdtoolkit.agents.base import Agents, Networks
from vdtoolkit.batch import EpisodeBatch, View, chosen, masked_mean, only_available
from vdtoolkit.config import Config
from vdtoolkit.networks import Utilities, mlp
from vdtoolkit.replay import Columns, EpisodeReplay
from vdtoolkit.returns import td_lambda_targets
from vdtoolkit.step import Step, TeamSpec


@dataclass(frozen=True)
class COMAConfig(Config):
    """PyMARL's settings.  Nothing in COMA is greedy, so `double_q` has no meaning here."""

    sizes = ("critic_dim",)
    batch_size: int = 8
    """Episodes a gradient step: the first so many to begin under the present policy."""
    target_interval: int = 10
    """Gradient steps between copies to the target critic."""
    epsilon_start: float = 0.5
    """Share of uniform play in the policy at first."""
    epsilon_end: float = 0.01
    """Share of uniform play at last."""
    epsilon_steps: int = 100_000
    """Moves over which the share falls linearly."""
    td_lambda: float = 0.8
    """TD(lambda) of the critic."""
    critic_dim: int = 128
    """Hidden units of the critic's two layers."""


def floored_policy(logits: Tensor, available: Tensor, epsilon: float) -> Tensor:
    """pi = (1 - epsilon) softmax(logits) + epsilon / number, over available actions; 0 elsewhere.

    logits, available: [..., A] with something available; a distribution for any epsilon.
    """
    uniform = available / available.sum(-1, keepdim=True)
    return (1 - epsilon) * only_available(logits, available).softmax(-1) + epsilon * uniform


def drawn(pi: Tensor, lots: Tensor) -> Tensor:
    """Actions [...] distributed as pi [..., A], by lots [..., A] from Exp(1) (the first to ring).

    An action of probability 0 is never drawn.
    """
    return torch.where(pi > 0, lots / pi, torch.inf).argmin(-1)


class CounterfactualCritic(nn.Module):
    """Q(s, (u_-i, .)) of every agent i in one pass, parameters shared over agents.

    Input: s ; o_i ; onehot u_j of all living j != i, zeros in i's own place ; onehot i.
    """

    others: Tensor  # [N, N * A], 0 in each agent's own place

    def __init__(
        self, n_agents: int, n_actions: int, obs_dim: int, state_dim: int, critic_dim: int = 128
    ) -> None:
        super().__init__()
        self.n_agents, self.n_actions = n_agents, n_actions
        others = 1 - torch.eye(n_agents).repeat_interleave(n_actions, 1)
        self.register_buffer("others", others, persistent=False)
        in_dim = state_dim + obs_dim + n_agents * n_actions + n_agents
        self.out = mlp(in_dim, critic_dim, critic_dim, n_actions)

    def forward(self, obs: Tensor, actions: Tensor, state: Tensor, alive: Tensor) -> Tensor:
        """obs [..., N, O], actions [..., N], state [..., S], alive [..., N] -> [..., N, A].

        Row i, column a: Q(s, (u_-i, a)).
        """
        lead = obs.shape[:-1]
        onehot = F.one_hot(actions, self.n_actions) * alive.unsqueeze(-1)
        team = onehot.flatten(-2).unsqueeze(-2).to(obs.dtype) * self.others.to(obs.dtype)
        ids = torch.eye(self.n_agents, dtype=obs.dtype, device=obs.device)
        parts = [state.unsqueeze(-2).expand(*lead, -1), obs, team, ids.expand(*lead, -1)]
        return self.out(torch.cat(parts, -1))


class COMAAgents(Agents):
    """Stochastic policies, each credited with what its own action changed.

    Acts by sampling; the greedy team (`actor()`, `evaluate`) takes each policy's mode.  No IGM is
    claimed: what stands for Q_tot in audits is the critic's Q(s, u) of this team's own play, not
    of the best, and utilities are logits.
    """

    name = "coma"
    label = "COMA"
    Config = COMAConfig
    claim = "none"
    function_class = "unknown"  # on-policy values, which no limit of a class describes
    q_tot_label = "Q(s, u) (critic)"
    reads_obs = True
    counters = (*Agents.counters, "policy_moves")

    policy_moves = 0  # made when the present policy came about
    replay: FreshEpisodes | None

    # -- acting ---------------------------------------------------------------------------

    def epsilon(self) -> float:
        """The share of uniform play in the present policy."""
        return self.config.epsilon(self.policy_moves)

    def policy(
        self, qs: np.ndarray, available: np.ndarray, epsilon: float, rng: np.random.Generator
    ) -> np.ndarray:
        """A sample of the floored policy; qs are logits: [E, N, A] -> [E, N]."""
        pi = floored_policy(torch.from_numpy(qs), torch.from_numpy(available), epsilon)
        lots = rng.standard_exponential(qs.shape, np.float32)
        return drawn(pi, torch.from_numpy(lots)).numpy()

    def greedy_policy(
        self, qs: np.ndarray, available: np.ndarray, epsilon: float, rng: np.random.Generator
    ) -> np.ndarray:
        """The mode."""
        return epsilon_greedy(qs, available, 0.0, rng)

    # -- the critic -----------------------------------------------------------------------

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The critic."""
        return CounterfactualCritic(
            spec.n_agents, spec.n_actions, spec.obs_dim, spec.state_dim, self.config.critic_dim
        )

    def counterfactual(self, nets: Networks, actions: Tensor, view: View) -> Tensor:
        """Q(s, (u_-i, .)) of every agent: [..., N, A]."""
        return nets.mixer(view.obs, actions, view.state, self.mixing_alive(view))

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """The mean over living agents of the critic's Q(s, u)."""
        each = chosen(self.counterfactual(nets, actions, view), actions)
        return self._mean_of_living(each, view)

    def own_q(self, nets: Networks, actions: Tensor, view: View) -> Tensor:
        """Every agent's Q(s, u), [..., N]; where one is dead the living answer for it."""
        each = chosen(self.counterfactual(nets, actions, view), actions)
        team = self._mean_of_living(each, view).unsqueeze(-1)
        return torch.where(self.mixing_alive(view), each, team)

    def _mean_of_living(self, each: Tensor, view: View) -> Tensor:
        alive = self.mixing_alive(view).to(each.dtype)
        return (each * alive).sum(-1) / alive.sum(-1).clamp(min=1.0)

    def evidence(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> dict[str, Tensor]:
        """Each policy, and the counterfactual advantage of each joint action."""
        pi = floored_policy(utilities.qs, view.available, self.epsilon())
        table = self.counterfactual(nets, actions, view)
        return {"policy": pi, "advantage": advantages(pi, table, actions)}

    # -- learning -------------------------------------------------------------------------

    def empty_replay(self) -> FreshEpisodes:
        """Episodes of the present policy, each given out once."""
        c, team = self.config, self.team
        return FreshEpisodes(c.buffer_size, team.spec, team.has_state, c.buffer_bytes)

    def draw(self) -> EpisodeBatch | None:
        """The first `batch_size` episodes to begin under the present policy, once all are over."""
        n = self.config.batch_size
        if self.replay is None or not self.replay.ready(n):
            if self.replay is not None and len(self.replay) < n:
                self._refuse_starving()
            return None
        return self.replay.take(n, self.device, acted=self._actions is not None)

    def learn_from(self, batch: EpisodeBatch) -> dict[str, float]:
        """One gradient step on this very batch; the policy is another one then."""
        told = super().learn_from(batch)
        self.policy_moves = self.moves
        return told

    def clip_gradient(self) -> Tensor:
        """Actor and critic each for itself: the one's scale is no matter of the other's."""
        critic = [*self.online.mixer.parameters(), *self.online.mixer_front.parameters()]
        parts = (self.online.agent.parameters(), critic)
        norms = [nn.utils.clip_grad_norm_(part, self.config.grad_clip) for part in parts]
        return torch.linalg.vector_norm(torch.stack(norms))

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """L_actor + L_critic; they share no parameter."""
        logits = self.online.agent.unroll(batch.view.obs, batch.actions).qs  # [B, T+1, N, A]
        all_pi = floored_policy(logits, batch.view.available, self.epsilon())
        pi = all_pi[:, :-1]
        now = self.see(self.online, batch.view[:, :-1])
        learns = batch.valid.unsqueeze(-1) & self.mixing_alive(now)  # [B, T, N]
        table = self.counterfactual(self.online, batch.actions, now)  # [B, T, N, A]
        q = chosen(table, batch.actions)
        targets = self.targets(batch, all_pi.detach())
        l_critic = masked_mean((q - targets).square(), learns)
        advantage = advantages(pi, table, batch.actions).detach()
        # on padding the action may not be available: 0 has no logarithm, nor a gradient here
        log_pi = chosen(pi, batch.actions).clamp(min=TINY).log()
        l_actor = -masked_mean(advantage * log_pi, learns)
        return l_actor + l_critic, {
            "l_actor": l_actor,
            "l_critic": l_critic,
            "q": masked_mean(q, learns),
            "target": masked_mean(targets, learns),
            "td_error": masked_mean((q - targets).abs(), learns),
            "advantage": masked_mean(advantage.abs(), learns),
            "entropy": masked_mean(torch.special.entr(pi).sum(-1), learns),
        }

    @torch.no_grad()
    def targets(self, batch: EpisodeBatch, pi: Tensor) -> Tensor:
        """TD(lambda) of every agent's Q(s', u') by the target critic; pi, for ends: [B, T+1, N, A].

        The dice for what a time limit cut off are this gradient step's, the same for all episodes.
        """
        value = torch.zeros(batch.actions.shape, device=pi.device)
        if batch.bootstraps:
            dice = np.random.default_rng((self.seed, self.updates))
            lots = dice.standard_exponential(pi.shape[-2:], np.float32)
            after = drawn(pi[:, 1:], torch.as_tensor(lots, device=pi.device))
            made = batch.valid[:, 1:].unsqueeze(-1)
            after[:, :-1] = torch.where(made, batch.actions[:, 1:], after[:, :-1])
            value = self.own_q(self.target, after, self.see(self.target, batch.view[:, 1:]))
        return td_lambda_targets(
            batch.reward,
            batch.terminated,
            batch.valid,
            value,
            self.config.gamma,
            self.config.td_lambda,
        )


TINY = 1e-30  # a probability whose logarithm is still finite


def advantages(pi: Tensor, table: Tensor, actions: Tensor) -> Tensor:
    """A_i = Q(s, u) - sum_a pi_i(a) Q(s, (u_-i, a)): pi, table [..., N, A] -> [..., N]."""
    return chosen(table, actions) - (pi * table).sum(-1)


NOTHING = np.iinfo(np.int64).max  # no episode is open in this row
STALE = -1  # an earlier policy began it


class FreshEpisodes(EpisodeReplay):
    """Episodes of the present policy alone, each given out once.

    Episodes are numbered as they begin.  A batch is the first n of them, whichever is over first:
    with many environments short episodes would count more often than long ones otherwise.  All
    others, and those in progress, are another policy's once the batch is taken: they are dropped.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begun = 0
        self._number = np.zeros(0, np.int64)  # [E] of the open episodes
        self._numbers: list[int] = []  # of those stored, the oldest first

    def begin(self, step: Step) -> None:
        """E new episodes at their moment 0; what is stored stays, in its order."""
        super().begin(step)
        self._numbers = list(range(self.n_stored))
        self._begun, self._number = self.n_stored, np.full(step.n_envs, NOTHING)
        self._enumerate(np.arange(step.n_envs))

    def append(self, actions: np.ndarray, step: Step, note: np.ndarray | None = None) -> int:
        """As ever; returns how many episodes were completed, those that are dropped too."""
        completed = super().append(actions, step, note)
        self._enumerate(np.flatnonzero(step.first))
        return completed

    def ready(self, n: int) -> bool:
        """Whether the first n to begin are all over."""
        if self.n_stored < n:
            return False
        last = np.partition(self._numbers, n - 1)[n - 1]
        return not ((self._number != STALE) & (self._number < last)).any()

    def take(self, n: int, device: torch.device | str = "cpu", *, acted: bool) -> EpisodeBatch:
        """The first n to begin; nothing is left after.  acted: a move is being made right now."""
        batch = self.batch(np.sort(np.argsort(self._numbers)[:n]), device)
        while self.n_stored:
            self._drop_oldest()
        self.n_added = 0
        under_way = (self._number != NOTHING) & (acted | (self._moments > 1))
        self._number[under_way] = STALE
        return batch

    def fill(self, stored: Columns, n_added: int) -> None:
        """Take over what `stored` gave."""
        super().fill(stored, n_added)
        self._numbers = list(range(self.n_stored))

    def opened(self) -> Columns:
        """As ever, and in which order episodes began."""
        order = {"number": self._number, "begun": np.array([self._begun])}
        return super().opened() | order | {"numbers": np.array(self._numbers, np.int64)}

    def reopen(self, opened: Columns) -> None:
        """Take over what `opened` gave."""
        super().reopen(opened)
        self._number, self._begun = opened["number"].copy(), int(opened["begun"][0])
        self._numbers = opened["numbers"].tolist()

    def _enumerate(self, envs: np.ndarray) -> None:
        self._number[envs] = self._begun + np.arange(len(envs))
        self._begun += len(envs)

    def _store(self, env: int) -> None:
        number = int(self._number[env])
        if number == STALE:
            self._forget(np.array([env]))
            return
        super()._store(env)
        self._numbers.append(number)
        self._number[env] = NOTHING

    def _forget(self, envs: np.ndarray) -> None:
        super()._forget(envs)
        self._number[envs] = NOTHING

    def _drop_oldest(self) -> None:
        super()._drop_oldest()
        del self._numbers[0]
