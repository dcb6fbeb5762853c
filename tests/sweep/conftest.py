"""Sweeps are forks of one process: torch is imported once."""

import os

import pytest
from sweeping import Forks


@pytest.fixture(scope="session")
def forks():
    """Commands as forks."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    made = Forks()
    yield made
    made.close()
