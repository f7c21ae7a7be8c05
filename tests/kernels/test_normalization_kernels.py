"""Batch norm's kernels against their formulas, whatever the blocks are."""

import tracemalloc

import numpy as np
import pytest

from minigan import backend
from minigan.kernels import normalization as kernels

RNG = np.random.default_rng(0)
SHAPES = [(7, 3), (2, 3, 4, 2), (1, 5), (4,), (9, 1), (0, 3), (2, 0, 3), (3, 0)]


@pytest.fixture(params=[1, 4, 10, 65_536], ids="{} in a block".format)
def _blocks(request, monkeypatch):
    """Blocks that rows of 3 fill, overfill, or fill together."""
    monkeypatch.setattr(kernels, "BLOCK", request.param)


@pytest.fixture
def draw(on_device):
    """Arrays of some shapes, with their copies in float64 on the host."""

    def draw(dtype, *shapes):
        arrays = [(2 + RNG.normal(size=shape)).astype(dtype) for shape in shapes]
        return [on_device(x) for x in arrays], [x.astype("float64") for x in arrays]

    return draw


def assert_close(actual, expected, dtype):
    actual = backend.to_host(actual)
    assert (actual.shape, actual.dtype) == (expected.shape, np.dtype(dtype))
    np.testing.assert_allclose(actual, expected, rtol=20 * np.finfo(dtype).eps, atol=1e-5)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_scale_and_shift_and_sum_of_products(shape, dtype, draw):
    C = shape[-1:]
    (x, g, center, scale, shift), exact = draw(dtype, shape, shape, C, C, C)
    assert_close(
        kernels.scale_and_shift(x, center, scale, shift),
        (exact[0] - exact[2]) * exact[3] + exact[4], dtype,
    )  # fmt: skip
    products = exact[1] * (exact[0] - exact[2])
    assert_close(
        kernels.sum_of_products(g, x, center), products.reshape(-1, *C).sum(0)
        if products.size else np.zeros(C), dtype,
    )  # fmt: skip


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("shape", SHAPES)
def test_add_to_channels(shape, draw):
    (x, shift), exact = draw("float32", shape, shape[-1:])
    y = kernels.add_to_channels(x, shift)
    assert_close(y, exact[0] + exact[1], "float32")
    if isinstance(x, np.ndarray) and x.size:
        assert np.shares_memory(y, x)


def test_add_to_channels_of_an_array_whose_rows_are_not_neighbours():
    whole = np.ones((2, 4, 3), "float32")
    y = kernels.add_to_channels(whole[:, 1:3], np.array([0.5, 1, 2]))
    assert y.dtype == "float64"
    np.testing.assert_array_equal(y, np.broadcast_to([1.5, 2, 3], (2, 2, 3)))


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("shape", [(6, 3), (3, 2, 4, 2), (3, 5)])
def test_three_batches_one_after_the_other(shape, draw):
    C = shape[-1]
    (x, g, center, scale, shift), exact = draw("float64", shape, shape, *[(3, C)] * 3)
    rows = exact[0].reshape(3, -1, C)
    centers, scales, shifts = (v[:, None] for v in exact[2:])
    moved = ((rows - centers) * scales + shifts).reshape(shape)
    assert_close(kernels.scale_and_shift(x, center, scale, shift), moved, "float64")
    assert_close(kernels.scale_channels(x, scale), (rows * scales).reshape(shape), "float64")
    products = (exact[1].reshape(3, -1, C) * (rows - centers)).sum(1)
    assert_close(kernels.sum_of_products(g, x, center), products, "float64")
    assert_close(kernels.moments(x, 3), np.stack([rows.mean(1), rows.var(1)]), "float64")


@pytest.mark.usefixtures("_blocks")
def test_no_row_is_left_out_of_batches_of_different_sizes(draw):
    (x, scale), exact = draw("float64", (5, 3), (2, 3))
    expected = exact[0] * np.repeat(exact[1], [2, 3], axis=0)
    assert_close(kernels.scale_channels(x, scale), expected, "float64")


def test_a_vector_has_a_number_for_each_channel():
    with pytest.raises(ValueError, match="reshape"):
        kernels.scale_channels(np.ones((2, 3)), np.ones(1))


def test_float16_does_not_overflow_on_the_way():
    """300 / sqrt(1e-5) is more than float16 holds."""
    x, ones = np.full((4, 2), 300, "float16"), np.ones(2, "float16")
    y = kernels.scale_and_shift(x, 300 * ones, 316 * ones, ones)
    np.testing.assert_array_equal(y, np.ones((4, 2)))


def test_as_many_batches_as_examples_take_no_more_memory():
    x = np.ones((2048, 8), "float32")
    tracemalloc.start()
    kernels.scale_and_shift(x, x, x, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * x.nbytes


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if np.prod(shape)])
def test_moments(shape, dtype, draw):
    (x,), (exact,) = draw(dtype, shape)
    rows = exact.reshape(-1, shape[-1])
    assert_close(kernels.moments(x), np.stack([rows.mean(0), rows.var(0)]), dtype)


def test_moments_far_from_0_do_not_cancel():
    """E x^2 - (E x)^2 would have no right digit in float32, or be negative."""
    x = (1000 + RNG.normal(size=(40_000, 2))).astype("float32")
    mean, variance = kernels.moments(x)
    exact = x.astype("float64")
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-4)
    equal = np.full((40_000, 2), 0.1, "float32")
    assert kernels.moments(equal)[1].max() < 1e-9


def test_a_wider_dtype_among_the_inputs_wins():
    x, channels = np.ones((4, 2), "float32"), np.ones(2)
    assert kernels.scale_and_shift(x, channels, channels, channels).dtype == "float64"
    assert kernels.sum_of_products(x, x, channels).dtype == "float64"
    assert kernels.sum_of_products(x.astype(complex), x, channels).dtype == "complex128"


def test_inputs_are_neither_written_nor_shared():
    x, channels = np.ones((4, 2)), np.zeros(2)
    for array in (x, channels):
        array.flags.writeable = False
    y = kernels.scale_and_shift(x, channels, channels, channels)
    assert not np.shares_memory(y, x)
    kernels.moments(x), kernels.sum_of_products(x, x, channels)
