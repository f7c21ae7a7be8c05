"""Convolution, and the two operations it turns into when it is differentiated.

Convolution is linear in x and in w, so <g, conv2d(x, w)> is linear in all three. The gradients
are what is left when one of them is taken away: conv2d_transpose(g, w) to x, conv2d_filter(x, g)
to w. The same holds for these two, and so every derivative of any order is one of the three.

Images are (N, H, W, C), kernels (KH, KW, I, O): TensorFlow's NHWC and HWIO. As everywhere in deep
learning the kernel is not flipped: what mathematics calls a correlation.
"""

from collections.abc import Sequence
from operator import index

from minigan.autograd.engine import Op, Pullback, Tensor, Value, op
from minigan.autograd.ops.normalization import sum_channels
from minigan.autograd.ops.shape import broadcast_to, concatenate
from minigan.errors import ShapeError
from minigan.kernels import convolution as kernels
from minigan.kernels.convolution import Geometry, Padding, Pair, Size


@op
def conv2d(
    x: Value, w: Value, strides: Size = 1, padding: Padding = "same", dilation: Size = 1
) -> Value:
    """y[n, p, q, o] = sum of x[n, p * s + i * d - top, q * s + j * d - left, c] * w[i, j, c, o].

    strides s and dilation d are a number or (rows, columns). padding is "same" (as many zeros as
    ceil(H / s) output rows need, an odd one at the bottom), "valid" (no zeros), or how many zeros,
    ((top, bottom), (left, right)). PyTorch pads both sides alike: for stride 2 and even sizes its
    kernels meet other pixels.
    Shapes: x (N, H, W, I), w (KH, KW, I, O) -> (N, H', W', O).
    Errors: ShapeError, ConfigError (an option that makes no sense).
    Source: Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning".
    """
    return _conv2d(x, w, None, strides, padding, dilation)


@op
def conv2d_transpose(
    x: Value,
    w: Value,
    strides: Size = 1,
    padding: Padding = "same",
    output_shape: Sequence[int] | None = None,
    dilation: Size = 1,
) -> Value:
    """The adjoint of conv2d: what conv2d with these arguments would gather, it scatters.

    output_shape is (H, W) or (N, H, W, O): any size that conv2d turns into x's, since with stride
    2 both 13 and 14 rows become 7. By default it is tf.layers': x's H' * s for "same",
    H' * s + max(KH - s, 0) for "valid", less the explicit padding.
    Shapes: x (N, H', W', I), w (KH, KW, O, I) -> (N, H, W, O).
    Errors: ShapeError, ConfigError (an option that makes no sense).
    """
    return _conv2d_transpose(x, w, None, strides, padding, output_shape, dilation)


@op
def conv2d_filter(
    x: Value,
    g: Value,
    kernel_size: Size,
    strides: Size = 1,
    padding: Padding = "same",
    dilation: Size = 1,
) -> Value:
    """The gradient of <g, conv2d(x, w)> to w: how much each tap sees x and g go together.

    Shapes: x (N, H, W, I), g (N, H', W', O) -> (KH, KW, I, O).
    Errors: ShapeError, ConfigError (an option that makes no sense).
    """
    check_images("conv2d_filter", x)
    geometry = checked_geometry("conv2d_filter", x, kernel_size, strides, padding, dilation)
    expected = (len(x), *geometry.output)
    if g.shape[:3] != expected or g.ndim != 4:
        raise ShapeError(
            f"conv2d_filter: g is {g.shape}, but conv2d would make (N, H', W') = {expected} of x "
            f"{x.shape}. Try: a g of shape {(*expected, g.shape[-1] if g.ndim else 1)}."
        )
    return kernels.conv2d_filter(x, g, geometry)


# each is linear in both of its inputs, and its gradients are the other two

conv2d.pullbacks(
    lambda g, y, x, w, strides, padding, dilation: conv2d_transpose(
        g, w, strides, padding, x.shape[1:3], dilation
    ),
    lambda g, y, x, w, strides, padding, dilation: conv2d_filter(
        x, g, w.shape[:2], strides, padding, dilation
    ),
)

conv2d_transpose.pullbacks(
    lambda g, y, x, w, strides, padding, output_shape, dilation: conv2d(
        g, w, strides, padding, dilation
    ),
    lambda g, y, x, w, strides, padding, output_shape, dilation: conv2d_filter(
        g, x, w.shape[:2], strides, padding, dilation
    ),
)

