"""Lesson 12: the conditional DCGAN: digits on demand, the sampler, stopping and going on.

What TensorFlow writes
    z = concat([z, y], 1)                                          # y: the labels, one-hot
    h1 = conv_cond_concat(h1, yb)                                  # the label as further channels
    h0 = tf.nn.relu(self.g_bn0(h0, train=False))                   # in self.sampler, not in G
    samples = sess.run(self.sampler, feed_dict={self.z: sample_z, self.y: sample_labels})
    self.saver.save(sess, "checkpoint/DCGAN.model", global_step=counter)
    self.saver.restore(sess, "checkpoint/DCGAN.model-502")

The mathematics
    min_G max_D   E log D(x, y) + E log(1 - D(G(z, y), y))         both players see the class y
    A step of training is a function: (state, step) -> state. The state is the weights, batch norm's
    moving averages, Adam's m, v and t. Batches and noise are functions of the step alone.

minigan's way
    dcgan_conditional has the tutorial's networks. gan.sample(noise, labels) is its sampler: G with
    the same weights and train=False, so that no picture depends on its neighbours. save_checkpoint
    writes a file that is whole or refused, latest_checkpoint reads the newest.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import minigan as mg
from minigan.checkpoint import latest_checkpoint, save_checkpoint
from minigan.data import Batches, load_digits, one_hot
from minigan.gan import OBJECTIVES, Players, dcgan_conditional
from minigan.gan.players import entries_under
from minigan.plotting import grid_of
from minigan.random import stream

STEPS, BATCH, NOISE = 400, 32, 100
threadpool_limits(1)  # a second thread gains little here, and waits while the machine is busy

# ── 1. Labels, and the sampler's input, which never changes ──────────────────────────────────

digits = load_digits()
batches = Batches(digits.images, BATCH)
labels = one_hot(digits.labels).astype("float32")  # (10000, 10)


def noise(purpose, step, count=BATCH):
    return stream(0, purpose, step).uniform(-1, 1, (count, NOISE)).astype("float32")


sample_noise = noise("samples", 0, 500)
sample_classes = np.arange(500) % 10  # in rows of ten: one digit a column
sample_labels = one_hot(sample_classes).astype("float32")
h = mg.conv_cond_concat(np.zeros((BATCH, 14, 14, 16)), labels[:BATCH])
print(f"1. the sampler's noise {sample_noise.shape} and labels {sample_labels.shape}")
print(f"   conv_cond_concat: (32, 14, 14, 16) pictures and (32, 10) labels -> {h.shape}\n")

# ── 2. Stop after 10 steps, load, go on ──────────────────────────────────────────────────────


def new_players(seed):
    gan = dcgan_conditional(gf_dim=8, df_dim=8, gfc_dim=128, dfc_dim=128, seed=seed)
    d_adam, g_adam = mg.Adam(0.002, beta1=0.5), mg.Adam(0.002, beta1=0.5)
    return Players(gan, OBJECTIVES["cross-entropy"], d_adam, g_adam)


def train(players, first, last):
    """Steps first to last - 1; D and G take turns (the tutorial moves G twice)."""
    for step in range(first, last):
        real, y = batches.at(step).reshape(-1, 28, 28, 1), labels[batches.indices(step)]
        players.alternating_step(real, noise("noise of d", step), noise("noise of g", step), y)


def difference(players, others):
    """The largest one of any number in two states."""
    state, other = players.state(), others.state()
    return max(abs(state[name] - other[name]).max() for name in state)


unstopped = new_players(seed=0)
train(unstopped, 0, 20)

stopped = new_players(seed=0)
train(stopped, 0, 10)
with TemporaryDirectory() as folder:
    path = save_checkpoint(folder, 10, stopped.state(), {"batch size": BATCH})
    checkpoint = latest_checkpoint(folder)
print(f"2. {path.name}: {len(checkpoint.arrays)} arrays, among them")
for name in ("gan/generator.deconv3.kernel", "gan/generator.norm2.moving_mean",
             "g_optimizer/m.generator.deconv3.kernel", "g_optimizer/steps"):  # fmt: skip
    print(f"      {name:40} {checkpoint.arrays[name].shape}")

resumed = new_players(seed=1)  # as another program would: it knows the file and nothing else
unlike = difference(resumed, unstopped)
resumed.load_state(checkpoint.arrays)
train(resumed, checkpoint.step, 20)

without_adam = new_players(seed=1)
without_adam.gan.load_state(entries_under("gan/", checkpoint.arrays))
train(without_adam, checkpoint.step, 20)
forgetful = difference(without_adam.gan, unstopped.gan)

print("   the largest difference to the run that never stopped, after step 20")
print(f"      resumed              {difference(resumed, unstopped)}")
print(f"      without Adam's state {forgetful:.4f}   (the tutorial's Saver leaves it out)\n")
same_bits = all(
    array.tobytes() == unstopped.state()[name].tobytes() for name, array in resumed.state().items()
)

# ── 3. Going on to the end ───────────────────────────────────────────────────────────────────

real = digits.images.reshape(-1, 784) / np.float32(255)
print("3. step   digits that look most like one of the class that was asked for")
shares = {}
for first, last in (20, 100), (100, 200), (200, STEPS):
    train(resumed, first, last)
    fakes = resumed.gan.sample(sample_noise, sample_labels).reshape(-1, 784)
    distances = (fakes**2).sum(axis=1, keepdims=True) - 2 * fakes @ real.T + (real**2).sum(axis=1)
    shares[last] = np.mean(digits.labels[distances.argmin(axis=1)] == sample_classes)
    print(f"   {last:4} {shares[last]:8.0%}")

# ── The picture: one digit a column ──────────────────────────────────────────────────────────

figure = Figure(figsize=(10, 6.4), layout="constrained")
axes = figure.subplots()
axes.imshow(grid_of(fakes[:60].reshape(-1, 28, 28), columns=10), cmap="gray")
axes.set_title(f"asked for 0 to 9, after {STEPS} steps", fontsize=20)
axes.axis("off")
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "12_conditional_dcgan.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert h.shape == (BATCH, 14, 14, 26)
assert np.array_equal(h[0, 3, 5, 16:], labels[0])
assert same_bits
assert unlike > 0.01
assert forgetful > 0.001
assert shares[STEPS] > 0.5  # by chance 0.1

# Exercise. G was never asked for anything between two classes. Write between(a, b, n): n pictures,
# (n, 784), of the first noise, whose labels go from class a to class b in equal steps. The check:
#     y = sample_labels[[3, 3, 8]]
#     y[1] = (y[0] + y[2]) / 2
#     ends_and_middle = resumed.gan.sample(sample_noise[[0, 0, 0]], y).reshape(3, 784)
#     assert np.allclose(between(3, 8, 9)[[0, 4, 8]], ends_and_middle, atol=1e-5)
