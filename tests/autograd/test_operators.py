"""What Python's operators, NumPy-like methods and printing mean on a Tensor."""

import operator

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, grad
from minigan.autograd.engine import array_of
from minigan.autograd.operators import Operators
from minigan.errors import DeviceError

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]])
B = np.array([[2.0, 0.5, 3.0], [1.0, 5.0, 0.25]])


@pytest.fixture
def leaf(on_device):
    def make(values, **keywords):
        return Tensor(on_device(values), requires_grad=True, **keywords)

    return make


def host(x):
    return backend.to_host(array_of(x))


BINARY = ["add", "sub", "mul", "truediv", "pow", "matmul"]
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]


@pytest.mark.parametrize("name", BINARY)
def test_arithmetic_with_tensors_arrays_and_numbers_on_both_sides(name, leaf, on_device):
    function = getattr(operator, name)
    b = B.T if name == "matmul" else B
    x, w = leaf(A), leaf(b)
    for y in (function(x, w), function(x, on_device(b)), function(on_device(A), w)):
        np.testing.assert_allclose(host(y), function(A, b), rtol=1e-14)
        assert y.requires_grad
        assert y.op.name == {"sub": "subtract", "mul": "multiply", "truediv": "divide",
                             "pow": "power"}.get(name, name)  # fmt: skip
    if name != "matmul":
        np.testing.assert_allclose(host(function(x, 2.0)), function(A, 2.0), rtol=1e-14)
        np.testing.assert_allclose(host(function(2.0, x)), function(2.0, A), rtol=1e-14)


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_give_plain_arrays_of_bool(name, leaf, on_device):
    function = getattr(operator, name)
    x, w = leaf(A), leaf(B)
    for result in (function(x, w), function(x, on_device(B))):
        assert not isinstance(result, Tensor)
        assert host(result).dtype == bool
        assert host(result).tolist() == function(A, B).tolist()
    assert host(function(x, 3.0)).tolist() == function(A, 3.0).tolist()
    if backend.device_of(x.data) == "cpu":  # the array's turn first: it must hand over
        assert host(function(A, w)).tolist() == function(A, B).tolist()


def test_unary(leaf):
    x = leaf(-A)
    assert host(-x).tolist() == A.tolist()
    assert host(abs(x)).tolist() == A.tolist()
    assert (-x).op.name == "negative"
    assert abs(x).op.name == "abs"


METHODS = {
    "reshape": lambda x: x.reshape(3, 2),
    "reshape of a tuple": lambda x: x.reshape((3, -1)),
    "reshape of a list": lambda x: x.reshape([6]),
    "reshape to NumPy's integer": lambda x: x.reshape(np.prod(x.shape)),
    "transpose": lambda x: x.transpose(),
    "transpose of axes": lambda x: x.transpose(1, 0),
    "transpose of a tuple": lambda x: x.transpose((1, 0)),
    "T": lambda x: x.T,
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "squeeze": lambda x: x.reshape(1, 6, 1).squeeze(),
    "squeeze of an axis": lambda x: x.reshape(1, 6, 1).squeeze(-1),
    "astype": lambda x: x.astype("float32"),
    "sum": lambda x: x.sum(),
    "sum of an axis": lambda x: x.sum(1, keepdims=True),
    "mean": lambda x: x.mean(axis=0),
    "var": lambda x: x.var(axis=1, ddof=1),
    "max": lambda x: x.max(axis=1),
    "index": lambda x: x[1],
    "slice": lambda x: x[:, 1:],
    "mask": lambda x: x[x > 2.5],
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_numpys_and_differentiable(name, leaf):
    method = METHODS[name]
    x = leaf(A)
    y = method(x)
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(host(y), method(A), rtol=1e-14)
    assert y.shape == np.shape(method(A))
    (g,) = grad(y.sum(), x)
    assert np.abs(host(g)).max() > 0


def test_an_index_may_be_a_tensor(leaf, on_device):
    x = leaf(A)
    rows = Tensor(on_device([1, 0, 1]))
    y = x[rows]
    assert host(y).tolist() == A[[1, 0, 1]].tolist()
    assert host(grad(y.sum(), x)[0]).tolist() == [[1] * 3, [2] * 3]
    y = x[rows, Tensor(on_device([0, 0, 2]))]
    assert host(y).tolist() == [4, 1, 6.5]
    assert host(grad(y.sum(), x)[0]).tolist() == [[1, 0, 0], [1, 0, 1]]


def test_facts(leaf, device):
    x = leaf(A)
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, np.float64, 2)
    assert x.device == device


