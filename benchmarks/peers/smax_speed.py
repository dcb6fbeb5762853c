"""Vector steps of JaxMARL's SMAX, for benchmarks/skirmish.py: runs in JaxMARL's environment.

python smax_speed.py MAP ENVS: for each number on a line of its input, so many vector steps; it
prints what they took, in seconds: jitted calls of one step each, then as many in one jitted scan.
A step is SMAX's own, with reset where an episode ends, and the next masks.  The random available
actions of the calls are drawn before and not timed; in the scan they are drawn inside.
"""

import sys
import time

import jax
import jax.numpy as jnp
from jaxmarl import make
from jaxmarl.environments.smax import map_name_to_scenario


def main() -> None:
    name, n_envs = sys.argv[1], int(sys.argv[2])
    env = make("HeuristicEnemySMAX", scenario=map_name_to_scenario(name))

    def step(key, state, actions):
        keys = jax.random.split(key, n_envs)
        obs, state, reward, done, _ = jax.vmap(env.step)(keys, state, actions)
        return obs, state, reward, done, jax.vmap(env.get_avail_actions)(state)

    def draw(key, masks):
        keys = jax.random.split(key, len(env.agents))
        lots = [jax.random.uniform(k, masks[a].shape) for k, a in zip(keys, env.agents)]  # noqa: B905
        return {a: jnp.where(masks[a] > 0, x, -1).argmax(-1) for a, x in zip(env.agents, lots)}  # noqa: B905

    def move(carry, key):
        state, masks = carry
        obs, state, reward, _, masks = step(key, state, draw(key, masks))
        told = sum(x.sum() for x in jax.tree.leaves((obs, reward)))  # so that nothing is left out
        return (state, masks), told

    step_, draw_ = jax.jit(step), jax.jit(draw)
    scan_ = jax.jit(lambda carry, keys: jax.lax.scan(move, carry, keys))
    key = jax.random.PRNGKey(0)
    _, state = jax.vmap(env.reset)(jax.random.split(key, n_envs))
    masks = jax.vmap(env.get_avail_actions)(state)
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        n, taken = int(line), 0.0
        for _ in range(n):
            key, now = jax.random.split(key)
            actions = jax.block_until_ready(draw_(now, masks))
            begun = time.perf_counter()
            told = jax.block_until_ready(step_(now, state, actions))
            taken += time.perf_counter() - begun
            _, state, _, _, masks = told
        key, now = jax.random.split(key)
        keys = jax.random.split(now, n)
        begun = time.perf_counter()
        (state, masks), _ = jax.block_until_ready(scan_((state, masks), keys))
        print(taken, time.perf_counter() - begun, flush=True)


if __name__ == "__main__":
    main()
