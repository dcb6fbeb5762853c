"""Saving and loading: one safetensors file with a JSON header, no pickle on any path.

The tensors are the networks, the targets, the optimiser's moments and the replay; the JSON header
holds the format's version, the algorithm, its configuration, the team's spaces, the counters and
the states of all generators.  A file appears whole or not at all, and files of older formats are
read as the newest.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from vdtoolkit import sealed
from vdtoolkit._version import __version__
from vdtoolkit.agents import ALGORITHMS, Agents
from vdtoolkit.dice import generator
from vdtoolkit.files import read_json
from vdtoolkit.replay import EpisodeReplay
from vdtoolkit.sealed import Tensors
from vdtoolkit.team import Team

FORMAT = 3
GENERATORS = ("_explore_rng", "_sample_rng")
LARGEST = 1 << 26  # numbers that all spaces of a team together may have
Header = dict[str, Any]

# from each older format to the next one: 3 added the checksum, which `sealed.read` looks at
MIGRATIONS: dict[int, Callable[[Header, Tensors], tuple[Header, Tensors]]] = {
    2: lambda header, tensors: ({**header, "format": 3}, tensors),
}
# what a header that is not as it should be may raise where it is used
UNFIT = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError),
    *(RuntimeError, TypeError, ValueError),
)


def save(agents: Agents, path: str | PathLike[str], *, replay: bool = True) -> None:
    """Write all that learning needs to go on, or all but the replay; never an open episode."""
    header, tensors = state_of(agents)
    assert agents.replay is not None
    if replay:
        tensors |= {f"replay.{k}": torch.as_tensor(v) for k, v in agents.replay.stored().items()}
    sealed.write(path, tensors, header)


def state_of(agents: Agents) -> tuple[Header, Tensors]:
    """All that learning needs to go on but what the replay holds."""
    replay = agents.replay
    if replay is None:
        raise RuntimeError("nothing to save yet: the networks are built at the first act()")
    tensors = {f"online.{k}": v for k, v in agents.online.state_dict().items()}
    tensors |= {f"target.{k}": v for k, v in agents.target.state_dict().items()}
    for index, moments in agents.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    header = {
        "format": FORMAT,
        "vdtoolkit": __version__,
        "algorithm": agents.name,
        "config": dataclasses.asdict(agents.config),
        "seed": agents.seed,
        "team": team_to_json(agents.team),
        "counters": {name: getattr(agents, name) for name in agents.counters},
        "generators": {name: getattr(agents, name).bit_generator.state for name in GENERATORS},
        "actors": agents._actor_seeds.n_children_spawned,
        "replay": {"n_added": replay.n_added, "n_lost": replay.n_lost},
    }
    return header, tensors


def restore(agents: Agents, path: str | PathLike[str]) -> None:
    """Put a saved state into agents of the same algorithm, configuration and team."""
    take(agents, *read(path), path)


def take(agents: Agents, header: Header, tensors: Tensors, path: str | PathLike[str]) -> None:
    """The same from what was read; path: for errors."""
    try:
        _refuse_others(agents, header, path)
        _fill(agents, header, tensors)
    except UNFIT as error:
        raise _unfit(path, error) from None


def _refuse_others(agents: Agents, header: Header, path: str | PathLike[str]) -> None:
    if header["algorithm"] != agents.name:
        raise DoesNotFitError(
            f"{path} holds {header['algorithm']!r} agents, these are {agents.name!r}: "
            "use vdtoolkit.load(path)"
        )
    ours = dataclasses.asdict(agents.config)
    unlike = [k for k in ours if ours[k] != header["config"].get(k)]
    if unlike:
        told = ", ".join(f"{k}={header['config'].get(k)!r} (here {ours[k]!r})" for k in unlike)
        raise DoesNotFitError(f"{path} was saved with another configuration: {told}")
    known = team_to_json(agents.team)
    if agents.team.state_dim is None:  # its size will be the saved one
        known["seen_state_space"] = header["team"].get("seen_state_space")
    if header["team"] != known:
        raise DoesNotFitError(
            f"{path} was saved by another team: {header['team']['agents']} with their spaces, "
            f"here {list(agents.team.agents)}"
        )


class DoesNotFitError(ValueError):
    """Agents of another kind than those that a file holds; the text is complete."""


def _unfit(path: str | PathLike[str], error: BaseException) -> ValueError:
    if isinstance(error, DoesNotFitError):
        return error
    said = f"{type(error).__name__}: {error}" if isinstance(error, LookupError) else str(error)
    return ValueError(f"{path} does not fit these agents: {said or type(error).__name__}")


def load(path: str | PathLike[str], *, device: str | torch.device = "cpu") -> Agents:
    """The agents a file holds, made anew: algorithm, configuration, team and all they learned."""
    header, tensors = read(path)
    try:
        name = header["algorithm"]
        if name not in ALGORITHMS:
            source = class_beside(path)
            their = f"their class, {source}," if source else "their class"
            own = source.rpartition(":")[2] or "MyAgents"
            raise DoesNotFitError(
                f"{path} holds {name!r} agents, unknown here: import {their} and put it into "
                f"vdtoolkit.ALGORITHMS first, ALGORITHMS[{name!r}] = {own}; for vdtoolkit evaluate "
                f"name it by --algorithm; known are {', '.join(ALGORITHMS)}"
            )
        cls = ALGORITHMS[name]
        config, team = cls.Config(**header["config"]), team_from_json(header["team"])
        seed = int(header["seed"])
        _refuse_sizes(cls, team, config, header, tensors)
        agents = cls(team, config, seed=seed, device=device)
    except UNFIT as error:
        raise _unfit(path, error) from None
    take(agents, header, tensors, path)
    return agents


def class_beside(path: str | PathLike[str]) -> str:
    """Where the class of a team's method is, if not here: as the config.json of its run says.

    SOURCE:CLASS, not looked at; "" where there is no such file or it does not say.
    """
    try:
        told = read_json(Path(path).parent / "config.json")
    except ValueError:
        return ""
    found = told.get("class") if told.get("kind") == "train" else None
    return found if isinstance(found, str) else ""


def read(path: str | PathLike[str]) -> tuple[Header, Tensors]:
    """The header and the tensors of a file, in the newest format; ValueError for all others."""
    header, tensors = sealed.read(path, "a checkpoint of vdtoolkit")
    while header["format"] in MIGRATIONS:
        header, tensors = MIGRATIONS[header["format"]](header, tensors)
    if header["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {header['format']}, this vdtoolkit {__version__} reads {FORMAT} "
            f"and older ones from {min(MIGRATIONS)}: use the version that wrote it"
        )
    return header, tensors


def _refuse_sizes(
    cls: type[Agents], team: Team, config: Any, header: Header, tensors: Tensors
) -> None:
    """Networks of other sizes than the file's tensors are refused before memory is spent on them.

    They are made without memory; what cannot be made so is not looked at.
    """
    if team.state_dim is None:
        team.expect_state(space_from_json(header["team"]["seen_state_space"]))
    bare: Any = type(cls.__name__, (cls,), {"_build": lambda self: None})(team, config)
    try:
        with torch.device("meta"):
            made = bare._networks().state_dict()
    except (NotImplementedError, RuntimeError):  # a mixer that looks at its numbers
        return
    for name, tensor in made.items():
        held = tensors[f"online.{name}"]
        if held.shape != tensor.shape:
            raise ValueError(f"online.{name} is {list(held.shape)}, not {list(tensor.shape)}")


def _fill(agents: Agents, header: Header, tensors: Tensors) -> None:
    parts: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        part, key = name.split(".", 1)
        parts.setdefault(part, {})[key] = tensor
    if agents.team.state_dim is None:
        agents.team.expect_state(space_from_json(header["team"]["seen_state_space"]))
    agents._build()
    replay = _replay(agents, header["replay"], parts.get("replay"))
    _refuse_unlike("online", agents.online.state_dict(), parts["online"])
    _refuse_unlike("target", agents.target.state_dict(), parts["target"])
    moments: dict[int, Tensors] = {}
    for key, tensor in parts.get("optimizer", {}).items():
        index, name = key.split(".", 1)
        moments.setdefault(int(index), {})[name] = tensor.clone()
    _refuse_moments(agents, moments)
    counters = {name: _count(header["counters"][name]) for name in agents.counters}
    generators = {name: generator(header["generators"][name]) for name in GENERATORS}
    actors, seed = _count(header["actors"]), _count(header["seed"])
    # from here on nothing can be refused: agents are either as they were or as the file says
    agents.online.load_state_dict(parts["online"])
    agents.target.load_state_dict(parts["target"])
    groups = agents.optimizer.state_dict()["param_groups"]
    agents.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    agents.replay, agents.seed = replay, seed  # COMA's dice are made of it
    for name, count in counters.items():
        setattr(agents, name, count)
    for name, state in generators.items():
        getattr(agents, name).bit_generator.state = state.bit_generator.state
    seeds = agents._actor_seeds
    agents._actor_seeds = np.random.SeedSequence(
        seeds.entropy,
        spawn_key=seeds.spawn_key,
        n_children_spawned=max(actors, seeds.n_children_spawned),
    )
    agents.reset()


def _refuse_unlike(part: str, ours: Tensors, held: Tensors) -> None:
    if set(ours) != set(held):
        raise ValueError(f"{part} holds {sorted(set(ours) ^ set(held))} too much or too little")
    for name, tensor in ours.items():
        if held[name].shape != tensor.shape or held[name].dtype != tensor.dtype:
            raise ValueError(
                f"{part}.{name} is {list(held[name].shape)} of {held[name].dtype}, not "
                f"{list(tensor.shape)} of {tensor.dtype}"
            )


def _refuse_moments(agents: Agents, moments: dict[int, Tensors]) -> None:
    parameters = [p for group in agents.optimizer.param_groups for p in group["params"]]
    for index, held in moments.items():
        like = parameters[index]
        for name, tensor in held.items():
            kinds = like.dtype, torch.float32
            if tensor.shape not in (like.shape, torch.Size()) or tensor.dtype not in kinds:
                shape = list(tensor.shape)
                raise ValueError(f"optimizer.{index}.{name} is {shape} of {tensor.dtype}")


def _count(told: Any) -> int:
    if type(told) is not int or told < 0:
        raise ValueError(f"{told!r} is no count")
    return told


def _replay(agents: Agents, told: dict[str, int], stored: Tensors | None) -> EpisodeReplay:
    """A new replay that holds what was stored; None: nothing, it is told later."""
    replay = agents.empty_replay()
    replay.n_lost = _count(told["n_lost"])
    if stored is not None:
        rows = {name: tensor.numpy() for name, tensor in stored.items()}
        refuse_columns(replay, rows)
        replay.fill(rows, _count(told["n_added"]))
    return replay


def refuse_columns(replay: EpisodeReplay, rows: dict[str, np.ndarray]) -> None:
    """ValueError where columns are not those of the replay, or do not fit each other."""
    if set(rows) != {*replay.columns, "moves"}:
        raise ValueError(f"the replay holds {sorted(rows)}, expected {sorted(replay.columns)}")
    moves = rows["moves"]
    if moves.ndim != 1 or moves.dtype.kind != "i" or (moves < 0).any():
        raise ValueError("the replay's moves are no counts")
    total = sum(int(n) + 1 for n in moves)
    for name, column in replay.columns.items():
        held = rows[name]
        if held.shape != (total, *column.shape[1:]) or held.dtype != column.dtype:
            raise ValueError(f"replay.{name} is {held.shape} of {held.dtype}")
    if (rows["actions"] >= replay.spec.n_actions).any():
        raise ValueError("the replay holds actions that the team has not")


# -- the team's spaces as JSON --------------------------------------------------------------------


def team_to_json(team: Team) -> dict[str, Any]:
    """A team as JSON; TypeError for a space that we cannot write down."""
    seen = team.seen_state_space
    return {
        "agents": list(team.agents),
        "observation_spaces": [space_to_json(s) for s in team.observation_spaces.values()],
        "action_spaces": [space_to_json(s) for s in team.action_spaces.values()],
        "state_space": None if team.state_space is None else space_to_json(team.state_space),
        "has_state": team.has_state,
        "seen_state_space": seen if seen is None else space_to_json(seen),
        "reward": team.reward,
        "state_slices": {k: list(v) for k, v in team.state_slices.items()},
    }


def team_from_json(told: dict[str, Any]) -> Team:
    """The team that `team_to_json` wrote down; ValueError for sizes that no team has."""
    every = [*told["observation_spaces"], *told["action_spaces"]]
    every += [space for space in (told["state_space"], told.get("seen_state_space")) if space]
    size = sum(map(_size, every))
    if size > LARGEST:
        raise ValueError(f"the team's spaces have {size} numbers, more than {LARGEST}")
    return Team(
        dict(zip(told["agents"], map(space_from_json, told["observation_spaces"]), strict=True)),
        dict(zip(told["agents"], map(space_from_json, told["action_spaces"]), strict=True)),
        None if told["state_space"] is None else space_from_json(told["state_space"]),
        has_state=told["has_state"],
        reward=told["reward"],
        state_slices={k: (int(v[0]), int(v[1])) for k, v in told["state_slices"].items()},
    )


def space_to_json(space: Any) -> dict[str, Any]:
    """A gymnasium space as JSON."""
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "low": _bound(space.low),
            "high": _bound(space.high),
            "shape": list(space.shape),
            "dtype": str(space.dtype),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": np.asarray(space.n).tolist()}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {k: space_to_json(s) for k, s in space.spaces.items()}}
    if isinstance(space, spaces.Tuple | spaces.OneOf):
        kind = "Tuple" if isinstance(space, spaces.Tuple) else "OneOf"
        return {"type": kind, "spaces": [space_to_json(s) for s in space.spaces]}
    if isinstance(space, spaces.Text):
        lengths = {"min_length": space.min_length, "max_length": space.max_length}
        return {"type": "Text", **lengths, "charset": "".join(space.character_list)}
    raise TypeError(
        f"cannot save a team whose space is {space}: Box, Discrete, MultiBinary, MultiDiscrete, "
        "Text, Dict, Tuple and OneOf can be written down"
    )


def space_from_json(told: dict[str, Any]) -> spaces.Space[Any]:
    """The space that `space_to_json` wrote down."""
    kind = told["type"]
    if kind == "Box":
        shape, dtype = tuple(told["shape"]), np.dtype(told["dtype"])
        low, high = (_unbound(told[side], shape, dtype) for side in ("low", "high"))
        return spaces.Box(low, high, shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(told["n"], start=told["start"])
    if kind == "MultiBinary":
        return spaces.MultiBinary(told["n"])
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(np.array(told["nvec"]), start=np.array(told["start"]))
    if kind == "Dict":
        return spaces.Dict({k: space_from_json(s) for k, s in told["spaces"].items()})
    if kind in ("Tuple", "OneOf"):
        return getattr(spaces, kind)([space_from_json(s) for s in told["spaces"]])
    if kind == "Text":
        lengths = {"min_length": told["min_length"], "max_length": told["max_length"]}
        return spaces.Text(charset=told["charset"], **lengths)
    raise ValueError(f"unknown kind of space {kind!r}")


def _size(told: dict[str, Any]) -> int:
    """How many numbers a space has when it is flattened, before it is made."""
    kind = told["type"]
    if kind == "Box":
        return math.prod(map(abs, told["shape"]))
    if kind == "Discrete":
        return abs(told["n"])
    if kind == "MultiBinary":
        return math.prod(np.abs(told["n"]).reshape(-1).tolist())
    if kind == "MultiDiscrete":
        return int(np.abs(told["nvec"]).sum())
    if kind == "Text":
        return abs(told["max_length"]) * len(told["charset"])
    inner = told["spaces"]
    return sum(map(_size, inner.values() if kind == "Dict" else inner))


def _bound(values: np.ndarray) -> Any:
    """One number where all are equal; infinities as strings, which JSON has not."""
    if values.size and (values == values.flat[0]).all():
        return repr(values.flat[0].item())
    return [repr(v) for v in values.ravel().tolist()]


def _unbound(told: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if isinstance(told, str):
        return np.full(shape, _number(told, dtype), dtype)
    return np.array([_number(v, dtype) for v in told], dtype).reshape(shape)


def _number(text: str, dtype: np.dtype) -> Any:
    return float(text) if dtype.kind == "f" else int(text)
