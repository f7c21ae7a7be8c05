"""`pytest --device cpu|strict|gpu`: where the tests that use `on_device` run.

strict is the stand-in for CuPy's array that needs no GPU (minigan/testing/strict.py).
"""

import hypothesis
import numpy as np
import pytest

from minigan import backend

hypothesis.settings.register_profile(
    "ci", deadline=None, derandomize=True, max_examples=50, print_blob=True
)
hypothesis.settings.load_profile("ci")


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="cpu (default), strict, gpu, gpu:1")


def pytest_configure(config):
    import minigan.testing.strict  # noqa: F401  adds the device "strict"

    try:
        config.device = backend.resolve_device(config.getoption("--device"))
    except backend.DeviceError as error:  # fail rather than skip what was asked for
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config):
    return f"device: {config.device}"


@pytest.fixture(scope="session")
def device(pytestconfig):
    """The full name of the device the tests run on: "cpu", "strict", "gpu:0"."""
    return pytestconfig.device


@pytest.fixture
def on_device(device):
    """A function that places a NumPy array, or nested lists, on the device."""

    def place(values, dtype=None):
        return backend.asarray(np.asarray(values, dtype), device=device)

    return place
