"""Lesson 9: the transposed convolution is convolution's gradient.

What TensorFlow writes
    h = tf.nn.conv2d_transpose(g, w, output_shape=[64, 14, 14, 64], strides=[1, 2, 2, 1])
    h = tf.layers.conv2d_transpose(g, 64, 5, strides=2, padding="same")

The mathematics
    A convolution is linear in its input: y = A x, for a matrix A made of the kernel's numbers. So
        dL/dx = A^T dL/dy                     its gradient: the transposed convolution
        <A x, y> = <x, A^T y>                 for all x and y: the adjoint identity
    Where A makes n s pixels into n, A^T makes n into n s:
        SAME     n s                          VALID    n s + max(k - s, 0)

minigan's way
    conv2d_transpose(g, w, strides, padding, output_shape) takes the very kernel of conv2d, whose
    inputs are now its outputs: (KH, KW, O, I). Each of the two is the other's pullback. A generator
    makes pictures larger with it. It doesn't undo a convolution: A^T A x is not x.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minigan as mg
from minigan.random import stream

# ── 1. A convolution as a matrix ─────────────────────────────────────────────────────────────


def convolve(x, w):
    """Each row of x is a picture of one line: (N, n) -> (N, n / 2), with stride 2."""
    return mg.conv2d(x[:, None, :, None], w.reshape(1, -1, 1, 1), (1, 2))[:, 0, :, 0]


def transposed(y, w, stride=2):
    """The other way: (N, n) -> (N, n * stride)."""
    return mg.conv2d_transpose(y[:, None, :, None], w.reshape(1, -1, 1, 1), (1, stride))[:, 0, :, 0]


line = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
matrix = convolve(np.eye(8), line).T  # each column is what one pixel turns into: (4, 8)
its_transpose = transposed(np.eye(4), line).T  # (8, 4)
print("1. the kernel 1 2 3 4 5 with stride 2, from 8 pixels to 4: y = A x with A =")
print(*(f"      {row}" for row in matrix.astype(int)), sep="\n")
print("   conv2d_transpose, from 4 pixels to 8, has the matrix")
print(*(f"      {row}" for row in its_transpose.astype(int)), sep="\n")
print()

# ── 2. The adjoint identity ──────────────────────────────────────────────────────────────────

w = stream(0, "w").normal(size=(5, 5, 3, 8))  # (KH, KW, I, O)
x = stream(0, "x").normal(size=(2, 14, 14, 3))
print("2. <conv2d(x, w), y> and <x, conv2d_transpose(y, w)>")
products = []
for padding in ("same", "valid", ((1, 1), (0, 3))):
    convolved = mg.conv2d(x, w, 2, padding)
    y = stream(0, "y").normal(size=convolved.shape)
    back = mg.conv2d_transpose(y, w, 2, padding, x.shape[1:3])
    products.append([(convolved * y).sum(), (x * back).sum()])
    print(f"   {padding!s:16}", *(f"{p:18.12f}" for p in products[-1]))
print()

# ── 3. So it is the gradient ─────────────────────────────────────────────────────────────────

leaf = mg.Tensor(x, requires_grad=True)
g = stream(0, "g").normal(size=(2, 7, 7, 8))  # dL/dy
(gradient,) = mg.grad(mg.conv2d(leaf, w, 2), leaf, g)
by_hand = mg.conv2d_transpose(g, w, 2)
print(f"3. dL/dy {g.shape} -> dL/dx {gradient.shape}")
print(f"   grad and conv2d_transpose differ by {abs(gradient - by_hand).max()}\n")

# ── 4. Sizes ─────────────────────────────────────────────────────────────────────────────────

print("4. from 7 rows, stride 2        SAME   VALID")
sizes = {}
for k in (2, 3, 4, 5):
    kernel = np.ones((k, k, 1, 8))
    sizes[k] = [mg.conv2d_transpose(g, kernel, 2, p).shape[1] for p in ("same", "valid")]
    print(f"   a kernel of {k}         {sizes[k][0]:10} {sizes[k][1]:7}")
thirteen = mg.conv2d_transpose(g, w, 2, "same", (13, 13))
print(f"   SAME makes 7 rows of 13, too, so output_shape may ask for them: {thirteen.shape}")
try:
    mg.conv2d_transpose(g, w, 2, "same", (15, 15))
except mg.MiniganError as error:
    message = str(error)
print(f"   {message}")
cut_alike = mg.conv2d_transpose(g, w, 2, ((1, 1), (1, 1)))
print("   PyTorch cuts both sides alike: its ConvTranspose2d(8, 3, 5, stride=2, padding=1) makes")
print(f"   {cut_alike.shape[1]} rows; without the last one and its column they are the same.\n")

# ── 5. Sub-pixels, and the checkerboard ──────────────────────────────────────────────────────

row = stream(0, "row").normal(size=(1, 6))
large = transposed(row, line)
padded = np.pad(row, ((0, 0), (1, 1)))[0]
even = [line[[3, 1]] @ padded[i : i + 2] for i in range(6)]
odd = [line[[4, 2, 0]] @ padded[i : i + 3] for i in range(6)]
print("5. pixels 0, 2, 4, ... are made by the kernel's taps 1 and 3, the others by 0, 2 and 4:")
print("   two small convolutions, one for every second pixel. How much ink they lay down if")
print("   all pixels and all taps are 1:")
ink = {k: transposed(np.ones((1, 6)), np.ones(k))[0, 3:9].astype(int) for k in (2, 3, 4, 5)}
for k, amounts in ink.items():
    print(f"   a kernel of {k}    {amounts}")
print("   Even only if the stride divides the kernel. G must unlearn the pattern of the others.")

# ── The picture: both matrices, and checkerboards ────────────────────────────────────────────

figure = Figure(figsize=(17, 4.4), layout="constrained")
panels = figure.subplots(1, 5, width_ratios=(1.6, 0.9, 1, 1, 1))
panels[0].imshow(matrix, cmap="Blues")
panels[0].set_title("conv2d: A", fontsize=20)
panels[1].imshow(its_transpose, cmap="Blues")
panels[1].set_title("transposed: $A^T$", fontsize=20)
flat = np.ones((1, 7, 7, 1))
for axes, k in zip(panels[2:], (3, 4, 5), strict=True):
    board = mg.conv2d_transpose(flat, np.ones((k, k, 1, 1)) / k**2, 2)[0, :, :, 0]
    axes.imshow(board, cmap="gray", vmin=0)
    axes.set_title(f"kernel {k}, stride 2", fontsize=20)
for axes in panels:
    axes.set(xticks=[], yticks=[])
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "09_transposed_convolution.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert np.array_equal(matrix.T, its_transpose)
assert np.allclose(*np.transpose(products), rtol=1e-12)
assert np.array_equal(gradient, by_hand)
assert sizes == {2: [14, 14], 3: [14, 15], 4: [14, 16], 5: [14, 17]}
assert thirteen.shape == (2, 13, 13, 3)
assert np.allclose(cut_alike[:, :14, :14], by_hand)
assert np.allclose(large[0], np.ravel([even, odd], order="F"))
for k, amounts in ink.items():
    assert (amounts.min() == amounts.max()) == (k % 2 == 0)

# Exercise. Write even_ink(k, s): True if a kernel of k taps, moved s pixels at a time, lays down
# ink evenly. The check looks at the middle of a long row, away from the ends:
#     for k, s in np.ndindex(9, 4):
#         ink = transposed(np.ones((1, 20)), np.ones(k + 1), s + 1)[0, 9 : 9 + 2 * (s + 1)]
#         assert even_ink(k + 1, s + 1) == (ink.min() == ink.max()), f"k = {k + 1}, s = {s + 1}"
