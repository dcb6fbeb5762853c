"""VDN, value-decomposition networks (Sunehag et al. 2018, arXiv 1706.05296)."""

from __future__ import annotations

from torch import Tensor, nn

from vdtoolkit.agents.base import Networks
from vdtoolkit.agents.value import ValueAgents
from vdtoolkit.batch import View
from vdtoolkit.networks import Utilities
from vdtoolkit.step import TeamSpec


class SumMixer(nn.Module):
    """Q_tot = sum_i Q_i."""

    def forward(self, agent_qs: Tensor) -> Tensor:
        """agent_qs [..., N] -> Q_tot [...]."""
        return agent_qs.sum(-1)


class VDNAgents(ValueAgents):
    """Q_tot is the sum of the utilities: IGM at any weights, additive payoffs only."""

    name = "vdn"
    label = "VDN"
    function_class = "additive"
    reads_state = False
    symmetric = True

    def build_mixer(self, spec: TeamSpec) -> nn.Module:
        """The sum."""
        return SumMixer()

    def q_tot(self, nets: Networks, utilities: Utilities, actions: Tensor, view: View) -> Tensor:
        """Sum of the living agents' utilities."""
        return nets.mixer(self.agent_qs(utilities, actions, view))
