"""Arrays in, arrays out: the inner loops, chosen by the type of their first array.

Each of them is a `functools.singledispatch` function whose body serves NumPy arrays and anything
that behaves like one; a faster twin for another array type registers itself:
`sigmoid.register(its_array_type)(its_sigmoid)`. Kernels know nothing of gradients.
"""

from minigan.kernels import convolution_plan  # noqa: F401  registers the forms for NumPy arrays
