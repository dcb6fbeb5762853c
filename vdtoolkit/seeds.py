"""Many seeds of one small game as one batch: seeds are a leading axis [S, ...].

Nets are tiny here: most of a gradient step goes into calling kernels, not into sums.  So the
parameters of S teams are stacked, `loss` is mapped over them (`torch.vmap`), and one Adam serves
all.  And in a finite game a batch holds the same few moves many times over: each kind of them is
looked at once and counts as often as it was drawn (not with TD(lambda) or last actions as inputs,
where moves hang together; moves of which a method has noted different things are told apart).

Nothing else changes.  Every team keeps its own generators, and draws from them as it does alone:
its networks at the start, its moves and the episodes of every gradient step are the same bit for
bit while it plays at random.  Sums are in another order, so gradients agree to rounding (about 1e-6
of their norm), and parameters drift apart as rounding is multiplied over gradient steps; the tests
hold them to 1e-10 in double precision.  At gradient steps 1, 2, 4, 8 ... a team's gradient is
worked out by the team alone and held against its share of the batch's.  A team that acts on what it
has learned acts by itself, with its own parameters as they are: where two of its actions tie,
rounding may decide.

Parameters and targets of a team are views into the stacks while it plays, so that an audit sees
them as they are; in the end they are its own again, and so are its optimiser and its replay.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from vdtoolkit.agents.base import Agents
from vdtoolkit.batch import EpisodeBatch, View
from vdtoolkit.finite import FiniteStream
from vdtoolkit.step import Step
from vdtoolkit.training import Callback

# what a method must not have changed: the batch does all this itself
OURS = (
    "act_steps",
    "begin_steps",
    "clip_gradient",
    "draw",
    "empty_replay",
    "learn",
    "learn_from",
    "observe_steps",
    "sync_target",
)
AGREE = 1e-3  # of the norm: how far a team's own gradient may be from its share of the batch's
ROUNDING = 1e-5  # likewise of the largest norm so far: what is left where sums cancel
ASKED = 3  # teams whose gradient is looked at on the way; most of them must agree
SEEN = ("obs", "state", "available", "alive")  # of a moment; the rest is of what led there

SEEN_AND_LED_TO = 7
Data = tuple[Tensor, ...]  # obs, state, available, alive, actions, reward, terminated; maybe note
Columns = dict[str, np.ndarray]  # what a replay holds of each kind of moves, [K, 2, ...]


class Drawn(NamedTuple):
    """Every team's next batch."""

    kinds: np.ndarray  # [S, B, T] which of the kinds of moves
    note: np.ndarray | None  # [S, B, T, N] what the method noted of each


class CannotStackError(ValueError):
    """These teams cannot be trained as one batch; alone they can."""


def play_seeds(
    teams: Sequence[Agents],
    env: Any,
    moves: int,
    *,
    n_envs: int = 32,
    seeds: Sequence[int],
    updates_per_episode: float = 1.0,
    callback: Callback | None = None,
    every: int = 1000,
) -> dict[str, float]:
    """`training.play` for S new teams at once, each on n_envs episodes of a finite game of its own.

    teams: one class, one config, different seeds.  seeds: of the games, one a team.  The callback
    is given each team in turn; it may set the step size, the same for all.  Returns where the time
    went, in seconds: playing ("env", with acting and storing) and "learn".
    CannotStackError where it does not work; teams that have begun are then of no further use.
    """
    refuse(teams)
    if len(seeds) != len(teams):
        raise ValueError(f"{len(seeds)} seeds for {len(teams)} teams: give each its own")
    if not updates_per_episode >= 0:
        raise ValueError(f"updates_per_episode={updates_per_episode}: it must be at least 0")
    if every < 1:
        raise ValueError(f"every={every}: the callback needs at least one move between calls")
    tell = callback or (lambda agents: None)
    games = _Games(teams, env, n_envs, seeds)
    learner = _Learner(teams)
    updates, told, owed_each = 0, 0, updates_per_episode
    at_once, may_wait = math.ceil(owed_each), int(owed_each * (n_envs - 1))

    spent, clock = {"env": 0.0, "learn": 0.0}, time.perf_counter

    def learn(n: int) -> None:
        nonlocal updates
        began = clock()
        for _ in range(n):
            updates += 1
            if games.n_stored >= teams[0].config.batch_size:
                learner.step(games.drawn(), games.columns)
        spent["learn"] += clock() - began

    def owed() -> int:
        return int(owed_each * games.episodes) - updates

    try:
        for agents in teams:
            tell(agents)
        while games.moves < moves:
            began, learned = clock(), spent["learn"]
            games.send()
            learn(min(owed(), at_once))
            games.receive()
            spent["env"] += clock() - began - (spent["learn"] - learned)
            learn(owed() - (may_wait if games.moves < moves else 0))
            if games.moves - told >= every:
                told += (games.moves - told) // every * every
                for agents in teams:
                    tell(agents)
        games.write_back()
    finally:
        learner.let_go()
    return spent


