import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv
from pettingzoo.test import parallel_api_test
from PIL import Image
from scenes import TEAMS, battle

from vdtoolkit.envs import Recorder, _replay, predator_prey_v0, two_step_v0
from vdtoolkit.envs._scene import Scene, Unit, draw, view_of
from vdtoolkit.envs.recorder import Moment

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Battle(ParallelEnv):
    """A made-up battle as an env: it shows scenes, its actions decide nothing."""

    metadata = {"name": "battle_v0", "render_modes": []}  # noqa: RUF012
    possible_agents = ["a", "b"]  # noqa: RUF012
    render_mode = None

    def __init__(self, name="MMM2", moves=6, ends="cut"):
        self.name, self.moves, self.ends = name, moves, ends

    def observation_space(self, agent):
        return Box(0, 1, (1,), np.float32)

    def action_space(self, agent):
        return Discrete(2)

    def scene(self):
        return self._scenes[self._t]

    def reset(self, seed=None, options=None):
        self._scenes, self._t = battle(self.name, self.moves, seed or 0), 0
        self.agents = ["a", "b"]
        return {a: np.ones(1, np.float32) for a in self.agents}, {a: {} for a in self.agents}

    def step(self, actions):
        self._t += 1
        over = self._t == self.moves
        who = self.agents
        self.agents = [] if over else who
        told = [{a: np.ones(1, np.float32) for a in who}, {"a": 1.0, "b": 3.0}]
        flags = [dict.fromkeys(who, over), dict.fromkeys(who, False)]
        return (*told, *(flags[::-1] if self.ends == "cut" else flags), {a: {} for a in who})


class Pictures(Battle):
    """The same without scenes: frames, one larger than the others."""

    render_mode = "rgb_array"
    scene = None

    def render(self):
        return np.full((20, 30 + 4 * (self._t == 2), 3), 10 * self._t, np.uint8)


def play(env, seed=0, moves=99):
    env.reset(seed=seed)
    while env.agents and moves:
        moves -= 1
        env.step({agent: 1 for agent in env.agents})


def data(path):
    """What the page holds."""
    (told,) = re.findall(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(told)


def frames(path):
    """Pictures of a GIF and how long each is shown, milliseconds."""
    pictures, times = [], []
    with Image.open(path) as file:
        for k in range(file.n_frames):
            file.seek(k)
            times.append(file.info["duration"])
            pictures.append(np.array(file.convert("RGB")))
    return pictures, times


# -- recording --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["html", "gif"])
def test_the_file_is_there_when_the_last_episode_ends(kind, tmp_path):
    path = tmp_path / "new" / f"battle.{kind}"
    env = Recorder(Battle(), path, episodes=2)
    play(env)
    assert not path.exists() and [len(e) for e in env.episodes] == [7]
    play(env, seed=1)
    written = path.read_bytes()
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    play(env)  # a third
    env.close()
    assert path.read_bytes() == written and len(env.episodes) == 2


def test_scenes_and_moves_are_kept_as_they_were():
    env = Recorder(Battle())
    play(env, seed=4)
    (episode,) = env.episodes
    assert [m.shown for m in episode] == battle("MMM2", 6, seed=4)
    assert episode[0] == Moment(episode[0].shown)
    assert episode[3].actions == {"a": 1, "b": 1} and episode[3].rewards == {"a": 1.0, "b": 3.0}
    assert [m.total for m in episode] == [0, 2, 4, 6, 8, 10, 12]  # the mean of 1 and 3 a move
    assert [m.ending for m in episode] == [""] * 6 + ["time is up"]
    env = Recorder(Battle(ends="true"))
    play(env)
    assert env.episodes[0][-1].ending == "the end"


def test_pictures_are_kept_where_there_are_no_scenes():
    env = Recorder(two_step_v0.parallel_env(render_mode="rgb_array"))
    play(env)
    env.reset()
    shown = np.array(Image.open(io.BytesIO(env.episodes[0][0].shown)))
    assert (shown == env.env.render()).all()


def test_an_episode_nobody_moved_in_is_forgotten_and_one_cut_short_is_kept(tmp_path):
    path = tmp_path / "battle.html"
    env = Recorder(Battle(), path, episodes=2)
    env.reset(seed=3)
    play(env, seed=5, moves=2)
    play(env, seed=6, moves=3)
    assert [len(e) for e in env.episodes] == [3, 4] and not path.exists()
    env.close()
    assert [e["name"] for e in data(path)["episodes"]] == [
        "episode 1: cut short, return 0.5",
        "episode 2: cut short, return 0.75",
    ]


def test_closing_an_env_that_never_began_writes_nothing(tmp_path):
    env = Recorder(Battle(), tmp_path / "battle.html")
    env.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"nothing to write to x\.gif: no episode has begun"):
        env.save("x.gif")


