"""`vdtoolkit evaluate`: a saved team plays greedily."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console

from vdtoolkit.agents import Agents
from vdtoolkit.agents.named import named
from vdtoolkit.checkpoint import class_beside, load
from vdtoolkit.commands.entry import Words, device_of, refused
from vdtoolkit.commands.run import SIDE_BY_SIDE
from vdtoolkit.commands.show import number
from vdtoolkit.envs.recorder import Recorder
from vdtoolkit.flags import at_least, parse
from vdtoolkit.lookup import from_here
from vdtoolkit.making import EnvMaker, versions_of
from vdtoolkit.runs import Score, unlike
from vdtoolkit.team import Team
from vdtoolkit.training import Evaluation, evaluate

PROGRAM = "vdtoolkit evaluate"


@dataclass(frozen=True)
class Options:
    """Play a saved team greedily: mean return, 95 % interval, win rate."""

    path: tyro.conf.Positional[Path]
    """What `vdtoolkit train` or agents.save wrote: the file, or the folder it is in."""
    env: str | None = None
    """The environment, as for `vdtoolkit train`; by default the one in result.json beside the
    team."""
    env_arg: Words = ()
    """An argument of the environment, NAME=VALUE; again for each."""
    wrap: Words = ()
    """A wrapper as a call without the env; again for each."""
    algorithm: str | None = None
    """The class of a method of your own, module:Class or file.py:Class; by default the one in
    config.json beside the team."""
    episodes: int = 100
    """Episodes to play."""
    seed: int = 0
    """Of the episodes."""
    device: str = "cpu"
    """cpu, cuda, ..., or auto."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON."""
    replay: Path | None = None
    """Write the first episodes down to be watched: a .html page, or a .gif."""
    replay_episodes: int = 1
    """How many of them."""


def main(arguments: list[str]) -> int:
    """The command."""
    try:
        options = parse(Options, arguments, PROGRAM)
        if options is None:
            return 0
        at_least(1, options, "episodes", "replay_episodes")
        at_least(0, options, "seed")
        torch.set_num_threads(1)
        from_here()
        path = team_file(options.path)
        agents = team_of(options, path)
        maker = maker_of(options, path)
        played = check_fit(agents.team, maker, path)
        differ = unlike(trained_on(path), played)
        watched = None
        if options.replay is not None:
            n = min(options.replay_episodes, options.episodes)
            watched = record(agents, maker, options.replay, n, options.seed)
        told = evaluate(agents, maker, options.episodes, seed=options.seed, n_envs=SIDE_BY_SIDE)
    except ValueError as error:
        return refused(PROGRAM, error)
    score = Score.from_evaluation(told, agents.moves)
    if options.json:
        head = {"team": str(path), "algorithm": agents.name, "env": dataclasses.asdict(maker)}
        head |= {"versions": played, "note": differ}
        if watched is not None:
            head["replay"] = str(options.replay)
        print(json.dumps({**head, "seed": options.seed, **score.to_json()}, allow_nan=False))
    else:
        show(f"{agents.label} on {maker.name}", score, differ)
        if watched is not None:
            said = f"  {'replay':<14} {options.replay}, {of_which(watched, told)}"
            Console(highlight=False, markup=False).print(said, soft_wrap=True)
    return 0


def record(agents: Agents, maker: EnvMaker, path: Path, episodes: int, seed: int) -> Evaluation:
    """Play the first episodes in one recorded env and write them down; what they earned."""
    try:
        return evaluate(agents, partial(recorded, maker, path, episodes), episodes, seed=seed)
    except OSError as error:
        said = error.strerror or error
        raise ValueError(f"--replay {path}: it cannot be written: {said}") from None


def recorded(maker: EnvMaker, path: Path, episodes: int) -> Recorder:
    """The env in a recorder: as it is where it has scenes, else made to give pictures."""
    env = maker()
    if not callable(getattr(env.unwrapped, "scene", None)):
        env.close()
        pictures = {**maker.arguments, "render_mode": "rgb_array"}
        try:
            env = dataclasses.replace(maker, arguments=pictures)()
        except ValueError as error:
            raise ValueError(f"--replay: {maker.env} gives no pictures: {error}") from None
    return Recorder(env, path, episodes=episodes)


