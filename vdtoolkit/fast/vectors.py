"""Vectors of floats in a function that Numba compiles: formulas in Python that emit LLVM's code.

LLVM vectorises loops by itself, but keeps no tile of a matrix in registers and knows no tanh of
vectors.  Here both are said outright.  A `V` is a vector, of the processor's width, in the function
being written; `a + b` emits their addition.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils
from numba.core.config import CPU_FEATURES  # type: ignore[attr-defined]


def _machine() -> tuple[int, int]:
    """Floats in a vector and how many vectors the processor holds, as Numba compiles for it."""
    known = CPU_FEATURES or llvm.get_host_cpu_features().flatten()
    on = {name[1:] for name in known.split(",") if name.startswith("+")}
    if "avx512f" in on:
        return 16, 32
    if "avx2" in on:
        return 8, 16
    return 4, 32 if llvm.get_process_triple().startswith(("aarch64", "arm64")) else 16


LANES, REGISTERS = _machine()
SIZE = 4  # bytes of a float
VECTOR = LANES * SIZE
INT, ADDRESS = ir.IntType(32), ir.IntType(64)
FLOATS, INTS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(INT, LANES)


class V:
    """A vector in the function that `builder` writes."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def of(self, number: float) -> V:
        """The number in all lanes."""
        return V(self.builder, ir.Constant(FLOATS, [number] * LANES))

    def _emit(self, instruction: Any, *others: V | float) -> V:
        values = [(o if isinstance(o, V) else self.of(o)).value for o in others]
        return V(self.builder, instruction(self.value, *values))

    def __add__(self, other: V | float) -> V:
        return self._emit(self.builder.fadd, other)

    def __sub__(self, other: V | float) -> V:
        return self._emit(self.builder.fsub, other)

    def __mul__(self, other: V | float) -> V:
        return self._emit(self.builder.fmul, other)

    def __truediv__(self, other: V | float) -> V:
        return self._emit(self.builder.fdiv, other)

    def times(self, factor: V | float, plus: V | float) -> V:
        """Itself times a factor plus a summand, in one instruction where there is one."""
        kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
        name = f"llvm.fmuladd.v{LANES}f32"
        f = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self._emit(lambda *three: self.builder.call(f, three), factor, plus)

    def where(self, sign: str, other: V | float, otherwise: V | float) -> V:
        """Itself where it is `sign` (say ">") the other or is no number, `otherwise` elsewhere."""
        b = self.builder
        return self._emit(
            lambda x, y, z: b.select(b.fcmp_unordered(sign, x, y), x, z), other, otherwise
        )

    def only(self, v: V) -> V:
        """Itself where v is positive, zero elsewhere."""
        b = self.builder
        return self._emit(lambda x, y, o: b.select(b.fcmp_ordered(">", y, o), x, o), v, 0.0)

    def clip(self, bound: float) -> V:
        """Itself within +-bound."""
        return self.where(">=", -bound, -bound).where("<=", bound, bound)


def exp(x: V) -> V:
    """e^x = 2^k e^r, |r| <= ln 2 / 2, e^r by a polynomial (Cephes' expf); to 1e-7 of itself."""
    x = x.clip(87.0)
    shifted = x.times(1.4426950408889634, 12582912.0)  # 1.5 * 2^23: the last bits are now k
    k = shifted - 12582912.0
    r = k.times(2.12194440e-4, k.times(-0.693359375, x))
    y = x.of(1.9875691500e-4)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5, 1.0, 1.0):
        y = y.times(r, c)
    b = x.builder
    bits = b.shl(b.bitcast(shifted.value, INTS), ir.Constant(INTS, [23] * LANES))
    power = b.add(bits, ir.Constant(INTS, [127 << 23] * LANES))
    return y * V(b, b.bitcast(power, FLOATS))


def sigmoid(x: V) -> V:
    """1 / (1 + e^-x)."""
    return x.of(1.0) / (exp(x * -1.0) + 1.0)


def tanh(x: V) -> V:
    """A quotient of polynomials (Eigen's), to a few units in the last place."""
    x = x.clip(7.90531110763549805)
    s = x * x
    over, under = s.of(-2.76076847742355e-16), s.of(1.19825839466702e-06)
    for c in (2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08):
        over = over.times(s, c)
    for c in (1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03):
        over = over.times(s, c)
    for c in (1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03):
        under = under.times(s, c)
    return x * over / under


def load(b: Any, address: Any) -> V:
    """The vector at an address."""
    return V(b, b.load(b.inttoptr(address, FLOATS.as_pointer()), align=SIZE))


def store(v: V, address: Any) -> None:
    """Write the vector to an address."""
    b = v.builder
    b.store(v.value, b.inttoptr(address, FLOATS.as_pointer()), align=SIZE)


def spread(b: Any, address: Any) -> V:
    """The one float at an address, in all lanes."""
    one = b.load(b.inttoptr(address, ir.FloatType().as_pointer()), align=SIZE)
    first = b.insert_element(ir.Constant(FLOATS, ir.Undefined), one, ir.Constant(INT, 0))
    return V(b, b.shuffle_vector(first, first, ir.Constant(INTS, [0] * LANES)))
