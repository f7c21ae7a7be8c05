import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigan import checkpoint
from minigan.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from minigan.errors import CheckpointError, ConfigError

WEIGHTS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "t": np.array(7)}
DAMAGED = r"is (damaged|cut short).* Try: "


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("="), name
        assert found[name].shape == array.shape, name
        assert found[name].astype(array.dtype).tobytes() == array.tobytes(), name


# ── what goes in comes out ───────────────────────────────────────────────────────────────────


def test_every_kind_of_array_comes_back_bit_for_bit(tmp_path):
    square = np.random.default_rng(0).normal(size=(4, 4))
    read_only = square[1]
    read_only.flags.writeable = False
    arrays = {
        "float64": square,
        "float32": square.astype(np.float32),
        "float16": square.astype(np.float16),
        "nan, infinities and -0": np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
        "int64": np.array([-(2**63), 2**63 - 1]),
        "uint8": np.arange(256, dtype=np.uint8),
        "bool": np.array([[True], [False]]),
        "0-d": np.array(3.5),
        "empty": np.zeros((0, 3), np.int16),
        "transposed": square.T,
        "strided": square[::2, ::-1],
        "broadcast": np.broadcast_to(np.float32(1.5), (2, 3)),
        "Fortran order": np.asfortranarray(square),
        "big-endian": square.astype(">f4"),
        "read-only": read_only,
        "naïve 名/前 😀\n": square,
    }
    path = save_checkpoint(tmp_path, 5000, arrays, {})
    assert path == tmp_path / "step_00005000.safetensors"
    assert_same(load_checkpoint(path).arrays, arrays)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8).filter("__metadata__".__ne__),
        hnp.arrays(
            st.sampled_from(sorted(checkpoint.DTYPES)),
            hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
        ),
        max_size=3,
    )
)
def test_any_arrays_come_back_bit_for_bit(tmp_path_factory, arrays):
    path = save_checkpoint(tmp_path_factory.mktemp("any"), 1, arrays, {})
    assert_same(load_checkpoint(path).arrays, arrays)


def test_metadata_comes_back_with_step_and_versions(tmp_path):
    metadata = {"seed": 3, "rate": 2e-4, "config": {"data": "手", "n": None, "sizes": (1, 2)}}
    save_checkpoint(tmp_path / "new" / "folder", 12, WEIGHTS, metadata)
    found = latest_checkpoint(tmp_path / "new" / "folder")
    versions = found.metadata.pop("versions")
    assert found.step == 12
    assert found.skipped == ()
    assert found.metadata == {
        "seed": 3,
        "rate": 2e-4,
        "config": {"data": "手", "n": None, "sizes": [1, 2]},
        "step": 12,
    }
    assert versions.keys() == {"minigan", "numpy", "safetensors", "python"}
    assert versions["numpy"] == np.__version__


def test_other_tools_can_read_the_weights(tmp_path):
    path = save_checkpoint(tmp_path, 0, WEIGHTS, {"seed": 1})
    assert_same(safetensors.numpy.load_file(path), WEIGHTS)
    with safetensors.safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["seed"]) == 1


# ── which files stay ─────────────────────────────────────────────────────────────────────────


def test_the_last_three_steps_stay_whatever_the_files_ages(tmp_path):
    for step in (9, 10, 99_999_999, 100_000_000):
        path = save_checkpoint(tmp_path, step, WEIGHTS, {})
        os.utime(path, (1e9 - step, 1e9 - step))
    assert names(tmp_path) == [
        "step_00000010.safetensors",
        "step_100000000.safetensors",
        "step_99999999.safetensors",
    ]
    assert latest_checkpoint(tmp_path).step == 100_000_000


def test_keep_can_be_one_and_a_step_can_be_saved_again(tmp_path):
    for value in (1.0, 2.0):
        path = save_checkpoint(tmp_path, 4, {"x": np.array(value)}, {}, keep=1)
    assert names(tmp_path) == [path.name]
    assert load_checkpoint(path).arrays["x"] == 2.0


