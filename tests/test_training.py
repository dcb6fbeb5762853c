"""The loop: how often it learns, when it calls back, and evaluation that disturbs nothing."""

from functools import partial

import numpy as np
import pytest
import torch
from failing_envs import Winning
from pettingzoo.utils import BaseParallelWrapper
from scipy import stats
from teams import Relay, Rooms, says
from vector_envs import Lengths

from vdtoolkit import QMIXAgents, VDNAgents, training
from vdtoolkit.envs import matrix_game_v0, switch_v0, two_step_v0
from vdtoolkit.stream import stream
from vdtoolkit.team import Team
from vdtoolkit.training import Evaluation, evaluate, play, train

SMALL = {"hidden_dim": 8, "batch_size": 1, "recurrent": False}


def one_shot():
    return matrix_game_v0.parallel_env("climbing")


def always(agents, joint):
    """The same agents, whose greedy actions are these."""
    qs = torch.nn.functional.one_hot(torch.tensor(joint), agents.team.spec.n_actions).float()
    head = agents.online.agent.bodies
    with torch.no_grad():
        for i, body in enumerate(head):
            body.head.weight.zero_()
            body.head.bias.copy_(qs[i])
    return agents


# -- learning -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("updates", "expected"), [(0.0, 0), (0.1, 2), (0.25, 5), (0.5, 10), (1.0, 20), (2.5, 50)]
)
def test_gradient_steps_for_each_episode_may_be_a_fraction(updates, expected):
    agents = VDNAgents(one_shot(), **SMALL)
    train(agents, one_shot, 20, updates_per_episode=updates)
    assert (agents.moves, agents.episodes, agents.updates) == (20, 20, expected)


def test_the_last_metrics_come_back_and_none_if_nothing_was_learned():
    agents = VDNAgents(one_shot(), **SMALL)
    assert train(agents, one_shot, 3, updates_per_episode=0) == {}
    metrics = train(agents, one_shot, 3)
    assert set(metrics) >= {"loss", "grad_norm", "q_tot", "target"}


@pytest.mark.parametrize("updates", [-0.5, float("nan")])
def test_gradient_steps_cannot_be_fewer_than_none(updates):
    agents = VDNAgents(one_shot(), **SMALL)
    with says(ValueError, f"updates_per_episode={updates}: it must be at least 0"):
        train(agents, one_shot, 20, updates_per_episode=updates)


def test_a_callback_every_no_moves_is_refused():
    with says(ValueError, "every=0: the callback needs at least one move between calls"):
        train(VDNAgents(one_shot(), **SMALL), one_shot, 20, every=0)


@pytest.mark.parametrize("n_envs", [1, 3, 4])
def test_moves_count_what_the_team_plays_and_resets_cost_none(n_envs):
    agents = VDNAgents(two_step_v0.parallel_env(), **SMALL)
    train(agents, two_step_v0.parallel_env, 24, n_envs)
    assert agents.moves == 24
    assert agents.episodes == agents.updates == 12


def test_training_goes_on_where_it_stopped():
    agents = VDNAgents(one_shot(), **SMALL)
    for moves in (5, 10):
        train(agents, one_shot, 5)
        assert agents.moves == moves
    assert agents.act(*one_shot().reset(), state=np.ones(1, np.float32))  # no episode is open


def test_an_env_whose_state_has_no_space_is_trained_on():
    agents = QMIXAgents(Relay(state="bare"), **SMALL)
    train(agents, lambda: Relay(state="bare"), 30, 2)
    assert agents.updates == agents.episodes > 3
    assert agents.replay.spec.state_dim == 7


def test_lost_games_are_dropped_and_cost_no_update():
    agents = VDNAgents(Relay(), **SMALL)
    train(agents, lambda: Relay(breaks=True), 20)
    assert agents.moves == 20
    assert agents.episodes == agents.updates == 0
    assert agents.replay.n_lost > 3


