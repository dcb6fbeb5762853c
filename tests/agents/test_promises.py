"""What is promised of every algorithm: being in `ALGORITHMS` is enough to be tested here."""

import itertools
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from teams import held

import vdtoolkit
from vdtoolkit import ALGORITHMS
from vdtoolkit.batch import EpisodeBatch, greedy
from vdtoolkit.networks import Utilities
from vdtoolkit.training import evaluate

from . import helpers
from .helpers import (
    ON_POLICY,
    SMALL,
    Bandit,
    Nameless,
    Stateless,
    Unlike,
    episodes,
    fingerprint,
    joint_actions,
    leaves,
    moment,
    play,
    q_table,
    random_batch,
    randomised,
    run,
    small_team,
)

every = pytest.mark.parametrize("name", ALGORITHMS)
EXACT = [name for name, cls in ALGORITHMS.items() if cls.claim == "exact"]
MONOTONE = [name for name in EXACT if ALGORITHMS[name].function_class in ("additive", "elu_qmix")]


@pytest.fixture(scope="module")
def hashes():
    """Of one short training of each algorithm."""
    return {name: fingerprint(run(name)) for name in ALGORITHMS}


def made(name, **kwargs):
    """Agents whose target differs from their networks, and a batch for them."""
    agents = ALGORITHMS[name](small_team(), seed=2, **{**SMALL, **kwargs})
    agents.target.load_state_dict(
        ALGORITHMS[name](small_team(), seed=3, **{**SMALL, **kwargs}).online.state_dict()
    )
    return agents, random_batch(agents.team.spec, seed=5)


def taught(agents, batch):
    """What a batch teaches: the loss, all metrics and all gradients."""
    agents.online.zero_grad(set_to_none=True)
    loss, metrics = agents.loss(batch)
    loss.backward()
    grads = {n: p.grad for n, p in agents.online.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **{n: v.detach() for n, v in metrics.items()}, **grads}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


# -- acting and learning ------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{}, {"recurrent": False}, {"share_parameters": False}, {"last_action": False}],
    ids=lambda settings: ", ".join(settings) or "default",
)
@every
def test_learning_sees_what_acting_saw(name, settings):
    seen = []

    class Watched(ALGORITHMS[name]):
        def policy(self, qs, available, epsilon, rng):
            seen.append((qs[0].copy(), available[0].copy()))
            return super().policy(qs, available, epsilon, rng)

    agents = Watched(Unlike(), seed=1, **SMALL, **settings)
    play(agents, Unlike(), 4, learn=False, seed=6)
    assert len(seen) == agents.moves > 12
    k = 0
    for episode in range(4):
        batch = agents.replay.batch(np.array([episode]))
        with torch.no_grad():
            said = agents.utilities_of(agents.online, batch.view.obs, batch.actions)
            qs = agents.preferences(agents.online, said, batch.view)[0].numpy()
        for t in range(int(batch.valid.sum())):
            np.testing.assert_allclose(qs[t], seen[k][0], rtol=0, atol=2e-6)
            np.testing.assert_array_equal(batch.view.available[0, t].numpy(), seen[k][1])
            k += 1
    assert k == len(seen)
    assert np.ptp([q for q, _ in seen], axis=0).max() > 1e-2, "utilities do change"


@every
def test_an_actor_sees_what_learning_sees(name):
    """Without exploration; a policy that samples does so from one as good as decided."""
    agents = ALGORITHMS[name](Unlike(), seed=1, epsilon_start=0, epsilon_end=0, **SMALL)
    with torch.no_grad():
        for body in agents.online.agent.bodies:
            body.head.weight *= 1e6
    told = play(agents, Unlike(), 4, learn=False, seed=6)
    actor, env, again = agents.actor(), Unlike(), []
    for k in range(4):
        observations, infos = env.reset(seed=6 if k == 0 else None)
        actor.reset()
        while env.agents:
            again.append(actor.act({a: observations[a] for a in env.agents}, infos))
            observations, _, _, _, infos = env.step(again[-1])
    assert again == told


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
@every
def test_actions_are_available_and_of_those_that_live(name, epsilon):
    """The env asserts: exactly the living agents, in their spaces, nothing that is masked."""
    agents = ALGORITHMS[name](
        Unlike(), seed=1, epsilon_start=epsilon, epsilon_end=epsilon, hidden_dim=8
    )
    told = play(agents, Unlike(), 12, learn=False, seed=2)
    assert {tuple(actions) for actions in told} == {
        ("walker", "flyer", "mole"),
        ("walker", "flyer"),
    }
    assert {actions["flyer"] for actions in told} == {5, 6}
    assert {actions["mole"] for actions in told if "mole" in actions} <= {-1, 0, 1, 2}