def of_which(watched: Evaluation, told: Evaluation) -> str:
    """Which episodes were recorded: those that are scored, if the env repeats them."""
    n = len(watched.returns) + watched.lost
    same = np.array_equal(watched.returns, told.returns[: len(watched.returns)])
    if watched.lost or told.lost or not same:
        more = "another episode" if n == 1 else f"{n} other episodes"
        return f"{more}: seeds do not repeat those of this environment"
    return "the first episode" if n == 1 else f"the first {n} episodes"


def show(title: str, score: Score, note: str = "") -> None:
    """The score in a few lines."""
    rows = {
        "return": f"{number(score.mean)}",
        "95 % interval": f"[{number(score.low)}, {number(score.high)}]",
        "win rate": "not reported" if score.win_rate is None else f"{score.win_rate:.1%}",
        "episodes": f"{score.n}, of {score.length:.1f} moves",
        "trained for": f"{score.moves:,} moves",
    }
    if score.lost:
        rows["lost"] = f"{score.lost} episodes whose environment broke are left out"
    if note:
        rows["note"] = note
    console = Console(highlight=False, markup=False)
    console.print(title, style="bold")
    for name, value in rows.items():
        console.print(f"  {name:<14} {value}")


def team_file(given: Path) -> Path:
    """The team in a folder, or the file itself."""
    path = given / "team.safetensors" if given.is_dir() else given
    seeds = sorted(given.glob("seed-*/team.safetensors"))
    if seeds and not path.exists():
        names = ", ".join(str(seed.parent) for seed in seeds)
        raise ValueError(f"{given} has a team for each of several seeds: name one of {names}")
    return path


def team_of(options: Any, path: Path) -> Agents:
    """The team in the file; a method of one's own is where --algorithm or its run says."""
    source = options.algorithm or class_beside(path)
    cls = named(source) if source else None
    agents = load(path, device=device_of(options.device))
    if options.algorithm and type(agents) is not cls:
        raise ValueError(
            f"--algorithm {options.algorithm}: {path} holds {agents.name!r} agents: leave it out"
        )
    return agents


def maker_of(options: Any, path: Path) -> EnvMaker:
    """The environment asked for, else the one that the team was trained on."""
    if options.env is not None:
        return EnvMaker.parse(options.env, options.env_arg, options.wrap)
    if options.env_arg or options.wrap:
        raise ValueError("--env-arg and --wrap go with --env: name the environment too")
    beside = path.parent / "result.json"
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))["env"]
        maker = EnvMaker(told["env"], told["arguments"], tuple(told["wrappers"]))
        maker.refuse_pythons_own()
        return maker
    except FileNotFoundError:
        raise ValueError(
            f"there is no {beside} to tell which environment {path.name} was trained on: give --env"
        ) from None
    except (AttributeError, ValueError, KeyError, TypeError):
        raise ValueError(f"{beside} does not tell the environment: give --env") from None


def trained_on(path: Path) -> dict[str, str]:
    """The versions in the result.json beside a team; {} where there is none."""
    try:
        told = json.loads((path.parent / "result.json").read_text(encoding="utf-8"))
        return dict(told["versions"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def check_fit(team: Team, maker: EnvMaker, path: Path) -> dict[str, str]:
    """Refuse an env whose agents or spaces are not the team's; what versions it plays."""
    env = maker()
    try:
        here, versions = Team.from_env(env), versions_of(env)
    except TypeError as error:
        raise ValueError(f"{maker.env}: {error}") from None
    finally:
        env.close()
    if set(here.agents) != set(team.agents):
        raise ValueError(
            f"{path} was trained for {', '.join(team.agents)}; {maker.env} has "
            f"{', '.join(here.agents)}: the agents must be the same"
        )
    for agent in team.agents:
        for what, ours, theirs in (
            ("observes", team.observation_spaces[agent], here.observation_spaces[agent]),
            ("acts in", team.action_spaces[agent], here.action_spaces[agent]),
        ):
            if ours != theirs:
                raise ValueError(
                    f"{path} does not fit {maker.env}: agent {agent!r} {what} {theirs}, "
                    f"the team was trained for {ours}"
                )
    return versions