def test_a_run_is_decided_by_its_seeds():
    def run(seed, env_seed):
        agents = VDNAgents(Rooms(), seed=seed, **SMALL)
        train(agents, Rooms, 40, 2, seed=env_seed)
        return torch.cat([p.flatten() for p in agents.online.parameters()])

    assert torch.equal(run(1, 2), run(1, 2))
    assert not torch.equal(run(1, 2), run(1, 3))
    assert not torch.equal(run(1, 2), run(4, 2))


def test_envs_are_closed_even_after_an_error():
    closed = []

    class Closing(Relay):
        def close(self):
            closed.append(self)

    def stop(agents):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(VDNAgents(Relay(), **SMALL), Closing, 9, 2, callback=stop)
    assert len(set(closed)) == 2


def test_play_is_train_on_envs_that_are_there_already():
    def parameters(agents):
        return torch.cat([p.flatten() for p in agents.online.parameters()])

    one, other = (VDNAgents(Rooms(), **SMALL) for _ in range(2))
    train(one, Rooms, 20, 2, seed=3)
    play(other, stream(Rooms, 2, other.team), 20, seed=3)
    assert torch.equal(parameters(one), parameters(other))


# -- when it learns -------------------------------------------------------------------------


@pytest.mark.parametrize(("updates", "after"), [(1.0, "L"), (2.5, "LL"), (0.5, "")])
def test_one_env_has_its_updates_before_the_next_episode_begins(updates, after):
    agents, done = VDNAgents(two_step_v0.parallel_env(), **SMALL), []
    envs = Noted(stream(two_step_v0.parallel_env, 1, agents.team), done)
    noted(agents, done)
    play(agents, envs, 4, updates_per_episode=updates)
    second = {1.0: "L", 2.5: "LLL", 0.5: "L"}[updates]
    assert "".join(done) == f"asrasr{after}asrasrasr{second}"


def test_many_envs_spread_what_they_owe_over_the_following_steps():
    """Three envs end together; one update follows at once, two while the next moves are made."""
    agents, done = VDNAgents(two_step_v0.parallel_env(), **SMALL), []
    envs = Noted(stream(two_step_v0.parallel_env, 3, agents.team), done)
    noted(agents, done)
    play(agents, envs, 12, updates_per_episode=1)
    assert "".join(done) == "asrasrLasLrasLrasrLLL"


def test_debts_do_not_grow_beyond_a_round_of_episodes():
    agents, owed = VDNAgents(one_shot(), **SMALL), []
    look = lambda report: owed.append(2 * agents.episodes - agents.updates)  # noqa: E731
    train(agents, one_shot, 60, 5, updates_per_episode=2, monitor=look)
    assert max(owed) == 2 * 4
    assert owed[-1] == 0
    assert agents.updates == 2 * agents.episodes == 120


class Noted:
    """A stream that notes its sends and receives."""

    n_restarts = 0

    def __init__(self, envs, done):
        self.envs, self.done = envs, done
        self.team, self.n_envs, self.reset = envs.team, envs.n_envs, envs.reset

    def send(self, actions):
        self.done.append("s")
        self.envs.send(actions)

    def receive(self):
        self.done.append("r")
        return self.envs.receive()


def noted(agents, done):
    for name, letter in (("act_steps", "a"), ("learn", "L")):
        real = getattr(agents, name)
        setattr(agents, name, lambda real=real, letter=letter: (done.append(letter), real())[1])


def test_workers_change_nothing_but_the_speed():
    def parameters(workers):
        agents = QMIXAgents(Relay(), hidden_dim=8, batch_size=2)
        train(agents, Relay, 60, 3, workers=workers, updates_per_episode=1.5)
        assert agents.updates > 9
        return torch.cat([p.flatten() for p in agents.online.parameters()])

    alone, two = (parameters(workers) for workers in (0, 2))
    assert torch.equal(alone, two)


# -- the monitor ----------------------------------------------------------------------------


