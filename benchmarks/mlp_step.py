"""One training step of the two MLP GANs, written three ways behind one interface.

step(x, z_d, z_g) -> (d_loss, g_loss): x (N, 784) pictures in [0, 1], z_d and z_g (N, 100) noise.
Every contender starts from the same float32 weights; both losses are those before the updates.
"""

import gzip
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

LATENT, PIXELS, BATCH = 100, 784, 128
BATCHES = 32  # of digits and noise, which the contenders go through again and again
DIGITS = Path(__file__).parents[1] / "minigan/data/embedded/images-idx3-ubyte.gz"
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Workload:
    """A preset of `minigan train`.

    simultaneous  both gradients are taken from the weights before the step, on z_d;
                  otherwise D moves first, then G moves on z_g, through the D that has moved
    """

    name: str
    hidden: int
    learning_rate: float
    simultaneous: bool
    log_losses: bool  # -mean(log D(.)) on probabilities, or cross-entropy on logits


WORKLOADS = {
    w.name: w
    for w in (
        Workload("mlp-gan", 128, 1e-3, simultaneous=False, log_losses=False),
        Workload("mlp-gan-256", 256, 2e-4, simultaneous=True, log_losses=True),
    )
}


class Contender(Protocol):
    """What run.py times."""

    def __init__(self, workload: Workload, weights: list[np.ndarray]) -> None: ...

    def step(self, x: np.ndarray, z_d: np.ndarray, z_g: np.ndarray) -> tuple[float, float]:
        """One step; the losses (d_loss, g_loss) before it."""
        ...


def prepare(contender: str, workload: str) -> tuple[Callable, list[tuple[np.ndarray, ...]]]:
    """A contender's step, and the batches for it."""
    chosen = WORKLOADS[workload]
    return globals()[contender](chosen, initial_weights(chosen)).step, batches()


def batches() -> list[tuple[np.ndarray, ...]]:
    """Digits, and noise for D's and G's step."""
    pixels = np.frombuffer(gzip.decompress(DIGITS.read_bytes()), np.uint8, offset=16)
    pictures = pixels.reshape(-1, PIXELS)[: BATCHES * BATCH] / np.float32(255)
    noise = np.random.default_rng(1).uniform(-1, 1, (2, len(pictures), LATENT))
    pool = [np.split(array, BATCHES) for array in (pictures, *noise.astype(np.float32))]
    return list(zip(*pool, strict=True))


def initial_weights(workload: Workload) -> list[np.ndarray]:
    """Kernel, bias of G's hidden, G's output, D's hidden and D's output layer: He-normal, zeros."""
    draw = np.random.default_rng(0)
    weights = []
    for fan_in, fan_out in (
        (LATENT, workload.hidden), (workload.hidden, PIXELS),
        (PIXELS, workload.hidden), (workload.hidden, 1),
    ):  # fmt: skip
        kernel = draw.normal(0, math.sqrt(2 / fan_in), (fan_in, fan_out))
        weights += [kernel.astype(np.float32), np.zeros(fan_out, np.float32)]
    return weights


