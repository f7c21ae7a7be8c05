"""One training step of all workloads in JAX: the whole step is one function, compiled by jit.

It takes what the step changes and returns it anew. Every pass that a player learns from moves its
network's moving averages once.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from channels_last import Arrays, Game, Pass, game_and_batches, split_state
from jax import lax, nn
from jax import numpy as jnp

Player = dict[str, Arrays]  # weights, averages, and Adam's m and v


def prepare(contender: str, workload: str) -> tuple[Callable, list[tuple]]:
    """The step, and the batches as it wants them."""
    game, batches = game_and_batches(workload)
    compiled = jax.jit(training_step(game), donate_argnums=0)
    players: Any = jax.tree.map(jnp.asarray, [player(game.g_state), player(game.d_state), 0.0])

    def step(x, z_d, z_g) -> tuple[float, float]:
        nonlocal players
        players, d_loss, g_loss = compiled(players, x, z_d, z_g)
        return float(d_loss), float(g_loss)

    return step, [tuple(map(jnp.asarray, batch)) for batch in batches]


def player(state: Arrays) -> Player:
    weights, averages = split_state(state)
    m, v = (jax.tree.map(np.zeros_like, weights) for _ in range(2))
    return {"weights": weights, "averages": averages, "m": m, "v": v}


class JaxPass(Pass):
    """With JAX's functions."""

    relu, sigmoid, tanh, reshape = map(staticmethod, (nn.relu, nn.sigmoid, jnp.tanh, jnp.reshape))

    def leaky(self, x):
        return nn.leaky_relu(x, 0.2)

    def moments(self, x):
        axes = tuple(range(x.ndim - 1))
        return jnp.mean(x, axes), jnp.var(x, axes)

    def conv(self, name, x):
        layout = ("NHWC", "HWIO", "NHWC")
        kernel, bias = self.weights[f"{name}.kernel"], self.weights[f"{name}.bias"]
        return lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=layout) + bias

    def deconv(self, name, x):
        kernel, bias = self.weights[f"{name}.kernel"], self.weights[f"{name}.bias"]
        return lax.conv_transpose(x, kernel, (2, 2), "SAME", transpose_kernel=True) + bias


def training_step(game: Game) -> Callable:
    """([G, D, steps], x, z_d, z_g) -> ([G, D, steps], d_loss, g_loss)."""

    def run(network: Callable, weights: Arrays, x):
        net = JaxPass(weights)
        return network(net, x), net.seen

    def d_loss(d_weights, x, fake):
        real_logits, seen = run(game.networks.judge, d_weights, x)
        fake_logits, seen_last = run(game.networks.judge, d_weights, fake)
        return loss(real_logits, 1) + loss(fake_logits, 0), (seen, seen_last)

    def g_loss(g_weights, d_weights, z):
        fake, seen = run(game.networks.generate, g_weights, z)
        logits, _ = run(game.networks.judge, d_weights, fake)
        return loss(logits, 1), (seen,)

    def loss(logits, label: int):
        if game.log_losses:
            p = nn.sigmoid(logits)
            return -jnp.mean(jnp.log(p if label else 1 - p))
        return jnp.mean(nn.softplus(-logits if label else logits))

    def moved(player: Player, gradients: Arrays, passes: tuple, steps) -> Player:
        m, v = player["m"], player["v"]
        m = jax.tree.map(lambda m, g: m + (1 - game.beta1) * (g - m), m, gradients)
        v = jax.tree.map(lambda v, g: v + (1 - game.beta2) * (g * g - v), v, gradients)
        rate = game.learning_rate * jnp.sqrt(1 - game.beta2**steps) / (1 - game.beta1**steps)
        weights = jax.tree.map(
            lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), player["weights"], m, v
        )
        averages, momentum = player["averages"], game.networks.momentum
        for seen in passes:
            averages = jax.tree.map(lambda a, s: momentum * a + (1 - momentum) * s, averages, seen)
        return {"weights": weights, "averages": averages, "m": m, "v": v}

    d_gradients = jax.value_and_grad(d_loss, has_aux=True)
    g_gradients = jax.value_and_grad(g_loss, has_aux=True)

    def step(players, x, z_d, z_g):
        g, d, steps = players
        steps = steps + 1
        fake, _ = run(game.networks.generate, g["weights"], z_d)
        (d_value, passes), gradients = d_gradients(d["weights"], x, fake)
        d_after = moved(d, gradients, passes, steps)
        rival, z = (d, z_d) if game.simultaneous else (d_after, z_g)
        (g_value, passes), gradients = g_gradients(g["weights"], rival["weights"], z)
        return [moved(g, gradients, passes, steps), d_after, steps], d_value, g_value

    return step