@pytest.mark.parametrize("n_envs", [1, 3])
def test_the_monitor_is_told_of_every_completed_episode(n_envs):
    agents, reports = VDNAgents(Relay(), **SMALL), []
    train(agents, Relay, 60, n_envs, seed=5, monitor=reports.append)
    assert next(report.moves for report in reports if len(report.returns)) >= 3
    assert reports[-1].moves == agents.moves >= 60
    stored = agents.replay.batch(np.arange(agents.episodes))
    lengths = np.concatenate([report.lengths for report in reports])
    assert lengths.tolist() == stored.valid.sum(1).tolist()
    returns = np.concatenate([report.returns for report in reports])
    assert returns == pytest.approx((stored.reward * stored.valid).sum(1).numpy(), rel=1e-6)
    assert np.isnan(np.concatenate([report.won for report in reports])).all()
    assert reports[0].metrics == {} and reports[-1].metrics["loss"] > 0
    assert {report.lost for report in reports} == {report.restarts for report in reports} == {0}


def test_the_monitor_is_told_of_wins_and_of_what_was_lost():
    reports = []
    train(VDNAgents(Relay(), **SMALL), Winning, 60, 3, monitor=reports.append)
    won = np.concatenate([report.won for report in reports])
    lengths = np.concatenate([report.lengths for report in reports])
    assert won.tolist() == (lengths > 4).tolist()
    assert 0 < won.mean() < 1

    reports.clear()
    train(VDNAgents(Relay(), **SMALL), lambda: Relay(breaks=True), 30, 3, monitor=reports.append)
    assert reports[-1].lost > 5
    assert not any(len(report.returns) for report in reports)


# -- the callback ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_envs", "moves", "every", "expected"),
    [
        (1, 20, 5, [0, 5, 10, 15, 20]),
        (1, 7, 3, [0, 3, 6]),
        (3, 12, 4, [0, 6, 9, 12]),
        (3, 9, 1000, [0]),
        (5, 20, 2, [0, 5, 10, 15, 20]),  # once a vector step, though two are due
    ],
)
def test_the_callback_comes_at_the_start_and_each_time_so_many_moves_are_made(
    n_envs, moves, every, expected
):
    agents, at = VDNAgents(one_shot(), **SMALL), []
    train(agents, one_shot, moves, n_envs, callback=lambda a: at.append(a.moves), every=every)
    assert at == expected


def test_a_second_run_counts_its_callbacks_from_where_it_starts():
    agents, at = VDNAgents(one_shot(), **SMALL), []
    for _ in range(2):
        train(agents, one_shot, 7, callback=lambda a: at.append(a.moves), every=3)
    assert at == [0, 3, 6, 7, 10, 13]


# -- evaluation -----------------------------------------------------------------------------


def test_evaluation_plays_the_teams_greedy_actions():
    agents = VDNAgents(one_shot(), **SMALL, share_parameters=False)
    for joint, pays in (((0, 0), 11), ((1, 2), 6), ((2, 0), 0)):
        evaluation = evaluate(always(agents, joint), one_shot, 3)
        assert evaluation.returns.tolist() == [pays] * 3
        assert evaluation.lengths.tolist() == [1] * 3
        assert evaluation.mean == pays
        assert evaluation.interval == (pays, pays)


def test_returns_are_undiscounted_sums_over_the_episode():
    def repeated():
        return matrix_game_v0.parallel_env("climbing", max_cycles=4)

    agents = always(VDNAgents(repeated(), **SMALL, share_parameters=False), (1, 1))
    evaluation = evaluate(agents, repeated, 2)
    assert evaluation.returns.tolist() == [28, 28]
    assert evaluation.lengths.tolist() == [4, 4]


def test_each_episode_has_a_seed_of_its_own_and_equal_seeds_are_equal_evaluations():
    agents = VDNAgents(Relay(), **SMALL)
    few, many, other = (evaluate(agents, Relay, n, seed=s) for n, s in ((3, 1), (8, 1), (8, 2)))
    assert few.returns.tolist() == many.returns[:3].tolist()
    assert len(set(many.returns)) == 8
    assert set(many.lengths) <= {3, 4, 5}
    assert many.returns.tolist() != other.returns.tolist()


def test_each_episode_begins_with_an_empty_memory():
    """A game without chance, agents that act by what they remember: all episodes are alike."""

    def game():
        return matrix_game_v0.parallel_env("random", actions=5, max_cycles=3, observation="last")

    agents = VDNAgents(game(), hidden_dim=8, seed=3)
    with torch.no_grad():
        for parameter in agents.online.agent.parameters():
            parameter.mul_(3)
    assert len(set(evaluate(agents, game, 6).returns)) == 1


