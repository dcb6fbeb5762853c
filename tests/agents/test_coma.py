"""COMA: the policy, the critic and the loss against loops, who may learn from what, small games."""

from functools import partial

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv
from results.whole_games import whole_game

from vdtoolkit import COMAAgents, CounterfactualCritic, evaluate, igm, load, train
from vdtoolkit.agents.coma import FreshEpisodes, advantages, drawn, floored_policy
from vdtoolkit.batch import chosen
from vdtoolkit.envs import matrix_game_v0, two_step_v0
from vdtoolkit.step import Step, TeamSpec

from .helpers import (
    SMALL,
    Bandit,
    Given,
    Unlike,
    give,
    moment,
    play,
    random_batch,
    randomised,
    small_team,
    team_of,
)
from .test_value import two_moves

# -- the policy ---------------------------------------------------------------------------


def test_the_floor_is_shared_among_what_is_available():
    logits = torch.tensor([1.0, 5.0, 1.0, 1.0 + float(np.log(2))])
    available = torch.tensor([True, False, True, True])
    pi = floored_policy(logits, available, 0.3)
    wanted = [0.7 / 4 + 0.1, 0.0, 0.7 / 4 + 0.1, 0.7 / 2 + 0.1]
    torch.testing.assert_close(pi, torch.tensor(wanted))


@pytest.mark.parametrize("epsilon", [0.0, 0.4, 1.0])
def test_it_is_a_distribution_over_what_is_available_for_any_logits(epsilon):
    generator = torch.Generator().manual_seed(0)
    logits = 50 * torch.randn(40, 3, 4, generator=generator)
    available = torch.rand(40, 3, 4, generator=generator) < 0.5
    available[..., 1] |= ~available.any(-1)
    pi = floored_policy(logits, available, epsilon)
    torch.testing.assert_close(pi.sum(-1), torch.ones(40, 3))
    assert (pi[~available] == 0).all()
    share = (1 / available.sum(-1, keepdim=True)).expand_as(pi)
    assert (pi[available] >= epsilon * share[available] - 1e-7).all()
    if epsilon == 1:
        torch.testing.assert_close(pi[available], share[available])


def test_actions_are_sampled_as_the_policy_says_and_never_where_it_says_0():
    agents, rng = COMAAgents(small_team(), **SMALL), np.random.default_rng(0)
    logits = np.tile(np.array([0.0, 1.0, 9.0, -1.0], np.float32), (9000, 3, 1))
    available = np.ones((9000, 3, 4), bool)
    available[..., 2] = False
    for epsilon in (0.0, 0.5):
        told = agents.policy(logits, available, epsilon, rng)
        assert told.shape == (9000, 3)
        assert told.dtype == np.int64
        wanted = floored_policy(torch.tensor(logits[0, 0]), torch.tensor(available[0, 0]), epsilon)
        for i in range(3):
            share = np.bincount(told[:, i], minlength=4) / 9000
            assert share[2] == 0
            np.testing.assert_allclose(share, wanted, atol=0.025)
        assert abs(np.corrcoef(told[:, 0] == 1, told[:, 1] == 1)[0, 1]) < 0.05, "each draws alone"


def test_the_greedy_team_takes_the_mode_of_what_is_available():
    agents = COMAAgents(small_team(), **SMALL)
    qs = np.array([[[0, 3, 9, 1], [2, 1, 0, 0], [0, 0, 0, 5]]], np.float32)
    available = np.ones((1, 3, 4), bool)
    available[0, 0, 2] = False
    for _ in range(10):
        told = agents.greedy_policy(qs, available, 0.0, np.random.default_rng())
        assert told.tolist() == [[1, 0, 3]]


def test_who_explores_samples_even_without_a_floor_and_who_evaluates_does_not():
    agents = COMAAgents(Bandit(), seed=0, epsilon_start=0.0, epsilon_end=0.0, hidden_dim=8)
    seen = {"gambler": np.ones(2, np.float32)}
    played = {}
    for explore in (True, False):
        actor = agents.actor(explore)
        played[explore] = set()
        for _ in range(60):
            actor.reset()
            played[explore].add(actor.act(seen)["gambler"])
    assert played[True] == {0, 1, 2}
    assert len(played[False]) == 1


