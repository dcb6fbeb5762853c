import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scenes import TEAMS, battle

from vdtoolkit.envs import _replay
from vdtoolkit.envs._replay import Moment
from vdtoolkit.envs._scene import (
    COLOURS,
    ENEMY,
    FOOTER,
    HEADER,
    HEALING,
    HEALTH,
    SHIELD,
    TEAM,
    WIDTH,
    Camera,
    Scene,
    Unit,
    View,
    draw,
    shade_of,
    text,
    view_of,
)


def marine(side=TEAM, x=8.0, y=6.0, **more):
    given = {"radius": 0.375, "health": 45.0, "health_max": 45.0, "label": "3"}
    return Unit(side, "marine", x, y, **{**given, **more})


def scene(*units, **more):
    given = {"move": 7, "limit": 60, "title": "a battle", "team_return": 2.5}
    return Scene(16, 12, units, **{**given, **more})


def at(picture, unit, view, dx=0.0, dy=0.0):
    """The pixel so many radii from the middle of a unit, y upwards."""
    x, y, radius = Camera(view).place(unit)
    return tuple(picture[round(HEADER + y - dy * radius), round(x + dx * radius)].tolist())


def near(colour, other, within=40):
    return max(abs(a - b) for a, b in zip(colour, other, strict=True)) <= within


WHOLE = View(0, 0, 16, 12)


# -- bad scenes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        ({"side": 2}, "unit 0 has side 2: 0 is the team, 1 the enemy"),
        ({"x": float("nan")}, "unit 0 has a number that is not finite"),
        ({"shield": float("inf")}, "unit 0 has a number that is not finite"),
        ({"target": 1}, "unit 0 has target 1: there are units 0 to 0"),
        ({"target": -1}, "unit 0 has target -1: there are units 0 to 0"),
    ],
)
def test_a_unit_that_cannot_be_is_named(unit, says):
    with pytest.raises(ValueError, match=says):
        scene(replace(marine(), **unit))


def test_a_map_without_room_is_refused():
    with pytest.raises(ValueError, match="a map of 0 x 12 cells: both must be above 0"):
        Scene(0, 12, (), 0, 1, "", 0.0)


# -- pictures ---------------------------------------------------------------------------------


def test_a_picture_has_the_size_of_its_view():
    picture = draw(scene(marine()))
    assert picture.dtype == np.uint8 and picture.shape == (480 + HEADER + FOOTER, WIDTH, 3)
    assert draw(scene(marine()), View(4, 4, 12, 8)).shape == (320 + HEADER + FOOTER, WIDTH, 3)
    assert draw(scene()).shape == picture.shape  # whoever is there
    picture[:] = 0  # it is the caller's
    assert draw(scene(marine())).any()


def test_sides_differ_in_colour_and_in_shape():
    ours, theirs = marine(x=4.0, radius=1.0), marine(ENEMY, x=12.0, radius=1.0)
    picture = draw(scene(ours, theirs))
    for unit, colour in ((ours, COLOURS[TEAM]), (theirs, COLOURS[ENEMY])):
        assert near(at(picture, unit, WHOLE, dx=0.6), colour)
    # a disc fills this corner, a diamond does not
    assert near(at(picture, ours, WHOLE, dx=-0.62, dy=-0.62), COLOURS[TEAM])
    assert not near(at(picture, theirs, WHOLE, dx=-0.62, dy=-0.62), COLOURS[ENEMY])


def test_small_units_are_above_large_ones():
    small, large = marine(label=""), marine(ENEMY, radius=2.0, label="")
    for units in ((small, large), (large, small)):
        assert near(at(draw(scene(*units)), small, WHOLE), COLOURS[TEAM])


def test_up_on_the_map_is_up_on_the_picture():
    low, high = marine(y=2.0, radius=1.0), marine(y=10.0, radius=1.0)
    picture = draw(scene(high))
    assert near(at(picture, high, WHOLE, dx=0.5), COLOURS[TEAM])
    assert not near(at(picture, low, WHOLE, dx=0.5), COLOURS[TEAM])
    rows = np.flatnonzero((picture[HEADER:-FOOTER] == COLOURS[TEAM]).all(-1).any(1))
    assert rows.max() < 240  # in the upper half of the map


