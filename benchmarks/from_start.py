"""25,000 moves of QMIX on 8 NumPy worlds, one update an episode: what a user waits for."""

from functools import partial

from benchmarks.spread import SpreadVectorEnv, spread_team
from vdtoolkit import QMIXAgents, train

agents = QMIXAgents(spread_team(3), seed=0)
train(agents, partial(SpreadVectorEnv, 8, 3, 0.0), 25_000, n_envs=8)
