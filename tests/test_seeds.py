"""Seeds as one batch are the seeds one by one: the same dice, networks apart by rounding alone."""

import dataclasses

import numpy as np
import pytest
import torch
from envs_with_masks import MaskedGame
from gymnasium.spaces import Box
from teams import Rooms

from vdtoolkit import ALGORITHMS
from vdtoolkit.agents.actor import Actor
from vdtoolkit.agents.qmix import QMIXAgents
from vdtoolkit.agents.vdn import VDNAgents
from vdtoolkit.batch import masked_mean
from vdtoolkit.envs import hidden_payoff_v0, matrix_game_v0, mmdp_v0, two_step_v0
from vdtoolkit.finite import FiniteStream
from vdtoolkit.igm import lab
from vdtoolkit.igm.game import named_game
from vdtoolkit.seeds import CannotStackError, _Learner, play_seeds, refuse
from vdtoolkit.training import play

SEEDS = (0, 3, 5)
ALONE = {"coma"}  # a replay of its own
N_ENVS, OFTEN = 6, 0.3
SMALL = {
    **dict.fromkeys(("hidden_dim", "embed_dim", "hyper_dim", "joint_dim", "central_dim"), 8),
    "n_kernels": 3,
    "n_heads": 2,
}


@pytest.fixture
def doubles():
    """Networks are made in double precision: of rounding nothing is left to be seen."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def in_integers(env):
    """The game with its observations as integers, which networks take in any precision."""
    observations, state = env.observations, env.global_state
    env.observations = lambda s: [o.astype(np.int8) for o in observations(s)]
    env.global_state = lambda s: state(s).astype(np.int8)
    for agent, space in env._observation_spaces.items():
        env._observation_spaces[agent] = Box(-1, 1, space.shape, np.int8)
    env.state_space = Box(-1, 1, env.state_space.shape, np.int8)
    return env


def made(kind, env, seed, **overrides):
    small = {name: n for name, n in SMALL.items() if name in kind.Config.__dataclass_fields__}
    told = {"lr": 1e-3, "batch_size": 12, "target_interval": 3, **small, **overrides}
    return kind(env, kind.Config(**{**lab.SETTINGS, **told}), seed=seed)


def alone(kind, make, moves, callback=None, **overrides):
    teams = []
    for seed in SEEDS:
        env = make()
        teams.append(made(kind, env, seed, **overrides))
        stream = FiniteStream(env, N_ENVS, teams[-1].team)
        told = {"updates_per_episode": OFTEN, "callback": callback, "every": 10}
        play(teams[-1], stream, moves, seed=seed + 7, **told)
    return teams


def together(kind, make, moves, callback=None, **overrides):
    env = make()
    teams = [made(kind, env, seed, **overrides) for seed in SEEDS]
    play_seeds(
        teams,
        env,
        moves,
        n_envs=N_ENVS,
        seeds=[seed + 7 for seed in SEEDS],
        updates_per_episode=OFTEN,
        callback=callback,
        every=10,
    )
    return teams


def assert_same(ones, manys, atol=1e-4):
    for one, many in zip(ones, manys, strict=True):
        assert one.updates > 10
        for name in (*one.counters, "seed"):
            assert getattr(one, name) == getattr(many, name)
        for name in ("_explore_rng", "_sample_rng"):
            assert getattr(one, name).bit_generator.state == getattr(many, name).bit_generator.state
        stored, ours = one.replay.stored(), many.replay.stored()
        assert stored.keys() == ours.keys()
        for name, column in stored.items():
            np.testing.assert_array_equal(ours[name], column, err_msg=name)
        for net, other in ((one.online, many.online), (one.target, many.target)):
            for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
                np.testing.assert_allclose(
                    q.detach().numpy(), p.detach().numpy(), rtol=0, atol=atol, err_msg=name
                )
            for (name, x), y in zip(net.named_buffers(), other.buffers(), strict=True):
                torch.testing.assert_close(y, x, atol=1e-6, rtol=0, msg=name)
        averages = one.optimizer.state.values(), many.optimizer.state.values()
        for state, own in zip(*averages, strict=True):
            for key, x in state.items():
                torch.testing.assert_close(own[key], x, atol=atol, rtol=1e-3)


def qtran_game():
    return matrix_game_v0.parallel_env("nonmonotonic")


GAMES = {
    "one move": (qtran_game, 60),
    "two_step": (two_step_v0.parallel_env, 120),
    "mmdp": (lambda: mmdp_v0.parallel_env(max_cycles=4), 240),
}
MORE = {
    "hidden_payoff": hidden_payoff_v0.parallel_env,
    "masks": MaskedGame,
    "chance": lambda: matrix_game_v0.parallel_env("climbing_stochastic"),
    "last action seen": lambda: matrix_game_v0.parallel_env(
        "climbing", max_cycles=3, observation="last"
    ),
}


def assert_same_in_doubles(name, make, moves, **overrides):
    """After 14 to 43 gradient steps parameters differ in the 10th digit at most."""
    kind = ALGORITHMS[name]
    games = lambda: in_integers(make())  # noqa: E731
    ones, manys = (way(kind, games, moves, **overrides) for way in (alone, together))
    assert next(manys[0].online.parameters()).dtype == torch.float64
    assert_same(ones, manys, atol=1e-10)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name not in ALONE])
def test_every_method_that_can_is_the_same_together_as_alone(name, game, doubles):
    assert_same_in_doubles(name, *GAMES[game])


@pytest.mark.parametrize("game", MORE)
@pytest.mark.parametrize("name", ["iql", "joint_q", "ow_qmix"])
def test_states_masks_and_chance(name, game, doubles):
    assert_same_in_doubles(name, MORE[game], 144)


@pytest.mark.parametrize("told", [{"td_lambda": 0.6}, {"last_action": True}], ids=str)
def test_moves_that_hang_together_are_not_told_apart(told, doubles, monkeypatch):
    monkeypatch.setattr(_Learner, "_all_agree", lambda *args: True)  # nothing is found by trying
    assert_same_in_doubles("qmix", *GAMES["two_step"], **told)


FALLING = {"epsilon_end": 0.1, "epsilon_steps": 40}


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("name", ["qmix", "nonmonotonic_qmix", "joint_q"])
def test_teams_that_act_on_what_they_learned(name, game, doubles):
    assert_same_in_doubles(name, *GAMES[game], **FALLING)


@pytest.mark.parametrize("game", GAMES)
def test_leniency_is_noted_and_temperatures_cool(game, doubles):
    make, moves = GAMES[game]
    told = {"cooling": 0.1, "ceiling_decay": 0.95, "temperature": 0.5}
    games = lambda: in_integers(make())  # noqa: E731
    kind = ALGORITHMS["lenient_iql"]
    ones, manys = (way(kind, games, moves, **told) for way in (alone, together))
    assert_same(ones, manys, atol=1e-10)
    for team in manys:
        noted = team.replay.batch(np.arange(len(team.replay))).note
        assert len(noted.unique()) > 5
        assert team.online.mixer.cooled.any() and team.target.mixer.cooled.any()


class Watched(VDNAgents):
    """It tells what its losses are of."""

    def loss(self, batch):
        if batch.valid.is_floating_point():
            self.counted.append(batch.reward.shape)
        return super().loss(batch)


def test_moves_are_counted_wherever_they_can_be(monkeypatch):
    """What makes it fast: nine kinds of moves stand for the twelve episodes of each batch."""
    monkeypatch.setattr(Watched, "counted", counted := [], raising=False)
    (team, *_) = together(Watched, qtran_game, 60)
    assert len(counted) == team.updates
    assert counted[-1] == (9, 1)
    counted.clear()
    (team, *_) = together(Watched, lambda: mmdp_v0.parallel_env(max_cycles=4), 240)
    assert len(counted) == team.updates
    assert counted[-1] == (8, 1)  # of 256 kinds of episodes


@pytest.mark.parametrize("name", ["vdn", "qtran_alt"])
def test_the_same_in_single_precision(name):
    kind = ALGORITHMS[name]
    assert_same(alone(kind, qtran_game, 72), together(kind, qtran_game, 72))


def test_a_small_replay_forgets_the_same_episodes():
    told = {"buffer_size": 14}
    ones, manys = (
        alone(VDNAgents, qtran_game, 72, **told),
        together(VDNAgents, qtran_game, 72, **told),
    )
    assert len(manys[0].replay) == 14
    assert_same(ones, manys)


def test_a_batch_with_fewer_episodes_than_there_are_kinds_is_taken_whole():
    told = {"batch_size": 5}  # of nine joint actions
    assert_same(
        alone(QMIXAgents, qtran_game, 72, **told), together(QMIXAgents, qtran_game, 72, **told)
    )


def test_gradients_are_cut_team_by_team():
    told = {"grad_clip": 0.5}
    assert_same(
        alone(QMIXAgents, qtran_game, 72, **told), together(QMIXAgents, qtran_game, 72, **told)
    )


def test_the_callback_sees_each_team_as_it_is_and_sets_the_step_size():
    seen = {}

    def callback(agents):
        lab.settle(agents, agents.moves / 72)
        head = agents.online.agent.bodies[0].head
        seen.setdefault(agents.seed, []).append((agents.moves, head.bias.detach().numpy().copy()))

    ones = alone(VDNAgents, qtran_game, 72, callback)
    expected, seen = seen, {}
    manys = together(VDNAgents, qtran_game, 72, callback)
    assert_same(ones, manys)
    for seed in SEEDS:
        assert [moves for moves, _ in seen[seed]] == [moves for moves, _ in expected[seed]]
        for (_, ours), (_, theirs) in zip(seen[seed], expected[seed], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_teams_are_their_own_again_and_learn_and_load_as_ever(tmp_path):
    teams = together(ALGORITHMS["qplex"], qtran_game, 72)
    before = [p.detach().clone() for p in teams[1].online.parameters()]
    metrics = teams[0].learn()
    assert np.isfinite(metrics["loss"])
    assert all(p.is_contiguous() for p in teams[0].online.parameters())
    for p, q in zip(before, teams[1].online.parameters(), strict=True):
        assert torch.equal(p, q)
    teams[1].save(tmp_path / "team.safetensors")
    fresh = made(ALGORITHMS["qplex"], qtran_game(), 9)
    fresh.load(tmp_path / "team.safetensors")
    assert fresh.learn() == teams[1].learn()


# -- methods of a user's own ------------------------------------------------------------------


class Own(VDNAgents):
    """A user's: its loss is no mean over moves."""

    name, label = "own", "Own"

    def loss(self, batch):
        loss, metrics = super().loss(batch)
        return loss + (batch.reward * batch.reward).mean() * loss, metrics


