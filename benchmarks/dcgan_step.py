"""One training step of three DCGANs: minigan, PyTorch; of the small ones DeZero and Chainer, too.

step(x, z_d, z_g) -> (d_loss, g_loss): D moves on pictures x and noise z_d, then G on noise z_g. All
start from minigan's initial weights; both losses are those before the player's own update.

    dcgan-28         28 x 28 digits, 64 and 128 channels, layers of tf.layers
    dcgan-28-hidden  the preset `dcgan`: D has a dense layer of 1,024 besides, before its scores
    dcgan-64         64 x 64 pictures in 3 colours, 64 to 512 channels, carpedm20's
"""

import builtins
import gzip
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from typing import Protocol

import numpy as np
from channels_first import turned_weights, upside_down

from minigan.autograd.ops import leaky_relu
from minigan.gan import GAN, OBJECTIVES, Players, dcgan, dcgan_images
from minigan.gan.dcgan import DCGANDiscriminator, real_ahead
from minigan.gan.presets import preset
from minigan.layers import Dense, Module
from minigan.optimizers import Adam

BATCH, LATENT = 64, 100
BATCHES = 8  # of pictures and noise, which the contenders go through again and again
DIGITS = Path(__file__).parents[1] / "minigan/data/embedded/images-idx3-ubyte.gz"
PRESETS = {  # whose Adam it is
    "dcgan-28": "dcgan",
    "dcgan-28-hidden": "dcgan",
    "dcgan-64": "dcgan-images",
}


class Contender(Protocol):
    """What run.py times."""

    def __init__(self, workload: str) -> None: ...

    def layout(self, x: np.ndarray):
        """Pictures (N, H, W, C) or noise (N, LATENT) as the step wants them; not timed."""

    def step(self, x, z_d, z_g) -> tuple[float, float]:
        """One step; the losses (d_loss, g_loss) before it."""
        ...


def prepare(contender: str, workload: str) -> tuple[Callable, list[tuple]]:
    """A contender's step, and the batches as it wants them."""
    chosen = globals()[contender](workload)
    return chosen.step, [tuple(map(chosen.layout, batch)) for batch in batches(workload)]


def batches(workload: str) -> list[tuple[np.ndarray, ...]]:
    """Pictures in [-1, 1], and noise for D's and G's step."""
    pixels = np.frombuffer(gzip.decompress(DIGITS.read_bytes()), np.uint8, offset=16)
    pictures = pixels.reshape(-1, 28, 28, 1)[: BATCHES * BATCH] / np.float32(127.5) - 1
    draw = np.random.default_rng(1)
    if workload == "dcgan-64":
        large = pictures.repeat(2, axis=1).repeat(2, axis=2)  # (N, 56, 56, 1)
        large = np.pad(large, ((0, 0), (4, 4), (4, 4), (0, 0)), constant_values=-1)
        colours = draw.random((len(large), 1, 1, 3), dtype=np.float32)
        pictures = (large + 1) * colours - 1
    noise = draw.uniform(-1, 1, (2, len(pictures), LATENT)).astype(np.float32)
    return list(zip(*(np.split(array, BATCHES) for array in (pictures, *noise)), strict=True))


class DirectDiscriminator(Module):
    """minigan's without the hidden layer: the scores read the flattened last convolution."""

    def __init__(self, whole: DCGANDiscriminator) -> None:
        self.conv1, self.norm1 = whole.conv1, whole.norm1
        self.conv2, self.norm2 = whole.conv2, whole.norm2
        self.scores = Dense(2, in_features=7 * 7 * whole.conv2.filters)

    def forward(self, x):
        h = leaky_relu(self.norm1(self.conv1(x)))
        h = leaky_relu(self.norm2(self.conv2(h)))
        return real_ahead(self.scores(h.reshape((len(h), -1))))


def initial_gan(workload: str) -> GAN:
    if workload == "dcgan-64":
        return dcgan_images()
    gan = dcgan()
    if workload == "dcgan-28":
        networks = gan.generator, DirectDiscriminator(gan.discriminator)
        gan = GAN(*networks, gan.latent_size, gan.picture_shape, gan.pixel_range).initialize(0)
    return gan


def settings(workload: str):
    return preset(PRESETS[workload])


