"""EPyMARL's or PyMARL2's recurrent QMIX on mpe2's simple_spread, from a clone of either.

--update W3 times one update of 32 episodes of noise at those sizes, not the whole of training.

Their own runners, controllers, buffers and learners in the order of their `run_sequential`;
environment, logger and configuration are handed in from here, so neither Sacred nor StarCraft is
needed.  One env is their episode runner, several their parallel runner (a process each).
"""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path
from typing import Any, ClassVar

from told import Clock, asked, tell

if __name__ == "__main__":
    flags = asked(
        __doc__,
        clone={"required": True, "help": "a clone of EPyMARL or PyMARL2"},
        update={"choices": ("W1", "W3"), "help": "one update alone, at these sizes"},
        algorithm={"choices": ("qmix", "qatten"), "default": "qmix"},
    )

import numpy as np
import torch
import yaml

SIZES = {  # as benchmarks/works.py has them: moves, agents, observation, state, actions
    None: (25, 3, 18, 54, 5),
    "W1": (25, 3, 18, 54, 5),
    "W3": (60, 10, 120, 250, 16),
}
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
    """Their defaults and the algorithm's, with our sizes."""
    moves, n_agents, obs, state, n_actions = SIZES[flags.update]
    folder = clone / "src" / "config"
    told = yaml.safe_load((folder / "default.yaml").read_text())
    told |= yaml.safe_load((folder / "algs" / f"{flags.algorithm}.yaml").read_text())
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
        "n_agents": n_agents,
        "n_actions": n_actions,
        "state_shape": state,
        "obs_shape": obs,
        "agent_own_state_size": state // n_agents,  # Qatten's
        "episode_limit": moves,
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
    moves, n_agents, obs, state, n_actions = SIZES[flags.update]
    scheme = {
        "state": {"vshape": state},
        "obs": {"vshape": obs, "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
        "avail_actions": {"vshape": (n_actions,), "group": "agents", "dtype": torch.int},
        "reward": {"vshape": (1,)},
        "terminated": {"vshape": (1,), "dtype": torch.uint8},
    }
    if not five:
        scheme["probs"] = {"vshape": (n_actions,), "group": "agents", "dtype": torch.float}
    groups = {"agents": n_agents}
    preprocess = {"actions": ("actions_onehot", [OneHot(out_dim=n_actions)])}
    capacity = 32 if flags.update else args.buffer_size
    buffer = ReplayBuffer(scheme, groups, capacity, moves + 1, preprocess=preprocess, device="cpu")
    mac = CONTROLLERS[args.mac](buffer.scheme, groups, args)
    learner = LEARNERS[args.learner](mac, buffer.scheme, logger, args)
    who = "EPyMARL" if five else "PyMARL2"
    if flags.update:
        fill_with_noise(buffer, n_actions)
        tell(who, "clone", flags, updates_per_second=1 / seconds_an_update(learner, buffer))
        return
    runner = RUNNERS[args.runner](args=args, logger=logger)
    runner.setup(scheme=scheme, groups=groups, preprocess=preprocess, mac=mac)
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
    tell(who, "clone", flags, steps_per_second=clock.rate)


def fill_with_noise(buffer: Any, n_actions: int) -> None:
    """32 whole episodes in which nothing depends on anything."""
    held = buffer.data.transition_data
    for name in ("obs", "state", "reward"):
        held[name].normal_()
    held["avail_actions"].fill_(1)
    held["actions"].random_(n_actions)
    held["actions_onehot"].scatter_(-1, held["actions"], 1.0)
    held["filled"].fill_(1)
    buffer.episodes_in_buffer = buffer.batch_size


def seconds_an_update(learner: Any, buffer: Any) -> float:
    """The median of some; the batch is always the same."""
    batch, taken = buffer.sample(32), []
    for episode in range(25):
        begun = time.perf_counter()
        learner.train(batch, 0, episode)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken[5:]))


if __name__ == "__main__":
    main()
