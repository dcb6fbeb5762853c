"""The page of `benchmarks.literature`: its tables, and its pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.literature_cells import Cell, Result, write_whole
from benchmarks.literature_tasks import ClassLimit, limits_of, squeeze_marks
from vdtoolkit import ALGORITHMS

if TYPE_CHECKING:
    from benchmarks.literature import Part

Results = dict[str, Result]
Limits = dict[str, dict[str, ClassLimit]]  # task -> class -> limit

GROUPS = (  # the limit's name in `limits_of` ("own": of the runs' own weights), its title, methods
    ("independent", "partners at random", ("iql",)),
    ("hysteretic", "0.1-expectile", ("hysteretic_iql",)),
    ("lenient", "0.135-expectile", ("lenient_iql",)),
    ("additive", "additive", ("vdn", "qatten")),
    ("elu_qmix", "ELU-QMIX", ("qmix",)),
    ("own", "ELU-QMIX, CW's weights", ("cw_qmix",)),
    ("own", "ELU-QMIX, OW's weights", ("ow_qmix",)),
    ("unrestricted", "any table", ("qtran_base", "qtran_alt", "qplex", "qfix", "joint_q")),
    ("", "", ("nonmonotonic_qmix", "coma")),
)
BEST = {"gaussian_squeeze": 0.01, "gaussian_squeeze_10": 0.1}  # regret that counts as none
GROWN = 2.0  # times the largest true value: diverging, in a game of several moves
WHAT_IS_THERE = 0  # seeds of a part of which no number is asked for
SEVERAL_MOVES = ("two_step", "mmdp")


def write(page: Path, name: str, part: Part, moves: int, results: Results) -> None:
    """The part's block of the page anew, what else is on it as it was; pictures beside it.

    Trained for other moves than the part's own, it is another block with another picture, of the
    cells that are there.
    """
    called = name
    if moves != part.moves:
        called, part = f"{name}-{moves}", narrowed(name, part, moves, results)
    picture = page.with_name(f"{page.stem}-{called}.png")
    if name == "games":
        limits = {task: limits_of(task) for task in part.tasks}
        block = games_block(part, moves, results, limits)
        figure = games_picture(part, moves, results, limits)
    else:
        block = returns_block(name, part, moves, results)
        figure = curves_picture(name, part, moves, results)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    text = (
        page.read_text(encoding="utf-8") if page.exists() else "# The picture of the literature\n"
    )
    write_whole(page, with_block(text, called, f"![{called}]({picture.name})\n\n{block}"))


def narrowed(name: str, part: Part, moves: int, results: Results) -> Part:
    """The part with those tasks and methods alone of which there are results, and their seeds."""
    whole = f"{name}-{moves}"
    there = [key.split("/")[1:] for key in results if key.split("/")[0] == whole]
    tasks, methods = ({one[k].rsplit("-", k)[0] for one in there} for k in (0, 1))
    return replace(
        part,
        tasks={task: title for task, title in part.tasks.items() if task in tasks},
        methods=tuple(m for m in part.methods if m in methods),
        seeds=WHAT_IS_THERE,
        moves=moves,
    )


def with_block(text: str, name: str, block: str) -> str:
    """The text with what stands between the part's two marks replaced, or both at its end."""
    begin, end = f"<!-- {name}: written by benchmarks.literature -->", f"<!-- end of {name} -->"
    whole = f"{begin}\n{block}\n{end}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if pattern.search(text):
        return pattern.sub(lambda _: whole, text)
    return f"{text.rstrip()}\n\n{whole}\n"


def of(
    name: str, moves: int, task: str, method: str, seeds: int, results: Results
) -> list[Result | None]:
    """The results of one entry of a table, a seed each; None where it is missing."""
    if seeds == WHAT_IS_THERE:
        begin = f"{name}-{moves}/{task}/{method}-"
        return [result for key, result in sorted(results.items()) if key.startswith(begin)]
    cells = [Cell(name, task, method, seed, moves) for seed in range(seeds)]
    return [results.get(cell.name) for cell in cells]


def numbers(found: Sequence[Result | None], key: str) -> list[float]:
    return [r[key] for r in found if r is not None and r.get(key) is not None]


