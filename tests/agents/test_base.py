"""The PettingZoo face: its order of calls, its counters, its errors word by word."""

import copy
import re

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo.utils.conversions import parallel_to_aec
from teams import held
from torch import nn

from vdtoolkit import Config, QattenAgents, QMIXAgents, QMIXConfig, Team, VDNAgents
from vdtoolkit.envs import two_step_v0
from vdtoolkit.step import Step

from .helpers import SMALL, Nameless, Stateless, Unlike, play, random_batch, small_team


class Scripted(Unlike):
    """Every episode has four moves; the infos of chosen moves are replaced."""

    def __init__(self, infos=None, **kwargs):
        super().__init__(lengths=(4,), **kwargs)
        self.scripted = infos or {}

    def step(self, actions):
        *said, infos = super().step(actions)
        for agent in infos:
            infos[agent] = {**infos[agent], **self.scripted.get((self.episode, self.t), {})}
        return *said, infos


def begun(cls=VDNAgents, env=None, **kwargs):
    env = env or Unlike()
    agents = cls(env, **{**SMALL, **kwargs})
    return agents, env, env.reset(seed=0)


# -- what is refused, in words ------------------------------------------------------------


def test_an_unknown_hyperparameter_is_named_with_the_nearest_and_all_valid_ones():
    with pytest.raises(TypeError) as error:
        QMIXAgents(Unlike(), embed_dims=3)
    assert str(error.value).startswith(
        "QMIXConfig has no hyperparameter 'embed_dims': did you mean 'embed_dim'? valid are gamma, "
    )
    assert str(error.value).endswith(", embed_dim, hyper_dim, mixer_activation")


def test_the_config_of_another_algorithm_is_refused():
    with pytest.raises(TypeError, match=r"^QattenAgents takes a QattenConfig, not a QMIXConfig$"):
        QattenAgents(Unlike(), QMIXConfig())


def test_overrides_replace_single_fields_of_a_config():
    config = QMIXConfig(embed_dim=3, gamma=0.5)
    agents = QMIXAgents(Unlike(), config, gamma=0.25)
    assert (agents.config.embed_dim, agents.config.gamma, config.gamma) == (3, 0.25, 0.5)


def test_continuous_actions_are_refused():
    box = spaces.Box(-1.0, 1.0, (4,))
    with pytest.raises(ValueError) as error:
        VDNAgents(Team({"walker_0": box}, {"walker_0": box}))
    assert str(error.value) == (
        "agent 'walker_0' has action space Box(-1.0, 1.0, (4,), float32): value decomposition "
        "needs Discrete actions"
    )


def test_an_aec_environment_is_told_how_to_be_converted():
    with pytest.raises(TypeError) as error:
        VDNAgents(parallel_to_aec(Unlike()))
    assert "is an AEC environment (one agent at a time): convert it with" in str(error.value)
    assert "pettingzoo.utils.conversions.aec_to_parallel(env)" in str(error.value)


def test_a_gymnasium_environment_is_refused():
    class Single(gymnasium.Env):
        possible_agents = ("a",)

        def action_space(self, agent):
            return spaces.Discrete(2)

    with pytest.raises(TypeError, match=r"^Single is not a PettingZoo ParallelEnv: give an insta"):
        VDNAgents(Single())


def test_acting_twice_says_three_ways_out():
    agents, env, (observations, infos) = begun()
    agents.act(observations, infos, env.state())
    with pytest.raises(RuntimeError) as error:
        agents.act(observations, infos, env.state())
    assert str(error.value) == (
        "act() was called twice without observe(): tell what env.step returned first, or use "
        "agents.actor() to act without learning, or agents.reset() after an early env.reset()"
    )


