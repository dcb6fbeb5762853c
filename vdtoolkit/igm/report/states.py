"""One state of an audit as lines of the terminal: payoff | learned Q_tot | error."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.text import Text

from vdtoolkit.igm.report.grid import MARGIN, STYLES, Block, block_lines, flow
from vdtoolkit.igm.report.slices import (
    LARGEST,
    Slice,
    caption,
    margins,
    marks,
    news,
    plane,
    sizes,
    slice_count,
    slices,
)
from vdtoolkit.igm.report.text import MARKS, SYMBOLS, decimals, joint_action, number
from vdtoolkit.igm.results import Audit, StateAudit

Lines = Iterator[Text]


def state_lines(audit: Audit, state: StateAudit, width: int, evidence: bool) -> Lines:
    """Payoff | learned | error, slice by slice, each cropped until it fits the width."""
    if state.payoff is None and state.q_tot is None:
        yield from _searched_lines(audit, state, width)
        return
    parts = slices(state)
    for part in parts:
        for largest in (LARGEST, 8, 6, 4, 3):
            part = _narrower(state, part, largest)
            blocks = [block_lines(b) for b in _blocks(audit, state, part, evidence)]
            if max(lines[0].cell_len for lines in blocks) <= width:
                break
        if text := caption(audit.agents, part):
            yield Text(text, "italic")
        yield from flow(blocks, width)
    if len(parts) < slice_count(state):
        yield Text(f"{len(parts)} of {slice_count(state)} slices, those with a mark", "dim")
    if state.q_tot is None:
        yield from _searched_lines(audit, state, width)
    if evidence:
        yield from _scalars(state)


def _narrower(state: StateAudit, part: Slice, largest: int) -> Slice:
    return next(s for s in slices(state, largest) if s.fixed == part.fixed)


def _blocks(audit: Audit, state: StateAudit, part: Slice, evidence: bool) -> list[Block]:
    digits, found = decimals(state.payoff, state.q_tot), marks(state, part)
    rows, columns = margins(state)
    level = state.q_tot is not None and columns is not None
    blocks = []
    if state.payoff is not None:
        payoff = plane(state.payoff, part)
        blocks.append(Block("payoff", payoff, part, found, digits, headroom=level))
    if state.q_tot is not None:
        title = f"learned {audit.q_tot_label}"
        learned = plane(state.q_tot, part)
        blocks.append(Block(title, learned, part, found, digits, rows, columns))
    if state.q_tot is not None and state.payoff is not None:
        error = plane(state.q_tot - state.payoff, part)
        span = float(np.nanmax(state.payoff) - np.nanmin(state.payoff))
        blocks.append(Block("error", error, part, {}, digits, alarm=0.1 * span, headroom=level))
    return [*blocks, *(_extra_blocks(state, part, digits, level) if evidence else [])]


def _extra_blocks(state: StateAudit, part: Slice, digits: int, level: bool) -> list[Block]:
    extra = {**({"trained on (r + bootstrap)": b} if (b := news(state)) is not None else {})}
    extra |= {k: v for k, v in state.evidence.items() if np.shape(v) == sizes(state)}
    return [
        Block(name, plane(table, part), part, {}, digits, headroom=level)
        for name, table in extra.items()
    ]


def _scalars(state: StateAudit) -> Lines:
    words = [f"{k} = {number(float(v))}" for k, v in state.evidence.items() if np.ndim(v) == 0]
    if words:
        yield Text("   ".join(words))


def _searched_lines(audit: Audit, state: StateAudit, width: int) -> Lines:
    """Utilities agent by agent, where the joint actions are too many for a table."""
    yield Text("joint actions were searched, not listed: gaps are lower bounds", "italic")
    digits = decimals(*state.utilities)
    for agent, utility, action in zip(audit.agents, state.utilities, state.greedy, strict=True):
        best = number(float(utility[action]), digits)
        line = Text(f"  {agent[:16]:<16} ", no_wrap=True, overflow="ellipsis")
        line.append(f"{SYMBOLS['greedy']} action {action}", STYLES["greedy"])
        line.append(f"  Q_i = {best} (the best of {np.isfinite(utility).sum()})", MARGIN)
        yield line
    actions = {"optimum": state.optimum, "best": state.best, "greedy": state.greedy}
    for name in MARKS:
        if actions[name] is not None:
            yield Text(f"  {SYMBOLS[name]} {joint_action(actions[name])}", STYLES[name])
