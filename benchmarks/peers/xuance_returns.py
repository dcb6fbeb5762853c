"""What XuanCe's QMIX or VDN reach in so many env steps: 100 greedy episodes.

--settings own: XuanCe's published configuration (simple_spread's; rware's for foraging, where it
has none), made for 10 million steps.
--settings equal: the network, batch, discount, step size, exploration, target interval, updates and
envs of `tuned.py`, which ours has as well.
The line that it prints says what XuanCe's learner really used, in our words.
"""

from __future__ import annotations

import contextlib
import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import tuned
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
        theirs = yaml.safe_load((folder / "rware-tiny-2ag-v1.yaml").read_text())
        changes |= {k: v for k, v in theirs.items() if not k.endswith("_dir")} | changes
        changes |= {"env_name": "lbforaging", "env_id": flags.env}
        changes |= {"vectorize": "DummyVecMultiAgentEnv", "rnn": "GRU"}
    if flags.settings == "equal":
        ours = tuned.settings(flags.env, flags.algorithm)
        changes |= RECURRENT | {"N_recurrent_layers": 1, "dropout": 0}
        changes |= tuned.xuance(ours)
        if not ours.recurrent:
            changes["buffer_size"] = flags.moves  # there in moves: all of them, as good as ours
    return config(flags.algorithm, **changes)


def used(agents: Any) -> dict[str, Any]:
    """What the agents and their learner hold, in our words."""
    learner, (encoder, *_) = agents.learner, agents.policy.parameters()
    return {
        "gamma": learner.gamma,
        "lr": learner.scheduler.base_lrs[0],  # falls to a half over XuanCe's 10 million steps
        "hidden_dim": encoder.shape[0],
        "recurrent": agents.use_rnn,
        "target_interval": learner.sync_frequency,
        "epsilon_steps": round((agents.start_greedy - agents.end_greedy) / agents.delta_egreedy),
        "n_envs": agents.n_envs,
    } | mixer(agents)


def mixer(agents: Any) -> dict[str, int]:
    """The sizes of QMIX's mixer, as built."""
    if flags.algorithm != "qmix":
        return {}
    built = agents.policy.eval_Qtot
    return {"embed_dim": built.dim_hidden, "hyper_dim": built.dim_hypernet_hidden}


def main() -> None:
    torch.set_num_threads(flags.threads)
    provide_spread(local_ratio=0.5)
    REGISTRY_MULTI_AGENT_ENV["lbforaging"] = Foraging
    told = settings()
    agents = AGENTS[flags.algorithm](told, make_envs(told))
    ours = tuned.settings(flags.env, flags.algorithm)
    if flags.settings == "equal" and not ours.recurrent:
        agents.train_epochs = tuned.after_episodes(agents, ours.updates_per_episode)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        agents.train(flags.moves // told.parallels)
        alone = Namespace(**vars(told) | {"parallels": 1, "env_seed": 1000 * flags.seed + 500})
        returns = agents.test(flags.episodes, make_envs(alone))
    counts = {"updates": agents.learner.iterations, "episodes": int(agents.current_episode.sum())}
    counts |= {"moves": agents.current_step, "epsilon": agents.e_greedy}
    counts["parameters"] = sum(p.numel() for p in agents.policy.parameters_model)
    print(json.dumps({"used": used(agents), **counts, "returns": [float(r) for r in returns]}))


if __name__ == "__main__":
    main()
