"""Environments that nobody here wrote, each trained by the same command, each beside a random team.

    python benchmarks/environments.py                      train all that are installed
    python benchmarks/environments.py --only pursuit rware_tiny
    python benchmarks/environments.py --table              only the table, of what was trained
    python benchmarks/environments.py --table --figure curves.png     and all curves in one picture

Runs `vdtoolkit train` with the flags below and leaves its folder in runs/environments/NAME; then
prints the table of all result.json files there, as Markdown.  `pip install .[envs]` brings all
but momaland, whose packages clash with these: it wants an environment of its own
(`pip install . momaland`), in which this script runs just the same.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from vdtoolkit.plots import RANDOM, TRAINED

# short trainings want larger steps and a fast target; these envs show velocities or the whole board
SHORT = "--no-recurrent --lr 0.001 --target-interval 50 --n-envs 4 --workers 0"

# name: (package, flags of vdtoolkit train)
TABLE = {
    "simple_spread": (
        "mpe2",
        "--env mpe2.simple_spread_v3 --env-arg local_ratio=0.0 --moves 40000 "
        f"--epsilon-steps 10000 {SHORT}",
    ),
    "simple_speaker_listener": (
        "mpe2",
        "--env mpe2.simple_speaker_listener_v4 --moves 60000 --algorithm vdn "
        f"--epsilon-steps 20000 {SHORT}",
    ),
    "simple_reference": (
        "mpe2",
        "--env mpe2.simple_reference_v3 --env-arg local_ratio=0.0 --moves 80000 "
        f"--algorithm vdn --epsilon-steps 30000 {SHORT}",
    ),
    "foraging": (
        "lbforaging",
        "--env gymnasium:lbforaging:Foraging-5x5-2p-1f-v3 --algorithm vdn --gamma 0.9 "
        f"--hidden-dim 128 --moves 40000 --epsilon-steps 20000 {SHORT} --updates-per-episode 4 "
        "--eval-every 5000",
    ),
    "rware_tiny": (
        "rware",
        "--env gymnasium:rware:rware-tiny-2ag-v2 --env-arg max_steps=200 --reward sum "
        f"--moves 60000 --epsilon-steps 30000 {SHORT} --final-episodes 50",
    ),
    "pursuit": (
        "pettingzoo",
        "--env pettingzoo.sisl.pursuit_v5 --env-arg max_cycles=50 --env-arg surround=False "
        "--env-arg n_pursuers=4 --env-arg n_evaders=10 --env-arg x_size=10 --env-arg y_size=10 "
        f"--algorithm vdn --batch-size 16 --moves 30000 --epsilon-steps 10000 {SHORT} "
        "--updates-per-episode 2 --eval-every 5000 --eval-episodes 16",
    ),
    "knights_archers_zombies": (
        "pettingzoo",
        "--env pettingzoo.butterfly.knights_archers_zombies_v11 --env-arg max_cycles=300 "
        f"--reward sum --algorithm vdn --moves 80000 --epsilon-steps 30000 {SHORT} "
        "--updates-per-episode 4 --eval-every 10000 --eval-episodes 16",
    ),
    "cooperative_pong": (
        "pettingzoo",
        "--env pettingzoo.butterfly.cooperative_pong_v6 --env-arg max_cycles=100 "
        "--env-arg render_mode=rgb_array --wrap supersuit.color_reduction_v0(mode='full') "
        "--wrap supersuit.resize_v1(x_size=28,y_size=16) --wrap supersuit.frame_stack_v1(2) "
        f"--state joint --algorithm vdn --batch-size 8 --moves 5000 --epsilon-steps 2500 {SHORT} "
        "--eval-every 1250 --eval-episodes 8 --final-episodes 30",
    ),
    "momaland_item_gathering": (
        "momaland",
        "--env momaland.envs.item_gathering.moitem_gathering_v0 "
        "--env-arg num_timesteps=30 --env-arg reward_mode=team "
        "--wrap momaland.utils.parallel_wrappers.LinearizeReward("
        "{'agent_0':[1,1,1],'agent_1':[1,1,1]}) --moves 60000 --epsilon-steps 20000 "
        f"--algorithm vdn {SHORT}",
    ),
}
COLUMNS = (
    "environment | agents | method | moves | random team | trained team | over | apart | moves/s"
)


def main() -> int:
    """Train what is asked for, print the table; the number of runs that failed."""
    options = parse()
    failed = []
    for name in [] if options.table else options.only or TABLE:
        package, _ = TABLE[name]
        if importlib.util.find_spec(package) is None:
            print(f"{name}: skipped, {package} is not installed here", file=sys.stderr)
            continue
        words = [*command(name), *options.rest, "--out", str(options.out / name)]
        print(f"{name}: {shlex.join(['vdtoolkit', *words])}", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, "-m", "vdtoolkit", *words], check=False).returncode:
            failed.append(name)
    print(table(options.out))
    if options.figure:
        figure(options.out).savefig(options.figure, dpi=110)
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return len(failed)


def parse() -> argparse.Namespace:
    """The options; what is not known here goes on to vdtoolkit train, after the flags above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=TABLE, metavar="NAME", help=", ".join(TABLE))
    parser.add_argument("--out", type=Path, default=Path("runs/environments"))
    parser.add_argument("--table", action="store_true", help="train nothing, print the table")
    parser.add_argument("--figure", type=Path, help="all learning curves in one picture")
    parser.epilog = "any other flag goes to vdtoolkit train: --moves 2000, --seeds 3, ..."
    options, options.rest = parser.parse_known_args()
    return options


