"""The networks of all workloads for frameworks whose pictures are (N, H, W, C).

JAX and TensorFlow lay kernels out as minigan does, so weights and batches are taken over as they
are. A network is a function of its weights, by the names that minigan's layers have.
"""

from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, Any]  # such as "deconv1.kernel" -> the framework's array


class Game(NamedTuple):
    """A workload: the networks, their first numbers, and how the players move."""

    networks: type
    g_state: Arrays
    d_state: Arrays
    learning_rate: float
    beta1: float
    beta2: float
    simultaneous: bool = False
    log_losses: bool = False


def game_and_batches(workload: str) -> tuple[Game, list[tuple[np.ndarray, ...]]]:
    """What all contenders start from, and the batches: (x, z_d, z_g)."""
    if workload.startswith("mlp"):
        import mlp_step

        w = mlp_step.WORKLOADS[workload]
        weights = mlp_step.initial_weights(w)
        names = ("hidden.kernel", "hidden.bias", "output.kernel", "output.bias")
        states = (dict(zip(names, part, strict=True)) for part in (weights[:4], weights[4:]))
        adam = w.learning_rate, mlp_step.BETA1, mlp_step.BETA2
        return Game(MLP, *states, *adam, w.simultaneous, w.log_losses), mlp_step.batches()

    import dcgan_step

    networks = DCGAN64 if workload == "dcgan-64" else DCGAN28
    gan, config = dcgan_step.initial_gan(workload), dcgan_step.settings(workload)
    states = gan.generator.state(), gan.discriminator.state()
    adam = config.learning_rate, config.beta1, config.beta2
    return Game(networks, *states, *adam), dcgan_step.batches(workload)


def split_state(state: Arrays) -> tuple[Arrays, Arrays]:
    """Weights, and moving averages."""
    averages = {name: array for name, array in state.items() if ".moving_" in name}
    return {name: array for name, array in state.items() if name not in averages}, averages


class Pass:
    """One pass through a network: its layers, by name, and the moments its batch norms have seen.

    A subclass has the framework's functions: relu, leaky, tanh, sigmoid, reshape, moments, conv
    and deconv of 5 x 5 taps and stride 2.
    """

    def __init__(self, weights: Arrays) -> None:
        self.weights = weights
        self.seen: Arrays = {}

    def dense(self, name: str, x):
        return x @ self.weights[f"{name}.kernel"] + self.weights[f"{name}.bias"]

    def norm(self, name: str, x, epsilon: float):
        mean, variance = self.moments(x)
        self.seen |= {f"{name}.moving_mean": mean, f"{name}.moving_variance": variance}
        gamma, beta = self.weights[f"{name}.gamma"], self.weights[f"{name}.beta"]
        return (x - mean) * (gamma * (variance + epsilon) ** -0.5) + beta


class MLP:
    """100-128-784 and 784-128-1, or with 256."""

    momentum = 0.0  # no batch norm

    @staticmethod
    def generate(net: Pass, z):
        return net.sigmoid(net.dense("output", net.relu(net.dense("hidden", z))))

    @staticmethod
    def judge(net: Pass, x):
        return net.dense("output", net.relu(net.dense("hidden", x)))


class DCGAN28:
    """minigan.gan.dcgan, with or without its hidden layer."""

    momentum = 0.99

    @staticmethod
    def generate(net: Pass, z):
        h = net.relu(net.norm("norm0", net.dense("project", z), 1e-3))
        h = net.reshape(h, (-1, 7, 7, 128))
        h = net.relu(net.norm("norm1", net.deconv("deconv1", h), 1e-3))
        return net.tanh(net.deconv("deconv2", h))

    @staticmethod
    def judge(net: Pass, x):
        h = net.leaky(net.norm("norm1", net.conv("conv1", x), 1e-3))
        h = net.leaky(net.norm("norm2", net.conv("conv2", h), 1e-3))
        h = net.reshape(h, (-1, 7 * 7 * 128))
        if "hidden.kernel" in net.weights:
            h = net.leaky(net.norm("norm3", net.dense("hidden", h), 1e-3))
        scores = net.dense("scores", h)
        return scores[:, 1:] - scores[:, :1]


class DCGAN64:
    """minigan.gan.dcgan_images."""

    momentum = 0.9

    @staticmethod
    def generate(net: Pass, z):
        h = net.reshape(net.dense("project", z), (-1, 4, 4, 512))
        h = net.relu(net.norm("norm0", h, 1e-5))
        for i in (1, 2, 3):
            h = net.relu(net.norm(f"norm{i}", net.deconv(f"deconv{i}", h), 1e-5))
        return net.tanh(net.deconv("deconv4", h))

    @staticmethod
    def judge(net: Pass, x):
        h = net.leaky(net.conv("conv0", x))
        for i in (1, 2, 3):
            h = net.leaky(net.norm(f"norm{i}", net.conv(f"conv{i}", h), 1e-5))
        return net.dense("output", net.reshape(h, (-1, 4 * 4 * 512)))
