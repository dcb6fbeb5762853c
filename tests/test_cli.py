"""The command line as a whole: what leaves it in an orderly way."""

import subprocess
import sys

COMMAND = [sys.executable, "-m", "vdtoolkit"]


def test_a_reader_that_goes_away_is_no_error():
    with subprocess.Popen(
        [*COMMAND, "train", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        run.stdout.close()  # before anything was written, as `| true` does
        assert run.stderr.read() == b""
        assert run.wait(60) == 141


def test_an_unknown_command_is_told_with_those_that_there_are():
    done = subprocess.run([*COMMAND, "tain"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "vdtoolkit: error: unknown command 'tain': commands are igm, train, resume, sweep, "
        "evaluate, compare, certify, check-env, doctor\n"
    )
