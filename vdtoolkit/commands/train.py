"""`vdtoolkit train`: any environment by name, from the command line to a folder with the team."""

from __future__ import annotations

import dataclasses
import math
import shlex
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from vdtoolkit.agents import Agents
from vdtoolkit.agents.named import is_own, named
from vdtoolkit.checkpoint import UNFIT
from vdtoolkit.cli import refuse
from vdtoolkit.commands.entry import Number, Words, device_of, refused, several
from vdtoolkit.commands.run import Interrupts, Settings, TeamTraining, baseline, train_run
from vdtoolkit.commands.show import Display, display, show_result
from vdtoolkit.config import Config
from vdtoolkit.files import SavingError, read_json, write_json, write_whole
from vdtoolkit.flags import at_least, parse, prepare, unchecked
from vdtoolkit.lookup import from_here
from vdtoolkit.making import EnvMaker, versions_of
from vdtoolkit.passport import differences, passport, versions
from vdtoolkit.plots import plot_learning
from vdtoolkit.rundir import FORMAT, RunFolder
from vdtoolkit.runs import Run, Score, TrainResult
from vdtoolkit.stream import Stream
from vdtoolkit.team import Team
from vdtoolkit.team_env import TeamEnv

PROGRAM = "vdtoolkit train"
DEFAULT = "qmix"


@dataclass(frozen=True)
class Options:
    """Train a team on any PettingZoo environment and show what it learned beside a random team.

    The method's own flags are listed at the end; --algorithm NAME --help lists another's.
    """

    env: str
    """mpe2.simple_spread_v3, pettingzoo:sisl/pursuit-v5, gymnasium:PACKAGE:ID, my_env.py or
    my_env.py:make."""
    env_arg: Words = ()
    """An argument of the environment, NAME=VALUE; again for each."""
    wrap: Words = ()
    """A wrapper as a call without the env: "supersuit.resize_v1(x_size=42, y_size=42)"; again for
    each, the first innermost."""
    algorithm: str = DEFAULT
    """iql, hysteretic_iql, lenient_iql, vdn, qmix, qatten, qtran_base, qtran_alt, qplex, qfix,
    cw_qmix, ow_qmix, nonmonotonic_qmix, joint_q or coma; a class of your own as module:Class or
    file.py:Class."""
    moves: int = 100_000
    """Moves the team plays in training."""
    seed: int = 0
    """Of networks, exploration and environments."""
    seeds: int = 1
    """Teams trained one after another: seed, seed + 1, ..."""
    n_envs: Number = "auto"
    """Environments played side by side."""
    workers: Number = "auto"
    """Processes that play them, 0 for none; auto: one a core where that is faster."""
    device: str = "auto"
    """cpu, cuda, ...; auto is cuda where there is one."""
    threads: int = 1
    """Torch's threads: these networks are small, a second one rarely pays."""
    reward: Literal["mean", "sum"] = "mean"
    """The team's reward of a move, from its agents'."""
    state: Literal["env", "joint"] = "env"
    """What mixers see: the env's own state(), or all observations together."""
    updates_per_episode: float = 1.0
    """Gradient steps for each completed episode."""
    eval_every: int | None = None
    """Moves between greedy evaluations; a twentieth of all by default."""
    eval_episodes: int = 32
    """Episodes of each of them."""
    final_episodes: int = 100
    """Episodes of the last evaluation, and of the random team."""
    checkpoint_seconds: float = 30.0
    """Between checkpoints from which `vdtoolkit resume` goes on; longer where they are large."""
    save_replay: bool = False
    """Keep the replay in team.safetensors, to go on learning from it with vdtoolkit.load."""
    out: Path | None = None
    """Folder for team and results; runs/train-ENV-METHOD-TIME by default."""


def options_type(algorithm: str) -> Any:
    """`Options` with one algorithm's hyperparameters as flags, from its config dataclass."""
    cls = named(algorithm)
    flags = unchecked(cls.Config)
    if taken := sorted(_fields(flags) & _fields(Options)):
        raise ValueError(
            f"{algorithm}: its hyperparameter {taken[0]!r} is called as a flag of {PROGRAM} is: "
            "give it another name"
        )
    group: Any = Annotated[flags, tyro.conf.arg(name="", help=f"{cls.label}'s hyperparameters.")]
    made = dataclasses.make_dataclass(
        "Train",
        [("config", group, field(default_factory=flags))],
        bases=(Options,),
        frozen=True,
    )
    made.__doc__ = Options.__doc__
    return made


