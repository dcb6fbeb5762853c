"""Environments by name: what `--env`, `--env-arg` and `--wrap` say, as something that makes one.

| name | what it is |
|---|---|
| `mpe2.simple_spread_v3` | a module with PettingZoo's `parallel_env`, or with `env` alone |
| `pettingzoo:sisl/pursuit-v5` | an id in PettingZoo's registry |
| `gymnasium:lbforaging:Foraging-8x8-2p-1f-coop-v3` | an id of Gymnasium, spaces Tuples of agents |
| `my_package.my_module:make` | anything in a module that makes an env when called |
| `folder/my_env.py`, `folder/my_env.py:make` | the same in a file |
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
from pettingzoo import AECEnv, ParallelEnv

from vdtoolkit.adapters import TupleTeam
from vdtoolkit.lookup import (
    attribute,
    did_you_mean,
    module,
    quietly,
    refuse_pythons_own,
    submodules,
)
from vdtoolkit.team_env import parallel

Factory = Callable[..., Any]


@dataclass(frozen=True)
class EnvMaker:
    """Makes one PettingZoo `ParallelEnv` a call; can be pickled and sent to other processes.

    env: a name as above.  arguments: of the factory.  wrappers: calls without their first
    argument, the env, the first one innermost: `"supersuit.resize_v1(x_size=42, y_size=42)"`.
    """

    env: str
    arguments: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls, env: str, arguments: Sequence[str] = (), wrappers: Sequence[str] = ()
    ) -> EnvMaker:
        """From the command line's words; arguments as `N=3`: a Python literal, else a string."""
        given: dict[str, Any] = {}
        for text in arguments:
            name, equals, value = text.partition("=")
            if not equals or not name.isidentifier():
                raise ValueError(f"--env-arg {text!r}: it must be NAME=VALUE, for example N=3")
            given[name] = _literal(value)
        for text in wrappers:
            _call(text)
        return cls(env, given, tuple(wrappers))

    def to_json(self) -> dict[str, Any]:
        """As plain data; "words": the arguments as the command line takes them, tuples and all."""
        words = [f"{name}={value!r}" for name, value in self.arguments.items()]
        return {**self.told(), "words": words}

    def told(self) -> dict[str, Any]:
        """What it makes, for people: an argument that JSON has not as text."""
        arguments = {}
        for name, value in self.arguments.items():
            try:
                arguments[name] = json.loads(json.dumps(value))
            except (TypeError, ValueError):
                arguments[name] = repr(value)
        return {"env": self.env, "arguments": arguments, "wrappers": list(self.wrappers)}

    @classmethod
    def from_json(cls, told: Any) -> EnvMaker:
        """What `to_json` wrote; ValueError for what is no such thing.

        A file is not trusted as a command line is: what it names must be an environment's module,
        not a function of Python's own.
        """
        try:
            made = cls.parse(told["env"], told["words"], told["wrappers"])
        except (AttributeError, LookupError, TypeError) as error:
            raise ValueError(f"this names no environment: {told!r}") from error
        made.refuse_pythons_own()
        return made

    def refuse_pythons_own(self) -> None:
        """ValueError where a module of Python's own is named: no environment is made by it."""
        for name in (self.env, *self.wrappers):
            refuse_pythons_own(name, "no environment is made by it")

    @property
    def name(self) -> str:
        """The env's name without where it comes from, fit for a folder."""
        last = self.env.removesuffix(".py").replace("\\", "/").replace(":", "/").split("/")[-1]
        return last if "-v" in last else last.split(".")[-1]

    def __call__(self) -> ParallelEnv:
        """A new env; ValueError says what is wrong with the name, an argument or a wrapper."""
        factory = self._factory()
        with quietly():
            try:
                env = as_parallel(self.env, factory(**self.arguments))
            except Exception as error:
                raise ValueError(_what_failed(self.env, self.arguments, error)) from error
            for text in self.wrappers:
                env = as_parallel(text, _wrapped(text, env))
        return env

    def _factory(self) -> Factory:
        kind, _, rest = self.env.partition(":")
        if kind == "gymnasium" and rest:
            return _gymnasium(rest)
        if kind == "pettingzoo" and rest:
            return _registered(rest)
        source, _, name = self.env.rpartition(":")
        if source and name.isidentifier():
            return attribute(source, name)
        return _of_module(module(self.env), self.env)


def versions_of(env: Any) -> dict[str, str]:
    """What results depend on beside Python's packages: an env may tell it by `versions`.

    StarCraft's do: {"starcraft": "4.10.0 (Base75689)", ...}.
    """
    return dict(getattr(getattr(env, "unwrapped", env), "versions", None) or {})


def as_parallel(name: str, env: Any) -> ParallelEnv:
    """A `ParallelEnv` of whatever was made: AEC envs and Tuples of agents are converted."""
    if isinstance(env, gymnasium.Env):
        try:
            return TupleTeam(env)
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None
    if not isinstance(env, ParallelEnv | AECEnv) and not hasattr(env, "possible_agents"):
        raise ValueError(
            f"{name} makes {type(env).__name__!r}, which is no environment: PettingZoo's "
            "ParallelEnv or AECEnv, or a gymnasium.Env whose spaces are Tuples of agents"
        )
    return parallel(env)


