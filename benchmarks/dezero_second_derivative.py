"""DeZero's batch norm and softmax before minigan's gradient checker: first and second derivative.

Each function becomes a minigan op whose value, pullback and pullback's pullback are computed by
DeZero. The checker only asks for them. The story is told in docs/second-derivatives.md.
"""

import warnings
from contextlib import redirect_stdout
from functools import wraps
from io import StringIO
from unittest.mock import patch

import numpy as np

import minigan as mg
from minigan.errors import GradientError

np.int = int  # noqa: NPY001  DeZero 0.0.13 asks for this name, which NumPy 1.24 dropped

import dezero.functions as F  # noqa: E402, N812
from dezero import Variable, using_config  # noqa: E402
from dezero.utils import gradient_check  # noqa: E402

EPSILON = 2e-5  # DeZero's default for batch norm

# ── DeZero's functions as minigan ops ────────────────────────────────────────────────────────


def as_op(function):
    """A function of DeZero's Variables as an op: DeZero computes both derivatives, too."""

    @wraps(function)  # the reports name its arguments
    def value(*inputs):
        return function(*map(Variable, inputs)).data

    op = mg.Op(value)
    op.pullbacks(*[pullback_to(function, i) for i in range(op.arity)])
    return op


def pullback_to(function, i):
    """DeZero's gradient to input i, which is an op with a pullback of its own."""

    def gradient(g, *inputs):
        variables = walk_back(function, g, inputs)
        return variables[1 + i].grad.data

    def double_backward(u, y, position, g, *inputs):
        variables = walk_back(function, g, inputs, create_graph=True)
        first = variables[1 + i].grad
        for variable in variables:
            variable.cleargrad()
        first.grad = Variable(u)
        first.backward()
        second = variables[position].grad
        return np.zeros_like((g, *inputs)[position]) if second is None else second.data

    gradient_op = mg.Op(gradient)
    gradient_op.pullbacks(double_backward)
    return lambda g, y, *inputs: gradient_op(g, *inputs)


def walk_back(function, g, inputs, create_graph=False):
    """The Variables of g, of the inputs with their gradients, and of the output."""
    g, *inputs = map(Variable, (g, *inputs))
    output = function(*inputs)
    output.grad = g
    output.backward(create_graph=create_graph)
    return [g, *inputs, output]


def softmax(x):
    return F.softmax(x)


def batch_norm(x, gamma, beta):
    moving_mean, moving_variance = np.zeros(gamma.size), np.ones(gamma.size)
    return F.batch_nrom(x, gamma, beta, moving_mean, moving_variance, eps=EPSILON)


def batch_norm_in_numpy(x, gamma, beta):
    """By another formula, also of complex numbers, for numerical derivatives."""
    variance = (x * x).mean(axis=0) - x.mean(axis=0) ** 2
    return (x - x.mean(axis=0)) / np.sqrt(variance + EPSILON) * gamma + beta


def draw(seed):
    """x (8, 3), gamma (3,) and beta (3,), as DeZero's tests draw them."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(8, 3)), rng.normal(size=3), rng.normal(size=3)


def verdict(f, *inputs, order, **options):
    """The checker's report, good or bad; or the error that DeZero stops with."""
    with warnings.catch_warnings(action="ignore"):  # the report says VACUOUS, too
        try:
            return str(mg.check_gradients(f, *inputs, order=order, **options))
        except GradientError as error:
            return str(error)
        except (TypeError, IndexError) as error:
            return f"{type(error).__name__}: {error}"


# ── 1. DeZero's own test ─────────────────────────────────────────────────────────────────────


def own_test(function, x):
    """tests/test_batchnorm.py, tests/test_softmax.py: a cotangent of ones, tolerance 1e-5."""
    with redirect_stdout(StringIO()):  # it prints the gradients where they differ
        return "passes" if gradient_check(function, x.copy()) else "FAILS"


def zeros(self, g):
    return tuple(x * 0 for x in self.inputs)


x, gamma, beta = draw(0)
tests = {
    "softmax, x": (softmax, x),
    "batch norm, x": (lambda x: batch_norm(x, Variable(gamma), Variable(beta)), x),
    "batch norm, gamma": (lambda gamma: batch_norm(Variable(x), gamma, Variable(beta)), gamma),
    "batch norm, beta": (lambda beta: batch_norm(Variable(x), Variable(gamma), beta), beta),
}
print("1. DeZero's own test          as it is    with a backward that returns zeros")
for name, (function, point) in tests.items():
    honest = own_test(function, point)
    with patch.object(F.Softmax, "backward", zeros), patch.object(F.BatchNorm, "backward", zeros):
        broken = own_test(function, point)
    print(f"   {name:20}       {honest:6}      {broken}")

# ── 2. Why: the sum has no gradient ──────────────────────────────────────────────────────────

print("\n2. The same question, put to minigan: the gradient of the sum")
dezero_softmax, dezero_batch_norm = as_op(softmax), as_op(batch_norm)


def sum_of_softmax(x):
    return mg.sum(dezero_softmax(x))


def sum_of_batch_norm(x, gamma, beta):
    return mg.sum(dezero_batch_norm(x, gamma, beta))


print(verdict(sum_of_softmax, x, order=1))
print(verdict(sum_of_batch_norm, x, gamma, beta, order=1))