def _fields(cls: Any) -> set[str]:
    return {one.name for one in dataclasses.fields(cls)}


def main(arguments: list[str]) -> int:
    """The command; everything is checked before anything is trained."""
    try:
        options = parse(options_type(asked_for(arguments)), arguments, PROGRAM)
        if options is None:
            return 0
        command = shlex.join([*PROGRAM.split(), *arguments])
        return run(PROGRAM, Training(Asked.of(options, command), options.out))
    except ValueError as error:
        return refused(PROGRAM, error)


def run(program: str, training: Training) -> int:
    """Train; the exit status."""
    try:
        return training.run()
    except SavingError as error:
        return refuse(program, f"{error}; then go on: vdtoolkit resume {training.out}")


def asked_for(arguments: list[str]) -> str:
    """The algorithm asked for: its flags have to be known before all are read."""
    for flag, value in zip(arguments, (*arguments[1:], ""), strict=False):
        if flag == "--algorithm":
            return value
        if flag.startswith("--algorithm="):
            return flag.partition("=")[2]
    return DEFAULT


@dataclass(frozen=True)
class Asked:
    """What a training is to be, as config.json holds it."""

    command: str
    algorithm: str  # as given: a name, or SOURCE:CLASS
    config: Config
    maker: EnvMaker
    settings: Settings
    device: str
    reward: str
    state: str
    seeds: tuple[int, ...]
    baseline_seed: int  # of the random team
    save_replay: bool = False  # with the team

    @classmethod
    def of(cls, options: Any, command: str) -> Asked:
        """From the command's options."""
        check(options)
        return cls(
            command=command,
            algorithm=options.algorithm,
            config=config_of(named(options.algorithm), dataclasses.asdict(options.config)),
            maker=EnvMaker.parse(options.env, options.env_arg, options.wrap),
            settings=Settings.of(options),
            device=options.device,
            reward=options.reward,
            state=options.state,
            seeds=tuple(range(options.seed, options.seed + options.seeds)),
            baseline_seed=options.seed,
            save_replay=options.save_replay,
        )

    @property
    def method(self) -> type[Agents]:
        """The algorithm's class."""
        return named(self.algorithm)

    def one(self, seed: int) -> dict[str, Any]:
        """Of one seed alone, as plain data."""
        return {**dataclasses.replace(self, seeds=(seed,)).to_json(), "seed": seed}

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        rest = {"device": self.device, "reward": self.reward, "state": self.state}
        return {
            "format": FORMAT,
            "kind": "train",
            "command": self.command,
            "algorithm": self.method.name,
            **({"class": self.algorithm} if is_own(self.algorithm) else {}),
            "config": dataclasses.asdict(self.config),
            "env": self.maker.to_json(),
            "settings": {**dataclasses.asdict(self.settings), **rest},
            "seeds": list(self.seeds),
            "baseline_seed": self.baseline_seed,
            "save_replay": self.save_replay,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any], path: Path) -> Asked:
        """What `to_json` wrote; ValueError where it does not say all."""
        try:
            settings = dict(told["settings"])
            rest = {name: str(settings.pop(name)) for name in ("device", "reward", "state")}
            algorithm = told.get("class", told["algorithm"])
            made = cls(
                command=str(told["command"]),
                algorithm=algorithm,
                config=named(algorithm).Config(**told["config"]),
                maker=EnvMaker.from_json(told["env"]),
                settings=Settings(**settings),
                seeds=tuple(int(seed) for seed in told["seeds"]),
                baseline_seed=int(told["baseline_seed"]),
                save_replay=bool(told.get("save_replay", False)),
                **rest,
            )
            checked(made)
        except UNFIT as error:
            said = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(
                f"{path / 'config.json'} is not what a training needs: {said}"
            ) from None
        return made


