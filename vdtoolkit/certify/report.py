"""What the checks of one method came to."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from vdtoolkit.certify.check import CHECKS, ONLY

KEPT, BROKEN, LESS = "kept", "broken", "not promised"
STYLES = {KEPT: "green", BROKEN: "bold red", LESS: "dim"}


@dataclass(frozen=True)
class Entry:
    """One check: whether its promise is kept, how it was looked at, and what breaks it."""

    check: str
    status: str
    how: str = ""
    facts: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Certificate:
    """All that was looked at in one method.

    claim, function_class: as the class says of itself.  seed: of everything that was drawn.
    """

    method: str
    label: str
    claim: str
    function_class: str
    settings: dict[str, Any]
    seed: int
    draws: int
    entries: tuple[Entry, ...]
    learn: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether no promise is broken."""
        return not self.broken

    @property
    def broken(self) -> list[Entry]:
        """Checks with a counter-example."""
        return [e for e in self.entries if e.status == BROKEN]

    def to_json(self) -> dict[str, Any]:
        """The certificate as plain data."""
        return {"ok": self.ok, **asdict(self)}

    def summary(self) -> str:
        """One line."""
        counts = {s: sum(e.status == s for e in self.entries) for s in (KEPT, BROKEN, LESS)}
        said = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
        return f"{said}; seed {self.seed}, {self.draws} draws, {self.seconds:.1f} s"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble((self.label, "bold"), f" ({self.method}): {self.summary()}")
        yield Text(f"claims IGM: {self.claim}; class of Q_tot: {self.function_class}", style="dim")
        table = Table()
        table.add_column("check", no_wrap=True)
        table.add_column("promise", no_wrap=True)
        table.add_column("how, or what breaks it", overflow="fold")
        less = [e for e in self.entries if e.status == LESS and not e.how.startswith(ONLY)]
        for e in (e for e in self.entries if e.status != LESS):
            said = Text(
                "\n".join(e.facts) or e.how or CHECKS[e.check].promise,
                style="" if e.facts else "dim",
            )
            table.add_row(e.check, Text(e.status, style=STYLES[e.status]), said)
        yield table
        for e in less:
            yield Text(f"not promised: {e.check}, {e.how}", style=STYLES[LESS])

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=100, color_system=None)
        console.print(self)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]
