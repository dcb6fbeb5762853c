"""The utility network: acting step by step is the unroll, and nobody sees what is not theirs."""

import pytest
import torch
from torch import nn

from vdtoolkit.networks import AgentNet, GroupedLinear, mlp
from vdtoolkit.step import TeamSpec

B, T, N, A, O, H = 2, 3, 4, 5, 6, 8
SPEC = TeamSpec(n_agents=N, n_actions=A, obs_dim=O, state_dim=7)

kinds = pytest.mark.parametrize("recurrent", [True, False])
shared = pytest.mark.parametrize("share_parameters", [True, False])
inputs = pytest.mark.parametrize(
    ("last_action", "agent_id"), [(True, True), (True, False), (False, True), (False, False)]
)


def net(seed=0, **options):
    torch.manual_seed(seed)
    return AgentNet(SPEC, H, **options)


def episode(seed=1):
    """Observations of T + 1 moments, and T moves."""
    torch.manual_seed(seed)
    return torch.randn(B, T + 1, N, O), torch.randint(A, (B, T, N))


def step_by_step(agent, obs, actions):
    """The utilities of T + 1 moments as an actor sees them: one moment a call, and a carry."""
    carry, last = agent.empty(B, obs), torch.full((B, 1, N), -1)
    qs, hidden = [], []
    for t in range(obs.shape[1]):
        utilities, carry = agent(obs[:, t : t + 1], last, carry)
        qs.append(utilities.qs)
        hidden.append(utilities.hidden)
        if t < actions.shape[1]:
            last = actions[:, t : t + 1]
    return torch.cat(qs, 1), torch.cat(hidden, 1)


# -- acting is learning ---------------------------------------------------------------------


@kinds
@shared
@inputs
def test_acting_step_by_step_is_the_unroll(recurrent, share_parameters, last_action, agent_id):
    agent = net(
        recurrent=recurrent,
        share_parameters=share_parameters,
        last_action=last_action,
        agent_id=agent_id,
    )
    obs, actions = episode()
    whole = agent.unroll(obs, actions)
    qs, hidden = step_by_step(agent, obs, actions)
    assert whole.qs.shape == (B, T + 1, N, A)
    assert whole.hidden.shape == (B, T + 1, N, H)
    torch.testing.assert_close(whole.qs, qs)
    torch.testing.assert_close(whole.hidden, hidden)


@kinds
@shared
def test_padding_behind_an_episode_does_not_change_it(recurrent, share_parameters):
    agent = net(recurrent=recurrent, share_parameters=share_parameters)
    obs, actions = episode()
    short = agent.unroll(obs[:, : T + 1], actions).qs
    padded = agent.unroll(
        torch.cat([obs, torch.full((B, 2, N, O), 99.0)], 1),
        torch.cat([actions, torch.zeros(B, 2, N, dtype=torch.int64)], 1),
    ).qs
    torch.testing.assert_close(padded[:, : T + 1], short)


@kinds
@shared
def test_episodes_and_agents_do_not_see_each_other(recurrent, share_parameters):
    agent = net(recurrent=recurrent, share_parameters=share_parameters)
    obs, actions = episode()
    before = agent.unroll(obs, actions).qs
    obs[1, 2, 3] += 1
    changed = (agent.unroll(obs, actions).qs - before).abs().amax(-1) > 1e-6  # [B, T+1, N]
    expected = torch.zeros(B, T + 1, N, dtype=torch.bool)
    expected[1, 2 if not recurrent else slice(2, None), 3] = True
    assert torch.equal(changed, expected)


def test_without_a_memory_the_carry_is_handed_through():
    agent = net(recurrent=False)
    obs, _ = episode()
    carry = torch.randn(B, N, H)
    _, after = agent(obs[:, :1], torch.full((B, 1, N), -1), carry)
    assert torch.equal(after, carry)
    assert net().empty(B, obs).shape == (B, N, H)
    assert not net().empty(B, obs).any()


def test_an_unroll_of_one_moment_has_no_move():
    agent = net()
    obs, actions = episode()
    alone = agent.unroll(obs[:, :1], actions[:, :0]).qs
    torch.testing.assert_close(alone, agent.unroll(obs, actions).qs[:, :1])


