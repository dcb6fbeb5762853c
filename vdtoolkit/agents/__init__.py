"""One file an algorithm; `ALGORITHMS` is the one place where a name becomes a class."""

from vdtoolkit.agents.actor import Actor
from vdtoolkit.agents.base import Agents
from vdtoolkit.agents.coma import COMAAgents
from vdtoolkit.agents.hysteretic_iql import HystereticIQLAgents
from vdtoolkit.agents.iql import IQLAgents
from vdtoolkit.agents.joint_q import JointQAgents
from vdtoolkit.agents.lenient_iql import LenientIQLAgents
from vdtoolkit.agents.nonmonotonic_qmix import NonMonotonicQMIXAgents
from vdtoolkit.agents.qatten import QattenAgents
from vdtoolkit.agents.qfix import QFIXAgents
from vdtoolkit.agents.qmix import QMIXAgents
from vdtoolkit.agents.qplex import QPLEXAgents
from vdtoolkit.agents.qtran import QTRANAltAgents, QTRANBaseAgents
from vdtoolkit.agents.value import ValueAgents
from vdtoolkit.agents.vdn import VDNAgents
from vdtoolkit.agents.weighted_qmix import CWQMIXAgents, OWQMIXAgents

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
        QPLEXAgents,
        QFIXAgents,
        CWQMIXAgents,
        OWQMIXAgents,
        NonMonotonicQMIXAgents,
        JointQAgents,
        COMAAgents,
    )
}

__all__ = [
    "ALGORITHMS",
    "Actor",
    "Agents",
    "COMAAgents",
    "CWQMIXAgents",
    "HystereticIQLAgents",
    "IQLAgents",
    "JointQAgents",
    "LenientIQLAgents",
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
]