class Minigan:
    """minigan as `minigan train` calls it."""

    def __init__(self, workload: str) -> None:
        config = settings(workload)
        d_adam, g_adam = (Adam(config.learning_rate, config.beta1, config.beta2) for _ in range(2))
        self.players = Players(initial_gan(workload), OBJECTIVES[config.objective], d_adam, g_adam)

    def layout(self, x: np.ndarray) -> np.ndarray:
        return x

    def step(self, x, z_d, z_g) -> tuple[float, float]:
        d_loss, g_loss = self.players.alternating_step(x, z_d, z_g)
        return d_loss, g_loss


class TorchEager:
    """PyTorch as its users write it: pytorch_twins.py."""

    adam_options: dict[str, bool] = {}

    def __init__(self, workload: str) -> None:
        import torch
        from pytorch_twins import TwinPlayers, twin_of

        self.from_numpy = torch.from_numpy
        twin = twin_of(initial_gan(workload))
        self.step = TwinPlayers(twin, settings(workload), **self.adam_options).alternating_step

    def layout(self, x: np.ndarray):
        return self.from_numpy(upside_down(x) if x.ndim == 4 else x)


class TorchEagerFusedAdam(TorchEager):
    """The same with torch.optim.Adam(fused=True), which is not the default on a CPU."""

    adam_options = {"fused": True}


class ChainerLike:
    """Both small ones in Chainer, and in DeZero, modelled on it: layers and functions agree.

    A subclass has `functions`, `no_grad`, the loss, and how each of the layers is made.
    """

    def __init__(self, workload: str) -> None:
        gan, config = initial_gan(workload), settings(workload)
        self.hidden = workload == "dcgan-28-hidden"
        reader = "hidden" if self.hidden else "scores"
        self.G = self.network(gan.generator, (7, 7, 128), makers=("project", "norm0"))
        self.D = self.network(gan.discriminator, (7, 7, 128), readers=(reader,))
        self.g_adam, self.d_adam = (
            self.adam(config.learning_rate, config.beta1, config.beta2).setup(network)
            for network in (self.G, self.D)
        )

    def network(self, network, grid, makers=(), readers=()):
        layers = turned_weights(network.state(), grid, makers, readers)
        return self.chain({path: self.layer(path, arrays) for path, arrays in layers.items()})

    def layer(self, path: str, arrays: dict[str, np.ndarray]):
        if "gamma" in arrays:
            return self.norm(arrays["gamma"].size)
        kernel = arrays["kernel"]
        if kernel.ndim == 2:
            return self.dense(kernel)
        if path.startswith("deconv"):
            return self.deconv(kernel, outsize=14 if path == "deconv1" else 28)
        return self.conv(kernel)

    def layout(self, x: np.ndarray) -> np.ndarray:
        return upside_down(x) if x.ndim == 4 else x

    def step(self, x, z_d, z_g) -> tuple[float, float]:
        with self.no_grad():
            fake = self.generate(z_d)
        d_loss = self.loss(self.judge(x), 1) + self.loss(self.judge(fake), 0)
        self.D.cleargrads()
        d_loss.backward()
        self.d_adam.update()

        g_loss = self.loss(self.judge(self.generate(z_g)), 1)
        self.G.cleargrads()
        g_loss.backward()
        self.g_adam.update()
        return float(d_loss.data), float(g_loss.data)

    def generate(self, z):
        F, G = self.functions, self.G
        h = F.relu(G.norm0(G.project(z)))
        h = F.reshape(h, (len(z), -1, 7, 7))
        h = F.relu(G.norm1(G.deconv1(h)))
        return F.tanh(G.deconv2(h))

    def judge(self, x):
        F, D = self.functions, self.D
        h = F.leaky_relu(D.norm1(D.conv1(x)), 0.2)
        h = F.leaky_relu(D.norm2(D.conv2(h)), 0.2)
        h = F.reshape(h, (len(x), -1))
        if self.hidden:
            h = F.leaky_relu(D.norm3(D.hidden(h)), 0.2)
        scores = D.scores(h)
        return scores[:, 1:] - scores[:, :1]