def test_epsilon_moves_on_with_gradient_steps_alone():
    agents = COMAAgents(
        Bandit(), hidden_dim=8, batch_size=4, epsilon_start=0.5, epsilon_end=0.1, epsilon_steps=10
    )
    said = []
    play(agents, Bandit(), 12, each_move=lambda: said.append(round(agents.epsilon(), 9)))
    assert agents.updates == 3
    assert said == [0.5] * 3 + [0.34] * 4 + [0.18] * 4 + [0.1]


# -- the critic ---------------------------------------------------------------------------


def test_the_critic_sees_state_own_observation_the_others_actions_and_who_asks():
    critic = CounterfactualCritic(3, 4, 2, 5, 6)
    fed = []
    critic.out.forward = lambda x: fed.append(x) or x[..., :4]
    obs, state = torch.arange(6.0).reshape(3, 2), torch.arange(10.0, 15.0)
    critic(obs, torch.tensor([1, 2, 3]), state, torch.tensor([True, True, True]))
    own = [[0.0, 1, 0, 0], [0.0, 0, 1, 0], [0.0, 0, 0, 1]]
    for i in range(3):
        others = [x for j in range(3) for x in (own[j] if j != i else [0.0] * 4)]
        wanted = [*state.tolist(), *obs[i].tolist(), *others, *np.eye(3)[i].tolist()]
        assert fed[0][i].tolist() == wanted
    critic(obs, torch.tensor([1, 2, 3]), state, torch.tensor([True, True, False]))
    assert fed[1][0, 7:19].tolist() == [0.0] * 4 + own[1] + [0.0] * 4, "the dead do nothing"


def test_row_i_does_not_hang_on_what_i_did():
    torch.manual_seed(0)
    critic = CounterfactualCritic(3, 4, 2, 5, 6)
    args = torch.randn(3, 2), torch.randn(5), torch.ones(3, dtype=torch.bool)
    one = critic(args[0], torch.tensor([1, 2, 3]), *args[1:])
    other = critic(args[0], torch.tensor([1, 0, 3]), *args[1:])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], other[0])
    assert not torch.equal(one[2], other[2])


def test_advantages_by_hand_and_of_no_weight_under_the_policy():
    table = torch.tensor([[1.0, 2.0, 6.0], [0.0, 4.0, 8.0]])
    pi = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    told = [advantages(pi, table, torch.tensor([a, a])).tolist() for a in range(3)]
    assert told == [[1 - 2.5, 0 - 0], [2 - 2.5, 4 - 0], [6 - 2.5, 8 - 0]]
    mean = sum(p * a[0] for p, a in zip(pi[0].tolist(), told, strict=True))
    assert mean == 0.0


# -- the loss -----------------------------------------------------------------------------


def softmax(z, available, epsilon):
    e = [np.exp(x) if a else 0.0 for x, a in zip(z, available, strict=True)]
    return [
        (1 - epsilon) * x / sum(e) + epsilon * a / sum(available)
        for x, a in zip(e, available, strict=True)
    ]


