"""GANs: models, objectives, the two players' steps; training.py runs them, sampling.py draws."""

from minigan.gan.averaging import AveragedNetwork
from minigan.gan.dcgan import (
    DCGANDiscriminator,
    DCGANGenerator,
    PoolingDiscriminator,
    PoolingGenerator,
    dcgan,
    dcgan_pooling,
)
from minigan.gan.dcgan_conditional import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    dcgan_conditional,
)
from minigan.gan.dcgan_images import ImageDiscriminator, ImageGenerator, dcgan_images
from minigan.gan.models import GAN, MLPDiscriminator, MLPGenerator, mlp_gan
from minigan.gan.objectives import OBJECTIVES, Objective, with_label_smoothing, with_r1
from minigan.gan.players import Losses, Players
from minigan.gan.spectral_norm import SpectralNorm, with_spectral_norm

__all__ = [
    "GAN", "OBJECTIVES", "AveragedNetwork", "ConditionalDiscriminator", "ConditionalGenerator",
    "DCGANDiscriminator", "DCGANGenerator", "ImageDiscriminator", "ImageGenerator", "Losses",
    "MLPDiscriminator", "MLPGenerator", "Objective", "Players", "PoolingDiscriminator",
    "PoolingGenerator", "SpectralNorm", "dcgan", "dcgan_conditional", "dcgan_images",
    "dcgan_pooling", "mlp_gan", "with_label_smoothing", "with_r1", "with_spectral_norm",
]  # fmt: skip
