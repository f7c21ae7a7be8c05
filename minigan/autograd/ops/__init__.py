"""Every operation: its forward, and its pullbacks right below."""

from minigan.autograd.ops.activation import leaky_relu, relu, sigmoid, softplus, tanh
from minigan.autograd.ops.arithmetic import (
    abs,
    add,
    astype,
    clip,
    divide,
    exp,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    sqrt,
    square,
    subtract,
    to_device,
    where,
)
from minigan.autograd.ops.convolution import (
    biased_conv2d,
    biased_conv2d_transpose,
    conv2d,
    conv2d_filter,
    conv2d_transpose,
    conv_cond_concat,
)
from minigan.autograd.ops.cross_entropy import (
    log_softmax,
    mean_sigmoid_cross_entropy,
    negative_log_likelihood,
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits,
)
from minigan.autograd.ops.linalg import dense, matmul, sum_rows
from minigan.autograd.ops.normalization import batch_norm, moments, normalize
from minigan.autograd.ops.pooling import average_pooling2d, max_pooling2d, upsample2d
from minigan.autograd.ops.reduction import max, mean, sum, var
from minigan.autograd.ops.shape import (
    broadcast_to,
    concatenate,
    expand_dims,
    getitem,
    pad,
    put,
    reshape,
    split,
    squeeze,
    stack,
    swapaxes,
    transpose,
)

__all__ = [
    "abs", "add", "astype", "average_pooling2d", "batch_norm", "biased_conv2d",
    "biased_conv2d_transpose", "broadcast_to", "clip", "concatenate", "conv2d", "conv2d_filter",
    "conv2d_transpose", "conv_cond_concat", "dense", "divide", "exp", "expand_dims", "getitem",
    "leaky_relu", "log", "log1p", "log_softmax", "matmul", "max", "max_pooling2d", "maximum",
    "mean", "mean_sigmoid_cross_entropy", "minimum", "moments", "multiply", "negative",
    "negative_log_likelihood", "normalize", "pad", "power", "put", "relu", "reshape", "sigmoid",
    "sigmoid_cross_entropy_with_logits", "softmax_cross_entropy_with_logits", "softplus", "split",
    "sqrt", "square", "squeeze", "stack", "subtract", "sum", "sum_rows", "swapaxes", "tanh",
    "to_device", "transpose", "upsample2d", "var", "where",
]  # fmt: skip
