"""Lesson 11: the DCGAN, layer by layer as tf.layers has them.

What TensorFlow writes, in D for example
    h = tf.layers.conv2d(x, 64, 5, strides=2, padding="same")
    h = tf.nn.leaky_relu(h)
    h = tf.layers.conv2d(h, 128, 5, strides=2, padding="same")
    h = tf.nn.leaky_relu(tf.layers.batch_normalization(h, training=True))
    h = tf.layers.dense(tf.reshape(h, [-1, 7 * 7 * 128]), 1024)

The mathematics
    The game is the MLP GAN's; the networks know that a picture is a plane. G makes it larger twice,
    7 -> 14 -> 28, by transposed convolutions; D makes it smaller, 28 -> 14 -> 7. One small kernel
    serves all places, and batch norm keeps each layer's signal at mean 0 and variance 1.
    Pixels are in [-1, 1], as tanh makes them: x = 2 pixel - 1.

minigan's way
    A layer for each call, in a Sequential. minigan.gan has this network ready-made, as dcgan, and
    `minigan train dcgan` trains it. Here it is narrower, so that a minute is enough.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import minigan as mg
from minigan.data import Batches, load_digits
from minigan.plotting import grid_of
from minigan.random import stream

STEPS, BATCH, NOISE = 650, 32, 100  # the tutorial: 10,000 steps with batches of 128
threadpool_limits(1)  # a second thread gains little here, and waits while the machine is busy

# ── 1. Both networks ─────────────────────────────────────────────────────────────────────────


def conv2d(filters):
    return mg.Conv2D(filters, 5, strides=2, padding="same")


def conv2d_transpose(filters, activation=None):
    return mg.Conv2DTranspose(filters, 5, strides=2, padding="same", activation=activation)


generator = mg.Sequential(
    mg.Dense(7 * 7 * 32),  # (N, 100) -> (N, 1568)
    mg.BatchNorm(),
    mg.ReLU(),
    mg.Reshape(7, 7, 32),  # (N, 1568) -> (N, 7, 7, 32)
    conv2d_transpose(16),  # (N, 7, 7, 32) -> (N, 14, 14, 16)
    mg.BatchNorm(),
    mg.ReLU(),
    conv2d_transpose(1, mg.tanh),  # (N, 14, 14, 16) -> (N, 28, 28, 1)
)
discriminator = mg.Sequential(
    conv2d(16),  # (N, 28, 28, 1) -> (N, 14, 14, 16)
    mg.LeakyReLU(),
    conv2d(32),  # (N, 14, 14, 16) -> (N, 7, 7, 32)
    mg.BatchNorm(),
    mg.LeakyReLU(),
    mg.Flatten(),  # (N, 7, 7, 32) -> (N, 1568)
    mg.Dense(128),  # (N, 1568) -> (N, 128)
    mg.BatchNorm(),
    mg.LeakyReLU(),
    mg.Dense(1),  # (N, 128) -> (N, 1)
)


def noise(purpose, step, count=BATCH):
    return stream(0, purpose, step).uniform(-1, 1, (count, NOISE)).astype("float32")


discriminator(generator(noise("first call", 0)))  # layers make their kernels when first called
generator.initialize(0)
discriminator.initialize(1)
theta_g, theta_d = generator.parameters(), discriminator.parameters()
print("1. the generator")
print(generator.summary())
print(f"   the discriminator has {sum(w.size for w in theta_d):,} parameters\n")

# ── 2. Training: D on real and fake pictures, each in a batch of its own; then G ─────────────

digits = load_digits()
batches = Batches(digits.images, BATCH)
d_solver, g_solver = mg.Adam(0.002, beta1=0.5), mg.Adam(0.002, beta1=0.5)
d_losses, g_losses = [], []

print("2. training")
for step in range(STEPS):
    real = 2 * batches.at(step).reshape(BATCH, 28, 28, 1) - 1
    with mg.no_grad():  # D's step needs no gradient of G
        fake = generator(noise("noise of d", step))
    d_loss = mg.discriminator_loss(discriminator(real), discriminator(fake))
    d_solver.minimize(d_loss, theta_d)

    fake = generator(noise("noise of g", step))
    g_loss = mg.generator_loss(discriminator(fake))
    g_solver.minimize(g_loss, theta_g)

    d_losses.append(d_loss.item())
    g_losses.append(g_loss.item())
    if step % 100 == 0:
        print(f"   Iter: {step:5}   D loss: {d_losses[-1]:.4}   G_loss: {g_losses[-1]:.4}")

# ── 3. What G has learned, in inference mode ─────────────────────────────────────────────────

generator.eval()
with mg.no_grad():
    fakes = (generator(noise("samples", 0, 500)).numpy().reshape(-1, 784) + 1) / 2
real = digits.images.reshape(-1, 784) / np.float32(255)
likeness = np.corrcoef(fakes.mean(axis=0), real.mean(axis=0))[0, 1]
distances = (fakes**2).sum(axis=1, keepdims=True) - 2 * fakes @ real.T + (real**2).sum(axis=1)
counts = np.bincount(digits.labels[distances.argmin(axis=1)], minlength=10)
print(f"\n3. correlation of the mean fake with the mean real digit: {likeness:.2f}")
print(f"   of 500 fakes, most similar to a 0, 1, ... 9: {counts}")

# ── The picture: generated digits, both losses ───────────────────────────────────────────────

figure = Figure(figsize=(16, 6.4), layout="constrained")
left, right = figure.subplots(1, 2)
left.imshow(grid_of(fakes[:60].reshape(-1, 28, 28), columns=10), cmap="gray")
left.set_title(f"generated, after {STEPS} steps", fontsize=20)
left.axis("off")
for name, losses in ("discriminator", d_losses), ("generator", g_losses):
    right.plot(np.convolve(losses, np.ones(20) / 20, mode="valid"), linewidth=2.5, label=name)
right.set_title("losses, mean of 20 steps", fontsize=20)
right.set_xlabel("step", fontsize=18)
right.tick_params(labelsize=15)
right.grid(alpha=0.3)
right.legend(fontsize=16)
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "11_dcgan.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert np.isfinite([d_losses, g_losses]).all()
assert 0.7 < d_losses[0] < 3
assert 0.1 < np.mean(d_losses[-100:]) < 1.39  # D can tell, but not for sure
assert likeness > 0.9
assert np.count_nonzero(counts >= 5) >= 8  # G has not collapsed to a few digits

# Exercise. How many parameters would D have with the tutorial's 64 and 128 filters, 1024 neurons?
# Moving averages are not counted. Work it out, write it as `answer`, and check:
#     layers = conv2d(64), conv2d(128), mg.BatchNorm(), mg.Flatten()
#     wide = mg.Sequential(*layers, mg.Dense(1024), mg.BatchNorm(), mg.Dense(1))
#     wide(np.zeros((2, 28, 28, 1), np.float32))
#     assert answer == sum(w.size for w in wide.parameters()), wide.summary()
