"""Every bridge in its tool's own environment, then the tables of docs/bridges.md.

python tests/bridges/run_all.py [TOOL ...]; the environments lie under .venvs/bridges, or where
BRIDGES says.  The page is written only when every tool ran and nothing was skipped.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bridges.install import install
from bridges.page import PATH
from bridges.tools import ROOT, TOOLS

Row = list[object]


def run(name: str) -> tuple[bool, list[Row], list[Row]]:
    """Whether a tool's tests all ran and passed; its rows for the two tables."""
    try:
        python = sys.executable if name == "supersuit" else install(name)  # SuperSuit is here
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name}: not installed: {error}", flush=True)
        return False, [], []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [str(python), "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
        command += [
            "tests/bridges",
            "-k",
            name,
            "-o",
            "junit_family=xunit1",
            f"--junitxml={report}",
        ]
        print(f"{name}: {' '.join(command[1:-1])}", flush=True)
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        passed = subprocess.run(command, cwd=ROOT, env=env).returncode == 0
        root = ElementTree.parse(report).getroot()
    skipped = sum(int(suite.get("skipped", 0)) for suite in root.iter("testsuite"))
    return passed and not skipped, _told(root, "bridge"), _told(root, "reference")


def _told(root: ElementTree.Element, name: str) -> list[Row]:
    """What the tests recorded under a name."""
    found = root.iterfind(f".//property[@name='{name}']")
    return [json.loads(each.get("value", "")) for each in found]


def results(rows: list[Row]) -> str:
    """The table of what ran."""
    today = datetime.date.today().isoformat()
    lines = ["| bridge | tool | version | steps | return | date |", "|---|---|---|---|---|---|"]
    for bridge, tool, version, steps, returned in rows:
        lines.append(f"| {bridge} | {tool} | {version} | {steps:,} | {returned:.2f} | {today} |")
    return "\n".join(lines)


def pins() -> str:
    """The table of what was installed beside a tool, and why."""
    lines = ["| tool | beside it | why |", "|---|---|---|"]
    for tool in TOOLS.values():
        if tool.beside:
            beside = ", ".join(f"`{requirement}`" for requirement in tool.beside)
            lines.append(f"| {tool.title} | {beside} | {tool.why} |")
    return "\n".join(lines)


def reference(rows: list[Row]) -> str:
    """The table of BenchMARL's agents beside ours."""
    lines = [
        "| game | method | BenchMARL plays | we play | BenchMARL's Q_tot | our Q_tot | apart |",
        "|---|---|---|---|---|---|---|",
    ]
    for game, method, theirs, ours, apart, their_table, our_table in rows:
        tables = f"{_table(their_table)} | {_table(our_table)}"
        lines.append(
            f"| {game} | {method} | {tuple(theirs)} | {tuple(ours)} | {tables} | {apart:.1f} |"
        )
    return "\n".join(lines)


def _table(rows: list[list[float]]) -> str:
    return "[" + "; ".join(" ".join(f"{x:.1f}" for x in row) for row in rows) + "]"


def written(name: str) -> str:
    """The table that the page has under a name."""
    text = PATH.read_text(encoding="utf-8").split(f"<!-- made by make bridges: {name} -->\n")[1]
    return text.split(f"<!-- end of {name} -->")[0].strip()


def write(name: str, table: str) -> None:
    """Put a table into the page, between its two marks."""
    text = PATH.read_text(encoding="utf-8")
    begin, end = f"<!-- made by make bridges: {name} -->\n", f"<!-- end of {name} -->\n"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    PATH.write_text(f"{before}{begin}{table}\n{end}{after}", encoding="utf-8")


def main() -> int:
    """Install and run the named tools, or all; 0 if everything ran and passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=", ".join(TOOLS))
    names = parser.parse_args().tools or list(TOOLS)
    told = {name: run(name) for name in names}
    bridges = [row for name in TOOLS if name in told for row in told[name][1]]
    beside = [row for _, _, rows in told.values() for row in rows]
    print(results(bridges), reference(beside), sep="\n\n")
    failed = [name for name, (passed, _, _) in told.items() if not passed]
    if failed:
        print(f"failed or skipped: {', '.join(failed)}; {PATH.name} stays as it was")
        return 1
    if set(names) == set(TOOLS):
        write("table", results(bridges))
        write("pins", pins())
        write("reference", reference(beside))
        print(f"{PATH.name} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
