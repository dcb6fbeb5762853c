"""The recurrent agent as one node: PyTorch's own modules and finite differences as witnesses."""

import pytest
import torch
from torch import nn

from vdtoolkit import unroll as module
from vdtoolkit.unroll import unroll

T, R, I, H, A = 4, 6, 5, 7, 3


def parts(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    nets = nn.Linear(I, H), nn.GRU(H, H), nn.Linear(H, A)
    x, carry = torch.randn(T, R, I), torch.randn(R, H)
    return x.to(dtype), carry.to(dtype), [net.to(dtype) for net in nets]


def by_modules(x, carry, encode, memory, head):
    hidden, _ = memory(torch.relu(encode(x)), carry.unsqueeze(0))
    return head(hidden), hidden


def gradients(f, x, carry, nets, pick):
    """The slopes of a random functional of what `pick` keeps of (qs, hidden)."""
    x, carry = x.clone().requires_grad_(), carry.clone().requires_grad_()
    leaves = [x, carry, *(p for net in nets for p in net.parameters())]
    torch.manual_seed(3)
    told = pick(f(x, carry, *nets))
    loss = sum((y * torch.randn(y.shape, dtype=torch.float64).to(y)).sum() for y in told)
    return torch.autograd.grad(loss, leaves, allow_unused=True)


def test_values_are_those_of_linear_relu_gru_linear():
    x, carry, nets = parts()
    for told, wanted in zip(unroll(x, carry, *nets), by_modules(x, carry, *nets), strict=True):
        torch.testing.assert_close(told, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "pick", [lambda y: y, lambda y: y[:1], lambda y: y[1:]], ids=["both", "qs", "hidden"]
)
def test_gradients_are_those_of_linear_relu_gru_linear(pick):
    x, carry, nets = parts()
    told, wanted = (gradients(f, x, carry, nets, pick) for f in (unroll, by_modules))
    for ours, theirs in zip(told, wanted, strict=True):
        if theirs is None:  # the head, where only memories count
            assert ours is None
        else:
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    x, carry, nets = parts()
    inputs = x.requires_grad_(), carry.requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: unroll(*given, *nets), inputs)


def test_in_single_precision_gradients_agree_to_a_millionth():
    x, carry, nets = parts(dtype=torch.float32)
    exact = [net.double() for net in parts(dtype=torch.float32)[2]]
    wanted = gradients(by_modules, x.double(), carry.double(), exact, lambda y: y)
    for ours, theirs in zip(gradients(unroll, x, carry, nets, lambda y: y), wanted, strict=True):
        assert (ours - theirs).abs().max() <= 2e-6 * theirs.abs().max()


def test_without_gradient_the_values_are_the_same():
    x, carry, nets = parts()
    wanted = unroll(x, carry, *nets)
    with torch.no_grad():
        told = unroll(x, carry, *nets)
    assert all(torch.equal(a, b) for a, b in zip(told, wanted, strict=True))
    assert not told[0].requires_grad


def test_many_rows_run_in_blocks_with_the_same_result(monkeypatch):
    x, carry, nets = parts()
    whole = [*unroll(x, carry, *nets), *gradients(unroll, x, carry, nets, lambda y: y)]
    monkeypatch.setattr(module, "ROWS", 4)  # blocks of 4 and of 2
    blocks = [*unroll(x, carry, *nets), *gradients(unroll, x, carry, nets, lambda y: y)]
    for told, wanted in zip(blocks, whole, strict=True):
        torch.testing.assert_close(told, wanted, rtol=1e-10, atol=1e-12)


def test_what_was_given_is_left_as_it_was():
    x, carry, nets = parts()
    before = x.clone(), carry.clone()
    qs, hidden = unroll(x, carry, *nets)
    kept = hidden.clone()
    (qs.sum() + hidden.sum()).backward()
    assert torch.equal(x, before[0])
    assert torch.equal(carry, before[1])
    assert torch.equal(hidden, kept)
