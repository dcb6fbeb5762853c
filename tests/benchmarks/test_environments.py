"""The flags of other people's environments, and the table of what came of them."""

import json

import pytest
import tyro

from benchmarks import environments
from vdtoolkit.commands.train import options_type
from vdtoolkit.making import EnvMaker


@pytest.mark.parametrize("name", environments.TABLE)
def test_the_flags_are_those_of_the_command(name):
    train, *words = environments.command(name)
    assert train == "train"
    algorithm = words[words.index("--algorithm") + 1] if "--algorithm" in words else "qmix"
    options = tyro.cli(options_type(algorithm), args=words)
    maker = EnvMaker.parse(options.env, options.env_arg, options.wrap)
    assert options.moves > 0
    package = environments.TABLE[name][0]
    pytest.importorskip(package, reason=f"{package} is not installed")
    assert len(maker().possible_agents) >= 2


def test_the_table_has_a_row_for_each_result(tmp_path):
    score = {"mean": 1.25, "interval": [1.0, 1.5], "n": 9, "of": "episodes", "win_rate": None}
    told = {
        "team": {"agents": ["a", "b", "c"]},
        "algorithm": "vdn",
        "baseline": score | {"mean": -7.0, "win_rate": 0.5},
        "final": score,
        "beside_random": "above",
        "runs": [{"moves": 2000, "seconds": 4.0}],
    }
    (tmp_path / "pursuit").mkdir()
    (tmp_path / "pursuit" / "result.json").write_text(json.dumps(told))
    head, rule, row = environments.table(tmp_path).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    assert row == (
        "| pursuit | 3 | vdn | 2,000 | -7 [1, 1.5], wins 50% | 1.25 [1, 1.5] | 9 episodes | "
        "above | 500 |"
    )