def test_iteration_gives_differentiable_rows(leaf):
    x = leaf(A)
    first, second = x
    assert host(second).tolist() == A[1].tolist()
    assert host(grad((first * second).sum(), x)[0]).tolist() == A[::-1].tolist()
    with pytest.raises(TypeError):
        iter(leaf(1.0))
    with pytest.raises(TypeError):
        len(leaf(1.0))


def test_a_tensor_is_hashed_by_identity_and_compared_by_value(leaf):
    x, w = leaf(A), leaf(A)
    assert host(x == w).all()
    assert len({x, w}) == 2
    assert {x: 1}[x] == 1


def test_plain_numbers(leaf):
    assert float(leaf(2.5)) == leaf(2.5).item() == 2.5
    assert int(leaf(2.5)) == 2
    assert bool(leaf(1.0)) is True
    assert not leaf([0.0])
    with pytest.raises(ValueError, match="truth value"):
        bool(leaf(A))


def test_numpy_reads_a_tensor_on_the_host_and_refuses_another_device(leaf, device):
    x = leaf(A)
    assert x.numpy().tolist() == A.tolist()
    if device == "cpu":
        assert np.asarray(x) is not None
        assert np.shares_memory(np.asarray(x), x.data)
        assert np.array(x, dtype="float32").dtype == "float32"
        assert not np.shares_memory(np.array(x), x.data)
        np.testing.assert_array_equal(x, A)
    else:
        with pytest.raises(DeviceError, match=rf"on {device}, .* Try: x\.numpy\(\)"):
            np.asarray(x)


def test_numpys_functions_do_not_swallow_a_tensor(leaf):
    """np.exp(x) would lose the gradient without a word."""
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.exp(leaf(A))


def test_to_another_device_and_back(leaf):
    x = leaf(A)
    y = x.to("strict").to("cpu")
    assert y.device == "cpu"
    (g,) = grad((y * B).sum(), x)
    assert backend.device_of(g) == x.device
    assert host(g).tolist() == B.tolist()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Tensor(1.5), "Tensor(1.5, float64)"),
        (lambda: Tensor([1, 2]), "Tensor([1, 2], int64)"),
        (lambda: Tensor(np.float32([1]), requires_grad=True),
         "Tensor([1.], float32, requires_grad=True)"),
        (lambda: Tensor([2.0], requires_grad=True, name="w"),
         "Tensor([2.], float64, name='w', requires_grad=True)"),
        (lambda: Tensor([2.0], requires_grad=True) * 2.0, "Tensor([4.], float64, from multiply)"),
        (lambda: Tensor([2.0]).to("strict"), "Tensor([2.], float64, strict)"),
        (lambda: Tensor(np.eye(2)), "Tensor([[1., 0.],\n        [0., 1.]], float64)"),
    ],
)  # fmt: skip
def test_repr(make, expected):
    assert repr(make()) == expected


def test_a_large_tensor_is_shortened():
    assert len(repr(Tensor(np.zeros((100, 100))))) < 500


def test_every_operator_and_method_is_used_here():
    """A method added to Operators must be added to this file."""
    used = {f"__{n}__" for n in BINARY + COMPARISONS}
    used |= {f"__r{n}__" for n in BINARY}
    used |= {name.split()[0] for name in METHODS} - {"index", "slice", "mask"}
    used |= {"__neg__", "__abs__", "__getitem__", "__hash__", "__len__", "__iter__", "__float__",
             "__int__", "__bool__", "__array__", "__repr__", "shape", "ndim", "size", "dtype",
             "device", "numpy", "item", "to"}  # fmt: skip
    own = {name for name, value in vars(Operators).items() if callable(value) or
           isinstance(value, property)}  # fmt: skip
    assert own == used