def told(values: Sequence[float], asked: int) -> str:
    """Mean and, where seeds differ, [least, greatest]; how many seeds where some are missing."""
    shown = [short(v) for v in (np.mean(values), min(values), max(values))]
    text = shown[0] if shown[1] == shown[2] else f"{shown[0]} [{shown[1]}, {shown[2]}]"
    return text if len(values) == asked else f"{text} ({len(values)} of {asked})"


def with_interval(values: Sequence[float], asked: int) -> str:
    """`told`, with half of the mean's 95 % interval (Student's t over seeds) behind the mean."""
    n = len(values)
    text = told(values, asked)
    if n < 2:
        return text
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5)
    mean, *rest = text.split(" ", 1)
    return " ".join([mean, "±", short(half), *rest])


def short(value: float) -> str:
    """Two decimals, without zeros at their end."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def why_empty(found: Sequence[Result | None]) -> str:
    """What stands in an entry without a number."""
    for kind in ("refused", "failed"):
        if any(r is not None and kind in r for r in found):
            return kind
    return "missing"


def regret_text(task: str, found: Sequence[Result | None]) -> str:
    values = numbers(found, "regret")
    if not values:
        return why_empty(found)
    text = told(values, len(found))
    if len(values) == len(found) and max(values) <= best(task):
        text = f"**{text}**"
    n = sum(g > GROWN for g in numbers(found, "growth"))
    return f"{text}, diverges {n}/{len(values)}" if n and task in SEVERAL_MOVES else text


def best(task: str) -> float:
    """The regret up to which a team plays best: rounding, and what a grid of actions leaves."""
    return BEST.get(task, 1e-3)


def violations_text(found: Sequence[Result | None]) -> str:
    """In how many seeds the greedy joint action was not the best of Q_tot, at any state."""
    values = numbers(found, "violations")
    if not values:
        return why_empty(found)
    n = sum(v > 0 for v in values)
    text = f"{n}/{len(values)}"
    claims = {r["claim"] for r in found if r is not None and "claim" in r}
    return f"({text})" if claims == {"none"} else f"**{text}**" if n == 0 else text


def limit_text(
    kind: str, methods: Sequence[str], task: str, moves: int, seeds: int, results: Results,
    limits: Limits,
) -> str:  # fmt: skip
    if kind != "own":
        return str(limits[task][kind])
    found = of("games", moves, task, methods[0], seeds, results)
    values = numbers(found, "weighted_limit")
    if values:
        return told(values, len(values))
    return "not known" if any(r is not None and "regret" in r for r in found) else "missing"


def games_block(part: Part, moves: int, results: Results, limits: Limits) -> str:
    """Regret beside limits, then violations, then what is missing."""
    head = "| | " + " | ".join(part.tasks.values()) + " |\n|" + "---|" * (len(part.tasks) + 1)
    regret, violations = [head], [head]
    for kind, title, methods in GROUPS:
        if kind:
            entries = [
                limit_text(kind, methods, t, moves, part.seeds, results, limits) for t in part.tasks
            ]
            regret.append(row(f"*limit: {title}*", [f"*{e}*" for e in entries]))
        for method in methods:
            found = {t: of("games", moves, t, method, part.seeds, results) for t in part.tasks}
            label = ALGORITHMS[method].label
            regret.append(row(label, [regret_text(t, f) for t, f in found.items()]))
            violations.append(row(label, [violations_text(f) for f in found.values()]))
    marks = []
    if "gaussian_squeeze_10" in part.tasks:
        by_chance, lesser = squeeze_marks()
        marks.append(
            f"\nIn the squeeze of 10 agents play at random loses {short(by_chance)}, and "
            f"{short(lesser)} whoever always hits the lesser hill."
        )
    return "\n".join(
        [
            f"**Regret** after {moves:,} moves: {over(part, '[least, greatest]')}.\n",
            *regret,
            *marks,
            "\n**Seeds with an IGM violation** at any state, of those that were run.\n"
            if part.seeds == WHAT_IS_THERE
            else f"\n**Seeds with an IGM violation** at any state, of {part.seeds}.\n",
            *violations,
            "\n" + counted("games", part, moves, results),
        ]
    )


def over(part: Part, spread: str) -> str:
    """What an entry is: the mean and this spread, or one seed's own number."""
    if part.seeds == WHAT_IS_THERE:
        return f"one seed, or mean over those that were run {spread}"
    return f"mean over {part.seeds} seeds {spread}"