conv2d_filter.pullbacks(
    lambda v, y, x, g, kernel_size, strides, padding, dilation: conv2d_transpose(
        g, v, strides, padding, x.shape[1:3], dilation
    ),
    lambda v, y, x, g, kernel_size, strides, padding, dilation: conv2d(
        x, v, strides, padding, dilation
    ),
)


# ── with a bias, in one op: an addition of its own would keep what the convolution made ──────


@op
def biased_conv2d(
    x: Value, w: Value, b: Value, strides: Size = 1, padding: Padding = "same", dilation: Size = 1
) -> Value:
    """conv2d(x, w, strides, padding, dilation) + b.

    Shapes: x (N, H, W, I), w (KH, KW, I, O), b (O,) -> (N, H', W', O).
    Errors: ShapeError, ConfigError.
    """
    return _conv2d(x, w, b, strides, padding, dilation)


@op
def biased_conv2d_transpose(
    x: Value,
    w: Value,
    b: Value,
    strides: Size = 1,
    padding: Padding = "same",
    output_shape: Sequence[int] | None = None,
    dilation: Size = 1,
) -> Value:
    """conv2d_transpose(x, w, strides, padding, output_shape, dilation) + b.

    Shapes: x (N, H', W', I), w (KH, KW, O, I), b (O,) -> (N, H, W, O).
    Errors: ShapeError, ConfigError.
    """
    return _conv2d_transpose(x, w, b, strides, padding, output_shape, dilation)


def _with_bias(linear: Op[...]) -> list[Pullback]:
    """The op's own pullbacks, to which the bias is nothing, and the bias's."""
    to_x, to_w, *_ = linear.rules
    return [
        lambda g, y, x, w, b, *options: to_x(g, y, x, w, *options),
        lambda g, y, x, w, b, *options: to_w(g, y, x, w, *options),
        lambda g, y, x, w, b, *options: sum_channels(g, b.shape),
    ]


biased_conv2d.pullbacks(*_with_bias(conv2d))
biased_conv2d_transpose.pullbacks(*_with_bias(conv2d_transpose))


def conv_cond_concat(x: Value, labels: Value) -> Tensor:
    """x with its labels as extra channels, the same at every pixel: how a convolution sees a class.

    Shapes: x (N, H, W, C), labels (N, K) or (N, 1, 1, K), usually one-hot -> (N, H, W, C + K).
    Errors: ShapeError.
    """
    check_images("conv_cond_concat", x)
    N, H, W, _ = x.shape
    K = labels.shape[-1] if labels.ndim else 0
    if labels.shape not in [(N, K), (N, 1, 1, K)]:
        raise ShapeError(
            f"conv_cond_concat: labels are {labels.shape}, but must be one row for each of the "
            f"{N} pictures, (N, K). Try: one_hot(labels), from minigan.data, of {N} class numbers."
        )
    return concatenate([x, broadcast_to(labels.reshape((N, 1, 1, K)), (N, H, W, K))], axis=-1)


# ── with and without a bias ──────────────────────────────────────────────────────────────────


def _conv2d(
    x: Value, w: Value, b: Value | None, strides: Size, padding: Padding, dilation: Size
) -> Value:
    check_images("conv2d", x)
    _check_kernel("conv2d", x, w, input_axis=2)
    _check_bias("biased_conv2d", w.shape[3:], b)
    geometry = checked_geometry("conv2d", x, w.shape[:2], strides, padding, dilation)
    return kernels.conv2d(x, w, geometry, b)


def _conv2d_transpose(
    x: Value, w: Value, b: Value | None, strides: Size, padding: Padding,
    output_shape: Sequence[int] | None, dilation: Size,
) -> Value:  # fmt: skip
    check_images("conv2d_transpose", x)
    _check_kernel("conv2d_transpose", x, w, input_axis=3)
    _check_bias("biased_conv2d_transpose", w.shape[2:3], b)
    options = w.shape[:2], strides, padding, dilation
    default = kernels.transposed_image(x.shape[1:3], *options)
    image = default if output_shape is None else _image_of(output_shape, default, x, w)
    if output_shape is None and min(image) < 0:
        raise ShapeError(
            f"conv2d_transpose: padding {padding} cuts off more than the whole output of x "
            f'{x.shape} with a kernel of {w.shape}. Try: padding="same".'
        )
    geometry = Geometry.of(image, *options)
    if geometry.output != x.shape[1:3]:
        raise ShapeError(
            f"conv2d_transpose: output_shape {image} does not fit: conv2d would make "
            f"{geometry.output} pixels of it, but x {x.shape} has {x.shape[1:3]}. "
            f"Try: output_shape={default}."
        )
    return kernels.conv2d_transpose(x, w, geometry, b)


