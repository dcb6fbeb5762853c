"""Environments that fail as real ones do, in their worker process: die, raise, hang."""

import os
import signal
import sys
import time
from pathlib import Path

from teams import Relay


class Failing(Relay):
    """A `Relay` that fails in move 2 of its `episode`-th episode.

    `once`: a file that the first to fail leaves behind, after which nobody fails any more; None:
    all fail always.  `dice`: only envs whose first lot is above that fail.
    """

    def __init__(self, how, episode=1, once=None, dice=0.0):
        super().__init__()
        self.how, self.episode, self.once, self.least = how, episode, once, dice
        self.episodes, self.first_lot = 0, None

    def reset(self, seed=None, options=None):
        self.episodes += 1
        if self.how == "raise at reset":
            self._fail()
        told = super().reset(seed, options)
        if self.first_lot is None:
            self.first_lot = self.dice
        return told

    def step(self, actions):
        if self.clock == 1 and self.episodes == self.episode and self.first_lot > self.least:
            self._fail()
        return super().step(actions)

    def _fail(self):
        if self.once is not None:
            try:
                Path(self.once).touch(exist_ok=False)
            except FileExistsError:
                return
        if self.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exit":
            os._exit(7)
        if self.how == "hang":
            time.sleep(1000)
        if self.how == "raise an odd one":
            raise OddError(self)
        raise ValueError(f"the relay broke in episode {self.episodes}")


class OddError(Exception):
    """An error that cannot be sent to another process."""

    def __init__(self, env):
        super().__init__("odd")
        self.env, self.file = env, sys.stdout


class Surroundings(Relay):
    """Pays 1 if torch is imported, 2 more if numpy may use more than one thread."""

    def step(self, actions):
        observations, rewards, *rest = super().step(actions)
        pay = ("torch" in sys.modules) + 2 * (os.environ.get("OPENBLAS_NUM_THREADS") != "1")
        return observations, dict.fromkeys(rewards, float(pay)), *rest


class Winning(Relay):
    """Says at its end whether it won."""

    def step(self, actions):
        *told, infos = super().step(actions)
        if not self.agents:
            infos["bob"]["battle_won"] = self.length > 4
        return *told, infos
