"""The command line: `vdtoolkit COMMAND`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from vdtoolkit._version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status.

    0 done, 1 done and something is amiss (a sweep's run failed, a check did not pass), 2 bad input,
    130 interrupted, 141 unread.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if arguments else 2
    if arguments[0] in ("--version", "-V"):
        print(f"vdtoolkit {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        return refuse("vdtoolkit", f"unknown command {name!r}: commands are {', '.join(COMMANDS)}")
    try:
        status = COMMANDS[name][0](rest)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # who read along has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 141


def refuse(program: str, why: str) -> int:
    """One clear line on standard error; exit status 2."""
    print(f"{program}: error: {' '.join(why.split())}", file=sys.stderr)
    return 2


def _igm(arguments: list[str]) -> int:
    from vdtoolkit.igm.command import main as igm_main  # torch is imported only now

    return igm_main(arguments)


def _train(arguments: list[str]) -> int:
    from vdtoolkit.commands.train import main as train_main

    return train_main(arguments)


def _resume(arguments: list[str]) -> int:
    from vdtoolkit.commands.resume import main as resume_main

    return resume_main(arguments)


def _check_env(arguments: list[str]) -> int:
    from vdtoolkit.commands.check_env import main as check_main

    return check_main(arguments)


def _sweep(arguments: list[str]) -> int:
    from vdtoolkit.commands.sweep import main as sweep_main

    return sweep_main(arguments)


def _evaluate(arguments: list[str]) -> int:
    from vdtoolkit.commands.evaluate import main as evaluate_main

    return evaluate_main(arguments)


def _certify(arguments: list[str]) -> int:
    from vdtoolkit.commands.certify import main as certify_main

    return certify_main(arguments)


def _compare(arguments: list[str]) -> int:
    from vdtoolkit.commands.compare import main as compare_main

    return compare_main(arguments)


def _doctor(arguments: list[str]) -> int:
    from vdtoolkit.commands.doctor import main as doctor_main

    return doctor_main(arguments)


COMMANDS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "igm": (_igm, "train methods on a finite game and see where IGM holds and where it breaks"),
    "train": (_train, "train a team on any PettingZoo environment, beside a random one"),
    "resume": (_resume, "go on with a run that was ended, to the same bits"),
    "sweep": (_sweep, "train methods x environments x seeds: cores, Slurm, Ray; go on anywhere"),
    "evaluate": (_evaluate, "play a saved team greedily: mean return, interval, win rate"),
    "compare": (_compare, "compare trained teams: intervals, who is told from whom, seeds missing"),
    "certify": (_certify, "prove of a method what can be proved: ours, or a class of your own"),
    "check-env": (_check_env, "tell what is wrong with a PettingZoo environment"),
    "doctor": (_doctor, "tell what is installed here, and what is missing for StarCraft II"),
}


def _usage() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: vdtoolkit COMMAND [options]",
            "",
            "Value decomposition for PettingZoo.",
            "",
            *rows,
            "",
            "vdtoolkit COMMAND --help tells a command's options.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
