"""Formulas in vectors: PyTorch's in double precision as witnesses."""

import numpy as np
import pytest
import torch

pytest.importorskip("numba", reason="needs the extra: pip install vdtoolkit[fast]")

from numba import njit

from vdtoolkit.fast import kernels
from vdtoolkit.fast.kernels import emitted
from vdtoolkit.fast.vectors import LANES, VECTOR, exp, load, sigmoid, store, tanh


def everywhere(f):
    """f applied to a whole array."""

    @emitted
    def one(b, x, y):
        store(f(load(b, x)), y)

    @njit
    def each(x, y, n):
        for i in range(0, n, VECTOR):
            one(x + i, y + i)

    def apply(x):
        y = np.empty_like(x)
        each(x.ctypes.data, y.ctypes.data, x.nbytes)
        return y

    return apply


@pytest.mark.parametrize(("f", "wanted"), [(sigmoid, torch.sigmoid), (tanh, torch.tanh)])
def test_squashing_agrees_to_a_millionth_of_every_value(f, wanted):
    x = torch.linspace(-40, 40, 10_000 * LANES)
    x = torch.cat([x, x / 1000, torch.zeros(LANES)])
    told = torch.from_numpy(everywhere(f)(x.numpy())).double()
    exact = wanted(x.double())
    assert ((told - exact).abs() <= 1e-6 * exact.abs()).all()


def test_exp_agrees_to_a_millionth_of_every_value():
    x = torch.linspace(-86, 86, 10_000 * LANES)
    told = torch.from_numpy(everywhere(exp)(x.numpy())).double()
    assert ((told / x.double().exp() - 1).abs() <= 1e-6).all()


def test_where_nothing_can_be_kept_every_process_compiles(monkeypatch):
    def unwritable(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(kernels, "njit", unwritable)
    assert kernels.compiled(lambda x: x + 1)(1) == 2


@pytest.mark.parametrize(("f", "wanted"), [(sigmoid, [0, 1]), (tanh, [-1, 1])])
def test_infinities_end_at_the_limits_and_no_number_stays_none(f, wanted):
    given = np.array([-np.inf, np.inf, np.nan, -1e30, 1e30] + [0.0] * (LANES * 2 - 5), np.float32)
    told = everywhere(f)(given)
    np.testing.assert_allclose(told[[0, 1, 3, 4]], wanted * 2, atol=1e-6)
    assert np.isnan(told[2])
    assert told[5] == (0.5 if f is sigmoid else 0.0)
