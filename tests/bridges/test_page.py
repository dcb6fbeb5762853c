"""docs/bridges.md keeps its word: each bridge in ten lines, each block runs and trains."""

import json

import pytest
from bridges import page
from bridges.run_all import pins, written
from bridges.tools import TOOLS, needs

RANDOM = -65 / 9  # what a random team earns a move in the monotonic game

# section -> (tool, the return that its training reaches at least)
SECTIONS = {
    "SuperSuit": ("supersuit", 8),
    "Stable-Baselines3": ("sb3", 8),
    "The team as one agent": ("sb3", 8),
    "TorchRL": ("torchrl", 8),
    "BenchMARL": ("benchmarl", 8),
    "Tianshou": ("tianshou", 8),
    "AgileRL": ("agilerl", 8),
    "RLlib": ("rllib", RANDOM + 1),  # mean of exploring moves, few iterations, no seed
}


def test_every_section_with_code_is_run_and_every_tool_has_one():
    assert [title for title in page.titles() if page.blocks(title)] == list(SECTIONS)
    assert {tool for tool, _ in SECTIONS.values()} == set(TOOLS)


def test_the_tables_are_of_these_versions():
    assert written("pins") == pins()
    rows = [row.split(" | ") for row in written("table").splitlines()[2:]]
    expected = [
        (title, TOOLS[tool].title, TOOLS[tool].version) for title, (tool, _) in SECTIONS.items()
    ]
    assert [(row[0].removeprefix("| "), row[1], row[2]) for row in rows] == expected


@pytest.mark.parametrize("section", SECTIONS)
def test_a_bridge_is_ten_lines_beside_its_imports(section):
    bridge = page.blocks(section)[0]
    lines = [line for line in bridge.splitlines() if line.strip() and "import " not in line]
    assert len(lines) <= (13 if section == "BenchMARL" else 10)


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(title, marks=needs(tool), id=f"{tool}: {title}")
        for title, (tool, _) in SECTIONS.items()
    ],
)
def test_a_bridge_trains(section, record_property, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool, least = SECTIONS[section]
    told = page.run(section)
    returned = float(told.returned)
    row = [section, TOOLS[tool].title, TOOLS[tool].installed, int(told.steps), returned]
    record_property("bridge", json.dumps(row))
    assert returned >= least - 1e-5
