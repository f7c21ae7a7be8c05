"""Lesson 2: walking the tape backwards.

What TensorFlow writes
    dy_dx, = tf.gradients(y, [x])                     # adds the gradient's nodes to the plan
    sess.run(dy_dx, feed_dict={x: 2.0})

The mathematics
    g(v) = dy/dv is the cotangent of a value v. The walk starts with g(y) = 1, and
    g(v) = sum over every user u of v:  g(u) * du/dv
    The sum is over all users: so g(v) is ready only when every user of v has been visited.

minigan's way
    Every operation has one pullback per input, which turns g(u) into g(u) * du/dv. grad visits the
    values youngest first. A user is always younger than what it uses, so the sums are complete.
"""

import sys
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

import minigan as mg

# ── 1. A value with two users ────────────────────────────────────────────────────────────────


def f(x):
    a = x * x
    b = a * a
    return a + b


x = mg.Tensor(2.0, requires_grad=True, name="x")
a = x * x
b = a * a
y = a + b  # a has two users: b and y
a.name, b.name, y.name = "a", "b", "y"
by_hand = (1 + 2 * a.item()) * 2 * x.item()
measured = (f(2.001) - f(1.999)) / 0.002

print("1. y = a + b with a = x^2 and b = a^2")
print(f"   x = {x.item()}, a = {a.item()}, b = {b.item()}, y = {y.item()}")
print(f"   dy/dx by hand, (1 + 2 a) 2 x:   {by_hand}")
print(f"   dy/dx as a measured slope:      {measured:.4f}\n")

# ── 2. The engine as one loop ────────────────────────────────────────────────────────────────


def walk_back(order):
    """The cotangent of every value, and what each one passed on, visiting in this order."""
    cotangents, passed = defaultdict(float), defaultdict(float)
    cotangents[order[0].name] = 1.0
    for node in order:
        g = cotangents[node.name]
        for parent, pullback in zip(node.inputs, node.op.rules, strict=True):
            share = float(pullback(g, node.data, *node.arrays))
            cotangents[parent.name] += share
            passed[node.name, parent.name] += share
    return dict(cotangents), passed


right, right_passed = walk_back([y, b, a])
print(f"2. visiting y, b, a gives the cotangents {right}\n")

# ── 3. Why the order matters ─────────────────────────────────────────────────────────────────

wrong, wrong_passed = walk_back([y, a, b])
print(f"3. visiting y, a, b gives the cotangents {wrong}")
print("   a passed its cotangent on before b had added to it: x never hears of b\n")

# ── 4. Youngest first is always right ────────────────────────────────────────────────────────

by_age = sorted([y, a, b, x], key=lambda value: value.age)
print("4. oldest to youngest:", " < ".join(value.name for value in by_age))
print("   a value is older than all its users, so youngest first visits every user before it\n")

# ── 5. One visit per value, however many paths ───────────────────────────────────────────────

start = mg.Tensor(1.0, requires_grad=True)
end = start
for _ in range(30):
    end = end + end  # two ways through every addition
(paths,) = mg.grad(end, [start])
print(f"5. 30 additions make {int(paths):,} paths from end to start, walked in 30 visits\n")

# ── 6. grad returns gradients, backward() adds them up ───────────────────────────────────────

unused = mg.Tensor(5.0, requires_grad=True)
gradients = mg.grad(f(x), [x, unused])  # like tf.gradients: None where f(x) doesn't depend on it
print(f"6. grad(f(x), [x, unused]) = {gradients}")
sums = []
for _ in range(2):
    z = f(x)
    z.backward()
    sums.append(x.grad.item())
print(f"   x.grad after one and after two calls of backward(): {sums}")
try:
    z.backward()  # the first walk has freed this tape on its way
except mg.MiniganError as error:
    message = str(error)
print(f"   a second walk over the same tape: {message}")

# ── The picture: both orders ─────────────────────────────────────────────────────────────────

places = {"x": (0, 0), "a": (1, 0), "b": (1.75, 1), "y": (2.5, 0)}
figure = Figure(figsize=(14, 5.5), layout="constrained")
panels = zip(
    figure.subplots(1, 2),
    [("youngest first: y, b, a", right, right_passed, "C2"),
     ("too early: y, a, b", wrong, wrong_passed, "C3")],
    strict=True,
)  # fmt: skip
for axes, (title, cotangents, passed, colour) in panels:
    boxes = {}
    for name, place in places.items():
        text = f"{name}\ng = {cotangents[name]:.0f}"
        style = {"boxstyle": "round,pad=0.5", "facecolor": colour, "alpha": 0.3}
        box = axes.text(*place, text, fontsize=20, ha="center", va="center", bbox=style)
        boxes[name] = box.get_bbox_patch()
    for (user, used), share in passed.items():
        arrow = {"arrowstyle": "-|>", "color": "black", "mutation_scale": 25,
                 "patchA": boxes[user], "patchB": boxes[used]}  # fmt: skip
        axes.annotate("", places[used], places[user], arrowprops=arrow)
        middle = [(p + q) / 2 for p, q in zip(places[user], places[used], strict=True)]
        style = {"facecolor": "white", "edgecolor": "none", "pad": 2}
        axes.text(*middle, f"{share:.0f}", fontsize=18, ha="center", va="center", bbox=style)
    axes.set_title(title, fontsize=20)
    axes.set(xlim=(-0.4, 2.9), ylim=(-0.4, 1.4))
    axes.axis("off")
figure.savefig(Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "02_backward.png")

# ── What must hold ───────────────────────────────────────────────────────────────────────────

assert right["x"] == gradients[0] == by_hand == 36
assert abs(measured - by_hand) < 1e-4
assert wrong["x"] == 4
assert [value.name for value in by_age] == ["x", "a", "b", "y"]
assert paths == 2**30
assert gradients[1] is None
assert sums == [36, 72]

# Exercise. Now let c = a + a and z = b + c. After z, in which orders may the walk visit a, b and c?
# Write all of them into a list such as answer = ["abc", "acb"]. The check tries every order:
#     from itertools import permutations
#     c = a + a
#     z = b + c
#     c.name, z.name = "c", "z"
#     right_orders = [o for o in permutations([a, b, c]) if walk_back([z, *o])[0]["x"] == 40]
#     assert sorted(answer) == sorted("".join(value.name for value in o) for o in right_orders)
