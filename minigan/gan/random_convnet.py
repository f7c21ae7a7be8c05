"""A convolutional network whose weights stay random: features of pictures of any kind."""

from minigan.autograd import Tensor
from minigan.autograd.engine import Value
from minigan.autograd.ops import mean, relu
from minigan.initializers import HeNormal
from minigan.layers import Conv2D, Module


class RandomConvNet(Module):
    """Colours and textures at three scales, seen by filters that were drawn once and for all.

    Untrained networks compare sets of pictures well, and better than one that was trained on
    photographs when the pictures are no photographs.
    Source: Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models".
    """

    description = "64 features of a convolutional network with random weights"

    def __init__(self, channels: int) -> None:
        self.conv1 = Conv2D(16, 5, 2, "same", kernel_initializer=HeNormal(), in_channels=channels)
        self.conv2 = Conv2D(32, 5, 2, "same", kernel_initializer=HeNormal(), in_channels=16)
        self.conv3 = Conv2D(64, 5, 2, "same", kernel_initializer=HeNormal(), in_channels=32)
        self.initialize(seed=0)

    def features(self, x: Value) -> Tensor:
        """How strongly each filter answers, over the whole picture: x (N, H, W, C) -> (N, 64)."""
        h = relu(self.conv1(x))  # (N, 64, 64, 3) -> (N, 32, 32, 16)
        h = relu(self.conv2(h))  # (N, 32, 32, 16) -> (N, 16, 16, 32)
        h = relu(self.conv3(h))  # (N, 16, 16, 32) -> (N, 8, 8, 64)
        return mean(h, (1, 2))  # (N, 8, 8, 64) -> (N, 64)
