"""minigan's convolutional GANs in PyTorch: the same networks, weights and steps, to compare with.

`twin_of(gan)` starts from the numbers of a minigan model and computes what it computes, upside down
(channels_first.py says why). A twin is what a PyTorch user writes. One difference is left:
PyTorch's moving variances always take Bessel's correction.
"""

from contextlib import contextmanager

import numpy as np
import torch
from channels_first import turned_weights
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, leaky_relu

from minigan.gan import GAN
from minigan.gan.config import TrainConfig
from minigan.layers import LayerNorm
from minigan.random import stream

# ── the layers ───────────────────────────────────────────────────────────────────────────────


def conv(channels, filters):
    return nn.Conv2d(channels, filters, 5, stride=2, padding=2)


def deconv(channels, filters):
    return nn.ConvTranspose2d(channels, filters, 5, stride=2, padding=2, output_padding=1)


def layer_norm(channels):
    """Over all numbers of an example, with a gamma and a beta for each channel."""
    return nn.GroupNorm(1, channels)


def leaky(h):
    return leaky_relu(h, 0.2)


def with_labels(h, labels):
    """The labels as further channels, the same everywhere."""
    return torch.cat([h, labels[:, :, None, None].expand(-1, -1, *h.shape[2:])], dim=1)


# ── the networks ─────────────────────────────────────────────────────────────────────────────


class Network(nn.Module):
    """Layers are called as in minigan, which is how they find their weights.

    grid, makers and readers are those of `turned_weights`.
    """

    grid: tuple[int, int, int]
    makers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()


class DCGANGenerator(Network):
    """Noise to digits in [-1, 1]."""

    makers = ("project", "norm0")

    def __init__(self, latent_size, first, second):
        super().__init__()
        settings = {"eps": 1e-3, "momentum": 0.01}
        self.grid = (7, 7, first)
        self.project = nn.Linear(latent_size, 7 * 7 * first)
        self.norm0 = nn.BatchNorm1d(7 * 7 * first, **settings)
        self.deconv1 = deconv(first, second)
        self.norm1 = nn.BatchNorm2d(second, **settings)
        self.deconv2 = deconv(second, 1)

    def forward(self, z):
        h = torch.relu(self.norm0(self.project(z)))
        h = h.view(len(h), -1, 7, 7)
        h = torch.relu(self.norm1(self.deconv1(h)))
        return torch.tanh(self.deconv2(h))


class DCGANDiscriminator(Network):
    """Digits to logits; hidden 0: no hidden layer; a critic has layer norm."""

    def __init__(self, first, second, hidden, critic):
        super().__init__()
        settings = {"eps": 1e-3, "momentum": 0.01}
        self.grid = (7, 7, second)
        self.conv1 = conv(1, first)
        self.norm1 = layer_norm(first) if critic else nn.BatchNorm2d(first, **settings)
        self.conv2 = conv(first, second)
        self.norm2 = layer_norm(second) if critic else nn.BatchNorm2d(second, **settings)
        self.hidden = None
        if hidden:
            self.hidden = nn.Linear(7 * 7 * second, hidden)
            self.norm3 = layer_norm(hidden) if critic else nn.BatchNorm1d(hidden, **settings)
        self.scores = nn.Linear(hidden or 7 * 7 * second, 2)
        self.readers = ("hidden",) if hidden else ("scores",)

    def forward(self, x):
        h = leaky(self.norm1(self.conv1(x)))
        h = leaky(self.norm2(self.conv2(h)))
        h = h.flatten(1)
        if self.hidden is not None:
            h = leaky(self.norm3(self.hidden(h)))
        scores = self.scores(h)
        return scores[:, 1:] - scores[:, :1]


class ConditionalGenerator(Network):
    """Noise and labels to digits in [0, 1]."""

    makers = ("project1", "norm1")

    def __init__(self, latent_size, classes, hidden, filters):
        super().__init__()
        K, C = classes, filters
        self.grid = (7, 7, 2 * C)
        self.project0 = nn.Linear(latent_size + K, hidden)
        self.norm0 = nn.BatchNorm1d(hidden)
        self.project1 = nn.Linear(hidden + K, 7 * 7 * 2 * C)
        self.norm1 = nn.BatchNorm1d(7 * 7 * 2 * C)
        self.deconv2 = deconv(2 * C + K, 2 * C)
        self.norm2 = nn.BatchNorm2d(2 * C)
        self.deconv3 = deconv(2 * C + K, 1)

    def forward(self, z, labels):
        h = torch.relu(self.norm0(self.project0(torch.cat([z, labels], dim=1))))
        h = torch.relu(self.norm1(self.project1(torch.cat([h, labels], dim=1))))
        h = h.view(len(h), -1, 7, 7)
        h = torch.relu(self.norm2(self.deconv2(with_labels(h, labels))))
        return torch.sigmoid(self.deconv3(with_labels(h, labels)))


