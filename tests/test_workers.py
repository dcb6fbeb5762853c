"""Worker processes: the same steps as in one process, and what happens when one fails."""

import multiprocessing as mp
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from failing_envs import Failing, Surroundings, Winning
from teams import NoState, Relay

from vdtoolkit import VDNAgents, train
from vdtoolkit.replay import EpisodeReplay
from vdtoolkit.stream import stream
from vdtoolkit.team import Team
from vdtoolkit.workers import WorkerError, WorkerStream, usable_cores

E = 5
FIELDS = (
    *("obs", "state", "available", "alive", "reward"),
    *("first", "terminated", "truncated", "lost"),
)
RESTARTED = "environments are started again, their open episodes lost"


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    """The same tests on a machine of one core."""
    monkeypatch.setattr("vdtoolkit.stream.usable_cores", lambda: 3)


def lots(step, rng):
    return np.where(step.available, rng.random(step.available.shape), -1).argmax(-1)


def run(envs, moves=25, seed=4):
    """The steps of a stream under random play; the stream is closed."""
    rng, steps = np.random.default_rng(8), []
    try:
        steps.append(envs.reset(seed))
        for _ in range(moves):
            steps.append(envs.step(lots(steps[-1], rng)))
    finally:
        envs.close()
    return steps


def rows(steps, which=slice(None)):
    return [{name: getattr(step, name)[which].tolist() for name in FIELDS} for step in steps]


def no_workers():
    return not [p for p in mp.active_children() if p.name == "vdtoolkit-worker"]


def spread():
    return pytest.importorskip("mpe2.simple_spread_v3").parallel_env


# -- the same steps -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [Relay, partial(Relay, end="mixed", masks="observations", state="dict"), NoState]
)
def test_workers_play_what_one_process_plays(make):
    alone, one, two = (run(stream(make, E, workers=k)) for k in (0, 1, 2))
    assert rows(alone) == rows(one) == rows(two)
    assert sum(step.last.sum() for step in alone) > E
    for step in two:
        for name in FIELDS:
            assert getattr(step, name).dtype == getattr(alone[0], name).dtype


def test_workers_play_simple_spread_as_one_process_does():
    alone, two = (run(stream(spread(), 3, workers=k), moves=28) for k in (0, 2))
    assert rows(alone) == rows(two)
    assert alone[25].truncated.all()


def test_a_win_is_told_across_processes():
    alone, two = (run(stream(Winning, E, workers=k)) for k in (0, 2))
    told = [None if step.won is None else step.won.tolist() for step in alone]
    assert str(told) == str([None if step.won is None else step.won.tolist() for step in two])
    assert {float(w) for step in two if step.last.any() for w in step.won[step.last]} == {0, 1}


class Idle:
    """In the place of `_Worker`: its share of the environments, and no process."""

    def __init__(self, context, job):
        self.rows = slice(*job[-2:])

    def tell(self, what):
        pass

    def end(self, patience):
        pass


def test_envs_are_spread_evenly_and_never_over_more_workers_than_cores_or_envs(monkeypatch):
    monkeypatch.setattr("vdtoolkit.workers._Worker", Idle)

    def shares(n_envs, workers):
        envs = stream(Relay, n_envs, workers=workers)
        found = [(w.rows.start, w.rows.stop) for w in envs._workers]
        envs.close()
        return found

    assert shares(5, 2) == [(0, 2), (2, 5)]
    assert shares(2, 3) == [(0, 1), (1, 2)]
    assert shares(4, 99) == [(0, 1), (1, 2), (2, 4)]


def test_auto_takes_workers_where_a_step_costs_something(monkeypatch):
    monkeypatch.setattr("vdtoolkit.workers._Worker", Idle)
    for cost, kind in ((1e-3, WorkerStream), (1e-6, None)):
        monkeypatch.setattr("vdtoolkit.stream._cost", lambda env, cost=cost: cost)
        envs = stream(Relay, "auto", workers="auto")
        assert envs.n_envs == 12  # 4 for each of 3 cores
        assert isinstance(envs, kind) if kind else not isinstance(envs, WorkerStream)
        envs.close()
    assert usable_cores() >= 1


def test_send_returns_at_once_and_a_reset_in_between_starts_anew():
    class Slow(Relay):
        def step(self, actions):
            time.sleep(1.0)
            return super().step(actions)

    envs = stream(Slow, 2, workers=2)
    try:
        step = envs.reset(4)
        begun = time.perf_counter()
        envs.send(lots(step, np.random.default_rng(8)))
        assert time.perf_counter() - begun < 0.5
        envs.receive()
        assert time.perf_counter() - begun > 1.0
        envs.send(lots(step, np.random.default_rng(8)))
        assert rows([envs.reset(4)]) == rows([step])
    finally:
        envs.close()


