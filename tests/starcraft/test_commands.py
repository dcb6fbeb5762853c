"""The commands on StarCraft: a whole training, its record, the doctor."""

import json

import pytest

from vdtoolkit import cli
from vdtoolkit.envs._starcraft import install

SMALL = "--n-envs 1 --workers 0 --batch-size 2 --hidden-dim 4 --eval-episodes 1 --final-episodes 2"


def test_a_training_with_crashes_records_the_version_and_counts_the_lost(smac, tmp_path, capsys):
    smac.set(fault="crash@step=300")
    out = tmp_path / "run"
    words = ["--env", "vdtoolkit.envs.smac_v0", "--env-arg", "map_name=3m", *SMALL.split()]
    words += ["--moves", "400", "--eval-every", "400", "--out", str(out)]
    assert cli.main(["train", *words]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["versions"]["starcraft"] == "4.10.0 (Base75689)"
    assert result["runs"][0]["lost"] == 1
    assert result["final"]["win_rate"] == 0.0
    assert "1 episodes lost" in capsys.readouterr().out
    assert smac.running() == []

    smac.set(fault="")
    assert cli.main(["evaluate", str(out), "--episodes", "1"]) == 0
    assert "not comparable" not in capsys.readouterr().out
    result["versions"]["starcraft"] = "4.6.2 (Base69232)"
    (out / "result.json").write_text(json.dumps(result))
    assert cli.main(["evaluate", str(out), "--episodes", "1"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "not comparable with its training: starcraft 4.6.2 (Base69232), now 4.10.0" in said


def test_a_missing_game_is_one_line_of_the_command(stub, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SC2PATH", str(tmp_path / "elsewhere"))
    words = ["--env", "vdtoolkit.envs.smac_v0", *SMALL.split(), "--out", str(tmp_path / "run")]
    assert cli.main(["train", *words, "--moves", "10"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("vdtoolkit train: error: there is no StarCraft II in")


def test_the_doctor_finds_what_is_there(stub, capsys, monkeypatch):
    monkeypatch.setattr(install, "missing_modules", list)
    for name in install.MAPS["smac"]:
        install.map_file(install.game_folder(), name).touch()
    monkeypatch.setattr("vdtoolkit.commands.doctor.how_protobuf_runs", lambda: "C (upb)")
    assert cli.main(["doctor", "smac"]) == 0
    out = capsys.readouterr().out
    assert "smac_v0 can be played." in out
    assert "4.10.0 (Base75689) (Blizzard's AI and Machine Learning License)" in " ".join(
        out.split()
    )
    assert "all 23 (MIT licence)" in out


def test_the_doctor_insists_only_on_what_is_asked_for(stub, capsys, monkeypatch):
    monkeypatch.setattr(install, "missing_modules", lambda: ["absl-py", "pysc2"])
    assert cli.main(["doctor"]) == 0
    assert "missing" not in capsys.readouterr().out.replace("which is missing", "")
    assert cli.main(["doctor", "smac"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "pip install --no-deps pysc2==4.0.0 (Apache 2.0); pip install absl-py" in out
    assert "smac_v0 lacks what they need, smac's maps." in out
    assert cli.main(["doctor", "smac", "--map", "3m"]) == 1


def test_the_doctor_says_it_in_json(stub, capsys):
    assert cli.main(["doctor", "smac", "--map", "MMM2", "--json"]) == 1
    told = {f["name"]: f for f in json.loads(capsys.readouterr().out)}
    assert told["smac's maps"]["status"] == "missing"
    assert "MMM2.SC2Map" in told["smac's maps"]["told"]
    assert told["the game"]["status"] == told["torch"]["status"] == "ok"
    assert told["oxwhirl/smacv2"]["status"] == "off"


def test_several_versions_and_those_without_results_are_told(stub, capsys):
    folder = install.game_folder() / "Versions"
    for build in (69232, 90000):
        program = folder / f"Base{build}" / "SC2_x64"
        program.parent.mkdir()
        program.touch(0o755)
    cli.main(["doctor", "--json"])
    told = {f["name"]: f["told"] for f in json.loads(capsys.readouterr().out)}["the game"]
    assert told.startswith(
        "Base90000 (Base90000); results are published for 4.6.2 and 4.10.0; 4.6.2, 4.10.0 by"
    )


def test_what_the_doctor_does_not_know_is_refused(capsys):
    assert cli.main(["doctor", "smax"]) == 2
    assert "smax" in capsys.readouterr().err


@pytest.mark.parametrize("name", install.MAPS["smac"])
def test_the_docs_of_smac_v0_name_every_map(name):
    from vdtoolkit.envs import smac_v0

    assert f'"{name}"' in smac_v0.__doc__
