"""The lab: every method trained on one finite game, audited over time, held against its limits."""

from __future__ import annotations

import dataclasses
import itertools
import math
import platform
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vdtoolkit._version import __version__
from vdtoolkit.agents import ALGORITHMS, Agents
from vdtoolkit.agents.named import named
from vdtoolkit.config import Config
from vdtoolkit.finite import FiniteStream, optimal_q
from vdtoolkit.igm.audit import audit
from vdtoolkit.igm.game import GameMaker
from vdtoolkit.igm.judging import limits_of, own_limit, state_verdicts, weighted_limit, worst
from vdtoolkit.igm.kept import Kept
from vdtoolkit.igm.processes import Progress, run_all
from vdtoolkit.igm.results import (
    Audit,
    LabResult,
    Limit,
    MethodResult,
    SeedResult,
    Snapshot,
)
from vdtoolkit.seeds import CannotStackError, play_seeds, refuse
from vdtoolkit.team import Team
from vdtoolkit.training import Loop

N_ENVS = 32  # episodes played side by side
UPDATES_PER_EPISODE = 0.0625  # in a game that ends by a time limit: for each of its moves
SNAPSHOTS = 10  # audits on the way
SHOWN = 4096  # entries of a table that is kept and shown
BATCH = 50  # seeds trained as one: more bring little, and leave the cache
MANY = 4  # from so many seeds of a method on
HALF = 8  # and in two parts, for two processes, where each has so many
TICKS = 40  # how often a run tells how far it is and sets its step size

# What the lab trains with where it differs from the defaults: finite games are seen whole, so no
# memory; large batches and a falling step size, so that tables settle; uniform exploration
# throughout, which is what the closed-form limits assume.
SETTINGS: dict[str, Any] = {
    "recurrent": False,
    "last_action": False,
    "lr": 3e-3,
    "batch_size": 64,
    "buffer_size": 20_000,
    "target_interval": 50,
    "epsilon_start": 1.0,
    "epsilon_end": 1.0,
}
OWN_SETTINGS: dict[str, dict[str, Any]] = {
    # three losses want smaller steps: with larger ones Q_jt can end up additive
    "qtran_base": {"lr": 1e-3},
    "qtran_alt": {"lr": 1e-3},
    # utilities tend to tie, and lambda must tell joint actions apart before they can part again:
    # more kernels, larger steps and the noise of smaller batches bring it about (docs/methods.md)
    "qplex": {"lr": 1e-2, "batch_size": 16, "n_kernels": 30},
    # the same tie, and the same ways out of it
    "qfix": {"lr": 1e-2, "batch_size": 16},
    # matrix games want more optimism than long tasks
    "hysteretic_iql": {"beta": 0.1},
    # partners never stop playing at random, so leniency does not end: beta = exp(-2)
    "lenient_iql": {"cooling": 0.0, "ceiling_decay": 1.0},
    # its paper asks for play near the greedy actions
    "nonmonotonic_qmix": {"epsilon_end": 0.05, "epsilon_steps": 10_000},
    # a policy under uniform play would never learn: the floor falls, and its own play is the data
    "coma": {"epsilon_start": 0.5, "epsilon_end": 0.05, "epsilon_steps": 10_000},
}


def lab_config(name: str) -> Config:
    """The lab's own default configuration of an algorithm, a name or SOURCE:CLASS."""
    cls = named(name)
    return cls.Config(**{**SETTINGS, **own_settings(cls)})


def own_settings(cls: type[Agents]) -> dict[str, Any]:
    """What the lab sets for a method alone.

    One that derives from a method of ours has that method's, as far as its config has such fields.
    """
    known = {field.name for field in dataclasses.fields(cls.Config)}
    line = (getattr(base, "name", "") for base in cls.__mro__)
    own = next((OWN_SETTINGS[of] for of in line if of in OWN_SETTINGS), {})
    return {name: value for name, value in own.items() if name in known}


