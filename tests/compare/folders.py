"""Folders of runs as `vdtoolkit train` leaves them, with numbers of our choice."""

import copy
import json

PASSPORT = {
    "format": 1,
    "versions": {"vdtoolkit": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6"},
    "env": {"id": "", "arguments": {}, "wrappers": [], "spaces": "5f1e", "game_version": None},
    "algorithm": "",
    "n_envs": 8,
    "workers": 0,
    "updates_per_episode": 1.0,
    "evaluation": {"mode": "greedy", "every": 50, "episodes": 16, "final_episodes": 32},
    "seed": 0,
    "hardware": {"machine": "x86_64", "cpu": "some", "cores": 2, "device": "cpu", "gpu": None},
    "threads": 1,
    "commit": "910d563",
    "platform": "Linux",
}


def run(
    folder,
    algorithm="qmix",
    seed=0,
    returns=(0.0, 2.0, 4.0),
    *,
    env="pack.game_v0",
    arguments=None,
    moves=None,
    of=None,
    status="finished",
    wins=None,
    random=0.0,
    config=None,
    changes=None,
):
    """One run of the contract; changes: a passport's fields, dotted, to values."""
    moves = moves or [50 * k for k in range(len(returns))]
    changes = dict(changes or {})
    of = changes.pop("moves", moves[-1] if of is None else of)
    arguments = arguments or {}
    passport = copy.deepcopy(PASSPORT) | {"algorithm": algorithm, "seed": seed}
    passport["env"] |= {"id": env, "arguments": arguments}
    settings = {"moves": of, "n_envs": "auto", "workers": 0, "reward": "mean", "state": "env"}
    for name, value in changes.items():
        *above, last = name.split(".")
        tree = settings if name in ("reward", "state") else passport
        for key in above:
            tree = tree[key]
        tree[last] = value
    folder.mkdir(parents=True, exist_ok=True)
    dump(folder / "passport.json", passport)
    dump(
        folder / "config.json",
        {
            "format": 1,
            "command": "vdtoolkit train",
            "algorithm": algorithm,
            "config": {"lr": 0.001, "gamma": 0.99} | (config or {}),
            "env": {"env": env, "arguments": arguments, "wrappers": []},
            "settings": settings,
            "seed": seed,
        },
    )
    done = {"status": status, "moves": moves[-1], "of": of, "error": None, "date": "2026-11-21"}
    dump(folder / "status.json", done)
    lines = [{"kind": "training", "moves": 10, "return": 0.1, "loss": 0.5}]
    for k, (at, value) in enumerate(zip(moves, returns, strict=True)):
        line = {"kind": "evaluation", "moves": at, "mean": value, "low": None, "high": None}
        line |= {"episodes": 16, "win_rate": None if wins is None else wins[k], "lost": 0}
        if k == len(moves) - 1 and status == "finished":
            line["final"] = True
        lines.append(line)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if status == "finished":
        baseline = None if random is None else {"mean": random, "n": 32}
        dump(folder / "result.json", {"baseline": baseline})
    return folder


def dump(path, data):
    path.write_text(json.dumps(data))


def several(root, methods, envs=("pack.game_v0",), seeds=3, **rest):
    """Runs of each method on each env; methods: name -> the last return of its seed 0."""
    for env in envs:
        for method, value in methods.items():
            for seed in range(seeds):
                last = value + 0.3 * ((seed * 7) % 5 - 2)
                run(
                    root / f"{env}-{method}" / f"seed-{seed}",
                    method,
                    seed,
                    (0.0, last / 2, last),
                    env=env,
                    **rest,
                )
    return root


def old(folder, algorithm="vdn", seeds=(0, 1), interrupted=False):
    """result.json alone, of a version before the contract."""
    point = {"interval": [None, None], "n": 16, "of": "episodes", "win_rate": None, "lost": 0}
    runs = [
        {
            "seed": seed,
            "moves": 100,
            "interrupted": interrupted,
            "n_envs": 4,
            "workers": 0,
            "curve": [{"moves": 0, "mean": 0.0, **point}, {"moves": 50, "mean": 1.0, **point}],
            "final": None if interrupted else {"moves": 100, "mean": 2.0 + seed, **point},
        }
        for seed in seeds
    ]
    folder.mkdir(parents=True, exist_ok=True)
    dump(
        folder / "result.json",
        {
            "command": "vdtoolkit train",
            "versions": {"vdtoolkit": "0.1.0", "torch": "2.13.0"},
            "env": {"env": "pack.game_v0", "arguments": {}, "wrappers": []},
            "team": {"n_actions": [2, 2], "obs_dim": 3, "state_dim": 4, "reward": "mean"},
            "algorithm": algorithm,
            "config": {"lr": 0.001},
            "settings": {
                "moves": 100,
                "threads": 1,
                "updates_per_episode": 1.0,
                "eval_every": 50,
                "eval_episodes": 16,
                "final_episodes": 32,
                "device": "cpu",
            },
            "baseline": {"moves": 0, "mean": -1.0, **point},
            "runs": runs,
        },
    )
    return folder
