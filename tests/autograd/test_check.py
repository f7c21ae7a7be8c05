"""The checker finds what is wrong, says where, and lets pass what is right."""

import numpy as np
import pytest

import minigan as mg
from minigan.autograd import Op, Tensor, check_gradients
from minigan.autograd.verification.disagreement import guess_pattern
from minigan.autograd.verification.numerical import EXTENDED
from minigan.errors import ConfigError, GradientError, VacuousGradientWarning
from minigan.random import stream


def normal(*shape):
    return lambda rng: rng.normal(size=shape)


def op_with(forward, *rules):
    """An op outside the registry."""
    new = Op(forward)
    new.pullbacks(*rules)
    return new


def square_with(rule):
    def square(x):
        return x * x

    return op_with(square, rule)


def refused(f, *inputs, **options):
    """The report of the failure."""
    with pytest.raises(GradientError) as caught:
        check_gradients(f, *inputs, **options)
    return str(caught.value)


# ── what is right passes ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(5))
def test_right_rules_pass_to_rounding(seed):
    report = check_gradients(mg.dense, normal(4, 3), normal(3, 2), normal(2), order=3, seed=seed)
    assert report.name == "dense"
    assert report.methods == ["complex step"] * 3
    assert max(report.worst) < 1e-12
    assert not report.kinks
    assert not report.zero


def test_every_element_of_a_small_jacobian_is_compared():
    report = check_gradients(mg.tanh, normal(2, 3), order=1)
    assert report.comparisons == (6 + 2) * 6  # one-hot, dense and unique cotangents


def test_the_report_says_what_was_verified():
    lines = str(check_gradients(mg.tanh, normal(2, 3))).splitlines()
    assert lines[0].startswith("tanh: ")
    assert [line.split()[:4] for line in lines[1:]] == [
        ["order", "1", "by", "complex"],
        ["order", "2", "by", "complex"],
    ]


def test_batch_norm_by_hand_where_it_is_hardest():
    """Two rows: the derivative is what remains of terms that cancel to 1e-5 and less."""

    def batch_norm(x, gamma, beta):
        centred = x - mg.mean(x, axis=0)
        deviation = mg.sqrt(mg.mean(centred * centred, axis=0) + 1e-5)
        return centred / deviation * gamma + beta

    for rows in (2, 3):
        for scale in (1e-3, 1.0, 1e3):
            for seed in range(3):
                check_gradients(
                    batch_norm,
                    lambda rng, n=rows, s=scale: s * rng.normal(size=(n, 3)),
                    normal(3),
                    normal(3),
                    seed=seed,
                )


def test_several_outputs():
    report = check_gradients(lambda x: (mg.exp(x), x * 2.0), normal(3))
    assert report.comparisons > 0
    half = square_with(lambda g, y, x: g * x)
    assert "at fault        square" in refused(lambda x: (mg.exp(x), half(x)), normal(3))


def test_arguments_that_are_not_differentiated():
    check_gradients(mg.sum, normal(2, 3), 1, True)
    check_gradients(mg.where, np.array([True, False]), normal(2), normal(2))
    check_gradients(mg.multiply, normal(3), Tensor(np.array([1.0, 2.0, 3.0])))


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (1, 1)])
def test_unusual_shapes(shape):
    check_gradients(mg.square, normal(*shape))


def test_a_seed_draws_the_inputs():
    drawn = []

    def keep(rng):
        drawn.append(rng.normal(size=2))
        return drawn[-1]

    for seed in (3, 3, 4):
        check_gradients(mg.square, keep, seed=seed)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).all()


# ── what is wrong is found ───────────────────────────────────────────────────────────────────


def wrong_in_one_element(g, y, x):
    factor = np.full(x.shape, 2.0)
    factor[(-1,) * x.ndim] = 2.002
    return g * x * factor


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shape", [(3,), (2, 5), (40, 30)])
def test_a_thousandth_in_one_element_is_caught_at_any_scale(shape, scale):
    square = square_with(wrong_in_one_element)
    report = refused(lambda x: scale * square(x), normal(*shape))
    last = ", ".join(str(n - 1) for n in shape)
    assert f"worst element   x[{last}]" in report
    assert "relative error  0.001" in report


