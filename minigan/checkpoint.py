"""Checkpoints: all that a run needs to continue, in one file that is whole or refused.

The file is plain safetensors, so other tools can read the weights. Its metadata is JSON, with
a SHA-256 over every name, dtype, shape and byte, and over the metadata itself.
"""

import hashlib
import json
import os
import platform
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from minigan.errors import CheckpointError, ConfigError

Arrays: TypeAlias = Mapping[str, np.ndarray]

FILE_NAME = re.compile(r"step_(\d{8,})\.safetensors")
MAX_HEADER_BYTES = 2**20  # names, shapes and metadata
DTYPES = {"bool", "float16", "float32", "float64"} | {
    f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint file holds, verified."""

    path: Path
    step: int
    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any]
    skipped: tuple[str, ...] = ()  # newer files that latest_checkpoint passed over, and why


class _RefusedError(Exception):
    """Why a file is refused: the end of a sentence that begins with the file's name."""


def save_checkpoint(
    folder: str | Path, step: int, arrays: Arrays, metadata: Mapping[str, Any], keep: int = 3
) -> Path:
    """Write `step_00005000.safetensors` in `folder`, safe against crashes and power loss.

    `arrays` come back bit for bit, in C order; `metadata` comes back as JSON returns it (tuples
    as lists), with `step` and `versions` added. After a failure or a kill at any moment the
    folder's newest checkpoint still loads. Files of earlier steps are pruned to `keep` in all,
    once the new one is safe. Two runs must not save into one folder at the same time.
    Returns the file's path. Raises CheckpointError, ConfigError.
    """
    if step < 0 or keep < 1:
        raise ConfigError(
            f"save_checkpoint expects step >= 0 and keep >= 1, found step={step}, keep={keep}. "
            "Try: step=0, keep=3."
        )
    folder = Path(folder)
    target = folder / f"step_{step:08d}.safetensors"
    temporary = folder / f"{target.name}.{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _write(temporary, _encode(step, arrays, metadata))
        _read(temporary)  # what was written must verify before it counts
        os.replace(temporary, target)
        _sync_folder(folder)
        _prune(folder, step, keep)
    except (OSError, _RefusedError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"what was written {error}"
        raise CheckpointError(
            f"Saving {target} failed: {reason}; earlier checkpoints are still good. "
            "Try: a folder you may write to, on a disk with free space."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return target


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read one checkpoint, all or nothing. Raises CheckpointError unless every bit is right."""
    try:
        return _read(Path(path))
    except _RefusedError as refusal:
        raise CheckpointError(
            f"{path} {refusal}. Try: another checkpoint of the same folder."
        ) from refusal


def latest_checkpoint(folder: str | Path) -> Checkpoint | None:
    """Return the newest checkpoint in `folder` that verifies, or None if it holds none at all.

    Newest means the highest step. Newer files that don't verify are named in `skipped`.
    Raises CheckpointError if there are files and not one of them verifies.
    """
    skipped: list[str] = []
    for _, path in reversed(_checkpoint_files(Path(folder))):
        try:
            return replace(_read(path), skipped=tuple(skipped))
        except _RefusedError as refusal:
            skipped.append(f"{path.name} {refusal}")
    if skipped:
        raise CheckpointError(
            f"No checkpoint in {folder} can be used: {'; '.join(skipped)}. "
            "Try: a new run in another folder."
        )
    return None


# ── the bytes of a file ──────────────────────────────────────────────────────────────────────


def _encode(step: int, arrays: Arrays, metadata: Mapping[str, Any]) -> bytes:
    import safetensors.numpy

    stored = {name: _as_stored(name, array) for name, array in arrays.items()}
    entries = {**metadata, "step": step, "versions": _versions()}
    try:
        texts = {key: json.dumps(value, allow_nan=False) for key, value in entries.items()}
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"A checkpoint's metadata must be JSON, found: {error}. "
            "Try: only strings, finite numbers, booleans, None, and lists and dicts of them."
        ) from error
    texts["sha256"] = json.dumps(_digest(stored, texts))
    return safetensors.numpy.save(stored, metadata=texts)


def _as_stored(name: str, array: np.ndarray) -> np.ndarray:
    """Lay the array out as the format wants it: little-endian, in C order, of the same rank."""
    array = np.asarray(array)
    if array.dtype.name not in DTYPES:
        raise CheckpointError(
            f"A checkpoint holds booleans, integers and real floats, found {name!r} of dtype "
            f"{array.dtype}. Try: numbers as float64, anything else in `metadata`."
        )
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _decode(data: bytes) -> tuple[int, dict[str, np.ndarray], dict[str, Any]]:
    import safetensors.numpy
    from safetensors import SafetensorError

    header_end = 8 + int.from_bytes(data[:8], "little")
    if header_end > 8 + MAX_HEADER_BYTES:
        raise _RefusedError("is damaged or is not a checkpoint of minigan (no header)")
    if len(data) < header_end:
        raise _RefusedError(f"is cut short ({len(data):,} of at least {header_end:,} bytes)")
    try:
        header = json.loads(data[8:header_end])
        texts = header.pop("__metadata__")
        size = header_end + max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if len(data) < size:
            raise _RefusedError(f"is cut short ({len(data):,} of {size:,} bytes)")
        arrays = safetensors.numpy.load(data)
        metadata = {key: json.loads(text) for key, text in texts.items()}
        step, digest = metadata["step"], metadata.pop("sha256")
    except (SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise _RefusedError("is damaged or is not a checkpoint of minigan") from None
    del texts["sha256"]
    if digest != _digest(arrays, texts):
        raise _RefusedError("is damaged (its content doesn't match its SHA-256)")
    return step, arrays, metadata


def _digest(arrays: Arrays, texts: Mapping[str, str]) -> str:
    sha256 = hashlib.sha256(json.dumps(texts, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        sha256.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def _versions() -> dict[str, str]:
    import safetensors

    import minigan

    return {
        "python": platform.python_version(),
        "minigan": minigan.__version__,
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
    }


# ── the files of a folder ────────────────────────────────────────────────────────────────────


def _read(path: Path) -> Checkpoint:
    if not path.is_file():  # opening a FIFO would wait for ever
        raise _RefusedError("is not a file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _RefusedError(f"can't be read ({error.strerror})") from error
    return Checkpoint(path, *_decode(data))


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb", buffering=0) as file:
        remaining = memoryview(data)
        while remaining:  # the system may take fewer bytes than it was given
            remaining = remaining[file.write(remaining) :]
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the new name durable: a file's fsync covers its bytes, not its folder's entry."""
    if os.name == "nt":  # Windows can't open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checkpoint_files(folder: Path) -> list[tuple[int, Path]]:
    """List the folder's checkpoints as (step, path), oldest step first."""
    matches = [(FILE_NAME.fullmatch(path.name), path) for path in folder.glob("step_*")]
    return sorted((int(match[1]), path) for match, path in matches if match)


def _sweep(folder: Path) -> None:
    for stale in folder.glob("step_*.safetensors.*.tmp"):
        stale.unlink(missing_ok=True)


def _prune(folder: Path, step: int, keep: int) -> None:
    """Remove all but the last `keep` files up to `step`.

    Files of later steps are damaged ones that a resumed run skipped: counting them would prune
    the good ones.
    """
    finished = [path for file_step, path in _checkpoint_files(folder) if file_step <= step]
    for path in finished[:-keep]:
        path.unlink(missing_ok=True)
