"""PettingZoo's own tests, carried out so that their quirks raise no false alarm.

They send masked-out actions where masks are in infos, so they get the env in `Legal`; they set
`env.max_cycles`, which then stays on that wrapper; they draw actions from the spaces, which are
seeded first.  `max_cycles_test` fails for every env that may end early and `render_test` opens
windows: `max-cycles` and `render` look at the same things.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from pettingzoo.utils import BaseParallelWrapper
from pettingzoo.utils.conversions import parallel_to_aec

from vdtoolkit.checks.check import FAULT, NOTE, Findings, Skip, check
from vdtoolkit.checks.episode import has_state, offered, one_line
from vdtoolkit.checks.moment import info_mask, observation_mask
from vdtoolkit.checks.subject import Subject

CYCLES = 60
COLOUR = re.compile(r"\x1b\[\d*m")  # Gymnasium colours its warnings
# What they say that our own checks say better, or that is no fault: by part of the text.
QUIRKS = {
    "terminated from last is not True or False": "numpy bools are bools",
    "must be True or False": "numpy bools are bools",
    "has not defined a render() method": "an env without pictures is whole",
    "Action mask is not a NumPy array": "mask-shape",
    "Observation is not a NumPy array": "a Dict or a number in its space is right",
    "probably should be gymnasium.spaces.box or gymnasium.spaces.discrete": "so is its space",
    "Observation numpy array is all zeros": "zeros may be true",
    "State numpy array is all zeros": "zeros may be true",
    "is a single number": "an array of one number is an array",
    "Agents have different observation space sizes": "unlike agents are allowed",
    "Observations are different shapes": "unlike agents are allowed",
    "Observations have different number of dimensions": "unlike agents are allowed",
    "Observations between agents are different classes": "unlike agents are allowed",
    "The class of observation spaces is different": "unlike agents are allowed",
    "space value is -infinity": "an unbounded Box is allowed",
    "space value is infinity": "an unbounded Box is allowed",
    "does not have a `render_mode` defined": "render-mode",
    "deprecated": "of PettingZoo's own making",
}


class Legal(BaseParallelWrapper):
    """The env, masked-out actions replaced by the first that is offered."""

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """As the env's, the masks noted."""
        told = self.env.reset(seed=seed, options=options)
        self._note(*told)
        return told

    def step(self, actions: dict[Any, Any]) -> Any:
        """As the env's, by legal actions."""
        told = self.env.step({agent: self._legal(agent, a) for agent, a in actions.items()})
        self._note(told[0], told[4])
        return told

    def _note(self, observations: dict[Any, Any], infos: dict[Any, Any]) -> None:
        self._masks = {}
        for agent in observations:
            mask = observation_mask(observations[agent])
            self._masks[agent] = info_mask(infos.get(agent)) if mask is None else mask

    def _legal(self, agent: Any, action: Any) -> Any:
        space, mask = self.env.action_space(agent), self._masks.get(agent)
        if mask is None or not isinstance(space, Discrete):
            return action
        choices = offered(mask, int(space.n)) + int(space.start)
        return action if np.isin(action, choices) else int(choices[0])


def _tests() -> Any:
    """PettingZoo's module of tests; importing it warns of PettingZoo's own imports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import pettingzoo.test as tests
        except ImportError as error:
            raise Skip(f"PettingZoo's tests cannot be imported: {error}") from None
    return tests


def _made(subject: Subject) -> Legal:
    env = Legal(subject.make())
    for i, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(subject.seed + i)
    return env


def _carry_out(subject: Subject, name: str, run: Callable[[Any], None]) -> Findings:
    """What a test of PettingZoo's raises; what it warns of is kept for `pettingzoo-warnings`."""
    tests = _tests()
    error: Exception | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            run(tests)
        except Exception as raised:
            error = raised
    for warning in caught:
        text = " ".join(COLOUR.sub("", str(warning.message)).split())
        if not _quirk(text):
            subject.said.setdefault(text, name)
    if error is not None and not _quirk(str(error)):
        text = " ".join(str(error).split()) or "no message"
        yield f"{type(error).__name__}: {one_line(text)}"


def _quirk(text: str) -> bool:
    return any(part in text for part in QUIRKS)


def _official(name: str, promise: str) -> Callable[..., Any]:
    """Register one of PettingZoo's tests."""
    way_out = f"read the source of pettingzoo.test.{name}, at the line that this text is from"
    return check(f"pettingzoo-{name.replace('_', '-')}", FAULT, promise, way_out)


@_official("parallel_api_test", "PettingZoo's parallel_api_test passes")
def parallel_api_test(subject: Subject) -> Findings:
    """Agents, dicts and spaces over two episodes."""
    yield from _carry_out(
        subject,
        "parallel_api_test",
        lambda tests: tests.parallel_api_test(_made(subject), num_cycles=CYCLES),
    )


@_official("api_test", "PettingZoo's api_test passes on the env converted to AEC")
def api_test(subject: Subject) -> Findings:
    """The same one agent at a time, with observations and spaces."""
    yield from _carry_out(
        subject,
        "api_test",
        lambda tests: tests.api_test(parallel_to_aec(_made(subject)), num_cycles=CYCLES),
    )


@_official("parallel_seed_test", "PettingZoo's parallel_seed_test passes (it sees one step)")
def parallel_seed_test(subject: Subject) -> Findings:
    """Two instances, one step."""
    yield from _carry_out(
        subject,
        "parallel_seed_test",
        lambda tests: tests.parallel_seed_test(lambda: _made(subject), num_cycles=CYCLES),
    )


@_official("seed_test", "PettingZoo's seed_test passes on the env converted to AEC")
def seed_test(subject: Subject) -> Findings:
    """Two instances, one episode."""
    yield from _carry_out(
        subject,
        "seed_test",
        lambda tests: tests.seed_test(lambda: parallel_to_aec(_made(subject)), num_cycles=CYCLES),
    )


@_official("state_test", "PettingZoo's state_test passes where there is a state_space")
def state_test(subject: Subject) -> Findings:
    """Space and state, after the end too."""
    if getattr(subject.env, "state_space", None) is None or not has_state(subject.env):
        raise Skip("the env has no state_space")
    yield from _carry_out(
        subject,
        "state_test",
        lambda tests: tests.state_test(parallel_to_aec(_made(subject)), _made(subject)),
    )


@check(
    "pettingzoo-warnings",
    NOTE,
    "PettingZoo's tests warn of nothing but matters of taste",
    "read the source of that test in pettingzoo.test",
)
def pettingzoo_warnings(subject: Subject) -> Findings:
    """What they warned of."""
    for text, name in subject.said.items():
        yield f"{name}: {one_line(text)}"
