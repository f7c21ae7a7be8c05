"""Threads and memory that kernels share."""

import gc
import itertools
import os
import signal
import threading
import time
import warnings
import weakref
from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minigan.kernels import threads
from minigan.kernels import workspace as workspaces
from minigan.kernels.product import product
from minigan.kernels.threads import even_parts, idle_team, in_shares, in_turn, team
from minigan.kernels.workspace import release_workspaces, workspace

TWO = min(2, threads._processors())  # of a team, where the machine has as many


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


def test_every_item_is_done_once():
    done = []
    with team() as members:
        assert members.size == TWO
        members.each(done.append, range(100))
        members.each(done.append, [])
    assert sorted(done) == list(range(100))


def test_work_runs_at_the_same_time():
    if TWO == 1:
        pytest.skip("one processor")
    meeting = threading.Barrier(2, timeout=10)
    with team() as members:
        members.each(lambda item: meeting.wait(), range(2))  # alone it would wait in vain


def test_blas_is_on_one_thread_inside_and_as_before_outside():
    before = blas_threads()
    assert before == {2}
    with team() as outer:
        assert blas_threads() == {1}
        with team() as inner:
            assert inner.size == outer.size
        assert blas_threads() == {1}
    assert blas_threads() == before
    with pytest.raises(ZeroDivisionError), team():
        1 / 0  # noqa: B018
    assert blas_threads() == before


def test_as_many_threads_as_blas_may_use():
    with threadpool_limits(1, user_api="blas"), team() as members:
        assert members.size == 1
        names = set()
        members.each(lambda item: names.add(threading.current_thread()), range(5))
        assert names == {threading.current_thread()}


@pytest.mark.parametrize("bad", [0, 1, 99])
def test_an_error_comes_through_when_all_have_left(bad):
    running = []

    def work(item):
        running.append(item)
        if item == bad:
            raise ValueError(f"item {item}")
        running.remove(item)

    with team() as members, pytest.raises(ValueError, match=f"item {bad}"):
        members.each(work, range(100))
    assert running == [bad]


def test_ctrl_c_waits_until_all_have_left_the_arrays():
    """It comes while the caller waits for a thread that works on."""
    if TWO == 1:
        pytest.skip("one processor")
    caller, left = threading.get_ident(), []

    def work(item):
        if threading.get_ident() == caller:
            time.sleep(0.02)  # so that the other thread gets the second item
        else:
            time.sleep(0.05)
            signal.raise_signal(signal.SIGINT)  # the main thread's
            time.sleep(0.05)
            left.append(item)

    with team() as members:
        with pytest.raises(KeyboardInterrupt):
            members.each(work, range(2))
        assert len(left) == 1
        running = threading.active_count()
        members.each(lambda item: None, range(2))
        assert threading.active_count() == running  # it serves again


def test_what_went_wrong_is_not_kept():
    class Large:
        """Something that can be watched."""

    def fail(reference):
        held = reference()  # noqa: F841  in a frame of the error
        raise ValueError("no")

    large = Large()
    gone = weakref.ref(large)
    with team() as members, pytest.raises(ValueError, match="no"):
        members.each(fail, [gone, gone])
    del large
    gc.collect()
    assert gone() is None


def test_errstate_holds_in_every_thread():
    x = np.full(4, 1e30, "float32")
    with warnings.catch_warnings(), np.errstate(over="ignore"), team() as members:
        warnings.simplefilter("error")
        members.each(lambda item: x * x, range(20))


def test_even_parts():
    for n in range(8):
        for parts in range(1, 5):
            lengths = [part.stop - part.start for part in even_parts(n, parts)]
            assert sum(lengths) == n
            assert max(lengths) - min(lengths) <= 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own():
    with team() as members:
        members.each(lambda item: None, range(4))
        child = os.fork()
        if child == 0:
            done = []
            with team() as members:
                members.each(done.append, range(4))
            os._exit(len(done))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4


def test_a_child_may_leave_its_parents_team():
    child = 1
    with team():
        child = os.fork()
    if child == 0:
        with team() as members:
            os._exit(members.size)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == TWO
    assert blas_threads() == {2}


# ── workspaces ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def _nothing_kept():
    release_workspaces()
    yield
    release_workspaces()


@pytest.mark.usefixtures("_nothing_kept")
def test_workspaces_in_use_are_apart():
    with workspace("float32", (3, 5), (0, 2), (7,)) as (a, b, c), workspace("int8", (2,)) as (d,):
        assert [x.shape for x in (a, b, c, d)] == [(3, 5), (0, 2), (7,), (2,)]
        assert (a.dtype, d.dtype) == ("float32", "int8")
        a[...], c[...], d[...] = 1, 2, 3
        assert (a == 1).all()
        assert all(x.ctypes.data % workspaces.ALIGNMENT == 0 for x in (a, c, d))


