"""Views of moments, means under a mask, greedy actions among what is available."""

import itertools

import pytest
import torch

from vdtoolkit.batch import View, chosen, greedy, masked_mean, only_available

B, T, N, A = 2, 3, 4, 5
NAN = float("nan")


def test_the_mean_is_over_what_the_mask_lets_through():
    values = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    mask = torch.tensor([[True, False, True], [True, False, False]])
    assert masked_mean(values, mask).item() == pytest.approx(13 / 3)
    assert masked_mean(values, mask.float()).item() == pytest.approx(13 / 3)


@pytest.mark.parametrize("garbage", [NAN, float("inf"), float("-inf")])
def test_what_is_masked_out_may_be_anything_and_gets_no_gradient(garbage):
    values = torch.tensor([1.0, garbage, 3.0], requires_grad=True)
    mean = masked_mean(values, torch.tensor([True, False, True]))
    assert mean.item() == 2
    mean.backward()
    assert values.grad.tolist() == [0.5, 0, 0.5]


def test_a_mask_that_lets_nothing_through_gives_0():
    assert masked_mean(torch.full((B, T), NAN), torch.zeros(B, T, dtype=torch.bool)).item() == 0


def test_a_mask_of_weights_gives_a_weighted_mean():
    mean = masked_mean(torch.tensor([2.0, 8.0, NAN]), torch.tensor([3.0, 1.0, 0.0]))
    assert mean.item() == 3.5


def test_the_utility_chosen_is_each_agents_own():
    torch.manual_seed(0)
    qs, actions = torch.randn(B, T, N, A), torch.randint(A, (B, T, N))
    taken = chosen(qs, actions)
    assert taken.shape == (B, T, N)
    for b, t, i in itertools.product(range(B), range(T), range(N)):
        assert taken[b, t, i] == qs[b, t, i, actions[b, t, i]]


def test_greedy_never_picks_what_is_not_available():
    qs = torch.tensor([[-5.0, -1e30, -2.0], [1.0, 9.0, 3.0]])
    available = torch.tensor([[True, True, False], [True, False, True]])
    assert greedy(qs, available).tolist() == [0, 2]
    torch.manual_seed(1)
    qs = -1e7 * torch.rand(B, T, N, A)  # PyMARL masks with -9999999
    available = torch.rand(B, T, N, A) < 0.4
    available[..., 3] = True
    picked = greedy(qs, available)
    assert picked.shape == (B, T, N)
    assert available.gather(-1, picked[..., None]).all()
    best = torch.where(available, qs, torch.full_like(qs, -torch.inf)).amax(-1)
    assert torch.equal(chosen(qs, picked), best)


def test_unavailable_utilities_are_minus_infinity_and_the_given_ones_unchanged():
    qs = torch.tensor([1.0, 2.0])
    assert only_available(qs, torch.tensor([False, True])).tolist() == [float("-inf"), 2.0]
    assert qs.tolist() == [1.0, 2.0]


def test_a_view_is_indexed_in_its_leading_axes():
    O, S = 6, 7
    view = View(
        torch.arange(B * T * N * O).reshape(B, T, N, O),
        torch.arange(B * T * S).reshape(B, T, S),
        torch.ones(B, T, N, A, dtype=torch.bool),
        torch.ones(B, T, N, dtype=torch.bool),
    )
    after = view[:, 1:]
    assert after.obs.shape == (B, T - 1, N, O)
    assert after.available.shape == (B, T - 1, N, A)
    assert after.alive.shape == (B, T - 1, N)
    assert torch.equal(after.state, view.state[:, 1:])
    moment = view[1, 2]
    assert moment.obs.shape == (N, O)
    assert torch.equal(moment.state, view.state[1, 2])
