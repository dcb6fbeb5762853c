"""BenchMARL's IQL, VDN and QMIX on our matrix games beside ours: an independent reference."""

import json
from functools import partial
from itertools import product

import numpy as np
import pytest
from bridges import page
from bridges.tools import needs

from vdtoolkit import IQLAgents, QMIXAgents, VDNAgents, igm, train
from vdtoolkit.envs import matrix_game_v0

pytestmark = needs("benchmarl")

OURS = {"Iql": IQLAgents, "Vdn": VDNAgents, "Qmix": QMIXAgents}
MOVES, UPDATES, BATCH = 4 * 500, 600, 128
JOINT = list(product(range(3), repeat=2))


@pytest.fixture(scope="module")
def learned():
    """Both tables of Q_tot [3, 3] after the same work, by game and method; made once."""
    made = {}

    def of(game, method, share=False):
        key = (game, method, share)
        if key not in made:
            made[key] = benchmarl(game, method, share), ours(game, method)
        return made[key]

    return of


def ours(game, method):
    make = partial(matrix_game_v0.parallel_env, game)
    options = {"recurrent": False, "lr": 3e-3, "epsilon_end": 1.0, "batch_size": BATCH}
    agents = OURS[method](make(), seed=0, **options)
    train(agents, make, MOVES, n_envs=8, updates_per_episode=UPDATES / MOVES)
    (state,) = igm.audit(agents, make()).states
    return state.q_tot, state.greedy


def benchmarl(game, method, share):
    """BenchMARL's table and greedy joint action, by uniform exploration."""
    from benchmarl import algorithms
    from benchmarl.experiment import Experiment, ExperimentConfig
    from benchmarl.models.mlp import MlpConfig

    config = ExperimentConfig.get_from_yaml()
    config.loggers, config.create_json, config.evaluation = [], False, False
    config.share_policy_params, config.lr = share, 3e-3
    config.exploration_eps_init = config.exploration_eps_end = 1.0
    n_batches = 1 if share else 4  # what nets that are shared cannot do shows at once
    config.max_n_frames, config.off_policy_collected_frames_per_batch = 500 * n_batches, 500
    config.off_policy_n_envs_per_worker, config.off_policy_n_optimizer_steps = 1, UPDATES // 4
    config.off_policy_memory_size, config.off_policy_train_batch_size = MOVES, BATCH
    net = MlpConfig.get_from_yaml()
    net.num_cells = [64]
    kind = getattr(algorithms, f"{method}Config").get_from_yaml()
    task = page.run("BenchMARL", 1).Games.MATRIX.get_task({"payoff": game})
    experiment = Experiment(task, kind, net, 0, config)
    experiment.run()
    return q_tot(experiment, method)


def q_tot(experiment, method):
    """Q_tot of every joint action [3, 3] and the greedy one; for IQL the sum of utilities."""
    import torch
    from tensordict import TensorDict

    with torch.no_grad():
        seen = experiment.policy(experiment.test_env.reset())
        qs = seen["agent", "action_value"]  # [N, A]
        chosen = torch.stack([torch.stack([qs[0, u], qs[1, v]]) for u, v in JOINT])[..., None]
        greedy = tuple(qs.argmax(-1).tolist())
        if method == "Iql":
            return chosen.sum((1, 2)).reshape(3, 3).numpy(), greedy
        loss = experiment.losses["agent"]
        state = seen["state"].expand(len(JOINT), -1)
        data = {"agent": {"chosen_action_value": chosen}, "state": state}
        with loss.mixer_network_params.to_module(loss.mixer_network):
            mixed = loss.mixer_network(TensorDict(data, [len(JOINT)]))
    return mixed["chosen_action_value"].reshape(3, 3).numpy(), greedy


def pays(game, joint):
    return matrix_game_v0.payoff(game)[joint]


@pytest.mark.parametrize("method", OURS)
@pytest.mark.parametrize("game", ["monotonic", "nonmonotonic"])
def test_greedy_teams_earn_the_same(game, method, learned, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    (theirs, their_greedy), (mine, my_greedy) = learned(game, method)
    apart = float(np.abs(theirs - mine).max())
    row = [game, method.upper(), their_greedy, my_greedy, apart]
    row += [rounded(theirs), rounded(mine)]
    record_property("reference", json.dumps(row))
    assert pays(game, their_greedy) == pays(game, my_greedy) == (8 if game == "monotonic" else 0)


def rounded(table):
    return np.round(table, 1).tolist()


@pytest.mark.parametrize("game", ["monotonic", "nonmonotonic"])
def test_both_vdn_tables_are_the_least_squares_one(game, learned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    limit = igm.limits(matrix_game_v0.payoff(game))["additive"].table
    for table, _ in learned(game, "Vdn"):
        np.testing.assert_allclose(table, limit, atol=1.5)


def test_qmix_tables_are_one_where_the_payoff_is_monotone(learned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for table, _ in learned("monotonic", "Qmix"):
        np.testing.assert_allclose(table, matrix_game_v0.payoff("monotonic"), atol=1.0)


def test_agents_that_share_their_net_cannot_tell_themselves_apart(learned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (theirs, _), (mine, _) = learned("monotonic", "Vdn", True)
    np.testing.assert_allclose(theirs, theirs.T, atol=1e-4)  # the payoff is not symmetric
    assert np.abs(mine - mine.T).max() > 5