class HandWrittenNumpy:
    """The floor: what a skilled person writes for exactly these two networks, and nothing else.

    All buffers are made once; real and fake pictures share one matrix, so D sees both in one
    product; gradients land in the flat buffer that Adam reads; none is computed in vain.
    """

    def __init__(self, workload: Workload, weights: list[np.ndarray]) -> None:
        N, H = BATCH, workload.hidden
        self.workload = workload
        self.g_adam = FlatAdam(weights[:4], workload.learning_rate)
        self.d_adam = FlatAdam(weights[4:], workload.learning_rate)
        self.pictures = np.empty((2 * N, PIXELS), np.float32)  # real, then fake
        self.real, self.fake = self.pictures[:N], self.pictures[N:]
        self.g_hidden = np.empty((N, H), np.float32)
        self.g_hidden_gradient = np.empty((N, H), np.float32)
        self.d_hidden = np.empty((2 * N, H), np.float32)
        self.d_hidden_gradient = np.empty((2 * N, H), np.float32)
        self.fake_gradient = np.empty((N, PIXELS), np.float32)
        self.slope = np.empty((N, PIXELS), np.float32)
        self.active = np.empty((2 * N, H), bool)
        self.logits = np.empty((2 * N, 1), np.float32)
        self.ones = np.ones(2 * N, np.float32)
        self.labels = np.repeat(np.float32([[1], [0]]), N, axis=0)  # (2N, 1)

    def step(self, x: np.ndarray, z_d: np.ndarray, z_g: np.ndarray) -> tuple[float, float]:
        if self.workload.simultaneous:
            return self.simultaneous(x, z_d)
        return self.alternating(x, z_d, z_g)

    def alternating(self, x: np.ndarray, z_d: np.ndarray, z_g: np.ndarray) -> tuple[float, float]:
        np.copyto(self.real, x)
        self.generate(z_d)
        p = self.discriminate(slice(None))
        d_loss = self.d_loss(p)
        self.d_gradients((p - self.labels) / BATCH)
        self.d_adam.update()

        self.generate(z_g)
        p = self.discriminate(slice(BATCH, None))
        g_loss = self.g_loss(p)
        self.g_gradients((p - 1) / BATCH, z_g)
        self.g_adam.update()
        return d_loss, g_loss

    def simultaneous(self, x: np.ndarray, z: np.ndarray) -> tuple[float, float]:
        np.copyto(self.real, x)
        self.generate(z)
        p = self.discriminate(slice(None))
        d_loss, g_loss = self.d_loss(p), self.g_loss(p[BATCH:])
        self.d_gradients((p - self.labels) / BATCH)
        self.g_gradients((p[BATCH:] - 1) / BATCH, z)
        self.d_adam.update()
        self.g_adam.update()
        return d_loss, g_loss

    def generate(self, z: np.ndarray) -> None:
        """z (N, 100) -> self.fake (N, 784)."""
        w1, b1, w2, b2 = self.g_adam.variables
        h, y = self.g_hidden, self.fake
        np.dot(z, w1, out=h)
        h += b1
        np.maximum(h, 0, out=h)
        np.dot(h, w2, out=y)
        y += b2
        y *= 0.5  # sigmoid(a) = (1 + tanh(a / 2)) / 2
        np.tanh(y, out=y)
        y *= 0.5
        y += 0.5

    def discriminate(self, rows: slice) -> np.ndarray:
        """Those rows of self.pictures -> probabilities of being real; logits are kept."""
        w1, b1, w2, b2 = self.d_adam.variables
        h, logits = self.d_hidden[rows], self.logits[rows]
        np.dot(self.pictures[rows], w1, out=h)
        h += b1
        np.maximum(h, 0, out=h)
        np.dot(h, w2, out=logits)
        logits += b2
        return 1 / (1 + np.exp(-logits))

    def d_loss(self, probabilities: np.ndarray) -> float:
        if self.workload.log_losses:
            real, fake = probabilities[:BATCH], probabilities[BATCH:]
            return -float(np.mean(np.log(real) + np.log(1 - fake)))
        signed = self.logits * (1 - 2 * self.labels)  # softplus(-real), softplus(fake)
        return float(np.logaddexp(0, signed).sum()) / BATCH

    def g_loss(self, fake_probabilities: np.ndarray) -> float:
        if self.workload.log_losses:
            return -float(np.mean(np.log(fake_probabilities)))
        return float(np.logaddexp(0, -self.logits[BATCH:]).sum()) / BATCH

    def d_gradients(self, g: np.ndarray) -> None:
        """g (2N, 1) with respect to the logits -> D's weights."""
        w1, b1, w2, b2 = self.d_adam.gradients
        np.dot(self.d_hidden.T, g, out=w2)
        np.sum(g, axis=0, out=b2)
        self.pull_back_to_d_hidden(g, slice(None))
        np.dot(self.pictures.T, self.d_hidden_gradient, out=w1)
        np.dot(self.ones, self.d_hidden_gradient, out=b1)

    def g_gradients(self, g: np.ndarray, z: np.ndarray) -> None:
        """g (N, 1) with respect to the logits of the fakes -> G's weights, through D."""
        fakes = slice(BATCH, None)
        self.pull_back_to_d_hidden(g, fakes)
        y, gy, slope = self.fake, self.fake_gradient, self.slope
        np.dot(self.d_hidden_gradient[fakes], self.d_adam.variables[0].T, out=gy)
        np.subtract(1, y, out=slope)
        slope *= y
        gy *= slope
        w1, b1, w2, b2 = self.g_adam.gradients
        h, gh, active = self.g_hidden, self.g_hidden_gradient, self.active[:BATCH]
        np.dot(h.T, gy, out=w2)
        np.dot(self.ones[:BATCH], gy, out=b2)
        np.dot(gy, self.g_adam.variables[2].T, out=gh)
        np.greater(h, 0, out=active)
        gh *= active
        np.dot(z.T, gh, out=w1)
        np.dot(self.ones[:BATCH], gh, out=b1)

    def pull_back_to_d_hidden(self, g: np.ndarray, rows: slice) -> None:
        """g with respect to the logits -> with respect to D's hidden layer before its ReLU."""
        gh, active = self.d_hidden_gradient[rows], self.active[rows]
        np.dot(g, self.d_adam.variables[2].T, out=gh)
        np.greater(self.d_hidden[rows], 0, out=active)
        gh *= active


