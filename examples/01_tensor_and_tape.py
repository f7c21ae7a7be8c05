"""Lesson 1: a tensor and its tape.

What TensorFlow writes
    x = tf.placeholder(tf.float32, [None, 2])
    w = tf.Variable([[1.0], [-2.0]])
    y = tf.sigmoid(tf.matmul(x, w) + 0.5)             # a plan: nothing is computed yet
    sess.run(y, feed_dict={x: [[3.0, 1.0]]})          # now the plan is carried out

The mathematics
    m = x w,   a = m + b,   y = 1 / (1 + e^-a)
    A formula is a chain of small functions. Written down in the order in which they are computed,
    they form a tape: every line uses only lines above it.

minigan's way
    No plan, no session: each line computes at once. Its result, a Tensor, is an array that
    remembers the operation and the inputs it was made from. Those memories are the tape.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minigan as mg
from minigan.autograd.graph import nodes_of

# ── 1. A Tensor is an array ──────────────────────────────────────────────────────────────────

x = mg.Tensor([[3.0, 1.0]], name="x")
w = mg.Tensor([[1.0], [-2.0]], requires_grad=True, name="w")  # a variable: gradients flow to it
b = mg.Tensor([0.5], requires_grad=True, name="b")

print("1. a variable is an array with a name:")
print(f"   w = {w.numpy().tolist()}, shape {w.shape}")
print(f"   {w.dtype}, NumPy's choice for Python numbers; TensorFlow takes float32\n")

# ── 2. Each line computes at once ────────────────────────────────────────────────────────────

m = x @ w
a = m + b
y = mg.sigmoid(a)

print("2. no session needed, the values are there:")
print(f"   m = {m.item()}, a = {a.item()}, y = {y.item():.4f}\n")

# ── 3. Each result remembers how it was made ─────────────────────────────────────────────────

print("3. from y back to x, by memory alone:")
value = y
while value.op:
    shapes = " and ".join(str(parent.shape) for parent in value.inputs)
    print(f"   {value.op.name:8} made {value.shape} from {shapes}")
    value = value.inputs[0]
print(f"   {value.name} is a leaf: no operation made it\n")

# ── 4. All memories together are the tape ────────────────────────────────────────────────────

m.name, a.name, y.name = "m", "a", "y"
tape = nodes_of([y])


def line_of(node):
    return f"{node.name} = {node.op}({', '.join(node.inputs)})" if node.inputs else node.name


print("4. the tape, oldest line first:")
for node in tape:
    print(f"   {line_of(node)}")
print()

# ── 5. Feeding is calling: every call writes a tape of its own ───────────────────────────────


def neuron(x):
    return mg.sigmoid(x @ w + b)


print("5. a placeholder is a function's argument, feed_dict a call:")
for row in ([[3.0, 1.0]], [[0.0, 0.0]], [[1.0, 5.0]]):
    print(f"   neuron({row}) = {neuron(np.array(row)).item():.4f}")
print()

# ── 6. What is not recorded ──────────────────────────────────────────────────────────────────

with mg.no_grad():  # for drawing samples: computing without remembering
    unrecorded = neuron(x)
constant = y.detach()  # TensorFlow's stop_gradient: the value without its past
plain = mg.sigmoid(np.array([0.0, 2.0]))  # no Tensor comes in, so none comes out

print("6. made by:")
print(f"   as usual         {neuron(x).op.name}")
print(f"   inside no_grad   {unrecorded.op}")
print(f"   after detach     {constant.op}")
print(f"   from an array    {type(plain).__name__}, no memory at all")

# ── The picture: the tape as a graph ─────────────────────────────────────────────────────────

values = {tensor.name: tensor for tensor in (x, w, b, m, a, y)}
places = {"x": (0, 2), "w": (0, 1), "b": (0, 0), "m": (1, 1.5), "a": (2, 1), "y": (3, 1)}

figure = Figure(figsize=(11, 5.5), layout="constrained")
axes = figure.subplots()
boxes = {}
for node in tape:
    text = f"{line_of(node)}\n{values[node.name].numpy().ravel().round(3).tolist()}"
    style = {"boxstyle": "round,pad=0.5", "facecolor": "C0" if node.inputs else "C1", "alpha": 0.3}
    box = axes.text(*places[node.name], text, fontsize=17, ha="center", va="center", bbox=style)
    boxes[node.name] = box.get_bbox_patch()
    for parent in node.inputs:
        arrow = {"arrowstyle": "-|>", "color": "black", "mutation_scale": 20,
                 "patchA": boxes[parent], "patchB": boxes[node.name]}  # fmt: skip
        axes.annotate("", places[node.name], places[parent], arrowprops=arrow)
axes.set_title("The tape of y = sigmoid(x w + b)", fontsize=20)
axes.set(xlim=(-0.5, 3.5), ylim=(-0.5, 2.5))
axes.axis("off")
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "01_tensor_and_tape.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert np.isclose(y.item(), 1 / (1 + np.exp(-1.5)))
assert [node.op for node in tape] == ["leaf", "leaf", "leaf", "matmul", "add", "sigmoid"]
for i, node in enumerate(tape):  # every line uses only lines above it
    assert set(node.inputs) <= {earlier.name for earlier in tape[:i]}
assert neuron(x).requires_grad
assert not unrecorded.requires_grad
assert not constant.requires_grad
assert isinstance(plain, np.ndarray)

# Exercise. Which operations, in which order, are on the tape of this line?
#     z = mg.mean((x @ w - 2.0) ** 2)
# Write their names into a list called `answer` and let the machine compare:
#     operations = [node.op for node in nodes_of([z]) if node.op != "leaf"]
#     assert answer == operations, f"the tape has {operations}"
