"""One thread for torch: these nets are small, and a second thread costs more than it brings."""

import pytest
import torch

from vdtoolkit import ALGORITHMS

torch.set_num_threads(1)


@pytest.fixture
def algorithms_as_they_were():
    """A class of a user's own is added to `ALGORITHMS`: the other tests must not see it."""
    before = dict(ALGORITHMS)
    yield
    ALGORITHMS.clear()
    ALGORITHMS.update(before)
