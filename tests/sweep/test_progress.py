"""What a sweep shows of its runs: counts, moves, speed, the time that remains."""

import io
import json

import pytest
from rich.console import Console
from rich.live import Live
from sweeping import write

from vdtoolkit.sweep import progress
from vdtoolkit.sweep.attempt import FAILED, FINISHED, Ended
from vdtoolkit.sweep.file import read_file
from vdtoolkit.sweep.folder import far, last_score, last_words
from vdtoolkit.sweep.loop import State
from vdtoolkit.sweep.progress import Lines, Screen, at_the_end, duration
from vdtoolkit.sweep.rows import rows_of


@pytest.fixture
def rows(tmp_path):
    """Four runs of 1,000 moves: a and b with two seeds."""
    envs = [{"env": "teams:Relay", "name": name} for name in "ab"]
    out = str(tmp_path / "out")
    return rows_of(read_file(tmp_path / write(tmp_path, env=envs, seeds=2, out=out)))


def stands(row, moves, status="running", speed=None):
    """Its folder at so many of 1,000 moves."""
    row.folder.mkdir(parents=True, exist_ok=True)
    told = {"status": status, "moves": moves - moves % 500, "of": 1000, "error": None}
    (row.folder / "status.json").write_text(json.dumps(told))
    line = json.dumps({"moves": moves, "steps_per_second": speed})
    (row.folder / "timing.jsonl").write_text(f"{line}\n{line[:9]}")


def test_how_far_a_run_is_comes_from_its_last_whole_line(rows):
    assert far(rows[0].folder).status == ""
    stands(rows[0], 740, speed=62.5)
    now = far(rows[0].folder)
    assert (now.status, now.moves, now.of, now.speed) == ("running", 740, 1000, 62.5)
    (rows[0].folder / "metrics.jsonl").write_text('{"mean": 3.5}\n{"mean": 4.5, "kind"')
    assert last_score(rows[0].folder) == 3.5
    log = rows[0].folder / "log.txt"
    log.write_text("an older error\n== begun\nat work\nValueError: no\n\n")
    assert last_words(log, 0) == "ValueError: no"
    assert last_words(log, log.stat().st_size) == ""


def shown(rows, monkeypatch, width=100):
    """A sweep of four: one finished before, one at work, one failed, one to come; 40 s later."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stands(rows[0], 1000, "finished")
    stands(rows[1], 500)
    state = State(rows, [rows[0]], {2: Ended(rows[2], FAILED, "ValueError: no", 1)}, [])
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    made = Screen("four", dict.fromkeys(range(4), 1000), Live(console=console))
    made.begin(state)
    now[0] += 40.0
    made.tick(lambda: [rows[1]])
    with console.capture() as text:
        console.print(made.picture([rows[1]]))
    return made, text.get()


def test_a_terminal_has_counts_a_bar_for_all_and_one_for_each_at_work(rows, monkeypatch):
    made, text = shown(rows, monkeypatch)
    # 500 moves in 40 s, 1,500 of those that have not failed are left
    assert made.summary([rows[1]]) == (
        "1 of 4 runs finished · 1 at work · 1 failed · 1 to come · 0:02:00 left"
    )
    lines = text.rstrip().splitlines()
    assert lines[0].rstrip() == made.summary([rows[1]])
    assert lines[1].rstrip().endswith("38% of all moves")
    assert lines[2].startswith("b/vdn/seed-0") and "500 of 1,000" in lines[2] and len(lines) == 3


def test_a_narrow_terminal_and_many_rows_at_work(rows, monkeypatch):
    made, _ = shown(rows, monkeypatch, width=60)
    with made.live.console.capture() as text:
        made.live.console.print(made.picture(rows[1:2] * 30))
    lines = text.get().splitlines()
    assert max(map(len, lines)) <= 60 and "and 6 more at work" in lines[-1]
    assert sum("500 of 1,000" in line for line in lines) == 24


def test_lines_say_what_ended_and_why(rows, capsys):
    state = State(rows, [rows[0]], {}, [])
    made = Lines("four", dict.fromkeys(range(4), 1000))
    made.begin(state)
    made.ended(Ended(rows[0], FINISHED), again=False)
    made.ended(Ended(rows[1], FAILED, "ValueError: no", 1), again=True)
    made.ended(Ended(rows[1], FAILED, "ValueError: no", 1), again=False)
    assert capsys.readouterr().err.splitlines() == [
        "four; finished already: 1",
        "a/vdn/seed-0: finished (1 of 4)",
        "b/vdn/seed-0: failed: ValueError: no; it is tried again from its checkpoint",
        f"b/vdn/seed-0: failed: ValueError: no; see {rows[1].folder / 'log.txt'}",
    ]


def test_the_end_says_how_to_go_on_and_what_to_do_with_it(rows, tmp_path):
    failed = {3: Ended(rows[3], FAILED, "ValueError: no", 1)}
    out = tmp_path / "out"
    assert at_the_end(State(rows, rows[:3], failed, []), out, "vdtoolkit sweep s.json") == [
        f"3 of 4 runs are finished, in {out}",
        "failed: b/vdn/seed-1: ValueError: no",
        f"  {rows[3].folder / 'log.txt'}",
        "To try them once more: vdtoolkit sweep s.json",
        f"To compare them: vdtoolkit compare {out} --skip-unfinished",
    ]
    assert at_the_end(State(rows, rows, {}, []), out, "") == [
        f"4 of 4 runs are finished, in {out}",
        f"To compare them: vdtoolkit compare {out}",
    ]


def test_durations():
    assert [duration(s) for s in (0.4, 61, 3600 * 30 + 59.6)] == ["0:00:00", "0:01:01", "30:01:00"]
