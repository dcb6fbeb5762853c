"""Trained teams side by side: rliable's statistics, and whether the runs may be compared at all."""

from vdtoolkit.compare.comparison import Comparison, NotComparableError, Options, compare
from vdtoolkit.compare.records import Record, read_runs

__all__ = ["Comparison", "NotComparableError", "Options", "Record", "compare", "read_runs"]
