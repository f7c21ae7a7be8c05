"""Convolution, pooling and batch norm: any geometry, what TensorFlow does, and what they refuse.

The specifications (minigan/testing/specifications/convolution.py) fix some geometries and prove
every derivative there; here hypothesis looks for others, against the same loops.
"""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from minigan import backend
from minigan.autograd import Tensor, grad, ops
from minigan.autograd.engine import array_of
from minigan.data import one_hot
from minigan.errors import ConfigError, ShapeError
from minigan.testing.specifications import convolution as loops

RNG = np.random.default_rng(11)


def host(x):
    return backend.to_host(array_of(x))


def assert_close(actual, expected):
    """Up to rounding, of a sum of products of numbers of order 1."""
    assert actual.shape == expected.shape
    np.testing.assert_allclose(host(actual), expected, rtol=1e-12, atol=1e-12)


# ── any geometry ─────────────────────────────────────────────────────────────────────────────

sizes = st.integers(1, 3)
pads = st.tuples(st.integers(0, 3), st.integers(0, 3))


@st.composite
def geometries(draw):
    """Shapes of x and w that fit together, and the options."""
    N, I, O = draw(st.integers(0, 2)), draw(sizes), draw(sizes)  # noqa: E741
    image = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    options = {
        "strides": draw(st.one_of(sizes, st.tuples(sizes, sizes))),
        "dilation": draw(st.one_of(st.just(1), sizes, st.tuples(sizes, sizes))),
        "padding": draw(st.one_of(st.sampled_from(["same", "valid"]), st.tuples(pads, pads))),
    }
    assume(min(loops.output_size(image, kernel, **options)) > 0)
    return (N, *image, I), (*kernel, I, O), options


TUTORIAL = ((2, 7, 5, 3), (5, 5, 3, 2), {"strides": 2, "padding": "same", "dilation": 1})


@settings(max_examples=300)
@given(geometries(), st.integers(0, 2**32 - 1))
@example(TUTORIAL, 0)
def test_the_trio_against_loops_over_pixels(geometry, seed):
    (images, kernel, options), rng = geometry, np.random.default_rng(seed)
    x, w = rng.normal(size=images), rng.normal(size=kernel)
    y = ops.conv2d(x, w, **options)
    assert_close(y, loops.convolution(x, w, **options))

    g, size = rng.normal(size=y.shape), images[1:3]
    to_x = ops.conv2d_transpose(g, w, output_shape=size, **options)
    assert_close(to_x, loops.transposed(g, w, output_shape=size, **options))
    to_w = ops.conv2d_filter(x, g, kernel[:2], **options)
    assert_close(to_w, loops.taps(x, g, kernel[:2], **options))

    product = np.sum(y * g)  # one trilinear form, seen from its three sides
    assert np.sum(x * to_x) == pytest.approx(product, rel=1e-10, abs=1e-10)
    assert np.sum(w * to_w) == pytest.approx(product, rel=1e-10, abs=1e-10)


@settings(max_examples=300)
@given(geometries(), st.integers(0, 2**32 - 1))
@example(TUTORIAL, 0)
def test_first_and_second_derivatives_of_the_trio_against_loops(geometry, seed):
    """Derivatives in the directions v of x, u of w and t of g; all are the trio's own values."""
    (images, kernel, options), rng = geometry, np.random.default_rng(seed)
    size = images[1:3]

    def conv(x, w):
        return loops.convolution(x, w, **options)

    def back(g, w):
        return loops.transposed(g, w, output_shape=size, **options)

    def taps(x, g):
        return loops.taps(x, g, kernel[:2], **options)

    x, v = rng.normal(size=(2, *images))
    w, u = rng.normal(size=(2, *kernel))
    y = conv(x, w)
    g, t = rng.normal(size=(2, *y.shape))
    y_v, y_u = conv(v, w), conv(x, u)
    to_x, to_x_t, to_x_u = back(g, w), back(t, w), back(g, u)
    to_w, to_w_v, to_w_t = taps(x, g), taps(v, g), taps(x, t)

    assert_derivatives(
        lambda x, w: ops.conv2d(x, w, **options), [x, w], g, [v, u],
        first=[to_x, to_w], second=[to_x_u, to_w_v, y_v + y_u],
    )  # fmt: skip
    assert_derivatives(
        lambda g, w: ops.conv2d_transpose(g, w, output_shape=size, **options), [g, w], x, [t, u],
        first=[y, to_w], second=[y_u, to_w_t, to_x_t + to_x_u],
    )  # fmt: skip
    assert_derivatives(
        lambda x, g: ops.conv2d_filter(x, g, kernel[:2], **options), [x, g], w, [v, t],
        first=[to_x, y], second=[to_x_t, y_v, to_w_v + to_w_t],
    )  # fmt: skip


