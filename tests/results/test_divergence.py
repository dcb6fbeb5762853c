"""QPLEX's two-state MMDP: whose class cannot hold its values is driven to infinity.

With g the discount and V the good state's value, a sweep of fitted Q over uniform play asks for
[1 + gV, gV; gV, 0].  A sum of utilities answers V <- .75 + 1.25 gV: .75 / (1 - 1.25 g) below
g = .8, no end above; QMIX's ELU obeys the same once gV > 1.  The truth is 1 / (1 - g).
"""

import pytest
import torch
from results.whole_games import whole_moves

from vdtoolkit import ALGORITHMS
from vdtoolkit.agents.value import before
from vdtoolkit.envs import mmdp_v0

SETTINGS = {
    "recurrent": False,
    "last_action": False,
    "double_q": False,
    "hidden_dim": 32,
    "lr": 3e-3,
    "target_interval": 40,
}
OWN = {"qplex": {"n_kernels": 4, "adv_layers": 1}}


def value_of_the_good_state(name, gamma, sweeps, seed=0):
    """The largest Q_tot there after so many copies to the target networks."""
    env = mmdp_v0.parallel_env()
    settings = {**SETTINGS, **OWN.get(name, {})}
    agents = ALGORITHMS[name](env, seed=seed, gamma=gamma, **settings)
    batch = whole_moves(agents, env.unwrapped)
    for _ in range(sweeps * SETTINGS["target_interval"]):
        agents.learn_from(batch)
    here = batch.view[:, :-1]
    with torch.no_grad():
        said = before(agents.unroll(batch))
        seen = agents.see(agents.online, here)
        q_tot = agents.q_tot(agents.online, said, batch.actions, seen)
    good = here.state[:, 0, 0] == 1
    assert good.sum() == 4
    return float(q_tot[good].max())


@pytest.mark.parametrize("name", ["vdn", "qmix"])
def test_sums_and_qmix_have_a_fixed_point_below_0_8_and_none_above(name):
    assert value_of_the_good_state(name, 0.7, 40) == pytest.approx(6.0, abs=0.2)
    assert value_of_the_good_state(name, 0.85, 40) > 10 * 1 / (1 - 0.85)


@pytest.mark.parametrize(("gamma", "sweeps"), [(0.7, 30), (0.85, 60)])
def test_qplex_ends_at_the_values_themselves(gamma, sweeps):
    wanted = 1 / (1 - gamma)
    assert value_of_the_good_state("qplex", gamma, sweeps) == pytest.approx(wanted, rel=0.03)