class Training:
    """One command's work: checked when made, done by `run`.

    again: the folder is a run's that was begun before.  new_episodes: open ones are given up.
    """

    def __init__(
        self,
        asked: Asked,
        out: Path | None = None,
        *,
        again: bool = False,
        new_episodes: bool = False,
    ) -> None:
        torch.set_num_threads(asked.settings.threads)
        from_here()
        self.asked, self.maker, self.settings = asked, asked.maker, asked.settings
        self.again, self.new_episodes = again, new_episodes
        self.device = device_of(asked.device)
        self.team, self.env_versions = looked_at(self.maker, asked.reward, asked.state)
        self.agents(asked.seeds[0])  # sizes that cannot be are refused now
        out = out or default_folder(self.maker, asked.method.name)
        if not again and (out / "config.json").exists():
            raise ValueError(
                f"{out} holds a run already: go on with it by vdtoolkit resume {out}, or give "
                "another folder with --out"
            )
        self.out = prepare(out)

    def agents(self, seed: int) -> Agents:
        """A new team of these settings."""
        return self.asked.method(self.team, self.asked.config, seed=seed, device=self.device)

    def run(self) -> int:
        """Train every seed and leave the folder; the exit status."""
        seeds, runs = self.asked.seeds, []
        folders = {seed: self.folder(seed) for seed in seeds}
        whole = RunFolder(self.out)
        with whole.locked(), Interrupts() as interrupts:
            if not self.again:
                if len(seeds) > 1:
                    write_json(self.out / "config.json", self.asked.to_json())
                folders[seeds[0]].begin(self.asked.one(seeds[0]))
            with display(self.title(), self.settings.moves, len(seeds)) as show:
                show.say("playing the random team")
                random = self.random_team(folders[seeds[0]])
                show.baseline(random)
                for seed, folder in folders.items():
                    runs.append(self.one(seed, folder, random, show, interrupts))
                    if runs[-1].interrupted:
                        break
            result = TrainResult(self.title(), self.about(seeds), random, runs)
            if len(seeds) > 1:
                self.write(result, self.out)
                said = "interrupted" if runs[-1].interrupted else "finished"
                moves = sum(run.moves for run in runs)
                whole.say(said, moves, self.settings.moves * len(seeds))
        show_result(result, self.out, len(seeds))
        return 130 if runs[-1].interrupted else 0

    def folder(self, seed: int) -> RunFolder:
        """Where a seed's run is."""
        return RunFolder(self.out if len(self.asked.seeds) == 1 else self.out / f"seed-{seed}")

    def random_team(self, folder: RunFolder) -> Score:
        """Its score, which is played once."""
        path = folder.checkpoint / "baseline.json"
        for known in (path, folder.path / "result.json"):
            if known.exists():
                told = read_json(known)
                try:
                    return Score.from_json(told.get("baseline", told))
                except UNFIT:
                    raise ValueError(f"{known} does not tell the random team's score") from None
        score = baseline(self.team, self.maker, self.settings, self.asked.baseline_seed)
        write_json(prepare(path.parent) / path.name, score.to_json())
        return score

    def one(
        self,
        seed: int,
        folder: RunFolder,
        random: Score,
        show: Display,
        interrupts: Interrupts,
    ) -> Run:
        """Train one seed, or go on with it, or read what came of it."""
        if folder.path.exists():
            folder.sweep()
            if folder.status().get("status") == "finished":
                return self.finished(folder)
        if not (folder.path / "config.json").exists():
            folder.begin(self.asked.one(seed))
        agents, run = self.agents(seed), Run(seed)
        training = TeamTraining(run, agents, self.maker, self.settings, show, folder, interrupts)

        def passport(envs: Stream) -> None:
            """Writes it; of a run that goes on, what is another now than at first."""
            for line in self.write_passport(folder, seed, envs):
                show.line(line)

        alone = folder.locked() if len(self.asked.seeds) > 1 else nullcontext()
        try:
            with alone:
                train_run(training, passport, new_episodes=self.new_episodes)
        except SavingError:
            raise
        except Exception:
            if training.begun:  # whatever breaks, what was learned is kept
                show.line(f"Stopped after {agents.moves:,} moves; the team is in {folder.path}")
                self.leave(agents, random, run, folder)
            raise
        if training.begun:
            self.leave(agents, random, run, folder)
        if not run.interrupted:
            folder.say("finished", run.moves, self.settings.moves)
            folder.drop_checkpoints()
        return run

    def leave(self, agents: Agents, random: Score, run: Run, folder: RunFolder) -> None:
        """Team, numbers and picture."""
        if agents.replay is not None:
            agents.save(folder.path / "team.safetensors", replay=self.asked.save_replay)
        self.write(TrainResult(self.title(), self.about((run.seed,)), random, [run]), folder.path)

    def finished(self, folder: RunFolder) -> Run:
        """What came of a run that is over."""
        path = folder.path / "result.json"
        try:
            (run,) = read_json(path)["runs"]
            return Run.from_json(run)
        except UNFIT as error:
            raise ValueError(f"{path} does not tell what came of the run: {error}") from None

    def write_passport(self, folder: RunFolder, seed: int, envs: Stream) -> list[str]:
        """The passport of the folder; what to say of one that has changed since the start."""
        settings = dataclasses.asdict(self.settings)
        settings |= {"n_envs": envs.n_envs, "workers": getattr(envs, "n_workers", 0)}
        now = passport(
            self.maker,
            self.team,
            algorithm=self.asked.method.name,
            seed=seed,
            device=self.device,
            settings=settings,
            env_versions=self.env_versions,
        )
        path = folder.path / "passport.json"
        if not path.exists():
            write_json(path, now)
            return []
        then = read_json(path)
        changed = differences(then, now)
        date = time.strftime("%Y-%m-%d %H:%M:%S")
        resumed = [*then.get("resumed", []), {"date": date, "changed": changed}]
        write_json(path, {**then, "resumed": resumed})
        return [f"not as at the start: {line}; results may differ" for line in changed]

    def write(self, result: TrainResult, folder: Path) -> None:
        """Numbers and picture."""
        result.write(prepare(folder))
        figure = plot_learning(result)
        write_whole(folder / "curve.png", lambda path: figure.savefig(path, dpi=150, format="png"))

    def title(self) -> str:
        """Who learns what."""
        return f"{self.asked.method.label} on {self.maker.name}"

    def about(self, seeds: Sequence[int]) -> dict[str, Any]:
        """What was done, with what, as plain data."""
        team, spec, asked = self.team, self.team.spec, self.asked
        modules = [self.maker.env.removeprefix("gymnasium:"), *self.maker.wrappers]
        return {
            "command": asked.command,
            "date": time.strftime("%Y-%m-%d %H:%M:%S"),
            "versions": {**versions(modules), **self.env_versions},
            "env": self.maker.told(),
            "team": {
                "agents": list(team.agents),
                "n_actions": team.n_actions.tolist(),
                "obs_dim": spec.obs_dim,
                "state_dim": spec.state_dim,
                "reward": team.reward,
            },
            "algorithm": asked.method.name,
            "config": dataclasses.asdict(asked.config),
            "settings": {**dataclasses.asdict(self.settings), "device": str(self.device)},
            "seeds": list(asked.seeds),
        }


