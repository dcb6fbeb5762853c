"""What one cell of `benchmarks.literature` trains and measures, and the limits beside it."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.literature_cells import Cell, Group, Result
from vdtoolkit import ALGORITHMS, __version__, evaluate, train
from vdtoolkit.config import Config
from vdtoolkit.envs import gaussian_squeeze_v0, predator_prey_v0
from vdtoolkit.episode import TeamEpisode
from vdtoolkit.finite import optimal_q
from vdtoolkit.igm.audit import audit, backup
from vdtoolkit.igm.game import named_game
from vdtoolkit.igm.lab import N_ENVS, UPDATES_PER_EPISODE, Job, lab_config, run_seeds, settle
from vdtoolkit.igm.limits import limits
from vdtoolkit.igm.results import SeedResult
from vdtoolkit.team import Team

OPTIMAL = 1e-6  # regret below which a team plays best
CURVE = 20  # evaluations on the way
SQUEEZED = 256  # episodes over which regret in the Gaussian squeeze is averaged


def train_cells(cells: Group) -> list[Result]:
    """The numbers of cells of one task and method; {"refused": why} where it cannot play it."""
    torch.set_num_threads(1)
    if cells[0].part != "games":
        found = [predator_prey(cell) for cell in cells]
    elif cells[0].task == "gaussian_squeeze_10":
        found = [squeeze(cell) for cell in cells]
    else:
        found = lab_cells(cells)
    return [{**one, "version": __version__} for one in found]


def refusal(cell: Cell, make: Callable[[], Any], config: Config) -> str:
    """Why no team of this method can be made for the task; "" where one can."""
    try:
        ALGORITHMS[cell.method](make(), config)
    except ValueError as error:
        return str(error)
    return ""


# -- games ----------------------------------------------------------------------------------------


def lab_cells(cells: Group) -> list[Result]:
    """Runs of the lab (`vdtoolkit igm`), with its settings; seeds as one batch where that works."""
    first = cells[0]
    game, config = named_game(first.task), lab_config(first.method)
    if why := refusal(first, game, config):
        return [{"refused": why} for _ in cells]
    jobs = [Job(game, cell.method, config, cell.seed, cell.moves) for cell in cells]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some train one after another
        return [told(run) for run in run_seeds(jobs)]


def told(run: SeedResult) -> Result:
    """What is kept of a run."""
    judged = [s for s in run.audit.states if s.payoff is not None]
    sizes = [(np.nanmax(np.abs(s.q_tot)), np.nanmax(np.abs(s.payoff))) for s in judged]
    return {
        "regret": run.audit.regret,
        "violations": sum(s.violation for s in run.audit.states),
        "states": len(run.audit.states),
        "claim": run.audit.claim,
        "rmse": run.audit.rmse,
        # how large values have become beside the largest true one: without end where they diverge
        "growth": max(q for q, _ in sizes) / max(max(p for _, p in sizes), 1e-9),
        "return": run.team_return,
        "verdict": run.verdict,
        "weighted_limit": None if run.class_limit is None else run.class_limit.regret,
    }


def squeeze(cell: Cell) -> Result:
    """The Gaussian squeeze of ten agents, its scales new in each episode: no finite game.

    The lab's settings, but for exploration, which falls to 0.05 over the first half.  Regret is
    what the best x in reach pays less what was paid, the mean over episodes.
    """
    make = gaussian_squeeze_v0.parallel_env
    config = dataclasses.replace(
        lab_config(cell.method),
        epsilon_end=0.05,
        epsilon_steps=max(cell.moves // 2, 1),
    )
    if why := refusal(cell, make, config):
        return {"refused": why}
    agents = ALGORITHMS[cell.method](make(), config, seed=cell.seed)
    train(
        agents,
        make,
        cell.moves,
        N_ENVS,
        updates_per_episode=UPDATES_PER_EPISODE,
        seed=cell.seed,
        callback=lambda team: settle(team, team.moves / cell.moves),
        every=max(cell.moves // 40, 1),
    )
    regrets, paid = played_squeeze(agents, make(), SQUEEZED)
    found = audit(agents, make(), limit=1, episodes=20)
    return {
        "regret": float(np.mean(regrets)),
        "violations": sum(s.violation for s in found.states),
        "states": len(found.states),
        "claim": found.claim,
        "return": float(np.mean(paid)),
    }


def played_squeeze(agents: Any, env: Any, episodes: int) -> tuple[list[float], list[float]]:
    """Regret and pay of greedy episodes of `gaussian_squeeze_v0`."""
    actor, regrets, paid = agents.actor(), [], []
    game = env.unwrapped
    for k in range(episodes):
        observations, infos = env.reset(seed=k)
        scales, most = game.scales.copy(), game.n_actions[0] - 1
        step = TeamEpisode(agents.team).start(observations, infos, env.state())
        x = float(np.mean(actor.act_steps(step)[0] * scales))
        reach = np.linspace(0.0, float(np.mean(scales)) * most, 20_001)
        paid.append(float(gaussian_squeeze_v0.payoff(x, game.domains)))
        best = float(np.max(gaussian_squeeze_v0.payoff(reach, game.domains)))
        regrets.append(max(best - paid[-1], 0.0))
    return regrets, paid


LESSER_HILL = 6.5  # x below which the narrow target pays nothing


def squeeze_marks(plays: int = 1000) -> tuple[float, float]:
    """Regret of play at random and of the lesser hill, over the starts of `played_squeeze`."""
    env, random = gaussian_squeeze_v0.parallel_env(), np.random.default_rng(0)
    game, lost = env.unwrapped, []
    for k in range(SQUEEZED):
        env.reset(seed=k)
        most = game.n_actions[0] - 1
        reach = np.linspace(0.0, float(game.scales.mean()) * most, 20_001)
        pays = gaussian_squeeze_v0.payoff(reach, game.domains)
        x = (random.integers(most + 1, size=(plays, len(game.scales))) * game.scales).mean(1)
        paid = np.mean(gaussian_squeeze_v0.payoff(x, game.domains)), pays[reach < LESSER_HILL].max()
        lost.append(pays.max() - np.array(paid))
    by_chance, lesser = np.mean(lost, axis=0)
    return float(by_chance), float(lesser)


# -- limits of classes ----------------------------------------------------------------------------

SWEEPS = 300
DIVERGES = 20.0  # times the largest true value


@dataclasses.dataclass(frozen=True)
class ClassLimit:
    """What the best table of a class leaves: its regret, or why there is none."""

    regret: float | None
    diverges: bool = False
    exact: bool = True

    def __str__(self) -> str:
        if self.diverges:
            return "no end"
        if self.regret is None:
            return "not known"
        return ("" if self.exact else "~") + f"{self.regret + 0.0:.3g}"


def limits_of(task: str, gamma: float = 0.99) -> dict[str, ClassLimit]:
    """The limit of each class under uniform play; of games with several states by sweeps."""
    classes = ("independent", "hysteretic", "lenient", "additive", "elu_qmix", "unrestricted")
    if task not in GAMES_OF_LAB:
        return dict.fromkeys(classes, ClassLimit(None))
    env = named_game(task)()
    game, team = env.unwrapped, Team.from_env(env)
    true = optimal_q(game, 0.0 if game.one_shot else gamma, team)
    found = {
        "independent": independent_limit(game, true, gamma, 1.0),
        "hysteretic": independent_limit(game, true, gamma, 0.1),  # the lab's beta
        "lenient": independent_limit(game, true, gamma, math.exp(-2)),
    }
    for name in ("additive", "elu_qmix"):
        found[name] = class_limit(game, true, gamma, name)
    return {**found, "unrestricted": ClassLimit(0.0)}


GAMES_OF_LAB = (
    *("nonmonotonic", "nonmonotonic-5-actions", "nonmonotonic-3-agents", "climbing"),
    *("penalty-100", "or", "two_step", "mmdp", "gaussian_squeeze"),
)


def class_limit(game: Any, true: dict[Any, np.ndarray], gamma: float, name: str) -> ClassLimit:
    """Fitted Q iteration with the best table of the class, from the true values on.

    One sweep is all there is to a one-shot game.  Its regret is the largest over states, as the
    audit's.
    """
    value = {s: float(np.nanmax(t)) for s, t in true.items()}
    largest = max(map(abs, value.values()))
    fits, exact = {}, True
    for _ in range(SWEEPS):
        fits = {
            s: limits(t if game.one_shot else backup(game, s, t, value, gamma))[name]
            for s, t in true.items()
        }
        if any(fit.table is None for fit in fits.values()):
            return ClassLimit(None)
        exact = all(fit.exact for fit in fits.values())
        new = {s: float(np.nanmax(fit.table)) for s, fit in fits.items()}
        if max(map(abs, new.values())) > DIVERGES * largest:
            return ClassLimit(None, diverges=True)
        if game.one_shot or max(abs(new[s] - value[s]) for s in new) < 1e-6:
            break
        value = new
    return ClassLimit(max(_regret(true[s], fit.greedy) for s, fit in fits.items()), exact=exact)


def independent_limit(
    game: Any, true: dict[Any, np.ndarray], gamma: float, beta: float
) -> ClassLimit:
    """Independent learners whose partners play at random: beta-expectiles, 1 is the mean (IQL)."""
    n = next(iter(true.values())).ndim
    values = [{s: float(np.nanmax(t)) for s, t in true.items()} for _ in range(n)]
    own: dict[Any, list[np.ndarray]] = {}
    for _ in range(2000):
        own = {
            s: [
                expectiles(t if game.one_shot else backup(game, s, t, values[i], gamma), i, beta)
                for i in range(n)
            ]
            for s, t in true.items()
        }
        new = [{s: float(np.nanmax(u[i])) for s, u in own.items()} for i in range(n)]
        moved = max(abs(new[i][s] - values[i][s]) for i in range(n) for s in true)
        values = new
        if game.one_shot or moved < 1e-6:
            break
    regrets = []
    for s, table in true.items():
        # where an agent's best actions tie, the worst that they can make of it together
        best = [np.flatnonzero(u >= np.nanmax(u) - 1e-9) for u in own[s]]
        regrets.append(float(np.nanmax(table) - np.nanmin(table[np.ix_(*best)])))
    return ClassLimit(max(regrets))


def expectiles(table: np.ndarray, agent: int, beta: float) -> np.ndarray:
    """The beta-expectile of what follows each of an agent's actions, [A_i].

    x with sum of (y - x) over y > x equal to beta times the sum of (x - y) over the others.
    """
    rows = np.moveaxis(table, agent, 0).reshape(table.shape[agent], -1)
    found = np.full(len(rows), np.nan)
    for a, row in enumerate(rows):
        y = row[np.isfinite(row)]
        if not len(y):
            continue
        x = float(y.mean())
        for _ in range(100):  # Newton's steps: the condition is piecewise linear
            w = np.where(y > x, 1.0, beta)
            x, last = float((w * y).sum() / w.sum()), x
            if abs(x - last) <= 1e-12 * max(1.0, abs(x)):
                break
        found[a] = x
    return found


def _regret(true: np.ndarray, greedy: Any) -> float:
    return float(np.nanmax(true) - true[greedy])


# -- predator-prey --------------------------------------------------------------------------------


def predator_prey_env(part: str, task: str) -> Callable[[], Any]:
    """QTRAN's form on 5 x 5, or the stag hunt on 10 x 10, with the penalty of the task's name."""
    form = "punished" if part == "predator_prey" else "stag_hunt"
    return partial(predator_prey_v0.parallel_env, form, penalty=float(task.removeprefix("p")))


def predator_prey(cell: Cell) -> Result:
    """Train with epsilon down to 0.05 over 50,000 moves; greedy returns on the way and at the end.

    Batches are 8 episodes.  5 x 5 is seen whole and wants no memory; after each of its episodes of
    100 moves come four gradient steps (with batches of 32 they take twice as long; VDN at P = 0
    then has 29 after 100,000 moves, where it has 26 with 8).
    10 x 10 has recurrent nets and one gradient step an episode of 200 moves (with batches of 32 all
    its cells would take four times as long).  QPLEX has the mixer of its authors' StarCraft runs;
    that of their matrix games, our default, costs five times QMIX's gradient step.
    """
    make = predator_prey_env(cell.part, cell.task)
    small = cell.part == "predator_prey"
    changed: dict[str, Any] = {"epsilon_steps": 50_000, "batch_size": 8}
    if small:
        changed |= {"recurrent": False, "last_action": False}
    if cell.method == "qplex":
        changed |= {"n_kernels": 4, "adv_layers": 1}
    config = ALGORITHMS[cell.method].Config(**changed)
    if why := refusal(cell, make, config):
        return {"refused": why}
    agents = ALGORITHMS[cell.method](make(), config, seed=cell.seed)
    curve: list[tuple[int, float]] = []

    def look(team: Any) -> None:
        played = evaluate(team, make, 32, seed=1000 + cell.seed, n_envs=32)
        curve.append((team.moves, round(float(played.returns.mean()), 4)))

    train(
        agents,
        make,
        cell.moves,
        16,
        updates_per_episode=4.0 if small else 1.0,
        seed=cell.seed,
        callback=look,
        every=max(cell.moves // CURVE, 1),
    )
    final = evaluate(agents, make, 128, seed=2000 + cell.seed, n_envs=64)
    return {
        "return": float(final.returns.mean()),
        "curve": curve,
        "updates": agents.updates,
        "episodes": agents.episodes,
    }
