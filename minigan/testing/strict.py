"""A stand-in for CuPy's array that needs no GPU: NumPy inside, refusing what CuPy refuses.

Importing this file adds the device "strict"; `pytest --device strict` runs the tests on it. The
rules are those of CuPy 14.2 (cupy/_core/core.pyx, _kernel.pyx and _routines_indexing.pyx), and
tests/test_strict.py compares the tables below with an installed CuPy. It can't show a GPU's
rounding or speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from types import SimpleNamespace
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minigan.backend import HostArray, register_device

# ── what CuPy has ────────────────────────────────────────────────────────────────────────────

Signature: TypeAlias = Callable[..., None]

# NumPy's functions, with the parameters that NumPy and CuPy share (under CuPy's names).
FUNCTIONS: dict[str, Signature] = {
    # new arrays
    "zeros_like": lambda a, dtype=None, order="K", *, shape=None: None,
    "ones_like": lambda a, dtype=None, order="K", *, shape=None: None,
    "empty_like": lambda prototype, dtype=None, order="K", *, shape=None: None,
    "full_like": lambda a, fill_value, dtype=None, order="K", *, shape=None: None,
    "copy": lambda a, order="K": None,
    "copyto": lambda dst, src, casting="same_kind", where=None: None,
    # shapes
    "reshape": lambda a, newshape, order="C", *, copy=None: None,
    "ravel": lambda a, order="C": None,
    "transpose": lambda a, axes=None: None,
    "matrix_transpose": lambda x, /: None,
    "swapaxes": lambda a, axis1, axis2: None,
    "moveaxis": lambda a, source, destination: None,
    "expand_dims": lambda a, axis: None,
    "squeeze": lambda a, axis=None: None,
    "broadcast_to": lambda array, shape: None,
    "flip": lambda a, axis=None: None,
    "roll": lambda a, shift, axis=None: None,
    # joining, cutting, picking
    "concatenate": lambda tup, axis=0, out=None, *, dtype=None, casting="same_kind": None,
    "stack": lambda tup, axis=0, out=None, *, dtype=None, casting="same_kind": None,
    "split": lambda ary, indices_or_sections, axis=0: None,
    "pad": lambda array, pad_width, mode="constant", *, constant_values=0: None,
    "tile": lambda A, reps: None,
    "repeat": lambda a, repeats, axis=None: None,
    "take": lambda a, indices, axis=None, out=None: None,
    "where": lambda condition, x=None, y=None: None,
    "nonzero": lambda a: None,
    # reductions
    "sum": lambda a, axis=None, dtype=None, out=None, keepdims=False: None,
    "prod": lambda a, axis=None, dtype=None, out=None, keepdims=False: None,
    "mean": lambda a, axis=None, dtype=None, out=None, keepdims=False: None,
    "var": lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False: None,
    "std": lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False: None,
    "max": lambda a, axis=None, out=None, keepdims=False: None,
    "amax": lambda a, axis=None, out=None, keepdims=False: None,
    "min": lambda a, axis=None, out=None, keepdims=False: None,
    "amin": lambda a, axis=None, out=None, keepdims=False: None,
    "argmax": lambda a, axis=None, *, out=None, keepdims=False: None,
    "argmin": lambda a, axis=None, *, out=None, keepdims=False: None,
    "all": lambda a, axis=None, out=None, keepdims=False: None,
    "any": lambda a, axis=None, out=None, keepdims=False: None,
    "cumsum": lambda a, axis=None, dtype=None, out=None: None,
    "array_equal": lambda a1, a2, equal_nan=False: None,
    # arithmetic
    "clip": lambda a, a_min, a_max, out=None: None,
    "dot": lambda a, b, out=None: None,
    "tensordot": lambda a, b, axes=2: None,
    "einsum": lambda *operands, dtype=None, optimize=False: None,
    # questions about memory
    "shares_memory": lambda a, b, max_work=None: None,
    "may_share_memory": lambda a, b, max_work=None: None,
}

METHODS: dict[str, Signature] = {
    "astype": lambda dtype, order="K", *, copy=True: None,
    "copy": lambda order="C": None,
    "fill": lambda value: None,
    "reshape": lambda *shape, order="C", copy=None: None,
    "ravel": lambda order="C": None,
    "flatten": lambda order="C": None,
    "transpose": lambda *axes: None,
    "swapaxes": lambda axis1, axis2: None,
    "squeeze": lambda axis=None: None,
    "repeat": lambda repeats, axis=None: None,
    "take": lambda indices, axis=None, out=None: None,
    "sum": lambda axis=None, dtype=None, out=None, keepdims=False: None,
    "prod": lambda axis=None, dtype=None, out=None, keepdims=False: None,
    "mean": lambda axis=None, dtype=None, out=None, keepdims=False: None,
    "var": lambda axis=None, dtype=None, out=None, ddof=0, keepdims=False: None,
    "std": lambda axis=None, dtype=None, out=None, ddof=0, keepdims=False: None,
    "max": lambda axis=None, out=None, keepdims=False: None,
    "min": lambda axis=None, out=None, keepdims=False: None,
    "argmax": lambda axis=None, out=None, *, keepdims=False: None,
    "argmin": lambda axis=None, out=None, *, keepdims=False: None,
    "all": lambda axis=None, out=None, keepdims=False: None,
    "any": lambda axis=None, out=None, keepdims=False: None,
    "cumsum": lambda axis=None, dtype=None, out=None: None,
    "clip": lambda min=None, max=None, out=None: None,
    "dot": lambda b, out=None: None,
    "item": lambda: None,
    "tolist": lambda: None,
    "nonzero": lambda: None,
}

# What a parameter takes; all others take an array of the device.
HOST_VALUES = {
    "axis", "axes", "axis1", "axis2", "source", "destination", "shape", "newshape", "shift",
    "order", "dtype", "casting", "copy", "keepdims", "ddof", "indices_or_sections", "indices",
    "repeats", "reps", "pad_width", "mode", "constant_values", "equal_nan", "optimize", "max_work",
}  # fmt: skip
ARRAYS_OR_NUMBERS = {"x", "y", "src", "fill_value", "value", "a_min", "a_max", "min", "max"}
SEVERAL_ARRAYS = {"tup", "operands"}

ATTRIBUTES = ("shape", "ndim", "size", "dtype", "itemsize", "nbytes", "strides")
SYNCHRONIZING_METHODS = ("item", "tolist", "nonzero")

ABSENT_UFUNCS = ("isnat", "matvec", "spacing", "vecdot", "vecmat")
ABSENT_UFUNC_KEYWORDS = {"where", "initial", "subok", "order", "signature"}
COMPARISONS = ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal")
UFUNC_METHODS = {
    "reduce": ("add", "multiply"),
    "accumulate": ("add", "multiply"),
    "reduceat": ("add",),
    "at": ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"),
}

DTYPES = "?bhilqBHILQefdFD"  # no longdouble, no objects, no strings
SCALARS = {bool, int, float, complex, *(np.dtype(char).type for char in DTYPES)}

MIXED = (
    "mixes the device with the host: arrays and lists are not copied to a GPU implicitly. "
    "Try: backend.to_device(x, device)."
)

# ── the array ────────────────────────────────────────────────────────────────────────────────


class StrictArray(NDArrayOperatorsMixin):
    """An array on the device "strict": the attributes and methods of CuPy's, and no others."""

    synchronizations: ClassVar[int] = 0  # how often the host would have waited for the GPU

    __slots__ = ("__weakref__", "_array")

    def __init__(self, array: HostArray) -> None:
        if array.dtype.char not in DTYPES:
            raise ValueError(f"Unsupported dtype {array.dtype}")
        self._array = array

    def get(self) -> HostArray:
        """A copy on the host: CuPy's one way out, which waits for the GPU."""
        StrictArray.synchronizations += 1
        return self._array.copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> HostArray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Try: backend.to_host(x) to copy it explicitly."
        )

    # NumPy's functions

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        name = ufunc.__name__
        outputs = keywords.get("out", ())
        if not all(isinstance(x, StrictArray | np.ndarray) or type(x) in SCALARS for x in inputs):
            return NotImplemented  # NumPy then raises TypeError: a list, a tuple, a slice
        _refuse_if(name in ABSENT_UFUNCS, f"CuPy has no {name}.")
        has_method = name in UFUNC_METHODS.get(method, (name,))
        _refuse_if(not has_method, f"CuPy has no {name}.{method}.")
        absent = set(keywords) & ABSENT_UFUNC_KEYWORDS
        _refuse_if(bool(absent), f"CuPy's {name} takes no {', '.join(absent)}.")
        for position, x in enumerate((*inputs, *outputs)):
            is_index = position == 1 and method in ("at", "reduceat")
            is_number = name in COMPARISONS and np.ndim(_inside(x)) == 0
            if isinstance(x, np.ndarray) and not (is_index or is_number):
                raise TypeError(f"{name} {MIXED}")
        result = _on_host(getattr(ufunc, method), inputs, keywords)
        return outputs[0] if outputs else _outside(result)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        name = f"{function.__module__}.{function.__name__}".removeprefix("numpy.")
        _refuse_if(
            name not in FUNCTIONS,
            f"{name} is not among the functions known to work on CuPy. "
            f"Try: another one, or add its CuPy signature to FUNCTIONS in {__name__}.",
        )
        arguments = _bind(name, FUNCTIONS[name], args, keywords)
        _refuse_if(
            name.endswith("_like") and arguments.get("shape") in ((), 0),
            f"CuPy's {name} takes shape=() for no shape. Try: {name}(x, shape=(1,)).reshape(()).",
        )
        if name == "nonzero" or (name == "where" and "x" not in arguments):
            StrictArray.synchronizations += 1
        result = _on_host(function, args, keywords)
        if name == "empty_like" and result.dtype.kind in "fc":
            result.fill(np.nan)  # whoever reads it before writing it will notice
        return _outside(np.asarray(result) if name == "array_equal" else result)

    # CuPy's attributes and methods

    def __getattr__(self, name: str) -> Any:
        if name in ATTRIBUTES:
            return getattr(self._array, name)
        if name not in METHODS:
            raise AttributeError(
                f"{name} is not among the attributes known to work on CuPy's array. "
                f"Try: another one, or add its CuPy signature to METHODS in {__name__}."
            )

        def method(*args: Any, **keywords: Any) -> Any:
            _bind(name, METHODS[name], args, keywords)
            if name in SYNCHRONIZING_METHODS:
                StrictArray.synchronizations += 1
            result = _on_host(getattr(self._array, name), args, keywords)
            return self if result is self._array else _outside(result)

        return method

    @property
    def T(self) -> StrictArray:  # noqa: N802  NumPy's name
        """Axes reversed."""
        return StrictArray(self._array.T)

    @property
    def base(self) -> StrictArray | None:
        """The array whose memory this one is a view of."""
        return None if self._array.base is None else StrictArray(self._array.base)

    @property
    def flags(self) -> SimpleNamespace:
        """Contiguity and ownership; CuPy's have no `writeable`."""
        names = ("c_contiguous", "f_contiguous", "owndata")
        return SimpleNamespace(**{name: getattr(self._array.flags, name) for name in names})

    # indexing

    def __getitem__(self, index: Any) -> StrictArray:
        key = _key(index)
        if any(isinstance(part, np.ndarray) and part.dtype == bool for part in key):
            StrictArray.synchronizations += 1  # the host has to know how many are selected
        return StrictArray(self._array[key])

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(value, StrictArray) and np.ndim(value) > 0:
            raise ValueError(f"x[index] = value {MIXED}")
        self._array[_key(index)] = _inside(value)

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[StrictArray]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # numbers: each one makes the host wait

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __repr__(self) -> str:
        return f"StrictArray({self.get()!r})"


