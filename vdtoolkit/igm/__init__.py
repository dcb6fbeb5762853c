"""The IGM lab: what a team believes about its joint actions, against what is true."""

from vdtoolkit.igm.audit import audit
from vdtoolkit.igm.limits import limits
from vdtoolkit.igm.results import Audit, LabResult, Limit, StateAudit

__all__ = ["Audit", "LabResult", "Limit", "StateAudit", "audit", "limits"]