class Chainer(ChainerLike):
    """Chainer 7.8.1, which runs on today's NumPy once some old names are back."""

    def __init__(self, workload: str) -> None:
        with suppress(ImportError):
            import scipy.special  # noqa: F401  Chainer uses it if it is there; it wants today's names
        for name in ("bool", "int", "float", "object"):
            setattr(np, name, getattr(builtins, name))
        sizes = {"int": (8, 16, 32, 64), "uint": (8, 16, 32, 64), "float": (16, 32, 64)}
        np.sctypes = {  # noqa: NPY201
            kind: [getattr(np, f"{kind}{bits}") for bits in counts]
            for kind, counts in sizes.items()
        }
        with warnings.catch_warnings(action="ignore"), redirect_stderr(StringIO()):
            import chainer
        self.chainer, self.functions, self.links = chainer, chainer.functions, chainer.links
        self.no_grad = chainer.no_backprop_mode
        super().__init__(workload)

    def chain(self, layers):
        chain = self.chainer.Chain()
        for path, layer in layers.items():
            chain.add_link(path, layer)
        return chain

    def adam(self, learning_rate, beta1, beta2):
        return self.chainer.optimizers.Adam(learning_rate, beta1, beta2)

    def loss(self, logits, label):
        labels = np.full((BATCH, 1), label, np.int32)
        return self.functions.sigmoid_cross_entropy(logits, labels)

    def dense(self, kernel):
        return self.links.Linear(*kernel.shape, initialW=kernel.T)

    def conv(self, kernel):
        return self.links.Convolution2D(*kernel.shape[1::-1], 5, 2, 2, initialW=kernel)

    def deconv(self, kernel, outsize):
        size = outsize, outsize
        return self.links.Deconvolution2D(*kernel.shape[:2], 5, 2, 2, outsize=size, initialW=kernel)

    def norm(self, channels):
        return self.links.BatchNormalization(channels, decay=0.99, eps=1e-3)


class DeZero(ChainerLike):
    """DeZero 0.0.13, helped where it would not train this network.

    Its layers don't pass on batch norm's epsilon and the size of a transposed convolution's output,
    its cross-entropy is infinite once a sigmoid rounds to 1, and since NumPy 2 its numbers, which
    are 0-d arrays in float64, turn everything they meet into float64.
    """

    def __init__(self, workload: str) -> None:
        np.int = int  # noqa: NPY001  a name that NumPy 1.24 dropped
        import dezero

        self.dezero, self.functions, self.layers = dezero, dezero.functions, dezero.layers
        self.no_grad = dezero.no_grad
        as_array = dezero.core.as_array
        dezero.core.as_array = lambda x, xp=np: as_array(np.float32(x) if np.isscalar(x) else x, xp)
        super().__init__(workload)

    def chain(self, layers):
        chain = self.layers.Layer()
        for path, layer in layers.items():
            setattr(chain, path, layer)
        return chain

    def adam(self, learning_rate, beta1, beta2):
        return self.dezero.optimizers.Adam(learning_rate, beta1, beta2)

    def loss(self, logits, label):
        F, sign = self.functions, 1 - 2 * label
        return F.sum(F.log(1 + F.exp(sign * logits))) / BATCH

    def dense(self, kernel):
        inputs, units = kernel.shape
        return self._with(kernel, self.layers.Linear(units, in_size=inputs))

    def conv(self, kernel):
        filters, channels = kernel.shape[:2]
        return self._with(kernel, self.layers.Conv2d(filters, 5, 2, 2, in_channels=channels))

    def deconv(self, kernel, outsize):
        channels, filters = kernel.shape[:2]
        layer = self._with(kernel, self.layers.Deconv2d(filters, 5, 2, 2, in_channels=channels))
        size = outsize, outsize
        layer.forward = lambda x: self.functions.deconv2d(x, layer.W, layer.b, 2, 2, size)
        return layer

    def norm(self, channels):
        batch_norm = self.functions.batch_nrom

        class Norm(self.layers.BatchNorm):
            """With tf.layers' decay and epsilon."""

            def __call__(self, x):
                if self.avg_mean.data is None:
                    self._init_params(x)
                averages = self.avg_mean.data, self.avg_var.data
                return batch_norm(x, self.gamma, self.beta, *averages, decay=0.99, eps=1e-3)

        return Norm()

    def _with(self, kernel, layer):
        layer.W.data = kernel
        return layer