# ── crossing over ────────────────────────────────────────────────────────────────────────────


def _inside(value: Any) -> Any:
    """The same with NumPy's arrays in place of StrictArrays, in lists and tuples too."""
    if isinstance(value, list | tuple):
        return type(value)(map(_inside, value))
    return value._array if isinstance(value, StrictArray) else value


def _outside(result: Any) -> Any:
    """The same with StrictArrays; NumPy's scalars become 0-d arrays, as CuPy has them."""
    if isinstance(result, list | tuple):
        return type(result)(map(_outside, result))
    is_array = isinstance(result, np.ndarray | np.generic)
    return StrictArray(np.asarray(result)) if is_array else result


def _on_host(function: Callable[..., Any], args: Any, keywords: dict[str, Any]) -> Any:
    keywords = {name: _inside(value) for name, value in keywords.items()}
    with np.errstate(all="ignore"):  # a GPU does not report overflow, whatever np.errstate says
        return function(*_inside(args), **keywords)


def _key(index: Any) -> tuple[Any, ...]:
    """The index with `...` in it, so that even x[0] is a view and not a scalar."""
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(_inside(parts if any(part is ... for part in parts) else (*parts, ...)))


def _bind(name: str, function: Signature, args: Any, keywords: Any) -> dict[str, Any]:
    """The arguments by parameter; TypeError for those that CuPy's function does not take."""
    try:
        arguments = signature(function).bind(*args, **keywords).arguments
    except TypeError as error:
        raise TypeError(f"CuPy's {name}: {error}") from None
    for parameter, value in arguments.items():
        if parameter in HOST_VALUES or value is None:
            continue
        for x in value if parameter in SEVERAL_ARRAYS else (value,):
            is_number = parameter in ARRAYS_OR_NUMBERS and type(x) in SCALARS
            is_subscripts = parameter == "operands" and isinstance(x, str)
            if not (isinstance(x, StrictArray) or is_number or is_subscripts):
                raise TypeError(f"{name}({parameter}=...) {MIXED}")
    return arguments


def _refuse_if(condition: bool, message: str) -> None:
    if condition:
        raise TypeError(message)


class _Strict:
    """The device itself, for minigan.backend."""

    array_type = StrictArray

    def name_of(self, array: Any) -> str:
        return "strict"

    def from_host(self, array: HostArray, name: str) -> Any:
        return StrictArray(array.copy())

    def to_host(self, array: Any) -> HostArray:
        copy: HostArray = array.get()
        return copy


register_device("strict", _Strict())
