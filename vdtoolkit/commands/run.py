"""One team's training, its evaluations beside it, and the random team's play."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vdtoolkit.agents import Agents, IQLAgents
from vdtoolkit.commands.show import Display
from vdtoolkit.making import EnvMaker
from vdtoolkit.runs import Run, Score
from vdtoolkit.stream import stream
from vdtoolkit.team import Team
from vdtoolkit.training import evaluate, play

# evaluations play episodes of their own, the same for random and trained teams
CURVE_SEEDS, FINAL_SEEDS = 1_000_000, 2_000_000
SIDE_BY_SIDE = 8  # environments in which they are played; decides nothing but the speed


@dataclass(frozen=True)
class Settings:
    """How long, on what, and how often it is evaluated."""

    moves: int
    n_envs: int | str
    workers: int | str
    threads: int
    updates_per_episode: float
    eval_every: int
    eval_episodes: int
    final_episodes: int

    @classmethod
    def of(cls, options: Any) -> Settings:
        """From the command's options."""
        names = [f.name for f in dataclasses.fields(cls)]
        given = {name: getattr(options, name) for name in names}
        given["eval_every"] = options.eval_every or max(1, options.moves // 20)
        return cls(**given)


def baseline(team: Team, maker: EnvMaker, settings: Settings, seed: int) -> Score:
    """The random team's score: uniform over what is available."""
    agents = IQLAgents(team, seed=seed, hidden_dim=1, epsilon_start=1.0)
    told = evaluate(
        agents,
        maker,
        settings.final_episodes,
        seed=FINAL_SEEDS + seed,
        explore=True,
        n_envs=SIDE_BY_SIDE,
    )
    return Score.from_evaluation(told)


def train_run(run: Run, agents: Agents, maker: EnvMaker, settings: Settings, show: Display) -> None:
    """Train one team; whatever stops it, `run` tells how far it came."""
    show.begin(agents.seed)
    clock = Clock()
    try:
        envs = stream(maker, settings.n_envs, agents.team, settings.workers)
        run.n_envs, run.workers = envs.n_envs, getattr(envs, "n_workers", 0)
        try:
            clock.start()
            play(
                agents,
                envs,
                settings.moves,
                updates_per_episode=settings.updates_per_episode,
                seed=agents.seed,
                callback=lambda agents: measure(run, agents, maker, settings, show, clock),
                every=settings.eval_every,
                monitor=lambda report: show.progress(report, agents.epsilon()),
            )
        finally:
            run.take(agents, clock.seconds())
            envs.close()
        show.say(f"playing {settings.final_episodes} episodes to the end")
        run.final = score(agents, maker, settings.final_episodes, FINAL_SEEDS)
        if run.curve[-1].moves < agents.moves:
            run.curve.append(run.final)
    except BaseException as error:
        run.interrupted = True
        agents.reset()  # the open episode
        if not isinstance(error, KeyboardInterrupt):
            raise


def measure(
    run: Run, agents: Agents, maker: EnvMaker, settings: Settings, show: Display, clock: Clock
) -> None:
    """One more point of the curve; the clock stands still meanwhile."""
    with clock.stopped():
        run.take(agents, clock.seconds())
        run.curve.append(score(agents, maker, settings.eval_episodes, CURVE_SEEDS))
        show.scored(run.curve[-1], run.steps_per_second)


def score(agents: Agents, maker: EnvMaker, episodes: int, seeds: int) -> Score:
    """The greedy team's score; episodes are the same for teams of the same seed."""
    told = evaluate(agents, maker, episodes, seed=seeds + agents.seed, n_envs=SIDE_BY_SIDE)
    return Score.from_evaluation(told, agents.moves)


class Clock:
    """Seconds since the start, without those in which it was stopped."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self._begun, self._left_out, self._since = time.perf_counter(), 0.0, 0.0

    def seconds(self) -> float:
        """So far."""
        return (self._since or time.perf_counter()) - self._begun - self._left_out

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stand still."""
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._left_out += time.perf_counter() - self._since
            self._since = 0.0
