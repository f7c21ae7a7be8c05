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
from minigan.autograd.ops.cross_entropy import (
    log_softmax,
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits,
)
from minigan.autograd.ops.linalg import dense, matmul, sum_rows
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
    "abs", "add", "astype", "broadcast_to", "clip", "concatenate", "dense", "divide", "exp",
    "expand_dims", "getitem", "leaky_relu", "log", "log1p", "log_softmax", "matmul", "max",
    "maximum", "mean", "minimum", "multiply", "negative", "pad", "power", "put", "relu", "reshape",
    "sigmoid", "sigmoid_cross_entropy_with_logits", "softmax_cross_entropy_with_logits",
    "softplus", "split", "sqrt", "square", "squeeze", "stack", "subtract", "sum", "sum_rows",
    "swapaxes", "tanh", "to_device", "transpose", "var", "where",
]  # fmt: skip