def test_all_episodes_without_a_path(tmp_path):
    env = Recorder(Battle(), episodes=None)
    for seed in range(3):
        play(env, seed)
    assert env.save(tmp_path / "all.html") == tmp_path / "all.html"
    assert len(data(tmp_path / "all.html")["episodes"]) == 3


def test_a_recorded_env_plays_as_it_would_alone():
    def played(env):
        said, rng = [env.reset(seed=3)], np.random.default_rng(0)
        while env.agents:
            masks = {a: said[-1][-1][a].get("action_mask") for a in env.agents}
            actions = {
                a: int(rng.choice(np.flatnonzero(m) if m is not None else 2))
                for a, m in masks.items()
            }
            said.append(env.step(actions))
        return repr(said)

    make = predator_prey_v0.parallel_env
    small = {"size": 4, "predators": 2, "prey": 2, "max_cycles": 9}
    with_it = Recorder(make("stag_hunt", **small, render_mode="rgb_array"))
    assert played(with_it) == played(make("stag_hunt", **small))
    parallel_api_test(Recorder(two_step_v0.parallel_env(render_mode="rgb_array")), num_cycles=20)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Recorder(Battle(), "x.png"), r"x\.png: a replay is a \.gif or a \.html"),
        (lambda: Recorder(Battle(), episodes=0), "episodes=0: at least one is to be recorded"),
        (lambda: Recorder(Battle(), fps=0), "fps=0: give moves a second"),
        (
            lambda: Recorder(two_step_v0.parallel_env(render_mode="ansi")),
            r"raw_env has no scene\(\) and render_mode='ansi': there is nothing to record; "
            'make it with render_mode="rgb_array"',
        ),
    ],
)
def test_what_cannot_be_recorded_is_refused_at_once(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "x.gif").mkdir()
    with pytest.raises(ValueError, match=r"x\.gif is a folder: name a file to write"):
        Recorder(Battle(), tmp_path / "x.gif")


@pytest.mark.parametrize(
    "picture", [None, "a text", np.zeros((3, 4, 3)), np.zeros((3, 4), np.uint8)]
)
def test_what_is_no_picture_is_told(picture):
    with pytest.raises(ValueError, match=r"render\(\) gave .*: a picture is uint8"):
        _replay.png(picture)


def test_transparency_is_left_out():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    assert (np.array(Image.open(io.BytesIO(_replay.png(picture)))) == picture[..., :3]).all()


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["html", "gif"])
def test_a_file_appears_whole_or_not_at_all(kind, tmp_path, monkeypatch):
    path = tmp_path / f"battle.{kind}"
    path.write_text("before")
    episodes = [[Moment(scene) for scene in battle("8m", 2)]]

    def fails(*_):
        raise OSError("no space left")

    monkeypatch.setattr(_replay.os, "replace", fails)
    with pytest.raises(OSError, match="no space left"):
        _replay.write(path, "x", episodes, 4)
    assert path.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_gif_shows_every_moment_in_order_and_rests_at_the_end(tmp_path):
    scenes = [battle("2s3z", 5, seed) for seed in (0, 1)]
    _replay.write(tmp_path / "x.gif", "x", [[Moment(s) for s in e] for e in scenes], 8)
    pictures, times = frames(tmp_path / "x.gif")
    assert times == [120] * 5 + [2000] + [120] * 5 + [2000]
    view = view_of([s for e in scenes for s in e])
    for picture, one in zip(pictures, [s for e in scenes for s in e], strict=True):
        # 256 colours, so not to the last bit
        assert np.abs(picture.astype(int) - draw(one, view)).mean() < 1.5
    with Image.open(tmp_path / "x.gif") as file:
        assert file.info["loop"] == 0  # again and again


def test_a_gif_of_frames_of_several_sizes_has_room_for_the_largest(tmp_path):
    env = Recorder(Pictures(moves=4), tmp_path / "x.gif", fps=10)
    play(env)
    pictures, times = frames(tmp_path / "x.gif")
    assert [p.shape for p in pictures] == [(20, 34, 3)] * 5 and times == [100] * 4 + [2000]
    assert [int(p[0, 0, 0]) for p in pictures] == [0, 10, 20, 30, 40]
    assert (pictures[0][:, 30:] == 255).all()


