"""Files that are cut, flipped, foreign or hostile: each a clear error, nothing is ever executed."""

import json
import os
import pickle
import random
import signal
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_resume import FEW, end_after, flags, resume, send, train

from vdtoolkit import QMIXAgents, cli, load, sealed
from vdtoolkit.checkpoint import restore
from vdtoolkit.envs import two_step_v0
from vdtoolkit.making import EnvMaker
from vdtoolkit.rundir import RunFolder
from vdtoolkit.training import train as learn

SMALL = {"batch_size": 2, "buffer_size": 3, "hidden_dim": 3, "embed_dim": 2, "hyper_dim": 2}
CUTS, FLIPS, MIXES, HEADERS = 1000, 2000, 500, 500


def team():
    return QMIXAgents(two_step_v0.parallel_env(), seed=3, **SMALL)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint's bytes, and a file to write broken ones to."""
    agents = team()
    learn(agents, two_step_v0.parallel_env, 20, 2)
    path = tmp_path_factory.mktemp("fuzz") / "team.safetensors"
    agents.save(path)
    return path.read_bytes(), path


@pytest.fixture(autouse=True)
def _never(monkeypatch):
    """No load path may unpickle or start anything.  Nothing waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)

    def never(*args, **kwargs):
        raise AssertionError("a file was executed")

    for module, name in ((pickle, "loads"), (pickle, "load"), (torch, "load"), (os, "system")):
        monkeypatch.setattr(module, name, never)


def state(agents):
    """All that a checkpoint holds, as bytes."""
    parts = [p.detach().numpy().tobytes() for p in agents.online.parameters()]
    parts += [column.tobytes() for column in agents.replay.stored().values()]
    return b"".join(parts), agents.moves, agents.updates


def refused(content, path, whole):
    """A clear error, or a file that says the same: 1 if it was refused."""
    path.write_bytes(content)
    try:
        agents = load(path)
    except ValueError as error:
        said = str(error)
        assert str(path) in said and len(said) < 2000 and "\n" not in said.strip()[:50]
        return 1
    assert state(agents) == whole
    return 0


def whole_state(saved):
    content, path = saved
    path.write_bytes(content)
    return state(load(path))


def test_files_that_are_cut_short_are_refused(saved):
    (content, path), rng, whole = saved, random.Random(0), whole_state(saved)
    lengths = [*range(64), *(rng.randrange(len(content)) for _ in range(CUTS - 64))]
    assert sum(refused(content[:n], path, whole) for n in lengths) == CUTS


def test_a_flipped_bit_is_refused_or_changes_nothing(saved):
    (content, path), rng, whole = saved, random.Random(1), whole_state(saved)
    n = 0
    for _ in range(FLIPS):
        broken = bytearray(content)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        n += refused(bytes(broken), path, whole)
    assert n > 0.98 * FLIPS  # the rest are blanks and the like in the header


def test_blocks_of_noise_zeros_and_repeats_are_refused(saved):
    (content, path), rng, whole = saved, random.Random(2), whole_state(saved)
    for _ in range(MIXES):
        start, n = rng.randrange(len(content)), rng.randrange(1, 200)
        block = {0: rng.randbytes(n), 1: bytes(n), 2: content[:n]}[rng.randrange(3)]
        broken = content[:start] + block + content[start + rng.choice([0, n]) :]
        refused(broken, path, whole)


FOREIGN = {
    "empty": b"",
    "a pickle": pickle.dumps({"a": 1}),
    "a pickle that would run": b"cos\nsystem\n(S'touch owned'\ntR.",
    "a zip": b"PK\x03\x04" + bytes(100),
    "text": b"import os; os.system('touch owned')\n" * 10,
    "a header as long as there is memory": struct.pack("<Q", 2**63) + b"{}",
    "a header that ends too late": struct.pack("<Q", 1000) + b"{}",
    "JSON too deep": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "numpy": b"\x93NUMPY" + bytes(80),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_refused(name, tmp_path):
    path = tmp_path / "team.safetensors"
    path.write_bytes(FOREIGN[name])
    with pytest.raises(ValueError, match="is not a checkpoint of vdtoolkit"):
        load(path)
    with pytest.raises(ValueError, match="is not a checkpoint of vdtoolkit"):
        restore(team(), path)
    assert not (tmp_path / "owned").exists()


def leaves(value, path=()):
    """Every place in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        yield from leaves(inner, (*path, key))


def put(value, path, new):
    """A copy with another value at a place."""
    if not path:
        return new
    made = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = put(made[path[0]], path[1:], new)
    return made


HOSTILE = [
    *(None, True, -1, 0, 1, 2**31, 2**63, 10**12, 10**300, 1e308, float("nan"), float("inf")),
    *("", "os.system", "../../etc/passwd", "\x00", "x" * 10_000, [], {}, [[]], {"type": "Box"}),
    *([10**9] * 3, {"a": {"b": []}}, -(10**9), "__import__('os').system('touch owned')"),
]


def test_headers_with_hostile_values_and_a_right_checksum_are_refused_or_harmless(saved, tmp_path):
    content, path = saved
    path.write_bytes(content)
    header, tensors = sealed.read(path, "a checkpoint")
    del header["crc32"]
    places, rng, n = list(leaves(header)), random.Random(3), 0
    for _ in range(HEADERS):
        bad = put(header, rng.choice(places[1:]), rng.choice(HOSTILE))
        sealed_at = tmp_path / "bad"
        save_file(
            tensors,
            sealed_at,
            {"vdtoolkit": json.dumps({**bad, "crc32": sealed.checksum(bad, tensors)})},
        )
        try:
            load(sealed_at)
        except ValueError as error:
            n += str(sealed_at) in str(error)
    assert n > 0.5 * HEADERS  # others change a name, a number of moves, a learning rate
    assert not (tmp_path / "owned").exists() and not Path("owned").exists()