# Machado, Oliveira and Fernandes 2009, table 1: what is left of linear RGB at severity 1.0
VISION = {
    "red-blind": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "green-blind": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "blue-blind": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("vision", VISION)
def test_sides_and_deeds_differ_for_every_kind_of_colour_vision(vision):
    def seen(colour):
        linear = (np.array(colour) / 255) ** 2.2
        return 255 * np.clip(np.array(VISION[vision]) @ linear, 0, 1) ** (1 / 2.2)

    ours, theirs = ([seen(shade_of(side, k)) for k in range(6)] for side in (TEAM, ENEMY))
    assert min(np.linalg.norm(a - b) for a, b in zip(ours, theirs, strict=True)) > 60
    deeds = [seen(COLOURS[TEAM]), seen(COLOURS[ENEMY]), seen(HEALING)]
    assert min(np.linalg.norm(a - b) for k, a in enumerate(deeds) for b in deeds[:k]) > 50
    assert np.linalg.norm(seen(HEALTH) - seen(SHIELD)) > 40


def test_kinds_of_one_side_differ_in_shade():
    shades = [shade_of(side, k) for side in (TEAM, ENEMY) for k in range(6)]
    assert len(set(shades)) == 12
    for a, b in pairwise(sorted(shades)):
        assert not near(a, b, within=12)
    zealot = replace(marine(x=4.0, radius=1.0), kind="zealot")
    units = marine(x=12.0, radius=1.0), zealot
    picture = draw(scene(*units))
    assert not near(*(at(picture, unit, WHOLE, dx=0.6) for unit in units))


@pytest.mark.parametrize("side", [TEAM, ENEMY])
def test_bars_are_as_long_as_what_is_left(side):
    def pixels(colour, **left):
        unit = marine(side, radius=2.0, health_max=100.0, shield_max=80.0, **left)
        return (draw(scene(replace(unit, label="")))[HEADER:-FOOTER] == colour).all(-1).sum()

    health = [pixels(HEALTH, health=h) for h in (100.0, 50.0, 25.0)]
    assert health[0] == pytest.approx(2 * health[1], rel=0.05)
    assert health[1] == pytest.approx(2 * health[2], rel=0.1)
    shields = [pixels(SHIELD, health=50.0, shield=s) for s in (0.0, 40.0, 80.0)]
    assert shields[0] == 0 and shields[2] == pytest.approx(2 * shields[1], rel=0.05)
    assert pixels(HEALTH, health=500.0) == health[0]  # more than it can be fills the bar


def test_lines_go_from_who_acts_to_whom_and_healing_has_a_colour_of_its_own():
    ours, theirs = marine(x=3.0, target=1), marine(ENEMY, x=13.0)
    middle = marine(x=8.0)  # only to find the pixel
    attacked = at(draw(scene(ours, theirs)), middle, WHOLE)
    assert near(attacked, COLOURS[TEAM], within=90) and not near(attacked, HEALING, within=60)
    healed = at(draw(scene(ours, replace(theirs, side=TEAM))), middle, WHOLE)
    assert near(healed, HEALING)
    shot = at(draw(scene(replace(ours, target=None), replace(theirs, target=0))), middle, WHOLE)
    assert near(shot, COLOURS[ENEMY], within=90)
    empty = at(draw(scene(replace(ours, target=None), theirs)), middle, WHOLE)
    assert min(empty) > 200


def test_the_dead_fade_and_do_nothing():
    alive = marine(radius=1.0)
    dead = replace(alive, health=0.0, target=1)
    enemy = marine(ENEMY, x=13.0)
    with_it, without = draw(scene(alive, enemy)), draw(scene(dead, enemy))
    assert near(at(with_it, alive, WHOLE, dx=0.5), COLOURS[TEAM])
    faint = at(without, dead, WHOLE, dx=0.4, dy=0.4)  # an arm of the cross
    assert min(faint) > 120 and faint[2] > faint[0]
    field = without[HEADER:-FOOTER]
    assert not (field == COLOURS[TEAM]).all(-1).any()
    assert min(at(without, marine(x=10.0), WHOLE)) > 200  # no line


def test_a_label_is_drawn():
    named, nameless = marine(radius=1.0), marine(radius=1.0, label="")
    assert (draw(scene(named)) != draw(scene(nameless))).any()
    longer = draw(scene(replace(named, label="1234567")))
    assert (longer == draw(scene(replace(named, label="123")))).all()  # three characters at most


def test_the_header_tells_move_return_and_note():
    first = draw(scene(marine()))
    for changed in ({"move": 8}, {"team_return": 3.5}, {"note": "won"}, {"title": "another"}):
        other = draw(scene(marine(), **changed))
        assert (other[:HEADER] != first[:HEADER]).any(), changed
        assert (other[HEADER:-FOOTER] == first[HEADER:-FOOTER]).all(), changed


def test_the_footer_counts_the_living():
    both = draw(scene(marine(), marine(ENEMY, x=12.0)))
    fewer = draw(scene(marine(), marine(ENEMY, x=12.0, health=0.0)))
    assert (both[-FOOTER:] != fewer[-FOOTER:]).any()


def test_drawing_changes_no_later_picture():
    first = draw(scene(marine()))
    draw(scene(marine(ENEMY, x=2.0), marine(x=14.0, y=11.0, health=0.0)))
    assert (draw(scene(marine())) == first).all()


@pytest.mark.parametrize("name", TEAMS)
def test_a_frame_takes_some_milliseconds(name):
    scenes = battle(name)
    draw(scenes[0])
    times = []
    for one in scenes[:8]:
        begun = time.process_time()
        draw(one)
        times.append(time.process_time() - begun)
    assert min(times) < 0.05  # 8 ms on a quiet machine


# -- views ------------------------------------------------------------------------------------


def test_a_view_holds_all_units_of_all_scenes():
    scenes = battle("MMM2")
    view = view_of(scenes)
    for one in scenes:
        for unit in one.units:
            assert view.left <= unit.x <= view.right and view.bottom <= unit.y <= view.top
    wide, high = view.right - view.left, view.top - view.bottom
    assert high <= wide <= 2 * high and wide < 32


def test_a_view_stays_on_the_map_where_it_fits():
    assert view_of([scene(marine(x=0.5, y=0.5))]) == View(-0.75, -0.75, 9.25, 4.25)
    assert view_of([scene(marine(x=15.9, y=11.9))]) == View(6.75, 7.75, 16.75, 12.75)
    assert view_of([scene(marine(x=1.0, y=1.0), marine(x=15.0, y=11.0))]) == View(-1, -1, 17, 13)


def test_an_empty_map_is_seen_whole_and_no_scene_is_refused():
    assert view_of([scene()]) == View(0, 0, 16, 12)
    with pytest.raises(ValueError, match="no scene to look at"):
        view_of([])


# -- text -------------------------------------------------------------------------------------


def test_text_is_a_map_and_a_table():
    told = text(
        scene(
            marine(x=2.2, y=9.5, label="0", doing="attack 1", target=2),
            marine(x=4.0, y=8.0, health=0.0, label="1"),
            marine(ENEMY, x=4.1, y=8.9, health=12.5, shield=3.0, shield_max=50.0, label="0"),
            note="lost",
        )
    )
    assert told.splitlines() == [
        "a battle: move 7 of 60, return 2.50, lost",
        " 0   .   .",
        " .   .  [0]",
        "team: 1 of 2 alive",
        "  0    marine     health 45/45                         at 2.2, 9.5  attack 1",
        "  1    marine     dead",
        "enemy: 1 of 1 alive",
        "  [0]  marine     health 12.5/45 + shield 3/50         at 4.1, 8.9",
    ]


def test_what_is_not_said_in_words_is_told_by_the_target():
    ours, theirs = marine(target=1, label="2"), marine(ENEMY, x=12.0, label="7")
    assert text(scene(ours, theirs)).count("attack 7") == 1
    assert "heal 7" in text(scene(ours, replace(theirs, side=TEAM)))
    assert "attack" not in text(scene(replace(ours, doing="wait"), theirs))
    page = _replay.html("x", [[Moment(scene(ours, theirs))]], 4)
    assert '"2","attack 7",1' in page


def test_who_shares_a_place_on_the_map_is_hidden_behind_the_team():
    told = text(scene(marine(x=5.2, label="4"), marine(ENEMY, x=5.8, label="9")))
    assert told.splitlines()[1] == " 4"


def test_a_map_of_the_dead_says_so():
    assert "nobody is left" in text(scene(marine(health=0.0)))
    assert "team: 0 of 0 alive" in text(scene())


def test_text_needs_neither_pillow_nor_matplotlib():
    code = """
import sys
from vdtoolkit.envs._scene import Scene, text
text(Scene(1, 1, (), 0, 1, "", 0.0))
sys.exit(any(m in sys.modules for m in ("PIL", "matplotlib", "torch")))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