@pytest.mark.parametrize("error", [1e-3, 1e-6, 1e-8])
def test_small_errors(error):
    report = refused(square_with(lambda g, y, x: g * (2 + error) * x), normal(2, 3))
    assert f"relative error  {error / 2:.2g}" in report


def test_an_error_in_a_large_dense_layer():
    def affine(x, w):
        return x @ w

    def to_w(g, y, x, w):
        gw = x.T @ g
        gw[17, 4] *= 1.001
        return gw

    layer = op_with(affine, lambda g, y, x, w: g @ w.T, to_w)
    report = refused(layer, normal(9, 100), normal(100, 50))
    assert "gradient to w" in report
    assert "w[17, 4]" in report


def test_a_rule_that_is_right_first_and_wrong_second():
    def constant_slope(g, y, x):
        return g * (2 * (x.data if isinstance(x, Tensor) else x))

    square = square_with(constant_slope)
    check_gradients(square, normal(3), order=1)
    report = refused(square, normal(3), order=2)
    assert report.startswith("the gradient of square: the gradient to x is wrong")
    assert "zero everywhere" in report
    report = refused(lambda x: mg.exp(square(x)), normal(3), order=2)
    assert "at fault        square" in report


def test_a_rule_that_is_right_twice_and_wrong_the_third_time():
    def square_detached(g, y, x):
        return g * 2 * (x if _plain(x) else x.detach())

    square = square_with(square_detached)

    def cube(x):
        return x**3

    cube = op_with(cube, lambda g, y, x: g * 3 * square(x))
    check_gradients(cube, normal(2), order=2)
    assert "the gradient of the gradient of cube" in refused(cube, normal(2), order=3)


def _plain(x):
    return not isinstance(x, Tensor)


def test_a_wrong_value_and_a_wrong_shape():
    def cube(x):
        return x**3

    assert "its reference" in refused(mg.square, normal(3), reference=cube)
    assert "3 numbers, its reference 1" in refused(
        mg.square, normal(3), reference=lambda x: (x**2).sum()
    )


def test_the_op_at_fault_is_named():
    square = square_with(lambda g, y, x: g * 2.002 * x)
    report = refused(
        lambda x, w: mg.mean(square(mg.tanh(x @ w))), normal(2, 3), normal(3, 2), order=1
    )
    assert "at fault        square, argument x" in report
    report = refused(lambda x: mg.exp(x) * x.detach(), normal(3))
    assert "no single op" in report


# ── patterns ─────────────────────────────────────────────────────────────────────────────────

E = stream(0, "gradient").normal(size=(4, 4))
ROWS = np.arange(1.0, 5.0)[:, None]
BORDER = np.pad(np.ones((2, 2)), 1, constant_values=0)
ONE = np.ones((4, 4)) + 0.001 * (np.arange(16).reshape(4, 4) == 6)
PATTERNS = [
    (-E, "the sign is flipped"),
    (E / 2, "off by the factor 1/2"),
    (E / 16, "off by the factor 1/16"),
    (E * (1 - 3e-8), "off by the factor 1 - 3e-08"),
    (E * (1 + 2e-7), "off by the factor 1 + 2e-07"),
    (3 * E, "off by the factor 3"),
    (E + 0.5, "off by 0.5, the same amount"),
    (E.T, "equal to the transpose"),
    (E[::-1], "flipped along axis 0"),
    (E[::-1, ::-1], "flipped along axes (0, 1)"),
    (np.roll(E, 1, 1), "shifted by one along axis 1"),
    (E * BORDER, "differs only at the border"),
    (E * ROWS, "the same along axis 1"),
    (E * ONE, "wrong in one element only"),
    (E * (1 + (np.arange(4) == 3)), "differs only at index 3 of axis 1"),
    (0 * E, "zero everywhere"),
    (E * np.nan, "16 of 16 elements are not finite"),
    (np.sin(7 * E), "wrong in 16 of 16 elements"),
]


@pytest.mark.parametrize(("analytic", "pattern"), PATTERNS, ids=[p for _, p in PATTERNS])
def test_patterns(analytic, pattern):
    guess = guess_pattern(analytic, E)
    assert pattern in guess.pattern
    assert guess.hint


def test_a_rule_that_ignores_the_cotangent():
    assert "whatever the cotangent" in refused(square_with(lambda g, y, x: 2 * x), normal(3))


