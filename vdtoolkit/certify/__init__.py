"""What can be proved of a method: `certify`, and every check by name.

The modules register their checks when they are imported; the order here is that of reports.
"""

from vdtoolkit.certify import mixing as _mixing  # noqa: F401, I001
from vdtoolkit.certify import histories as _histories  # noqa: F401
from vdtoolkit.certify import learning as _learning  # noqa: F401
from vdtoolkit.certify import losses as _losses  # noqa: F401
from vdtoolkit.certify import methods as _methods  # noqa: F401
from vdtoolkit.certify import forms as _forms  # noqa: F401
from vdtoolkit.certify import acting as _acting  # noqa: F401
from vdtoolkit.certify import anchors as _anchors  # noqa: F401
from vdtoolkit.certify import teams as _teams  # noqa: F401
from vdtoolkit.certify import gates as _gates  # noqa: F401
from vdtoolkit.certify.check import CHECKS, Check
from vdtoolkit.certify.report import Certificate, Entry
from vdtoolkit.certify.run import certify

__all__ = ["CHECKS", "Certificate", "Check", "Entry", "certify"]
