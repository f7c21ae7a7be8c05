"""The strategies draw what they promise, work with the checker, and shrink to what one can read."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import minigan as mg
from minigan.errors import ConfigError
from minigan.testing import strategies as mgst

FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


# ── what they promise ────────────────────────────────────────────────────────────────────────


@given(mgst.broadcast_shapes(3))
def test_shapes_that_broadcast(shapes):
    assert len(shapes) == 3
    np.broadcast_shapes(*shapes)


@given(st.data())
def test_arrays_keep_their_distance_from_kinks(data):
    x = data.draw(mgst.smooth_array((3, 2), kinks=(-1.0, 0.5), distance=0.1))
    assert x.shape == (3, 2)
    assert x.dtype == np.float64
    for kink in (-1.0, 0.5):
        assert (np.abs(x - kink) >= 0.1 - 1e-12).all()
    assert (np.abs(x) <= 2).all()


@given(mgst.smooth_array((3,), kinks=(0.5, 5.0), distance=0.1))
def test_arrays_stay_in_their_range_and_are_never_tiny(x):
    assert (np.abs(x) <= 2).all()  # a kink at 5 lies outside
    assert ((x == 0) | (np.abs(x) >= 0.1)).all()


def test_kinks_that_leave_no_number():
    with pytest.raises(ConfigError, match="Try: a smaller distance than 3"):
        find(mgst.smooth_array((2,), distance=3), lambda x: True)


@given(mgst.shapes(min_dims=1).flatmap(mgst.distinct_array))
def test_distinct_numbers_have_no_ties(x):
    assert x.size < 2 or np.diff(np.sort(x.ravel())).min() >= 0.25


@given(st.data(), mgst.shapes())
def test_layouts_hold_the_same_numbers(data, shape):
    x = data.draw(mgst.smooth_array(shape))
    laid_out = data.draw(mgst.laid_out(st.just(x)))
    np.testing.assert_array_equal(laid_out.array, x)
    assert laid_out.array.shape == shape
    assert laid_out.layout in repr(laid_out)


def test_every_layout_is_what_it_is_called():
    x = np.arange(6.0).reshape(2, 3)
    arrays = {name: lay_out(x) for name, lay_out in mgst.LAYOUTS.items()}
    assert arrays["row-major"].strides == (24, 8)
    assert arrays["column-major"].strides == (8, 16)
    assert not arrays["read-only"].flags.writeable
    assert arrays["every second element"].strides == (48, 16)
    assert arrays["backwards"].strides == (24, -8)
    for array in arrays.values():
        np.testing.assert_array_equal(array, x)


def test_zero_strides_are_for_equal_numbers():
    repeated = find(mgst.laid_out(mgst.smooth_array((2, 2))), lambda x: x.layout == "zero strides")
    assert repeated.array.strides == (0, 0)
    np.testing.assert_array_equal(repeated.array, [[1, 1], [1, 1]])


@given(mgst.convolutions())
def test_a_convolution_has_an_output(convolution):
    assert min(convolution.geometry.output) >= 1
    x, w = np.ones(convolution.image), np.ones(convolution.kernel)
    y = mg.conv2d(x, w, **convolution.options)
    assert y.shape == (x.shape[0], *convolution.geometry.output, w.shape[3])


@given(mgst.networks(smooth=False))
def test_a_network_takes_its_inputs(network):
    y = network.module(np.ones(network.input_shape, np.float32))
    assert y.shape[0] == network.input_shape[0]


# ── with the checker ─────────────────────────────────────────────────────────────────────────


@FEW
@given(mgst.broadcast_shapes(2).flatmap(lambda shapes: mgst.smooth_arrays(*shapes)))
def test_a_property_of_gradients(gradcheck, arrays):
    x, w = arrays
    gradcheck(lambda x, w: x / w, x, w)


@pytest.mark.filterwarnings("ignore::minigan.errors.VacuousGradientWarning")
@settings(FEW, max_examples=10)
@given(mgst.networks())
def test_whole_networks(gradcheck, network):
    gradcheck(network.module, lambda rng: rng.normal(size=network.input_shape), order=1)


# ── they shrink ──────────────────────────────────────────────────────────────────────────────


def test_what_is_left_of_a_failing_example():
    different = find(mgst.broadcast_shapes(2), lambda shapes: shapes[0] != shapes[1])
    assert sorted(different) == [(), (1,)]
    negative = find(mgst.smooth_array((2,)), lambda x: x[0] < 0)
    np.testing.assert_array_equal(negative, [-1.0, -1.0])
    strided = find(
        mgst.laid_out(mgst.smooth_array((2, 2))), lambda x: not x.array.flags.c_contiguous
    )
    assert strided.layout == "column-major"
    wide = find(mgst.convolutions(), lambda c: c.strides[1] > 1)
    assert wide == mgst.Convolution((1, 1, 1, 1), (1, 1, 1, 1), strides=(1, 2))
    dropping = find(
        mgst.networks(), lambda n: any(isinstance(x, mg.Dropout) for x in n.module.layers)
    )
    assert [type(x).__name__ for x in dropping.module.layers] == ["Dense", "Dropout"]
    assert dropping.input_shape == (1, 1)


def test_without_hypothesis_one_sentence_says_what_to_install():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "try:\n    import minigan.testing.strategies\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == (
        "minigan.testing.strategies needs hypothesis. Try: pip install 'minigan[test]'."
    )
