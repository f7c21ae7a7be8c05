"""Winograd's convolution against the plain one, on any geometry it serves."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from minigan.kernels import convolution as plain
from minigan.kernels import winograd, winograd_tiling, workspace
from minigan.kernels.convolution import Geometry

TRIO = ("conv2d", "conv2d_transpose", "conv2d_filter")
DCGAN = Geometry.of((14, 14), 5, 2, "same")


@pytest.fixture(autouse=True, scope="module")
def _workspaces_hold_no_numbers():
    """So that whoever reads what nobody wrote finds NaN."""
    take = workspace._Buffers.take

    def take_and_spoil(buffers, size):
        buffer = take(buffers, size)
        buffer.fill(255)
        return buffer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace._Buffers, "take", take_and_spoil)
        yield


pads = st.tuples(st.integers(0, 4), st.integers(0, 4))


@st.composite
def geometries(draw):
    strides = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    kernel = tuple(draw(st.integers(stride, 3 * stride)) for stride in strides)
    image = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    padding = draw(st.one_of(st.sampled_from(["same", "valid"]), st.tuples(pads, pads)))
    geometry = Geometry.of(image, kernel, strides, padding)
    assume(min(geometry.output) > 0)
    return geometry


def inputs(geometry, N, I, O, dtype="float64", seed=0):  # noqa: E741
    """x, w and g, and which of them each of the trio takes."""
    draw = np.random.default_rng(seed).standard_normal
    x, w = draw((N, *geometry.image, I), dtype), draw((*geometry.kernel, I, O), dtype)
    g = draw((N, *geometry.output, O), dtype)
    return {"conv2d": (x, w), "conv2d_transpose": (g, w), "conv2d_filter": (x, g)}


def plainly(name, arrays, geometry):
    return getattr(plain, name).dispatch(object)(*arrays, geometry)


@settings(max_examples=200)
@given(geometries(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_the_trio_on_any_geometry(geometry, N, I, O):  # noqa: E741
    assert winograd_tiling.possible(geometry)
    for name, arrays in inputs(geometry, N, I, O).items():
        expected = plainly(name, arrays, geometry)
        actual = getattr(winograd, name)(*arrays, geometry)
        scale = 1e-12 * max(1, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=scale, err_msg=name)


@settings(max_examples=60)
@given(geometries(), st.integers(1, 3), st.integers(1, 3))
def test_a_bias_is_added_to_each_channel(geometry, I, O):  # noqa: E741
    trio = inputs(geometry, 2, I, O)
    for name, channels in [("conv2d", O), ("conv2d_transpose", I)]:
        bias = np.arange(1.0, channels + 1)
        actual = getattr(winograd, name)(*trio[name], geometry, bias)
        expected = plainly(name, trio[name], geometry) + bias
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("name", TRIO)
@pytest.mark.parametrize(("block", "chunk"), [(1, 1), (20_000, 60_000), (20_000, 10**7)])
def test_in_many_blocks_and_chunks(name, block, chunk, monkeypatch):
    monkeypatch.setattr(winograd, "BLOCK", block)
    monkeypatch.setattr(winograd, "CHUNK", chunk)
    arrays = inputs(DCGAN, 7, 3, 4)[name]
    actual = getattr(winograd, name)(*arrays, DCGAN)
    np.testing.assert_allclose(actual, plainly(name, arrays, DCGAN), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", TRIO)
@pytest.mark.parametrize("image", [(8, 8), (14, 14)])
def test_float32_is_at_most_8_times_as_far_off_as_columns(name, image):
    geometry = Geometry.of(image, 5, 2, "same")
    arrays = inputs(geometry, 16, 64, 96, "float32")[name]
    exact = plainly(name, [x.astype("float64") for x in arrays], geometry)

    def error(y):
        assert y.dtype == "float32"
        return np.sqrt(np.mean((y - exact) ** 2) / np.mean(exact**2))

    ours = error(getattr(winograd, name)(*arrays, geometry))
    assert ours < 8 * error(plainly(name, arrays, geometry))
    assert ours < 4e-6


@pytest.mark.parametrize("name", TRIO)
@pytest.mark.parametrize("threads", [1, 2])
def test_repeats_bit_for_bit_and_leaves_its_inputs(name, threads):
    arrays = inputs(DCGAN, 16, 16, 8, "float32")[name]
    for array in arrays:
        array.flags.writeable = False
    with threadpool_limits(threads):
        first = getattr(winograd, name)(*arrays, DCGAN)
        for _ in range(3):
            np.testing.assert_array_equal(getattr(winograd, name)(*arrays, DCGAN), first)


@pytest.mark.parametrize("name", TRIO)
def test_views_of_larger_arrays(name):
    arrays = inputs(DCGAN, 4, 3, 2)[name]
    views = [np.repeat(x, 2, axis=-1)[..., ::2][::-1] for x in arrays]
    expected = plainly(name, [view.copy() for view in views], DCGAN)
    actual = getattr(winograd, name)(*views, DCGAN)
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)


def test_multiplications_of_a_5x5_convolution_with_strides_of_2():
    """The docstring's 121 for 4 x 4 outputs."""
    assert multiplications(8) == 121


def test_a_last_tile_of_3_outputs_takes_a_point_less():
    """7 x 7 outputs by 20 x 20, of 35 x 35."""
    assert multiplications(14) == 400


def multiplications(pixels):
    """Of one pair of channels, for images of so many rows and columns."""
    tiling = winograd_tiling.Tiling.of(Geometry.of((pixels, pixels), 5, 2, "same"))
    rows, columns = tiling.tiles
    return sum(rows.at[p] * columns.at[q] * len(phases) for p, q, phases in tiling.products)


@pytest.mark.parametrize(
    ("kernel", "strides", "dilation", "expected"),
    [(3, 1, 1, True), (6, 2, 1, True), ((3, 5), (1, 2), 1, True), (2, 2, 1, True),
     (4, 1, 1, False), (7, 2, 1, False), (3, 3, 1, False), (3, 1, 2, False), (1, 2, 1, False)],
)  # fmt: skip
def test_what_it_serves(kernel, strides, dilation, expected):
    geometry = Geometry.of((20, 20), kernel, strides, "same", dilation)
    assert winograd_tiling.possible(geometry) is expected
