"""What the checks of one environment came to."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from vdtoolkit.checks.check import FAULT, NOTE, WARNING

STYLES = {FAULT: "bold red", WARNING: "yellow", NOTE: "cyan"}


@dataclass(frozen=True)
class Finding:
    """One thing that a check found: fact with values, way out, and in how many places."""

    check: str
    severity: str
    fact: str
    way_out: str
    times: int = 1

    def __str__(self) -> str:
        return f"{self.severity} {self.check}: {self.fact}; {self.way_out}"


@dataclass(frozen=True)
class Report:
    """What is wrong with an environment.

    findings: faults first.  passed: names of the checks that found nothing.  skipped: those
    that could not be carried out, with the reason.  episodes, moves: recorded.
    """

    env: str
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    skipped: dict[str, str]
    episodes: int
    moves: int

    @property
    def ok(self) -> bool:
        """Whether there is no fault; warnings and notes are allowed."""
        return not self.faults

    @property
    def faults(self) -> list[Finding]:
        """What breaks training, other tools or PettingZoo's rules."""
        return [f for f in self.findings if f.severity == FAULT]

    @property
    def warnings(self) -> list[Finding]:
        """What is likely to be a mistake, or costs something elsewhere."""
        return [f for f in self.findings if f.severity == WARNING]

    @property
    def notes(self) -> list[Finding]:
        """What is worth knowing."""
        return [f for f in self.findings if f.severity == NOTE]

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "env": self.env,
            "ok": self.ok,
            "episodes": self.episodes,
            "moves": self.moves,
            "findings": [asdict(f) for f in self.findings],
            "passed": list(self.passed),
            "skipped": dict(self.skipped),
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble((self.env, "bold"), f": {self._summary()}")
        if self.findings:
            yield self._table()
        for why in dict.fromkeys(self.skipped.values()):
            names = [name for name, reason in self.skipped.items() if reason == why]
            told = ", ".join(names) if len(names) < 10 else f"{len(names)} checks"
            yield Text(f"not checked: {told} ({why})", style="dim")

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=100, color_system=None)
        console.print(self)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]

    def _summary(self) -> str:
        counts = [
            f"{len(found)} {kind}{'s' if len(found) != 1 else ''}"
            for kind, found in (
                (FAULT, self.faults),
                (WARNING, self.warnings),
                (NOTE, self.notes),
            )
            if found
        ]
        return (
            f"{', '.join(counts) or 'nothing found'}; {len(self.passed)} checks passed, "
            f"{self.episodes} episodes of {self.moves} moves in all"
        )

    def _table(self) -> Table:
        table = Table(show_lines=True)
        table.add_column("check", no_wrap=True)
        table.add_column("what was found, and the way out", overflow="fold")
        for finding in self.findings:
            style = STYLES[finding.severity]
            more = f" (first of {finding.times})" if finding.times > 1 else ""
            table.add_row(
                Text.assemble((finding.severity, style), f"\n{finding.check}"),
                Text.assemble(finding.fact + more + "\n", ("-> " + finding.way_out, "dim")),
            )
        return table
