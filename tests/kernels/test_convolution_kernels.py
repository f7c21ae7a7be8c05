"""The seam of the convolution kernels: another array type brings its own."""

import numpy as np
import pytest

from minigan.autograd import Tensor, grad, ops
from minigan.kernels import convolution as kernels
from minigan.testing.strict import StrictArray


class ElsewhereArray(StrictArray):
    """An array type whose kernels are its own."""


@pytest.fixture
def calls():
    """The names of the kernels that the type's own versions were called for."""
    names = []

    def twin(kernel):
        def call(x, *rest):
            names.append(kernel.__name__)
            return ElsewhereArray(kernel.dispatch(StrictArray)(x, *rest).get())

        kernel.register(ElsewhereArray)(call)

    for name in ("conv2d", "conv2d_transpose", "conv2d_filter", "columns"):
        twin(getattr(kernels, name))
    return names


def test_an_array_type_with_its_own_kernels_trains_with_them(calls):
    x, w = (Tensor(ElsewhereArray(np.ones(shape)), requires_grad=True)
            for shape in [(1, 4, 4, 2), (3, 3, 2, 2)])  # fmt: skip
    y = ops.conv2d(x, w, 2)
    grad(y, [x, w], ElsewhereArray(np.ones(y.shape)))
    trio = [name for name in calls if name != "columns"]
    assert trio == ["conv2d", "conv2d_transpose", "conv2d_filter"]
    calls.clear()
    ops.max_pooling2d(x)
    assert calls == ["columns"]
