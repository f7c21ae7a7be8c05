"""From a configuration to its networks, its game and its players."""

from minigan import backend
from minigan.gan.averaging import AveragedNetwork
from minigan.gan.config import TrainConfig
from minigan.gan.dcgan import dcgan, dcgan_pooling
from minigan.gan.dcgan_conditional import dcgan_conditional
from minigan.gan.dcgan_images import dcgan_images
from minigan.gan.models import GAN, mlp_gan
from minigan.gan.objectives import OBJECTIVES, Objective, with_label_smoothing, with_r1
from minigan.gan.players import Players
from minigan.gan.spectral_norm import with_spectral_norm
from minigan.optimizers import Adam


def make_gan(config: TrainConfig) -> GAN:
    """The two networks with their initial weights."""
    gan = _networks(config)
    return with_spectral_norm(gan) if config.spectral_norm else gan


def make_objective(config: TrainConfig) -> Objective:
    """What each player minimises.

    Errors: ConfigError for changes that don't go with the game.
    """
    objective = OBJECTIVES[config.objective]
    if config.real_label < 1:
        objective = with_label_smoothing(objective, config.real_label)
    return with_r1(objective, config.r1) if config.r1 else objective


def make_players(config: TrainConfig) -> Players:
    """The networks on their device, the game and the optimizers."""
    gan = make_gan(config).to(backend.resolve_device(config.device))
    return Players(
        gan,
        make_objective(config),
        Adam(config.learning_rate, config.beta1, config.beta2),
        Adam(config.learning_rate, config.beta1, config.beta2),
        seed=config.seed,
        instance_noise=config.instance_noise,
        g_average=make_average(config, gan),
    )


def make_average(config: TrainConfig, gan: GAN) -> AveragedNetwork | None:
    """The generator's average over time, if the run keeps one."""
    decay = config.average_decay
    return AveragedNetwork(gan.generator, decay) if decay else None


def _networks(config: TrainConfig) -> GAN:
    c, z, seed = config, config.latent_size, config.seed
    g_filters, d_filters = (2 * c.gf_dim, c.gf_dim), (c.df_dim, 2 * c.df_dim)
    match c.model:
        case "dcgan":
            return dcgan(z, g_filters, d_filters, c.dfc_dim, seed, layer_norm=c.layer_norm)
        case "dcgan-pooling":
            return dcgan_pooling(z, g_filters, d_filters, c.dfc_dim, seed)
        case "dcgan-conditional":
            return dcgan_conditional(
                z_dim=z, gf_dim=c.gf_dim, df_dim=c.df_dim, gfc_dim=c.gfc_dim, dfc_dim=c.dfc_dim,
                seed=seed,
            )  # fmt: skip
        case "dcgan-images":
            return dcgan_images(
                c.output_height or 28, c.output_width or 28, c.c_dim or 1, z, c.gf_dim, c.df_dim,
                seed, layer_norm=c.layer_norm,
            )  # fmt: skip
        case _:
            return mlp_gan(c.hidden, z, seed=seed)