def test_observing_without_acting_is_refused_at_first_and_later():
    text = r"^observe\(\) without act\(\): actions come first, then what they led to$"
    agents, env, (observations, infos) = begun()
    with pytest.raises(RuntimeError, match=text):
        agents.observe(observations, {}, {}, {}, infos, env.state())
    said = env.step(agents.act(observations, infos, env.state()))
    agents.observe(*said, state=env.state())
    with pytest.raises(RuntimeError, match=text):
        agents.observe(*said, state=env.state())


MISSING = re.escape(
    "this env has a state() that mixers learn from: pass state=env.state() to act() and observe()"
)
SUPERFLUOUS = re.escape("this env has no state(): leave the argument `state` out")


@pytest.mark.parametrize("env", [Unlike(), Nameless()])
def test_a_forgotten_state_is_an_error_wherever_it_is_forgotten(env):
    agents, env, (observations, infos) = begun(env=env)
    with pytest.raises(ValueError, match=MISSING):
        agents.act(observations, infos)
    actions = agents.act(observations, infos, env.state())  # the call can be repeated
    observations, *said, infos = env.step(actions)
    with pytest.raises(ValueError, match=MISSING):
        agents.observe(observations, *said, infos)
    agents.observe(observations, *said, infos, env.state())
    with pytest.raises(ValueError, match=MISSING):
        agents.act(observations, infos)


def test_a_state_that_the_env_does_not_have_is_an_error_wherever_it_is_given():
    agents, env, (observations, infos) = begun(env=Stateless())
    state = np.zeros(3)
    with pytest.raises(ValueError, match=SUPERFLUOUS):
        agents.act(observations, infos, state)
    observations, *said, infos = env.step(agents.act(observations, infos))
    with pytest.raises(ValueError, match=SUPERFLUOUS):
        agents.observe(observations, *said, infos, state)
    agents.observe(observations, *said, infos)
    with pytest.raises(ValueError, match=SUPERFLUOUS):
        agents.act(observations, infos, state)


# -- environments with and without a state ------------------------------------------------


def test_without_a_state_the_joint_observation_takes_its_place():
    agents = QMIXAgents(Stateless(), seed=0, **SMALL)
    play(agents, Stateless(), 3)
    assert agents.team.state_dim == 3 * 4
    view = agents.replay.batch(np.array([0])).view
    assert torch.equal(view.state, view.obs.flatten(2))
    assert agents.updates > 0


def test_without_a_state_space_networks_are_built_at_the_first_act():
    agents, env, (observations, infos) = begun(QMIXAgents, Nameless())
    assert not hasattr(agents, "online")
    assert agents.replay is None
    assert agents.learn() == {}
    agents.act(observations, infos, env.state())
    assert agents.online.mixer.b1.in_features == 6


def test_networks_do_not_depend_on_when_they_are_built():
    early = QMIXAgents(Unlike(), seed=4, **SMALL)
    late, env, (observations, infos) = begun(QMIXAgents, Nameless(), seed=4)
    torch.rand(3)
    late.act(observations, infos, env.state())
    for name, value in early.online.state_dict().items():
        assert torch.equal(value, late.online.state_dict()[name]), name


# -- counting -----------------------------------------------------------------------------


def test_moves_episodes_and_updates_are_counted():
    agents = VDNAgents(Unlike(), seed=0, **SMALL)
    moves = len(play(agents, Unlike(), 4, learn=False, seed=0))
    assert (agents.moves, agents.episodes, agents.updates) == (moves, 4, 0)
    agents.learn()
    agents.learn()
    assert agents.updates == 2


def test_learn_returns_nothing_until_there_are_enough_episodes_and_floats_then():
    agents = VDNAgents(Unlike(), seed=0, **SMALL)
    for _ in range(SMALL["batch_size"] - 1):
        play(agents, Unlike(), 1, learn=False)
        assert agents.learn() == {}
    play(agents, Unlike(), 1, learn=False)
    metrics = agents.learn()
    assert set(metrics) == {"loss", "grad_norm", "q_tot", "target", "td_error"}
    assert all(type(value) is float for value in metrics.values())
    assert agents.updates == 1


