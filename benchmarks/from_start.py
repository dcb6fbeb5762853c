"""25,000 moves of QMIX on 8 NumPy worlds, one update an episode: what a user waits for."""

from benchmarks.spread import SpreadVectorEnv, spread_team
from vdtoolkit import QMIXAgents
from vdtoolkit.stream import VectorStream
from vdtoolkit.training import play

team = spread_team(3)
play(QMIXAgents(team, seed=0), VectorStream(SpreadVectorEnv(8, 3, 0.0), team), 25_000)
