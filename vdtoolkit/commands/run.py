"""One team's training, its evaluations beside it, and the random team's play."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from vdtoolkit.agents import Agents, IQLAgents
from vdtoolkit.commands.show import Display
from vdtoolkit.interrupts import Interrupts
from vdtoolkit.making import EnvMaker
from vdtoolkit.rundir import Record, RunFolder, Window, score_of
from vdtoolkit.runs import Run, Score
from vdtoolkit.stream import Stream, stream
from vdtoolkit.team import Team
from vdtoolkit.training import Loop, Report, evaluate

# evaluations play episodes of their own, the same for random and trained teams
CURVE_SEEDS, FINAL_SEEDS = 1_000_000, 2_000_000
SIDE_BY_SIDE = 8  # environments in which they are played; decides nothing but the speed
AT_MOST = 0.01  # of the time goes into checkpoints, however large they are
LINES = 200  # about training, over a whole run


@dataclass(frozen=True)
class Settings:
    """How long, on what, and how often it is evaluated and written down."""

    moves: int
    n_envs: int | str
    workers: int | str
    threads: int
    updates_per_episode: float
    eval_every: int
    eval_episodes: int
    final_episodes: int
    checkpoint_seconds: float = 30.0

    @classmethod
    def of(cls, options: Any) -> Settings:
        """From the command's options."""
        names = [f.name for f in dataclasses.fields(cls)]
        given = {name: getattr(options, name) for name in names}
        given["eval_every"] = options.eval_every or max(1, options.moves // 20)
        return cls(**given)

    @property
    def log_every(self) -> int:
        """Moves between two lines about training."""
        return max(1, self.moves // LINES)


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


class TeamTraining:
    """One team's training in a folder, from the start or from its last checkpoint."""

    def __init__(
        self,
        run: Run,
        agents: Agents,
        maker: EnvMaker,
        settings: Settings,
        show: Display,
        folder: RunFolder,
        interrupts: Interrupts,
    ) -> None:
        self.run, self.agents, self.maker, self.settings = run, agents, maker, settings
        self.show, self.folder, self.interrupts = show, folder, interrupts
        self.clock, self.window = Clock(), Window()
        self.stages = {"evaluate": 0.0, "save": 0.0}
        self.snapshots = folder.snapshots()
        self.loop: Loop | None = None
        self.record: Record | None = None

    def start(self, passport: Callable[[Stream], None], *, new_episodes: bool = False) -> None:
        """Train to the end; whatever stops it, `run` tells how far it came.

        passport(envs) writes it.  new_episodes: open ones are given up.
        """
        run, agents, settings = self.run, self.agents, self.settings
        self.show.begin(agents.seed)
        told = self.snapshots.restore(agents) if self.snapshots.exists() else None
        n_envs = settings.n_envs if told is None else int(told["n_envs"])
        envs = stream(self.maker, n_envs, agents.team, settings.workers, resumes=True)
        try:
            run.n_envs, run.workers = envs.n_envs, getattr(envs, "n_workers", 0)
            passport(envs)
            self.loop = loop = Loop(
                agents,
                envs,
                settings.moves,
                updates_per_episode=settings.updates_per_episode,
                seed=agents.seed,
                callback=lambda agents: self.measure(),
                every=settings.eval_every,
                monitor=self.watch,
                keeper=self.keep,
            )
            if told is None:
                self.record = Record(self.folder.path)
            else:
                self.take_up(loop, told, new_episodes)
            self.folder.say("running", agents.moves, settings.moves)
            self.clock.start(run.seconds)
            self.due = time.monotonic() + settings.checkpoint_seconds
            self.interrupts.wait = True
            loop.run()
            self.save()
            self.interrupts.wait = False
            if self.interrupts.asked:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            self.interrupts.wait, self.interrupts.asked = True, False  # saving goes before
            self.interrupted()  # while envs can still tell where they are
            raise
        finally:
            if self.record is not None:
                run.take(agents, self.clock.seconds())
            envs.close()

    def finish(self) -> None:
        """The last evaluation."""
        run, agents = self.run, self.agents
        assert self.record is not None
        episodes = self.settings.final_episodes
        self.show.say(f"playing {episodes} episodes to the end")
        with self.evaluating():
            final = score(agents, self.maker, episodes, FINAL_SEEDS)
        if self.window.moves < agents.moves:
            self.record.spent(agents.moves, run.seconds, self.spent())
        self.record.evaluated(final, final=True)
        self.record.offsets()
        run.final = final
        agents.reset()  # the open episodes
        if run.curve[-1].moves < agents.moves:
            run.curve.append(final)

    # -- while it goes on -----------------------------------------------------------------

    def watch(self, report: Report) -> None:
        """After each vector step: the display, and now and then a line."""
        agents, window = self.agents, self.window
        self.show.progress(report, agents.epsilon())
        window.take(report)
        if report.moves - window.moves >= self.settings.log_every:
            assert self.record is not None
            counts = (report.moves, agents.episodes, agents.updates, agents.epsilon())
            self.record.trained(window.line(*counts, report))
            self.record.spent(report.moves, self.clock.seconds(), self.spent())

    def measure(self) -> None:
        """One more point of the curve; the clock stands still meanwhile."""
        agents, run = self.agents, self.run
        assert self.record is not None
        with self.clock.stopped(), self.timed("evaluate"):
            run.take(agents, self.clock.seconds())
            with self.evaluating():
                found = score(agents, self.maker, self.settings.eval_episodes, CURVE_SEEDS)
            run.curve.append(found)
            self.record.evaluated(found)
            self.show.scored(found, run.steps_per_second)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """An interrupt comes through at once, and what is saved then is of the moment before."""
        actors = copy.deepcopy(self.agents._actor_seeds)
        self.interrupts.wait = False
        try:
            if self.interrupts.asked:
                raise KeyboardInterrupt
            yield
            self.interrupts.wait = True
        except BaseException:
            self.agents._actor_seeds = actors
            raise

    def keep(self, loop: Loop) -> None:
        """Between two vector steps: a checkpoint where one is due, the end where one is asked."""
        if self.interrupts.asked:
            raise KeyboardInterrupt
        if time.monotonic() >= self.due:
            began = time.perf_counter()
            self.save()
            spent = time.perf_counter() - began
            seconds = self.settings.checkpoint_seconds
            self.due = time.monotonic() + (max(seconds, spent / AT_MOST) if seconds else 0.0)

    def interrupted(self) -> None:
        """Save where it is, if it stands between two steps."""
        loop = self.loop
        if self.begun and loop is not None and loop.tally is not None and loop.between:
            self.save()

    def save(self) -> None:
        """A checkpoint of this very moment."""
        run, loop, record = self.run, self.loop, self.record
        assert loop is not None and record is not None
        with self.timed("save"):
            run.take(self.agents, self.clock.seconds())
            told = {
                "loop": loop.bookmark(),
                "window": self.window.to_json(),
                "offsets": record.offsets(),
                "stages": self.spent(),
                "seconds": run.seconds,
                "n_envs": run.n_envs,
            }
            self.snapshots.write(self.agents, told)
            self.folder.say("running", run.moves, self.settings.moves)

    def take_up(self, loop: Loop, told: dict[str, Any], new_episodes: bool) -> None:
        """Go on from what a checkpoint told."""
        run = self.run
        try:
            given_up = loop.resume(told["loop"], anew=new_episodes)
            loop.spent = {name: float(told["stages"][name]) for name in loop.spent}
        except (AttributeError, LookupError, TypeError) as error:
            said = f"{type(error).__name__}: {error}"
            raise ValueError(f"{self.snapshots.path} does not fit this run: {said}") from error
        offsets = {name: int(told["offsets"][name]) for name in ("metrics", "timing")}
        self.record = Record(self.folder.path, offsets, self.agents.moves)
        self.window = Window(told["window"])
        self.stages = {name: float(told["stages"][name]) for name in self.stages}
        run.curve = [
            score_of(line)
            for line in self.folder.lines("metrics.jsonl")
            if line["kind"] == "evaluation"
        ]
        run.seconds = float(told["seconds"])
        run.take(self.agents, run.seconds)
        at = f"resumed after {self.agents.moves:,} moves"
        if given_up:
            at += f"; open episodes are given up and new ones begin: {given_up}"
        self.show.line(at)

    @property
    def begun(self) -> bool:
        """Whether there is a training whose state may be written down."""
        return self.record is not None

    def spent(self) -> dict[str, float]:
        """Seconds by stage so far."""
        return {**(self.loop.spent if self.loop else {}), **self.stages}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count these seconds."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages[stage] += time.perf_counter() - began

    def close(self) -> None:
        """No more is written."""
        if self.record is not None:
            self.record.close()


def train_run(
    training: TeamTraining, passport: Callable[[Stream], None], *, new_episodes: bool = False
) -> None:
    """Train one team; whatever stops it, its folder says so and its run tells how far it came."""
    run, agents, folder = training.run, training.agents, training.folder
    moves = training.settings.moves
    try:
        training.start(passport, new_episodes=new_episodes)
        training.finish()
    except BaseException as error:
        run.interrupted = True
        stopped = isinstance(error, KeyboardInterrupt)
        training.interrupts.wait, training.interrupts.asked = True, False
        agents.reset()
        with suppress(ValueError):  # a full disk, or what was said before cannot be read
            status, said = ("interrupted", None) if stopped else ("failed", str(error))
            done = agents.moves if training.begun else int(folder.status().get("moves", 0))
            folder.say(status, done, moves, said)
        if not stopped:
            raise
    finally:
        training.close()


def score(agents: Agents, maker: EnvMaker, episodes: int, seeds: int) -> Score:
    """The greedy team's score; episodes are the same for teams of the same seed."""
    told = evaluate(agents, maker, episodes, seed=seeds + agents.seed, n_envs=SIDE_BY_SIDE)
    return Score.from_evaluation(told, agents.moves)


class Clock:
    """Seconds since the start, without those in which it was stopped."""

    def __init__(self) -> None:
        self.start()

    def start(self, before: float = 0.0) -> None:
        """Begin anew, after so many seconds before."""
        self._begun, self._left_out, self._since = time.perf_counter() - before, 0.0, 0.0

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