def test_a_run_resumed_below_damaged_files_never_prunes_its_own(tmp_path):
    for step in (10, 20, 30, 40):
        (tmp_path / f"step_{step:08d}.safetensors").write_bytes(b"damaged")
    for step in (3, 4, 5, 6):
        save_checkpoint(tmp_path, step, WEIGHTS, {})
        assert latest_checkpoint(tmp_path).step == step
    assert len(latest_checkpoint(tmp_path).skipped) == 4
    assert not (tmp_path / "step_00000003.safetensors").exists()


def test_stale_temporary_files_are_swept_and_other_files_left_alone(tmp_path):
    stale = tmp_path / "step_00000001.safetensors.0123abcd.tmp"
    others = ["best.safetensors", "notes.tmp", "step_1.safetensors", "step_00000001.txt"]
    for path in (stale, *(tmp_path / name for name in others)):
        path.write_bytes(b"")
    path = save_checkpoint(tmp_path, 2, WEIGHTS, {})
    assert names(tmp_path) == sorted([*others, path.name])
    assert latest_checkpoint(tmp_path).step == 2


@pytest.mark.parametrize(("step", "keep"), [(-1, 3), (0, 0), (0, -2)])
def test_impossible_steps_and_keeps_are_refused(tmp_path, step, keep):
    with pytest.raises(ConfigError, match=r"step >= 0 and keep >= 1.*Try: step=0, keep=3"):
        save_checkpoint(tmp_path, step, WEIGHTS, {}, keep)
    assert names(tmp_path) == []


# ── what can't be saved ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "array", [np.array([None]), np.array(["text"]), np.ones(2, complex), np.zeros(1, "M8[s]")]
)
def test_other_dtypes_are_refused_by_name(tmp_path, array):
    with pytest.raises(CheckpointError, match=f"'bad' of dtype {array.dtype}".replace("[", r"\[")):
        save_checkpoint(tmp_path, 0, {"bad": array}, {})
    assert names(tmp_path) == []


@pytest.mark.parametrize("value", [np.float32(1), float("nan"), {1, 2}, object()])
def test_metadata_that_is_not_json_is_refused(tmp_path, value):
    with pytest.raises(CheckpointError, match="must be JSON"):
        save_checkpoint(tmp_path, 0, WEIGHTS, {"config": {"value": value}})
    assert names(tmp_path) == []


def test_a_file_that_could_not_be_loaded_is_never_kept(tmp_path):
    save_checkpoint(tmp_path, 1, WEIGHTS, {})
    for arrays, metadata in [({"__metadata__": np.ones(1)}, {}), ({}, {"long": "x" * 2**20})]:
        with pytest.raises(CheckpointError, match="what was written is damaged"):
            save_checkpoint(tmp_path, 2, arrays, metadata)
    assert names(tmp_path) == ["step_00000001.safetensors"]


# ── what is refused ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small(tmp_path):
    """A path to write to, and the bytes of a small good checkpoint."""
    path = save_checkpoint(tmp_path, 5, {"x": np.arange(3, dtype=np.int16)}, {"seed": 0})
    return path, path.read_bytes()


def test_every_truncation_is_refused(small):
    path, good = small
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(CheckpointError, match=rf"is cut short \({size} of "):
            load_checkpoint(path)


def test_every_flipped_bit_is_refused(small):
    path, good = small
    data = bytearray(good)
    for place in range(len(good)):
        for bit in range(8):
            data[place] ^= 1 << bit
            path.write_bytes(data)
            with pytest.raises(CheckpointError, match=DAMAGED):
                load_checkpoint(path)
            data[place] ^= 1 << bit
    assert data == good


