"""The team in a game of StarCraft II as a PettingZoo environment: what smac_v0 and smacv2_v0 share.

Everything that differs between the two is in the `Game` they make and in their arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box

from .._team_game import Dicts, JointAction, TeamGame
from . import install
from .game import Game, GameLost, Moment

if TYPE_CHECKING:
    from .._scene import Scene, Unit

KINDS = (
    "marine",
    "marauder",
    "medivac",
    "stalker",
    "zealot",
    "colossus",
    "hydralisk",
    "zergling",
    "baneling",
)
# the game's own numbers; a team's units are copies whose numbers the map decides
STOCK = {
    48: "marine",
    51: "marauder",
    54: "medivac",
    74: "stalker",
    73: "zealot",
    4: "colossus",
    107: "hydralisk",
    105: "zergling",
    9: "baneling",
    98: "spine crawler",
}
ORDERS = {16: "move", 3794: "move", 23: "attack", 3674: "attack", 386: "heal", 3685: "heal"}


class StarCraftTeam(TeamGame):
    """A team of units; all agents stay to the end, the dead with zeros and no-op alone.

    env: one of oxwhirl's, not launched, whose sizes are read.  game: what is played.
    """

    metadata: dict[str, Any] = {**TeamGame.metadata, "seeds_once": True}  # noqa: RUF012
    kind: str  # "smac" or "smacv2"

    def __init__(
        self, env: Any, game: Game, title: str, *, illegal_action: str, render_mode: str | None
    ) -> None:
        told = env.get_env_info()
        n, obs_dim, state_dim = told["n_agents"], told["obs_shape"], told["state_shape"]
        inner = vars(env).get("env", env)
        if self.kind == "smac" and inner.obs_timestep_number:  # counted once too few
            obs_dim, state_dim = obs_dim + 1, state_dim + n * inner.obs_instead_of_state
        TeamGame.__init__(
            self,
            [told["n_actions"]] * n,
            [_unbounded(obs_dim) for _ in range(n)],
            _unbounded(state_dim),
            illegal_action=illegal_action,
            render_mode=render_mode,
        )
        self.title, self.limit = title, int(told["episode_limit"])
        self.n_enemies = int(inner.n_enemies)
        self.game = game
        self._seed: int | None = None
        self._moment: Moment | None = None
        self._shown = Shown({}, {}, {}, 0.0, 0.0)
        self._lost, self._return, self._ended = False, 0.0, ""
        self._outcome: dict[str, Any] = {}

    @property
    def versions(self) -> dict[str, str]:
        """Of what results depend on: of the game, and of oxwhirl's code."""
        return {"starcraft": self.game_version, self.kind: install.version_of(self.kind)}

    @property
    def game_version(self) -> str:
        """As the game says once it was launched; before, by the build that would be."""
        if self.game.version:
            return self.game.version
        try:
            build = self.game.check()
        except install.NotInstalled:
            return "not installed"
        return f"{install.version_of_build(build)} (Base{build})" if build else "unknown"

    @property
    def lost(self) -> int:
        """Episodes that broke so far."""
        return self.game.lost

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Dicts:
        """Start an episode: (observations, infos).

        The game takes a seed at its launch alone, so a seed costs one: ten seconds and more.
        """
        self._seed = None if seed is None else int(seed)
        return super().reset(seed=seed, options=options)

    def close(self) -> None:
        """End the game; `reset` would launch another."""
        self.game.end()

    # -- the game's part of TeamGame ------------------------------------------------------

    def _begin(self) -> None:
        self.agents = []  # nobody plays where the launch fails
        moment = self.game.begin(self._seed)
        self._refuse_sizes(moment)
        self._moment, self._shown = moment, Shown.of(self.game.inner)
        self._lost, self._return, self._ended = False, 0.0, ""
        self._outcome = {"battle_won": False, "dead_allies": 0, "dead_enemies": 0}

    def _play(self, played: JointAction) -> tuple[list[float], list[bool], bool]:
        n = len(played)
        try:
            self._moment, reward, over, info = self.game.move(played)
            self._shown = Shown.of(self.game.inner, self._shown.names)
        except GameLost:
            # nobody won or lost: no reward, the last observation, and no word of who won
            self._lost, self._ended = True, "game lost"
            self._outcome.pop("battle_won", None)
            return [0.0] * n, [False] * n, True
        truncated = bool(info.get("episode_limit", False))
        self._outcome = {
            "battle_won": bool(info["battle_won"]),
            "dead_allies": int(info["dead_allies"]),
            "dead_enemies": int(info["dead_enemies"]),
        }
        self._return += reward
        if over:
            draw = info["dead_enemies"] == self.n_enemies
            lost = "draw" if draw else "lost"
            self._ended = "won" if info["battle_won"] else "time limit" if truncated else lost
        return [reward] * n, [over and not truncated] * n, over and truncated

    def _masks(self) -> list[np.ndarray]:
        return list(self._now.available)

    def _observations(self) -> list[np.ndarray]:
        return list(self._now.obs.copy())

    def _global_state(self) -> np.ndarray:
        return self._now.state.copy()

    def _told(self, agents: Sequence[str]) -> Dicts:
        observations, infos = super()._told(agents)
        alive = ~self._now.available[:, 0]  # no-op is for the dead, and all that they have
        for agent in agents:
            i = self._row(agent)
            infos[agent] |= {
                "alive": bool(alive[i]),
                "unit_type": self._shown.kind(self._shown.team[i]),
                "lost_game": self._lost,
                **self._outcome,
            }
        return observations, infos

    @property
    def _now(self) -> Moment:
        if self._moment is None:
            raise RuntimeError("before reset(): call reset() to start an episode")
        return self._moment

    def _refuse_sizes(self, moment: Moment) -> None:
        """oxwhirl's code says sizes before it plays; it may be another version than we know."""
        dim = self.observation_space("agent_0").shape or ()
        said = (len(self.possible_agents), *dim), self.state_space.shape
        shown = moment.obs.shape, moment.state.shape
        if shown != said:
            self.game.end()
            raise RuntimeError(
                f"{self.kind} shows observations {shown[0]} and a state {shown[1]}, having said "
                f"{said[0]} and {said[1]}: this version of it is not known here"
            )

    # -- for people -----------------------------------------------------------------------

    def scene(self) -> Scene:
        """The battle at this moment, for `render` and for replays; the last seen of a lost one."""
        from .._scene import Scene

        if self._moment is None:
            raise RuntimeError("scene() before reset(): call reset() to start an episode")
        return Scene(
            width=self._shown.width,
            height=self._shown.height,
            units=tuple(self._shown.units()),
            move=self._moves,
            limit=self.limit,
            title=self.title,
            team_return=self._return,
            note=self._ended,
        )

    def _text(self) -> str:
        from .._scene import text

        return text(self.scene())

    def _image(self) -> np.ndarray:
        from .._scene import draw

        return draw(self.scene())


