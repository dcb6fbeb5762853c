"""`docs/checks.md` from the list of checks: `python -m vdtoolkit.checks.page > docs/checks.md`."""

from __future__ import annotations

from vdtoolkit.checks import CHECKS

HEAD = """# Checks

What `vdtoolkit check-env ENV` and `vdtoolkit.check_env(make)` look at, in the order of the
report. A **fault** breaks PettingZoo's rules, training or other tools, and is exit status 1; a
**warning** is likely to be a mistake; a **note** is worth knowing. (Made from the list in the
code by `python -m vdtoolkit.checks.page`.)

The recording: a few seeded episodes (four, `--episodes`) on one instance, with actions that the
masks offer, in turn at random, always the first, always the last. Seeding, isolation and masked
actions are tried in episodes played again on new instances. Rendering in mode "human" is never
tried: it opens windows. PettingZoo's own tests get masked-out actions replaced by legal ones, and
what they say on matters of taste (unlike agents, unbounded or Dict spaces, zeros, numpy bools) is
left out.

| check | severity | holds where nothing is found | otherwise |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = [
        f"| `{c.name}` | {c.severity} | {_cell(c.promise)} | {_cell(c.way_out)} |"
        for c in CHECKS.values()
    ]
    return HEAD + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
