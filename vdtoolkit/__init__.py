"""Value decomposition for PettingZoo: learn together, act alone, and see whether IGM holds."""

from pathlib import Path as _Path

# In a source checkout the folder envs/ beside this package *is* vdtoolkit.envs (pyproject.toml).
_here = _Path(__file__).resolve().parent
if not (_here / "envs").is_dir() and (_here.parent / "envs" / "_vdtoolkit_envs.py").is_file():
    __path__.append(str(_here.parent))

from vdtoolkit._version import __version__  # noqa: E402
from vdtoolkit.agents import (  # noqa: E402
    ALGORITHMS,
    Actor,
    Agents,
    IQLAgents,
    QattenAgents,
    QMIXAgents,
    QTRANAltAgents,
    QTRANBaseAgents,
    ValueAgents,
    VDNAgents,
)
from vdtoolkit.agents.qatten import QattenConfig, QattenMixer  # noqa: E402
from vdtoolkit.agents.qmix import MonotonicMixer, QMIXConfig  # noqa: E402
from vdtoolkit.agents.qtran import CounterfactualNet, JointNet, QTRANConfig  # noqa: E402
from vdtoolkit.agents.vdn import SumMixer  # noqa: E402
from vdtoolkit.checkpoint import load  # noqa: E402
from vdtoolkit.config import Config  # noqa: E402
from vdtoolkit.team import Team  # noqa: E402
from vdtoolkit.training import Evaluation, evaluate, train  # noqa: E402

__all__ = [
    "ALGORITHMS",
    "Actor",
    "Agents",
    "Config",
    "CounterfactualNet",
    "Evaluation",
    "IQLAgents",
    "JointNet",
    "MonotonicMixer",
    "QMIXAgents",
    "QMIXConfig",
    "QTRANAltAgents",
    "QTRANBaseAgents",
    "QTRANConfig",
    "QattenAgents",
    "QattenConfig",
    "QattenMixer",
    "SumMixer",
    "Team",
    "VDNAgents",
    "ValueAgents",
    "__version__",
    "evaluate",
    "load",
    "train",
]
