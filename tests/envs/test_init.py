import importlib
import subprocess
import sys
from pathlib import Path

import pettingzoo
import pytest

import vdtoolkit.envs

# oxwhirl's code is needed for the others, so they have their tests in tests/starcraft
ALONE = [name for name in vdtoolkit.envs.ENVIRONMENTS if not name.startswith("smac")]

needs_registry = pytest.mark.skipif(
    not hasattr(pettingzoo, "register"), reason="PettingZoo before 1.27 has no registry"
)


def fresh(code):
    """Run code in a new interpreter where every warning is an error; what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_environment_file_is_listed():
    folder = Path(vdtoolkit.envs.__file__).parent
    assert sorted(vdtoolkit.envs.ENVIRONMENTS) == sorted(p.stem for p in folder.glob("*_v[0-9].py"))
    names = [*vdtoolkit.envs.ENVIRONMENTS, *vdtoolkit.envs.WRAPPERS]
    assert vdtoolkit.envs.__all__ == ["ENVIRONMENTS", "WRAPPERS", *names]


def test_modules_are_imported_when_they_are_asked_for():
    code = """
import sys, vdtoolkit.envs as envs
assert not [m for m in sys.modules if m.startswith("vdtoolkit.envs.")]
print(envs.two_step_v0.parallel_env())
"""
    assert fresh(code) == "two_step_v0"


def test_the_environments_alone_need_neither_torch_nor_matplotlib():
    code = """
import sys
import envs  # the folder, without vdtoolkit
for name in [name for name in envs.ENVIRONMENTS if not name.startswith("smac")]:
    env = getattr(envs, name).parallel_env(render_mode="ansi")
    env.reset()
    env.step(dict.fromkeys(env.agents, 0))
    env.render()
print([m for m in ("vdtoolkit", "torch", "matplotlib", "supersuit") if m in sys.modules])
"""
    assert fresh(code) == "[]"


def test_an_unknown_environment_is_an_attribute_error():
    with pytest.raises(
        AttributeError, match=r"module 'vdtoolkit.envs' has no attribute 'chess_v0'"
    ):
        _ = vdtoolkit.envs.chess_v0


@needs_registry
@pytest.mark.parametrize("module", ALONE)
def test_pettingzoo_makes_every_environment(module):
    name = f"vdtoolkit/{module.replace('_v0', '-v0')}"
    raw_env = importlib.import_module(f"vdtoolkit.envs.{module}").raw_env
    made = pettingzoo.make("parallel", name, render_mode="ansi")
    assert type(made) is raw_env
    assert made.render_mode == "ansi"
    assert type(pettingzoo.make("aec", name).unwrapped) is raw_env


@needs_registry
def test_make_passes_arguments_and_max_cycles():
    env = pettingzoo.make("parallel", "vdtoolkit/matrix_game-v0", payoff="penalty", k=-9)
    assert env.rewards("start")[2, 0] == -9
    assert env.one_shot
    env = pettingzoo.make("aec", "vdtoolkit/matrix_game-v0", max_cycles=6)
    assert env.unwrapped.time_limit == 6


@needs_registry
def test_a_second_import_registers_nothing_and_does_not_warn():
    before = dict(pettingzoo.parallel_registry)
    importlib.reload(vdtoolkit.envs)
    assert dict(pettingzoo.parallel_registry) == before


def test_without_a_registry_the_modules_still_work(monkeypatch):
    monkeypatch.delattr(pettingzoo, "register", raising=False)
    importlib.reload(vdtoolkit.envs)
    assert vdtoolkit.envs.two_step_v0.parallel_env().states() == ["1", "2A", "2B"]
