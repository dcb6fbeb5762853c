"""`check_env`: every check on one environment."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from io import StringIO
from typing import Any

from vdtoolkit.checks.check import CHECKS, FAULT, SEVERITIES, WARNING, Check, Skip
from vdtoolkit.checks.moment import Moment
from vdtoolkit.checks.report import Finding, Report
from vdtoolkit.checks.subject import Subject, global_dice


class Findings:
    """What each check has found so far: its first facts, and how often."""

    SHOWN = 8  # of one check; tests of PettingZoo's may warn of several things

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Finding]] = {}
        self.skipped: dict[str, str] = {}

    def ask(self, check: Check, what: Subject | Moment) -> None:
        """Carry out one check; it may crash without harm to the others."""
        try:
            for fact in check.find(what):
                self.add(check, fact)
        except Skip as skip:
            self.skipped[check.name] = str(skip)
        except Exception as error:
            self.add(
                check,
                f"could not be carried out, {type(error).__name__}: {error}",
                severity=WARNING if check.severity == FAULT else check.severity,
            )

    def add(self, check: Check, fact: str, severity: str | None = None) -> None:
        """Note a fact; a moment's check is told once with its count, others fact by fact."""
        facts = self.found.setdefault(check.name, {})
        key = "" if check.of_moments else fact
        if key in facts:
            old = facts[key]
            facts[key] = Finding(old.check, old.severity, old.fact, old.way_out, old.times + 1)
        elif len(facts) < self.SHOWN:
            facts[key] = Finding(check.name, severity or check.severity, fact, check.way_out)

    def all(self) -> tuple[Finding, ...]:
        """Everything, the worst first, in the order of the checks."""
        every = [f for name in CHECKS for f in self.found.get(name, {}).values()]
        return tuple(sorted(every, key=lambda f: SEVERITIES.index(f.severity)))


def check_env(env_fn: Callable[..., Any], *, episodes: int = 4, seed: int = 0) -> Report:
    """What is wrong with the PettingZoo environment that `env_fn()` makes.

    episodes: recorded with actions that the masks offer, at random, always the first, always the
    last, and so on.  seed: of the first of them and of the actions.  Takes seconds: it makes
    several instances, plays them and runs PettingZoo's own tests.  Global random state is left
    as it was.
    """
    if not callable(env_fn):
        raise TypeError(
            f"check_env takes a function that makes the env, not a {type(env_fn).__name__}: "
            "for example lambda: MyEnv(), or the module's parallel_env"
        )
    if episodes < 1:
        raise ValueError(f"episodes={episodes}: at least one must be recorded")
    with global_dice(), warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")  # PettingZoo's are told by its tests
        return _check_env(env_fn, episodes, seed)


def _check_env(env_fn: Callable[..., Any], episodes: int, seed: int) -> Report:
    findings = Findings()
    try:
        subject = Subject(env_fn, episodes, seed)
    except Exception as error:
        findings.add(CHECKS["makes-env"], f"{type(error).__name__}: {error}")
        return _report(getattr(env_fn, "__name__", "env"), findings, None, "no env was made")
    try:
        for name in ("makes-env", "possible-agents"):
            findings.ask(CHECKS[name], subject)
            if name in findings.found:
                why = f"{name} failed"
                return _report(str(subject.env), findings, subject, why)
        per_moment = [c for c in CHECKS.values() if c.of_moments]
        for moment in subject.record():
            for check in per_moment:
                findings.ask(check, moment)
        for name, check in CHECKS.items():
            if not check.of_moments and name not in ("makes-env", "possible-agents"):
                findings.ask(check, subject)
        return _report(env_name(subject.env), findings, subject)
    finally:
        with suppress(Exception):
            subject.env.close()


def env_name(env: Any) -> str:
    """The env by its metadata, else as it prints."""
    metadata = getattr(env, "metadata", None)
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return str(name or type(getattr(env, "unwrapped", env)).__name__)


def _report(
    name: str, findings: Findings, subject: Subject | None, stopped: str | None = None
) -> Report:
    """The report; `stopped`: why nothing else was checked."""
    skipped = findings.skipped
    if stopped:
        skipped = {name: stopped for name in CHECKS if name not in findings.found}
    played = subject.episodes if subject else []
    return Report(
        env=name,
        findings=findings.all(),
        passed=tuple(n for n in CHECKS if n not in findings.found and n not in skipped),
        skipped=skipped,
        episodes=len(played),
        moves=sum(e.length for e in played),
    )
