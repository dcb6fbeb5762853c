"""Saving and loading: one safetensors file with a JSON header, no pickle on any path.

The tensors are the networks, the targets, the optimiser's moments and the replay; the JSON header
holds the format's version, the algorithm, its configuration, the team's spaces, the counters and
the states of all generators.  A file appears whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from gymnasium import spaces
from safetensors.torch import save_file

from vdtoolkit._version import __version__
from vdtoolkit.agents import ALGORITHMS, Agents
from vdtoolkit.replay import EpisodeReplay
from vdtoolkit.team import Team

FORMAT = 2
GENERATORS = ("_explore_rng", "_sample_rng")


def save(agents: Agents, path: str | PathLike[str]) -> None:
    """Write all that learning needs to go on; an open episode is not part of it."""
    replay = agents.replay
    if replay is None:
        raise RuntimeError("nothing to save yet: the networks are built at the first act()")
    tensors = {f"online.{k}": v for k, v in agents.online.state_dict().items()}
    tensors |= {f"target.{k}": v for k, v in agents.target.state_dict().items()}
    for index, moments in agents.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    tensors |= {f"replay.{k}": torch.as_tensor(v) for k, v in replay.stored().items()}
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
    _write(Path(path), tensors, header)


def restore(agents: Agents, path: str | PathLike[str]) -> None:
    """Put a saved state into agents of the same algorithm, configuration and team."""
    header, tensors = read(path)
    if header["algorithm"] != agents.name:
        raise ValueError(
            f"{path} holds {header['algorithm']!r} agents, these are {agents.name!r}: "
            "use vdtoolkit.load(path)"
        )
    ours = dataclasses.asdict(agents.config)
    unlike = [k for k in ours if ours[k] != header["config"].get(k)]
    if unlike:
        told = ", ".join(f"{k}={header['config'].get(k)!r} (here {ours[k]!r})" for k in unlike)
        raise ValueError(f"{path} was saved with another configuration: {told}")
    known = team_to_json(agents.team)
    if agents.team.state_dim is None:  # its size will be the saved one
        known["seen_state_space"] = header["team"].get("seen_state_space")
    if header["team"] != known:
        raise ValueError(
            f"{path} was saved by another team: {header['team']['agents']} with their spaces, "
            f"here {list(agents.team.agents)}"
        )
    try:
        _fill(agents, header, tensors)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not fit these agents: {error}") from None


def load(path: str | PathLike[str], *, device: str | torch.device = "cpu") -> Agents:
    """The agents a file holds, made anew: algorithm, configuration, team and all they learned."""
    header, _ = read(path)
    if header["algorithm"] not in ALGORITHMS:
        raise ValueError(
            f"{path} holds {header['algorithm']!r} agents, unknown here: put their class into "
            f"vdtoolkit.ALGORITHMS first; known are {', '.join(ALGORITHMS)}"
        )
    cls = ALGORITHMS[header["algorithm"]]
    try:
        config = cls.Config(**header["config"])
        team = team_from_json(header["team"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    agents = cls(team, config, seed=header["seed"], device=device)
    restore(agents, path)
    return agents


def read(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The header and the tensors of a file; ValueError for anything that is not ours."""
    try:
        with safetensors.safe_open(os.fspath(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a checkpoint of vdtoolkit: {error}") from None
    try:
        header = json.loads(metadata["vdtoolkit"])
        version = header["format"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} is a safetensors file, but not one of vdtoolkit's") from None
    if version != FORMAT:
        raise ValueError(
            f"{path} has format {version}, this vdtoolkit {__version__} reads {FORMAT}: "
            "use the version that wrote it"
        )
    return header, tensors


def _fill(agents: Agents, header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        part, key = name.split(".", 1)
        parts.setdefault(part, {})[key] = tensor
    if agents.team.state_dim is None:
        agents.team.expect_state(space_from_json(header["team"]["seen_state_space"]))
    agents._build()
    replay = _replay(agents, header["replay"], parts.get("replay", {}))
    agents.online.load_state_dict(parts["online"])
    agents.target.load_state_dict(parts["target"])
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in parts.get("optimizer", {}).items():
        index, name = key.split(".", 1)
        moments.setdefault(int(index), {})[name] = tensor
    groups = agents.optimizer.state_dict()["param_groups"]
    agents.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    agents.replay, agents.seed = replay, int(header["seed"])  # COMA's dice are made of it
    for name in agents.counters:
        setattr(agents, name, int(header["counters"][name]))
    for name in GENERATORS:
        getattr(agents, name).bit_generator.state = header["generators"][name]
    agents._actor_seeds.spawn(max(0, header["actors"] - agents._actor_seeds.n_children_spawned))
    agents.reset()


def _replay(agents: Agents, told: dict[str, int], stored: dict[str, torch.Tensor]) -> EpisodeReplay:
    replay = agents.empty_replay()
    rows = {name: tensor.numpy() for name, tensor in stored.items()}
    if set(rows) != {*replay.columns, "moves"}:
        raise ValueError(f"the replay holds {sorted(rows)}, expected {sorted(replay.columns)}")
    for name, column in replay.columns.items():
        if rows[name].shape[1:] != column.shape[1:] or rows[name].dtype != column.dtype:
            raise ValueError(f"replay.{name} is {rows[name].shape} of {rows[name].dtype}")
    replay.fill(rows, int(told["n_added"]))
    replay.n_lost = int(told["n_lost"])
    return replay


def _write(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, temporary, metadata={"vdtoolkit": json.dumps(header)})
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
    """The team that `team_to_json` wrote down."""
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