def test_the_interval_is_students():
    evaluation = Evaluation(np.array([1.0, 2.0, 4.0, 9.0]), np.ones(4))
    assert evaluation.mean == 4
    low, high = stats.t.interval(0.95, 3, loc=4, scale=stats.sem([1, 2, 4, 9]))
    assert evaluation.interval == pytest.approx((low, high))
    assert evaluation.interval == pytest.approx((-1.6632, 9.6632), abs=1e-4)


def test_one_episode_has_no_spread():
    assert Evaluation(np.array([3.0]), np.ones(1)).interval == (3, 3)


@pytest.mark.parametrize("make", [Rooms, Relay])
def test_evaluation_in_the_middle_of_training_changes_nothing(make):
    """Not the parameters, not the optimiser, not the dice, not the episodes being played."""

    def trained(callback):
        agents = QMIXAgents(make(), hidden_dim=8, batch_size=2, epsilon_steps=40)
        train(agents, make, 40, 2, callback=callback, every=7)
        return agents

    def look(agents):
        evaluate(agents, make, 2)
        actor = agents.actor(explore=True)
        observations, infos = make().reset(seed=0)
        actor.act(observations, infos)

    with_it, without = trained(look), trained(None)
    assert with_it.updates == without.updates > 5
    state = without.online.state_dict()
    for name, value in with_it.online.state_dict().items():
        assert torch.equal(value, state[name]), name
    for name, rows in with_it.replay.stored().items():
        assert np.array_equal(rows, without.replay.stored()[name]), name


def test_evaluation_of_a_broken_game_is_no_result():
    agents = VDNAgents(Relay(), **SMALL)
    whole = evaluate(agents, Relay, 6)
    assert whole.lost == 0

    class Sometimes(Relay):
        def reset(self, seed=None, options=None):
            out = super().reset(seed, options)
            self.breaks = self.length == 3
            return out

    evaluation = evaluate(agents, Sometimes, 6)
    finished = whole.lengths != 3
    assert 0 < evaluation.lost == 6 - finished.sum()
    assert evaluation.returns.tolist() == whole.returns[finished].tolist()
    assert evaluation.lengths.tolist() == whole.lengths[finished].tolist()
    nothing = evaluate(agents, lambda: Relay(breaks=True), 2)
    assert (nothing.lost, len(nothing.returns)) == (2, 0)
    assert np.isnan([nothing.mean, *nothing.interval]).all()


@pytest.mark.parametrize("make", [Relay, Rooms, Winning])
def test_evaluation_does_not_depend_on_how_many_envs_play_it(make):
    agents = VDNAgents(make(), hidden_dim=8, seed=2)
    one, three, many = (evaluate(agents, make, 7, seed=5, n_envs=n) for n in (1, 3, 99))
    assert one.returns.tolist() == three.returns.tolist() == many.returns.tolist()
    assert one.lengths.tolist() == three.lengths.tolist() == many.lengths.tolist()
    assert str(one.won) == str(three.won) == str(many.won)
    assert len(one.returns) == 7


def test_an_env_that_is_seeded_once_is_launched_once():
    made, begun = [], []

    class Launched(Relay):
        metadata = {**Relay.metadata, "seeds_once": True}  # noqa: RUF012

        def __init__(self):
            made.append(self)
            super().__init__()

        def reset(self, seed=None, options=None):
            begun.append(seed)
            return super().reset(seed, options)

    evaluate(VDNAgents(Relay(), **SMALL), Launched, 5, seed=5, n_envs=3)
    assert len(made) == 1
    assert begun == [int(np.random.SeedSequence(5).generate_state(1)[0]), *[None] * 4]