def row(label: str, entries: Sequence[str]) -> str:
    return f"| {label} | " + " | ".join(entries) + " |"


def counted(name: str, part: Part, moves: int, results: Results) -> str:
    """How many cells there are, and what was refused or failed, with the reasons."""
    lines, done, n = {}, 0, 0
    for task in part.tasks:
        for method in part.methods:
            for seed, r in enumerate(of(name, moves, task, method, part.seeds, results)):
                n += 1
                done += r is not None
                for kind in ("refused", "failed"):
                    if r is not None and kind in r:
                        why = f"{ALGORITHMS[method].label}, {part.tasks[task]}: {kind}: {r[kind]}"
                        lines.setdefault(why, []).append(seed)
    seconds = sum(
        r.get("seconds", 0) for k, r in results.items() if k.startswith(f"{name}-{moves}/")
    )
    text = [
        f"{done} of {n} cells are there, {n - done} missing; they took {seconds / 3600:.1f} hours, "
        "one after another."
    ]
    return "\n".join(
        [*text, *(f"- {why} (seeds {', '.join(map(str, s))})" for why, s in lines.items())]
    )


# -- pictures -------------------------------------------------------------------------------------

INK, FAINT, FONT = "#1c2430", "#66717f", "DejaVu Sans"
NOTHING = "#eceff2"


def shade(share: float) -> tuple[float, ...]:
    """From orange (no seed plays best) over pale to blue (all do)."""
    ends = np.array([[0.96, 0.70, 0.45], [0.97, 0.95, 0.90], [0.50, 0.73, 0.90]])
    at = share * 2
    low = min(int(at), 1)
    return tuple(ends[low] + (at - low) * (ends[low + 1] - ends[low]))


def games_picture(part: Part, moves: int, results: Results, limits: Limits) -> Figure:
    """Methods x games: mean regret, coloured by the share of seeds that play best."""
    order = [(kind, m) for kind, _, methods in GROUPS for m in methods]
    wide, high = len(part.tasks), len(order)
    figure = Figure(figsize=(2.6 + 1.18 * wide, 1.5 + 0.56 * high), facecolor="white")
    axes = figure.add_axes(
        (2.0 / (2.6 + 1.18 * wide), 0.05, 0.985 - 2.0 / (2.6 + 1.18 * wide), 0.80)
    )
    for y, (kind, method) in enumerate(order):
        for x, task in enumerate(part.tasks):
            found = of("games", moves, task, method, part.seeds, results)
            values = numbers(found, "regret")
            share = np.mean([v <= best(task) for v in values]) if values else 0.0
            colour = shade(float(share)) if values else NOTHING
            axes.add_patch(_square(x, y, colour))
            for dy, text, size, faint in _lines(
                kind, method, task, found, moves, part, results, limits
            ):
                axes.text(x + 0.5, y + dy, text, fontsize=size, family=FONT, ha="center",
                          va="center", color=FAINT if faint else INK)  # fmt: skip
    axes.set(xlim=(0, wide), ylim=(high, 0))
    axes.set_xticks(np.arange(wide) + 0.5, [t.replace(", ", ",\n") for t in part.tasks.values()])
    axes.set_yticks(np.arange(high) + 0.5, [ALGORITHMS[m].label for _, m in order])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9, labelcolor=INK, labelfontfamily=FONT)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.text(
        0.01, 0.985, "Regret of every method on every game", fontsize=13, weight="bold",
        family=FONT, color=INK, va="top",
    )  # fmt: skip
    figure.text(
        0.01, 0.945,
        f"mean over {part.seeds or 'all'} seeds after {moves:,} moves; blue: every seed plays best,"
        " orange: none; below it the limit of the method's class",
        fontsize=9, family=FONT, color=FAINT, va="top",
    )  # fmt: skip
    return figure


def _square(x: int, y: int, colour: object) -> object:
    from matplotlib.patches import Rectangle

    return Rectangle((x + 0.02, y + 0.03), 0.96, 0.94, facecolor=colour, edgecolor="none")


