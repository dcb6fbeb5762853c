"""A PettingZoo team as one `gymnasium.Env`, for Gymnasium's vector envs and others' libraries."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv
from pettingzoo.utils.conversions import aec_to_parallel, turn_based_aec_to_parallel

from vdtoolkit.episode import TeamEpisode
from vdtoolkit.flat import any_box
from vdtoolkit.step import Step
from vdtoolkit.team import Team


class CannotComeBackError(ValueError):
    """Envs that cannot be brought back to where they were: play goes on with new episodes."""


# seed of the env, number of the episode, its actions so far [t, N] or None where it is over
Place = tuple[int, int, np.ndarray | None]


class TeamEnv(gymnasium.Env):
    """A PettingZoo team as one Gymnasium env: Dict observation, `MultiDiscrete` joint action.

    The reward is the team's.  `reset(seed=s)` fixes every later episode as well: episode k is
    seeded from (s, k), so that a run's episodes do not depend on how long earlier ones were.  (An
    env that `seeds_once` is seeded by the first of them alone.)
    """

    def __init__(self, env: Any, team: Team | None = None) -> None:
        self.env = env = parallel(env)
        self.team = team or Team.from_env(env)
        self.team.refuse_other(env)
        if self.team.state_dim is None:
            observations, infos = env.reset()
            TeamEpisode(self.team).start(observations, infos, env.state())
        self.observation_space = team_space(self.team)
        self.action_space = spaces.MultiDiscrete(self.team.n_actions)
        self._episode = TeamEpisode(self.team)
        self._seeds: np.random.SeedSequence | None = None
        self.seeds_once = seeds_once(env)
        self.resume_at: Place | None = None  # where the next reset() takes up play
        self._rests = False  # the next step() begins an episode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A new episode of the team; with `resume_at` set, the one that was under way there."""
        super().reset(seed=seed)
        self._rests = False
        place, self.resume_at = self.resume_at, None
        if place is not None:
            step = self.play_up(*place)
            if step is None:
                self._rests = True
                seen = team_space(self.team).spaces
                return {k: np.zeros(s.shape or (), s.dtype) for k, s in seen.items()}, {}
            return _told(step)
        return _told(self.begin(seed, options))

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """One joint action: row indices [N]; those of agents that do not act are ignored."""
        if self._rests:
            seen, info = self.reset()
            return seen, 0.0, False, False, info
        step = self.play(np.asarray(action))
        seen, info = _told(step)
        return seen, float(step.reward[0]), bool(step.terminated[0]), bool(step.truncated[0]), info

    def begin(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Step:
        """`reset` as a `Step` of E = 1."""
        observations, infos = self.env.reset(seed=self._next_seed(seed), options=options)
        return self._episode.start(observations, infos, self._state())

    def play(self, action: np.ndarray) -> Step:
        """`step` as a `Step` of E = 1."""
        told = self.env.step(self.team.decode(action, self._episode.acting))
        return self._episode.advance(told[0], told[1], told[2], told[3], told[4], self._state())

    def play_up(self, seed: int, episode: int, actions: np.ndarray | None) -> Step | None:
        """The episode-th episode (from 0) of an env seeded so, after these actions [t, N].

        None where it was over: the next to begin is then the one after it.  An env that says
        `metadata["seedable"] = False`, or that `seeds_once`, cannot come back.
        """
        seedable = (getattr(self.env, "metadata", None) or {}).get("seedable", True)
        if self.seeds_once or not seedable:
            raise CannotComeBackError("the environment says that it cannot be seeded")
        done = actions is None
        self._seeds = np.random.SeedSequence(seed, n_children_spawned=episode + done)
        if actions is None:
            return None
        step = self.begin()
        for action in actions:
            step = self.play(action)
        return step

    def close(self) -> None:
        """Close the team's env."""
        self.env.close()

    def _next_seed(self, seed: int | None) -> int | None:
        """The seed of the episode that begins; None where none was ever given."""
        if seed is not None:
            self._seeds = np.random.SeedSequence(seed)
        elif self.seeds_once:
            return None
        if self._seeds is None:
            return None
        return int(self._seeds.spawn(1)[0].generate_state(1)[0])

    def _state(self) -> Any:
        return self.env.state() if self.team.has_state else None


def seeds_once(env: Any) -> bool:
    """Whether an env is to be seeded once for all episodes, as its metadata say.

    A seed may cost it a launch of many seconds, as it does StarCraft's.
    """
    return bool((getattr(env, "metadata", None) or {}).get("seeds_once", False))


def team_space(team: Team) -> spaces.Dict:
    """What `TeamEnv` shows of a team."""
    spec = team.spec
    n, a = spec.n_agents, spec.n_actions
    return spaces.Dict(
        {
            "obs": any_box((n, spec.obs_dim), spec.obs_dtype),
            "state": any_box((spec.state_dim,), spec.state_dtype),
            "available": spaces.MultiBinary((n, a)),
            "alive": spaces.MultiBinary(n),
        }
    )


def parallel(env: Any) -> Any:
    """The env as PettingZoo's parallel one: AEC envs are converted, turn by turn if they must."""
    if not isinstance(env, AECEnv):
        return env
    together = env.metadata.get("is_parallelizable", False)
    return aec_to_parallel(env) if together else turn_based_aec_to_parallel(env)


def _told(step: Step) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    seen = {
        "obs": step.obs[0],
        "state": step.state[0],
        "available": step.available[0].astype(np.int8),
        "alive": step.alive[0].astype(np.int8),
    }
    info: dict[str, Any] = {"lost": True} if step.lost[0] else {}
    if step.won is not None:
        info["won"] = float(step.won[0])
    return seen, info
