"""Environments that nobody here wrote, and our own: no false alarm; every finding was looked at."""

import importlib
import subprocess
import sys

import pytest

from vdtoolkit import check_env
from vdtoolkit.making import EnvMaker

# Findings that are there, each looked at by hand.
REAL = {
    ("vdtoolkit.envs.matrix_game_v0",): {
        "mask-forbids",  # one-shot: everything is allowed
        "has-randomness",  # a fixed payoff
    },
    ("vdtoolkit.envs.two_step_v0",): {"mask-forbids", "has-randomness"},
    ("vdtoolkit.envs.hidden_payoff_v0",): {"mask-forbids"},
    ("vdtoolkit.envs.mmdp_v0",): {"mask-forbids", "has-randomness"},
    ("vdtoolkit.envs.dec_tiger_v0",): {"mask-forbids"},
    ("vdtoolkit.envs.lever_v0",): {"mask-forbids"},
    ("vdtoolkit.envs.lever_v0", "agents=2", "pool=3"): {"mask-forbids"},
    ("vdtoolkit.envs.gaussian_squeeze_v0",): {"mask-forbids"},
    ("vdtoolkit.envs.switch_v0",): {
        "mask-forbids",  # nobody arrives by chance
        "has-randomness",
    },
    ("vdtoolkit.envs.predator_prey_v0",): {"mask-forbids"},
    ("vdtoolkit.envs.predator_prey_v0", "form=stag_hunt", "max_cycles=60"): set(),
    ("vdtoolkit.envs.skirmish_v0",): set(),
    ("mpe2.simple_spread_v3",): set(),
    ("mpe2.simple_speaker_listener_v4",): set(),
    ("mpe2.simple_reference_v3",): {"reward-shared"},  # local_ratio=0.5
    ("gymnasium:lbforaging:Foraging-8x8-2p-1f-coop-v3",): {
        "state-there",
        "after-end",  # its step() goes on
    },
    ("gymnasium:rware:rware-tiny-2ag-v2", "max_steps=40"): {"state-there"},
    ("pettingzoo.sisl.pursuit_v5", "max_cycles=20"): set(),
    ("pettingzoo.butterfly.knights_archers_zombies_v11", "max_cycles=60"): {
        "reset-clears",  # a fault, see below
    },
    ("pettingzoo.butterfly.cooperative_pong_v6", "max_cycles=30"): {
        "observations-tell",  # true, see below
        "pettingzoo-warnings",  # "You are calling render method without specifying any render mode"
    },
    ("pettingzoo.butterfly.cooperative_pong_v6", "max_cycles=30", "render_mode=rgb_array"): set(),
}


def maker(words):
    pytest.importorskip("pygame")
    package = words[0].removeprefix("gymnasium:").split(":")[0].split(".")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    return EnvMaker.parse(words[0], words[1:])


def marked(words):
    """Pictures of 480 x 280 take long."""
    return pytest.param(words, marks=pytest.mark.slow if "pong" in words[0] else ())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("words", [*map(marked, REAL)], ids=" ".join)
def test_a_real_environment_raises_no_false_alarm(words):
    report = check_env(maker(words))
    timing = {"episodes-seen"}  # on a busy machine
    assert {f.check for f in report.findings} - timing == REAL[words] - timing, str(report)
    assert len(report.passed) > 60


def test_knights_archers_zombies_keeps_its_spawn_clock_over_a_reset():
    """The fault is real: reinit() sets back everything but `zombie_spawn_interval`."""
    env = maker(("pettingzoo.butterfly.knights_archers_zombies_v11",))()
    env.reset(seed=0)
    for _ in range(7):
        env.step({a: 0 for a in env.agents})
    env.reset(seed=0)
    assert env.unwrapped.zombie_spawn_interval._current_step == 7


@pytest.mark.filterwarnings("ignore")
def test_cooperative_pong_shows_black_pictures_without_a_render_mode():
    """The warning is true: render() returns before it draws, and observations are of the screen."""
    for arguments, pictures in (((), 1), (("render_mode=rgb_array",), 12)):
        env = maker(("pettingzoo.butterfly.cooperative_pong_v6", *arguments))()
        env.reset(seed=0)
        seen = [env.step({a: 0 for a in env.agents})[0]["paddle_0"] for _ in range(12)]
        assert len({picture.tobytes() for picture in seen}) == pictures
        assert max(picture.max() for picture in seen) == (0 if pictures == 1 else 255)


def test_checks_need_no_torch():
    code = "import sys, vdtoolkit.checks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
