"""The compiled recurrent agent is the uncompiled one: values, gradients, threads, and ways back."""

import multiprocessing
import subprocess
import sys

import pytest
import torch
from torch import nn

from vdtoolkit import fast
from vdtoolkit.unroll import unroll

needs_numba = pytest.mark.skipif(
    fast.compiled() is None, reason="needs the extra: pip install vdtoolkit[fast]"
)
# T, R, I, H, A: blocks of rows and tiles of columns that come out even, and that do not
SIZES = [
    (1, 1, 1, 1, 1),
    (2, 5, 3, 7, 2),
    (3, 49, 4, 33, 17),
    (4, 101, 5, 64, 6),
    (2, 8, 130, 128, 3),
    (3, 1600, 2, 16, 5),
]
BOTH = [lambda y: y, lambda y: y[:1], lambda y: y[1:]]  # (qs, hidden), qs, hidden


def parts(T, R, I, H, A):
    torch.manual_seed(0)
    return torch.randn(T, R, I), torch.randn(R, H), (nn.Linear(I, H), nn.GRU(H, H), nn.Linear(H, A))


@pytest.fixture
def turn(monkeypatch):
    """Turns the compiled agent on or off; `turn.runs` counts the kernels' runs."""

    def turn(on):
        monkeypatch.setenv("VDTOOLKIT_FAST", str(int(on)))

    def run(*args):
        turn.runs += 1
        original(*args)

    original, turn.runs = fast._run, 0
    monkeypatch.setattr(fast, "_run", run)
    return turn


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def gradients(x, carry, nets, pick):
    """The slopes of a random functional of what `pick` keeps of (qs, hidden)."""
    x, carry = x.detach().requires_grad_(), carry.detach().requires_grad_()
    leaves = [x, carry, *(p for net in nets for p in net.parameters())]
    torch.manual_seed(3)
    loss = sum((y * torch.randn(y.shape)).sum() for y in pick(unroll(x, carry, *nets)))
    return torch.autograd.grad(loss, leaves, allow_unused=True)


def assert_close(told, wanted):
    """Equal to two millionths of the largest; rounding adds up over the rows of a sum."""
    for ours, theirs in zip(told, wanted, strict=True):
        if theirs is None:
            assert ours is None
        else:
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() <= 2e-6 * theirs.abs().max()


@needs_numba
@pytest.mark.parametrize("sizes", SIZES)
def test_values_are_those_of_the_uncompiled_agent(sizes, turn):
    x, carry, nets = parts(*sizes)
    turn(False)
    wanted = unroll(x, carry, *nets)
    assert turn.runs == 0
    turn(True)
    told = unroll(x, carry, *nets)
    assert turn.runs == 1
    assert_close(told, wanted)


@needs_numba
@pytest.mark.parametrize("pick", BOTH, ids=["both", "qs", "hidden"])
@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_are_those_of_the_uncompiled_agent(sizes, pick, turn):
    given = parts(*sizes)
    turn(False)
    wanted = gradients(*given, pick)
    turn(True)
    told = gradients(*given, pick)
    assert turn.runs == 2
    assert_close(told, wanted)


@needs_numba
def test_gradients_of_weights_alone_are_the_same(turn):
    x, carry, nets = parts(*SIZES[3])
    turn(True)
    weights = [p for net in nets for p in net.parameters()]
    told = torch.autograd.grad(unroll(x, carry, *nets)[0].square().sum(), weights)
    x.requires_grad_()
    wanted = torch.autograd.grad(unroll(x, carry, *nets)[0].square().sum(), weights)
    assert all(map(torch.equal, told, wanted))


@needs_numba
def test_without_gradient_the_values_are_the_same(turn):
    x, carry, nets = parts(*SIZES[3])
    turn(True)
    wanted = unroll(x, carry, *nets)
    with torch.no_grad():
        told = unroll(x, carry, *nets)
    assert all(map(torch.equal, told, wanted))


@needs_numba
def test_a_second_pass_over_a_kept_graph_gives_the_same(turn):
    x, carry, nets = parts(*SIZES[2])
    turn(True)
    loss = unroll(x, carry, *nets)[0].square().sum()
    first = torch.autograd.grad(loss, list(nets[1].parameters()), retain_graph=True)
    assert all(map(torch.equal, first, torch.autograd.grad(loss, list(nets[1].parameters()))))


