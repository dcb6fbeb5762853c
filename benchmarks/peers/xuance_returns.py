"""What XuanCe's QMIX or VDN reach in so many env steps: 100 greedy episodes.

--settings own: XuanCe's published configuration (simple_spread's; rware's for foraging, where it
has none), made for 10 million steps.
--settings equal: the network, batch, step size, exploration and updates that ours has by default.
XuanCe divides `decay_step_greedy` by the number of envs and then counts the steps of all of them,
so that exploration ends that many times sooner than it says: here it is multiplied beforehand.
"""

from __future__ import annotations

import contextlib
import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from told import asked

if __name__ == "__main__":
    flags = asked(
        __doc__,
        env={"default": "spread", "help": "spread, or an id of lbforaging"},
        algorithm={"choices": ("qmix", "vdn"), "default": "qmix"},
        settings={"choices": ("own", "equal"), "default": "own"},
        seed={"type": int, "default": 0},
        episodes={"type": int, "default": 100},
    )

import gymnasium
import numpy as np
import torch
import xuance
import yaml
from gymnasium.spaces import Box
from xuance.environment import REGISTRY_MULTI_AGENT_ENV, RawMultiAgentEnv, make_envs
from xuance_qmix import AGENTS, RECURRENT, config, provide_spread


class Foraging(RawMultiAgentEnv):
    """Level-based foraging; the state is the joint observation."""

    def __init__(self, config: Namespace) -> None:
        super().__init__()
        import lbforaging  # noqa: F401  it registers its environments

        self.env = gymnasium.make(config.env_id, disable_env_checker=True)
        self.num_agents = len(self.env.action_space)
        self.agents = [f"agent_{i}" for i in range(self.num_agents)]
        self.observation_space = dict(zip(self.agents, self.env.observation_space, strict=True))
        self.action_space = dict(zip(self.agents, self.env.action_space, strict=True))
        size = sum(space.shape[0] for space in self.observation_space.values())
        self.state_space = Box(-np.inf, np.inf, (size,), np.float32)
        self.max_episode_steps = 50
        self.env.reset(seed=config.env_seed)

    def reset(self) -> tuple[dict, dict]:
        self.seen = self._named(self.env.reset()[0])
        return self.seen, {}

    def step(self, actions: dict) -> tuple[dict, dict, dict, bool, dict]:
        moves = [int(actions[a]) for a in self.agents]
        observations, rewards, terminated, truncated, info = self.env.step(moves)
        self.seen = self._named(observations)
        ends = dict.fromkeys(self.agents, terminated)
        return self.seen, self._named(rewards), ends, truncated, info

    def state(self) -> np.ndarray:
        return np.concatenate([self.seen[a] for a in self.agents])

    def render(self, *_: Any) -> None:
        pass

    def close(self) -> None:
        self.env.close()

    def _named(self, values: Any) -> dict:
        return dict(zip(self.agents, values, strict=True))


def settings() -> Namespace:
    changes: dict[str, Any] = {"seed": flags.seed, "env_seed": 1000 * flags.seed}
    if flags.env != "spread":
        folder = Path(xuance.__file__).parent / "configs" / flags.algorithm / "robotic_warehouse"
        changes |= yaml.safe_load((folder / "rware-tiny-2ag-v1.yaml").read_text()) | changes
        changes |= {"env_name": "lbforaging", "env_id": flags.env}
        changes |= {"vectorize": "DummyVecMultiAgentEnv", "rnn": "GRU"}
    if flags.settings == "equal":
        epochs = max(1, round(flags.envs * flags.updates))
        changes |= RECURRENT | {"parallels": flags.envs, "n_epochs": epochs}
        changes |= {"N_recurrent_layers": 1, "dropout": 0}
        changes["decay_step_greedy"] = 50_000 * flags.envs
    return config(flags.algorithm, **changes)


def main() -> None:
    torch.set_num_threads(flags.threads)
    provide_spread(local_ratio=0.5)
    REGISTRY_MULTI_AGENT_ENV["lbforaging"] = Foraging
    told = settings()
    agents = AGENTS[flags.algorithm](told, make_envs(told))
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        agents.train(flags.moves // told.parallels)
        alone = Namespace(**vars(told) | {"parallels": 1, "env_seed": 1000 * flags.seed + 500})
        returns = agents.test(flags.episodes, make_envs(alone))
    print(json.dumps({"moves": agents.current_step, "returns": [float(r) for r in returns]}))


if __name__ == "__main__":
    main()