@pytest.mark.parametrize("name", TEAMS)
def test_a_page_holds_every_scene(name, tmp_path):
    env = Recorder(Battle(name), tmp_path / "x.html")
    play(env)
    told = data(tmp_path / "x.html")
    (episode,) = told["episodes"]
    scenes = battle(name, 6)
    assert episode["title"] == f"battle of {name}" and told["fps"] == 4
    assert episode["name"] == "episode 1: time is up, return 1.5"
    assert [m["move"] for m in episode["moments"]] == list(range(7))
    for moment, scene in zip(episode["moments"], scenes, strict=True):
        assert moment["limit"] == 120 and moment["return"] == scene.team_return
        for row, unit in zip(moment["units"], scene.units, strict=True):
            assert row[:5] == [unit.side, unit.kind, unit.label, unit.doing, unit.target]
            numbers = (unit.x, unit.y, unit.radius, unit.health, unit.health_max)
            assert row[5:] == pytest.approx([*numbers, unit.shield, unit.shield_max], abs=1e-3)
            assert unit.kind in episode["shades"]


def test_a_page_of_frames_holds_them_with_actions_and_rewards(tmp_path):
    env = Recorder(Pictures(moves=3, ends="true"), tmp_path / "x.html")
    play(env)
    moments = data(tmp_path / "x.html")["episodes"][0]["moments"]
    assert moments[0]["agents"] == [] and moments[2]["agents"] == [["a", "1", 1.0], ["b", "1", 3.0]]
    assert [m["return"] for m in moments] == [0, 2, 4, 6] and moments[-1]["note"] == "the end"
    shown = [Image.open(io.BytesIO(base64.b64decode(m["png"]))) for m in moments]
    assert [s.size for s in shown] == [(30, 20), (30, 20), (34, 20), (30, 20)]


def test_a_page_reaches_for_nothing_outside():
    page = _replay.html("x", [[Moment(scene) for scene in battle("8m", 2)]], 4)
    assert "default-src 'none'" in page
    assert not re.findall(r"https?:|//\w|\bimport\b|fetch\(|<link|<script src", page)


EVIL = "</script><script>document.title='HACKED'</script><b onclick=x><img src=x onerror=alert()>"
EVIL += "&\"'@DATA@@TITLE@"


def evil():
    unit = Unit(0, EVIL, 3, 3, 0.5, 5, 5, label=EVIL, doing=EVIL)
    scenes = [Scene(8, 8, (unit,), k, 9, EVIL, 0.0, EVIL) for k in range(2)]
    picture = _replay.png(np.zeros((4, 4, 3), np.uint8))
    return [[Moment(s) for s in scenes], [Moment(picture, {EVIL: EVIL}, {EVIL: 1.0}, 1.0, EVIL)]]


def test_strings_of_the_env_are_no_markup():
    page = _replay.html(EVIL, evil(), 4)
    assert page.count("</script>") == 2 == page.count("<script")  # ours
    assert "<b onclick" not in page
    (title,) = re.findall(r"<title>(.*?)</title>", page)
    assert title.startswith("&lt;/script&gt;") and title.endswith("@DATA@@TITLE@")


def test_numbers_that_are_not_finite_are_told_as_unknown(tmp_path):
    moment = Moment(_replay.png(np.zeros((4, 4, 3), np.uint8)), {"a": 0}, {"a": np.nan}, np.nan)
    _replay.write(tmp_path / "x.html", "x", [[moment]], 4)
    told = data(tmp_path / "x.html")["episodes"][0]
    assert told["name"] == "episode 1: cut short, return ?"
    assert told["moments"][0]["agents"] == [["a", "0", None]]


