"""Train the classifier that scores digits, and write minigan/gan/digit_classifier.safetensors.

Usage: python docs/make_digit_classifier.py FOLDER_WITH_MNIST
Takes about five minutes on one core. The same build of minigan and NumPy, on the same number of
threads, makes the same weights again, bit for bit.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import trange

from minigan.autograd.ops import mean, softmax_cross_entropy_with_logits
from minigan.checkpoint import save_checkpoint
from minigan.data import Dataset, Feed, load_mnist
from minigan.gan.digit_classifier import WEIGHTS, DigitClassifier, accuracy
from minigan.optimizers import Adam, linear_decay

EPOCHS = 8
BATCH_SIZE = 100


def train(digits: Dataset, steps: int, seed: int = 0) -> DigitClassifier:
    """A classifier of the digits, by Adam with a learning rate that falls to zero."""
    classifier = DigitClassifier().initialize(seed)
    adam = Adam(linear_decay(initial=1e-3, final=0.0, decay_steps=steps))
    feed = Feed(digits, seed)
    for _ in trange(steps, unit="step", disable=None):
        rows, labels = feed.next_batch(BATCH_SIZE)
        logits = classifier(rows.reshape(-1, 28, 28, 1))
        losses = softmax_cross_entropy_with_logits(labels.astype(np.float32), logits)
        adam.minimize(mean(losses), classifier.parameters())
    return classifier.eval()


def write(classifier: DigitClassifier, steps: int, test_accuracy: float) -> None:
    """Write the weights where `load_digit_classifier` looks for them."""
    with TemporaryDirectory(dir=WEIGHTS.parent) as folder:
        metadata = {"test_accuracy": test_accuracy}
        save_checkpoint(folder, steps, classifier.state(), metadata).replace(WEIGHTS)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    mnist, test = load_mnist(sys.argv[1], "train"), load_mnist(sys.argv[1], "test")
    steps = EPOCHS * len(mnist.labels) // BATCH_SIZE
    classifier = train(mnist, steps)
    test_accuracy = accuracy(classifier, test)
    write(classifier, steps, test_accuracy)
    print(f"{test_accuracy:.2%} of {len(test.labels):,} test digits: {Path(WEIGHTS).name}")
