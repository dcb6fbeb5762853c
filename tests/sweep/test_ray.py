"""Sweeps on a Ray cluster of several nodes on this machine: some are killed at work."""

import os
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from sweeping import (
    GATED,
    begun,
    bits,
    environment,
    gated,
    pids,
    runs_of,
    status,
    until,
    waiting,
    write,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, of what it imports
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'vdtoolkit[ray]'")
    from ray.cluster_utils import Cluster

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's pipes and sockets
CORE = {"num_cpus": 1, "object_store_memory": 80_000_000}  # of each node


@pytest.fixture(scope="module")
def cluster():
    """Three nodes of a core each."""
    before = dict(os.environ)
    os.environ.update(environment(), RAY_DISABLE_IMPORT_WARNING="1")
    made = Cluster(initialize_head=True, head_node_args={**CORE, "include_dashboard": False})
    os.environ.clear()
    os.environ.update(before)
    yield made
    made.shutdown()


def add_node(cluster):
    """One more, whose processes find our modules."""
    return cluster.add_node(**CORE, env_vars=environment())


def sweep(cluster, folder, *words):
    """A sweep's process."""
    command = [sys.executable, "-m", "vdtoolkit", "sweep", *words, "--ray", cluster.address]
    with open(folder / "said.txt", "ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=log, stderr=subprocess.STDOUT
        )


ELSEWHERE = """
import sys
from pathlib import Path
from vdtoolkit.sweep.file import read_file
from vdtoolkit.sweep.on_ray import OnRay
from vdtoolkit.sweep.rows import rows_of
(row,) = rows_of(read_file(Path(sys.argv[1])))
there = OnRay(sys.argv[2], Path("out"), "the id of another")
there.start(row)
(ended,) = there.wait(60)
print(ended.how, ended.said)
"""


def test_a_node_that_does_not_see_the_sweeps_folder_says_so(cluster, tmp_path):
    file = write(tmp_path, env=GATED, seeds=1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sweep.json").write_text('{"id": "its id"}')
    words = [sys.executable, "-c", ELSEWHERE, file, cluster.address]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.stdout.startswith(f"unseen node {socket.gethostname()} does not see"), done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sweep.json"]


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children(folder):
    """The processes that train, by the seed's folder."""
    logs = {}
    for pid in pids(folder):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"vdtoolkit.sweep.child" in words:
            logs[Path(os.readlink(f"/proc/{pid}/fd/1")).parent.name] = pid
    return logs


def test_a_node_and_a_worker_that_are_killed_cost_nothing_but_time(cluster, forks, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "gate").touch()
    whole = gated(tmp_path / "elsewhere")
    assert forks.run(tmp_path / "elsewhere", "sweep", whole, "--jobs", 3)[0] == 0
    file, runs = gated(tmp_path), runs_of(tmp_path)
    nodes = [add_node(cluster) for _ in range(2)]
    cluster.wait_for_nodes()
    process = sweep(cluster, tmp_path, file)
    until(lambda: process.poll() is not None or len(waiting(tmp_path)) == 3)
    at_work = children(tmp_path)
    assert sorted(at_work) == ["seed-0", "seed-1", "seed-2"], (tmp_path / "said.txt").read_text()
    raylets = {seed: parent(parent(pid)) for seed, pid in at_work.items()}
    assert len(set(raylets.values())) == 3  # each on a node of its own
    killed = nodes[0]
    (raylet,) = (info.process.pid for info in killed.all_processes["raylet"])
    (lost,) = (seed for seed, pid in raylets.items() if pid == raylet)
    other = min({*at_work} - {lost})
    os.kill(parent(at_work[other]), signal.SIGKILL)  # Ray's worker process
    cluster.remove_node(killed, allow_graceful=False)
    (tmp_path / "gate").touch()
    assert process.wait(120) == 0, (tmp_path / "said.txt").read_text()
    assert [status(run) for run in runs] == ["finished"] * 3
    for run, alone in zip(runs, runs_of(tmp_path / "elsewhere"), strict=True):
        assert bits(run) == bits(alone)
        again = ["resume" in line for line in begun(run)]
        assert again == ([False, True] if run.name in (lost, other) else [False])
    until(lambda: not children(tmp_path))