def _of_module(found: Any, name: str) -> Factory:
    """`parallel_env` of a module, else `env`."""
    for attr in ("parallel_env", "env"):
        factory = getattr(found, attr, None)
        if callable(factory):
            return factory
    own = [
        key
        for key, value in vars(found).items()
        if inspect.isclass(value)
        and issubclass(value, ParallelEnv | AECEnv | gymnasium.Env)
        and value.__module__ == found.__name__
    ]
    hint = f"; it has {', '.join(own)}: --env {name}:{own[0]}" if own else ""
    inside = [f"{name}.{key}" for key in submodules(found) if re.search(r"_v\d+$", key)]
    if inside:
        hint = f"; name one of its modules: {', '.join(inside)}"
    raise ValueError(
        f"{name} has neither parallel_env nor env, so it is no PettingZoo environment{hint}"
    )


def _registered(name: str) -> Factory:
    """A factory from PettingZoo's registry (1.27 on), else from the module of that name."""
    try:
        from pettingzoo import aec_registry, make, parallel_registry, spec
    except ImportError:
        path = name.replace("/", ".").replace("-v", "_v")
        return _of_module(module(f"pettingzoo.{path}"), name)
    import vdtoolkit.envs  # noqa: F401  ours are there too

    for kind in ("parallel", "aec"):
        with suppress(Exception):  # no such name, or one namespace, name or version of it
            return partial(make, kind, spec(kind, name))
    every = sorted({*parallel_registry, *aec_registry})
    said = did_you_mean(name, every).strip()
    raise ValueError(f"PettingZoo's registry has no {name!r}: {said or ', '.join(every)}")


def _gymnasium(name: str) -> Factory:
    """A factory for an id as `gymnasium.make` takes it, `package:Name-v0`."""
    package, colon, own = name.rpartition(":")
    if colon:
        module(package)  # says what to install
    try:
        gymnasium.spec(own)
    except gymnasium.error.Error:
        known = [key for key in gymnasium.registry if not package or _comes_from(key, package)]
        hint = "" if colon else "; name the package that brings it: --env gymnasium:PACKAGE:ID"
        said = did_you_mean(own, known).strip() or f"{len(known)} are registered"
        raise ValueError(f"Gymnasium has no environment {own!r}: {said}{hint}") from None
    # its checker warns of rewards that are lists, which these envs' always are
    return partial(gymnasium.make, name, disable_env_checker=True)


def _comes_from(name: str, package: str) -> bool:
    return str(gymnasium.registry[name].entry_point).split(".")[0].split(":")[0] == package


def _what_failed(name: str, arguments: Mapping[str, Any], error: BaseException) -> str:
    """Why a factory failed; of a wrong argument, those that it takes."""
    while (
        isinstance(error, TypeError) and error.__cause__ is not None
    ):  # gymnasium.make says the same again, at length
        error = error.__cause__
    match = REFUSED.match(str(error)) if isinstance(error, TypeError) else None
    if match is None or (match["given"] and match["given"] not in arguments):
        text = str(error)
        return text if isinstance(error, ValueError) else f"{name}: {type(error).__name__}: {text}"
    takes = _parameters(error, match["callee"])
    told = f"it takes {_listed(takes)}" if takes else str(error)
    if match["missing"]:
        return f"{name} needs arguments: {match['missing']}; give --env-arg NAME=VALUE; {told}"
    given = match["given"]
    return (
        f"--env-arg {given}={arguments[given]!r}: {name} has no such argument: "
        f"{did_you_mean(given, takes)}{told}"
    )


def _listed(parameters: Mapping[str, inspect.Parameter]) -> str:
    shown = (p.replace(annotation=inspect.Parameter.empty) for p in parameters.values())
    return ", ".join(map(str, shown))


REFUSED = re.compile(
    r"(?P<callee>[\w.<>]+)\(\) (got an unexpected keyword argument '(?P<given>\w+)'"
    r"|missing \d+ required .* arguments?: (?P<missing>.+))"
)


def _parameters(error: BaseException, callee: str) -> dict[str, inspect.Parameter]:
    """What the callee takes that refused an argument; {} where it cannot be found.

    A factory often passes **kwargs on (PettingZoo's all do), so its own signature says nothing:
    the frame that made the failing call knows the callee.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    names = {**frame.tb_frame.f_globals, **frame.tb_frame.f_locals} if frame else {}
    wanted = callee.removesuffix(".__init__")
    for value in names.values():
        if callable(value) and getattr(value, "__qualname__", None) == wanted:
            return dict(inspect.signature(value).parameters)
    return {}


def _wrapped(text: str, env: Any) -> Any:
    """The env inside what a wrapper's call makes of it."""
    path, args, kwargs = _call(text)
    source, _, name = path.rpartition(".")
    try:
        return attribute(source, name)(env, *args, **kwargs)
    except (TypeError, AssertionError, AttributeError) as error:
        raise ValueError(f"--wrap {text}: {str(error) or 'it does not fit this env'}") from error


def _call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """The dotted name, the arguments and the keyword arguments of a call, all literals."""
    example = "for example supersuit.resize_v1(x_size=42, y_size=42)"
    try:
        node = ast.parse(text.strip(), mode="eval").body
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        path = ast.unparse(call.func)
        args = [ast.literal_eval(value) for value in call.args]
        kwargs = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords if k.arg}
    except (SyntaxError, ValueError):
        raise ValueError(
            f"--wrap {text!r}: it must be a call with Python literals, the env left out, {example}"
        ) from None
    if "." not in path or not all(part.isidentifier() for part in path.split(".")):
        raise ValueError(f"--wrap {text!r}: it must name a module and a wrapper in it, {example}")
    return path, args, kwargs


def _literal(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1and" is a string to us, a warning to Python
            return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
