"""Decoded pictures in one file, so that the next run starts at once.

The file is a .npy, mapped into memory when read, with a SHA-256 at its end over what the
pictures were made from and every byte. A damaged, outdated or foreign file counts as none.
"""

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from minigan.backend import Array

HEADER_BYTES = 128  # NumPy pads the header to that, whatever the count
DIGEST_BYTES = 32
ABANDONED = 24 * 3600  # seconds after which nobody is still writing a temporary file


def default_image_cache() -> Path:
    """Where decoded pictures are kept: in the user's cache."""
    import pooch

    return Path(pooch.os_cache("minigan")) / "images"


def cached_images(
    path: Path,
    origin: bytes,
    decode: Callable[[], Iterable[Array]],
    say: Callable[[str], None],
) -> Array:
    """Pictures (N, H, W, C) uint8, read-only: from the file, or decoded and kept in it.

    origin  all that the pictures depend on; a file made from another origin is replaced
    A file that can't be written costs no more than a sentence and the time to decode.
    """
    images = read_cache(path, origin)
    if images is None:
        try:
            write_cache(path, origin, decode())
            images = read_cache(path, origin)
            if images is None:
                raise OSError(errno.EIO, "it does not read back as written")
        except OSError as error:
            say(
                f"{path}: decoded pictures can't be kept there ({error.strerror}), so the next run "
                f"decodes them again. Try: a cache folder you may write to, with free space."
            )
    if images is None:
        images = np.stack(list(decode()))
        images.flags.writeable = False
    return images


def read_cache(path: Path, origin: bytes) -> Array | None:
    """The pictures (N, H, W, C) of `origin`, read-only, mapped from the file; None without them.

    Nothing is parsed before the digest has shown that the file is whole. All comes from one
    mapping: opened again, the same name may mean another process's new file.
    """
    if not path.is_file():
        return None
    try:
        content = np.asarray(np.memmap(path, np.uint8, mode="r"))
    except (OSError, ValueError):  # not to be read, or empty
        return None
    written, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if digest.tobytes() != _digest(origin, written):
        return None
    header = BytesIO(written[:HEADER_BYTES].tobytes())
    npy.read_magic(header)
    shape, _, _ = npy.read_array_header_1_0(header)
    return written[HEADER_BYTES:].reshape(shape)


def write_cache(path: Path, origin: bytes, pictures: Iterable[Array]) -> None:
    """Write pictures (H, W, C) uint8 one by one, so that they need not fit into memory.

    Only a finished file gets its name, so readers and other writers never see half of one. It is
    not synced to disk: what a power loss damages, the digest finds.
    Errors: OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write_npy(temporary, pictures)
        digest = _digest(origin, np.memmap(temporary, np.uint8, mode="r"))
        with temporary.open("ab") as file:
            file.write(digest)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_npy(path: Path, pictures: Iterable[Array]) -> None:
    shape: tuple[int, ...] = ()
    count = 0
    with path.open("xb") as file:
        file.seek(HEADER_BYTES)  # the header needs the count, which is known at the end
        for picture in pictures:
            file.write(picture.tobytes())
            shape = picture.shape
            count += 1
        file.seek(0)
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
        npy.write_array_header_1_0(file, header)


def _digest(origin: bytes, content: Array) -> bytes:
    sha256 = hashlib.sha256(origin)
    sha256.update(content.data)
    return sha256.digest()


def _remove_abandoned(path: Path) -> None:
    """Remove what killed runs left of this file; a run that is still writing keeps its own."""
    for temporary in path.parent.glob(f"{path.name}.*.tmp"):
        with suppress(OSError):  # another run may be removing it, too
            if time.time() - temporary.stat().st_mtime > ABANDONED:
                temporary.unlink()