def test_the_sentence_says_how_much_is_missing(small):
    path, good = small
    path.write_bytes(good[:-2])
    with pytest.raises(CheckpointError) as refusal:
        load_checkpoint(path)
    assert str(refusal.value) == (
        f"{path} is cut short ({len(good) - 2:,} of {len(good):,} bytes). "
        "Try: another checkpoint of the same folder."
    )


def test_swapped_content_is_refused(small):
    path, good = small
    for old, new in [(b"\x01\x00\x02", b"\x02\x00\x01"), (b'"I16"', b'"U16"'), (b'"x"', b'"y"')]:
        assert good.count(old) == 1
        path.write_bytes(good.replace(old, new))
        with pytest.raises(CheckpointError, match="doesn't match its SHA-256"):
            load_checkpoint(path)


def with_header(header):
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><body>404</body></html>",
        b"\x80\x04\x95" + bytes(40),
        b"\xff" * 64,
        with_header(b"[" * 100_000),
        with_header(b"null"),
        with_header(b'{"x":1,"__metadata__":{}}'),
        with_header(b'{"x":{"data_offsets":[0,{}]},"__metadata__":{}}'),
        with_header(b'{"__metadata__":{"step":"x","sha256":"0"}}'),
        with_header(b'{"\xff":0}'),
        safetensors.numpy.save(WEIGHTS),
        safetensors.numpy.save(WEIGHTS, metadata={"step": "1", "sha256": '"00"'}),
        with_header(
            b'{"x":{"dtype":"BF16","shape":[0],"data_offsets":[0,0]},'
            b'"__metadata__":{"step":"1","sha256":"0"}}'
        ),
    ],
)
def test_files_that_are_no_checkpoints_are_refused(tmp_path, content):
    path = tmp_path / "step_00000001.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=DAMAGED):
        load_checkpoint(path)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_random_bytes_are_refused(tmp_path_factory, content, has_header):
    path = tmp_path_factory.getbasetemp() / "random.safetensors"
    path.write_bytes(with_header(content) if has_header else content)
    with pytest.raises(CheckpointError, match=DAMAGED):
        load_checkpoint(path)


@pytest.mark.parametrize("make", [None, Path.mkdir, getattr(os, "mkfifo", Path.mkdir)])
def test_what_is_not_a_file_is_refused(tmp_path, make):
    path = tmp_path / "step_00000001.safetensors"
    if make:
        make(path)
    with pytest.raises(CheckpointError, match="is not a file"):
        load_checkpoint(path)


def test_an_unreadable_file_is_refused(small, monkeypatch):
    def read_bytes(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(CheckpointError, match=r"can't be read \(Permission denied\)"):
        load_checkpoint(small[0])


# ── falling back ─────────────────────────────────────────────────────────────────────────────


def test_no_checkpoints_is_none(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "missing") is None


def test_the_newest_good_file_is_found_and_the_damaged_ones_are_named(tmp_path):
    first, second, third = [save_checkpoint(tmp_path, step, WEIGHTS, {}) for step in (1, 2, 3)]
    third.write_bytes(third.read_bytes()[:-1])
    second.write_bytes(second.read_bytes()[:-1] + b"\xff")
    found = latest_checkpoint(tmp_path)
    assert (found.step, found.path) == (1, first)
    assert_same(found.arrays, WEIGHTS)
    assert [reason.split(" (")[0] for reason in found.skipped] == [
        "step_00000003.safetensors is cut short",
        "step_00000002.safetensors is damaged",
    ]
    first.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"00000003.* 00000002.* 00000001".replace(" ", "")):
        latest_checkpoint(tmp_path)


# ── failing system calls ─────────────────────────────────────────────────────────────────────


