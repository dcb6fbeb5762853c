"""JaxMARL's recurrent QMIX on its own simple_spread, compiled: env steps a second.

The PyPI package has the environments; the learners are in the repository (baselines/QLearning), so
give a clone of it.  The rate leaves compilation out and tells it beside; of 26 steps a rollout
the last is thrown away, 25 are counted.  Its buffer wants 32 rollouts before it learns: these are
run and not counted, some 2 ms each.
"""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path

from told import asked, tell

if __name__ == "__main__":
    flags = asked(
        __doc__,
        clone={"required": True, "help": "a clone of JaxMARL"},
        once={"action": "store_true", "help": "compile, run, end: for the time of the process"},
    )
    sys.path.insert(0, str(Path(flags.clone) / "baselines" / "QLearning"))
    sys.modules.setdefault("wandb", types.ModuleType("wandb"))  # only its own logging needs it

import importlib.metadata

import jax
import qmix_rnn

T = 25


def config() -> dict:
    """W1; `NUM_EPOCHS` updates after a rollout of all envs."""
    return {
        "TOTAL_TIMESTEPS": (flags.moves // T + 32 * flags.envs * (not flags.once)) * (T + 1),
        "NUM_ENVS": flags.envs,
        "NUM_STEPS": T + 1,
        "BUFFER_SIZE": 5000,
        "BUFFER_BATCH_SIZE": 32,
        "HIDDEN_SIZE": 64,
        "MIXER_EMBEDDING_DIM": 32,
        "MIXER_HYPERNET_HIDDEN_DIM": 64,
        "MIXER_INIT_SCALE": 0.001,
        "EPS_START": 1.0,
        "EPS_FINISH": 0.05,
        "EPS_DECAY": 0.1,
        "MAX_GRAD_NORM": 10,
        "TARGET_UPDATE_INTERVAL": 200,
        "TAU": 1.0,
        "NUM_EPOCHS": max(1, round(flags.envs * flags.updates)),
        "LR": 5e-4,
        "LEARNING_STARTS": 0,
        "GAMMA": 0.99,
        "TEST_DURING_TRAINING": False,
        "TEST_NUM_ENVS": 1,
        "WANDB_MODE": "disabled",
        "ENV_NAME": "MPE_simple_spread_v3",
        "ENV_KWARGS": {"local_ratio": 0.0},
    }


def main() -> None:
    settings = config()
    env, _ = qmix_rnn.env_from_config(settings)
    begun = time.perf_counter()
    train = jax.jit(qmix_rnn.make_train(settings, env)).lower(jax.random.PRNGKey(0)).compile()
    compiled = time.perf_counter() - begun
    if flags.once:
        jax.block_until_ready(train(jax.random.PRNGKey(1)))
        tell("JaxMARL", importlib.metadata.version("jaxmarl"), flags, compile_seconds=compiled)
        return
    jax.block_until_ready(train(jax.random.PRNGKey(1)))
    begun = time.perf_counter()
    outs = jax.block_until_ready(train(jax.random.PRNGKey(2)))
    taken = time.perf_counter() - begun
    gradient_steps = int(outs["runner_state"][0].grad_steps)
    learning = gradient_steps // settings["NUM_EPOCHS"]  # rollouts after which it learned
    tell(
        "JaxMARL",
        importlib.metadata.version("jaxmarl"),
        flags,
        steps_per_second=learning * flags.envs * T / taken,
        compile_seconds=compiled,
        gradient_steps=gradient_steps,
    )


if __name__ == "__main__":
    main()
