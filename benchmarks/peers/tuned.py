"""The settings that both sides of `benchmarks.returns` learn with, by environment and method.

Our words and our defaults; `xuance` says the same in XuanCe's.  The script for the peer reads this
file in the peer's own environment: nothing here needs anything but Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Settings:
    """What decides how fast a team learns; the defaults are those of `vdtoolkit.Config`."""

    gamma: float = 0.99
    lr: float = 5e-4
    hidden_dim: int = 64
    recurrent: bool = True
    last_action: bool = True  # XuanCe's agents never see it
    target_interval: int = 200  # gradient steps
    epsilon_steps: int = 50_000  # moves
    updates_per_episode: float = 1.0
    n_envs: int = 8
    embed_dim: int = 32  # these two are of QMIX's mixer
    hyper_dim: int = 64

    def of_training(self) -> dict[str, Any]:
        """What `train` takes; the rest are hyperparameters of the agents."""
        return {"n_envs": self.n_envs, "updates_per_episode": self.updates_per_episode}

    def of_agents(self, algorithm: str = "qmix") -> dict[str, Any]:
        """What the agents of this method take."""
        others = [*self.of_training(), *(() if algorithm == "qmix" else MIXER)]
        return {k: v for k, v in asdict(self).items() if k not in others}


MIXER = ("embed_dim", "hyper_dim")


# Those of `environments.py`, chosen there for our VDN alone.  One env, as XuanCe's QMIX with
# several takes the state of the one that has ended for that of all of them.
FORAGING = Settings(
    gamma=0.9,
    lr=1e-3,
    hidden_dim=128,
    recurrent=False,
    target_interval=50,
    epsilon_steps=20_000,
    updates_per_episode=4.0,
    n_envs=1,
)
TUNED = {
    ("Foraging-5x5-2p-1f-v3", "vdn"): FORAGING,
    # with the usual mixer both sides' QMIX come to values far above any return, and learn nothing
    ("Foraging-5x5-2p-1f-v3", "qmix"): replace(FORAGING, embed_dim=8, hyper_dim=16),
}


def settings(env: str, algorithm: str) -> Settings:
    """Those of a method for `spread` or an id of lbforaging."""
    return TUNED.get((env, algorithm), Settings())


def xuance(ours: Settings) -> dict[str, Any]:
    """The same as a configuration of XuanCe.

    `decay_step_greedy` is divided there by the number of envs and then compared with the moves of
    all of them: exploration would end that many times sooner than it says, so it is multiplied.
    Recurrent, XuanCe learns `n_epochs` times after each n_envs episodes.  Without memory it counts
    moves, not episodes: `after_episodes` then makes it learn after episodes, too.
    """
    width = ours.hidden_dim
    told: dict[str, Any] = {
        "gamma": ours.gamma,
        "learning_rate": ours.lr,
        "sync_frequency": ours.target_interval,
        "decay_step_greedy": ours.epsilon_steps * ours.n_envs,
        "parallels": ours.n_envs,
        "use_rnn": ours.recurrent,
        "hidden_dim_mixing_net": ours.embed_dim,
        "hidden_dim_hyper_net": ours.hyper_dim,
    }
    if ours.recurrent:
        told |= {"representation": "Basic_RNN", "rnn": "GRU", "fc_hidden_sizes": [width]}
        told |= {"recurrent_hidden_size": width, "q_hidden_size": []}
        return told | {"n_epochs": max(1, round(ours.n_envs * ours.updates_per_episode))}
    told |= {"representation": "Basic_MLP", "representation_hidden_size": [width]}
    return told | {"q_hidden_size": [width], "training_frequency": 1}


def after_episodes(agents: Any, updates: float) -> Callable[[int], dict]:
    """In the place of XuanCe's `train_epochs`, called after each move: so many for each episode.

    A batch is as many moves as 32 of the episodes so far have on average.
    """
    learn, batch, made = agents.train_epochs, agents.batch_size, 0

    def train_epochs(n_epochs: int = 1) -> dict:
        nonlocal made
        episodes = int(agents.current_episode.sum())
        owed = int(updates * episodes) - made
        made += owed
        agents.memory.batch_size = batch * agents.current_step // max(1, episodes)
        return learn(owed)

    return train_epochs
