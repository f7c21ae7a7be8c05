"""Every error minigan raises on purpose: a builtin's subclass, in one clear sentence.

A message says what was expected, what came, and what to write instead ("Try: ...").
The command line prints it and exits with code 2; a traceback means a bug in minigan.
"""


class MiniganError(Exception):
    """The common parent: `except MiniganError` catches every mistake minigan explains."""


class ShapeError(MiniganError, ValueError):
    """Shapes that do not fit together."""


class DtypeError(MiniganError, TypeError):
    """A dtype an operation can't use, such as gradients of integers."""


class DeviceError(MiniganError, RuntimeError):
    """A device that is missing or broken, or arrays of two devices in one operation."""


class GraphError(MiniganError, RuntimeError):
    """A backward pass the graph can't serve: freed, changed in place, or not one number."""


class NonFiniteError(MiniganError, FloatingPointError):
    """A NaN or an infinity where only finite numbers make sense."""


class ConfigError(MiniganError, ValueError):
    """An option with a value that makes no sense; the message names the option."""


class DataError(MiniganError, ValueError):
    """A data file or folder that can't be used; the message names the path."""


class CheckpointError(MiniganError, RuntimeError):
    """A checkpoint that can't be written, read or trusted; the message names the path."""


class GradientError(MiniganError, AssertionError):
    """A gradient that numbers contradict, found by `check_gradients`."""


class VacuousGradientWarning(UserWarning):
    """A gradient check that proves nothing: the true gradient is zero."""


class GradientAccumulationWarning(UserWarning):
    """`backward()` adds to gradients that were computed before the last update."""