# ── 3. First and second derivative ───────────────────────────────────────────────────────────

print("\n3. First derivatives, with cotangents that are not ones")
print(verdict(dezero_softmax, x, order=1))
print(verdict(dezero_batch_norm, x, gamma, beta, reference=batch_norm_in_numpy, order=1))

print("\n4. Second derivatives")
print(verdict(dezero_softmax, x, order=2))
print(verdict(dezero_batch_norm, x, gamma, beta, reference=batch_norm_in_numpy, order=2))

# ── 5. How wrong, and why ────────────────────────────────────────────────────────────────────


def minigan_batch_norm(x, gamma, beta):
    return mg.batch_norm(x, gamma, beta, EPSILON)


def second_derivatives(f, seed):
    """<u, gradient> differentiated to g and to x, for the gradients to x and to gamma."""
    leaves = [mg.Tensor(value, requires_grad=True) for value in draw(seed)]
    rng = np.random.default_rng(1000 + seed)
    g = mg.Tensor(rng.normal(size=(8, 3)), requires_grad=True)
    return [
        mg.grad(gradient, [g, leaves[0]], rng.normal(size=gradient.shape), retain_graph=True)
        for gradient in mg.grad(f(*leaves), leaves[:2], g, create_graph=True)
    ]


def relative_errors(seed):
    found = second_derivatives(dezero_batch_norm, seed)
    true = second_derivatives(minigan_batch_norm, seed)
    return [
        [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(*rows, strict=True)]
        for rows in zip(found, true, strict=True)
    ]


print("\n5. DeZero's batch norm: relative error of its second derivatives, 20 draws")
errors = np.array([relative_errors(seed) for seed in range(20)])
for i, name in enumerate(("x", "gamma")):
    to_g, to_x = errors[:, i].T
    print(
        f"   the gradient to {name:6} differentiated to g: at most {to_g.max():.0e}"
        f"   to x: {to_x.min():.2f} to {to_x.max():.2f}"
    )

original_backward = F.BatchNorm.backward


def backward_with_all_on_the_tape(self, g):
    x, _, _ = self.inputs
    mean = x.sum(axis=0) / len(x)
    variance = ((x - mean) ** 2).sum(axis=0) / len(x)
    self.inv_std = (variance + self.eps) ** -0.5  # a Variable, where forward() kept an array
    return original_backward(self, g)


print("\n   the same with inv_std computed from x once more, in backward")
with patch.object(F.BatchNorm, "backward", backward_with_all_on_the_tape):
    print(verdict(dezero_batch_norm, x, gamma, beta, reference=batch_norm_in_numpy, order=2))

# ── 6. The same functions in minigan ─────────────────────────────────────────────────────────


def minigan_softmax(x):
    return mg.exp(mg.log_softmax(x))


print("\n6. minigan's own")
print(verdict(minigan_softmax, x, order=2))
print(verdict(minigan_batch_norm, x, gamma, beta, reference=batch_norm_in_numpy, order=2))

# ── 7. Others of DeZero's ────────────────────────────────────────────────────────────────────

rng = np.random.default_rng(0)
images, kernels, bias = (rng.normal(size=shape) for shape in ((2, 2, 5, 4), (3, 2, 3, 2), 3))
few_images, labels = rng.normal(size=(2, 3, 2, 3)), np.array([0, 1, 2, 0, 1, 2, 1, 1])


@using_config("train", False)
def batch_norm_in_inference(x, gamma, beta):
    return batch_norm(x, gamma, beta)


others = {
    "log_softmax": (lambda x: F.log_softmax(x, axis=1), x),
    "softmax_cross_entropy": (lambda x: F.softmax_cross_entropy(x, labels), x),
    "sigmoid_cross_entropy": (lambda x: F.sigmoid_cross_entropy(x, np.eye(8, 3)), x),
    "linear": (F.linear, x, rng.normal(size=(3, 2)), rng.normal(size=2)),
    "relu": (F.relu, x),
    "max": (lambda x: F.max(x, axis=1), x),
    "sum over one axis": (lambda x: F.sum(x, axis=0), x),
    "sum over two axes": (lambda x: F.sum(x, axis=(0, 2)), images),
    "pooling": (lambda x: F.pooling(x, 2, 2), images),
    "average_pooling": (lambda x: F.average_pooling(x, 2, 2), images),
    "conv2d_simple": (lambda x, w: F.conv2d_simple(x, w, pad=1), images, kernels),
    "conv2d": (lambda x, w: F.conv2d(x, w, pad=1), images, kernels),
    "conv2d with bias": (lambda x, w, b: F.conv2d(x, w, b, pad=1), images, kernels, bias),
    "deconv2d": (lambda x, w: F.deconv2d(x, w, stride=2), few_images, kernels),
    "batch norm, inference": (batch_norm_in_inference, x, gamma, beta),
}


def in_a_word(report):
    if "worst relative error" in report:
        return "right"
    return "WRONG" if "is wrong" in report else "STOPS"


print("\n7. Others of DeZero's       first    second")
for name, (function, *inputs) in others.items():
    first, second = (verdict(as_op(function), *inputs, order=order) for order in (1, 2))
    problem = "" if in_a_word(second) == "right" else second
    print(f"   {name:22}   {in_a_word(first)}    {in_a_word(second)}    {problem}".rstrip())