def test_workers_need_no_torch_and_have_one_thread():
    steps = run(stream(Surroundings, 2, workers=2), moves=3)
    assert not any(step.reward.any() for step in steps)
    assert "OPENBLAS_NUM_THREADS" not in os.environ or "torch" in sys.modules


SCRIPT = """
    import time
    import numpy as np
    from teams import Relay
    from vdtoolkit.stream import stream

    print("read")

    class Mine(Relay):
        def step(self, actions):
            time.sleep(1000)

    envs = stream(lambda: Mine(), 2, workers=2)
    envs.reset()
    print(*(w._process.pid for w in envs._workers), flush=True)
"""


def script(tmp_path, end):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT) + end)
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )


def test_a_script_without_a_main_guard_is_not_run_again(tmp_path):
    out, errors = script(tmp_path, "envs.close()").communicate(timeout=60)
    assert out.split("\n").count("read") == 1
    assert errors == ""


# -- failures -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("die", "it died with exit code -9"),
        ("exit", "it died with exit code 7"),
        ("raise", "ValueError: the relay broke in episode 2"),
        ("raise an odd one", "OddError: odd"),
    ],
)
def test_a_worker_that_fails_loses_its_episodes_and_nobody_elses(tmp_path, how, words):
    make = partial(Failing, how, episode=2, once=str(tmp_path / "failed"))
    undisturbed = run(stream(Relay, E))
    envs = stream(make, E, workers=2)
    with pytest.warns(RuntimeWarning, match=f"{RESTARTED}: .*{words}"):
        steps = run(envs)
    assert envs.n_restarts == 1
    lost = [t for t, step in enumerate(steps) if step.lost.any()]
    assert len(lost) == 1
    failed = steps[lost[0]].lost
    assert failed.tolist() in ([True, True, False, False, False], [False, False, True, True, True])
    assert rows(steps, ~failed) == rows(undisturbed, ~failed)
    assert rows(steps[: lost[0]]) == rows(undisturbed[: lost[0]])
    step = steps[lost[0]]
    assert step.terminated[failed].all() and not step.truncated[failed].any()
    assert step.available.any(-1).all()
    for before, after in pairwise(steps):
        assert np.array_equal(before.last, after.first)
    assert any(step.last[failed].any() for step in steps[lost[0] + 1 :])  # they play on


def test_envs_that_begin_again_have_new_seeds_that_the_run_decides(tmp_path):
    def one(name, seed):
        make = partial(Failing, "exit", once=str(tmp_path / name))
        with pytest.warns(RuntimeWarning, match=RESTARTED):
            return rows(run(stream(make, 2, workers=1), seed=seed))

    first, again, other = one("a", 4), one("b", 4), one("c", 5)
    assert first == again != other
    starts = [row["obs"][e] for row in first for e in range(2) if row["first"][e]]
    assert len({str(start) for start in starts}) == len(starts)


def test_a_worker_that_hangs_is_given_up_after_the_timeout(tmp_path):
    make = partial(Failing, "hang", once=str(tmp_path / "hung"))
    envs = stream(make, 4, workers=2)
    try:
        rng, step = np.random.default_rng(8), envs.reset(4)
        step = envs.step(lots(step, rng))
        envs.timeout = 3.0
        begun = time.monotonic()
        with pytest.warns(RuntimeWarning, match="gave no answer in time: an environment hangs"):
            step = envs.step(lots(step, rng))
        assert 2.9 < time.monotonic() - begun < 60
        assert step.lost.sum() == 2
        envs.timeout = 600.0
        assert envs.step(lots(step, rng)).first.sum() == 2
    finally:
        envs.close()


def open_when_a_second_episode_has_had_its_first_move(n_envs, seed=0):
    """Undisturbed, how many of these envs are then in the midst of an episode."""
    steps = run(stream(Relay, n_envs), seed=seed)
    begun = np.cumsum([step.first for step in steps], 0)  # [T, E], episodes
    for k in range(1, len(steps)):
        if ((begun[k] == 2) & steps[k - 1].first & ~steps[k].first).any():
            return int((~steps[k].last).sum())
    raise AssertionError("no second episode")