def test_a_buffer_of_too_few_bytes_for_one_batch_is_told_so_instead_of_never_learning():
    agents = VDNAgents(Unlike(), seed=0, **{**SMALL, "batch_size": 8, "buffer_bytes": 2000})
    text = r"buffer_bytes=2000 holds \d episodes now, too few for batch_size=8: raise the one or"
    with pytest.raises(ValueError, match=text):
        play(agents, Unlike(), 20)
    assert agents.episodes < 20 and agents.updates == 0


def test_a_copy_acts_with_its_own_networks():
    agents = VDNAgents(Unlike(), seed=0, epsilon_start=0.0, epsilon_end=0.0, **SMALL)
    play(agents, Unlike(), 4)
    one, other = copy.deepcopy(agents), copy.deepcopy(agents)
    with torch.no_grad():
        for p in agents.online.parameters():
            p.zero_()  # all actions are alike to it now
    moves = play(one, Unlike(), 9, learn=False, seed=3)
    assert str(moves) == str(play(other, Unlike(), 9, learn=False, seed=3))
    assert str(moves) != str(play(agents, Unlike(), 9, learn=False, seed=3))
    assert one.actor_in_training._net() is one.online.agent


def test_epsilon_falls_linearly_with_the_moves_and_stays():
    agents = VDNAgents(Unlike(), epsilon_start=0.9, epsilon_end=0.1, epsilon_steps=8, hidden_dim=8)
    told = []
    for moves in (0, 4, 8, 100):
        agents.moves = moves
        told.append(agents.epsilon())
    assert told == pytest.approx([0.9, 0.5, 0.1, 0.1])


def test_reset_forgets_the_episode_in_progress():
    agents, env, (observations, infos) = begun()
    agents.act(observations, infos, env.state())
    agents.reset()  # between act and observe
    observations, infos = env.reset(seed=1)
    said = env.step(agents.act(observations, infos, env.state()))
    agents.observe(*said, state=env.state())
    agents.reset()  # between observe and act
    assert len(agents.replay) == 0
    play(agents, env, 1, learn=False, seed=2)
    clean = VDNAgents(Unlike(), **SMALL)
    play(clean, Unlike(), 1, learn=False, seed=2)
    assert agents.episodes == len(agents.replay) == 1
    for name in ("obs", "state", "available", "alive", "valid", "terminated"):
        assert (held(agents.replay)[name] == held(clean.replay)[name]).all(), name


def test_lost_games_are_counted_and_never_stored():
    env = Scripted({(2, 4): {"lost_game": True}})
    agents = VDNAgents(env, seed=0, **SMALL)
    play(agents, env, 3, learn=False, seed=0)
    assert (agents.episodes, len(agents.replay), agents.replay.n_lost) == (2, 2, 1)
    kept = VDNAgents(env, seed=0, **SMALL)
    env.scripted = {}
    play(kept, env, 3, learn=False, seed=0)
    states = held(kept.replay)["state"]
    assert (held(agents.replay)["state"][:, :5] == states[[0, 2], :5]).all()


# -- masks and deaths that come late ------------------------------------------------------


def test_masks_given_to_act_alone_are_used_and_recorded():
    def play_late(agents, env):
        observations, infos = env.reset(seed=5)
        while env.agents:
            actions = agents.act(observations, infos, env.state())  # the env checks the masks
            observations, rewards, terminations, truncations, infos = env.step(actions)
            agents.observe(observations, rewards, terminations, truncations, state=env.state())

    late, told = (VDNAgents(Unlike(), seed=0, **SMALL) for _ in range(2))
    play_late(late, Unlike())
    play(told, Unlike(), 1, learn=False, seed=5)
    moves = int(told.replay.moves(np.array([0]))[0])
    late, told = held(late.replay), held(told.replay)
    for name in ("actions", "obs", "alive", "valid", "reward"):
        assert (late[name] == told[name]).all(), name
    walker = told["available"][0, :moves, 0]
    assert (walker.sum(-1) == 2).all(), "one of three actions is masked"
    assert (late["available"][0, :moves] == told["available"][0, :moves]).all()


