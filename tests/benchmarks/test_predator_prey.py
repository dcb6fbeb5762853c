"""What can be had in predator-prey: the enumerated moves are those of the environment."""

import numpy as np
import pytest

from benchmarks.predator_prey import MOVES, SIZE, Model
from vdtoolkit.envs import predator_prey_v0

PENALTY = 1.5


@pytest.fixture(scope="module")
def model():
    return Model.of(PENALTY)


def numbered(*places):
    """The row of a placement (two predators, prey): how many come before it in order."""
    cells = [r * SIZE + c for r, c in places]
    before = np.indices((SIZE**2,) * 3).reshape(3, -1).T
    valid = [row for row in before.tolist() if len(set(row)) == 3]
    return valid.index(cells)


def test_moves_worked_out_by_hand(model):
    ahead = model.ahead(np.zeros(len(model.predators)))
    stay, left = 0, 3
    both = numbered((0, 1), (1, 0), (0, 0))  # the prey is shut in: caught whatever it wants
    assert ahead[both, stay, stay] == pytest.approx(1.0)
    alone = numbered((0, 1), (4, 4), (0, 0))  # it gets away by one step of five
    assert ahead[alone, stay, stay] == pytest.approx(-0.8 * PENALTY)
    joins = numbered((0, 1), (1, 1), (0, 0))  # with it shut in or away to where the second goes
    assert ahead[joins, stay, left] == pytest.approx(1.0)
    far = numbered((4, 4), (4, 3), (0, 0))
    assert (ahead[far] == 0).all()


def test_who_is_caught_returns_to_any_free_cell(model):
    both = numbered((0, 1), (1, 0), (0, 0))
    value = np.zeros(len(model.predators))
    value[numbered((0, 1), (1, 0), (3, 3))] = 22.0  # one of 25 cells less predators and its own
    assert model.ahead(value)[both, 0, 0] == pytest.approx(1.0 + 1.0)


def test_random_play_earns_what_it_earns_in_the_environment(model):
    n, random, returns = 128, np.random.default_rng(0), []
    envs = predator_prey_v0.parallel_env(penalty=PENALTY).vector_env(n)
    for seed in range(4):
        envs.reset(seed=1000 * seed)
        returns.append(np.zeros(n))
        for _ in range(MOVES):
            returns[-1] += envs.step(random.integers(5, size=(n, 2)))[1]
    played = np.concatenate(returns)
    error = played.std() / len(played) ** 0.5
    assert abs(model.random() - played.mean()) < 4 * error
    assert error < 1.0


def test_a_team_plays_what_the_model_says(model):
    """The best first moves of a horizon of one, played from everywhere by model and environment."""
    table = model.ahead(np.zeros(len(model.predators)))
    joint = table.reshape(len(table), -1).argmax(1)
    first, second = np.divmod(joint, 5)
    said = model.played((first, second))
    n, returns = 256, np.zeros(256)
    envs = predator_prey_v0.parallel_env(penalty=PENALTY).vector_env(n)
    told, _ = envs.reset(seed=0)
    number = np.full((SIZE**2,) * 3, -1)
    cells = np.indices((SIZE**2,) * 3).reshape(3, -1).T
    valid = np.array([row for row in cells.tolist() if len(set(row)) == 3])
    number[tuple(valid.T)] = np.arange(len(valid))
    for _ in range(MOVES):
        places = np.rint(told["state"] * (SIZE - 1)).astype(int).reshape(n, 3, 2) @ [SIZE, 1]
        rows = number[tuple(places.T)]
        told, reward, *_ = envs.step(np.stack([first[rows], second[rows]], 1))
        returns += reward
    assert abs(said - returns.mean()) < 4 * returns.std() / n**0.5
    assert model.random() < said <= model.best()
    assert -1.0 < model.away() < 0  # the prey may walk up to who keeps away