def assert_derivatives(op, inputs, cotangent, directions, first, second):
    """The gradients to the inputs, and of these, in directions, to the inputs and the cotangent."""
    inputs = [Tensor(a, requires_grad=True) for a in inputs]
    cotangent = Tensor(cotangent, requires_grad=True)
    gradients = grad(op(*inputs), inputs, cotangent, create_graph=True)
    of_gradients = grad(gradients, [*inputs, cotangent], directions)
    for actual, expected in zip([*gradients, *of_gradients], [*first, *second], strict=True):
        assert_close(actual, expected)


@given(geometries(), st.integers(0, 2**32 - 1))
def test_a_transposed_convolution_of_default_size_turns_back(geometry, seed):
    (images, kernel, options), rng = geometry, np.random.default_rng(seed)
    KH, KW, I, O = kernel  # noqa: E741
    x, w = rng.normal(size=images), rng.normal(size=(KH, KW, O, I))
    size = loops.spread_size(images[1:3], (KH, KW), **options)
    assume(min(size) > 0)
    y = ops.conv2d_transpose(x, w, **options)
    assert_close(y, loops.transposed(x, w, **options))
    assert ops.conv2d(y, w, **options).shape == x.shape


@st.composite
def pools(draw):
    images = draw(st.tuples(st.integers(0, 2), st.integers(1, 7), st.integers(1, 7), sizes))
    pool_size = draw(st.one_of(sizes, st.tuples(sizes, sizes)))
    strides = draw(st.one_of(st.none(), sizes, st.tuples(sizes, sizes)))
    padding = draw(st.sampled_from(["same", "valid"]))
    assume(min(loops.output_size(images[1:3], pool_size, padding=padding)) > 0)
    return images, {"pool_size": pool_size, "strides": strides, "padding": padding}


@given(pools(), st.integers(0, 2**32 - 1))
def test_pooling_against_loops_over_pixels(pool, seed):
    images, options = pool
    x = np.random.default_rng(seed).normal(size=images)
    assert_close(ops.average_pooling2d(x, **options), loops.averages(x, **options))
    assert_close(ops.max_pooling2d(x, **options), loops.maxima(x, **options))


