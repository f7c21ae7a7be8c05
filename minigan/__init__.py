"""minigan: generative adversarial networks on an autodiff framework you can read.

Tensor, grad, no_grad, vjp, jvp, hvp            minigan.autograd   (start with engine.py)
check_gradients                                 minigan.autograd.check
exp, log, matmul, relu, ...                     minigan.autograd.ops
Dense, Conv2D, BatchNorm, Sequential, ...       minigan.layers
HeNormal, L2, MaxNorm, ...                      minigan.initializers, .regularizers, .constraints
generator_loss, Adam, SGD, RMSProp, ...         minigan.losses, .optimizers
load_digits, load_mnist, Batches                minigan.data
profile                                         minigan.profiling
recompute                                       minigan.layers.recompute
release_workspaces                              minigan.kernels.workspace
GAN, mlp_gan, Players, OBJECTIVES               minigan.gan
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minigan.autograd import (
    Op,
    Tensor,
    detect_anomaly,
    grad,
    hvp,
    jvp,
    no_grad,
    op,
    ops,
    record_source,
    stop_gradient,
    vjp,
)
from minigan.autograd.ops import *  # noqa: F403
from minigan.constraints import ClipValue, MaxNorm, NonNeg
from minigan.errors import MiniganError
from minigan.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    Ones,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Zeros,
)
from minigan.kernels.memory import keep_freed_memory
from minigan.layers import (
    AveragePooling2D,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    LeakyReLU,
    MaxPooling2D,
    Module,
    Parameter,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    UpSample2D,
)
from minigan.losses import (
    discriminator_loss,
    fake_loss,
    generator_loss,
    gradient_penalty,
    hinge_loss,
    least_squares_loss,
    log_discriminator_loss,
    log_generator_loss,
    minimax_generator_loss,
    r1_penalty,
    real_loss,
    squared_slopes,
    wasserstein_loss,
)
from minigan.optimizers import SGD, Adam, RMSProp
from minigan.regularizers import L1, L2

if TYPE_CHECKING:
    from minigan.autograd.check import GradientReport, check_gradients
    from minigan.kernels.workspace import release_workspaces
    from minigan.layers.recompute import recompute
    from minigan.profiling import profile

__version__ = "0.1.0"

keep_freed_memory()

_LOADED_AT_FIRST_USE = {  # so that `import minigan` is fast
    "GradientReport": "minigan.autograd.check",
    "check_gradients": "minigan.autograd.check",
    "profile": "minigan.profiling",
    "recompute": "minigan.layers.recompute",
    "release_workspaces": "minigan.kernels.workspace",
}

if not TYPE_CHECKING:  # type checkers would believe that it has every name

    def __getattr__(name: str) -> Any:
        if name not in _LOADED_AT_FIRST_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_LOADED_AT_FIRST_USE[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [  # noqa: RUF022
    "Adam", "AveragePooling2D", "BatchNorm", "ClipValue", "Constant", "Conv2D", "Conv2DTranspose",
    "Dense", "Dropout", "Flatten", "GlorotNormal", "GlorotUniform", "GradientReport", "HeNormal",
    "L1", "L2", "LayerNorm", "LeakyReLU", "MaxNorm", "MaxPooling2D", "MiniganError", "Module",
    "NonNeg", "Ones", "Op", "Parameter", "RMSProp", "RandomNormal", "RandomUniform", "ReLU",
    "Reshape", "SGD", "Sequential", "Sigmoid", "Softplus", "Tanh", "Tensor", "TruncatedNormal",
    "UpSample2D", "Zeros", "check_gradients", "detect_anomaly", "discriminator_loss", "fake_loss",
    "generator_loss", "grad", "gradient_penalty", "hinge_loss", "hvp", "jvp", "least_squares_loss",
    "log_discriminator_loss", "log_generator_loss", "minimax_generator_loss", "no_grad", "op",
    "profile", "r1_penalty", "real_loss", "recompute", "record_source", "release_workspaces",
    "squared_slopes", "stop_gradient", "vjp", "wasserstein_loss",
]  # fmt: skip
__all__ += ops.__all__
