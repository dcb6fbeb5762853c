"""Fronts: images to features and integers to floats, at the size they have."""

import numpy as np
import pytest
import torch
from torch import nn

from vdtoolkit.batch import View
from vdtoolkit.networks import AgentNet
from vdtoolkit.step import TeamSpec
from vdtoolkit.vision import ConvFront, PerAgent, Scaled, front, mixer_front

BYTE, FLOAT = np.dtype(np.uint8), np.dtype(np.float32)


SMALL = [(5, 5, 1), (5, 9, 2), (7, 7, 3), (13, 13, 5), (16, 17, 3), (35, 35, 1)]
LARGE = [(36, 36, 4), (42, 50, 1), (84, 84, 4), (127, 127, 3), (128, 128, 3), (280, 480, 3)]


@pytest.mark.parametrize("shape", SMALL + LARGE)
def test_every_size_of_image_becomes_the_features_asked_for(shape):
    net = ConvFront(shape, 7)
    x = torch.randint(0, 256, (2, 3, int(np.prod(shape))), dtype=torch.uint8)
    features = net(x)
    assert features.shape == (2, 3, 7)
    assert features.dtype == torch.float32
    assert sum(p.numel() for p in net.parameters()) < 200_000, "no layer grows with the image"
    assert x.dtype == torch.uint8


@pytest.mark.parametrize("shape", [(6, 5, 3), (40, 38, 2), (130, 140, 1)])
def test_every_pixel_matters_and_frames_do_not_mix(shape):
    torch.manual_seed(0)
    net = ConvFront(shape, 16).double()
    x = torch.rand(3, *shape, dtype=torch.double, requires_grad=True)
    out = net(x.flatten(1))
    (slope,) = torch.autograd.grad(out[1].square().sum(), x)
    assert not slope[0].any()
    assert not slope[2].any()
    seen = (slope[1] != 0).float().mean()
    assert seen > 0.8  # strides may leave a margin


def test_an_image_is_read_with_its_axes_in_their_order():
    net = ConvFront((5, 6, 2), 4)
    image = torch.rand(5, 6, 2)
    planes = image.permute(2, 0, 1).unsqueeze(0)
    hidden = torch.relu(net.layers[1](torch.relu(net.layers[0](planes))))
    expected = torch.relu(net.out(hidden.flatten(1)))
    torch.testing.assert_close(net(image.reshape(1, -1)), expected)


