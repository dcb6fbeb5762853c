"""The matrix games of the literature, by name.

Rows are agent_0's actions, columns agent_1's.  `GAMES` holds every game; `game(name)` makes one,
`payoff(name)` gives its expected rewards alone, `from_array` makes one of your own.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .gaussian_squeeze_v0 import payoff as squeeze

LARGEST = 10**7  # joint actions of a table


class Game(NamedTuple):
    """A common-payoff game of one state.

    outcomes [A_1, ..., A_N, K]: the reward of each joint action in each of K outcomes;
    probabilities [K], or [A_1, ..., A_N, K] where they depend on the joint action.
    """

    title: str
    outcomes: np.ndarray
    probabilities: np.ndarray

    @property
    def payoff(self) -> np.ndarray:
        """Expected reward of every joint action [A_1, ..., A_N]."""
        return (self.outcomes * self.probabilities).sum(-1)


def from_array(
    payoff: ArrayLike, probabilities: ArrayLike | None = None, title: str | None = None
) -> Game:
    """The game with rewards `payoff` [A_1, ..., A_N].

    With `probabilities` ([K] or [A_1, ..., A_N, K]) the last axis of `payoff` counts K outcomes,
    one of which is drawn at every move.  ValueError for what is not such an array.
    """
    values = _numbers("payoff", payoff)
    outcomes = values[..., None] if probabilities is None else values
    if outcomes.ndim < 2 or outcomes.size == 0:
        with_outcomes = "" if probabilities is None else " and a last one of outcomes"
        raise ValueError(
            f"payoff has shape {values.shape}: it needs one axis of at least one action for each "
            f"of one or more agents{with_outcomes}"
        )
    _check_size(outcomes.shape[:-1])
    odds = np.ones(1) if probabilities is None else _odds(probabilities, outcomes.shape)
    if title is None:
        title = "matrix game " + "x".join(map(str, outcomes.shape[:-1]))
    return Game(title, outcomes, odds)


def _numbers(what: str, values: ArrayLike) -> np.ndarray:
    """`values` as a fresh float64 array of finite numbers."""
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} is not an array of numbers ({error}): give nested lists of equal lengths, "
            "one axis an agent"
        ) from None
    if not np.isfinite(array).all():
        where = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise ValueError(f"{what}{list(where)} is {array[where]}: every entry must be finite")
    return array


def _odds(probabilities: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """Checked probabilities of the last axis of outcomes of this shape."""
    odds = _numbers("probabilities", probabilities)
    if odds.shape not in (shape[-1:], shape):
        raise ValueError(
            f"probabilities have shape {odds.shape}: payoff {shape} counts {shape[-1]} outcomes on "
            f"its last axis, so give {shape[-1:]} or {shape}"
        )
    sums = odds.sum(-1)
    if (odds < 0).any() or not np.allclose(sums, 1.0, rtol=0.0, atol=1e-8):
        raise ValueError(
            f"probabilities have least entry {odds.min():g} and sums {sums.min():g} to "
            f"{sums.max():g}: they must not be negative and must add up to 1"
        )
    return odds / odds.sum(-1, keepdims=True)


def _check_size(shape: tuple[int, ...]) -> None:
    """ValueError where a table of this shape is too large to be written out."""
    if prod(shape) > LARGEST:
        raise ValueError(
            f"{len(shape)} agents with {max(shape)} actions have {prod(shape)} joint actions, "
            f"above the limit of {LARGEST}: take fewer agents or actions"
        )


# Games that are just a table: name -> (title, payoff).
TABLES: dict[str, tuple[str, list[list[float]]]] = {
    # PyMARL2's control: monotone but for 0.1, so that QMIX gets within 0.05 of every entry.
    "nearly_monotonic": (
        "nearly monotonic game",
        [[12, -0.1, -0.1], [-0.1, 0, 0], [-0.1, 0, 0]],
    ),
    # A control that every monotone mixer represents, and no sum of utilities does.
    "monotonic": (
        "monotonic game",
        [[8, 3, 2], [-12, -13, -14], [-12, -13, -14]],
    ),
    # The two payoffs that a hidden coin picks in QTRAN (Son et al. 2019); each is exactly additive.
    "qtran_state_1": ("QTRAN's state 1", [[10, 8, 5], [8, 6, 3], [5, 3, 0]]),
    "qtran_state_2": ("QTRAN's state 2", [[0, 3, 5], [3, 6, 8], [5, 8, 10]]),
    # Claus & Boutilier 1998.
    "climbing": ("climbing game", [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]),
    # Two optima (WQMIX, Rashid et al. 2020); neither a sum nor monotone.
    "xor": ("XOR game", [[1, 0], [0, 1]]),
    # Monotone; a mixer with one layer of ELU represents AND but not OR.
    "and": ("AND game", [[0, 0], [0, 1]]),
    "or": ("OR game", [[0, 1], [1, 1]]),
    # The state 2B of QMIX's two-step game (Rashid et al. 2018).
    "two_step_2b": ("QMIX's state 2B", [[0, 1], [1, 8]]),
}


def _table(name: str) -> Game:
    title, payoff = TABLES[name]
    return from_array(payoff, title=title)


def nonmonotonic(agents: int = 2, actions: int = 3) -> Game:
    """QTRAN's game (Son et al. 2019, table 1): 8 if all play action 0, -12 if only some do, else 0.

    Two agents with three actions are the paper's; more of either are the n-agent and k-action
    variants of later papers.
    """
    shape = _shape(agents, actions)
    payoff = np.full(shape, -12.0)
    payoff[(slice(1, None),) * agents] = 0.0
    payoff[(0,) * agents] = 8.0
    size = "" if (agents, actions) == (2, 3) else f", {agents} agents, {actions} actions"
    return from_array(payoff, title="QTRAN's non-monotonic game" + size)


def penalty(k: float = -100) -> Game:
    """The penalty game (Claus & Boutilier 1998): two optima of 10, a safe 2, and k <= 0 between."""
    if not k <= 0:
        raise ValueError(f"penalty game with k={k}: the penalty is at most 0, as in k=-100")
    table: list[list[float]] = [[10, 0, k], [0, 2, 0], [k, 0, 10]]
    return from_array(table, title=f"penalty game, k = {k:g}")


def qtran_21() -> Game:
    """QTRAN's game of 21 actions (Son et al. 2019): a narrow optimum beside a broad lesser one.

    The larger of two hills: 10 at (5, 15), narrow, and 5 at (15, 5), three times as wide.
    """
    u1, u2 = np.ogrid[0.0:21.0, 0.0:21.0]
    broad = 5 - ((15 - u1) / 3) ** 2 - ((5 - u2) / 3) ** 2
    narrow = 10 - (5 - u1) ** 2 - (15 - u2) ** 2
    return from_array(np.maximum(broad, narrow), title="QTRAN's game of 21 actions")


def gaussian_squeeze(agents: int = 2, actions: int = 11, domains: int = 2) -> Game:
    """The Gaussian squeeze of `gaussian_squeeze_v0` where every scale is 1, its mean: a table.

    Two agents share the best target in five ways, 16 = 6 + 10 = 7 + 9 = .. = 10 + 6.
    """
    x = sum(np.indices(_shape(agents, actions))) / agents
    return from_array(squeeze(x, domains), title=f"Gaussian squeeze, {agents} agents, scales 1")


# [3, 3, 2]: the two equally likely rewards of every joint action; the means are `climbing`.
STOCHASTIC_CLIMBING = [
    [[10, 12], [5, -65], [8, -8]],
    [[5, -65], [14, 0], [12, 0]],
    [[5, -5], [5, -5], [7, 3]],
]


def climbing_stochastic() -> Game:
    """The fully stochastic climbing game (Kapetanakis & Kudenko 2002): two rewards a cell."""
    return from_array(STOCHASTIC_CLIMBING, [0.5, 0.5], "stochastic climbing game")


def climbing_partially_stochastic() -> Game:
    """The partially stochastic climbing game (ibid.): only (1, 1) is a coin toss, 14 or 0."""
    outcomes = np.repeat(np.array(TABLES["climbing"][1])[..., None], 2, axis=-1)
    outcomes[1, 1] = [14, 0]
    return from_array(outcomes, [0.5, 0.5], "partially stochastic climbing game")


def random(agents: int = 2, actions: int = 3, seed: int = 0) -> Game:
    """A random game (QMIX, Rashid et al. 2020, JMLR): uniform on [0, 10], and one entry of 10."""
    shape = _shape(agents, actions)
    rng = np.random.default_rng(seed)
    payoff = rng.uniform(0.0, 10.0, shape)
    payoff.flat[rng.integers(payoff.size)] = 10.0
    return from_array(payoff, title=f"random game {seed}, {agents} agents, {actions} actions")


def _shape(agents: int, actions: int) -> tuple[int, ...]:
    """Axes of a table of so many agents and actions each, small enough to be written out."""
    if agents < 1 or actions < 1:
        raise ValueError(f"agents={agents}, actions={actions}: a game needs at least one of each")
    if agents > 32:  # numpy 1's most axes
        raise ValueError(f"agents={agents}: a payoff array has at most 32 axes")
    _check_size((actions,) * agents)
    return (actions,) * agents


GAMES: dict[str, Callable[..., Game]] = {
    "nonmonotonic": nonmonotonic,
    **{name: partial(_table, name) for name in TABLES},
    "qtran_21": qtran_21,
    "climbing_stochastic": climbing_stochastic,
    "climbing_partially_stochastic": climbing_partially_stochastic,
    "penalty": penalty,
    **{f"penalty-{-k}": partial(penalty, k) for k in (0, -25, -50, -75, -100)},
    "random": random,
    "gaussian_squeeze": gaussian_squeeze,
}
# "nonmonotonic-3-agents", "nonmonotonic-5-actions", "nonmonotonic-3-agents-5-actions"
NONMONOTONIC = r"nonmonotonic(?:-(\d+)-agents)?(?:-(\d+)-actions)?"


def game(name: str, **arguments: Any) -> Game:
    """The game of this name; arguments as its function in `GAMES` takes them.

    "penalty-30" is penalty(k=-30), "nonmonotonic-5-actions" nonmonotonic(actions=5), likewise
    "nonmonotonic-3-agents" and "nonmonotonic-3-agents-5-actions".  ValueError for a name that no
    game has, TypeError for an argument that the game does not take.
    """
    make = GAMES.get(name)
    if make is None and (number := re.fullmatch(r"penalty-(\d+(?:\.\d+)?)", name)):
        make = partial(penalty, -float(number[1]))
    if make is None and (sizes := re.fullmatch(NONMONOTONIC, name)):
        make = partial(nonmonotonic, int(sizes[1] or 2), int(sizes[2] or 3))
    if make is None:
        near = difflib.get_close_matches(name, GAMES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"no game is called {name!r}: {hint}choose one of {', '.join(GAMES)}")
    takes = list(inspect.signature(make).parameters) if not isinstance(make, partial) else []
    unknown = [argument for argument in arguments if argument not in takes]
    if unknown:
        raise TypeError(f"game {name!r} takes {takes or 'no arguments'}, not {unknown}")
    return make(**arguments)


def payoff(name: str, **arguments: Any) -> np.ndarray:
    """Expected reward of every joint action [A_1, ..., A_N] in the game of this name."""
    return game(name, **arguments).payoff
