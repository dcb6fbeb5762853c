"""What is wrong with a PettingZoo environment: `check_env`, and every check by name.

The modules register their checks when they are imported; the order here is that of reports.
"""

from vdtoolkit.checks import agents as _agents  # noqa: F401, I001
from vdtoolkit.checks import dicts as _dicts  # noqa: F401
from vdtoolkit.checks import observations as _observations  # noqa: F401
from vdtoolkit.checks import masks as _masks  # noqa: F401
from vdtoolkit.checks import state as _state  # noqa: F401
from vdtoolkit.checks import ending as _ending  # noqa: F401
from vdtoolkit.checks import seeding as _seeding  # noqa: F401
from vdtoolkit.checks import instances as _instances  # noqa: F401
from vdtoolkit.checks import rendering as _rendering  # noqa: F401
from vdtoolkit.checks import official as _official  # noqa: F401
from vdtoolkit.checks.check import CHECKS, Check
from vdtoolkit.checks.report import Finding, Report
from vdtoolkit.checks.run import check_env

__all__ = ["CHECKS", "Check", "Finding", "Report", "check_env"]
