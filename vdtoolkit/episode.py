"""One episode's bookkeeping, PettingZoo's dicts to `Step`: who is there, who died, how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vdtoolkit.step import Step
from vdtoolkit.team import Dicts, Team

WON = ("battle_won", "won", "is_success")  # keys of infos by which environments report a win


class TeamEpisode:
    """The bookkeeping of one episode of a PettingZoo env: dicts in, `Step`s of E = 1 out.

    Alive is who is observed and has not terminated, and what `infos[a]["alive"]` says where an
    env gives it.  The last step of a team counts the truncated as alive: their observation is
    what the learner bootstraps from.  Who is both terminated and truncated then counts as
    truncated: environments that say both mostly mean their time limit.
    """

    def __init__(self, team: Team) -> None:
        self.team = team
        self.moves = 0
        self.acting: list[str] = []  # who is to act now, in the order observed
        self._living: list[str] = []  # of them, those that are not reported as out
        self._ended: set[str] = set()
        self._lost = False  # once broken, an episode stays so

    def start(self, observations: Dicts, infos: Dicts | None, state: Any) -> Step:
        """Moment 0, from what `env.reset` returned."""
        if not observations:
            raise ValueError("reset() returned no observations: the team has nobody to act")
        self.moves = 0
        self._ended, self._lost = set(), False
        self.acting = list(observations)
        return self._step(observations, infos, state, first=True)

    def advance(
        self,
        observations: Dicts,
        rewards: Dicts,
        terminations: Dicts,
        truncations: Dicts,
        infos: Dicts | None,
        state: Any,
    ) -> Step:
        """The next moment, from what `env.step` returned."""
        self.moves += 1
        infos = {agent: info for agent, info in infos.items() if info} if infos else None
        reward = self.team.team_reward(rewards, self._living)
        self._refuse_revival(observations, terminations, truncations)
        agents = observations.keys()
        alike = agents == rewards.keys() == terminations.keys() == truncations.keys()
        if observations and not alike and not is_lost(infos):
            self._refuse_gaps(observations, rewards, terminations, truncations)

        going_on = not (any(terminations.values()) or any(truncations.values()) or self._ended)
        if going_on and list(observations) == self.acting:  # as in most moves
            return self._step(observations, infos, state, reward=reward)
        over = {a for a in terminations if terminations[a]} | {
            a for a in truncations if truncations[a]
        }
        # who acted and is no longer told of has left: PettingZoo drops the dead from the dicts
        self._ended |= over | (set(self.acting) - set(observations) - set(terminations))
        self.acting = [a for a in observations if a not in self._ended]
        if self.acting:
            seen = {a: observations[a] for a in self.acting}
            return self._step(seen, infos, state, reward=reward)
        cut = {a for a in truncations if truncations[a]}
        seen = {a: observations[a] for a in observations if a in cut or not cut}
        if not seen and not is_lost(infos):
            raise ValueError(
                f"the episode ended at move {self.moves} by "
                f"{'truncation' if cut else 'termination'} and step() returned no last "
                f"observation of {', '.join(sorted(cut or over)) or 'any agent'}: PettingZoo's "
                "step() reports an agent once more in the step in which it ends"
            )
        return self._step(
            seen, infos, state, reward=reward, terminated=not cut, truncated=bool(cut)
        )

    def _step(
        self,
        seen: Dicts,
        infos: Dicts | None,
        state: Any,
        *,
        reward: float = 0.0,
        first: bool = False,
        terminated: bool = False,
        truncated: bool = False,
    ) -> Step:
        self._lost = self._lost or is_lost(infos)
        obs = self.team.encode_obs(seen)
        available = self.team.encode_available(seen, infos)
        self._repair_or_refuse(available, terminated or truncated)
        self._living = list(seen)
        alive = np.zeros(len(self.team.agents), bool)
        if not terminated:
            if len(seen) == len(alive):
                alive[:] = True
            else:
                alive[[self.team.index(agent) for agent in seen]] = True
            for agent, info in (infos or {}).items():
                if agent in seen and info and not info.get("alive", True):
                    alive[self.team.index(agent)] = False
                    self._living.remove(agent)
        return Step(
            obs=obs[None],
            state=self.team.encode_state(state, obs)[None],
            available=available[None],
            alive=alive[None],
            reward=np.array([reward], np.float32),
            first=np.array([first]),
            terminated=np.array([terminated]),
            truncated=np.array([truncated]),
            lost=np.array([self._lost]),
            won=won(infos) if terminated or truncated else None,
        )

    def _repair_or_refuse(self, available: np.ndarray, over: bool) -> None:
        """Nobody acts after the end, so a mask of zeros there is harmless; before it is not."""
        something = available.any(-1)
        if np.count_nonzero(something) == len(self.team.agents):
            return
        nothing = ~something
        if over:
            available[nothing] = self.team.owned[nothing]
        else:
            agent = self.team.agents[int(np.argmax(nothing))]
            raise ValueError(
                f"agent {agent!r}: action_mask is all zeros at move {self.moves}: "
                "an agent that is to act needs one available action"
            )

    def _refuse_revival(self, observations: Dicts, terminations: Dicts, truncations: Dicts) -> None:
        if not self._ended:
            return
        for agent in self._ended.intersection(observations, terminations, truncations):
            if not terminations[agent] and not truncations[agent]:
                raise ValueError(
                    f"agent {agent!r} had ended and is back at move {self.moves}: "
                    "PettingZoo's agents cannot revive; report it alive throughout and give "
                    'infos[agent]["alive"] = False while it is out'
                )

    def _refuse_gaps(
        self, observations: Dicts, rewards: Dicts, terminations: Dicts, truncations: Dicts
    ) -> None:
        """An agent that step() tells of is told of in all its dicts."""
        parts = {"reward": rewards, "termination": terminations, "truncation": truncations}
        told = set(observations).union(*parts.values())
        for agent in sorted(told, key=self.team.index):
            acted, seen = agent in self.acting, agent in observations
            for name, part in parts.items():
                if agent not in part and (acted or (seen and name != "reward")):
                    raise ValueError(
                        f"agent {agent!r}: step() gave no {name} of it at move {self.moves}, "
                        f"although it {'acted' if acted else 'is observed'}"
                    )
            if acted and not seen and not terminations[agent] and not truncations[agent]:
                raise ValueError(
                    f"agent {agent!r}: step() gave no observation of it at move {self.moves}, "
                    "although it is neither terminated nor truncated"
                )


def is_lost(infos: Dicts | None) -> bool:
    """Whether anybody, living or not, is told that the environment broke."""
    told = (infos or {}).values()
    return any(bool(info.get("lost_game", False)) for info in told if isinstance(info, Mapping))


def won(infos: Dicts | None) -> np.ndarray | None:
    """[1] float32: whether anybody's info says that the team won; None where none tells."""
    told = [
        bool(info[key])
        for info in (infos or {}).values()
        if isinstance(info, Mapping)
        for key in WON
        if key in info
    ]
    return np.array([any(told)], np.float32) if told else None
