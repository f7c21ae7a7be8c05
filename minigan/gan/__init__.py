"""GANs: models, objectives, the two players' steps; training.py runs them, sampling.py draws."""

from minigan.gan.models import GAN, MLPDiscriminator, MLPGenerator, mlp_gan
from minigan.gan.objectives import OBJECTIVES, Objective
from minigan.gan.players import Players

__all__ = [
    "GAN", "OBJECTIVES", "MLPDiscriminator", "MLPGenerator", "Objective", "Players", "mlp_gan",
]  # fmt: skip
