"""Checks of the dicts that reset and step return: who is in them, rewards, flags, infos."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from vdtoolkit.checks.check import FAULT, NOTE, WARNING, Findings, check, moment_check
from vdtoolkit.checks.moment import KINDS, Moment, short, truth
from vdtoolkit.checks.subject import Subject


@check(
    "plays",
    FAULT,
    "reset and step raise nothing while agents play what their masks offer",
    "play the same seed by hand and read the traceback",
)
def plays(subject: Subject) -> Findings:
    """An exception in the recording."""
    for episode in subject.episodes:
        if episode.error:
            yield f"{episode.error} (episode of seed {episode.seed})"


@check(
    "returns-dicts",
    FAULT,
    "reset returns (observations, infos), step (observations, rewards, terminations, "
    "truncations, infos), all dicts",
    "return a tuple of dicts from agent to value, as PettingZoo's ParallelEnv",
)
def returns_dicts(subject: Subject) -> Findings:
    """Another shape of answer."""
    for episode in subject.episodes:
        if episode.malformed:
            yield episode.malformed


@check(
    "reset-arguments",
    FAULT,
    "reset takes seed= and options=, unknown options included",
    "def reset(self, seed=None, options=None)",
)
def reset_arguments(subject: Subject) -> Findings:
    """A reset that refuses them."""
    with subject.made() as env:
        for call in ({}, {"seed": 0}, {"seed": 0, "options": {"options": 1}}):
            told = ", ".join(f"{k}={v!r}" for k, v in call.items())
            try:
                env.reset(**call)
            except Exception as error:
                yield f"reset({told}) raised {type(error).__name__}: {error}"
                return


def _kinds(moment: Moment) -> tuple[str, ...]:
    return KINDS if moment.move else ("observations", "infos")


@moment_check(
    "keys-match",
    FAULT,
    "the dicts have the agents that acted and the newcomers as keys, and nobody else",
    "report who was in env.agents before the step or is after it; common values go into each "
    "agent's info",
)
def keys_match(moment: Moment) -> Findings:
    """Foreign, ended or missing agents."""
    allowed = {*moment.before, *moment.after}
    for kind in _kinds(moment):
        given = getattr(moment, kind)
        for agent in given:
            if agent in allowed:
                continue
            why = "had ended before" if agent in moment.gone else "is not in env.agents"
            yield f"{kind} at move {moment.move} has {agent!r}, which {why}"
            return
        staying = [a for a in moment.after if a in moment.before and a not in moment.flagged]
        seen = moment.after if kind in ("observations", "infos") else staying
        missing = [a for a in seen if a not in given and a not in moment.ended]
        if missing:
            yield f"{kind} at move {moment.move} lacks {missing[0]!r}, which is in env.agents"
            return


@moment_check(
    "last-step",
    FAULT,
    "the step in which an agent ends has its observation, reward, flags and info",
    "remove an agent from env.agents in that step, from the dicts in the next one: the last "
    "reward is learned from, and after a truncation the last observation",
)
def last_step(moment: Moment) -> Findings:
    """What is lost of the last step."""
    for agent in moment.before:
        missing = [kind for kind in KINDS if agent not in getattr(moment, kind)]
        if agent in moment.ended and missing:
            yield f"agent {agent!r} ended at move {moment.move} without {', '.join(missing)}"
            return


@moment_check(
    "ends-flagged",
    FAULT,
    "an agent that leaves env.agents is terminated or truncated in that step",
    "set terminations[agent] or truncations[agent] in the step in which it leaves",
)
def ends_flagged(moment: Moment) -> Findings:
    """An agent that leaves without a word."""
    for agent in moment.before:
        told = agent in moment.terminations and agent in moment.truncations
        if told and agent not in moment.after and agent not in moment.flagged:
            yield (
                f"agent {agent!r} left env.agents at move {moment.move}, "
                "neither terminated nor truncated"
            )
            return


@moment_check(
    "ended-leave",
    FAULT,
    "an agent that is terminated or truncated leaves env.agents in that step",
    "self.agents = [a for a in self.agents if not (terminations[a] or truncations[a])]",
)
def ended_leave(moment: Moment) -> Findings:
    """The dead among the living."""
    for agent in moment.after:
        if agent in moment.flagged:
            which = "terminated" if truth(moment.terminations.get(agent)) else "truncated"
            yield f"agent {agent!r} was {which} at move {moment.move} and is still in env.agents"
            return


@moment_check(
    "no-revival",
    FAULT,
    "agents that ended do not come back in the same episode",
    'keep the agent in env.agents throughout and say infos[agent]["alive"] = False meanwhile',
)
def no_revival(moment: Moment) -> Findings:
    """An agent that is back."""
    for agent in moment.after:
        if agent not in moment.gone or agent in moment.flagged:
            continue
        yield f"agent {agent!r} had ended and is back in env.agents at move {moment.move}"
        return


@moment_check(
    "rewards-numbers",
    FAULT,
    "every reward is one finite number",
    "return float(reward)",
)
def rewards_numbers(moment: Moment) -> Findings:
    """None, arrays, NaN."""
    for agent, reward in moment.rewards.items():
        if not isinstance(reward, numbers.Real | np.number | np.bool_):
            yield (
                f"agent {agent!r}: reward at move {moment.move} is "
                f"{type(reward).__name__} {short(reward)}"
            )
            return
        if not np.isfinite(float(reward)):
            yield f"agent {agent!r}: reward at move {moment.move} is {float(reward)}"
            return


@moment_check(
    "flags-bool",
    FAULT,
    "terminations and truncations are bools",
    "return bool(flag)",
)
def flags_bool(moment: Moment) -> Findings:
    """Numbers, None or arrays in their place."""
    for kind in ("terminations", "truncations"):
        for agent, flag in getattr(moment, kind).items():
            if not isinstance(flag, bool | np.bool_):
                yield (
                    f"agent {agent!r}: {kind} at move {moment.move} has "
                    f"{type(flag).__name__} {short(flag)}"
                )
                return


@moment_check(
    "infos-dicts",
    FAULT,
    "every agent's info is a dict",
    "return {} for an agent without infos",
)
def infos_dicts(moment: Moment) -> Findings:
    """Something else."""
    for agent, info in moment.infos.items():
        if not isinstance(info, dict):
            yield (
                f"agent {agent!r}: info at move {moment.move} is "
                f"{type(info).__name__} {short(info)}"
            )
            return


@moment_check(
    "one-flag",
    WARNING,
    "no agent is terminated and truncated at once",
    "truncate only what did not terminate: learners bootstrap after the one and not after the "
    "other (here it counts as truncation)",
)
def one_flag(moment: Moment) -> Findings:
    """Both flags."""
    for agent in moment.before:
        if truth(moment.terminations.get(agent)) and truth(moment.truncations.get(agent)):
            yield f"agent {agent!r} was terminated and truncated at move {moment.move}"
            return


@moment_check(
    "actions-untouched",
    WARNING,
    "step does not change the dict of actions that it is given",
    "work on a copy: the caller records the same dict",
)
def actions_untouched(moment: Moment) -> Findings:
    """A changed dict."""
    if moment.actions_changed is not None:
        yield (
            f"step({short(moment.asked)}) at move {moment.move} left {moment.actions_changed} "
            "in the caller's dict"
        )


@check(
    "reward-shared",
    NOTE,
    "all agents get the same reward",
    "training takes the mean of those who took part; "
    'Team.from_env(env, reward="sum") takes the sum',
)
def reward_shared(subject: Subject) -> Findings:
    """Rewards that differ."""
    for moment in subject.moments:
        values: dict[Any, Any] = moment.rewards
        if len({repr(_number(v)) for v in values.values()}) > 1:
            told = ", ".join(f"{a} {short(v, 20)}" for a, v in list(values.items())[:3])
            yield f"each agent has a reward of its own: at move {moment.move} {told}"
            return


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
