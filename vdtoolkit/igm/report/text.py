"""The words and numbers that every report shares: terminal, figures, HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

MARKS = ("optimum", "best", "greedy")
MEANING = {
    "optimum": "true optimum",
    "best": "argmax of Q_tot",
    "greedy": "the team's greedy action",
}
SYMBOLS = {"optimum": "★", "best": "▲", "greedy": "●"}  # readable where there is no colour
MISSING = "·"
COLOURS = {"optimum": "#009e73", "best": "#d55e00", "greedy": "#cc79a7"}  # Okabe & Ito

CLASSES = {
    "additive": "additive",
    "elu_qmix": "ELU-QMIX",
    "monotone": "monotone",
    "unrestricted": "unrestricted",
    "independent": "independent",
}
CLAIMS = {"exact": "at any weights", "trained": "through its losses", "none": "no claim"}

DEFINITIONS = {
    "payoff": "What is true: the reward of a joint action in a one-step game, else the optimal "
    "Q*(s, u) at the agents' discount, by dynamic programming.",
    "Q_tot": "What the method believes a joint action is worth. For QTRAN this is Q_jt; methods "
    "without one (IQL) are shown by the sum of their utilities, labelled implicit.",
    "utilities": "Q_i(u_i), one number an agent and action: all that an agent looks at when it "
    "acts. They stand along the margins of a table.",
    "IGM": "Individual-Global-Max: the joint action made of each agent's own best action "
    "maximises Q_tot.",
    "violated": "IGM violation rate: the share of states where the agents' own best actions do "
    "not maximise Q_tot. Ties within tolerance are told apart and not counted.",
    "gap": "IGM gap: max_u Q_tot(u) - Q_tot(greedy). The largest over states; a lower bound "
    "(≥) where joint actions were searched and not enumerated.",
    "regret": "Best payoff - payoff of the team's greedy joint action. The largest over states.",
    "error": "Q_tot - payoff, joint action by joint action.",
    "RMSE": "Representation error: root mean square of Q_tot - payoff over the available joint "
    "actions of all states.",
    "least slope": "The least dQ_tot/dQ_i over agents and states, by autograd. Below zero, Q_tot "
    "falls where an agent's own utility rises.",
    "class's limit": "The best table that the method's class of functions can reach by least "
    "squares: its summed squared error (SSE) and what its argmax earns.",
    "earns": "Expected undiscounted return of one episode of the greedy team, beside that of an "
    "optimal team that sees the state.",
    "verdict": "Whether the learned table is the class's best one (at its class's optimum), the "
    "best one for the order of actions it settled on (at the optimum of its own ordering), or "
    "neither (not converged). Where a limit is only a bound (~), as for ELU-QMIX, 'not converged' "
    "can also mean that the class cannot reach it.",
}


def decimals(*tables: object) -> int:
    """Digits after the point that suit the largest number: 2 where it fits."""
    largest = max((_largest(table) for table in tables), default=0.0)
    if largest >= 1000:
        return 0
    if largest >= 100:
        return 1
    if 0 < largest < 0.1:
        return min(8, 1 - math.floor(math.log10(largest)))
    return 2


def _largest(table: object) -> float:
    numbers = np.abs(np.asarray(table if table is not None else [], dtype=float)).ravel()
    numbers = numbers[np.isfinite(numbers)]
    return float(numbers.max()) if numbers.size else 0.0


def number(value: float | None, digits: int = 2, missing: str = MISSING) -> str:
    """A number at fixed digits, never -0.00; `missing` for None and NaN."""
    if value is None or math.isnan(value):
        return missing
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{round(float(value), digits) + 0.0:.{digits}f}"


def measure(value: float | None, digits: int = 2, bound: bool = False) -> str:
    """A measure that is never negative: `<0.01` tells a small one from zero, `≥` is a bound."""
    if bound:
        return "≥ " + number(value, digits, missing="–")
    if value is not None and 0 < value < 0.5 * 10**-digits:
        return f"<{10.0**-digits:.{digits}f}"
    return number(value, digits, missing="–")


def percent(share: float) -> str:
    """A share as a percentage; a share that is not 0 or 1 never reads as if it were."""
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{share:.0%}"


def joint_action(action: Sequence[int] | None) -> str:
    """A joint action as a tuple: (0, 2)."""
    return "–" if action is None else "(" + ", ".join(str(int(u)) for u in action) + ")"


def listing(words: Sequence[str]) -> str:
    """Words as prose: `A, B and C`."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


@dataclass(frozen=True)
class Spread:
    """A measure over seeds: mean and range."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """The spread of the values that are known; None where none is."""
        known = [float(value) for value in values if value is not None]
        if not known:
            return None
        return cls(float(np.mean(known)), min(known), max(known))


def spread_range(spread: Spread | None, digits: int = 2) -> str:
    """`low..high`; nothing where they look the same."""
    if spread is None:
        return ""
    low, high = measure_or_number(spread.low, digits), measure_or_number(spread.high, digits)
    return "" if low == high else f"{low}..{high}"


def measure_or_number(value: float, digits: int) -> str:
    """`measure` for what cannot be negative, `number` for what is."""
    return measure(value, digits) if value >= 0 else number(value, digits)


def counts(words: Iterable[str]) -> list[tuple[str, int]]:
    """How often each word occurs, the most frequent first, in order of appearance among equals."""
    seen: dict[str, int] = {}
    for word in words:
        seen[word] = seen.get(word, 0) + 1
    return sorted(seen.items(), key=lambda item: -item[1])


def of_total(words: Sequence[str]) -> list[str]:
    """`4/5 not converged`, one line a word."""
    return [f"{count}/{len(words)} {word}" for word, count in counts(words)]
