"""vdtoolkit's commands as forks of a process that has imported torch once: `python forks.py`.

Reads a JSON object a line: {"words", "cwd", "log"} begins a command and is answered by {"pid"};
{"wait": pid} by {"status"}, None while it goes on.  In these commands the processes of a sweep's
rows are forks, too, with all else as it is: their pipes, sessions, signals and logs.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import redirect_stderr, redirect_stdout
from typing import ClassVar

STREAMS = ((0, "r"), (1, "w"), (2, "w"))


class Picture:
    """In the place of one that takes a second to draw."""

    def savefig(self, path, **how):
        path.write_bytes(b"")


class Forked:
    """A `subprocess.Popen` of a sweep's row that forks instead."""

    pipes: ClassVar = []  # our ends: a fork gets copies of them all, and must close them

    def __init__(self, words, *, stdin, stdout, stderr, env, start_new_session):
        from vdtoolkit.sweep import child

        assert (stdin, stderr, start_new_session) == (subprocess.PIPE, subprocess.STDOUT, True)
        assert words[:3] == [sys.executable, "-m", "vdtoolkit.sweep.child"]
        theirs, ours = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            sys.argv = ["child", *words[3:]]
            others = [one.fileno() for one in self.pipes if not one.closed]
            become(child.main, theirs, stdout.fileno(), close=[ours, *others])
        os.close(theirs)
        self.stdin = os.fdopen(ours, "wb")
        self.pipes.append(self.stdin)
        self.status = None

    def poll(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status


def become(command, stdin, log, close=()):
    """In a fork: be this command's process."""
    status = 1
    try:
        os.setsid()
        for handle in close:
            os.close(handle)
        for number, handle in ((0, stdin), (1, log), (2, log)):
            os.dup2(handle, number)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, m, closefd=False) for n, m in STREAMS)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        status = command()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def begin(words, cwd, log):
    """A command as a fork; its pid."""
    from vdtoolkit import cli

    def command():
        os.chdir(cwd)
        return cli.main(words)

    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    pid = os.fork()
    if not pid:
        become(command, nothing, handle)
    os.close(handle)
    os.close(nothing)
    return pid


def warm():
    """Train for a moment: it imports what forks then find."""
    from vdtoolkit import cli

    words = ["train", "--env", "vdtoolkit.envs.two_step_v0", "--moves", "8", "--n-envs", "2"]
    words += ["--batch-size", "2", "--eval-every", "4", "--eval-episodes", "1"]
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as out, redirect_stdout(said), redirect_stderr(said):
        assert cli.main([*words, "--final-episodes", "1", "--out", out]) == 0, said.getvalue()


def main():
    """Answer until the input ends."""
    import vdtoolkit.commands.resume
    import vdtoolkit.commands.sweep
    import vdtoolkit.sweep.check
    from vdtoolkit.sweep import attempt

    vdtoolkit.commands.train.plot_learning = lambda result: Picture()
    vdtoolkit.igm.command.write = lambda lab, out: None
    os.fsync = lambda handle: None  # what a process wrote survives its own end without
    attempt.subprocess = type(sys)("subprocess")
    attempt.subprocess.PIPE, attempt.subprocess.STDOUT = subprocess.PIPE, subprocess.STDOUT
    attempt.subprocess.Popen = Forked
    warm()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "words" in asked:
            told = {"pid": begin(**asked)}
        else:
            pid, status = os.waitpid(asked["wait"], os.WNOHANG)
            told = {"status": os.waitstatus_to_exitcode(status) if pid else None}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
