"""`docs/certificates.md`: `vdtoolkit certify --page docs/certificates.md`."""

from __future__ import annotations

from collections.abc import Sequence

from vdtoolkit.certify.check import CHECKS, ONLY
from vdtoolkit.certify.report import BROKEN, KEPT, LESS, Certificate
from vdtoolkit.certify.traps import TRAPS

HEAD = """# Certificates

What is proved of each method, as far as looking for counter-examples proves: `vdtoolkit certify
METHOD`. This page was written by

    {command}

in {seconds:.0f} s on one core (vdtoolkit {vdtoolkit}, torch {torch}, numpy {numpy}, Hypothesis
{hypothesis}, Python {python}), seed {seed}, {draws} draws a search{learn}.

Searches are Hypothesis's: it draws the number of agents, weights of four scales, utilities, masks,
deaths and what is seen, and simplifies what it finds. The same seed finds the same. The formulas of
`vdtoolkit/certify/formulas.py` are the losses once more, move by move in plain loops, in float64,
without anything that the methods are made of but Q_tot at one joint action; loss and every gradient
must agree. Gates train whole teams; a gate is broken only where it is refuted, which is where the
95 % interval of its success rate lies below what is promised: few seeds refute little.

## A method of your own

    vdtoolkit certify my_file.py:MyAgents
    vdtoolkit certify my_package.my_module:MyAgents --set width=16 --learn 5

or `certify(MyAgents)` of `vdtoolkit.certify` in a test of yours: `assert found.ok, str(found)`.
`examples/new_mixer.py:TanhAgents` is one to try. A method is held to what it promises, no more:

{held}

Padding, masks, deaths, time limits, targets, gradients, histories, seeds, files: of every method.

"""

HELD = (  # what a class says of itself, and what it is held to
    ('`claim = "exact"`, `"trained"`, `"none"`', "IGM at any weights, once trained, not at all"),
    (
        '`function_class = "additive"`, `"elu_qmix"`, `"monotone"`',
        "monotonicity, its shape, the best table of its class",
    ),
    ('`function_class = "unrestricted"`, `"unknown"`', "the payoff itself, no table"),
    ("`symmetric = True`", "agents that change places change nothing"),
    ("`reads_state = False`", "the state enters nothing"),
    (
        "it derives from a method of ours",
        "that method's loss, gradient and form; `own_loss = True` says that its loss is another",
    ),
)
SIGNS = {KEPT: "kept", BROKEN: "**broken**", LESS: "-"}


def page(found: Sequence[Certificate], command: str) -> str:
    """The whole page."""
    first = found[0]
    seeds = f", {first.learn} seeds a learning gate" if first.learn else ", learning gates not run"
    head = HEAD.format(
        command=command,
        seconds=sum(one.seconds for one in found),
        seed=first.seed,
        draws=first.draws,
        learn=seeds,
        held="\n".join(
            [
                "| your class says | it is held to |",
                "|---|---|",
                *(f"| {a} | {b} |" for a, b in HELD),
            ]
        ),
        **first.versions,
    )
    return (
        "\n".join(
            [
                head + "## At a glance",
                "",
                *glance(found),
                "",
                "## Checks",
                "",
                *promises(),
                "",
                *details(found),
                *traps(),
            ]
        )
        + "\n"
    )


def glance(found: Sequence[Certificate]) -> list[str]:
    """Methods by what they claim, and the number of promises kept."""
    rows = [
        "| method | IGM | class of Q_tot | kept | broken | not promised | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        n = {s: sum(e.status == s for e in one.entries) for s in SIGNS}
        rows.append(
            f"| {one.label} (`{one.method}`) | {one.claim} | {one.function_class} | {n[KEPT]} | "
            f"{n[BROKEN]} | {n[LESS]} | {one.seconds:.1f} |"
        )
    return rows


def promises() -> list[str]:
    """Every check."""
    rows = ["| check | holds where no counter-example is found |", "|---|---|"]
    return [*rows, *(f"| `{c.name}` | {cell(c.promise)} |" for c in CHECKS.values())]


def details(found: Sequence[Certificate]) -> list[str]:
    """Each method's entries."""
    lines = []
    for one in found:
        told = f" with {one.settings}" if one.settings else ""
        lines += [f"## {one.label}{told}", "", "| check | promise | how |", "|---|---|---|"]
        for e in one.entries:
            if e.status != LESS:
                said = "; ".join(e.facts) or e.how
                lines.append(f"| `{e.check}` | {SIGNS[e.status]} | {cell(said)} |")
        lines += ["", *not_promised(one), ""]
    return lines


def not_promised(one: Certificate) -> list[str]:
    """What this method promises less than others, and what was measured of it."""
    less = [e for e in one.entries if e.status == LESS and not e.how.startswith(ONLY)]
    return ["Not promised:", "", *(f"- `{e.check}`: {cell(e.how)}" for e in less)] if less else []


def traps() -> list[str]:
    """Known faults of published code and what stands against them here."""
    lines = [
        "## Faults of published code",
        "",
        "Each of these was found in a public implementation. A check that is named here catches "
        "a copy of our method with the same fault (`tests/certify/broken.py`); where none is "
        "named, the fault cannot occur in a method, and the last column says why.",
        "",
        "| | fault | caught by | or why it cannot occur |",
        "|---|---|---|---|",
    ]
    for trap in TRAPS:
        names = ", ".join(f"`{name}`" for name in trap.caught)
        lines.append(f"| T{trap.number} | {cell(trap.fault)} | {names} | {cell(trap.why)} |")
    return lines


def cell(text: str) -> str:
    """As it may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")