@pytest.mark.usefixtures("_nothing_kept")
def test_memory_is_used_again_and_grows_with_the_largest_only():
    for size in (10, 1000, 20, 999, 1000):
        with workspace("float64", (size,)):
            pass
    mine = workspaces._of_this_thread.buffers
    assert [len(buffer) // 8 for buffer in mine.free] == [1000]
    release_workspaces()
    assert mine.free == []


@pytest.mark.usefixtures("_nothing_kept")
def test_no_more_is_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(workspaces, "KEPT", 3000)
    with workspace("int8", (1024,)), workspace("int8", (2048,)), workspace("int8", (512,)):
        pass
    with workspace("int8", (4096,)):
        pass
    kept = workspaces._of_this_thread.buffers.free
    assert [len(buffer) for buffer in kept] == [512]


def kept():
    """How many numbers of 8 bytes each buffer of each thread has."""
    threads = [of_thread() for of_thread in workspaces._of_all_threads]
    return [[len(buffer) // 8 for buffer in thread.free] for thread in threads if thread.free]


@pytest.mark.usefixtures("_nothing_kept")
def test_threads_that_end_take_their_memory_with_them():
    known = len(workspaces._of_all_threads)

    def work():
        with workspace("float64", (1000,)):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()
    assert (kept(), len(workspaces._of_all_threads)) == ([], known)


@pytest.mark.usefixtures("_nothing_kept")
def test_the_smallest_that_is_large_enough_is_taken():
    with workspace("float64", (16,)) as (small,), workspace("float64", (1000,)) as (large,):
        places = small.ctypes.data, large.ctypes.data
    with workspace("float64", (8,)) as (first,), workspace("float64", (8,)) as (second,):
        assert (first.ctypes.data, second.ctypes.data) == places


@pytest.mark.usefixtures("_nothing_kept")
def test_each_thread_keeps_its_own_memory_and_all_is_released():
    with team() as members, workspace("float64", (10,)):
        barrier = threading.Barrier(members.size, timeout=10)  # so that every member takes some

        def work(_):
            with workspace("float64", (1000,)):
                barrier.wait()

        members.each(work, range(members.size))
    assert sorted(kept()) == sorted([[1000, 16]] + [[1000]] * (TWO - 1))
    release_workspaces()
    assert kept() == []


def test_large_arrays_are_shared_but_not_by_who_is_at_work_already(monkeypatch):
    monkeypatch.setattr(threads, "LARGE", 10)
    workers = {}

    def work(items):
        time.sleep(0.01)  # so that a second thread finds something to do
        workers[threading.get_ident()] = list(items)

    in_shares(work, range(20), np.zeros(9))
    assert workers == {threading.get_ident(): list(range(20))}
    workers.clear()
    in_shares(work, range(20), np.zeros(10))
    assert len(workers) == TWO
    assert sorted(itertools.chain(*workers.values())) == list(range(20))
    with team() as members:
        members.each(lambda _: (workers.clear(), in_shares(work, range(20), np.zeros(10))), [0])
    assert list(workers.values()) == [list(range(20))]


def test_one_item_of_a_large_array_is_done_once(monkeypatch):
    monkeypatch.setattr(threads, "LARGE", 10)
    seen = []
    in_shares(seen.append, ["only"], np.zeros(10))
    assert seen == [["only"]]


def test_calls_in_turn_are_all_prepared_before_the_first():
    order = []

    def prepared():
        for i in range(3):
            order.append(f"prepare {i}")
            yield partial(order.append, f"call {i}")

    in_turn(prepared())
    assert order == [*(f"prepare {i}" for i in range(3)), *(f"call {i}" for i in range(3))]


def test_a_team_that_one_thread_opened_may_be_left_by_another():
    """threadpoolctl obeys the thread that set a limit first; BLAS would stay at one thread."""
    entered, joined, left, done = (threading.Event() for _ in range(4))
    inside = []

    def first():
        with team():
            entered.set()
            joined.wait(10)
        left.set()
        done.wait(10)

    def second():
        entered.wait(10)
        with team():
            joined.set()
            left.wait(10)
            inside.append(blas_threads())

    users = [threading.Thread(target=user) for user in (first, second)]
    for user in users:
        user.start()
    users[1].join()
    assert inside == [{1}]
    assert blas_threads() == {2}
    done.set()
    users[0].join()


def test_large_products_are_shared_by_an_open_team():
    rng = np.random.default_rng(0)
    seen = []
    for shapes in (((600, 80), (80, 100)), ((64, 80), (80, 900))):
        x, w = (rng.normal(size=shape).astype("f4") for shape in shapes)
        expected = np.dot(x, w)
        with team() as members:
            if TWO > 1:
                seen.append(idle_team().size)
            found = product(x, w)
            members.each(lambda item: seen.append(idle_team()), range(2))  # at work: none is idle
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        assert found.flags.c_contiguous
    assert idle_team() is None
    assert seen == [*[TWO] * (TWO > 1), None, None] * 2
