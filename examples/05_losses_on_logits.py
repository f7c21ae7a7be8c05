"""Lesson 5: the losses of a GAN, on logits.

What TensorFlow writes
    d_loss = -tf.reduce_mean(tf.log(d_real) + tf.log(1.0 - d_fake))       # on probabilities
    ce = tf.nn.sigmoid_cross_entropy_with_logits(logits=l, labels=tf.ones_like(l))   # on logits
    g_loss = tf.reduce_mean(ce)

The mathematics
    D = sigmoid(l). Cross-entropy with label t:   -t log D - (1 - t) log(1 - D)
        as TensorFlow computes it:                max(l, 0) - l t + log(1 + e^-|l|)
    D's loss: real with t = 1 plus fake with t = 0. G's loss, with its slope on a logit of D(G(z)):
        minimax          log(1 - D)       slope  -D             0 while D is sure of a fake
        non-saturating   -log D           slope  -(1 - D)       -1 while D is sure of a fake

minigan's way
    discriminator_loss(real_logits, fake_logits), generator_loss(fake_logits): stable for every
    logit. log_discriminator_loss and log_generator_loss take probabilities, as in the first line.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minigan as mg

# ── 1. The same loss, stable and naive ───────────────────────────────────────────────────────


def naive(labels, logits):
    probability = mg.sigmoid(logits)
    return -labels * mg.log(probability) - (1 - labels) * mg.log(1 - probability)


stable = mg.sigmoid_cross_entropy_with_logits


def loss_and_slope(loss, label, logit):
    """The loss of one float32 logit, and its derivative."""
    logit = mg.Tensor(np.float32(logit), requires_grad=True)
    with np.errstate(all="ignore"):  # the naive loss would warn
        value = loss(label, logit)
        (slope,) = mg.grad(value, [logit])
    return value.item(), slope.item()


print("1. loss (slope) of a fake, label 0       naive                      stable")
results = {}
for logit in (-100, -20, -1, 0, 1, 20, 100):
    results[logit] = loss_and_slope(naive, 0.0, logit), loss_and_slope(stable, 0.0, logit)
    cells = [f"{loss:12.5g} ({slope:9.3g})" for loss, slope in results[logit]]
    print(f"   logit {logit:5}              {'   '.join(cells)}")
print("   Computed in float32, sigmoid(20) is 1 and sigmoid(-100) is 0. The log of 0 is -inf,")
print("   and one step along a nan would destroy every weight.\n")

# ── 2. -mean(log D) is cross-entropy ─────────────────────────────────────────────────────────

real_logits = np.array([2.0, 0.5, -0.3], np.float32)
fake_logits = np.array([-1.5, 0.2, -0.8], np.float32)
d_on_logits = mg.discriminator_loss(real_logits, fake_logits)
d_on_probabilities = mg.log_discriminator_loss(mg.sigmoid(real_logits), mg.sigmoid(fake_logits))
g_on_logits = mg.generator_loss(fake_logits)
g_on_probabilities = mg.log_generator_loss(mg.sigmoid(fake_logits))

print("2. where nothing overflows, both forms agree:")
print(f"   D's loss    on logits {d_on_logits:.6f}    on probabilities {d_on_probabilities:.6f}")
print(f"   G's loss    on logits {g_on_logits:.6f}    on probabilities {g_on_probabilities:.6f}")
undecided = np.zeros(3, np.float32)
balance = mg.discriminator_loss(undecided, undecided), mg.generator_loss(undecided)
print(f"   when D can't tell, every logit is 0: D's loss {balance[0]:.4f} = 2 log 2,")
print(f"                                        G's loss {balance[1]:.4f} = log 2\n")

# ── 3. Why G doesn't play the game as written ────────────────────────────────────────────────

logits = np.linspace(-10, 10, 201)


def slopes(loss):
    """The derivative of G's loss on each logit alone."""
    leaf = mg.Tensor(logits, requires_grad=True)
    (gradient,) = mg.grad(loss(leaf), [leaf])
    return gradient * len(logits)  # the loss is a mean


minimax = slopes(mg.minimax_generator_loss)
non_saturating = slopes(mg.generator_loss)

print("3. G's slope, by what D says of a fake")
print("   logit    D(G(z))     minimax    non-saturating")
for i in (0, 50, 100, 150):
    probability = mg.sigmoid(logits[i])
    print(f"   {logits[i]:5.0f} {probability:10.5f} {minimax[i]:11.5f} {non_saturating[i]:13.5f}")
print("   Early on D is sure (logit -10): minimax leaves G almost nothing to learn from.")

# ── The picture: the broken loss, and the lost slope ─────────────────────────────────────────

figure = Figure(figsize=(14, 6), layout="constrained")
left, right = figure.subplots(1, 2)
wide = np.linspace(-30, 30, 601, dtype=np.float32)
with np.errstate(all="ignore"):
    left.plot(wide, stable(0.0, wide), linewidth=7, alpha=0.4, label="stable, on logits")
    left.plot(wide, naive(0.0, wide), linewidth=2.5, color="C3", label="naive, ends in infinity")
left.set_title("Loss of a fake (label 0), float32", fontsize=20)
left.set_ylabel("loss", fontsize=18)
left.legend(fontsize=16)
right.plot(logits, -minimax, linewidth=3, label="minimax: log(1 - D)")
right.plot(logits, -non_saturating, linewidth=3, label="non-saturating: -log D")
right.set_title("How strongly G is pulled", fontsize=20)
right.set_ylabel("|slope| of G's loss", fontsize=18)
right.set_ylim(-0.05, 1.4)
right.legend(fontsize=16, loc="upper center")
for axes in (left, right):
    axes.set_xlabel("logit of a fake", fontsize=18)
    axes.tick_params(labelsize=15)
    axes.grid(alpha=0.3)
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "05_losses_on_logits.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert mg.sigmoid(np.float32(20)) == 1
assert mg.sigmoid(np.float32(-100)) == 0
assert results[100][0][0] == np.inf
assert np.isnan(results[100][0][1])
assert results[100][1] == (100, 1)
assert np.allclose(results[1][0], results[1][1], rtol=1e-5)
assert np.isclose(d_on_logits, d_on_probabilities, rtol=1e-5)
assert np.isclose(g_on_logits, g_on_probabilities, rtol=1e-5)
assert np.allclose(balance, (2 * np.log(2), np.log(2)), rtol=1e-6)
assert np.allclose(minimax, -mg.sigmoid(logits))
assert np.allclose(non_saturating, mg.sigmoid(logits) - 1)

# Exercise. One-sided label smoothing gives real pictures the label 0.9 in place of 1. Write
# smooth_discriminator_loss(real_logits, fake_logits). Which logit of a real picture does it like
# best? The check expects the one where D = 0.9:
#     best = min(logits, key=lambda l: smooth_discriminator_loss(np.array([l]), fake_logits))
#     assert abs(mg.sigmoid(best) - 0.9) < 0.01, best