@dataclass(frozen=True)
class Job:
    """One training run."""

    game: GameMaker
    algorithm: str  # a name, or SOURCE:CLASS
    config: Config
    seed: int
    moves: int
    limit: int = 20_000  # joint actions an audit enumerates

    @property
    def method(self) -> type[Agents]:
        """The algorithm's class."""
        return named(self.algorithm)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which has yet to find a method's file: its config as plain values.

        Pickle would look for the config's class first.
        """
        values = {f.name: getattr(self.config, f.name) for f in dataclasses.fields(self.config)}
        return _job, (self.game, self.algorithm, values, self.seed, self.moves, self.limit)


def _job(game: GameMaker, algorithm: str, values: dict[str, Any], *rest: int) -> Job:
    return Job(game, algorithm, named(algorithm).Config(**values), *rest)


def run_lab(
    game: GameMaker,
    algorithms: Sequence[str] = tuple(ALGORITHMS),
    *,
    seeds: int = 5,
    moves: int = 20_000,
    configs: dict[str, Config] | None = None,
    jobs: int = 1,
    batch: int = BATCH,
    command: str = "",
    progress: Progress = lambda moves: None,
    kept: Kept | None = None,
) -> LabResult:
    """Train every algorithm with every seed on the game and audit it.

    algorithms: by name, or a class of one's own as module:Class or file.py:Class; configs likewise.
    moves: by each team.  jobs: processes side by side; results do not depend on it.  batch: seeds
    of a method trained as one, where there are 4 or more and the method allows it; 1: none.
    progress is told of moves as they are done.  kept: where finished batches are kept; those that
    are there are not trained again.
    """
    began = time.perf_counter()
    configs = {name: (configs or {}).get(name, lab_config(name)) for name in algorithms}
    todo = [
        Job(game, name, configs[name], seed, moves) for name in algorithms for seed in range(seeds)
    ]
    results = _run_kept(in_batches(todo, batch), jobs, progress, kept)
    return summarise(game, todo, results, command, time.perf_counter() - began)


def summarise(
    game: GameMaker, todo: list[Job], results: list[SeedResult], command: str, seconds: float
) -> LabResult:
    """The seeds of each method together, beside the limits of the game itself."""
    env = game()
    team = Team.from_env(env)
    configs = {job.algorithm: job.config for job in todo}
    audits = results[0].audit
    payoff = first_payoff(env.unwrapped, team, audits)
    return LabResult(
        game=getattr(env.unwrapped, "title", game.name),
        agents=team.agents,
        states=[state.state for state in audits.states],
        payoffs=[state.payoff for state in audits.states],
        limits=_limits(payoff),
        optimal_return=optimal_return(env.unwrapped, team),
        moves=todo[0].moves,
        methods=[
            MethodResult(
                name=named(text).name,
                label=named(text).label,
                function_class=named(text)(env, config).function_class,
                config=dataclasses.asdict(config),
                seeds=[r for j, r in zip(todo, results, strict=True) if j.algorithm == text],
            )
            for text, config in configs.items()
        ],
        command=command,
        versions={
            "vdtoolkit": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        seconds=seconds,
    )


def run_one(job: Job, progress: Progress = lambda moves: None) -> SeedResult:
    """Train one team and audit it on the way and at the end."""
    run = _Run(job, progress)
    loop = Loop(
        run.agents,
        run.envs,
        job.moves,
        updates_per_episode=run.updates_per_episode,
        seed=job.seed,
        callback=run.tick,
        every=run.every,
    )
    loop.run()
    run.agents.reset()
    return run.result(1, loop.spent)


def run_seeds(jobs: list[Job], progress: Progress = lambda moves: None) -> list[SeedResult]:
    """`run_one` for several seeds of one method as one batch, or one after another with a warning.

    Results are those of `run_one` up to rounding, see `vdtoolkit.seeds`.
    """
    if len(jobs) == 1:
        return [run_one(jobs[0], progress)]
    runs = {id(run.agents): run for run in (_Run(job, progress) for job in jobs)}
    first = jobs[0]
    try:
        spent = play_seeds(
            [run.agents for run in runs.values()],
            first.game(),
            first.moves,
            n_envs=N_ENVS,
            seeds=[job.seed for job in jobs],
            updates_per_episode=next(iter(runs.values())).updates_per_episode,
            callback=lambda agents: runs[id(agents)].tick(agents),
            every=next(iter(runs.values())).every,
        )
    except CannotStackError as error:
        warnings.warn(f"seeds are trained one after another: {error}", stacklevel=2)
        progress(-sum(run.done for run in runs.values()))
        return [run_one(job, progress) for job in jobs]
    return [run.result(len(jobs), spent) for run in runs.values()]


class _Run:
    """A team in training and what is noted of it."""

    def __init__(self, job: Job, progress: Progress) -> None:
        self.began = time.perf_counter()
        self.job, self.progress, self.env = job, progress, job.game()
        self.agents = job.method(self.env, job.config, seed=job.seed)
        self.envs = FiniteStream(self.env, N_ENVS, self.agents.team)
        self.every = max(job.moves // TICKS, 1)
        self.updates_per_episode = UPDATES_PER_EPISODE * (self.env.unwrapped.time_limit or 1)
        self.history: list[Snapshot] = []
        self.done = 0
        self.audited = 0.0  # seconds

    def tick(self, agents: Agents) -> None:
        """Tell how far it is, set the step size and audit where one is due."""
        job, history = self.job, self.history
        self.progress(agents.moves - self.done)
        self.done = agents.moves
        settle(agents, agents.moves / job.moves)
        due = len(history) * job.moves / SNAPSHOTS
        if agents.moves >= due and not (history and history[-1].moves == agents.moves):
            began = time.perf_counter()
            found = audit(agents, self.env, limit=job.limit)
            history.append(Snapshot(agents.moves, slim(found, True)))
            self.audited += time.perf_counter() - began

    def result(self, together: int, spent: dict[str, float]) -> SeedResult:
        """The trained team's audit and what is to be said of it.

        spent: seconds by stage of the training; so many teams shared them.
        """
        agents, env, envs, job = self.agents, self.env, self.envs, self.job
        self.progress(job.moves - self.done)
        began = time.perf_counter()
        final = audit(agents, env, limit=job.limit)
        audited = time.perf_counter()
        self.audited += audited - began
        verdicts = state_verdicts(agents, env.unwrapped, final, envs)
        result = SeedResult(
            seed=job.seed,
            audit=slim(final),
            history=[
                *(h for h in self.history if h.moves < agents.moves),
                Snapshot(agents.moves, slim(final, True)),
            ],
            verdicts=verdicts,
            verdict=worst(verdicts),
            team_return=team_return(agents, env, final),
            seconds=0.0,
            own_ordering=own_limit(agents, envs, final.states[0]),
            class_limit=weighted_limit(agents, envs, final.states[0]),
        )
        now = time.perf_counter()
        stages = {name: seconds / together for name, seconds in spent.items()}
        stages |= {"audit": self.audited, "judge": now - audited}
        return dataclasses.replace(result, seconds=(now - self.began) / together, stages=stages)


def slim(found: Audit, history: bool = False) -> Audit:
    """An audit without its tables where they are large, and without what a history need not hold.

    A run keeps an audit for each moment looked at; every number of it stays.
    """
    states = []
    for state in found.states:
        if state.payoff is not None and state.payoff.size > SHOWN:
            state = dataclasses.replace(state, payoff=None, q_tot=None, backup=None, evidence={})
        elif history:
            state = dataclasses.replace(state, backup=None, evidence={})
        states.append(state)
    return dataclasses.replace(found, states=states)


def first_payoff(game: Any, team: Team, found: Audit) -> np.ndarray | None:
    """The first state's payoff, also where it is too large to be shown."""
    if game.one_shot:
        return optimal_q(game, 0.0, team)[found.states[0].state]
    return found.states[0].payoff