class Disk:
    """Records what a save asks of the system; can take one byte at a time, or fail at one call."""

    def __init__(self, monkeypatch, fails_at=None, error=errno.ENOSPC, bytes_a_write=None):
        self.calls = []
        self.fails_at, self.error, self.bytes_a_write = fails_at, error, bytes_a_write
        disk = self

        class File(io.FileIO):
            def write(self, data):
                disk.call("write")
                return super().write(data[: disk.bytes_a_write])

        def open_file(path, mode, buffering):
            self.call("create")
            return File(path, mode)

        monkeypatch.setattr(checkpoint, "open", open_file, raising=False)
        for owner, name in [
            *[(os, name) for name in ("open", "fsync", "replace", "close")],
            *[(Path, name) for name in ("mkdir", "read_bytes", "unlink")],
        ]:
            monkeypatch.setattr(owner, name, self.recording(name, getattr(owner, name)))

    def recording(self, name, function):
        def recorded(*arguments, **options):
            self.call(name)
            return function(*arguments, **options)

        return recorded

    def call(self, name):
        self.calls.append(name)
        if len(self.calls) - 1 == self.fails_at:
            raise OSError(self.error, os.strerror(self.error))


SAVE = ["mkdir", "create", "write", "fsync", "read_bytes", "replace", "open", "fsync", "close"]
PRUNE_AND_CLEAN_UP = ["unlink", "unlink"]


def test_bytes_then_name_then_folder_reach_the_disk_and_only_then_old_files_go(
    tmp_path, monkeypatch
):
    """After a power loss at any point of this order the old files or the new one are whole."""
    save_checkpoint(tmp_path, 1, WEIGHTS, {})
    disk = Disk(monkeypatch)
    save_checkpoint(tmp_path, 2, WEIGHTS, {}, keep=1)
    assert disk.calls == SAVE + PRUNE_AND_CLEAN_UP


def test_short_writes_are_finished(tmp_path, monkeypatch):
    disk = Disk(monkeypatch, bytes_a_write=1)
    path = save_checkpoint(tmp_path, 2, WEIGHTS, {})
    assert disk.calls.count("write") == path.stat().st_size
    assert_same(load_checkpoint(path).arrays, WEIGHTS)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize(("place", "name"), list(enumerate([*SAVE, "unlink"])))
def test_a_failure_of_any_system_call_fails_the_save_and_leaves_the_old_file(
    tmp_path, monkeypatch, place, name, error
):
    before = save_checkpoint(tmp_path, 1, WEIGHTS, {})
    good = before.read_bytes()
    with monkeypatch.context() as patched:
        disk = Disk(patched, fails_at=place, error=error)
        with pytest.raises(CheckpointError, match=os.strerror(error)) as failure:
            save_checkpoint(tmp_path, 2, {"x": np.array(2.0)}, {}, keep=1)
    assert disk.calls[place] == name
    assert str(failure.value).startswith(f"Saving {tmp_path / 'step_00000002.safetensors'} failed")
    assert before.read_bytes() == good
    after_the_rename = place > SAVE.index("replace")
    assert latest_checkpoint(tmp_path).step == (2 if after_the_rename else 1)
    assert not list(tmp_path.glob("*.tmp"))


def test_bytes_the_disk_changed_fail_the_save(tmp_path, monkeypatch):
    before = save_checkpoint(tmp_path, 1, WEIGHTS, {})
    read = Path.read_bytes
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", lambda path: read(path)[:-1] + b"\x55")
        with pytest.raises(CheckpointError, match="what was written is damaged"):
            save_checkpoint(tmp_path, 2, WEIGHTS, {})
    assert names(tmp_path) == [before.name]


