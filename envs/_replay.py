"""Recorded episodes as files: GIF, and a page of HTML that needs nothing else."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._replay_page import PAGE
from ._scene import COLOURS, HEALING, SHIELD, Scene, View, deed, draw, kinds_of, shade_of, view_of

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = (".gif", ".html")
HOLD = 2.0  # seconds that a GIF rests on an episode's last picture


@dataclass(frozen=True)
class Moment:
    """What there was to see at one moment, and the move that led to it.

    shown: the env's `scene()`, or its picture as PNG.  actions, rewards: one an agent that acted.
    total: rewards so far, the mean over agents of each move.  ending: why the episode is over.
    """

    shown: Scene | bytes
    actions: Mapping[str, Any] = field(default_factory=dict)
    rewards: Mapping[str, float] = field(default_factory=dict)
    total: float = 0.0
    ending: str = ""


Episodes = Sequence[Sequence[Moment]]


def checked(path: str | os.PathLike[str]) -> Path:
    """The path of a kind that we write."""
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise ValueError(f"{path}: a replay is a .gif or a .html")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file to write")
    return path


def write(path: str | os.PathLike[str], title: str, episodes: Episodes, fps: float) -> Path:
    """The episodes as the kind of file that the path names, whole or not at all."""
    path = checked(path)
    if path.suffix.lower() == ".gif":
        content = gif(episodes, fps)
    else:
        content = html(title, episodes, fps).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def png(picture: Any) -> bytes:
    """A picture of an env, uint8 [H, W, 3] or [H, W, 4], as PNG."""
    from PIL import Image

    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (3, 4):
        told = f"{array.dtype} {list(array.shape)}" if isinstance(picture, np.ndarray) else picture
        raise ValueError(f"render() gave {told!r}: a picture is uint8 [height, width, 3]")
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array[..., :3])).save(file, "PNG")
    return file.getvalue()


# -- GIF --------------------------------------------------------------------------------------


def gif(episodes: Episodes, fps: float) -> bytes:
    """All episodes one after the other, again and again."""
    from PIL import Image

    view = _view(episodes)
    moments = [moment for episode in episodes for moment in episode]
    lengths = [len(episode) for episode in episodes]
    step = max(round(1000 / fps), 20)  # milliseconds; viewers slow down what is faster
    hold = max(step, round(1000 * HOLD))
    times = [t for n in lengths for t in [step] * (n - 1) + [hold]]
    sizes = [_picture(m, view).size for m in moments if isinstance(m.shown, bytes)]
    sizes = sizes or [_picture(moments[0], view).size]
    size = max(w for w, _ in sizes), max(h for _, h in sizes)
    few = moments[:: math.ceil(len(moments) / 8)]
    together = Image.new("RGB", (size[0], size[1] * len(few)), "white")
    for k, moment in enumerate(few):
        together.paste(_picture(moment, view), (0, size[1] * k))
    colours = together.quantize(256)  # one palette for all: what does not move does not flicker

    def frames() -> Iterator[Image.Image]:
        for moment in moments:
            whole = Image.new("RGB", size, "white")
            whole.paste(_picture(moment, view), (0, 0))
            yield whole.quantize(palette=colours, dither=Image.Dither.NONE)

    file, each = io.BytesIO(), frames()
    first = next(each)
    first.save(file, "GIF", save_all=True, append_images=each, duration=times, loop=0)
    return file.getvalue()


def _picture(moment: Moment, view: View | None) -> Image:
    from PIL import Image

    if isinstance(moment.shown, bytes):
        return Image.open(io.BytesIO(moment.shown))
    return Image.fromarray(draw(moment.shown, view))


def _view(episodes: Episodes) -> View | None:
    """What all episodes' pictures show of the map; None where there are no scenes."""
    scenes = [m.shown for e in episodes for m in e if not isinstance(m.shown, bytes)]
    return view_of(scenes) if scenes else None


# -- HTML -------------------------------------------------------------------------------------


def html(title: str, episodes: Episodes, fps: float) -> str:
    """The page.  What comes from the env is text in it, never markup or code."""
    told = {
        "fps": fps,
        "colours": {
            "healing": _css(HEALING),
            "shield": _css(SHIELD),
            "sides": [_css(colour) for colour in COLOURS],
        },
        "episodes": [_episode(k, episode) for k, episode in enumerate(episodes)],
    }
    # no "<" can end the script element, whatever is inside the strings
    data = json.dumps(told, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {"@TITLE@": escape(title), "@DATA@": data}
    return re.sub("|".join(parts), lambda found: parts[found[0]], PAGE)


def _episode(number: int, episode: Sequence[Moment]) -> dict[str, Any]:
    scenes = [m.shown for m in episode if not isinstance(m.shown, bytes)]
    told: dict[str, Any] = {"moments": [_moment(k, m) for k, m in enumerate(episode)]}
    last = told["moments"][-1]
    told["name"] = (
        f"episode {number + 1}: {last['note'] or 'cut short'}, return {_words(last['return'])}"
    )
    if scenes:
        told["title"], told["view"] = scenes[0].title, _rounded(view_of(scenes))
        told["map"] = _rounded((scenes[0].width, scenes[0].height))
        told["shades"] = {
            kind: [_css(shade_of(side, k)) for side in (0, 1)]
            for scene in scenes
            for kind, k in kinds_of(scene).items()
        }
    return told


def _moment(number: int, moment: Moment) -> dict[str, Any]:
    agents = [
        [str(agent), _short(moment.actions.get(agent, "")), _number(reward)]
        for agent, reward in moment.rewards.items()
    ]
    if isinstance(moment.shown, bytes):
        picture = base64.b64encode(moment.shown).decode()
        told = {"move": number, "return": _number(moment.total), "note": moment.ending}
        return {**told, "png": picture, "agents": agents}
    scene = moment.shown
    return {
        "move": scene.move,
        "limit": scene.limit,
        "return": _number(scene.team_return),
        "note": scene.note or moment.ending,
        "units": [
            [
                *(u.side, u.kind, u.label, deed(scene, u), u.target),
                *_rounded((u.x, u.y, u.radius, u.health, u.health_max, u.shield, u.shield_max)),
            ]
            for u in scene.units
        ],
    }


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 3) for value in values]


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None  # JSON has no NaN


def _words(value: float | None) -> str:
    return "?" if value is None else f"{round(value, 2):g}"


def _short(action: Any) -> str:
    """An action in at most 40 characters."""
    text = str(action.tolist() if isinstance(action, np.ndarray) else action)
    return text if len(text) <= 40 else text[:37] + "..."


def _css(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{c:02x}" for c in colour)