# ── what TensorFlow does ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("size", "stride", "start"),  # of a kernel of 5: the row of the first tap, -top
    [(28, 2, -1), (14, 2, -1), (7, 2, -2), (5, 2, -2), (4, 2, -1), (1, 2, -2), (7, 1, -2)],
)
def test_same_padding_puts_an_odd_zero_below_and_on_the_right(size, stride, start, on_device):
    """A kernel with one tap, its last, shows which pixel each output pixel sees."""
    x = np.arange(1.0, size + 1).reshape((1, size, 1, 1)) * np.ones((1, 1, size, 1))
    w = np.zeros((5, 5, 1, 1))
    w[4, 2] = 1
    y = host(ops.conv2d(on_device(x), on_device(w), stride))[0, :, 0, 0]
    seen = [start + 4 + i * stride for i in range(-(-size // stride))]
    assert y.tolist() == [row + 1 if row < size else 0 for row in seen]


def test_default_sizes_of_transposed_convolutions_are_those_of_tf_layers(on_device):
    x, w = on_device(np.ones((1, 7, 6, 2))), on_device(np.ones((5, 2, 3, 2)))

    def size(*options):
        return ops.conv2d_transpose(x, w, *options).shape[1:3]

    assert size(1, "same") == (7, 6)
    assert size(2, "same") == (14, 12)
    assert size(2, "valid") == (7 * 2 + 3, 6 * 2 + 0)
    assert size((1, 3), "valid") == (7 + 4, 6 * 3)
    assert size(2, "same", (13, 11)) == (13, 11)
    assert size(2, "same", [1, 14, 11, 3]) == (14, 11)


def test_average_pooling_counts_only_pixels(on_device):
    x = on_device(np.arange(1.0, 10).reshape((1, 3, 3, 1)))
    y = ops.average_pooling2d(x, padding="same")
    assert host(y)[0, :, :, 0].tolist() == [[3, 4.5], [7.5, 9]]


def test_the_first_of_equal_maxima_has_the_gradient(on_device):
    image = [[1, 3, 3, 0], [3, 2, 0, 3], [-1, -1, 5, 4], [-1, -1, 4, 5]]
    x = Tensor(on_device(image, "float64").reshape((1, 4, 4, 1)), requires_grad=True)
    (to_x,) = grad(ops.max_pooling2d(x).sum(), x)
    assert host(to_x)[0, :, :, 0].tolist() == [
        [0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]
    ]  # fmt: skip
    flat = Tensor(on_device(np.ones((1, 3, 4, 1))), requires_grad=True)
    (to_flat,) = grad(ops.max_pooling2d(flat, 2, 1).sum(), flat)
    assert host(to_flat)[0, :, :, 0].tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]


def test_max_pooling_of_negative_numbers_does_not_see_the_padding(on_device):
    for dtype in ("float32", "int8"):
        y = host(ops.max_pooling2d(on_device(np.full((1, 3, 3, 1), -2), dtype), padding="same"))
        assert y.dtype == dtype
        assert (y == -2).all()


def test_upsampling_repeats_pixels(on_device):
    x = on_device([[1.0, 2.0]]).reshape((1, 1, 2, 1))
    assert host(ops.upsample2d(x, (3, 2)))[0, :, :, 0].tolist() == [[1, 1, 2, 2]] * 3


@pytest.mark.parametrize("shape", [(3, 4), (3, 1, 1, 4)])
def test_labels_become_channels(shape, on_device):
    x, labels = RNG.normal(size=(3, 2, 5, 2)), one_hot(np.array([1, 3, 0]), 4)
    y = host(ops.conv_cond_concat(on_device(x), on_device(labels.reshape(shape), "float64")))
    np.testing.assert_array_equal(y[..., :2], x)
    assert y[..., 2:].reshape(3, 10, 4).argmax(-1).tolist() == [[1] * 10, [3] * 10, [0] * 10]


# ── batch norm ───────────────────────────────────────────────────────────────────────────────


def test_batch_norm_brings_every_channel_to_mean_0_and_variance_1(on_device):
    x = on_device(5 + 3 * RNG.normal(size=(8, 4, 3, 2)))
    gamma, beta = on_device([1.0, -2.0]), on_device([0.0, 7.0])
    y = host(ops.batch_norm(x, gamma, beta))
    np.testing.assert_allclose(y.mean((0, 1, 2)), [0, 7], atol=1e-12)
    np.testing.assert_allclose(y.var((0, 1, 2)), [1, 4], rtol=1e-5)
    mean, variance = ops.moments(x)
    np.testing.assert_allclose(host(mean), host(x).mean((0, 1, 2)))
    np.testing.assert_allclose(host(variance), host(x).var((0, 1, 2)))
    np.testing.assert_array_equal(host(ops.normalize(x, mean, variance, gamma, beta)), y)


@pytest.mark.parametrize("spread", [1.0, 3e-3, 1e-7, 0.0], ids="variance {}".format)
def test_batch_norm_is_its_formula_differentiated_step_by_step(spread, on_device):
    """The textbook's gradient against that of the formula in ops; epsilon is 1e-5."""
    x, gamma, beta = (
        Tensor(on_device(values), requires_grad=True)
        for values in (spread * RNG.normal(size=(6, 2)), RNG.normal(size=2), RNG.normal(size=2))
    )
    g = on_device(RNG.normal(size=(6, 2)))
    v = [on_device(RNG.normal(size=a.shape)) for a in (x, gamma, beta)]

    def first_and_second_order(y):
        first = grad(y, [x, gamma, beta], g, create_graph=True)
        return [*first, *grad(first, [x, gamma], v)]

    fused = first_and_second_order(ops.batch_norm(x, gamma, beta))
    step_by_step = first_and_second_order(ops.normalize(x, *ops.moments(x), gamma, beta))
    for ours, expected in zip(fused, step_by_step, strict=True):
        scale = np.abs(host(expected)).max()
        np.testing.assert_allclose(host(ours), host(expected), rtol=1e-9, atol=1e-11 * scale)


def test_the_gradient_of_batch_norm_is_orthogonal_to_what_it_takes_away(on_device):
    """Shifting all values of a channel, or with epsilon 0 scaling them, changes nothing."""
    x = Tensor(on_device(RNG.normal(size=(5, 3))), requires_grad=True)
    one = on_device(np.ones(3))
    (to_x,) = grad(ops.batch_norm(x, one, one, 0.0), x, on_device(RNG.normal(size=(5, 3))))
    np.testing.assert_allclose(host(to_x).sum(0), 0, atol=1e-12)
    np.testing.assert_allclose((host(to_x) * host(x)).sum(0), 0, atol=1e-12)


# ── dtypes and memory ────────────────────────────────────────────────────────────────────────


def calls(x, w, vector):
    """Every function of these files."""
    g = ops.conv2d(x, w, 2)
    return [
        g, ops.conv2d_transpose(g, w, 2, output_shape=x.shape), ops.conv2d_filter(x, g, (3, 2), 2),
        ops.average_pooling2d(x, padding="same"), ops.max_pooling2d(x), ops.upsample2d(x),
        ops.batch_norm(x, vector, vector), *ops.moments(x),
        ops.normalize(x, vector, vector * vector, vector, vector),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", "complex128"])
def test_the_dtype_stays(dtype, device, on_device):
    if dtype == "longdouble" and device != "cpu":
        pytest.skip("NumPy alone has it")
    values = [RNG.normal(size=shape) for shape in [(2, 5, 4, 3), (3, 2, 3, 2), (3,)]]
    inputs = [Tensor(on_device(x, dtype), requires_grad=True) for x in values]
    outputs = calls(*inputs)
    error = 100 * max(np.finfo(dtype).eps, np.finfo("float64").eps)
    for y, exact in zip(outputs, calls(*map(on_device, values)), strict=True):
        assert y.dtype == dtype
        np.testing.assert_allclose(host(y), host(exact), rtol=error, atol=error)
    gradients = grad(outputs, inputs, [on_device(np.ones(y.shape, dtype)) for y in outputs])
    assert {g.dtype for g in gradients} == {np.dtype(dtype)}


LAYOUTS = {
    "column-major": lambda x, place: place(x.T.copy()).T,
    "every second": lambda x, place: place(np.repeat(x, 2, axis=1))[:, ::2],
    "backwards": lambda x, place: place(x[..., ::-1].copy())[..., ::-1],
    "NCHW": lambda x, place: place(x.transpose(0, 3, 1, 2).copy()).transpose(0, 2, 3, 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_does_not_matter_and_inputs_are_neither_written_nor_shared(layout, on_device):
    x, w, vector = RNG.normal(size=(2, 5, 4, 3)), RNG.normal(size=(3, 2, 3, 2)), np.ones(3)
    x_there, w_there, vector_there = (
        LAYOUTS[layout](x, on_device), LAYOUTS[layout](w, on_device), on_device(vector)
    )  # fmt: skip
    for array in (x_there, w_there, vector_there):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    expected = calls(x, w, vector)
    for y, right in zip(calls(x_there, w_there, vector_there), expected, strict=True):
        np.testing.assert_allclose(host(y), right, rtol=1e-12, atol=1e-14)
        assert not np.may_share_memory(y, x_there)
    np.testing.assert_array_equal(host(x_there), x)


def test_no_pictures_and_no_pixels(on_device):
    """A size of 0 has the answer that sums over nothing have."""
    x, w = on_device(np.ones((0, 4, 4, 2))), on_device(np.ones((3, 3, 2, 5)))
    assert ops.conv2d(x, w, 2).shape == (0, 2, 2, 5)
    assert not host(ops.conv2d_filter(x, ops.conv2d(x, w), 3)).any()
    narrow = on_device(np.ones((2, 0, 4, 2)))
    assert ops.conv2d(narrow, w).shape == (2, 0, 4, 5)
    assert ops.conv2d_transpose(ops.conv2d(narrow, w), w).shape == (2, 0, 4, 2)
    assert not host(ops.conv2d(on_device(np.ones((1, 4, 4, 0))), on_device(np.ones((3, 3, 0, 2))))
                    ).any()  # fmt: skip


# ── what is refused, and what the message says to try ────────────────────────────────────────

X, W = np.ones((2, 4, 6, 3)), np.ones((5, 5, 3, 2))  # NHWC, HWIO
G = ops.conv2d(X, W, 2)  # (2, 2, 3, 2)

SHAPE_MISTAKES = {
    "flat pictures": (
        lambda: ops.conv2d(np.ones((2, 784)), np.ones((5, 5, 1, 2))),
        "conv2d: x is (2, 784), but must be pictures, (N, H, W, C). "
        "Try: x.reshape((-1, 28, 28, 1)), if they have 28 x 28 pixels and 1 channel.",
        lambda: ops.conv2d(np.ones((2, 784)).reshape((-1, 28, 28, 1)), np.ones((5, 5, 1, 2))),
    ),
    "channels first": (
        lambda: ops.conv2d(X.transpose(0, 3, 1, 2), W),
        "conv2d: x (2, 3, 4, 6) has 6 channels, but the kernel (5, 5, 3, 2), which is (KH, KW, I, "
        "O), takes 3. Try: x.transpose((0, 2, 3, 1)), which moves the channels to the end.",
        lambda: ops.conv2d(X.transpose(0, 3, 1, 2).transpose((0, 2, 3, 1)), W),
    ),
    "a kernel for the transposed convolution": (
        lambda: ops.conv2d(X, W.swapaxes(2, 3)),
        "conv2d: x (2, 4, 6, 3) has 3 channels, but the kernel (5, 5, 2, 3), which is (KH, KW, I, "
        "O), takes 2. Try: w.swapaxes(2, 3), which exchanges the kernel's inputs and outputs.",
        lambda: ops.conv2d(X, W),
    ),
    "a kernel for other channels": (
        lambda: ops.conv2d(X, np.ones((5, 5, 1, 8))),
        "conv2d: x (2, 4, 6, 3) has 3 channels, but the kernel (5, 5, 1, 8), which is (KH, KW, I, "
        "O), takes 1. Try: a kernel of shape (5, 5, 3, 8).",
        lambda: ops.conv2d(X, np.ones((5, 5, 3, 8))),
    ),
    "a transposed kernel for other channels": (
        lambda: ops.conv2d_transpose(X, np.ones((5, 5, 8, 1))),
        "conv2d_transpose: x (2, 4, 6, 3) has 3 channels, but the kernel (5, 5, 8, 1), which is "
        "(KH, KW, O, I), takes 1. Try: a kernel of shape (5, 5, 8, 3).",
        lambda: ops.conv2d_transpose(X, np.ones((5, 5, 8, 3))),
    ),
    "a matrix as a kernel": (
        lambda: ops.conv2d(X, np.ones((3, 64))),
        "conv2d: the kernel is (3, 64), but must be (KH, KW, I, O). "
        "Try: a kernel of shape (5, 5, 3, 64).",
        lambda: ops.conv2d(X, np.ones((5, 5, 3, 64))),
    ),
    "a matrix as a transposed kernel": (
        lambda: ops.conv2d_transpose(X, np.ones((3, 64))),
        "conv2d_transpose: the kernel is (3, 64), but must be (KH, KW, O, I). "
        "Try: a kernel of shape (5, 5, 64, 3).",
        lambda: ops.conv2d_transpose(X, np.ones((5, 5, 64, 3))),
    ),
    "a kernel that is too large": (
        lambda: ops.conv2d(X, W, padding="valid"),
        "conv2d: a kernel that spans 5 x 5 pixels does not fit into x (2, 4, 6, 3) with padding "
        "'valid'. Try: padding=\"same\".",
        lambda: ops.conv2d(X, W, padding="same"),
    ),
    "a window that is too large": (
        lambda: ops.max_pooling2d(X, 5),
        "max_pooling2d: a kernel that spans 5 x 5 pixels does not fit into x (2, 4, 6, 3) with "
        "padding 'valid'. Try: padding=\"same\".",
        lambda: ops.max_pooling2d(X, 5, padding="same"),
    ),
    "a size that does not fit": (
        lambda: ops.conv2d_transpose(G, W, 2, output_shape=(2, 5, 6, 3)),
        "conv2d_transpose: output_shape (5, 6) does not fit: conv2d would make (3, 3) pixels of "
        "it, but x (2, 2, 3, 2) has (2, 3). Try: output_shape=(4, 6).",
        lambda: ops.conv2d_transpose(G, W, 2, output_shape=(4, 6)),
    ),
    "a negative size": (
        lambda: ops.conv2d_transpose(G, W, 2, output_shape=(-1, 6)),
        "conv2d_transpose: output_shape (-1, 6) does not fit: conv2d would make (0, 3) pixels of "
        "it, but x (2, 2, 3, 2) has (2, 3). Try: output_shape=(4, 6).",
        lambda: ops.conv2d_transpose(G, W, 2, output_shape=(4, 6)),
    ),
    "another batch": (
        lambda: ops.conv2d_transpose(G, W, 2, output_shape=(64, 4, 6, 3)),
        "conv2d_transpose: output_shape is (64, 4, 6, 3), but must be (H, W), or (N, H, W, O) "
        "with N = 2 and O = 3. Try: output_shape=(2, 4, 6, 3).",
        lambda: ops.conv2d_transpose(G, W, 2, output_shape=(2, 4, 6, 3)),
    ),
    "one number as output_shape": (
        lambda: ops.conv2d_transpose(G, W, 2, output_shape=28),
        "conv2d_transpose: output_shape is 28, but must be (H, W), or (N, H, W, O) with N = 2 and "
        "O = 3. Try: output_shape=(2, 4, 6, 3).",
        lambda: ops.conv2d_transpose(G, W, 2, output_shape=(2, 4, 6, 3)),
    ),
    "nothing left": (
        lambda: ops.conv2d_transpose(G, W, padding=((4, 4), (0, 0))),
        "conv2d_transpose: padding ((4, 4), (0, 0)) cuts off more than the whole output of x (2, "
        '2, 3, 2) with a kernel of (5, 5, 3, 2). Try: padding="same".',
        lambda: ops.conv2d_transpose(G, W, padding="same"),
    ),
    "another cotangent": (
        lambda: ops.conv2d_filter(X, G, 5),
        "conv2d_filter: g is (2, 2, 3, 2), but conv2d would make (N, H', W') = (2, 4, 6) of x (2, "
        "4, 6, 3). Try: a g of shape (2, 4, 6, 2).",
        lambda: ops.conv2d_filter(X, np.ones((2, 4, 6, 2)), 5),
    ),
    "class numbers": (
        lambda: ops.conv_cond_concat(X, np.array([1, 0])),
        "conv_cond_concat: labels are (2,), but must be one row for each of the 2 pictures, (N, "
        "K). Try: one_hot(labels), from minigan.data, of 2 class numbers.",
        lambda: ops.conv_cond_concat(X, one_hot(np.array([1, 0]))),
    ),
    "one value per channel": (
        lambda: ops.batch_norm(np.ones((1, 3)), np.ones(3), np.ones(3)),
        "batch_norm: x (1, 3) has fewer than 2 values per channel, so its variance says nothing. "
        "Try: a batch of at least 2, or normalize(x, mean, variance, gamma, beta) by the moments "
        "of other data.",
        lambda: ops.normalize(np.ones((1, 3)), *[np.ones(3)] * 4),
    ),
    "examples that are not so many batches": (
        lambda: ops.moments(X, 3),
        "moments: the examples of x (2, 4, 6, 3) are not 3 batches of a size. Try: as many "
        "examples in each.",
        lambda: ops.moments(X, 2),
    ),
    "no batches": (
        lambda: ops.moments(X, 0),
        "moments: the examples of x (2, 4, 6, 3) are not 0 batches of a size. Try: as many "
        "examples in each.",
        lambda: ops.moments(X, 1),
    ),
    "moments of no batches": (
        lambda: ops.normalize(X, np.ones((0, 3)), np.ones((0, 3)), np.ones(3), np.ones(3)),
        "normalize: mean is (0, 3), but x is (2, 4, 6, 3), whose channels are its last axis. "
        "Try: a mean of shape (3,).",
        lambda: ops.normalize(X, *[np.ones(3)] * 4),
    ),
    "a bias for other channels": (
        lambda: ops.biased_conv2d(X, np.ones((3, 3, 3, 2)), np.ones(3)),
        "biased_conv2d: the bias is (3,), but the kernel makes 2 channels. "
        "Try: a bias of shape (2,).",
        lambda: ops.biased_conv2d(X, np.ones((3, 3, 3, 2)), np.ones(2)),
    ),
    "gamma for other channels": (
        lambda: ops.batch_norm(X, np.ones(4), np.ones(3)),
        "batch_norm: gamma is (4,), but x is (2, 4, 6, 3), whose channels are its last axis. "
        "Try: a gamma of shape (3,).",
        lambda: ops.batch_norm(X, np.ones(3), np.ones(3)),
    ),
}  # fmt: skip


def option_mistakes():
    for value in [0, -1, 2.0, "2", (2, 2, 2), [1, 2, 2, 1], (0, 1), None]:
        repair = "strides=2 or strides=(2, 2)."
        for strides in (2, (2, 2)):
            yield (
                lambda value=value: ops.conv2d(X, W, strides=value),
                f"strides is {value!r}, but must be a whole number from 1, or one for rows and "
                f"one for columns. Try: {repair}",
                lambda strides=strides: ops.conv2d(X, W, strides=strides),
            )
    for value in ["smae", "", 1, (1, 1), ((1, 1),), ((1, -1), (0, 0)), ((0.5, 1), (0, 0)), None]:
        yield (
            lambda value=value: ops.conv2d(X, W, padding=value),
            f'padding is {value!r}, but must be "same", "valid" or ((top, bottom), (left, right)) '
            f'in pixels. Try: padding="same".',
            lambda: ops.conv2d(X, W, padding="same"),
        )
    for call, name in [
        (lambda value: ops.conv2d(X, W, dilation=value), "dilation"),
        (lambda value: ops.conv2d_transpose(G, W, dilation=value), "dilation"),
        (lambda value: ops.conv2d_filter(X, ops.conv2d(X, W), value), "kernel_size"),
        (lambda value: ops.average_pooling2d(X, value), "pool_size"),
        (lambda value: ops.upsample2d(X, value), "size"),
    ]:
        yield (
            lambda call=call: call(0),
            f"{name} is 0, but must be a whole number from 1, or one for rows and one for "
            f"columns. Try: {name}=2 or {name}=(2, 2).",
            lambda call=call: call(2),
        )
    yield (
        lambda: ops.max_pooling2d(X, 2, padding=((2, 0), (0, 0))),
        "max_pooling2d: padding ((2, 0), (0, 0)) is as wide as a window of (2, 2), so some "
        'windows would hold no pixel. Try: padding="same".',
        lambda: ops.max_pooling2d(X, 2, padding="same"),
    )


@pytest.mark.parametrize("name", SHAPE_MISTAKES)
def test_shapes_that_do_not_fit(name):
    mistake, message, repaired = SHAPE_MISTAKES[name]
    with pytest.raises(ShapeError) as raised:
        mistake()
    assert str(raised.value) == message
    repaired()


@pytest.mark.parametrize(("mistake", "message", "repaired"), list(option_mistakes()))
def test_options_that_make_no_sense(mistake, message, repaired):
    with pytest.raises(ConfigError) as raised:
        mistake()
    assert str(raised.value) == message
    repaired()


def test_the_words_for_padding_are_taken_in_any_case():
    for word in ("same", "valid"):
        np.testing.assert_array_equal(
            ops.conv2d(X, W[:3, :3], 2, word.upper()), ops.conv2d(X, W[:3, :3], 2, word)
        )
