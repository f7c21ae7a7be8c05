"""Kernels against their readable twins, and the seam for other array types."""

import platform
import subprocess
import sys

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, ops
from minigan.kernels import activation
from minigan.kernels.activation import sigmoid
from minigan.kernels.adam import BLOCK, adam_update
from minigan.kernels.product import product
from minigan.kernels.reduction import sum_rows
from minigan.optimizers import Adam
from minigan.testing.strict import StrictArray

RNG = np.random.default_rng(0)


def adam_as_in_the_textbook(w, g, m, v, step_size, beta1, beta2, epsilon):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    return w - step_size * m / (np.sqrt(v) + epsilon), m, v


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 100_000])
def test_adam(size, dtype, on_device):
    options = {"step_size": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-6}
    w, g, m = RNG.normal(size=(3, size))
    v = np.square(RNG.normal(size=size))
    # the kernel keeps the moments un-normalised
    arrays = [on_device(x.copy(), dtype) for x in (w, g, m / (1 - 0.8), v / (1 - 0.99))]
    for _ in range(3):
        adam_update(*arrays, **options)
        w, m, v = adam_as_in_the_textbook(w, g, m, v, **options)
    error = 20 * np.finfo(dtype).eps
    for name, ours, expected in zip(
        "wgmv", arrays, (w, g, m / (1 - 0.8), v / (1 - 0.99)), strict=True
    ):
        ours = backend.to_host(ours)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, expected, rtol=error, atol=error, err_msg=name)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (2, 0, 3)])
def test_sigmoid(shape, dtype, on_device):
    x = np.asarray(3 * RNG.normal(size=shape)).astype(dtype)
    before = x.copy()
    y = sigmoid(on_device(x))
    assert (y.shape, y.dtype) == (shape, np.dtype(dtype))
    np.testing.assert_allclose(
        backend.to_host(y), 1 / (1 + np.exp(-x.astype(float))), rtol=4 * np.finfo(dtype).eps
    )
    np.testing.assert_array_equal(x, before)


def test_sigmoid_of_integers():
    assert sigmoid(np.array([0, 1000, -1000])).tolist()[:2] == [0.5, 1.0]


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5), (4, 0), (2, 3, 2)])
@pytest.mark.parametrize("block", [1, 4, 2**18])
def test_leaky_relu_and_its_gradient(shape, block, on_device, monkeypatch):
    monkeypatch.setattr(activation, "BLOCK", block)
    x, g = RNG.normal(size=(2, *shape)).astype("float32")
    y = backend.to_host(activation.leaky_relu(on_device(x), 0.2))
    np.testing.assert_allclose(y, np.where(x < 0, np.float32(0.2) * x, x), rtol=1e-6)
    damped = backend.to_host(activation.damped(on_device(g), on_device(np.asarray(x >= 0)), 0.2))
    np.testing.assert_allclose(damped, np.where(x < 0, np.float32(0.2) * g, g), rtol=1e-6)
    assert y.dtype == damped.dtype == "float32"
    assert activation.leaky_relu(np.array([-1, 2]), 0.5).tolist() == [-0.5, 2]


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (128, 784), (5, 0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sum_rows(shape, dtype, on_device):
    x = RNG.normal(size=shape).astype(dtype)
    y = sum_rows(on_device(x))
    assert y.dtype == dtype
    np.testing.assert_allclose(
        backend.to_host(y), x.astype(float).sum(0), rtol=1e-5, atol=300 * np.finfo(dtype).eps
    )


@pytest.mark.parametrize(
    ("x", "w"),
    [((2, 3), (3, 4)), ((128, 1), (1, 128)), ((0, 3), (3, 2)), ((2, 0), (0, 2)),
     ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((3,), (3,)), ((2, 3), (3,))],
)  # fmt: skip
def test_product(x, w, on_device):
    a, b = RNG.normal(size=x), RNG.normal(size=w)
    ours = product(on_device(a), on_device(b))
    expected = np.matmul(a, b)
    assert ours.shape == expected.shape
    ours = backend.to_host(ours) if backend.is_array(ours) else ours
    np.testing.assert_allclose(ours, expected, rtol=1e-13, atol=1e-13)


# ── the seam ─────────────────────────────────────────────────────────────────────────────────


class OtherArray(StrictArray):
    """An array type whose kernels are its own."""


def test_a_kernel_is_chosen_by_the_type_of_its_first_array():
    """A twin registered for a type is used by the ops and optimizers; others keep theirs."""
    calls = []

    def twin(kernel):
        def call(x, *rest, **options):
            calls.append(kernel.__name__)
            return kernel.dispatch(StrictArray)(x, *rest, **options)

        kernel.register(OtherArray)(call)

    for kernel in (sigmoid, sum_rows, product, adam_update):
        twin(kernel)

    def other(*shape):
        return OtherArray(np.ones(shape))

    ops.sigmoid(Tensor(other(2, 2)))
    ops.sum_rows(Tensor(other(2, 2)))
    ops.matmul(Tensor(other(2, 2)), Tensor(other(2, 2)))
    assert calls == ["sigmoid", "sum_rows", "product"]
    ops.sigmoid(Tensor(np.ones(2)))
    ops.sigmoid(Tensor(StrictArray(np.ones(2))))
    assert len(calls) == 3
    adam_update(other(2), other(2), other(2), other(2),
                step_size=0.1, beta1=0.9, beta2=0.99, epsilon=1e-8)  # fmt: skip
    assert calls[3:] == ["adam_update"]
    x = Tensor(np.ones(2), requires_grad=True)
    Adam().apply_gradients([(np.ones(2), x)])
    assert len(calls) == 4


@pytest.mark.parametrize("arrays", [1, 100], ids="{} of 2 MB".format)
def test_freed_arrays_are_not_mapped_anew(arrays):
    code = f"""
import resource, sys
import numpy as np
import minigan
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        [np.ones(2_000_000, np.uint8) for _ in range({arrays})]
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50
faults()
print(faults())
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    if platform.libc_ver()[0] == "glibc":
        assert float(answer.stdout) < 1