def loss_by_loops(agents, batch):
    """One agent and moment at a time, in Python's numbers; (L_actor, L_critic)."""
    c, view = agents.config, batch.view
    n, a = view.available.shape[-2:]
    noop = c.dead == "noop"
    with torch.no_grad():
        logits = agents.online.agent.unroll(view.obs, batch.actions).qs.tolist()
    lots = np.random.default_rng((agents.seed, agents.updates)).standard_exponential(
        (n, a), np.float32
    )

    def pi(b, t, i):
        return softmax(logits[b][t][i], view.available[b, t, i].tolist(), agents.epsilon())

    def row(critic, b, t, i, u):
        """Q(s, (u_-i, .)) as the critic has it, its input built from scratch."""
        x = view.state[b, t].tolist() + view.obs[b, t, i].tolist()
        for j in range(n):
            there = j != i and (noop or view.alive[b, t, j])
            x += [float(there and u[j] == k) for k in range(a)]
        x += [float(i == j) for j in range(n)]
        with torch.no_grad():
            return critic.out(torch.tensor(x)).tolist()

    def lives(b, t, i):
        return noop or bool(view.alive[b, t, i])

    actor, critic, count = 0.0, 0.0, 0
    for b in range(len(batch.valid)):
        length, u = int(batch.valid[b].sum()), batch.actions[b].tolist()
        u = [*u[:length], [int(np.argmin([
            x / p if p > 0 else np.inf for x, p in zip(lots[i], pi(b, length, i), strict=True)
        ])) for i in range(n)]]  # fmt: skip
        after = {}  # Q(s_t, u_t) of the target critic
        for t in range(1, length + 1):
            each = [row(agents.target.mixer, b, t, i, u[t])[u[t][i]] for i in range(n)]
            living = [each[i] for i in range(n) if lives(b, t, i)] or [0.0]
            team = sum(living) / len(living)
            after[t] = [each[i] if lives(b, t, i) else team for i in range(n)]
        for i in range(n):
            g = None
            for t in reversed(range(length)):
                r, over = float(batch.reward[b, t]), bool(batch.terminated[b, t])
                ahead = after[t + 1][i]
                if g is not None:
                    ahead = (1 - c.td_lambda) * ahead + c.td_lambda * g
                g = r + c.gamma * (0.0 if over else ahead)
                if not lives(b, t, i):
                    continue
                q, p = row(agents.online.mixer, b, t, i, u[t]), pi(b, t, i)
                baseline = sum(x * y for x, y in zip(p, q, strict=True))
                critic += (q[u[t][i]] - g) ** 2
                actor -= (q[u[t][i]] - baseline) * np.log(p[u[t][i]])
                count += 1
    return actor / count, critic / count


@pytest.mark.parametrize("dead", ["zero", "noop"])
@pytest.mark.parametrize("lam", [0.0, 0.8, 1.0])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"recurrent": False, "last_action": False},
        {"share_parameters": False, "agent_id": False, "epsilon_start": 0.0},
    ],
    ids=str,
)
def test_the_loss_is_what_loops_over_agents_and_moments_give(dead, lam, settings):
    agents = COMAAgents(small_team(), seed=2, dead=dead, td_lambda=lam, **SMALL, **settings)
    other = COMAAgents(small_team(), seed=3, **SMALL, **settings)
    agents.target.load_state_dict(other.online.state_dict())
    batch = random_batch(agents.team.spec, seed=5)
    loss, metrics = agents.loss(batch)
    l_actor, l_critic = loss_by_loops(agents, batch)
    assert metrics["l_actor"].item() == pytest.approx(l_actor, rel=1e-4)
    assert metrics["l_critic"].item() == pytest.approx(l_critic, rel=1e-4)
    assert loss.item() == pytest.approx(l_actor + l_critic, rel=1e-4)


