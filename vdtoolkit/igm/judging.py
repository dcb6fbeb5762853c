"""What is said of a trained team: where each learned table stands among those its class can reach.

`verdict.py` judges one table; here are the weights that joint actions have in training, and what
agents cannot tell apart or is too large.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from vdtoolkit.agents import Agents
from vdtoolkit.finite import FiniteStream, step_of
from vdtoolkit.igm.additive import independent
from vdtoolkit.igm.audit import backup
from vdtoolkit.igm.limits import limits, own_ordering
from vdtoolkit.igm.orderings import LARGEST
from vdtoolkit.igm.results import WEIGHTED, WEIGHTED_ERRORS, Audit, Limit, StateAudit
from vdtoolkit.igm.verdict import AT_CLASS, AT_ORDERING, NOT_CONVERGED, UNKNOWN, verdict
from vdtoolkit.team import Team

TOO_LARGE = "too large to judge"
NOT_TOLD_APART = "not judged: agents cannot tell its states apart"
_ORDER = [AT_CLASS, AT_ORDERING, UNKNOWN, TOO_LARGE, NOT_TOLD_APART, NOT_CONVERGED]


def state_verdicts(agents: Agents, game: Any, final: Audit, envs: FiniteStream) -> list[str]:
    """Where the learned table of each state stands among the tables its class can reach.

    The target is what the learner was regressed on: r + gamma times its own bootstrap.
    """
    verdicts = []
    aliased = _aliased(agents.team, game)
    for state in final.states:
        weights = weights_of(agents, envs, state)
        if state.state in aliased:
            verdicts.append(NOT_TOLD_APART)
        elif state.backup is None or state.q_tot is None:
            verdicts.append(TOO_LARGE)
        elif agents.function_class == "unknown":
            verdicts.append(UNKNOWN)
        elif agents.function_class == "independent":
            verdicts.append(_independent_verdict(agents, game, final, state, weights))
        else:
            verdicts.append(
                verdict(
                    agents.function_class,
                    state.backup,
                    state.q_tot,
                    state.utilities,
                    weights,
                    limits_of(state.backup) if weights is None else None,
                )
            )
    return verdicts


def own_limit(agents: Agents, envs: FiniteStream, state: StateAudit) -> Limit | None:
    """The best table that leaves the utilities in their order, for methods that mix monotonely."""
    if agents.function_class not in ("elu_qmix", "monotone") or state.backup is None:
        return None
    if state.backup.ndim != 2 or state.backup.size > LARGEST:
        return None
    weights = weights_of(agents, envs, state)
    return own_ordering(state.backup, state.utilities, agents.function_class, weights)


def weighted_limit(agents: Agents, envs: FiniteStream, state: StateAudit) -> Limit | None:
    """The class's limit where joint actions count unlike; None where they count alike."""
    weights = weights_of(agents, envs, state)
    if weights is None or state.backup is None:
        return None
    found = limits(state.backup, weights).get(agents.function_class)
    note = WEIGHTED_ERRORS if _uniform(agents) else WEIGHTED
    return None if found is None else dataclasses.replace(found, note=f"{note} {found.note}")


def _independent_verdict(
    agents: Agents, game: Any, final: Audit, state: StateAudit, weights: np.ndarray | None
) -> str:
    """Every agent against its own target, r + gamma max_a Q_i(s', a): its mean given u_i."""
    assert state.q_tot is not None
    found = []
    for i, learned in enumerate(state.utilities):
        value = {s.state: float(np.nanmax(s.utilities[i])) for s in final.states}
        target = backup(game, state.state, state.q_tot, value, agents.config.gamma)
        utilities = independent(target, weights)
        utilities[i] = learned
        found.append(verdict("independent", target, state.q_tot, utilities, weights))
    return worst(found)


def worst(verdicts: Sequence[str]) -> str:
    """What is said of all states together."""
    return max(verdicts, key=_ORDER.index)


def _uniform(agents: Agents) -> bool:
    """Whether every joint action was as likely as every other, throughout."""
    return agents.config.epsilon_start == agents.config.epsilon_end == 1.0


def weights_of(agents: Agents, envs: FiniteStream, state: StateAudit) -> np.ndarray | None:
    """How much each joint action counts, mean 1; None where all count alike.

    By how often it was played, and by the method's own weight of its error.
    """
    weights = None if _uniform(agents) else envs.visits(state.state)
    own = state.evidence.get(agents.evidence_of_weights)
    if own is not None and state.q_tot is not None:
        own = np.nan_to_num(np.broadcast_to(own, state.q_tot.shape))
        weights = own if weights is None else weights * own
    if weights is None or not weights.any():
        return None
    return weights * weights.size / weights.sum()


def limits_of(payoff: np.ndarray) -> dict[str, Limit]:
    """The limits of a payoff, worked out once a process."""
    return _limits_of_bytes(payoff.tobytes(), payoff.shape)


@lru_cache(maxsize=16)
def _limits_of_bytes(payoff: bytes, shape: tuple[int, ...]) -> dict[str, Limit]:
    return limits(np.frombuffer(payoff).reshape(shape))


def _aliased(team: Team, game: Any) -> set[Any]:
    """The states of a game that look the same to every agent as another one does."""
    states: dict[bytes, list[Any]] = {}
    for state in game.states():
        states.setdefault(step_of(team, game, state).obs.tobytes(), []).append(state)
    return {state for alike in states.values() if len(alike) > 1 for state in alike}
