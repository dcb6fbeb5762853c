import dataclasses
import io
import re

import numpy as np
import pytest
from igm import fakes
from rich.console import Console

from vdtoolkit.igm.report.slices import crop, slices
from vdtoolkit.igm.report.summary import findings, representative, summary
from vdtoolkit.igm.report.terminal import audit_renderable, lab_renderable, plain
from vdtoolkit.igm.report.text import decimals, measure, number, percent

AUDITS = ["three_agents", "five_agents", "masked", "two_step", "searched"]


def made(name):
    return fakes.squares(int(name[7:])) if name.startswith("squares") else getattr(fakes, name)()


def qtran_audit():
    return fakes.qtran_lab(1).methods[2].seeds[0].audit  # QMIX


def line_of(text, *parts):
    return next(line for line in text.splitlines() if all(part in line for part in parts))


def test_numbers_never_show_a_negative_zero():
    assert number(-0.001) == "0.00"
    assert number(-0.0) == "0.00"
    assert number(float("nan")) == "·"
    assert number(None) == "·"
    assert number(-12.344) == "-12.34"


def test_small_measures_are_told_from_zero_and_bounds_from_values():
    assert measure(0.0) == "0.00"
    assert measure(0.003) == "<0.01"
    assert measure(0.42, bound=True) == "≥ 0.42"
    assert measure(None) == "–"
    assert percent(0.001) == "<1%"
    assert percent(0.999) == ">99%"
    assert percent(0.2) == "20%"


def test_decimals_suit_the_largest_number():
    assert decimals(np.array([8.0, -12])) == 2
    assert decimals(np.array([-100.0, np.nan])) == 1
    assert decimals(np.array([17000.0])) == 0
    assert decimals(np.array([0.01, 0.002])) == 3
    assert decimals(None) == 2


def test_the_tables_stand_side_by_side_with_marks_and_utilities():
    text = plain(audit_renderable(qtran_audit()))
    audit = qtran_audit().states[0]
    head = line_of(text, "payoff", "learned Q_tot", "error")
    assert head.index("payoff") < head.index("learned Q_tot") < head.index("error")
    first = line_of(text, "8.00★")
    assert first.count("★") == 2  # in the payoff and in Q_tot
    assert f"{audit.utilities[0][0]:.2f}" in first  # agent 0's utility beside its action
    assert all(f"{q:.2f}" in line_of(text, "Q_i │") for q in audit.utilities[1])
    row = next(line for line in text.splitlines() if line.startswith(f"{audit.greedy[0]} │"))
    assert row.count("▲●") == 2


def test_marks_are_legible_without_colour_and_explained():
    text = plain(audit_renderable(qtran_audit()))
    assert "\x1b" not in text
    for symbol, meaning in (("★", "true optimum"), ("▲", "argmax of Q_tot"), ("●", "greedy")):
        assert re.search(f"{symbol} .*{meaning}", text)


def test_a_colour_terminal_gets_a_colour_a_mark():
    console = Console(
        file=io.StringIO(), width=100, force_terminal=True, color_system="standard", no_color=False,
        _environ={"TERM": "xterm-256color"},
    )  # fmt: skip
    console.print(audit_renderable(qtran_audit()))
    printed = console.file.getvalue()
    styles = [re.search(rf"\x1b\[([\d;]+)m{s} ", printed)[1] for s in "★▲●"]
    assert len(set(styles)) == 3


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("name", [*AUDITS, "squares8", "squares21"])
def test_no_line_is_too_long_and_no_number_is_minus_zero(name, width):
    text = plain(audit_renderable(made(name)), width)
    assert max(len(line) for line in text.splitlines()) <= min(width, 100)
    assert not re.search(r"-0\.0+(?!\d)", text)


@pytest.mark.parametrize("width", [80, 100])
def test_the_lab_fits_its_width_and_says_everything(width):
    lab = fakes.qtran_lab()
    text = plain(lab_renderable(lab), width)
    assert max(len(line) for line in text.splitlines()) <= width
    for method in lab.methods:
        assert method.label in text
    words = " ".join(text.split())
    for needed in ("additive", "ELU-QMIX", "455.11", "~288.00", "no claim", "violated 1/5"):
        assert needed in words
    assert "0.00 of 8.00" in words
    assert "8.00 of 8.00" in words
    assert len(text[text.index("How to read this") :].splitlines()) <= 6


def test_ranges_over_seeds_are_shown_where_there_is_room():
    assert "0.00..20.00" in plain(lab_renderable(fakes.qtran_lab()), 100)
    assert "0.00..20.00" not in plain(lab_renderable(fakes.qtran_lab()), 80)


def test_the_seed_shown_is_the_median_by_regret_then_rmse():
    method = fakes.qtran_lab().methods[5]  # QTRAN-alt: seed 3 fails
    ranked = sorted(method.seeds, key=lambda s: (s.audit.regret, s.audit.rmse))
    assert representative(method) is ranked[2]
    assert representative(method).seed != 3
    text = plain(lab_renderable(fakes.qtran_lab()))
    assert f"QTRAN-alt  (seed {ranked[2].seed}, the median of 5" in text


