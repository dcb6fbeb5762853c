"""TD(lambda) targets: numbers by hand, time limits anywhere in a batch, garbage that stays out.

The anchors have gamma = 0.99, lambda = 0.6, rewards 1, 2, 3 and values 10, 20, 30, 40 of the four
moments; the last three are what the moves bootstrap from.
"""

import itertools

import pytest
import torch

from vdtoolkit.returns import td_lambda_targets

GAMMA = 0.99
REWARD = [1.0, 2.0, 3.0]
AFTER = [20.0, 30.0, 40.0]


def targets(reward, terminated, valid, bootstrap, lam, gamma=GAMMA):
    return td_lambda_targets(
        torch.as_tensor(reward),
        torch.as_tensor(terminated),
        torch.as_tensor(valid),
        torch.as_tensor(bootstrap),
        gamma,
        lam,
    )


def one(terminated, lam):
    """The anchor episode of three moves."""
    return targets([REWARD], [[False, False, terminated]], [[True] * 3], [AFTER], lam)[0].tolist()


def by_definition(reward, terminated, valid, bootstrap, lam, gamma):
    """The recursion for one episode in plain floats."""
    out, last = [0.0] * len(reward), max(t for t, v in enumerate(valid) if v)
    for t in range(last, -1, -1):
        value = bootstrap[t] if t == last else (1 - lam) * bootstrap[t] + lam * out[t + 1]
        out[t] = reward[t] + (0.0 if terminated[t] else gamma * value)
    return out


# -- anchors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terminated", "lam", "expected"),
    [
        (True, 0.6, [18.2232, 15.6620, 3.0]),
        (False, 0.6, [32.1955, 39.1844, 42.6]),
        (True, 0.0, [20.8, 31.7, 3.0]),
        (False, 0.0, [20.8, 31.7, 42.6]),
        (True, 1.0, [5.9203, 4.97, 3.0]),
        # 1 + .99 (2 + .99 (3 + .99 * 40))
        (False, 1.0, [44.73226, 44.174, 42.6]),
    ],
)
def test_the_anchors(terminated, lam, expected):
    assert one(terminated, lam) == pytest.approx(expected, abs=1e-4)


def test_truncation_bootstraps_and_termination_does_not():
    assert one(False, 0.0)[2] == pytest.approx(3 + GAMMA * 40)
    assert one(True, 0.0)[2] == 3


@pytest.mark.parametrize("garbage", [50.0, -1e30, float("nan"), float("inf")])
@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_a_truncated_episode_shorter_than_the_batch_is_as_if_alone(lam, garbage):
    """PyMARL's recursion gives [30.0368, 35.5502, 36.4818, 29.7] at lambda 0.6 and garbage 50."""
    padded = targets(
        [[*REWARD, garbage]],
        [[False] * 4],
        [[True, True, True, False]],
        [[*AFTER, garbage]],
        lam,
    )
    assert padded[0].tolist() == pytest.approx([*one(False, lam), 0.0], abs=1e-4)


@pytest.mark.parametrize("garbage", [50.0, float("nan"), float("-inf")])
@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_what_lies_behind_a_true_end_does_not_matter(lam, garbage):
    ended = targets(
        [[*REWARD, garbage]],
        [[False, False, True, False]],
        [[True, True, True, False]],
        [[*AFTER[:2], garbage, garbage]],
        lam,
    )
    assert ended[0].tolist() == pytest.approx([*one(True, lam), 0.0], abs=1e-4)


# -- shapes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_each_episode_and_agent_is_its_own_recursion(lam):
    torch.manual_seed(5)
    B, T, N = 2, 3, 4
    bootstrap, reward = torch.randn(B, T, N), torch.randn(B, T)
    terminated = torch.tensor([[False, True, False], [False, False, True]])
    valid = torch.tensor([[True, True, False], [True, True, True]])
    given = targets(reward, terminated, valid, bootstrap, lam, 0.9)
    assert given.shape == (B, T, N)
    for b, i in itertools.product(range(B), range(N)):
        alone = by_definition(
            reward[b].tolist(),
            terminated[b].tolist(),
            valid[b].tolist(),
            bootstrap[b, :, i].tolist(),
            lam,
            0.9,
        )
        assert given[b, :, i].tolist() == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("lam", [0.0, 0.6])
def test_masks_may_differ_by_agent(lam):
    """Agent 0 dies after its first move, agent 1 lives on, agent 2 is never there."""
    B, T, N = 1, 3, 3
    bootstrap = torch.tensor(AFTER)[None, :, None].repeat(B, 1, N)
    bootstrap[:, 1:, 0] = float("nan")
    terminated = torch.zeros(B, T, N, dtype=torch.bool)
    terminated[0, 0, 0] = True
    valid = torch.ones(B, T, N, dtype=torch.bool)
    valid[0, 1:, 0] = False
    valid[:, :, 2] = False
    given = targets([REWARD], terminated, valid, bootstrap, lam)[0]
    assert given[:, 0].tolist() == pytest.approx([1.0, 0.0, 0.0])
    assert given[:, 1].tolist() == pytest.approx(one(False, lam), abs=1e-4)
    assert given[:, 2].tolist() == [0, 0, 0]


def test_rewards_may_differ_by_agent():
    reward = torch.tensor([[[1.0, 10.0], [2.0, 20.0]]])
    ended = [[False, True]]
    given = targets(reward, ended, [[True, True]], torch.full((1, 2, 2), 100.0), 0.5, 0.5)
    # r_0 + .5 (.5 * 100 + .5 r_1)
    assert given[0].tolist() == [[26.5, 40.0], [2.0, 20.0]]


def test_one_move_is_an_episode():
    assert targets([[4.0]], [[True]], [[True]], [[9.0]], 0.6).tolist() == [[4.0]]
    assert targets([[4.0]], [[False]], [[True]], [[10.0]], 0.6, 0.5).tolist() == [[9.0]]


def test_masks_may_be_floats_and_nothing_given_is_changed():
    reward, after = torch.tensor([REWARD]), torch.tensor([AFTER])
    ended, valid = torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1, 3)
    given = [x.clone() for x in (reward, ended, valid, after)]
    out = td_lambda_targets(reward, ended, valid, after, GAMMA, 0.6)
    assert out[0].tolist() == pytest.approx(one(True, 0.6), abs=1e-4)
    for x, before in zip((reward, ended, valid, after), given, strict=True):
        assert torch.equal(x, before)


def test_a_discount_of_0_leaves_the_reward():
    never = [[False] * 3]
    assert targets([REWARD], never, [[True] * 3], [AFTER], 0.6, 0.0)[0].tolist() == REWARD