def test_the_python_of_the_page_on_watching_runs(tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "watching.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    play(names["env"], moves=3)
    names["env"].close()
    assert (tmp_path / "hunt.gif").exists() and "zealot" in names["words"]


# -- the page in a browser --------------------------------------------------------------------

# without a screen no frame is ever asked for, so a clock does it
PROBE = """<script>
window.requestAnimationFrame = f => setTimeout(() => f(performance.now()), 20);
window.onerror = message => { told.push("error " + message); };
const told = [], say = what => told.push([what, $("when").textContent, $("note").textContent,
  $("earned").textContent, $("play").textContent, $("title").textContent].join("|"));
const press = key => document.body.dispatchEvent(
  new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const mouseAt = (x, y) => { const e = new MouseEvent("mousemove");
  Object.defineProperties(e, {offsetX: {value: x}, offsetY: {value: y}}); field.onmousemove(e); };
function probe() {
  say("start"); press("ArrowRight"); press("ArrowRight"); say("two on"); press("ArrowLeft");
  say("one back"); press("End"); say("end"); press("Home"); say("home");
  $("slider").value = 3; $("slider").oninput({target: $("slider")}); say("slider");
  press("Home"); press("ArrowLeft"); say("before the first");
  press("End"); press("ArrowRight"); say("after the last");
  press("ArrowUp"); told.push("speed " + $("speed").value); press("ArrowDown");
  press("PageDown"); say("next episode"); press("PageUp"); press("ArrowRight");
  if (now().view) {
    const u = unit(moment(at).units[0]), p = place(u); mouseAt(p[0], p[1]);
    told.push("tip " + $("tip").textContent.replaceAll("\\n", "; "));
    told.push("under " + document.querySelectorAll("tr.under").length);
  }
  told.push("markup " + document.querySelectorAll("b, img").length);
  told.push("rows " + document.querySelectorAll("tbody tr").length);
  told.push("inked " + new Set(pen.getImageData(0, 0, field.width, field.height).data).size);
  press(" "); say("playing");
  setTimeout(() => { say("later"); document.title = "done " + document.title;
    document.body.innerHTML = "<pre id=probe></pre>";
    document.getElementById("probe").textContent = told.join("\\n"); }, 3000);
}
setTimeout(probe, 300);
</script></body>"""


def browsed(page, tmp_path):
    """What the probe saw, line by line, and the title in the end."""
    path = tmp_path / "probe.html"
    path.write_text(page.replace("</body>", PROBE), encoding="utf-8")
    run = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=6000"]
    run += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    dom = subprocess.run(run, capture_output=True, text=True, timeout=120, check=True).stdout
    (told,) = re.findall(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)
    lines = told.splitlines()
    assert not [line for line in lines if line.startswith("error ")], lines
    return lines, re.findall(r"<title>(.*?)</title>", dom)[0]


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@needs_browser
def test_the_page_of_scenes_works_in_a_browser(tmp_path):
    env = Recorder(Battle(), tmp_path / "x.html", episodes=2)
    play(env)
    play(env, seed=1)
    told, title = browsed((tmp_path / "x.html").read_text(encoding="utf-8"), tmp_path)
    name = "battle of MMM2"
    assert told[:6] == [
        f"start|move 0 of 120||return 0|play|{name}",
        f"two on|move 2 of 120||return 0.5|play|{name}",
        f"one back|move 1 of 120||return 0.25|play|{name}",
        f"end|move 6 of 120|time is up|return 1.5|play|{name}",
        f"home|move 0 of 120||return 0|play|{name}",
        f"slider|move 3 of 120||return 0.75|play|{name}",
    ]
    assert told[6:8] == [
        f"before the first|move 0 of 120||return 0|play|{name}",
        f"after the last|move 6 of 120|time is up|return 1.5|play|{name}",
    ]
    del told[6:8]
    assert told[6] == "speed 8" and told[7] == f"next episode|move 0 of 120||return 0|play|{name}"
    assert told[8].startswith("tip agent 0, marauder; health 125 of 125; at ")
    assert told[8].endswith("; move east") and told[9] == "under 1"
    assert told.pop(10) == "markup 0" and told[10] == "rows 22"
    assert int(told[11].split()[1]) > 20  # it is not empty
    assert told[12].startswith("playing|move 1") and "|pause|" in told[12]
    assert told[13] == f"later|move 6 of 120|time is up|return 1.5|play|{name}"
    assert title == "done battle_v0"


@needs_browser
def test_the_page_of_frames_works_in_a_browser(tmp_path):
    env = Recorder(Pictures(moves=6), tmp_path / "x.html")
    play(env)
    told, _ = browsed((tmp_path / "x.html").read_text(encoding="utf-8"), tmp_path)
    assert told[1] == "two on|move 2 of 6||return 4|play|battle_v0"
    assert "rows 2" in told
    assert told[-1] == "later|move 6 of 6|time is up|return 12|play|battle_v0"


@needs_browser
def test_strings_of_the_env_do_nothing_in_a_browser(tmp_path):
    told, title = browsed(_replay.html("safe", evil(), 4), tmp_path)
    assert title == "done safe"
    assert "markup 0" in told
    assert told[0].startswith("start|move 0 of 9|&lt;/script&gt;&lt;script&gt;")
