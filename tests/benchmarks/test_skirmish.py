from benchmarks import skirmish


def test_players_prints_a_row_a_map(capsys):
    skirmish.players(["3m", "2s3z"], 4)
    head, _, columns, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "Battles won of 4, in %"
    assert columns == "| map | random | nearest | focus |"
    assert [row.split("|")[1].strip() for row in rows] == ["3m", "2s3z"]


def test_rates_are_of_numpy_and_of_what_is_compiled(monkeypatch):
    monkeypatch.setenv("VDTOOLKIT_FAST", "0")  # put back afterwards
    found = skirmish.rates("3m", 200, None, 0.05)
    assert set(found) == {"NumPy", "compiled"}
    assert all(0 < low <= median <= high for median, low, high in found.values())
