"""Acting on numpy is acting on torch."""

import numpy as np
import pytest
import torch

from vdtoolkit import QMIXAgents
from vdtoolkit.few_rows import LIMIT, FewRows
from vdtoolkit.networks import AgentNet
from vdtoolkit.step import TeamSpec

E, N, A, O, H = 2, 3, 4, 5, 6
SPEC = TeamSpec(n_agents=N, n_actions=A, obs_dim=O, state_dim=7)


def net(seed=0, **options):
    torch.manual_seed(seed)
    return AgentNet(SPEC, H, **options)


def given(seed=0):
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(E, N, O)).astype(np.float32)
    return obs, rng.integers(-1, A, (E, N)), rng.normal(size=(E, N, H)).astype(np.float32)


def by_torch(agent, obs, last, carry):
    obs, last, carry = map(torch.as_tensor, (obs, last, carry))
    with torch.no_grad():
        utilities, carry = agent(obs.unsqueeze(1), last.unsqueeze(1), carry)
    return utilities.qs.squeeze(1).numpy(), carry.numpy()


options = pytest.mark.parametrize(
    "options",
    [
        {},
        {"recurrent": False},
        {"last_action": False},
        {"agent_id": False},
        {"last_action": False, "agent_id": False, "recurrent": False},
    ],
    ids=str,
)


@options
def test_numpy_says_what_torch_says(options):
    agent = net(**options)
    few = FewRows(agent)
    for seed in range(3):  # the buffer of one call leaves nothing for the next
        for told, wanted in zip(few(*given(seed)), by_torch(agent, *given(seed)), strict=True):
            np.testing.assert_allclose(told, wanted, rtol=0, atol=1e-6)


def test_a_different_number_of_environments_needs_no_word():
    agent = net()
    few = FewRows(agent)
    few(*given())
    one = [x[:1] for x in given()]
    np.testing.assert_allclose(few(*one)[0], by_torch(agent, *one)[0], rtol=0, atol=1e-6)


def test_the_weights_are_those_of_now_after_learning_and_loading():
    agent, other = net(), net(seed=1)
    few = FewRows(agent)
    optimizer = torch.optim.Adam(agent.parameters(), lr=0.1)
    obs, last, carry = map(torch.as_tensor, given())
    agent(obs.unsqueeze(1), last.unsqueeze(1), carry)[0].qs.sum().backward()
    optimizer.step()
    np.testing.assert_allclose(few(*given())[0], by_torch(agent, *given())[0], rtol=0, atol=1e-6)
    agent.load_state_dict(other.state_dict())
    assert few.fits(agent)
    np.testing.assert_allclose(few(*given())[0], by_torch(other, *given())[0], rtol=0, atol=1e-6)


def test_a_step_past_the_tensors_version_is_seen_as_well():
    """Old optimisers write through `.data`, which counts no version."""
    agent = net()
    few = FewRows(agent)
    few(*given())
    for parameter in agent.parameters():
        parameter.data += 0.1
    np.testing.assert_allclose(few(*given())[0], by_torch(agent, *given())[0], rtol=0, atol=1e-6)


@options
def test_many_rows_are_multiplied_in_blocks_to_the_same_end(options, monkeypatch):
    whole = FewRows(net(**options))(*given())
    monkeypatch.setattr("vdtoolkit.few_rows.ONE_THREAD", 5 * E * N * (2 * H + 1))  # of 6 to 24
    for told, wanted in zip(FewRows(net(**options))(*given()), whole, strict=True):
        np.testing.assert_allclose(told, wanted, rtol=0, atol=1e-6)


def test_another_network_or_moved_weights_do_not_fit():
    agent = net()
    few = FewRows(agent)
    assert few.fits(agent)
    assert not few.fits(net())
    for _ in range(20):
        agent.double().float()  # new memory, which may be that of before if it was let go
        assert not few.fits(agent)


def test_extreme_inputs_stay_finite_and_quiet():
    agent = net()
    obs, last, carry = given()
    qs, after = FewRows(agent)(obs * 1e6, last, carry)
    assert np.isfinite(qs).all()
    assert np.isfinite(after).all()


def test_what_was_given_is_left_as_it_was():
    obs, last, carry = given()
    FewRows(net())(obs, last, carry)
    for told, wanted in zip((obs, last, carry), given(), strict=True):
        assert np.array_equal(told, wanted)


def test_images_separate_networks_and_doubles_stay_with_torch():
    assert FewRows.can_stand_for(net())
    assert not FewRows.can_stand_for(net(share_parameters=False))
    assert not FewRows.can_stand_for(net().double())
    image = TeamSpec(N, A, 8 * 8 * 3, 7, obs_dtype=np.dtype(np.uint8), obs_shape=(8, 8, 3))
    assert not FewRows.can_stand_for(AgentNet(image, H))


def test_an_actor_acts_the_same_on_either_side_of_the_limit(monkeypatch):
    from vdtoolkit.agents import actor as module
    from vdtoolkit.envs import two_step_v0

    def moves(limit):
        monkeypatch.setattr(module, "LIMIT", limit)
        env = two_step_v0.parallel_env()
        acting, told = QMIXAgents(env, seed=3).actor(), []
        for seed in range(8):
            observations, infos = env.reset(seed=seed)
            acting.reset()
            while env.agents:
                told.append(acting.act(observations, infos))
                observations, _, _, _, infos = env.step(told[-1])
        return told

    assert moves(0) == moves(LIMIT)