class GivenCritic(torch.nn.Module):
    """In the place of a critic: a table [..., N, A], whatever is asked."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, obs, actions, state, alive):
        return self.table


def test_the_targets_by_hand():
    """Q(s', u') at the action taken next, (1, 2), not at the best; lambda mixes it with G."""
    batch, pi = two_moves(True), torch.full((1, 3, 2, 3), 1 / 3)
    after = torch.tensor([[[[5.0, 10, 90], [1, 2, 4]], [[7, 7, 7], [7, 7, 7]]]])
    for lam, first in ((0.0, (1 + 5.0, 1 + 2.0)), (0.5, (1 + 2.5 - 0.5, 1 + 1 - 0.5))):
        agents = COMAAgents(team_of(2, 3), gamma=0.5, td_lambda=lam, **SMALL)
        agents.target.mixer = GivenCritic(after)
        told = agents.targets(batch, pi)
        assert told.tolist() == [[list(first), [-2.0, -2.0]]]


def test_after_a_time_limit_the_next_action_is_drawn_from_the_policy():
    batch, told = two_moves(False), []
    pi = torch.tensor([[0.2, 0.0, 0.8], [0.0, 1.0, 0.0]]).expand(1, 3, 2, 3)
    after = torch.tensor([[[[0.0, 0, 0], [0, 0, 0]], [[10.0, 99, 20], [99, 30, 99]]]])
    agents = COMAAgents(team_of(2, 3), gamma=0.5, td_lambda=0.0, **SMALL)
    agents.target.mixer = GivenCritic(after)
    for agents.updates in range(400):
        told.append(agents.targets(batch, pi)[0, 1].tolist())
    first, second = np.array(told).T
    assert set(first) == {-2 + 5.0, -2 + 10.0}
    assert np.mean(first == 8.0) == pytest.approx(0.8, abs=0.06)
    assert set(second) == {-2 + 15.0}
    assert told[0] == agents_again(batch, pi, after), "one step's dice are always the same"


def agents_again(batch, pi, after):
    agents = COMAAgents(team_of(2, 3), gamma=0.5, td_lambda=0.0, **SMALL)
    agents.target.mixer = GivenCritic(after)
    return agents.targets(batch, pi)[0, 1].tolist()


def test_padding_in_which_the_action_is_not_available_does_not_turn_into_nan():
    agents = COMAAgents(small_team(), seed=0, epsilon_start=0.0, **SMALL)
    batch = random_batch(agents.team.spec)
    batch.actions[1, 2:] = 3  # padding: action 0 alone is available
    agents.loss(batch)[0].backward()
    for name, p in agents.online.named_parameters():
        assert torch.isfinite(p.grad).all(), name


# -- gradient flow ------------------------------------------------------------------------


def gradients(agents, batch, part):
    agents.online.zero_grad(set_to_none=True)
    agents.loss(batch)[1][part].backward()
    return {
        n: p.grad is not None and bool(p.grad.any()) for n, p in agents.online.named_parameters()
    }


def test_the_actors_loss_trains_no_critic_and_the_critics_no_actor():
    agents = COMAAgents(small_team(), seed=0, **SMALL)
    batch = random_batch(agents.team.spec)
    for name, reached in gradients(agents, batch, "l_actor").items():
        assert reached == name.startswith("agent."), name
    for name, reached in gradients(agents, batch, "l_critic").items():
        assert reached == name.startswith("mixer."), name


def test_targets_carry_no_gradient_even_if_the_target_network_could():
    agents = COMAAgents(small_team(), seed=0, **SMALL)
    agents.target.requires_grad_(True)
    batch = random_batch(agents.team.spec)
    assert batch.bootstraps
    agents.loss(batch)[0].backward()
    assert all(p.grad is None for p in agents.target.parameters())
    assert not agents.targets(batch, torch.full((2, 6, 3, 4), 0.25)).requires_grad


def test_the_actors_gradient_by_hand():
    """d(-A log pi(u)) / dz = A (pi - onehot u), for one agent's one move without a floor."""
    agents = COMAAgents(team_of(1, 3), epsilon_start=0.0, **SMALL)
    batch = random_batch(agents.team.spec, lengths=(1,), ended=(True,), deaths=())
    batch.view.available[:] = True
    z = torch.tensor([0.3, -0.2, 0.5])
    qs = z.expand(1, 2, 1, 3).clone().requires_grad_()
    agents.online.agent = Given(qs)
    table = torch.tensor([[[[1.0, 4.0, -2.0]]]])
    agents.online.mixer = GivenCritic(table)
    agents.loss(batch)[1]["l_actor"].backward()
    pi, u = z.softmax(0), int(batch.actions[0, 0, 0])
    advantage = table[0, 0, 0, u] - (pi * table[0, 0, 0]).sum()
    torch.testing.assert_close(qs.grad[0, 0, 0], advantage * (pi - torch.eye(3)[u]))


