import dataclasses
import re
from html.parser import HTMLParser

import pytest
from igm import fakes

from vdtoolkit.igm.report.cells import title_html
from vdtoolkit.igm.report.page import audit_html, html_page
from vdtoolkit.igm.report.text import DEFINITIONS

VOID = {"meta", "br", "link", "img", "hr", "input"}
HOSTILE = "<script>alert('x')</script>&\"boom\""


class Checker(HTMLParser):
    """Tags must nest; collects tags, ids and every address."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.addresses = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def checked(page):
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


@pytest.fixture(scope="module")
def page():
    return html_page(fakes.qtran_lab())


def test_the_page_is_well_formed_and_ids_are_unique(page):
    checker = checked(page)
    assert page.startswith("<!DOCTYPE html>")
    assert len(checker.ids) == len(set(checker.ids))
    assert checker.tags.count("svg") == 3  # overview, curves, strip


def test_the_page_needs_nothing_from_elsewhere(page):
    checker = checked(page)
    assert {"script", "link", "iframe"}.isdisjoint(checker.tags)
    assert all(address.startswith(("#", "data:")) for address in checker.addresses)
    referred = {address[1:] for address in checker.addresses if address.startswith("#")}
    assert referred <= set(checker.ids)
    assert "url(http" not in page
    assert "@import" not in page


def test_the_page_tells_light_from_dark_and_knows_paper(page):
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_everything_promised_is_on_the_page(page):
    for title in ("Findings", "Summary", "Over training", "Seeds", "Definitions", "Configuration"):
        assert title in page
    lab = fakes.qtran_lab()
    assert lab.command in page
    assert "torch 2.13.0" in page
    for method in lab.methods:
        assert f"<h3>{method.label}</h3>" in page
    assert "~288.00" in page
    assert "bound: projection onto convex" in page
    assert page.count("<dt>") == len(DEFINITIONS)
    assert "<td>batch_size</td>" in page


def test_evidence_of_every_kind_is_shown(page):
    for title in ("Q'<sub>jt</sub>, the sum", "residual of (4b)", "head weights (4)"):
        assert title in page
    assert "attention (4 × 2)" in page
    assert "residual of (7)" in page


def test_names_with_underscores_become_subscripts_or_spaces():
    assert title_html("Q'_jt") == "Q'<sub>jt</sub>"
    assert title_html("V_jt") == "V<sub>jt</sub>"
    assert title_html("head_weights") == "head weights"
    assert title_html("<b>") == "&lt;b&gt;"


def test_the_greedy_cell_and_the_marks_stand_in_the_tables(page):
    assert '<span class="marks">★▲●</span>' in page
    assert re.search(r'class="plays"[^>]*>8\.0\d<span class="marks">★▲●', page)
    assert not re.search(r">-0\.0+<", page)


def test_hostile_names_are_escaped():
    state = dataclasses.replace(
        fakes.masked().states[0], state=HOSTILE, evidence={HOSTILE: fakes.QTRAN_GAME[0]}
    )
    agents = (HOSTILE, HOSTILE)
    audit = dataclasses.replace(
        fakes.masked(), algorithm=HOSTILE, agents=agents, states=[state, state], q_tot_label=HOSTILE
    )
    lab = fakes.single_seed_lab(audit, HOSTILE, fakes.qtran_limits(), 7.0)
    seed = dataclasses.replace(lab.methods[0].seeds[0], verdict=HOSTILE)
    method = dataclasses.replace(lab.methods[0], seeds=[seed], config={HOSTILE: HOSTILE})
    lab = dataclasses.replace(lab, methods=[method], versions={HOSTILE: HOSTILE}, command=HOSTILE)
    for page in (html_page(lab), audit_html(audit)):
        assert "script" not in checked(page).tags
        assert "<script" not in page


@pytest.mark.parametrize("name", ["three_agents", "five_agents", "masked", "two_step", "searched"])
def test_an_audit_alone_is_a_page_too(name):
    audit = getattr(fakes, name)()
    page = audit_html(audit)
    checker = checked(page)
    assert checker.tags.count("svg") == 1
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_masks_and_crops_are_visible():
    assert audit_html(fakes.masked()).count('<td class="none">·</td>') == 12
    page = audit_html(fakes.squares(21))
    assert "cropped around the marks: 36 of 441 cells" in page
    assert "10.00<span" in page


def test_the_method_writes_the_page(tmp_path):
    path = tmp_path / "audit.html"
    assert fakes.masked().to_html(path) == path.read_text(encoding="utf-8")


def test_a_run_without_history_limits_or_payoff_has_a_page():
    lab = fakes.single_seed_lab(fakes.searched(), "battle", optimal=None)
    text = html_page(lab)
    checked(text)
    assert "≥ 0.42" in text