def test_masks_that_come_late_and_forbid_everything_are_refused():
    agents, env, (observations, infos) = begun()
    observations, *said, infos = env.step(agents.act(observations, infos, env.state()))
    agents.observe(observations, *said, state=env.state())
    infos["walker"] = {"action_mask": np.zeros(3, np.int8)}
    with pytest.raises(ValueError, match="agent 'walker': action_mask is all zeros"):
        agents.act(observations, infos, env.state())


def test_deaths_told_to_act_alone_are_recorded():
    agents, env, (observations, infos) = begun()
    observations, *said, infos = env.step(agents.act(observations, infos, env.state()))
    agents.observe(observations, *said, state=env.state())
    infos["flyer"] = {**infos["flyer"], "alive": False}
    agents.act(observations, infos, env.state())
    replay = agents.replay
    alive = replay.columns["alive"][replay._open[0, :2]]
    assert alive.tolist() == [[True] * 3, [True, False, True]]


def test_an_agent_that_its_info_calls_dead_is_recorded_so_and_still_acts():
    env = Scripted({(1, 2): {"alive": False}, (1, 3): {"alive": False}}, mole_dies=9)
    agents = VDNAgents(env, seed=0, **SMALL)
    told = play(agents, env, 1, learn=False, seed=0)
    assert [len(actions) for actions in told] == [3, 3, 3, 3]
    alive = held(agents.replay)["alive"][0, :5]
    assert alive.all(1).tolist() == [True, True, False, False, False]


# -- one gradient step --------------------------------------------------------------------


def test_the_target_is_copied_every_so_many_gradient_steps_and_not_between():
    team = small_team()
    agents = QMIXAgents(team, seed=0, target_interval=3, **SMALL)
    batch = random_batch(team.spec)

    def distance():
        pairs = zip(agents.online.parameters(), agents.target.parameters(), strict=True)
        return max(float((a - b).detach().abs().max()) for a, b in pairs)

    told = []
    for _ in range(6):
        agents.learn_from(batch)
        told.append(distance() > 0)
    assert told == [True, True, False, True, True, False]


def test_the_target_is_never_trained():
    agents = QMIXAgents(small_team(), **SMALL)
    assert not any(p.requires_grad for p in agents.target.parameters())
    optimised = {id(p) for group in agents.optimizer.param_groups for p in group["params"]}
    assert optimised == {id(p) for p in agents.online.parameters()}


def test_gradients_are_clipped_over_all_parameters_together():
    team = small_team()
    agents = QMIXAgents(team, seed=0, grad_clip=1e-3, **SMALL)
    norm = agents.learn_from(random_batch(team.spec))["grad_norm"]
    assert norm > 1e-2, "what is told is the norm before clipping"
    after = nn.utils.get_total_norm([p.grad for p in agents.online.parameters()])
    assert float(after) == pytest.approx(1e-3, rel=1e-3)


def test_one_step_of_adam_of_the_given_size():
    team = small_team()
    agents = VDNAgents(team, seed=0, lr=1e-2, **SMALL)
    before = [p.detach().clone() for p in agents.online.parameters()]
    agents.learn_from(random_batch(team.spec))
    for old, p in zip(before, agents.online.parameters(), strict=True):
        moved = (p.detach() - old).abs()
        steep = p.grad.abs() > 1e-4  # Adam's first step is lr in every such direction
        assert steep.any()
        torch.testing.assert_close(
            moved[steep], torch.full_like(moved[steep], 1e-2), rtol=1e-2, atol=0
        )


