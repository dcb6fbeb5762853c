"""Teams that see images or bytes: every algorithm acts, learns and is audited on them."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv
from teams import says

from vdtoolkit import ALGORITHMS, QattenAgents, Team, igm, load
from vdtoolkit.training import evaluate, train

SMALL = {"batch_size": 3, "hidden_dim": 6, "target_interval": 100, "lr": 0.01}
READS = ("qmix", "qatten", "qplex", "qfix", "cw_qmix", "ow_qmix", "nonmonotonic_qmix")
KINDS = {
    "images, no state": ((6, 5, 3), None),
    "images of one plane, image state": ((5, 7), (16, 16, 3)),
    "vectors of bytes, byte state": ((4,), (9,)),
    "vectors of bytes, no state": ((4,), None),
}


class Lamps(ParallelEnv):
    """Two agents each see a lamp, bright or dark, and are paid for telling which."""

    metadata = {"name": "lamps_v0"}  # noqa: RUF012
    render_mode = None

    def __init__(self, kind):
        self.possible_agents = ["a", "b"]
        self.shape, self.state_shape = KINDS[kind]
        if self.state_shape is not None:
            self.state_space = Box(0, 255, self.state_shape, np.uint8)
            self.state = self._state

    def observation_space(self, agent):
        return Box(0, 255, self.shape, np.uint8)

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.agents, self.moves = list(self.possible_agents), 0
        return self._told(), {a: {} for a in self.agents}

    def step(self, actions):
        reward = float(np.mean([actions[a] == self.lamps[a] for a in self.possible_agents]))
        self.moves += 1
        observations, over = self._told(), self.moves == 3
        told = dict.fromkeys(self.possible_agents, over)
        self.agents = [] if over else list(self.possible_agents)
        rewards = dict.fromkeys(told, reward)
        return observations, rewards, told, dict.fromkeys(told, False), {a: {} for a in told}

    def _told(self):
        self.lamps = {a: int(self.rng.integers(2)) for a in self.possible_agents}
        return {a: np.full(self.shape, 255 * on, np.uint8) for a, on in self.lamps.items()}

    def _state(self):
        state = np.zeros(self.state_shape, np.uint8)
        state.reshape(-1)[:2] = [255 * on for on in self.lamps.values()]
        return state


class Stateful(Lamps):
    """The same with `state` on the class, where it is looked for."""

    def state(self):
        return self._state()


def maker(kind):
    return lambda: (Stateful if KINDS[kind][1] is not None else Lamps)(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_learns_from_images_and_bytes(name, kind):
    agents = ALGORITHMS[name](maker(kind)(), seed=0, epsilon_steps=60, **SMALL)
    assert agents.team.spec.obs_dtype == np.uint8
    metrics = train(agents, maker(kind), 90, 2)
    assert all(np.isfinite(value) for value in metrics.values())
    assert agents.replay.columns["obs"].dtype == np.uint8
    batch = agents.replay.batch(np.arange(4))
    assert batch.view.obs.dtype == batch.view.state.dtype == torch.uint8
    agents.target.requires_grad_(True)
    agents.loss(batch)[0].backward()
    for part, p in agents.online.named_parameters():
        assert p.grad is not None, part
    assert all(p.grad is None for p in agents.target.parameters())
    audit = igm.audit(agents, maker(kind)(), episodes=1)
    assert len(audit.states) == 3


@pytest.mark.parametrize("name", ALGORITHMS)
def test_only_who_reads_the_state_has_a_front_for_it(name):
    agents = ALGORITHMS[name](maker("images of one plane, image state")(), **SMALL)
    has = any(True for _ in agents.online.mixer_front.parameters())
    assert has == (name in (*READS, "coma"))
    assert has or not agents.reads_state


@pytest.mark.parametrize("name", READS)
def test_what_comes_after_is_seen_by_the_targets_own_front(name):
    agents = ALGORITHMS[name](maker("images, no state")(), **SMALL)
    train(agents, maker("images, no state"), 12, 2)
    agents.sync_target()
    batch = agents.replay.batch(np.arange(3))

    def told():
        return {key: value.item() for key, value in agents.loss(batch)[1].items()}

    before = told()
    with torch.no_grad():
        for p in agents.target.mixer_front.parameters():
            p.add_(0.5)
    after = told()
    assert after["q_tot"] == before["q_tot"]
    assert after["target"] != before["target"]


def test_a_team_learns_what_its_images_say():
    kind = "images, no state"
    agents = ALGORITHMS["vdn"](maker(kind)(), seed=0, epsilon_steps=300, gamma=0.5, **SMALL)
    train(agents, maker(kind), 900, 4)
    assert evaluate(agents, maker(kind), 10).mean == 3


def test_a_team_of_images_is_saved_and_loaded(tmp_path):
    kind = "images of one plane, image state"
    agents = ALGORITHMS["qmix"](maker(kind)(), **SMALL)
    train(agents, maker(kind), 30, 2)
    agents.save(tmp_path / "a")
    again = load(tmp_path / "a")
    assert again.team.spec == agents.team.spec
    assert agents.learn() == again.learn()


def test_the_joint_observation_may_stand_for_a_large_state():
    kind = "images of one plane, image state"
    team = Team.from_env(maker(kind)(), state="joint")
    agents = ALGORITHMS["qmix"](team, **SMALL)
    train(agents, maker(kind), 30, 2)
    assert agents.updates > 2
    observations, infos = (env := maker(kind)()).reset(seed=0)
    agents.observe(*env.step(agents.act(observations, infos)))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("images, no state", (6, 5, 3)), ("images of one plane, image state", (16, 16, 3))],
)
def test_an_image_has_no_slice_that_is_an_agents_own(kind, shape):
    text = f"unit_features='0:4': the state is made of images {shape}, which have no part for each"
    with says(ValueError, f"{text} agent: use 'obs'"):
        QattenAgents(maker(kind)(), unit_features="0:4", **SMALL)
