"""ONNX's own test vectors for convolution, pooling, batch norm and activations, by minigan's ops.

Two sets come with the package: `node`, the standard's examples, and `pytorch-converted`, layers
as PyTorch exported them. A case runs unless NOT_OFFERED names it. The functions below know no
option that minigan has not, so a new case that needs one fails until it is named there.
"""

import importlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case import node as node_cases
from onnx.backend.test.loader import load_model_tests

from minigan import ops
from minigan.kernels.convolution import Geometry
from minigan.layers import BatchNorm

# ── ONNX's operators in minigan's words ──────────────────────────────────────────────────────


def channels_last(x):
    """NCHW -> NHWC, for any number of axes."""
    return np.moveaxis(x, 1, -1)


def channels_first(x):
    return np.moveaxis(x, -1, 1)


def padding_of(image, kernel, strides, pads, auto_pad, dilation=1):
    """ONNX lists the sides by end, (top, left, bottom, right); SAME_LOWER is SAME mirrored."""
    if auto_pad == "NOTSET":
        top, left, bottom, right = pads
        return (top, bottom), (left, right)
    rows, columns = Geometry.of(image, kernel, strides, "same", dilation).padding
    return (rows, columns) if auto_pad == "SAME_UPPER" else (rows[::-1], columns[::-1])


def conv(
    x, w, bias=0.0, *,
    kernel_shape, strides=(1, 1), pads=(0, 0, 0, 0), auto_pad="NOTSET", dilations=(1, 1), group=1,
):  # fmt: skip
    if group > 1:
        raise TypeError("minigan's convolutions have one group")
    padding = padding_of(x.shape[2:], kernel_shape, strides, pads, auto_pad, dilations)
    kernel = w.transpose(2, 3, 1, 0)  # OIHW -> HWIO
    return channels_first(ops.conv2d(channels_last(x), kernel, strides, padding, dilations) + bias)


def conv_transpose(
    x, w, bias=0.0, *,
    kernel_shape=None, strides=(1, 1), pads=(0, 0, 0, 0), auto_pad="NOTSET", dilations=(1, 1),
    output_padding=(0, 0), output_shape=None, group=1,
):  # fmt: skip
    if group > 1:
        raise TypeError("minigan's convolutions have one group")
    kernel = w.transpose(2, 3, 1, 0)  # IOHW -> HWOI, minigan's (KH, KW, O, I)
    image, padding = output_shape, "same"
    if auto_pad == "NOTSET":
        padding = padding_of(None, None, None, pads, auto_pad)
        extent = (np.array(kernel.shape[:2]) - 1) * dilations + 1
        room = (np.array(x.shape[2:]) - 1) * strides + extent + output_padding
        image = output_shape or tuple(map(int, room - np.sum(padding, axis=1)))
    y = ops.conv2d_transpose(channels_last(x), kernel, strides, padding, image, dilations)
    return channels_first(y + bias)


def pool(op):
    def pooled(x, *, kernel_shape, strides=(1, 1), pads=(0, 0, 0, 0), auto_pad="NOTSET"):
        padding = padding_of(x.shape[2:], kernel_shape, strides, pads, auto_pad)
        return channels_first(op(channels_last(x), tuple(kernel_shape), tuple(strides), padding))

    return pooled


def batch_normalization(
    x, gamma, beta, mean, variance, *, epsilon=1e-5, momentum=0.9, training_mode=0, is_test=None
):
    """is_test is how the standard's first versions said that it is not training."""
    layer = BatchNorm(momentum, epsilon, in_channels=x.shape[1], bessel_correction=False)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    layer.moving_mean, layer.moving_variance = mean, variance
    y = channels_first(layer.train(bool(training_mode))(channels_last(x)).numpy())
    return [y, layer.moving_mean, layer.moving_variance] if training_mode else y


def gemm(a, b, c=0.0, *, alpha=1.0, beta=1.0, transA=0, transB=0, broadcast=1):
    """broadcast is from the standard's first versions, too."""
    return alpha * ops.matmul(a.T if transA else a, b.T if transB else b) + beta * c


OPERATORS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "BatchNormalization": batch_normalization,
    "AveragePool": pool(ops.average_pooling2d),
    "MaxPool": pool(ops.max_pooling2d),
    "LeakyRelu": lambda x, alpha=0.01: ops.leaky_relu(x, alpha),
    "Relu": ops.relu,
    "Sigmoid": ops.sigmoid,
    "Tanh": ops.tanh,
    "Softplus": ops.softplus,
    "Gemm": gemm,
}
MODULES = [  # of onnx.backend.test.case.node; importing one makes its cases
    "averagepool", "batch_normalization", "conv", "convtranspose", "gemm", "leakyrelu", "maxpool",
    "relu", "sigmoid", "softplus", "tanh",
]  # fmt: skip

