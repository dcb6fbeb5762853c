"""The script for Slurm on docs/sweeps.md, with commands that only write down what they are told."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sweeps.md"
SWEEP = """#!/bin/sh
echo "$@" >> told
trap 'echo saved >> told; exit 130' TERM
i=0
while [ $i -lt {tenths} ]; do sleep 0.1; i=$((i + 1)); done
exit {status}
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="no shell on this system")


def began(folder, tenths=600, status=0):
    """The script at work."""
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n.*?)```", PAGE.read_text(), re.DOTALL)
    commands = {
        "vdtoolkit": SWEEP.format(tenths=tenths, status=status),
        "scontrol": '#!/bin/sh\necho scontrol "$@" >> told\n',
    }
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "job.sh").write_text(script)
    job = {"SLURM_ARRAY_JOB_ID": "71", "SLURM_ARRAY_TASK_ID": "3"}
    env = {**os.environ, **job, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.Popen(["bash", "job.sh"], cwd=folder, env=env)


def told(folder):
    path = folder / "told"
    return path.read_text().splitlines() if path.exists() else []


def signalled(folder, number):
    """What was told, and the exit status, after a signal to the script."""
    job = began(folder)
    end = time.monotonic() + 20
    while not told(folder):
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(0.2)  # the trap is set right after
    job.send_signal(number)
    assert job.wait(20) == 130
    return told(folder)


def test_a_run_that_ends_by_itself_ends_the_job_with_its_status(tmp_path):
    assert began(tmp_path, tenths=1, status=1).wait(20) == 1
    assert told(tmp_path) == ["sweep spread.toml --index 3"]


def test_before_the_time_is_up_it_saves_and_goes_back_into_the_queue(tmp_path):
    said = signalled(tmp_path, signal.SIGUSR1)
    assert said == ["sweep spread.toml --index 3", "saved", "scontrol requeue 71_3"]


def test_a_job_that_is_cancelled_saves_and_does_not_come_back(tmp_path):
    assert signalled(tmp_path, signal.SIGTERM) == ["sweep spread.toml --index 3", "saved"]
