"""Battles for people: one moment of two sides of units as a picture, as text and as numbers.

An environment says what is where by a method `scene()`; everything that is shown follows from it:
its `render()`, and the replays of `vdtoolkit.envs.Recorder`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

TEAM, ENEMY = 0, 1
# Okabe and Ito's colours (2008), which people of all kinds of colour vision tell apart.
COLOURS = ((0, 114, 178), (213, 94, 0))  # blue and vermillion, of the team and the enemy
HEALING, HEALTH, SHIELD = (0, 158, 115), (0, 158, 115), (86, 180, 233)
PAPER, GROUND, BEYOND, GRID = (255, 255, 255), (250, 249, 245), (225, 223, 216), (234, 232, 224)
INK, FAINT = (30, 30, 30), (165, 163, 156)
WIDTH, HEADER, FOOTER = 640, 44, 26  # pixels of the picture
FINER = 2  # shapes are drawn so many times as large, then made smaller: smooth edges
SHADES = (0.0, 0.45, -0.4, 0.65, -0.6, 0.25)  # of the kinds: towards white, or below 0 to black
DIAMOND = 1.15  # half a diamond's width, of the unit's radius
LEAST = 7.5  # pixels of the smallest unit's radius


@dataclass(frozen=True)
class Unit:
    """One unit; the dead have health 0 and stay in the scene.

    side: 0 the team's, 1 the enemy's.  x, y, radius: cells, y upwards.  label: the agent's number,
    or the enemy's.  doing: the last action in words.  target: who it was done to, an index into
    `Scene.units`; one of the same side is healed, one of the other attacked.
    """

    side: int
    kind: str
    x: float
    y: float
    radius: float
    health: float
    health_max: float
    shield: float = 0.0
    shield_max: float = 0.0
    label: str = ""
    doing: str = ""
    target: int | None = None

    @property
    def alive(self) -> bool:
        """Whether it has health left."""
        return self.health > 0


@dataclass(frozen=True)
class Scene:
    """A battle at one moment.

    width, height: of the map, cells.  move: of the episode so far, of at most `limit`.
    team_return: rewards of the moves so far.  note: how it ended, `won`, `lost`, ..., or nothing.
    """

    width: float
    height: float
    units: tuple[Unit, ...]
    move: int
    limit: int
    title: str
    team_return: float
    note: str = ""

    def __post_init__(self) -> None:
        if not (0 < self.width < math.inf and 0 < self.height < math.inf):
            raise ValueError(f"a map of {self.width} x {self.height} cells: both must be above 0")
        for k, unit in enumerate(self.units):
            numbers = (unit.x, unit.y, unit.radius, unit.health, unit.health_max)
            if unit.side not in (TEAM, ENEMY):
                raise ValueError(f"unit {k} has side {unit.side!r}: 0 is the team, 1 the enemy")
            if not all(map(math.isfinite, (*numbers, unit.shield, unit.shield_max))):
                raise ValueError(f"unit {k} has a number that is not finite: {unit}")
            if unit.target is not None and not 0 <= unit.target < len(self.units):
                raise ValueError(
                    f"unit {k} has target {unit.target}: there are units 0 to {len(self.units) - 1}"
                )


class View(NamedTuple):
    """The part of the map that is shown, cells."""

    left: float
    bottom: float
    right: float
    top: float


def view_of(scenes: Iterable[Scene], *, margin: float = 2.0, least: float = 10.0) -> View:
    """The part of the map where units are in any of these scenes, at least so many cells a side.

    No wider than twice its height, nor higher than its width.
    """
    scenes = list(scenes)
    if not scenes:
        raise ValueError("no scene to look at")
    xs = [unit.x for scene in scenes for unit in scene.units]
    ys = [unit.y for scene in scenes for unit in scene.units]
    width, height = scenes[0].width, scenes[0].height
    if not xs:
        return View(0.0, 0.0, width, height)
    wide = max(max(xs) - min(xs) + 2 * margin, least)
    high = max(max(ys) - min(ys) + 2 * margin, least / 2)
    wide, high = max(wide, high), max(high, wide / 2)
    x, y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    left, right = _within(x, wide, width)
    bottom, top = _within(y, high, height)
    return View(left, bottom, right, top)


def _within(middle: float, size: float, whole: float) -> tuple[float, float]:
    """A stretch of this size around the middle, moved into 0 to whole where it fits."""
    if size >= whole:
        return (whole - size) / 2, (whole + size) / 2
    low = min(max(middle - size / 2, 0.0), whole - size)
    return low, low + size


def draw(scene: Scene, view: View | None = None) -> np.ndarray:
    """The scene as a picture, uint8 [H, W, 3]: the whole map, or the view of it.

    Discs are the team, diamonds the enemy, crosses the dead; kinds differ in shade.  Above a unit
    its health, and its shield above that.  Lines go from who acts to whom, green ones heal.  The
    size of the picture depends on the view alone.
    """
    from PIL import Image, ImageDraw

    camera = Camera(view or View(0.0, 0.0, scene.width, scene.height))
    kinds = kinds_of(scene)
    field = _ground(camera.view, scene.width, scene.height).copy()
    _units(ImageDraw.Draw(field), scene, camera, kinds)
    image = Image.new("RGB", (camera.width, HEADER + camera.height + FOOTER), PAPER)
    image.paste(field.reduce(FINER), (0, HEADER))
    pen = ImageDraw.Draw(image)
    _header(pen, scene)
    _footer(pen, scene, kinds)
    return np.array(image)


class Camera:
    """A view in pixels."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.cell = WIDTH / (view.right - view.left)  # pixels
        self.width, self.height = WIDTH, max(round(self.cell * (view.top - view.bottom)), 1)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where on the picture a place on the map is."""
        return (x - self.view.left) * self.cell, (self.view.top - y) * self.cell

    def place(self, unit: Unit) -> tuple[float, float, float]:
        """Where on the picture a unit is, and its radius."""
        return (*self.at(unit.x, unit.y), max(unit.radius * self.cell, LEAST))


def kinds_of(scene: Scene) -> dict[str, int]:
    """The kinds of units by name, numbered."""
    return {kind: k for k, kind in enumerate(sorted({unit.kind for unit in scene.units}))}


@lru_cache(maxsize=8)
def _ground(view: View, width: float, height: float) -> Image:
    """The empty map, so many times as large as it is shown; not to be drawn upon."""
    from PIL import Image, ImageDraw

    camera = Camera(view)
    ground = Image.new("RGB", (FINER * camera.width, FINER * camera.height), BEYOND)
    pen = ImageDraw.Draw(ground)
    left, top = _finer(*camera.at(0, height))
    right, bottom = _finer(*camera.at(width, 0))
    pen.rectangle((left, top, right, bottom), GROUND)
    for x in range(math.floor(width) + 1):
        at = _finer(*camera.at(x, 0))[0]
        pen.line((at, top, at, bottom), GRID, 1 + (x % 4 == 0))
    for y in range(math.floor(height) + 1):
        at = _finer(*camera.at(0, y))[1]
        pen.line((left, at, right, at), GRID, 1 + (y % 4 == 0))
    return ground


def _units(pen: ImageDraw, scene: Scene, camera: Camera, kinds: dict[str, int]) -> None:
    """All that is on the map, so many times as large: the dead, deeds, the living, their bars."""
    places = [_finer(*camera.place(unit)) for unit in scene.units]
    living = [(u, at) for u, at in zip(scene.units, places, strict=True) if u.alive]
    for unit, (x, y, radius) in zip(scene.units, places, strict=True):
        if not unit.alive:
            arm, colour = 0.6 * radius, _mix(COLOURS[unit.side], GROUND, 0.65)
            pen.line((x - arm, y - arm, x + arm, y + arm), colour, 4)
            pen.line((x - arm, y + arm, x + arm, y - arm), colour, 4)
    for unit, at in living:
        if unit.target is not None:
            _deed(pen, unit, at, scene.units[unit.target], places[unit.target])
    for unit, at in living:
        colour = _shade(unit.side, kinds[unit.kind])
        _body(pen, unit.side, at, colour)
        mask, left, top = _letters(unit.label[:3], min(max(int(at[2]), 8 * FINER), 16 * FINER))
        pen.bitmap((round(at[0] + left), round(at[1] + top)), mask, _ink_on(colour))
    for unit, at in living:
        _bars(pen, unit, at)


Place = tuple[float, ...]  # x, y, radius: pixels of the finer picture
Colour = tuple[int, ...]


def _finer(*pixels: float) -> Place:
    return tuple([FINER * p for p in pixels])


def _deed(pen: ImageDraw, unit: Unit, place: Place, other: Unit, there: Place) -> None:
    """A line from who acts to whom, with a dot where it ends."""
    heals = unit.side == other.side
    colour = HEALING if heals else _mix(COLOURS[unit.side], GROUND, 0.25)
    pen.line((*place[:2], *there[:2]), colour, 6 if heals else 3)
    far = math.dist(place[:2], there[:2])
    if far > there[2]:
        x, y = (t + (p - t) * there[2] / far for p, t in zip(place[:2], there[:2], strict=True))
        pen.ellipse((x - 7, y - 7, x + 7, y + 7), colour)


def _body(pen: ImageDraw, side: int, place: Place, colour: Colour) -> None:
    x, y, radius = place
    edge = _mix(COLOURS[side], INK, 0.5)
    if side == TEAM:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour, edge, 3)
    else:
        arm = DIAMOND * radius
        corners = [(x - arm, y), (x, y - arm), (x + arm, y), (x, y + arm)]
        pen.polygon(corners, colour)
        pen.line([*corners, corners[0]], edge, 3)


def _bars(pen: ImageDraw, unit: Unit, place: Place) -> None:
    """Health above a unit, its shield above that."""
    x, y, radius = place
    left, right = x - 0.85 * radius, x + 0.85 * radius
    bottom = y - (1.0 if unit.side == TEAM else DIAMOND) * radius
    bars = [(unit.health, unit.health_max, HEALTH), (unit.shield, unit.shield_max, SHIELD)]
    for value, most, colour in bars:
        if most <= 0:
            continue
        top = bottom - 8
        pen.rectangle((left - 1, top, right + 1, bottom), INK)
        share = min(max(value / most, 0.0), 1.0)
        pen.rectangle((left + 1, top + 2, right - 1, bottom - 2), PAPER)
        if share > 0:
            pen.rectangle(
                (left + 1, top + 2, left + 1 + share * (right - left - 2), bottom - 2), colour
            )
        bottom = top


def _header(pen: ImageDraw, scene: Scene) -> None:
    """Title and note, and below them the move and the return."""
    pen.text((8, 12), scene.title, INK, _font(14, bold=True), anchor="lm")
    pen.text((8, 31), f"move {scene.move} of {scene.limit}", INK, _font(12), anchor="lm")
    told = f"return {scene.team_return:.2f}"
    pen.text((WIDTH - 8, 31), told, INK, _font(12), anchor="rm")
    if scene.note:
        pen.text((WIDTH - 8, 12), scene.note, INK, _font(14, bold=True), anchor="rm")


def _footer(pen: ImageDraw, scene: Scene, kinds: dict[str, int]) -> None:
    """The living of each kind and side."""
    x, y = 8.0, pen.im.size[1] - FOOTER / 2
    for side in (TEAM, ENEMY):
        for kind, k in kinds.items():
            all_of_it = [u.alive for u in scene.units if (u.side, u.kind) == (side, kind)]
            if all_of_it:
                told = f"{sum(all_of_it)}/{len(all_of_it)} {kind}"
                _body(pen, side, (x + 6, y, 5), _shade(side, k))
                pen.text((x + 16, y), told, INK, _font(12), anchor="lm")
                x += 28 + _font(12).getlength(told)


def _shade(side: int, kind: int) -> Colour:
    shade = SHADES[kind % len(SHADES)]
    return _mix(COLOURS[side], PAPER if shade > 0 else (0, 0, 0), abs(shade))


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    """So much of the other colour in the first."""
    return tuple([round(c + share * (o - c)) for c, o in zip(colour, other, strict=True)])


def _ink_on(colour: Colour) -> Colour:
    """Letters that can be read on a colour."""
    r, g, b = colour
    return INK if 0.299 * r + 0.587 * g + 0.114 * b > 140 else PAPER


@cache
def _font(size: int, *, bold: bool = False) -> FreeTypeFont:
    """matplotlib's own DejaVu: the same letters on every machine."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