def test_dead_is_a_choice_between_zero_and_noop():
    view = random_batch(small_team().spec).view
    zero, noop = (VDNAgents(small_team(), dead=dead, **SMALL) for dead in ("zero", "noop"))
    assert torch.equal(zero.mixing_alive(view), view.alive)
    assert noop.mixing_alive(view).all()


def test_creating_networks_seeds_no_generator_of_an_accelerator(monkeypatch):
    def refuse(seed):
        raise AssertionError("the accelerator's global generators were seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    monkeypatch.setattr(torch.xpu, "manual_seed_all", refuse)
    VDNAgents(Unlike(), **SMALL)


# -- the array face -----------------------------------------------------------------------


def moments(env, team, episodes):
    """The episodes of one env as `Step`s with E = 1: yields, and is sent the actions."""
    from vdtoolkit.episode import TeamEpisode

    episode = TeamEpisode(team)
    for k in range(episodes):
        observations, infos = env.reset(seed=8 if k == 0 else None)
        actions = yield episode.start(observations, infos, env.state())
        while env.agents:
            said = env.step(team.decode(actions[0], episode.acting))
            actions = yield episode.advance(*said, state=env.state())


def test_both_faces_record_the_same():
    face, array = (
        VDNAgents(Unlike(), seed=1, epsilon_start=0, epsilon_end=0, **SMALL) for _ in "12"
    )
    play(face, Unlike(), 5, learn=False, seed=8)
    steps = moments(Unlike(), array.team, 5)
    array.begin_steps(next(steps))
    try:
        while True:
            array.observe_steps(steps.send(array.act_steps()))
    except StopIteration:
        pass
    assert (face.moves, face.episodes) == (array.moves, array.episodes)
    for name, rows in face.replay.stored().items():
        np.testing.assert_array_equal(rows, array.replay.stored()[name], err_msg=name)


def test_two_environments_keep_their_memories_apart_and_clear_them_at_their_own_ends():
    seen = []

    class Watched(VDNAgents):
        def policy(self, qs, available, epsilon, rng):
            seen.append(qs.copy())
            return super().policy(qs, available, epsilon, rng)

    agents = Watched(Unlike(), seed=1, **SMALL)
    streams = [moments(Unlike(lengths=lengths), agents.team, 9) for lengths in ((3,), (5,))]
    said = [next(stream) for stream in streams]
    agents.begin_steps(together(said))
    said_by_episode, open_ones = [], [[], []]
    for _ in range(17):
        actions = agents.act_steps()
        for e in range(2):
            open_ones[e].append(seen[-1][e])
        said = [stream.send(actions[e : e + 1]) for e, stream in enumerate(streams)]
        agents.observe_steps(together(said))
        for e, step in enumerate(said):
            if step.last[0]:
                said_by_episode.append(np.array(open_ones[e]))
            if step.first[0]:
                open_ones[e] = []
    assert len(said_by_episode) == agents.episodes == 4 + 3
    for k, qs in enumerate(said_by_episode):
        batch = agents.replay.batch(np.array([k]))
        unrolled = agents.online.agent.unroll(batch.view.obs, batch.actions).qs[0, :-1]
        np.testing.assert_allclose(qs, unrolled.detach().numpy(), rtol=0, atol=1e-6)


def together(steps):
    told = [name for name, value in vars(steps[0]).items() if value is not None]
    return Step(**{name: np.concatenate([getattr(s, name) for s in steps]) for name in told})


def test_the_common_config_is_the_default():
    assert VDNAgents(Unlike()).config == Config()


def test_a_refused_observe_has_taken_note_of_nothing():
    env = two_step_v0.parallel_env()
    agents = VDNAgents(env, **SMALL)
    observations, infos = env.reset(seed=0)
    actions = agents.act(observations, infos, state=env.state())
    told = env.step(actions)
    with pytest.raises(ValueError, match=r"pass state=env\.state"):
        agents.observe(*told)
    assert agents._episode.moves == 0
    agents.observe(*told, state=env.state())
    assert agents._episode.moves == 1