def test_a_loss_that_is_no_mean_over_moves_gets_whole_batches():
    assert_same(alone(Own, qtran_game, 72), together(Own, qtran_game, 72))


class Masked(VDNAgents):
    """A user's: it wants `valid` to be of bools."""

    name, label = "own", "Own"

    def loss(self, batch):
        online = self.unroll(batch)
        q = online.qs[:, :-1].gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
        valid = batch.valid.unsqueeze(-1) & batch.view.alive[:, :-1]
        return masked_mean((q - batch.reward.unsqueeze(-1)).square(), valid), {}


def test_a_loss_that_does_not_count_moves_gets_whole_batches():
    assert_same(alone(Masked, qtran_game, 72), together(Masked, qtran_game, 72))


class Biased(VDNAgents):
    """A user's: teams differ in what no network holds."""

    name, label = "own", "Own"

    def loss(self, batch):
        loss, metrics = super().loss(batch)
        return loss * (1 + self.seed), metrics


class Asking(VDNAgents):
    """A user's: it looks at numbers to decide."""

    name, label = "own", "Own"

    def loss(self, batch):
        loss, metrics = super().loss(batch)
        return (loss if loss > 1 else 2 * loss), metrics


class Lazy(Actor):
    """A user's: it explores in a way of its own."""

    def act_steps(self, step):
        return super().act_steps(step) * 0


