"""Lesson 6: Adam, and whose weights it may move.

What TensorFlow writes
    solver = tf.train.AdamOptimizer(0.001)
    pairs = solver.compute_gradients(g_loss, var_list=theta_g)     # [(gradient, variable), ...]
    train = solver.apply_gradients(pairs)
    train = solver.minimize(g_loss, var_list=theta_g)              # both in one call

The mathematics
    m += (1 - b1) (g - m)          the recent mean of the gradient;   b1 = 0.9
    v += (1 - b2) (g^2 - v)        the recent mean of its square;     b2 = 0.999
    w -= rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)     t = 1, 2, ...
    The first step is  rate |g| / (|g| + epsilon / sqrt(1 - b2)):  the rate, unless g is tiny.

minigan's way
    The same three methods, and epsilon where TensorFlow adds it: to sqrt(v) as it stands. PyTorch
    first divides sqrt(v) by sqrt(1 - b2^t): Adam(pytorch_epsilon=True).
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minigan as mg
from minigan.gan import mlp_gan
from minigan.random import stream

# ── 1. Three updates, three ways ─────────────────────────────────────────────────────────────

start = np.array([1.0, -2.0, 300.0])
w, u = (mg.Tensor(start, requires_grad=True) for _ in range(2))
w_adam, u_adam = mg.Adam(0.1), mg.Adam(0.1)
by_hand, m, v = start.copy(), 0.0, 0.0

print("1. minimising the sum of w^2: two calls, one call, by hand")
for t in (1, 2, 3):
    pairs = w_adam.compute_gradients(mg.sum(w * w), [w])
    w_adam.apply_gradients(pairs)

    u_adam.minimize(mg.sum(u * u), [u])

    g = 2 * by_hand
    m += (1 - 0.9) * (g - m)
    v += (1 - 0.999) * (g * g - v)
    by_hand -= 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
    print(f"   t = {t}", *(x.round(3).tolist() for x in (w.numpy(), u.numpy(), by_hand)), sep="   ")
print("   The slopes 2, -4 and 600 differ, yet each step is about 0.1 long: the learning rate.\n")

# ── 2. Epsilon decides how far a tiny gradient moves a weight ────────────────────────────────


def first_step(gradient, **options):
    """How far the first update of Adam moves a weight, in learning rates."""
    w = mg.Tensor(np.zeros_like(gradient), requires_grad=True)
    mg.Adam(1.0, **options).apply_gradients([(gradient, w)])
    return -w.numpy()


gradients = np.logspace(-11, -4, 71)
tensorflow_steps = first_step(gradients)
pytorch_steps = first_step(gradients, pytorch_epsilon=True)

print("2. the first step, in learning rates")
print("   gradient   TensorFlow   PyTorch")
for i in (20, 30, 40, 50, 60):
    print(f"   {gradients[i]:8.0e} {tensorflow_steps[i]:12.4f} {pytorch_steps[i]:9.4f}")
print()

# ── 3. The pitfall: without var_list, every variable in the loss is trained ──────────────────


def noise(step):
    return stream(0, "noise", step).uniform(-1, 1, (128, 4)).astype("float32")


def points(step):
    """What G shall learn to make: points along a line in the plane, (128, 2)."""
    x = stream(0, "points", step).normal(size=(128, 2)) @ [[0.10, 0.08], [0.0, 0.03]]
    return (x + 0.5).astype("float32")


gan = mlp_gan(hidden=64, latent_size=4, pixels=2)
g_loss = mg.generator_loss(gan.discriminator(gan.generator(noise(0))))
print("3. minimize(g_loss) would move")
default = [variable.name for _, variable in mg.Adam().compute_gradients(g_loss)]
print("  ", "\n   ".join(default))

# ── 4. What that does to a GAN ───────────────────────────────────────────────────────────────


def train(with_var_list, steps=1200):
    """D's mean opinion of G's points, D(G(z)), at each step of training."""
    gan = mlp_gan(hidden=64, latent_size=4, pixels=2)
    g, d = gan.generator, gan.discriminator
    g_adam, d_adam = mg.Adam(), mg.Adam()
    opinions = []
    for step in range(steps):
        d_loss = mg.discriminator_loss(d(points(step)), d(g(noise(2 * step))))
        d_adam.minimize(d_loss, d.parameters())
        fake_logits = d(g(noise(2 * step + 1)))
        g_adam.minimize(mg.generator_loss(fake_logits), g.parameters() if with_var_list else None)
        opinions.append(mg.sigmoid(fake_logits.numpy()).mean())
    return np.array(opinions)


opinions, bribed = train(with_var_list=True), train(with_var_list=False)
print(f"\n4. D's mean opinion of fakes in the last 500 steps: {opinions[-500:].mean():.3f} with")
print(f"   var_list, {bribed[-500:].mean():.3f} without: G's step has taught D to call fakes real.")

# ── The picture: epsilon, and the bribed discriminator ───────────────────────────────────────

figure = Figure(figsize=(14, 6), layout="constrained")
left, right = figure.subplots(1, 2)
left.semilogx(gradients, tensorflow_steps, linewidth=3, label="TensorFlow, minigan")
left.semilogx(gradients, pytorch_steps, "--", linewidth=3, label="PyTorch")
left.set_title("Adam's first step, epsilon = 1e-8", fontsize=20)
left.set_xlabel("|gradient|", fontsize=18)
left.set_ylabel("step / learning rate", fontsize=18)
right.plot(opinions, linewidth=1.5, label="var_list = G's variables")
right.plot(bribed, linewidth=1.5, color="C3", label="no var_list: D is moved, too")
right.axhline(0.5, color="black", linestyle=":")
right.set_title("What D thinks of fakes", fontsize=20)
right.set_xlabel("step", fontsize=18)
right.set_ylabel("mean D(G(z))", fontsize=18)
for axes in (left, right):
    axes.tick_params(labelsize=15)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=16)
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "06_adam_and_var_list.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert np.array_equal(w.numpy(), u.numpy())
assert np.allclose(w.numpy(), by_hand, rtol=1e-12)
assert np.allclose(tensorflow_steps, gradients / (gradients + 1e-8 / np.sqrt(1 - 0.999)))
assert np.allclose(pytorch_steps, gradients / (gradients + 1e-8))
assert default == [name for name, _ in gan.named_parameters()]
assert abs(opinions[-500:].mean() - 0.5) < 0.02
assert bribed[-500:].mean() > 0.52

# Exercise. The gradient of a weight is 5 at every update. How far have 10 updates with a learning
# rate of 0.1 moved it? Work it out from the formulas, write it as `answer`, and check:
#     x, adam = mg.Tensor(0.0, requires_grad=True), mg.Adam(0.1)
#     for _ in range(10):
#         adam.minimize(-5 * x, [x])
#     assert np.isclose(x.item(), answer, rtol=1e-6), f"it has moved {x.item():.6f}"
