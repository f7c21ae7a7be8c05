"""Lesson 4: the dense layer, and the numbers it starts from.

What TensorFlow writes
    x = tf.placeholder(tf.float32, [5, 8, 20])
    h = tf.layers.dense(x, 10, activation=tf.nn.relu)                     # shape (5, 8, 10)
    w = tf.get_variable("w", [784, 128], initializer=tf.contrib.layers.xavier_initializer())

The mathematics
    h[..., o] = relu(sum_i x[..., i] kernel[i, o] + bias[o])              the last axis only
    Each output sums I products, so its variance is I var(kernel) times the inputs' mean square. A
    relu then halves the mean square. The signal keeps its size from layer to layer if
        I var(kernel) / 2 = 1,   that is   stddev = sqrt(2 / I)           He 2015
    Glorot's 2010 rule, made for tanh, also counts the outputs:  stddev = sqrt(2 / (I + O))

minigan's way
    Dense is a module that makes its kernel (I, O) when it first sees an input. An initializer is
    called with a shape and returns the numbers.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minigan as mg
from minigan.random import stream

# ── 1. Dense works on the last axis ──────────────────────────────────────────────────────────

layer = mg.Dense(10, activation=mg.relu, name="h")
x = stream(0, "x").normal(size=(5, 8, 20)).astype("float32")
h = layer(x)  # (5, 8, 20) -> (5, 8, 10)
by_hand = np.maximum(np.einsum("abi,io->abo", x, layer.kernel.numpy()) + layer.bias.numpy(), 0)

print(f"1. dense {x.shape} -> {h.shape}; the 40 rows of 20 numbers share one kernel")
print(layer.summary(), "\n")

# ── 2. Calling a layer again is TensorFlow's reuse=True ──────────────────────────────────────

layer(-x)
print(f"2. after a second call there are still {len(layer.parameters())} parameters, both shared;")
print("   so an input that does not fit the kernel is refused:")
try:
    layer(x[..., :19])
except mg.MiniganError as error:
    message = str(error)
print(f"   {message}\n")

# ── 3. What the initializers draw ────────────────────────────────────────────────────────────

shape = (784, 128)  # I = 784 inputs, O = 128 outputs
initializers = {
    "RandomNormal(stddev=0.02)": (mg.RandomNormal(stddev=0.02), 0.02),
    "TruncatedNormal(stddev=0.02)": (mg.TruncatedNormal(stddev=0.02), 0.8796 * 0.02),
    "GlorotUniform()": (mg.GlorotUniform(), np.sqrt(2 / (784 + 128))),
    "HeNormal()": (mg.HeNormal(), np.sqrt(2 / 784)),
}
print("3. the standard deviation of a (784, 128) kernel")
print("                                    drawn  expected")
drawn = {}
for name, (initializer, expected) in initializers.items():
    drawn[name] = initializer(shape, stream(0, name)).std()
    print(f"   {name:30} {drawn[name]:8.5f}  {expected:8.5f}")
print("   What the tutorials' own code calls xavier_init is HeNormal: 1 / sqrt(I / 2).")
print("   TensorFlow's xavier_initializer() is GlorotUniform.\n")

# ── 4. Twenty layers deep ────────────────────────────────────────────────────────────────────

WIDTH, DEPTH = 256, 20


def activation_std(initializer, activation):
    """The standard deviation of the activations after each of DEPTH layers; (DEPTH,)."""
    h = stream(0, "input").normal(size=(100, WIDTH))
    spread = []
    for depth in range(DEPTH):
        h = activation(h @ initializer((WIDTH, WIDTH), stream(0, "kernel", depth)))
        spread.append(h.std())
    return np.array(spread)


deep = {
    "RandomNormal(stddev=1)": (mg.RandomNormal(stddev=1.0), 1.0),
    "HeNormal": (mg.HeNormal(), np.sqrt(2 / WIDTH)),
    "GlorotUniform": (mg.GlorotUniform(), np.sqrt(2 / (WIDTH + WIDTH))),
    "RandomNormal(stddev=0.02)": (mg.RandomNormal(stddev=0.02), 0.02),
}
print(f"4. the activations' standard deviation in {DEPTH} layers of {WIDTH}, each with relu")
print("                            layer 1  layer 20  factor a layer  expected")
by_depth, factors = {}, {}
for name, (initializer, stddev) in deep.items():
    by_depth[name] = spread = activation_std(initializer, mg.relu)
    factor = (spread[-1] / spread[0]) ** (1 / (DEPTH - 1))
    factors[name] = factor, stddev * np.sqrt(WIDTH / 2)
    print(f"   {name:25} {spread[0]:6.2g} {spread[-1]:9.2g} {factor:15.3f} {factors[name][1]:9.3f}")

# ── The picture: activations by depth ────────────────────────────────────────────────────────

figure = Figure(figsize=(11, 6.5), layout="constrained")
axes = figure.subplots()
for name, spread in by_depth.items():
    axes.semilogy(range(1, DEPTH + 1), spread, "o-", linewidth=2.5, label=name)
axes.set_title(f"How large is the signal after each of {DEPTH} relu layers?", fontsize=20)
axes.set_xlabel("layer", fontsize=18)
axes.set_ylabel("standard deviation", fontsize=18)
axes.set_xticks([1, 5, 10, 15, 20])
axes.tick_params(labelsize=15)
axes.grid(alpha=0.3)
axes.legend(fontsize=16)
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "04_dense_and_initializers.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert h.shape == (5, 8, 10)
assert np.allclose(h.numpy(), by_hand, atol=1e-5)
assert layer.kernel.shape == (20, 10)
assert len(layer.parameters()) == 2
for name, (_, expected) in initializers.items():
    assert np.isclose(drawn[name], expected, rtol=0.02), name
for name, (factor, expected) in factors.items():
    assert np.isclose(factor, expected, rtol=0.1), name
assert 0.3 < by_depth["HeNormal"][-1] < 3
assert by_depth["GlorotUniform"][-1] < 0.01

# Exercise. leaky_relu lets alpha = 0.2 of the negative side through: it keeps (1 + alpha^2) / 2 of
# the mean square. Which stddev keeps the signal's size? Write it, in terms of WIDTH, as `stddev`:
#     leaky_std = activation_std(mg.RandomNormal(stddev=stddev), mg.leaky_relu)
#     assert 0.8 < leaky_std[-1] / leaky_std[0] < 1.25, leaky_std
