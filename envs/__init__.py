"""PettingZoo environments for value decomposition, small ones whose truth is known.

    from vdtoolkit.envs import matrix_game_v0

    env = matrix_game_v0.parallel_env("nonmonotonic")

Each is a module with `parallel_env`, `env` and `raw_env`, as PettingZoo's own, and is registered
with PettingZoo where it has a registry (1.27 on): make("parallel", "vdtoolkit/matrix_game-v0").
`WRAPPERS` are for any PettingZoo `ParallelEnv`.
"""

from importlib import import_module
from types import ModuleType

ENVIRONMENTS = (
    "dec_tiger_v0",
    "gaussian_squeeze_v0",
    "hidden_payoff_v0",
    "lever_v0",
    "matrix_game_v0",
    "mmdp_v0",
    "predator_prey_v0",
    "skirmish_v0",
    "smac_v0",
    "smacv2_v0",
    "smax_v0",
    "switch_v0",
    "two_step_v0",
)
# what some need that the package does not bring
EXTRAS = {"smac_v0": "smac", "smacv2_v0": "smacv2", "smax_v0": "jaxmarl"}
WRAPPERS = ("ActionMaskToObservation", "BlackDeath", "Recorder")

__all__ = ["ENVIRONMENTS", "WRAPPERS", *ENVIRONMENTS, *WRAPPERS]


def _register() -> None:
    """Put every environment into PettingZoo's registry, once."""
    try:
        from pettingzoo import parallel_registry, register
    except ImportError:  # before 1.27 there is none
        return
    for module in ENVIRONMENTS:
        name = f"vdtoolkit/{'-v'.join(module.rsplit('_v', 1))}"
        if name not in parallel_registry:
            register("parallel", name, f"vdtoolkit.envs.{module}:parallel_env")
            register("aec", name, f"vdtoolkit.envs.{module}:env")


def __getattr__(name: str) -> ModuleType | type:
    """An environment's module or a wrapper, imported when it is first asked for."""
    if name in WRAPPERS:
        home = ".recorder" if name == "Recorder" else ".wrappers"
        return getattr(import_module(home, __name__), name)
    if name in ENVIRONMENTS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_register()