def test_exactly_so_many_episodes_are_begun_and_each_env_is_closed():
    begun, closed = [], []

    class Counted(Relay):
        def reset(self, seed=None, options=None):
            begun.append(seed)
            return super().reset(seed, options)

        def close(self):
            closed.append(self)

    agents = VDNAgents(Relay(), **SMALL)
    evaluate(agents, Counted, 7, seed=5, n_envs=3)
    assert begun == np.random.SeedSequence(5).generate_state(7).tolist()
    assert len(closed) == 3

    class Broken(Counted):
        def step(self, actions):
            raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        evaluate(agents, Broken, 7, n_envs=2)
    assert len(closed) == 5
    with pytest.raises(ValueError, match="episodes=0: at least one is to be played"):
        evaluate(agents, Relay, 0)


def test_the_win_rate_is_of_the_episodes_that_tell():
    agents = VDNAgents(Relay(), **SMALL)
    evaluation = evaluate(agents, Winning, 9, n_envs=2)
    assert evaluation.won.tolist() == (evaluation.lengths > 4).tolist()
    assert evaluation.win_rate == evaluation.won.mean()
    assert 0 < evaluation.win_rate < 1
    assert evaluate(agents, Relay, 2).win_rate is None
    mixed = Evaluation(np.ones(3), np.ones(3), won=np.array([1.0, np.nan, 0.0]))
    assert mixed.win_rate == 0.5


def test_an_episode_that_tells_nothing_has_not_the_result_of_the_one_before():
    class OnlyWins(Winning):
        def step(self, actions):
            *told, infos = super().step(actions)
            if self.length < 5:
                infos["bob"].pop("battle_won", None)
            return *told, infos

    agents = VDNAgents(Relay(), **SMALL)
    evaluation = evaluate(agents, OnlyWins, 12)
    assert np.isnan(evaluation.won).tolist() == (evaluation.lengths < 5).tolist()
    reports = []
    train(agents, OnlyWins, 40, monitor=reports.append)
    told = [(np.isnan(w), n) for r in reports for w, n in zip(r.won, r.lengths, strict=True)]
    assert told == [(n < 5, n) for _, n in told]
    assert {n for _, n in told} == {3, 4, 5}


def test_a_team_that_was_never_trained_is_evaluated_even_where_no_space_tells_of_the_state():
    make = partial(Relay, state="bare")
    untrained = evaluate(QMIXAgents(make(), **SMALL), make, 3)
    assert untrained.mean == evaluate(QMIXAgents(Relay(), **SMALL), Relay, 3).mean


def test_an_env_born_batched_is_evaluated_by_the_episodes_that_begin_first():
    """Three envs of 2, 3 and 5 moves, a move pays 1: five episodes, not the five shortest."""
    agents = VDNAgents(Team.from_env(Relay()), **SMALL)
    envs = Lengths(agents.team, [2, 3, 5])
    assert evaluate(agents, lambda: envs, 5).returns.tolist() == [2, 3, 5, 2, 3]
    assert envs.closed


@pytest.mark.parametrize("reward", ["mean", "sum"])
def test_evaluation_and_training_count_the_same_reward(reward):
    team = Team.from_env(Relay(), reward=reward)
    agents = VDNAgents(team, epsilon_start=0.0, epsilon_end=0.0, **SMALL)
    seed = int(np.random.SeedSequence(0).generate_state(1)[0])
    env = Relay()
    observations, infos = env.reset(seed=seed)
    while env.agents:
        actions = agents.act(observations, infos, env.state())
        observations, *rest, infos = env.step(actions)
        agents.observe(observations, *rest, infos, env.state())
    total = agents.replay.batch(np.array([0])).reward.sum().item()
    assert evaluate(agents, Relay, 1).returns[0] == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("alone", [False, True])
def test_an_episode_that_never_ends_is_told_not_waited_for(alone, monkeypatch):
    monkeypatch.setattr(training, "LONGEST", 40)
    endless = partial(switch_v0.parallel_env, max_cycles=1_000_000)
    short = partial(switch_v0.parallel_env, max_cycles=40)
    agents = VDNAgents(short())
    make = (lambda: BaseParallelWrapper(endless())) if alone else endless
    with pytest.raises(ValueError, match=r"has not ended after 40 moves: .*max_cycles"):
        evaluate(agents, make, 2)
    evaluate(agents, short, 3)