def settle(agents: Agents, progress: float) -> None:
    """The step size falls linearly to a fiftieth over the second half of a run."""
    share = min(1.0, max(2.0 * (1.0 - progress), 0.02))
    for group in agents.optimizer.param_groups:
        group["lr"] = agents.config.lr * share


def team_return(agents: Agents, env: Any, final: Audit, episodes: int = 64) -> float:
    """Expected undiscounted return of the greedy team: exact in one-shot games, else played."""
    game = env.unwrapped
    if game.one_shot:
        greedy = {state.state: state for state in final.states}
        return float(sum(p * game.rewards(s)[greedy[s].greedy] for p, s in game.initial_states()))
    envs, actor = FiniteStream(env, episodes, agents.team), agents.actor()
    step, returns = envs.reset(0), np.zeros(episodes)
    over = np.zeros(episodes, bool)
    while not over.all():
        step = envs.step(actor.act_steps(step))
        returns += np.where(over, 0.0, step.reward)
        over |= step.last
    return float(returns.mean())


def optimal_return(game: Any, team: Team) -> float | None:
    """Expected undiscounted return of a team that sees the state and plays best.

    Best at gamma = 0.99, over the game's time limit where it has one; None for a large game.
    """
    if game.one_shot:
        return float(sum(p * np.nanmax(game.rewards(s)) for p, s in game.initial_states()))
    if np.prod(team.n_actions, dtype=float) * len(game.states()) > 100_000:
        return None
    tables = optimal_q(game, 0.99, team)
    best = {
        s: tuple(int(i) for i in np.unravel_index(np.nanargmax(q), q.shape))
        for s, q in tables.items()
    }
    value = dict.fromkeys(best, 0.0)
    for _ in range(game.time_limit or 10_000):
        new = {
            s: sum(p * (r + (value[t] if t is not None else 0)) for p, r, t in game.model(s, u))
            for s, u in best.items()
        }
        if new == value:
            break
        value = new
    return float(sum(p * value[s] for p, s in game.initial_states()))


