"""
# Gaussian Squeeze

Agents share out a resource whose sum must hit a narrow target (HolmesParker et al. 2014), in
QTRAN's form with two targets (Son et al. 2019): the wide hill is easy to find, the narrow one pays
more.

| Creation           | `make("parallel", "vdtoolkit/gaussian_squeeze-v0")`  |
|--------------------|------------------------------------------------------|
| Actions            | Discrete                                             |
| Parallel API       | Yes                                                  |
| Manual Control     | No                                                   |
| Agents             | `agents= ['agent_0', ..., 'agent_9']`                |
| Agents             | 10 by default                                        |
| Action Shape       | Discrete(11)                                         |
| Action Values      | [0, 10]                                              |
| Observation Shape  | (N + 1,)                                             |
| Observation Values | [0, 2]                                               |
| State Shape        | (N,)                                                 |
| State Values       | [0, 2]                                               |

Each agent i has a scale s_i, uniform on [0, 2] and new in every episode, and chooses a whole number
u_i. With x = (u_1 s_1 + ... + u_N s_N) / N, all are paid

    x exp(-(x - 8)^2 / 0.25)                       one target (`domains=1`)
    x exp(-(x - 8)^2 / 0.25) + x exp(-(x - 5)^2)   two targets (`domains=2`)

and the episode terminates. The most that can be had is 8.0078 at x = 8.016, with two targets
8.0087; the lesser hill is 5.049 at x = 5.098. Scales may be too small to reach 8.

An agent sees its own scale, then those of all; the state is the scales of all.

### Arguments

`agents`: how many, 10 by default.

`actions`: numbers to choose from, 11 by default (0 to 10, as in QTRAN's code; its paper has 0 to
9).

`domains`: targets, 1 or 2 (the default).

`render_mode`: None, `"human"` (prints), `"ansi"` or `"rgb_array"`.

### Version History

* v0: Initial version
"""  # noqa: D212

from __future__ import annotations

import numpy as np
from gymnasium.utils import EzPickle

from ._drawing import Canvas
from ._team_game import JointAction, TeamGame, aec, at_least, box

__all__ = ["env", "parallel_env", "payoff", "raw_env"]

TARGETS = ((8.0, 0.25), (5.0, 1.0))  # of each domain: where, and how wide
LARGEST = 2.0  # scale


def payoff(x: float | np.ndarray, domains: int = 2) -> float | np.ndarray:
    """What x pays: the sum over the targets (m, w) of x exp(-(x - m)^2 / w)."""
    return sum(x * np.exp(-((x - m) ** 2) / w) for m, w in TARGETS[:domains])


class raw_env(TeamGame):
    """The (multi-domain) Gaussian squeeze (see the module)."""

    metadata = {**TeamGame.metadata, "name": "gaussian_squeeze_v0"}  # noqa: RUF012

    def __init__(
        self,
        agents: int = 10,
        *,
        actions: int = 11,
        domains: int = 2,
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(self, agents, actions=actions, domains=domains, render_mode=render_mode)
        at_least(1, agents=agents)
        at_least(2, actions=actions)
        if domains not in (1, 2):
            raise ValueError(f"domains={domains!r}: choose 1 or 2")
        self.domains = domains
        self.title = f"Gaussian squeeze, {agents} agents"
        TeamGame.__init__(
            self,
            [actions] * agents,
            [box(0.0, LARGEST, agents + 1) for _ in range(agents)],
            box(0.0, LARGEST, agents),
            render_mode=render_mode,
        )
        self.scales = np.zeros(agents)  # [N], of the episode
        self._last: JointAction | None = None

    def _begin(self) -> None:
        self.scales = self.np_random.uniform(0.0, LARGEST, len(self.n_actions))
        self._last = None

    def _play(self, played: JointAction) -> tuple[list[float], list[bool], bool]:
        self._last = played
        n = len(self.n_actions)
        return [float(payoff(self._x(), self.domains))] * n, [True] * n, False

    def _x(self) -> float:
        return float(np.mean(np.array(self._last) * self.scales))

    def _masks(self) -> list[np.ndarray]:
        return [np.ones(n, bool) for n in self.n_actions]

    def _observations(self) -> list[np.ndarray]:
        return [np.array([own, *self.scales], np.float32) for own in self.scales]

    def _global_state(self) -> np.ndarray:
        return self.scales.astype(np.float32)

    def _told_x(self) -> str:
        if self._last is None:
            most = float(np.mean(self.scales) * (self.n_actions[0] - 1))
            return f"start of the episode: x can be 0 to {most:.3f}"
        return f"x = {self._x():.3f} pays {payoff(self._x(), self.domains):.4f}"

    def _text(self) -> str:
        n = len(self.n_actions)
        lines = [f"agent_{i}: scale {scale:.3f}" for i, scale in enumerate(self.scales)]
        for i, action in enumerate(self._last or ()):
            lines[i] += f", plays {action}, adds {action * self.scales[i] / n:.3f}"
        return "\n".join([self.title, *lines, self._told_x()])

    def _image(self) -> np.ndarray:
        right = 11.0 if self._last is None else max(11.0, self._x() + 0.5)
        xs = np.linspace(0.0, right, 500)
        title = f"{self.title}\n{self._told_x()}"
        canvas = Canvas(6, 3.8, (0, right), (-2.2, 9), title, frame=True)
        canvas.axes.plot(xs, payoff(xs, self.domains), color="steelblue")
        canvas.axes.set_xlabel("x, the mean of scale times action; bars: what each agent adds")
        canvas.axes.set_ylabel("paid")
        canvas.axes.set_yticks(range(0, 9, 2))
        if self._last is not None:
            start, colours = 0.0, ("goldenrod", "seagreen")
            for i, part in enumerate(np.array(self._last) * self.scales / len(self.scales)):
                canvas.rectangle(start, -1.7, part, 0.9, colours[i % 2])
                if part > 0.3:
                    canvas.text(start + part / 2, -1.25, str(i), size=7)
                start += part
            x = self._x()
            paid = float(payoff(x, self.domains))
            canvas.axes.plot([x, x], [-1.7, paid], color="crimson")
            canvas.axes.plot([x], [paid], "o", color="crimson")
        return canvas.pixels()


def parallel_env(
    agents: int = 10, *, actions: int = 11, domains: int = 2, render_mode: str | None = None
) -> raw_env:
    """The game as a ParallelEnv; the module describes the arguments."""
    return raw_env(agents, actions=actions, domains=domains, render_mode=render_mode)


env = aec(parallel_env)