def test_the_report_is_one_sentence_with_a_way_out_and_the_figures():
    report = refused(square_with(lambda g, y, x: g * x), np.array([1.0, 3.0]), order=1)
    sentence, *figures = report.splitlines()
    assert sentence == (
        "square: the gradient to x is wrong, the pullback gives 3 where the slope is 6. Try: look "
        "for a missing or extra factor: a mean's 1/N, a square's 2, the inner derivative."
    )
    assert [line.split("  ")[1] for line in figures] == [
        "argument", "worst element", "analytic", "numeric", "relative error", "cotangent",
        "pattern",
    ]  # fmt: skip


def test_pictures_of_a_failure_and_of_a_success(tmp_path):
    picture = tmp_path / "wrong.png"
    report = refused(square_with(lambda g, y, x: g * x), normal(3, 2), picture=picture)
    assert str(picture) in report
    assert picture.read_bytes().startswith(b"\x89PNG")
    check_gradients(mg.square, normal(300), order=1, picture=tmp_path / "right.png")
    assert (tmp_path / "right.png").stat().st_size > 1000


def test_a_picture_that_cannot_be_written(tmp_path):
    with pytest.raises(mg.MiniganError, match="can't be written"):
        check_gradients(mg.square, normal(3), picture=tmp_path / "no" / "folder.png")


# ── which method ─────────────────────────────────────────────────────────────────────────────


def test_the_method_is_chosen_by_what_the_function_does():
    assert check_gradients(mg.sigmoid, normal(3)).methods[0] == "complex step"
    assert check_gradients(mg.var, normal(3)).methods[0] == "long double"  # takes |x|^2
    converts = check_gradients(lambda x: mg.tanh(x.astype("float64")), normal(3), order=1)
    assert converts.methods == ["float64"]
    assert converts.worst[0] < 1e-6


@pytest.mark.parametrize("f", [mg.abs, mg.var, lambda x: mg.tanh(x.astype("float64"))])
def test_every_method_finds_a_thousandth(f):
    square = square_with(wrong_in_one_element)
    report = refused(lambda x: f(x) + square(x), np.array([0.7, -1.2, 0.6]), order=1)
    assert "worst element   x[2]" in report


# ── functions that take a gradient themselves ────────────────────────────────────────────────


def squared_slope(x):
    """Of tanh."""
    (slope,) = mg.grad(mg.sum(mg.tanh(x)), x, create_graph=True)
    return mg.sum(slope * slope)


def squared_slope_by_formula(x):
    return ((1 - np.tanh(x) ** 2) ** 2).sum()


def test_a_gradient_inside_needs_a_reference():
    said = "squared_slope can't do without a graph; perhaps it takes a gradient itself"
    with pytest.raises(ConfigError, match=said) as caught:
        check_gradients(squared_slope, normal(3))
    assert "Try: reference=" in str(caught.value)
    check_gradients(squared_slope, normal(3), reference=squared_slope_by_formula)


def test_so_does_a_gradient():
    def slope(x):
        return mg.grad(mg.sum(x * x * x), x, create_graph=True)[0]

    with pytest.raises(ConfigError, match="reference="):
        check_gradients(slope, normal(3))
    check_gradients(slope, normal(3), reference=lambda x: 3 * x * x)


def test_a_penalty_on_a_module_needs_a_reference():
    net = mg.Dense(1, in_features=3)
    with pytest.raises(ConfigError, match="reference="):
        check_gradients(lambda x: mg.r1_penalty(net, x), normal(4, 3), modules={"D": net})


def test_a_function_that_fails_says_so_itself():
    with pytest.raises(ValueError, match="shapes"):
        check_gradients(lambda x: x + np.ones(7), normal(3))


@pytest.mark.skipif(not EXTENDED, reason="the platform has no extended precision")
def test_an_array_that_keeps_the_check_from_extended_precision():
    inner, large = np.ones(6), 1e6  # the slope to inner is w^2 + large, rounded to inner's dtype

    def by_slope(w, dtype):
        v = Tensor(inner.astype(dtype), requires_grad=True)
        (slope,) = mg.grad(mg.sum(v * (w * w + large)), v, create_graph=True)
        return slope * w

    reports = []
    for seed in range(6):
        options = {"reference": lambda w: (w * w + large) * w, "dtypes": (), "seed": seed}
        try:
            check_gradients(lambda w: by_slope(w, "float64"), normal(6), **options)
        except GradientError as error:
            reports.append(str(error))
        check_gradients(lambda w: by_slope(w, w.dtype), normal(6), **options)  # as the report says
    assert reports
    for report in reports:
        assert "may be rounding alone: f falls back to float64 on the way, in astype" in report
        assert "Try: a.astype(x.dtype) for f's own arrays a" in report
        assert "pattern" not in report


