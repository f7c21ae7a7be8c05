"""Which convolution takes which form."""

import numpy as np
import pytest

from minigan.kernels import convolution as kernels
from minigan.kernels import convolution_plan as plan
from minigan.kernels.convolution import Geometry
from minigan.testing.strict import StrictArray

DCGAN = Geometry.of((14, 14), 5, 2, "same")


@pytest.mark.parametrize(
    ("image", "inputs", "outputs", "expected"),
    [(28, 1, 64, "columns"), (14, 64, 128, "winograd"),
     (64, 3, 64, "columns"), (32, 64, 128, "winograd"), (16, 128, 256, "winograd"),
     (8, 256, 512, "winograd"), (2, 256, 512, "columns")],
)  # fmt: skip
def test_the_layers_of_the_dcgans(image, inputs, outputs, expected):
    geometry = Geometry.of((image, image), 5, 2, "same")
    assert plan.form(geometry, 64, inputs, outputs, np.dtype("float32")) == expected
    assert plan.form(geometry, 64, inputs, outputs, np.dtype("float64")) == "plain"
    assert plan.form(geometry, 64, inputs, outputs, np.dtype("complex128")) == "plain"


@pytest.mark.parametrize(
    ("geometry", "images", "expected"),
    [
        (DCGAN, 0, "plain"),
        (Geometry.of((3, 3), 3, 1, "valid"), 64, "plain"),  # too little work
        (DCGAN, 1, "columns"),  # to map the kernel to the points takes longer than the images
        (Geometry.of((16, 16), 3, 1, "same"), 64, "winograd"),
        (Geometry.of((14, 14), 3, 1, "same", 2), 64, "columns"),
        (Geometry.of((14, 14), 5, 1, "same"), 64, "columns"),
        (Geometry.of((14, 14), 5, 3, "same"), 64, "columns"),
    ],
)
def test_other_geometries(geometry, images, expected):
    channels = 8 if expected == "plain" else 64
    assert plan.form(geometry, images, channels, channels, np.dtype("float32")) == expected


@pytest.mark.parametrize(
    ("image", "images", "inputs", "outputs"),
    [(14, 16, 26, 16), (14, 16, 21, 18), (8, 8, 16, 32), (4, 8, 32, 64), (16, 8, 8, 16)],
)
def test_the_small_networks_of_tensorflows_traces_keep_the_accuracy_of_columns(
    image, images, inputs, outputs
):
    geometry = Geometry.of((image, image), 5, 2, "same")
    assert plan.form(geometry, images, inputs, outputs, np.dtype("float32")) != "winograd"


def test_images_without_pixels_are_plain():
    """64 images of 4 x 4 pixels, all cut off by the padding."""
    g, w = np.ones((64, 4, 4, 64), "float32"), np.ones((3, 3, 64, 64), "float32")
    geometry = Geometry.of((0, 4), 3, 1, ((3, 3), (1, 1)))
    assert kernels.conv2d_transpose(g, w, geometry).shape == (64, 0, 4, 64)


@pytest.fixture
def taken(monkeypatch):
    """The forms that were taken."""
    forms = []

    def spied(name, kernel):
        def call(*arguments):
            forms.append(name)
            return kernel(*arguments)

        return call

    for table in (plan.CONV2D, plan.CONV2D_TRANSPOSE, plan.CONV2D_FILTER):
        for name, kernel in table.items():
            monkeypatch.setitem(table, name, spied(name, kernel))
    return forms


@pytest.mark.parametrize(
    ("x_dtype", "w_dtype", "expected"),
    [("float32", "float32", "winograd"), ("float64", "float64", "plain"),
     ("float32", "float64", "plain"), ("uint8", "float32", "plain"),
     ("float16", "float32", "plain")],
)  # fmt: skip
def test_numpy_arrays_go_through_the_plan(x_dtype, w_dtype, expected, taken):
    x, w = np.ones((64, 14, 14, 64), x_dtype), np.ones((5, 5, 64, 64), w_dtype)
    y = kernels.conv2d(x, w, DCGAN)
    assert y.dtype == np.result_type(x, w)
    kernels.conv2d_transpose(y.astype(x_dtype), w, DCGAN)
    kernels.conv2d_filter(x, y, DCGAN)
    assert taken == [expected] * 3


@pytest.mark.parametrize(
    ("bias_dtype", "expected"), [("float32", "winograd"), ("float64", "plain")]
)
def test_the_bias_takes_part_in_the_plan(bias_dtype, expected, taken):
    x, w = np.ones((64, 14, 14, 64), "float32"), np.ones((5, 5, 64, 64), "float32")
    y = kernels.conv2d(x, w, DCGAN, np.ones(64, bias_dtype))
    assert (y.dtype, taken) == (bias_dtype, [expected])


def test_other_arrays_do_not(taken):
    x = StrictArray(np.ones((64, 14, 14, 64), "float32"))
    w = StrictArray(np.ones((5, 5, 64, 64), "float32"))
    assert isinstance(kernels.conv2d(x, w, DCGAN), StrictArray)
    assert taken == []
