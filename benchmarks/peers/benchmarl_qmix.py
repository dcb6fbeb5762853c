"""BenchMARL's QMIX with a GRU on simple_spread: env steps a second.

Its own PettingZoo tasks make environments by name, which fails since MPE has moved to mpe2: the
task is made from the environment itself.  It feeds neither last action nor agent id (less work
than ours); sizes are W1's.
"""

from __future__ import annotations

import copy
import tempfile
from typing import Any

from told import Clock, asked, tell

if __name__ == "__main__":
    flags = asked(__doc__)

import importlib.metadata

import torch
from benchmarl.algorithms import QmixConfig
from benchmarl.environments.common import Task
from benchmarl.environments.pettingzoo.common import PettingZooClass
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.models import GruConfig, MlpConfig, SequenceModelConfig
from mpe2 import simple_spread_v3
from torchrl.envs import PettingZooWrapper

T = 25


class SpreadClass(PettingZooClass):
    def get_env_fun(self, num_envs: int, continuous_actions: bool, seed: Any, device: Any) -> Any:
        settings = copy.deepcopy(self.config)
        return lambda: PettingZooWrapper(
            simple_spread_v3.parallel_env(**settings),
            categorical_actions=True,
            device=device,
            seed=seed,
            return_state=True,
        )

    def supports_continuous_actions(self) -> bool:
        return False

    def supports_discrete_actions(self) -> bool:
        return True

    def has_state(self) -> bool:
        return True

    def has_render(self, env: Any) -> bool:
        return False

    @staticmethod
    def env_name() -> str:
        return "mpe2"


class SpreadTask(Task):
    SPREAD = None

    @staticmethod
    def associated_class() -> type:
        return SpreadClass


class Tick(Callback):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def on_train_end(self, training_td: Any, group: str) -> None:
        self.clock(self.experiment.total_frames)


def w1_model() -> SequenceModelConfig:
    """Linear(64), GRU(64), Linear."""
    relu, linear = torch.nn.ReLU, torch.nn.Linear
    plain = {"activation_class": relu, "layer_class": linear}
    gru = {"mlp_num_cells": [], "mlp_activation_class": relu, "mlp_layer_class": linear}
    return SequenceModelConfig(
        model_configs=[
            MlpConfig(num_cells=[], **plain),
            GruConfig(hidden_size=64, n_layers=1, bias=True, dropout=0, compile=False, **gru),
        ],
        intermediate_sizes=[64],
    )


def main() -> None:
    torch.set_num_threads(flags.threads)
    settings = ExperimentConfig.get_from_yaml()
    settings.loggers, settings.create_json = [], False
    settings.evaluation, settings.render = False, False
    settings.save_folder = tempfile.mkdtemp(prefix="benchmarl")
    episodes = max(flags.envs, round(1 / flags.updates))
    settings.off_policy_n_envs_per_worker = flags.envs
    settings.off_policy_collected_frames_per_batch = episodes * T
    settings.off_policy_n_optimizer_steps = max(1, round(episodes * flags.updates))
    settings.off_policy_train_batch_size = 32 * T
    settings.off_policy_memory_size = 5000 * T
    settings.max_n_frames = flags.warm + flags.moves
    settings.lr, settings.soft_target_update = 5e-4, False
    settings.hard_target_update_frequency = 200
    settings.prefer_continuous_actions = False
    clock = Clock(flags.warm)
    Experiment(
        task=SpreadTask.SPREAD.get_task({"N": 3, "local_ratio": 0.0, "max_cycles": T}),
        algorithm_config=QmixConfig(mixing_embed_dim=32, delay_value=True, loss_function="l2"),
        model_config=w1_model(),
        seed=0,
        config=settings,
        callbacks=[Tick(clock)],
    ).run()
    version = importlib.metadata.version("benchmarl")
    tell("BenchMARL", version, flags, steps_per_second=clock.rate)


if __name__ == "__main__":
    main()