class Shown(NamedTuple):
    """The units of both sides as the game showed them, by index; names of the team's types."""

    team: dict[int, Any]
    enemies: dict[int, Any]
    names: dict[int, str]
    width: float
    height: float

    @classmethod
    def of(cls, inner: Any, names: dict[int, str] | None = None) -> Shown:
        """What oxwhirl's env has at this moment."""
        if names is None:
            own = {getattr(inner, f"{kind}_id", 0): kind for kind in KINDS}
            names = {**STOCK, **{number: kind for number, kind in own.items() if number}}
        size = float(inner.map_x), float(inner.map_y)
        return cls(dict(inner.agents), dict(inner.enemies), names, *size)

    def kind(self, unit: Any) -> str:
        """A unit's type by name."""
        return self.names.get(unit.unit_type, "unit")

    def units(self) -> list[Unit]:
        """Of a scene: the team's, then the enemy's."""
        from .._scene import Unit

        everybody = [(0, i, unit) for i, unit in sorted(self.team.items())]
        everybody += [(1, i, unit) for i, unit in sorted(self.enemies.items())]
        place = {unit.tag: k for k, (_, _, unit) in enumerate(everybody)}
        found = []
        for side, i, unit in everybody:
            order = unit.orders[0] if unit.orders and unit.health > 0 else None
            target = None if order is None else place.get(order.target_unit_tag)
            doing = "" if order is None or target is not None else ORDERS.get(order.ability_id, "")
            found.append(
                Unit(
                    side=side,
                    kind=self.kind(unit),
                    x=unit.pos.x,
                    y=unit.pos.y,
                    radius=unit.radius,
                    health=unit.health,
                    health_max=unit.health_max,
                    shield=unit.shield,
                    shield_max=unit.shield_max,
                    label=str(i),
                    doing=doing,
                    target=target,
                )
            )
        return found


# -- arguments ------------------------------------------------------------------------------


def refuse_unknown(
    kind: str, cls: Callable[..., Any], given: Mapping[str, Any], reserved: Mapping[str, str]
) -> None:
    """TypeError for an argument that oxwhirl's class does not take, or that is not the caller's."""
    takes = [name for name in inspect.signature(cls).parameters if name not in reserved]
    for name in given:
        if name in reserved:
            raise TypeError(f"{kind}_v0: {name}={given[name]!r}: {reserved[name]}")
        if name not in takes:
            raise TypeError(
                f"{kind}_v0 has no argument {name!r}: {install.closest(name, takes)}"
                f"{cls.__name__} takes {', '.join(takes)}"
            )


def refuse_map(kind: str, name: str, known: Collection[str]) -> None:
    """ValueError for a map that oxwhirl's code does not know."""
    if name not in known:
        raise ValueError(
            f"{kind}_v0 knows no map {name!r}: {install.closest(name, known)}"
            f"maps are {', '.join(known)}"
        )


def _unbounded(size: int) -> Box:
    return Box(-np.inf, np.inf, (size,), np.float32)
