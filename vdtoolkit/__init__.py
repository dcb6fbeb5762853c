"""Value decomposition for PettingZoo."""

from pathlib import Path as _Path

# In a source checkout the folder envs/ beside this package *is* vdtoolkit.envs (pyproject.toml).
_here = _Path(__file__).resolve().parent
if not (_here / "envs").is_dir() and (_here.parent / "envs" / "_vdtoolkit_envs.py").is_file():
    __path__.append(str(_here.parent))

from vdtoolkit._version import __version__  # noqa: E402

__all__ = ["__version__"]
