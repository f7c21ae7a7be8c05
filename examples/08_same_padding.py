"""Lesson 8: SAME padding, and which pixels a kernel meets.

What TensorFlow writes
    y = tf.nn.conv2d(x, w, strides=[1, 2, 2, 1], padding="SAME")      # w (5, 5, 1, 64)
    y = tf.layers.conv2d(x, 64, 5, strides=2, padding="same")         # "valid" unless given

The mathematics, for n pixels in a row, a kernel of k taps and stride s
    SAME      outputs = ceil(n / s)              zeros = max((outputs - 1) s + k - n, 0)
              before  = zeros // 2               after = zeros - before:  an odd one goes after
    VALID     outputs = ceil((n - k + 1) / s)    no zeros
    PyTorch   outputs = floor((n + 2 p - k) / s) + 1:  p zeros on both sides, p is yours to choose
    Output j is  sum_i w[i] x[j s + i - before]:  `before` decides which pixels a kernel meets.

minigan's way
    conv2d(x, w, strides, padding) takes "same", "valid", or the zeros themselves,
    ((top, bottom), (left, right)). So it can do what TensorFlow does and what PyTorch does.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import minigan as mg
from minigan.data import load_digits
from minigan.random import stream

K, S = 5, 2  # kernel size and stride of the DCGANs

# ── 1. The arithmetic ────────────────────────────────────────────────────────────────────────


def same_padding(n, k=K, s=S):
    outputs = -(-n // s)  # rounded up
    zeros = max((outputs - 1) * s + k - n, 0)
    return outputs, zeros // 2, zeros - zeros // 2


print(f"1. SAME, kernel {K}, stride {S}")
print("   pixels   outputs   zeros before   after")
arithmetic = {n: same_padding(n) for n in (64, 28, 14, 8, 7, 5, 4)}
for n, (outputs, before, after) in arithmetic.items():
    print(f"   {n:6} {outputs:9} {before:14} {after:7}")
print("   An even number of pixels gets one zero more after them.\n")

# ── 2. Drawn: 8 pixels, output by output ─────────────────────────────────────────────────────


def drawing(n, before, after, outputs):
    """A row of pixels, and below it the taps of the kernel at each output; * is the middle one."""
    pixels = "".join(str(i) for i in range(n))
    lines = ["." * before + pixels + "." * after]
    lines += [f"{'':{j * S}}(-*-){'':{(outputs - j) * S}}output {j}" for j in range(outputs)]
    return "\n".join(" " * (8 - before) + line for line in lines)


print("2. 8 pixels in a row, . a zero, (-*-) the five taps of the kernel")
print("   TensorFlow, SAME: zeros 1 and 2")
print(drawing(8, 1, 2, 4))
print("   PyTorch, padding=2: zeros 2 and 2; the last one is never met")
print(f"{drawing(8, 2, 2, 4)}\n")

# ── 3. Computed: a kernel that keeps its middle pixel ────────────────────────────────────────


def convolve(x, w, padding):
    """One row of pixels and one kernel, both (n,), through conv2d."""
    return mg.conv2d(x.reshape(1, 1, -1, 1), w.reshape(1, -1, 1, 1), (1, S), padding).ravel()


both_sides = ((0, 0), (2, 2))  # PyTorch's padding=2
middle = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
kept = {
    n: (convolve(np.arange(n) * 1.0, middle, "same"),
        convolve(np.arange(n) * 1.0, middle, both_sides))
    for n in (8, 7)
}  # fmt: skip
print("3. the pixels below the middle tap")
print("              TensorFlow   PyTorch")
for n, (tensorflow, pytorch) in kept.items():
    print(f"   {n} pixels   {tensorflow.astype(int)}    {pytorch.astype(int)}")
print("   As many outputs, other pixels. For an odd number of pixels the two agree.\n")

# ── 4. So weights don't simply move from one framework to the other ──────────────────────────

digit = load_digits().images[0].reshape(1, 28, 28, 1) / 255.0  # (N, H, W, C)
w = stream(0, "kernel").normal(size=(5, 5, 1, 64))
same = mg.conv2d(digit, w, S, "same")  # (1, 28, 28, 1) -> (1, 14, 14, 64)
as_pytorch = mg.conv2d(digit, w, S, ((2, 2), (2, 2)))
written_out = mg.conv2d(digit, w, S, ((1, 2), (1, 2)))
difference = np.linalg.norm(same - as_pytorch) / np.linalg.norm(same)
print(f"4. a digit, {w.shape[3]} kernels, both ways: {same.shape} and {as_pytorch.shape}")
print(f"   they differ by {difference:.0%}. SAME with the zeros written out is ((1, 2), (1, 2)),")
print("   in PyTorch F.conv2d(F.pad(x, (1, 2, 1, 2)), w, stride=2).\n")

# ── 5. Sizes through a network ───────────────────────────────────────────────────────────────

layer = mg.Conv2D(3, K, S, "same")
h, sizes = np.zeros((1, 108, 64, 3), np.float32), [(108, 64)]
for _ in range(4):
    h = layer(h)
    sizes.append(h.shape[1:3])
print("5. four layers of stride 2; the tutorial's conv_out_size_same(n, s) is ceil(n / s):")
print("  ", " -> ".join(f"{height} x {width}" for height, width in sizes))

# ── The picture: where the kernels lie ───────────────────────────────────────────────────────

figure = Figure(figsize=(14, 5.5), layout="constrained")
for axes, title, before in zip(
    figure.subplots(1, 2), ("TensorFlow: SAME", "PyTorch: padding=2"), (1, 2), strict=True
):
    for i in range(-before, 8 + 2):
        colour = "C0" if 0 <= i < 8 else "none"
        axes.add_patch(Rectangle((i, 0), 1, 0.8, facecolor=colour, edgecolor="black", alpha=0.5))
        axes.text(i + 0.5, 0.4, i if 0 <= i < 8 else "", fontsize=18, ha="center", va="center")
    for j in range(4):
        start, level = j * S - before, -0.6 * (j + 1)
        axes.add_patch(Rectangle((start, level), K, 0.4, facecolor="C1", alpha=0.5))
        axes.add_patch(Rectangle((start + 2, level), 1, 0.4, facecolor="C3"))
        axes.text(start + 5.2, level + 0.2, f"output {j}", fontsize=16, va="center")
    axes.set_title(title, fontsize=20)
    axes.set(xlim=(-2.3, 13), ylim=(-2.8, 1.2))
    axes.axis("off")
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "08_same_padding.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

for n, (outputs, before, after) in arithmetic.items():
    x = stream(0, "row", n).normal(size=n)
    row = convolve(x, np.arange(1.0, 6.0), "same")
    assert row.size == outputs
    assert np.array_equal(row, convolve(x, np.arange(1.0, 6.0), ((0, 0), (before, after))))
assert kept[8][0].tolist() == [1, 3, 5, 7]
assert kept[8][1].tolist() == [0, 2, 4, 6]
assert np.array_equal(*kept[7])
assert same.shape == as_pytorch.shape
assert difference > 0.5
assert np.array_equal(same, written_out)
assert sizes[-1] == (7, 4)

# Exercise. For which n does PyTorch's padding=1 do what SAME does, if the kernel has 4 taps and the
# stride is 2? Write agrees(n), True or False; the check compares the outputs:
#     for n in range(4, 30):
#         x, w = stream(0, "x", n).normal(size=n), np.array([1.0, 2.0, 3.0, 4.0])
#         tensorflow, pytorch = (convolve(x, w, p) for p in ("same", ((0, 0), (1, 1))))
#         assert agrees(n) == np.array_equal(tensorflow, pytorch), f"not so for {n} pixels"
