"""A public mixer in a plain torch loop, without our agents: utilities learned from team rewards."""

import torch
from torch import nn
from torch.nn import functional as F

from vdtoolkit import QattenMixer

torch.set_num_threads(1)  # these nets are small: a second thread costs more than it brings

N, A, S, B = 3, 4, 5, 64  # agents, actions, states, joint actions a gradient step


def main(steps: int = 1500) -> tuple[float, float]:
    """The last loss, and the share of agents and states whose greedy action is the best."""
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(S, N, A, generator=generator)  # what each action is worth, by state
    weight = 0.5 + torch.rand(S, N, generator=generator)  # how much each agent counts there

    torch.manual_seed(0)
    utilities = nn.Linear(S, N * A)
    mixer = QattenMixer(state_dim=S, unit_dim=N)
    optimizer = torch.optim.Adam([*utilities.parameters(), *mixer.parameters()], lr=3e-3)
    units, alive = torch.eye(N).expand(B, N, N), torch.ones(B, N, dtype=torch.bool)

    for _ in range(steps):
        s = torch.randint(S, (B,), generator=generator)
        actions = torch.randint(A, (B, N, 1), generator=generator)
        reward = (weight[s] * value[s].gather(-1, actions).squeeze(-1)).sum(-1)
        state = F.one_hot(s, S).float()
        agent_qs = utilities(state).view(B, N, A).gather(-1, actions).squeeze(-1)
        loss = (mixer(agent_qs, state, units, alive) - reward).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    greedy = utilities(torch.eye(S)).view(S, N, A).argmax(-1)
    right = (greedy == value.argmax(-1)).float().mean().item()
    print(f"loss {loss.item():.4f}; {right:.0%} of greedy actions are the best ones")
    return loss.item(), right


if __name__ == "__main__":
    main()