def _limits(payoff: np.ndarray | None) -> dict[str, Limit]:
    """The limits of a payoff, worked out once a process; large tables are left out."""
    if payoff is None:
        return {}
    found = limits_of(payoff)
    if payoff.size <= SHOWN:
        return found
    return {name: dataclasses.replace(limit, table=None) for name, limit in found.items()}


# -- processes ----------------------------------------------------------------------------------


def in_batches(todo: list[Job], batch: int) -> list[list[Job]]:
    """What is trained together: some seeds of a method as one, many in at least two parts.

    It does not depend on the number of processes, and so neither does how results are rounded.
    """
    found: list[list[Job]] = []
    for _, same in itertools.groupby(todo, key=lambda job: job.algorithm):
        own = list(same)
        alone = batch <= 1 or len(own) < MANY
        if not alone:
            try:
                refuse([own[0].method(own[0].game(), own[0].config)])
            except CannotStackError as error:
                alone = True
                if len(own) >= 2 * HALF:  # of a few it is no news
                    warnings.warn(f"seeds are trained one after another: {error}", stacklevel=3)
        together = max(1, min(2, len(own) // HALF), math.ceil(len(own) / batch))
        parts = len(own) if alone else together
        ends = [len(own) * k // parts for k in range(parts + 1)]
        found += [own[i:j] for i, j in itertools.pairwise(ends)]
    return found


def _run_kept(
    todo: list[list[Job]], jobs: int, progress: Progress, kept: Kept | None
) -> list[SeedResult]:
    """`run_all` but for what is there already; what comes is kept as soon as it is there."""

    def known(each: list[Job]) -> list[SeedResult] | None:
        return kept.get(each[0].method.name, [job.seed for job in each]) if kept else None

    def keep(each: list[Job], results: list[SeedResult]) -> None:
        if kept:
            kept.put(each[0].method.name, [job.seed for job in each], results)

    found = [known(each) for each in todo]
    for each, results in zip(todo, found, strict=True):
        if results is not None:
            progress(sum(job.moves for job in each))
    new = [each for each, results in zip(todo, found, strict=True) if results is None]
    trained = iter(run_all(run_seeds, new, jobs, progress, keep))
    return [result for old in found for result in (next(trained) if old is None else old)]
