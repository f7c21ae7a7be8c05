"""Prefetching changes nothing but the time: the same batches, errors in turn, a clean end."""

import subprocess
import sys
import threading
import traceback

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.data import ImageBatches, Prefetched
from minigan.errors import ConfigError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), np.uint8)


class Noting:
    """Batches that note which steps were computed, and fail or wait where they are told to."""

    def __init__(self, fails_at=None, gate=None):
        self.computed, self.fails_at, self.gate = [], fails_at, gate

    def __len__(self):
        return 5

    def at(self, step):
        if self.gate:
            assert self.gate.wait(30)
        self.computed.append(step)
        if step == self.fails_at:
            raise ZeroDivisionError(f"in step {step}")
        return np.array(step)


@given(steps=st.lists(st.integers(0, 12), min_size=1, max_size=20), depth=st.integers(1, 4))
def test_any_steps_in_any_order_are_as_without(steps, depth):
    plain = ImageBatches(IMAGES, 6, seed=2)
    with Prefetched(ImageBatches(IMAGES, 6, seed=2), depth) as batches:
        assert len(batches) == 20
        for step in steps:
            np.testing.assert_array_equal(batches.at(step), plain.at(step))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_each_batch_is_computed_once_and_no_more_than_depth_ahead(depth):
    noting = Noting()
    with Prefetched(noting, depth) as batches:
        for step in range(3, 40):  # a resumed run starts anywhere
            assert batches.at(step) == step
            assert max(noting.computed) <= step + depth
    assert noting.computed[:37] == list(range(3, 40))
    assert len(noting.computed) <= 37 + depth


def test_the_next_batch_is_computed_while_this_one_is_used():
    noting = Noting()
    with Prefetched(noting, depth=2) as batches:
        batches.at(0)
        batches._ahead[2].result(30)
        assert noting.computed == [0, 1, 2]


def test_an_error_comes_in_its_turn_with_the_line_that_raised_it():
    with Prefetched(Noting(fails_at=2)) as batches:
        assert batches.at(0) == 0
        assert batches.at(1) == 1
        with pytest.raises(ZeroDivisionError, match="in step 2") as caught:
            batches.at(2)
        lines = [frame.line for frame in traceback.extract_tb(caught.tb)]
        assert 'raise ZeroDivisionError(f"in step {step}")' in lines
        assert batches.at(3) == 3


def test_closing_stops_the_thread_and_drops_what_waits():
    gate = threading.Event()
    noting = Noting(gate=gate)
    batches = Prefetched(noting, depth=4)
    threading.Timer(0.05, gate.set).start()
    batches.at(0)
    gate.clear()
    threading.Timer(0.05, gate.set).start()
    batches.close()
    assert len(noting.computed) <= 5
    assert not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_a_jump_drops_what_waits_for_other_steps():
    gate = threading.Event()
    noting = Noting(gate=gate)
    with Prefetched(noting, depth=3) as batches:
        threading.Timer(0.05, gate.set).start()
        assert batches.at(0) == 0
        assert batches.at(100) == 100
        assert set(batches._ahead) == {101, 102, 103}


@pytest.mark.parametrize(
    ("ending", "codes"), [("", {0}), ("raise KeyboardInterrupt", {130, -2}), ("sys.exit(3)", {3})]
)
def test_a_program_that_ends_without_closing_does_not_hang(ending, codes):
    program = f"""
import sys
import numpy as np
from minigan.data import ImageBatches, Prefetched
batches = Prefetched(ImageBatches(np.zeros((9, 2, 2, 1), np.uint8), 3))
batches.at(0)
{ending}
"""
    ended = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    assert ended.wait(60) in codes


def test_a_depth_that_makes_no_sense():
    with pytest.raises(ConfigError, match="depth is 0, but must be at least 1 batch"):
        Prefetched(ImageBatches(IMAGES, 2), depth=0)