class ConditionalDiscriminator(Network):
    """Digits and labels to logits."""

    readers = ("hidden2",)

    def __init__(self, classes, hidden, filters):
        super().__init__()
        K, C = classes, filters
        self.grid = (7, 7, C + K)
        self.conv0 = conv(1 + K, 1 + K)
        self.conv1 = conv(1 + 2 * K, C + K)
        self.norm1 = nn.BatchNorm2d(C + K)
        self.hidden2 = nn.Linear(7 * 7 * (C + K) + K, hidden)
        self.norm2 = nn.BatchNorm1d(hidden)
        self.output = nn.Linear(hidden + K, 1)

    def forward(self, x, labels):
        h = leaky(self.conv0(with_labels(x, labels)))
        h = leaky(self.norm1(self.conv1(with_labels(h, labels))))
        h = leaky(self.norm2(self.hidden2(torch.cat([h.flatten(1), labels], dim=1))))
        return self.output(torch.cat([h, labels], dim=1))


class ImageGenerator(Network):
    """Noise to pictures in [-1, 1]; rows and columns are multiples of 16."""

    makers = ("project",)

    def __init__(self, latent_size, filters, size, channels):
        super().__init__()
        H, W = size
        C = filters
        self.grid = (H // 16, W // 16, 8 * C)
        self.project = nn.Linear(latent_size, H // 16 * (W // 16) * 8 * C)
        self.norm0 = nn.BatchNorm2d(8 * C)
        self.deconv1 = deconv(8 * C, 4 * C)
        self.norm1 = nn.BatchNorm2d(4 * C)
        self.deconv2 = deconv(4 * C, 2 * C)
        self.norm2 = nn.BatchNorm2d(2 * C)
        self.deconv3 = deconv(2 * C, C)
        self.norm3 = nn.BatchNorm2d(C)
        self.deconv4 = deconv(C, channels)

    def forward(self, z):
        H, W, _ = self.grid
        h = torch.relu(self.norm0(self.project(z).view(len(z), -1, H, W)))
        h = torch.relu(self.norm1(self.deconv1(h)))
        h = torch.relu(self.norm2(self.deconv2(h)))
        h = torch.relu(self.norm3(self.deconv3(h)))
        return torch.tanh(self.deconv4(h))


class ImageDiscriminator(Network):
    """Pictures to logits."""

    readers = ("output",)

    def __init__(self, filters, size, channels):
        super().__init__()
        H, W = size
        C = filters
        self.grid = (H // 16, W // 16, 8 * C)
        self.conv0 = conv(channels, C)
        self.conv1 = conv(C, 2 * C)
        self.norm1 = nn.BatchNorm2d(2 * C)
        self.conv2 = conv(2 * C, 4 * C)
        self.norm2 = nn.BatchNorm2d(4 * C)
        self.conv3 = conv(4 * C, 8 * C)
        self.norm3 = nn.BatchNorm2d(8 * C)
        self.output = nn.Linear(H // 16 * (W // 16) * 8 * C, 1)

    def forward(self, x):
        h = leaky(self.conv0(x))
        h = leaky(self.norm1(self.conv1(h)))
        h = leaky(self.norm2(self.conv2(h)))
        h = leaky(self.norm3(self.conv3(h)))
        return self.output(h.flatten(1))


# ── the same numbers ─────────────────────────────────────────────────────────────────────────


def twin_of(gan: GAN) -> nn.ModuleDict:
    """The `generator` and the `discriminator` of a dcgan, dcgan_conditional or dcgan_images."""
    G, D, latent_size = gan.generator, gan.discriminator, gan.latent_size
    match type(G).__name__:
        case "DCGANGenerator":
            filters = D.conv1.filters, D.conv2.filters
            hidden = D.hidden.units if hasattr(D, "hidden") else 0
            critic = isinstance(D.norm1, LayerNorm)
            generator = DCGANGenerator(latent_size, G.deconv1.kernel.shape[3], G.deconv1.filters)
            discriminator = DCGANDiscriminator(*filters, hidden, critic)
        case "ConditionalGenerator":
            g_filters, d_filters = G.deconv2.filters // 2, D.conv1.filters - gan.classes
            generator = ConditionalGenerator(latent_size, gan.classes, G.project0.units, g_filters)
            discriminator = ConditionalDiscriminator(gan.classes, D.hidden2.units, d_filters)
        case "ImageGenerator":
            *size, channels = gan.picture_shape
            generator = ImageGenerator(latent_size, G.deconv3.filters, size, channels)
            discriminator = ImageDiscriminator(D.conv0.filters, size, channels)
    twin = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
    copy_weights(generator, gan.generator.state())
    copy_weights(discriminator, gan.discriminator.state())
    return twin


def copy_weights(network: Network, state: dict[str, np.ndarray]) -> None:
    """Take over the state of minigan's network, and its dtype."""
    network.to(torch.from_numpy(next(iter(state.values()))).dtype)
    weights = turned_weights(state, network.grid, network.makers, network.readers)
    for path, arrays in weights.items():
        layer = getattr(network, path)
        for name, array in arrays.items():
            values = torch.from_numpy(array)
            getattr(layer, TORCH_NAMES[name]).data.copy_(values.T if values.ndim == 2 else values)


TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


# ── the same steps ───────────────────────────────────────────────────────────────────────────


class TwinPlayers:
    """minigan.gan.Players for twins: cross-entropy, or WGAN-GP with a critic.

    Asks for no gradient it does not need: D's step sees detached fakes, `backward(inputs=)` leaves
    D's weights out of G's. `given` are the labels, if the networks take any.
    """

    def __init__(self, twin, config: TrainConfig, **adam_options):
        self.G, self.D = twin["generator"], twin["discriminator"]
        self.critic = config.objective == "wgan-gp"
        self.seed = config.seed
        self.d_steps = 0
        self.g_parameters = list(self.G.parameters())
        betas = config.beta1, config.beta2
        adam = {"lr": config.learning_rate, "betas": betas, **adam_options}
        self.g_adam = torch.optim.Adam(self.g_parameters, **adam)
        self.d_adam = torch.optim.Adam(self.D.parameters(), **adam)

    def alternating_step(self, real, d_noise, g_noise):
        """D moves on (x, z); then G moves on fresh noise. Returns both losses."""
        return self.d_step(real, d_noise), self.g_step(g_noise)

    def d_step(self, real, noise):
        with torch.no_grad(), moving(self.G, times=0):
            fake = self.G(noise)
        return self.update_d(real, fake, times_of_fake=2)

    def g_step(self, noise):
        fake = self.G(noise)
        with moving(self.D, times=0):
            return self.update_g(fake)

    def d_once_g_twice_step(self, real, noise, *given):
        """D moves on (x, z); then G moves twice, on the same z. Returns the losses before."""
        with moving(self.G, times=2):
            fake = self.G(noise, *given)
        d_loss = self.update_d(real, fake.detach(), *given)
        g_loss = self.update_g(fake, *given)
        self.update_g(self.G(noise, *given), *given)
        with torch.no_grad(), moving(self.G, times=2):
            self.G(noise, *given)  # a pass for the losses to print, which moves the averages, too
        return d_loss, g_loss

    def update_d(self, real, fake, *given, times_of_fake=1):
        real_logits = self.D(real, *given)
        with moving(self.D, times_of_fake):
            fake_logits = self.D(fake, *given)
        if self.critic:
            d_loss = fake_logits.mean() - real_logits.mean() + self.penalty(real, fake)
        else:
            d_loss = cross_entropy(real_logits, 1) + cross_entropy(fake_logits, 0)
        self.d_adam.zero_grad()
        d_loss.backward()
        self.d_adam.step()
        self.d_steps += 1
        return d_loss.item()

    def update_g(self, fake, *given):
        logits = self.D(fake, *given)
        g_loss = -logits.mean() if self.critic else cross_entropy(logits, 1)
        self.g_adam.zero_grad()
        g_loss.backward(inputs=self.g_parameters)
        self.g_adam.step()
        return g_loss.item()

    def penalty(self, real, fake, weight=10):
        """weight * E (|dD/dx| - 1)^2 between real and fake pictures."""
        mix = stream(self.seed, "penalty", self.d_steps).random((len(real), 1, 1, 1))
        mix = torch.from_numpy(mix).to(real.dtype)
        x = (mix * real + (1 - mix) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(self.D(x).sum(), x, create_graph=True)
        slopes = gradient.square().sum(dim=(1, 2, 3))
        return weight * ((slopes + 1e-12).sqrt() - 1).square().mean()


def cross_entropy(logits, label):
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


@contextmanager
def moving(network, times):
    """Inside, a training pass moves batch norm's moving averages `times` times, as in minigan."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1 - (1 - norm.momentum) ** times
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