class Exploring(VDNAgents):
    name, label = "own", "Own"

    def _actor(self, explore, rng):
        return Lazy(self.team, self._agent_net, self.policy, self.epsilon, rng, self.device)


def test_an_actor_of_a_users_own_makes_its_moves():
    ones, manys = alone(Exploring, qtran_game, 72), together(Exploring, qtran_game, 72)
    assert not manys[0].replay.stored()["actions"].any()
    assert_same(ones, manys)


def test_what_cannot_be_one_batch_is_refused():
    with pytest.raises(CannotStackError, match="its loss depends on more"):
        together(Biased, qtran_game, 72)
    with pytest.raises(CannotStackError, match="cannot be mapped over seeds"):
        together(Asking, qtran_game, 72)
    with pytest.raises(CannotStackError, match="episodes differ in length"):
        together(VDNAgents, Rooms, 72)
    with pytest.raises(CannotStackError, match="step sizes differ"):
        together(
            VDNAgents,
            qtran_game,
            72,
            lambda agents: agents.optimizer.param_groups[0].update(lr=1e-3 * (1 + agents.seed)),
        )
    env = qtran_game()
    for name in ALONE:
        with pytest.raises(CannotStackError, match="has its own"):
            refuse([made(ALGORITHMS[name], env, 0)])
    with pytest.raises(CannotStackError, match="a memory"):
        refuse([made(VDNAgents, env, 0, recurrent=True)])
    with pytest.raises(CannotStackError, match="different methods or configs"):
        refuse([made(VDNAgents, env, 0), made(VDNAgents, env, 1, lr=1e-4)])
    with pytest.raises(CannotStackError, match="have begun"):
        refuse(alone(VDNAgents, qtran_game, 72))
    with pytest.raises(CannotStackError, match="buffer_bytes"):
        together(VDNAgents, qtran_game, 72, buffer_bytes=200_000)


