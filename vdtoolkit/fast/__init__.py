"""The recurrent agent compiled, where the extra is installed (`pip install vdtoolkit[fast]`).

`unroll` gives what `vdtoolkit.unroll.unroll` gives, sooner; `fits` says whether it can be used:
floats of 32 bits on a CPU, Numba at hand, and not turned off by VDTOOLKIT_FAST=0.  Numba is loaded
with the first episodes that fit, and the first time ever it compiles, which takes some seconds.
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def fits(*tensors: Tensor) -> bool:
    """Whether the compiled agent can be used for these inputs and weights."""
    return (
        os.environ.get("VDTOOLKIT_FAST") != "0"
        and all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
        and min(map(Tensor.numel, tensors)) > 0
        and compiled() is not None
    )


@cache
def compiled() -> Any:
    """The compiled functions; None where Numba is not installed."""
    if find_spec("numba") is None:
        return None
    try:
        from vdtoolkit.fast import kernels
    except ImportError as error:  # Numba knows newer NumPys only some months after they are out
        warnings.warn(f"Numba cannot be loaded ({error}); going on without it", stacklevel=2)
        return None
    return kernels


def unroll(x: Tensor, carry: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    """Utilities [T, R, A] and memories [T, R, H] of R rows over T moments.

    x: [T, R, I]; carry: [R, H]; weights and biases of the encoder, the GRU (input, then memory)
    and the head.
    """
    return _Unroll.apply(x, carry, *weights)


# -- sharing out ----------------------------------------------------------------------------


def _tasks(rows: int) -> tuple[int, int]:
    """How many tasks and how many rows each: whatever the number of threads, for equal results."""
    block, tile = compiled().BLOCK, compiled().TILE
    n = 1 if rows <= block else min(16, 2 * -(-rows // (2 * block)))
    size = -(-rows // (n * tile)) * tile
    return -(-rows // size), size


@cache
def _pool(_: int) -> ThreadPoolExecutor:
    """Threads of this process: after a fork those of the parent are not there."""
    return ThreadPoolExecutor(thread_name_prefix="vdtoolkit-fast")


def _run(kernel: Any, tasks: int, *args: int) -> None:
    """The kernel on all tasks, in as many threads as torch uses.

    Each takes the next task that nobody has begun, so that on a busy machine a thread that does not
    get its turn is not waited for.
    """
    left = list(range(tasks))

    def work() -> None:
        while left:
            with suppress(IndexError):  # another thread took the last
                task = left.pop()
                kernel(task, task + 1, *args)

    helpers = min(torch.get_num_threads(), tasks) - 1
    others = [_pool(os.getpid()).submit(work) for _ in range(helpers)]
    work()
    for other in others:
        if not other.cancel():
            other.result()


# -- the node -------------------------------------------------------------------------------


def _pad(x: Tensor, *more: int) -> Tensor:
    """Zeros appended to the last axes, so many to each; contiguous."""
    if not any(more):
        return x.contiguous()
    return F.pad(x, [k for n in reversed(more) for k in (0, n)])


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        carry: Tensor,
        we: Tensor,
        be: Tensor,
        wi: Tensor,
        bi: Tensor,
        wh: Tensor,
        bh: Tensor,
        wq: Tensor,
        bq: Tensor,
    ) -> tuple[Tensor, Tensor]:
        t, rows, _ = x.shape
        size, n_actions = wh.shape[1], len(wq)
        lanes = compiled().LANES
        more, more_q = -size % lanes, -n_actions % lanes
        width, q_width = size + more, n_actions + more_q
        x = x.contiguous()
        w_e, w_q = _pad(we.t(), 0, more), _pad(wq.t(), more, more_q)
        w_i, w_h = (_pad(w.view(3, size, size), 0, more, more) for w in (wi, wh))
        w = torch.stack([w_i, w_h]).view(2, 3, -1, lanes, width).permute(2, 0, 4, 1, 3).contiguous()
        b_i, b_h = _pad(bi.view(3, size), 0, more), _pad(bh.view(3, size), 0, more)
        b = torch.cat([b_i[:2] + b_h[:2], b_i[2:], b_h[2:]])
        b_e, b_q = _pad(be, more), _pad(bq, more_q)

        learns = any(ctx.needs_input_grad)
        kept = t if learns else 1  # without a gradient every moment overwrites the last
        e, gates = x.new_empty(kept, rows, width), x.new_empty(kept, rows, 4, width)
        h, q = x.new_empty(t + 1, rows, width), x.new_empty(t, rows, q_width)
        h[0] = _pad(carry, 0, more)
        arrays = (x, w_e, b_e, w, b, w_q, b_q, e, gates, h, q)
        tasks, each = _tasks(rows)
        sizes = each, t, rows, x.shape[2], width, q_width, learns
        _run(compiled().forward, tasks, *sizes, *map(Tensor.data_ptr, arrays))
        if learns:
            ctx.save_for_backward(x, e, gates, h, we, w_i, w_h, wq)
            ctx.set_materialize_grads(False)
        return q[..., :n_actions], h[1:, :, :size]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dq: Tensor | None, d_hidden: Tensor | None) -> tuple[Any, ...]:
        x, e, gates, h, we, w_i, w_h, wq = ctx.saved_tensors
        (t, rows, inputs), size, width = x.shape, wq.shape[1], h.shape[-1]
        lanes = compiled().LANES
        more, n_actions = width - size, 0 if dq is None else len(wq)
        dq = x.new_empty(0) if dq is None else dq.contiguous()
        d_hidden = None if d_hidden is None else _pad(d_hidden, more)
        w_q = _pad(wq, more)
        tasks, each = _tasks(rows)
        wants_x = ctx.needs_input_grad[0]
        d_h = x.new_empty(rows, width)
        d_e = x.new_empty(t if wants_x else 1, rows, width)
        parts = (inputs, n_actions, 3 * width, 3 * width, 1, 4)
        totals = x.new_empty(tasks, sum(parts), width)
        scratch = x.new_empty(tasks, compiled().BLOCK, 4, width)
        sizes = each, t, rows, inputs, width, n_actions, wants_x
        arrays = (x, w_i, w_h, w_q, e, gates, h, dq, d_hidden, d_h, d_e, totals, scratch)
        addresses = (0 if a is None else a.data_ptr() for a in arrays)
        _run(compiled().backward, tasks, *sizes, *addresses)
        compiled().gather(totals.data_ptr(), tasks, totals[0].numel() // lanes)

        d_we, d_wq, d_wi, d_wh, d_be, d_b = totals[0, :, :size].split(parts)
        d_wi, d_wh = (d.view(3, width, size)[:, :size].flatten(0, 1) for d in (d_wi, d_wh))
        d_bi, d_bh = d_b[:3].flatten(), d_b[[0, 1, 3]].flatten()
        d_x = (d_e[..., :size] @ we) if wants_x else None
        d_carry = d_h[:, :size] if ctx.needs_input_grad[1] else None
        of_head = (d_wq, dq.sum((0, 1))) if n_actions else (None, None)
        return d_x, d_carry, d_we.t(), d_be[0], d_wi, d_bi, d_wh, d_bh, *of_head
