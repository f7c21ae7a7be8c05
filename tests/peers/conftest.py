"""These tests are collected by `pytest -m peers` alone: they need what is in requirements.txt.

Then a package that is missing is an error, not a skipped test.
"""


def pytest_ignore_collect(config):
    return True if config.option.markexpr != "peers" else None