# -- the same seed ------------------------------------------------------------------------


@every
def test_same_seed_same_run(name, hashes):
    torch.rand(3), np.random.rand(3), random.random()
    assert fingerprint(run(name)) == hashes[name]
    assert fingerprint(run(name, seed=4)) != hashes[name]


def test_same_seed_same_run_in_another_process(hashes):
    here = str(Path(vdtoolkit.__file__).parents[1])
    told = subprocess.run(
        [sys.executable, helpers.__file__, *ALGORITHMS],
        env={**os.environ, "PYTHONPATH": here, "PYTHONHASHSEED": "1234"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(told) == hashes


@every
def test_the_global_random_state_is_untouched(name):
    def states():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()

    before = states()
    agents = run(name)
    agents.actor(explore=True).act(*Unlike().reset(seed=0))
    evaluate(agents, Unlike, 1)
    assert states() == before


@every
def test_evaluation_in_mid_episode_disturbs_nothing(name, hashes):
    agents = ALGORITHMS[name](Unlike(), seed=3, target_interval=4, **SMALL)
    asked = []

    def ask():
        asked.append(evaluate(agents, Unlike, 1).mean)
        agents.actor(explore=True).act(*Unlike().reset(seed=0))

    play(agents, Unlike(), episodes(name), seed=11, each_move=ask)
    assert len(asked) > 12
    assert fingerprint(agents) == hashes[name]


# -- what teaches and what does not -------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"td_lambda": 0.6}, {"dead": "noop"}], ids=str)
@every
def test_padding_teaches_nothing(name, settings):
    agents, batch = made(name, **settings)
    clean = taught(agents, batch)
    rng = torch.Generator().manual_seed(0)
    poisoned = copy_of(batch)
    view = poisoned.view
    for b, length in ((0, 5), (1, 2)):
        moments, moves = slice(length + 1, None), slice(length, None)
        view.obs[b, moments] = 1e3 * torch.randn(view.obs[b, moments].shape, generator=rng)
        view.state[b, moments] = 1e3 * torch.randn(view.state[b, moments].shape, generator=rng)
        view.available[b, moments] = (
            torch.rand(view.available[b, moments].shape, generator=rng) < 0.5
        )
        view.available[b, moments, :, 2] = True
        view.alive[b, moments] = True
        poisoned.actions[b, moves] = 3
        poisoned.reward[b, moves] = torch.nan
        poisoned.terminated[b, moves] = True
    assert not torch.equal(view.obs, batch.view.obs)
    assert_same(taught(agents, poisoned), clean)


@every
def test_moves_that_were_made_do_teach(name):
    """The counterpart: each valid move's reward changes what is taught."""
    agents, batch = made(name)
    clean = taught(agents, batch)["loss"]
    for b, t in batch.valid.nonzero().tolist():
        other = copy_of(batch)
        other.reward[b, t] += 1
        assert not torch.equal(taught(agents, other)["loss"], clean), (b, t)


@every
def test_the_dead_teach_nothing_and_are_taught_nothing(name):
    agents, batch = made(name)
    clean = taught(agents, batch)
    other = copy_of(batch)
    other.view.obs[0, 2:, 1] = 7.0  # agent 1 of episode 0 is dead from moment 2 on
    other.view.available[0, 2:, 1] = True
    other.actions[0, 2:, 1] = 3
    assert_same(taught(agents, other), clean)
    _, qs, hidden = leaves(agents, batch)
    for x in (qs, hidden):
        if x.grad is not None:
            assert (x.grad[0, 2:, 1] == 0).all()
            assert x.grad[0, :2, 1].any()
            assert x.grad[0, 2:, 0].any()


@every
def test_the_dead_learn_their_noop_where_that_is_asked_for(name):
    """COMA promises less: a policy that has one action has nothing to learn, its critic has."""
    agents, batch = made(name, dead="noop")
    if name in ON_POLICY:
        other = copy_of(batch)
        other.view.obs[0, 3, 1] += 1.0  # of the dead one
        one, two = taught(agents, batch), taught(agents, other)
        assert one["l_critic"] != two["l_critic"]
        return
    _, qs, hidden = leaves(agents, batch)
    reached = [x.grad[0, 2:5, 1].any() for x in (qs, hidden) if x.grad is not None]
    assert any(reached)


@pytest.mark.parametrize("lam", [0.0, 0.6])
@every
def test_a_truncated_end_bootstraps_and_a_terminated_one_does_not(name, lam):
    agents, batch = made(name, td_lambda=lam)
    clean = taught(agents, batch)
    for b, last, end in ((0, 5, "truncated"), (1, 2, "terminated")):
        other = copy_of(batch)
        other.view.obs[b, last] += 1.0
        other.view.state[b, last] += 1.0
        if end == "terminated":
            assert_same(taught(agents, other), clean)
        else:
            assert not torch.equal(taught(agents, other)["loss"], clean["loss"])


@every
def test_truncation_and_termination_reach_the_learner_apart(name):
    agents = ALGORITHMS[name](Unlike(), seed=0, **SMALL)
    play(agents, Unlike(), 4, learn=False, seed=0)
    stored = held(agents.replay)
    lengths = agents.replay.moves(np.arange(4))
    ended = [bool(stored["terminated"][k, n - 1]) for k, n in enumerate(lengths)]
    assert ended == [True, False, True, False]
    assert stored["terminated"][:4].sum() == 2
    alive = [stored["alive"][k, n].tolist() for k, n in enumerate(lengths)]
    assert alive == [[False] * 3, [True, True, False]] * 2
    for k in (1, 3):
        assert stored["obs"][k, lengths[k]].any(), "the last observation is kept"


@every
def test_the_order_of_the_episodes_does_not_matter(name):
    agents, batch = made(name)
    one, other = taught(agents, batch), taught(agents, copy_of(batch, torch.tensor([1, 0])))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@every
def test_a_batch_is_not_changed(name):
    agents, batch = made(name)
    kept = copy_of(batch)
    agents.learn_from(batch)
    for one, other in zip(pieces(batch), pieces(kept), strict=True):
        assert torch.equal(one, other)


@every
def test_every_parameter_is_trained_and_no_parameter_of_the_target(name):
    agents, batch = made(name)
    agents.target.requires_grad_(True)
    agents.loss(batch)[0].backward()
    for parameter, p in agents.online.named_parameters():
        assert p.grad is not None, parameter
        assert p.grad.abs().max() > 1e-12, parameter
    assert all(p.grad is None for p in agents.target.parameters())


@every
def test_a_reward_after_one_move_is_learned(name):
    """The reward that comes with the last observation: a one-step game is nothing else."""
    agents = ALGORITHMS[name](Bandit(), seed=0, lr=1e-2, hidden_dim=16, batch_size=16)
    play(agents, Bandit(), 100 * (agents.config.batch_size if name in ON_POLICY else 1))
    play(agents, Bandit(), 1, learn=False)
    view = agents.replay.batch(np.array([0])).view[0, 0]
    with torch.no_grad():
        said = agents.online.agent.unroll(
            view.obs[None, None], torch.zeros(1, 0, 1, dtype=torch.int64)
        )
    table, _ = q_table(agents, said.qs[0, 0], said.hidden[0, 0], view)
    torch.testing.assert_close(table.detach(), torch.tensor(Bandit.PAY), rtol=0, atol=0.1)
    assert agents.actor().act({"gambler": np.ones(2, np.float32)}) == {"gambler": 0}


# -- the ten lines ------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Unlike, Stateless, Nameless])
@every
def test_an_unlike_team_trains(name, make):
    agents = ALGORITHMS[name](make(), seed=0, **SMALL)
    assert agents.learn() == {}
    play(agents, make(), SMALL["batch_size"] - 1, learn=False, seed=0)
    assert agents.learn() == {}
    play(agents, make(), 1, learn=False)
    before = [p.detach().clone() for p in agents.online.parameters()]
    metrics = agents.learn()
    assert metrics
    assert all(type(value) is float and np.isfinite(value) for value in metrics.values())
    after = agents.online.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    play(agents, make(), 3)
    assert agents.updates > 1


@every
def test_what_the_env_hands_out_is_not_changed(name):
    agents = ALGORITHMS[name](Unlike(), seed=0, **SMALL)
    env = Unlike()
    observations, infos = env.reset(seed=0)
    state = env.state()
    kept = json.dumps([observations, infos, state], default=np.ndarray.tolist)
    actions = agents.act(observations, infos, state)
    said = env.step(dict(actions))
    kept_said = json.dumps(said, default=np.ndarray.tolist)
    agents.observe(*said, state=env.state())
    agents.act(said[0], said[4], env.state())
    assert json.dumps([observations, infos, state], default=np.ndarray.tolist) == kept
    assert json.dumps(said, default=np.ndarray.tolist) == kept_said


# -- IGM and monotonicity -----------------------------------------------------------------


@pytest.mark.parametrize("dead", ["zero", "noop"])
@pytest.mark.parametrize("name", EXACT)
def test_igm_holds_at_any_weights(name, dead):
    """Also under masks and deaths: the greedy joint action attains the greatest Q_tot."""
    agents = ALGORITHMS[name](small_team(), dead=dead, **SMALL)
    actions = joint_actions(3, 4)
    spread = []
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        randomised(agents, generator, scale=0.3 + seed % 3)
        qs, hidden, view = moment(agents.team.spec, generator)
        table, _ = q_table(agents, qs, hidden, view)
        possible = view.available[torch.arange(3), actions].all(-1)
        ranked = agents.preferences(agents.online, Utilities(qs, hidden), view)
        at_greedy = table[(actions == greedy(ranked, view.available)).all(-1)]
        best = table[possible].max()
        assert at_greedy >= best - 1e-9 * (1 + best.abs()), seed
        spread.append(float((best - table[possible].min()).detach()))
    assert np.median(spread) > 0.1, "there is something to choose"


@pytest.mark.parametrize("name", MONOTONE)
def test_no_slope_is_negative_and_none_of_the_dead_is_felt(name):
    agents = ALGORITHMS[name](small_team(), **SMALL)
    strict = agents.function_class == "additive"
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        randomised(agents, generator, scale=0.3)
        qs, hidden, view = moment(agents.team.spec, generator)
        qs.requires_grad_()
        actions = joint_actions(3, 4)[seed]
        q = agents.q_tot(agents.online, Utilities(qs, hidden), actions, view)
        (slopes,) = torch.autograd.grad(q, qs)
        own = slopes[torch.arange(3), actions]
        assert (own[view.alive] > 0 if strict else own[view.alive] >= 0).all()
        assert (own[~view.alive] == 0).all()
        own_only = torch.zeros_like(slopes)
        own_only[torch.arange(3), actions] = own
        assert torch.equal(slopes, own_only), "utilities of other actions do not enter"


@pytest.mark.parametrize("name", MONOTONE)
def test_raising_one_utility_never_lowers_q_tot(name):
    agents = ALGORITHMS[name](small_team(), **SMALL)
    rises = 0
    for seed, step, i in itertools.product(range(10), (1e-3, 1.0, 30.0), range(3)):
        generator = torch.Generator().manual_seed(seed)
        randomised(agents, generator)
        qs, hidden, view = moment(agents.team.spec, generator, deaths=False)
        higher = qs.clone()
        higher[i] += step
        before, _ = q_table(agents, qs, hidden, view)
        after, _ = q_table(agents, higher, hidden, view)
        assert (after >= before - 1e-9 * (1 + before.abs())).all()
        rises += int((after > before).sum())
    assert rises > 0.9 * 10 * 3 * 3 * 64 or agents.function_class == "elu_qmix"
    assert rises > 0


@every
def test_every_claim_is_one_of_three(name):
    assert ALGORITHMS[name].claim in ("exact", "trained", "none")
    assert ALGORITHMS[name].name == name
    assert ALGORITHMS[name].label


def pieces(batch):
    rest = (v for k, v in vars(batch).items() if k != "view")
    return [*vars(batch.view).values(), *(v for v in rest if v is not None)]


def copy_of(batch, order=slice(None)):
    """The batch in tensors of its own, its episodes in this order."""
    view = replace(batch.view, **{k: v[order].clone() for k, v in vars(batch.view).items()})
    rest = {k: v for k, v in vars(batch).items() if k != "view"}
    rest = {k: v if v is None else v[order].clone() for k, v in rest.items()}
    return EpisodeBatch(view, **rest)