def test_bytes_are_scaled():
    x = torch.randint(0, 256, (4, 36), dtype=torch.uint8)
    net = ConvFront((6, 6, 1), 5, 1 / 255)
    plain = ConvFront((6, 6, 1), 5)
    plain.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(x), plain(x.float() / 255))
    assert Scaled(1 / 255)(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == (
        pytest.approx([0, 0.2, 1])
    )


def test_floats_are_left_alone():
    made, dim = front(6, None, FLOAT, 1.0, 4)
    assert type(made) is nn.Identity
    assert dim == 6


def test_an_agents_own_front_sees_its_own_row():
    fronts = PerAgent([Scaled(2.0), Scaled(3.0)])
    assert fronts(torch.ones(4, 2, 5))[0].tolist() == [[2.0] * 5, [3.0] * 5]


# -- in the utility network ---------------------------------------------------------------

N, A = 3, 4
IMAGES = TeamSpec(N, A, 5 * 6 * 2, 7, obs_dtype=BYTE, obs_scale=1 / 255, obs_shape=(5, 6, 2))


@pytest.mark.parametrize("share", [True, False])
def test_images_pass_through_the_front_and_frames_of_bytes_stay_bytes(share):
    torch.manual_seed(0)
    net = AgentNet(IMAGES, 9, share_parameters=share)
    obs = torch.randint(0, 256, (2, 4, N, 60), dtype=torch.uint8)
    kept = obs.clone()
    qs = net.unroll(obs, torch.zeros(2, 3, N, dtype=torch.long)).qs
    assert qs.shape == (2, 4, N, A)
    qs.sum().backward()
    fronts = net.front.fronts if not share else [net.front]
    assert len(fronts) == (1 if share else N)
    for made in fronts:
        assert made.layers[0].weight.grad.abs().sum() > 0
    assert torch.equal(obs, kept)
    other = obs.clone()
    other[:, 1, 2] = 255 - other[:, 1, 2]
    changed = (net.unroll(other, torch.zeros(2, 3, N, dtype=torch.long)).qs != qs).any(-1)
    assert changed.any(0).tolist() == [[False] * 3] + [[False, False, True]] * 3


def test_integer_vectors_are_read_as_floats():
    spec = TeamSpec(N, A, 5, 7, obs_dtype=BYTE, obs_scale=1 / 255)
    net = AgentNet(spec, 9)
    obs = torch.randint(0, 256, (2, 4, N, 5), dtype=torch.uint8)
    plain = AgentNet(TeamSpec(N, A, 5, 7), 9)
    plain.load_state_dict(net.state_dict())
    none = torch.zeros(2, 3, N, dtype=torch.long)
    torch.testing.assert_close(net.unroll(obs, none).qs, plain.unroll(obs / 255, none).qs)


# -- before the mixer ---------------------------------------------------------------------


def view(spec, state_dtype=torch.float32):
    obs_dtype = torch.uint8 if spec.obs_dtype == BYTE else torch.float32
    return View(
        torch.randint(0, 9, (2, N, spec.obs_dim)).to(obs_dtype),
        torch.randint(0, 9, (2, spec.state_dim)).to(state_dtype),
        torch.ones(2, N, A, dtype=torch.bool),
        torch.ones(2, N, dtype=torch.bool),
    )


def made(spec, own_state=True, reads_state=True, reads_obs=False):
    return mixer_front(
        spec, own_state=own_state, width=8, reads_state=reads_state, reads_obs=reads_obs
    )


def test_where_all_is_float_nothing_stands_before_the_mixer():
    spec = TeamSpec(N, A, 5, 7)
    for own_state in (True, False):
        assert type(made(spec, own_state, reads_obs=True)[0]) is nn.Identity
        assert made(spec, own_state)[1] is spec


def test_who_reads_no_state_pays_for_none():
    spec = TeamSpec(N, A, 5, 75, state_dtype=BYTE, state_shape=(5, 5, 3))
    assert type(made(spec, reads_state=False)[0]) is nn.Identity
    assert type(made(IMAGES, own_state=False, reads_state=False)[0]) is nn.Identity
    assert type(made(IMAGES)[0]) is nn.Identity  # a state of its own, of floats


def test_an_image_state_becomes_features():
    spec = TeamSpec(N, A, 5, 75, state_dtype=BYTE, state_scale=1 / 255, state_shape=(5, 5, 3))
    net, sizes = made(spec)
    assert (sizes.state_dim, sizes.obs_dim) == (8, 5)
    x = view(spec, torch.uint8)
    seen = net(x)
    assert seen.state.shape == (2, 8)
    assert seen.obs is x.obs
    assert seen.alive is x.alive


def test_integer_states_become_floats():
    net, sizes = made(TeamSpec(N, A, 5, 7, state_dtype=BYTE, state_scale=1 / 255))
    x = view(sizes, torch.uint8)
    assert sizes.state_dim == 7
    torch.testing.assert_close(net(x).state, x.state / 255)


def test_the_joint_observation_of_images_is_the_features_of_all():
    spec = TeamSpec(N, A, 60, N * 60, BYTE, BYTE, 1 / 255, 1 / 255, (5, 6, 2))
    for reads_obs in (False, True):
        net, sizes = made(spec, own_state=False, reads_obs=reads_obs)
        assert sizes.state_dim == N * 8
        x = view(spec, torch.uint8)
        seen = net(x)
        assert torch.equal(seen.state, net.obs(x.obs).flatten(-2))
        assert torch.equal(seen.obs, net.obs(x.obs) if reads_obs else x.obs)
        assert sizes.obs_dim == seen.obs.shape[-1] or not reads_obs


def test_who_reads_observations_gets_their_features_beside_a_state_of_its_own():
    net, sizes = made(IMAGES, reads_obs=True)
    assert (sizes.state_dim, sizes.obs_dim, sizes.obs_shape) == (7, 8, None)
    x = view(IMAGES)
    assert net(x).obs.shape == (2, N, 8)
    assert net(x).state is x.state