# ── what fits together ───────────────────────────────────────────────────────────────────────


def check_images(name: str, x: Value) -> None:
    """Raise ShapeError if x is not (N, H, W, C)."""
    if x.ndim != 4:
        raise ShapeError(
            f"{name}: x is {x.shape}, but must be pictures, (N, H, W, C). "
            f"Try: x.reshape((-1, 28, 28, 1)), if they have 28 x 28 pixels and 1 channel."
        )


def _check_kernel(name: str, x: Value, w: Value, input_axis: int) -> None:
    """Raise ShapeError if the kernel does not take x's channels on its input_axis."""
    axes = "(KH, KW, I, O)" if input_axis == 2 else "(KH, KW, O, I)"
    if w.ndim != 4:
        raise ShapeError(
            f"{name}: the kernel is {w.shape}, but must be {axes}. "
            f"Try: a kernel of shape {_kernel_shape((5, 5), x.shape[3], 64, input_axis)}."
        )
    channels, outputs = w.shape[input_axis], w.shape[5 - input_axis]
    if x.shape[3] == channels:
        return
    if x.shape[1] == channels:
        repair = "x.transpose((0, 2, 3, 1)), which moves the channels to the end"
    elif x.shape[3] == outputs:
        repair = "w.swapaxes(2, 3), which exchanges the kernel's inputs and outputs"
    else:
        shape = _kernel_shape(w.shape[:2], x.shape[3], outputs, input_axis)
        repair = f"a kernel of shape {shape}"
    raise ShapeError(
        f"{name}: x {x.shape} has {x.shape[3]} channels, but the kernel {w.shape}, which is "
        f"{axes}, takes {channels}. Try: {repair}."
    )


def _check_bias(name: str, channels: tuple[int, ...], b: Value | None) -> None:
    """Raise ShapeError if there is a bias, but not a number for each channel."""
    if b is not None and b.shape != channels:
        raise ShapeError(
            f"{name}: the bias is {b.shape}, but the kernel makes {channels[0]} channels. "
            f"Try: a bias of shape {channels}."
        )


def _kernel_shape(
    size: Pair, inputs: int, outputs: int, input_axis: int
) -> tuple[int, int, int, int]:
    return (*size, inputs, outputs) if input_axis == 2 else (*size, outputs, inputs)


def checked_geometry(
    name: str, x: Value, kernel: Size, strides: Size, padding: Padding, dilation: Size = 1
) -> Geometry:
    """The geometry on images x; ShapeError if the kernel is larger than the padded image."""
    geometry = Geometry.of(x.shape[1:3], kernel, strides, padding, dilation)
    if any(n < min(1, pixels) for n, pixels in zip(geometry.output, x.shape[1:3], strict=True)):
        rows, columns = kernels.extent(geometry.kernel, geometry.dilation)
        raise ShapeError(
            f"{name}: a kernel that spans {rows} x {columns} pixels does not fit into x "
            f'{x.shape} with padding {padding!r}. Try: padding="same".'
        )
    return geometry


def _image_of(output_shape: Sequence[int], default: Pair, x: Value, w: Value) -> Pair:
    """The (H, W) of an output_shape, which may be the whole (N, H, W, O)."""
    try:
        shape = tuple(map(index, output_shape))
    except TypeError:
        shape = ()
    if len(shape) == 2:
        return shape
    pictures, channels = x.shape[0], w.shape[2]
    if len(shape) != 4 or (shape[0], shape[3]) != (pictures, channels):
        raise ShapeError(
            f"conv2d_transpose: output_shape is {output_shape}, but must be (H, W), or (N, H, W, "
            f"O) with N = {pictures} and O = {channels}. "
            f"Try: output_shape={(pictures, *default, channels)}."
        )
    return shape[1:3]
