"""Watching: what an environment shows, episode by episode, as a GIF or as a page of HTML."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pettingzoo.utils import BaseParallelWrapper

from . import _replay
from ._replay import Moment, checked
from ._scene import Scene

__all__ = ["Moment", "Recorder"]


class Recorder(BaseParallelWrapper):
    """Records the first episodes of any `ParallelEnv` and writes them down for people to watch.

        env = Recorder(predator_prey_v0.parallel_env(render_mode="rgb_array"), "hunt.html")

    An env with a method `scene()`, as our battles have, is drawn from that, whatever its
    `render_mode`; any other must be made with render_mode="rgb_array".  It plays as it would alone.

    path: `.gif`, or `.html`, a page that needs nothing else: play, pause, step, a slider and speed,
    by mouse and keyboard.  It is written, whole or not at all, when the last of the `episodes` ends
    or the env is closed, with an episode that was cut short as far as it came.  Without a path
    `save` writes it.
    episodes: how many, from now on; None: all, which memory must hold.
    fps: moves a second; by default the env's own `render_fps`, else 4.
    """

    def __init__(
        self,
        env: Any,
        path: str | os.PathLike[str] | None = None,
        *,
        episodes: int | None = 1,
        fps: float | None = None,
    ) -> None:
        super().__init__(env)
        if episodes is not None and episodes < 1:
            raise ValueError(
                f"episodes={episodes}: at least one is to be recorded, or None for all"
            )
        given = fps if fps is not None else (env.metadata or {}).get("render_fps") or 4
        if not 0 < given <= 100:
            raise ValueError(f"fps={given}: give moves a second, above 0 and at most 100")
        self._look = looker(env)
        self.path = None if path is None else checked(path)
        self.fps, self.most = float(given), episodes
        self.title = str((env.metadata or {}).get("name") or type(env.unwrapped).__name__)
        self.episodes: list[list[Moment]] = []
        self._recording = self._saved = False

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new episode, recorded if there are not enough yet."""
        told = self.env.reset(seed=seed, options=options)
        if self.episodes and len(self.episodes[-1]) == 1:
            self.episodes.pop()  # nobody moved in it
        self._recording = self.most is None or len(self.episodes) < self.most
        if self._recording:
            self.episodes.append([Moment(self._look())])
        return told

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """One move."""
        told = self.env.step(actions)
        if self._recording:
            _, rewards, terminations, truncations, _ = told
            episode, over = self.episodes[-1], not self.env.agents
            paid = {agent: float(reward) for agent, reward in rewards.items()}
            total = episode[-1].total + float(np.mean(list(paid.values()) or [0.0]))
            ending = _ending(terminations, truncations) if over else ""
            episode.append(Moment(self._look(), dict(actions), paid, total, ending))
            self._recording = not over
            if over and self.path is not None and len(self.episodes) == self.most:
                self.save(self.path)
        return told

    def close(self) -> None:
        """Write what was recorded, if that has not been done, and close the env."""
        if self.path is not None and not self._saved and self.episodes:
            self.save(self.path)
        self.env.close()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the episodes so far as `.gif` or `.html`; where to."""
        if not self.episodes:
            raise ValueError(f"nothing to write to {path}: no episode has begun")
        written = _replay.write(path, self.title, self.episodes, self.fps)
        self._saved = self._saved or written == self.path
        return written


def looker(env: Any) -> Callable[[], Scene | bytes]:
    """What shows the env's present moment: its `scene`, else its picture as PNG; ValueError."""
    scene = getattr(env.unwrapped, "scene", None)
    if callable(scene):
        return scene
    mode = getattr(env, "render_mode", None)
    if mode != "rgb_array":
        raise ValueError(
            f"{type(env.unwrapped).__name__} has no scene() and render_mode={mode!r}: "
            'there is nothing to record; make it with render_mode="rgb_array"'
        )
    return lambda: _replay.png(env.render())


def _ending(terminations: Mapping[str, bool], truncations: Mapping[str, bool]) -> str:
    cut = any(truncations.values()) and not all(terminations.values())
    return "time is up" if cut else "the end"
