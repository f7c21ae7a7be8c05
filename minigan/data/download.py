"""Fetching the full MNIST: several mirrors, checked hashes, a progress bar."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from minigan.errors import DataError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
SHA256 = {  # of the files with .gz
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def default_mnist_folder() -> Path:
    """Where `minigan data mnist` puts the files: the user's cache."""
    import pooch

    return Path(pooch.os_cache("minigan")) / "mnist"


def fetch_mnist(
    folder: str | Path | None = None,
    mirrors: Sequence[str] = MIRRORS,
    hashes: Mapping[str, str] = SHA256,
    progress: bool = True,
) -> Path:
    """Download MNIST's four .gz files, 11 MB, and say where they are.

    Files that are there and whole are kept; others of the same name are replaced.
    Errors: DataError for a folder that can't be made, and once every mirror failed, with each
    one's reason.
    """
    folder = Path(folder) if folder is not None else default_mnist_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder to put MNIST's files into, found that it can't be made "
            f"({error.strerror}). Try: `minigan data mnist --folder mnist`."
        ) from None
    for name, sha256 in hashes.items():
        _fetch(folder, f"{name}.gz", sha256, mirrors, progress)
    return folder


def _fetch(folder: Path, name: str, sha256: str, mirrors: Sequence[str], progress: bool) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the progress bar says enough
    failures = []
    for mirror in mirrors:
        try:  # retrieve checks the hash of a temporary file, then moves it into place
            pooch.retrieve(mirror + name, f"sha256:{sha256}", name, folder, progressbar=progress)
        except (OSError, ValueError) as error:  # no connection, no such file, another hash
            failures.append(f"{mirror} ({_reason(error)})")
        else:
            return
    raise DataError(
        f"{name} could not be fetched from any mirror: {'; '.join(failures)}. Try: again later, or "
        f"put MNIST's four files into a folder and pass it with --data."
    )


def _reason(error: BaseException) -> str:
    while error.__context__:  # requests wraps urllib3's error, which wraps the system's own
        error = error.__context__
    if "does not match the known hash" in str(error):
        return "the file is not the one expected: its SHA-256 differs"
    return str(error)