# ── kinks ────────────────────────────────────────────────────────────────────────────────────


def test_a_kink_is_named_and_is_no_error():
    report = check_gradients(mg.relu, np.array([-1.0, 0.0, 2.0]))
    assert report.kinks == ["x[1] = 0: slopes 0 and 1 at its two sides, the pullback takes 0"]
    assert "kink     x[1] = 0" in str(report)


def test_ties():
    tied = check_gradients(mg.maximum, np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    assert [kink.split(" = ")[0] for kink in tied.kinks] == ["x[0]", "w[0]"]
    assert check_gradients(mg.max, np.array([1.0, 3.0, 3.0])).kinks


def test_a_slope_outside_both_sides_is_wrong_even_at_a_kink():
    def bent(x):
        return np.maximum(x, 0)

    wrong = op_with(bent, lambda g, y, x: g * ((x > 0) + 2.0 * (x == 0)))
    assert "the pullback gives 2" in refused(wrong, np.array([-1.0, 0.0, 2.0]))


def test_a_kink_within_the_step_of_a_difference():
    x = np.array([1e-4, -1.0])
    check_gradients(mg.abs, x)
    wrong = op_with(lambda x: np.sqrt(x * x), lambda g, y, x: g * (x > 0) * 1.001 - g * (x < 0))
    assert "x[0]" in refused(wrong, x)


# ── nothing proved ───────────────────────────────────────────────────────────────────────────


def summed_softmax(x):
    return mg.sum(mg.exp(mg.log_softmax(x)), axis=-1)


@pytest.mark.parametrize("seed", range(5))
def test_a_vacuous_check_warns(seed):
    with pytest.warns(VacuousGradientWarning, match="the gradient to x is zero"):
        report = check_gradients(summed_softmax, normal(4, 3), seed=seed)
    assert report.zero == ["x"]
    assert "VACUOUS  the gradient to x is zero" in str(report)
    assert not check_gradients(summed_softmax, normal(4, 3), seed=seed, zero=["x"]).zero


def test_a_gradient_that_should_be_zero_is_checked_for_it():
    assert "is not zero" in refused(mg.square, normal(3), zero=["x"])
    cut = op_with(lambda x: 0 * x, lambda g, y, x: g * 1e-9)
    assert "the slope is zero everywhere" in refused(cut, normal(3), zero=["x"])


def test_a_cut_path():
    assert "detach()" in refused(lambda x: x.detach() * 2.0, normal(3))
    assert "detach()" in refused(lambda x: np.sin(x.data), normal(3))


# ── invariants ───────────────────────────────────────────────────────────────────────────────


def doubles_g(g, y, x):
    if _plain(g):
        g *= 2
        return g * x
    return g * 2 * x


def doubles_x(g, y, x):
    if _plain(x):
        x *= 2
        return g * x
    return g * 2 * x


def writes_y(g, y, x):
    if _plain(y):
        y += 1
    return g * 2 * x


buffer = np.zeros(3)


def reuses_a_buffer(g, y, x):
    if not _plain(g) or g.dtype != np.float64:
        return g * 2 * x
    return np.multiply(g, 2 * x, out=buffer)


def not_a_number_for_zero(g, y, x):
    return g * 2 * x if not _plain(g) or g.any() else g * np.nan


def clipped(g, y, x):
    if not _plain(g):
        return g * 2 * x
    return np.minimum(g, 2.5) * 2 * x if abs(g).max() > 2.5 else g * 2 * x


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (doubles_g, "writes into the cotangent"),
        (doubles_x, "writes into an input"),
        (writes_y, "writes into the output"),
        (reuses_a_buffer, "earlier gradient changed"),
        (not_a_number_for_zero, "cotangent of zero"),
        (clipped, "2 g"),
    ],
)
def test_invariants(rule, words):
    message = refused(square_with(rule), np.array([1.0, -2.0, 3.0]), seed=1)
    assert words in message or "gradient to x is wrong" in message
    assert "Try: " in message


