"""Checks of how episodes end."""

from __future__ import annotations

from typing import Any

from vdtoolkit.checks.check import FAULT, NOTE, WARNING, Findings, Skip, check
from vdtoolkit.checks.episode import Dice, Episode
from vdtoolkit.checks.moment import short
from vdtoolkit.checks.subject import MOVES, SECONDS, Subject

LIMITS = ("max_cycles", "max_steps", "max_episode_steps", "_max_episode_steps", "episode_limit")


@check(
    "episode-ends",
    FAULT,
    f"an episode ends within {MOVES:,} moves",
    "truncate all agents after max_cycles moves",
)
def episode_ends(subject: Subject) -> Findings:
    """An episode that does not end."""
    for episode in subject.episodes:
        if episode.cut == "moves":
            yield f"the episode of seed {episode.seed} goes on after {episode.length} moves"
            return


@check(
    "episodes-seen",
    NOTE,
    "the recorded episodes were played to their ends",
    "the env is slow, so that checks of the end saw less; give it shorter episodes, for example "
    "--env-arg max_cycles=50",
)
def episodes_seen(subject: Subject) -> Findings:
    """Episodes cut by the clock."""
    cut = [episode for episode in subject.episodes if episode.cut == "seconds"]
    if cut:
        moves = ", ".join(str(episode.length) for episode in cut)
        yield (
            f"{len(cut)} of {len(subject.episodes)} episodes were cut after {moves} moves, "
            f"{SECONDS / subject.n_episodes:g} s each"
        )


@check(
    "limit-truncates",
    WARNING,
    "a time limit is reported as truncation",
    "set truncations, not terminations, when max_cycles is reached: after a termination nothing "
    "is bootstrapped, so agents learn that the world ends there",
)
def limit_truncates(subject: Subject) -> Findings:
    """Every episode terminated at exactly the limit."""
    whole = [episode for episode in subject.episodes if episode.whole]
    lengths = {episode.length for episode in whole}
    if len(whole) < 3 or len(lengths) > 1 or any(episode.truncated for episode in whole):
        return
    length = lengths.pop()
    for name in LIMITS:
        for env in (subject.env, subject.env.unwrapped):
            limit: Any = getattr(env, name, None)
            if length > 1 and isinstance(limit, int) and limit == length:
                yield (
                    f"all {len(whole)} episodes terminated at move {length}, which is {name}, "
                    "whatever was played"
                )
                return


@check(
    "max-cycles",
    FAULT,
    "where the env takes max_cycles, no episode is longer",
    "count the moves from reset() on and truncate at max_cycles",
)
def max_cycles(subject: Subject) -> Findings:
    """A limit that is not kept."""
    with subject.made(max_cycles=4) as env:
        episode = Episode(env, subject.seed, Dice(), moves=14).play()
    if episode.length > 4:
        least = "at least " if episode.cut else ""
        yield f"with max_cycles=4 an episode had {least}{episode.length} moves"


@check(
    "after-end",
    NOTE,
    "step after the end raises an error or returns nothing",
    "callers that forget reset() notice it then",
)
def after_end(subject: Subject) -> Findings:
    """A world that goes on."""
    if not subject.base.whole:
        raise Skip("no episode was played to its end")
    with subject.made() as env:
        episode = Episode(env, subject.seed, Dice(), seconds=SECONDS).play()
        if not episode.whole or env.agents:
            raise Skip("no episode was played to its end")
        try:
            told = env.step(episode.asked)
        except Exception:
            return
        if isinstance(told, tuple) and told and told[0]:
            yield f"step() after the end returned observations {short(told[0])}"


@check(
    "closes",
    FAULT,
    "close() can be called before the first reset and after an episode",
    "release only what was opened",
)
def closes(subject: Subject) -> Findings:
    """An exception."""
    for when in ("before the first reset", "after an episode"):
        env = subject.make()
        if when == "after an episode":
            Episode(env, subject.seed, Dice(), moves=50).play()
        try:
            env.close()
        except Exception as error:
            yield f"close() {when} raised {type(error).__name__}: {error}"
            return