def config_of(cls: type[Agents], flags: dict[str, Any]) -> Config:
    """The method's config; what it refuses is told in a line, as its own checks say it."""
    try:
        return cls.Config(**flags)
    except ValueError as error:
        raise ValueError(str(error)) from error


def check(options: Any) -> None:
    """Refuse numbers that cannot be."""
    counts = ("moves", "seeds", "threads", "eval_episodes", "final_episodes")
    at_least(1, options, *counts, *several(options, "n_envs"))
    at_least(0, options, "seed", "updates_per_episode", *several(options, "workers"))
    if math.isinf(options.updates_per_episode):
        raise ValueError("--updates-per-episode inf: it must be finite")
    at_least(0, options, "checkpoint_seconds")
    if options.eval_every is not None:
        at_least(1, options, "eval_every")


def checked(asked: Asked) -> None:
    """Refuse numbers that cannot be, from a file."""
    settings = asked.settings
    counts = ("moves", "threads", "eval_every", "eval_episodes", "final_episodes")
    at_least(1, settings, *counts, *several(settings, "n_envs"))
    at_least(
        0, settings, "updates_per_episode", "checkpoint_seconds", *several(settings, "workers")
    )
    if (
        not asked.seeds
        or asked.reward not in ("mean", "sum")
        or asked.state not in ("env", "joint")
    ):
        raise ValueError(f"seeds {asked.seeds}, reward {asked.reward!r}, state {asked.state!r}")


def looked_at(maker: EnvMaker, reward: str, state: str = "env") -> tuple[Team, dict[str, str]]:
    """The team of an env, and what the env's results depend on by its own account.

    An env whose state no space describes is played once.
    """
    env = maker()
    try:
        team = Team.from_env(env, reward=reward, state=state)
        TeamEnv(env, team)  # learns the state's size
        told = versions_of(env)
    except TypeError as error:
        raise ValueError(f"{maker.env}: {error}") from None
    finally:
        env.close()
    return team, told


def default_folder(maker: EnvMaker, algorithm: str) -> Path:
    """runs/train-ENV-METHOD-TIME below the present folder."""
    return Path("runs") / f"train-{maker.name}-{algorithm}-{time.strftime('%Y%m%d-%H%M%S')}"
