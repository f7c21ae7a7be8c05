"""Lesson 10: batch norm, in training and in inference.

What TensorFlow writes
    h = tf.layers.batch_normalization(x, momentum=0.9, epsilon=1e-5, training=True)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)    # to be run together with the train op
    h = tf.contrib.layers.batch_norm(x, decay=0.9, epsilon=1e-5, updates_collections=None, ...)

The mathematics, for each channel, over the n numbers that it has in a batch
    training      m = mean(x),  v = mean((x - m)^2),     y = gamma (x - m) / sqrt(v + e) + beta
                  moving mean       += (1 - momentum) (m           - moving mean)
                  moving variance   += (1 - momentum) (v n/(n - 1) - moving variance)
    inference     the same with the moving mean and variance:  no picture depends on the others
    v is too small on average, by (n - 1) / n, for m was fitted to the same numbers: so n / (n - 1),
    Bessel's correction. (For matrices (N, C) tf.layers leaves it out: bessel_correction=False.)

minigan's way
    BatchNorm(momentum=0.9, epsilon=1e-5) is a layer; every training pass moves its averages.
    train() and eval() set the mode of a network, gan.sample(noise) draws in inference mode.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minigan as mg
from minigan.gan import dcgan
from minigan.random import stream

# ── 1. Training: by the batch's own mean and variance ────────────────────────────────────────

norm = mg.BatchNorm()
x = stream(0, "x").normal(3.0, 2.0, (64, 14, 14, 8)).astype("float32")  # (N, H, W, C)
y = norm(x).numpy()
by_hand = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
print(f"1. channel 0 of x: mean {x[..., 0].mean():.2f}, standard deviation {x[..., 0].std():.2f}")
print(f"   and of batch_norm(x): {abs(y[..., 0].mean()):.2f} and {y[..., 0].std():.2f}\n")

# ── 2. Moving averages, with and without Bessel's correction ─────────────────────────────────

norm, biased = mg.BatchNorm(), mg.BatchNorm(bessel_correction=False)
history = []
for step in range(60):
    batch = stream(0, "batches", step).normal(3.0, 2.0, (4, 2000)).astype("float32")  # n = 4
    norm(batch)
    biased(batch)
    history.append([layer.moving_variance.mean() for layer in (norm, biased)])
moving_mean = norm.moving_mean.mean()
print("2. batches of 4 from a distribution with mean 3 and variance 4; after 60 passes")
print(f"   moving mean {moving_mean:.2f}, moving variance {history[-1][0]:.2f}")
print(f"   without Bessel's correction {history[-1][1]:.2f}, which is 3/4 of it\n")

# ── 3. Sampling in training mode ─────────────────────────────────────────────────────────────

gan = dcgan(g_filters=(16, 8), hidden=32)
g = gan.generator
for step in range(50):  # passes in training mode, which move the averages
    g(stream(0, "passes", step).uniform(-1, 1, (64, 100)).astype("float32"))
noise = stream(0, "noise").uniform(-1, 1, (65, 100)).astype("float32")
groups = noise[:4], noise[:65]  # the first one is in both

in_inference = [gan.sample(group)[0] for group in groups]
before = g.norm1.moving_mean.copy()
in_training = [g(group).numpy()[0] for group in groups]
drift = abs(g.norm1.moving_mean - before).max()
moved = [np.ptp(pictures, axis=0).max() for pictures in (in_inference, in_training)]
print("3. the same noise among 3 and among 64 others: how far a pixel of its picture moves")
print(f"   inference   {moved[0]:.6f}")
print(f"   training    {moved[1]:.6f}, and looking has moved G's averages, by {drift:.3f}")
try:
    g(noise[:1])
except mg.MiniganError as error:
    message = str(error)
print(f"   And one picture alone: {message}\n")

# ── 4. Real and fake in one batch ────────────────────────────────────────────────────────────
# The simplest game: a picture is one number. Real ones lie around 1, fake ones around -1.


def numbers(mean, step):
    return stream(0, f"numbers around {mean}", step).normal(mean, 0.5, (64, 1)).astype("float32")


def train(norms, together):
    """D's loss after 500 steps, and what G then gets from it: D's opinion and a slope."""
    d = mg.Sequential(*norms, mg.Dense(1, in_features=1)).initialize(0)
    adam = mg.Adam(0.02)
    for step in range(500):
        real, fake = numbers(1, step), numbers(-1, step)
        both = d(np.concatenate([real, fake])) if together else mg.concatenate([d(real), d(fake)])
        d_loss = mg.discriminator_loss(both[:64], both[64:])
        adam.minimize(d_loss, d.parameters())

    shift = mg.Tensor(np.float32(0), requires_grad=True)  # by which G could move all its numbers
    logits = d(fake + shift)
    (slope,) = mg.grad(mg.generator_loss(logits), [shift])
    return d_loss.item(), mg.sigmoid(logits.numpy()).mean(), slope.item()


games = {
    "together, with batch norm": train([mg.BatchNorm(in_channels=1)], together=True),
    "apart, with batch norm": train([mg.BatchNorm(in_channels=1)], together=False),
    "without batch norm": train([], together=False),
}
print("4. D's batches              D's loss   in G's step: D(fake)   slope to the fakes' mean")
for name, (d_loss, opinion, slope) in games.items():
    print(f"   {name:25} {d_loss:7.3f} {opinion:21.3f} {slope:22.3f}")
print("   Together, D wins by the means. But G's step shows it fakes alone, whose mean batch norm")
print("   takes away: G can't learn what D knows. Apart, D knows only what it can also teach.")

# ── The picture: the moving variance, and what D's batch norm sees ───────────────────────────

figure = Figure(figsize=(17, 5), layout="constrained")
left, *panels = figure.subplots(1, 3)
left.plot(history, linewidth=3, label=["with Bessel's correction", "without"])
left.axhline(4, color="black", linestyle=":", label="the truth")
left.set_title("moving variance in 60 passes", fontsize=20)
real, fake = numbers(1, 0), numbers(-1, 0)
together = mg.BatchNorm()(np.concatenate([real, fake])).numpy()
apart = np.concatenate([mg.BatchNorm()(batch).numpy() for batch in (real, fake)])
for axes, name, normalised in zip(panels, ("together", "apart"), (together, apart), strict=True):
    for label, values in ("real", normalised[:64]), ("fake", normalised[64:]):
        axes.hist(values, np.linspace(-3, 3, 25), alpha=0.5, label=label)
    axes.set_title(f"normalised {name}", fontsize=20)
for axes in (left, *panels):
    axes.tick_params(labelsize=15)
    axes.legend(fontsize=16)
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "10_batch_norm.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert np.allclose(y, by_hand, atol=1e-4)
assert np.isclose(moving_mean, 3 * (1 - 0.9**60), rtol=0.01)
assert np.allclose(history[-1], [4, 3], rtol=0.03)
assert 1000 * moved[0] < 0.01 < moved[1]
assert drift > 0.001
assert games["together, with batch norm"][0] < 0.5
assert np.isclose(games["apart, with batch norm"][0], 2 * np.log(2), atol=0.02)
for name, (_, opinion, slope) in games.items():
    blind = "with batch norm" in name
    assert (abs(opinion - 0.5) < 0.1) == (abs(slope) < 1e-3) == blind, name

# Exercise. tf.layers' momentum is 0.99. After how many passes is the moving mean, which starts at
# 0, within 1% of the batches' mean? Work it out, write it as `answer`, and check:
#     slow, passes, batch = mg.BatchNorm(momentum=0.99), 0, np.array([[0.5], [1.5]], np.float32)
#     while passes == 0 or slow.moving_mean[0] < 0.99:
#         slow(batch)
#         passes += 1
#     assert answer == passes, f"it takes {passes} passes"