def test_the_replay_drops_and_counts_what_was_lost(tmp_path):
    """One of the envs is between two episodes when the worker dies: nothing of it is lost."""
    n = 4
    in_play = open_when_a_second_episode_has_had_its_first_move(n)
    assert 0 < in_play < n
    agents, reports = VDNAgents(Relay(), hidden_dim=8, batch_size=1), []
    make = partial(Failing, "die", episode=2, once=str(tmp_path / "died"))
    with pytest.warns(RuntimeWarning, match=RESTARTED):
        train(agents, make, 60, n, workers=1, monitor=reports.append)
    assert agents.replay.n_lost == reports[-1].lost == in_play
    assert reports[-1].restarts == 1
    completed = sum(len(report.returns) for report in reports)
    assert agents.episodes == agents.updates == agents.replay.n_added == completed > 8
    lengths = np.concatenate([report.lengths for report in reports])
    assert set(lengths.tolist()) <= {3, 4, 5}


def test_a_failure_while_an_episode_begins_loses_no_episode(tmp_path):
    make = partial(Failing, "raise at reset", once=str(tmp_path / "failed"))
    with pytest.warns(RuntimeWarning, match=RESTARTED):
        steps = run(stream(make, 2, workers=1), moves=3)
    assert [step.first.tolist() for step in steps] == [[True] * 2] * 2 + [[False] * 2] * 2
    assert steps[0].lost.all() and steps[0].terminated.all()
    team = Team.from_env(Relay())
    replay = EpisodeReplay(9, team.spec)
    replay.begin(steps[0])
    for step in steps[1:]:
        replay.append(np.zeros((2, 3), np.int64), step)
    assert (replay.n_lost, replay.n_added) == (0, 0)


@pytest.mark.filterwarnings(f"ignore:.*{RESTARTED}")
@pytest.mark.parametrize("how", ["raise", "raise at reset"])
def test_an_error_in_every_episode_comes_out_as_that_error(how, monkeypatch):
    monkeypatch.setattr("vdtoolkit.workers.RETRIES", 1)  # each costs the start of a process
    envs = stream(partial(Failing, how), 4, workers=2)
    with pytest.raises(ValueError, match="the relay broke in episode 1") as caught:
        run(envs)
    cause = caught.value.__cause__
    assert isinstance(cause, WorkerError)
    assert "a worker process with 2 of the 4 environments failed 2 times without" in str(cause)
    assert "Traceback" in str(cause) and "failing_envs.py" in str(cause)
    assert no_workers()


@pytest.mark.filterwarnings(f"ignore:.*{RESTARTED}")
def test_a_worker_that_dies_again_and_again_is_an_error_with_its_last_words():
    with pytest.raises(WorkerError, match=r"failed 4 times(.|\n)*it died with exit code 7"):
        run(stream(partial(Failing, "exit"), 2, workers=1))
    assert no_workers()


def test_failures_with_whole_episodes_between_are_forgiven(monkeypatch):
    """Envs fail in their second episode for ever: whole first ones keep the run alive."""
    monkeypatch.setattr("vdtoolkit.workers.RETRIES", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        envs = stream(partial(Failing, "exit", episode=2), 1, workers=1)
        steps = run(envs, moves=30)
    assert envs.n_restarts > 2
    starts = [str(step.obs[0]) for step in steps if step.first[0]]
    assert len(set(starts)) == len(starts)  # not the same few episodes again and again


def test_in_one_process_an_error_is_raised_as_it_is():
    with pytest.raises(ValueError, match="the relay broke in episode 1") as caught:
        run(stream(partial(Failing, "raise"), 2))
    assert caught.value.__cause__ is None


def test_an_env_fn_that_cannot_travel_is_told_so():
    lock = threading.Lock()

    def make():
        with lock:
            return Relay()

    with pytest.raises(TypeError, match="env_fn cannot be sent to worker processes") as caught:
        stream(make, 2, workers=2)
    assert "let it make all that its env needs, or play with workers=0" in str(caught.value)
    assert no_workers()


# -- the end --------------------------------------------------------------------------------


def test_nothing_is_left_after_close():
    envs = stream(Relay, 3, workers=2)
    processes = [w._process for w in envs._workers]
    envs.reset()
    assert not no_workers()
    envs.close()
    envs.close()
    assert no_workers()
    assert [p.exitcode for p in processes] == [0, 0]  # they went by themselves
    with pytest.raises(RuntimeError, match="the stream is closed, its worker processes are gone"):
        envs.reset()


def test_nothing_is_left_after_an_error_or_an_interrupt():
    def stop(agents):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(VDNAgents(Relay(), hidden_dim=8), Relay, 9, 2, workers=2, callback=stop)
    assert no_workers()


@pytest.mark.parametrize("end", ["time.sleep(1000)", "envs.step(np.array([[0, 1, 0]] * 2))"])
def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path, end):
    """Neither those that wait nor those whose environment hangs."""
    process = script(tmp_path, end)
    assert process.stdout.readline() == "read\n"
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.05)
    assert errors == ""  # no traceback, no leak told of


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