def _lines(
    kind: str, method: str, task: str, found: Sequence[Result | None], moves: int, part: Part,
    results: Results, limits: Limits,
) -> list[tuple[float, str, float, bool]]:  # fmt: skip
    """What an entry says: (where, text, size, faint)."""
    values = numbers(found, "regret")
    if not values:
        return [(0.5, why_empty(found), 8, True)]
    many = "" if len(values) == len(found) else f" ({len(values)} of {len(found)})"
    lines = [(0.32, short(float(np.mean(values))) + many, 11 if not many else 9, False)]
    n = sum(g > GROWN for g in numbers(found, "growth")) if task in SEVERAL_MOVES else 0
    broken = sum(v > 0 for v in numbers(found, "violations"))
    claims = {r["claim"] for r in found if r is not None and "claim" in r}
    if n:
        lines.append((0.60, f"diverges {n}/{len(values)}", 7, False))
    elif broken and claims != {"none"}:
        lines.append((0.60, f"IGM broken {broken}/{len(values)}", 7, False))
    if kind:
        limit = limit_text(kind, [method], task, moves, part.seeds, results, limits)
        lines.append((0.82, f"limit {limit}", 7, True))
    return lines


# -- returns --------------------------------------------------------------------------------------


def returns_block(name: str, part: Part, moves: int, results: Results) -> str:
    """Final greedy return of each method, and what a cell takes."""
    titles = list(part.tasks.values())
    lines = [row("", [*titles, "minutes a cell"]), "|" + "---|" * (len(titles) + 2)]
    for method in part.methods:
        found = {t: of(name, moves, t, method, part.seeds, results) for t in part.tasks}
        entries = []
        for f in found.values():
            values = numbers(f, "return")
            entries.append(with_interval(values, len(f)) if values else why_empty(f))
        taken = [
            s
            for f in found.values()
            for s in numbers([r for r in f if r and "return" in r], "seconds")
        ]
        entries.append(f"{np.mean(taken) / 60:.1f}" if taken else "-")
        lines.append(row(ALGORITHMS[method].label, entries))
    spread = "± half of its 95 % interval (Student's t) [least, greatest]"
    head = f"**Greedy return** after {moves:,} moves: {over(part, spread)}.\n"
    return "\n".join([head, *lines, "\n" + counted(name, part, moves, results)])


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#333333")
STYLES = ("-", (0, (4, 1.5)), (0, (1, 1)))


def curves_picture(name: str, part: Part, moves: int, results: Results) -> Figure:
    """Greedy return over training moves, a panel a task: mean over seeds, range as a band."""
    figure = Figure(
        figsize=(5.2 * len(part.tasks) + 1.6, 4.2), facecolor="white", layout="constrained"
    )
    panels = figure.subplots(1, len(part.tasks), squeeze=False, sharey=False)[0]
    for axes, (task, title) in zip(panels, part.tasks.items(), strict=True):
        absent = []
        for k, method in enumerate(part.methods):
            found = of(name, moves, task, method, part.seeds, results)
            curves = [r["curve"] for r in found if r is not None and r.get("curve")]
            label = ALGORITHMS[method].label
            if not curves:
                absent.append(label)
                continue
            points = min(map(len, curves))
            table = np.array([[y for _, y in c[:points]] for c in curves])  # [seeds, points]
            at = np.mean([[x for x, _ in c[:points]] for c in curves], axis=0) / 1000
            style = {"color": COLOURS[k % 7], "ls": STYLES[k // 7]}
            axes.plot(at, table.mean(0), lw=1.6, label=f"{label} ({len(curves)})", **style)
            axes.fill_between(
                at, table.min(0), table.max(0), color=COLOURS[k % 7], alpha=0.12, lw=0
            )
        axes.set_title(
            f"{title}, number of seeds in brackets", fontsize=10, family=FONT, loc="left"
        )
        axes.set_xlabel("thousand moves of the team in training", fontsize=9, family=FONT)
        axes.set_ylabel("greedy return", fontsize=9, family=FONT)
        axes.set_xlim(0, moves / 1000)
        axes.grid(axis="y", color="#dfe3e8", lw=0.8)
        axes.tick_params(labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if axes.lines:
            axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        if absent:
            text = "missing: " + ", ".join(absent) if len(absent) < len(part.methods) else "missing"
            axes.text(0.01, 0.99, "\n".join(_wrapped(text)), transform=axes.transAxes, fontsize=7,
                      va="top", color=FAINT, family=FONT)  # fmt: skip
    return figure


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 60)