def refuse(teams: Sequence[Agents]) -> None:
    """CannotStackError where teams differ in more than the seed, or do what a batch cannot."""
    first = teams[0]
    kind, c = type(first), first.config
    if any(type(agents) is not kind or agents.config != c for agents in teams):
        raise CannotStackError("teams of different methods or configs are not one batch")
    if any(agents.moves or agents.updates or agents.replay is None for agents in teams):
        raise CannotStackError("teams that have begun, or are not built yet, are not one batch")
    own = [name for name in OURS if getattr(kind, name) is not getattr(Agents, name)]
    if own:
        raise CannotStackError(f"{first.label} has its own {', '.join(own)}: seed by seed then")
    if c.recurrent:
        raise CannotStackError("recurrent=True: a memory is unrolled by hand, seed by seed")
    if first.device.type != "cpu":
        raise CannotStackError(f"device {first.device}: seeds are a batch on the CPU alone")
    if type(first.optimizer) is not torch.optim.Adam or len(first.optimizer.param_groups) > 1:
        raise CannotStackError(f"{first.label} has an optimiser of its own: seed by seed then")


class _Games:
    """S teams' episodes side by side, all of one length, and every team's replay of them.

    Two moves are of one kind if all that is seen before and after, done and paid is the same.
    """

    def __init__(
        self, teams: Sequence[Agents], env: Any, n_envs: int, seeds: Sequence[int]
    ) -> None:
        self.teams, self.n_envs = teams, n_envs
        self.team, self.size = teams[0].team, teams[0].config.buffer_size
        self.envs = FiniteStream(env, n_envs * len(teams), self.team)
        self.step = self.envs.reset(seeds)
        self.moves = self.episodes = 0  # of each team
        self.open: list[np.ndarray] = []  # kinds of the moves of episodes in progress, [S * E] each
        self.stored = np.zeros((len(teams), self.size, 0), np.int32)  # likewise, [S, slots, T]
        self.open_notes: list[np.ndarray] = []  # of those moves, [S * E, N] each
        self.notes = np.zeros((*self.stored.shape, 0), np.float32)  # likewise, [S, slots, T, N]
        c = teams[0].config
        self.at_random = c.epsilon_start == c.epsilon_end == 1.0
        self.numbers: dict[bytes, int] = {}
        self.columns: Columns = {}  # where each kind began, and what it led to

    # -- playing --------------------------------------------------------------------------

    def send(self) -> None:
        """Every team's next moves."""
        if self.at_random and not self.moves:
            self.at_random = self._explores_as_others_do()
        self.actions = self._random_moves() if self.at_random else self._own_moves()
        if not self.step.last[0]:
            self.moves += self.n_envs
            for agents in self.teams:
                agents.moves = self.moves
        self.places = self.envs.places.copy()
        self.envs.send(self.actions)

    def _random_moves(self) -> np.ndarray:
        """By each team's own dice: two draws a moment, as `epsilon_greedy` takes; [S * E, N]."""
        s, e, n = len(self.teams), self.n_envs, len(self.team.agents)
        a = self.team.spec.n_actions
        dice = np.empty((s, e * n * (1 + a)))
        for own, agents in zip(dice, self.teams, strict=True):
            agents._explore_rng.random(out=own)
        lots = dice[:, e * n :].reshape(s * e, n, a)
        return np.where(self.step.available, lots, -1.0).argmax(-1)

    def _own_moves(self) -> np.ndarray:
        """By each team's own actor, which may be one of its own kind."""
        moves = [self._acted(agents, rows) for agents, rows in self._rows()]
        return np.concatenate(moves)

    def _acted(self, agents: Agents, rows: np.ndarray) -> np.ndarray:
        assert agents.actor_in_training is not None
        return agents.actor_in_training.act_steps(self.step.rows(rows))

    def _rows(self) -> Iterator[tuple[Agents, np.ndarray]]:
        """Each team and the rows of its episodes."""
        every = np.arange(len(self.teams) * self.n_envs).reshape(len(self.teams), -1)
        return zip(self.teams, every, strict=True)

    def _explores_as_others_do(self) -> bool:
        """Whether the first team's own actor makes the moves that its dice make; none are used."""
        dice = [agents._explore_rng.bit_generator for agents in self.teams]
        states = [one.state for one in dice]
        ours = self._random_moves()[: self.n_envs]
        for one, state in zip(dice, states, strict=True):
            one.state = state
        agents, rows = next(self._rows())
        same = np.array_equal(self._acted(agents, rows), ours)
        dice[0].state = states[0]
        return same

    def receive(self) -> None:
        """What the moves led to; episodes that are over are stored."""
        before, self.step = self.step, self.envs.receive()
        last, first = self.step.last, self.step.first
        if last.any() != last.all() or first.any() != first.all():
            raise CannotStackError("episodes differ in length: seeds keep no common step")
        if first[0]:
            return
        self.open.append(self._kinds(before, self.step))
        if self.teams[0].notes:
            self.open_notes.append(self._noted(before))
        if last[0]:
            notes = np.stack(self.open_notes, 1) if self.open_notes else None
            self._store(np.stack(self.open, -1), notes)
            self.open, self.open_notes = [], []

    def _noted(self, before: Step) -> np.ndarray:
        """What each team writes down of the moves just made, [S * E, N]."""
        told = []
        for agents, rows in self._rows():
            agents._moment, agents._actions = before.rows(rows), self.actions[rows]
            note = agents.note(self.step.rows(rows))
            assert note is not None
            told.append(note)
            agents._moment = agents._actions = None
        return np.concatenate(told)

    def _kinds(self, before: Step, after: Step) -> np.ndarray:
        """The kind of each move just made; of new ones it is written down what they hold."""
        paid = after.reward.view(np.int32)
        keys = np.column_stack([self.places, self.actions, paid, self.envs.places])
        keys = np.ascontiguousarray(keys, np.int64)
        found, rows, which = np.unique(
            keys.view(f"V{keys.shape[1] * 8}")[:, 0], return_index=True, return_inverse=True
        )
        known = [key.tobytes() for key in found]
        new = rows[[key not in self.numbers for key in known]]
        numbers = [self.numbers.setdefault(key, len(self.numbers)) for key in known]
        if len(new):
            replay: Any = self.teams[0].replay
            for name, column in replay.columns.items():
                if name == "note":  # of a move, not of its kind
                    continue
                seen = name in SEEN
                led_to = self.actions if name == "actions" else getattr(after, name)
                began = getattr(before, name) if seen else np.zeros_like(led_to)
                held = np.stack([began[new], led_to[new]], 1).astype(column.dtype)
                so_far = self.columns.get(name, held[:0])
                self.columns[name] = np.concatenate([so_far, held])
        return np.array(numbers, np.int32)[which]

    def _store(self, kinds: np.ndarray, notes: np.ndarray | None) -> None:
        s, e, length = len(self.teams), self.n_envs, kinds.shape[1]
        if not self.episodes:
            replay: Any = self.teams[0].replay
            if (self.size + e) * (length + 1) >= replay.n_rows:
                raise CannotStackError(
                    "buffer_bytes is reached before buffer_size: seed by seed then"
                )
            self.stored = np.zeros((s, self.size, length), np.int32)
            n = 0 if notes is None else notes.shape[-1]
            self.notes = np.zeros((s, self.size, length, n), np.float32)
        if length != self.stored.shape[2]:
            raise CannotStackError("episodes differ in length: seeds keep no common step")
        kept = np.arange(e)[-self.size :]  # more would be overwritten at once
        slots = (self.episodes + kept) % self.size
        self.stored[:, slots] = kinds.reshape(s, e, length)[:, kept]
        if notes is not None:
            self.notes[:, slots] = notes.reshape(s, e, length, -1)[:, kept]
        self.episodes += e
        for agents in self.teams:
            agents.episodes = self.episodes

    # -- learning -------------------------------------------------------------------------

    @property
    def n_stored(self) -> int:
        """Episodes each team holds."""
        return min(self.episodes, self.size)

    def drawn(self) -> Drawn:
        """Each team's next batch, by its own dice."""
        b, n = self.teams[0].config.batch_size, self.n_stored
        which = np.stack(
            [a._sample_rng.choice(n, b, replace=False, shuffle=False) for a in self.teams]
        )
        slots = (self.episodes - n + which) % self.size
        own = np.arange(len(slots))[:, None]
        note = self.notes[own, slots] if self.teams[0].notes else None
        return Drawn(self.stored[own, slots], note)

    def write_back(self) -> None:
        """Every team's replay as it would be: the same episodes in the same slots."""
        if not self.episodes:
            return
        slots = (self.episodes - self.n_stored + np.arange(self.n_stored)) % self.size
        for agents, stored, notes in zip(self.teams, self.stored, self.notes, strict=True):
            assert agents.replay is not None
            which = stored[slots]  # [n_stored, T]
            rows = {
                name: np.concatenate([x[which[:, :1], 0], x[which, 1]], 1).reshape(-1, *x.shape[2:])
                for name, x in self.columns.items()
            }
            if agents.notes:
                noted = notes[slots]  # [n_stored, T, N]; nothing led to the first moment
                noted = np.concatenate([np.zeros_like(noted[:, :1]), noted], 1)
                rows["note"] = noted.reshape(-1, noted.shape[-1])
            lengths = np.full(len(which), which.shape[1])
            agents.replay.fill({**rows, "moves": lengths}, self.episodes)