NOT_OFFERED = {
    "pictures have two axes, not one": [
        "averagepool_1d_default", "convtranspose_1d", "maxpool_1d_default",
        "Conv1d", "Conv1d_dilated", "Conv1d_groups", "Conv1d_pad1", "Conv1d_pad1size1",
        "Conv1d_pad2", "Conv1d_pad2size1", "Conv1d_stride",
        "MaxPool1d", "MaxPool1d_stride", "MaxPool1d_stride_padding_dilation",
    ],
    "pictures have two axes, not three": [
        "averagepool_3d_default",
        "averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False",
        "averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True",
        "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False",
        "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
        "averagepool_3d_dilations_small", "convtranspose_3d", "maxpool_3d_default",
        "maxpool_3d_dilations", "maxpool_3d_dilations_use_ref_impl",
        "maxpool_3d_dilations_use_ref_impl_large",
        "AvgPool3d", "AvgPool3d_stride", "AvgPool3d_stride1_pad0_gpu_input",
        "Conv3d", "Conv3d_dilated", "Conv3d_dilated_strided", "Conv3d_groups", "Conv3d_no_bias",
        "Conv3d_stride", "Conv3d_stride_padding",
        "MaxPool3d", "MaxPool3d_stride", "MaxPool3d_stride_padding",
    ],
    "convolutions have one group": [
        "convtranspose_group_2", "convtranspose_group_2_image_3",
        "Conv2d_depthwise", "Conv2d_depthwise_padded", "Conv2d_depthwise_strided",
        "Conv2d_depthwise_with_multiplier", "Conv2d_groups", "Conv2d_groups_thnn",
    ],
    "pooling leaves out what fills no window (ceil_mode)": [
        "averagepool_2d_ceil", "averagepool_2d_ceil_last_window_starts_on_pad",
        "maxpool_2d_ceil", "maxpool_2d_ceil_output_size_reduce_by_one",
    ],
    "the zeros around a picture are not averaged (count_include_pad)": [
        "averagepool_2d_pads_count_include_pad",
        "averagepool_2d_precomputed_pads_count_include_pad",
    ],
    "windows are not dilated": [
        "averagepool_2d_dilations", "maxpool_2d_dilations", "MaxPool2d_stride_padding_dilation",
    ],
    "max_pooling2d does not say where the maxima are": [
        "maxpool_with_argmax_2d_precomputed_pads", "maxpool_with_argmax_2d_precomputed_strides",
    ],
}  # fmt: skip
UNOFFERED_NAMES = [f"test_{name}" for names in NOT_OFFERED.values() for name in names]

# ── the cases ────────────────────────────────────────────────────────────────────────────────


def all_cases():
    """(name, node, inputs, outputs) of every model of both sets that is one of the OPERATORS."""
    for module in MODULES:
        importlib.import_module(f"{node_cases.__name__}.{module}")
    for case in node_cases._NodeTestCases:
        if is_one_operator(case.model):
            ((inputs, outputs),) = case.data_sets
            yield case.name, case.model.graph.node[0], inputs, outputs
    for case in load_model_tests(kind="pytorch-converted"):
        folder = Path(case.model_dir)
        model = onnx.load(folder / "model.onnx")
        if is_one_operator(model):
            weights = [numpy_helper.to_array(x) for x in model.graph.initializer]
            yield (
                case.name,
                model.graph.node[0],
                arrays_in(folder, "input") + weights,
                arrays_in(folder, "output"),
            )


def is_one_operator(model):
    """Not one that spells an operator out in simpler ones, as the `_expanded` cases do."""
    nodes = model.graph.node
    return len(nodes) == 1 and nodes[0].op_type in OPERATORS


def arrays_in(folder, kind):
    files = sorted((folder / "test_data_set_0").glob(f"{kind}_*.pb"))
    return [numpy_helper.to_array(onnx.load_tensor(file)) for file in files]


CASES = {name: case for name, *case in all_cases()}


def computed(node, inputs):
    options = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
    if "auto_pad" in options:
        options["auto_pad"] = options["auto_pad"].decode()
    y = OPERATORS[node.op_type](*inputs, **options)
    return y if isinstance(y, list) else [y]


@pytest.mark.parametrize("name", sorted(set(CASES) - set(UNOFFERED_NAMES)))
def test_minigan_computes_what_the_standard_says(name):
    node, inputs, outputs = CASES[name]
    for y, expected in zip(computed(node, inputs), outputs, strict=True):
        assert y.dtype == expected.dtype
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", UNOFFERED_NAMES)
def test_what_is_not_offered_is_a_case_and_does_not_run(name):
    node, inputs, outputs = CASES[name]
    with pytest.raises((TypeError, ValueError)):
        for _ in zip(computed(node, inputs), outputs, strict=True):
            pass


def test_every_operator_has_cases_that_run():
    run = {CASES[name][0].op_type for name in set(CASES) - set(UNOFFERED_NAMES)}
    assert run == set(OPERATORS)
