"""Generators as plain data and back."""

from __future__ import annotations

from typing import Any

import numpy as np


def generator(told: Any) -> np.random.Generator:
    """A generator in the state `rng.bit_generator.state`; ValueError for anything else."""
    made = np.random.default_rng(0)
    try:
        made.bit_generator.state = told
    except (LookupError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"that is no state of a generator: {error}") from None
    return made
