"""The peers' gradient checks, rewritten: each honours its published tolerance, at the edge."""

import numpy as np
import pytest

import minigan.autograd as mg
from minigan.autograd import Op
from minigan.testing.peers import PROTOCOLS

SEEDS = range(20)
RNG = np.random.default_rng
SECOND_ORDER = {"JAX check_grads", "autograd check_grads"}
COTANGENT_OF_ONES = {"minitorch grad_check", "DeZero gradient_check"}


def op_with(forward, *rules):
    """An op with these pullbacks, right or wrong; it stays out of the registry."""
    op = Op(forward)
    op.pullbacks(*rules)
    return op


def tanh_with(rule):
    def tanh(x):
        return np.tanh(x)

    return op_with(tanh, rule)


def identity_with(rule):
    return op_with(lambda x: x.copy(), rule)


def identity(factor):
    """y = x, and a gradient that is off by the factor."""
    return identity_with(lambda g, y, x: factor * g)


def scaled(f, scale):
    return lambda *inputs: f(*inputs) * scale


def fails(check, *arguments):
    try:
        check(*arguments)
    except AssertionError:
        return True
    return False


def notices(name, f, *inputs, seed=0):
    return fails(PROTOCOLS[name], f, inputs, RNG(seed))


def noticed(name, f, *inputs):
    """On how many of the seeds."""
    return sum(notices(name, f, *inputs, seed=seed) for seed in SEEDS)


@pytest.fixture(params=PROTOCOLS)
def name(request):
    return request.param


x34, w42, row = RNG(1).normal(size=(3, 4)), RNG(2).normal(size=(4, 2)), RNG(3).normal(size=4)


# ── right gradients pass, wrong ones do not ──────────────────────────────────────────────────

RIGHT = {
    "tanh(x @ w)": (lambda x, w: mg.tanh(x @ w), x34, w42),
    "broadcasting": (lambda x, w: x * w + w / 3, x34, row),
    "log_softmax": (mg.log_softmax, x34),
    "one number": (lambda x: mg.exp(x).mean(), x34),
    "a 0-d input": (lambda x, w: mg.tanh(x) * w, np.array(0.7), row),
    "an axis": (mg.sum, x34, 1),
    "a mask": (lambda x, mask: mg.where(mask, x * x, x), x34, x34 > 0),
    "an input without effect": (lambda x, w: mg.sigmoid(x), x34, row),
    "a strided input": (mg.tanh, np.arange(24.0).reshape(4, 6)[::-1, ::2] / 10),
}


@pytest.mark.parametrize("right", RIGHT)
def test_right_gradients_pass(name, right):
    f, *inputs = RIGHT[right]
    assert noticed(name, f, *inputs) == 0


WRONG = {
    "sign": tanh_with(lambda g, y, x: -g * (1 - y * y)),
    "factor": tanh_with(lambda g, y, x: 0.5 * g * (1 - y * y)),
    "missing term": tanh_with(lambda g, y, x: g),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_grossly_wrong_gradients_do_not(name, wrong):
    assert noticed(name, WRONG[wrong], x34) >= 15  # an index or a direction may miss it


def test_the_second_input_is_checked_too(name):
    multiply = op_with(lambda x, w: x * w, lambda g, y, x, w: g * w, lambda g, y, x, w: -g * x)
    assert noticed(name, multiply, x34, x34 + 3) >= 10


def test_errors_of_the_function_reach_the_caller(name):
    broken = tanh_with(lambda g, y, x: g @ x)
    with pytest.raises(ValueError, match="matmul"):
        PROTOCOLS[name](broken, [x34], RNG(0))


def test_verdicts_are_sentences(name):
    with pytest.raises(AssertionError, match=r"^(the|a|two) [^\n]*\.$"):
        PROTOCOLS[name](identity(3.0), [np.array([0.6])], RNG(0))


# ── the published tolerances ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "missed", "caught"),
    [  # dy/dx is 1; found and reference differ by atol + rtol at most
        ("PyTorch gradcheck", 1.00100, 1.00102),
        ("PyTorch gradcheck, fast mode", 1.00100, 1.00102),
        ("minitorch grad_check", 1.0199, 1.0201),
        ("DeZero gradient_check", 1.00010, 1.00012),
    ],
)
def test_the_edge_of_absolute_plus_relative_tolerance(name, missed, caught):
    one = np.array([0.3])
    assert noticed(name, identity(missed), one) == 0
    assert noticed(name, identity(caught), one) == len(SEEDS)


@pytest.mark.parametrize(
    ("name", "missed", "caught"),
    [  # the direction and the cotangent change the size of what is compared
        ("JAX check_grads", 1 + 2e-6, 1 + 1e-3),
        ("Chainer check_backward", 1 + 0.9e-4, 1 + 1e-3),
        ("autograd check_grads", 1 + 1.9e-6, 1 + 1e-4),  # relative to the sum of both
    ],
)
def test_the_edge_of_tolerances_in_random_directions(name, missed, caught):
    assert noticed(name, identity(missed), x34) == 0
    assert noticed(name, identity(caught), x34) >= 19


def test_small_gradients_pass_unseen(name):
    tanh = tanh_with(lambda g, y, x: 1.01 * g * (1 - y * y))
    assert noticed(name, scaled(tanh, 1e-6), x34) == 0
    if name != "minitorch grad_check":  # 1 % is within its tolerance
        assert noticed(name, tanh, x34) >= 17


