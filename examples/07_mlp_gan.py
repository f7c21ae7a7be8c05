"""Lesson 7: the MLP GAN, in the tutorials' own steps.

What TensorFlow writes
    d_solver = tf.train.AdamOptimizer().minimize(d_loss, var_list=theta_d)
    g_solver = tf.train.AdamOptimizer().minimize(g_loss, var_list=theta_g)
    for it in range(10000):
        x, _ = mnist.train.next_batch(128)
        sess.run([d_solver, d_loss], feed_dict={X: x, Z: sample_noise()})
        sess.run([g_solver, g_loss], feed_dict={Z: sample_noise()})

The mathematics
    min_G max_D   E log D(x) + E log(1 - D(G(z)))           z uniform in [-1, 1), 100 numbers
    G   100 -> relu 128 -> sigmoid 784                      a picture of 28 x 28 pixels
    D   784 -> relu 128 -> 1                                a logit: positive for real
    At the best D for a given G, D(x) = p(x) / (p(x) + p_G(x)): 1/2 once G is perfect.

minigan's way
    The same steps without placeholders or a session. minigan.gan has them ready-made (mlp_gan,
    Players), and `minigan train` runs them; here they are written out.
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

STEPS, BATCH, NOISE = 10_000, 32, 100  # the tutorials take batches of 128
threadpool_limits(1)  # a second thread gains little here, and waits while the machine is busy

# ── 1. The data: 10,000 digits, as rows of 784 numbers in [0, 1] ─────────────────────────────

digits = load_digits()
batches = Batches(digits.images, BATCH)
print(f"1. {len(batches):,} digits; a batch is {batches.at(0).shape}\n")

# ── 2. Both players: their variables, then their networks ────────────────────────────────────


def variable(name, initializer, shape):
    return mg.Tensor(initializer(shape, stream(0, name)), requires_grad=True, name=name)


g_w1 = variable("g_w1", mg.HeNormal(), (100, 128))
g_b1 = variable("g_b1", mg.Zeros(), (128,))
g_w2 = variable("g_w2", mg.HeNormal(), (128, 784))
g_b2 = variable("g_b2", mg.Zeros(), (784,))
theta_g = [g_w1, g_b1, g_w2, g_b2]

d_w1 = variable("d_w1", mg.HeNormal(), (784, 128))
d_b1 = variable("d_b1", mg.Zeros(), (128,))
d_w2 = variable("d_w2", mg.HeNormal(), (128, 1))
d_b2 = variable("d_b2", mg.Zeros(), (1,))
theta_d = [d_w1, d_b1, d_w2, d_b2]

print(f"2. G has {sum(w.size for w in theta_g):,} weights, D {sum(w.size for w in theta_d):,}\n")


def generator(z):
    h = mg.relu(z @ g_w1 + g_b1)  # (N, 100) -> (N, 128)
    return mg.sigmoid(h @ g_w2 + g_b2)  # (N, 128) -> (N, 784)


def discriminator(x):
    h = mg.relu(x @ d_w1 + d_b1)  # (N, 784) -> (N, 128)
    return h @ d_w2 + d_b2  # (N, 128) -> (N, 1)


def noise(player, step, count=BATCH):
    z = stream(0, f"noise of {player}", step).uniform(-1, 1, (count, NOISE))
    return z.astype("float32")


# ── 3. Training: D, then G on fresh noise ────────────────────────────────────────────────────

cross_entropy = mg.sigmoid_cross_entropy_with_logits
d_solver, g_solver = mg.Adam(), mg.Adam()
d_losses, g_losses = [], []

print("3. training")
for step in range(STEPS):
    real_logits = discriminator(batches.at(step))
    fake_logits = discriminator(generator(noise("d", step)))
    d_loss_real = mg.mean(cross_entropy(1.0, real_logits))
    d_loss_fake = mg.mean(cross_entropy(0.0, fake_logits))
    d_loss = d_loss_real + d_loss_fake
    d_solver.minimize(d_loss, theta_d)

    fake_logits = discriminator(generator(noise("g", step)))
    g_loss = mg.mean(cross_entropy(1.0, fake_logits))
    g_solver.minimize(g_loss, theta_g)

    d_losses.append(d_loss.item())
    g_losses.append(g_loss.item())
    if step % 1000 == 0:
        print(f"   Iter: {step:5}   D loss: {d_losses[-1]:.4}   G_loss: {g_losses[-1]:.4}")

# ── 4. What G has learned ────────────────────────────────────────────────────────────────────

real = digits.images.reshape(-1, 784) / np.float32(255)
with mg.no_grad():
    fakes = generator(noise("samples", 0, 500)).numpy()
likeness = np.corrcoef(fakes.mean(axis=0), real.mean(axis=0))[0, 1]
distances = (fakes**2).sum(axis=1, keepdims=True) - 2 * fakes @ real.T + (real**2).sum(axis=1)
nearest = digits.labels[distances.argmin(axis=1)]  # the class of the most similar real digit
counts = np.bincount(nearest, minlength=10)

print(f"\n4. correlation of the mean fake with the mean real digit: {likeness:.2f}")
print(f"   of 500 fakes, most similar to a 0, 1, ... 9: {counts}")

# ── The picture: real digits, generated digits, both losses ──────────────────────────────────

figure = Figure(figsize=(16, 5.6), layout="constrained")
panels = figure.subplots(1, 3)
for axes, title, rows in zip(panels[:2], ("real", "generated"), (real, fakes), strict=True):
    axes.imshow(grid_of(rows[:49].reshape(-1, 28, 28)), cmap="gray")
    axes.set_title(title, fontsize=20)
    axes.axis("off")
for name, losses in ("discriminator", d_losses), ("generator", g_losses):
    smooth = np.convolve(losses, np.ones(100) / 100, mode="valid")
    panels[2].plot(range(99, STEPS), smooth, linewidth=2.5, label=name)
panels[2].set_title("losses, mean of 100 steps", fontsize=20)
panels[2].set_xlabel("step", fontsize=18)
panels[2].tick_params(labelsize=15)
panels[2].grid(alpha=0.3)
panels[2].legend(fontsize=16)
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "07_mlp_gan.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert np.isfinite([d_losses, g_losses]).all()
assert 0.7 < d_losses[0] < 3  # 2 log 2 = 1.39 for a D that can't tell
assert 0.1 < np.mean(d_losses[-500:]) < 1.39
assert 0.69 < np.mean(g_losses[-500:]) < 6
assert likeness > 0.8
assert np.count_nonzero(counts) >= 8  # G has not collapsed to a few digits

# Exercise. Write interpolate(z_a, z_b, n): n pictures, (n, 784), whose noise goes from z_a to z_b
# in equal steps. One digit should melt into another; look at them with grid_of. The check:
#     z_a, z_b = noise("a", 0, 1), noise("b", 0, 1)
#     ends_and_middle = generator(np.concatenate([z_a, (z_a + z_b) / 2, z_b])).numpy()
#     assert np.allclose(interpolate(z_a, z_b, 9)[[0, 4, 8]], ends_and_middle, atol=1e-5)