# -- what an agent is fed -------------------------------------------------------------------


def test_the_input_is_observation_then_last_action_then_id():
    agent, (obs, _) = net(), episode()
    last = torch.tensor([[[2, -1, 0, 4]]]).expand(B, 1, N)
    x = agent._inputs(obs[:, :1], last)
    assert x.shape == (1, B, N, O + A + N)  # time first
    assert torch.equal(x[..., :O], obs[:, :1].transpose(0, 1))
    actions = [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert x[0, 0, :, O : O + A].tolist() == actions
    assert torch.equal(x[0, 1, :, O + A :], torch.eye(N))


def test_the_last_action_is_zeros_at_first_and_then_the_move_before():
    agent = net(agent_id=False)
    fed = []
    agent.bodies[0].register_forward_hook(lambda _, x, __: fed.append(x[0][..., O:]))
    obs, actions = episode()
    agent.unroll(obs, actions)
    told = fed[0].unflatten(1, (B, N)).transpose(0, 1)
    assert not told[:, 0].any()
    assert torch.equal(told[:, 1:].argmax(-1), actions)
    assert torch.equal(told[:, 1:].sum(-1), torch.ones(B, T, N))


@kinds
def test_ids_break_the_symmetry_of_equal_agents(recurrent):
    obs, actions = episode()
    obs, actions = obs[:, :, :1].expand(-1, -1, N, -1), actions[:, :, :1].expand(-1, -1, N)
    same = net(recurrent=recurrent, agent_id=False).unroll(obs, actions).qs
    torch.testing.assert_close(same, same[:, :, :1].expand_as(same))
    unlike = net(recurrent=recurrent).unroll(obs, actions).qs
    assert ((unlike[:, :, 1:] - unlike[:, :, :1]).abs().amax(-1) > 1e-4).all()


def test_agents_that_share_nothing_have_a_network_each():
    agent = net(share_parameters=False, agent_id=False)
    assert len(agent.bodies) == N
    obs, actions = episode()
    before = agent.unroll(obs, actions).qs
    with torch.no_grad():
        agent.bodies[2].head.bias += 1
    change = agent.unroll(obs, actions).qs - before
    expected = torch.zeros(N)
    expected[2] = 1
    torch.testing.assert_close(change, expected[:, None].expand(B, T + 1, N, A))
    assert len(net().bodies) == 1


def test_every_parameter_learns_and_has_a_name():
    for options in ({}, {"recurrent": False}, {"share_parameters": False}):
        agent = net(**options)
        agent.unroll(*episode()).qs.square().sum().backward()
        for name, parameter in agent.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


# -- the pieces -----------------------------------------------------------------------------


def test_a_grouped_linear_is_that_many_linears():
    G, I, D = 3, 6, 7
    torch.manual_seed(0)
    grouped = GroupedLinear(G, I, D)
    linears = [nn.Linear(I, D) for _ in range(G)]
    for g, linear in enumerate(linears):
        linear.load_state_dict({"weight": grouped.weight[g], "bias": grouped.bias[g]})
    x = torch.randn(B, T, G, I)
    separate = torch.stack([linear(x[:, :, g]) for g, linear in enumerate(linears)], 2)
    torch.testing.assert_close(grouped(x), separate)
    one = x[:, :, :1]
    separate = torch.stack([linear(one[:, :, 0]) for linear in linears], 2)
    torch.testing.assert_close(grouped(one), separate)
    assert grouped(x[0, 0]).shape == (G, D)


def test_a_grouped_linear_starts_as_a_linear_does():
    torch.manual_seed(0)
    grouped = GroupedLinear(50, 16, 4)
    for parameter in (grouped.weight, grouped.bias):
        assert 0.24 < parameter.abs().max().item() <= 0.25  # 1 / sqrt(16)
        assert abs(parameter.mean().item()) < 0.03


def test_an_mlp_has_relu_between_its_layers_and_not_behind_the_last():
    layers = mlp(6, 5, 4, 3)
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert layers(torch.zeros(B, 6)).shape == (B, 3)
    assert [type(layer).__name__ for layer in mlp(6, 3)] == ["Linear"]