def test_actor_and_critic_are_clipped_each_for_itself():
    agents = COMAAgents(small_team(), seed=0, grad_clip=0.5, **SMALL)
    batch = random_batch(agents.team.spec)
    batch.reward.mul_(1000)
    agents.loss(batch)[0].backward()
    actor = torch.cat([p.grad.flatten() for p in agents.online.agent.parameters()]).clone()
    agents.clip_gradient()
    critic = torch.cat([p.grad.flatten() for p in agents.online.mixer.parameters()])
    assert float(critic.norm()) == pytest.approx(0.5, rel=1e-4)
    after = torch.cat([p.grad.flatten() for p in agents.online.agent.parameters()])
    torch.testing.assert_close(after, actor * min(1.0, 0.5 / float(actor.norm())))


# -- on-policy ----------------------------------------------------------------------------


class Playing(COMAAgents):
    """Remembers with which logits and epsilon each moment was played, and what was learned from."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.played, self.learned = {}, []

    def act_steps(self):
        self.now = self._moment
        return super().act_steps()

    def policy(self, qs, available, epsilon, rng):
        for e in range(len(qs)):
            self.played[self.now.obs[e].tobytes()] = (qs[e].copy(), epsilon)
        return super().policy(qs, available, epsilon, rng)

    def draw(self):
        batch = super().draw()
        if batch is not None:
            logits = self.online.agent.unroll(batch.view.obs, batch.actions).qs.detach().numpy()
            for b, t in batch.valid.nonzero().tolist():
                key = batch.view.obs[b, t].numpy().tobytes()
                qs, epsilon = self.played[key]
                np.testing.assert_allclose(qs, logits[b, t], rtol=0, atol=2e-6)
                assert epsilon == self.epsilon()
                self.learned.append(key)
        return batch


@pytest.mark.parametrize(
    ("n_envs", "updates_per_episode"), [(1, 1.0), (3, 1.0), (5, 0.2), (5, 3.0)]
)
def test_every_batch_was_played_by_the_policy_that_learns_from_it_and_teaches_once(
    n_envs, updates_per_episode
):
    agents = Playing(Unlike(), seed=0, epsilon_steps=200, lr=0.05, **SMALL)
    train(agents, Unlike, 400, n_envs, updates_per_episode=updates_per_episode)
    assert agents.updates > 5
    assert len(set(agents.learned)) == len(agents.learned)
    if n_envs == 1:
        begun = agents.episodes // SMALL["batch_size"]
        assert agents.updates == begun, "one after another: nothing is wasted"


def test_learning_in_the_middle_of_an_episode_drops_it():
    agents, env = Playing(Unlike(), seed=0, **SMALL), Unlike(lengths=(4,))
    play(agents, env, 3, learn=False)
    observations, infos = env.reset()
    for t in range(4):
        actions = agents.act(observations, infos, env.state())
        observations, *told, infos = env.step(actions)
        agents.observe(observations, *told, infos, env.state())
        if t == 1:
            assert agents.learn()
    assert (agents.episodes, len(agents.replay)) == (4, 0)
    assert agents.learn() == {}
    play(agents, env, 3, learn=False)
    assert len(agents.replay) == 3
    assert agents.learn()


def test_more_learning_than_there_are_episodes_for_does_nothing():
    agents = COMAAgents(Unlike(), seed=0, **SMALL)
    play(agents, Unlike(), 3, learn=False)
    assert agents.learn()
    assert agents.learn() == {}
    assert agents.updates == 1
    assert agents.policy_moves == agents.moves


SPEC = TeamSpec(n_agents=2, n_actions=3, obs_dim=1, state_dim=1)


def steps(lengths, n_envs, lost=()):
    """Steps of n_envs rows that play episodes of these lengths, each the next to begin."""
    queue = list(enumerate(lengths))
    row = [None] * n_envs  # (number, length, moves made)
    over = [False] * n_envs
    first = True
    while True:
        started, ended, gone, tags = [], [], [], []
        for e in range(n_envs):
            begins = first or over[e]
            if begins:
                if not queue:
                    return
                row[e] = (*queue.pop(0), 0)
            else:
                row[e] = (*row[e][:2], row[e][2] + 1)
            number, length, made = row[e]
            started.append(begins)
            ended.append(made == length)
            gone.append(made == length and number in lost)
            tags.append(number)
        over, first = ended, False
        E = n_envs
        yield Step(
            obs=np.tile(np.array(tags, np.float32)[:, None, None], (1, 2, 1)),
            state=np.zeros((E, 1), np.float32),
            available=np.ones((E, 2, 3), bool),
            alive=np.ones((E, 2), bool),
            reward=np.zeros(E, np.float32),
            first=np.array(started),
            terminated=np.array(ended),
            truncated=np.zeros(E, bool),
            lost=np.array(gone),
        )


def taken(lengths, n_envs, n, lost=()):
    """The numbers of the episodes in each batch, taken as soon as one is ready."""
    replay, batches = FreshEpisodes(50, SPEC), []
    stream = steps(lengths, n_envs, lost)
    replay.begin(next(stream))
    for step in stream:
        replay.append(np.zeros((n_envs, 2), np.int64), step)
        if replay.ready(n):
            batch = replay.take(n, acted=False)
            batches.append(batch.view.obs[:, 0, 0, 0].int().tolist())
            assert len(replay) == 0
            assert not replay.ready(n)
    return batches


def test_a_batch_is_the_first_episodes_to_begin_not_the_first_to_end():
    # 0 is long: 1, 2, 3 are over before it, and 4 as well; rows 0 and 1
    assert taken([5, 1, 1, 9, 1, 1, 1, 1, 1, 1], 2, 2)[0] == [1, 0], "in the order of their ends"


def test_what_began_before_a_gradient_step_is_not_in_the_next_batch():
    batches = taken([2, 6, 2, 2, 2, 2, 2, 2], 2, 1)
    assert [0] in batches
    assert [1] not in batches, "it had begun when 0 was learned from"


def test_a_lost_episode_is_not_waited_for():
    assert taken([1, 2, 3, 1, 1, 1, 1, 1], 2, 2, lost=(1,))[0] == [0, 2]


def test_long_episodes_teach_as_often_as_they_begin():
    rng = np.random.default_rng(0)
    lengths = np.where(rng.random(3000) < 0.5, 1, 9)
    learned = np.concatenate(taken(lengths.tolist(), 4, 4))
    assert len(learned) > 500
    assert np.mean(lengths[learned] == 9) == pytest.approx(0.5, abs=0.06)


def test_an_episode_that_has_not_moved_yet_is_still_fresh_unless_a_move_is_being_made():
    for acted, left in ((False, 1), (True, 0)):
        replay, stream = FreshEpisodes(50, SPEC), steps([1, 2, 1], 1)
        replay.begin(next(stream))
        idle = np.zeros((1, 2), np.int64)
        replay.append(idle, next(stream))
        replay.append(idle, next(stream))  # episode 1 begins
        replay.take(1, acted=acted)
        replay.append(idle, next(stream))
        assert replay.append(idle, next(stream)) == 1, "completed, stored or not"
        assert len(replay) == left


def test_too_small_a_buffer_is_an_error_and_an_emptied_one_is_not():
    agents = COMAAgents(Unlike(), batch_size=3, buffer_bytes=1000, hidden_dim=8)
    with pytest.raises(ValueError, match=r"buffer_bytes=1000 holds . episodes now, too few"):
        play(agents, Unlike(), 30)
    agents = COMAAgents(Unlike(), **SMALL)
    play(agents, Unlike(), 4)
    assert agents.learn() == {}


def test_a_saved_team_goes_on_with_the_episodes_it_had(tmp_path):
    agents = COMAAgents(Unlike(), seed=0, **SMALL)
    play(agents, Unlike(), 5)  # one gradient step, and 2 episodes wait
    agents.save(tmp_path / "a")
    again = load(tmp_path / "a")
    assert (again.policy_moves, len(again.replay)) == (agents.policy_moves, 2)
    assert again.epsilon() == agents.epsilon() < 0.5
    for each in (agents, again):
        play(each, Unlike(), 1, learn=False, seed=4)
    assert agents.learn() == again.learn() != {}


# -- what is claimed and shown ------------------------------------------------------------


def test_what_is_claimed():
    assert (COMAAgents.claim, COMAAgents.function_class) == ("none", "unknown")
    assert COMAAgents.q_tot_label == "Q(s, u) (critic)"
    assert issubclass(COMAAgents.Config, type(COMAAgents(small_team()).config))


def test_what_stands_for_q_tot_is_the_mean_of_the_living_agents_rows():
    agents = randomised(COMAAgents(small_team(), **SMALL), torch.Generator().manual_seed(1))
    qs, hidden, view = moment(agents.team.spec, torch.Generator().manual_seed(3), deaths=False)
    view.alive[1] = False
    actions = torch.tensor([1, 2, 3])
    table = agents.counterfactual(agents.online, actions, view)
    told = agents.q_tot(agents.online, (qs, hidden), actions, view)
    torch.testing.assert_close(told, (table[0, 1] + table[2, 3]) / 2)


def exact_critic(payoff):
    """Q(s, (u_-i, .)) = R of a two-agent matrix game."""
    R = torch.as_tensor(np.asarray(payoff), dtype=torch.float32)

    class Exact(torch.nn.Module):
        def forward(self, obs, actions, state, alive):
            return torch.stack([R.T[actions[..., 1]], R[actions[..., 0]]], -2)

    return Exact()


FIRST = {  # expected advantage of each action at uniform policies and an exact critic
    "nonmonotonic": ([-0.8889, 0.4444, 0.4444], [-0.8889, 0.4444, 0.4444]),
    "climbing": ([-2.8889, -2.2222, 5.1111], [-2.8889, -4.2222, 7.1111]),
}


@pytest.mark.parametrize("game", FIRST)
def test_the_first_expected_advantages_at_an_exact_critic(game):
    env = matrix_game_v0.parallel_env(game)
    agents = COMAAgents(env, epsilon_start=0.0, recurrent=False, last_action=False, **SMALL)
    agents.online.mixer = exact_critic(matrix_game_v0.payoff(game))
    batch = whole_game(agents, env.unwrapped)  # all 9 joint actions
    table = agents.counterfactual(agents.online, batch.actions, batch.view[:, :-1])
    each = advantages(torch.full_like(table, 1 / 3), table, batch.actions)[:, 0]
    for i, wanted in enumerate(FIRST[game]):
        means = [float(each[batch.actions[:, 0, i] == a, i].mean()) for a in range(3)]
        np.testing.assert_allclose(means, wanted, atol=1e-4)
    if game == "nonmonotonic":
        wanted = [13.3333, -8, -8, -6.6667, 4, 4, -6.6667, 4, 4]
        np.testing.assert_allclose(each[:, 0], wanted, atol=1e-4)
    # the actor's gradient: -1/3 of it for each of 2 agents, so the first step leaves A alone
    qs = torch.zeros(9, 2, 2, 3, requires_grad=True)
    give(agents, qs)
    agents.loss(batch)[1]["l_actor"].backward()
    wanted = -torch.tensor(FIRST[game]) / 3 / 2
    torch.testing.assert_close(qs.grad.sum(0)[0], wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("game", FIRST)
def test_a_critic_that_learned_from_uniform_play_gives_the_same_advantages(game):
    make = partial(matrix_game_v0.parallel_env, game)
    agents = COMAAgents(
        make(), seed=0, recurrent=False, epsilon_start=1.0, epsilon_end=1.0, lr=1e-2, batch_size=64
    )
    train(agents, make, 64 * 250, 64)
    (state,) = igm.audit(agents, make()).states
    assert state.regret > 0
    np.testing.assert_allclose(state.evidence["policy"], 1 / 3, atol=1e-6)
    np.testing.assert_allclose(state.q_tot, state.payoff, atol=1.0)
    first, second = (state.evidence[f"advantage, {a}"] for a in agents.team.agents)
    np.testing.assert_allclose(first.mean(1), FIRST[game][0], atol=0.5)
    np.testing.assert_allclose(second.mean(0), FIRST[game][1], atol=0.5)


# -- learning -----------------------------------------------------------------------------

QUICK = {"recurrent": False, "lr": 1e-2, "epsilon_steps": 2000, "hidden_dim": 32}


@pytest.mark.parametrize("seed", range(3))
def test_it_learns_a_game_in_which_each_step_counts(seed):
    make = partial(matrix_game_v0.parallel_env, "monotonic")
    agents = COMAAgents(make(), seed=seed, **QUICK)
    train(agents, make, 3000, 8, seed=seed)
    assert evaluate(agents, make, 2).mean == 8.0


def test_it_leaves_the_peak_of_climbing_as_its_first_advantages_say():
    make = partial(matrix_game_v0.parallel_env, "climbing")
    agents = COMAAgents(make(), seed=0, **QUICK)
    train(agents, make, 3000, 8)
    assert igm.audit(agents, make()).states[0].greedy == (2, 2)
    assert evaluate(agents, make, 2).mean == 5.0


class Corridor(ParallelEnv):
    """Two agents at 0 of a line of 4 places; both go right (1) or the team stays; 10 moves.

    The reward is 1 at the right end alone, each move that is spent there; never terminates.
    """

    metadata = {"name": "corridor_v0"}  # noqa: RUF012
    possible_agents = ["a", "b"]  # noqa: RUF012

    def observation_space(self, agent):
        return spaces.Box(0, 1, (4,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.at, self.t = list(self.possible_agents), 0, 0
        return self._seen(), {a: {} for a in self.agents}

    def step(self, actions):
        self.at = min(self.at + (sum(actions.values()) == 2), 3)
        self.t += 1
        here, over = self.agents, self.t == 10
        self.agents = [] if over else here
        return (
            self._seen(),
            dict.fromkeys(here, float(self.at == 3)),
            dict.fromkeys(here, False),
            dict.fromkeys(here, over),
            {a: {} for a in here},
        )

    def _seen(self):
        return {a: np.eye(4, dtype=np.float32)[self.at] for a in self.possible_agents}


@pytest.mark.parametrize("recurrent", [True, False])
def test_it_learns_a_way_of_several_moves_cut_off_by_a_time_limit(recurrent):
    agents = COMAAgents(Corridor(), seed=0, lr=5e-3, epsilon_steps=5000, recurrent=recurrent)
    assert evaluate(agents, Corridor, 3, explore=True).mean < 4
    train(agents, Corridor, 9000, 8)
    assert evaluate(agents, Corridor, 2).mean == 8.0


def test_a_two_step_game_is_learned_to_one_of_its_two_peaks():
    agents = COMAAgents(two_step_v0.parallel_env(), seed=0, **{**QUICK, "epsilon_steps": 5000})
    train(agents, two_step_v0.parallel_env, 5000, 8)
    assert evaluate(agents, two_step_v0.parallel_env, 2).mean in (7.0, 8.0)


def test_drawn_never_takes_what_has_no_weight():
    pi = torch.tensor([0.0, 1e-30, 0.0])
    for seed in range(20):
        lots = torch.from_numpy(np.random.default_rng(seed).standard_exponential(3, np.float32))
        assert drawn(pi, lots) == 1
    assert drawn(torch.tensor([0.5, 0.0, 0.5]), torch.zeros(3)) in (0, 2)
    assert chosen(pi, torch.tensor(1)) > 0