def test_a_failed_clean_up_hides_nothing_and_is_made_good_by_the_next_save(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        Disk(patched, fails_at=SAVE.index("replace"), error=errno.EIO)
        patched.setattr(Path, "unlink", lambda path, missing_ok: os.open("/", os.O_WRONLY))
        with pytest.raises(CheckpointError, match=os.strerror(errno.EIO)):
            save_checkpoint(tmp_path, 1, WEIGHTS, {})
    assert len(list(tmp_path.glob("*.tmp"))) == 1
    save_checkpoint(tmp_path, 2, WEIGHTS, {})
    assert names(tmp_path) == ["step_00000002.safetensors"]


# ── kills and full disks, in processes of their own ──────────────────────────────────────────


def run_script(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # no threads, so that os.fork is safe
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


KILL_AT_RANDOM_MOMENTS = """
import itertools, os, random, signal, sys, time
import numpy as np
from minigan.checkpoint import latest_checkpoint, save_checkpoint

folder, rounds = sys.argv[1:]
arrays = {"x": np.random.default_rng(0).normal(size=100_000)}
save_checkpoint(folder, 0, arrays, {})
delays = random.Random(0)
for _ in range(int(rounds)):
    start = latest_checkpoint(folder).step
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        for step in itertools.count(start + 1):
            save_checkpoint(folder, step, arrays, {})
            os.write(sender, step.to_bytes(4, "little"))
    os.close(sender)
    time.sleep(delays.uniform(0.01, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    reported = os.read(receiver, 4096)
    os.close(receiver)
    newest = latest_checkpoint(folder)
    finished = int.from_bytes(reported[-4:], "little") if reported else start
    assert newest.step in (finished, finished + 1), (newest.step, finished)
    assert newest.skipped == ()
    assert newest.arrays["x"].tobytes() == arrays["x"].tobytes()
print(newest.step)
"""

KILL_AT_EVERY_LINE = """
import os, signal, sys
import numpy as np
from minigan import checkpoint

folder, = sys.argv[1:]
arrays = {"x": np.arange(9.0)}
lines_left = 0

def kill_after_some_lines(frame, event, argument):
    global lines_left
    if frame.f_code.co_filename != checkpoint.__file__:
        return None
    lines_left -= event == "line"
    if lines_left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return kill_after_some_lines

checkpoint.save_checkpoint(folder, 0, arrays, {}, keep=1)
for step in range(1, 1000):
    child = os.fork()
    if child == 0:
        lines_left = step
        sys.settrace(kill_after_some_lines)
        checkpoint.save_checkpoint(folder, step, arrays, {}, keep=1)
        os._exit(0)
    killed = os.waitpid(child, 0)[1] != 0
    newest = checkpoint.latest_checkpoint(folder)
    assert newest.step in (step - 1, step) and newest.skipped == (), (step, newest)
    if not killed:
        break
    checkpoint.save_checkpoint(folder, step, arrays, {}, keep=1)  # the next run goes on
print(step, *os.listdir(folder))
"""

DISK_FULL = """
import resource, sys
import numpy as np
from minigan.checkpoint import save_checkpoint
from minigan.errors import CheckpointError

folder, = sys.argv[1:]
save_checkpoint(folder, 1, {"x": np.zeros(100)}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_checkpoint(folder, 2, {"x": np.zeros(100_000)}, {})
except CheckpointError as error:
    print(error)
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
@pytest.mark.parametrize("rounds", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_kill_at_a_random_moment_leaves_the_newest_checkpoint_whole(tmp_path, rounds):
    (last_step,) = run_script(KILL_AT_RANDOM_MOMENTS, tmp_path, rounds)
    assert int(last_step) > 0


@needs_fork
def test_a_kill_at_any_line_of_a_save_leaves_the_newest_checkpoint_whole(tmp_path):
    step, *files = run_script(KILL_AT_EVERY_LINE, tmp_path)
    assert 50 < int(step) < 999  # a save has that many lines, and the last one was not killed
    assert files == [f"step_{int(step):08d}.safetensors"]


@needs_fork
def test_a_full_disk_fails_the_save_and_leaves_the_old_file(tmp_path):
    message = " ".join(run_script(DISK_FULL, tmp_path))
    assert "failed: File too large; earlier checkpoints are still good." in message
    assert names(tmp_path) == ["step_00000001.safetensors"]
    assert latest_checkpoint(tmp_path).step == 1