@pytest.mark.parametrize("rule", [doubles_g, doubles_x, writes_y])
def test_what_an_op_does_inside_a_function(rule):
    square = square_with(rule)
    message = refused(lambda x: 1e-6 * square(x), np.array([1.0, -2.0, 3.0]))
    assert "writes into" in message or "gradient to x is wrong" in message


def test_memory_handed_out_where_the_cotangent_is_one():
    def product(x, w):
        return x * w

    def shortcut(g, y, x, w):
        return w if _plain(g) and (g == 1).all() else g * w

    wrong = op_with(product, shortcut, lambda g, y, x, w: g * x)
    for scale in (1.0, 1e-6):
        report = refused(lambda x, w, s=scale: s * wrong(x, w), normal(3), normal(3))
        assert "a pullback of product hands out input 1" in report


def test_a_pullback_that_remembers_its_first_call():
    def bent(x):
        return np.maximum(x, 0)

    masks = []

    def first_mask(g, y, x):
        if _plain(x):
            masks.append(x > 0)
            return g * masks[0]
        return g * (x > 0)

    report = refused(op_with(bent, first_mask), np.array([1.0, 2.0, -3.0]))
    assert "gradient to x is wrong" in report


def test_a_rule_for_tensors_alone():
    def product(x, w):
        return x * w

    detached = op_with(
        product,
        lambda g, y, x, w: g * w if isinstance(w, Tensor) or _plain(g) else 2 * g * w,
        lambda g, y, x, w: g * x,
    )
    assert "other inputs are arrays" in refused(detached, normal(3), normal(3))


def test_a_rule_that_leaves_the_graph_when_the_other_input_is_an_array():
    def product(x, w):
        return x * w * w

    def to_w(g, y, x, w):
        result = g * x * 2 * w
        return result if isinstance(x, Tensor) or _plain(result) else result.detach()

    wrong = op_with(product, lambda g, y, x, w: g * w * w, to_w)
    check_gradients(wrong, normal(3), normal(3), order=1)
    assert "other inputs are arrays" in refused(wrong, normal(3), normal(3), order=2)


@pytest.mark.parametrize("seed", range(8))
def test_guided_backpropagation_is_no_gradient(seed):
    def bent(x):
        return np.maximum(x, 0)

    guided = op_with(bent, lambda g, y, x: g * ((x > 0) & (g > 0)))
    refused(guided, np.array([1.0, -1.0]), seed=seed, order=1)


@pytest.mark.parametrize("x", [5.0, 20.0, 30.0, 36.0])
def test_a_saturated_sigmoid_is_rounding_not_an_error(x):
    check_gradients(mg.sigmoid, np.array([x, -x]))


def test_a_formula_of_float64s_own_is_an_error():
    square = square_with(lambda g, y, x: g * 2 * x * (1 + 1e-7 * (x.dtype == np.float64)))
    assert "relative error  1e-07" in refused(square, normal(3))


def test_the_layout_of_a_cotangent_inside_a_function():
    def by_base(g, y, x):
        return (g if not _plain(g) or g.base is None else g.base[: len(g)]) * 2 * x

    square = square_with(by_base)
    assert "laid out" in refused(lambda x: 1e-6 * square(x), normal(3))


def test_a_function_that_changes_from_call_to_call():
    noise = iter(range(10_000))
    message = refused(lambda x: x * x + 1e-13 * next(noise), normal(3))
    assert "two calls" in message or "reference" in message


def test_a_gradient_that_depends_on_the_memory_layout():
    def by_memory(g, y, x):
        if not _plain(x):
            return g * 2 * x
        return (g.ravel("K") * 2 * x.ravel("K")).reshape(x.shape)

    assert "laid out column-major" in refused(square_with(by_memory), normal(2, 3))


def test_a_gradient_that_is_wrong_in_float32_alone():
    def low(g, y, x):
        return g * 2 * x * (1 + 0.01 * (x.dtype == np.float32))

    square = square_with(low)
    assert "in float32 is off" in refused(square, normal(3))
    check_gradients(square, normal(3), dtypes=())


def test_orders_begin_with_one():
    with pytest.raises(ConfigError, match="order is 0"):
        check_gradients(mg.square, normal(3), order=0)


# ── modules ──────────────────────────────────────────────────────────────────────────────────