def episodes(columns: Columns, kinds: np.ndarray, note: np.ndarray | None = None) -> Data:
    """Episodes of these kinds of moves: [..., T] -> seen [..., T+1, ...], led to [..., T, ...].

    What was noted of them comes last, where anything was.
    """
    which = torch.from_numpy(kinds).long()

    def along(name: str) -> Tensor:
        x = torch.from_numpy(columns[name])
        return torch.cat([x[which[..., :1], 0], x[which, 1]], which.dim() - 1)

    def led_to(name: str) -> Tensor:
        return torch.from_numpy(columns[name])[which, 1]

    obs = along("obs")
    state = along("state") if "state" in columns else obs.flatten(-2)
    seen = (obs, state, along("available"), along("alive"))
    noted = () if note is None else (torch.from_numpy(note),)
    return (*seen, led_to("actions").long(), led_to("reward"), led_to("terminated"), *noted)


def _told_apart(drawn: Drawn, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Which of K kinds of moves each is, [S, B, T]; the kinds, [K], and what was noted, [K, N]."""
    if drawn.note is None:
        return drawn.kinds, np.arange(k), None
    note = drawn.note.reshape(-1, drawn.note.shape[-1])
    keys = np.column_stack([drawn.kinds.ravel(), np.ascontiguousarray(note).view(np.int32)])
    rows = np.ascontiguousarray(keys, np.int32).view(f"V{keys.shape[1] * 4}")[:, 0]
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    return which.reshape(drawn.kinds.shape), drawn.kinds.ravel()[first], note[first]


class _Batch(EpisodeBatch):
    """A batch that may bootstrap, whatever it holds: a mapped tensor cannot be asked."""

    bootstraps = True  # type: ignore[assignment]


class _OneShot(EpisodeBatch):
    """A batch of games that end after one move."""

    bootstraps = False  # type: ignore[assignment]


def _batch(kind: type[EpisodeBatch], data: Data, valid: Tensor) -> EpisodeBatch:
    (*seen, actions, reward, terminated), note = data[:SEEN_AND_LED_TO], data[SEEN_AND_LED_TO:]
    return kind(View(*seen), actions, reward, terminated, valid, *note)


class _Loss(nn.Module):
    """A team's loss as a function of its parameters."""

    def __init__(self, agents: Agents) -> None:
        super().__init__()
        self.online, self.target, self.of = agents.online, agents.target, agents.loss

    def forward(self, data: Data, valid: Tensor, kind: type[EpisodeBatch]) -> Tensor:
        """The loss alone; data [B, ...], valid [B, T]."""
        return self.of(_batch(kind, data, valid))[0]


class _Learner:
    """S teams' gradient steps as one; their parameters are views into the stacks."""

    def __init__(self, teams: Sequence[Agents]) -> None:
        self.teams, self.module = teams, _Loss(teams[0])
        self.online = _stacked([agents.online for agents in teams])
        self.target = _stacked([agents.target for agents in teams])
        self.fixed = _unlike(teams)
        for stack in self.online.values():
            stack.requires_grad_(True)
        stacks = list(self.online.values())
        self.space = [torch.empty_like(stack) for stack in stacks]  # new memory costs more
        self.optimizer = torch.optim.Adam(stacks, **teams[0].optimizer.defaults)
        c = teams[0].config
        self.updates = 0
        # kinds of moves, instead of repeating
        self.counts = not (c.td_lambda or c.last_action)
        self.largest = torch.zeros(2)  # norm of a gradient and loss, of those looked at

    def step(self, drawn: Drawn, columns: Columns) -> None:
        """One gradient step of every team."""
        losses = self._gradients(drawn, columns)
        looks = not self.updates & (self.updates + 1)  # 0, 1, 3, 7, ... are behind us
        if looks and not self._all_agree(losses, drawn, columns):
            if not self.counts:
                raise CannotStackError(
                    f"{self.teams[0].label}: a team's own gradient is not its share of the "
                    "batch's: its loss depends on more than networks and episodes"
                )
            self.counts = False  # its loss is no mean over moves: the whole batch then
            self.step(drawn, columns)
            return
        self._clip()
        (lr,) = self._step_sizes()
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()
        self.updates += 1
        for agents in self.teams:
            agents.updates = self.updates
        if self.updates % self.teams[0].config.target_interval == 0:
            self._sync_targets()

    @torch.no_grad()
    def _sync_targets(self) -> None:
        for name, stack in self.online.items():
            self.target[name].copy_(stack)
        for agents in self.teams:
            pairs = zip(agents.online.buffers(), agents.target.buffers(), strict=True)
            for buffer, target in pairs:
                target.copy_(buffer)

    def _gradients(self, drawn: Drawn, columns: Columns) -> Tensor:
        """Losses [S]; gradients are in the stacks."""
        s, n = len(self.teams), drawn.kinds[0].size
        one_shot = bool(columns["terminated"][:, 1].all())
        which, kinds, note = _told_apart(drawn, len(columns["reward"]))
        k = len(kinds)
        counts = self.counts and k <= n
        if counts:
            data = episodes(columns, kinds[:, None], None if note is None else note[:, None])
            each = which.reshape(s, n) + k * np.arange(s)[:, None]
            often = np.bincount(each.ravel(), minlength=s * k)
            valid = torch.from_numpy(often).float().reshape(s, k, 1)
        else:
            data = episodes(columns, drawn.kinds, drawn.note)
            valid = torch.ones(drawn.kinds.shape, dtype=torch.bool)

        def loss(parameters: dict[str, Tensor], data: Data, valid: Tensor) -> Tensor:
            kind = _OneShot if one_shot else _Batch
            return functional_call(self.module, parameters, (data, valid, kind))

        named = {
            **{f"online.{name}": _turned(stack) for name, stack in self.online.items()},
            **{f"target.{name}": _turned(stack) for name, stack in self.target.items()},
            **self.fixed,
        }
        try:
            losses = torch.vmap(loss, in_dims=(0, None if counts else 0, 0))(named, data, valid)
            stacks = list(self.online.values())
            grads = torch.autograd.grad(losses.sum(), stacks, allow_unused=True)
        except (RuntimeError, TypeError) as error:
            if counts:  # it may mind that moves are counted
                self.counts = False
                return self._gradients(drawn, columns)
            raise CannotStackError(
                f"{self.teams[0].label}: its loss cannot be mapped over seeds: {error}"
            ) from error
        for stack, grad, own in zip(stacks, grads, self.space, strict=True):
            # fused Adam reads memory as it lies, whatever the strides
            same = grad is None or grad.stride() == stack.stride()
            stack.grad = grad if same else own.copy_(grad)
        return losses.detach()

    def _all_agree(self, losses: Tensor, drawn: Drawn, columns: Columns) -> bool:
        """Whether teams find the same on their own: at first all of them, later most of a few.

        Later two actions may tie, and rounding then decides which of them is greedy.
        """
        n = len(self.teams)
        if not self.updates:
            return all(self._agrees(s, losses, drawn, columns) for s in range(n))
        whose = [(self.updates + k) % n for k in range(min(ASKED, n))]
        return 2 * sum(self._agrees(s, losses, drawn, columns) for s in whose) >= len(whose)

    def _agrees(self, s: int, losses: Tensor, drawn: Drawn, columns: Columns) -> bool:
        """Whether team s finds the same loss and gradient on its own."""
        agents, kinds = self.teams[s], drawn.kinds[s]
        data = episodes(columns, kinds, None if drawn.note is None else drawn.note[s])
        valid = torch.ones(kinds.shape, dtype=torch.bool)
        loss, _ = agents.loss(_batch(EpisodeBatch, data, valid))
        own = dict(agents.online.named_parameters())
        found = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
        difference, norm = torch.zeros(()), torch.zeros(())
        for (name, parameter), grad in zip(own.items(), found, strict=True):
            shared = self.online[name].grad
            ours = torch.zeros_like(parameter) if shared is None else _turned(shared)[s]
            theirs = torch.zeros_like(parameter) if grad is None else grad
            difference += (ours - theirs).square().sum()
            norm += theirs.square().sum()
        sizes = torch.stack([norm.sqrt(), loss.detach().abs()])
        self.largest = torch.maximum(self.largest, sizes)
        apart = torch.stack([difference.sqrt(), (losses[s] - loss.detach()).abs()])
        return bool((apart <= AGREE * sizes + ROUNDING * self.largest).all())

    def _clip(self) -> None:
        """Cut each team's gradient to `grad_clip`."""
        grads = [p.grad for p in self.online.values() if p.grad is not None]
        norms = [torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in grads]
        norm = torch.linalg.vector_norm(torch.stack(norms), dim=0)
        share = (self.teams[0].config.grad_clip / (norm + 1e-6)).clamp(max=1.0)
        if (share < 1).any():
            for p, own in zip(self.online.values(), self.space, strict=True):
                if p.grad is not None:  # not in place: two may have one gradient
                    p.grad = torch.mul(p.grad, share.reshape(-1, *[1] * (p.dim() - 1)), out=own)

    def _step_sizes(self) -> set[float]:
        found = {float(agents.optimizer.param_groups[0]["lr"]) for agents in self.teams}
        if len(found) > 1:
            raise CannotStackError(f"step sizes differ between seeds: {sorted(found)}")
        return found

    def let_go(self) -> None:
        """Each team's parameters, and Adam's averages of them, as memory of its own."""
        for s, agents in enumerate(self.teams):
            for parameter in (*agents.online.parameters(), *agents.target.parameters()):
                parameter.data = _own(parameter.data)
            for name, stack in self.online.items():
                state = self.optimizer.state.get(stack)  # none where it never learned
                if state:
                    agents.optimizer.state[agents.online.get_parameter(name)] = {
                        key: _own(x if key == "step" else _turned(x)[s]) for key, x in state.items()
                    }


def _stacked(nets: list[Any]) -> dict[str, Tensor]:
    """Parameters by name, [S, ...], `_turned`; those of the nets become views into them."""
    stacks = {}
    for name, _ in nets[0].named_parameters():
        own = [net.get_parameter(name) for net in nets]
        stacks[name] = _own(_turned(torch.stack([one.detach() for one in own])))
        for one, view in zip(own, _turned(stacks[name]), strict=True):
            one.data = view
    return stacks


def _turned(x: Tensor) -> Tensor:
    """[S, ..., out, in] <-> [S, ..., in, out]: in this order autograd lays out gradients."""
    return x.mT if x.dim() > 2 else x


def _own(x: Tensor) -> Tensor:
    return x.clone(memory_format=torch.contiguous_format)


def _unlike(teams: Sequence[Agents]) -> dict[str, Tensor]:
    """Buffers in which teams differ, stacked."""
    modules = [_Loss(agents) for agents in teams]
    found = {}
    for name, buffer in modules[0].named_buffers():
        own = [module.get_buffer(name) for module in modules]
        if any(not torch.equal(buffer, one) for one in own):
            found[name] = torch.stack(own)
    return found