class FlatAdam:
    """Adam with all of a network's numbers end to end, in ten passes and no temporary.

    m = beta1 m + g and v = beta2 v + g^2 leave out the factors (1 - beta) of the textbook, which
    the step size and epsilon make up for.
    """

    def __init__(self, weights: list[np.ndarray], learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.steps = 0
        self.w = np.concatenate([w.ravel() for w in weights])
        self.g, self.m, self.v, self.scratch = (np.zeros_like(self.w) for _ in range(4))
        ends = np.cumsum([w.size for w in weights])
        shapes = [w.shape for w in weights]
        self.variables, self.gradients = (
            [part.reshape(s) for part, s in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
            for flat in (self.w, self.g)
        )

    def update(self) -> None:
        self.steps += 1
        w, g, m, v, t = self.w, self.g, self.m, self.v, self.scratch
        step_size = self.learning_rate * math.sqrt(1 - BETA2**self.steps) / (1 - BETA1**self.steps)
        root = math.sqrt(1 - BETA2)
        m *= BETA1
        m += g
        np.multiply(g, g, out=t)
        v *= BETA2
        v += t
        np.sqrt(v, out=t)
        t += EPSILON / root
        np.divide(m, t, out=t)
        t *= step_size * (1 - BETA1) / root
        w -= t


class TorchEager:
    """PyTorch as its users write it, with what saves work and costs no line.

    D's step sees detached fakes, G's step asks for no gradient of D, one forward pass of D on the
    fakes serves both losses where the step is simultaneous; Adam is torch.optim.Adam's default.
    """

    adam_options: dict[str, bool] = {}

    def __init__(self, workload: Workload, weights: list[np.ndarray]) -> None:
        import torch
        from torch import nn

        self.torch = torch
        self.workload = workload
        H = workload.hidden
        self.G = nn.Sequential(nn.Linear(LATENT, H), nn.ReLU(), nn.Linear(H, PIXELS), nn.Sigmoid())
        self.D = nn.Sequential(nn.Linear(PIXELS, H), nn.ReLU(), nn.Linear(H, 1))
        self.g_parameters, self.d_parameters = list(self.G.parameters()), list(self.D.parameters())
        with torch.no_grad():
            parameters = self.g_parameters + self.d_parameters
            for parameter, w in zip(parameters, weights, strict=True):
                parameter.copy_(torch.from_numpy(w.T.copy()))
        adam = {"lr": workload.learning_rate, "betas": (BETA1, BETA2), "eps": EPSILON}
        self.g_adam = torch.optim.Adam(self.g_parameters, **adam, **self.adam_options)
        self.d_adam = torch.optim.Adam(self.d_parameters, **adam, **self.adam_options)
        if workload.log_losses:
            self.loss = lambda logits, labels: nn.functional.binary_cross_entropy(
                logits.sigmoid(), labels
            )
        else:
            self.loss = nn.BCEWithLogitsLoss()
        self.ones, self.zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)

    def step(self, x: np.ndarray, z_d: np.ndarray, z_g: np.ndarray) -> tuple[float, float]:
        x, z_d, z_g = (self.torch.from_numpy(a) for a in (x, z_d, z_g))  # shares their memory
        if self.workload.simultaneous:
            return self.simultaneous(x, z_d)
        return self.alternating(x, z_d, z_g)

    def alternating(self, x, z_d, z_g) -> tuple[float, float]:
        with self.torch.no_grad():
            fake = self.G(z_d)
        d_loss = self.loss(self.D(x), self.ones) + self.loss(self.D(fake), self.zeros)
        self.d_adam.zero_grad()
        d_loss.backward()
        self.d_adam.step()

        g_loss = self.loss(self.D(self.G(z_g)), self.ones)
        self.g_adam.zero_grad()
        g_loss.backward(inputs=self.g_parameters)
        self.g_adam.step()
        return d_loss.item(), g_loss.item()

    def simultaneous(self, x, z) -> tuple[float, float]:
        fake_logits = self.D(self.G(z))
        d_loss = self.loss(self.D(x), self.ones) + self.loss(fake_logits, self.zeros)
        g_loss = self.loss(fake_logits, self.ones)
        self.d_adam.zero_grad()
        self.g_adam.zero_grad()
        d_loss.backward(inputs=self.d_parameters, retain_graph=True)
        g_loss.backward(inputs=self.g_parameters)
        self.d_adam.step()
        self.g_adam.step()
        return d_loss.item(), g_loss.item()


class TorchEagerFusedAdam(TorchEager):
    """The same with torch.optim.Adam(fused=True), which is not the default on a CPU."""

    adam_options = {"fused": True}


class Minigan:
    """minigan as `minigan train` calls it."""

    def __init__(self, workload: Workload, weights: list[np.ndarray]) -> None:
        from minigan.gan import OBJECTIVES, Players, mlp_gan
        from minigan.optimizers import Adam

        gan = mlp_gan(hidden=workload.hidden, latent_size=LATENT, pixels=PIXELS)
        for parameter, w in zip(gan.parameters(), weights, strict=True):
            parameter.assign(w)
        self.workload = workload
        self.players = Players(
            gan,
            OBJECTIVES["log" if workload.log_losses else "cross-entropy"],
            Adam(workload.learning_rate),
            Adam(workload.learning_rate),
        )

    def step(self, x: np.ndarray, z_d: np.ndarray, z_g: np.ndarray) -> tuple[float, float]:
        if self.workload.simultaneous:
            return self.players.simultaneous_step(x, z_d)
        return self.players.alternating_step(x, z_d, z_g)
