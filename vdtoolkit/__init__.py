"""Value decomposition for PettingZoo: learn together, act alone, and see whether IGM holds."""

from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import TYPE_CHECKING

# In a source checkout the folder envs/ beside this package *is* vdtoolkit.envs (pyproject.toml).
_here = _Path(__file__).resolve().parent
if not (_here / "envs").is_dir() and (_here.parent / "envs" / "_vdtoolkit_envs.py").is_file():
    __path__.append(str(_here.parent))

from vdtoolkit._version import __version__  # noqa: E402

if TYPE_CHECKING:
    from vdtoolkit.adapters import TupleTeam
    from vdtoolkit.agents import (
        ALGORITHMS,
        Actor,
        Agents,
        COMAAgents,
        CWQMIXAgents,
        HystereticIQLAgents,
        IQLAgents,
        JointQAgents,
        LenientIQLAgents,
        NonMonotonicQMIXAgents,
        OWQMIXAgents,
        QattenAgents,
        QFIXAgents,
        QMIXAgents,
        QPLEXAgents,
        QTRANAltAgents,
        QTRANBaseAgents,
        ValueAgents,
        VDNAgents,
    )
    from vdtoolkit.agents.coma import COMAConfig, CounterfactualCritic
    from vdtoolkit.agents.hysteretic_iql import HystereticIQLConfig
    from vdtoolkit.agents.joint_q import JointQConfig, JointTable
    from vdtoolkit.agents.lenient_iql import LenientIQLConfig
    from vdtoolkit.agents.nonmonotonic_qmix import NonMonotonicQMIXConfig, UnconstrainedMixer
    from vdtoolkit.agents.qatten import QattenConfig, QattenMixer
    from vdtoolkit.agents.qfix import QFIXConfig, QFIXMixer
    from vdtoolkit.agents.qmix import MonotonicMixer, QMIXConfig, UniversalMixer
    from vdtoolkit.agents.qplex import QPLEXConfig, QPLEXMixer
    from vdtoolkit.agents.qtran import CounterfactualNet, JointNet, QTRANConfig
    from vdtoolkit.agents.vdn import SumMixer
    from vdtoolkit.agents.weighted_qmix import CentralQ, WeightedMixer, WeightedQMIXConfig
    from vdtoolkit.checkpoint import load
    from vdtoolkit.checks import check_env
    from vdtoolkit.config import Config
    from vdtoolkit.envs.recorder import Recorder
    from vdtoolkit.envs.wrappers import ActionMaskToObservation, BlackDeath
    from vdtoolkit.team import Team
    from vdtoolkit.team_env import TeamEnv
    from vdtoolkit.training import Evaluation, evaluate, train

# Where each name lives.  It is imported when first asked for (PEP 562): torch costs a second that
# worker processes, environments and `vdtoolkit --help` need not pay.
_HOMES = {
    "vdtoolkit.adapters": ("TupleTeam",),
    "vdtoolkit.agents": (
        "ALGORITHMS",
        "Actor",
        "Agents",
        "COMAAgents",
        "HystereticIQLAgents",
        "IQLAgents",
        "LenientIQLAgents",
        "CWQMIXAgents",
        "JointQAgents",
        "NonMonotonicQMIXAgents",
        "OWQMIXAgents",
        "QFIXAgents",
        "QMIXAgents",
        "QPLEXAgents",
        "QTRANAltAgents",
        "QTRANBaseAgents",
        "QattenAgents",
        "VDNAgents",
        "ValueAgents",
    ),
    "vdtoolkit.agents.coma": ("COMAConfig", "CounterfactualCritic"),
    "vdtoolkit.agents.hysteretic_iql": ("HystereticIQLConfig",),
    "vdtoolkit.agents.lenient_iql": ("LenientIQLConfig",),
    "vdtoolkit.agents.joint_q": ("JointQConfig", "JointTable"),
    "vdtoolkit.agents.nonmonotonic_qmix": ("NonMonotonicQMIXConfig", "UnconstrainedMixer"),
    "vdtoolkit.agents.qatten": ("QattenConfig", "QattenMixer"),
    "vdtoolkit.agents.qfix": ("QFIXConfig", "QFIXMixer"),
    "vdtoolkit.agents.qmix": ("MonotonicMixer", "QMIXConfig", "UniversalMixer"),
    "vdtoolkit.agents.qplex": ("QPLEXConfig", "QPLEXMixer"),
    "vdtoolkit.agents.qtran": ("CounterfactualNet", "JointNet", "QTRANConfig"),
    "vdtoolkit.agents.vdn": ("SumMixer",),
    "vdtoolkit.agents.weighted_qmix": ("CentralQ", "WeightedMixer", "WeightedQMIXConfig"),
    "vdtoolkit.checkpoint": ("load",),
    "vdtoolkit.checks": ("check_env",),
    "vdtoolkit.config": ("Config",),
    "vdtoolkit.envs.recorder": ("Recorder",),
    "vdtoolkit.envs.wrappers": ("ActionMaskToObservation", "BlackDeath"),
    "vdtoolkit.team": ("Team",),
    "vdtoolkit.team_env": ("TeamEnv",),
    "vdtoolkit.training": ("Evaluation", "evaluate", "train"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def _lazily(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(_HOME[name]), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # type checkers know the names above and refuse all others
    __getattr__ = _lazily


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "ALGORITHMS",
    "ActionMaskToObservation",
    "Actor",
    "Agents",
    "BlackDeath",
    "COMAAgents",
    "COMAConfig",
    "CWQMIXAgents",
    "CentralQ",
    "Config",
    "CounterfactualCritic",
    "CounterfactualNet",
    "Evaluation",
    "HystereticIQLAgents",
    "HystereticIQLConfig",
    "IQLAgents",
    "JointNet",
    "JointQAgents",
    "JointQConfig",
    "JointTable",
    "LenientIQLAgents",
    "LenientIQLConfig",
    "MonotonicMixer",
    "NonMonotonicQMIXAgents",
    "NonMonotonicQMIXConfig",
    "OWQMIXAgents",
    "QFIXAgents",
    "QFIXConfig",
    "QFIXMixer",
    "QMIXAgents",
    "QMIXConfig",
    "QPLEXAgents",
    "QPLEXConfig",
    "QPLEXMixer",
    "QTRANAltAgents",
    "QTRANBaseAgents",
    "QTRANConfig",
    "QattenAgents",
    "QattenConfig",
    "QattenMixer",
    "Recorder",
    "SumMixer",
    "Team",
    "TeamEnv",
    "TupleTeam",
    "UnconstrainedMixer",
    "UniversalMixer",
    "VDNAgents",
    "ValueAgents",
    "WeightedMixer",
    "WeightedQMIXConfig",
    "__version__",
    "check_env",
    "evaluate",
    "load",
    "train",
]
