"""What commands share."""

import dataclasses

import pytest
from teams import says

from vdtoolkit.agents.qmix import QMIXConfig
from vdtoolkit.flags import at_least, parse, prepare, unboxed, unchecked


@dataclasses.dataclass(frozen=True)
class Options:
    """Two of them."""

    size: int = 3
    speed_up: float = 1.5


def test_options_come_from_flags():
    assert parse(Options, ["--size", "7"], "prog") == Options(7)


def test_help_is_printed_and_there_is_nothing_to_do(capsys):
    assert parse(Options, ["--help"], "prog") is None
    assert "--speed-up" in capsys.readouterr().out


def test_a_wrong_flag_is_one_line(capsys):
    with pytest.raises(ValueError, match="speed-upp") as caught:
        parse(Options, ["--speed-upp", "2"], "prog")
    assert "\n" not in str(caught.value) and "│" not in str(caught.value)
    assert str(caught.value).startswith("Unrecognized options: --speed-upp, 2 Perhaps you meant:")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "framed",
    [
        "╭─ Title ──╮\n│ Not - so │\n│ ──────── │\n│ --size 3 │\n╰──────────╯",
        " Title \n Not so \n ------ \n --size 3 ",
    ],
)
def test_frames_titles_and_rules_are_left_out(framed):
    assert unboxed(framed) == "Not so --size 3"


def test_what_has_no_frame_stays():
    assert unboxed("no frame\nhere") == "no frame here" and unboxed("") == ""


def test_a_config_without_its_checks_takes_what_the_config_refuses():
    assert unchecked(QMIXConfig)(gamma=7.0).gamma == 7.0
    with says(ValueError, "gamma=7.0: it must be in [0, 1]"):
        QMIXConfig(gamma=7.0)


def test_small_numbers_are_refused():
    at_least(3, Options(), "size")
    with says(ValueError, "--speed-up 1.5: it must be at least 2"):
        at_least(2, Options(), "size", "speed_up")
    with says(ValueError, "--speed-up nan: it must be at least 0"):
        at_least(0, Options(speed_up=float("nan")), "speed_up")


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert prepare(tmp_path / "a" / "b").is_dir()
    with pytest.raises(ValueError, match=r"cannot write to .*give another folder with --out"):
        prepare(tmp_path / "file" / "x")
