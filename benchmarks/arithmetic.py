"""The arithmetic limit: the multiplications of a step, at the rate of NumPy's matrix products.

A step that spent no time on anything else, and multiplied as the textbook says, would take so long.
Kernels that need fewer multiplications can be below it.
"""

import math
from collections.abc import Callable

import numpy as np

BATCH = {
    "mlp-gan": 128,
    "mlp-gan-256": 128,
    "dcgan-28": 64,
    "dcgan-28-hidden": 64,
    "dcgan-64": 64,
}
TAPS = 25  # of a 5 x 5 kernel

Layers = tuple[list[int], list[int]]  # multiplications for one example: generator, discriminator


def image_layers(size: int, channels: int) -> Layers:
    """Of minigan.gan.dcgan_images, for square pictures in three colours."""
    C = channels
    s2, s4, s8, s16 = (math.ceil(size / 2**i) ** 2 for i in (1, 2, 3, 4))  # pixels
    convolutions = [s2 * 3 * C, s4 * C * 2 * C, s8 * 2 * C * 4 * C, s16 * 4 * C * 8 * C]
    convolutions = [TAPS * n for n in convolutions]
    return [100 * s16 * 8 * C, *convolutions[::-1]], [*convolutions, s16 * 8 * C]


G_28 = [100 * 6272, 7**2 * TAPS * 128 * 64, 14**2 * TAPS * 64]
CONVOLUTIONS_28 = [14**2 * TAPS * 64, 7**2 * TAPS * 64 * 128]  # of the discriminator
LAYERS: dict[str, Layers] = {
    "mlp-gan": ([100 * 128, 128 * 784], [784 * 128, 128]),
    "mlp-gan-256": ([100 * 256, 256 * 784], [784 * 256, 256]),
    "dcgan-28": (G_28, [*CONVOLUTIONS_28, 6272 * 2]),
    "dcgan-28-hidden": (G_28, [*CONVOLUTIONS_28, 6272 * 1024, 1024 * 2]),
    "dcgan-64": image_layers(64, 64),
}
SIDE = 512  # of the matrices that are multiplied


def step_flops(g_layers: list[int], d_layers: list[int], batch: int, simultaneous=False) -> int:
    """Floating-point operations of one step of both players, two for each multiplication.

    A pass back through a layer costs the gradient of its weights as much as the pass forward, and
    that of its input as much again; a network's first layer is not asked for the latter, unless
    someone else made its input: G's step goes through all of D.
    simultaneous  D sees the same fakes for both losses, and G makes them once
    """
    G, D = sum(g_layers), sum(d_layers)
    d_learns = 2 * (3 * D - d_layers[0])  # on real and on fake pictures
    g_learns = D + 3 * G - g_layers[0]
    forward_again = 0 if simultaneous else G + D
    return 2 * batch * (d_learns + g_learns + forward_again)


def workload_flops(workload: str) -> int:
    return step_flops(*LAYERS[workload], BATCH[workload], simultaneous=workload == "mlp-gan-256")


def prepare(contender: str, workload: str) -> tuple[Callable, list[tuple]]:
    """A step of nothing but matrix products, the last one of as many columns as are left."""
    columns = workload_flops(workload) / (2 * SIDE * SIDE)
    products, rest = divmod(round(columns), SIDE)
    a, b, product = np.ones((3, SIDE, SIDE), np.float32)
    last, last_product = np.ones((2, SIDE, max(rest, 1)), np.float32)

    def step() -> None:
        for _ in range(products):
            np.dot(a, b, out=product)
        np.dot(a, last, out=last_product)

    return step, [()]
