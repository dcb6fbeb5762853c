"""`Agents`: the PettingZoo face that every algorithm has, and the array face under it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from os import PathLike
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vdtoolkit.agents.actor import Actor, Policy, epsilon_greedy, refuse_idleness
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.config import Config as AnyConfig
from vdtoolkit.config import with_overrides
from vdtoolkit.episode import TeamEpisode
from vdtoolkit.networks import AgentNet, Utilities
from vdtoolkit.replay import Columns, EpisodeReplay
from vdtoolkit.step import Step, TeamSpec
from vdtoolkit.team import Team
from vdtoolkit.vision import mixer_front

Dicts = Mapping[str, Any]

# one kernel for all parameters; on a CPU from torch 2.4 on
FUSED = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 4)
Self = TypeVar("Self", bound="Agents")


class Networks(nn.Module):
    """All that one copy (online or target) of an algorithm consists of."""

    mixer: Any  # each algorithm's own nn.Module, with the forward that its q_tot knows

    def __init__(
        self, agent: AgentNet, mixer: nn.Module, mixer_front: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.agent = agent
        self.mixer = mixer
        self.mixer_front = mixer_front or nn.Identity()


class Agents:
    """A team that acts alone and learns together.

    env: any PettingZoo `ParallelEnv`, or a `Team` made from spaces alone.
    config: the algorithm's own dataclass; single fields as keyword arguments.
    seed: of the networks, exploration and sampling; no global random state is touched.

    A subclass gives `build_mixer`, `q_tot` and `loss`; see `ValueAgents`.
    """

    name: ClassVar[str] = ""  # as on the command line
    label: ClassVar[str] = ""  # as in the papers
    Config: ClassVar[type[AnyConfig]] = AnyConfig
    claim: str = "exact"  # IGM: "exact" at any weights, "trained", "none"
    function_class: str = "unrestricted"  # of q_tot at one state, see igm.limits; or "unknown"
    q_tot_label: ClassVar[str] = "Q_tot"
    reads_state: bool = True  # q_tot reads view.state
    reads_obs: bool = False  # q_tot reads view.obs
    symmetric: bool = False  # agents that change places leave q_tot as it is
    own_loss: ClassVar[bool] = False  # not the loss of the class it derives from (for certify)
    notes: ClassVar[bool] = False  # `note` is stored beside each move
    counters: ClassVar[tuple[str, ...]] = ("moves", "episodes", "updates")  # as saved
    # names in `evidence`, where it is not Q_tot that is bootstrapped, or errors are weighted
    evidence_of_targets: ClassVar[str] = ""
    evidence_of_weights: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls) and "label" not in vars(cls):
            cls.label = cls.name  # not that of the method it derives from

    def __init__(
        self,
        env: Any,
        config: AnyConfig | None = None,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        **overrides: Any,
    ) -> None:
        if config is not None and not isinstance(config, self.Config):
            raise TypeError(
                f"{type(self).__name__} takes a {self.Config.__name__}, "
                f"not a {type(config).__name__}"
            )
        self.team = env if isinstance(env, Team) else Team.from_env(env)
        self.config: Any = with_overrides(config or self.Config(), overrides)
        self.seed, self.device = seed, torch.device(device)
        seeds = np.random.SeedSequence(seed)
        self._init_seed, explore, sample, self._actor_seeds = seeds.spawn(4)
        self._explore_rng = np.random.default_rng(explore)
        self._sample_rng = np.random.default_rng(sample)
        self.moves = 0  # made by the team and recorded
        self.episodes = 0  # completed and stored
        self.updates = 0  # gradient steps
        self._episode = TeamEpisode(self.team)
        self._moment: Step | None = None  # of the open episode(s)
        self._actions: np.ndarray | None = None  # chosen at that moment, not yet observed
        self._told_infos = True
        self.actor_in_training: Actor | None = None
        self.replay: EpisodeReplay | None = None
        if self.team.state_dim is not None:
            self._build()

    # -- what an algorithm is made of -----------------------------------------------------

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The mixer for a team of these sizes: of what `see` gives, where states are images."""
        raise NotImplementedError

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """Q_tot of joint actions: utilities.qs [..., N, A], actions [..., N] -> [...]."""
        raise NotImplementedError

    def utilities_of(self, nets: Networks, obs: Tensor, actions: Tensor) -> Utilities:
        """What agents' networks say in whole episodes: obs [B, T+1, N, O], actions [B, T, N]."""
        return nets.agent.unroll(obs, actions)

    def preferences(self, nets: Networks, utilities: Utilities, view: View) -> Tensor:
        """What each agent's greedy action is the best of, [..., N, A]: its own utilities."""
        return utilities.qs

    def see(self, nets: Networks, view: View) -> View:
        """The view as `q_tot` reads it: images as features, integers as floats."""
        return nets.mixer_front(view)

    def loss(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, and what is worth knowing about it."""
        raise NotImplementedError

    def evidence(
        self, nets: Networks, utilities: Utilities, actions: Tensor, view: View
    ) -> dict[str, Tensor]:
        """What the algorithm can show of itself at these joint actions, by name (for igm)."""
        return {}

    # -- PettingZoo's face ----------------------------------------------------------------

    def act(
        self, observations: Dicts, infos: Dicts | None = None, state: Any = None
    ) -> dict[str, int]:
        """Exploring actions {agent: action}, in each agent's own space.

        The first call of an episode supplies moment 0; later moments come from `observe`, so
        later calls read only which agents are there (and masks, where `observe` got no infos).
        An agent that has ended gets no action.
        """
        if self._actions is not None:
            raise RuntimeError(
                "act() was called twice without observe(): tell what env.step returned first, "
                "or use agents.actor() to act without learning, or agents.reset() after an "
                "early env.reset()"
            )
        self._check_state(state)
        if self._moment is None:
            first = self._episode.start(observations, infos, state)
            self._build()
            self.begin_steps(first)
        elif infos is not None and not self._told_infos:
            self._late_infos(observations, infos)
        actions = self.act_steps()[0]
        return self.team.decode(actions, self._episode.acting)

    def observe(
        self,
        observations: Dicts,
        rewards: Dicts,
        terminations: Dicts,
        truncations: Dicts,
        infos: Dicts | None = None,
        state: Any = None,
    ) -> None:
        """What `env.step` returned, in its order, and the state after it."""
        if self._actions is None:
            raise RuntimeError("observe() without act(): actions come first, then what they led to")
        self._check_state(state)  # before anything is taken note of
        self._told_infos = infos is not None
        step = self._episode.advance(observations, rewards, terminations, truncations, infos, state)
        self.observe_steps(step)
        if step.last[0]:
            self._moment = None

    def reset(self) -> None:
        """Forget the episode in progress (the env was reset early)."""
        self._moment = self._actions = None

    def actor(self, explore: bool = False) -> Actor:
        """The decentralised policy on these same networks, with a memory and dice of its own."""
        (seed,) = self._actor_seeds.spawn(1)
        return self._actor(explore, np.random.default_rng(seed))

    def save(self, path: str | PathLike[str], *, replay: bool = True) -> None:
        """Everything that learning needs to go on, in one safetensors file; no pickle.

        Networks, targets, optimiser, replay, counters, generators; not the episode in progress.
        replay=False leaves out the replay, by far the largest; learning goes on from new episodes.
        """
        from vdtoolkit.checkpoint import save

        save(self, path, replay=replay)

    def load(self, path: str | PathLike[str]) -> None:
        """Take over what `save` wrote, from agents of the same algorithm, team and config."""
        from vdtoolkit.checkpoint import restore

        restore(self, path)

    # -- the array face: E episodes at once -----------------------------------------------

    def begin_steps(self, step: Step) -> None:
        """E new episodes at moment 0."""
        self._build()
        assert self.replay is not None
        self.replay.begin(step)
        self._moment, self._actions = step, None

    def act_steps(self) -> np.ndarray:
        """Exploring actions [E, N] at the present moment; rows that are `last` ignore theirs."""
        assert self._moment is not None and self.actor_in_training is not None
        self._actions = self.actor_in_training.act_steps(self._moment)
        self.moves += self._moment.n_envs - int(np.count_nonzero(self._moment.last))
        return self._actions

    def observe_steps(self, step: Step) -> None:
        """What the last actions led to; rows that are `first` begin a new episode."""
        assert self.replay is not None and self._actions is not None
        self.episodes += self.replay.append(self._actions, step, self.note(step))
        self._moment, self._actions = step, None

    def in_progress(self) -> Columns:
        """The open episodes as arrays by name, between two steps: for a run's checkpoint.

        An algorithm that keeps more of them than the replay does adds it here and in `go_on`.
        """
        replay, actor, moment = self.replay, self.actor_in_training, self._moment
        assert replay is not None and actor is not None and moment is not None
        parts = {"moment": vars(moment), "actor": actor.memory(), "replay": replay.opened()}
        return {
            f"{part}.{name}": value
            for part, told in parts.items()
            for name, value in told.items()
            if value is not None
        }

    def go_on(self, told: Columns) -> None:
        """Take over the open episodes that `in_progress` gave; the rest is there already."""
        parts: dict[str, Columns] = {}
        for key, value in told.items():
            part, name = key.split(".", 1)
            parts.setdefault(part, {})[name] = value
        assert self.replay is not None and self.actor_in_training is not None
        self.replay.reopen(parts["replay"])
        self.actor_in_training.remember(parts["actor"])
        self._moment, self._actions = Step(**parts["moment"]), None

    def learn(self) -> dict[str, float]:
        """One gradient step and its metrics; {} while there is too little to learn from."""
        batch = self.draw()
        return {} if batch is None else self.learn_from(batch)

    def draw(self) -> EpisodeBatch | None:
        """The episodes of the next gradient step; None while there are too few."""
        if self.replay is None or len(self.replay) < self.config.batch_size:
            self._refuse_starving()
            return None
        return self.replay.sample(self.config.batch_size, self._sample_rng, self.device)

    def learn_from(self, batch: EpisodeBatch) -> dict[str, float]:
        """One gradient step on this very batch."""
        loss, metrics = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = self.clip_gradient()
        self.optimizer.step()
        self.updates += 1
        if self.updates % self.config.target_interval == 0:
            self.sync_target()
        told = {"loss": loss.detach(), "grad_norm": norm, **metrics}
        values = torch.stack([value.detach().float() for value in told.values()]).tolist()
        return dict(zip(told, values, strict=True))

    def clip_gradient(self) -> Tensor:
        """Cut the gradient to `grad_clip`; its norm before."""
        return nn.utils.clip_grad_norm_(self.online.parameters(), self.config.grad_clip)

    def sync_target(self) -> None:
        """Copy the online networks to the target."""
        self.target.load_state_dict(self.online.state_dict())

    def epsilon(self) -> float:
        """The share of random moves now."""
        return self.config.epsilon(self.moves)

    def mixing_alive(self, view: View) -> Tensor:
        """[..., N] bool: whose utilities enter the mixer and learn (config.dead)."""
        return view.alive if self.config.dead == "zero" else torch.ones_like(view.alive)

    # -- inside ---------------------------------------------------------------------------

    def _build(self) -> None:
        """Networks and replay, once the size of the state is known."""
        if self.replay is not None:
            return
        c = self.config
        self.online = self._networks().to(self.device)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.online.parameters(), lr=c.lr, fused=FUSED)
        self.replay = self.empty_replay()
        self.actor_in_training = self._actor(True, self._explore_rng)

    def _networks(self) -> Networks:
        """New networks, by the team's own seed."""
        spec, c = self.team.spec, self.config
        with torch.random.fork_rng(devices=[]):
            # not torch.manual_seed: it would seed the accelerators' global generators as well
            torch.default_generator.manual_seed(
                int(self._init_seed.generate_state(1, np.uint64)[0]) >> 1
            )
            agent = AgentNet(
                spec,
                c.hidden_dim,
                recurrent=c.recurrent,
                last_action=c.last_action,
                agent_id=c.agent_id,
                share_parameters=c.share_parameters,
            )
            front, seen = mixer_front(
                spec,
                own_state=self.team.has_state,
                width=c.hidden_dim,
                reads_state=self.reads_state,
                reads_obs=self.reads_obs,
            )
            return Networks(agent, self.build_mixer(seen), front)

    def empty_replay(self) -> EpisodeReplay:
        """Where this team's episodes go."""
        c, team = self.config, self.team
        return EpisodeReplay(
            c.buffer_size, team.spec, team.has_state, c.buffer_bytes, noted=self.notes
        )

    def _actor(self, explore: bool, rng: np.random.Generator) -> Actor:
        # methods, not lambdas: a copy of the agents then acts with its own networks
        policy: Policy = self.policy if explore else self.greedy_policy
        epsilon = self.epsilon if explore else float  # float() is 0.0
        return Actor(self.team, self._agent_net, policy, epsilon, rng, self.device)

    def _refuse_starving(self) -> None:
        """Episodes had to go before there were enough of them: there never will be."""
        if self.replay is not None and self.replay.n_added > len(self.replay):
            raise ValueError(
                f"buffer_bytes={self.config.buffer_bytes} holds {len(self.replay)} episodes now, "
                f"too few for batch_size={self.config.batch_size}: raise the one or lower the other"
            )

    def _agent_net(self) -> AgentNet:
        return self._built().agent

    def _check_state(self, state: Any) -> None:
        if (state is None) == self.team.has_state:
            self.team.encode_state(state, np.empty(0))  # says what is missing or too much

    def _built(self) -> Networks:
        if self.team.state_dim is None:
            raise RuntimeError(
                "the networks are not built: this env has no state_space, so its state's size "
                "is known only from the first agents.act(observations, infos, state=env.state())"
            )
        self._build()
        return self.online

    def policy(
        self, qs: np.ndarray, available: np.ndarray, epsilon: float, rng: np.random.Generator
    ) -> np.ndarray:
        """How an agent picks from its network's output; qs, available [E, N, A] -> [E, N]."""
        return epsilon_greedy(qs, available, epsilon, rng)

    def greedy_policy(
        self, qs: np.ndarray, available: np.ndarray, epsilon: float, rng: np.random.Generator
    ) -> np.ndarray:
        """The same where nothing is to be explored; epsilon is 0."""
        return self.policy(qs, available, epsilon, rng)

    def note(self, step: Step) -> np.ndarray | None:
        """What to store beside the moves that led to this step, [E, N] float32; see `notes`."""
        return None

    def _late_infos(self, observations: Dicts, infos: Dicts) -> None:
        """Masks and deaths that came with act() because observe() was given no infos."""
        assert self._moment is not None and self.replay is not None
        acting = {a: observations[a] for a in self._episode.acting}
        available = self.team.encode_available(acting, infos)
        refuse_idleness(self.team, available)
        alive = self._moment.alive[0].copy()
        for agent in acting:
            alive[self.team.index(agent)] = bool((infos.get(agent) or {}).get("alive", True))
        self._moment.available[0], self._moment.alive[0] = available, alive
        self.replay.correct(0, available=available, alive=alive)