# -- the lab ----------------------------------------------------------------------------------


def run(names, batch, seeds=5, game="nonmonotonic", progress=lambda n: None, moves=192):
    small = {"hidden_dim": 8, "batch_size": 8}
    return lab.run_lab(
        named_game(game),
        names,
        seeds=seeds,
        moves=moves,
        configs={n: dataclasses.replace(lab.lab_config(n), **small) for n in names},
        batch=batch,
        progress=progress,
    )


@pytest.fixture
def batches(monkeypatch):
    """How many seeds each batch has that the lab trains."""
    sizes = []
    play = lab.play_seeds

    def counted(teams, *args, **told):
        sizes.append(len(teams))
        return play(teams, *args, **told)

    monkeypatch.setattr(lab, "play_seeds", counted)
    return sizes


@pytest.mark.parametrize(
    ("game", "names", "moves"),
    [("climbing_stochastic", ["vdn", "ow_qmix"], 192), ("mmdp", ["vdn"], 640)],
)
def test_the_lab_trains_seeds_as_one_batch_with_the_same_results(game, names, moves, batches):
    told = []
    ones = run(names, 1, game=game, moves=moves)
    assert not batches
    manys = run(names, 50, game=game, progress=told.append, moves=moves)
    assert batches == [5] * len(names)
    assert sum(told) == len(names) * 5 * moves
    for one, many in zip(ones.methods, manys.methods, strict=True):
        assert [s.seed for s in many.seeds] == list(range(5))
        for s, t in zip(one.seeds, many.seeds, strict=True):
            assert (s.seed, s.verdict, s.team_return) == (t.seed, t.verdict, t.team_return)
            assert [h.moves for h in s.history] == [h.moves for h in t.history]
            for h, i in zip(s.history, t.history, strict=True):
                for state, other in zip(h.audit.states, i.audit.states, strict=True):
                    assert state.greedy == other.greedy
                    np.testing.assert_allclose(other.q_tot, state.q_tot, atol=1e-4)


def test_what_is_one_batch_does_not_depend_on_the_number_of_processes():
    def sizes(seeds, batch, name="vdn"):
        todo = [lab.Job(qtran_game, name, lab.lab_config(name), s, 1) for s in range(seeds)]
        parts = lab.in_batches(todo, batch)
        assert [job.seed for part in parts for job in part] == list(range(seeds))
        return [len(part) for part in parts]

    assert sizes(3, 50) == [1] * 3
    assert sizes(5, 50) == [5]
    assert sizes(16, 50) == [8, 8]
    assert sizes(16, 5) == [4] * 4
    assert sizes(16, 1) == [1] * 16
    assert sizes(120, 50) == [40] * 3
    assert sizes(5, 50, "coma") == [1] * 5


@pytest.mark.parametrize("name", sorted(ALONE))
def test_the_lab_says_which_seeds_it_trains_one_after_another(name, batches):
    with pytest.warns(UserWarning, match="one after another: .* has its own"):
        many = run([name], 50, seeds=16, moves=32)
    assert not batches
    assert [s.seed for s in many.methods[0].seeds] == list(range(16))


def test_where_a_batch_fails_seeds_are_trained_one_after_another(monkeypatch):
    def fails(teams, *args, callback, **told):
        callback(teams[0])
        raise CannotStackError("no")

    told = []
    ones = run(["vdn"], 1)
    monkeypatch.setattr(lab, "play_seeds", fails)
    with pytest.warns(UserWarning, match="one after another: no"):
        manys = run(["vdn"], 50, progress=told.append)
    assert sum(told) == 5 * 192
    for one, many in zip(ones.methods[0].seeds, manys.methods[0].seeds, strict=True):
        np.testing.assert_array_equal(one.audit.states[0].q_tot, many.audit.states[0].q_tot)
