"""TEMPORARY stub by the lead until the helper's file lands: overwrite me."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def is_array(v):
    return isinstance(v, np.ndarray)


def device_of(a):
    return "cpu"


def to_device(a, device):
    return a


def to_host(a):
    return a


def asarray(v, dtype=None, device="cpu"):
    return np.asarray(v, dtype)


def resolve_device(n):
    return "cpu"


def gpu_problem():
    return "no"
