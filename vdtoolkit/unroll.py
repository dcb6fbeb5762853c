"""The recurrent agent over a whole episode as one autograd node, for CPUs.

What PyTorch does for Linear-ReLU-GRU-Linear, written out so that all arrays of a moment stay in the
processor's cache and nothing is allocated on the way; the gradient is worked out by hand.  The
results are `nn.GRU`'s (tests compare value and gradient).  At a step

    e = relu(W_e x + b_e)
    r, z = sigmoid(W_i e + b_i + W_h h + b_h)      each with rows of its own
    n = tanh(W_in e + b_in + r * (W_hn h + b_hn))
    h' = (1 - z) n + z h
    q = W_q h' + b_q

(Cho et al. 2014, in `nn.GRU`'s form).  h, a one for the biases and e lie side by side (`seen`), so
that what r and z need is one matrix product.  `vdtoolkit.fast` does the same compiled, where the
extra is installed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vdtoolkit import fast

ONES = 16  # columns between h and e: the first is one and carries the biases, the others are zero
CHUNK = 1024  # rows of several moments in one matrix product, where no memory stands between
ROWS = 512  # rows that are run through the episode together: more would leave the cache

_tanh_backward = torch.ops.aten.tanh_backward.grad_input
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_relu_backward = torch.ops.aten.threshold_backward.grad_input


def unroll(
    x: Tensor, carry: Tensor, encode: nn.Linear, memory: nn.GRU, head: nn.Linear
) -> tuple[Tensor, Tensor]:
    """Utilities [T, R, A] and memories [T, R, H] of R rows over T moments.

    x: [T, R, I]; carry: [R, H], the memory before the first moment.
    """
    weights: Any = (
        encode.weight,
        encode.bias,
        memory.weight_ih_l0,
        memory.bias_ih_l0,
        memory.weight_hh_l0,
        memory.bias_hh_l0,
        head.weight,
        head.bias,
    )
    if fast.fits(x, carry, *weights):
        return fast.unroll(x, carry, *weights)
    if x.shape[1] <= ROWS:
        return _Unroll.apply(x, carry, *weights)
    parts = [
        _Unroll.apply(rows, h, *weights)
        for rows, h in zip(x.split(ROWS, 1), carry.split(ROWS), strict=True)
    ]
    qs, hidden = zip(*parts, strict=True)
    return torch.cat(qs, 1), torch.cat(hidden, 1)


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
        size = wh.shape[1]
        two, one = 2 * size, size + ONES
        learns = any(ctx.needs_input_grad)
        w_e = we.t().contiguous()
        w_rz = wi.new_zeros(one + size, two)
        w_rz[:size], w_rz[size], w_rz[one:] = wh[:two].t(), bi[:two] + bh[:two], wi[:two].t()
        w_in, w_hn = wi.new_zeros(2, one, size).unbind(0)
        w_in[0], w_in[ONES:] = bi[two:], wi[two:].t()
        w_hn[:size], w_hn[size] = wh[two:].t(), bh[two:]

        together = max(1, CHUNK // rows)  # moments whose inputs are one matrix product
        kept = (
            t if learns else min(together, t)
        )  # without a gradient every chunk overwrites the last
        seen = x.new_zeros(t + 1, rows, one + size)
        seen[..., size] = 1.0
        seen[0, :, :size] = carry
        rz = x.new_empty(kept, rows, two)
        n, hn = x.new_empty(2, kept, rows, size).unbind(0)
        x = x.contiguous()
        at_seen, at_h1 = seen.unbind(0), seen[..., :one].unbind(0)
        at_h = seen[..., :size].unbind(0)
        at_r, at_z = (gate.unbind(0) for gate in rz.split(size, -1))
        at = list(zip(rz.unbind(0), at_r, at_z, n.unbind(0), hn.unbind(0), strict=True))
        for start in range(0, t, together):
            now = slice(start, min(start + together, t))
            place = now if learns else slice(0, now.stop - start)
            s = seen[now].flatten(0, 1)
            torch.mm(x[now].flatten(0, 1), w_e, out=s[:, one:]).add_(be).relu_()
            torch.mm(s[:, size:], w_in, out=n[place].flatten(0, 1))
            for k, (rz_t, r_t, z_t, n_t, hn_t) in enumerate(at[place], start):
                torch.mm(at_seen[k], w_rz, out=rz_t).sigmoid_()
                torch.mm(at_h1[k], w_hn, out=hn_t)
                n_t.addcmul_(r_t, hn_t).tanh_()
                torch.lerp(n_t, at_h[k], z_t, out=at_h[k + 1])
        hidden = seen[1:, :, :size]
        q = torch.addmm(bq, hidden.flatten(0, 1), wq.t())
        if learns:
            ctx.save_for_backward(x, seen, rz, n, hn, we, wi, wh, wq)
            ctx.set_materialize_grads(False)
        return q.view(t, rows, -1), hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dq: Tensor | None, d_hidden: Tensor | None) -> tuple[Any, ...]:
        """The chain rule, moment by moment from the last; d_... is the loss's slope in ..."""
        x, seen, rz, n, hn, we, wi, wh, wq = ctx.saved_tensors
        t, rows, _ = x.shape
        size = wh.shape[1]
        two, one = 2 * size, size + ONES
        d_wq = d_bq = None
        d_out = x.new_zeros(t, rows, size) if d_hidden is None else d_hidden.clone()
        if dq is not None:
            flat = dq.reshape(t * rows, -1)
            d_wq, d_bq = flat.t() @ seen[1:, :, :size].flatten(0, 1), flat.sum(0)
            d_out += (flat @ wq).view(t, rows, size)

        wi_rz, wi_n = wi.split((two, size))
        wh_rz, wh_n = wh.split((two, size))
        d_we, d_be = torch.zeros_like(we), x.new_zeros(size)
        d_rz = x.new_zeros(two, one + size)  # of weights, laid out as `seen`
        d_in, d_hn = x.new_zeros(2, size, one).unbind(0)
        d_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        d_h = x.new_zeros(rows, size)
        work = x.new_empty(rows, size)
        together = max(1, CHUNK // rows)
        # what enters the gates before their squashing, of the moments of one chunk
        g_rz = x.new_empty(together, rows, two)
        g_n, g_hn = x.new_empty(2, together, rows, size).unbind(0)
        gates = (g_rz, *g_rz.split(size, -1), g_n, g_hn)
        at_g = list(zip(*(g.unbind(0) for g in gates), strict=True))
        kept = (rz, *rz.split(size, -1), n, hn, d_out, seen[:-1, :, :size])
        at = list(zip(*(a.unbind(0) for a in kept), strict=True))
        for start in reversed(range(0, t, together)):
            now = slice(start, min(start + together, t))
            for (rz_t, r_t, z_t, n_t, hn_t, d_out_t, h_t), g in reversed(
                list(zip(at[now], at_g, strict=False))
            ):
                g_rz_t, g_r_t, g_z_t, g_n_t, g_hn_t = g
                d_h.add_(d_out_t)
                torch.addcmul(d_h, d_h, z_t, value=-1, out=work)  # d_n
                _tanh_backward(work, n_t, grad_input=g_n_t)
                torch.mul(g_n_t, r_t, out=g_hn_t)
                torch.mul(g_n_t, hn_t, out=g_r_t)  # d_r
                torch.sub(h_t, n_t, out=g_z_t).mul_(d_h)  # d_z
                _sigmoid_backward(g_rz_t, rz_t, grad_input=g_rz_t)
                d_h.mul_(z_t).addmm_(g_rz_t, wh_rz).addmm_(g_hn_t, wh_n)
            k = now.stop - start
            grz, gn, ghn = (g[:k].flatten(0, 1) for g in (g_rz, g_n, g_hn))
            s, x1 = seen[now].flatten(0, 1), x[now].flatten(0, 1)
            d_rz.addmm_(grz.t(), s)
            d_in.addmm_(gn.t(), s[:, size:])
            d_hn.addmm_(ghn.t(), s[:, :one])
            d_e = torch.mm(grz, wi_rz, out=ghn).addmm_(gn, wi_n)
            g_e = _relu_backward(d_e, s[:, one:], 0, grad_input=gn)
            d_we.addmm_(g_e.t(), x1)
            d_be.add_(g_e.sum(0))
            if d_x is not None:
                torch.mm(g_e, we, out=d_x[now].flatten(0, 1))
        d_wi = torch.cat([d_rz[:, one:], d_in[:, ONES:]])
        d_wh = torch.cat([d_rz[:, :size], d_hn[:, :size]])
        d_b = d_rz[:, size]
        d_bi, d_bh = torch.cat([d_b, d_in[:, 0]]), torch.cat([d_b, d_hn[:, size]])
        d_carry = d_h if ctx.needs_input_grad[1] else None
        return d_x, d_carry, d_we, d_be, d_wi, d_bi, d_wh, d_bh, d_wq, d_bq