def test_the_summary_counts_seeds():
    rows = {row.method: row for row in summary(fakes.qtran_lab())}
    assert rows["QTRAN-alt"].igm == "violated 1/5"
    assert rows["QTRAN-alt"].verdicts == ["4/5 at its class's optimum", "1/5 not converged"]
    assert rows["QTRAN-alt"].plays_in == "4/5 seeds"
    assert rows["QTRAN-alt"].earns.low == -12
    assert rows["IQL"].igm == "no claim"
    assert rows["VDN"].igm == "holds"
    assert rows["VDN"].limit_earns == 0.0
    assert rows["IQL"].limit is None


def test_findings_say_who_finds_the_optimum_and_what_keeps_the_others():
    said = findings(fakes.qtran_lab())
    assert said[0] == "QTRAN-base earns the optimal 8.00 in every seed."
    assert "VDN and Qatten earn 0.00; the best additive table (SSE 455.11) earns 0.00." in said
    assert said[-1] == "IGM is violated in QTRAN-alt (1/5 seeds, 20% of states)."


def test_a_violation_is_never_called_holding():
    audit = fakes.searched()
    text = plain(audit_renderable(audit))
    assert "IGM violated in 100% of states" in text
    assert "gap ≥ 0.42" in text
    assert "searched, not listed" in text
    unseen = dataclasses.replace(audit, violation_rate=0.0)
    assert "not seen violated" in plain(audit_renderable(unseen))
    assert "IGM holds" not in plain(audit_renderable(unseen))


def test_actions_that_are_not_available_are_dots():
    text = plain(audit_renderable(fakes.masked()))
    row = next(line for line in text.splitlines() if line.startswith("1 │"))
    assert row.count("·") == 10  # 3 payoffs, a utility, 3 values, 3 errors
    assert "nan" not in text


def test_three_agents_are_shown_slice_by_slice():
    text = plain(audit_renderable(fakes.three_agents()))
    low, high = text.index("with agent_0 = 0"), text.index("with agent_0 = 1")
    assert "15.00★" in text[low:high]
    assert "7.00▲●" in text[high:]


def test_of_many_slices_those_with_a_mark_are_shown_and_counted():
    audit = fakes.five_agents()
    state = audit.states[0]
    shown = {part.fixed for part in slices(state)}
    assert shown == {state.optimum[:-2], state.greedy[:-2]}
    assert "2 of 27 slices" in plain(audit_renderable(audit))


def test_big_tables_are_cropped_around_the_marks_and_say_so():
    text = plain(audit_renderable(fakes.squares(21)))
    assert "cropped around the marks: 36 of 441 cells" in text
    assert "10.00★" in text
    assert "5.00▲●" in text
    assert "cropped" not in plain(audit_renderable(fakes.squares(8)))


def test_crop_keeps_the_marked_indices():
    assert crop(21, [5, 15], 10) == [4, 5, 6, 14, 15, 16]
    assert crop(21, [0, 10, 20], 3) == [0, 10, 20]
    assert crop(7, [3], 10) == list(range(7))


def test_states_come_one_after_the_other_with_what_they_were_trained_on():
    text = plain(audit_renderable(fakes.two_step()))
    assert text.index("state 1") < text.index("state 2A") < text.index("state 2B")
    assert text.count("trained on") == 1  # elsewhere it is the payoff
    assert "6.43" in text or "6.44" in text


def test_the_algorithms_own_tables_are_shown_for_one_audit():
    audit = fakes.qtran_lab(1).methods[4].seeds[0].audit
    text = plain(audit_renderable(audit))
    assert "Q'_jt" in text
    assert "residual (4b)" in text
    assert "V_jt = 0.00" in text
    assert "Q'_jt" not in plain(audit_renderable(audit, evidence=False))


def test_a_terminal_that_knows_ascii_alone_gets_ascii():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    Console(file=file, width=100).print(audit_renderable(fakes.squares(21)))
    file.flush()
    printed = raw.getvalue().decode("ascii")
    assert "10.00*" in printed
    assert "5.00^o" in printed


def test_print_and_rich_show_the_same_table():
    audit = fakes.masked()
    assert str(audit) == plain(audit)
    assert "7.00★▲●" in str(audit)
    assert str(fakes.qtran_lab(1)).startswith("── IGM lab: nonmonotonic")


def test_small_errors_are_not_alarming():
    lab = fakes.qtran_lab(1)
    for method, alarming in ((lab.methods[4], False), (lab.methods[1], True)):
        console = Console(
            file=io.StringIO(), width=100, force_terminal=True, color_system="standard",
            no_color=False, _environ={"TERM": "xterm-256color"},
        )  # fmt: skip
        console.print(audit_renderable(method.seeds[0].audit, evidence=False))
        assert ("\x1b[31m" in console.file.getvalue()) is alarming


def test_a_known_payoff_beside_a_searched_q_tot_keeps_the_searched_actions():
    state = dataclasses.replace(fakes.masked().states[0], q_tot=None, exact=False)
    audit = dataclasses.replace(fakes.masked(), states=[state], exact=False)
    text = plain(audit_renderable(audit))
    assert "7.00★▲●" in text
    assert "searched, not listed" in text
    assert "● (2, 2)" in text
