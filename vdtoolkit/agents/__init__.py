"""One file an algorithm; `ALGORITHMS` is the one place where a name becomes a class."""

from vdtoolkit.agents.actor import Actor
from vdtoolkit.agents.base import Agents
from vdtoolkit.agents.coma import COMAAgents
from vdtoolkit.agents.hysteretic_iql import HystereticIQLAgents
from vdtoolkit.agents.iql import IQLAgents
from vdtoolkit.agents.lenient_iql import LenientIQLAgents
from vdtoolkit.agents.qatten import QattenAgents
from vdtoolkit.agents.qmix import QMIXAgents
from vdtoolkit.agents.qtran import QTRANAltAgents, QTRANBaseAgents
from vdtoolkit.agents.value import ValueAgents
from vdtoolkit.agents.vdn import VDNAgents

ALGORITHMS: dict[str, type[Agents]] = {
    cls.name: cls
    for cls in (
        IQLAgents,
        HystereticIQLAgents,
        LenientIQLAgents,
        VDNAgents,
        QMIXAgents,
        QattenAgents,
        QTRANBaseAgents,
        QTRANAltAgents,
        COMAAgents,
    )
}

__all__ = [
    "ALGORITHMS",
    "Actor",
    "Agents",
    "COMAAgents",
    "HystereticIQLAgents",
    "IQLAgents",
    "LenientIQLAgents",
    "QMIXAgents",
    "QTRANAltAgents",
    "QTRANBaseAgents",
    "QattenAgents",
    "VDNAgents",
    "ValueAgents",
]