def test_the_or_of_autograd_hides_what_is_small_absolutely_or_relatively():
    name, doubled = "autograd check_grads", identity(2.0)
    assert noticed(name, doubled, x34) == len(SEEDS)
    assert noticed(name, scaled(doubled, 1e-8), x34) == 0
    assert noticed(name, scaled(identity(1 + 1e-6), 1e6), x34) == 0  # each element is off by 1


def test_the_tolerance_of_fast_mode_grows_with_the_size():
    large = RNG(0).normal(size=100)
    assert noticed("PyTorch gradcheck", identity(1.0013), large) == len(SEEDS)
    assert noticed("PyTorch gradcheck, fast mode", identity(1.0013), large) == 0


def test_chainer_takes_a_unit_direction_without_small_components():
    seen = []

    def f(x, w):
        seen.append((mg.stop_gradient(x), mg.stop_gradient(w)))
        return x * w

    x, w = RNG(0).normal(size=(2, 5, 8))
    PROTOCOLS["Chainer check_backward"](f, [x, w], RNG(0))
    (_, above, below) = seen
    u = np.array([(a - b) / 2e-3 for a, b in zip(above, below, strict=True)])
    assert np.linalg.norm(u) == pytest.approx(1)
    assert np.abs(u).min() >= 0.1 / np.sqrt(80)
    assert np.sign(u).sum() < 80  # of both signs


# ── what one peer looks at and another does not ──────────────────────────────────────────────


def test_a_cotangent_of_ones_sees_no_softmax():
    def softmax(x):
        e = np.exp(x)
        return e / e.sum(axis=-1, keepdims=True)

    mean_for_weighted_mean = op_with(
        softmax, lambda g, y, x: y * (g - g.mean(axis=-1, keepdims=True))
    )
    caught = {name: noticed(name, mean_for_weighted_mean, x34) for name in PROTOCOLS}
    assert all(caught[name] == 0 for name in COTANGENT_OF_ONES)
    assert all(caught[name] >= 10 for name in PROTOCOLS.keys() - COTANGENT_OF_ONES)


def test_minitorch_looks_at_one_index():
    x = RNG(0).normal(size=20)
    last_is_wrong = tanh_with(lambda g, y, x: g * (1 - y * y) * (np.arange(20) < 19))
    seeds = range(400)
    caught = sum(notices("minitorch grad_check", last_is_wrong, x, seed=seed) for seed in seeds)
    assert 8 <= caught <= 34  # 1 in 20
    assert notices("DeZero gradient_check", last_is_wrong, x)


def test_only_two_take_second_derivatives_by_default(name):
    square = op_with(lambda x: x * x, lambda g, y, x: 2 * g * mg.stop_gradient(x))
    assert noticed(name, square, x34) == (len(SEEDS) if name in SECOND_ORDER else 0)


@pytest.mark.parametrize("name", ["PyTorch gradcheck", "PyTorch gradcheck, fast mode"])
def test_pytorch_runs_backward_twice_and_with_a_cotangent_of_zeros(name):
    calls = []

    def drifts(g, y, x):
        calls.append(g)
        return g * (1 + 1e-12 * len(calls))

    copy = identity_with(drifts)
    with pytest.raises(AssertionError, match="two backward passes"):
        PROTOCOLS[name](copy, [x34], RNG(0))
    offset = identity_with(lambda g, y, x: g + 1e-9)
    with pytest.raises(AssertionError, match="cotangent of zeros"):
        PROTOCOLS[name](offset, [x34], RNG(0))


# ── the originals agree ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6, 1e6])
@pytest.mark.parametrize("factor", [1.0, 1 + 1e-6, 1 + 3e-6, 1 + 1e-5, 1.001, 2.0])
def test_autograd_itself_agrees(factor, scale):
    import autograd.numpy as anp
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    theirs = primitive(lambda x, w: scale * anp.tanh(x) * w)
    defvjp(
        theirs,
        lambda y, x, w: lambda g: factor * scale * g * w * (1 - anp.tanh(x) ** 2),
        lambda y, x, w: lambda g: scale * g * anp.tanh(x),
    )
    ours = op_with(
        lambda x, w: scale * np.tanh(x) * w,
        lambda g, y, x, w: factor * scale * g * w * (1 - mg.tanh(x) ** 2),
        lambda g, y, x, w: scale * g * mg.tanh(x),
    )
    inputs = [x34, x34 + 1]
    for seed in SEEDS:
        np.random.seed(seed)  # noqa: NPY002  autograd draws from NumPy's global state
        expected = fails(check_grads(theirs, (0, 1), modes=["rev"]), *inputs)
        same_draws = np.random.RandomState(seed)
        assert fails(PROTOCOLS["autograd check_grads"], ours, inputs, same_draws) == expected


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("factor", [1.0, 1.0001, 1.0002, 1.01, 2.0])
def test_dezero_itself_agrees(factor, scale, monkeypatch):
    monkeypatch.setattr(np, "int", int, raising=False)  # DeZero is older than NumPy 1.24
    dezero = pytest.importorskip("dezero")
    from dezero.utils import gradient_check

    class Tanh(dezero.Function):
        def forward(self, x):
            return scale * np.tanh(x)

        def backward(self, g):
            return factor * scale * g * (1 - dezero.functions.tanh(self.inputs[0]) ** 2)

    ours = op_with(
        lambda x: scale * np.tanh(x), lambda g, y, x: factor * scale * g * (1 - mg.tanh(x) ** 2)
    )
    expected = not gradient_check(Tanh(), x34.copy())
    assert notices("DeZero gradient_check", ours, x34) == expected
