"""A team's environments born batched: one `gymnasium.vector.VectorEnv` and no env inside."""

import numpy as np
from gymnasium.spaces import MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from vdtoolkit.team_env import team_space


class Lengths(VectorEnv):
    """Env e ends after lengths[e] moves, by termination; a move pays 1, the last one wins.

    The first number of the state is the sum of the actions so far.
    """

    def __init__(self, team, lengths, mode=AutoresetMode.NEXT_STEP):
        self.team, self.lengths, self.num_envs = team, np.array(lengths), len(lengths)
        self.metadata = {"autoreset_mode": mode}
        self.single_observation_space = team_space(team)
        self.single_action_space = MultiDiscrete(np.full(team.spec.n_agents, team.spec.n_actions))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.seeds, self.closed = [], False

    def reset(self, *, seed=None, options=None):
        assert seed is None or isinstance(seed, int)  # as VectorEnv.reset has it
        self.seeds.append(seed)
        self.t, self.sums = np.zeros(self.num_envs, int), np.zeros(self.num_envs)
        self.over = np.zeros(self.num_envs, bool)
        return self._seen(), {}

    def step(self, actions):
        new = self.over
        self.t = np.where(new, 0, self.t + 1)
        self.sums = np.where(new, 0, self.sums + actions.sum(1))
        self.over = self.t == self.lengths
        infos = {"won": self.over.astype(float)}
        return self._seen(), (~new).astype(float), self.over, np.zeros_like(new), infos

    def close(self, **kwargs):
        self.closed = True

    def _seen(self):
        spec, E = self.team.spec, self.num_envs
        state = np.zeros((E, spec.state_dim), np.float32)
        state[:, 0] = self.sums
        return {
            "obs": np.zeros((E, spec.n_agents, spec.obs_dim), np.float32),
            "state": state,
            "available": np.broadcast_to(self.team.owned, (E, *self.team.owned.shape)),
            "alive": np.ones((E, spec.n_agents), np.int8),
        }
