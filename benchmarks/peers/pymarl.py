"""EPyMARL's or PyMARL2's recurrent QMIX on mpe2's simple_spread, from a clone of either.

Their own runners, controllers, buffers and learners in the order of their `run_sequential`;
environment, logger and configuration are handed in from here, so neither Sacred nor StarCraft is
needed.  One env is their episode runner, several their parallel runner (a process each).
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, ClassVar

from told import Clock, asked, tell

if __name__ == "__main__":
    flags = asked(__doc__, clone={"required": True, "help": "a clone of EPyMARL or PyMARL2"})

import numpy as np
import torch
import yaml

T = 25


class Spread:
    """mpe2's simple_spread with PyMARL's methods."""

    episode_limit = T

    def __init__(self, seed: int = 0, five: bool = True, **ignored: Any) -> None:
        from mpe2 import simple_spread_v3

        self.env = simple_spread_v3.parallel_env(local_ratio=0.0, max_cycles=T)
        self.five = five  # EPyMARL's step() gives five values, PyMARL2's three
        self.names = self.env.possible_agents

    def reset(self, *_: Any, **__: Any) -> Any:
        self._seen(self.env.reset()[0])
        return self.obs, {}

    def step(self, actions: Any) -> tuple:
        actions = dict(zip(self.names, (int(a) for a in actions), strict=True))
        observations, rewards, _, truncations, _ = self.env.step(actions)
        self._seen(observations)
        over, reward = any(truncations.values()), float(np.mean(list(rewards.values())))
        info = {"episode_limit": over}
        return (self.obs, reward, False, over, info) if self.five else (reward, over, info)

    def _seen(self, observations: dict) -> None:
        self.obs = [observations[a] for a in self.names]

    def get_obs(self) -> list:
        return self.obs

    def get_state(self) -> np.ndarray:
        return self.env.state()

    def get_avail_actions(self) -> list:
        return [[1] * 5 for _ in self.names]

    def get_env_info(self) -> dict:
        return {
            "state_shape": 54,
            "obs_shape": 18,
            "n_actions": 5,
            "n_agents": 3,
            "episode_limit": T,
        }

    def get_stats(self) -> dict:
        return {}

    def close(self) -> None:
        self.env.close()


class Logger:
    """Writes nothing."""

    stats: ClassVar[dict] = {}
    console_logger = types.SimpleNamespace(info=lambda *_: None)

    def log_stat(self, *_: Any) -> None:
        pass


def import_from(clone: Path, five: bool) -> None:
    """Their modules, with an `envs` that has our environment alone."""
    sys.path.insert(0, str(clone / "src"))
    envs, matrix = types.ModuleType("envs"), types.ModuleType("envs.matrix_game")
    envs.REGISTRY = {"spread": lambda **how: Spread(five=five, **how)}  # type: ignore[attr-defined]
    envs.register_smac = envs.register_smacv2 = lambda: None  # type: ignore[attr-defined]
    matrix.print_matrix_status = lambda *_: None  # type: ignore[attr-defined]
    sys.modules |= {"envs": envs, "envs.matrix_game": matrix}


def settings(clone: Path) -> types.SimpleNamespace:
    """Their defaults and QMIX's, with W1's sizes."""
    folder = clone / "src" / "config"
    told = yaml.safe_load((folder / "default.yaml").read_text())
    told |= yaml.safe_load((folder / "algs" / "qmix.yaml").read_text())
    told |= {
        "env": "spread",
        "env_args": {"seed": 0},
        "runner": "episode" if flags.envs == 1 else "parallel",
        "batch_size_run": flags.envs,
        "batch_size": 32,
        "buffer_size": 5000,
        "hidden_dim": 64,
        "rnn_hidden_dim": 64,
        "use_rnn": True,
        "obs_last_action": True,
        "obs_agent_id": True,
        "use_cuda": False,
        "device": "cpu",
        "standardise_rewards": False,
        "td_lambda": 0.0,
        "lr": 5e-4,
        "render": False,
        "n_agents": 3,
        "n_actions": 5,
        "state_shape": 54,
    }
    return types.SimpleNamespace(**told)


def main() -> None:
    torch.set_num_threads(flags.threads)
    clone = Path(flags.clone)
    five = (clone / "src" / "envs" / "gymma.py").exists()
    import_from(clone, five)
    from components.episode_buffer import ReplayBuffer
    from components.transforms import OneHot
    from controllers import REGISTRY as CONTROLLERS
    from learners import REGISTRY as LEARNERS
    from runners import REGISTRY as RUNNERS

    args, logger = settings(clone), Logger()
    runner = RUNNERS[args.runner](args=args, logger=logger)
    scheme = {
        "state": {"vshape": 54},
        "obs": {"vshape": 18, "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
        "avail_actions": {"vshape": (5,), "group": "agents", "dtype": torch.int},
        "reward": {"vshape": (1,)},
        "terminated": {"vshape": (1,), "dtype": torch.uint8},
    }
    if not five:
        scheme["probs"] = {"vshape": (5,), "group": "agents", "dtype": torch.float}
    groups, preprocess = {"agents": 3}, {"actions": ("actions_onehot", [OneHot(out_dim=5)])}
    buffer = ReplayBuffer(
        scheme, groups, args.buffer_size, T + 1, preprocess=preprocess, device="cpu"
    )
    mac = CONTROLLERS[args.mac](buffer.scheme, groups, args)
    runner.setup(scheme=scheme, groups=groups, preprocess=preprocess, mac=mac)
    learner = LEARNERS[args.learner](mac, buffer.scheme, logger, args)
    clock, due, episode = Clock(flags.warm), 0.0, 0
    while runner.t_env < flags.warm + flags.moves:
        buffer.insert_episode_batch(runner.run(test_mode=False))
        episode += flags.envs
        due += flags.envs * flags.updates
        while due >= 1:
            due -= 1
            if buffer.can_sample(args.batch_size):
                sample = buffer.sample(args.batch_size)
                learner.train(sample[:, : sample.max_t_filled()], runner.t_env, episode)
        clock(runner.t_env)
    runner.close_env()
    tell("EPyMARL" if five else "PyMARL2", "clone", flags, steps_per_second=clock.rate)


if __name__ == "__main__":
    main()
