"""Methods of a user's own, in a file of theirs; and classes that no command can take."""

from dataclasses import dataclass

from vdtoolkit import QPLEXAgents, VDNAgents
from vdtoolkit.config import Config


@dataclass(frozen=True)
class ScaledConfig(Config):
    """A hyperparameter of its own."""

    scale: float = 0.5
    """What the sum is multiplied by."""

    def __post_init__(self):
        super().__post_init__()
        if not self.scale > 0:
            raise ValueError(f"scale={self.scale}: it must be above 0")


class ScaledAgents(VDNAgents):
    name, label, Config = "scaled", "a scaled sum", ScaledConfig

    def q_tot(self, nets, utilities, actions, view):
        return self.config.scale * super().q_tot(nets, utilities, actions, view)


class LikeQPLEX(QPLEXAgents):
    name = "like_qplex"


class Nameless(VDNAgents):
    pass


class Clash(VDNAgents):
    name = "qmix"


class AlsoScaled(VDNAgents):
    name = "scaled"


class NoWord(VDNAgents):
    name = "two words"


class Keyword(VDNAgents):
    name = "lambda"


class Flag(VDNAgents):
    name = "seeds"


class OfNoClass(VDNAgents):
    name, function_class = "of_no_class", "convex"


@dataclass(frozen=True)
class TakenConfig(Config):
    reward: float = 1.0


class Taken(VDNAgents):
    name, Config = "taken", TakenConfig


class Undecorated(VDNAgents):
    name = "undecorated"

    class Config(Config):
        scale: float = 0.5


class NoAgents:
    name = "no_agents"