def test_tensors_of_other_sizes_or_types_are_refused_before_anything_changes(saved, tmp_path):
    content, path = saved
    path.write_bytes(content)
    header, tensors = sealed.read(path, "a checkpoint")
    rng, agents = np.random.default_rng(4), team()
    before = state(agents)
    for name in tensors:
        for change in ("gone", "longer", "type"):
            bad = dict(tensors)
            if change == "gone":
                del bad[name]
            if change == "longer":
                bad[name] = torch.zeros(int(rng.integers(2, 9)), 7, dtype=tensors[name].dtype)
            if change == "type":
                bad[name] = tensors[name].to(torch.complex64)
            sealed.write(tmp_path / "bad", bad, {k: v for k, v in header.items() if k != "crc32"})
            if change == "gone" and name.startswith("optimizer."):
                continue  # a parameter that never had a gradient has none
            take = agents.load if rng.random() < 0.3 else load
            with pytest.raises(ValueError, match="bad"):
                take(tmp_path / "bad")
            assert state(agents) == before


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """A run that was ended with a checkpoint and segments of its replay."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    with monkeypatch.context() as patch:
        end_after(patch, 15, partial(send, signal.SIGTERM))
        assert train(tmp_path / "run", flags()) == 130
    return tmp_path / "run"


def test_a_runs_own_files_cut_flipped_or_gone_are_one_line_and_status_2(ended, capsys):
    rng = random.Random(5)
    segments = sorted((ended / "checkpoint").glob("episodes-*.safetensors"))
    files = [segments[0], segments[-1], ended / "checkpoint" / "state.safetensors"]
    files += [ended / "config.json", ended / "status.json", ended / "metrics.jsonl"]
    team = (ended / "team.safetensors").read_bytes()
    capsys.readouterr()
    for path in files:
        content = path.read_bytes()
        half = content[: len(content) // 2]
        broken = bytearray(content)
        broken[len(content) // 2 + rng.randrange(len(content) // 4)] ^= 4
        hostile = [half, b"", b"\x80\x04cposix\nsystem\n(S'touch owned'\ntR."]
        if path.suffix == ".safetensors":
            hostile.append(bytes(broken))
        for bad in hostile:
            path.write_bytes(bad)
            assert resume(ended) == 2, path
            said = capsys.readouterr().err.splitlines()
            assert said[-1].startswith("vdtoolkit resume: error: ") and path.name in said[-1]
        path.write_bytes(content)
        assert (ended / "team.safetensors").read_bytes() == team  # what was saved is not lost
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("os:system", ["command='touch owned'"]),
        ("subprocess:run", ["args='touch owned'"]),
        ("builtins:exec", []),
        ("posix:system", []),
        (["os"], []),
        (None, []),
    ],
)
def test_a_file_cannot_name_pythons_own_functions_as_an_environment(env, words, ended, capsys):
    told = json.loads((ended / "config.json").read_text())
    told["env"] |= {"env": env, "words": words}
    (ended / "config.json").write_text(json.dumps(told))
    assert resume(ended) == 2
    assert "config.json" in capsys.readouterr().err
    result = json.loads((ended / "result.json").read_text())
    result["env"] |= {"env": env}
    (ended / "result.json").write_text(json.dumps(result))
    assert cli.main(["evaluate", str(ended)]) == 2
    assert "does not tell the environment" in capsys.readouterr().err
    assert not Path("owned").exists()


def test_an_environments_arguments_come_back_as_they_were():
    given = ["a=(1, 2)", "b=[3]", "c=text", "d={'e': None}", "f=-1.5", "g=True", "h=b'i'"]
    made = EnvMaker.parse("some:env", given, ["a.b(c=(1,))"])
    plain = json.loads(json.dumps(made.to_json() | {"arguments": None}))
    assert EnvMaker.from_json(plain) == made


def test_no_module_of_ours_reads_pickles_but_for_the_workers_pipe():
    found = {}
    for path in (Path(__file__).parents[1] / "vdtoolkit").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        words = [
            w for w in ("pickle.load", "torch.load", "allow_pickle=True", "joblib") if w in text
        ]
        if words:
            found[path.name] = words
    # between a process and its own children; a copy of an environment that check-env was given
    assert found == {"workers.py": ["pickle.load"], "instances.py": ["pickle.load"]}


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert resume(tmp_path) == 2
    assert "is not the folder of a run: it has no config.json" in capsys.readouterr().err
    assert RunFolder(tmp_path).status() == {} and FEW


def test_files_of_format_2_are_read_as_the_newest():
    folder = Path(__file__).parent / "fixtures"
    told = json.loads((folder / "format-2.json").read_text())
    for name, known in told.items():
        path = folder / f"format-2-{name}.safetensors"
        metadata = load_file(path)
        assert len(metadata) > 5
        agents = load(path)
        learn(agents, two_step_v0.parallel_env, 40, 2, seed=2)
        flat = torch.cat([p.detach().flatten() for p in agents.online.parameters()]).double()
        assert (agents.moves, agents.updates) == (known["moves"], known["updates"])
        assert float(flat.sum()) == pytest.approx(known["sum"], rel=1e-6)
        assert float(flat.norm()) == pytest.approx(known["norm"], rel=1e-6)
