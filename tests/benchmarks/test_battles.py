import json

from benchmarks import battles


def finished(folder, wins, random=0.0):
    """What `vdtoolkit train` leaves, as far as the page reads it."""
    folder.mkdir(parents=True)
    curve = [{"moves": 100 * k, "win_rate": w} for k, w in enumerate(wins)]
    run = {"final": {"win_rate": wins[-1], "n": 100}, "curve": curve, "seconds": 90.0}
    told = {"runs": [run], "baseline": {"win_rate": random}, "versions": {"vdtoolkit": "1"}}
    (folder / "result.json").write_text(json.dumps(told))


def test_a_cell_is_trained_once_then_resumed_then_known(tmp_path):
    cell = battles.Cell("3m", "vdn", 1, 500)
    command = cell.command(tmp_path)
    assert command[0] == "train" and command[command.index("--seed") + 1] == "1"
    assert "map_name=3m" in command and "500" in command
    folder = tmp_path / cell.name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert cell.command(tmp_path) == ["resume", str(folder)]
    assert battles.known([cell], tmp_path, tmp_path / "kept.json") == {}


def test_the_goal_counts_from_where_it_is_kept():
    assert battles.reached([[0, 0.0], [10, 0.95], [20, 0.5], [30, 0.9], [40, 1.0]]) == 30
    assert battles.reached([[0, 0.0], [10, 0.95], [20, 0.5]]) is None
    assert battles.reached([[0, 1.0]]) == 0


def test_the_page_has_results_of_folders_and_names_cells_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(battles, "MAPS", {"3m": 500})
    finished(tmp_path / "runs" / "3m-500" / "vdn-0", [0.0, 0.5, 0.97])
    page = tmp_path / "battles.md"
    words = ["--out", tmp_path / "runs", "--kept", tmp_path / "kept.json", "--page", page]
    for _ in range(2):  # the second time the folder is gone, and what was kept counts
        assert battles.main([*map(str, words), "--cells", "0"]) == 0
        assert "| 3m | VDN | 97; seed 1, 2 not run | 200 | 2 |" in page.read_text()
        assert "| 3m | QMIX | seed 0, 1, 2 not run |  |  |" in page.read_text()
        (tmp_path / "runs" / "3m-500" / "vdn-0" / "result.json").unlink(missing_ok=True)
    assert (tmp_path / "battles-easy.png").exists()
