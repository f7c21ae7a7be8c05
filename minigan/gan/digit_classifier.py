"""A convolutional network that reads digits, trained by minigan on MNIST: how runs are scored.

`docs/make_digit_classifier.py` trains it and writes digit_classifier.safetensors.
"""

from pathlib import Path

import numpy as np

from minigan.autograd import Tensor, no_grad
from minigan.autograd.engine import Value
from minigan.autograd.ops import relu
from minigan.data import Dataset
from minigan.data.batches import to_unit_range
from minigan.layers import BatchNorm, Conv2D, Dense, MaxPooling2D, Module

AT_A_TIME = 500  # digits read at once, which bounds the memory they take
WEIGHTS = Path(__file__).with_suffix(".safetensors")


class DigitClassifier(Module):
    """Pictures of digits in [0, 1] to a score for each class."""

    description = "64 features of minigan's digit classifier"

    def __init__(self) -> None:
        self.conv1 = Conv2D(16, 5, use_bias=False, in_channels=1)
        self.norm1 = BatchNorm(in_channels=16)
        self.conv2 = Conv2D(32, 5, use_bias=False, in_channels=16)
        self.norm2 = BatchNorm(in_channels=32)
        self.pool = MaxPooling2D(2)
        self.hidden = Dense(64, relu, in_features=4 * 4 * 32)
        self.scores = Dense(10, in_features=64)

    def features(self, x: Value) -> Tensor:
        """What the scores are computed from: x (N, 28, 28, 1) -> (N, 64)."""
        h = relu(self.pool(self.norm1(self.conv1(x))))  # (N, 28, 28, 1) -> (N, 12, 12, 16)
        h = relu(self.pool(self.norm2(self.conv2(h))))  # (N, 12, 12, 16) -> (N, 4, 4, 32)
        return self.hidden(h.reshape((len(h), -1)))  # (N, 4, 4, 32) -> (N, 512) -> (N, 64)

    def forward(self, x: Value) -> Tensor:
        """x (N, 28, 28, 1) -> logits (N, 10)."""
        return self.scores(self.features(x))


def load_digit_classifier() -> DigitClassifier:
    """The trained classifier, in inference mode.

    Errors: CheckpointError if its file is missing or damaged.
    """
    from minigan.checkpoint import load_checkpoint

    classifier = DigitClassifier()
    classifier.load_state(load_checkpoint(WEIGHTS).arrays)
    return classifier.eval()


def accuracy(classifier: DigitClassifier, digits: Dataset) -> float:
    """The share of digits, 28 x 28, that are read right."""
    pictures = digits.images[..., None]
    right = 0
    with no_grad():
        for first in range(0, len(pictures), AT_A_TIME):
            part = slice(first, first + AT_A_TIME)
            logits = classifier(to_unit_range(pictures[part]))
            right += int(np.sum(logits.numpy().argmax(axis=1) == digits.labels[part]))
    return right / len(pictures)
