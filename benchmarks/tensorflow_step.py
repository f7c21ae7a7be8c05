"""One training step of all workloads in TensorFlow: the whole step is one tf.function.

Adam is the kernel that TensorFlow 1 had (ResourceApplyAdam), one for each variable: quicker than
Keras' own. Every pass that a player learns from moves its network's moving averages once.
"""

import os
from collections.abc import Callable

from channels_last import Arrays, Game, Pass, game_and_batches, split_state

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # no notes on stderr
import tensorflow as tf


def prepare(contender: str, workload: str) -> tuple[Callable, list[tuple]]:
    """The step, and the batches as it wants them."""
    game, batches = game_and_batches(workload)
    compiled = tf.function(training_step(game))

    def step(x, z_d, z_g) -> tuple[float, float]:
        d_loss, g_loss = compiled(x, z_d, z_g)
        return float(d_loss), float(g_loss)

    return step, [tuple(map(tf.constant, batch)) for batch in batches]


class TensorFlowPass(Pass):
    """With TensorFlow's functions."""

    relu, sigmoid, tanh, reshape = map(staticmethod, (tf.nn.relu, tf.sigmoid, tf.tanh, tf.reshape))

    def leaky(self, x):
        return tf.nn.leaky_relu(x, 0.2)

    def moments(self, x):
        return tf.nn.moments(x, list(range(x.ndim - 1)))

    def dense(self, name, x):
        return tf.nn.bias_add(x @ self.weights[f"{name}.kernel"], self.weights[f"{name}.bias"])

    def conv(self, name, x):
        y = tf.nn.conv2d(x, self.weights[f"{name}.kernel"], 2, "SAME")
        return tf.nn.bias_add(y, self.weights[f"{name}.bias"])

    def deconv(self, name, x):
        kernel = self.weights[f"{name}.kernel"]
        N, H, W, _ = x.shape
        y = tf.nn.conv2d_transpose(x, kernel, (N, 2 * H, 2 * W, kernel.shape[2]), 2, "SAME")
        return tf.nn.bias_add(y, self.weights[f"{name}.bias"])


class Player:
    """A network's variables, and Adam's."""

    def __init__(self, game: Game, state: Arrays) -> None:
        weights, averages = split_state(state)
        self.game = game
        self.weights, self.m, self.v = (
            {name: tf.Variable(array) for name, array in arrays.items()}
            for arrays in (weights, *2 * [{k: tf.zeros_like(a) for k, a in weights.items()}])
        )
        self.averages = {name: tf.Variable(array) for name, array in averages.items()}
        self.powers = tf.Variable(game.beta1), tf.Variable(game.beta2)  # beta^t

    def run(self, network: Callable, x):
        """What the network makes of x, and what its batch norms saw."""
        net = TensorFlowPass(self.weights)
        return network(net, x), net.seen

    def move(self, gradients: Arrays, *passes: Arrays) -> None:
        game = self.game
        for name, w in self.weights.items():
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle, m=self.m[name].handle, v=self.v[name].handle,
                beta1_power=self.powers[0], beta2_power=self.powers[1], lr=game.learning_rate,
                beta1=game.beta1, beta2=game.beta2, epsilon=1e-8, grad=gradients[name],
            )  # fmt: skip
        for power, beta in zip(self.powers, (game.beta1, game.beta2), strict=True):
            power.assign(power * beta)
        for seen in passes:
            for name, average in self.averages.items():
                average.assign_add((1 - game.networks.momentum) * (seen[name] - average))


def training_step(game: Game) -> Callable:
    """(x, z_d, z_g) -> (d_loss, g_loss)."""
    G, D = Player(game, game.g_state), Player(game, game.d_state)
    generate, judge = game.networks.generate, game.networks.judge

    def loss(logits, label: int):
        if game.log_losses:
            p = tf.sigmoid(logits)
            return -tf.reduce_mean(tf.math.log(p if label else 1 - p))
        labels = tf.fill(logits.shape, float(label))
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))

    def alternating(x, z_d, z_g):
        fake, _ = G.run(generate, z_d)
        with tf.GradientTape() as tape:
            real_logits, seen = D.run(judge, x)
            fake_logits, seen_last = D.run(judge, fake)
            d_loss = loss(real_logits, 1) + loss(fake_logits, 0)
        D.move(tape.gradient(d_loss, D.weights), seen, seen_last)

        with tf.GradientTape() as tape:
            fake, seen = G.run(generate, z_g)
            g_loss = loss(D.run(judge, fake)[0], 1)
        G.move(tape.gradient(g_loss, G.weights), seen)
        return d_loss, g_loss

    def simultaneous(x, z, unused):
        with tf.GradientTape(persistent=True) as tape:
            fake, _ = G.run(generate, z)
            (real_logits, _), (fake_logits, _) = D.run(judge, x), D.run(judge, fake)
            d_loss = loss(real_logits, 1) + loss(fake_logits, 0)
            g_loss = loss(fake_logits, 1)
        d_gradients, g_gradients = (
            tape.gradient(d_loss, D.weights),
            tape.gradient(g_loss, G.weights),
        )
        D.move(d_gradients)
        G.move(g_gradients)
        return d_loss, g_loss

    return simultaneous if game.simultaneous else alternating
