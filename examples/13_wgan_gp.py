"""Lesson 13: WGAN-GP, a loss made of a gradient.

What TensorFlow writes
    x = mix * real + (1.0 - mix) * fake                     # mix = tf.random_uniform([N, 1, 1, 1])
    gradients, = tf.gradients(D(x), [x])
    slopes = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]))
    d_loss = tf.reduce_mean(D(fake) - D(real)) + 10.0 * tf.reduce_mean(tf.square(slopes - 1.0))

The mathematics
    W = max E D(x) - E D(G(z))  over all D that are nowhere steeper than 1:  how far the generated
    pictures have to be moved to become the real ones, the earth mover's distance. G makes it small.
    The penalty 10 E (|dD/dx| - 1)^2 keeps D's slopes near 1. D learns from the penalty's gradient,
    a gradient of a gradient: the double backward.       Arjovsky et al. 2017, Gulrajani et al. 2017

minigan's way
    grad(y, x, create_graph=True) returns Tensors that remember how they were computed: every
    pullback is written in ops. `minigan train wgan-gp` has all this ready-made. Its D has no batch
    norm, for a picture's slope is meant to be its own: layer norm looks at one picture at a time.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import minigan as mg
from minigan.data import Batches, load_digits
from minigan.gan import dcgan
from minigan.plotting import grid_of
from minigan.random import stream

STEPS, CRITIC_STEPS, BATCH, NOISE = 300, 3, 16, 64
threadpool_limits(1)  # a second thread gains little here, and waits while the machine is busy

# ── 1. The penalty ───────────────────────────────────────────────────────────────────────────


def penalty(critic, pictures):
    """10 E (|dD/dx| - 1)^2, at pictures (N, H, W, C)."""
    x = mg.Tensor(pictures, requires_grad=True)
    (gradient,) = mg.grad(mg.sum(critic(x)), x, create_graph=True)  # one for each picture
    slopes = mg.sqrt(mg.sum(mg.square(gradient), axis=(1, 2, 3)) + 1e-12)  # sqrt has no slope at 0
    return 10 * mg.mean(mg.square(slopes - 1))


x = stream(0, "pictures").normal(size=(4, 6, 6, 1))
w = mg.Tensor(stream(0, "w").normal(size=(36, 1)), requires_grad=True)


def linear_critic(x):
    return x.reshape((-1, 36)) @ w  # the slope is |w|, for every picture


length = np.linalg.norm(w.numpy())
value = penalty(linear_critic, x)
(double_backward,) = mg.grad(value, [w])
by_hand = 20 * (length - 1) * w.numpy() / length
print(f"1. D(x) = <x, w> with |w| = {length:.4f}")
print(f"   the penalty {value.item():.4f}, by hand 10 (|w| - 1)^2 = {10 * (length - 1) ** 2:.4f}")
print(f"   its gradient, double backward minus by hand: {abs(double_backward - by_hand).max():.0e}")
leaf = mg.Tensor(x, requires_grad=True)
(plain,) = mg.grad(mg.sum(linear_critic(leaf)), leaf)  # without create_graph
print(f"   Without create_graph, dD/dx is an {type(plain).__name__}: to D's weights, a constant.\n")

# ── 2. Proof by numbers, for a critic with a convolution ─────────────────────────────────────


def with_double_backward(kernel, dense):
    def critic(x):
        h = mg.leaky_relu(mg.conv2d(x, kernel, 2))  # (4, 6, 6, 1) -> (4, 3, 3, 2)
        return h.reshape((4, 18)) @ dense  # (4, 18) -> (4, 1)

    return penalty(critic, x.astype(kernel.dtype))  # the check also computes in other precisions


def with_lesson_9(kernel, dense):
    """The same: dD/dx is a transposed convolution of D's weights, 0.2 of them where h < 0."""
    g = dense.reshape(3, 3, 2) * np.where(mg.conv2d(x, kernel, 2) < 0, 0.2, 1)
    slopes = np.sqrt((mg.conv2d_transpose(g, kernel, 2) ** 2).sum(axis=(1, 2, 3)))
    return 10 * np.mean((slopes - 1) ** 2)


kernel = stream(0, "kernel").normal(size=(5, 5, 1, 2))
dense = stream(0, "dense").normal(size=(18, 1))
report = mg.check_gradients(with_double_backward, kernel, dense, reference=with_lesson_9)
print(f"2. {report}\n")

# ── 3. The game ──────────────────────────────────────────────────────────────────────────────

gan = dcgan(NOISE, g_filters=(32, 16), d_filters=(16, 32), hidden=64, layer_norm=True)
generator, critic = gan.generator, gan.discriminator  # pictures in [-1, 1]


def noise(purpose, step, count=BATCH):
    return stream(0, purpose, step).uniform(-1, 1, (count, NOISE)).astype("float32")


d_adam, g_adam = (mg.Adam(0.001, beta1=0.5, beta2=0.9) for _ in range(2))
batches = Batches(load_digits().images, BATCH)
distances, penalties = [], []
print("3. step   E D(x) - E D(G(z))   penalty")
for step in range(STEPS):
    for k in range(step * CRITIC_STEPS, (step + 1) * CRITIC_STEPS):
        real = 2 * batches.at(k).reshape(BATCH, 28, 28, 1) - 1
        with mg.no_grad():
            fake = generator(noise("noise of d", k)).numpy()
        mix = stream(0, "mix", k).random((BATCH, 1, 1, 1), dtype=np.float32)
        distance = mg.mean(critic(real)) - mg.mean(critic(fake))
        gradient_penalty = penalty(critic, mix * real + (1 - mix) * fake)
        d_adam.minimize(gradient_penalty - distance, critic.parameters())

    g_loss = -mg.mean(critic(generator(noise("noise of g", step))))
    g_adam.minimize(g_loss, generator.parameters())

    distances.append(distance.item())
    penalties.append(gradient_penalty.item())
    if step % 100 == 0:
        print(f"   {step:4} {distances[-1]:20.3f} {penalties[-1]:9.3f}")

fakes = (gan.sample(noise("samples", 0, 500)) + 1) / 2
likeness = np.corrcoef(fakes.mean(axis=0).ravel(), batches.images.mean(axis=0))[0, 1]
print(f"   correlation of the mean fake with the mean real digit: {likeness:.2f}")

# ── The picture: generated digits, the distance and the penalty ──────────────────────────────

figure = Figure(figsize=(16, 6.4), layout="constrained")
left, right = figure.subplots(1, 2)
left.imshow(grid_of(fakes[:60], columns=10), cmap="gray")
left.set_title(f"generated, after {STEPS} steps", fontsize=20)
left.axis("off")
for name, values in ("E D(x) - E D(G(z))", distances), ("penalty", penalties):
    right.plot(np.convolve(values, np.ones(20) / 20, mode="valid"), linewidth=2.5, label=name)
right.set_title("by step, mean of 20", fontsize=20)
right.legend(fontsize=16)
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "13_wgan_gp.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert np.allclose(double_backward, by_hand, rtol=1e-9)
assert len(report.worst) == 2  # the penalty's gradient, and the gradient of that
assert 0 < np.mean(distances[-50:]) < max(distances) / 2  # G has come nearer
assert np.mean(penalties[-50:]) < 1  # slopes near 1
assert likeness > 0.9

# Exercise. R1 is another penalty: 5 E |dD/dx|^2, at real pictures. Write r1(critic, pictures). For
# a linear critic it is 5 |w|^2, and the gradient of that is 10 w:
#     (answer,) = mg.grad(r1(linear_critic, x), [w])
#     assert np.allclose(answer, 10 * w.numpy())
