"""The quick columns against the plain ones."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from minigan.kernels import convolution as plain
from minigan.kernels import convolution_columns as quick
from minigan.kernels.convolution import Geometry

sizes = st.integers(1, 3)
pads = st.tuples(st.integers(0, 3), st.integers(0, 3))


@st.composite
def geometries(draw):
    geometry = Geometry.of(
        draw(st.tuples(st.integers(1, 8), st.integers(1, 8))),
        draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        draw(st.tuples(sizes, sizes)),
        draw(st.one_of(st.sampled_from(["same", "valid"]), st.tuples(pads, pads))),
        draw(st.tuples(sizes, sizes)),
    )
    assume(min(geometry.output) > 0)
    return geometry


def plainly(name, *arguments):
    return getattr(plain, name).dispatch(object)(*arguments)


@settings(max_examples=150)
@given(geometries(), st.integers(0, 3), st.integers(1, 9), st.sampled_from([1, 300, 10_000]))
def test_the_trio_on_any_geometry(geometry, N, I, block):  # noqa: E741
    O, rng = 2, np.random.default_rng(N)  # noqa: E741
    x, w = rng.normal(size=(N, *geometry.image, I)), rng.normal(size=(*geometry.kernel, I, O))
    g = rng.normal(size=(N, *geometry.output, O))
    before, quick.BLOCK = quick.BLOCK, block
    try:
        for name, a, b in [
            ("conv2d", x, w), ("conv2d_transpose", g, w), ("conv2d_filter", x, g)
        ]:  # fmt: skip
            actual, expected = getattr(quick, name)(a, b, geometry), plainly(name, a, b, geometry)
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12, err_msg=name)
    finally:
        quick.BLOCK = before


@settings(max_examples=60)
@given(geometries(), st.integers(1, 9))
def test_a_bias_is_added_to_each_channel(geometry, I):  # noqa: E741
    rng = np.random.default_rng(I)
    x, w = rng.normal(size=(2, *geometry.image, I)), rng.normal(size=(*geometry.kernel, I, 3))
    g = rng.normal(size=(2, *geometry.output, 3))
    for name, image in [("conv2d", x), ("conv2d_transpose", g)]:
        expected = plainly(name, image, w, geometry)
        bias = rng.normal(size=expected.shape[-1])
        for form in (quick, plain):
            actual = getattr(form, name)(image, w, geometry, bias)
            np.testing.assert_allclose(actual, expected + bias, rtol=1e-12, atol=1e-12)


@settings(max_examples=100)
@given(geometries(), st.integers(0, 2), sizes, st.sampled_from(["float32", "int64", "complex128"]))
def test_one_strided_copy_makes_the_same_columns(geometry, N, C, dtype):
    x = np.random.default_rng(0).normal(5, 9, size=(N, *geometry.image, C)).astype(dtype)
    for fill in (0.0, -7.0):
        expected = plainly("columns", x, geometry, fill)
        actual = plain.columns(x, geometry, fill)
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_repeats_bit_for_bit(threads):
    geometry, draw = Geometry.of((28, 28), 5, 2, "same"), np.random.default_rng(0).standard_normal
    x, g = draw((64, 28, 28, 1), "float32"), draw((64, 14, 14, 8), "float32")
    with threadpool_limits(threads):
        first = quick.conv2d_filter(x, g, geometry)
        for _ in range(5):
            np.testing.assert_array_equal(quick.conv2d_filter(x, g, geometry), first)