@needs_numba
def test_inputs_need_not_be_contiguous(turn):
    T, R, I, H, A = SIZES[2]
    x, carry, nets = parts(*SIZES[2])
    turn(True)
    wanted = unroll(x, carry, *nets)
    scattered = torch.empty(R, I, T).permute(2, 0, 1).copy_(x)
    turned = torch.empty(H, R).t().copy_(carry)
    assert not scattered.is_contiguous() and not turned.is_contiguous()
    assert all(map(torch.equal, unroll(scattered, turned, *nets), wanted))
    slopes = torch.empty(A, R, T).permute(2, 1, 0).fill_(0.5)
    qs, _ = unroll(x, carry, *nets)
    told = torch.autograd.grad(qs, nets[0].weight, slopes)
    qs, _ = unroll(x, carry, *nets)
    assert_close(told, torch.autograd.grad(qs, nets[0].weight, slopes.contiguous()))


@needs_numba
@pytest.mark.parametrize("sizes", [SIZES[3], SIZES[5]])
def test_any_number_of_threads_gives_the_same_to_the_bit(sizes, turn, threads):
    x, carry, nets = parts(*sizes)
    turn(True)
    threads(1)
    alone = [*unroll(x, carry, *nets), *gradients(x, carry, nets, BOTH[0])]
    threads(3)
    together = [*unroll(x, carry, *nets), *gradients(x, carry, nets, BOTH[0])]
    for told, wanted in zip(together, alone, strict=True):
        if told.shape[-1] == sizes[2] and told.dim() == 3:  # d_x is torch's own product
            torch.testing.assert_close(told, wanted)
        else:
            assert torch.equal(told, wanted)


@needs_numba
def test_what_was_given_is_left_as_it_was(turn):
    x, carry, nets = parts(*SIZES[3])
    turn(True)
    before = x.clone(), carry.clone()
    qs, hidden = unroll(x, carry, *nets)
    kept = hidden.clone()
    (qs.sum() + hidden.sum()).backward()
    assert torch.equal(x, before[0])
    assert torch.equal(carry, before[1])
    assert torch.equal(hidden, kept)


@needs_numba
def test_what_is_no_number_stays_none_in_its_row_alone(turn):
    x, carry, nets = parts(*SIZES[3])
    turn(True)
    x[1, 7] = torch.nan
    qs, _ = unroll(x, carry, *nets)
    assert qs[1:, 7].isnan().all()
    assert not qs[0].isnan().any()
    assert not qs[:, torch.arange(len(carry)) != 7].isnan().any()


@needs_numba
def test_double_precision_goes_the_uncompiled_way(turn):
    x, carry, nets = parts(*SIZES[1])
    turn(True)
    qs, _ = unroll(x.double(), carry.double(), *(net.double() for net in nets))
    assert qs.dtype == torch.float64
    assert turn.runs == 0


def in_a_child():
    x, carry, nets = parts(*SIZES[3])
    torch.set_num_threads(1)  # torch's own threads do not outlive a fork either
    tasks = fast._tasks(len(carry))[0]
    fast.torch.get_num_threads = lambda: tasks
    assert unroll(x, carry, *nets)[0].isfinite().all()


@needs_numba
@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_threads_start_again_after_a_fork(turn, threads):
    x, carry, nets = parts(*SIZES[3])
    turn(True)
    threads(2)
    unroll(x, carry, *nets)
    child = multiprocessing.get_context("fork").Process(target=in_a_child)
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_without_numba_the_uncompiled_agent_runs():
    code = """
import sys
sys.modules["numba"] = None  # as if it were not installed
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "numba" else found(name, *a)
import torch
from torch import nn
from vdtoolkit.unroll import unroll
nets = nn.Linear(4, 5), nn.GRU(5, 5), nn.Linear(5, 2)
qs, _ = unroll(torch.ones(2, 3, 4), torch.ones(3, 5), *nets)
assert qs.shape == (2, 3, 2)
"""
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


def test_importing_loads_no_compiler():
    code = "import vdtoolkit.networks, sys; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_numba_that_does_not_load_is_told_once(monkeypatch):
    fast.compiled.cache_clear()
    monkeypatch.setattr(fast, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "vdtoolkit.fast.kernels", None)
    monkeypatch.delattr(fast, "kernels", raising=False)
    try:
        with pytest.warns(UserWarning, match=r"Numba cannot be loaded \(.*\); going on without it"):
            assert fast.compiled() is None
        assert fast.compiled() is None
    finally:
        fast.compiled.cache_clear()