def command(name: str) -> list[str]:
    """The words of `vdtoolkit train` for one environment; blanks separate, nothing is quoted."""
    return ["train", *TABLE[name][1].split(" ")]


def results(out: Path) -> dict[str, dict]:
    """What was trained, by name, in the order above."""
    paths = {name: out / name / "result.json" for name in TABLE}
    return {n: json.loads(p.read_text(encoding="utf-8")) for n, p in paths.items() if p.exists()}


def table(out: Path) -> str:
    """All results in the folder as Markdown."""
    rows = [COLUMNS, " | ".join("---" for _ in COLUMNS.split(" | "))]
    rows += [" | ".join(row(name, told)) for name, told in results(out).items()]
    return "\n".join(f"| {line} |" for line in rows)


def figure(out: Path) -> Figure:
    """The learning curves, first seed each, with 95 % intervals; dashed, the random team."""
    told = results(out)
    whole = Figure(figsize=(10, 2.5 * -(-len(told) // 3)), layout="constrained")
    axes = list(whole.subplots(-(-len(told) // 3), 3, squeeze=False).flat)
    for ax, (name, result) in zip(axes, told.items(), strict=False):
        curve, (low, high) = result["runs"][0]["curve"], result["baseline"]["interval"]
        moves = [point["moves"] for point in curve]
        ax.axhspan(low, high, color=RANDOM, alpha=0.18, lw=0)
        ax.axhline(result["baseline"]["mean"], color=RANDOM, lw=1.2, ls=(0, (5, 2)))
        ax.fill_between(moves, *zip(*(p["interval"] for p in curve), strict=True), alpha=0.2, lw=0)
        ax.plot(moves, [point["mean"] for point in curve], color=TRAINED, lw=1.6)
        ax.set_title(f"{name} ({result['algorithm']})", fontsize=9, loc="left")
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[len(told) :]:  # of the last row
        ax.set_axis_off()
    whole.supxlabel("moves of the team in training", fontsize=9)
    whole.supylabel("return", fontsize=9)
    return whole


def row(name: str, told: dict) -> list[str]:
    """One environment's cells."""
    final, runs = told["final"], told["runs"]
    speed = sum(run["moves"] for run in runs) / sum(run["seconds"] for run in runs)
    return [
        name,
        str(len(told["team"]["agents"])),
        told["algorithm"],
        f"{runs[0]['moves']:,}",
        scored(told["baseline"]),
        scored(final),
        f"{final['n']} {final['of']}",
        told["beside_random"],
        f"{speed:,.0f}",
    ]


def scored(score: dict) -> str:
    """Mean and interval, and the win rate where there is one."""
    low, high = score["interval"]
    wins = "" if score["win_rate"] is None else f", wins {score['win_rate']:.0%}"
    return f"{score['mean']:.4g} [{low:.4g}, {high:.4g}]{wins}"


if __name__ == "__main__":
    sys.exit(main())