class BrokenScale(mg.Module):
    def __init__(self, rule):
        self.scale = mg.Parameter(np.ones(3, np.float32) * 1.5)
        self._times = op_with(lambda x, w: x * w, lambda g, y, x, w: g * w, rule)

    def forward(self, x):
        return self._times(x, self.scale)


def test_parameters_are_checked_by_their_names():
    check_gradients(BrokenScale(lambda g, y, x, w: g * x), normal(2, 3))
    report = refused(BrokenScale(lambda g, y, x, w: g * 1.001 * x), normal(2, 3))
    assert "the gradient to scale is wrong" in report


def test_a_module_is_built_checked_and_left_as_it_was():
    net = mg.Sequential(mg.Dense(4, activation=mg.tanh), mg.Dropout(0.5, seed=3), mg.Dense(2))
    check_gradients(net, normal(5, 3))
    assert net.layers[0].kernel.shape == (3, 4)
    before = net.state()
    mode = net.training
    report = check_gradients(net, normal(5, 3))
    assert report.comparisons > 1000
    after = net.state()
    assert set(before) == set(after)
    for name, x in before.items():
        np.testing.assert_array_equal(x, after[name])
        assert x.dtype == after[name].dtype
    assert net.training is mode
    assert all(p.grad is None for p in net.parameters())


def test_batch_norm_is_checked_in_training_and_in_inference_and_no_average_moves():
    net = mg.Sequential(mg.Dense(3), mg.BatchNorm())
    report = check_gradients(net, normal(5, 2), zero=["layers.0.bias"], order=1)
    assert report.comparisons > 0
    np.testing.assert_array_equal(net.layers[1].moving_mean, 0)
    np.testing.assert_array_equal(net.layers[1].moving_variance, 1)


def test_a_frozen_parameter_is_not_checked_and_used_as_it_is():
    layer = mg.Dense(2, in_features=3, trainable=False)
    report = check_gradients(layer, normal(4, 3), order=1)
    assert report.comparisons == (8 + 2) * 12  # to the 12 inputs alone
    trained = mg.Dense(2, in_features=3)
    report = check_gradients(trained, normal(4, 3), order=1)
    assert report.comparisons == (8 + 2) * (12 + 6 + 2)


def test_a_module_the_check_does_not_know_of():
    layer = mg.Dense(2, in_features=3)
    with pytest.raises(mg.MiniganError, match="the kernel float32") as caught:
        check_gradients(layer.forward, normal(4, 3))
    assert 'modules={"D": net}' in caught.value.__notes__[-1]
    check_gradients(layer.forward, normal(4, 3), modules={"D": layer})


def test_a_whole_generator_step_through_a_frozen_discriminator():
    g = mg.Sequential(mg.Dense(4, activation=mg.tanh), mg.Dense(3))
    d = mg.Sequential(mg.Dense(4, activation=mg.tanh), mg.Dense(1))
    for net, width in ((g, 2), (d, 3)):
        net(np.zeros((1, width), np.float32))
        net.initialize(0)

    def generator_step(z):
        return mg.generator_loss(d(g(z)))

    check_gradients(generator_step, normal(3, 2), modules={"G": g, "D": d})
    for parameter in d.parameters():
        parameter.requires_grad = False
    check_gradients(generator_step, normal(3, 2), modules={"G": g, "D": d})
    assert all(p.grad is None for p in d.parameters())


class Counter(mg.Module):
    """Keeps something, in a way each test chooses."""

    def __init__(self, forward):
        self.kept = np.zeros(())
        self.forward = lambda x: forward(self, x)


def test_state_that_moves_in_training_is_right():
    def forward(module, x):
        if module.training:
            module.kept += 1
        return x * x

    check_gradients(Counter(forward), normal(3))


def test_state_that_moves_in_inference():
    def forward(module, x):
        module.kept += 1
        return x * x

    assert "kept moves in inference" in refused(Counter(forward), normal(3))


def test_state_that_moves_in_backward():
    def forward(module, x):
        def rule(g, y, x):
            module.kept += 1
            return g * 2 * x

        return square_with(rule)(x)

    assert "kept moves in backward" in refused(Counter(forward), normal(3))


def test_state_that_is_random():
    def forward(module, x):
        module.kept[...] = np.random.default_rng().random()
        return x * x

    assert "leave different ones" in refused(Counter(forward), normal(3))
