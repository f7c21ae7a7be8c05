"""Lesson 3: proving a gradient with numbers.

What TensorFlow writes
    error = tf.test.compute_gradient_error(x, x_shape, y, y_shape)   # the largest difference

The mathematics
    forward difference   (f(x + e) - f(x)) / e              error about  e |f''| / 2
    central difference   (f(x + e) - f(x - e)) / (2 e)      error about  e^2 |f'''| / 6
    Rounding adds about  u |f| / e,  with u = 1e-16 in float64 and 6e-8 in float32. A large e
    suffers from the first error, a small e from the second: drawn against e, their sum is a V.

minigan's way
    Compare grad's answer with a central difference in float64, along one random direction through
    all weights at once. A rule that is wrong by one part in a thousand stands out clearly.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minigan as mg
from minigan.random import stream

# ── 1. One slope, three ways ─────────────────────────────────────────────────────────────────


def f(x):
    return mg.softplus(x) * mg.exp(x)


def forward_difference(x, epsilon):
    return (f(x + epsilon) - f(x)) / epsilon


def central_difference(x, epsilon):
    return (f(x + epsilon) - f(x - epsilon)) / (2 * epsilon)


one = mg.Tensor(1.0, requires_grad=True)
(slope,) = mg.grad(f(one), [one])

print("1. the slope of softplus(x) e^x at x = 1")
print(f"   the engine                       {slope:.12f}")
print(f"   forward difference, e = 1e-5     {forward_difference(1.0, 1e-5):.12f}")
print(f"   central difference, e = 1e-5     {central_difference(1.0, 1e-5):.12f}\n")

# ── 2. Smaller is not better: the V ──────────────────────────────────────────────────────────

curves = {
    "forward, float64": (forward_difference, np.float64),
    "central, float64": (central_difference, np.float64),
    "central, float32": (central_difference, np.float32),
}
epsilons = np.logspace(-13, 0, 53)
x = mg.Tensor(np.linspace(0.5, 1.5, 200), requires_grad=True)
(slopes,) = mg.grad(mg.sum(f(x)), [x])  # each term of the sum has its own x: 200 slopes
errors = {}
for name, (difference, dtype) in curves.items():
    estimates = np.array([difference(x.data.astype(dtype), dtype(e)) for e in epsilons])
    errors[name] = np.mean(abs(estimates - slopes) / slopes, axis=1)

print("2. at 200 points: the smallest mean relative error, and the e that gives it")
for name, error in errors.items():
    print(f"   {name}   {error.min():.0e}    e = {epsilons[error.argmin()]:.0e}")
print()

# ── 3. All weights of a discriminator at once ────────────────────────────────────────────────


def relative_error(loss, weights, epsilon=1e-6):
    """How far grad is from a central difference along a random direction; arrays in float64."""
    directions = [stream(0, "direction", i).normal(size=w.shape) for i, w in enumerate(weights)]
    tensors = [mg.Tensor(w, requires_grad=True) for w in weights]
    gradients = mg.grad(loss(*tensors), tensors)
    exact = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    ahead = loss(*[w + epsilon * v for w, v in zip(weights, directions, strict=True)])
    behind = loss(*[w - epsilon * v for w, v in zip(weights, directions, strict=True)])
    return abs((ahead - behind) / (2 * epsilon) - exact) / abs(exact)


images = stream(0, "images").random((16, 784))
shapes = [(784, 128), (128,), (128, 1), (1,)]
weights = [stream(0, "weights", i).normal(0, 0.05, shape) for i, shape in enumerate(shapes)]


def discriminator_loss(w1, b1, w2, b2):
    hidden = mg.relu(images @ w1 + b1)  # (16, 784) -> (16, 128)
    logits = hidden @ w2 + b2  # (16, 128) -> (16, 1)
    return mg.mean(mg.sigmoid_cross_entropy_with_logits(1.0, logits))


network_error = relative_error(discriminator_loss, weights)
count = sum(w.size for w in weights)
print(f"3. {count:,} weights, two extra forward passes: relative error {network_error:.0e}\n")

# ── 4. A checker must be able to fail ────────────────────────────────────────────────────────


@mg.op
def almost_square(x):
    return x * x


almost_square.pullbacks(lambda g, y, x: g * (2.002 * x))  # wrong by one part in a thousand

points = stream(0, "points").normal(size=(4, 5))
good_error = relative_error(lambda x: mg.mean(mg.square(x)), [points])
bad_error = relative_error(lambda x: mg.mean(almost_square(x)), [points])
print("4. the same check on the right rule and on a wrong one")
print(f"   square           {good_error:.0e}")
print(f"   almost_square    {bad_error:.0e}")

# ── The picture: error against epsilon ───────────────────────────────────────────────────────

figure = Figure(figsize=(11, 6.5), layout="constrained")
axes = figure.subplots()
for name, error in errors.items():
    axes.loglog(epsilons, error, "o-", markersize=5, linewidth=2, label=name)
axes.set_title("How wrong is a finite difference?", fontsize=20)
axes.set_xlabel("epsilon", fontsize=18)
axes.set_ylabel("relative error", fontsize=18)
axes.set_ylim(1e-12, 10)
axes.text(3e-11, 1e-4, "too small:\nrounding", fontsize=17)
axes.text(1e-3, 1e-10, "too large:\ncurvature", fontsize=17)
axes.tick_params(labelsize=15)
axes.grid(alpha=0.3)
axes.legend(fontsize=16, loc="lower left")
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "03_gradient_check.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert errors["central, float64"].min() < 1e-9 < errors["forward, float64"].min() < 1e-7
assert 1e-7 < errors["central, float32"].min() < 1e-3
for error in errors.values():  # a V: both ends are far above the bottom
    assert min(error[0], error[-1]) > 1000 * error.min()
assert network_error < 1e-6
assert good_error < 1e-8
assert np.isclose(bad_error, 1e-3, rtol=0.01)

# Exercise. What is the pullback of swish(x) = x sigmoid(x)? Write it, by the product rule, as
# swish_pullback(g, y, x), and let the machine check it. minigan's own checker looks at every
# element, at the second derivative too, and says where and how a rule is wrong:
#     @mg.op
#     def swish(x):
#         return x * mg.sigmoid(x)
#     swish.pullbacks(swish_pullback)
#     print(mg.check_gradients(swish, points))
