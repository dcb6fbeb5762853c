"""The recurrent agent over a whole episode as one autograd node, for CPUs.

What PyTorch does for Linear-ReLU-GRU-Linear, written out so that all arrays of a moment stay in the
processor's cache and nothing is allocated on the way; the gradient is worked out by hand.  The
results are `nn.GRU`'s (tests compare value and gradient).  At a step

    e = relu(W_e x + b_e)
    r, z = sigmoid(W_i e + b_i + W_h h + b_h)      each with rows of its own
    n = tanh(W_in e + b_in + r * (W_hn h + b_hn))
    h' = (1 - z) n + z h
    q = W_q h' + b_q

(Cho et al. 2014, in `nn.GRU`'s form).  `vdtoolkit.fast` does the same compiled, where the extra is
installed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vdtoolkit import fast

ONES = 16  # columns beside e: the first is one and carries the biases, the others are zero
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


def _with_ones(weight: Tensor, bias: Tensor) -> Tensor:
    """[H + ONES, M]: a weight [M, H] turned, its bias in the row that meets the one."""
    out = weight.new_zeros(weight.shape[1] + ONES, weight.shape[0])
    out[: weight.shape[1]], out[weight.shape[1]] = weight.t(), bias
    return out


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
        learns = any(ctx.needs_input_grad)
        w_e = we.t().contiguous()
        both = torch.cat([(bi + bh)[: 2 * size], bi[2 * size :]])
        wi_r, wi_z, wi_n = map(_with_ones, wi.split(size), both.split(size))
        wh_r, wh_z, wh_n = (w.t().contiguous() for w in wh.split(size))
        bh_n = bh[2 * size :]

        together = max(1, CHUNK // rows)  # moments whose inputs are one matrix product
        kept = (
            t if learns else min(together, t)
        )  # without a gradient every chunk overwrites the last
        e = x.new_zeros(kept, rows, size + ONES)
        e[..., size] = 1.0
        r, z, n = x.new_empty(3, kept, rows, size).unbind(0)
        hn = x.new_empty(kept, rows, size)
        h = x.new_empty(t + 1, rows, size)
        h[0] = carry
        x = x.contiguous()
        at_h = h.unbind(0)
        at = list(zip(r.unbind(0), z.unbind(0), n.unbind(0), hn.unbind(0), strict=True))
        for start in range(0, t, together):
            now = slice(start, min(start + together, t))
            place = now if learns else slice(0, now.stop - start)
            e1 = e[place].flatten(0, 1)
            torch.mm(x[now].flatten(0, 1), w_e, out=e1[:, :size]).add_(be).relu_()
            for gate, weight in ((r, wi_r), (z, wi_z), (n, wi_n)):
                torch.mm(e1, weight, out=gate[place].flatten(0, 1))
            for k, (r_t, z_t, n_t, hn_t) in enumerate(at[place], start):
                h_t = at_h[k]
                r_t.addmm_(h_t, wh_r).sigmoid_()
                z_t.addmm_(h_t, wh_z).sigmoid_()
                torch.mm(h_t, wh_n, out=hn_t).add_(bh_n)
                n_t.addcmul_(r_t, hn_t).tanh_()
                torch.lerp(n_t, h_t, z_t, out=at_h[k + 1])
        hidden = h[1:]
        q = torch.addmm(bq, hidden.view(t * rows, size), wq.t().contiguous())
        if learns:
            ctx.save_for_backward(x, e, r, z, n, hn, h, we, wi, wh, wq)
            ctx.set_materialize_grads(False)
        return q.view(t, rows, -1), hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dq: Tensor | None, d_hidden: Tensor | None) -> tuple[Any, ...]:
        """The chain rule, moment by moment from the last; d_... is the loss's slope in ..."""
        x, e, r, z, n, hn, h, we, wi, wh, wq = ctx.saved_tensors
        t, rows, _ = x.shape
        size = wh.shape[1]
        out = h[1:].view(t * rows, size)
        d_wq = d_bq = None
        d_out = x.new_zeros(t, rows, size) if d_hidden is None else d_hidden.clone()
        if dq is not None:
            flat = dq.reshape(t * rows, -1)
            d_wq, d_bq = flat.t() @ out, flat.sum(0)
            d_out += (flat @ wq).view(t, rows, size)

        wi_r, wi_z, wi_n = wi.split(size)
        wh_r, wh_z, wh_n = wh.split(size)
        d_we, d_be, d_bhn = torch.zeros_like(we), x.new_zeros(size), x.new_zeros(size)
        d_ir, d_iz, d_in = x.new_zeros(3, size, size + ONES).unbind(0)
        d_hr, d_hz, d_hn = x.new_zeros(3, size, size).unbind(0)
        d_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        d_h = x.new_zeros(rows, size)
        work = x.new_empty(rows, size)
        together = max(1, CHUNK // rows)
        # what enters the gates before their squashing, of the moments of one chunk
        g_r, g_z, g_n, g_hn = x.new_empty(4, together, rows, size).unbind(0)
        at_g = list(zip(g_r.unbind(0), g_z.unbind(0), g_n.unbind(0), g_hn.unbind(0), strict=True))
        at = list(zip(*(a.unbind(0) for a in (r, z, n, hn, d_out)), h[:-1].unbind(0), strict=True))
        for start in reversed(range(0, t, together)):
            now = slice(start, min(start + together, t))
            for (r_t, z_t, n_t, hn_t, d_out_t, h_t), g in reversed(
                list(zip(at[now], at_g, strict=False))
            ):
                g_r_t, g_z_t, g_n_t, g_hn_t = g
                d_h.add_(d_out_t)
                torch.addcmul(d_h, d_h, z_t, value=-1, out=work)  # d_n
                _tanh_backward(work, n_t, grad_input=g_n_t)
                torch.mul(g_n_t, r_t, out=g_hn_t)
                torch.mul(g_n_t, hn_t, out=work)  # d_r
                _sigmoid_backward(work, r_t, grad_input=g_r_t)
                torch.sub(h_t, n_t, out=work).mul_(d_h)  # d_z
                _sigmoid_backward(work, z_t, grad_input=g_z_t)
                d_h.mul_(z_t).addmm_(g_r_t, wh_r).addmm_(g_z_t, wh_z).addmm_(g_hn_t, wh_n)
            k = now.stop - start
            gr, gz, gn, ghn = (g[:k].flatten(0, 1) for g in (g_r, g_z, g_n, g_hn))
            e1, h1, x1 = e[now].flatten(0, 1), h[now].flatten(0, 1), x[now].flatten(0, 1)
            d_ir.addmm_(gr.t(), e1)
            d_iz.addmm_(gz.t(), e1)
            d_in.addmm_(gn.t(), e1)
            d_hr.addmm_(gr.t(), h1)
            d_hz.addmm_(gz.t(), h1)
            d_hn.addmm_(ghn.t(), h1)
            d_bhn.add_(ghn.sum(0))
            d_e = torch.mm(gr, wi_r, out=ghn).addmm_(gz, wi_z).addmm_(gn, wi_n)
            g_e = _relu_backward(d_e, e1[:, :size], 0, grad_input=gr)
            d_we.addmm_(g_e.t(), x1)
            d_be.add_(g_e.sum(0))
            if d_x is not None:
                torch.mm(g_e, we, out=d_x[now].flatten(0, 1))
        d_i = torch.cat([d_ir, d_iz, d_in])
        d_bi = d_i[:, size]
        d_bh = torch.cat([d_bi[: 2 * size], d_bhn])
        d_carry = d_h if ctx.needs_input_grad[1] else None
        d_wh = torch.cat([d_hr, d_hz, d_hn])
        return d_x, d_carry, d_we, d_be, d_i[:, :size], d_bi, d_wh, d_bh, d_wq, d_bq