@lru_cache(maxsize=1024)
def _letters(words: str, size: int) -> tuple[Image, float, float]:
    """Words as a mask, and where its corner is from their middle: drawing them anew is slow."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = _font(size).getbbox(words, anchor="mm")
    mask = Image.new("L", (max(math.ceil(right - left), 1), max(math.ceil(bottom - top), 1)))
    ImageDraw.Draw(mask).text((-left, -top), words, 255, _font(size), anchor="mm")
    return mask, left, top


def text(scene: Scene) -> str:
    """The scene as lines of text: the map where units are, and a table of the units.

    On the map a living unit is its label, an enemy's in square brackets; where several share a
    place the first is shown, those of the team before the enemy's.
    """
    head = f"{scene.title}: move {scene.move} of {scene.limit}, return {scene.team_return:.2f}"
    if scene.note:
        head += f", {scene.note}"
    return "\n".join([head, *_map(scene), *_table(scene)])


def _map(scene: Scene) -> list[str]:
    living = [unit for unit in scene.units if unit.alive]
    if not living:
        return ["nobody is left"]
    column = {id(u): math.floor(u.x) for u in living}
    row = {id(u): math.floor(u.y) for u in living}
    left, right = min(column.values()), max(column.values())
    bottom, top = min(row.values()), max(row.values())
    cells = [[" .  "] * (right - left + 1) for _ in range(top - bottom + 1)]
    for unit in sorted(living, key=lambda u: -u.side):  # the team last, above the enemy
        name = unit.label[:2]
        mark = f"[{name}]" if unit.side == ENEMY else f" {name}"
        cells[top - row[id(unit)]][column[id(unit)] - left] = f"{mark:<4}"
    return ["".join(cells_of_row).rstrip() for cells_of_row in cells]


def _table(scene: Scene) -> list[str]:
    """One line a unit: the team, then the enemy."""
    lines = []
    for side, name in ((TEAM, "team"), (ENEMY, "enemy")):
        units = [unit for unit in scene.units if unit.side == side]
        lines.append(f"{name}: {sum(u.alive for u in units)} of {len(units)} alive")
        for unit in units:
            label = f"[{unit.label}]" if side == ENEMY else unit.label
            lines.append(f"  {label:<4} {unit.kind:<10} {_condition(unit)}".rstrip())
    return lines


def _condition(unit: Unit) -> str:
    if not unit.alive:
        return "dead"
    shield = f" + shield {unit.shield:g}/{unit.shield_max:g}" if unit.shield_max else ""
    health = f"health {unit.health:g}/{unit.health_max:g}{shield}"
    return f"{health:<36} at {unit.x:.1f}, {unit.y:.1f}  {unit.doing}"
