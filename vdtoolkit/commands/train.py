"""`vdtoolkit train`: any environment by name, from the command line to a folder with the team."""

from __future__ import annotations

import dataclasses
import math
import platform
import shlex
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from vdtoolkit._version import __version__
from vdtoolkit.agents import ALGORITHMS, Agents
from vdtoolkit.commands.entry import Number, Words, device_of, from_here, refused, several
from vdtoolkit.commands.run import Settings, baseline, train_run
from vdtoolkit.commands.show import display, show_result
from vdtoolkit.flags import at_least, known_algorithm, parse, prepare, unchecked
from vdtoolkit.making import EnvMaker, versions_of
from vdtoolkit.plots import plot_learning
from vdtoolkit.runs import Run, TrainResult
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
    """iql, vdn, qmix, qatten, qtran_base, qtran_alt, qplex, cw_qmix, ow_qmix or joint_q."""
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
    out: Path | None = None
    """Folder for team and results; runs/train-ENV-METHOD-TIME by default."""


def options_type(algorithm: str) -> Any:
    """`Options` with one algorithm's hyperparameters as flags, from its config dataclass."""
    cls = ALGORITHMS[known_algorithm(algorithm, ALGORITHMS)]
    flags = unchecked(cls.Config)
    group: Any = Annotated[flags, tyro.conf.arg(name="", help=f"{cls.label}'s hyperparameters.")]
    made = dataclasses.make_dataclass(
        "Train",
        [("config", group, field(default_factory=flags))],
        bases=(Options,),
        frozen=True,
    )
    made.__doc__ = Options.__doc__
    return made


def main(arguments: list[str]) -> int:
    """The command; everything is checked before anything is trained."""
    try:
        options = parse(options_type(_named(arguments)), arguments, PROGRAM)
        if options is None:
            return 0
        command = shlex.join([*PROGRAM.split(), *arguments])
        return Training(options, command).run()
    except ValueError as error:
        return refused(PROGRAM, error)


def _named(arguments: list[str]) -> str:
    """The algorithm asked for: its flags have to be known before all are read."""
    for flag, value in zip(arguments, (*arguments[1:], ""), strict=False):
        if flag == "--algorithm":
            return value
        if flag.startswith("--algorithm="):
            return flag.partition("=")[2]
    return DEFAULT


class Training:
    """One command's work: checked when made, done by `run`."""

    def __init__(self, options: Any, command: str) -> None:
        check(options)
        torch.set_num_threads(options.threads)
        from_here()
        self.options, self.command = options, command
        self.maker = EnvMaker.parse(options.env, options.env_arg, options.wrap)
        self.config = ALGORITHMS[options.algorithm].Config(**dataclasses.asdict(options.config))
        self.device = device_of(options.device)
        self.team, self.versions = looked_at(self.maker, options.reward, options.state)
        self.agents(options.seed)  # sizes that cannot be are refused now
        self.settings = Settings.of(options)
        self.out = prepare(options.out or default_folder(self.maker, options.algorithm))

    def agents(self, seed: int) -> Agents:
        """A new team of these settings."""
        return ALGORITHMS[self.options.algorithm](
            self.team, self.config, seed=seed, device=self.device
        )

    def run(self) -> int:
        """Train every seed and leave the folder; the exit status."""
        options, runs = self.options, []
        with display(self.title(), options.moves, options.seeds) as show:
            show.say("playing the random team")
            random = baseline(self.team, self.maker, self.settings, options.seed)
            show.baseline(random)
            for seed in range(options.seed, options.seed + options.seeds):
                agents = self.agents(seed)
                folder = self.out if options.seeds == 1 else self.out / f"seed-{seed}"
                runs.append(Run(seed))
                try:
                    train_run(runs[-1], agents, self.maker, self.settings, show)
                except Exception:
                    show.line(f"Stopped after {agents.moves:,} moves; the team is in {folder}")
                    raise
                finally:  # whatever breaks, what was learned is kept
                    if agents.replay is not None:
                        agents.save(folder / "team.safetensors")
                    self.write(TrainResult(self.title(), self.about(), random, runs[-1:]), folder)
                if runs[-1].interrupted:
                    break
        result = TrainResult(self.title(), self.about(), random, runs)
        if options.seeds > 1:
            self.write(result, self.out)
        show_result(result, self.out, options.seeds)
        return 130 if runs[-1].interrupted else 0

    def write(self, result: TrainResult, folder: Path) -> None:
        """Numbers and picture."""
        result.write(prepare(folder))
        plot_learning(result).savefig(folder / "curve.png", dpi=150)

    def title(self) -> str:
        """Who learns what."""
        label = ALGORITHMS[self.options.algorithm].label
        return f"{label} on {self.maker.name}"

    def about(self) -> dict[str, Any]:
        """What was done, with what, as plain data."""
        team, spec = self.team, self.team.spec
        return {
            "command": self.command,
            "date": time.strftime("%Y-%m-%d %H:%M:%S"),
            "versions": {**_versions(self.maker), **self.versions},
            "env": dataclasses.asdict(self.maker),
            "team": {
                "agents": list(team.agents),
                "n_actions": team.n_actions.tolist(),
                "obs_dim": spec.obs_dim,
                "state_dim": spec.state_dim,
                "reward": team.reward,
            },
            "algorithm": self.options.algorithm,
            "config": dataclasses.asdict(self.config),
            "settings": {**dataclasses.asdict(self.settings), "device": str(self.device)},
            "seeds": list(range(self.options.seed, self.options.seed + self.options.seeds)),
        }


def check(options: Any) -> None:
    """Refuse numbers that cannot be."""
    counts = ("moves", "seeds", "threads", "eval_episodes", "final_episodes")
    at_least(1, options, *counts, *several(options, "n_envs"))
    at_least(0, options, "seed", "updates_per_episode", *several(options, "workers"))
    if math.isinf(options.updates_per_episode):
        raise ValueError("--updates-per-episode inf: it must be finite")
    if options.eval_every is not None:
        at_least(1, options, "eval_every")


def looked_at(maker: EnvMaker, reward: str, state: str = "env") -> tuple[Team, dict[str, str]]:
    """The team of an env, and what the env's results depend on by its own account.

    An env whose state no space describes is played once.
    """
    env = maker()
    try:
        team = Team.from_env(env, reward=reward, state=state)
        TeamEnv(env, team)  # learns the state's size
        versions = versions_of(env)
    except TypeError as error:
        raise ValueError(f"{maker.env}: {error}") from None
    finally:
        env.close()
    return team, versions


def default_folder(maker: EnvMaker, algorithm: str) -> Path:
    """runs/train-ENV-METHOD-TIME below the present folder."""
    return Path("runs") / f"train-{maker.name}-{algorithm}-{time.strftime('%Y%m%d-%H%M%S')}"


def _versions(maker: EnvMaker) -> dict[str, str]:
    """Of all that results may depend on."""
    told = {"vdtoolkit": __version__, "python": platform.python_version()}
    packages = ["torch", "numpy", "gymnasium", "pettingzoo"]
    words = [maker.env.removeprefix("gymnasium:"), *maker.wrappers]
    packages += [word.split(".")[0].split(":")[0] for word in words]
    for package in dict.fromkeys(packages):
        try:
            told.setdefault(package, version(package))
        except (ModuleNotFoundError, ValueError):  # a file, or a module of no package
            continue
    return told
